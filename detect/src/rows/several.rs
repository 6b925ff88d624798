//! Which rows of a block any of many rules can match.
//!
//! Most rows are of calls that no rule is about. Of the others, rules ask code and paths first, which are the same for
//! many rows: all rules are asked once for each different pair, and what they ask besides leaves the row in doubt.

use afterimage_format::{Columns, ContainerRecord, ContainerUid, Event, EventCode, FieldTag};

use super::{
    Bits, Key, Part, Plan, Told,
    key::{is_opened, is_plain},
};
use crate::{
    codes,
    context::{EventContext, Frame},
    prefilter::{Nothing, Verdict},
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
}

impl<'r> RuleRows<'r> {
    pub(crate) fn new(
        nodes: impl Iterator<Item = &'r Node>,
        (slots, groups): (&'r [u32], &'r [Vec<u32>]),
        frame: &'r Frame,
    ) -> Self {
        let plans = nodes.map(|node| RowFilter::new(node, frame).plan).collect();
        Self { plans, slots, groups, frame }
    }

    /// The rows of a block that any rule can match, all columns being there.
    pub fn may(&self, columns: &Columns, record: Option<&ContainerRecord>) -> Bits {
        let mut may = Bits::none(columns.len());
        let mut told = Told::new();
        let results = columns.results();
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
                [path, kernel, u64::MAX] => {
                    let failed = results.get(row).is_some_and(|ret| *ret < 0);
                    let plain = is_plain(EventCode(*code), columns.numbers(row));
                    let what = u64::from(*code) | u64::from(failed) << 16 | u64::from(plain) << 17;
                    told.get([what, path, kernel], evaluate)
                }
                _ => evaluate(),
            };
            if verdict != Verdict::Never {
                may.insert(row);
            }
        }
        may
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
        let cx = EventContext::new(event, (uid, record), &Nothing, self.frame, 1);
        let can =
            |rule: &u32| self.plans.get(*rule as usize).is_none_or(|plan| plan.at(&cx) != Verdict::Never);
        if rules.iter().any(can) { Verdict::Maybe } else { Verdict::Never }
    }
}

impl Plan<'_> {
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
