//! What is missing from a recording in an asked range: lost events and damage, for people and for programs.

use afterimage_format::{ContainerUid, Defect, Loss};
use afterimage_model::text::{Safe, escape};
use serde_json::{Map, Value};

use super::Trace;
use crate::{exit::Verdict, failure::shown, output::Machine, time::Span};

/// What is missing.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    /// Lost events, by time.
    pub list: Vec<Loss>,
    /// Damage.
    pub defects: Vec<Defect>,
}

impl Gaps {
    /// What may be missing of a container: its own losses and those of which nobody knows whose they are.
    pub fn of_container(trace: &Trace, uid: ContainerUid, span: Span) -> Self {
        Self::select(trace, span, |loss| loss.container.is_none_or(|c| c == uid))
    }

    /// What may be missing of any container.
    pub fn of_all(trace: &Trace, span: Span) -> Self {
        Self::select(trace, span, |_| true)
    }

    fn select(trace: &Trace, span: Span, wanted: impl Fn(&Loss) -> bool) -> Self {
        let losses = trace.recording.losses().iter();
        let list = losses.filter(|l| span.overlaps(l.from, l.to) && wanted(l)).copied().collect();
        Self { list, defects: trace.recording.defects() }
    }

    /// Damage that reading has found since.
    pub fn refresh(&mut self, trace: &Trace) {
        self.defects = trace.recording.defects();
    }

    /// Events known to be lost.
    pub fn lost(&self) -> u64 {
        self.list.iter().filter_map(|l| l.count).fold(0, u64::saturating_add)
    }

    /// What it makes of the exit code.
    pub fn verdict(&self, matched: bool) -> Verdict {
        Verdict { matched, damaged: !self.defects.is_empty(), loss: !self.list.is_empty() }
    }

    /// One line for people for each kind of thing that is missing; none where nothing is.
    pub fn sentences(&self, trace: &Trace) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.list.is_empty() {
            let unknown = self.list.iter().filter(|l| l.count.is_none()).count();
            let more = if unknown > 0 { format!(" ({unknown} of unknown size)") } else { String::new() };
            let gaps = if self.list.len() == 1 { "gap" } else { "gaps" };
            lines.push(format!(
                "lost: {} events in {} {gaps}{more} of `{}`: {}",
                self.lost(),
                self.list.len(),
                shown(&trace.path),
                self.causes().join(", ")
            ));
        }
        lines.extend(self.defects.iter().map(|d| {
            format!("{} at offset {} of `{}`: {}", d.kind.as_str(), d.offset, shown(&d.path), d.detail)
        }));
        lines
    }

    fn causes(&self) -> Vec<&'static str> {
        let mut causes: Vec<_> = self.list.iter().map(|l| l.cause.as_str()).collect();
        causes.sort_unstable();
        causes.dedup();
        causes
    }

    /// The members `lost`, `gaps` and `defects` of every JSON document.
    pub fn members(&self, trace: &Trace) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("lost".to_owned(), self.lost().into());
        let gaps = self.list.iter().map(|l| loss_object(trace, l));
        map.insert("gaps".to_owned(), Machine::list(gaps).into_value());
        let defects = self.defects.iter().map(defect_object);
        map.insert("defects".to_owned(), Machine::list(defects).into_value());
        map
    }
}

fn loss_object(trace: &Trace, loss: &Loss) -> Machine {
    Machine::object([
        ("from", trace.clock.rfc3339(loss.from).into()),
        ("to", trace.clock.rfc3339(loss.to).into()),
        ("cause", loss.cause.as_str().into()),
        ("count", loss.count.into()),
        ("container_uid", loss.container.map(|c| c.0).into()),
        ("cpu", loss.cpu.into()),
    ])
}

fn defect_object(defect: &Defect) -> Machine {
    Machine::object([
        ("kind", defect.kind.as_str().into()),
        ("path", Safe::format(format_args!("{}", shown(&defect.path))).into()),
        ("offset", defect.offset.into()),
        ("detail", escape(defect.detail.as_bytes()).into()),
    ])
}
