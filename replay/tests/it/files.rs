//! `afterimage files`.

use afterimage_format::{
    Engine, EventCode, FactKey, FieldTag, TaskKey,
    layout::{self, artifact},
};

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

/// The program that the intruder brought was told as executed by `sh`, which its process became later.
#[test]
fn who_did_something_has_the_name_that_it_had_then() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");
    let document = afterimage(&["files", sample, "-o", "json"]).json();
    let rows = document["files"].as_array().expect("a list");
    let dropped = rows.iter().find(|row| row["path"] == "/tmp/.update").expect("the program");
    let by = ["21348 wget", "21349 chmod", "21350 .update", "21369 rm"];
    assert_eq!(dropped["by"], serde_json::json!(by));
    let acts = dropped["history"].as_array().expect("acts");
    let executed: Vec<&serde_json::Value> =
        acts.iter().filter(|act| act["act"] == "executed").map(|act| &act["process"]).collect();
    assert_eq!(executed, [".update"]);
    let shell = rows.iter().find(|row| row["path"] == "/bin/sh").expect("a shell");
    assert!(shell["by"].as_array().expect("a list").contains(&"21350 sh".into()), "{shell}");
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

/// A shell in a container.
fn shell() -> (Fixture, TaskKey) {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let shell = task(410, 1.0);
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh"], ..Exec::default() });
    (fixture, shell)
}

/// Opens a file, writes to it, and closes it.
fn write(fixture: &mut Fixture, by: TaskKey, at: f64, flags: u64, path: &[u8], bytes: &[u8]) {
    let fields = [(FieldTag::PATH, path), (FieldTag::KPATH, path)];
    let args = [AT_FDCWD, 0, flags, 0o600];
    fixture.call(1, at, by, Call { nr: 257, ret: 4, args: &args, fields: &fields, ..Call::default() });
    let (ret, args) = (bytes.len() as i64, [4, 0, bytes.len() as u64]);
    let payload = [(FieldTag::PAYLOAD, bytes)];
    fixture.call(1, at + 0.01, by, Call { nr: 1, ret, args: &args, fields: &payload, ..Call::default() });
    fixture.call(1, at + 0.02, by, Call { nr: 3, ret: 0, args: &[4], ..Call::default() });
}

fn remove(fixture: &mut Fixture, by: TaskKey, at: f64, path: &[u8]) {
    let fields = [(FieldTag::PATH, path)];
    fixture.call(1, at, by, Call { nr: 87, ret: 0, args: &[0], fields: &fields, ..Call::default() });
}

/// A file that is made, written, renamed and removed, over and over: only the last of these was shown.
fn churn() -> Store {
    let (mut fixture, shell) = shell();
    for round in 0..5_u8 {
        let at = 2.0 + f64::from(round);
        let bytes = format!("payload {round}{}", "!".repeat(round.into()));
        write(&mut fixture, shell, at, O_WRONLY_CREAT_TRUNC, b"/tmp/t", bytes.as_bytes());
        let names: [(FieldTag, &[u8]); 2] = [(FieldTag::PATH, b"/tmp/t"), (FieldTag::PATH2, b"/tmp/tr")];
        fixture.call(
            1,
            at + 0.1,
            shell,
            Call { nr: 82, ret: 0, args: &[0, 0], fields: &names, ..Call::default() },
        );
        remove(&mut fixture, shell, at + 0.2, b"/tmp/tr");
    }
    fixture.seal()
}

