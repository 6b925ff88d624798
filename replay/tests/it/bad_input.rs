//! Each mistake of a user is one sentence that names what, where and what to do; never a panic.

use afterimage_format::Engine;

use crate::{
    fixture::{self, Fixture},
    run::{Ran, afterimage, command, ran},
};

/// One line on stderr, nothing on stdout, this exit code, these words.
fn check(ran: &Ran, code: i32, words: &[&str]) {
    let text = ran.stderr();
    assert_eq!(ran.code, code, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(ran.out.is_empty(), "{}", ran.stdout());
    assert!(!text.contains("internal error") && !text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn missing_path_is_named() {
    check(&afterimage(&["ls", "/no/such.aft"]), 5, &["/no/such.aft", "no such file", "AFTERIMAGE_STORE"]);
}

#[test]
fn default_store_is_named_when_it_is_not_there() {
    let output = command().env("AFTERIMAGE_STORE", "/no/such/store").arg("ls").output().expect("runs");
    check(&ran(output), 5, &["/no/such/store"]);
}

#[test]
fn file_that_is_no_recording_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: [&[u8]; 4] = [b"", b"x", b"#!/bin/sh\necho no trace\n", &[0; 100_000]];
    for content in contents {
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, content).expect("written");
        let path = path.to_str().expect("UTF-8");
        check(&afterimage(&["ls", path]), 3, &[path, "not an Afterimage recording"]);
    }
}

#[test]
fn unreadable_path_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("loop.aft");
    std::os::unix::fs::symlink(&path, &path).expect("a link to itself");
    let path = path.to_str().expect("UTF-8");
    check(&afterimage(&["ls", path]), 5, &["loop.aft", "too many levels of symbolic links"]);
    let below = format!("{}/x.aft", env!("CARGO_BIN_EXE_afterimage"));
    check(&afterimage(&["ls", &below]), 5, &["x.aft", "not a directory"]);
}

#[test]
fn a_range_without_anything_recorded_is_told_with_what_was() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");
    let recorded =
        ["nothing was recorded in the asked range", "2026-11-22 09:29:59", "UTC", "intrusion.aftx"];
    for verb in ["show", "files", "net", "tree"] {
        check(&afterimage(&[verb, "5abb", sample, "--begin", "+99h"]), 1, &recorded);
    }
    check(&afterimage(&["stats", sample, "--begin", "2026-11-23T00:00:00Z"]), 1, &recorded);
    let lived = ["no process ran at that moment", "lived from 2026-11-22 09:29:57", "to 2026-11-22 09:29:59"];
    check(&afterimage(&["tree", "5abb", sample, "--at", "+99h"]), 1, &lived);
    let nothing = afterimage(&["grep", "proc.name=no-such-name", sample]);
    assert_eq!((nothing.code, nothing.stderr()), (1, ""), "the range was not the reason");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [&["frobnicate"][..], &["ls", "--no-such-option"], &["ls", "-o", "yaml"], &[]] {
        assert_eq!(afterimage(args).code, 2, "{args:?}");
    }
}

#[test]
fn bad_moments_and_fields_are_named() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &fixture::id("3ad7"), 0.0, &[]));
    fixture.exit(1, 1.0, fixture::task(100, 0.0), 0);
    let store = fixture.seal();
    check(
        &afterimage(&["ls", store.arg(), "--begin", "yesterday"]),
        2,
        &["`yesterday` is no moment", "3m ago"],
    );
    check(&afterimage(&["ls", store.arg(), "-b", "+5s", "-e", "+1s"]), 2, &["--end lies before --begin"]);
    check(&afterimage(&["ls", store.arg(), "--fields", "id,nmae"]), 2, &["no field `nmae`", "name"]);
}

