//! Rule files: what they define, change and get wrong, and what hits look like.

use afterimage_detect::{
    RuleSet,
    rules::{CaptureScope, FieldValue, Priority},
};
use afterimage_format::FactKey;

use crate::scene::{Program, READ, Scene};

const BASE: &str = "
- required_engine_version: 0.57.0
- list: shells
  items: [bash, sh]
- list: more_shells
  items: [shells, zsh, '\"a b\"', c d]
- macro: opens
  condition: evt.type in (open, openat)
- macro: shell
  condition: (proc.name in (more_shells))
- rule: shell reads
  desc: A shell reads.
  condition: >
    opens and shell
    and fd.name startswith /etc
  output: shell %proc.name read %fd.name (%user.name %proc.pname)
  priority: warning
  tags: [b, a]
";

fn rules(change: &str) -> RuleSet {
    RuleSet::parse(&[("base.yaml", BASE), ("change.yaml", change)]).unwrap_or_else(|error| panic!("{error}"))
}

fn reading(program: &str, path: &str) -> Scene {
    Scene::new().run(1, 100, &format!("/bin/{program}"), &[program]).open(100, path, READ, 3)
}

#[test]
fn lists_in_lists_and_macros_are_put_in() {
    let rules = rules("");
    let rule = &rules.rules()[0];
    assert_eq!(
        rule.condition(),
        "evt.type in (open, openat) and proc.name in (bash, sh, zsh, \"a b\", \"c d\") and fd.name startswith /etc"
    );
    assert_eq!(
        (rule.priority, rule.tags.as_slice()),
        (Priority::Warning, &["a".to_owned(), "b".to_owned()][..])
    );
    assert_eq!(rule.codes().unwrap().len(), 6, "open and openat of three ABIs");
    for (program, path, fires) in
        [("bash", "/etc/x", true), ("zsh", "/etc/x", true), ("cat", "/etc/x", false), ("sh", "/tmp/x", false)]
    {
        assert_eq!(!reading(program, path).fired(&rules).is_empty(), fires, "{program} {path}");
    }
}

#[test]
fn later_files_append_and_override() {
    let fires = |change: &str, program: &str| !reading(program, "/etc/x").fired(&rules(change)).is_empty();
    assert!(fires("- list: shells\n  items: [fish]\n  append: true\n", "fish"));
    assert!(fires("- list: shells\n  items: [fish]\n  override: {items: append}\n", "fish"));
    assert!(!fires("- list: shells\n  items: [fish]\n", "bash"));
    assert!(fires("- macro: shell\n  condition: or proc.name = fish\n  append: true\n", "fish"));
    assert!(!fires("- macro: shell\n  condition: (evt.num=0)\n", "bash"));
    assert!(!fires("- rule: shell reads\n  condition: and proc.name != bash\n  append: true\n", "bash"));
    assert!(!fires("- rule: shell reads\n  enabled: false\n", "bash"));
    let replaced = "- rule: shell reads\n  condition: opens\n  priority: DEBUG\n  override: {condition: replace, priority: replace}\n";
    assert!(fires(replaced, "cat"));
    assert_eq!(rules(replaced).rules()[0].priority, Priority::Debug);
    let output = "- rule: shell reads\n  output: and %evt.type\n  tags: [c]\n  override: {output: append, tags: append}\n";
    let hit = &reading("sh", "/etc/x").hits(&rules(output))[0];
    assert!(
        hit.message.starts_with("shell sh read /etc/x (root <NA>) and openat container_id="),
        "{}",
        hit.message
    );
    assert_eq!(hit.tags, ["a", "b", "c"]);
}

