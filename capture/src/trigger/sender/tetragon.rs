//! Lines of Tetragon's JSON export. Executions and exits are routine; what a policy reports is an alert.

use afterimage_detect::rules::Priority;
use serde::Deserialize;

use super::{
    super::{Hints, Source, Trigger, Wish},
    Parsed, from_str,
    lax::{Bounded, Lax, Moment, Part, texts},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    process_exec: Option<Part<Event>>,
    process_exit: Option<Part<Event>>,
    process_kprobe: Option<Part<Event>>,
    process_tracepoint: Option<Part<Event>>,
    process_uprobe: Option<Part<Event>>,
    process_lsm: Option<Part<Event>>,
    process_loader: Option<Part<Event>>,
    time: Moment,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Event {
    process: Part<Process>,
    policy_name: Lax,
    function_name: Lax,
    message: Lax,
    tags: Bounded<Lax>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Process {
    pid: Lax,
    binary: Lax,
    arguments: Lax,
    start_time: Moment,
    docker: Lax,
    pod: Part<Pod>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Pod {
    namespace: Lax,
    name: Lax,
    container: Part<Container>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Container {
    id: Lax,
    name: Lax,
    image: Part<Image>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Image {
    name: Lax,
}

pub(super) fn parse(text: &str) -> Parsed {
    let line: Line = from_str(text)?;
    let kinds = [
        ("process_exec", line.process_exec),
        ("process_exit", line.process_exit),
        ("process_kprobe", line.process_kprobe),
        ("process_tracepoint", line.process_tracepoint),
        ("process_uprobe", line.process_uprobe),
        ("process_lsm", line.process_lsm),
        ("process_loader", line.process_loader),
    ];
    let found = kinds.into_iter().find_map(|(kind, event)| event.map(|event| (kind, event.0)));
    Ok(found.map(|(kind, event)| trigger(kind, event, &line.time)).into_iter().collect())
}

fn trigger(kind: &'static str, event: Event, time: &Moment) -> Trigger {
    let process = event.process.0;
    let pod = process.pod.0;
    let container = pod.container.0;
    let what = event.message.take().or(event.function_name.take());
    let command = [process.binary.take(), process.arguments.take()];
    let command = command.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Trigger {
        notes: time.note("time").into_iter().collect(),
        source: Source::Tetragon,
        rule: event.policy_name.take().unwrap_or_else(|| kind.to_owned()),
        priority: Priority::Warning,
        tags: texts(event.tags),
        time: time.0,
        hints: Hints {
            id: container.id.take().or(process.docker.take()),
            namespace: pod.namespace.take(),
            pod: pod.name.take(),
            pod_container: container.name.take(),
            pid: process.pid.number(),
            pid_start: process.start_time.0,
            image: container.image.0.name.take(),
            ..Hints::default()
        },
        fingerprint: None,
        resolved: false,
        routine: matches!(kind, "process_exec" | "process_exit"),
        wish: Wish::default(),
        reason: match what {
            Some(what) => format!("{what}: {command}"),
            None => command,
        },
    }
}
