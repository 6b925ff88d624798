//! The stage: rows and records that are not in a block yet, so that a kill of the recorder loses nothing that it
//! had taken over.
//!
//! A stage file is a header of 64 bytes and batches behind one another:
//!
//! ```text
//! magic "AFSB", stored length u32, raw length u32 (bit 31: a frame begins), CRC32C u32 (of the 12 bytes before and the
//! body), body
//! ```
//! The bodies of a frame are one zstd stream, flushed at the end of each: small batches find what was in the ones before
//! them, and a batch is read with those before it in its frame. A file begins with a frame and has mostly this one.
//! The file is reserved ahead with zeros: where nothing else follows, the file ends. What is no batch is stepped over. It is torn
//! where sectors of it were not written, which a crash leaves behind, and corrupt where all of it is there. A file is removed once all its rows are in blocks that are
//! synced; rows that are both here and in a block are known by their container's row number.

pub(crate) mod file;
mod frame;
pub(crate) mod row;

use crate::{
    bytes::{Input, Malformed, Output, checksum_is},
    error::DefectKind,
    file::has_unwritten_sector,
    limits,
};

/// Begins a stage file.
const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Begins a batch.
const BATCH_MAGIC: [u8; 4] = *b"AFSB";
/// Bytes of a stage file's header.
pub(crate) const HEADER_LEN: usize = 64;
const HEADER_CRC_AT: usize = 60;
/// Set in a batch's raw length where a frame begins.
const FRAME_BIT: u32 = 1 << 31;
/// Bytes before a batch's body.
const BATCH_HEADER_LEN: usize = 16;

/// What a stage file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageHeader {
    pub(crate) boot_id: [u8; 16],
    pub(crate) time_base: u64,
    pub(crate) number: u64,
}

impl StageHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.put_u16(crate::segment::MAJOR);
        out.put_u16(crate::segment::MINOR);
        out.put_u32(0);
        out.extend_from_slice(&self.boot_id);
        out.put_u64(self.time_base);
        out.put_u64(self.number);
        out.resize(HEADER_CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let covered = bytes.get(..HEADER_CRC_AT).ok_or(Malformed("the stage's header ends early"))?;
        let mut input = Input::new(bytes);
        if input.bytes()? != MAGIC {
            return Err(Malformed("the stage has no header"));
        }
        let crc = Input::new(bytes.get(HEADER_CRC_AT..).unwrap_or(&[])).u32()?;
        if !checksum_is(crc, &[covered]) {
            return Err(Malformed("the stage header's checksum is wrong"));
        }
        if input.u16()? != crate::segment::MAJOR {
            return Err(Malformed("the stage has another version"));
        }
        let (_minor, _reserved) = (input.u16()?, input.u32()?);
        Ok(Self { boot_id: input.bytes()?, time_base: input.u64()?, number: input.u64()? })
    }
}

/// Puts a batch around its compressed body.
pub(crate) fn encode_batch(body: &[u8], raw_len: usize, begins_frame: bool, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&BATCH_MAGIC);
    out.put_u32(body.len() as u32);
    out.put_u32(raw_len as u32 | if begins_frame { FRAME_BIT } else { 0 });
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[begin..]), body);
    out.put_u32(crc);
    out.extend_from_slice(body);
}

/// A batch, still compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) raw_len: usize,
    /// It can be read without the ones before it.
    pub(crate) begins_frame: bool,
}

/// A part of a stage file.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Batch(Batch<'a>),
    /// Bytes that are no batch: torn or corrupt.
    Damaged(DefectKind, Malformed),
}

/// The parts of a stage file behind its header, and where each begins and ends, in bytes of the file.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    file: &'a [u8],
    at: usize,
    /// Bytes that may still be looked at in search of batches: whoever wrote the file may have made it all beginnings of some.
    patience: usize,
    /// The batch that was found last in search of one.
    found: usize,
}

