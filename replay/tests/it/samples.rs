//! The committed samples are what their manifest says: the bytes, the container, and what must be found in it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::run::{Ran, afterimage};

/// A sample is in every clone for ever.
const MAX_BYTES: usize = 300_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

fn samples() -> Vec<Value> {
    let manifest = std::fs::read(folder().join("manifest.json")).expect("the manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["samples"].as_array().expect("samples").clone()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {value}"))
}

fn path(sample: &Value) -> String {
    folder().join(text(sample, "file")).to_str().expect("UTF-8").to_owned()
}

/// The rows of one kind: a summary comes after them.
fn rows(ran: &Ran, kind: &str) -> Vec<Value> {
    ran.json_lines().into_iter().filter(|row| row["kind"] == kind).collect()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|word| word.as_str().expect("text")).collect()
}

/// What a viewer asks of a trace: on a thread's track a slice lies in another one or beside it, never half in it.
fn check_nesting(slices: &[&Value]) {
    let number =
        |slice: &Value, key: &str| slice[key].as_f64().unwrap_or_else(|| panic!("no `{key}` in {slice}"));
    let mut slices: Vec<(f64, f64)> =
        slices.iter().map(|s| (number(s, "ts"), number(s, "ts") + number(s, "dur"))).collect();
    slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut open: Vec<(f64, f64)> = Vec::new();
    for slice in slices {
        open.retain(|around| around.1 > slice.0);
        // A thousandth of a nanosecond is the numbers' own.
        assert!(open.last().is_none_or(|around| slice.1 <= around.1 + 1e-6), "{slice:?} in {open:?}");
        open.push(slice);
    }
}

#[test]
fn a_trace_for_viewers_has_every_process_program_call_and_finding() {
    for sample in samples() {
        let path = path(&sample);
        let ran = afterimage(&["timeline", "--perfetto", &path]);
        assert_eq!(ran.code, 0, "{}", ran.stderr());
        let document = ran.json();
        let events = document["traceEvents"].as_array().expect("events");
        let of = |kind: &str| events.iter().filter(|event| event["cat"] == kind).collect::<Vec<_>>();
        let shown = |more: &[&str]| afterimage(&[&["show", &path, "-o", "jsonl"], more].concat());
        assert_eq!(of("call").len(), rows(&shown(&["--raw"]), "event").len());
        assert_eq!(of("finding").len(), rows(&shown(&["--findings"]), "finding").len());
        let tree = rows(&afterimage(&["tree", &path, "-o", "jsonl"]), "process");
        assert_eq!(of("process").len(), tree.len());
        let programs: usize = tree.iter().filter_map(|row| row["execs"].as_array()).map(Vec::len).sum();
        assert_eq!(of("program").len(), programs);
        let slices = || events.iter().filter(|event| event["ph"] == "X");
        let tracks: BTreeSet<_> = slices().map(|slice| slice["tid"].as_u64().expect("a thread")).collect();
        for track in tracks {
            check_nesting(&slices().filter(|slice| slice["tid"] == track).collect::<Vec<_>>());
        }
    }
}

#[test]
fn samples_are_the_recordings_of_the_manifest_and_small() {
    let samples = samples();
    assert_eq!(samples.len(), 2);
    for sample in samples {
        let bytes = std::fs::read(path(&sample)).expect("the sample");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, text(&sample, "sha256"), "{}", text(&sample, "file"));
        assert!(bytes.len() < MAX_BYTES, "{} has {} bytes", text(&sample, "file"), bytes.len());
    }
}

#[test]
fn samples_hold_one_deleted_container_and_nothing_was_lost() {
    for sample in samples() {
        let ran = afterimage(&["ls", "--all", &path(&sample), "-o", "jsonl"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr());
        let rows = rows(&ran, "container");
        assert_eq!(rows.len(), 1, "{}", ran.stdout());
        assert_eq!(text(&rows[0], "id"), text(&sample, "container"));
        assert_eq!(text(&rows[0], "state"), "deleted");
        assert_eq!(rows[0]["exit_code"].to_string(), text(&sample, "exit"));
        assert_eq!(rows[0]["lost"], 0, "{}", rows[0]);
    }
}

#[test]
fn samples_show_what_must_be_found_in_them() {
    for sample in samples() {
        let ran = afterimage(&["show", text(&sample, "container"), &path(&sample), "-o", "jsonl"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr());
        let rows = rows(&ran, "event");
        for find in sample["find"].as_array().expect("a list") {
            let (events, holds) = (words(&find["event"]), words(&find["holds"]));
            let found = rows.iter().filter(|row| {
                let line = row.to_string();
                events.contains(&text(row, "event")) && holds.iter().all(|word| line.contains(word))
            });
            let found = found.count() as u64;
            let least = find["at_least"].as_u64().expect("a number");
            assert!(found >= least, "{}: {}: {found} rows", text(&sample, "file"), text(find, "what"));
        }
    }
}
