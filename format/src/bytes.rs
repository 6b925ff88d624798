//! Little-endian bytes: a checked input and the matching output. The only place that knows byte order.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Bytes that do not say what they should; the caller knows where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Whether the checksum over these parts is what was said. A fuzzer is let through, or it would never get further.
pub(crate) fn checksum_is(said: u32, parts: &[&[u8]]) -> bool {
    cfg!(fuzzing) || said == parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// Longest encoding of a varint.
const VARINT_MAX: usize = 10;
/// Bytes that are stored for one, those behind its end included.
const VARINT_ROOM: usize = 16;
/// In each byte of a varint, that another one follows.
const MORE: u64 = 0x8080_8080_8080_8080;
const NOT_SHORTEST: Malformed = Malformed("a varint is not in its shortest form");

/// Bytes being read from the front; every read is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed("bytes end early"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed("bytes end early"))?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.array()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 number: at most ten bytes and only its shortest form.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest.split_first() {
            Some((&byte, tail)) if byte < 0x80 => {
                self.rest = tail;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    /// One of two to eight bytes is read in one go, any other byte by byte.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let Some(head) = self.rest.first_chunk() else { return self.varint_by_bytes() };
        let word = u64::from_le_bytes(*head);
        let last_bit = (!word & MORE).trailing_zeros();
        if !(8..u64::BITS).contains(&last_bit) {
            return self.varint_by_bytes();
        }
        let bytes = word & u64::MAX.unbounded_shr(u64::BITS.wrapping_sub(1).wrapping_sub(last_bit));
        if bytes.unbounded_shr(last_bit.wrapping_sub(7)) == 0 {
            return Err(NOT_SHORTEST);
        }
        self.take((last_bit / 8).saturating_add(1) as usize)?;
        // The groups of seven bits are moved together: pairs, quarters, halves.
        let mut value = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
        value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2;
        Ok(value & 0x0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4)
    }

    fn varint_by_bytes(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (index, &byte) in self.rest.iter().take(VARINT_MAX).enumerate() {
            let shift = u32::try_from(index).unwrap_or(0).saturating_mul(7);
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return Err(Malformed("a varint is too large"));
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(NOT_SHORTEST);
                }
                self.take(index.saturating_add(1))?;
                return Ok(value);
            }
        }
        Err(Malformed("a varint does not end"))
    }

    /// A varint that is a count or a length of at most `limit`.
    pub(crate) fn count(&mut self, limit: usize) -> Result<usize, Malformed> {
        let value = self.varint()?;
        usize::try_from(value).ok().filter(|&v| v <= limit).ok_or(Malformed("a count is over its limit"))
    }
}

/// Appends to a byte vector.
pub(crate) trait Output {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_varint(&mut self, value: u64);
}

impl Output for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.push(value as u8);
        }
        let (bytes, used) = varint(value);
        let end = self.len().saturating_add(used);
        self.extend_from_slice(&bytes);
        self.truncate(end);
    }
}

/// A varint's bytes, and how many of them count. Put together in registers, to be stored in one go: a copy of just as many
/// bytes as it takes, or one after the other, costs several times as much.
fn varint(value: u64) -> ([u8; VARINT_ROOM], usize) {
    // The first eight groups of seven bits are moved apart: halves, quarters, each.
    let mut low = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    low = low & 0x0000_3fff_0000_3fff | (low & 0x0fff_c000_0fff_c000) << 2;
    low = low & 0x007f_007f_007f_007f | (low & 0x3f80_3f80_3f80_3f80) << 1;
    let before_last = value.checked_ilog2().unwrap_or(0) / 7;
    let high = value >> 56;
    low |= if high == 0 {
        MORE.unbounded_shr(u64::BITS.wrapping_sub(before_last.wrapping_mul(8)))
    } else {
        MORE
    };
    // The ninth group has one bit of the tenth above it, which says that there is one.
    let high = high | high >> 7 << 8;
    let bytes = u128::from(low) | u128::from(high) << u64::BITS;
    (bytes.to_le_bytes(), (before_last as usize).saturating_add(1))
}

/// Room that is there already, filled from the front: nobody asks for each byte whether there is any.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl<'a> Room<'a> {
    /// Bytes to be there for so many varints, and as many other bytes.
    pub(crate) const fn for_varints(count: usize) -> usize {
        count.saturating_mul(VARINT_MAX).saturating_add(VARINT_ROOM)
    }

    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    #[inline]
    pub(crate) fn put_u8(&mut self, value: u8) {
        debug_assert!(self.used < self.bytes.len(), "there is room");
        if let Some(byte) = self.bytes.get_mut(self.used) {
            *byte = value;
        }
        self.used = self.used.saturating_add(1);
    }

    #[inline]
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        let end = self.used.saturating_add(bytes.len());
        let room = self.bytes.get_mut(self.used..end);
        debug_assert!(room.is_some(), "there is room");
        if let Some(room) = room {
            room.copy_from_slice(bytes);
        }
        self.used = end;
    }

    /// Needs more room than it takes: [`VARINT_ROOM`].
    #[inline]
    pub(crate) fn put_varint(&mut self, value: u64) {
        if value < 0x80 {
            return self.put_u8(value as u8);
        }
        let (bytes, used) = varint(value);
        let room = self.bytes.get_mut(self.used..).and_then(<[u8]>::first_chunk_mut);
        debug_assert!(room.is_some(), "there is room");
        if let Some(room) = room {
            *room = bytes;
        }
        self.used = self.used.saturating_add(used);
    }
}

/// Signed to unsigned so that small magnitudes stay small.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_only_in_their_shortest_form() {
        let bits = (0..64).map(|bit| 1u64 << bit);
        let around = bits.flat_map(|power| [power - 1, power, power | power >> 3 | 1]);
        for value in around.chain([300, 0x0123_4567_89ab_cdef, u64::MAX - 1, u64::MAX]) {
            let mut out = Vec::new();
            out.put_varint(value);
            assert_eq!(out.len(), value.checked_ilog2().map_or(1, |log| log as usize / 7 + 1));
            let mut bytes = vec![0xaa; Room::for_varints(1)];
            let mut room = Room::new(&mut bytes);
            room.put_varint(value);
            let used = room.used();
            assert_eq!(bytes[..used], out);
            let mut input = Input::new(&out);
            assert_eq!(input.varint(), Ok(value));
            assert!(input.is_empty());
        }
        assert!(Input::new(&[0x80, 0x00]).varint().is_err());
        assert!(Input::new(&[0xff; 11]).varint().is_err());
        assert!(Input::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint().is_err());
        assert!(Input::new(&[0x80]).varint().is_err());
    }

    #[test]
    fn varints_read_in_one_go_are_what_they_are_byte_by_byte() {
        // Each byte one of those where something changes, behind them the end or more bytes.
        const BYTES: [u8; 5] = [0, 1, 0x7f, 0x80, 0xff];
        for first in BYTES {
            for middle in BYTES {
                for last in BYTES {
                    for length in 1..=11 {
                        let mut bytes = vec![middle | 0x80; length];
                        bytes[length - 1] = last;
                        bytes[0] = first;
                        for behind in [0, 1, 7, 20] {
                            bytes.resize(length + behind, 0x81);
                            let (mut fast, mut slow) = (Input::new(&bytes), Input::new(&bytes));
                            assert_eq!(fast.varint(), slow.varint_by_bytes(), "{bytes:x?}");
                            assert_eq!(fast.rest(), slow.rest(), "{bytes:x?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn zigzag_is_its_own_way_back() {
        for value in [0, 1, -1, 2, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!(zigzag(-1), 1);
    }
}
