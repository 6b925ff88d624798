//! Who wrote an object, by the members it has.

use serde::{Deserialize, de::IgnoredAny};

use super::{super::Source, lax::Lax};

/// The members by which senders are told apart; everything else is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shape {
    alerts: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    kind: Lax,
    #[serde(rename = "apiVersion")]
    api_version: Lax,
    #[serde(rename = "auditID")]
    audit_id: Option<IgnoredAny>,
    rule: Option<IgnoredAny>,
    output_fields: Option<IgnoredAny>,
    node_name: Option<IgnoredAny>,
    process_exec: Option<IgnoredAny>,
    process_exit: Option<IgnoredAny>,
    process_kprobe: Option<IgnoredAny>,
    process_tracepoint: Option<IgnoredAny>,
    process_uprobe: Option<IgnoredAny>,
    process_lsm: Option<IgnoredAny>,
    process_loader: Option<IgnoredAny>,
    workload: Option<IgnoredAny>,
    policies: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    threat: Option<IgnoredAny>,
    #[serde(rename = "eventName")]
    event_name: Option<IgnoredAny>,
    #[serde(rename = "hostProcessId")]
    host_process_id: Option<IgnoredAny>,
    specversion: Option<IgnoredAny>,
    container: Option<IgnoredAny>,
    container_id: Option<IgnoredAny>,
    name: Option<IgnoredAny>,
    pod: Option<IgnoredAny>,
    pid: Option<IgnoredAny>,
    cgroup: Option<IgnoredAny>,
    image: Option<IgnoredAny>,
}

impl Shape {
    /// An envelope around something else.
    pub(super) fn is_cloudevent(&self) -> bool {
        self.specversion.is_some()
    }

    /// Who wrote it.
    pub(super) fn sender(&self) -> Option<Source> {
        let is_audit =
            self.api_version.0.as_deref().is_some_and(|version| version.starts_with("audit.k8s.io/"));
        let is_event = matches!(self.kind.0.as_deref(), Some("Event" | "EventList"));
        let process = [
            &self.process_exec,
            &self.process_exit,
            &self.process_kprobe,
            &self.process_tracepoint,
            &self.process_uprobe,
            &self.process_lsm,
            &self.process_loader,
        ];
        if self.alerts.is_some() && self.version.is_some() {
            Some(Source::Alertmanager)
        } else if is_audit && is_event || self.audit_id.is_some() {
            Some(Source::K8sAudit)
        } else if self.rule.is_some() && self.output_fields.is_some() {
            Some(Source::Falco)
        } else if process.iter().any(|key| key.is_some()) && self.node_name.is_some() {
            Some(Source::Tetragon)
        } else if self.workload.is_some()
            && (self.policies.is_some() || self.data.is_some() || self.threat.is_some())
            || self.event_name.is_some() && self.host_process_id.is_some()
        {
            Some(Source::Tracee)
        } else if [
            &self.container,
            &self.container_id,
            &self.name,
            &self.pod,
            &self.pid,
            &self.cgroup,
            &self.image,
        ]
        .iter()
        .any(|key| key.is_some())
        {
            Some(Source::Generic)
        } else {
            None
        }
    }
}
