//! Bodies of our own making in the shapes that the senders' sources and documentation show.

use super::*;
use crate::trigger::{ActionKind, Scope, Span};
use afterimage_detect::rules::Priority;
use std::time::Duration;

const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";

const FALCO: &str = include_str!("../../../tests/senders/falco.json");
const ALERTMANAGER: &str = include_str!("../../../tests/senders/alertmanager.json");
const K8S_AUDIT: &str = include_str!("../../../tests/senders/k8s-audit.json");
const TETRAGON: &str = include_str!("../../../tests/senders/tetragon.jsonl");
const TRACEE: &str = include_str!("../../../tests/senders/tracee.json");
const TRACEE_DOCUMENTED: &str = include_str!("../../../tests/senders/tracee-documented.json");
const TRACEE_OLD: &str = include_str!("../../../tests/senders/tracee-old.json");
const CLOUDEVENTS: &str = include_str!("../../../tests/senders/cloudevents.json");
const GENERIC: &str = include_str!("../../../tests/senders/generic.json");

/// 2026-11-21T11:58:21.410331902Z
const WHEN: i64 = 1_795_262_301_410_331_902;

fn one(body: &str) -> Trigger {
    let mut triggers = parse(body.as_bytes(), None).unwrap();
    assert_eq!(triggers.len(), 1, "{triggers:?}");
    triggers.remove(0)
}

#[test]
fn every_sender_is_told_by_its_shape_and_read() {
    let id = |trigger: &Trigger| trigger.hints.id.clone().unwrap_or_default();
    let falco = one(FALCO);
    assert_eq!((falco.source, falco.priority), (Source::Falco, Priority::Critical));
    assert_eq!(falco.rule, "Drop and execute new binary in container");
    assert_eq!((id(&falco).as_str(), falco.time), (&ID[..12], Some(WHEN)));
    assert_eq!((falco.hints.pod.as_deref(), falco.hints.pid), (Some("etl-7f9c"), Some(412)));
    assert_eq!(falco.hints.image.as_deref(), Some("reg/batch:1.4"));
    assert_eq!(falco.fingerprint.as_deref(), Some("3f6d1c7e-8f0b-4b43-9f0e-6a5c0d6f3a11"));
    assert_eq!(falco.tags, ["container", "mitre_persistence", "TA0003"]);

    let tracee = one(TRACEE);
    assert_eq!((tracee.source, tracee.rule.as_str()), (Source::Tracee, "DROPPED_EXECUTABLE"));
    assert_eq!((id(&tracee).as_str(), tracee.priority), (ID, Priority::Critical));
    assert_eq!((tracee.hints.pid, tracee.time), (Some(412), Some(WHEN)));
    assert_eq!(tracee.hints.namespace.as_deref(), Some("jobs"));
    assert_eq!(
        (tracee.tags.as_slice(), tracee.hints.pod.as_deref()),
        (&["T1204".to_owned()][..], Some("etl-7f9c"))
    );

    let documented = one(TRACEE_DOCUMENTED);
    assert_eq!((id(&documented).as_str(), documented.time), (ID, Some(WHEN)));
    assert_eq!((documented.hints.pid, documented.hints.pod.as_deref()), (Some(412), Some("etl-7f9c")));

    let old = one(TRACEE_OLD);
    assert_eq!((old.source, old.rule.as_str()), (Source::Tracee, "anti_debugging"));
    assert_eq!((id(&old).as_str(), old.hints.pid, old.time), (ID, Some(412), Some(WHEN)));

    let generic = one(GENERIC);
    assert_eq!((generic.source, generic.rule.as_str()), (Source::Generic, "wazuh"));
    assert_eq!((generic.priority, generic.reason.as_str()), (Priority::Critical, "SOC ticket 4711"));
    assert_eq!(generic.wish.action, Some(ActionKind::Pin));
    assert_eq!(generic.wish.before, Some(Span::For(Duration::from_secs(120))));
    assert_eq!(generic.wish.after, Some(Span::For(Duration::from_secs(60))));
    assert_eq!(generic.wish.scope, None::<Scope>);
}