#[test]
fn exceptions_silence_a_rule() {
    let with = |exceptions: &str| {
        let change = format!("- rule: shell reads\n  append: true\n  exceptions:\n{exceptions}");
        !reading("bash", "/etc/x").fired(&rules(&change)).is_empty()
    };
    for (exceptions, fires) in [
        ("  - {name: a, fields: [proc.name, fd.name], values: [[bash, /etc/x]]}\n", false),
        ("  - {name: a, fields: [proc.name, fd.name], values: [[bash, /etc/y]]}\n", true),
        (
            "  - {name: a, fields: [proc.name, fd.name], comps: [in, startswith], values: [[[sh, bash], /etc]]}\n",
            false,
        ),
        (
            "  - {name: a, fields: [proc.name, fd.name], comps: [in, =], values: [[bash, /etc/x], [sh, /etc/y]]}\n",
            false,
        ),
        ("  - {name: a, fields: proc.name, values: [sh, bash]}\n", false),
        ("  - {name: a, fields: proc.name, comps: in, values: [sh]}\n", true),
        ("  - {name: a, fields: fd.name, comps: startswith oneof, values: [/etc, /usr]}\n", false),
        ("  - {name: a, fields: proc.name}\n", true),
        ("  - {name: a, fields: proc.name, values: [more_shells]}\n", false),
    ] {
        assert_eq!(with(exceptions), fires, "{exceptions}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, message) in [
        ("- rule: x\n  desc: d\n  output: o\n  priority: info\n", "f.yaml:1:3: rule `x` without `condition`"),
        ("- list: x\n", "f.yaml:1:3: list `x` without `items`"),
        (
            "- macro: m\n  condition: proc.nam = x\n",
            "f.yaml:2:14: macro `m`: unknown field `proc.nam`; did you mean `proc.name`?",
        ),
        (
            "- macro: m\n  condition: >\n    proc.name = x\n    and proc.pid = y\n",
            "f.yaml:4:20: macro `m`: `y` is not a number",
        ),
        (
            "- rule: r\n  desc: d\n  condition: nope\n  output: o\n  priority: info\n",
            "f.yaml:3:14: rule `r`: unknown macro `nope`",
        ),
        (
            "- macro: a\n  condition: b\n- macro: b\n  condition: a\n- rule: r\n  desc: d\n  condition: a\n  output: o\n  priority: info\n",
            "f.yaml:7:14: rule `r`: macro `a` refers to itself",
        ),
        (
            "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: x %proc.nmae y\n  priority: info\n",
            "f.yaml:4:14: output of rule `r`: unknown field `proc.nmae`; did you mean `proc.name`?",
        ),
        (
            "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: loud\n",
            "f.yaml:5:13: priority `loud` is not one of EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG",
        ),
        (
            "- list: l\n  items: [x]\n  append: true\n",
            "f.yaml:1:3: list `l` changes one that is not defined before it",
        ),
        (
            "- required_engine_version: 0.99.0\n",
            "f.yaml:1:28: the rules need engine version 0.99.0, this is 0.63.0",
        ),
        (
            "- list: l\n  items: [x]\n- macro: m\n  condition: proc.name in (l\n",
            "f.yaml:4:29: macro `m`: expected `,` or `)`, found the end",
        ),
        ("rules: x\n", "f.yaml:1:1: the file is not a sequence of items"),
        (
            "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: info\n  override: {output: append}\n",
            "f.yaml:1:3: rule `r`: `condition` is given without an entry in `override`",
        ),
        (
            "- list: two\n  items: [a, b]\n- macro: m\n  condition: proc.name = two\n",
            "f.yaml:4:26: macro `m`: list `two` has 2 values where one is needed; compare with `in`",
        ),
    ] {
        let error = RuleSet::parse(&[("f.yaml", text)]).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
    let both =
        RuleSet::parse(&[("f", "- macro: a\n  condition: x.y = 1\n- macro: b\n  condition: z.y = 1\n")])
            .unwrap_err();
    assert_eq!(both.errors.len(), 2, "all errors are told at once");
    let missing = RuleSet::load(&["/nonexistent/rules.yaml"]).unwrap_err();
    assert!(missing.to_string().starts_with("/nonexistent/rules.yaml: cannot read: "), "{missing}");
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let text = "
- required_plugin_versions:
  - {name: k8saudit, version: 0.1.0}
- rule: audit
  desc: d
  condition: ka.verb = x
  output: o
  priority: info
  source: k8s_audit
- rule: r
  desc: d
  condition: evt.type = open and evt.dir = < and proc.vmsize > 1
  output: o
  priority: info
  shiny: yes
- rule: skipped
  desc: d
  condition: evt.type = open and new.field = 1
  output: o
  priority: info
  skip-if-unknown-filter: true
- rule: slow
  desc: d
  condition: proc.name = x or proc.fdlimit exists
  output: o %proc.vmrss
  priority: info
- thing: x
";
    let rules = RuleSet::parse(&[("f", text)]).unwrap_or_else(|error| panic!("{error}"));
    let warnings: Vec<String> = rules.warnings().iter().map(ToString::to_string).collect();
    for part in [
        "f:3:5: plugin `k8saudit`",
        "f:4:3: rule `audit` is left out: events of source `k8s_audit`",
        "f:15:3: unknown key `shiny`",
        "f:12:34: rule `r`: `evt.dir` is ignored",
        "f:12:50: rule `r`: `proc.vmsize` is not recorded",
        "f:16:3: rule `skipped` is left out",
        "f:24:31: rule `slow`: `proc.fdlimit` is not recorded",
        "f:25:14: output of rule `slow`: `proc.vmrss` is not recorded",
        "f:22:3: rule `slow` can match events of almost any type",
        "f:27:3: item of unknown type",
    ] {
        assert!(warnings.iter().any(|warning| warning.starts_with(part)), "{part}: {warnings:#?}");
    }
    assert_eq!(warnings.len(), 10, "{warnings:#?}");
    assert_eq!(rules.rules().len(), 2);
}

#[test]
fn hits_are_safe_to_show_and_have_falcos_json_shape() {
    let program = Program { tty: (136 << 20) | 1, ..Program::new("/bin/bash", &["bash", "\x1b[2Jx"]) };
    let scene = Scene::new()
        .fact(FactKey::PodName, "web-1")
        .run(1, 99, "/bin/sh", &["sh"])
        .start(99, 100, &program)
        .open(100, "/etc/\u{202e}x", READ, 3);
    let change = "- rule: shell reads\n  output: \"%proc.tty|%proc.cmdline|%fd.name|%10proc.name|100%%|%proc.aname[2].\"\n  capture: true\n  capture_duration: 500\n  capture_before: 30000\n  capture_scope: pod\n  capture_limit: 65536\n  capture_once_per: 9000\n  override: {output: replace, capture: replace, capture_duration: replace, capture_before: replace, capture_scope: replace, capture_limit: replace, capture_once_per: replace}\n";
    let hits = scene.hits(&rules(change));
    let [hit] = hits.as_slice() else { panic!("{hits:?}") };
    assert!(
        hit.message.starts_with(
            "34817|bash \\x1b[2Jx|/etc/\\u{202e}x|bash      |100%|<NA>. container_id=3ad7b26ded6d "
        ),
        "{}",
        hit.message
    );
    assert_eq!(hit.fields[0], ("proc.tty".to_owned(), FieldValue::Number(34817)));
    assert!(hit.fields.contains(&("proc.aname[2]".to_owned(), FieldValue::Absent)));
    assert_eq!(
        (hit.capture.enabled, hit.capture.after_ms, hit.capture.before_ms),
        (true, Some(500), Some(30000))
    );
    assert_eq!(
        (hit.capture.scope, hit.capture.limit, hit.capture.once_ms),
        (Some(CaptureScope::Pod), Some(65536), Some(9000))
    );
    let json: serde_json::Value = serde_json::from_str(&hit.to_falco_json()).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"]);
    assert_eq!(json["time"], "2026-11-21T12:00:10.000005000Z");
    assert_eq!(json["priority"], "Warning");
    assert_eq!(json["rule"], "shell reads");
    assert_eq!(json["source"], "syscall");
    assert_eq!(json["hostname"], "node-7");
    assert_eq!(json["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(json["output_fields"]["proc.tty"], 34817);
    assert_eq!(json["output_fields"]["k8s.pod.name"], "web-1");
    assert_eq!(json["output_fields"]["k8s.ns.name"], serde_json::Value::Null);
    assert_eq!(json["output_fields"]["evt.time"], 1_795_262_410_000_005_000i64);
    assert!(json["output"].as_str().unwrap().starts_with("12:00:10.000005000: Warning 34817|"), "{json}");
}

#[test]
fn hostile_rule_files_cost_a_bounded_amount() {
    let mut bomb = "- macro: m0\n  condition: evt.type = open\n".to_owned();
    for i in 1..40 {
        bomb += &format!("- macro: m{i}\n  condition: m{p} and m{p}\n", p = i - 1);
    }
    bomb += "- rule: r\n  desc: d\n  condition: m39\n  output: o\n  priority: info\n";
    let error = RuleSet::parse(&[("f", &bomb)]).unwrap_err();
    assert!(error.to_string().contains("more than 50000 parts"), "{error}");
    let mut lists = "- list: l0\n  items: [a, b]\n".to_owned();
    for i in 1..40 {
        lists += &format!("- list: l{i}\n  items: [l{p}, l{p}]\n", p = i - 1);
    }
    let error = RuleSet::parse(&[("f", &lists)]).unwrap_err();
    assert!(error.to_string().contains("more than 50000 parts"), "{error}");
}
