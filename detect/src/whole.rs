//! What no event can answer by itself: what a container's whole life tells of its files.
//!
//! A container's events are shown once to a [`Gatherer`] before filters are asked; what it made of them is in the
//! [`crate::Frame`]. Memory is bounded per container: what there was no room for is not known, so that a field that asks for it
//! has no value, and [`Whole::is_partial`] says so.

mod files;

use afterimage_format::{ContainerUid, Event};
use afterimage_model::World;

pub(crate) use files::Fate;
use files::{FileTable, FilesGathered};

use crate::{
    fields::FieldRef,
    prefilter::Verdict,
    program::{Check, Node},
    term::Source,
    value::Value,
};

/// Which parts of whole lives filters ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WholeAsks {
    /// What became of files.
    pub files: bool,
}

impl WholeAsks {
    /// What a field asks for.
    pub(crate) fn of_field(name: &str) -> Self {
        let files = matches!(name, "file.written" | "file.executed" | "file.deleted" | "file.sha256");
        Self { files }
    }

    /// What a filter asks for.
    pub(crate) fn of_node(node: &Node) -> Self {
        let asks = |is: fn(Self) -> bool| node.asks(|field| is(Self::of_field(field)));
        Self { files: asks(|own| own.files) }
    }

    /// Whether that is anything.
    pub fn is_any(self) -> bool {
        self.files
    }

    /// What both ask for.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { files: self.files | other.files }
    }
}

/// What a container's whole life tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    files: Option<FileTable>,
    is_left_out: bool,
}

impl Whole {
    /// Of a container for which there was no room.
    pub fn left_out() -> Self {
        Self { is_left_out: true, ..Self::default() }
    }

    /// Whether there was no room for all of it.
    pub fn is_partial(&self) -> bool {
        self.is_left_out || self.files.as_ref().is_some_and(FileTable::is_partial)
    }

    /// How much it remembers: names of files.
    pub fn size(&self) -> usize {
        self.files.as_ref().map_or(0, FileTable::len)
    }

    pub(crate) fn files(&self) -> Option<&FileTable> {
        self.files.as_ref()
    }
}

/// Makes a [`Whole`] of a container's events.
#[derive(Debug)]
pub struct Gatherer {
    uid: ContainerUid,
    files: Option<FilesGathered>,
}

impl Gatherer {
    /// Nothing seen of a container.
    pub fn new(uid: ContainerUid, asks: WholeAsks) -> Self {
        Self { uid, files: asks.files.then(FilesGathered::new) }
    }

    /// Takes in an event of the container that `world` has applied already.
    pub fn apply(&mut self, world: &World, event: &Event<'_>) {
        if let Some(files) = &mut self.files {
            files.apply(world, self.uid, event);
        }
    }

    /// What was made of them.
    pub fn finish(self) -> Whole {
        Whole { files: self.files.map(|files| files.finish(self.uid)), is_left_out: false }
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

/// What a container's whole life says of a check, before its events are read: nobody passes where none of the values that the
/// field can have there does.
pub(crate) fn of_check(check: &Check, whole: Option<&Whole>) -> Verdict {
    verdict(&check.source, whole, &|value| check.comparison.holds(value, check.multi, check.op))
}

/// The same of a field that has to have a value.
pub(crate) fn of_exists(source: &Source, whole: Option<&Whole>) -> Verdict {
    verdict(source, whole, &|_| true)
}

fn verdict(source: &Source, whole: Option<&Whole>, passes: &dyn Fn(&Value<'_>) -> bool) -> Verdict {
    let Source::Field(field) = source else { return Verdict::Maybe };
    match whole.and_then(|whole| whole.files.as_ref()?.values(field.def().name)) {
        Some(values) => known(values, passes),
        None => Verdict::Maybe,
    }
}

/// What all values that a field can have say of one of them.
fn known<'v>(mut values: impl Iterator<Item = Value<'v>>, passes: &dyn Fn(&Value<'_>) -> bool) -> Verdict {
    if values.any(|value| passes(&value)) { Verdict::Maybe } else { Verdict::Never }
}
