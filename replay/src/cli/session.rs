//! What every verb gets: where to write, how to colour, and the ways to say what is missing.

use std::io::Write;

use afterimage_format::BootNanos;
use serde_json::{Map, Value};

use super::scope::Part;
use crate::{
    exit::Verdict,
    failure::Failure,
    output::{Emitter, Machine, OutputArgs, Shape, Style},
    trace::{Gaps, Trace},
};

/// The surroundings of a verb.
pub(super) struct Session<'a> {
    /// Data goes here.
    pub(super) out: &'a mut dyn Write,
    /// Colours.
    pub(super) style: Style,
    /// Draw with ASCII only.
    pub(super) ascii: bool,
    notices: Vec<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(style: Style, ascii: bool, out: &'a mut dyn Write) -> Self {
        Self { out, style, ascii, notices: Vec::new() }
    }

    /// Says something on stderr, once the data is out.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.notices.push(line.into());
    }

    /// What is to be said.
    pub(super) fn into_notices(self) -> Vec<String> {
        self.notices
    }

    /// Says what is missing; what it makes of the exit code.
    pub(super) fn conclude(&mut self, gaps: &[(&Trace, Gaps)], matched: bool) -> Verdict {
        let mut verdict = Verdict { matched, ..Verdict::default() };
        for (trace, gaps) in &each_once(gaps) {
            self.notices.extend(gaps.sentences(trace));
            self.notices.extend(gaps.outside(trace).filter(|_| !matched));
            let one = gaps.verdict(matched);
            verdict.damaged |= one.damaged;
            verdict.loss |= one.loss;
        }
        verdict
    }

    /// Begins rows; `head` are the members of a JSON document before them.
    pub(super) fn emit(
        &mut self,
        shape: Shape,
        args: &OutputArgs,
        head: &Map<String, Value>,
    ) -> Result<Emitter<'_>, Failure> {
        Emitter::begin(self.out, shape, args, self.style, head)
    }
}

/// The members that every document begins with: what was read.
pub(super) fn sources(traces: &[Trace]) -> Map<String, Value> {
    let list = traces.iter().map(|trace| {
        let origin = trace.recording.origin();
        let escaped = |bytes: &[u8]| afterimage_model::text::escape(bytes);
        Machine::object([
            ("path", escaped(trace.path.as_os_str().as_encoded_bytes()).into()),
            ("hostname", escaped(&origin.hostname).into()),
            ("kernel", escaped(&origin.kernel).into()),
            ("recorder", escaped(&origin.recorder).into()),
            ("sealed", (!trace.recording.unsealed()).into()),
        ])
    });
    let mut map = Map::new();
    map.insert("sources".to_owned(), Machine::list(list).into_value());
    map
}

/// The ranges that were asked for, one for each part that was looked at, the end excluded; nothing where none was asked for.
pub(super) fn ranges(parts: &[Part<'_>]) -> Option<Value> {
    if !parts.iter().any(Part::is_cut) {
        return None;
    }
    let range = |part: &Part<'_>| {
        let (from, to) = part.ends();
        let moment = |at: Option<BootNanos>| at.and_then(|at| part.trace.clock.rfc3339(at));
        let path = afterimage_model::text::escape(part.trace.path.as_os_str().as_encoded_bytes());
        Machine::object([
            ("path", path.into()),
            ("container_uid", part.uid().map(|uid| uid.0).into()),
            ("begin", moment(from).into()),
            ("end", moment(to).into()),
        ])
    };
    Some(Machine::list(parts.iter().map(range)).into_value())
}

/// The members that a document begins with where it is of parts of recordings: what was read, and what was asked for.
pub(super) fn sources_of(traces: &[Trace], parts: &[Part<'_>]) -> Map<String, Value> {
    let mut head = sources(traces);
    head.extend(ranges(parts).map(|ranges| ("ranges".to_owned(), ranges)));
    head
}

/// The same of one part.
pub(super) fn sources_of_part(part: &Part<'_>) -> Map<String, Value> {
    sources_of(std::slice::from_ref(part.trace), std::slice::from_ref(part))
}

/// What is missing, each gap once: several parts can be of one recording, whose gaps are those of each.
fn each_once<'t>(gaps: &[(&'t Trace, Gaps)]) -> Vec<(&'t Trace, Gaps)> {
    let mut once = gaps.to_vec();
    for (at, (trace, own)) in once.iter_mut().enumerate() {
        let before = gaps.iter().take(at).filter(|(other, _)| std::ptr::eq(*other, *trace));
        before.for_each(|(_, told)| own.leave_out(told));
    }
    once
}

/// The members that every document ends with, over all recordings.
pub(super) fn missing(gaps: &[(&Trace, Gaps)]) -> Map<String, Value> {
    let gaps = &each_once(gaps);
    let mut all = Map::new();
    let lost = gaps.iter().map(|(_, gaps)| gaps.lost()).fold(0, u64::saturating_add);
    all.insert("lost".to_owned(), lost.into());
    for key in ["gaps", "defects"] {
        let parts = gaps.iter().filter_map(|(trace, g)| g.members(trace).remove(key));
        let list = parts.flat_map(|part| match part {
            Value::Array(items) => items,
            other => vec![other],
        });
        all.insert(key.to_owned(), Value::Array(list.collect()));
    }
    all
}
