//! What is known of one file.

use afterimage_format::BootNanos;

use super::Content;
use crate::process::ProcessKey;

/// A file, and everything that was done to it. Where a name is given to another file after this one was removed or
/// replaced, that is another record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Tells it from all others of its container.
    pub id: FileId,
    /// How many files it stands for: more than one where there was no room for a record of each that had the name.
    pub lives: u64,
    /// Its path now, as the container sees it.
    pub path: Vec<u8>,
    /// Paths it had before it or a directory above it was renamed, and names that were removed while it had others, oldest first: at most the first and the last 16.
    pub formerly: Vec<Vec<u8>>,
    /// Its other names now, as hard links give them: the oldest first, at most 32.
    pub links: Vec<Vec<u8>>,
    /// It was made without a name (`O_TMPFILE`) and has none yet: its path is the kernel's word for it.
    pub nameless: bool,
    /// It is in memory (`memfd_create`): its path is `memfd:` and the name that its maker gave it, which others may have too.
    pub memory: bool,
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
    /// First act that is counted.
    pub first: BootNanos,
    /// Last act that is counted.
    pub last: BootNanos,
    /// Bytes read from it.
    pub bytes_read: u64,
    /// Bytes written to it.
    pub bytes_written: u64,
    /// Acts by kind: a bit each ([`ActKind::bit`]).
    pub kinds: u32,
    /// Kinds of acts before counting began, as bits.
    pub(super) kinds_before: u32,
    /// The last act that made or removed its name was a removal.
    pub deleted: bool,
    /// Another file was given its name.
    pub replaced: bool,
    /// It was there at its last act, as far as its acts tell.
    pub(super) present: bool,
    /// A file that it stands for was made during the recording and then executed.
    pub(super) dropped: bool,
    /// Bytes of what was written that the recording holds.
    pub bytes_recorded: u64,
    /// The container's set-up touched it.
    pub setup: bool,
    /// What was done, oldest first; repeated acts of one process are folded.
    pub acts: Vec<Act>,
    /// Acts that are not in `acts` for lack of room.
    pub acts_dropped: u64,
    /// What was written to it.
    pub content: Content,
}

/// Former paths of one file.
const FORMERLY: usize = 32;
/// Names of one file beside the first.
const LINKS: usize = 32;

/// Numbers files of a container in the order in which they became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) u64);

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
    /// Made.
    Created,
    /// Opened with the wish to make it, where nothing tells whether it was there.
    OpenedOrCreated,
    /// Read.
    Read,
    /// Written.
    Written,
    /// Cut or extended.
    Truncated,
    /// Mapped to be executed.
    Mapped,
    /// Mapped so that what is written there is written to it: how much that is, nobody sees.
    MappedForWriting,
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
    /// Its name was given to another file: it was there no more.
    Replaced,
    /// Something was not allowed.
    Refused,
    /// It was to be executed, and was not: not allowed, no program, or without its interpreter.
    NotExecuted,
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
            Self::OpenedOrCreated => 14,
            Self::Replaced => 15,
            Self::MappedForWriting => 16,
            Self::NotExecuted => 17,
        }
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenedForReading => "opened",
            Self::OpenedForWriting => "opened for writing",
            Self::Created => "created",
            Self::OpenedOrCreated => "opened or created",
            Self::Read => "read",
            Self::Written => "written",
            Self::Truncated => "truncated",
            Self::Mapped => "mapped to execute",
            Self::MappedForWriting => "mapped for writing",
            Self::Executed => "executed",
            Self::ModeSet { .. } => "mode set",
            Self::OwnerSet => "owner set",
            Self::Renamed => "renamed",
            Self::Linked => "linked",
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::Refused => "refused",
            Self::NotExecuted => "execution failed",
        }
    }
}

