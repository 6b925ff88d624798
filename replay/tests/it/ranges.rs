//! `--begin` and `--end` mean the same everywhere: what is at `--begin` belongs to a range, what is at `--end` does not, and
//! what two ranges that meet count is what both count together.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::run::{afterimage, only_container};

const INTRUSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");

/// What a verb prints of which members can be added up.
struct Sums {
    /// The verb and its options.
    verb: &'static [&'static str],
    /// The member with its rows.
    rows: &'static str,
    /// What can be added up.
    members: &'static [&'static str],
}

const VERBS: [Sums; 7] = [
    Sums { verb: &["stats", "--setup"], rows: "stats", members: &["count", "failed"] },
    Sums { verb: &["timeline", "--columns", "1"], rows: "timeline", members: &["events", "exec", "net"] },
    Sums {
        verb: &["net"],
        rows: "conversations",
        members: &["connections", "failures", "sent", "received", "messages_sent", "messages_received"],
    },
    Sums { verb: &["net", "--listeners"], rows: "listeners", members: &["accepted"] },
    Sums { verb: &["files", "--all", "--setup"], rows: "files", members: &["written", "read", "recorded"] },
    Sums { verb: &["follow"], rows: "streams", members: &["in", "out"] },
    Sums {
        verb: &["tree", "--setup"],
        rows: "processes",
        members: &["events", "bytes_written", "bytes_sent", "bytes_received"],
    },
];

fn sums(of: &Sums, range: &[&str]) -> BTreeMap<&'static str, u64> {
    let container = only_container(INTRUSION);
    let whose: &[&str] = match of.verb[0] {
        "stats" | "timeline" => &["-c", &container, INTRUSION],
        _ => &[&container, INTRUSION],
    };
    let document = afterimage(&[of.verb, whose, range, &["-o", "json"]].concat()).json();
    let rows = document[of.rows].as_array().unwrap_or_else(|| panic!("{document}"));
    let sum = |member| rows.iter().map(|row| row[member].as_u64().unwrap_or(0)).sum();
    of.members.iter().map(|member| (*member, sum(member))).collect()
}

/// Times of events, as they are printed: first, middle ones, last.
fn moments() -> [String; 5] {
    let shown = afterimage(&["show", &only_container(INTRUSION), INTRUSION, "-o", "json"]).json();
    let rows = shown["events"].as_array().expect("a list");
    let of = |at: usize| rows[at].get("time").and_then(Value::as_str).expect("a time").to_owned();
    [0, rows.len() / 3, rows.len() / 2, rows.len() * 4 / 5, rows.len() - 1].map(of)
}

