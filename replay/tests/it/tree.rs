//! `afterimage tree`, `show --findings` and `report`.

use crate::{run::afterimage, show::story};

#[test]
fn tree_shows_who_started_whom_and_how_it_ended() {
    let store = story().seal();
    let ran = afterimage(&["tree", "web", store.arg()]);
    insta::assert_snapshot!(ran.stdout());
    assert_eq!(ran.stdout(), afterimage(&["show", "web", "--tree", store.arg()]).stdout());
    let document = afterimage(&["tree", "web", store.arg(), "-o", "json"]).json();
    let dropped = &document["processes"][1];
    assert_eq!((&dropped["pid"], &dropped["parent_pid"]), (&412.into(), &410.into()));
    assert_eq!(dropped["marks"], serde_json::json!(["upper layer"]));
    assert_eq!(dropped["argv"], serde_json::json!(["/tmp/.x", "-q"]));
    assert_eq!((&dropped["exit_code"], &dropped["exit_signal"]), (&3.into(), &serde_json::Value::Null));
    assert_eq!(dropped["end"], "2026-11-21T11:58:10.000000000Z");
}

#[test]
fn tree_at_a_moment_has_those_who_lived_then() {
    let store = story().seal();
    let pids = |at: &str| {
        let document = afterimage(&["tree", "web", store.arg(), "--at", at, "-o", "json"]).json();
        let rows = document["processes"].as_array().expect("a list").clone();
        rows.iter().filter_map(|r| r["pid"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(pids("+1s"), [410]);
    assert_eq!(pids("+3s"), [410, 412]);
    assert_eq!(pids("+7.5s"), [410]);
}

#[test]
fn findings_name_the_new_program() {
    let store = story().seal();
    let document = afterimage(&["show", "web", "--findings", store.arg(), "-o", "json"]).json();
    let rows = document["findings"].as_array().expect("a list").clone();
    let new =
        rows.iter().find(|r| r["detail"].as_str().is_some_and(|d| d.contains("/tmp/.x"))).expect("a row");
    assert_eq!(new["pid"], 412);
    assert_ne!(new["severity"], "info", "{new}");
}

#[test]
fn report_tells_containers_trees_findings_and_losses() {
    let store = story().seal();
    let ran = afterimage(&["report", store.arg()]);
    assert_eq!(ran.code, 4);
    let text = ran.stdout();
    for part in [
        "of host node-7, kernel 6.18.5",
        "lost: 312 events in 1 gap",
        "3ad7b26ded6d",
        "Its recording is partial: events lost",
        "└─ /tmp/.x -q [upper layer]",
        "Key events of 3ad7b26ded6d (web)",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    let document = afterimage(&["report", store.arg(), "-o", "json"]).json();
    let web = &document["containers"].as_array().expect("a list")[0];
    assert_eq!(web["processes"].as_array().map(Vec::len), Some(2));
    assert!(web["findings"].as_array().is_some_and(|f| !f.is_empty()));
    let one = afterimage(&["report", store.arg(), "-c", "other", "-o", "json"]).json();
    assert_eq!(one["containers"].as_array().map(Vec::len), Some(1));
}

/// The members of every row are of the kinds that `docs/json.md` says.
#[test]
fn rows_hold_what_the_documentation_says() {
    let store = story().seal();
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md")).expect("docs");
    let verbs: [&[&str]; 6] =
        [&["ls"], &["info"], &["stats"], &["timeline"], &["show", "web"], &["tree", "web"]];
    for verb in verbs {
        let section = page.split("\n## ").find(|s| s.starts_with(&format!("`afterimage {}`", verb[0])));
        let section = section.unwrap_or_else(|| panic!("{verb:?} is not documented"));
        let args = [verb, &[store.arg(), "-o", "json"]].concat();
        let document = afterimage(&args).json();
        let list = document["kind"].as_str().expect("a kind").to_owned();
        for row in document[&list].as_array().expect("a list") {
            check_row(verb, section, row);
        }
    }
}

fn check_row(verb: &[&str], section: &str, row: &serde_json::Value) {
    for (key, value) in row.as_object().expect("an object") {
        let line = section.lines().find(|l| l.starts_with(&format!("| `{key}` |")));
        let kind = line.and_then(|l| l.split('|').nth(2)).map(str::trim);
        let fits = match kind.unwrap_or_else(|| panic!("{verb:?} {key} is not documented")) {
            _ if value.is_null() => true,
            "string" => value.is_string(),
            "time" => value.as_str().is_some_and(|t| t.len() == 30 && t.ends_with('Z')),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "list of strings" => value.as_array().is_some_and(|v| v.iter().all(serde_json::Value::is_string)),
            "list of objects" => value.as_array().is_some_and(|v| v.iter().all(serde_json::Value::is_object)),
            other => panic!("unknown kind `{other}`"),
        };
        assert!(fits, "{verb:?} {key} is documented as {kind:?} and is {value}");
    }
}