impl<'a> Pieces<'a> {
    /// The parts of a file that is given whole.
    pub(crate) fn of(file: &'a [u8]) -> Self {
        Self { file, at: HEADER_LEN, patience: file.len().saturating_mul(4), found: 0 }
    }

    fn from(&self, at: usize) -> &'a [u8] {
        self.file.get(at..).unwrap_or(&[])
    }

    /// Where the next batch begins behind `at`.
    fn search(&mut self, at: usize) -> Option<usize> {
        if self.found > at {
            return Some(self.found);
        }
        let mut from = at + 1;
        while self.patience > 0
            && let Some(skipped) =
                self.from(from).windows(BATCH_MAGIC.len()).position(|four| four == BATCH_MAGIC)
        {
            from += skipped;
            let rest = self.from(from);
            if read_batch(&mut Input::new(rest)).is_ok() {
                self.found = from;
                return Some(from);
            }
            let looked_at = stored_length(rest).filter(|stored| *stored < rest.len()).unwrap_or(0);
            self.patience = self.patience.saturating_sub(looked_at);
            from += 1;
        }
        // There is none behind any other place either.
        self.patience = 0;
        None
    }

    /// The damage that begins at `at`: where it ends and what it is.
    fn damage(&mut self, at: usize) -> (usize, DefectKind) {
        let next = self.search(at);
        let limit = next.unwrap_or(self.file.len());
        let said = stored_length(self.from(at)).map(|stored| at + BATCH_HEADER_LEN + stored);
        let Some(end) = said.filter(|end| *end <= limit).or(next) else {
            return (limit, DefectKind::Torn);
        };
        let is_torn = has_unwritten_sector(self.file.get(at..end).unwrap_or(&[]), at as u64);
        (end, if is_torn { DefectKind::Torn } else { DefectKind::Corrupt })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (std::ops::Range<usize>, Piece<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let begin = self.at;
        let mut input = Input::new(self.from(begin));
        let piece = match read_batch(&mut input) {
            Ok(batch) => {
                self.at = self.file.len() - input.rest().len();
                Piece::Batch(batch)
            }
            // Zeros all the way: reserved space.
            Err(_) if self.from(begin).iter().all(|&byte| byte == 0) => return None,
            Err(malformed) => {
                let (end, kind) = self.damage(begin);
                self.at = end;
                Piece::Damaged(kind, malformed)
            }
        };
        Some((begin..self.at, piece))
    }
}

/// How many bytes the batch that begins `bytes` says to have stored.
fn stored_length(bytes: &[u8]) -> Option<usize> {
    let mut input = Input::new(bytes);
    match (input.bytes(), input.u32()) {
        (Ok(BATCH_MAGIC), Ok(stored)) => Some(stored as usize),
        _ => None,
    }
}

