//! Which blocks of a recording can have a match, told from what the file says of each block without reading it.
//!
//! What a value is made of came into the state with a string of an event: of the block itself or of one before it.
//! A text that is in no block of the container, of the containers around it, or of the host up to a block's end can
//! therefore be in no value of that block's events. Paths and command lines are joined of several strings: each part
//! between their separators is from one.

use std::{collections::HashMap, net::IpAddr};

use afterimage_format::{
    BlockFilter, BlockInfo, BootNanos, ContainerRecord, ContainerUid, EventCode, GramQuery, Recording,
};

use memchr::memmem;

use crate::{
    compare::Required,
    prefilter::{Prefilter, Verdict},
    program::{Check, CodeTest, Node},
    term::Source,
};

/// Parts of a filter that blocks are asked for; the others are "maybe".
const MOST_LEAVES: usize = 64;
/// Between these the parts of joined values are.
const SEPARATORS: [u8; 3] = [b'/', b' ', 0];
/// What stands in names without having been recorded: of a directory that is not known, of `memfd_secret`.
const MADE: [&[u8]; 2] = [b"<unknown>", b"secretmem"];

/// A part of a filter that a block can answer.
enum Leaf<'f> {
    Codes(&'f CodeTest),
    /// Any of these threads or processes.
    Tasks(Vec<u32>),
    /// Any of these, up to the block's end.
    Texts(Vec<Text>),
    Addresses(Vec<IpAddr>),
    Ports(Vec<u16>),
}

/// A text as it is in strings: its parts between separators.
struct Text {
    parts: Vec<Vec<u8>>,
    grams: GramQuery,
}

/// What blocks say of the parts of a filter, a bit for each part.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    never: u64,
    always: u64,
}

/// The parts of a filter and where they stand in it.
struct Leaves<'f> {
    list: Vec<Leaf<'f>>,
    /// By address of the node.
    at: HashMap<usize, usize>,
}

/// Where a part of a filter stands.
fn address<T>(part: &T) -> usize {
    std::ptr::from_ref(part).addr()
}

impl<'f> Leaves<'f> {
    fn of(node: &'f Node) -> Self {
        let mut leaves = Self { list: Vec::new(), at: HashMap::new() };
        leaves.collect(node);
        leaves
    }

    fn collect(&mut self, node: &'f Node) {
        match node {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| self.collect(node)),
            Node::Not(node) => self.collect(node),
            Node::Codes(test) => self.add(address(test), Some(Leaf::Codes(test))),
            Node::Check(check) => self.add(address(&**check), leaf(check)),
            _ => {}
        }
    }

    fn add(&mut self, at: usize, leaf: Option<Leaf<'f>>) {
        if let Some(leaf) = leaf.filter(|_| self.list.len() < MOST_LEAVES) {
            self.at.insert(at, self.list.len());
            self.list.push(leaf);
        }
    }

    /// What a block says by itself: of strings, that they are not in this one.
    fn ask(&self, filter: &BlockFilter) -> Said {
        let mut said = Said::default();
        for (index, leaf) in self.list.iter().enumerate() {
            let verdict = match leaf {
                Leaf::Codes(test) => codes(test, filter),
                Leaf::Tasks(ids) if ids.iter().any(|id| filter.may_have_task(*id)) => Verdict::Maybe,
                Leaf::Texts(any) if any.iter().any(|text| filter.may_have(&text.grams)) => Verdict::Maybe,
                Leaf::Addresses(any) if any.iter().any(|a| filter.may_have_address(*a)) => Verdict::Maybe,
                Leaf::Ports(any) if any.iter().any(|port| filter.may_have_port(*port)) => Verdict::Maybe,
                _ => Verdict::Never,
            };
            said.never |= u64::from(verdict == Verdict::Never) << index;
            said.always |= u64::from(verdict == Verdict::Always) << index;
        }
        said
    }

    /// The parts that depend on what was recorded before.
    fn of_state(&self) -> u64 {
        let is = |leaf: &Leaf<'_>| u64::from(!matches!(leaf, Leaf::Codes(_) | Leaf::Tasks(_)));
        self.list.iter().enumerate().map(|(index, leaf)| is(leaf) << index).sum()
    }

    /// Which of these parts are in a block for certain: texts are looked for in its strings.
    fn confirm(&self, recording: &Recording, block: &BlockInfo, asked: u64, has_prctl: bool) -> u64 {
        let text = |index: &usize| matches!(self.list.get(*index), Some(Leaf::Texts(_)));
        let texts: u64 = bits(asked).filter(text).map(|index| 1 << index).sum();
        let mut found = asked & !texts;
        if texts == 0 {
            return found;
        }
        let read = recording.texts(block.index, has_prctl, &mut |bytes| {
            let folded = bytes.to_ascii_lowercase();
            for index in bits(texts) {
                let Some(Leaf::Texts(any)) = self.list.get(index) else { continue };
                let has = |part: &Vec<u8>| memmem::find(&folded, part).is_some();
                if any.iter().any(|text| text.parts.iter().all(has)) {
                    found |= 1 << index;
                }
            }
        });
        if matches!(read, Ok(true)) { found } else { asked }
    }
}

