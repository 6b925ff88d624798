//! A trigger in the form in which it crosses. What only the recorder itself may say, it cannot say: which container by the
//! recorder's own number, and that a rule of its own sent it.

use std::time::Duration;

use afterimage_detect::rules::Priority;
use bincode::{Decode, Encode};

use crate::trigger::{ActionKind, Hints, Scope, Source, Span, Trigger, Wish};

/// A trigger.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Alert {
    source: String,
    rule: String,
    priority: u8,
    tags: Vec<String>,
    time: Option<i64>,
    hints: Pointers,
    fingerprint: Option<String>,
    resolved: bool,
    routine: bool,
    wish: Asked,
    reason: String,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct Pointers {
    id: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    pod: Option<String>,
    pod_container: Option<String>,
    pid: Option<u32>,
    pid_start: Option<i64>,
    cgroup: Option<String>,
    image: Option<String>,
    host: bool,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
struct Asked {
    action: Option<u8>,
    /// `None` inside for all of it.
    before: Option<Option<Duration>>,
    after: Option<Option<Duration>>,
    scope: Option<u8>,
    limit: Option<u64>,
    boost: Option<bool>,
    all: bool,
}

const ACTIONS: [ActionKind; 3] = [ActionKind::Pin, ActionKind::Mark, ActionKind::Ignore];
const SCOPES: [Scope; 5] = [Scope::Container, Scope::Pod, Scope::ProcessTree, Scope::Neighbours, Scope::Host];
const PRIORITIES: [Priority; 8] = [
    Priority::Emergency,
    Priority::Alert,
    Priority::Critical,
    Priority::Error,
    Priority::Warning,
    Priority::Notice,
    Priority::Informational,
    Priority::Debug,
];

fn number<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).unwrap_or(0) as u8
}

fn span(span: Span) -> Option<Duration> {
    match span {
        Span::For(time) => Some(time),
        Span::All => None,
    }
}

impl From<Trigger> for Alert {
    fn from(trigger: Trigger) -> Self {
        let Trigger { hints, wish, .. } = trigger;
        Self {
            source: trigger.source.as_str().to_owned(),
            rule: trigger.rule,
            priority: number(&PRIORITIES, &trigger.priority),
            tags: trigger.tags,
            time: trigger.time,
            hints: Pointers {
                id: hints.id,
                name: hints.name,
                namespace: hints.namespace,
                pod: hints.pod,
                pod_container: hints.pod_container,
                pid: hints.pid,
                pid_start: hints.pid_start,
                cgroup: hints.cgroup,
                image: hints.image,
                host: hints.host,
            },
            fingerprint: trigger.fingerprint,
            resolved: trigger.resolved,
            routine: trigger.routine,
            wish: Asked {
                action: wish.action.map(|action| number(&ACTIONS, &action)),
                before: wish.before.map(span),
                after: wish.after.map(span),
                scope: wish.scope.map(|scope| number(&SCOPES, &scope)),
                limit: wish.limit,
                boost: wish.boost,
                all: wish.all,
            },
            reason: trigger.reason,
            notes: trigger.notes,
        }
    }
}

impl Alert {
    /// As a trigger; nothing where it says what it may not, or what is not known.
    pub fn into_trigger(self) -> Option<Trigger> {
        let Self { hints, wish, .. } = self;
        let span = |span: Option<Duration>| span.map_or(Span::All, Span::For);
        let of = |place: Option<u8>| place.map(usize::from);
        let action = match of(wish.action) {
            Some(place) => Some(*ACTIONS.get(place)?),
            None => None,
        };
        let scope = match of(wish.scope) {
            Some(place) => Some(*SCOPES.get(place)?),
            None => None,
        };
        Some(Trigger {
            source: Source::parse(&self.source).filter(|source| *source != Source::Rules)?,
            rule: self.rule,
            priority: *PRIORITIES.get(usize::from(self.priority))?,
            tags: self.tags,
            time: self.time,
            hints: Hints {
                uid: None,
                id: hints.id,
                name: hints.name,
                namespace: hints.namespace,
                pod: hints.pod,
                pod_container: hints.pod_container,
                pid: hints.pid,
                pid_start: hints.pid_start,
                cgroup: hints.cgroup,
                image: hints.image,
                host: hints.host,
            },
            fingerprint: self.fingerprint,
            resolved: self.resolved,
            routine: self.routine,
            wish: Wish {
                action,
                before: wish.before.map(span),
                after: wish.after.map(span),
                scope,
                limit: wish.limit,
                boost: wish.boost,
                all: wish.all,
            },
            reason: self.reason,
            notes: self.notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::sender;

    #[test]
    fn a_trigger_crosses_as_it_is_but_for_what_only_the_recorder_says() {
        let body = br#"{"rule":"r","priority":"Critical","output":"o","time":"2026-01-02T03:04:05Z",
            "output_fields":{"container.id":"0123456789ab","k8s.ns.name":"n","proc.pid":7}}"#;
        let [trigger] = &sender::parse(body, Some(Source::Falco)).unwrap()[..] else { panic!() };
        let mut sent = trigger.clone();
        sent.wish = Wish {
            action: Some(ActionKind::Mark),
            before: Some(Span::All),
            after: Some(Span::For(Duration::from_secs(7))),
            scope: Some(Scope::Neighbours),
            limit: Some(9),
            boost: Some(true),
            all: true,
        };
        sent.notes.push("odd".to_owned());
        assert_eq!(Alert::from(sent.clone()).into_trigger().as_ref(), Some(&sent));
        sent.hints.uid = Some(afterimage_format::ContainerUid(3));
        assert_eq!(Alert::from(sent.clone()).into_trigger().unwrap().hints.uid, None);
        sent.source = Source::Rules;
        assert_eq!(Alert::from(sent.clone()).into_trigger(), None);
        let unknown = Alert { priority: 9, ..Alert::from(trigger.clone()) };
        assert_eq!(unknown.into_trigger(), None);
        for (place, priority) in PRIORITIES.into_iter().enumerate() {
            assert_eq!(priority as usize, place, "as syslog numbers them");
        }
    }
}
