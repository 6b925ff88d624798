//! Verifies recordings: every block, every signature, the chain of segments, and what is missing.
//!
//! Nothing that was written to be fast to read is believed: blocks are found by walking, their hashes computed from
//! the bytes on disk, and the footer is only compared with what was found.

use std::path::{Path, PathBuf};

use crate::{BootNanos, ClockMap, ContainerUid, OpenError};

/// How often a store is verified that retention changes meanwhile, when it then does not agree with itself.
const TRIES: u32 = 4;

mod blocks;
mod catalog;
mod chain;
mod evicted;
mod leftover;
mod segment;
mod stage;
#[cfg(test)]
mod tests;

/// What to verify against.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// A public key known from elsewhere: some segment must have it, and all later ones must follow from it.
    pub key: Option<[u8; 32]>,
    /// Texts of checkpoints kept elsewhere: the recording must contain what they say.
    pub checkpoints: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// The segments in order.
    pub segments: Vec<SegmentReport>,
    /// Everything worth telling, in order of the segments.
    pub findings: Vec<Finding>,
    /// Whose signatures they are.
    pub signer: Signer,
    /// Blocks looked at.
    pub blocks: u64,
    /// Blocks that a good signature covers.
    pub signed_blocks: u64,
    /// Events in good blocks.
    pub events: u64,
    /// Boot time to wall clock, as far as what was read tells.
    pub clock: ClockMap,
}

impl VerifyReport {
    /// Nothing is damaged, missing or unverifiable.
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(|finding| finding.kind.is_damage())
    }

    /// Whether all that is there agrees with itself, but evidence is missing that was damaged where it was copied from.
    pub fn is_whole_but_for_source(&self) -> bool {
        let mut damage = self.findings.iter().filter(|finding| finding.kind.is_damage()).peekable();
        damage.peek().is_some() && damage.all(|finding| finding.kind == FindingKind::DamagedSource)
    }

    /// The first finding that is damage.
    pub fn first_damage(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.kind.is_damage())
    }
}

/// One segment, as found.
#[derive(Debug, Clone)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// Its number in the store.
    pub sequence: u64,
    /// Whether it was closed.
    pub state: SegmentState,
    /// Blocks in it.
    pub blocks: u64,
    /// Blocks that a good signature covers.
    pub signed_blocks: u64,
    /// Checkpoints in it.
    pub checkpoints: u64,
    /// The text of the last good one: what to keep elsewhere for [`VerifyOptions::checkpoints`].
    pub last_checkpoint: Option<String>,
    /// Events in good blocks.
    pub events: u64,
    /// Root of the tree over its blocks.
    pub root: [u8; 32],
    /// Its public key.
    pub public_key: [u8; 32],
    /// First and last event's time.
    pub range: Option<(BootNanos, BootNanos)>,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// Sealed by its writer.
    Sealed,
    /// Being written.
    Active,
    /// Left by a writer that was killed.
    Unfinished,
    /// Copied from others.
    Extract,
    /// What retention kept of older segments.
    Kept,
}

impl SegmentState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Active => "active",
            Self::Unfinished => "unfinished",
            Self::Extract => "extract",
            Self::Kept => "kept",
        }
    }
}

/// Whose signatures a recording has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signer {
    /// Nothing is signed.
    #[default]
    Unsigned,
    /// Consistent with itself; whose key it is was not asked.
    NotPinned,
    /// The key asked for, from this segment on.
    Pinned {
        /// The first segment with it.
        from: u64,
    },
    /// No segment has the key asked for.
    Other,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// In which file.
    pub path: PathBuf,
    /// In which segment.
    pub sequence: Option<u64>,
    /// In which block of it, from 0.
    pub block: Option<u64>,
    /// Where in the file.
    pub offset: Option<u64>,
    /// Whose block.
    pub container: Option<ContainerUid>,
    /// Between which times what is missing or damaged was recorded, where that is known.
    pub range: Option<(BootNanos, BootNanos)>,
    /// More, for people.
    pub detail: String,
}

