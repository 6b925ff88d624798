//! Alertmanager's webhook: a group of alerts. Only labels tell what they are about.

use serde::Deserialize;

use super::{
    super::{Hints, Source, Trigger, Wish},
    Parsed, from_str,
    generic::severity,
    lax::{Bounded, Lax, Moment, Part},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    #[serde(rename = "commonLabels")]
    common: Part<Labels>,
    alerts: Bounded<Alert>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alert {
    status: Lax,
    labels: Part<Labels>,
    annotations: Part<Annotations>,
    #[serde(rename = "startsAt")]
    starts: Moment,
    fingerprint: Lax,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Labels {
    alertname: Lax,
    severity: Lax,
    namespace: Lax,
    pod: Lax,
    container: Lax,
    container_id: Lax,
    /// cAdvisor's: the path of a cgroup.
    id: Lax,
    name: Lax,
    image: Lax,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    summary: Lax,
    description: Lax,
}

pub(super) fn parse(text: &str) -> Parsed {
    let group: Group = from_str(text)?;
    let common = group.common.0;
    Ok(group.alerts.0.into_iter().map(|alert| trigger(alert, &common)).collect())
}

fn trigger(alert: Alert, common: &Labels) -> Trigger {
    let own = alert.labels.0;
    let label = |own: Lax, common: &Lax| own.take().or_else(|| common.clone().take());
    let rule = label(own.alertname, &common.alertname).unwrap_or_default();
    let cgroup = label(own.id, &common.id).filter(|path| path.starts_with('/') && path.len() > 1);
    let hints = Hints {
        id: label(own.container_id, &common.container_id),
        name: label(own.name, &common.name),
        namespace: label(own.namespace, &common.namespace),
        pod: label(own.pod, &common.pod),
        pod_container: label(own.container, &common.container),
        cgroup,
        image: label(own.image, &common.image),
        ..Hints::default()
    };
    let starts = alert.starts.0;
    Trigger {
        notes: alert.starts.note("startsAt").into_iter().collect(),
        source: Source::Alertmanager,
        priority: severity(label(own.severity, &common.severity).as_deref().unwrap_or("")),
        tags: Vec::new(),
        time: starts,
        // A container's name alone is that of a pod's container too often to be the engine's.
        hints,
        fingerprint: alert.fingerprint.take().map(|own| format!("{own}@{}", starts.unwrap_or(0))),
        resolved: alert.status.0.as_deref() == Some("resolved"),
        routine: false,
        wish: Wish::default(),
        reason: alert
            .annotations
            .0
            .summary
            .take()
            .or(alert.annotations.0.description.take())
            .unwrap_or_default(),
        rule,
    }
}
