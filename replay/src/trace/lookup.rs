//! Which container a user means: `host`, `uid:N`, an id, a name, `namespace/pod` or a unique prefix of an id.
//!
//! A whole id or name wins over a prefix, so that a container named `cafe` can be named. An id that was started several
//! times, or whose recorder was, has several recordings: all are found, and `uid:N` tells them apart. One that is in
//! several files of the same store is found once.

use std::{cmp::Reverse, collections::HashSet};

use afterimage_format::{BootNanos, ContainerRecord, ContainerSummary, ContainerUid, FactKey};

use super::{Life, Trace, names};
use crate::{
    failure::{Failure, shown},
    output::terminal::defused,
};

/// Candidates that a message lists.
const LISTED: usize = 8;

/// A container of one of the opened recordings.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The recording it is in.
    pub trace: &'a Trace,
    /// The container.
    pub summary: &'a ContainerSummary,
}

impl Target<'_> {
    /// Its identity in its recording.
    pub fn uid(&self) -> ContainerUid {
        self.summary.record.uid
    }

    /// Whether all that is recorded of one of them is recorded of the other too: the same container of the same store, in two
    /// files, be it a part in one.
    fn is_copy_of(&self, other: &Self) -> bool {
        let store = self.trace.recording.store_uuid();
        if std::ptr::eq(self.trace, other.trace)
            || self.uid() != other.uid()
            || store != other.trace.recording.store_uuid()
        {
            return false;
        }
        let (own, others) = (self.blocks(), other.blocks());
        own.is_subset(&others) || others.is_subset(&own)
    }

    /// The blocks of it, each by what tells it from all others of it.
    fn blocks(&self) -> HashSet<(u64, u32, BootNanos, BootNanos)> {
        let all = self.trace.recording.blocks().iter().filter(|block| block.container == self.uid());
        all.map(|block| (block.first_row, block.rows, block.first, block.last)).collect()
    }

    /// What became of it.
    pub fn life(&self) -> Life {
        Life::of(self.trace, self.summary)
    }
}

/// The ways to be named, the strongest first.
const STRENGTHS: [fn(&ContainerRecord, &str) -> bool; 4] = [
    |record, wanted| record.id == wanted.as_bytes(),
    |record, wanted| {
        let keys = [FactKey::Name, FactKey::PodContainer];
        keys.into_iter().any(|k| record.fact(k).is_some_and(|f| f.value == wanted.as_bytes()))
            || names::name(record).is_some_and(|n| n.as_str() == wanted)
    },
    |record, wanted| {
        record.fact(FactKey::PodName).is_some_and(|f| f.value == wanted.as_bytes())
            || names::pod(record).is_some_and(|p| p.as_str() == wanted)
    },
    |record, wanted| !wanted.is_empty() && record.id.starts_with(wanted.as_bytes()),
];

/// What a name stands for.
#[derive(Debug)]
pub struct Found<'a> {
    /// The recordings of the container, the oldest first; never none.
    pub targets: Vec<Target<'a>>,
    /// What else holds one of them: the same container of the same store.
    pub copies: Vec<Target<'a>>,
}

impl<'a> Found<'a> {
    /// Of all that match a name; nothing where that is none, and `Err` where they are different containers.
    pub fn of(mut matches: Vec<Target<'a>>) -> Option<Result<Self, Vec<Target<'a>>>> {
        // Of a container that is there several times the most complete is taken.
        matches.sort_by_key(|target| Reverse(target.summary.events));
        let (mut targets, mut copies): (Vec<Target<'a>>, Vec<Target<'a>>) = (Vec::new(), Vec::new());
        for target in matches {
            let is_there = targets.iter().any(|known| known.is_copy_of(&target));
            if is_there { &mut copies } else { &mut targets }.push(target);
        }
        let first = targets.first()?.summary.record.clone();
        let is_same = |target: &Target<'_>| {
            let record = &target.summary.record;
            !first.id.is_empty() && (record.engine, &record.id) == (first.engine, &first.id)
        };
        if targets.len() > 1 && !targets.iter().all(is_same) {
            return Some(Err(targets));
        }
        targets.sort_by_key(|target| {
            let begin = target.life().begin;
            (target.trace.clock.map().real(begin), begin)
        });
        Some(Ok(Self { targets, copies }))
    }

    /// The last of its recordings.
    pub fn newest(&self) -> Option<Target<'a>> {
        self.targets.last().copied()
    }
}

/// The container that `wanted` names: of several recordings of it the newest.
///
/// # Errors
/// [`Failure::NoSuchContainer`] or [`Failure::Ambiguous`].
pub fn find<'a>(traces: &'a [Trace], wanted: &str) -> Result<Target<'a>, Failure> {
    find_all(traces, wanted)?.newest().ok_or_else(|| unknown(traces, wanted))
}