impl FileRecord {
    pub(super) fn new(id: FileId, path: Vec<u8>, time: BootNanos) -> Self {
        Self {
            id,
            lives: 1,
            path,
            formerly: Vec::new(),
            links: Vec::new(),
            nameless: false,
            memory: false,
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
            kinds_before: 0,
            deleted: false,
            replaced: false,
            present: false,
            dropped: false,
            bytes_recorded: 0,
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

    /// Whether anything was done to it since counting began.
    pub fn is_counted(&self) -> bool {
        self.kinds != 0
    }

    /// Whether anything was done to it before counting began.
    pub fn is_from_before(&self) -> bool {
        self.kinds_before != 0
    }

    /// Whether an act of this kind was ever noted, counted or not.
    fn ever_was(&self, kind: ActKind) -> bool {
        (self.kinds | self.kinds_before) & kind.bit() != 0
    }

    /// Whether the file was made or changed: content, name or mode. One in memory that nothing was written to is nothing yet.
    pub fn was_changed(&self) -> bool {
        const CHANGES: u32 = ActKind::Created.bit()
            | ActKind::OpenedOrCreated.bit()
            | ActKind::Replaced.bit()
            | ActKind::Written.bit()
            | ActKind::MappedForWriting.bit()
            | ActKind::Truncated.bit()
            | ActKind::ModeSet { mode: 0 }.bit()
            | ActKind::OwnerSet.bit()
            | ActKind::Renamed.bit()
            | ActKind::Linked.bit()
            | ActKind::Deleted.bit();
        const OF_NOTHING: u32 = ActKind::Created.bit() | ActKind::Truncated.bit();
        let counted = if self.memory { CHANGES & !OF_NOTHING } else { CHANGES };
        self.kinds & counted != 0
    }

    /// Whether it was made during the recording and then executed.
    pub fn was_dropped_and_executed(&self) -> bool {
        self.dropped
            || self.ever_was(ActKind::Executed)
                && (self.upper_layer == Some(true)
                    || matches!(self.existence, Existence::Made | Existence::MaybeMade)
                        && self.ever_was(ActKind::Written))
    }

    /// It had this path.
    pub(super) fn was_called(&mut self, path: Vec<u8>) {
        if self.formerly.contains(&path) {
            return;
        }
        if self.formerly.len() >= FORMERLY {
            self.formerly.remove(FORMERLY / 2);
        }
        self.formerly.push(path);
    }

    /// It has one more name; `false` where there is no room for that.
    pub(super) fn is_also_called(&mut self, path: &[u8]) -> bool {
        let has_room = self.links.len() < LINKS;
        if has_room {
            self.links.push(path.to_vec());
        }
        has_room
    }

    /// It has one name less; `false` where that is its only one.
    pub(super) fn is_called_no_more(&mut self, path: &[u8]) -> bool {
        if self.links.is_empty() {
            return false;
        }
        if self.path == path {
            self.path = self.links.remove(0);
        } else {
            self.links.retain(|link| link != path);
        }
        self.was_called(path.to_vec());
        true
    }

    /// One of its names is another now.
    pub(super) fn is_called(&mut self, from: Vec<u8>, to: &[u8]) {
        match self.links.iter_mut().find(|link| **link == from) {
            Some(link) => *link = to.to_vec(),
            None => self.path = to.to_vec(),
        }
        self.was_called(from);
    }

    /// A name of it was taken, and it is there under another.
    pub(super) fn is_still_there(&mut self) {
        (self.deleted, self.replaced, self.present) = (false, false, true);
    }

    /// All names that it has, or had last.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.path).chain(&self.links).map(Vec::as_slice)
    }

    /// Its name is another file's now, or nobody's.
    pub(super) fn is_gone(&self) -> bool {
        self.deleted || self.replaced
    }

    /// Goes on as the next file of its name. Says how much of the content was forgotten.
    pub(super) fn carry_on(&mut self) -> usize {
        self.dropped = self.was_dropped_and_executed();
        self.lives = self.lives.saturating_add(1);
        (self.deleted, self.replaced, self.present) = (false, false, false);
        (self.link_to, self.directory, self.existence) = (None, false, Existence::Unknown);
        (self.upper_layer, self.size) = (None, None);
        self.content.begin(false)
    }

    /// Stands for a later file of its name too, but for the acts of that. Its content is forgotten.
    pub(super) fn join(&mut self, later: Self) {
        self.dropped = self.was_dropped_and_executed() || later.was_dropped_and_executed();
        self.lives = self.lives.saturating_add(later.lives);
        if later.is_counted() {
            self.first = if self.is_counted() { self.first.min(later.first) } else { later.first };
            self.last = if self.is_counted() { self.last.max(later.last) } else { later.last };
        }
        self.kinds |= later.kinds;
        self.kinds_before |= later.kinds_before;
        self.bytes_read = self.bytes_read.saturating_add(later.bytes_read);
        self.bytes_written = self.bytes_written.saturating_add(later.bytes_written);
        self.bytes_recorded = self.bytes_recorded.saturating_add(later.bytes_recorded);
        self.acts_dropped = self.acts_dropped.saturating_add(later.acts_dropped);
        (self.deleted, self.replaced, self.present) = (later.deleted, later.replaced, later.present);
        self.directory |= later.directory;
        self.kernel_path |= later.kernel_path;
        self.setup |= later.setup;
        if self.existence != later.existence {
            self.existence = Existence::Unknown;
        }
        for path in later.formerly {
            self.was_called(path);
        }
        (self.link_to, self.size) = (later.link_to.or(self.link_to.take()), later.size);
        self.upper_layer = if self.upper_layer == later.upper_layer { self.upper_layer } else { None };
        self.content.begin(false);
    }

    /// Counts an act, without the act itself.
    pub(super) fn count(&mut self, act: &Act) {
        if !self.is_counted() {
            self.first = act.time;
        }
        self.last = act.time;
        self.kinds |= act.kind.bit();
        match act.kind {
            ActKind::Read => self.bytes_read = self.bytes_read.saturating_add(act.bytes),
            ActKind::Written => self.bytes_written = self.bytes_written.saturating_add(act.bytes),
            _ => {}
        }
    }

    /// An act was done to it, counted or not: whether its name is there.
    pub(super) fn moves(&mut self, kind: ActKind) {
        match kind {
            ActKind::Deleted => self.deleted = true,
            ActKind::Replaced => self.replaced = true,
            ActKind::Created | ActKind::OpenedOrCreated | ActKind::Renamed | ActKind::Linked => {
                self.deleted = false;
            }
            _ => {}
        }
        // What is done through a descriptor does not tell whether the name is there.
        match kind {
            ActKind::Deleted | ActKind::Replaced => self.present = false,
            ActKind::Refused
            | ActKind::NotExecuted
            | ActKind::Read
            | ActKind::Written
            | ActKind::MappedForWriting => {}
            _ => self.present = !self.is_gone(),
        }
    }

    /// Adds an act to the one before, where it is its repetition.
    pub(super) fn fold(&mut self, act: &Act) -> bool {
        let Some(last) = self.acts.last_mut() else { return false };
        if self.acts_dropped > 0 || (last.kind, last.by) != (act.kind, act.by) {
            return false;
        }
        last.last = act.time;
        last.bytes = last.bytes.saturating_add(act.bytes);
        last.count = last.count.saturating_add(1);
        last.result = act.result;
        true
    }
}
