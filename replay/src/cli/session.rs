//! What every verb gets: where to write, how to colour, and the ways to say what is missing.

use std::io::Write;

use serde_json::{Map, Value};

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
        for (trace, gaps) in gaps {
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

/// The members that every document ends with, over all recordings.
pub(super) fn missing(gaps: &[(&Trace, Gaps)]) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("lost".to_owned(), gaps.iter().map(|(_, g)| g.lost()).sum::<u64>().into());
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