#[test]
fn each_file_that_had_a_path_is_a_row_and_the_sums_agree() {
    let store = churn();
    insta::assert_snapshot!(afterimage(&["files", "web", store.arg()]).stdout());
    let document = afterimage(&["files", "web", store.arg(), "-o", "json"]).json();
    let rows: Vec<_> =
        document["files"].as_array().expect("a list").iter().filter(|r| r["path"] == "/tmp/tr").collect();
    let lives: Vec<_> = rows.iter().map(|r| (r["life"].as_u64(), r["lives"].as_u64())).collect();
    assert_eq!(lives, (1..=5).map(|n| (Some(n), Some(1))).collect::<Vec<_>>());
    let sum =
        |rows: &[serde_json::Value], of: &str| rows.iter().map(|r| r[of].as_u64().unwrap()).sum::<u64>();
    let tree = afterimage(&["tree", "web", store.arg(), "-o", "json"]).json();
    let written = sum(tree["processes"].as_array().expect("a list"), "bytes_written");
    assert_eq!(written, 55);
    assert_eq!(sum(document["files"].as_array().expect("a list"), "written"), written);
    let none = serde_json::json!({"unlisted_acts": 0, "unlisted_written": 0, "acts": 0, "directories": 0});
    assert_eq!(document["left_out"], none);
}

#[test]
fn each_file_that_had_a_path_can_be_saved() {
    let store = churn();
    let dir = tempfile::tempdir().expect("a directory");
    let save = |path: &str, more: &[&str], name: &str| {
        let to = dir.path().join(name);
        let base = ["files", "web", store.arg(), "--save", path, "--to", to.to_str().expect("UTF-8")];
        (afterimage(&[&base, more].concat()), std::fs::read(&to).unwrap_or_default())
    };
    let (ran, bytes) = save("/tmp/tr", &[], "last");
    assert_eq!((ran.code, bytes.as_slice()), (0, &b"payload 4!!!!"[..]));
    assert!(ran.stderr().contains("5 files had this path; this is number 5"), "{}", ran.stderr());
    assert_eq!(save("/tmp/tr", &["--life", "2"], "second").1, b"payload 1!");
    assert_eq!(save("/tmp/t", &["--life", "3"], "formerly").1, b"payload 2!!");
    let (ran, _) = save("/tmp/tr", &["--life", "6"], "none");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr().contains("`/tmp/tr` has no life 6: 5 files had this path"), "{}", ran.stderr());
}

/// A log to which a shell appended was saved as an empty file.
#[test]
fn what_was_appended_is_saved_in_order() {
    const APPEND: u64 = 0o2101;
    let (mut fixture, shell) = shell();
    for (at, path) in [(2.0, &b"/log"[..]), (3.0, b"/made"), (4.0, b"/log"), (5.0, b"/made")] {
        if at == 3.0 {
            remove(&mut fixture, shell, at - 0.1, path);
        }
        let line = format!("at {at}\n");
        write(&mut fixture, shell, at, APPEND, path, line.as_bytes());
    }
    remove(&mut fixture, shell, 6.0, b"/log");
    write(&mut fixture, shell, 7.0, APPEND, b"/gone", b"emptied later");
    write(&mut fixture, shell, 8.0, O_WRONLY_CREAT_TRUNC, b"/gone", b"");
    let store = fixture.seal();
    let dir = tempfile::tempdir().expect("a directory");
    let save = |path: &str| {
        let to = dir.path().join(&path[1..]);
        let ran =
            afterimage(&["files", "web", store.arg(), "--save", path, "--to", to.to_str().expect("UTF-8")]);
        (ran.code, std::fs::read(&to).ok(), ran.stderr().to_owned())
    };
    let (code, bytes, said) = save("/log");
    assert_eq!((code, bytes.as_deref()), (0, Some(&b"at 2\nat 4\n"[..])));
    assert!(said.contains("2 writes whose place in the file is not known are behind each other"), "{said}");
    assert!(said.contains("what the file may have held before is not known"), "{said}");
    let (code, bytes, said) = save("/made");
    assert_eq!((code, bytes.as_deref()), (0, Some(&b"at 3\nat 5\n"[..])));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("10 bytes, of which 0 were not recorded; 10 were written"), "{said}");
    let (code, bytes, said) = save("/gone");
    assert_eq!((code, bytes), (1, None), "nothing is no file");
    assert!(said.contains("13 bytes written to it are recorded, but it was emptied"), "{said}");
}

