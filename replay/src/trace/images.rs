//! Hashes of the programs that were executed and are not of their container's image, for filters that ask for them.

use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

use afterimage_detect::{Filter, Frame, Image};
use afterimage_format::{BlockInfo, BootNanos, Event, EventCode, FieldTag, Query, layout::artifact};
use afterimage_model::artifacts;

use super::Trace;
use crate::failure::Failure;

/// Most executions that are remembered: no container host has as many in the time that a store holds.
const MOST: usize = 1_000_000;

impl Trace {
    /// Them in order of container and time, read once. Only blocks that have any are read.
    ///
    /// # Errors
    /// [`Failure::Read`]; more than a million.
    pub fn images(&self) -> Result<Arc<[Image]>, Failure> {
        if let Some(images) = self.images.get() {
            return Ok(images.clone());
        }
        let read = read(self)?;
        Ok(self.images.get_or_init(|| read).clone())
    }
}

fn read(trace: &Trace) -> Result<Arc<[Image]>, Failure> {
    let filter = Filter::parse("evt.type = artifact")
        .map_err(|error| Failure::Environment(format!("the filter for images: {error}")))?;
    let blocks: HashSet<usize> =
        filter.prefilter(&Frame::default()).blocks(&trace.recording).into_iter().collect();
    let wanted = |block: &BlockInfo| blocks.contains(&block.index);
    let mut images = BTreeSet::new();
    trace.recording.walk_blocks(&Query::default(), &wanted, &mut |_, uid, event| {
        images.extend(image(event).map(|(executed, path, sha256)| Image {
            container: uid,
            executed,
            path,
            sha256,
        }));
        if images.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if images.len() > MOST {
        let told = format!(
            "more than {MOST} programs were executed that are not of an image: `proc.exe_sha256` cannot be asked"
        );
        return Err(Failure::Environment(told));
    }
    Ok(images.into_iter().collect())
}

/// When, from where and which, where that is known.
fn image(event: &Event<'_>) -> Option<(BootNanos, Vec<u8>, String)> {
    if event.code != EventCode::ARTIFACT {
        return None;
    }
    let hash = event.bytes(FieldTag::HASH)?;
    let executed = event.number(artifact::EXECUTED)?;
    Some((BootNanos(executed), event.bytes(FieldTag::KPATH)?.to_vec(), artifacts::hex(hash)))
}
