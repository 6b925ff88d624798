//! `afterimage demo`: the recording that comes with the program.

use crate::run::afterimage;

#[test]
fn the_bundled_recording_is_written_once_and_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("intrusion.aftx");
    let path = file.to_str().expect("a path");
    assert_eq!(afterimage(&["demo", "--to", path]).code, 0);
    let listed = afterimage(&["ls", path, "-o", "csv"]);
    assert!(listed.stdout().contains("deleted"), "{}", listed.stdout());
    let before = std::fs::read(&file).expect("the recording");
    let again = afterimage(&["demo", "--to", path]);
    assert_eq!(again.code, 5, "{}", again.stderr());
    assert!(again.stderr().contains("cannot write"), "{}", again.stderr());
    assert_eq!(std::fs::read(&file).expect("the recording"), before);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let output = afterimage(&["demo"]);
    assert_eq!(output.code, 5);
    assert!(
        output.stderr().contains("needs a terminal") && output.stderr().contains("--to FILE"),
        "{}",
        output.stderr()
    );
}