#[test]
fn a_group_of_alerts_is_as_many_triggers() {
    let triggers = parse(ALERTMANAGER.as_bytes(), None).unwrap();
    assert_eq!(triggers.len(), 2);
    let first = &triggers[0];
    assert_eq!((first.source, first.rule.as_str()), (Source::Alertmanager, "PodRunningUnknownBinary"));
    assert_eq!(first.priority, Priority::Critical, "a label of the group counts for each");
    assert_eq!(
        (first.hints.namespace.as_deref(), first.hints.pod.as_deref()),
        (Some("jobs"), Some("etl-7f9c"))
    );
    assert_eq!(first.hints.pod_container.as_deref(), Some("batch"));
    assert_eq!(first.fingerprint.as_deref(), Some("c0ffee0123456789@1795262310000000000"));
    assert!(!first.resolved && triggers[1].resolved);
    assert_eq!(triggers[1].hints.cgroup.as_deref(), Some("/kubepods/besteffort/pod0/abc"));
}

#[test]
fn only_entering_a_pod_is_an_alert() {
    let triggers = parse(K8S_AUDIT.as_bytes(), None).unwrap();
    let told: Vec<(&str, bool)> = triggers.iter().map(|t| (t.rule.as_str(), t.routine)).collect();
    assert_eq!(told, [("create pods/exec", false), ("get pods", true)], "what is about no pod is left out");
    let exec = &triggers[0];
    assert_eq!(exec.source, Source::K8sAudit);
    assert_eq!(exec.hints.pod_container.as_deref(), Some("batch"));
    assert_eq!(exec.reason, "alice create pods/exec etl-7f9c: sh -c id");
    assert_eq!(exec.fingerprint.as_deref(), Some("7f1c2a52-9a0e-4f57-9a57-0c3b5b7c8d10/ResponseStarted"));
    // A bare event, and an array of them.
    let list: serde_json::Value = serde_json::from_str(K8S_AUDIT).unwrap();
    let mut event = list["items"][0].clone();
    event["kind"] = "Event".into();
    event["apiVersion"] = "audit.k8s.io/v1".into();
    assert_eq!(one(&event.to_string()), *exec);
    assert_eq!(parse(serde_json::json!([event, event]).to_string().as_bytes(), None).unwrap().len(), 2);
}

#[test]
fn lines_of_tetragon_are_read_one_by_one() {
    let triggers = parse(TETRAGON.as_bytes(), None).unwrap();
    let told: Vec<(&str, bool)> = triggers.iter().map(|t| (t.rule.as_str(), t.routine)).collect();
    assert_eq!(told, [("process_exec", true), ("sensitive-files", false)]);
    assert_eq!(triggers[0].hints.id.as_deref(), Some(format!("containerd://{ID}").as_str()));
    assert_eq!(triggers[0].hints.pid_start, Some(WHEN));
    assert_eq!(triggers[1].hints.id.as_deref(), Some(&ID[..31]), "31 digits where no pod is known");
    assert_eq!(triggers[1].reason, "security_file_permission: /usr/bin/cat /etc/shadow");
}

#[test]
fn an_envelope_is_taken_off() {
    let inside = one(CLOUDEVENTS);
    assert_eq!((inside.source, inside.hints.id.as_deref()), (Source::Falco, Some(&ID[..12])));
    assert_eq!(
        inside.fingerprint.as_deref(),
        Some("3f6d1c7e-8f0b-4b43-9f0e-6a5c0d6f3a11"),
        "its own id counts"
    );
    let wrap = |data: serde_json::Value| {
        serde_json::json!({"specversion": "1.0", "id": "9", "source": "/s", "type": "t", "data": data,
            "time": "2026-11-21T11:58:21.410331902Z"})
    };
    let generic = serde_json::json!({"container": "web"});
    for event in [wrap(generic.clone()), wrap(generic.to_string().into()), wrap(wrap(generic.clone()))] {
        let inside = one(&event.to_string());
        assert_eq!((inside.source, inside.time), (Source::Generic, Some(WHEN)), "{event}");
        assert_eq!(inside.fingerprint.as_deref(), Some("/s#9"), "{event}");
    }
    let encoded =
        r#"{"specversion":"1.0","id":"9","source":"/s","data_base64":"eyJjb250YWluZXIiOiJ3ZWIifQ=="}"#;
    assert_eq!(one(encoded).hints.id.as_deref(), Some("web"));
    assert!(parse(wrap(wrap(wrap(generic))).to_string().as_bytes(), None).is_err(), "not without end");
}

