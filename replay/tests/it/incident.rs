//! `extract --incident`: what a trigger pinned, and what is known of the trigger.

use std::fs;

use afterimage_format::{Engine, Recording};
use serde_json::{Value, json};

use crate::{
    fixture::{Call, Fixture, Store, at, container, id, task},
    run::afterimage,
};

/// The hash of the alert's body, `{}`.
const EMPTY: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// Two containers over a minute, in blocks of about ten seconds; an alert pinned a part of the first one.
fn store() -> Store {
    let mut fixture = Fixture::new();
    fixture.container(&container(1, Engine::Docker, &id("aa"), 0.0, &[]));
    fixture.container(&container(2, Engine::Docker, &id("bb"), 0.0, &[]));
    for second in (0..60).step_by(10) {
        for uid in [1, 2] {
            for step in 0..5 {
                let at = f64::from(second) + f64::from(step) / 10.0;
                fixture.call(uid, at, task(10, 0.0), Call { nr: 39, ..Call::default() });
            }
        }
        fixture.commit();
    }
    let store = fixture.seal();
    let trigger = |id: &str, rule: &str, pin: &str| {
        json!({
            "kind": "trigger", "id": id, "rule": rule, "source": "falco", "body_sha256": EMPTY,
            "time": "2026-11-21T11:58:22Z",
            "containers": [{"uid": 1, "pin": pin, "from": "2026-11-21T11:58:22Z", "to": "2026-11-21T11:58:33Z"}],
        })
    };
    let lines = [
        json!({"kind": "body", "sha256": EMPTY, "length": 2, "text": "{}"}),
        trigger("t-0001", "before", "p-0001"),
        // The last word of an id counts.
        trigger("t-0001", "evil \u{202e}rule", "p-0001"),
        trigger("t-0002", "other", "p-gone"),
    ];
    let text = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    // The end of the file was cut off by a crash.
    fs::write(store.path.join("triggers.jsonl"), text(&lines) + "{\"kind\":\"trig").unwrap();
    let pin = json!({"pin": {
        "id": "p-0001", "uid": 1, "trigger": "t-0001",
        "from": "2026-11-21T11:58:22Z", "to": "2026-11-21T11:58:33Z",
    }});
    fs::write(store.path.join("pins.jsonl"), text(&[pin])).unwrap();
    store
}

#[test]
fn an_incident_has_its_part_of_its_container_and_its_alert() {
    let store = store();
    for wanted in ["t-0001", "p-0001", "p-"] {
        let file = store.path.join(format!("{wanted}.aftx"));
        let file = file.to_str().unwrap();
        let ran = afterimage(&["extract", "--incident", wanted, store.arg(), "--to", file]);
        assert_eq!(ran.code, 0, "{wanted}: {ran:?}");
        let incident = Recording::open(file.as_ref()).unwrap();
        let [summary] = incident.containers() else { panic!("{:?}", incident.containers()) };
        assert_eq!(
            (summary.record.id.as_slice(), summary.events),
            (id("aa").as_slice(), 10),
            "seconds 20 and 30"
        );
        let shown = afterimage(&["info", "--incident", file]);
        assert!(shown.out.is_ascii(), "foreign text is escaped: {shown:?}");
        let document = shown.json();
        assert_eq!(document["trigger"]["rule"], "evil \u{202e}rule");
        assert_eq!(
            (&document["alert"]["text"], &document["pins"][0]["id"]),
            (&json!("{}"), &json!("p-0001"))
        );
        let sheet = afterimage(&["info", file]);
        assert!(sheet.stdout().contains("t-0001 evil \\u{202e}rule"), "{sheet:?}");
        assert_eq!(afterimage(&["verify", file]).code, 0);
        // An extract of it still says what it is of.
        let again = format!("{file}.again");
        assert_eq!(afterimage(&["extract", "aa", file, "--to", &again]).code, 0);
        assert_eq!(afterimage(&["info", "--incident", &again]).json(), document);
    }
}

