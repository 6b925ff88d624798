//! Fields that a container's whole life answers: what became of files, and which findings there are.

use afterimage_detect::{Filter, RuleSet};
use afterimage_format::{
    EventCode, FieldTag,
    layout::{self, artifact},
};

use crate::scene::{ENOENT, Program, READ, REWRITE, Scene, address};

/// `AT_FDCWD`.
const CWD: u64 = (-100i64).cast_unsigned();

/// A program is fetched under one name, given another, run and removed; another one of the image is run.
fn dropper() -> Scene {
    let scene = Scene::new()
        .run(1, 100, "/bin/sh", &["sh"]) // 1, 2
        .open(100, "/bin/sh", READ, 3) // 3
        .open(100, "/tmp/a.part", REWRITE, 4) // 4
        .call(100, "write", &[4, 0, 4], 4, &[(FieldTag::PAYLOAD, b"\x7fELF")]) // 5
        .call(
            100,
            "rename",
            &[0, 0],
            0,
            &[(FieldTag::PATH, b"/tmp/a.part"), (FieldTag::PATH2, b"/tmp/run.bin")],
        ) // 6
        .call(100, "close", &[4], 0, &[]) // 7
        .run(100, 101, "/tmp/run.bin", &["run"]); // 8, 9
    let executed = scene.now;
    scene
        .push(
            101,
            EventCode::ARTIFACT,
            &numbers(executed),
            0,
            &[(FieldTag::KPATH, b"/tmp/run.bin"), (FieldTag::HASH, &[0xab; 32])],
        ) // 10
        .call(101, "unlink", &[0], 0, &[(FieldTag::PATH, b"/tmp/run.bin")]) // 11
        .open(101, "/tmp/run.bin", REWRITE, 4) // 12: another file
        .open(101, "/etc/none", READ, ENOENT) // 13
}

fn numbers(executed: u64) -> Vec<u64> {
    let mut numbers = vec![0; artifact::COUNT];
    numbers[artifact::SIZE] = 4;
    numbers[artifact::EXECUTED] = executed;
    numbers
}

#[test]
fn what_became_of_a_file_is_known_at_each_of_its_events_under_each_name() {
    let scene = dropper();
    let acts = [4, 5, 6, 7, 9, 10, 11];
    assert_eq!(scene.kept("file.written = true and file.executed = true"), acts);
    assert_eq!(scene.kept("file.deleted = true"), acts);
    let hash = "ab".repeat(32);
    assert_eq!(scene.kept(&format!("file.sha256 = {hash}")), acts);
    assert_eq!(scene.kept("file.executed = true and file.written = false"), [2, 3]);
    assert_eq!(scene.kept("file.path = /tmp/run.bin and file.deleted = false"), [12], "another file");
    assert_eq!(scene.kept("file.written exists and file.path = /etc/none"), [13]);
    assert_eq!(scene.kept("file.sha256 exists"), acts);
}

#[test]
fn a_path_is_that_of_either_end_and_of_what_a_descriptor_is_open_on() {
    let scene = dropper();
    assert_eq!(scene.kept("file.path = /tmp/a.part"), [4, 5, 6, 7]);
    assert_eq!(scene.kept("file.path = /tmp/run.bin"), [6, 9, 10, 11, 12]);
    assert_eq!(scene.kept("file.ext = part"), [4, 5, 6, 7]);
    assert_eq!(scene.kept("not file.path exists"), [1, 8]);
    let scene = Scene::new()
        .run(1, 100, "/bin/sh", &["sh"])
        .call(100, "memfd_create", &[0, 0], 5, &[(FieldTag::PATH, b"/not/a/path")])
        .call(100, "symlink", &[0, 0], 0, &[(FieldTag::PATH, b"/text"), (FieldTag::PATH2, b"/tmp/l")])
        .open(100, "/srv/in", READ, 3)
        .open(100, "/srv/out", REWRITE, 4)
        .call(100, "sendfile", &[4, 3, 0, 9], 9, &[])
        .call(100, "newfstatat", &[3, 0, 0, 0x1000], 0, &[(FieldTag::PATH, b"")])
        .call(100, "newfstatat", &[CWD, 0, 0, 0], 0, &[(FieldTag::PATH, b"x")]);
    let own = |path: &str| scene.kept(&format!("file.path = {path}"));
    assert_eq!((own("/not/a/path"), own("/text"), own("/tmp/l")), (vec![], vec![], vec![4]));
    assert_eq!((own("/srv/in"), own("/srv/out")), (vec![5, 7, 8], vec![6, 7]));
    assert_eq!(own("/x"), [9]);
    let neither = scene.kept("file.path != /srv/in and evt.type = sendfile");
    assert!(neither.is_empty(), "of both ends: {neither:?}");
}

