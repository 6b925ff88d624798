//! Which rows of a block can match, told from some of its columns.
//!
//! The filter is evaluated in three values, as in [`crate::prefilter`], but for all rows of a block at once: rows that
//! can match and rows that do are two bitmaps. A part whose value depends on few columns is evaluated once for each
//! different value of these, by the same code that evaluates it at an event; a part that asks the state leaves its rows
//! in doubt, and only these need an event.

use std::cell::{Cell, OnceCell};

use afterimage_format::{
    BootNanos, Columns, ContainerRecord, ContainerUid, Event, EventCode, FieldTag, TaskKey, Wanted,
    layout::exec,
};

use crate::{
    codes::Codes,
    context::{EventContext, Frame},
    prefilter::{NOTHING, Verdict, no_event},
    program::Node,
    shape,
};

mod bits;
mod key;
mod several;

pub use bits::Bits;
use key::{Key, Names, is_opened};
pub use several::RuleRows;

/// A filter made ready for columns.
#[derive(Debug)]
pub struct RowFilter<'f> {
    plan: Plan<'f>,
    frame: &'f Frame,
    codes: Codes,
    wanted: Wanted,
    parts: (usize, usize),
}

/// What columns say of a block's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// These can match.
    pub may: Bits,
    /// These match, whatever the state.
    pub sure: Bits,
}

#[derive(Debug)]
enum Plan<'f> {
    /// All of them, those that need fewer columns first.
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Part(Part<'f>),
    Doubt,
}

/// A part that columns can answer.
#[derive(Debug)]
struct Part<'f> {
    key: Key,
    node: &'f Node,
    /// What was found for each code, as far as it was asked: it is the same in every block.
    of_code: OnceCell<Vec<Cell<Option<Verdict>>>>,
}

/// Where a part is evaluated.
struct Place<'a> {
    columns: &'a Columns,
    record: Option<&'a ContainerRecord>,
    frame: &'a Frame,
}

impl Place<'_> {
    /// Whether the rows say by themselves what a part asks: not of paths where a process may have another root.
    fn tells(&self, key: Key) -> bool {
        let is_path = matches!(key, Key::Paths(Names::Absolute | Names::Descriptor) | Key::Opened);
        !is_path || self.frame.tells_paths(self.columns.container())
    }
}

impl<'f> RowFilter<'f> {
    pub(crate) fn new(node: &'f Node, frame: &'f Frame) -> Self {
        let (codes, wanted) = (Codes::of(node), Wanted::default());
        let mut filter = Self { plan: Plan::Doubt, frame, codes, wanted, parts: (0, 0) };
        filter.plan = filter.plan(node);
        filter
    }

    /// Of some of the parts of a filter that must all hold.
    pub(crate) fn of_parts(whole: &'f Node, parts: &[&'f Node], frame: &'f Frame) -> Self {
        let (codes, wanted) = (Codes::of(whole), Wanted::default());
        let mut filter = Self { plan: Plan::Doubt, frame, codes, wanted, parts: (0, 0) };
        let mut plans: Vec<Plan<'f>> = parts.iter().map(|node| filter.plan(node)).collect();
        plans.sort_by_key(Plan::cost);
        filter.plan = Plan::And(plans);
        filter
    }

    /// Whether columns alone say of every row, as far as its code tells what it is, whether this holds.
    pub(crate) fn decides(node: &Node) -> bool {
        match node {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().all(Self::decides),
            Node::Not(node) => Self::decides(node),
            node => Key::of(node).is_some_and(Key::is_plain),
        }
    }

    fn plan(&mut self, node: &'f Node) -> Plan<'f> {
        match node {
            Node::And(nodes) => {
                let mut plans: Vec<Plan<'f>> = nodes.iter().map(|node| self.plan(node)).collect();
                plans.sort_by_key(Plan::cost);
                Plan::And(plans)
            }
            Node::Or(nodes) => Plan::Or(nodes.iter().map(|node| self.plan(node)).collect()),
            Node::Not(node) => Plan::Not(Box::new(self.plan(node))),
            node => {
                self.parts.1 += 1;
                let Some(key) = Key::of(node) else { return Plan::Doubt };
                self.parts.0 += 1;
                self.wanted = self.wanted.with(key.wanted());
                Plan::Part(Part { key, node, of_code: OnceCell::new() })
            }
        }
    }

    /// The columns it asks.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Whether an event of this code can match: of rows of other codes nothing is asked but that.
    pub fn admits_code(&self, code: EventCode) -> bool {
        self.codes.has(code)
    }

    /// How many parts columns answer, of how many.
    pub fn parts(&self) -> (usize, usize) {
        self.parts
    }

    /// Whether columns say anything.
    pub fn is_any(&self) -> bool {
        self.parts.0 > 0
    }

    /// Names of the columns it asks.
    pub fn columns(&self) -> Vec<&'static str> {
        const NAMED: [(Wanted, &str); 6] = [
            (Wanted::THREADS, "threads"),
            (Wanted::TIMES, "times"),
            (Wanted::CPUS, "cpus"),
            (Wanted::NUMBERS, "numbers"),
            (Wanted::RESULTS, "results"),
            (Wanted::FIELDS, "strings"),
        ];
        let asked = NAMED.iter().filter(|(wanted, _)| self.wanted.has(*wanted)).map(|(_, name)| *name);
        std::iter::once("codes").chain(asked).collect()
    }

    /// What the columns of a block say, which have to be [`Self::wanted`], of rows whose code it admits at least
    /// ([`afterimage_format::ColumnReader::read_of`]).
    pub fn rows(&self, columns: &Columns, record: Option<&ContainerRecord>) -> Rows {
        let place = Place { columns, record, frame: self.frame };
        self.plan.rows(&place, &Bits::all(columns.len()))
    }
}