/// An extract by container said nothing of the alerts that made somebody look at it.
#[test]
fn an_extract_carries_the_alerts_about_its_containers_and_nothing_of_others() {
    let store = store();
    let said = |id: &str, uids: &[u64], hash: &str, more: Value| {
        let covered: Vec<Value> = uids.iter().map(|uid| json!({"uid": uid, "container": id})).collect();
        let mut line = json!({"kind": "trigger", "id": id, "rule": "a rule", "source": "falco", "body_sha256": hash,
            "reason": "secret of both", "hints": {"name": "secret of one"}, "time": "2026-11-21T11:58:43Z",
            "containers": covered});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let body = |hash: &str, text: &str| json!({"kind": "body", "sha256": hash, "length": 1, "text": text});
    let lines = [
        body("h-1", "secret of the first"),
        // It was not known yet whom it is about.
        said("t-3", &[], "h-1", json!({"state": "queued"})),
        said("t-3", &[1], "h-1", json!({"reason": "of the first", "hints": {}})),
        body("h-2", "secret of both"),
        said("t-4", &[1, 2], "h-2", json!({})),
        said("t-5", &[1, 2], "h-2", json!({"source": "person", "reason": "look at both"})),
        // What came in one body with an alert about the other.
        body("h-3", "secret of both"),
        said("t-6", &[1], "h-3", json!({"reason": "of the first", "hints": {}})),
        said("t-7", &[2], "h-3", json!({})),
    ];
    let path = store.path.join("triggers.jsonl");
    let before = fs::read_to_string(&path).unwrap();
    let before = before.trim_end_matches("{\"kind\":\"trig");
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, format!("{before}{lines}")).unwrap();
    let file = store.path.join("whole.aftx");
    let file = file.to_str().unwrap();
    let ran = afterimage(&["extract", "aa", store.arg(), "--to", file, "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["extracts"][0]["alerts"]), (0, &json!(6)), "{ran:?}");
    assert!(ran.stderr().contains("3 alerts without what they came in"), "{ran:?}");
    let carried = afterimage(&["info", "--incident", file]).stdout().to_owned();
    let has = |text: &str| carried.contains(text);
    assert!(has("secret of the first") && has("look at both"));
    for other in ["secret of both", "secret of one", "t-7", "\"uid\":2"] {
        assert!(!has(other), "{other}");
    }
    // They are what `alert:N` counts, and tell what the store's do.
    let findings = |place: &str| {
        let ran = afterimage(&["show", "aa", place, "--findings", "-o", "json"]);
        let rows = ran.json()["findings"].as_array().unwrap().clone();
        rows.iter().map(|row| (row["alert"].clone(), row["title"].clone())).collect::<Vec<_>>()
    };
    assert_eq!((findings(file), findings(file).len()), (findings(store.arg()), 6));
    let info = |place: &str, key: &str| {
        afterimage(&["info", place, "-o", "json"]).json()["recordings"][0][key].clone()
    };
    assert_eq!((info(file, "alerts"), info(store.arg(), "alerts")), (json!(6), json!(7)));
    assert_eq!(info(file, "incidents"), json!([]), "it was made for none");
    assert_eq!(carried.lines().count(), 6);
    assert_eq!(afterimage(&["verify", store.arg()]).code, 3, "the hashes are none");
    let again = format!("{file}.again");
    assert_eq!(afterimage(&["extract", "aa", file, "--to", &again]).code, 0);
    assert_eq!(findings(&again), findings(file));
    // Of a part of its time those that are of it, of both containers all that was said of them.
    let some = |number: &str, args: &[&str]| {
        let file = format!("{file}.{number}");
        let ran = afterimage(&[&["extract"], args, &[store.arg(), "--to", &file, "-o", "json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        (
            ran.json()["extracts"][0]["alerts"].as_u64().unwrap(),
            ran.stderr().contains("without what they came in"),
        )
    };
    assert_eq!(some("1", &["aa", "-b", "alert:1", "-e", "alert:1+1s"]), (2, false));
    assert_eq!(some("2", &["aa", "-b", "+39s"]), (4, true));
    assert_eq!(some("3", &["bb"]), (3, true));
    assert_eq!(some("4", &["aa,bb"]), (7, false));
    // Neither do they get lost where a store is merged or recovered.
    for verb in ["merge", "recover"] {
        let file = format!("{file}.{verb}");
        let ran = afterimage(&[verb, store.arg(), "--to", &file, "-o", "json"]);
        let rows = if verb == "merge" { "merges" } else { "recoveries" };
        assert_eq!((ran.code, &ran.json()[rows][0]["alerts"]), (0, &json!(7)), "{ran:?}");
        assert_eq!(findings(&file), findings(store.arg()));
    }
}

/// What alerts came in can be more than a reader holds: the hash and the alert are carried all the same.
#[test]
fn an_extract_has_an_end_to_what_it_carries_of_alerts() {
    let store = store();
    let mut lines = String::new();
    for number in 0..12 {
        let hash = format!("h-{number}");
        let text = "x".repeat(if number == 0 { 1 << 20 } else { 400 << 10 });
        lines +=
            &format!("{}\n", json!({"kind": "body", "sha256": hash, "length": text.len(), "text": text}));
        let line = json!({"kind": "trigger", "id": format!("t-{number}"), "rule": "r", "source": "falco",
            "body_sha256": hash, "time": "2026-11-21T11:58:23Z", "containers": [{"uid": 1}]});
        lines += &format!("{line}\n");
    }
    fs::write(store.path.join("triggers.jsonl"), lines).unwrap();
    let file = store.path.join("whole.aftx");
    let file = file.to_str().unwrap();
    let ran = afterimage(&["extract", "aa", store.arg(), "--to", file, "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["extracts"][0]["alerts"]), (0, &json!(12)), "{ran:?}");
    assert!(ran.stderr().contains("2 alerts are not carried, or without what they came in"), "{ran:?}");
    let bytes = fs::metadata(file).unwrap().len();
    assert_eq!(Recording::open(file.as_ref()).unwrap().incidents().len(), 12, "{bytes} bytes");
}

/// With several hierarchies of cgroups a container's end is told once more after the first of them, up to which a pin goes: the extract
/// of an incident that was over called itself partial.
#[test]
fn an_incident_up_to_its_containers_end_is_complete() {
    let mut fixture = Fixture::new();
    let mut record = container(1, Engine::Docker, &id("aa"), 0.0, &[]);
    record.removed = Some(at(20.0));
    fixture.container(&record);
    for second in [10.0, 20.0, 20.000_2] {
        fixture.call(1, second, task(10, 0.0), Call { nr: 39, ..Call::default() });
        fixture.commit();
    }
    let store = fixture.seal();
    let extracted = |to: &str| {
        let covered = json!({"uid": 1, "from": "2026-11-21T11:58:00Z", "to": to});
        let trigger =
            json!({"kind": "trigger", "id": "t-0001", "body_sha256": EMPTY, "containers": [covered]});
        fs::write(store.path.join("triggers.jsonl"), format!("{trigger}\n")).unwrap();
        let file = store.path.join(format!("{}.aftx", to.len()));
        let file = file.to_str().unwrap();
        let ran = afterimage(&["extract", "--incident", "t-0001", store.arg(), "--to", file]);
        assert_eq!(ran.code, 0, "{ran:?}");
        Recording::open(file.as_ref()).unwrap().containers()[0].events
    };
    assert_eq!(extracted("2026-11-21T11:58:22.0Z"), 3);
    // It ends before that.
    assert_eq!(extracted("2026-11-21T11:58:20Z"), 1);
}

/// The body of an alert could be changed, in a store as in an extract, and `verify` called all of it consistent.
#[test]
fn an_alert_that_was_changed_since_it_came_is_not_consistent() {
    let store = store();
    let path = store.path.join("triggers.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let verified = |lines: &[Value]| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, format!("{lines}{whole}")).unwrap();
        let ran = afterimage(&["verify", store.arg(), "-o", "json"]);
        let document = ran.json();
        let told = |finding: &Value| (finding["finding"].to_string(), finding["detail"].to_string());
        (ran.code, document["findings"].as_array().unwrap().iter().map(told).collect::<Vec<_>>())
    };
    let body = |of: Value| {
        let mut line = json!({"kind": "body", "sha256": EMPTY, "length": 2});
        line.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        line
    };
    // As it came, whichever way it was written; one that did not fit, of which the hash alone is kept; lines of other kinds.
    let good = [
        body(json!({"text": "{}"})),
        body(json!({"base64": "e30="})),
        body(json!({"dropped": "larger than the room for bodies"})),
        json!({"kind": "body", "text": "no hash"}),
        json!({"kind": "unpin", "sha256": EMPTY, "text": "no body"}),
    ];
    assert_eq!(verified(&good), (0, vec![]));
    for changed in [json!({"text": "{ }"}), json!({"base64": "e31="}), json!({"base64": "no base64"})] {
        let (code, found) = verified(&[good[0].clone(), good[2].clone(), body(changed.clone())]);
        assert_eq!((code, found.len()), (3, 1), "{changed}: {found:?}");
        let (kind, detail) = &found[0];
        assert_eq!(kind, "\"bad_alert\"");
        assert!(detail.contains("line `3`"), "{detail}");
    }
    // An extract has the body that it was made of.
    fs::write(&path, whole.replace("\"{}\"", "\"[]\"")).unwrap();
    let file = store.path.join("changed.aftx");
    let file = file.to_str().unwrap();
    assert_eq!(afterimage(&["extract", "--incident", "t-0001", store.arg(), "--to", file]).code, 0);
    let ran = afterimage(&["verify", file]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout().contains("bad_alert") && ran.stdout().contains("t-0001"), "{ran:?}");
}

#[test]
fn what_is_not_one_incident_is_refused() {
    let store = store();
    let code = |args: &[&str]| {
        let ran = afterimage(&[&["extract"], args, &["--to", "/nowhere/x.aftx"]].concat());
        (ran.code, ran.stderr().to_owned())
    };
    assert_eq!(code(&["--incident", "t-9", store.arg()]).0, 1);
    let (several, said) = code(&["--incident", "t-000", store.arg()]);
    assert!(several == 2 && said.contains("2 incidents"), "{several} {said}");
    // A pin that is gone: what the trigger told of counts.
    let file = store.path.join("gone.aftx");
    let ran = afterimage(&["extract", "--incident", "t-0002", store.arg(), "--to", file.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let (in_file, said) = code(&["--incident", "t-0001", file.to_str().unwrap()]);
    assert!(in_file == 2 && said.contains("store's directory"), "{in_file} {said}");
}

/// What an alert said was nowhere to be read in a store, and a person's reason was told as `person`.
#[test]
fn a_report_tells_alerts_by_the_numbers_that_moments_know_them_by() {
    let store = store();
    let said = json!({
        "kind": "trigger", "id": "t-0003", "rule": "person", "source": "person", "reason": "a webshell",
        "time": "2026-11-21T11:58:23Z", "containers": [{"uid": 2}],
    });
    let path = store.path.join("triggers.jsonl");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}\n{said}\n")).unwrap();
    let ran = afterimage(&["report", store.arg(), "--no-trunc"]);
    assert!(ran.stdout().contains("Alerts") && ran.stdout().contains("a webshell"), "{ran:?}");
    let alerts = |more: &[&str]| {
        let ran = afterimage(&[&["report", store.arg(), "-o", "json"], more].concat());
        let document: Value = serde_json::from_str(ran.stdout()).unwrap();
        let rows = document["alerts"].as_array().unwrap().clone();
        rows.into_iter().map(|row| (row["number"].as_u64().unwrap(), row["id"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(alerts(&[]), [(1, json!("t-0001")), (2, json!("t-0002")), (3, json!("t-0003"))]);
    assert_eq!(alerts(&["-c", "bb"]), [(1, json!("t-0003"))]);
}

/// An alert is the most that anybody has found in a container, and was not among its findings.
#[test]
fn alerts_are_findings_under_the_numbers_that_moments_know_them_by() {
    let store = store();
    let path = store.path.join("triggers.jsonl");
    let said = |id: &str, uid: u64, time: &str, priority: &str| {
        json!({"kind": "trigger", "id": id, "rule": "evil \u{202e}rule", "source": "falco", "priority": priority,
            "state": "pinned", "time": time, "containers": [{"uid": uid}]})
    };
    // Of the other container before all; of this one while it lived, and when it had ended.
    let lines = [
        said("t-1", 2, "2026-11-21T11:58:05Z", "Critical"),
        said("t-2", 1, "2026-11-21T11:58:22Z", "Critical"),
        said("t-3", 1, "2026-11-21T12:30:00Z", "Notice"),
    ];
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let rows = |more: &[&str]| {
        let ran = afterimage(&[&["show", "aa", store.arg(), "--findings", "-o", "json"], more].concat());
        let all = ran.json()["findings"].as_array().unwrap().clone();
        let row = |row: &Value| {
            (row["alert"].as_u64(), row["severity"].as_str().unwrap().to_owned(), row["pid"].clone())
        };
        (ran.code, all.iter().map(row).collect::<Vec<_>>())
    };
    let row = |number, severity: &str| (Some(number), severity.to_owned(), Value::Null);
    assert_eq!(rows(&[]), (0, vec![row(1, "critical"), row(2, "notice")]));
    assert_eq!(rows(&["-b", "alert:1", "-e", "alert:1+1s"]), (0, vec![row(1, "critical")]));
    assert_eq!(rows(&["-b", "alert:1+1s", "-e", "alert:2-1s"]), (1, vec![]));
    assert_eq!(rows(&["-n", "1"]).1.len(), 1);
    let table = afterimage(&["show", "aa", store.arg(), "--findings", "--no-trunc"]);
    assert!(table.stdout().contains("alert:1 from falco, Critical, pinned"), "{table:?}");
    assert!(table.stdout().contains("evil \\u{202e}rule"), "{table:?}");
    for format in ["ecs", "ocsf", "timesketch", "csv", "md"] {
        let ran = afterimage(&["show", "aa", store.arg(), "--findings", "-o", format]);
        assert!(ran.code == 0 && ran.stdout().matches("rule").count() >= 2, "{format}: {ran:?}");
    }
    // An evidence of nothing is none.
    let ocsf = afterimage(&["show", "aa", store.arg(), "--findings", "-o", "ocsf"]).json_lines();
    assert!(ocsf.iter().all(|line| line["finding_info"]["title"].is_string() && line["evidences"].is_null()));
}

/// A filter counted the alerts of all containers, `--begin` those of the one that was asked for: the same words found another time.
#[test]
fn an_alert_has_one_number_in_filters_and_ranges() {
    let store = store();
    let path = store.path.join("triggers.jsonl");
    // Of the other container, and before all others.
    let other = json!({
        "kind": "trigger", "id": "t-0000", "rule": "r", "source": "falco", "time": "2026-11-21T11:58:03Z",
        "containers": [{"uid": 2}],
    });
    fs::write(&path, format!("{}\n{other}\n", fs::read_to_string(&path).unwrap())).unwrap();
    let count_of = |args: &[&str]| {
        let ran = afterimage(args);
        (ran.code, ran.stdout().trim().to_owned())
    };
    let whole =
        |filter: &str| afterimage(&["grep", filter, store.arg(), "--count"]).stdout().trim().to_owned();
    for alert in ["alert:1", "alert:2"] {
        let filter = format!("time >= {alert} and time < {alert}+1s");
        let by_filter = count_of(&["grep", &filter, store.arg(), "--count", "-c", "aa"]);
        let until = format!("{alert}+1s");
        let range = ["-b", alert, "-e", &until];
        let by_range = count_of(
            &[&["grep", "evt.type exists", store.arg(), "--count", "-c", "aa"][..], &range].concat(),
        );
        assert_eq!(by_filter, by_range, "{alert}");
        let shown = count_of(&["show", "aa", store.arg(), "-f", &filter, "-o", "json"]);
        assert_eq!(shown.0, by_range.0, "{alert}");
    }
    // Of all containers it is the first of all.
    assert_ne!(whole("time >= alert:1"), whole("time >= alert:2"));
    let gone = afterimage(&["grep", "time > alert:3", store.arg(), "-c", "aa"]);
    assert!(gone.code == 2 && gone.stderr().contains("there are `alert:1` to `alert:2`"), "{gone:?}");
}

/// An alert of a rule had the event's time by readings of the clocks that were not the recording's: some hundred nanoseconds later
/// than the event, which a range that began at the alert then did not have.
#[test]
fn a_range_that_begins_at_an_alert_has_what_tripped_it() {
    let store = store();
    let path = store.path.join("triggers.jsonl");
    let said = |time: &str, uid: u64| {
        json!({"kind": "trigger", "id": format!("t-{time}-{uid}"), "rule": "r", "source": "rules", "time": time,
            "containers": [{"uid": uid}]})
    };
    // Of a call of both containers at 12.1 seconds, and of nobody's.
    let lines = [
        said("2026-11-21T11:58:12.100000120Z", 1),
        said("2026-11-21T11:58:12.100000120Z", 2),
        said("2026-11-21T11:58:12.150000120Z", 1),
    ];
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let count = |words: &[&str]| {
        let (filter, range) = words.split_first().expect("a filter");
        let ran = afterimage(&[&["grep", *filter, store.arg(), "--count", "-c", "aa"], range].concat());
        (ran.code, ran.stdout().trim().to_owned())
    };
    let range = |end: &str, filter: &str| {
        let by_range = count(&["evt.type exists", "-b", "alert:1", "-e", end]);
        assert_eq!(by_range, count(&[filter]));
        by_range
    };
    assert_eq!(range("alert:1+1ms", "time in alert:1 .. alert:1+1ms"), (0, "1".to_owned()));
    assert_eq!(range("alert:2", "time in alert:1 .. alert:2"), (0, "1".to_owned()));
    // What is before it is not in it.
    assert_eq!(count(&["evt.type exists", "-b", "alert:2", "-e", "alert:2+1ms"]), (1, "0".to_owned()));
    assert_eq!(count(&["evt.type exists", "-b", "alert:1-200ms", "-e", "alert:1"]), (0, "1".to_owned()));
}

#[test]
fn moments_have_the_names_of_alerts_and_marks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::rename(&store().path, &path).unwrap();
    let mark = |second: f64| json!({"kind": "mark", "letter": "a", "container": 1, "at": at(second).0});
    // A mark that is set again has moved.
    let lines = format!("{}\n{}\nnonsense\n", mark(3.0), mark(40.0));
    fs::write(dir.path().join("store.case.jsonl"), lines).unwrap();
    let path = path.to_str().unwrap();
    let count = |begin: &str, end: &str, more: &[&str]| {
        let ran = afterimage(
            &[&["grep", "evt.type exists", path, "--count", "-b", begin, "-e", end], more].concat(),
        );
        assert!(ran.code == 0 || ran.code == 1, "{ran:?}");
        ran.stdout().trim().parse::<u64>().unwrap()
    };
    let first = ["-c", "aa"];
    assert_eq!(count("alert:1", "alert:1+1s", &[]), 10, "of both containers");
    assert_eq!(count("alert:t-0001", "alert:2+1s", &first), 5);
    assert_eq!(count("alert:1-10s", "alert:1-1ms", &first), 5);
    assert_eq!(count("mark:a", "mark:a+1s", &first), 5);
    assert_eq!(count("mark:a-10s", "mark:a-1ms", &first), 5);
    // The same names inside a filter.
    let within = |filter: &str| {
        let ran = afterimage(&["grep", filter, path, "--count", "-c", "aa"]);
        ran.stdout().trim().parse::<u64>().unwrap()
    };
    assert_eq!(within("time >= alert:1 and time <= alert:1+1s"), 5);
    assert_eq!(within("time >= mark:a and time <= mark:a+1s"), 5);
    for (filter, told) in [
        ("time > alert:9", "column 8: nothing has the name `alert:9`; there are `alert:1` to `alert:2`"),
        (
            "evt.type exists and near(time < mark:z, 1s)",
            "column 33: nothing has the name `mark:z`; there are",
        ),
        ("time > alert:xyz", "column 8: `alert:xyz` is not a moment"),
    ] {
        for verb in [&["grep", filter, path][..], &["show", "aa", path, "-f", filter]] {
            let ran = afterimage(verb);
            assert_eq!(ran.code, 2, "{ran:?}");
            assert!(ran.stderr().contains(told), "{ran:?}");
        }
    }
    let tree = afterimage(&["tree", "--at", "mark:a", "-c", "aa", path]);
    assert_eq!(tree.code, 0, "{tree:?}");
    for (wrong, told) in [
        (["-b", "alert:9", "-c", "aa"], "this container has 2, counted from 1"),
        (["-b", "alert:t-", "-c", "aa"], "begins the ids of several alerts"),
        (["-b", "alert:1", "-c", "bb"], "this container has 0"),
        (["-b", "mark:z", "-c", "aa"], "no mark `z`"),
        (["-b", "mark:a", "-c", "bb"], "no mark `a`"),
    ] {
        let ran = afterimage(&[&["grep", "evt.type exists", path], &wrong[..]].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr().contains(told), "{ran:?}");
    }
}