/// `net -b T` said as much as `net` without a range, and an event at T was in the range before it and in the one behind it.
#[test]
fn what_is_before_a_moment_and_what_is_behind_it_are_the_whole() {
    for of in VERBS {
        let whole = sums(&of, &[]);
        for moment in moments() {
            let (before, behind) = (sums(&of, &["-e", &moment]), sums(&of, &["-b", &moment]));
            let both = |(member, sum): (&&'static str, &u64)| (*member, sum + behind[member]);
            let both: BTreeMap<_, _> = before.iter().map(both).collect();
            assert_eq!(both, whole, "{:?} at {moment}", of.verb);
        }
    }
}

#[test]
fn counts_of_events_meet_at_a_moment_too() {
    let count = |range: &[&str]| -> u64 {
        let ran = afterimage(&[&["grep", "evt.num >= 0", INTRUSION, "--setup", "--count"], range].concat());
        ran.stdout().trim().parse().unwrap_or_else(|_| panic!("{ran:?}"))
    };
    for moment in moments() {
        assert_eq!(count(&["-e", &moment]) + count(&["-b", &moment]), count(&[]), "{moment}");
    }
    assert_eq!(count(&["-e", "end"]), count(&[]), "`end` is behind the last event");
    let [.., last] = moments();
    assert_eq!(afterimage(&["grep", "evt.num >= 0", INTRUSION, "-b", &last, "-e", &last]).code, 2);
}

/// `end` was the end of the container's first process, and left out what came behind that.
#[test]
fn end_is_behind_all_that_there_is_of_a_container() {
    for of in VERBS {
        assert_eq!(sums(&of, &["-e", "end"]), sums(&of, &[]), "{:?}", of.verb);
    }
    let container = only_container(INTRUSION);
    let lines = |range: &[&str]| {
        let ran = afterimage(&[&["show", &container, INTRUSION, "--setup", "-o", "jsonl"], range].concat());
        ran.stdout().lines().count()
    };
    assert_eq!(lines(&["-e", "end"]), lines(&[]));
    let after = afterimage(&["show", &container, INTRUSION, "-b", "2100-01-01", "-e", "end"]);
    assert_eq!(after.code, 1, "nothing is there, and nothing is the wrong way round: {after:?}");
}

/// A timeline of fewer nanoseconds than parts went beyond its end, and one from before the first event counted that one.
#[test]
fn a_timeline_counts_nothing_outside_of_its_range() {
    let container = only_container(INTRUSION);
    let [first, _, middle, ..] = moments();
    let next = format!("{}{}Z", &middle[..middle.len() - 2], middle.as_bytes()[middle.len() - 2] - b'0' + 1);
    assert!(next > middle && next.len() == middle.len(), "{next}: choose a moment that does not end with 9");
    for (range, count) in [
        (&["-b", &middle, "-e", &next][..], 1),
        (&["-b", &first, "-e", &middle], 357),
        (&["-e", "1990-01-01"], 0),
        (&["-b", "2100-01-01"], 0),
    ] {
        for whose in [&["-c", &container, INTRUSION][..], &[INTRUSION]] {
            for columns in ["1", "80", "10000"] {
                let verb = ["timeline", "--columns", columns, "-o", "json"];
                let document = afterimage(&[&verb, whose, range].concat()).json();
                let parts = document["timeline"].as_array().expect("parts");
                let events: u64 = parts.iter().filter_map(|part| part["events"].as_u64()).sum();
                assert_eq!(events, count, "{range:?} in {columns}: {document}");
            }
        }
    }
    let empty = afterimage(&["timeline", INTRUSION, "-e", "start"]);
    assert_eq!(empty.code, 1, "{empty:?}");
}

#[test]
fn what_two_containers_did_is_cut_at_both_ends() {
    let container = only_container(INTRUSION);
    let counts = |range: &[&str]| -> BTreeMap<(String, String), u64> {
        let ran =
            afterimage(&[&["diff", &container, &container, INTRUSION, "-a", "-o", "json"], range].concat());
        let document = ran.json();
        let text = |row: &Value, member: &str| row[member].as_str().expect("text").to_owned();
        let rows = document["differences"].as_array().expect("a list").iter();
        // A peer counts once in each range in which it was talked to.
        let rows = rows.filter(|row| row["what"] != "peer");
        rows.map(|row| ((text(row, "what"), text(row, "item")), row["a"].as_u64().expect("a count")))
            .collect()
    };
    let whole = counts(&[]);
    for moment in moments() {
        let mut both = counts(&["-e", &moment]);
        for (what, count) in counts(&["-b", &moment]) {
            *both.entry(what).or_default() += count;
        }
        assert_eq!(both, whole, "{moment}");
    }
}

/// `follow -s 7 -b T` said that there is one stream, whose number was 7 a moment ago.
#[test]
fn a_stream_has_the_same_number_in_every_range() {
    let container = only_container(INTRUSION);
    let numbers = |range: &[&str]| -> BTreeMap<u64, String> {
        let document = afterimage(&[&["follow", &container, INTRUSION, "-o", "json"], range].concat()).json();
        let rows = document["streams"].as_array().expect("a list").iter();
        rows.map(|row| (row["stream"].as_u64().expect("a number"), row["what"].to_string())).collect()
    };
    let whole = numbers(&[]);
    let mut seen = 0;
    for moment in moments() {
        for (number, what) in numbers(&["-b", &moment]) {
            assert_eq!(whole[&number], what, "{moment}");
            let number = number.to_string();
            let ran = afterimage(&["follow", &container, INTRUSION, "-s", &number, "-b", &moment]);
            assert_eq!(ran.code, 0, "{ran:?}");
            seen += 1;
        }
    }
    assert!(seen > whole.len(), "several ranges had streams");
    let [.., last] = moments();
    let ran = afterimage(&["follow", &container, INTRUSION, "-s", "1", "-b", &last]);
    assert_eq!((ran.code, ran.stdout()), (1, ""), "{ran:?}");
    assert!(ran.stderr().contains("nothing of stream 1 is in the asked range"), "{ran:?}");
}

#[test]
fn what_was_there_before_a_range_is_marked() {
    let container = only_container(INTRUSION);
    let [.., late, _] = moments();
    let document = afterimage(&["net", &container, INTRUSION, "-b", &late, "-o", "json"]).json();
    let talks = document["conversations"].as_array().expect("a list");
    assert!(talks.iter().any(|talk| talk["before"] == true && talk["connections"] == 0), "{document}");
    assert_eq!(document["ranges"][0]["begin"], late.as_str(), "{document}");
    assert_eq!(document["ranges"][0]["end"], Value::Null);
    let whole = afterimage(&["net", &container, INTRUSION, "-o", "json"]).json();
    assert!(whole.get("ranges").is_none(), "{whole}");
    let tree = afterimage(&["tree", &container, INTRUSION, "-e", &late, "-o", "json"]).json();
    let ends = tree["processes"].as_array().expect("a list").iter().map(|row| &row["end"]);
    let ends: Vec<&str> = ends.filter_map(Value::as_str).collect();
    assert!(!ends.is_empty() && ends.iter().all(|end| *end < late.as_str()), "{ends:?}");
}

#[test]
fn a_report_of_a_part_says_so() {
    let [_, begin, .., end] = moments();
    let report = afterimage(&["report", INTRUSION, "-b", &begin, "-e", &end]);
    assert!(report.stdout().contains("This report is of a part: from 2026-11-22 09:29:5"), "{report:?}");
    assert!(!afterimage(&["report", INTRUSION]).stdout().contains("of a part"));
    let document = afterimage(&["report", INTRUSION, "-b", &begin, "-o", "json"]).json();
    assert_eq!(document["ranges"][0]["begin"], begin.as_str());
}

/// `stats` summed up to less than `ls` counts, and nothing said why.
#[test]
fn set_up_that_is_not_counted_is_named() {
    for verb in
        [&["stats"][..], &["grep", "evt.num >= 0", "--count"], &["grep", "evt.type exists", "--count"]]
    {
        let ran = afterimage(&[verb, &[INTRUSION]].concat());
        assert!(ran.stderr().contains("set-up") && ran.stderr().contains("--setup"), "{ran:?}");
        let ran = afterimage(&[verb, &["--setup", INTRUSION]].concat());
        assert!(!ran.stderr().contains("set-up"), "{ran:?}");
    }
    let limited = afterimage(&["grep", "evt.num >= 0", "--count", "-n", "5", INTRUSION]);
    assert_eq!((limited.code, limited.stdout()), (0, "5\n"), "{limited:?}");
    let none = afterimage(&["show", &only_container(INTRUSION), INTRUSION, "-n", "0"]);
    assert_eq!(none.code, 0, "{none:?}");
}
