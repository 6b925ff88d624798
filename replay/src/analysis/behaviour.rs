//! What a container did, as sets that can be compared: programs, files, peers, calls.

use std::collections::BTreeMap;

use afterimage_format::{EventCode, EventFlags, FieldTag};
use afterimage_model::{
    event_name,
    files::{ActKind, Files},
    net::{Direction, Network},
    text::{Safe, escape},
};

use crate::{
    events,
    failure::Failure,
    output::{Cell, Column, Record, Shape, Tone},
    time::Span,
    trace::Target,
};

/// How differences are printed.
pub const SHAPE: Shape = Shape {
    rows: "differences",
    row: "difference",
    columns: &[
        Column::new("what", "WHAT", "program, file, peer, listener, name or call"),
        Column::new("item", "ITEM", "the program's path, the file's path, ...").flexible(),
        Column::new("a", "A", "how often in the first container; 0 is never").integer(),
        Column::new("b", "B", "how often in the second container; 0 is never").integer(),
        Column::new("in", "IN", "a, b or both"),
    ],
};

/// Kinds of behaviour, in the order they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Program,
    File,
    Peer,
    Listener,
    Name,
    Call,
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::File => "file changed",
            Self::Peer => "peer",
            Self::Listener => "listener",
            Self::Name => "name looked up",
            Self::Call => "call",
        }
    }
}

/// How often a container did what.
#[derive(Debug, Default)]
pub struct Behaviour(BTreeMap<(What, Safe), u64>);

/// Something that two containers did, or one of them.
#[derive(Debug)]
pub struct Difference {
    what: What,
    item: Safe,
    a: u64,
    b: u64,
}

impl Behaviour {
    /// What a container did in a range; its set-up is left out.
    ///
    /// # Errors
    /// [`Failure::Read`].
    pub fn of(target: &Target<'_>, span: Span) -> Result<Self, Failure> {
        let uid = target.uid();
        let (mut files, mut network) =
            (Files::new().counting_from(span.begin), Network::new().counting_from(span.begin));
        let mut this = Self::default();
        events::roll(target.trace, Some(uid), span.end, &mut |world, uid, event| {
            if event.flags.contains(EventFlags::SETUP) {
                return;
            }
            files.apply(world, uid, event);
            network.apply(world, uid, event);
            if !span.contains(event.time) {
                return;
            }
            if event.code == EventCode::EXEC {
                let path = world.kernel_path_of(event);
                let path = path.as_deref().or_else(|| event.bytes(FieldTag::FILENAME));
                this.add(What::Program, escape(path.unwrap_or_default()), 1);
            } else if event.code.as_syscall().is_some() {
                this.add(What::Call, Safe::format(format_args!("{}", event_name(event.code))), 1);
            }
        })?;
        for file in files.list(uid).filter(|f| f.was_changed()) {
            let changes = file.acts.iter().filter(|a| is_change(a.kind)).map(|a| u64::from(a.count)).sum();
            this.add(What::File, escape(&file.path), changes);
        }
        for (talk, _) in network.counted(uid) {
            let direction = match talk.direction {
                Direction::Out => "to",
                Direction::In => "from",
            };
            let peer = match (&talk.peer, talk.direction) {
                (Some(peer), Direction::Out) => peer.seen_by(talk.protocol),
                // The peer's own port is another one each time.
                (Some(peer), Direction::In) => match peer.ip() {
                    Some(ip) => Safe::format(format_args!("{ip}")),
                    None => Safe::format(format_args!("{peer}")),
                },
                (None, _) => Safe::literal("unknown"),
            };
            let item = Safe::format(format_args!("{} {direction} {peer}", talk.protocol));
            this.add(What::Peer, item, talk.connections.max(1));
        }
        for listener in network.listeners(uid).iter().filter(|l| span.contains(l.since)) {
            let local =
                listener.local.as_ref().map(|l| Safe::format(format_args!("{l}"))).unwrap_or_default();
            this.add(What::Listener, Safe::format(format_args!("{} {local}", listener.protocol)), 1);
        }
        for lookup in network.counted_lookups(uid).filter(|lookup| lookup.asked > 0) {
            this.add(What::Name, escape(&lookup.name), u64::from(lookup.asked));
        }
        Ok(this)
    }

    fn add(&mut self, what: What, item: Safe, count: u64) {
        *self.0.entry((what, item)).or_insert(0) += count;
    }

    /// Everything that either did, by kind and name.
    pub fn compare(self, other: Self) -> Vec<Difference> {
        let mut all: BTreeMap<(What, Safe), (u64, u64)> = BTreeMap::new();
        for (key, count) in self.0 {
            all.entry(key).or_default().0 = count;
        }
        for (key, count) in other.0 {
            all.entry(key).or_default().1 = count;
        }
        all.into_iter().map(|((what, item), (a, b))| Difference { what, item, a, b }).collect()
    }
}

fn is_change(kind: ActKind) -> bool {
    !matches!(
        kind,
        ActKind::OpenedForReading
            | ActKind::Read
            | ActKind::Mapped
            | ActKind::Executed
            | ActKind::Refused
            | ActKind::NotExecuted
    )
}

impl Difference {
    /// Program, file, peer and so on.
    pub fn kind(&self) -> &'static str {
        self.what.as_str()
    }

    /// The program's path, the file's path, and so on.
    pub fn item(&self) -> &Safe {
        &self.item
    }

    /// How often in the first container and in the second.
    pub fn counts(&self) -> (u64, u64) {
        (self.a, self.b)
    }

    /// Whether only one of the two did it.
    pub fn is_one_sided(&self) -> bool {
        self.a == 0 || self.b == 0
    }
}

impl Record for Difference {
    fn cell(&self, key: &str) -> Cell {
        match key {
            "what" => Cell::word(self.what.as_str()),
            "item" => Cell::safe(self.item.clone()),
            "a" => Cell::number(self.a),
            "b" => Cell::number(self.b),
            "in" => Cell::word(match (self.a, self.b) {
                (_, 0) => "a",
                (0, _) => "b",
                _ => "both",
            }),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        match (self.a, self.b) {
            (0, _) => Tone::Finding,
            (_, 0) => Tone::Exec,
            _ => Tone::Dim,
        }
    }
}
