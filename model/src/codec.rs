//! Values to bytes and back, for snapshots of the state.
//!
//! Rules: integers are variable-length little-endian base 128 (signed ones zigzag), lengths are counts of elements,
//! maps are sorted by key, so equal values have equal bytes. Reading never panics and never allocates more than a
//! small multiple of what is left to read.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{BuildHasher, Hash},
    sync::Arc,
};

use afterimage_format::{BootNanos, ContainerUid, EventCode, TaskKey};

/// A snapshot that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes end before the value does.
    #[error("snapshot ends at byte `{at}` inside a value")]
    Short {
        /// Where.
        at: usize,
    },
    /// A number, tag or length that cannot be.
    #[error("impossible value in snapshot at byte `{at}`")]
    Invalid {
        /// Where.
        at: usize,
    },
    /// A version this program does not read.
    #[error("snapshot has version {found}; this program reads version {supported}")]
    Version {
        /// Its version.
        found: u64,
        /// Ours.
        supported: u64,
    },
}

/// Bytes being read.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Added to every time that is known.
    base: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, base: 0 }
    }

    /// Of bytes whose times lie so far behind those of the recording.
    pub(crate) fn with_base(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, at: 0, base }
    }

    /// As many bytes as the number before them says, as an input of their own.
    pub(crate) fn part(&mut self) -> Result<Self, SnapshotError> {
        let count = self.count()?;
        self.take(count)
    }

    /// So many bytes as an input of their own.
    pub(crate) fn take(&mut self, count: usize) -> Result<Self, SnapshotError> {
        let end = self.at.saturating_add(count);
        let bytes = self.bytes.get(..end).ok_or(SnapshotError::Short { at: self.at })?;
        let part = Self { bytes, at: self.at, base: self.base };
        self.at = end;
        Ok(part)
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// A time as it is in the recording. 0 stands for one that is not known.
    pub(crate) fn time(&self, raw: u64) -> BootNanos {
        BootNanos(if raw == 0 { 0 } else { raw.saturating_add(self.base) })
    }

    /// A number that stands for a place or a length in memory.
    pub(crate) fn number(&mut self) -> Result<usize, SnapshotError> {
        usize::try_from(u64::get(self)?).map_err(|_| self.invalid())
    }

    fn byte(&mut self) -> Result<u8, SnapshotError> {
        let byte = *self.bytes.get(self.at).ok_or(SnapshotError::Short { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn invalid(&self) -> SnapshotError {
        SnapshotError::Invalid { at: self.at }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// A number of elements, of which each takes at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = u64::get(self)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() => Ok(count),
            _ => Err(SnapshotError::Short { at: self.at }),
        }
    }
}

/// A value with a place in a snapshot.
pub(crate) trait Stored: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError>;
}

impl Stored for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = input.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(input.invalid());
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(input.invalid())
    }
}

impl Stored for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        zigzag(*self).put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        u64::get(input).map(unzigzag)
    }
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

macro_rules! through {
    ($($small:ty as $wide:ty),*) => {$(
        impl Stored for $small {
            fn put(&self, out: &mut Vec<u8>) {
                <$wide>::from(*self).put(out);
            }

            fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
                <$small>::try_from(<$wide>::get(input)?).map_err(|_| input.invalid())
            }
        }
    )*};
}
through!(u16 as u64, u32 as u64, i32 as i64);

impl Stored for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        input.byte()
    }
}

impl Stored for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(input.invalid()),
        }
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        if bool::get(input)? { T::get(input).map(Some) } else { Ok(None) }
    }
}

macro_rules! sequence {
    ($($list:ident),*) => {$(
        impl<T: Stored> Stored for $list<T> {
            fn put(&self, out: &mut Vec<u8>) {
                (self.len() as u64).put(out);
                for value in self {
                    value.put(out);
                }
            }

            fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
                let count = input.count()?;
                (0..count).map(|_| T::get(input)).collect()
            }
        }
    )*};
}
sequence!(Vec, VecDeque);

