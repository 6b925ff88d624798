//! Sets of event codes, and which codes a filter can be true or false for.

use afterimage_format::EventCode;

use crate::program::Node;

/// Codes of system calls.
const CALLS: usize = 0x3000;
/// Codes of other events that have a place of their own.
const OTHERS: usize = 0x100;
/// First code that is no system call.
const FIRST_OTHER: usize = 0x8000;
/// All places; the last one is for every code that has none of its own.
pub(crate) const PLACES: usize = CALLS + OTHERS + 1;
const WORDS: usize = PLACES.div_ceil(64);

/// A set of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes(Box<[u64; WORDS]>);

/// The place of a code among [`PLACES`].
pub(crate) fn place(code: EventCode) -> usize {
    let code = usize::from(code.0);
    match code.checked_sub(FIRST_OTHER) {
        None if code < CALLS => code,
        Some(other) if other < OTHERS => CALLS + other,
        _ => PLACES - 1,
    }
}

impl Codes {
    fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    fn insert(&mut self, code: EventCode) {
        let place = place(code);
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn remove(&mut self, code: EventCode) {
        let place = place(code);
        self.0[place / 64] &= !(1 << (place % 64));
    }

    fn and(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own &= other);
    }

    fn or(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own |= other);
    }

    fn not(mut self) -> Self {
        self.0.iter_mut().for_each(|word| *word = !*word);
        self
    }

    /// Whether the place is in it.
    pub(crate) fn has_place(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    /// Whether the code is in it.
    pub(crate) fn has(&self, code: EventCode) -> bool {
        self.has_place(place(code))
    }

    /// Whether every code is in it.
    pub(crate) fn is_all(&self) -> bool {
        (0..PLACES).all(|place| self.has_place(place))
    }

    /// Whether no code is in it.
    pub(crate) fn is_none(&self) -> bool {
        !(0..PLACES).any(|place| self.has_place(place))
    }

    /// The codes for which a filter can be true.
    pub(crate) fn of(node: &Node) -> Self {
        possible(node).0
    }
}

/// The codes for which a node can be true, and those for which it can be false.
fn possible(node: &Node) -> (Codes, Codes) {
    match node {
        Node::Const(true) => (Codes::all(), Codes::none()),
        Node::Const(false) => (Codes::none(), Codes::all()),
        Node::Not(node) => {
            let (yes, no) = possible(node);
            (no, yes)
        }
        Node::And(nodes) => nodes.iter().fold((Codes::all(), Codes::none()), |(mut yes, mut no), node| {
            let (own_yes, own_no) = possible(node);
            yes.and(&own_yes);
            no.or(&own_no);
            (yes, no)
        }),
        Node::Or(nodes) => nodes.iter().fold((Codes::none(), Codes::all()), |(mut yes, mut no), node| {
            let (own_yes, own_no) = possible(node);
            yes.or(&own_yes);
            no.and(&own_no);
            (yes, no)
        }),
        Node::Codes(test) => {
            let mut yes = Codes::none();
            test.codes.iter().for_each(|code| yes.insert(EventCode(*code)));
            let mut no = yes.clone().not();
            if test.execs != [false; 2] {
                yes.insert(EventCode::EXEC);
            }
            if test.execs == [true; 2] {
                no.remove(EventCode::EXEC);
            }
            (yes, no)
        }
        _ => (Codes::all(), Codes::all()),
    }
}
