//! What no event can answer by itself: what a container's whole life tells of its files, its findings and its conversations.
//!
//! A container's events are shown once to a [`Gatherer`] before filters are asked; what it made of them is in the
//! [`crate::Frame`]. Memory is bounded per container: what there was no room for is not known, so that a field that asks for it
//! has no value, and [`Whole::is_partial`] says so.

mod files;
mod findings;
mod net;

use afterimage_format::{BootNanos, ContainerUid, Event};
use afterimage_model::World;

pub(crate) use files::Fate;
use files::{FileTable, FilesGathered};
pub(crate) use findings::Found;
use findings::{FindingTable, FindingsGathered};
pub(crate) use net::Moved;
use net::{NetGathered, NetTable};

use crate::{fields::FieldRef, prefilter::Verdict, program::Check, term::Source, value::Value};

/// Which parts of whole lives filters ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WholeAsks {
    /// What became of files.
    pub files: bool,
    /// Its findings.
    pub findings: bool,
    /// How much went through its conversations.
    pub net: bool,
}

impl WholeAsks {
    /// What a field asks for.
    pub(crate) fn of_field(name: &str) -> Self {
        let files = matches!(name, "file.written" | "file.executed" | "file.deleted" | "file.sha256");
        Self { files, findings: name.starts_with("find."), net: name.starts_with("net.") }
    }

    /// What somebody asks for who tells whether a field that fits is among those asked.
    pub(crate) fn by(asks: impl Fn(&dyn Fn(&str) -> bool) -> bool) -> Self {
        let part = |is: fn(Self) -> bool| asks(&|field| is(Self::of_field(field)));
        Self { files: part(|own| own.files), findings: part(|own| own.findings), net: part(|own| own.net) }
    }

    /// Whether that is anything.
    pub fn is_any(self) -> bool {
        self.files || self.findings || self.net
    }

    /// What both ask for.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            files: self.files | other.files,
            findings: self.findings | other.findings,
            net: self.net | other.net,
        }
    }
}

/// What a container's whole life tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    files: Option<FileTable>,
    findings: Option<FindingTable>,
    net: Option<NetTable>,
    is_left_out: bool,
}

impl Whole {
    /// Of a container for which there was no room.
    pub fn left_out() -> Self {
        Self { is_left_out: true, ..Self::default() }
    }

    /// Whether there was no room for all of it.
    pub fn is_partial(&self) -> bool {
        self.is_left_out
            || self.files.as_ref().is_some_and(FileTable::is_partial)
            || self.findings.as_ref().is_some_and(FindingTable::is_partial)
            || self.net.as_ref().is_some_and(NetTable::is_partial)
    }

    /// Every value that a field can have in the container, or in a range of its time; `None` where that is not known.
    fn values(&self, field: &str, range: Option<(BootNanos, BootNanos)>) -> Option<Values<'_>> {
        let files = self.files.as_ref().and_then(|files| files.values(field));
        let net = || self.net.as_ref()?.values(field);
        files.or_else(|| self.findings.as_ref()?.values(field, range)).or_else(net)
    }

    /// How much it remembers: names of files, findings, conversations.
    pub fn size(&self) -> usize {
        let files = self.files.as_ref().map_or(0, FileTable::len);
        let findings = self.findings.as_ref().map_or(0, FindingTable::len);
        files + findings + self.net.as_ref().map_or(0, NetTable::len)
    }

    pub(crate) fn findings(&self) -> Option<&FindingTable> {
        self.findings.as_ref()
    }

    pub(crate) fn files(&self) -> Option<&FileTable> {
        self.files.as_ref()
    }

    pub(crate) fn net(&self) -> Option<&NetTable> {
        self.net.as_ref()
    }
}

/// Makes a [`Whole`] of a container's events.
#[derive(Debug)]
pub struct Gatherer {
    uid: ContainerUid,
    files: Option<FilesGathered>,
    findings: Option<FindingsGathered>,
    net: Option<NetGathered>,
}

impl Gatherer {
    /// Nothing seen of a container.
    pub fn new(uid: ContainerUid, asks: WholeAsks) -> Self {
        Self {
            uid,
            files: asks.files.then(FilesGathered::new),
            findings: asks.findings.then(FindingsGathered::default),
            net: asks.net.then(NetGathered::default),
        }
    }

    /// Takes in an event of the container that `world` has applied already.
    pub fn apply(&mut self, world: &World, event: &Event<'_>) {
        if let Some(files) = &mut self.files {
            files.apply(world, self.uid, event);
        }
        if let Some(findings) = &mut self.findings {
            findings.apply(world, self.uid, event);
        }
        if let Some(net) = &mut self.net {
            net.apply(world, self.uid, event);
        }
    }

    /// What was made of them.
    pub fn finish(self) -> Whole {
        let uid = self.uid;
        Whole {
            files: self.files.map(|files| files.finish(uid)),
            findings: self.findings.map(|findings| findings.finish(uid)),
            net: self.net.map(|net| net.finish(uid)),
            is_left_out: false,
        }
    }
}

/// Whether a field needs a recording to be asked of: nothing live answers it.
pub(crate) fn needs_recording(field: &str) -> bool {
    WholeAsks::of_field(field).is_any() || field.starts_with("alert.") || crate::prefilter::is_of_image(field)
}

/// Whether a term is a field that whole lives answer.
pub(crate) fn is_asked(source: &Source) -> bool {
    matches!(source, Source::Field(field) if asked_by(field).is_any())
}

fn asked_by(field: &FieldRef) -> WholeAsks {
    WholeAsks::of_field(field.def().name)
}

/// Values of a field.
type Values<'v> = Box<dyn Iterator<Item = Value<'v>> + 'v>;

/// A container's whole life, and the range of its time that is asked for.
pub(crate) type Part<'w> = (&'w Whole, Option<(BootNanos, BootNanos)>);

/// What a container's whole life says of a check, before its events are read: nobody passes where none of the values that the
/// field can have there does.
pub(crate) fn of_check(check: &Check, part: Option<Part<'_>>) -> Verdict {
    verdict(&check.source, part, &|value| check.comparison.holds(value, check.multi, check.op))
}

/// The same of a field that has to have a value.
pub(crate) fn of_exists(source: &Source, part: Option<Part<'_>>) -> Verdict {
    verdict(source, part, &|_| true)
}

fn verdict(source: &Source, part: Option<Part<'_>>, passes: &dyn Fn(&Value<'_>) -> bool) -> Verdict {
    let Source::Field(field) = source else { return Verdict::Maybe };
    let values = part.and_then(|(whole, range)| whole.values(field.def().name, range));
    let may = values.is_none_or(|mut values| values.any(|value| passes(&value)));
    if may { Verdict::Maybe } else { Verdict::Never }
}
