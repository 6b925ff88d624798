//! A thousand containers of `/bin/true`, eight at a time: none missing, each with exactly its calls.

use std::{collections::HashMap, process::Command, sync::Mutex};

use afterimage_format::{EventCode, EventFlags, Role, layout};
use afterimage_launch::{Launcher, Root, Stdio, Style, rootfs};

use crate::harness::{Running, alone, events, open};

/// How many calls `busybox true` makes after its exec, by strace's count; `exit_group` never returns and is no record.
fn calls_of_true() -> usize {
    let out = tempfile::NamedTempFile::new().unwrap();
    let status =
        Command::new("strace").arg("-o").arg(out.path()).args(["/bin/busybox", "true"]).status().unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(out.path()).unwrap();
    text.lines()
        .filter(|l| !l.starts_with("execve(") && !l.starts_with("exit_group(") && !l.starts_with("+++"))
        .count()
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_thousand_short_containers_are_all_there_with_exactly_their_calls() {
    let _alone = alone();
    const COUNT: usize = 1000;
    let expected = calls_of_true();
    assert_eq!(expected, 15, "what decisions.md counted on Debian 12");
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let root = tempfile::tempdir().unwrap();
    rootfs::busybox(root.path()).unwrap();
    let launcher = Launcher::new(Style::K8s, Root::Chroot(root.path().to_owned())).unwrap();
    let witness = Mutex::new(HashMap::new());
    launcher
        .run_many(COUNT, 8, &["/bin/true"], Stdio::default(), |outcome| {
            assert!(outcome.status.success());
            witness.lock().unwrap().insert(outcome.id.to_string().into_bytes(), outcome.pid as u32);
        })
        .unwrap();
    let (store, said) = recorder.stop();
    assert!(!said.contains("unattributed"), "{said}");
    let witness = witness.into_inner().unwrap();
    assert_eq!(witness.len(), COUNT);
    let recording = open(store.path());
    assert!(!recording.unsealed());
    assert_eq!(recording.defects(), []);
    assert_eq!(recording.losses(), []);
    let mut seen = 0;
    for summary in recording.containers().iter().filter(|c| c.record.role == Role::Container) {
        let Some(&pid) = witness.get(&summary.record.id) else { continue };
        seen += 1;
        let payload: Vec<_> = events(&recording, summary.record.uid)
            .into_iter()
            .filter(|event| !event.flags.contains(EventFlags::SETUP))
            .collect();
        let count = |wanted: &dyn Fn(EventCode) -> bool| {
            payload.iter().filter(|event| wanted(event.code) && event.task.tgid == pid).count()
        };
        let name = String::from_utf8_lossy(&summary.record.id);
        assert_eq!(count(&|code| code.as_syscall().is_some()), expected, "{name}: calls");
        assert_eq!(count(&|code| code == EventCode::EXEC), 1, "{name}: execs");
        assert_eq!(count(&|code| code == EventCode::EXIT), 1, "{name}: exits");
        let others =
            payload.iter().filter(|event| event.code.as_syscall().is_some() && event.task.tgid != pid);
        assert_eq!(others.count(), 0, "{name}: calls of others");
        let exit = payload.iter().find(|event| event.code == EventCode::EXIT).unwrap();
        assert_eq!((exit.ret, exit.args[layout::exit::RAW]), (0, 0), "{name}: exit code");
        assert_eq!(summary.record.exited.map(|(_, raw)| raw), Some(0), "{name}: record's exit");
        assert!(summary.record.removed.is_some(), "{name}: deleted");
        assert_eq!(summary.lost, 0, "{name}: lost");
    }
    assert_eq!(seen, COUNT);
}
