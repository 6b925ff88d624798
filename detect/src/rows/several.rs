//! Which rows of a block any of many rules can match.
//!
//! Most rows are of calls that no rule is about. Of the others, rules ask code and paths first, which are the same for
//! many rows: all rules are asked once for each different pair, and what they ask besides leaves the row in doubt. Blocks
//! have much the same paths: what was found for one is remembered for the next.

use std::{cell::RefCell, collections::HashMap};

use afterimage_format::{Columns, ContainerRecord, ContainerUid, Event, EventCode, FieldTag};

use super::{
    Bits, Key, Part, Plan, Told,
    key::{is_opened, is_plain},
};
use crate::{
    codes,
    context::{EventContext, Frame},
    prefilter::{NOTHING, Verdict, no_event},
    program::Node,
    rows::RowFilter,
};

/// Rules made ready for columns.
#[derive(Debug)]
pub struct RuleRows<'r> {
    plans: Vec<Plan<'r>>,
    /// Which rules are about a code, as in [`crate::RuleSet`].
    slots: &'r [u32],
    groups: &'r [Vec<u32>],
    frame: &'r Frame,
    found: RefCell<Found>,
}

/// Bytes of paths for which verdicts are remembered.
const MOST_BYTES: usize = 4 << 20;
/// Sets of answers of containers for which they are.
const MOST_KINDS: usize = 64;

/// What was found for codes with paths, by what the rules' parts that ask for the container say of it.
#[derive(Debug, Default)]
struct Found {
    kinds: HashMap<Vec<Verdict>, HashMap<Box<[u8]>, Verdict>>,
    bytes: usize,
    /// Where a key is made.
    key: Vec<u8>,
}

impl Found {
    /// What was found for an event with these bits and paths in a container of this kind, or what `evaluate` finds now.
    fn get(
        &mut self,
        kind: &[Verdict],
        event: &Event<'_>,
        what: u64,
        evaluate: impl FnOnce() -> Verdict,
    ) -> Verdict {
        self.key.clear();
        self.key.extend_from_slice(&what.to_le_bytes());
        for tag in [FieldTag::PATH, FieldTag::KPATH] {
            // Nothing is not the same as an empty path.
            let path = event.bytes(tag);
            self.key.extend_from_slice(&path.map_or(u32::MAX, |path| path.len() as u32).to_le_bytes());
            self.key.extend_from_slice(path.unwrap_or_default());
        }
        let known = self.kinds.get(kind).and_then(|found| found.get(self.key.as_slice()));
        if let Some(verdict) = known {
            return *verdict;
        }
        if self.bytes > MOST_BYTES || self.kinds.len() > MOST_KINDS {
            self.kinds.clear();
            self.bytes = 0;
        }
        let verdict = evaluate();
        self.bytes += self.key.len();
        self.kinds.entry(kind.to_vec()).or_default().insert(self.key.as_slice().into(), verdict);
        verdict
    }
}

impl<'r> RuleRows<'r> {
    pub(crate) fn new(
        nodes: impl Iterator<Item = &'r Node>,
        (slots, groups): (&'r [u32], &'r [Vec<u32>]),
        frame: &'r Frame,
    ) -> Self {
        let plans = nodes.map(|node| RowFilter::new(node, frame).plan).collect();
        Self { plans, slots, groups, frame, found: RefCell::default() }
    }