#[test]
fn where_nothing_was_gathered_nothing_is_known() {
    let mut scene = dropper();
    scene.events.truncate(7);
    let other = Filter::parse("file.written exists").unwrap();
    let frame = afterimage_detect::Frame::default();
    let mut tracker = afterimage_detect::Tracker::new();
    for event in &scene.events {
        event.with(|event| {
            tracker.apply(scene.uid, event);
            let whose = (scene.uid, Some(&scene.record));
            assert!(!other.matches(&afterimage_detect::EventContext::new(event, whose, &tracker, &frame, 1)));
        });
    }
    let may =
        |text: &str| Filter::parse(text).unwrap().prefilter(&frame).container(scene.uid, Some(&scene.record));
    assert_eq!(may("file.written = true"), afterimage_detect::Verdict::Maybe);
}

#[test]
fn a_container_without_such_a_file_has_no_match() {
    let scene = Scene::new().run(1, 100, "/bin/sh", &["sh"]).open(100, "/srv/in", READ, 3);
    let frame = scene.frame();
    let never = |text: &str| {
        let verdict =
            Filter::parse(text).unwrap().prefilter(&frame).container(scene.uid, Some(&scene.record));
        verdict == afterimage_detect::Verdict::Never
    };
    assert!(never("file.written = true") && never("file.sha256 exists") && never("file.deleted != false"));
    assert!(!never("file.executed = true") && !never("not file.written = true") && !never("file.path = /x"));
}

#[test]
fn what_needs_a_recording_is_named() {
    let filter = Filter::parse("file.deleted = true or (file.path = /x and proc.exe_sha256 exists)").unwrap();
    assert_eq!(filter.needs_recording(), ["proc.exe_sha256", "file.deleted"]);
}

#[test]
fn where_rules_use_what_needs_a_recording_is_told_with_its_place() {
    let text = "\
- macro: told
  condition: alert.source exists
- macro: unused
  condition: find.sev exists
- rule: r
  desc: d
  condition: >
    told and
    file.written = true
  output: x %file.path
  priority: INFO
  exceptions:
    - name: e
      fields: [proc.name, file.deleted]
      values:
        - [a, true]
        - [b, true]
- rule: r
  output: and %alert.rule
  override: {output: append}
- rule: off
  desc: d
  condition: file.executed = true
  output: x
  priority: INFO
  enabled: false
";
    let mut rules = RuleSet::parse(&[("f", text)]).unwrap();
    assert_eq!((rules.asks_whole().files, rules.asks_alerts()), (true, true));
    let told = |rules: &RuleSet| rules.needs_recording().iter().map(ToString::to_string).collect::<Vec<_>>();
    let rest = "needs a recording and never has a value here";
    let expected = [
        format!("f:2:14: macro `told`: `alert.source` {rest}"),
        format!("f:9:5: rule `r`: `file.written` {rest}"),
        format!("f:19:16: rule `r`: `alert.rule` {rest}"),
        format!("f:13:7: rule `r`: `file.deleted` {rest}"),
    ];
    assert_eq!(told(&rules), expected);
    rules.switch(|rule| (rule.name == "r").then_some(false));
    assert_eq!(told(&rules), Vec::<String>::new(), "nobody asks");
    assert!(!rules.asks_alerts());
}