fn read_batch<'a>(input: &mut Input<'a>) -> Result<Batch<'a>, Malformed> {
    let covered = input.rest().get(..BATCH_HEADER_LEN - 4).ok_or(Malformed("a batch ends early"))?;
    if input.bytes()? != BATCH_MAGIC {
        return Err(Malformed("no batch begins here"));
    }
    let (stored, raw_word, crc) = (input.u32()? as usize, input.u32()?, input.u32()?);
    let (raw_len, begins_frame) = ((raw_word & !FRAME_BIT) as usize, raw_word & FRAME_BIT != 0);
    if raw_len > limits::BATCH_BYTES {
        return Err(Malformed("a batch is over the limit"));
    }
    let body = input.take(stored)?;
    if !checksum_is(crc, &[covered, body]) {
        return Err(Malformed("a batch's checksum is wrong"));
    }
    Ok(Batch { body, raw_len, begins_frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let header = StageHeader { boot_id: [3; 16], time_base: 4, number: 5 };
        assert_eq!(header.encode().len(), HEADER_LEN);
        assert_eq!(StageHeader::parse(&header.encode()), Ok(header));
    }

    /// A file of batches with these bodies, and where each begins.
    fn file_of(bodies: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![0; HEADER_LEN];
        let mut places = Vec::new();
        for body in bodies {
            places.push(bytes.len());
            encode_batch(body, 77, true, &mut bytes);
        }
        places.push(bytes.len());
        (bytes, places)
    }

    /// Lengths of batches' bodies, and where damage of which kind begins.
    fn pieces(bytes: &[u8]) -> (Vec<usize>, Vec<(usize, DefectKind)>) {
        let (mut bodies, mut damage) = (Vec::new(), Vec::new());
        let mut end = HEADER_LEN;
        for (range, piece) in Pieces::of(bytes) {
            assert_eq!(range.start, end, "no byte is passed over in silence");
            end = range.end;
            match piece {
                Piece::Batch(batch) => bodies.push(batch.body.len()),
                Piece::Damaged(kind, _) => damage.push((range.start, kind)),
            }
        }
        (bodies, damage)
    }

    #[test]
    fn a_batch_comes_back_zeros_end_and_any_cut_is_torn() {
        let (mut bytes, places) = file_of(&[b"body"]);
        let whole = bytes.clone();
        bytes.resize(places[1] + 100, 0);
        let (_, piece) = Pieces::of(&bytes).next().unwrap();
        let Piece::Batch(batch) = piece else { panic!("a batch was written") };
        assert_eq!((batch.body, batch.raw_len, batch.begins_frame), (&b"body"[..], 77, true));
        assert_eq!(pieces(&bytes), (vec![4], vec![]));
        for cut in places[0] + 1..places[1] {
            assert_eq!(pieces(&whole[..cut]), (vec![], vec![(places[0], DefectKind::Torn)]));
        }
    }

    #[test]
    fn a_changed_batch_is_corrupt_and_the_ones_behind_it_are_there() {
        let (bytes, places) = file_of(&[&[b'a'; 700], &[b'b'; 700], &[b'c'; 700]]);
        for (number, at) in
            places.windows(2).enumerate().flat_map(|(n, two)| (two[0]..two[1]).map(move |at| (n, at)))
        {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            changed.resize(bytes.len() + 2000, 0);
            let (bodies, damage) = pieces(&changed);
            assert_eq!((bodies, damage[0].0), (vec![700; 2], places[number]), "byte {at}");
            // Where it was the last one's magic or length, nothing tells how long it was.
            if number < 2 || at >= places[2] + 8 {
                assert!(damage.iter().all(|(_, kind)| *kind == DefectKind::Corrupt), "byte {at}");
            }
        }
    }

    #[test]
    fn a_batch_of_which_sectors_are_missing_is_torn_and_the_ones_behind_it_are_there() {
        let (mut bytes, places) = file_of(&[&[b'a'; 700], &[b'b'; 2000], &[b'c'; 700]]);
        bytes[1024..1536].fill(0);
        assert!(places[1] < 1024 && 1536 < places[2]);
        assert_eq!(pieces(&bytes), (vec![700; 2], vec![(places[1], DefectKind::Torn)]));
        // The last one too.
        bytes.truncate(places[2]);
        assert_eq!(pieces(&bytes), (vec![700], vec![(places[1], DefectKind::Torn)]));
    }

    #[test]
    fn what_only_looks_like_batches_is_not_looked_at_for_long() {
        let (behind, _) = file_of(&[b"behind"]);
        let file = |stored: u32| {
            let mut bytes = vec![0; HEADER_LEN];
            for _ in 0..10_000 {
                bytes.extend_from_slice(&BATCH_MAGIC);
                bytes.put_u32(stored);
                bytes.extend_from_slice(&[1; 8]);
            }
            [&bytes, &behind[HEADER_LEN..]].concat()
        };
        // Those that cannot be batches cost nothing.
        assert_eq!(pieces(&file(u32::MAX)), (vec![6], vec![(HEADER_LEN, DefectKind::Corrupt)]));
        assert_eq!(pieces(&file(80_000)).0, Vec::<usize>::new());
    }
}
