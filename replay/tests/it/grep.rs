//! `afterimage grep`, `show --filter` and `hunt`.

use std::collections::BTreeSet;

use crate::{
    run::{Ran, afterimage},
    show::story,
    staged,
};

fn events(ran: &Ran) -> Vec<String> {
    let text = |v: &serde_json::Value| v["event"].as_str().unwrap_or_default().to_owned();
    ran.json_lines().iter().filter(|l| l["kind"] == "event").map(text).collect()
}

#[test]
fn grep_finds_in_all_containers_and_tells_whose() {
    let store = story().seal();
    let run = |expr: &str| afterimage(&["grep", expr, store.arg(), "-o", "jsonl"]);
    assert_eq!(events(&run("evt.type = getpid")), ["getpid"]);
    assert_eq!(events(&run("evt.type in (execve, getpid)")).len(), 3);
    let row = run("evt.type = getpid").json_lines().remove(0);
    assert_eq!(row["container_uid"], 2);
    assert!(row["container"].as_str().is_some_and(|id| id.starts_with("3ad8")), "{row}");
    let table = afterimage(&["grep", "evt.type = getpid", store.arg()]);
    assert!(table.stdout().contains("other"), "{}", table.stdout());
}

#[test]
fn grep_answers_by_its_exit_code() {
    let store = story().seal();
    let code = |args: &[&str]| afterimage(&[&["grep"], args, &[store.arg()]].concat()).code;
    assert_eq!(code(&["evt.type = ptrace", "-e", "+2s"]), 1);
    assert_eq!(code(&["evt.type = openat", "-c", "web", "-e", "+2s"]), 0);
    assert_eq!(code(&["evt.type = openat", "-c", "web"]), 4, "events were lost in the range");
    assert_eq!(code(&["evt.type =", "-c", "web"]), 2);
    let ran = afterimage(&["grep", "evt.typ = openat", store.arg()]);
    assert!(ran.stderr().contains("did you mean `evt.type`"), "{}", ran.stderr());
    assert_eq!(afterimage(&["grep", "--count", "evt.type = openat", store.arg()]).stdout(), "2\n");
}

#[test]
fn filters_see_restarted_calls_as_one() {
    let store = story().seal();
    let run = |expr: &str| afterimage(&["show", "web", "-f", expr, "-o", "jsonl", store.arg()]);
    assert_eq!(events(&run("evt.type = poll")), ["poll"]);
    let row = run("evt.type = poll").json_lines().remove(0);
    assert_eq!((&row["result"], &row["time"]), (&"1".into(), &"2026-11-21T11:58:04.900000000Z".into()));
    let both = afterimage(&[
        "show",
        "web",
        "-f",
        "proc.pid = 412",
        "-f",
        "evt.type = exit",
        "-o",
        "jsonl",
        store.arg(),
    ]);
    assert_eq!(events(&both).len(), events(&run("proc.pid = 412 and evt.type = exit")).len());
}

#[test]
fn explain_reads_nothing_and_says_what_would_be_read() {
    let store = story().seal();
    let ran =
        afterimage(&["grep", "--explain", "evt.type = openat and container.id = 3ad7b26ded6d", store.arg()]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout().contains("types    openat"), "{}", ran.stdout());
    assert!(ran.stdout().contains("reads    1 of "), "{}", ran.stdout());
    assert!(ran.stdout().contains("columns  answer 2 of 2 checks: codes\n"), "{}", ran.stdout());
    let ran = afterimage(&["grep", "--explain", "evt.failed = true and proc.name = sh", store.arg()]);
    assert!(ran.stdout().contains("answer 1 of 2 checks: codes, results\n"), "{}", ran.stdout());
}

#[test]
fn what_became_of_a_file_in_the_whole_life_finds_all_that_was_done_to_it() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");
    let run = |args: &[&str]| afterimage(&[args, &[sample, "-o", "jsonl"]].concat());
    let dropped = "file.written = true and file.executed = true";
    let ran = run(&["grep", dropped]);
    let done = ["openat", "write", "chmod", "exec", "artifact", "unlink"];
    let all = events(&ran);
    assert!(done.iter().all(|name| all.iter().any(|event| event == name)), "{all:?}");
    let about =
        |row: &serde_json::Value| row["detail"].as_str().is_some_and(|text| text.contains("/tmp/.update"));
    let rows: Vec<_> = ran.json_lines().into_iter().filter(|row| row["kind"] == "event").collect();
    assert!(rows.iter().all(about), "{rows:?}");
    let hash = "file.sha256 = d3e1e420312f7bfaba48fb6a9765ea3b8aea4778b77e824deb44e3e323af809a";
    assert_eq!(events(&run(&["grep", hash])), all);
    assert_eq!(events(&run(&["grep", "-c", "5abbc46c44e8", dropped])), all, "of one container");
    let count = afterimage(&["grep", "--count", dropped, sample]);
    assert_eq!(count.stdout(), format!("{}\n", all.len()));
    let explained = afterimage(&["grep", "--explain", dropped, sample]);
    assert_eq!(explained.code, 0, "{}", explained.stderr());
    assert_eq!(run(&["grep", "file.sha256 = 00"]).code, 1);
}

