//! `docs/json.md` against what the verbs print: every member that is written down is there with its type, and no
//! other; lines, documents and CSV have the same ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Map, Value};

use crate::run::{Ran, afterimage, only_container};

/// One verb as it is written down.
#[derive(Debug, Default)]
struct Schema {
    list: String,
    row: String,
    members: Vec<(String, String)>,
}

/// A rule that the intrusion trips.
const RULE: &str =
    "- rule: r\n  desc: d\n  condition: evt.type = connect\n  output: o %fd.name\n  priority: INFO\n";

/// A word between backticks, the `n`th of a line.
fn quoted(line: &str, n: usize) -> String {
    line.split('`').nth(2 * n + 1).unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn schemas() -> BTreeMap<String, Schema> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let text = std::fs::read_to_string(path).expect("docs/json.md");
    let mut all: BTreeMap<String, Schema> = BTreeMap::new();
    let mut verb = String::new();
    for line in text.lines() {
        if line.starts_with("## `afterimage ") {
            verb = quoted(line, 0).trim_start_matches("afterimage ").to_owned();
        } else if line.starts_with("List `") {
            let row = quoted(line, 1);
            let row = row.rsplit('"').nth(1).expect("a kind").to_owned();
            all.insert(verb.clone(), Schema { list: quoted(line, 0), row, members: Vec::new() });
        } else if let Some(schema) = all.get_mut(&verb).filter(|_| line.starts_with("| `")) {
            let kind = line.split('|').nth(2).expect("a type").trim().to_owned();
            schema.members.push((quoted(line, 0), kind));
        }
    }
    all
}

/// The arguments that make a verb of the page print rows.
fn arguments(verb: &str, dir: &Path) -> Vec<String> {
    let sample = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name);
        path.to_str().expect("UTF-8").to_owned()
    };
    let (intrusion, plain) = (sample("intrusion.aftx"), sample("plain.aftx"));
    let rules = dir.join("rules.yaml");
    std::fs::write(&rules, RULE).expect("written");
    let rules = rules.to_str().expect("UTF-8");
    let extract = dir.join("extract.aftx");
    let extract = extract.to_str().expect("UTF-8");
    let damaged = dir.join("damaged.aftx");
    let mut bytes = std::fs::read(&intrusion).expect("the sample");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).expect("written");
    let damaged = damaged.to_str().expect("UTF-8");
    let (bad, good) = (only_container(&intrusion), only_container(&plain));
    let words: Vec<&str> = match verb {
        "follow --stream" => vec!["follow", "--stream", "7", &intrusion],
        "grep" => vec!["grep", "evt.type in (connect, execve)", &intrusion],
        "net --listeners" => vec!["net", "--listeners", &plain],
        "diff" => vec!["diff", &bad, &good, &intrusion, &plain],
        "verify" => vec!["verify", damaged],
        "hunt" => vec!["hunt", "--rules", rules, &intrusion],
        "extract" | "merge" | "recover" => vec![verb, "--to", extract, &intrusion],
        verb => verb.split(' ').chain([intrusion.as_str()]).collect(),
    };
    words.into_iter().map(str::to_owned).collect()
}

fn run(args: &[String], format: &str) -> Ran {
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["-o", format]);
    afterimage(&args)
}

fn fits(value: &Value, kind: &str) -> bool {
    match (value, kind) {
        (Value::Null, _) => true,
        (Value::String(text), "time") => text.len() == 30 && text.ends_with('Z') && text.contains('T'),
        (Value::String(_), "string") | (Value::Bool(_), "boolean") | (Value::Object(_), "object") => true,
        (Value::Number(number), "integer") => number.is_i64() || number.is_u64(),
        (Value::Array(items), "list of strings") => items.iter().all(Value::is_string),
        (Value::Array(items), "list of objects") => items.iter().all(Value::is_object),
        _ => false,
    }
}

fn check_row(verb: &str, schema: &Schema, row: &Map<String, Value>) {
    let names: BTreeSet<&String> = row.keys().filter(|k| *k != "kind").collect();
    let written: BTreeSet<&String> = schema.members.iter().map(|(name, _)| name).collect();
    assert_eq!(names, written, "{verb}");
    for (name, kind) in &schema.members {
        assert!(fits(&row[name], kind), "{verb}: `{name}` is no {kind}: {}", row[name]);
    }
}

/// What every document and every summary ends with.
fn check_end(verb: &str, end: &Map<String, Value>) {
    assert_eq!(end["schema"], 1, "{verb}");
    // `verify` does not ask for events: what is missing is what it finds.
    if verb != "verify" {
        assert_eq!(end["lost"], 0, "{verb}");
        assert!(end["gaps"].is_array() && end["defects"].is_array(), "{verb}");
    }
}

#[test]
fn what_the_verbs_print_is_what_is_written_down() {
    let all = schemas();
    assert!(all.len() >= 19, "{:?}", all.keys());
    for (verb, schema) in &all {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let args = arguments(verb, dir.path());
        let document = run(&args, "json").json();
        let document = document.as_object().expect("an object");
        assert_eq!(document["kind"], schema.list.as_str(), "{verb}");
        check_end(verb, document);
        let rows = document[&schema.list].as_array().expect("a list");
        // The samples resolve no name and write nothing to their standard streams.
        assert!(!rows.is_empty() || ["net --lookups", "logs"].contains(&verb.as_str()), "{verb}");
        rows.iter().for_each(|row| check_row(verb, schema, row.as_object().expect("an object")));

        let dir = tempfile::tempdir().expect("a temporary directory");
        let args = arguments(verb, dir.path());
        let mut lines = run(&args, "jsonl").json_lines();
        let summary = lines.pop().expect("a summary");
        assert_eq!(summary["kind"], "summary", "{verb}");
        check_end(verb, summary.as_object().expect("an object"));
        assert_eq!(lines.len(), rows.len(), "{verb}");
        for line in &lines {
            assert_eq!(line["kind"], schema.row.as_str(), "{verb}");
            check_row(verb, schema, line.as_object().expect("an object"));
        }
    }
}

#[test]
fn csv_has_the_members_that_are_written_down() {
    for (verb, schema) in &schemas() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ran = run(&arguments(verb, dir.path()), "csv");
        let names: Vec<&str> = schema.members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(ran.stdout().lines().next(), Some(names.join(",").as_str()), "{verb}");
    }
}