#[test]
fn cut_file_opens_and_says_that_it_is_torn() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &fixture::id("3ad7"), 0.0, &[]));
    for n in 0..5_000_u32 {
        let path = format!("/data/{n}");
        fixture.call(
            1,
            f64::from(n) / 100.0,
            fixture::task(100, 0.0),
            fixture::Call {
                nr: 257,
                ret: 3,
                args: &[0xffff_ff9c, 0, 0],
                fields: &[(afterimage_format::FieldTag::PATH, path.as_bytes())],
                ..Default::default()
            },
        );
    }
    let store = fixture.seal();
    let segment =
        store.files().into_iter().find(|f| f.extension().is_some_and(|e| e == "aft")).expect("a segment");
    let whole = std::fs::read(&segment).expect("read");
    let dir = tempfile::tempdir().expect("a directory");
    let cut = dir.path().join("cut.aft");
    std::fs::write(&cut, &whole[..whole.len() * 2 / 3]).expect("written");
    let ran = afterimage(&["ls", cut.to_str().expect("UTF-8"), "-o", "json"]);
    // The container that it was of is in what was cut.
    assert_eq!(ran.code, 3, "{}", ran.stderr());
    assert!(ran.stderr().contains("torn at offset"), "{}", ran.stderr());
    let document = ran.json();
    assert_eq!(document["defects"][0]["kind"], "torn", "{document}");
}

#[test]
fn a_recording_without_containers_says_so_and_whether_they_may_have_been_lost() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/plain.aftx");
    let whole = std::fs::read(sample).expect("the sample");
    let dir = tempfile::tempdir().expect("a directory");
    let cut = dir.path().join("cut.aftx");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let path = cut.to_str().expect("UTF-8");
    for verb in ["show", "tree", "files"] {
        check(&afterimage(&[verb, path]), 3, &["no container in", path, "afterimage info"]);
    }
    let none = Fixture::new().seal();
    let path = none.path.to_str().expect("UTF-8").to_owned();
    check(&afterimage(&["show", &path]), 1, &["no container in", &path]);
}

#[test]
fn a_recording_without_a_verb_is_told_what_can_be_done_with_it() {
    let recording = Fixture::new().seal();
    let path = recording.path.to_str().expect("UTF-8").to_owned();
    check(&afterimage(&[&path]), 2, &[&format!("`afterimage replay {path}` opens it")]);
    let neither = afterimage(&["no-such-file"]);
    assert_eq!(neither.code, 2);
    assert!(neither.stderr().contains("unrecognized subcommand 'no-such-file'"), "{}", neither.stderr());
}

#[cfg(unix)]
#[test]
fn a_stopped_reader_leaves_no_copy_of_standard_input() {
    use std::{io::Write as _, os::unix::process::ExitStatusExt as _, process::Stdio};

    let dir = tempfile::tempdir().expect("a directory");
    let mut child = command()
        .args(["ls", "-"])
        .env("TMPDIR", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("afterimage runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(&afterimage_format::RECORDING_MAGIC).expect("written");
    let copied = || {
        let entries = std::fs::read_dir(dir.path()).expect("the directory");
        entries.filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).sum::<u64>()
    };
    while copied() < 8 {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").signal(), Some(2));
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0);
}

/// Standard input that never ends was copied to the disk, and only then found to be no recording.
#[test]
fn an_endless_stream_that_is_no_recording_is_refused_at_once() {
    use std::{fs::File, process::Stdio};

    for verb in ["ls", "verify"] {
        let endless = Stdio::from(File::open("/dev/zero").expect("zeros"));
        let ran = ran(command().args([verb, "-"]).stdin(endless).output().expect("afterimage runs"));
        check(&ran, 3, &["`-` is not an Afterimage recording"]);
    }
    let ran = afterimage(&["ls", "-"]);
    check(&ran, 3, &["`-` is not an Afterimage recording"]);
}

/// A pipe of such a name was waited for without end, or told without its name.
#[test]
#[cfg(unix)]
fn a_pipe_in_the_place_of_a_file_of_a_store_is_named() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &fixture::id("aa"), 0.0, &[]));
    let store = fixture.seal();
    for name in ["stage-0000000000000009", "seg-0000000000000009.aft", "triggers.jsonl", "triggers.1.jsonl"] {
        let path = store.path.join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        check(&afterimage(&["verify", store.arg()]), 5, &[name, "not a regular file"]);
        let ran = afterimage(&["report", store.arg()]);
        assert!(ran.code == 5 && ran.stderr().contains(name), "{ran:?}");
        std::fs::remove_file(&path).expect("removed");
    }
}
