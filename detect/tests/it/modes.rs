//! Modes are written in octal and looked for by their symbols, whatever the call: `chmod` had symbols, `open` digits, and a raw
//! `0755` was read in decimal.

use afterimage_detect::{Filter, RuleSet};
use afterimage_format::FieldTag;

use crate::scene::{READ, REWRITE, Scene};

fn shell() -> Scene {
    Scene::new().run(1, 100, "/bin/sh", &["sh"])
}

/// Each call that gives a file the mode 0755.
fn calls() -> Vec<(&'static str, Scene)> {
    let cwd = (-100i64).cast_unsigned();
    let path: (FieldTag, &[u8]) = (FieldTag::PATH, b"/x");
    let how: Vec<u8> = [REWRITE, 0o755, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let call = |name: &'static str, args: &[u64]| (name, shell().call(100, name, args, 0, &[path]));
    vec![
        call("chmod", &[0, 0o755]),
        call("fchmodat", &[cwd, 0, 0o755, 0]),
        call("mkdir", &[0, 0o755]),
        call("creat", &[0, 0o755]),
        call("open", &[0, REWRITE, 0o755]),
        call("openat", &[cwd, 0, REWRITE, 0o755]),
        // Bits above those of a mode are none of it.
        call("mknod", &[0, 0xdead_0000 | 0o100_755, 0]),
        ("openat2", shell().call(100, "openat2", &[cwd, 0, 0, 24], 5, &[path, (FieldTag::DATA, &how)])),
    ]
}

#[test]
fn a_mode_is_its_digits_and_its_symbols_whatever_the_call() {
    for (name, scene) in calls() {
        for (filter, passes) in [
            ("evt.arg.mode = 0755", true),
            ("evt.arg.mode = 00755", true),
            ("evt.arg.mode in (0700, 0755)", true),
            ("evt.arg.mode contains S_IXUSR", true),
            ("evt.arg.mode != 0755", false),
            ("evt.arg.mode = 0700", false),
            ("evt.arg.mode contains S_ISUID", false),
        ] {
            assert_eq!(scene.last_passes(filter), passes, "{name}: {filter}");
        }
    }
}

#[test]
fn a_raw_mode_is_compared_in_octal() {
    for (name, scene) in calls().into_iter().filter(|(name, _)| *name != "mknod") {
        for filter in ["evt.rawarg.mode = 0755", "evt.rawarg.mode = 493", "evt.rawarg.mode in (0700..0777)"] {
            assert!(scene.last_passes(filter), "{name}: {filter}");
        }
        assert!(!scene.last_passes("evt.rawarg.mode = 755"), "{name}");
    }
    let (_, made) = calls().into_iter().find(|(name, _)| *name == "mknod").expect("there");
    assert!(made.last_passes("evt.rawarg.mode = 0100755 and evt.arg.mode startswith S_IFREG|"));
}

#[test]
fn an_open_that_makes_no_file_has_no_mode() {
    let scene = shell().open(100, "/etc/passwd", READ, 5);
    assert_eq!(
        scene.kept("evt.arg.mode exists or evt.rawarg.mode exists or evt.args contains 'mode='"),
        [0u64; 0]
    );
    assert!(scene.last_passes("evt.args contains 'flags=O_RDONLY'"));
}

#[test]
fn all_arguments_have_a_mode_once_and_rules_show_it_as_falco_does() {
    let scene = shell().call(100, "chmod", &[0, 0o4700], 0, &[(FieldTag::PATH, b"/x")]);
    let rules = RuleSet::parse(&[(
        "rules",
        "- rule: one\n  desc: one\n  condition: evt.type = chmod and evt.arg.mode contains \"S_ISUID\"\n  \
         output: \"%evt.arg.mode; %evt.args\"\n  priority: NOTICE\n",
    )])
    .expect("a rule");
    let hits = scene.hits(&rules);
    let mode = "S_ISUID|S_IRUSR|S_IWUSR|S_IXUSR";
    let told: Vec<&str> = hits.iter().filter_map(|hit| hit.message.split(" container_id=").next()).collect();
    assert_eq!(told, [format!("{mode}; res=0 path=/x mode={mode}")]);
}

#[test]
fn numbers_that_are_read_otherwise_than_they_look_are_warned_of() {
    for (filter, part) in [
        ("evt.arg.mode = 755", "write `0755`"),
        ("evt.rawarg.mode in (0700, 755)", "write `0755`"),
        ("evt.rawarg.flags = 0100", "`0100` is read as 100"),
        ("proc.pid = 007", "`007` is read as 7"),
    ] {
        let filter = Filter::parse(filter).expect("a filter");
        let warnings = filter.warnings();
        assert!(warnings.iter().any(|w| w.message.contains(part)), "{filter}: {warnings:?}");
    }
    for filter in ["evt.arg.mode in (0755, 0, S_IRUSR)", "evt.rawarg.mode = 0x1ed", "proc.pid in (0, 10)"] {
        assert_eq!(Filter::parse(filter).expect("a filter").warnings(), [], "{filter}");
    }
}

/// An argument whose meaning another one tells, or that points at something recorded, was a number or a pointer.
#[test]
fn arguments_say_what_lists_show_of_them() {
    let data = |bytes: &'static [u8]| (FieldTag::DATA, bytes);
    for (name, args, field, filter) in [
        ("setsockopt", &[3, 1, 2, 0x7fff_0000, 4][..], data(&[1, 0, 0, 0]), "evt.arg.optval = '[1]'"),
        ("setsockopt", &[3, 1, 25, 0x7fff_0000, 4], data(b"eth0\n"), "evt.arg.optval = \"eth0\\n\""),
        ("fcntl", &[3, 2, 1], data(b""), "evt.arg.arg = FD_CLOEXEC"),
        ("fcntl", &[3, 1, 0x7fff_0000], data(b""), "not evt.arg.arg exists"),
        ("prctl", &[15, 0x7fff_0000, 0, 0, 0], data(b"kworker"), "evt.arg.arg2 = kworker"),
        ("mount", &[0, 0, 0x7fff_0000, 0, 0], data(b"tmpfs"), "evt.arg.filesystemtype = tmpfs"),
    ] {
        assert!(shell().call(100, name, args, 0, &[field]).last_passes(filter), "{name}: {filter}");
    }
}