#[test]
fn a_finding_is_told_at_the_event_it_rests_on() {
    let upper = layout::exec::EXE_UPPER_LAYER;
    let program = |path: &'static str| Program { flags: upper, ..Program::new(path, &["x"]) };
    let scene = Scene::new()
        .run(1, 100, "/bin/sh", &["sh"]) // 1, 2
        .start(100, 101, &program("/tmp/a")) // 3, 4
        .start(100, 102, &program("/tmp/a")); // 5, 6
    assert_eq!(scene.kept("find.rule = 'program is not part of the image'"), [4], "told once");
    assert_eq!(scene.kept("find.sev = critical and find.attack = T1105"), [4]);
    assert_eq!(scene.kept("find.rule exists"), [2, 4]);
    assert_eq!(scene.kept("find.attack exists"), [4]);
    assert!(scene.clone().on_host().kept("find.rule exists").is_empty(), "the host has none");
    let frame = scene.frame();
    let filter = Filter::parse("find.sev = notice").unwrap();
    let verdict = filter.prefilter(&frame).container(scene.uid, Some(&scene.record));
    assert_eq!(verdict, afterimage_detect::Verdict::Never);
}

#[test]
fn what_a_connection_moved_is_known_at_each_of_its_events() {
    let (first, second) = (address("10.0.0.9:53"), address("10.0.0.9:54"));
    let scene = Scene::new()
        .run(1, 100, "/bin/sh", &["sh"]) // 1, 2
        .tcp(100, 3) // 3
        .connect(100, 3, "10.0.0.1:4000", "10.0.0.2:443", 0) // 4
        .call(100, "write", &[3, 0, 100], 100, &[]) // 5
        .tcp(100, 4) // 6
        .connect(100, 4, "10.0.0.1:4001", "10.0.0.3:443", 0) // 7
        .call(100, "write", &[4, 0, 7], 7, &[]) // 8
        .call(100, "read", &[3, 0, 50], 50, &[]) // 9
        .call(100, "close", &[3], 0, &[]) // 10
        .open(100, "/srv/in", READ, 5) // 11
        .call(100, "sendfile", &[4, 5, 0, 9], 9, &[]) // 12
        .call(100, "socket", &[2, 2, 0], 6, &[]) // 13
        .call(100, "sendto", &[6, 0, 1200, 0, 0, 16], 1200, &[(FieldTag::SOCKADDR, &first)]) // 14
        .call(100, "sendto", &[6, 0, 1, 0, 0, 16], 1, &[(FieldTag::SOCKADDR, &second)]) // 15
        .call(100, "close", &[4], 0, &[]); // 16
    assert_eq!(scene.kept("net.bytes_out = 100"), [4, 5, 9, 10], "also before, and where it is closed");
    assert_eq!(scene.kept("net.bytes_in = 50"), [4, 5, 9, 10]);
    assert_eq!(scene.kept("net.bytes_out = 16"), [7, 8, 12, 16], "what was sent of a file is among it");
    assert_eq!(scene.kept("net.bytes_out > 1000"), [14], "a datagram's peer is its own");
    assert_eq!(scene.kept("net.bytes_out = 1"), [15]);
    assert_eq!(scene.kept("not net.bytes_out exists"), [1, 2, 3, 6, 11, 13]);
    let frame = scene.frame();
    let verdict =
        |text: &str| Filter::parse(text).unwrap().prefilter(&frame).container(scene.uid, Some(&scene.record));
    assert_eq!(verdict("net.bytes_out > 1200"), afterimage_detect::Verdict::Never);
    assert_eq!(verdict("net.bytes_out >= 1200"), afterimage_detect::Verdict::Maybe);
    assert_eq!(Filter::parse("net.bytes_in > 1").unwrap().needs_recording(), ["net.bytes_in"]);
}

/// A call that passes bytes on between two connections is about both.
#[test]
fn of_a_call_between_two_connections_both_are_asked() {
    let scene = Scene::new()
        .run(1, 100, "/bin/sh", &["sh"]) // 1, 2
        .tcp(100, 3) // 3
        .connect(100, 3, "10.0.0.1:4000", "10.0.0.2:443", 0) // 4
        .tcp(100, 4) // 5
        .connect(100, 4, "10.0.0.1:4001", "10.0.0.3:443", 0) // 6
        .call(100, "write", &[4, 0, 1], 1, &[]) // 7
        .call(100, "splice", &[3, 0, 4, 0, 20, 0], 20, &[]); // 8
    assert_eq!(scene.kept("net.bytes_in = 20"), [4, 8]);
    assert_eq!(scene.kept("net.bytes_out = 21"), [6, 7, 8]);
    assert_eq!(scene.kept("net.bytes_out = 21 and net.bytes_in = 20"), [8]);
}
