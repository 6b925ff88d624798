//! docs/fields.md says what the table says.

use afterimage_detect::Filter;

#[test]
fn the_reference_in_docs_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
    let written = std::fs::read_to_string(path).expect("docs/fields.md");
    let same = written == afterimage_detect::reference();
    assert!(same, "run `cargo run -p afterimage-detect --example reference > docs/fields.md`");
}

#[test]
fn the_examples_of_the_reference_are_filters() {
    let reference = afterimage_detect::reference();
    for example in [
        "within proc.name = sshd",
        "under proc.name = sshd",
        "near(evt.type = connect, 5s)",
        "seq(fd.name = /a; evt.type = execve within 10s)",
        "time > 2026-11-22",
        "time in 12:03 .. end-5s",
        "life < 30s",
        "proc.name startswith anyof (nginx, apache)",
        "proc.cmdline contains allof (curl, -o)",
        "fd.name endswith oneof (.so, .ko)",
        "evt.arg.mode contains S_ISUID",
        "evt.arg.mode = 0755",
        "evt.rawarg.mode = 0755",
    ] {
        assert!(reference.contains(&format!("`{example}`")), "{example}");
        let filter = Filter::parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        assert_eq!(filter.warnings(), [], "{example}");
    }
}
