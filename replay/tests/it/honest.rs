//! What a verb cannot answer whole it does not answer as if it could: damage, wrong arguments, what was left out.

use std::path::{Path, PathBuf};

use crate::run::afterimage;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A copy of the sample that was changed.
fn changed(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(SAMPLE).expect("the sample");
    change(&mut bytes);
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

/// A byte in the sample's only block of events is another one.
fn flipped(dir: &Path) -> PathBuf {
    let path = changed(dir, "flipped.aftx", |bytes| bytes[8000] ^= 1);
    let ran = afterimage(&["grep", "--count", "evt.num > 0", text(&path)]);
    assert_eq!((ran.code, ran.stdout()), (3, "0\n"), "{}", ran.stderr());
    path
}

#[test]
fn an_extract_of_a_damaged_block_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let damaged = flipped(dir.path());
    let to = dir.path().join("extract.aftx");
    let ran = afterimage(&["extract", "5abb", text(&damaged), "--to", text(&to)]);
    assert_eq!(ran.code, 3, "{}", ran.stderr());
    assert!(ran.stderr().contains("corrupt at offset"), "{}", ran.stderr());
    // What was not copied is not forgotten by the extract.
    let ran = afterimage(&["ls", text(&to)]);
    assert!(ran.stdout().contains("events missing, damaged before it was copied"), "{}", ran.stdout());
    assert_eq!(ran.code, 3, "{}", ran.stderr());
    for verb in ["info", "report", "show", "verify"] {
        let words: &[&str] = if verb == "show" { &["5abb", text(&to)] } else { &[text(&to)] };
        let ran = afterimage(&[&[verb], words].concat());
        assert_eq!(ran.code, 3, "{verb}: {}", ran.stderr());
        let said = format!("{}{}", ran.stdout(), ran.stderr());
        assert!(said.contains("damaged in what"), "{verb}: {said}");
        assert!(!said.contains("Nothing lost"), "{verb}: {said}");
    }
}

#[test]
fn a_container_that_a_torn_recording_lacks_may_have_been_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let torn = changed(dir.path(), "torn.aftx", |bytes| bytes.truncate(9000));
    for verb in ["show", "tree", "files", "net", "follow", "logs"] {
        let ran = afterimage(&[verb, "5abb", text(&torn)]);
        assert_eq!(ran.code, 3, "{verb}: {}", ran.stderr());
        assert!(ran.stderr().contains("damaged"), "{verb}: {}", ran.stderr());
    }
    assert_eq!(afterimage(&["show", "no-such", SAMPLE]).code, 1);
}

#[test]
fn a_file_that_is_no_checkpoint_is_a_wrong_argument_and_no_damage() {
    let ran =
        afterimage(&["verify", "--checkpoint", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), SAMPLE]);
    assert_eq!(ran.code, 2, "{}", ran.stdout());
    assert!(ran.stderr().contains("holds no checkpoint"), "{}", ran.stderr());
}

#[test]
fn a_stream_is_saved_in_the_form_that_was_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let saved = |form: &[&str], name: &str| {
        let to = dir.path().join(name);
        let ran =
            afterimage(&[&["follow", "5abb", "--stream", "1", SAMPLE, "--to", text(&to)], form].concat());
        assert_eq!(ran.stderr().lines().filter(|line| line.contains("error")).count(), 0, "{}", ran.stderr());
        std::fs::read(to).expect("saved")
    };
    let printed = |form: &str| {
        let ran = afterimage(&["follow", "5abb", "--stream", "1", SAMPLE, "--as", form]);
        ran.stdout().as_bytes().to_vec()
    };
    assert_eq!(saved(&[], "plain"), saved(&["--as", "raw"], "raw"));
    assert_eq!(saved(&["--as", "hex"], "hex"), printed("hex"));
    assert_eq!(saved(&["--as", "text"], "text"), printed("text"));
    assert_ne!(printed("hex"), printed("text"));
    let ran = afterimage(&["follow", "5abb", "--stream", "1", SAMPLE, "--as", "hex", "-o", "json"]);
    assert_eq!(ran.code, 2, "one form at a time");
}

#[test]
fn who_counts_as_another_grep_does_is_told_how() {
    let ran = afterimage(&["grep", "-c", "evt.type = connect", SAMPLE]);
    assert_eq!(ran.code, 2, "{}", ran.stderr());
    assert!(ran.stderr().contains("`--count` counts"), "{}", ran.stderr());
}

/// A range before the machine was started was told as a range of no length, with exit code 2.
#[test]
fn a_range_before_all_that_was_recorded_has_nothing_and_is_no_wrong_argument() {
    for verb in ["ls", "show", "net", "tree"] {
        let words: &[&str] = if verb == "ls" { &[SAMPLE] } else { &["5abb", SAMPLE] };
        let range = ["-b", "2020-01-01", "-e", "2020-01-02"];
        let ran = afterimage(&[&[verb], words, &range].concat());
        assert_eq!(ran.code, 1, "{verb}: {}", ran.stderr());
        assert!(ran.stderr().contains("nothing was recorded in the asked range"), "{verb}: {}", ran.stderr());
    }
    assert_eq!(afterimage(&["ls", SAMPLE, "-b", "2020-01-01", "-e", "2020-01-01"]).code, 2);
}

/// `report` said that nothing was damaged, and had not looked.
#[test]
fn what_was_not_looked_for_is_not_said_to_be_whole() {
    let ran = afterimage(&["report", SAMPLE]);
    assert!(ran.stdout().contains("no damage met in what was read"), "{}", ran.stdout());
    let ran = afterimage(&["info", SAMPLE]);
    assert!(
        ran.stdout().contains("0 met in what was read; `afterimage verify` reads all"),
        "{}",
        ran.stdout()
    );
}
