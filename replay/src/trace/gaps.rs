//! What is missing from a recording in an asked range: lost events and damage, for people and for programs.

use afterimage_format::{BootNanos, ContainerUid, Defect, Eviction, Loss};
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
    /// What retention removed that may be of the asked range. Removed on purpose: neither lost nor damaged.
    pub evicted: Vec<Eviction>,
    /// What was asked.
    span: Span,
    uid: Option<ContainerUid>,
}

impl Gaps {
    /// What may be missing of a container: its own losses and those of which nobody knows whose they are.
    pub fn of_container(trace: &Trace, uid: ContainerUid, span: Span) -> Self {
        Self::select(trace, span, Some(uid))
    }

    /// What may be missing of any container.
    pub fn of_all(trace: &Trace, span: Span) -> Self {
        Self::select(trace, span, None)
    }

    fn select(trace: &Trace, span: Span, uid: Option<ContainerUid>) -> Self {
        let losses = trace.recording.losses().iter();
        let wanted = |loss: &&Loss| uid.is_none() || loss.container.is_none() || loss.container == uid;
        let list = losses.filter(|l| span.overlaps(l.from, l.to)).filter(wanted).copied().collect();
        let evicted = trace.recording.evictions().iter().filter(|eviction| {
            uid.is_none_or(|uid| uid == eviction.container)
                && span.begin.is_none_or(|begin| begin <= eviction.until)
        });
        Self { list, defects: trace.recording.defects(), evicted: evicted.copied().collect(), span, uid }
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
        if !self.evicted.is_empty() {
            let events = self.evicted.iter().map(|eviction| eviction.events).fold(0, u64::saturating_add);
            let mut reasons: Vec<_> = self.evicted.iter().map(|eviction| eviction.reason.as_str()).collect();
            reasons.sort_unstable();
            reasons.dedup();
            let containers = if self.evicted.len() == 1 { "container" } else { "containers" };
            lines.push(format!(
                "evicted: {events} older events of {} {containers} of `{}`: {}",
                self.evicted.len(),
                shown(&trace.path),
                reasons.join(", ")
            ));
        }
        lines.extend(self.defects.iter().map(|d| {
            format!("{} at offset {} of `{}`: {}", d.kind.as_str(), d.offset, shown(&d.path), d.detail)
        }));
        lines
    }

    /// Why nothing was found, where the asked range is wholly before or behind what was recorded.
    pub fn outside(&self, trace: &Trace) -> Option<String> {
        let recorded = recorded(trace, self.uid);
        let (first, last) = recorded.filter(|(first, last)| !self.span.overlaps(*first, *last))?;
        let moment =
            |at| trace.clock.full(at).map_or_else(|| format!("boot +{} ns", at.0), Safe::into_string);
        Some(format!(
            "nothing was recorded in the asked range; what is asked about was recorded from {} to {} {}, in `{}`",
            moment(first),
            moment(last),
            trace.clock.zone_word(),
            shown(&trace.path),
        ))
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

/// First and last event of a container, or of all.
fn recorded(trace: &Trace, uid: Option<ContainerUid>) -> Option<(BootNanos, BootNanos)> {
    let Some(uid) = uid else { return trace.recording.time_range() };
    trace.recording.containers().iter().find(|summary| summary.record.uid == uid)?.range
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
