//! The zstd stream of a frame: written and read batch by batch.

use std::io;

use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use crate::{bytes::Malformed, limits};

/// The first of zstd's fast ones, which makes the stage larger than level 1 does: nobody reads it unless the recorder dies
/// (docs/performance.md).
const LEVEL: i32 = -1;
/// The window reaches this many bits of bytes back: some seconds of a busy machine.
const WINDOW_LOG: u32 = 20;
/// Room that the output grows by.
const STEP: usize = 64 << 10;

/// Compresses the batches of a frame.
pub(super) struct FrameWriter {
    zstd: Encoder<'static>,
}

impl FrameWriter {
    pub(super) fn new() -> io::Result<Self> {
        let mut zstd = Encoder::new(LEVEL)?;
        zstd.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        zstd.set_parameter(CParameter::ChecksumFlag(false))?;
        Ok(Self { zstd })
    }

    /// Begins a new frame.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.zstd.reinit()
    }

    /// Appends the compressed bytes of `raw` to `out`.
    pub(super) fn batch(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(raw);
        while input.pos() < raw.len() {
            grow(out, |output| self.zstd.run(&mut input, output))?;
        }
        while grow(out, |output| self.zstd.flush(output))? > 0 {}
        Ok(())
    }
}

/// Lets `work` append to `out`.
fn grow(
    out: &mut Vec<u8>,
    work: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<usize> {
    out.reserve(STEP);
    let at = out.len();
    work(&mut OutBuffer::around_pos(out, at))
}

/// Decompresses the batches of a frame.
pub(super) struct FrameReader {
    zstd: Decoder<'static>,
}

impl FrameReader {
    pub(super) fn new() -> io::Result<Self> {
        let mut zstd = Decoder::new()?;
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG + 1))?;
        Ok(Self { zstd })
    }

    /// Begins a new frame.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.zstd.reinit()
    }

    /// Decompresses a batch of exactly `length` bytes into `out`, replacing what was there.
    pub(super) fn batch(&mut self, body: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        const BAD: Malformed = Malformed("a batch does not decompress to its length");
        out.clear();
        if length > limits::BATCH_BYTES {
            return Err(BAD);
        }
        let mut input = InBuffer::around(body);
        loop {
            let before = (input.pos(), out.len());
            // The length is a claim: room is made as bytes come, never for more than a step beyond the claim.
            out.try_reserve(STEP.min(length.saturating_sub(out.len()).saturating_add(1))).map_err(|_| BAD)?;
            let at = out.len();
            self.zstd.run(&mut input, &mut OutBuffer::around_pos(out, at)).map_err(|_| BAD)?;
            if out.len() > length {
                return Err(BAD);
            }
            if (input.pos(), out.len()) == before {
                break;
            }
        }
        if out.len() == length && input.pos() == body.len() { Ok(()) } else { Err(BAD) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_a_frame_come_back_in_order_and_later_ones_are_smaller() {
        let text: Vec<u8> = (0..3000u32).flat_map(|i| (i * i % 7919).to_le_bytes()).collect();
        let mut writer = FrameWriter::new().unwrap();
        let mut reader = FrameReader::new().unwrap();
        let mut sizes = Vec::new();
        for round in 0..3 {
            if round == 2 {
                writer.reset().unwrap();
                reader.reset().unwrap();
            }
            let mut body = Vec::new();
            writer.batch(&text, &mut body).unwrap();
            sizes.push(body.len());
            let mut out = Vec::new();
            assert!(FrameReader::new().unwrap().batch(&body, text.len() - 1, &mut out).is_err());
            reader.batch(&body, text.len(), &mut out).unwrap();
            assert_eq!(out, text);
        }
        assert!(sizes[1] * 10 < sizes[0], "{sizes:?}");
        assert_eq!(sizes[2], sizes[0]);
    }

    #[test]
    fn a_bomb_is_refused_without_its_memory() {
        let mut body = Vec::new();
        FrameWriter::new().unwrap().batch(&vec![0; 30 << 20], &mut body).unwrap();
        let mut out = Vec::new();
        assert!(FrameReader::new().unwrap().batch(&body, 1000, &mut out).is_err());
        assert!(out.capacity() < 1 << 20);
    }
}
