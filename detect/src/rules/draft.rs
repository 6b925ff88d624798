//! Rules, macros and lists as files write them, before they are compiled.

use std::collections::BTreeSet;

use super::{
    Priority,
    yaml::{Place, Scalar},
};

/// A condition: the pieces that the definition and later appends wrote, with a blank between.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pieces: Vec<Scalar>,
}

impl Condition {
    pub(super) fn new(scalar: Scalar) -> Self {
        Self { pieces: vec![scalar] }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// The whole text.
    pub(super) fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The place of a byte of the whole text.
    pub(super) fn place(&self, offset: usize, fallback: &Place) -> Place {
        let mut left = offset;
        for (at, piece) in self.pieces.iter().enumerate() {
            if left <= piece.text.len() || at + 1 == self.pieces.len() {
                return piece.place(left);
            }
            left -= piece.text.len() + 1;
        }
        fallback.clone()
    }
}

#[derive(Debug, Clone)]
pub(super) struct ListDraft {
    pub(super) name: String,
    pub(super) items: Vec<(String, Place)>,
}

#[derive(Debug, Clone)]
pub(super) struct MacroDraft {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) condition: Condition,
}

#[derive(Debug, Clone)]
pub(super) struct RuleDraft {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) condition: Condition,
    pub(super) output: Vec<Scalar>,
    pub(super) desc: String,
    pub(super) priority: Priority,
    pub(super) tags: BTreeSet<String>,
    pub(super) enabled: bool,
    pub(super) exceptions: Vec<Exception>,
    pub(super) capture: Capture,
    pub(super) skip_if_unknown: bool,
    pub(super) warn_types: bool,
}

/// What a hit pins, as far as the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capture {
    /// `capture: true`.
    pub enabled: bool,
    /// `capture_duration`: after the hit, milliseconds.
    pub after_ms: Option<u64>,
    /// `capture_before`: before the hit, milliseconds. Ours: Falco has no past.
    pub before_ms: Option<u64>,
    /// `capture_scope`: what is pinned besides the container. Ours: Falco captures the whole host.
    pub scope: Option<CaptureScope>,
    /// `capture_limit`: bytes recorded after the hit at which the pin ends.
    pub limit: Option<u64>,
    /// `capture_once_per`: milliseconds in which the rule captures a container once.
    pub once_ms: Option<u64>,
}

/// What a rule's capture reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureScope {
    /// The container.
    Container,
    /// All containers of its pod.
    Pod,
    /// The containers that descendants of the process are in.
    ProcessTree,
    /// The container, and the host's own processes.
    Host,
}

impl CaptureScope {
    /// Every scope with its word.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Container, "container"),
        (Self::Pod, "pod"),
        (Self::ProcessTree, "process_tree"),
        (Self::Host, "host"),
    ];

    /// The scope of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == word).map(|(scope, _)| *scope)
    }
}

/// An exception: values of fields for which the rule is silent.
#[derive(Debug, Clone)]
pub(super) struct Exception {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) fields: Option<Entry>,
    pub(super) comps: Option<Entry>,
    pub(super) values: Vec<Entry>,
}

/// A value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    One(String),
    Many(Vec<Entry>),
}
