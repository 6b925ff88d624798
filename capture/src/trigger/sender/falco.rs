//! Falco's `http_output` and falcosidekick's webhook: one alert, falcosidekick with a `uuid`.

use afterimage_detect::rules::Priority;
use serde::Deserialize;

use super::{
    super::{Hints, Source, Trigger, Wish},
    Parsed, from_str,
    lax::{Bounded, Lax, Moment, Part, texts},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alert {
    rule: Lax,
    priority: Lax,
    output: Lax,
    time: Moment,
    uuid: Lax,
    tags: Bounded<Lax>,
    output_fields: Part<Fields>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(rename = "container.id")]
    id: Lax,
    #[serde(rename = "container.full_id")]
    full_id: Lax,
    #[serde(rename = "container.name")]
    name: Lax,
    #[serde(rename = "container.image.repository")]
    repository: Lax,
    #[serde(rename = "container.image.tag")]
    tag: Lax,
    #[serde(rename = "k8s.ns.name")]
    namespace: Lax,
    #[serde(rename = "k8s.pod.name")]
    pod: Lax,
    #[serde(rename = "proc.pid")]
    pid: Lax,
    #[serde(rename = "evt.time")]
    time: Moment,
}

/// Values that stand for none.
fn known(value: Lax) -> Option<String> {
    value.take().filter(|text| !matches!(text.as_str(), "<NA>" | "null" | "N/A" | "incomplete"))
}

pub(super) fn parse(text: &str) -> Parsed {
    let alert: Alert = from_str(text)?;
    let fields = alert.output_fields.0;
    let pid = fields.pid.number().filter(|pid| *pid > 0);
    let id = known(fields.full_id).or_else(|| known(fields.id));
    let host = id.as_deref() == Some("host");
    let image = known(fields.repository).map(|repository| match known(fields.tag) {
        Some(tag) => format!("{repository}:{tag}"),
        None => repository,
    });
    let hints = Hints {
        id: id.filter(|_| !host),
        name: known(fields.name).filter(|_| !host),
        namespace: known(fields.namespace),
        pod: known(fields.pod),
        pid,
        image,
        host,
        ..Hints::default()
    };
    let time = fields.time.0.or(alert.time.0);
    let notes = [("evt.time", &fields.time), ("time", &alert.time)];
    let notes = notes.iter().filter(|_| time.is_none()).filter_map(|(member, time)| time.note(member));
    Ok(vec![Trigger {
        notes: notes.collect(),
        source: Source::Falco,
        rule: alert.rule.take().unwrap_or_default(),
        priority: alert.priority.take().and_then(|p| Priority::parse(&p)).unwrap_or(Priority::Warning),
        tags: texts(alert.tags),
        time,
        hints,
        fingerprint: alert.uuid.take(),
        resolved: false,
        routine: false,
        wish: Wish::default(),
        reason: alert.output.take().unwrap_or_default(),
    }])
}