#[test]
fn an_image_is_that_of_the_file_it_was_executed_from() {
    use sha2::Digest as _;

    let (mut fixture, shell) = shell();
    let mut image = |at: f64, bytes: &[u8], outcome: u64| {
        write(&mut fixture, shell, at, O_WRONLY_CREAT_TRUNC, b"/tmp/x", b"cut");
        let child = task(500 + at as u32, at);
        fixture.fork(1, at + 0.1, shell, child);
        fixture.exec(1, at + 0.2, child, Exec { exe: b"/tmp/x", argv: &[b"x"], ..Exec::default() });
        let hash = sha2::Sha256::digest(bytes);
        let content: &[u8] = if outcome == artifact::KEPT { bytes } else { b"" };
        let fields: [(FieldTag, &[u8]); 3] =
            [(FieldTag::KPATH, b"/tmp/x"), (FieldTag::HASH, &hash), (FieldTag::CONTENT, content)];
        let args = [bytes.len() as u64, 7, fixture::at(at + 0.2).0, 0, outcome];
        let call = Call { nr: EventCode::ARTIFACT.0, args: &args, fields: &fields, ..Call::default() };
        remove(&mut fixture, shell, at + 0.3, b"/tmp/x");
        fixture.call(1, at + 0.4, shell, call);
    };
    image(2.0, b"first image", artifact::KEPT);
    image(3.0, b"second", artifact::KEPT);
    image(4.0, b"first image", artifact::KNOWN);
    let store = fixture.seal();
    let dir = tempfile::tempdir().expect("a directory");
    for (life, bytes) in [("1", &b"first image"[..]), ("2", b"second"), ("3", b"first image")] {
        let to = dir.path().join(life);
        let to = to.to_str().expect("UTF-8");
        let ran = afterimage(&["files", "web", store.arg(), "--save", "/tmp/x", "--life", life, "--to", to]);
        assert!(ran.stderr().contains("as they were executed"), "{}", ran.stderr());
        assert_eq!(std::fs::read(to).expect("saved"), bytes);
    }
}

/// What was written into memory and executed from there was in no list of files.
#[test]
fn files_in_memory_are_listed_with_who_wrote_them_and_what_they_were() {
    use sha2::Digest as _;

    const MEMFD_CREATE: u16 = 319;
    let (mut fixture, shell) = shell();
    let mut call = |at: f64, nr: u16, ret: i64, args: &[u64], fields: &[(FieldTag, &[u8])]| {
        fixture.call(1, at, shell, Call { nr, ret, args, fields, ..Call::default() });
    };
    let name = b"x\x1b[2J".as_slice();
    call(2.0, MEMFD_CREATE, 5, &[0, 1], &[(FieldTag::PATH, name)]);
    call(2.1, MEMFD_CREATE, 6, &[0, 1], &[(FieldTag::PATH, b"notes")]);
    call(2.2, MEMFD_CREATE, 7, &[0, 1], &[(FieldTag::PATH, b"empty")]);
    call(2.3, 1, 7, &[5, 0, 7], &[(FieldTag::PAYLOAD, b"\x7fELF...")]);
    call(2.4, 1, 6, &[6, 0, 6], &[(FieldTag::PAYLOAD, b"a note")]);
    // As the kernel has it.
    let kernel = [b"memfd:", name].concat();
    let hash = sha2::Sha256::digest(b"\x7fELF...");
    let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::KPATH, &kernel), (FieldTag::HASH, &hash)];
    let flags = layout::exec::EXE_MEMFD;
    let args = [7, 7, fixture::at(3.0).0, 0, artifact::KEPT];
    fixture.exec(
        1,
        3.0,
        shell,
        Exec { exe: &kernel, argv: &[b"[kworker]"], exe_flags: flags, ..Exec::default() },
    );
    let call = Call { nr: EventCode::ARTIFACT.0, args: &args, fields: &fields, ..Call::default() };
    fixture.call(1, 3.1, shell, call);
    let store = fixture.seal();
    let rows = |more: &[&str]| {
        let ran = afterimage(&[&["files", "web", store.arg(), "-o", "json"], more].concat());
        let rows = ran.json()["files"].as_array().expect("a list").clone();
        rows.into_iter().filter(|row| row["memory"] == true).collect::<Vec<_>>()
    };
    let listed = rows(&[]);
    let [program, notes] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&program["path"], &notes["path"]), (&"memfd:x\\x1b[2J".into(), &"memfd:notes".into()));
    assert_eq!(program["acts"], serde_json::json!(["created", "written", "executed"]));
    assert_eq!(
        (&program["dropped_and_executed"], &notes["dropped_and_executed"]),
        (&true.into(), &false.into())
    );
    assert!(program["marks"].as_array().expect("a list").contains(&"in memory".into()), "{program}");
    assert_eq!(program["sha256"].as_str().map(str::len), Some(64), "{program}");
    assert!(notes["sha256"].is_null() && notes["written"] == 6, "{notes}");
    assert_eq!(rows(&["--all"]).len(), 3);
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("notes");
    let save = ["files", "web", store.arg(), "--save", "memfd:notes", "--to", to.to_str().expect("UTF-8")];
    assert_eq!(afterimage(&save).code, 0);
    assert_eq!(std::fs::read(to).expect("saved"), b"a note");
}