/// Which of several recordings have nothing that one of the others has not, each with that: the same store and its extract, or
/// the same file twice. Of the same ones the first is kept.
pub fn copies(traces: &[Trace]) -> Vec<(&Trace, &Trace)> {
    let mut copies: Vec<(&Trace, &Trace)> = Vec::new();
    for trace in traces.iter().rev() {
        let is_kept = |other: &&Trace| !copies.iter().any(|(copy, _)| std::ptr::eq(*copy, *other));
        let others = traces.iter().filter(|other| !std::ptr::eq(*other, trace)).filter(is_kept);
        if let Some(other) = others.into_iter().find(|other| is_within(trace, other)) {
            copies.push((trace, other));
        }
    }
    copies
}

/// Whether a recording has all that another has of each container, and the other has something.
fn is_within(trace: &Trace, other: &Trace) -> bool {
    if trace.recording.store_uuid() != other.recording.store_uuid() {
        return false;
    }
    let all = other.recording.containers();
    trace.recording.containers().iter().all(|summary| {
        let own = Target { trace, summary };
        let there = all.iter().find(|s| s.record.uid == summary.record.uid);
        there.is_some_and(|summary| own.blocks().is_subset(&Target { trace: other, summary }.blocks()))
    })
}

/// Every recording of the container that `wanted` names.
///
/// # Errors
/// [`Failure::NoSuchContainer`] or [`Failure::Ambiguous`].
pub fn find_all<'a>(traces: &'a [Trace], wanted: &str) -> Result<Found<'a>, Failure> {
    let all = || {
        traces.iter().flat_map(|trace| {
            trace.recording.containers().iter().map(move |summary| Target { trace, summary })
        })
    };
    let pick = |matches: Vec<Target<'a>>| {
        Found::of(matches).map(|found| found.map_err(|several| ambiguous(&several, wanted)))
    };
    if let Some(uid) = wanted_uid(wanted) {
        let matches = all().filter(|target| target.uid() == uid).collect();
        return pick(matches).unwrap_or_else(|| Err(unknown(traces, wanted)));
    }
    for named in STRENGTHS {
        let matches = all().filter(|target| named(&target.summary.record, wanted)).collect();
        if let Some(found) = pick(matches) {
            return found;
        }
    }
    Err(unknown(traces, wanted))
}

fn wanted_uid(wanted: &str) -> Option<ContainerUid> {
    if wanted == "host" {
        return Some(ContainerUid::HOST);
    }
    wanted.strip_prefix("uid:")?.parse().ok().map(ContainerUid)
}

fn ambiguous(matches: &[Target<'_>], wanted: &str) -> Failure {
    let described = |target: &Target<'_>| described(target.trace, target.summary);
    let mut candidates: Vec<String> = matches.iter().take(LISTED).map(described).collect();
    if matches.len() > LISTED {
        candidates.push(format!("and {} more", matches.len() - LISTED));
    }
    Failure::Ambiguous { wanted: defused(wanted), count: matches.len(), candidates }
}

fn described(trace: &Trace, summary: &ContainerSummary) -> String {
    let record = &summary.record;
    let life = Life::of(trace, summary);
    let start = trace.clock.full(life.begin).map(|t| format!(" of {t}")).unwrap_or_default();
    format!("{} (uid:{}, {}{start})", names::display_name(record), record.uid.0, life.state.as_str())
}

fn unknown(traces: &[Trace], wanted: &str) -> Failure {
    let places: Vec<String> = traces.iter().map(|t| shown(&t.path)).collect();
    let mut near: Vec<String> = traces
        .iter()
        .flat_map(|t| t.recording.containers())
        .filter(|s| s.record.uid != ContainerUid::HOST)
        .filter(|s| is_near(&s.record, wanted))
        .map(|s| names::display_name(&s.record).into_string())
        .take(LISTED)
        .collect();
    near.dedup();
    let damaged = traces.iter().any(|trace| !trace.recording.defects().is_empty());
    let hint = if near.is_empty() && damaged {
        format!("`afterimage info {}` says what is damaged", places.join(" "))
    } else if near.is_empty() {
        format!("`afterimage ls {}` lists them", places.join(" "))
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Failure::NoSuchContainer { wanted: defused(wanted), place: places.join("`, `"), hint, damaged }
}

/// Whether it could have been meant: part of the name, or the id up to the last digit typed.
fn is_near(record: &ContainerRecord, wanted: &str) -> bool {
    let named = [names::name(record), names::pod(record)];
    let part = wanted.len() >= 2 && named.iter().flatten().any(|n| n.as_str().contains(wanted));
    let shorter = wanted.get(..wanted.len().saturating_sub(1)).filter(|s| s.len() >= 3);
    part || shorter.is_some_and(|s| record.id.starts_with(s.as_bytes()))
}