#[test]
fn findings_are_found_by_what_they_are_called_and_how_much_they_weigh() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");
    let key = |row: &serde_json::Value| (row["time"].to_string(), row["pid"].to_string());
    let report = afterimage(&["report", sample, "-o", "json"]).json();
    let containers = report["containers"].as_array().expect("containers");
    let findings: Vec<&serde_json::Value> =
        containers.iter().filter_map(|own| own["findings"].as_array()).flatten().collect();
    let told = |severities: &[&str]| -> BTreeSet<(String, String)> {
        let weighs = |row: &&&serde_json::Value| severities.iter().any(|own| row["severity"] == *own);
        findings.iter().filter(weighs).map(|row| key(row)).collect()
    };
    let kept = |filter: &str| -> BTreeSet<(String, String)> {
        let rows = afterimage(&["grep", filter, sample, "-o", "jsonl"]).json_lines();
        rows.iter().filter(|row| row["kind"] == "event").map(key).collect()
    };
    let all = told(&["info", "notice", "warning", "critical"]);
    assert_eq!(kept("find.rule exists"), all);
    let weighty = kept("find.sev in (warning, critical)");
    assert_eq!(weighty, told(&["warning", "critical"]));
    assert!(!weighty.is_empty() && weighty.len() < all.len(), "{weighty:?} of {all:?}");
    let dropped = "find.attack = T1105 and find.rule = 'written, then executed'";
    assert_eq!(events(&afterimage(&["grep", dropped, sample, "-o", "jsonl"])), ["exec"]);
}

const RULES: &str = r#"
- rule: New program
  desc: A program that is not part of the image
  condition: evt.type = execve and proc.is_exe_upper_layer = true
  output: new program %proc.exepath by %proc.pname | args=%proc.args
  priority: CRITICAL
  tags: [T1105]
- rule: Shadow refused
  desc: Somebody asked for the shadow file
  condition: evt.type = openat and fd.name = /etc/shadow or evt.failed = true and evt.type = openat
  output: refused %fd.name
  priority: NOTICE
"#;

#[test]
fn hunt_runs_rules_over_the_past() {
    let store = story().seal();
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, RULES).expect("written");
    let rules = rules.to_str().expect("UTF-8");
    let run = |more: &[&str]| afterimage(&[&["hunt", "--rules", rules, store.arg()], more].concat());
    let document = run(&["-o", "json"]).json();
    let hits = document["hits"].as_array().expect("a list");
    let names: Vec<_> = hits.iter().map(|h| h["rule"].as_str().expect("a name")).collect();
    assert_eq!(names, ["Shadow refused", "New program"]);
    let hit = &hits[1];
    let message = hit["message"].as_str().expect("text");
    assert!(message.starts_with("new program /tmp/.x by sh | args=-q"), "{message}");
    assert_eq!(
        (&hit["pid"], &hit["event"], &hit["priority"]),
        (&412.into(), &"exec".into(), &"Critical".into())
    );
    assert_eq!(hit["tags"], serde_json::json!(["T1105"]));
    let worst = run(&["-o", "json", "--priority", "critical"]).json();
    assert_eq!(worst["hits"].as_array().map(Vec::len), Some(1));
    let falco = run(&["--falco-json", "--rule", "New"]).json_lines();
    assert_eq!((&falco[0]["rule"], &falco[0]["source"]), (&"New program".into(), &"syscall".into()));
    assert_eq!(run(&["-c", "other"]).code, 1);
    let first = run(&["-o", "json", "--limit", "1"]);
    assert_eq!(first.json()["hits"].as_array().map(Vec::len), Some(1));
    assert!(first.stderr().contains("there are more hits"), "{}", first.stderr());
    let all = run(&["--falco-json", "-n", "2"]);
    assert_eq!(all.json_lines().len(), 2);
    assert!(!all.stderr().contains("more hits"), "{}", all.stderr());
}

#[test]
fn rules_that_cannot_be_used_are_refused_with_their_line() {
    let store = story().seal();
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("bad.yaml");
    std::fs::write(&rules, RULES.replace("evt.failed", "evt.fialed")).expect("written");
    let ran = afterimage(&["hunt", "--rules", rules.to_str().expect("UTF-8"), store.arg()]);
    assert_eq!((ran.code, ran.stdout()), (2, ""));
    assert!(ran.stderr().contains("bad.yaml:10:"), "{}", ran.stderr());
    assert!(ran.stderr().contains("evt.fialed"), "{}", ran.stderr());
    let missing = afterimage(&["hunt", "--rules", "/no/such.yaml", store.arg()]);
    assert!(missing.stderr().contains("/no/such.yaml"), "{}", missing.stderr());
}

