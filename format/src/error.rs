//! The errors of this crate: cannot open, cannot write, cannot read, and damage that reading steps over.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A recording could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `read`, `create`, ...
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a file of ours.
    #[error("`{}` is not an Afterimage recording", path.display())]
    NotARecording {
        /// The file or directory.
        path: PathBuf,
    },
    /// A version this program does not read.
    #[error("`{}` has format version {found}; this program reads version {supported}", path.display())]
    Version {
        /// The file or directory.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// Another writer has the store.
    #[error("the store `{}` is in use by another recorder", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// The file's own header is damaged.
    #[error("`{}` has a damaged header: {defect}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        defect: Defect,
    },
}

impl OpenError {
    /// What is there could not be read.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io { action: "read", path: path.to_owned(), source }
    }
}

/// An event or record could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk is short of space, and this is not recorded until there is more.
    #[error("the disk is short of space: `{}`", space.as_str())]
    NoSpace {
        /// How short.
        space: crate::Space,
    },
    /// More than the format can hold.
    #[error("event has {found} {what}, the format holds {limit}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// How many are possible.
        limit: usize,
    },
}

/// A recording could not be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A damaged piece of a recording: reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub kind: DefectKind,
    /// More, for people.
    pub detail: String,
}

/// Kinds of damage. Never one word for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DefectKind {
    /// A write was cut by a crash: the tail is missing.
    Torn,
    /// A checksum is wrong, or the contents contradict themselves.
    Corrupt,
    /// A segment or block that others name is not there.
    Missing,
    /// Newer than this program: skipped.
    Unknown,
}

impl DefectKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Corrupt => "corrupt",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// Whether evidence is damaged, missing or cannot be read, as `verify` says it too. What a crash cut was
    /// never promised to be there: of what a store acknowledged nothing is missing then.
    pub const fn is_damage(self) -> bool {
        !matches!(self, Self::Torn)
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} at offset `{}` of `{}`: {}",
            self.kind.as_str(),
            self.offset,
            self.path.display(),
            self.detail
        )
    }
}