impl Finding {
    /// One about a whole file.
    pub fn of_file(kind: FindingKind, path: impl Into<PathBuf>, detail: String) -> Self {
        Self {
            kind,
            path: path.into(),
            sequence: None,
            block: None,
            offset: None,
            container: None,
            range: None,
            detail,
        }
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident $damage:literal $code:literal,)*) => {
        /// Kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FindingKind { $($(#[$meta])* $name,)* }

        impl FindingKind {
            /// A code word that stays the same.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Whether evidence is damaged, missing or cannot be verified; other findings are worth knowing.
            pub const fn is_damage(self) -> bool {
                match self { $(Self::$name => $damage,)* }
            }
        }
    };
}

kinds! {
    /// A block whose bytes are not those that were hashed, or that cannot be decoded.
    BadBlock true "bad_block",
    /// Bytes between blocks that are no block.
    BadBytes true "bad_bytes",
    /// A segment whose header cannot be used.
    BadSegment true "bad_segment",
    /// A block that its neighbours' numbers say was there.
    MissingBlock true "missing_block",
    /// A segment that others name is not there, and no tombstone says why.
    MissingSegment true "missing_segment",
    /// A segment under another one's name.
    ReorderedSegment true "reordered_segment",
    /// A segment that ends before what the next one or a checkpoint says of it.
    CutSegment true "cut_segment",
    /// A segment that is not the one the next one was made after.
    BrokenChain true "broken_chain",
    /// Blocks were damaged in what this was copied from, and are not in the copy.
    DamagedSource true "damaged_source",
    /// A checkpoint whose signature or root is wrong.
    BadCheckpoint true "bad_checkpoint",
    /// A proof that does not prove its blocks.
    BadProof true "bad_proof",
    /// A segment of another store.
    ForeignSegment true "foreign_segment",
    /// A chain of keys begins anew: the key of the segment before did not endorse this one.
    ChainRestart true "chain_restart",
    /// No segment has the key asked for.
    WrongKey true "wrong_key",
    /// A checkpoint kept elsewhere says what the recording does not.
    CheckpointMismatch true "checkpoint_mismatch",
    /// The footer says other than the blocks.
    BadFooter true "bad_footer",
    /// The catalog is damaged, or says other than the files that it lists.
    BadCatalog true "bad_catalog",
    /// The body of an alert is not the one whose SHA-256 is beside it. Told by who reads what is beside the segments: this crate
    /// does not.
    BadAlert true "bad_alert",
    /// The last write was cut by a crash.
    TornTail false "torn_tail",
    /// The recorder was killed before it sealed the segment.
    Unfinished false "unfinished",
    /// The newest blocks are behind the last checkpoint.
    NotSignedYet false "not_signed_yet",
    /// No checkpoint for longer than there should be: the recorder stood still.
    Silence false "silence",
    /// Retention removed segments, or blocks of a container: on purpose, and told.
    Evicted false "evicted",
    /// Newer than this program.
    Unknown false "unknown",
}

/// Verifies a store's directory, one of its segments, or an extract. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// [`OpenError`] when the path is no recording of a version this program reads, or cannot be read. Everything else is
/// a finding.
pub fn verify(
    path: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, OpenError> {
    let about = std::fs::metadata(path).map_err(|source| OpenError::Io {
        action: "open",
        path: path.to_owned(),
        source,
    })?;
    if !about.is_dir() {
        let mut verifier = chain::Verifier::new(options, progress);
        verifier.file(path)?;
        return Ok(verifier.finish());
    }
    let mut tries = 0;
    loop {
        let mut verifier = chain::Verifier::new(options, progress);
        verifier.store(path)?;
        let changed = verifier.changed_meanwhile();
        let report = verifier.finish();
        tries += 1;
        if report.is_good() || !changed || tries == TRIES {
            return Ok(report);
        }
    }
}
