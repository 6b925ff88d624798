//! Verbs agree: on how much there is, on where time begins, and on how a container is named.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{Ran, afterimage, command, only_container, ran};

/// A verb of one container with something to print in the samples, and the list of its rows.
const OF_ONE: [(&str, &str); 6] = [
    ("show", "events"),
    ("tree", "processes"),
    ("files", "files"),
    ("net", "conversations"),
    ("follow", "streams"),
    ("diff", "differences"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

fn samples() -> Vec<String> {
    ["intrusion.aftx", "plain.aftx"].map(|n| folder().join(n).to_str().expect("UTF-8").to_owned()).into()
}

fn json(args: &[&str]) -> Value {
    let ran = afterimage(&[args, &["-o", "json"]].concat());
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr());
    ran.json()
}

fn rows<'a>(document: &'a Value, list: &str) -> &'a Vec<Value> {
    document[list].as_array().unwrap_or_else(|| panic!("no `{list}`"))
}

fn sum(document: &Value, list: &str, member: &str) -> u64 {
    rows(document, list).iter().map(|row| row[member].as_u64().expect("a count")).sum()
}

fn count(document: &Value, list: &str) -> u64 {
    rows(document, list).len() as u64
}

#[test]
fn every_verb_counts_the_same_events() {
    for sample in samples() {
        let path = sample.as_str();
        let listed = json(&["ls", path]);
        let id = listed["containers"][0]["id"].as_str().expect("an id");
        let whole = sum(&listed, "containers", "events");
        assert!(whole > 600, "{path}: {whole}");
        let counts = [
            ("info", sum(&json(&["info", path]), "recordings", "events")),
            ("info of one", sum(&json(&["info", "-c", id, path]), "recordings", "events")),
            ("report", sum(&json(&["report", path]), "containers", "events")),
            ("stats", sum(&json(&["stats", "--setup", path]), "stats", "count")),
            ("stats of one", sum(&json(&["stats", "--setup", "-c", id, path]), "stats", "count")),
            (
                "stats by process",
                sum(&json(&["stats", "--setup", "--by", "process", path]), "stats", "count"),
            ),
            ("timeline", sum(&json(&["timeline", path]), "timeline", "events")),
            ("timeline of one", sum(&json(&["timeline", "-c", id, path]), "timeline", "events")),
            ("show", count(&json(&["show", "--setup", "--raw", id, path]), "events")),
            ("grep", count(&json(&["grep", "--setup", "--raw", "evt.num > 0", path]), "events")),
        ];
        for (verb, events) in counts {
            assert_eq!(events, whole, "{verb} of {path}");
        }
        // Without the set-up, the same in those that hide it.
        let own = sum(&json(&["stats", path]), "stats", "count");
        assert!(own < whole);
        assert_eq!(count(&json(&["show", "--raw", id, path]), "events"), own, "show of {path}");
        let found = afterimage(&["grep", "--raw", "--count", "evt.num > 0", path]);
        assert_eq!(found.stdout().trim(), own.to_string(), "grep of {path}");
    }
}

#[test]
fn every_verb_tells_the_same_processes_files_and_bytes() {
    for sample in samples() {
        let path = sample.as_str();
        let tree = json(&["tree", path]);
        let report = json(&["report", path]);
        assert_eq!(rows(&tree, "processes"), rows(&report["containers"][0], "processes"), "{path}");
        let findings = json(&["show", "--findings", path]);
        assert_eq!(rows(&findings, "findings"), rows(&report["containers"][0], "findings"), "{path}");
        assert_eq!(json(&["show", "--tree", path])["processes"], tree["processes"], "{path}");
        let execs = count(&json(&["grep", "evt.type = execve and evt.failed = false", path]), "events");
        let told: usize =
            rows(&tree, "processes").iter().map(|p| p["execs"].as_array().expect("a list").len()).sum();
        assert_eq!(told as u64, execs, "programs of {path}");
        // What went through a connection is the same as talk and as stream.
        let net = json(&["net", path]);
        let streams = json(&["follow", path]);
        for (way, member) in [("sent", "out"), ("received", "in")] {
            let sockets =
                rows(&streams, "streams").iter().filter(|s| s["type"] == "tcp" || s["type"] == "raw");
            let through: u64 = sockets.map(|s| s[member].as_u64().expect("a count")).sum();
            assert_eq!(through, sum(&net, "conversations", way), "{way} in {path}");
        }
    }
}

#[test]
fn offsets_count_from_the_first_program_in_every_verb() {
    for sample in samples() {
        let path = sample.as_str();
        let start = json(&["ls", path])["containers"][0]["start"].clone();
        let zero = |document: &Value, list: &str, time: &str| {
            let row = rows(document, list).iter().find(|row| row["offset"] == "+0.000000").cloned();
            row.unwrap_or_else(|| panic!("{list} of {path}: nothing at +0"))[time].clone()
        };
        assert_eq!(zero(&json(&["show", path]), "events", "time"), start);
        assert_eq!(zero(&json(&["show", "--setup", path]), "events", "time"), start);
        assert_eq!(zero(&json(&["grep", "evt.type = execve", path]), "events", "time"), start);
        assert_eq!(zero(&json(&["show", "--findings", path]), "findings", "time"), start);
        let files = afterimage(&["files", path, "--fields", "first"]);
        assert!(files.stdout().lines().nth(1).is_some_and(|l| l.trim() == "+0.000000"), "{}", files.stdout());
        // The same moment, written in each way, cuts off the same events.
        let moment = start.as_str().expect("a time");
        let clock = moment[11..].trim_end_matches('Z');
        let from = |text: &str| count(&json(&["show", path, "--begin", text]), "events");
        let all = from("+0s");
        assert!(all > 500);
        assert_eq!([from(moment), from(clock), from("start"), from("start+0s")], [all; 4], "{path}");
        assert_eq!(count(&json(&["grep", "time >= +0s", path]), "events"), all, "{path}");
    }
}

