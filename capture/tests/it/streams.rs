//! How much of what goes through sockets and pipes is kept.

use afterimage_format::{FieldFlags, FieldTag, OwnedEvent};
use afterimage_launch::{Launcher, Running, Stdio};
use afterimage_model::syscalls;

use crate::{
    bench::{Bench, busybox, eventually},
    evasion::build_acts,
    harness::{alone, container, events, open},
    http,
};

/// Bytes of a stream that the recorder of these tests keeps as they are in a minute.
const TOTAL: usize = 64 << 10;
const COPY: &str = "dd if=/dev/zero bs=8192 count=64 | dd of=/dev/null bs=8192";
/// What is kept of a call on a stream, and behind the budget.
const CALL: usize = 4096;
const BEHIND: usize = 256;

fn recorder() -> Bench {
    Bench::start("[record]\nprofile = \"full\"\npayload_budget = \"64KiB\"\n")
}

/// The bytes that were kept of each whole write of a container, in order; those that are cut must say so.
fn written(bench: Bench, id: &str) -> Vec<usize> {
    let (store, said) = bench.recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let write = syscalls::by_name("write").unwrap();
    let all = events(&recording, container(&recording, id).record.uid);
    let writes = all.iter().filter(|event| event.code == write && event.ret == 8192 && event.args[0] == 1);
    // The one that reads the pipe writes to /dev/null: a device, of which as little is kept as of a file.
    let of_pipe = writes.filter_map(|event| {
        let payload = event.fields.iter().find(|field| field.tag == FieldTag::PAYLOAD)?;
        assert_eq!(payload.full_len, 8192);
        assert!(payload.flags.contains(FieldFlags::TRUNCATED));
        Some((event.task.tgid, payload.bytes.len()))
    });
    let of_pipe: Vec<(u32, usize)> = of_pipe.collect();
    let first = of_pipe.first().expect("writes").0;
    of_pipe.into_iter().filter(|(tgid, _)| *tgid == first).map(|(_, len)| len).collect()
}

fn run(launcher: &Launcher, script: &str) -> Running {
    launcher.spawn(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap()
}

#[test]
#[ignore = "needs root and eBPF"]
fn behind_its_budget_a_stream_is_kept_as_files_are() {
    let _alone = alone();
    let bench = recorder();
    let (launcher, _root) = busybox();
    let running = run(&launcher, COPY);
    let id = running.id().to_string();
    running.wait().unwrap();
    let kept = written(bench, &id);
    let whole = TOTAL / CALL;
    assert_eq!(kept.len(), 64);
    assert!(kept[..whole].iter().all(|len| *len == CALL), "{kept:?}");
    assert!(kept[whole..].iter().all(|len| *len == BEHIND), "{kept:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_boosted_containers_streams_are_kept_to_the_end() {
    let _alone = alone();
    let bench = recorder();
    let (launcher, root) = busybox();
    let running = run(&launcher, &format!("while ! test -e /tmp/go; do sleep 0.01; done; {COPY}"));
    let id = running.id().to_string();
    // What a boost does, with an answer when it is done.
    let path = format!("/v1/containers/{id}/profile");
    let full = br#"{"profile":"full"}"#;
    eventually("a profile of its own", || {
        (http::unix(&bench.socket(), "PUT", &path, full).status == 200).then_some(())
    });
    std::fs::write(root.path().join("tmp/go"), "").unwrap();
    running.wait().unwrap();
    let kept = written(bench, &id);
    assert_eq!(kept, [CALL; 64]);
}

#[test]
#[ignore = "needs root and eBPF"]
fn of_devices_that_say_nothing_as_little_is_kept_as_of_files_and_of_named_pipes_a_budget() {
    let _alone = alone();
    let bench = recorder();
    let (launcher, _root) = busybox();
    let script = "mkfifo /tmp/fifo; dd if=/tmp/fifo of=/dev/null bs=8192 & dd if=/dev/zero of=/tmp/fifo bs=8192 count=64; wait";
    let running = run(&launcher, script);
    let id = running.id().to_string();
    running.wait().unwrap();
    let (store, said) = bench.recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let (read, write) = (syscalls::by_name("read").unwrap(), syscalls::by_name("write").unwrap());
    // The one writes to the pipe what it reads of /dev/zero, and says in the end how much that was; the other one is told by what it
    // opened.
    let kept = |code, tgid| -> Vec<usize> {
        let calls =
            all.iter().filter(|event| event.code == code && event.task.tgid == tgid && event.ret == 8192);
        calls
            .filter_map(|event| event.fields.iter().find(|f| f.tag == FieldTag::PAYLOAD))
            .map(|f| f.bytes.len())
            .collect()
    };
    let opener = |path: &[u8]| {
        let opens =
            |event: &&OwnedEvent| event.fields.iter().any(|f| f.tag == FieldTag::PATH && f.bytes == path);
        all.iter().rfind(opens).expect("opened").task.tgid
    };
    let (from_zero, to_null) = (opener(b"/dev/zero"), opener(b"/dev/null"));
    assert_eq!(kept(read, from_zero), [BEHIND; 64]);
    let whole = TOTAL / CALL;
    let through = kept(write, from_zero);
    assert_eq!(through.len(), 64);
    assert!(through[..whole].iter().all(|len| *len == CALL), "{through:?}");
    assert!(through[whole..].iter().all(|len| *len == BEHIND), "{through:?}");
    assert!(kept(write, to_null).iter().all(|len| *len == BEHIND));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn what_lies_behind_a_buffer_is_not_taken_for_received() {
    let _alone = alone();
    let bench = recorder();
    let (launcher, root) = busybox();
    build_acts(&root.path().join("bin/acts"));
    let running = launcher.spawn(&["/bin/acts", "peeks"], Stdio::default()).unwrap();
    let id = running.id().to_string();
    assert!(running.wait().unwrap().status.success());
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let recv = syscalls::by_name("recvfrom").unwrap();
    let peek = all.iter().find(|event| event.code == recv && event.ret == 100).expect("the look");
    let payload = peek.fields.iter().find(|field| field.tag == FieldTag::PAYLOAD).expect("what came");
    assert_eq!((payload.bytes.as_slice(), payload.full_len), (&b"x"[..], 100));
}
