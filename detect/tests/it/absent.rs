//! What an event does not have is absent: a key or a place that is not there was an empty text, which exists.

use std::collections::BTreeSet;

use afterimage_detect::{ArgRule, Filter, fields};
use afterimage_format::{EventCode, FactKey, layout::exit};

use crate::scene::{Program, READ, Scene};

/// A shell under a server, in a container with a label and a mount, opens a file.
fn scene() -> Scene {
    let program = Program {
        env: &["HOME=/root", "A=b c", "EMPTY="],
        cwd: "/srv",
        ..Program::new("/bin/bash", &["bash", "-c", "cat x"])
    };
    Scene::new()
        .fact(FactKey::Label, "app=web")
        .fact(FactKey::Label, "7=seven")
        .fact(FactKey::Mount, "/proc:/host/proc:ro:false:private")
        .run(1, 100, "/usr/sbin/nginx", &["nginx"])
        .start(100, 101, &program)
        .open(101, "/etc/passwd", READ, 5)
}

/// Each field that takes an argument: arguments of which there is a value at the last event, and of which there is none.
const ARGUMENTS: &[(&str, &[&str], &[&str])] = &[
    ("evt.type.is", &["open"], &[]),
    // Of a filter alone.
    ("evt.around", &[], &["1795262400000000000"]),
    ("evt.arg", &["flags", "0", "2"], &["77", "linkpath", "mode"]),
    ("evt.rawarg", &["flags", "0", "3"], &["77", "linkpath", "mode"]),
    ("proc.aexe", &["0", "1"], &["2", "77"]),
    ("proc.aexepath", &["0", "1"], &["2", "77"]),
    ("proc.aname", &["0", "1"], &["2", "77"]),
    ("proc.args", &["0", "1"], &["2", "77"]),
    ("proc.aargs", &["0", "1"], &["2", "77"]),
    ("proc.acmdline", &["0", "1"], &["2", "77"]),
    ("proc.env", &["A", "EMPTY"], &["LD_PRELOAD", "EMPT", "77"]),
    ("proc.aenv", &["0", "1"], &["2", "77", "LD_PRELOAD"]),
    ("proc.apid", &["0", "1", "2"], &["3", "77"]),
    ("thread.cgroup", &["cpu", "memory"], &["none", "77"]),
    ("fd.types", &["5"], &["4", "77"]),
    ("container.mount", &["0", "/proc"], &["1", "/etc"]),
    ("container.mount.source", &["0", "/host/*"], &["1", "/proc"]),
    ("container.mount.dest", &["0", "/proc*"], &["1", "/etc"]),
    ("container.mount.mode", &["0", "/proc"], &["1", "/etc"]),
    ("container.mount.rdwr", &["0", "/proc"], &["1", "/etc"]),
    ("container.mount.propagation", &["0", "/proc"], &["1", "/etc"]),
    ("container.label", &["app", "7"], &["web", "8"]),
    ("k8s.pod.label", &["app", "7"], &["web", "8"]),
];

#[test]
fn the_table_has_every_field_that_takes_an_argument() {
    let told: BTreeSet<&str> = ARGUMENTS.iter().map(|(field, ..)| *field).collect();
    let all: BTreeSet<&str> = fields().filter(|def| def.arg != ArgRule::Never).map(|def| def.name).collect();
    assert_eq!(told, all);
}

#[test]
fn an_argument_that_is_not_there_has_no_value() {
    let scene = scene();
    for (field, present, absent) in ARGUMENTS {
        for key in *present {
            assert!(scene.last_passes(&format!("{field}[{key}] exists")), "{field}[{key}]");
        }
        for key in *absent {
            let filter = format!("{field}[{key}] exists");
            assert_eq!(scene.kept(&filter), [0u64; 0], "{filter}");
        }
    }
}

#[test]
fn no_comparison_holds_for_what_is_not_there() {
    let scene = scene();
    for filter in ["proc.aname[77] != x", "container.mount.source[/etc] != x", "evt.arg.linkpath != x"] {
        assert_eq!(scene.kept(filter), [0u64; 0], "{filter}");
    }
    assert!(scene.last_passes("proc.env[EMPTY] = '' and proc.env[A] = 'b c'"));
}

