//! Counters of a block for timelines: how many events of each class fall into each bucket of time.
//!
//! ```text
//! shift u8, classes u8, class ids u8 each; per class a stream of one count per bucket
//! ```
//! Buckets are `2^shift` nanoseconds wide and lie at multiples of that; the first holds the block's first event, the
//! last its last. The writer takes the narrowest buckets of which there are few, so that counters of several blocks
//! can be added up without being cut.

use crate::{
    Class,
    bytes::{Input, Malformed, Output},
    stream::{StreamWriter, read_stream},
};

/// Most buckets of a block.
const BUCKETS: u64 = 32;
/// A bucket more for each this many rows.
const ROWS_PER_BUCKET: u64 = 32;
/// Classes that are counted one by one; those of later versions count as [`Class::Other`].
const CLASSES: usize = Class::COUNT;

/// A block's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Width of a bucket as a power of two.
    pub(crate) shift: u32,
    /// Begin of the first bucket.
    pub(crate) begin: u64,
    pub(crate) buckets: Vec<[u32; CLASSES]>,
}

impl Counts {
    /// Width of a bucket.
    pub(crate) fn width(&self) -> u64 {
        1u64.checked_shl(self.shift).unwrap_or(u64::MAX)
    }
}

/// The column of a class.
pub(crate) fn class_index(class: u8) -> usize {
    usize::from(class).min(Class::Other as usize)
}

/// Appends the counters of these rows, which lie in `first..=last`.
pub(super) fn encode(
    time: &[u64],
    class: &[u8],
    (first, last): (u64, u64),
    streams: &mut StreamWriter,
    out: &mut Vec<u8>,
) {
    let most = (time.len() as u64 / ROWS_PER_BUCKET).clamp(1, BUCKETS);
    let mut shift = 0;
    while shift < u64::BITS - 1 && (last >> shift) - (first >> shift) >= most {
        shift += 1;
    }
    let begin = first >> shift;
    let buckets = ((last >> shift) - begin + 1) as usize;
    let mut counts = vec![0u64; buckets * CLASSES];
    for (&time, &class) in time.iter().zip(class) {
        counts[class_index(class) * buckets + ((time >> shift) - begin) as usize] += 1;
    }
    let present = |class: &usize| counts[class * buckets..(class + 1) * buckets].iter().any(|&c| c > 0);
    let classes: Vec<usize> = (0..CLASSES).filter(present).collect();
    out.put_u8(shift as u8);
    out.put_u8(classes.len() as u8);
    classes.iter().for_each(|&class| out.put_u8(class as u8));
    classes.iter().for_each(|&class| streams.put(out, &counts[class * buckets..(class + 1) * buckets]));
}

/// Reads the counters of a block with these times.
pub(crate) fn decode(bytes: &[u8], first: u64, last: u64) -> Result<Counts, Malformed> {
    let mut input = Input::new(bytes);
    let shift = u32::from(input.u8()?);
    if shift >= u64::BITS {
        return Err(Malformed("counters have buckets wider than time"));
    }
    let begin = first >> shift;
    let buckets = (last >> shift).saturating_sub(begin).saturating_add(1);
    if buckets > BUCKETS {
        return Err(Malformed("counters have too many buckets"));
    }
    let mut counts = Counts { shift, begin: begin << shift, buckets: vec![[0; CLASSES]; buckets as usize] };
    let classes = usize::from(input.u8()?);
    let classes = input.take(classes)?;
    let mut values = Vec::new();
    for &class in classes {
        read_stream(&mut input, buckets as usize, &mut values)?;
        for (bucket, &value) in counts.buckets.iter_mut().zip(&values) {
            if let Some(count) = bucket.get_mut(class_index(class)) {
                *count = count.saturating_add(u32::try_from(value).unwrap_or(u32::MAX));
            }
        }
    }
    if input.is_empty() { Ok(counts) } else { Err(Malformed("counters have bytes behind their end")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_in_few_aligned_buckets() {
        let time: Vec<u64> = (0..2000).map(|i| 1_000_003 + i * 977).collect();
        let class: Vec<u8> = (0..2000).map(|i| [0, 3, 3, 8, 200][i % 5]).collect();
        let (first, last) = (time[0], time[1999]);
        let mut out = Vec::new();
        encode(&time, &class, (first, last), &mut StreamWriter::new(), &mut out);
        let counts = decode(&out, first, last).unwrap();
        assert!(counts.buckets.len() > 16 && counts.buckets.len() <= 32);
        assert_eq!(counts.begin % counts.width(), 0);
        let sum = |class: usize| counts.buckets.iter().map(|b| b[class]).sum::<u32>();
        assert_eq!((sum(0), sum(3), sum(8), sum(1)), (400, 800, 800, 0));
        for cut in 0..out.len() {
            assert!(decode(&out[..cut], first, last).is_err());
        }
    }

    #[test]
    fn the_whole_of_time_is_two_buckets() {
        let mut out = Vec::new();
        encode(&[0, u64::MAX], &[0, 0], (0, u64::MAX), &mut StreamWriter::new(), &mut out);
        let counts = decode(&out, 0, u64::MAX).unwrap();
        assert_eq!(counts.buckets.len(), 2);
        assert_eq!(counts.begin, 0);
    }
}
