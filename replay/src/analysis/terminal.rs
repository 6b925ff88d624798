//! What went through a terminal as lines: there each key is read by itself, and echoed by itself.

use afterimage_format::BootNanos;
use afterimage_model::{
    streams::{Chunk, Way},
    text::{Safe, escape},
};

use super::{
    around::Around,
    transcript::{lacking, mark},
};

/// Bytes of a line that does not end.
const LONGEST: usize = 4_096;

/// Its lines as a transcript has them, each with the time at which it ended.
pub fn lines(around: &Around<'_>, chunks: &[&Chunk]) -> Vec<Safe> {
    let mut typed = Lines::default();
    for chunk in chunks {
        typed.take(chunk);
    }
    let told = typed.finish().into_iter();
    told.map(|line| {
        let (offset, mark) = (around.offset(line.time), mark(line.way));
        Safe::format(format_args!("{offset:>12} {mark} {}", line.text))
    })
    .collect()
}

/// One line that was read or written.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    time: BootNanos,
    way: Way,
    text: Safe,
}

#[derive(Debug, Default)]
struct Lines {
    done: Vec<Line>,
    /// What was read and what was written since the last line ended, each with the time of its last byte.
    open: [(BootNanos, Vec<u8>); 2],
}

impl Lines {
    fn take(&mut self, chunk: &Chunk) {
        let way = chunk.transfer.way;
        for &byte in &chunk.transfer.bytes {
            let (time, bytes) = self.open(way);
            *time = chunk.time;
            // Who reads keys one by one gets Enter as a carriage return; behind a written one mostly a line feed follows.
            let ends = byte == b'\n' || way == Way::In && byte == b'\r';
            if !ends {
                bytes.push(byte);
            }
            if ends || bytes.len() >= LONGEST {
                self.end(way);
            }
        }
        if let Some(text) = lacking(&chunk.transfer) {
            self.end_begun(way);
            self.done.push(Line { time: chunk.time, way, text });
        }
    }

    /// What was read, or written, since the last line ended, with the time of its last byte.
    fn open(&mut self, way: Way) -> &mut (BootNanos, Vec<u8>) {
        &mut self.open[usize::from(way == Way::Out)]
    }

    fn end(&mut self, way: Way) {
        let (time, bytes) = std::mem::take(self.open(way));
        let text = escape(bytes.strip_suffix(b"\r").unwrap_or(&bytes));
        self.done.push(Line { time, way, text });
    }

    fn end_begun(&mut self, way: Way) {
        if !self.open(way).1.is_empty() {
            self.end(way);
        }
    }

    fn finish(mut self) -> Vec<Line> {
        let mut last = [Way::In, Way::Out];
        last.sort_by_key(|way| self.open(*way).0);
        last.into_iter().for_each(|way| self.end_begun(way));
        self.done
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::TaskKey;
    use afterimage_model::streams::Transfer;

    use super::*;

    fn told(moved: &[(u64, Way, &[u8], u64)]) -> Vec<(u64, char, String)> {
        let mut lines = Lines::default();
        for &(time, way, bytes, len) in moved {
            let transfer = Transfer { way, len, bytes: bytes.to_vec(), ..Transfer::default() };
            let task = TaskKey::default();
            lines.take(&Chunk { time: BootNanos(time), task, process: task.into(), transfer });
        }
        let told = lines.finish().into_iter();
        told.map(|line| (line.time.0, mark(line.way), line.text.into_string())).collect()
    }

    fn line(time: u64, mark: char, text: &str) -> (u64, char, String) {
        (time, mark, text.to_owned())
    }

    /// Twelve commands were three hundred lines.
    #[test]
    fn what_was_typed_and_its_echo_are_a_line_each() {
        let (read, wrote) = (Way::In, Way::Out);
        let told = told(&[
            (1, wrote, b"$ ", 2),
            (2, read, b"i", 1),
            (3, wrote, b"i", 1),
            (4, read, b"d", 1),
            (5, wrote, b"d", 1),
            (6, read, b"\r", 1),
            (7, wrote, b"\r\n", 2),
            (8, wrote, b"uid=0(root)\r\ngid=0\r\n", 20),
            (9, wrote, b"$ ", 2),
            (10, read, b"ls\n", 3),
            (11, wrote, b"abc", 5),
            (12, read, b"ex", 2),
            (13, wrote, b"ex", 2),
        ]);
        assert_eq!(
            told,
            [
                line(6, '<', "id"),
                line(7, '>', "$ id"),
                line(8, '>', "uid=0(root)"),
                line(8, '>', "gid=0"),
                line(10, '<', "ls"),
                line(11, '>', "$ abc"),
                line(11, '>', "[2 bytes not recorded]"),
                line(12, '<', "ex"),
                line(13, '>', "ex"),
            ]
        );
    }

    #[test]
    fn a_line_without_an_end_is_told_in_parts() {
        let long = vec![b'x'; LONGEST + 1];
        let told = told(&[(1, Way::Out, &long, long.len() as u64)]);
        assert_eq!(told.iter().map(|(.., text)| text.len()).collect::<Vec<_>>(), [LONGEST, 1]);
    }
}
