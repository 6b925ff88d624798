//! How many events there are, when: counts per class over parts of a range.

use std::sync::Arc;

use super::{Query, Recording, blocks::Decoded};
use crate::{BootNanos, Class, ContainerUid, events::decode::EventDecoder};

/// Counts of each class in each of `columns` equal parts of `begin..end`.
pub(super) fn density(
    recording: &Recording,
    container: Option<ContainerUid>,
    begin: BootNanos,
    end: BootNanos,
    columns: usize,
) -> Vec<[u32; Class::COUNT]> {
    let mut counts = vec![[0u32; Class::COUNT]; columns];
    let (Some(span), Ok(mut decoder)) = (end.0.checked_sub(begin.0).filter(|&s| s > 0), EventDecoder::new())
    else {
        return counts;
    };
    let query = Query {
        containers: container.into_iter().collect(),
        begin: Some(begin),
        end: Some(BootNanos(end.0 - 1)),
    };
    for block in recording.blocks.iter().filter(|block| query.touches(block)) {
        if let Ok(Some(decoded)) = recording.decode(block.index, &mut decoder) {
            add(&decoded, begin.0, span, &mut counts);
        }
    }
    counts
}

fn add(decoded: &Arc<Decoded>, begin: u64, span: u64, counts: &mut [[u32; Class::COUNT]]) {
    let columns = counts.len() as u128;
    for row in 0..decoded.rows.len() {
        let time = decoded.rows.time(row);
        let Some(offset) = time.checked_sub(begin).filter(|&o| o < span) else { continue };
        let column = (u128::from(offset) * columns / u128::from(span)) as usize;
        let class = usize::from(decoded.rows.class(row)).min(Class::Other as usize);
        if let Some(count) = counts.get_mut(column).and_then(|c| c.get_mut(class)) {
            *count = count.saturating_add(1);
        }
    }
}
