//! The trace file and the store: blocks, columns, index, writer, reader, recovery, verification, retention.
//!
//! Knows nothing of eBPF and nothing of terminals; builds on any platform. The bytes are specified in
//! `docs/format.md`.
#![deny(missing_docs, unsafe_code)]

mod block;
mod bytes;
mod catalog;
mod class;
mod clock;
mod code;
mod container;
mod copy;
mod error;
mod event;
mod events;
mod extract;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod ids;
mod incident;
mod keeping;
mod keys;
pub mod layout;
mod limits;
mod loss;
mod map;
mod merge;
mod merkle;
mod meta;
mod note;
mod owned;
mod page;
mod payload;
mod proof;
mod reader;
mod segment;
#[cfg(test)]
mod spec;
mod stage;
mod store;
mod stream;
mod verify;
mod writer;

pub use class::{Class, Classify};
pub use clock::{ClockMap, ClockPair};
pub use code::{Abi, EventCode};
pub use container::{ContainerRecord, Engine, Fact, FactKey, FactSource, Role};
pub use error::{Defect, DefectKind, OpenError, ReadError, WriteError};
pub use event::{Event, EventFlags, Field, FieldFlags, FieldTag, MAX_ARGS, MAX_FIELD_LEN, MAX_FIELDS};
pub use extract::{ExtractError, ExtractReport, extract, extract_parts};
pub use ids::{BootNanos, ContainerUid, TaskKey};
pub use incident::{Incident, Part};
pub use keeping::{Eviction, EvictionReason, Pin};
pub use loss::{Loss, LossCause};
pub use merge::{MergeError, MergeReport, merge};
pub use note::is_checkpoint;
pub use owned::{OwnedEvent, OwnedField};
pub use page::{Anchor, Direction, EventId};
pub use reader::{
    BlockFilter, BlockInfo, CatalogUse, ColumnInfo, ColumnReader, Columns, ContainerSummary, Few, GramQuery,
    Histogram, Keyframe, Next, Origin, Query, Recording, StringId, Visitor, Wanted,
};
pub use segment::MAGIC as RECORDING_MAGIC;
pub use verify::{
    Finding, FindingKind, SegmentReport, SegmentState, Signer, VerifyOptions, VerifyReport, verify,
};
pub use writer::{PinError, Space, StateDue, StoreOptions, StoreStats, StoreWriter};
