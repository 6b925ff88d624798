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
        "rings",
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

#[test]
#[ignore = "needs root and eBPF"]
fn what_is_configured_is_what_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let doctor = |args: &[&str]| {
        let out = Command::new(RECORDER).arg("doctor").args(args).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let file = dir.path().join("config.toml");
    let text = format!("store.path = \"{}\"\nrecord.bpffs = \"/proc\"\n", store.display());
    std::fs::write(&file, text).unwrap();
    let (code, said, _) = doctor(&["--config", file.to_str().unwrap(), "--data-ring", "1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("free at {}", dir.path().display())), "{said}");
    assert!(
        said.contains("/proc is no BPF file system") && said.contains("rings          1 MiB for calls"),
        "{said}"
    );
    assert!(said.contains("this machine can be recorded, with less than there could be: "), "{said}");
    let (_, said, _) = doctor(&["--set", "record.bpffs="]);
    assert!(said.contains("less pins           `record.bpffs` is empty"), "{said}");
    let (code, _, said) = doctor(&["--set", "record.nonsense=1"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("unknown key `record.nonsense`"), "{said}");
}

#[test]
#[ignore = "needs root, to give a directory away"]
fn what_run_would_refuse_is_refused_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let asked = |verb: &[&str]| {
        let out = Command::new(RECORDER).args(verb).arg("--store").arg(&store).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        (out.status.code(), said)
    };
    let group = ["--set", "api.group=nosuch"];
    let (code, said) = asked(&[&["config", "check"][..], &group].concat());
    assert!(code == Some(5) && said.contains("`api.group`: there is no group `nosuch`"), "{said}");
    let (code, said) = asked(&[&["doctor"][..], &group].concat());
    assert!(code == Some(5) && said.contains("FAIL configuration"), "{said}");
    std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (_, said) = asked(&["doctor"]);
    assert!(said.contains("less store ") && said.contains("by everybody"), "{said}");
    std::os::unix::fs::chown(&store, Some(65534), None).unwrap();
    for verb in [&["run"][..], &["config", "check"], &["doctor"]] {
        let (code, said) = asked(verb);
        assert!(code == Some(5) && said.contains("belongs to user 65534"), "{verb:?} {code:?}: {said}");
    }
}
