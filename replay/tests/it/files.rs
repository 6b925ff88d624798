//! `afterimage files`.

use afterimage_format::{Engine, EventCode, FactKey, FieldTag, layout::artifact};

use crate::{
    fixture::{self, Call, Exec, Fixture, Store, id, task},
    run::afterimage,
};

const AT_FDCWD: u64 = 0xffff_ff9c;
const O_WRONLY_CREAT_TRUNC: u64 = 0o1101;

/// A shell that writes a program, runs it, removes it, and reads a file of the image.
fn dropper() -> Store {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let (shell, dropped) = (task(410, 1.0), task(412, 3.0));
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh"], ..Exec::default() });
    let open = |path: &'static [u8]| [(FieldTag::PATH, path), (FieldTag::KPATH, path)];
    let args = [AT_FDCWD, 0, O_WRONLY_CREAT_TRUNC, 0o755];
    fixture.call(
        1,
        2.0,
        shell,
        Call { nr: 257, ret: 4, args: &args, fields: &open(b"/tmp/.x"), ..Call::default() },
    );
    for (at, part) in [(2.1, &b"#!/bin/sh\n"[..]), (2.2, b"id\x1b[2J\n")] {
        let fields: [(FieldTag, &[u8]); 1] = [(FieldTag::PAYLOAD, part)];
        let (ret, args) = (part.len() as i64, [4, 0, part.len() as u64]);
        fixture.call(1, at, shell, Call { nr: 1, ret, args: &args, fields: &fields, ..Call::default() });
    }
    fixture.call(1, 2.3, shell, Call { nr: 3, ret: 0, args: &[4], ..Call::default() });
    fixture.fork(1, 3.0, shell, dropped);
    let exec = Exec { exe: b"/tmp/.x", argv: &[b"/tmp/.x"], comm: b".x", parent: shell, ..Exec::default() };
    fixture.exec(1, 3.1, dropped, exec);
    let args = [AT_FDCWD, 0, 0, 0];
    fixture.call(
        1,
        3.2,
        dropped,
        Call { nr: 257, ret: 3, args: &args, fields: &open(b"/etc/passwd"), ..Call::default() },
    );
    fixture.exit(1, 4.0, dropped, 0);
    let path: [(FieldTag, &[u8]); 1] = [(FieldTag::PATH, b"/tmp/.x")];
    fixture.call(1, 5.0, shell, Call { nr: 87, ret: 0, args: &[0], fields: &path, ..Call::default() });
    fixture.exit(1, 6.0, shell, 0);
    fixture.seal()
}

