//! Which container a user means: `host`, `uid:N`, an id, a name, `namespace/pod` or a unique prefix of an id.
//!
//! A whole id or name wins over a prefix, so that a container named `cafe` can be named. An id that was started
//! several times has several recordings; `uid:N` tells them apart.

use afterimage_format::{ContainerRecord, ContainerSummary, ContainerUid, FactKey};

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

/// The container that `wanted` names.
///
/// # Errors
/// [`Failure::NoSuchContainer`] or [`Failure::Ambiguous`].
pub fn find<'a>(traces: &'a [Trace], wanted: &str) -> Result<Target<'a>, Failure> {
    let all = || traces.iter().flat_map(|t| t.recording.containers().iter().map(move |s| (t, s)));
    let pick = |matches: Vec<(&'a Trace, &'a ContainerSummary)>| match matches.as_slice() {
        [] => None,
        [(trace, summary)] => Some(Ok(Target { trace, summary })),
        several => Some(Err(ambiguous(several, wanted))),
    };
    if let Some(uid) = wanted_uid(wanted) {
        let matches = all().filter(|(_, s)| s.record.uid == uid).collect();
        return pick(matches).unwrap_or_else(|| Err(unknown(traces, wanted)));
    }
    for named in STRENGTHS {
        let matches = all().filter(|(_, s)| named(&s.record, wanted)).collect();
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

fn ambiguous(matches: &[(&Trace, &ContainerSummary)], wanted: &str) -> Failure {
    let mut candidates: Vec<String> = matches.iter().take(LISTED).map(|(t, s)| described(t, s)).collect();
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
