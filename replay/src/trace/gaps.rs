//! What is missing from a recording in an asked range: lost events and damage, for people and for programs.

use std::collections::{HashMap, HashSet};

use afterimage_format::{BootNanos, ContainerUid, Defect, Eviction, Loss, Part};
use afterimage_model::text::{Safe, escape};
use serde_json::{Map, Value};

use super::Trace;
use crate::{exit::Verdict, failure::shown, output::Machine, time::Span};

/// What is missing.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    /// Lost events, by time.
    pub list: Vec<Loss>,
    /// Events that were lost besides, of which it is not recorded any more when: their records were evicted. Only known where
    /// all of what was recorded is asked about.
    pub untold: u64,
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
        let list = Self::losses(trace, uid, span);
        let is_whole = trace.pinned().is_empty()
            && recorded(trace, uid).is_none_or(|(first, last)| span.contains(first) && span.contains(last));
        let untold = if is_whole { untold(trace, uid) } else { 0 };
        let evicted = trace.recording.evictions().iter().filter(|eviction| {
            uid.is_none_or(|uid| uid == eviction.container)
                && span.begin.is_none_or(|begin| begin <= eviction.until)
        });
        Self {
            list,
            untold,
            defects: trace.recording.defects(),
            evicted: evicted.copied().collect(),
            span,
            uid,
        }
    }

    /// Gaps that touch a range: those of a container and those of which nobody knows whose they are, or all.
    pub fn losses(trace: &Trace, uid: Option<ContainerUid>, span: Span) -> Vec<Loss> {
        let losses = trace.recording.losses().iter();
        let pinned = trace.pinned();
        let wanted = |loss: &&Loss| {
            let is_asked = uid.is_none() || loss.container.is_none() || loss.container == uid;
            is_asked && concerns(trace, pinned, loss)
        };
        losses.filter(|l| span.overlaps(l.from, l.to)).filter(wanted).copied().collect()
    }

    /// Damage that reading has found since.
    pub fn refresh(&mut self, trace: &Trace) {
        self.defects = trace.recording.defects();
    }

    /// Leaves out what was told of another part of the same recording: a gap that is nobody's in particular is of each.
    pub fn leave_out(&mut self, told: &Self) {
        let of = |loss: &Loss| (loss.container, loss.cause, loss.cpu, loss.from, loss.to, loss.count);
        let known: HashSet<_> = told.list.iter().map(of).collect();
        self.list.retain(|loss| !known.contains(&of(loss)));
        self.defects.retain(|defect| !told.defects.contains(defect));
        self.evicted.retain(|eviction| !told.evicted.contains(eviction));
        if self.uid == told.uid {
            self.untold = 0;
        }
    }

    /// Events known to be lost.
    pub fn lost(&self) -> u64 {
        self.told().saturating_add(self.untold)
    }

    /// Those of them of which it is told when.
    pub fn told(&self) -> u64 {
        self.lost_list().filter_map(|l| l.count).fold(0, u64::saturating_add)
    }

    /// Those of the gaps whose events were lost.
    fn lost_list(&self) -> impl Iterator<Item = &Loss> {
        self.list.iter().filter(|loss| !loss.cause.is_damage())
    }

    /// Those whose events were recorded, in blocks that were damaged in what this was copied from.
    pub fn corrupt(&self) -> impl Iterator<Item = &Loss> {
        self.list.iter().filter(|loss| loss.cause.is_damage())
    }

    /// What it makes of the exit code. A tail that a crash cut is no damage, but where nothing was found it may have been there.
    pub fn verdict(&self, matched: bool) -> Verdict {
        let may_lack = !matched && !self.defects.is_empty();
        let damaged = may_lack || is_damaged(&self.defects) || self.corrupt().next().is_some();
        Verdict { matched, damaged, loss: self.lost_list().next().is_some() || self.untold > 0 }
    }

    /// One line for people for each kind of thing that is missing; none where nothing is.
    pub fn sentences(&self, trace: &Trace) -> Vec<String> {
        let mut lines = Vec::new();
        let gaps_lost = self.lost_list().count();
        if gaps_lost == 0 && self.untold > 0 {
            let (lost, place) = (self.untold, shown(&trace.path));
            lines.push(format!("lost: {lost} events of `{place}`; when is not recorded any more"));
        } else if gaps_lost > 0 {
            let unknown = self.lost_list().filter(|l| l.count.is_none()).count();
            let more = if unknown > 0 { format!(" ({unknown} of unknown size)") } else { String::new() };
            let gaps = if gaps_lost == 1 { "gap" } else { "gaps" };
            let told = match self.untold {
                0 => String::new(),
                _ => format!(", {} of them told in detail,", self.told()),
            };
            lines.push(format!(
                "lost: {} events{told} in {gaps_lost} {gaps}{more} of `{}`: {}",
                self.lost(),
                shown(&trace.path),
                self.causes().join(", ")
            ));
        }
        let blocks = self.corrupt().count();
        if blocks > 0 {
            let events = self.corrupt().filter_map(|loss| loss.count).fold(0, u64::saturating_add);
            let were = if blocks == 1 { "block that was" } else { "blocks that were" };
            lines.push(format!(
                "corrupt: {events} events are missing from `{}`: they were in {blocks} {were} damaged in what it was copied from",
                shown(&trace.path),
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
        let mut causes: Vec<_> = self.lost_list().map(|l| l.cause.as_str()).collect();
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

/// Whether evidence is damaged: what a crash cut is told, and is no damage.
pub(super) fn is_damaged(defects: &[Defect]) -> bool {
    defects.iter().any(|defect| defect.kind.is_damage())
}

/// Whether a gap is of what a recording is about: an extract of an incident is of the containers and times that were pinned, and
/// knows of gaps beyond these.
fn concerns(trace: &Trace, pinned: &[Part], loss: &Loss) -> bool {
    let touches = |part: &Part| {
        part.begin.is_none_or(|begin| begin <= loss.to) && part.end.is_none_or(|end| loss.from <= end)
    };
    let is_pinned = |uid: ContainerUid| pinned.iter().any(|part| part.container == uid);
    match loss.container {
        Some(uid) if is_pinned(uid) => pinned.iter().any(|part| part.container == uid && touches(part)),
        Some(_) => true,
        None => {
            let mut others = trace.recording.containers().iter().filter(|s| s.record.is_container());
            pinned.is_empty() || pinned.iter().any(touches) || others.any(|s| !is_pinned(s.record.uid))
        }
    }
}

/// Events that a container, or all, are known to have lost beyond what the records of gaps tell.
fn untold(trace: &Trace, uid: Option<ContainerUid>) -> u64 {
    let mut told: HashMap<ContainerUid, u64> = HashMap::new();
    for loss in trace.recording.losses() {
        let sum = loss
            .container
            .filter(|_| !loss.cause.is_damage())
            .map(|container| told.entry(container).or_default());
        sum.into_iter().for_each(|sum| *sum = sum.saturating_add(loss.count.unwrap_or(0)));
    }
    let all = trace.recording.containers().iter();
    let asked = all.filter(|summary| uid.is_none_or(|uid| uid == summary.record.uid));
    let beyond = asked.map(|s| s.lost.saturating_sub(told.get(&s.record.uid).copied().unwrap_or(0)));
    beyond.fold(0, u64::saturating_add)
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

#[cfg(test)]
mod tests {
    use afterimage_format::{
        ContainerRecord, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, LossCause, Origin,
        StoreOptions, StoreWriter, TaskKey,
    };

    use super::*;

    /// Noise that does not compress.
    fn noise(seed: u64) -> Vec<u8> {
        let next = |at: &u64| Some(at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        let all = std::iter::successors(Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), next);
        all.take(256).map(|number| (number >> 33) as u8).collect()
    }

    /// `info` told of fewer lost events than `ls` where the records of the losses were evicted.
    #[test]
    fn what_was_lost_is_counted_though_nothing_tells_any_more_when() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            StoreOptions { segment_bytes: 32 << 10, budget_bytes: 256 << 10, ..StoreOptions::default() };
        let mut store = StoreWriter::open(dir.path(), Origin::default(), options).unwrap();
        let uid = ContainerUid(1);
        store.put_container(&ContainerRecord { uid, ..ContainerRecord::host(BootNanos(1)) }).unwrap();
        let (container, cpu, cause) = (Some(uid), None, LossCause::RingFull);
        let lost = |from: u64, count| Loss {
            container,
            cause,
            cpu,
            from: BootNanos(from),
            to: BootNanos(from),
            count: Some(count),
        };
        store.put_loss(&lost(2, 7)).unwrap();
        for number in 1..4_000_u64 {
            let bytes = noise(number);
            let (flags, full_len) = (FieldFlags::default(), bytes.len() as u32);
            let fields = [Field { tag: FieldTag::PAYLOAD, flags, full_len, bytes: &bytes }];
            let time = BootNanos(number * 100_000_000);
            let task = TaskKey { tgid: 9, tid: 9, start: BootNanos(1) };
            let code = EventCode(1);
            let flags = EventFlags::default();
            let (cpu, ret, args, fields) = (0, 256, &[1, 0, 256][..], &fields[..]);
            store
                .push(uid, &Event { time, duration: None, task, code, flags, cpu, ret, args, fields })
                .unwrap();
            store.commit(time).unwrap();
        }
        store.put_loss(&lost(399_000_000_000, 3)).unwrap();
        store.seal().unwrap();
        let trace = Trace::open(dir.path().to_path_buf(), false).unwrap();
        let summary = trace.recording.containers().iter().find(|s| s.record.uid == uid).unwrap();
        assert_eq!((summary.lost, trace.recording.losses().len()), (10, 1), "the first record is gone");
        for gaps in [Gaps::of_container(&trace, uid, Span::default()), Gaps::of_all(&trace, Span::default())]
        {
            assert_eq!((gaps.lost(), gaps.told(), gaps.untold), (10, 3, 7));
            assert!(
                gaps.sentences(&trace)[0].contains("lost: 10 events, 3 of them told in detail, in 1 gap of")
            );
        }
        let part = Span { begin: Some(BootNanos(399_800_000_000)), end: None };
        assert_eq!(Gaps::of_container(&trace, uid, part).lost(), 0, "of a part nobody knows");
    }
}