#[test]
fn files_tell_what_was_dropped_run_and_removed() {
    let store = dropper();
    insta::assert_snapshot!(afterimage(&["files", "web", store.arg()]).stdout());
    let document = afterimage(&["files", "web", store.arg(), "--act", "deleted", "-o", "json"]).json();
    let rows = document["files"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{document}");
    let dropped = &rows[0];
    assert_eq!((&dropped["path"], &dropped["written"]), (&"/tmp/.x".into(), &17.into()));
    assert_eq!((&dropped["deleted"], &dropped["dropped_and_executed"]), (&true.into(), &true.into()));
    assert_eq!(dropped["by"], serde_json::json!(["410 sh", "412 .x"]));
}

#[test]
fn files_that_were_only_read_are_shown_when_asked_for() {
    let store = dropper();
    assert!(!afterimage(&["files", "web", store.arg()]).stdout().contains("/etc/passwd"));
    assert!(afterimage(&["files", "web", store.arg(), "--all"]).stdout().contains("/etc/passwd"));
    assert_eq!(afterimage(&["files", "web", store.arg(), "--path", "/nothing/*"]).code, 1);
}

#[test]
fn saved_content_is_byte_for_byte_what_was_written() {
    let store = dropper();
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("x.bin");
    let to = to.to_str().expect("UTF-8");
    let save = || afterimage(&["files", "web", store.arg(), "--save", "/tmp/.x", "--to", to]);
    let ran = save();
    assert_eq!((ran.code, ran.stdout()), (0, ""));
    assert!(ran.stderr().contains("17 bytes, of which 0 were not recorded"), "{}", ran.stderr());
    assert_eq!(std::fs::read(to).expect("saved"), b"#!/bin/sh\nid\x1b[2J\n");
    let again = save();
    assert_eq!(again.code, 2);
    assert!(again.stderr().contains("exists already"), "{}", again.stderr());
    let unknown = afterimage(&["files", "web", store.arg(), "--save", "/tmp/y", "--to", to]);
    assert!(unknown.stderr().contains("no file `/tmp/y`"), "{}", unknown.stderr());
}

/// A container that runs two dropped programs, one of them too large to be kept, beside one that runs none.
fn executed() -> Store {
    let mut fixture = Fixture::new();
    for (uid, name) in [(1, &b"web"[..]), (2, b"quiet")] {
        let names = [(FactKey::Name, name)];
        fixture.container(&fixture::container(
            uid,
            Engine::Docker,
            &id(if uid == 1 { "3ad7" } else { "cafe" }),
            1.0,
            &names,
        ));
    }
    let shell = task(410, 1.0);
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh"], ..Exec::default() });
    fixture.exec(2, 1.0, task(510, 1.0), Exec { argv: &[b"sh"], ..Exec::default() });
    let mut image = |at: f64, path: &[u8], hash: &[u8; 32], outcome: u64| {
        let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::KPATH, path), (FieldTag::HASH, hash)];
        let args = [17, 4711, 0, 0, outcome];
        let call = Call { nr: EventCode::ARTIFACT.0, args: &args, fields: &fields, ..Call::default() };
        fixture.call(1, at, shell, call);
    };
    image(2.0, b"/tmp/.x\x1b[2J", &[0xab; 32], artifact::KEPT);
    image(4.0, b"/tmp/y", &[0xcd; 32], artifact::TOO_LARGE);
    fixture.exit(1, 6.0, shell, 0);
    fixture.exit(2, 9.0, task(510, 1.0), 0);
    fixture.seal()
}

#[test]
fn info_lists_executed_images_of_what_it_is_asked_for() {
    let store = executed();
    let info = |more: &[&str]| {
        let ran = afterimage(&[&["info", store.arg(), "-o", "json"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()["recordings"][0].clone()
    };
    let image = |path: &str, byte: &str, outcome: &str| {
        let sha256 = byte.repeat(32);
        serde_json::json!({"container_uid": 1, "path": path, "sha256": sha256, "size": 17, "outcome": outcome})
    };
    let (kept, large) =
        (image("/tmp/.x\\x1b[2J", "ab", "kept"), image("/tmp/y", "cd", "too large to be kept"));
    assert_eq!(info(&[])["images"], serde_json::json!([kept, large]));
    assert_eq!(info(&["-c", "web", "-b", "+2s"])["images"], serde_json::json!([large]));
    assert_eq!(info(&["-c", "quiet"])["images"], serde_json::json!([]));
    let sheet = afterimage(&["info", store.arg()]);
    let told = format!("/tmp/.x\\x1b[2J (sha256 {}, kept), /tmp/y", "ab".repeat(32));
    assert!(sheet.stdout().contains(&told), "{}", sheet.stdout());
}

#[test]
fn info_counts_what_is_in_the_range_it_is_asked_for() {
    let store = executed();
    let info = |more: &[&str]| afterimage(&[&["info", store.arg(), "-o", "json"], more].concat()).json();
    let counted = |more: &[&str]| {
        let row = info(more)["recordings"][0].clone();
        (
            row["events"].as_u64().unwrap(),
            row["containers"]
                .as_object()
                .unwrap()
                .values()
                .filter_map(serde_json::Value::as_u64)
                .sum::<u64>(),
        )
    };
    assert_eq!(counted(&[]), (6, 2));
    assert_eq!(counted(&["-c", "web"]), (4, 1));
    assert_eq!(counted(&["-c", "web", "-b", "+1s", "-e", "+3s"]), (2, 1));
    assert_eq!(counted(&["-b", "11:58:10"]), (1, 1), "web has ended before");
    assert_eq!(afterimage(&["info", store.arg(), "-c", "absent"]).code, 1);
    let part = info(&["-c", "web", "-b", "+1s", "-e", "+3s"])["recordings"][0].clone();
    assert_eq!(
        (&part["begin"], &part["length_ns"]),
        (&"2026-11-21T11:58:04.000000000Z".into(), &2_000_000_000_u64.into())
    );
}