impl<T: Stored> Stored for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_ref().put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        T::get(input).map(Self::new)
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let count = input.count()?;
        (0..count).map(|_| Ok((K::get(input)?, V::get(input)?))).collect()
    }
}

impl<K: Stored + Ord + Hash, V: Stored, S: BuildHasher + Default> Stored for HashMap<K, V, S> {
    fn put(&self, out: &mut Vec<u8>) {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        (sorted.len() as u64).put(out);
        for (key, value) in sorted {
            key.put(out);
            value.put(out);
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let count = input.count()?;
        (0..count).map(|_| Ok((K::get(input)?, V::get(input)?))).collect()
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        Ok((A::get(input)?, B::get(input)?))
    }
}

/// Stores a struct as its fields, in the order given; fields `without` are not stored and come back as default.
macro_rules! stored_struct {
    ($name:ident { $($field:ident),* $(,)? } $(without { $($skipped:ident),* })?) => {
        impl $crate::codec::Stored for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn get(input: &mut $crate::codec::Input<'_>) -> Result<Self, $crate::codec::SnapshotError> {
                Ok(Self {
                    $($field: $crate::codec::Stored::get(input)?,)*
                    $($($skipped: Default::default(),)*)?
                })
            }
        }
    };
}
pub(crate) use stored_struct;

/// Stores an enum as a tag and the fields of its variant. Tags are never reused.
macro_rules! stored_enum {
    ($name:ident { $($tag:literal => $variant:ident $({ $($field:ident),* })? $(($inner:ident))?),* $(,)? }) => {
        impl $crate::codec::Stored for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        out.push($tag);
                        $($($field.put(out);)*)?
                        $($inner.put(out);)?
                    })*
                }
            }

            fn get(input: &mut $crate::codec::Input<'_>) -> Result<Self, $crate::codec::SnapshotError> {
                match u8::get(input)? {
                    $($tag => Ok(Self::$variant
                        $({ $($field: $crate::codec::Stored::get(input)?),* })?
                        $(({ let $inner = $crate::codec::Stored::get(input)?; $inner }))?),)*
                    _ => Err(input.invalid()),
                }
            }
        }
    };
}
pub(crate) use stored_enum;

impl Stored for BootNanos {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        let raw = u64::get(input)?;
        Ok(input.time(raw))
    }
}

impl Stored for ContainerUid {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        u64::get(input).map(Self)
    }
}

impl Stored for EventCode {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        u16::get(input).map(Self)
    }
}

stored_struct!(TaskKey { tgid, tid, start });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round<T: Stored + PartialEq + std::fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        let mut input = Input::new(&bytes);
        assert_eq!(T::get(&mut input), Ok(value));
        assert!(input.is_done());
        for cut in 0..bytes.len() {
            let short = T::get(&mut Input::new(&bytes[..cut]));
            assert!(matches!(short, Err(SnapshotError::Short { .. })), "cut at {cut}");
        }
    }

    #[test]
    fn values_come_back_and_cut_ones_are_refused() {
        round(0_u64);
        round(u64::MAX);
        round(i64::MIN);
        round(-1_i32);
        round(Some(vec![1_u32, 2, 3]));
        round(BTreeMap::from([(1_u16, vec![b'a']), (2, vec![])]));
        round((true, VecDeque::from([BootNanos(9)])));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_allocated() {
        let mut bytes = Vec::new();
        (1_u64 << 40).put(&mut bytes);
        assert!(matches!(Vec::<u64>::get(&mut Input::new(&bytes)), Err(SnapshotError::Short { .. })));
        let eleven = [0xff; 11];
        assert!(matches!(u64::get(&mut Input::new(&eleven)), Err(SnapshotError::Invalid { .. })));
    }

    proptest! {
        #[test]
        fn numbers_come_back(wide in any::<u64>(), signed in any::<i64>(), small in any::<u16>()) {
            round(wide);
            round(signed);
            round(small);
        }
    }
}
