//! One read or write of a stream, and several put together.

use afterimage_format::{BootNanos, TaskKey};

use super::Transfer;
use crate::process::ProcessKey;

/// One read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// When the call returned: with `task` it names the event.
    pub time: BootNanos,
    /// The thread.
    pub task: TaskKey,
    /// Its process.
    pub process: ProcessKey,
    /// What it moved.
    pub transfer: Transfer,
}

/// One direction of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reassembled {
    /// The bytes that were kept, one after the other.
    pub bytes: Vec<u8>,
    /// Where bytes are missing among them, in order.
    pub gaps: Vec<Gap>,
    /// More was kept than the limit allowed to be put together.
    pub limited: bool,
}

/// Bytes that went through and were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// After how many of the bytes.
    pub at: usize,
    /// How many are missing.
    pub len: u64,
}

pub(super) fn reassemble<'a>(chunks: impl Iterator<Item = &'a Chunk>, limit: usize) -> Reassembled {
    let mut out = Reassembled::default();
    for chunk in chunks {
        let room = limit.saturating_sub(out.bytes.len());
        let kept = chunk.transfer.bytes.get(..room).unwrap_or(&chunk.transfer.bytes);
        out.bytes.extend_from_slice(kept);
        if kept.len() < chunk.transfer.bytes.len() {
            out.limited = true;
            break;
        }
        if chunk.transfer.missing() > 0 {
            let gap = Gap { at: out.bytes.len(), len: chunk.transfer.missing() };
            match out.gaps.last_mut() {
                Some(last) if last.at == gap.at => last.len += gap.len,
                _ => out.gaps.push(gap),
            }
        }
    }
    out
}
