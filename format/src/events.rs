//! Rows of events as columns: the payload of an EVENTS block.
//!
//! Rows are sorted by task, then time. Numbers that depend on what the event is are kept per code: all rows of the
//! lowest code first, in row order ("grouped by code"); fields per code and shape. One function computes that order
//! for writer and reader ([`order`]). Columns with nothing to say are left out.

pub(crate) mod counts;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod filter;
pub(crate) mod ingest;
mod order;
pub(crate) mod repeated;
pub(crate) mod rows;
mod strings;

use crate::FieldTag;

/// Column ids of EVENTS blocks. An id a reader does not know is skipped.
pub(crate) mod column {
    /// Metadata records (`crate::meta`); in every kind of block.
    pub(crate) const RECORDS: u8 = 1;
    /// Tasks: count, then streams of tgid, tid less tgid, start, rows.
    pub(crate) const TASKS: u8 = 2;
    /// Codes: count, stream of codes in rising order, stream of each row's index among them.
    pub(crate) const CODES: u8 = 3;
    /// Stream of time since the task's row before (first row: since the block's first time), less the duration.
    pub(crate) const GAPS: u8 = 4;
    /// By code: stream of whether the duration is known.
    pub(crate) const TIMED: u8 = 5;
    /// By code: stream of durations of rows that have one.
    pub(crate) const DURATION: u8 = 6;
    /// By code: stream of results, zigzag.
    pub(crate) const RET: u8 = 7;
    /// By code: stream of how many numbers each row has.
    pub(crate) const ARG_COUNT: u8 = 8;
    /// By code: stream of event flags; absent when all are 0.
    pub(crate) const FLAGS: u8 = 9;
    /// Stream of CPUs in row order.
    pub(crate) const CPU: u8 = 10;
    /// By code: stream of classes.
    pub(crate) const CLASS: u8 = 11;
    /// Shapes: count, then each as count and tags; then by code the stream of each row's shape.
    pub(crate) const SHAPES: u8 = 12;
    /// By code, shape, position: stream of string ids or of payload lengths.
    pub(crate) const FIELDS: u8 = 13;
    /// By code, shape, position: stream of field flags; absent when all are 0.
    pub(crate) const FIELD_FLAGS: u8 = 14;
    /// By code, shape, position: stream of full lengths less the predicted ones; absent when all are 0.
    pub(crate) const FULL_LEN: u8 = 15;
    /// Strings: count, stream of lengths.
    pub(crate) const STRING_LENGTHS: u8 = 16;
    /// The strings' bytes, one behind the other.
    pub(crate) const STRINGS: u8 = 17;
    /// The payloads' bytes, by code, shape, position.
    pub(crate) const PAYLOAD: u8 = 18;
    /// Counters for timelines ([`super::counts`]).
    pub(crate) const COUNTS: u8 = 19;
    /// The text of a checkpoint; in CHECKPOINT blocks.
    pub(crate) const NOTE: u8 = 20;
    /// A proof ([`crate::proof`]); in PROOF blocks.
    pub(crate) const PROOF: u8 = 21;
    /// Count and links; in CHAIN blocks.
    pub(crate) const CHAIN: u8 = 22;
    /// What can be in the block ([`super::filter`]).
    pub(crate) const FILTER: u8 = 23;
    /// A container's state; in STATE blocks.
    pub(crate) const STATE: u8 = 24;
    /// By code: stream of the first number; the next ids for the numbers after it.
    pub(crate) const ARG0: u8 = 32;
    /// How many numbers have columns of their own; the rest share the next id.
    pub(crate) const ARG_COLUMNS: u8 = 6;
    /// By code, position: the numbers behind those.
    pub(crate) const ARG_REST: u8 = ARG0 + ARG_COLUMNS;

    /// What a column holds, for people.
    pub(crate) const fn name(id: u8) -> &'static str {
        match id {
            RECORDS => "records",
            TASKS => "tasks",
            CODES => "codes",
            GAPS => "time gaps",
            TIMED => "duration known",
            DURATION => "durations",
            RET => "results",
            ARG_COUNT => "number counts",
            FLAGS => "flags",
            CPU => "cpus",
            CLASS => "classes",
            SHAPES => "field shapes",
            FIELDS => "field ids",
            FIELD_FLAGS => "field flags",
            FULL_LEN => "full lengths",
            STRING_LENGTHS => "string lengths",
            STRINGS => "strings",
            PAYLOAD => "payloads",
            COUNTS => "counters",
            NOTE => "checkpoint",
            PROOF => "proof",
            CHAIN => "chain",
            FILTER => "filter",
            STATE => "state",
            ARG0..=ARG_REST => "numbers",
            _ => "unknown",
        }
    }
}

/// Whether a field's bytes go to the payload column; all others are interned per block. Part of the format.
pub(crate) const fn is_payload(tag: FieldTag) -> bool {
    matches!(tag, FieldTag::PAYLOAD | FieldTag::DATA)
}