/// The recorder keeps what is executed from memory, and `--save` said that there is no such file.
#[test]
fn a_program_that_was_executed_from_memory_is_saved() {
    use sha2::Digest as _;

    let (mut fixture, shell) = shell();
    let mut image = |at: f64, path: &[u8], bytes: &[u8], outcome: u64| {
        let hash = sha2::Sha256::digest(bytes);
        let content: &[u8] = if outcome == artifact::KEPT { bytes } else { b"" };
        let fields: [(FieldTag, &[u8]); 3] =
            [(FieldTag::KPATH, path), (FieldTag::HASH, &hash), (FieldTag::CONTENT, content)];
        let args = [bytes.len() as u64, 7, fixture::at(at).0, 0, outcome];
        fixture.call(
            1,
            at + 0.1,
            shell,
            Call { nr: EventCode::ARTIFACT.0, args: &args, fields: &fields, ..Call::default() },
        );
    };
    image(2.0, b"/memfd:x", b"first", artifact::KEPT);
    image(3.0, b"/memfd:x (deleted)", b"the second", artifact::KEPT);
    image(4.0, b"/memfd:lost", b"large", artifact::TOO_LARGE);
    let store = fixture.seal();
    let dir = tempfile::tempdir().expect("a directory");
    let save = |name: &str, life: &[&str]| {
        let to = dir.path().join(format!("{}{}", name.replace('/', "-"), life.concat()));
        let words = ["files", "web", store.arg(), "--save", name, "--to", to.to_str().expect("UTF-8")];
        let ran = afterimage(&[&words[..], life].concat());
        (ran.code, std::fs::read(&to).ok(), ran.stderr().to_owned())
    };
    let (code, bytes, said) = save("memfd:x", &[]);
    assert_eq!((code, bytes.as_deref()), (0, Some(&b"the second"[..])), "{said}");
    assert!(said.contains("2 programs had this name") && said.contains("as they were executed"), "{said}");
    assert_eq!(save("/memfd:x", &["--life", "1"]).1.as_deref(), Some(&b"first"[..]));
    assert_eq!(save("memfd:x", &["--life", "3"]).0, 2);
    let (code, bytes, said) = save("memfd:lost", &[]);
    assert!(code == 1 && bytes.is_none() && said.contains("too large"), "{code} {said}");
    assert_eq!(save("memfd:other", &[]).0, 2);
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
    assert_eq!(counted(&["-c", "web", "-b", "+1s", "-e", "+3.1s"]), (2, 1));
    assert_eq!(counted(&["-b", "11:58:10"]), (1, 1), "web has ended before");
    assert_eq!(afterimage(&["info", store.arg(), "-c", "absent"]).code, 1);
    let part = info(&["-c", "web", "-b", "+1s", "-e", "+3.1s"])["recordings"][0].clone();
    assert_eq!(
        (&part["begin"], &part["length_ns"]),
        (&"2026-11-21T11:58:04.000000000Z".into(), &2_000_000_000_u64.into())
    );
}