impl Plan<'_> {
    fn cost(&self) -> u8 {
        match self {
            Self::Part(part) => part.key.cost(),
            Self::Not(plan) => plan.cost(),
            Self::And(plans) | Self::Or(plans) => plans.iter().map(Self::cost).max().unwrap_or(0),
            Self::Doubt => u8::MAX,
        }
    }

    /// What is known of the rows that are asked for; of others nothing is said.
    fn rows(&self, place: &Place<'_>, asked: &Bits) -> Rows {
        match self {
            Self::And(plans) => {
                let mut all = Rows { may: asked.clone(), sure: asked.clone() };
                for plan in plans {
                    if all.may.is_none() {
                        break;
                    }
                    let own = plan.rows(place, &all.may);
                    all.may.and(&own.may);
                    all.sure.and(&own.sure);
                }
                all.sure.and(&all.may);
                all
            }
            Self::Or(plans) => {
                let mut open = asked.clone();
                let none = Bits::none(asked.len());
                let mut any = Rows { may: none.clone(), sure: none };
                for plan in plans {
                    let own = plan.rows(place, &open);
                    any.may.or(&own.may);
                    any.sure.or(&own.sure);
                    open.and_not(&own.sure);
                }
                any
            }
            Self::Not(plan) => {
                let own = plan.rows(place, asked);
                let (mut may, mut sure) = (asked.clone(), asked.clone());
                may.and_not(&own.sure);
                sure.and_not(&own.may);
                Rows { may, sure }
            }
            Self::Part(part) if place.tells(part.key) => part.rows(place, asked),
            Self::Part(_) | Self::Doubt => Rows { may: asked.clone(), sure: Bits::none(asked.len()) },
        }
    }
}

