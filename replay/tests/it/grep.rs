//! `afterimage grep`, `show --filter` and `hunt`.

use crate::{
    run::{Ran, afterimage},
    show::story,
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
    assert!(ran.stdout().contains("columns  answer 2 of 2 checks: threads, codes\n"), "{}", ran.stdout());
    let ran = afterimage(&["grep", "--explain", "evt.failed = true and proc.name = sh", store.arg()]);
    assert!(ran.stdout().contains("answer 1 of 2 checks: threads, codes, results\n"), "{}", ran.stdout());
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
