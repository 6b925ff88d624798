//! `doctor` on the machine that the other tests record, and on one that lacks rights.

use std::{os::unix::process::CommandExt as _, process::Command};

use crate::harness::RECORDER;

#[test]
#[ignore = "needs root and eBPF"]
fn a_machine_that_can_be_recorded_passes_every_check() {
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(RECORDER).args(["doctor", "--store"]).arg(dir.path()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}");
    assert!(!text.contains("FAIL"), "{text}");
    for what in [
        "kernel",
        "rights",
        "type info",
        "tracepoints",
        "programs",
        "cgroups",
        "processes",
        "confinement",
        "disk",
        "clock",
    ] {
        assert!(text.lines().any(|line| line.contains(what)), "{what}: {text}");
    }
}

#[test]
#[ignore = "needs root, to become nobody"]
fn missing_rights_are_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("afterimaged");
    std::fs::copy(RECORDER, &program).unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let out = Command::new(&program).arg("doctor").uid(65534).gid(65534).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(5), "{text}");
    assert!(text.contains("FAIL rights") && text.contains("CAP_BPF") && text.contains("->"), "{text}");
}
