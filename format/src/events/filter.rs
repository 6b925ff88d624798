//! A block's filter: what can be in it, told without reading it.
//!
//! ```text
//! codes: count varint, stream of the codes, rising
//! tasks: count varint, stream of all tgids and tids, rising; count 0: too many to be listed
//! grams: bits as a power of two u8, then so many bits; power 0: no bits, nothing is said of byte strings
//! ```
//! A gram is four bytes in a row of an interned string, ASCII letters as small ones. Each sets one bit. Bytes that
//! have a gram whose bit is not set are in no string of the block; since any four bytes are told, this serves paths,
//! names and arguments as well as the addresses in socket addresses.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    EventCode,
    bytes::{Input, Malformed, Output},
    stream::{StreamWriter, read_stream},
};

/// Bytes of a gram.
pub(crate) const GRAM: usize = 4;
/// Most bits of the grams, as a power of two.
const MOST_BITS: u32 = 14;
/// Fewest bits.
const FEWEST_BITS: u32 = 6;
/// More tasks than these are not listed.
const MOST_TASKS: usize = 1024;
/// The bits are halved while fewer than so many of ten are set.
const FILL_OF_TEN: u32 = 4;

/// The bit of a gram among `1 << MOST_BITS`; among fewer, its low bits count.
fn bit(gram: [u8; GRAM]) -> u32 {
    u32::from_le_bytes(gram).wrapping_mul(0x9e37_79b1) >> (u32::BITS.wrapping_sub(MOST_BITS))
}

/// The bits of the grams of these bytes.
fn bits(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.windows(GRAM).filter_map(|gram| Some(bit(gram.first_chunk::<GRAM>()?.map(|b| b.to_ascii_lowercase()))))
}

/// Collects the grams of a block's strings.
#[derive(Debug)]
pub(super) struct Grams {
    words: Vec<u64>,
}

impl Grams {
    pub(super) fn new() -> Self {
        Self { words: vec![0; 1 << (MOST_BITS - 6)] }
    }

    /// Takes in one string.
    pub(super) fn add(&mut self, string: &[u8]) {
        for bit in bits(string) {
            if let Some(word) = self.words.get_mut((bit >> 6) as usize) {
                *word |= 1 << (bit & 63);
            }
        }
    }

    /// Appends power and bits, and is empty again.
    fn put(&mut self, out: &mut Vec<u8>) {
        let mut power = MOST_BITS;
        let mut words = std::mem::replace(self, Self::new()).words;
        while power > FEWEST_BITS {
            let half = words.len() / 2;
            let (low, high) = words.split_at(half);
            let folded: Vec<u64> = low.iter().zip(high).map(|(a, b)| a | b).collect();
            let set: u32 = folded.iter().map(|word| word.count_ones()).sum();
            power = power.saturating_sub(1);
            if set.saturating_mul(10) > (1 << power) * FILL_OF_TEN {
                power = power.saturating_add(1);
                break;
            }
            words = folded;
        }
        out.put_u8(power as u8);
        words.iter().for_each(|word| out.put_u64(*word));
    }
}

/// Appends a filter.
pub(super) fn encode(
    codes: &[u16],
    tasks: &[u32],
    grams: &mut Grams,
    streams: &mut StreamWriter,
    out: &mut Vec<u8>,
) {
    let mut put = |out: &mut Vec<u8>, values: Vec<u64>| {
        out.put_varint(values.len() as u64);
        streams.put(out, &values);
    };
    put(out, codes.iter().map(|&code| code.into()).collect());
    let tasks = if tasks.len() > MOST_TASKS { &[] } else { tasks };
    put(out, tasks.iter().map(|&task| task.into()).collect());
    grams.put(out);
}

/// What can be in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFilter {
    codes: Vec<u16>,
    /// Empty: not known.
    tasks: Vec<u32>,
    power: u32,
    grams: Vec<u8>,
}

/// Bytes whose grams are looked up in many blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GramQuery {
    bits: Vec<u32>,
}

impl GramQuery {
    /// Asks for strings with these bytes in them, whatever the case of letters; `None` where they are too few to be
    /// told.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut bits: Vec<u32> = bits(bytes).collect();
        bits.sort_unstable();
        bits.dedup();
        (!bits.is_empty()).then_some(Self { bits })
    }

    /// Asks for both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.bits.extend(other.bits);
        self.bits.sort_unstable();
        self.bits.dedup();
        self
    }
}

