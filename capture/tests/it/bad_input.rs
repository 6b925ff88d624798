//! What cannot be done is one sentence, with exit status 5.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use crate::harness::{RECORDER, Running, alone};

fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    (status.code().unwrap_or(-1), text)
}

fn is_one_sentence(text: &str) {
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    assert!(text.starts_with("afterimaged: "), "{text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
}

#[test]
#[ignore = "needs root, to become nobody"]
fn without_root_it_says_which_rights_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    // The checkout may be out of nobody's reach.
    let program = dir.path().join("afterimaged");
    std::fs::copy(RECORDER, &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let (code, text) =
        run(Command::new(&program).args(["run", "--store", "/tmp/afterimage-none"]).uid(65534).gid(65534));
    is_one_sentence(&text);
    assert_eq!(code, 5);
    assert!(text.contains("not root") && text.contains("CAP_BPF"), "{text}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_store_that_cannot_be_made_is_named() {
    let _alone = alone();
    let (code, text) = run(Command::new(RECORDER).args(["run", "--store", "/proc/no/such"]));
    is_one_sentence(&text);
    assert_eq!(code, 5);
    assert!(text.contains("/proc/no/such") && text.contains("--store"), "{text}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_second_recorder_is_refused_and_the_first_goes_on() {
    let _alone = alone();
    let first = Running::start(&["--host", "none"]);
    let (code, text) = run(Command::new(RECORDER).args(["run", "--store"]).arg(first.store.path()));
    is_one_sentence(&text);
    assert_eq!(code, 5);
    assert!(text.contains("in use"), "{text}");
    first.stop();
}

#[test]
fn bad_arguments_are_usage_errors() {
    let (code, text) = run(Command::new(RECORDER).args(["run", "--data-ring", "3"]));
    assert_eq!(code, 2);
    assert!(text.contains("power of two"), "{text}");
}
