//! The recorder as systemd runs it: with the unit's rights and no more, telling how it is.

use std::{collections::BTreeSet, fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use afterimage_format::EventCode;
use afterimage_launch::Stdio;

use crate::{
    bench::busybox,
    harness::{RECORDER, Running, alone, container, events, open},
};

/// The capabilities that the unit leaves, without `CAP_`.
fn capabilities() -> Vec<String> {
    let unit = include_str!("../../../packaging/systemd/afterimaged.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    line.split(' ').map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect()
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_units_capabilities_are_enough() {
    let _alone = alone();
    let (plain, _) = Running::start(&["--host", "none"]).stop();
    let kept: String = capabilities().iter().map(|name| format!(",+{name}")).collect();
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--bounding-set", &format!("-all{kept}"), RECORDER]);
    let recorder = Running::of(command, tempfile::tempdir().unwrap(), &["--host", "none"]);
    // What the kernel says that it has: what the unit names.
    let status = fs::read_to_string(format!("/proc/{}/status", recorder.pid().as_raw_nonzero())).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let held = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    // No more than the unit names; fewer where this machine's root does not have all of them itself.
    assert!(held != 0 && held.count_ones() as usize <= capabilities().len(), "{held:x}");
    assert_eq!(field("NoNewPrivs:"), "1");
    let (launcher, _root) = busybox();
    let script = "echo x > /tmp/file; busybox id > /dev/null";
    let id = launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap().id.to_string();
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    assert!(all.iter().filter(|event| event.code == EventCode::EXEC).count() >= 2, "{}", all.len());
    let degraded = &open(plain.path()).origin().degraded.clone();
    assert_eq!(&recording.origin().degraded, degraded, "nothing is left out for lack of rights");
}

#[test]
#[ignore = "needs root and eBPF"]
fn systemd_is_told_of_the_beginning_the_end_and_that_all_is_well() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = Command::new(RECORDER);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let recorder = Running::of(command, tempfile::tempdir().unwrap(), &["--host", "none"]);
    let hear = |wanted: &str| {
        let mut heard = BTreeSet::new();
        let mut datagram = [0; 4096];
        while !heard.contains(wanted) {
            let length =
                socket.recv(&mut datagram).unwrap_or_else(|e| panic!("{e}: no {wanted} in {heard:?}"));
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            heard.extend(text.lines().map(|line| line.split("USEC=").next().unwrap().to_owned()));
        }
    };
    hear("READY=1");
    // More than once: it goes on.
    (0..3).for_each(|_| hear("WATCHDOG=1"));
    recorder.signal(rustix::process::Signal::HUP);
    hear("RELOADING=1");
    hear("READY=1");
    recorder.signal(rustix::process::Signal::TERM);
    hear("STOPPING=1");
    recorder.stop();
}