impl Part<'_> {
    fn rows(&self, place: &Place<'_>, asked: &Bits) -> Rows {
        let columns = place.columns;
        let codes = columns.codes();
        match self.key {
            Key::Block => {
                let verdict = self.at(place, &no_event());
                self.each(asked, |_| verdict)
            }
            Key::Code => {
                let of_code = self.of_code.get_or_init(|| vec![Cell::new(None); usize::from(u16::MAX) + 1]);
                self.each(asked, |row| {
                    let code = codes[row];
                    let Some(known) = of_code.get(usize::from(code)) else { return Verdict::Maybe };
                    known.get().unwrap_or_else(|| {
                        let verdict = self.of_code(place, code, 0);
                        known.set(Some(verdict));
                        verdict
                    })
                })
            }
            Key::Result => {
                let results = columns.results();
                let mut told = Told::new();
                self.each(asked, |row| {
                    let (code, ret) = (codes[row], results[row]);
                    told.get([u64::from(code), ret.cast_unsigned(), 0], || self.of_code(place, code, ret))
                })
            }
            Key::Task => {
                let (of_row, tasks) = columns.tasks();
                let of_task = |task: &TaskKey| self.at(place, &Event { task: *task, ..no_event() });
                let verdicts: Vec<Verdict> = tasks.iter().map(of_task).collect();
                self.each(asked, |row| verdicts[of_row[row] as usize])
            }
            Key::Time => {
                let times = columns.times();
                self.each(asked, |row| self.at(place, &Event { time: BootNanos(times[row]), ..no_event() }))
            }
            Key::Cpu => {
                let cpus = columns.cpus();
                let mut told = Told::new();
                self.each(asked, |row| {
                    let cpu = cpus[row];
                    told.get([u64::from(cpu), 0, 0], || self.at(place, &Event { cpu, ..no_event() }))
                })
            }
            Key::Fd => self.each(asked, |row| {
                let shape = shape::of(EventCode(codes[row]));
                if shape.makes_fd && !shape.opens {
                    // The numbers of a pipe's descriptors are among the fields.
                    return Verdict::Maybe;
                }
                columns.with(row, |event| self.at(place, event)).unwrap_or(Verdict::Maybe)
            }),
            Key::Opened => self.each(asked, |row| {
                let decided = |event: &Event<'_>| {
                    if is_opened(event) { self.at(place, event) } else { Verdict::Maybe }
                };
                match key::is_plain(EventCode(codes[row]), columns.numbers(row)) {
                    true => columns.with(row, decided).unwrap_or(Verdict::Maybe),
                    false => Verdict::Maybe,
                }
            }),
            Key::Paths(test) => {
                let results = columns.results();
                let mut told = Told::new();
                self.each(asked, |row| {
                    let string = |tag| columns.string(row, tag).map_or(u64::MAX, |id| id.as_number());
                    let what = u64::from(codes[row]) | u64::from(results[row] < 0) << 16;
                    let second = string(FieldTag::PATH2);
                    let key =
                        [what ^ second.rotate_left(17), string(FieldTag::PATH), string(FieldTag::KPATH)];
                    let evaluate = || {
                        let decided = |event: &Event<'_>| {
                            if test.is_decided(event) { self.at(place, event) } else { Verdict::Maybe }
                        };
                        columns.with(row, decided).unwrap_or(Verdict::Maybe)
                    };
                    if second == u64::MAX { told.get(key, evaluate) } else { evaluate() }
                })
            }
        }
    }

    fn each(&self, asked: &Bits, mut verdict: impl FnMut(usize) -> Verdict) -> Rows {
        let (mut may, mut sure) = (Bits::none(asked.len()), Bits::none(asked.len()));
        asked.each_word(|at, word| {
            let (mut may_word, mut sure_word, mut left) = (0u64, 0u64, word);
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let verdict = verdict(at * 64 + bit as usize);
                may_word |= u64::from(verdict != Verdict::Never) << bit;
                sure_word |= u64::from(verdict == Verdict::Always) << bit;
            }
            may.set_word(at, may_word);
            sure.set_word(at, sure_word);
        });
        Rows { may, sure }
    }

    /// The answer for a code and a result. An exec by path and one by descriptor have one code and two names.
    fn of_code(&self, place: &Place<'_>, code: u16, ret: i64) -> Verdict {
        let event = Event { code: EventCode(code), ret, ..no_event() };
        if event.code != EventCode::EXEC {
            return self.at(place, &event);
        }
        let mut numbers = [0; exec::COUNT];
        let by_path = self.at(place, &Event { args: &numbers, ..event });
        numbers[exec::EXE_FLAGS] = exec::EXE_FD;
        let by_descriptor = self.at(place, &Event { args: &numbers, ..event });
        if by_path == by_descriptor { by_path } else { Verdict::Maybe }
    }

    /// The answer at an event of which the part asks nothing that is not there.
    fn at(&self, place: &Place<'_>, event: &Event<'_>) -> Verdict {
        let uid: ContainerUid = place.columns.container();
        if self.key == Key::Block && place.record.is_none() && uid != ContainerUid::HOST {
            return Verdict::Maybe;
        }
        let cx = EventContext::new(event, (uid, place.record), &NOTHING, place.frame, 1);
        if self.node.holds(&cx) { Verdict::Always } else { Verdict::Never }
    }
}

/// What was found for the values that came last.
struct Told {
    slots: Vec<([u64; 3], Option<Verdict>)>,
}

/// Slots of [`Told`]; a power of two.
const SLOTS: usize = 2048;

impl Told {
    fn new() -> Self {
        Self { slots: vec![([0; 3], None); SLOTS] }
    }

    fn get(&mut self, key: [u64; 3], verdict: impl FnOnce() -> Verdict) -> Verdict {
        let mixed = key
            .iter()
            .fold(0u64, |sum, part| (sum.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let slot = &mut self.slots[(mixed >> 53) as usize];
        match slot {
            (known, Some(verdict)) if *known == key => *verdict,
            _ => {
                let verdict = verdict();
                *slot = (key, Some(verdict));
                verdict
            }
        }
    }
}
