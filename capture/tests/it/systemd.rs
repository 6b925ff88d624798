//! The packaged unit under a systemd of its own, the first process of a pid namespace.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use afterimage_format::{EventCode, LossCause};
use afterimage_launch::Stdio as Streams;

use crate::{
    bench::{busybox, eventually},
    harness::{RECORDER, alone, container, events, open, unified},
};

/// A systemd with its units, killed in the end.
struct Machine {
    /// The one that waits for it.
    outer: Child,
    cgroup: PathBuf,
    scratch: tempfile::TempDir,
}

impl Machine {
    fn boot() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let cgroup = unified().join(format!("afterimage-test-{}", std::process::id()));
        fs::create_dir(&cgroup).unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let procs = cgroup.join("cgroup.procs");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"])
            .arg(here.join("tests/systemd/boot.sh"))
            .args([scratch.path(), Path::new(RECORDER), &here.join("../packaging")])
            .stdout(Stdio::null());
        // SAFETY: between fork and exec a write to a file of a name that was made before.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
        let outer = command.spawn().unwrap();
        Self { outer, cgroup, scratch }
    }

    /// systemd, as it is numbered here.
    fn first(&self) -> Option<String> {
        let outer = self.outer.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// What a program says inside, and its status.
    fn inside(&self, words: &[&str]) -> Option<(Option<i32>, String)> {
        let output = Command::new("nsenter")
            .args(["--all", "--target", &self.first()?, "--"])
            .args(words)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        Some((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// A property of the unit.
    fn unit(&self, name: &str) -> String {
        let said = self.inside(&["systemctl", "show", "--value", "--property", name, "afterimaged.service"]);
        said.map(|(_, text)| text.trim().to_owned()).unwrap_or_default()
    }

    /// Waits for longer than others do: a machine that is busy boots slowly.
    fn wait(&self, name: &str, value: &str) {
        for _ in 0..3000 {
            if self.unit(name) == value {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no {name}={value}: {:?}", self.inside(&["systemctl", "status", "--no-pager", "afterimaged"]));
    }

    fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first().unwrap()))
    }

    /// A field of the status of the unit's first process.
    fn status(&self, field: &str) -> String {
        let path = self.file(&format!("/proc/{}/status", self.unit("MainPID")));
        let text = fs::read_to_string(path).unwrap();
        text.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
    }

    /// Runs a container of the host's, which this recorder sees too.
    fn container(&self) -> String {
        let (launcher, _root) = busybox();
        launcher.run(&["/bin/busybox", "id"], Streams::default()).unwrap().id.to_string()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        eventually("cgroup without processes", || {
            remove(&self.cgroup);
            (!self.cgroup.exists()).then_some(())
        });
    }
}

/// Removes a cgroup with all below it, as far as they are empty.
fn remove(cgroup: &Path) {
    for below in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            remove(&below.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

#[test]
#[ignore = "needs root, eBPF and systemd"]
fn the_packaged_unit_records_is_confined_and_is_started_again() {
    let _alone = alone();
    let machine = Machine::boot();
    machine.wait("ActiveState", "active");
    // Its rights are those of the unit.
    let unit = include_str!("../../../packaging/systemd/afterimaged.service");
    let named = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let bounding = u64::from_str_radix(&machine.status("CapBnd:"), 16).unwrap();
    // No more than the unit names; fewer where this machine's root does not have all of them itself.
    let most = named.split(' ').count();
    assert!(bounding >> 39 & 1 == 1 && bounding.count_ones() as usize <= most, "{bounding:x} of {named}");
    assert_eq!((machine.status("NoNewPrivs:"), machine.status("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(machine.unit("OOMScoreAdjust"), "-900");
    let (code, said) = machine.inside(&["afterimaged", "doctor"]).unwrap();
    assert!(code == Some(0) && said.contains("not in the host's pid namespace"), "{said}");

    // A reload is waited for.
    let (code, said) = machine.inside(&["systemctl", "reload", "afterimaged"]).unwrap();
    assert_eq!(code, Some(0), "{said}");
    let before = machine.container();
    // What is in the ring when it is killed would be lost.
    eventually("container in the store", || {
        let recording = open(&machine.file("/var/lib/afterimage"));
        let known = recording.containers().iter().find(|c| c.record.id == before.as_bytes())?;
        let own = events(&recording, known.record.uid);
        own.iter().any(|event| event.code == EventCode::EXIT).then_some(())
    });

    // Killed, and hung: each time it is another one.
    let first = machine.unit("MainPID");
    machine.inside(&["kill", "-KILL", &first]).unwrap();
    machine.wait("NRestarts", "1");
    machine.wait("ActiveState", "active");
    let second = machine.unit("MainPID");
    assert_ne!(first, second);
    machine.inside(&["kill", "-STOP", &second]).unwrap();
    machine.wait("NRestarts", "2");
    machine.wait("ActiveState", "active");
    assert_ne!(machine.unit("MainPID"), second);
    let after = machine.container();

    let (code, said) = machine.inside(&["systemctl", "stop", "afterimaged"]).unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        (machine.unit("ActiveState"), machine.unit("Result")),
        ("inactive".to_owned(), "success".to_owned())
    );
    let store = machine.scratch.path().join("store");
    let copied = Command::new("cp").arg("-a").args([&machine.file("/var/lib/afterimage"), &store]).status();
    assert!(copied.unwrap().success());
    let recording = open(&store);
    for id in [before, after] {
        let own = events(&recording, container(&recording, &id).record.uid);
        assert!(own.iter().any(|event| event.code == EventCode::EXEC), "{id}: {}", own.len());
        assert!(own.iter().any(|event| event.code == EventCode::EXIT), "{id}: {}", own.len());
    }
    let gaps = recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown).count();
    assert_eq!(gaps, 0, "no death is a gap, since the rings are pinned: {:?}", recording.losses());
}
