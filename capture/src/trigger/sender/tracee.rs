//! Tracee's webhook: one event, as its marshaller writes it, as its documentation has it, and as older versions did.

use afterimage_detect::rules::Priority;
use serde::Deserialize;

use super::{
    super::{Hints, Source, Trigger, Wish},
    Parsed, from_str,
    lax::{Lax, Moment, Part},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    timestamp: Moment,
    name: Lax,
    workload: Part<Workload>,
    threat: Option<Part<Threat>>,
    #[serde(rename = "eventName")]
    old_name: Lax,
    #[serde(rename = "containerId")]
    old_container: Lax,
    #[serde(rename = "hostProcessId")]
    old_pid: Lax,
    container: Part<Container>,
    kubernetes: Part<OldPod>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workload {
    process: Part<Process>,
    container: Part<Container>,
    k8s: Part<K8s>,
    pod: Part<Named>,
    namespace: Part<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Process {
    host_pid: Lax,
    thread: Part<Thread>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Thread {
    start_time: Moment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    id: Lax,
    name: Lax,
    image: Part<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct K8s {
    pod: Part<Named>,
    namespace: Part<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Lax,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OldPod {
    #[serde(rename = "podName")]
    pod: Lax,
    #[serde(rename = "podNamespace")]
    namespace: Lax,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Threat {
    name: Lax,
    description: Lax,
    severity: Lax,
    mitre: Part<Mitre>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mitre {
    technique: Part<Technique>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Technique {
    id: Lax,
}

pub(super) fn parse(text: &str) -> Parsed {
    let event: Event = from_str(text)?;
    let Workload { process, container, k8s, pod, namespace } = event.workload.0;
    let (old, old_pod) = (event.container.0, event.kubernetes.0);
    let container = container.0;
    let threat = event.threat.map(|threat| threat.0).unwrap_or_default();
    let first = |values: [Lax; 3]| values.into_iter().find_map(Lax::take);
    let priority = match threat.severity.number::<i64>() {
        Some(3..) => Priority::Critical,
        Some(2) => Priority::Error,
        Some(1) => Priority::Warning,
        _ => Priority::Notice,
    };
    Ok(vec![Trigger {
        notes: event.timestamp.note("timestamp").into_iter().collect(),
        source: Source::Tracee,
        rule: event.name.take().or(event.old_name.take()).unwrap_or_default(),
        priority,
        tags: threat.mitre.0.technique.0.id.take().into_iter().collect(),
        time: event.timestamp.0,
        hints: Hints {
            id: first([container.id, event.old_container, old.id]),
            pod_container: container.name.take().filter(|_| k8s.0.pod.0.name.0.is_some()),
            name: old.name.take(),
            namespace: first([k8s.0.namespace.0.name, namespace.0.name, old_pod.namespace]),
            pod: first([k8s.0.pod.0.name, pod.0.name, old_pod.pod]),
            pid: process.0.host_pid.number().or(event.old_pid.number()).filter(|pid| *pid > 0),
            pid_start: process.0.thread.0.start_time.0,
            image: first([container.image.0.name, old.image.0.name, Lax(None)]),
            ..Hints::default()
        },
        fingerprint: None,
        resolved: false,
        routine: false,
        wish: Wish::default(),
        reason: first([threat.description, threat.name, Lax(None)]).unwrap_or_default(),
    }])
}
