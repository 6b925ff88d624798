//! docs/fields.md says what the table says.

#[test]
fn the_reference_in_docs_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
    let written = std::fs::read_to_string(path).expect("docs/fields.md");
    let same = written == afterimage_detect::reference();
    assert!(same, "run `cargo run -p afterimage-detect --example reference > docs/fields.md`");
}