#[test]
fn odd_but_real_values_are_taken_as_they_are_meant() {
    let host = one(
        r#"{"rule":"r","output_fields":{"container.id":"host","proc.pid":null,"container.name":"host"}}"#,
    );
    assert!(host.hints.host && host.hints.id.is_none() && host.hints.name.is_none());
    let blank =
        one(r#"{"rule":"r","priority":"Info","output_fields":{"container.id":"<NA>","proc.pid":"7"}}"#);
    assert_eq!((blank.hints.id, blank.hints.pid), (None, Some(7)));
    assert_eq!(blank.priority, Priority::Informational);
    let odd = one(r#"{"rule":["x"],"output_fields":"none","tags":"a","time":{"a":1},"priority":{}}"#);
    assert!(odd.rule.is_empty() && odd.hints.is_empty() && odd.time.is_none());
    let times = [
        ("1795262301", 1_795_262_301),
        ("1795262301410", 1_795_262_301),
        ("\"2026-11-21T11:58:21Z\"", 1_795_262_301),
        ("\"2026-11-21 11:58:21\"", 1_795_262_301),
        ("\"2026-11-21 12:58:21+01:00\"", 1_795_262_301),
    ];
    for (written, seconds) in times {
        let trigger = one(&format!(r#"{{"container":"a","time":{written}}}"#));
        assert_eq!(trigger.time.map(|t| t / 1_000_000_000), Some(seconds), "{written}");
    }
    let none = one(r#"{"container":"a","time":"0001-01-01T00:00:00Z"}"#);
    assert_eq!(none.time, None, "Go's zero time is none");
}

#[test]
fn what_is_wrong_is_said() {
    let error = |body: &str| parse(body.as_bytes(), None).unwrap_err().to_string();
    assert!(error("11:58:21.4: Critical Executing").contains("json_output: true"));
    assert!(error("{").starts_with("not JSON"));
    assert!(error("").contains("empty"));
    assert!(error("  \n").contains("empty"));
    assert!(error("{\"colour\":1}").contains("no known sender"));
    assert!(error("3").starts_with("not JSON: invalid type"));
    assert_eq!(
        error(r#"{"container":"a","action":"delete"}"#),
        "`action` is `delete`, not `pin`, `mark` or `ignore`"
    );
    assert!(error(r#"{"container":"a","before":"5 fortnights"}"#).starts_with("`before` is"));
    for time in ["\"yesterday\"", "\"08:40:00\"", "true", "{\"a\":1}", "[1]", "-5"].into_iter().chain([
        "\"1960-01-01T00:00:00Z\"",
        "\"1900-01-01 08:40:00\"",
        "-1.5",
        "{\"seconds\":-5}",
    ]) {
        let said = error(&format!(r#"{{"container":"a","time":{time}}}"#));
        assert!(said.starts_with("`time` is `") && said.contains("not a time such as"), "{said}");
    }
    assert!(error(r#"{"container":"a","pid":"seven"}"#).starts_with("`pid` is `seven`"));
    let wrong = parse(FALCO.as_bytes(), Some(Source::Generic)).unwrap_err();
    assert!(matches!(wrong, BodyError::Stranger(_)), "{wrong}");
    let none = parse(b"{}", Some(Source::Generic)).unwrap_err();
    assert!(matches!(none, BodyError::NoContainer), "{none}");
}

#[test]
fn a_time_that_cannot_be_read_is_told_of_the_alerts_of_others() {
    let odd = one(r#"{"rule":"r","output_fields":{"evt.time":"yesterday"},"time":"tomorrow"}"#);
    assert_eq!(odd.time, None);
    assert!(odd.notes.len() == 2 && odd.notes[0].starts_with("`evt.time` is `yesterday`, which is no time"));
    let other = one(r#"{"rule":"r","output_fields":{"evt.time":"yesterday"},"time":"2026-11-21T11:58:21Z"}"#);
    assert!(other.time.is_some() && other.notes.is_empty(), "{other:?}");
    let none = one(r#"{"rule":"r","output_fields":{"evt.time":null},"time":""}"#);
    assert!(none.notes.is_empty(), "{none:?}");
}

#[test]
fn a_slip_in_the_name_of_a_member_is_no_silent_default() {
    let slip = r#"{"container":"a","befor":"2h"}"#;
    for declared in [Source::Generic, Source::Person] {
        let error = parse(slip.as_bytes(), Some(declared)).unwrap_err().to_string();
        assert_eq!(error, "there is no member `befor`: did you mean `before`?");
    }
    assert_eq!(one(slip).notes, ["there is no member `befor`: did you mean `before`?"]);
    let foreign = one(r#"{"image":"a","colour":1}"#);
    assert_eq!(foreign.notes, ["there is no member `colour`"], "{foreign:?}");
    let all: Vec<String> = generic::MEMBERS.iter().map(|name| format!("\"{name}\":null")).collect();
    let all = format!("{{{},\"container\":\"a\"}}", all[1..].join(","));
    assert!(parse(all.as_bytes(), Some(Source::Generic)).unwrap()[0].notes.is_empty());
}

#[test]
fn hostile_bodies_cost_little() {
    let deep = |n: usize| format!("{{\"container\":\"a\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(one(&deep(60)).hints.id.as_deref(), Some("a"));
    assert!(matches!(parse(deep(100_000).as_bytes(), None), Err(BodyError::Deep)));
    let many = format!("[{}]", vec!["{\"container\":\"a\"}"; MAX_TRIGGERS + 1].join(","));
    assert!(matches!(parse(many.as_bytes(), None), Err(BodyError::Many)));
    let lines = "{\"container\":\"a\"}\n".repeat(MAX_TRIGGERS + 1);
    assert!(matches!(parse(lines.as_bytes(), None), Err(BodyError::Many)));
    let group = format!(r#"{{"version":"4","alerts":[{}]}}"#, vec!["{}"; MAX_TRIGGERS + 1].join(","));
    assert!(matches!(parse(group.as_bytes(), None), Err(BodyError::Many)));
    let long = one(&format!(r#"{{"container":"a","reason":"{}"}}"#, "ä".repeat(1 << 20)));
    assert!(long.reason.len() <= 4096 && long.reason.chars().all(|c| c == 'ä'));
    let quoted = format!(r#"{{"container":"a","x":"{}"}}"#, "[{".repeat(1000));
    assert_eq!(one(&quoted).hints.id.as_deref(), Some("a"), "brackets in text are no depth");
    for body in [&b"\xff\xfe"[..], b"\x00", b"{\"container\":\"\xff\"}", b"[[[[", b"\"\\ud800\""] {
        assert!(parse(body, None).is_err(), "{body:?}");
    }
}

#[test]
fn spans_are_read_as_people_write_them() {
    let seconds = |text| match parse_span(text) {
        Some(Span::For(duration)) => Some(duration.as_secs()),
        _ => None,
    };
    assert_eq!(
        ["120s", "5m", "2 h", "1d", "30", "x", "", "-5s"].map(seconds),
        [Some(120), Some(300), Some(7200), Some(86_400), Some(30), None, None, None]
    );
    assert_eq!(parse_span("all"), Some(Span::All));
    assert_eq!(parse_span("99999999999999999999d"), None);
}