#[test]
fn filters_ask_what_became_of_containers_and_what_alerts_say() {
    let dir = tempfile::tempdir().expect("a directory");
    staged::write_store(dir.path(), &staged::staged());
    staged::write_triggers(dir.path());
    let store = dir.path().to_str().expect("UTF-8");
    let containers = |expr: &str| -> BTreeSet<u64> {
        let ran = afterimage(&["grep", expr, store, "-o", "jsonl"]);
        let events = ran.json_lines().into_iter().filter(|line| line["kind"] == "event");
        events.filter_map(|line| line["container_uid"].as_u64()).collect()
    };
    for (expr, wanted) in [
        ("container.state = deleted", &[1, 2, 4][..]),
        ("container.state = unknown", &[3]),
        ("container.lost > 300", &[2]),
        ("container.lost = 0", &[1, 3, 4]),
        ("container.life < 35s", &[2, 4]),
        ("alert.rule startswith \"Drop and execute\"", &[1]),
        ("alert.priority = critical", &[1, 4]),
        (r#"alert.source = falco and alert.rule contains "\x1b]52""#, &[4]),
        ("not alert.rule exists", &[2, 3]),
    ] {
        assert_eq!(containers(expr), wanted.iter().copied().collect(), "{expr}");
    }
}

/// Rules of `hunt` asked for alerts and never found one, and nothing said so.
#[test]
fn rules_of_a_hunt_know_alerts() {
    let dir = tempfile::tempdir().expect("a directory");
    staged::write_store(dir.path(), &staged::staged());
    staged::write_triggers(dir.path());
    let rules = dir.path().join("rules.yaml");
    let text = "- rule: told\n  desc: d\n  condition: alert.priority = critical\n  output: o %alert.source\n  \
                priority: info\n  warn_evttypes: false\n";
    std::fs::write(&rules, text).expect("written");
    let ran = afterimage(&[
        "hunt",
        "--rules",
        rules.to_str().expect("UTF-8"),
        dir.path().to_str().expect("UTF-8"),
        "-o",
        "jsonl",
    ]);
    assert!(!ran.stderr().contains("warning"), "{}", ran.stderr());
    let hits = ran.json_lines().into_iter().filter_map(|line| {
        let source = line["fields"]["alert.source"].as_str()?.to_owned();
        Some((line["container_uid"].as_u64()?, source))
    });
    let hits: BTreeSet<_> = hits.collect();
    assert_eq!(hits, [(1, "falco".to_owned()), (4, "falco".to_owned())].into());
}

#[test]
fn a_process_has_an_end_when_it_has_ended() {
    let store = story().seal();
    let run = |expr: &str| events(&afterimage(&["grep", expr, store.arg(), "-o", "jsonl"]));
    let ends = run("evt.type = procexit");
    assert!(!ends.is_empty());
    assert_eq!(run("proc.exit exists"), ends);
    assert_eq!(run("proc.exit = val(evt.rawtime)"), ends);
    assert_eq!(run("proc.start exists"), run("proc.start = val(proc.pid.ts)"));
    assert!(run("proc.start exists").len() > ends.len());
}

#[test]
fn timesketch_gets_lines_that_it_imports() {
    let store = story().seal();
    let ran = afterimage(&["show", "web", store.arg(), "-o", "timesketch"]);
    let lines = ran.json_lines();
    assert!(lines.len() > 3);
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no `{key}`: {line}")).to_owned();
        let stamp: jiff::Timestamp = text("datetime").parse().expect("RFC 3339");
        assert_eq!(line["timestamp"].as_i64(), Some(stamp.as_microsecond()));
        assert!(!text("message").is_empty() && text("timestamp_desc").ends_with(" time"));
        let object = line.as_object().expect("an object");
        let flat = |value: &serde_json::Value| match value {
            serde_json::Value::Array(all) => all.iter().all(serde_json::Value::is_string),
            value => !value.is_object(),
        };
        assert!(object.values().all(flat), "{line}");
    }
    let gap = lines.iter().find(|line| line["timestamp_desc"] == "gap time").expect("what was lost");
    assert!(gap["message"].as_str().is_some_and(|text| text.contains("lost")), "{gap}");
    assert_eq!(ran.code, 4);
    let findings = afterimage(&["show", "web", store.arg(), "--findings", "-o", "timesketch"]).json_lines();
    assert!(findings.iter().all(|line| line["timestamp_desc"] == "finding time"));
    assert_eq!(afterimage(&["ls", store.arg(), "-o", "timesketch"]).code, 2, "containers have no one time");
}
