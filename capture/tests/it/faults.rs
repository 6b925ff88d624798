//! Faults of the machine, and attacks on the recorder itself, while it records.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use afterimage_launch::Stdio;
use tempfile::TempDir;

use crate::{
    bench::{Bench, busybox, eventually},
    harness::{RECORDER, Running, alone, container, events, open},
};

/// What a recorder keeps in its store, by a run of one.
fn names() -> Vec<String> {
    let (store, _) = Running::start(&["--host", "none"]).stop();
    let all = fs::read_dir(store.path()).unwrap();
    all.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Runs a recorder on a store that was prepared, as long as it likes but no longer than for a container.
fn try_on(store: &Path) -> String {
    let mut child = Command::new(RECORDER)
        .args(["run", "--host", "none", "--status-interval", "1", "--store"])
        .arg(store)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut bytes) {
        said += &String::from_utf8_lossy(&bytes[..read]);
        if said.contains("recording to") && said.contains("events/s") {
            let (launcher, _root) = busybox();
            launcher.run(&["/bin/true"], Stdio::default()).unwrap();
            // It may end by itself as well.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            stderr.read_to_string(&mut said).unwrap();
            break;
        }
    }
    child.wait().unwrap();
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
#[ignore = "needs root and eBPF"]
fn links_planted_in_the_store_lead_nowhere() {
    let _alone = alone();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    let mut names = names();
    names.extend(["stage-0000000000000000", "pins.new", "key.next", "store.new"].map(str::to_owned));
    names.sort();
    names.dedup();
    assert!(names.len() > 5, "{names:?}");
    for name in &names {
        for hard in [false, true] {
            fs::write(&victim, "nobody writes here").unwrap();
            let before = fs::metadata(&victim).unwrap();
            let store = tempfile::tempdir().unwrap();
            let planted = store.path().join(name);
            if hard { fs::hard_link(&victim, &planted) } else { symlink(&victim, &planted) }.unwrap();
            let said = try_on(store.path());
            let text = fs::read_to_string(&victim).unwrap();
            let after = fs::metadata(&victim).unwrap();
            assert_eq!(text, "nobody writes here", "{name}, hard {hard}: {said}");
            assert_eq!(before.permissions(), after.permissions(), "{name}, hard {hard}: {said}");
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_control_socket_that_is_abused_serves_the_others() {
    let _alone = alone();
    let bench = Bench::start("");
    // As many as there are places, each with half a head, and more.
    let slow: Vec<UnixStream> = (0..96)
        .filter_map(|_| {
            let mut stream = UnixStream::connect(bench.socket()).ok()?;
            let _ = stream.write_all(b"POST /v1/triggers HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            Some(stream)
        })
        .collect();
    assert!(slow.len() > 64, "{}", slow.len());
    // They are let go of in time, and the others are served.
    let ready = eventually("place at the control socket", || {
        let answer = crate::http::try_unix(&bench.socket(), "GET", "/readyz").ok()?;
        (answer.status == 200).then_some(answer.body)
    });
    assert_eq!(ready, "ok\n");
    drop(slow);
    // A gigabyte is refused as soon as it is too much, with and without its length.
    let mut endless = UnixStream::connect(bench.socket()).unwrap();
    endless
        .write_all(b"POST /v1/triggers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let taken = (0..1 << 18).take_while(|_| endless.write_all(piece.as_bytes()).is_ok()).count();
    assert!(taken < 1 << 18, "a gigabyte was taken");
    let mut honest = UnixStream::connect(bench.socket()).unwrap();
    honest.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    honest.write_all(b"POST /v1/triggers HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n").unwrap();
    let mut answer = [0; 64];
    let read = honest.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer[..read]));
    let status = bench.get("/v1/status");
    assert_eq!(status["recording"]["lost"], 0, "{status}");
    let control = status["processes"].as_array().unwrap().iter().find(|own| own["role"] == "control");
    assert_eq!(control.unwrap()["restarts"], 0, "{status}");
    bench.recorder.stop();
}

/// A small disk, unmounted in the end.
pub(crate) struct Disk(TempDir);

impl Disk {
    pub(crate) fn of(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={size}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status();
        assert!(done.unwrap().success());
        Self(dir)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_full_disk_is_told_and_recording_goes_on_when_there_is_room() {
    let _alone = alone();
    let disk = Disk::of("96m");
    let fill = disk.path().join("fill");
    let socket = tempfile::tempdir().unwrap();
    let socket = socket.path().join("api.sock");
    let api = format!("api.socket={}", socket.display());
    let store = TempDir::new_in(disk.path()).unwrap();
    let settings =
        ["--host", "none", "--set", &api, "--set", "store.reserve=8MiB", "--set", "store.segment_size=8MiB"];
    let recorder = Running::on(store, &settings);
    let space = || {
        let answer = crate::http::unix(&socket, "GET", "/v1/status", b"").json();
        answer["space"]["stage"].as_str().unwrap_or_default().to_owned()
    };
    eventually("figures", || (space() == "enough").then_some(()));
    // Somebody else takes all there is.
    let mut file = fs::File::create(&fill).unwrap();
    while file.write_all(&[1; 1 << 16]).is_ok() {}
    let (launcher, _root) = busybox();
    let script = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo $i > /tmp/counted; done";
    let during =
        launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap().id.to_string();
    eventually("word of the full disk", || (space() != "enough").then_some(()));
    // Of one that began when nothing could be written any more, a pin says so.
    eventually("a full stop", || (space() == "stopped").then_some(()));
    let unwritten =
        launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap().id.to_string();
    let covered = eventually("what is missing", || {
        let body = format!("{{\"container\":\"{unwritten}\"}}");
        let answer = crate::http::unix(&socket, "POST", "/v1/triggers", body.as_bytes()).json();
        let covered = answer["triggers"][0]["containers"][0].clone();
        (covered["state"] == "deleted").then_some(covered)
    });
    assert_eq!(covered["complete"], false, "{covered}");
    let gap = &covered["gaps"][0];
    assert_eq!((gap["cause"].as_str(), gap["own"].as_bool()), (Some("disk full"), Some(true)), "{covered}");
    assert!(gap["count"].as_u64().is_some_and(|count| count > 500), "{covered}");
    drop(file);
    fs::remove_file(&fill).unwrap();
    eventually("word of room", || (space() == "enough").then_some(()));
    let after = launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap().id.to_string();
    let (store, said) = recorder.stop();
    assert!(!said.contains("panicked"), "{said}");
    let recording = open(store.path());
    // What was refused is told; what came after is there.
    let written = |id: &str| {
        let write = afterimage_model::syscalls::by_name("write").unwrap();
        let all = events(&recording, container(&recording, id).record.uid);
        all.iter().filter(|event| event.code == write).count()
    };
    assert_eq!(written(&after), 500);
    let stored = recording.containers().iter().find(|c| c.record.id == during.as_bytes());
    let complete = stored.is_some() && written(&during) == 500;
    assert!(complete || !recording.losses().is_empty(), "what is missing is told");
}

/// A disk whose device fails when `fail` was called: an ext4 on a sparse file, and no room for the file.
struct Failing {
    /// The file system, unmounted before its device.
    disk: Disk,
    device: Disk,
}

impl Failing {
    fn of(features: &str) -> Self {
        let device = Disk::of("48m");
        let image = device.path().join("image");
        fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-O", features]).arg(&image).status().unwrap();
        assert!(made.success());
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-o", "loop"]).arg(&image).arg(dir.path()).status().unwrap();
        assert!(mounted.success());
        Self { disk: Disk(dir), device }
    }

    fn fail(&self) {
        let mut file = fs::File::create(self.device.path().join("fill")).unwrap();
        while file.write_all(&[1; 1 << 12]).is_ok() {}
    }
}

/// What cannot be written for an error of the device is counted, and nothing that was written before is lost.
fn on_a_failing_device(features: &str) {
    let failing = Failing::of(features);
    let socket = tempfile::tempdir().unwrap();
    let socket = socket.path().join("api.sock");
    let api = format!("api.socket={}", socket.display());
    let store = TempDir::new_in(failing.disk.path()).unwrap();
    let more =
        ["--host", "none", "--set", &api, "--set", "store.reserve=0B", "--set", "store.segment_size=1MiB"];
    let recorder = Running::on(store, &more);
    let status = || crate::http::unix(&socket, "GET", "/v1/status", b"").json();
    let (launcher, _root) = busybox();
    let before = launcher.run(&["/bin/busybox", "id"], Stdio::default()).unwrap().id.to_string();
    recorder.wait_for_round();
    // On disk before it fails.
    rustix::fs::sync();
    failing.fail();
    // The failure shows with the next sync, and only what comes after that is refused: containers come until one is.
    let script =
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); busybox head -c 300 /dev/urandom > /tmp/$((i % 7)); done";
    eventually("refusal", || {
        launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
        (status()["recording"]["refused_by_store"].as_u64()? > 0).then_some(())
    });
    assert_eq!(crate::http::unix(&socket, "GET", "/healthz", b"").status, 200);
    let (store, status, said) = recorder.end();
    // It says that the end could not be written.
    assert!(status.code() == Some(5) && said.contains("afterimaged: cannot "), "{status}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let recording = open(store.path());
    let own = events(&recording, container(&recording, &before).record.uid);
    assert!(own.iter().any(|event| event.code == afterimage_format::EventCode::EXIT), "{}", own.len());
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_device_that_fails_is_told_of_and_costs_nothing_written_before() {
    let _alone = alone();
    // Without a journal the file system goes on with errors; with one it becomes read-only.
    for features in ["^has_journal", "has_journal"] {
        on_a_failing_device(features);
    }
}