fn codes(test: &CodeTest, filter: &BlockFilter) -> Verdict {
    let has = |code: EventCode| match code {
        EventCode::EXEC => (test.execs != [false; 2], test.execs == [true; 2]),
        code => {
            let has = test.codes.binary_search(&code.0).is_ok();
            (has, has)
        }
    };
    let (any, all) =
        filter.codes().map(has).fold((false, true), |(any, all), (may, must)| (any | may, all & must));
    match (any, all) {
        (false, _) => Verdict::Never,
        (true, true) => Verdict::Always,
        _ => Verdict::Maybe,
    }
}

/// Fields whose value is a recorded string, a part of one, or several joined.
const STRINGS: [&str; 39] = [
    "fd.directory",
    "fd.filename",
    "fd.name",
    "fd.nameraw",
    "file.ext",
    "file.path",
    "fs.path.name",
    "fs.path.nameraw",
    "fs.path.source",
    "fs.path.sourceraw",
    "fs.path.target",
    "fs.path.targetraw",
    "proc.acmdline",
    "proc.aexe",
    "proc.aexepath",
    "proc.aname",
    "proc.args",
    "proc.cmdline",
    "proc.cwd",
    "proc.exe",
    "proc.exeline",
    "proc.exepath",
    "proc.name",
    "proc.pcmdline",
    "proc.pexe",
    "proc.pexepath",
    "proc.pgid.exe",
    "proc.pgid.exepath",
    "proc.pgid.name",
    "proc.pname",
    "proc.sid.exe",
    "proc.sid.exepath",
    "proc.sname",
    "proc.stderr.name",
    "proc.stdin.name",
    "proc.stdout.name",
    "proc.vpgid.exe",
    "proc.vpgid.exepath",
    "proc.vpgid.name",
];
/// Fields whose values are addresses out of socket addresses.
const ADDRESSES: [&str; 10] =
    ["fd.cip", "fd.cnet", "fd.ip", "fd.lip", "fd.lnet", "fd.net", "fd.rip", "fd.rnet", "fd.sip", "fd.snet"];
/// Fields whose values are ports out of socket addresses.
const PORTS: [&str; 5] = ["fd.cport", "fd.lport", "fd.port", "fd.rport", "fd.sport"];
/// Fields whose values are the event's thread or process.
const TASKS: [&str; 2] = ["proc.pid", "thread.tid"];

fn leaf(check: &Check) -> Option<Leaf<'static>> {
    let Source::Field(field) = &check.source else { return None };
    let name = field.def().name;
    Some(match check.comparison.required()? {
        Required::Texts(texts) if STRINGS.binary_search(&name).is_ok() => {
            Leaf::Texts(texts.iter().map(|text| Text::of(name, text)).collect::<Option<_>>()?)
        }
        Required::Addresses(addresses) if ADDRESSES.contains(&name) => {
            // What is not known of a connection is shown as zeros.
            (!addresses.iter().any(IpAddr::is_unspecified)).then_some(Leaf::Addresses(addresses))?
        }
        Required::Numbers(ports) if PORTS.contains(&name) => {
            let port = |port: i128| u16::try_from(port).ok().filter(|port| *port != 0);
            Leaf::Ports(ports.into_iter().map(port).collect::<Option<_>>()?)
        }
        // A number that no thread can have is no thread's.
        Required::Numbers(ids) if TASKS.contains(&name) => {
            Leaf::Tasks(ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect())
        }
        _ => return None,
    })
}

/// Whether a field is a path that is joined of a root, a directory and a name, each of which an event of its own can tell.
fn is_joined(field: &str) -> bool {
    field.starts_with("fd.")
        || field.starts_with("file.")
        || field.starts_with("fs.path.")
        || field == "proc.cwd"
        || field.ends_with("exepath")
}

impl Text {
    /// What a text leaves behind in strings; `None` where too little to be looked for.
    fn of(field: &str, text: &[u8]) -> Option<Self> {
        if field == "fd.name" && text.iter().all(|b| b.is_ascii_hexdigit() || b".:->".contains(b)) {
            // Connections have names that no string has.
            return None;
        }
        let is_made = |part: &[u8]| {
            MADE.iter().any(|made| made.windows(part.len().max(1)).any(|w| w.eq_ignore_ascii_case(part)))
        };
        let parts = text.split(|b| SEPARATORS.contains(b)).filter(|part| !is_made(part));
        let mut told: Vec<_> =
            parts.filter_map(|part| Some((part.to_ascii_lowercase(), GramQuery::new(part)?))).collect();
        if is_joined(field) {
            // Its directory may have been told in a block before: one part alone is in the same string for certain.
            told = told.into_iter().max_by_key(|(part, _)| part.len()).into_iter().collect();
        }
        let (parts, grams): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        Some(Self { parts, grams: grams.into_iter().reduce(GramQuery::and)? })
    }
}