impl BlockFilter {
    /// Reads a filter.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let mut values = Vec::new();
        let mut numbers = |input: &mut Input<'_>, most: usize| {
            let count = input.count(most)?;
            read_stream(input, count, &mut values)?;
            if !values.is_sorted() {
                return Err(Malformed("a filter's numbers are not in order"));
            }
            Ok(values.clone())
        };
        let narrow = |_| Malformed("a filter's number is too large");
        let codes = numbers(&mut input, usize::from(u16::MAX).saturating_add(1))?;
        let codes = codes.into_iter().map(u16::try_from).collect::<Result<_, _>>().map_err(narrow)?;
        let tasks = numbers(&mut input, MOST_TASKS)?;
        let tasks = tasks.into_iter().map(u32::try_from).collect::<Result<_, _>>().map_err(narrow)?;
        let power = u32::from(input.u8()?);
        if power != 0 && !(FEWEST_BITS..=MOST_BITS).contains(&power) {
            return Err(Malformed("a filter has too many bits or too few"));
        }
        let grams = if power == 0 { Vec::new() } else { input.take((1usize << power) / 8)?.to_vec() };
        if input.is_empty() {
            Ok(Self { codes, tasks, power, grams })
        } else {
            Err(Malformed("a filter has bytes behind its end"))
        }
    }

    /// The codes of its events, rising.
    pub fn codes(&self) -> impl Iterator<Item = EventCode> + '_ {
        self.codes.iter().map(|&code| EventCode(code))
    }

    /// Whether it can have events of a thread or process with this id (initial pid namespace).
    pub fn may_have_task(&self, id: u32) -> bool {
        self.tasks.is_empty() || self.tasks.binary_search(&id).is_ok()
    }

    /// Whether it can have a string (no payload) with the asked bytes in it.
    pub fn may_have(&self, query: &GramQuery) -> bool {
        if self.power == 0 {
            return true;
        }
        let mask = (1u32 << self.power).wrapping_sub(1);
        query.bits.iter().all(|bit| {
            let bit = bit & mask;
            self.grams.get((bit >> 3) as usize).is_none_or(|byte| byte >> (bit & 7) & 1 == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(codes: &[u16], tasks: &[u32], strings: &[Vec<u8>]) -> BlockFilter {
        let mut grams = Grams::new();
        strings.iter().for_each(|string| grams.add(string));
        let mut out = Vec::new();
        encode(codes, tasks, &mut grams, &mut StreamWriter::new(), &mut out);
        for cut in 0..out.len() {
            assert!(BlockFilter::decode(&out[..cut]).is_err());
        }
        BlockFilter::decode(&out).unwrap()
    }

    #[test]
    fn few_strings_take_few_bytes_and_tell_what_is_not_there() {
        let paths: Vec<Vec<u8>> = (0..20).map(|i| format!("/usr/lib/lib{i}.so").into_bytes()).collect();
        let filter = filter(&[3, 257], &[100, 101], &paths);
        assert!(filter.grams.len() <= 32, "{}", filter.grams.len());
        let has = |bytes: &[u8]| filter.may_have(&GramQuery::new(bytes).unwrap());
        assert!(has(b"lib7.so") && has(b"LIB/lib"));
        assert!(!has(b"id_rsa") && !has(b"/etc/shadow"));
        assert!(GramQuery::new(b"nc").is_none());
        assert_eq!(filter.codes().collect::<Vec<_>>(), [EventCode(3), EventCode(257)]);
        assert!(filter.may_have_task(101) && !filter.may_have_task(7));
    }

    #[test]
    fn too_many_tasks_are_any_task() {
        let tasks: Vec<u32> = (0..2000).collect();
        assert!(filter(&[], &tasks, &[]).may_have_task(1_000_000));
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_denied(
            strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
            at in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
        ) {
            let filter = filter(&[], &[], &strings);
            if !strings.is_empty() {
                let string = at.get(&strings);
                let part = &string[from.index(string.len() + 1)..];
                if let Some(query) = GramQuery::new(part) {
                    prop_assert!(filter.may_have(&query));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = BlockFilter::decode(&bytes);
        }
    }
}
