//! What a verb cannot answer whole it does not answer as if it could: damage, wrong arguments, what was left out.

use std::path::{Path, PathBuf};

use afterimage_format::Engine;

use crate::{
    fixture::{Call, Fixture, container, id, task},
    run::afterimage,
};

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

/// A copy of a killed recorder's store was `consistent` to `verify`, and `torn` with exit code 3 to all others, though nothing was
/// torn. Where a crash did cut a write, they did not agree either.
#[test]
fn what_a_killed_recorder_left_is_as_whole_to_all_verbs_as_it_is_to_verify() {
    let mut fixture = Fixture::new();
    fixture.container(&container(1, Engine::Docker, &id("aa"), 0.0, &[]));
    for step in 0..50 {
        fixture.call(1, 1.0 + f64::from(step), task(10, 0.0), Call { nr: 39, ..Call::default() });
        fixture.commit();
    }
    let store = fixture.leave();
    let code_of = |words: &[&str]| {
        let ran = afterimage(words);
        (ran.code, ran.stderr().to_owned())
    };
    let all = |path: &str| {
        [&["verify", path][..], &["ls", path], &["info", path], &["show", "aa", path], &["tree", "aa", path]]
            .map(code_of)
    };
    for (code, said) in all(store.arg()) {
        assert_eq!((code, said.contains("torn")), (0, false), "{said}");
    }
    let document = afterimage(&["ls", store.arg(), "-o", "json"]).json();
    let row = &document["containers"][0];
    assert_eq!(
        (&row["state"], &row["partial"][0]),
        (&"unknown".into(), &"recording ended before it".into()),
        "{row}"
    );

    // Now the last write is cut.
    let segment = store.files().into_iter().find(|f| f.extension().is_some_and(|e| e == "aft")).expect("one");
    let whole = std::fs::read(&segment).expect("the segment");
    let end = whole.iter().rposition(|&byte| byte != 0).expect("blocks") + 1;
    std::fs::write(&segment, &whole[..end - 7]).expect("written");
    let ran = all(store.arg());
    assert!(ran.iter().all(|(code, _)| *code == 0), "{ran:?}");
    assert!(ran[1..].iter().all(|(_, said)| said.contains("torn at offset")), "{ran:?}");
    assert!(afterimage(&["verify", store.arg()]).stdout().contains("torn_tail"));
    // Of one whose bytes were changed nobody says that it is whole.
    let mut changed = whole;
    changed[4096 + 200] ^= 1;
    std::fs::write(&segment, &changed).expect("written");
    for (at, (code, said)) in all(store.arg()).into_iter().enumerate() {
        assert_eq!(code, 3, "{at}: {said}");
    }
}

/// An extract that was cut between two blocks was whole to all verbs but `verify`.
#[test]
fn a_copy_without_its_end_is_damaged_to_all_verbs() {
    let recording = afterimage_format::Recording::open(Path::new(SAMPLE)).expect("the sample");
    assert!(!recording.unsealed());
    let dir = tempfile::tempdir().expect("a directory");
    let mut ends = 0;
    let whole = std::fs::read(SAMPLE).expect("the sample");
    for at in (4096 + 16..whole.len()).step_by(8).filter(|&at| whole[at..].starts_with(b"AFB1")) {
        let cut = changed(dir.path(), "cut.aftx", |bytes| bytes.truncate(at));
        for verb in ["verify", "ls", "info"] {
            let ran = afterimage(&[verb, text(&cut)]);
            assert_eq!(ran.code, 3, "{verb} at {at}: {}", ran.stderr());
        }
        ends += 1;
    }
    assert!(ends > 1, "{ends}");
}
