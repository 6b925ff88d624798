//! What the findings of a container say of its events.

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, TaskKey};
use afterimage_model::{
    World,
    findings::{Finding, Story},
};

use crate::value::Value;

/// What a finding says of the event that it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    time: BootNanos,
    task: TaskKey,
    code: EventCode,
    pub(crate) title: &'static str,
    pub(crate) severity: &'static str,
    /// Empty where it is none.
    pub(crate) attack: &'static str,
}

/// The findings of a container, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FindingTable {
    all: Vec<Found>,
    is_partial: bool,
}

impl FindingTable {
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that rest on an event.
    pub(crate) fn of(&self, event: &Event<'_>) -> impl Iterator<Item = &Found> {
        let of_event = (event.task, event.code);
        self.between((event.time, event.time)).filter(move |found| (found.task, found.code) == of_event)
    }

    fn between(&self, (first, last): (BootNanos, BootNanos)) -> impl Iterator<Item = &Found> {
        let from = self.all.partition_point(|found| found.time < first);
        self.all.get(from..).unwrap_or_default().iter().take_while(move |found| found.time <= last)
    }

    /// Every value that a field can have in a range of time; `None` for fields of others.
    pub(crate) fn values(
        &self,
        field: &str,
        range: Option<(BootNanos, BootNanos)>,
    ) -> Option<Box<dyn Iterator<Item = Value<'_>> + '_>> {
        let part = part(field)?;
        let range = range.unwrap_or((BootNanos(0), BootNanos(u64::MAX)));
        let texts = self.between(range).map(part).filter(|text| !text.is_empty());
        Some(Box::new(texts.map(|text| Value::text(text.as_bytes()))))
    }
}

/// What of a finding a field tells.
fn part(field: &str) -> Option<fn(&Found) -> &'static str> {
    Some(match field {
        "find.rule" => |found| found.title,
        "find.sev" => |found| found.severity,
        "find.attack" => |found| found.attack,
        _ => return None,
    })
}

/// What is gathered on the way.
#[derive(Debug, Default)]
pub(super) struct FindingsGathered {
    story: Story,
    all: Vec<Found>,
}

impl FindingsGathered {
    pub(super) fn apply(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) {
        let found = self.story.apply(world, uid, event);
        self.all.extend(found.map(|finding| {
            let Finding { time, task, code, title, severity, attack, .. } = finding;
            Found { time, task, code, title, severity: severity.as_str(), attack }
        }));
    }

    pub(super) fn finish(mut self, uid: ContainerUid) -> FindingTable {
        self.all.sort_by_key(|found| found.time);
        FindingTable { all: self.all, is_partial: self.story.dropped(uid) > 0 }
    }
}
