//! The audit webhook of the Kubernetes API server: an event list, or one event. Somebody entering a pod is an alert,
//! all else is routine. No event tells the node; what is not ours resolves to nothing.

use afterimage_detect::rules::Priority;
use serde::Deserialize;

use super::{
    super::{Hints, Source, Trigger, Wish},
    Parsed, from_str,
    lax::{Bounded, Lax, Moment, Part},
};
use crate::http::query;

/// Ways into a running pod.
const ENTERING: [&str; 4] = ["exec", "attach", "portforward", "ephemeralcontainers"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    kind: Lax,
    items: Bounded<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "auditID")]
    id: Lax,
    stage: Lax,
    #[serde(rename = "requestURI")]
    uri: Lax,
    verb: Lax,
    user: Part<User>,
    #[serde(rename = "objectRef")]
    object: Part<Object>,
    #[serde(rename = "requestReceivedTimestamp")]
    received: Moment,
    #[serde(rename = "stageTimestamp")]
    stage_time: Moment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: Lax,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: Lax,
    namespace: Lax,
    name: Lax,
    subresource: Lax,
}

pub(super) fn parse(text: &str) -> Parsed {
    let Message { kind, items } = from_str(text)?;
    let events = if kind.0.as_deref() == Some("EventList") { items.0 } else { vec![from_str(text)?] };
    Ok(events.into_iter().filter_map(trigger).collect())
}

/// `None` for what is not about a pod.
fn trigger(event: Event) -> Option<Trigger> {
    let Object { resource, namespace, name, subresource } = event.object.0;
    if resource.0.as_deref() != Some("pods") {
        return None;
    }
    let pod = name.take()?;
    let members = query::members(event.uri.0.as_deref().unwrap_or(""));
    let subresource = subresource.take();
    let entering = subresource.as_deref().is_some_and(|sub| ENTERING.contains(&sub));
    let verb = event.verb.take().unwrap_or_default();
    let rule = match &subresource {
        Some(sub) => format!("{verb} pods/{sub}"),
        None => format!("{verb} pods"),
    };
    let user = event.user.0.username.take().unwrap_or_default();
    let command = members.get("command").map(|command| format!(": {command}")).unwrap_or_default();
    let fingerprint = event.id.take().map(|id| format!("{id}/{}", event.stage.take().unwrap_or_default()));
    let time = event.received.0.or(event.stage_time.0);
    let notes = [("requestReceivedTimestamp", &event.received), ("stageTimestamp", &event.stage_time)];
    let notes = notes.iter().filter(|_| time.is_none()).filter_map(|(member, time)| time.note(member));
    Some(Trigger {
        notes: notes.collect(),
        source: Source::K8sAudit,
        priority: if entering { Priority::Notice } else { Priority::Debug },
        tags: Vec::new(),
        time,
        reason: format!("{user} {rule} {pod}{command}"),
        rule,
        hints: Hints {
            namespace: namespace.take(),
            pod: Some(pod),
            pod_container: members.get("container").cloned().filter(|name| !name.is_empty()),
            ..Hints::default()
        },
        fingerprint,
        resolved: false,
        routine: !entering,
        wish: Wish::default(),
    })
}