/// Rows of a verb without what tells where they were read.
fn told(ran: &Ran, list: &str) -> Value {
    assert!(ran.code == 0, "{}", ran.stderr());
    ran.json()[list].clone()
}

#[test]
fn every_verb_takes_a_container_in_every_way_it_can_be_named() {
    let [path, other] = <[String; 2]>::try_from(samples()).expect("two");
    let listed = json(&["ls", &path]);
    let id = listed["containers"][0]["id"].as_str().expect("an id").to_owned();
    let uid = format!("uid:{}", listed["containers"][0]["uid"]);
    let dir = folder().to_str().expect("UTF-8").to_owned();
    for (verb, list) in OF_ONE {
        let both = |words: &[&str]| -> Value {
            told(&afterimage(&[&[verb], words, &["-o", "json"]].concat()), list)
        };
        if verb == "diff" {
            let expected = both(&[&id, &id, "--all", &path]);
            assert_eq!(both(&[&id[..4], &uid, "--all", &path]), expected);
            continue;
        }
        let expected = both(&[&id, &path]);
        for words in [
            vec![&id[..4], &path],
            vec![&uid, &path],
            vec![&id, &path, &other],
            vec![&id, &dir],
            vec!["-c", &id, &path],
            vec!["--container", &id[..6], &other, &path],
            vec![&path],
        ] {
            assert_eq!(both(&words), expected, "{verb} {words:?}");
        }
        let piped = command()
            .args([verb, "-", "-o", "json"])
            .stdin(std::fs::File::open(&path).expect("the sample"))
            .output()
            .expect("afterimage runs");
        assert_eq!(told(&ran(piped), list), expected, "{verb} -");
        // Which one is meant has to be said where there are several.
        let unclear = afterimage(&[verb, &path, &other]);
        assert_eq!((unclear.code, unclear.stdout()), (2, ""), "{verb}: {}", unclear.stderr());
        assert!(unclear.stderr().contains("name one of 2 containers"), "{verb}: {}", unclear.stderr());
        assert_eq!(afterimage(&[verb, "absent", &path]).code, 1, "{verb}");
    }
    for verb in ["ls", "stats", "timeline", "report"] {
        let one = json(&[verb, "-c", &id, &dir]);
        let same = json(&[verb, "-c", &uid, &path]);
        assert_eq!(one["lost"], same["lost"], "{verb}");
        assert_eq!(afterimage(&[verb, "-c", "absent", &path]).code, 1, "{verb}");
    }
    assert_eq!(count(&json(&["ls", &dir]), "containers"), 2);
    assert_eq!(json(&["ls", "-c", &id, &dir])["containers"], listed["containers"]);
}

#[test]
fn every_verb_takes_the_same_range() {
    let [path, _] = <[String; 2]>::try_from(samples()).expect("two");
    let id = only_container(&path);
    for (verb, list) in OF_ONE {
        let ask = |range: &[&str]| {
            let who: &[&str] = if verb == "diff" { &[&id, &id, "--all"] } else { &[&id] };
            let ran = afterimage(&[&[verb], who, &[path.as_str(), "-o", "json"], range].concat());
            if ran.code == 1 { 0 } else { told(&ran, list).as_array().expect("a list").len() }
        };
        let (all, part, none) =
            (ask(&[]), ask(&["-b", "+0s", "-e", "+200ms"]), ask(&["-b", "+100s", "-e", "+200s"]));
        assert!(part < all, "{verb}: {part} of {all}");
        assert_eq!(none, 0, "{verb}");
        let who: &[&str] = if verb == "diff" { &[&id, &id] } else { &[&id] };
        let refused = afterimage(&[&[verb], who, &[path.as_str(), "-b", "yesterday"]].concat());
        assert_eq!(refused.code, 2, "{verb}: {}", refused.stderr());
    }
    let at = json(&["tree", &path, "--at", "+300ms"]);
    assert!(rows(&at, "processes").iter().all(|p| p["exit"] == "running"), "{at}");
    let lived = json(&["tree", &path, "-b", "+300ms", "-e", "+300.001ms"]);
    assert_eq!(count(&at, "processes"), count(&lived, "processes"));
}

#[test]
fn fields_help_lists_members_without_a_recording() {
    for verb in
        ["ls", "show", "tree", "files", "net", "follow", "logs", "stats", "timeline", "info", "verify"]
    {
        let ran = afterimage(&[verb, "--fields", "help"]);
        assert_eq!((ran.code, ran.stderr()), (0, ""), "{verb}");
        assert!(ran.stdout().lines().count() > 5, "{verb}: {}", ran.stdout());
    }
    let lookups = afterimage(&["net", "--lookups", "--fields", "help"]);
    assert!(lookups.stdout().contains("aliases"), "{}", lookups.stdout());
}
