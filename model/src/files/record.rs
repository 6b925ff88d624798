//! What is known of one file.

use afterimage_format::BootNanos;

use super::Content;
use crate::process::ProcessKey;

/// A file by its path, and everything that was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Its path now, as the container sees it.
    pub path: Vec<u8>,
    /// Paths it had before it was renamed, oldest first.
    pub formerly: Vec<Vec<u8>>,
    /// The kernel told this path at least once; otherwise programs claimed it.
    pub kernel_path: bool,
    /// What a link points to, as claimed.
    pub link_to: Option<Vec<u8>>,
    /// It is a directory.
    pub directory: bool,
    /// Whether it was there before.
    pub existence: Existence,
    /// Whether it is on an overlay's upper layer: not part of the image. Told when it was executed.
    pub upper_layer: Option<bool>,
    /// Its size when it was executed.
    pub size: Option<u64>,
    /// First act.
    pub first: BootNanos,
    /// Last act.
    pub last: BootNanos,
    /// Bytes read from it.
    pub bytes_read: u64,
    /// Bytes written to it.
    pub bytes_written: u64,
    /// Acts by kind: a bit each ([`ActKind::bit`]).
    pub kinds: u32,
    /// The last act that made or removed its name was a removal.
    pub deleted: bool,
    /// The container's set-up touched it.
    pub setup: bool,
    /// What was done, oldest first; repeated acts of one process are folded.
    pub acts: Vec<Act>,
    /// Acts that are not in `acts` for lack of room.
    pub acts_dropped: u64,
    /// What was written to it.
    pub content: Content,
}

/// Whether a file was there before the recording, as far as its acts tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// Nothing tells.
    Unknown,
    /// It was opened without being made.
    Found,
    /// It was opened with the wish to make it: it may have been there.
    MaybeMade,
    /// It was made during the recording.
    Made,
}

/// Something done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// When first.
    pub time: BootNanos,
    /// When last, where it was repeated.
    pub last: BootNanos,
    /// By whom.
    pub by: ProcessKey,
    /// What.
    pub kind: ActKind,
    /// Bytes moved, of all repetitions.
    pub bytes: u64,
    /// How often.
    pub count: u32,
    /// The (last) call's result.
    pub result: i64,
}

/// Kinds of acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActKind {
    /// Opened for reading.
    OpenedForReading,
    /// Opened for writing, not made.
    OpenedForWriting,
    /// Made, or opened with the wish to make it.
    Created,
    /// Read.
    Read,
    /// Written.
    Written,
    /// Cut or extended.
    Truncated,
    /// Mapped to be executed.
    Mapped,
    /// Executed.
    Executed,
    /// Mode set.
    ModeSet {
        /// The permission bits.
        mode: u32,
    },
    /// Owner set.
    OwnerSet,
    /// Given this name.
    Renamed,
    /// Made as a link.
    Linked,
    /// Name removed.
    Deleted,
    /// Something was not allowed.
    Refused,
}

impl ActKind {
    /// Its bit in [`FileRecord::kinds`].
    pub const fn bit(self) -> u32 {
        1 << match self {
            Self::OpenedForReading => 0,
            Self::OpenedForWriting => 1,
            Self::Created => 2,
            Self::Read => 3,
            Self::Written => 4,
            Self::Truncated => 5,
            Self::Mapped => 6,
            Self::Executed => 7,
            Self::ModeSet { .. } => 8,
            Self::OwnerSet => 9,
            Self::Renamed => 10,
            Self::Linked => 11,
            Self::Deleted => 12,
            Self::Refused => 13,
        }
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenedForReading => "opened",
            Self::OpenedForWriting => "opened for writing",
            Self::Created => "created",
            Self::Read => "read",
            Self::Written => "written",
            Self::Truncated => "truncated",
            Self::Mapped => "mapped to execute",
            Self::Executed => "executed",
            Self::ModeSet { .. } => "mode set",
            Self::OwnerSet => "owner set",
            Self::Renamed => "renamed",
            Self::Linked => "linked",
            Self::Deleted => "deleted",
            Self::Refused => "refused",
        }
    }
}

impl FileRecord {
    pub(super) fn new(path: Vec<u8>, time: BootNanos) -> Self {
        Self {
            path,
            formerly: Vec::new(),
            kernel_path: false,
            link_to: None,
            directory: false,
            existence: Existence::Unknown,
            upper_layer: None,
            size: None,
            first: time,
            last: time,
            bytes_read: 0,
            bytes_written: 0,
            kinds: 0,
            deleted: false,
            setup: false,
            acts: Vec::new(),
            acts_dropped: 0,
            content: Content::default(),
        }
    }

    /// Whether an act of this kind is among those that were noted, remembered or not.
    pub fn was(&self, kind: ActKind) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// Whether the file was made or changed: content, name or mode.
    pub fn was_changed(&self) -> bool {
        const CHANGES: u32 = ActKind::Created.bit()
            | ActKind::Written.bit()
            | ActKind::Truncated.bit()
            | ActKind::ModeSet { mode: 0 }.bit()
            | ActKind::OwnerSet.bit()
            | ActKind::Renamed.bit()
            | ActKind::Linked.bit()
            | ActKind::Deleted.bit();
        self.kinds & CHANGES != 0
    }

    /// Whether it was made during the recording and then executed.
    pub fn was_dropped_and_executed(&self) -> bool {
        self.was(ActKind::Executed)
            && (self.upper_layer == Some(true)
                || matches!(self.existence, Existence::Made | Existence::MaybeMade)
                    && self.was(ActKind::Written))
    }

    /// Notes an act; false where it could not be remembered.
    pub(super) fn note(&mut self, act: Act, most: usize) -> bool {
        self.last = act.time;
        self.kinds |= act.kind.bit();
        match act.kind {
            ActKind::Read => self.bytes_read = self.bytes_read.saturating_add(act.bytes),
            ActKind::Written => self.bytes_written = self.bytes_written.saturating_add(act.bytes),
            ActKind::Deleted => self.deleted = true,
            ActKind::Created | ActKind::Renamed | ActKind::Linked => self.deleted = false,
            _ => {}
        }
        if let Some(last) = self.acts.last_mut()
            && self.acts_dropped == 0
            && (last.kind, last.by) == (act.kind, act.by)
        {
            last.last = act.time;
            last.bytes = last.bytes.saturating_add(act.bytes);
            last.count = last.count.saturating_add(1);
            last.result = act.result;
            return true;
        }
        if self.acts.len() >= most {
            self.acts_dropped += 1;
            return false;
        }
        self.acts.push(act);
        true
    }
}
