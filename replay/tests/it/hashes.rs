//! A program that is not of its container's image is found by its hash.

use crate::run::{Ran, afterimage};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");

/// Path and hash of the program that the intruder brought.
fn dropped() -> (String, String) {
    let files = afterimage(&["files", SAMPLE, "-o", "jsonl"]).json_lines();
    let hashed = files.iter().filter(|row| row["sha256"].is_string());
    let found: Vec<(&str, &str)> =
        hashed.map(|row| (row["path"].as_str().unwrap(), row["sha256"].as_str().unwrap())).collect();
    let [(path, hash)] = found[..] else { panic!("one program was brought: {found:?}") };
    (path.to_owned(), hash.to_owned())
}

fn grep(filter: &str) -> Ran {
    afterimage(&["grep", filter, SAMPLE, "-o", "jsonl"])
}

/// When each event was, and what.
fn events(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = ran.json_lines();
    let events = rows.iter().filter(|row| row["kind"] == "event");
    events.map(|row| (text(&row["time"]), text(&row["event"]))).collect()
}

#[test]
fn all_that_a_program_did_is_found_by_its_hash_from_its_execution_on() {
    let (path, hash) = dropped();
    let found = events(&grep(&format!("proc.exe_sha256 = {hash}")));
    assert!(found.len() > 3, "{found:?}");
    assert_eq!(found[0].1, "exec");
    assert_eq!(found, events(&grep(&format!("proc.exepath = {path}"))));
}

#[test]
fn a_hash_that_is_nowhere_finds_nothing_and_no_block_is_read_for_it() {
    let nowhere = "0".repeat(64);
    assert_eq!(grep(&format!("proc.exe_sha256 in ({nowhere})")).code, 1);
    let ran = afterimage(&["grep", "--explain", &format!("proc.exe_sha256 = {nowhere}"), SAMPLE]);
    assert!(ran.stdout().contains("reads    0 of 1 blocks"), "{}", ran.stdout());
}

#[test]
fn every_event_has_a_program_with_a_hash_or_not() {
    let count = |filter: &str| {
        let ran = afterimage(&["grep", "--count", filter, SAMPLE]);
        ran.stdout().trim().parse::<u64>().expect("a number")
    };
    let with = count("proc.exe_sha256 exists");
    assert!(with > 0);
    assert_eq!(with + count("not proc.exe_sha256 exists"), count("evt.num > 0"));
}

/// What a hunt for one rule says of each hit.
fn hunted(condition: &str, output: &str) -> Vec<String> {
    let rules = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    let text = format!(
        "- rule: one\n  desc: one\n  condition: {condition}\n  output: \"{output}\"\n  priority: CRITICAL\n"
    );
    std::fs::write(rules.path(), text).expect("written");
    let ran = afterimage(&["hunt", "--rules", rules.path().to_str().expect("UTF-8"), SAMPLE, "-o", "jsonl"]);
    ran.json_lines().iter().filter_map(|row| row["message"].as_str()).map(str::to_owned).collect()
}

#[test]
fn rules_of_a_hunt_know_hashes() {
    let (path, hash) = dropped();
    let condition = format!("evt.type = execve and proc.exe_sha256 in ({hash})");
    let hits = hunted(&condition, "%proc.exepath is %proc.exe_sha256");
    // The output has the container behind it, as Falco's has.
    let told = format!("{path} is {hash} container_id=");
    assert!(hits.len() == 1 && hits[0].starts_with(&told), "{hits:?}");
}

/// Hashes were read only where a condition asked for them: an output alone showed `<NA>`.
#[test]
fn a_rule_that_only_shows_hashes_has_them() {
    let (path, hash) = dropped();
    let condition = format!("evt.type = execve and proc.exepath = {path}");
    for output in ["%proc.exepath is %proc.exe_sha256", "%proc.exepath is %tolower(proc.exe_sha256)"] {
        let hits = hunted(&condition, output);
        let told = format!("{path} is {hash} container_id=");
        assert!(hits.len() == 1 && hits[0].starts_with(&told), "{hits:?}");
    }
}
