//! A block's filter: what can be in it, told without reading it.
//!
//! ```text
//! codes: count varint, stream of the codes, rising
//! tasks: count varint, stream of all tgids and tids, rising; count 0: too many to be listed
//! ends: count varint and 1 more, stream of keys of socket addresses, rising; count 0: too many to be listed
//! grams: bits as a power of two u8, then so many bits; power 0: no bits, nothing is said of byte strings
//! ```
//! A gram is four bytes in a row of an interned string or a field with tag DATA, ASCII letters as small ones. Each sets one bit. Bytes that
//! have a gram whose bit is not set are in no string of the block. A key of a socket address is the FNV-1a hash of the
//! address alone (four bytes also where it is version 4 in version 6), or of family and port, the first four bytes.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::net::IpAddr;

use crate::{
    Event, EventCode, FieldTag,
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
const FILL_OF_TEN: u32 = 3;
/// More keys than these are not listed.
const MOST_KEYS: usize = 2048;

/// The bit of a gram among `1 << MOST_BITS`; among fewer, its low bits count.
fn bit_of(gram: u32) -> u32 {
    gram.wrapping_mul(0x9e37_79b1) >> (u32::BITS.wrapping_sub(MOST_BITS))
}

/// The bits of the grams of these bytes.
fn bits(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.windows(GRAM).filter_map(|gram| {
        Some(bit_of(u32::from_le_bytes(gram.first_chunk::<GRAM>()?.map(|b| b.to_ascii_lowercase()))))
    })
}

/// FNV-1a.
fn key(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Collects the keys of a socket address as the kernel has it.
pub(super) fn add_keys(address: &[u8], keys: &mut Vec<u32>) {
    const INET: u8 = 2;
    const INET6: u8 = 10;
    let Some([family, 0]) = address.first_chunk::<2>() else { return };
    let part = |from: usize, to: usize| address.get(from..to).map(key);
    match *family {
        INET => keys.extend(part(0, 4).into_iter().chain(part(4, 8))),
        INET6 => keys.extend(part(0, 4).into_iter().chain(part(8, 24)).chain(part(20, 24))),
        _ => {}
    }
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
        let Some((first, rest)) = string.split_first_chunk::<{ GRAM - 1 }>() else { return };
        let [a, b, c] = first.map(|byte| byte.to_ascii_lowercase());
        // Each byte moves the gram on by one.
        let mut gram = u32::from_le_bytes([0, a, b, c]);
        for byte in rest {
            gram = gram >> 8 | u32::from(byte.to_ascii_lowercase()) << 24;
            let bit = bit_of(gram);
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
            if set.saturating_mul(10) > FILL_OF_TEN.saturating_mul(1 << power) {
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
    keys: &[u32],
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
    if keys.len() > MOST_KEYS {
        out.put_varint(0);
    } else {
        let values: Vec<u64> = keys.iter().map(|&key| key.into()).collect();
        out.put_varint((values.len() as u64).saturating_add(1));
        streams.put(out, &values);
    }
    grams.put(out);
}

/// What can be in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFilter {
    codes: Vec<u16>,
    /// Empty: not known.
    tasks: Vec<u32>,
    /// `None`: not known.
    keys: Option<Vec<u32>>,
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
        let mut numbers = |input: &mut Input<'_>, count: usize| {
            read_stream(input, count, &mut values)?;
            if !values.is_sorted() {
                return Err(Malformed("a filter's numbers are not in order"));
            }
            Ok(values.clone())
        };
        let narrow = |_| Malformed("a filter's number is too large");
        let count = input.count(usize::from(u16::MAX).saturating_add(1))?;
        let codes = numbers(&mut input, count)?;
        let codes = codes.into_iter().map(u16::try_from).collect::<Result<_, _>>().map_err(narrow)?;
        let count = input.count(MOST_TASKS)?;
        let tasks = numbers(&mut input, count)?;
        let tasks = tasks.into_iter().map(u32::try_from).collect::<Result<_, _>>().map_err(narrow)?;
        let keys = match input.count(MOST_KEYS.saturating_add(1))?.checked_sub(1) {
            None => None,
            Some(count) => {
                let keys = numbers(&mut input, count)?.into_iter().map(u32::try_from);
                Some(keys.collect::<Result<_, _>>().map_err(narrow)?)
            }
        };
        let power = u32::from(input.u8()?);
        if power != 0 && !(FEWEST_BITS..=MOST_BITS).contains(&power) {
            return Err(Malformed("a filter has too many bits or too few"));
        }
        let grams = if power == 0 { Vec::new() } else { input.take((1usize << power) / 8)?.to_vec() };
        if input.is_empty() {
            Ok(Self { codes, tasks, keys, power, grams })
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

    /// Whether it can have a socket address with this IP address, of version 4 also inside one of version 6.
    pub fn may_have_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.may_have_key(&address.octets()),
            IpAddr::V6(address) => self.may_have_key(&address.octets()),
        }
    }

    /// Whether it can have a socket address of version 4 or 6 with this port.
    pub fn may_have_port(&self, port: u16) -> bool {
        let [high, low] = port.to_be_bytes();
        [2, 10].iter().any(|family| self.may_have_key(&[*family, 0, high, low]))
    }

    fn may_have_key(&self, bytes: &[u8]) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.binary_search(&key(bytes)).is_ok())
    }

    /// What of this event it says is not in the block.
    pub(crate) fn denies(&self, event: &Event<'_>) -> Option<&'static str> {
        if self.codes.binary_search(&event.code.0).is_err() {
            return Some("the filter has not all codes");
        }
        if !(self.may_have_task(event.task.tgid) && self.may_have_task(event.task.tid)) {
            return Some("the filter has not all tasks");
        }
        let mut keys = Vec::new();
        for field in event.fields {
            if [FieldTag::SOCKADDR, FieldTag::LOCAL, FieldTag::PEER].contains(&field.tag) {
                add_keys(field.bytes, &mut keys);
            }
            let mask = (1u32 << self.power).wrapping_sub(1);
            let is_set = |bit: u32| {
                let bit = bit & mask;
                self.grams.get((bit >> 3) as usize).is_none_or(|byte| byte >> (bit & 7) & 1 == 1)
            };
            if self.power != 0 && field.tag != FieldTag::PAYLOAD && !bits(field.bytes).all(is_set) {
                return Some("the filter has not all strings");
            }
        }
        let has = |key: &u32| self.keys.as_ref().is_none_or(|keys| keys.binary_search(key).is_ok());
        (!keys.iter().all(has)).then_some("the filter has not all addresses")
    }

    /// Whether it can have a string or data (no payload) with the asked bytes in it.
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
        let mut keys = Vec::new();
        add_keys(&[2, 0, 1, 187, 10, 1, 2, 3, 0, 0], &mut keys);
        keys.sort_unstable();
        encode(codes, tasks, &keys, &mut grams, &mut StreamWriter::new(), &mut out);
        for cut in 0..out.len() {
            assert!(BlockFilter::decode(&out[..cut]).is_err());
        }
        BlockFilter::decode(&out).unwrap()
    }

    #[test]
    fn few_strings_take_few_bytes_and_tell_what_is_not_there() {
        let paths: Vec<Vec<u8>> = (0..20).map(|i| format!("/usr/lib/lib{i}.so").into_bytes()).collect();
        let filter = filter(&[3, 257], &[100, 101], &paths);
        assert!(filter.grams.len() <= 64, "{}", filter.grams.len());
        let has = |bytes: &[u8]| filter.may_have(&GramQuery::new(bytes).unwrap());
        assert!(has(b"lib7.so") && has(b"LIB/lib"));
        assert!(!has(b"id_rsa") && !has(b"/etc/shadow"));
        assert!(GramQuery::new(b"nc").is_none());
        assert_eq!(filter.codes().collect::<Vec<_>>(), [EventCode(3), EventCode(257)]);
        assert!(filter.may_have_port(443) && !filter.may_have_port(22));
        let address = |text: &str| filter.may_have_address(text.parse().unwrap());
        assert!(address("10.1.2.3") && !address("10.1.2.4") && !address("fd00::1"));
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
                let part = &string[from.index(string.len().max(1))..];
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