    /// The rows of a block that any rule can match, all columns being there.
    pub fn may(&self, columns: &Columns, record: Option<&ContainerRecord>) -> Bits {
        let mut may = Bits::none(columns.len());
        let mut told = Told::new();
        let results = columns.results();
        let tells_paths = self.frame.tells_paths(columns.container());
        let kind = self.kind(columns.container(), record);
        let mut found = self.found.borrow_mut();
        for (row, code) in columns.codes().iter().enumerate() {
            let rules = self.about(EventCode(*code));
            if rules.is_empty() {
                continue;
            }
            let evaluate = || {
                let verdict = |event: &Event<'_>| self.verdict(rules, columns.container(), record, event);
                columns.with(row, verdict).unwrap_or(Verdict::Maybe)
            };
            let string = |tag| columns.string(row, tag).map_or(u64::MAX, |id| id.as_number());
            let paths = [FieldTag::PATH, FieldTag::KPATH, FieldTag::PATH2].map(string);
            let verdict = match paths {
                [u64::MAX, u64::MAX, _] => Verdict::Maybe,
                _ if !tells_paths => Verdict::Maybe,
                [path, kernel, u64::MAX] => {
                    let failed = results.get(row).is_some_and(|ret| *ret < 0);
                    let plain = is_plain(EventCode(*code), columns.numbers(row));
                    let what = u64::from(*code) | u64::from(failed) << 16 | u64::from(plain) << 17;
                    let look = |event: &Event<'_>| {
                        let verdict = || self.verdict(rules, columns.container(), record, event);
                        found.get(&kind, event, what, verdict)
                    };
                    told.get([what, path, kernel], || columns.with(row, look).unwrap_or(Verdict::Maybe))
                }
                _ => evaluate(),
            };
            if verdict != Verdict::Never {
                may.insert(row);
            }
        }
        may
    }

    /// What the parts that ask for the container say of one.
    fn kind(&self, uid: ContainerUid, record: Option<&ContainerRecord>) -> Vec<Verdict> {
        let event = no_event();
        let cx = EventContext::new(&event, (uid, record), &NOTHING, self.frame, 1);
        let mut kind = Vec::new();
        self.plans.iter().for_each(|plan| {
            plan.each_part(&mut |part| {
                if part.key == Key::Block {
                    kind.push(part.by_paths(&cx));
                }
            });
        });
        kind
    }

    fn about(&self, code: EventCode) -> &[u32] {
        let group = self.slots.get(codes::place(code)).and_then(|slot| self.groups.get(*slot as usize));
        group.map_or(&[], Vec::as_slice)
    }

    /// Whether any rule can match an event with the same code and paths.
    fn verdict(
        &self,
        rules: &[u32],
        uid: ContainerUid,
        record: Option<&ContainerRecord>,
        event: &Event<'_>,
    ) -> Verdict {
        let cx = EventContext::new(event, (uid, record), &NOTHING, self.frame, 1);
        let can =
            |rule: &u32| self.plans.get(*rule as usize).is_none_or(|plan| plan.at(&cx) != Verdict::Never);
        if rules.iter().any(can) { Verdict::Maybe } else { Verdict::Never }
    }
}

impl Plan<'_> {
    fn each_part(&self, visit: &mut dyn FnMut(&Part<'_>)) {
        match self {
            Self::And(plans) | Self::Or(plans) => plans.iter().for_each(|plan| plan.each_part(visit)),
            Self::Not(plan) => plan.each_part(visit),
            Self::Part(part) => visit(part),
            Self::Doubt => {}
        }
    }

    /// What code and paths of an event say.
    fn at(&self, cx: &EventContext<'_>) -> Verdict {
        match self {
            Self::And(plans) => {
                let mut all = Verdict::Always;
                for plan in plans {
                    all = all.and(plan.at(cx));
                    if all == Verdict::Never {
                        break;
                    }
                }
                all
            }
            Self::Or(plans) => {
                let mut none = Verdict::Always;
                for plan in plans {
                    none = none.and(plan.at(cx).not());
                    if none == Verdict::Never {
                        break;
                    }
                }
                none.not()
            }
            Self::Not(plan) => plan.at(cx).not(),
            Self::Part(part) => part.by_paths(cx),
            Self::Doubt => Verdict::Maybe,
        }
    }
}

impl Part<'_> {
    fn by_paths(&self, cx: &EventContext<'_>) -> Verdict {
        let is_decided = match self.key {
            Key::Block => cx.record().is_some() || cx.container() == ContainerUid::HOST,
            // An exec has one code and two names.
            Key::Code => cx.event().code != EventCode::EXEC,
            Key::Paths(names) => names.is_decided(cx.event()),
            Key::Opened => is_opened(cx.event()),
            _ => false,
        };
        match is_decided {
            true if self.node.holds(cx) => Verdict::Always,
            true => Verdict::Never,
            false => Verdict::Maybe,
        }
    }
}