/// Falco compares an empty text there.
#[test]
fn what_is_not_in_a_known_environment_or_command_line_is_compared_as_an_empty_text() {
    let scene = scene();
    for filter in [
        "proc.env[LD_PRELOAD] = ''",
        "proc.env[LD_PRELOAD] != x",
        "not proc.env[LD_PRELOAD] exists",
        "proc.env[77] != x",
        "proc.aenv[LD_PRELOAD] != x",
        "proc.args[77] contains ''",
        "len(proc.args[77]) = 0",
        "not tolower(proc.args[77]) exists",
        "tolower(proc.args[0]) exists",
    ] {
        assert!(scene.last_passes(filter), "{filter}");
    }
    assert!(!scene.last_passes("proc.env[LD_PRELOAD] startswith /"));
    // Of a process of which nothing is known there is no environment that it could be missing in.
    let unknown = Scene::new().open(77, "/etc/passwd", READ, 5);
    assert!(unknown.last_passes("not proc.env[LD_PRELOAD] != x and not proc.args[0] != x"));
}

#[test]
fn a_known_descriptor_without_a_name_is_compared_as_an_empty_text() {
    let pipe = scene().call(101, "eventfd2", &[0, 0], 7, &[]).call(101, "close", &[7], 0, &[]);
    assert!(
        pipe.last_passes(
            "fd.type = event and fd.name != /etc/passwd and fd.name = '' and not fd.name exists"
        )
    );
    let unknown = scene().call(101, "close", &[42], 0, &[]);
    assert!(unknown.last_passes("not fd.name != /etc/passwd"));
}

#[test]
fn what_stands_in_the_place_of_nothing_can_be_compared_and_does_not_exist() {
    let file = scene();
    assert!(file.last_passes("container.mount[/etc] = none and not container.mount[/etc] exists"));
    assert!(file.last_passes("user.name = root and user.name exists"));
    assert!(file.last_passes("fd.l4proto != tcp and fd.l4proto = '<NA>' and not fd.l4proto in (tcp, udp)"));
    assert_eq!(file.kept("fd.l4proto exists"), [0u64; 0]);
    // Only of what has a descriptor.
    assert_eq!(file.kept("fd.l4proto != tcp"), file.kept("fd.type exists"));
    // A socket that was there before the recording: its protocol is not known.
    let peer = crate::scene::address("93.184.216.34:53");
    let field = (afterimage_format::FieldTag::SOCKADDR, peer.as_slice());
    let sent = scene().call(101, "sendto", &[9, 0, 1, 0, 0, 16], 1, &[field]);
    assert!(sent.last_passes("fd.l4proto != tcp and not fd.l4proto exists and fd.type exists"));
    let tcp = scene().tcp(101, 3).connect(101, 3, "172.17.0.2:40000", "93.184.216.34:443", 0);
    assert!(tcp.last_passes("fd.l4proto exists and not fd.l4proto != tcp"));
    let user = scene().start(100, 102, &Program { uid: 1000, ..Program::default() });
    assert!(user.last_passes("user.name != root and not user.name exists"));
    // Nobody saw what the descriptor is open on.
    let unknown = scene().call(101, "close", &[42], 0, &[]);
    assert!(unknown.last_passes("fd.num = 42 and not fd.type exists and not fd.type != file"));
    // Falco has no word for it.
    let landlock =
        scene().call(101, "landlock_create_ruleset", &[0, 8, 0], 6, &[]).call(101, "close", &[6], 0, &[]);
    assert!(
        landlock.last_passes("fd.num = 6 and fd.type = '<NA>' and fd.type != file and not fd.type exists")
    );
}

/// It was an empty text then.
#[test]
fn an_environment_that_was_forgotten_is_absent() {
    assert!(scene().last_passes("proc.env exists and proc.env contains HOME"));
    let mut numbers = [0; exit::COUNT];
    numbers[exit::GROUP_DEAD] = 1;
    let ended = scene().push(101, EventCode::EXIT, &numbers, 0, &[]);
    assert!(ended.last_passes("evt.type = procexit and proc.name = bash and not proc.env exists"));
}

#[test]
fn fields_that_never_have_a_value_never_exist() {
    let scene = scene();
    for def in fields().filter(|def| !def.is_recorded()) {
        let filter = format!("{} exists", def.name);
        assert!(Filter::parse(&filter).is_ok() && scene.kept(&filter).is_empty(), "{filter}");
    }
}