/// When a part first was in blocks of a container: begin of the earliest such block.
type FirstSeen = HashMap<(ContainerUid, usize), BootNanos>;

/// What is kept of a block's filter.
#[derive(Clone, Copy, Default)]
struct Asked {
    said: Said,
    has_prctl: bool,
}

impl Prefilter<'_> {
    /// The blocks in which any event can match, by their positions.
    pub fn blocks(&self, recording: &Recording) -> Vec<usize> {
        let records: HashMap<ContainerUid, &ContainerRecord> =
            recording.containers().iter().map(|s| (s.record.uid, &s.record)).collect();
        let leaves = Leaves::of(self.node());
        let mut asked = Vec::with_capacity(recording.blocks().len());
        if leaves.list.is_empty() {
            asked.resize(recording.blocks().len(), Asked::default());
        } else {
            recording.filters(&mut |_, filter| {
                asked.push(filter.map_or_else(Asked::default, |filter| Asked {
                    said: leaves.ask(filter),
                    has_prctl: filter.codes().any(|code| code == PRCTL),
                }));
            });
        }
        let first = first_seen(recording, &leaves, &asked);
        let of_state = leaves.of_state();
        let selected = recording.blocks().iter().zip(asked).filter(|(block, Asked { said, .. })| {
            let around = around(block.container, &records);
            let unseen = bits(of_state).filter(|index| {
                let seen =
                    |uid: &ContainerUid| first.get(&(*uid, *index)).is_some_and(|at| *at <= block.last);
                !around.iter().any(seen)
            });
            let never = said.never & !of_state | unseen.map(|index| 1 << index).sum::<u64>();
            let of_leaf = |at: usize| match leaves.at.get(&at) {
                Some(index) if never >> index & 1 == 1 => Verdict::Never,
                Some(index) if said.always >> index & 1 == 1 => Verdict::Always,
                _ => Verdict::Maybe,
            };
            self.block_with(block, records.get(&block.container).copied(), &of_leaf) != Verdict::Never
        });
        selected.map(|(block, _)| block.index).collect()
    }
}

/// `prctl` sets names, which some recorders keep as data.
const PRCTL: EventCode = EventCode(157);

/// When each container first had each part that depends on the past.
fn first_seen(recording: &Recording, leaves: &Leaves<'_>, asked: &[Asked]) -> FirstSeen {
    let of_state = leaves.of_state();
    let mut first = FirstSeen::new();
    if of_state == 0 {
        return first;
    }
    let mut done: HashMap<ContainerUid, u64> = HashMap::new();
    let mut blocks: Vec<(&BlockInfo, &Asked)> = recording.blocks().iter().zip(asked).collect();
    blocks.sort_by_key(|(block, _)| block.first);
    for (block, asked) in blocks {
        let done = done.entry(block.container).or_default();
        let open = of_state & !asked.said.never & !*done;
        if open == 0 {
            continue;
        }
        let found = leaves.confirm(recording, block, open, asked.has_prctl);
        *done |= found;
        for index in bits(found) {
            first.insert((block.container, index), block.first);
        }
    }
    first
}

fn bits(set: u64) -> impl Iterator<Item = usize> {
    (0..MOST_LEAVES).filter(move |index| set >> index & 1 == 1)
}

/// The container, those it lies in, and the host: where the state of its processes can come from.
fn around(uid: ContainerUid, records: &HashMap<ContainerUid, &ContainerRecord>) -> Vec<ContainerUid> {
    let outer = |uid: &ContainerUid| records.get(uid).and_then(|record| record.outer);
    let mut around: Vec<ContainerUid> = std::iter::successors(Some(uid), outer).take(8).collect();
    around.push(ContainerUid::HOST);
    around
}

/// Where a part of a filter stands, for [`Prefilter::block_with`].
pub(crate) fn place(node: &Node) -> Option<usize> {
    match node {
        Node::Codes(test) => Some(address(test)),
        Node::Check(check) => Some(address(&**check)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_in_the_table_and_in_order() {
        assert!(STRINGS.is_sorted());
        let all = STRINGS.iter().chain(&ADDRESSES).chain(&PORTS).chain(&TASKS);
        for name in all {
            assert!(crate::fields::lookup(name).is_some_and(|(_, rest)| rest.is_none()), "{name}");
        }
    }

    #[test]
    fn parts_that_are_made_by_us_are_not_looked_for() {
        assert!(Text::of("fs.path.name", b"<UNKNOWN>/x").is_none());
        assert!(Text::of("fd.name", b"10.0.0.1:443").is_none());
        assert!(Text::of("fd.name", b"/etc").is_none());
        assert_eq!(Text::of("fd.name", b"/etc/SHADOW").unwrap().parts, [b"shadow"]);
    }
}
