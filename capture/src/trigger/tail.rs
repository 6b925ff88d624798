//! Alerts from a file that grows by a line for each: Tetragon's export, or anything that a script appends to.
//!
//! Begins at the file's end, or where it was read to by the process before. A file that is replaced (another inode) or truncated is read from its beginning; what was
//! written to the old one after it was last looked at is read first.

use std::{
    fs::{File, Metadata},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::Duration,
};

use tracing::{debug, info, warn};

use super::{
    Body, Source,
    marks::{self, Mark},
    sender,
};
use crate::helpers::control::{Ask, gate::Gate};

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest line.
const MAX_LINE: usize = 1 << 20;
/// Most bytes read in one look.
const MAX_READ: u64 = 8 << 20;

/// Reads a file for ever.
pub async fn follow(path: PathBuf, format: String, gate: Gate) {
    let source = Source::parse(&format);
    let from = format!("file {}", path.display());
    let name = marks::name(&path);
    let mut tail = match gate.mark(&name, PAUSE).await {
        Some(mark) => Tail::resume(path, mark),
        None => Tail::new(path),
    };
    let mut unread = Unread::default();
    loop {
        match tail.lines() {
            Ok(lines) => {
                for line in lines {
                    if let Err(error) = take(&gate, source, &from, line).await {
                        unread.count(1, &from, &error.to_string());
                    }
                }
                let long = std::mem::take(&mut tail.long);
                if long > 0 {
                    unread.count(long, &from, "longer than 1 MiB");
                }
                if let Some(mark) = tail.mark() {
                    gate.say(Ask::Mark(name.clone(), mark)).await;
                }
            }
            Err(error) => tail.complain(&error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take(
    gate: &Gate,
    source: Option<Source>,
    from: &str,
    line: Vec<u8>,
) -> Result<(), sender::BodyError> {
    // Most lines of Tetragon's export are routine, and cost nothing more than this.
    if !sender::parse(&line, source)?.is_empty() {
        gate.insist(&Body::new(line, from), source, PAUSE).await;
    }
    Ok(())
}

/// Lines that are no alerts, although everything in the file should be. Each is a trigger that somebody counts on, so they are
/// told, and seldom enough that a file of the wrong kind does not fill the log.
#[derive(Debug, Default)]
struct Unread {
    lines: u64,
    told: u64,
}

impl Unread {
    /// Counts some more; they are told when they have doubled.
    fn count(&mut self, lines: u64, from: &str, why: &str) {
        if self.more(lines) {
            warn!("{from}: {} lines could not be read as alerts, the last: {why}", self.lines);
        } else {
            debug!("{from}: {why}");
        }
    }

    /// Whether these are worth telling.
    fn more(&mut self, lines: u64) -> bool {
        self.lines += lines;
        let worth = self.lines >= self.told * 2;
        if worth {
            self.told = self.lines;
        }
        worth
    }
}

/// A file that grows.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    at: u64,
    /// A line whose end has not come.
    part: Vec<u8>,
    /// The line is too long and is left out up to its end.
    skipping: bool,
    /// How many were.
    long: u64,
    begun: bool,
    complained: bool,
    /// How far it was read when that was asked last.
    marked: Option<Mark>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            at: 0,
            part: Vec::new(),
            skipping: false,
            long: 0,
            begun: false,
            complained: false,
            marked: None,
        }
    }

    /// Goes on at a mark. Where its file is not to be found, the one that has the path now took its place.
    fn resume(path: PathBuf, mark: Mark) -> Self {
        let mut tail = Self { begun: true, ..Self::new(path) };
        match mark.find(&tail.path) {
            Some((file, at)) => (tail.file, tail.at) = (Some(file), at),
            None if mark.is_of_a_file() => {
                let path = tail.path.display();
                warn!("`{path}` was replaced or cut while nobody read it: lines before that may be missing");
            }
            None => {}
        }
        tail.marked = Some(mark);
        tail
    }

    /// How far it is read, up to the last whole line, where that is further than at the last mark.
    fn mark(&mut self) -> Option<Mark> {
        // Inside a line that is too long: its rest is no line.
        if self.skipping {
            return None;
        }
        let (inode, at) = match &self.file {
            Some(file) => (Some(file.metadata().ok()?.ino()), self.at - self.part.len() as u64),
            None => (None, 0),
        };
        if self.marked.as_ref().is_some_and(|marked| marked.is_at(inode, at)) {
            return None;
        }
        // One that cannot be read is as far as it was.
        let mark = self.file.as_ref().map_or(Some(Mark::NOTHING), |file| Mark::of(file, at).ok())?;
        self.marked = Some(mark.clone());
        Some(mark)
    }

    fn complain(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            warn!("`{}` cannot be read: {error}; tried again and again", self.path.display());
        }
    }

    /// Whole lines that were written since the last look.
    fn lines(&mut self) -> std::io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        let now = match std::fs::metadata(&self.path) {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(file) = &self.file {
            let own = file.metadata()?;
            if own.len() < self.at {
                info!("`{}` was truncated: read from its beginning", self.path.display());
                self.at = 0;
                self.break_off(&mut lines);
            }
            let all = self.read(&mut lines)?;
            let same = |other: &Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
            if all && now.as_ref().is_some_and(|now| !same(now)) {
                self.file = None;
                self.break_off(&mut lines);
            }
        }
        if self.file.is_none()
            && let Some(meta) = now
        {
            match File::open(&self.path) {
                Ok(file) => {
                    self.file = Some(file);
                    // What was there before us is not news; what took its place is.
                    self.at = if self.begun { 0 } else { meta.len() };
                    (self.begun, self.complained) = (true, false);
                    let read = self.read(&mut lines);
                    if lines.is_empty() {
                        read?;
                    }
                }
                // Opened at the next look, or complained of then: what the old one had is not to be lost with it.
                Err(_) if !lines.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        self.begun = true;
        Ok(lines)
    }

    /// The end of the last line does not come any more. Whether what there is of it is an alert, whoever parses it finds, and
    /// tells where it is none.
    fn break_off(&mut self, lines: &mut Vec<Vec<u8>>) {
        let rest = std::mem::take(&mut self.part);
        if !std::mem::take(&mut self.skipping) && !rest.is_empty() {
            lines.push(rest);
        }
    }

    /// Reads on; whether to the file's end.
    fn read(&mut self, lines: &mut Vec<Vec<u8>>) -> std::io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(true) };
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.take(MAX_READ).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (piece, whole) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if self.part.len() + piece.len() > MAX_LINE {
                self.long += u64::from(!self.skipping);
                self.skipping = true;
                self.part.clear();
            }
            if !self.skipping {
                self.part.extend_from_slice(piece);
            }
            if whole {
                if !std::mem::take(&mut self.skipping) && !self.part.is_empty() {
                    lines.push(std::mem::take(&mut self.part));
                }
                self.part.clear();
            }
        }
        Ok((bytes.len() as u64) < MAX_READ)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_come_whole_and_once_over_rotation_and_truncation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let append = |text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut tail = Tail::new(path.clone());
        let mut read = || -> Vec<String> {
            tail.lines().unwrap().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
        };
        append("old\n");
        assert_eq!(read(), Vec::<String>::new(), "what was there before is not news");
        append("one\ntw");
        assert_eq!(read(), ["one"]);
        append("o\n\nthree\n");
        assert_eq!(read(), ["two", "three"]);
        append("last\n");
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert_eq!(read(), ["last"], "of the old file, too");
        append("new\n");
        assert_eq!(read(), ["new"]);
        std::fs::write(&path, "t\n").unwrap();
        assert_eq!(read(), ["t"]);
        append(&format!("{}\nafter\n", "x".repeat(MAX_LINE + 1)));
        assert_eq!(read(), ["after"]);
        assert_eq!(tail.long, 1);
    }

    #[test]
    fn a_tail_goes_on_where_the_one_before_was_whatever_became_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let old = dir.path().join("log.1");
        let lines = |tail: &mut Tail| -> Vec<String> {
            tail.lines().unwrap().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
        };
        // A tail that has read so much ends; its file is treated; what the next one reads.
        let next = |before: &str, meanwhile: &dyn Fn()| {
            let _ = (std::fs::remove_file(&path), std::fs::remove_file(&old));
            let mut tail = Tail::new(path.clone());
            assert!(lines(&mut tail).is_empty());
            std::fs::write(&path, before).unwrap();
            lines(&mut tail);
            let mark = tail.mark().unwrap();
            assert_eq!(tail.mark(), None, "it has not moved");
            meanwhile();
            lines(&mut Tail::resume(path.clone(), mark))
        };
        let append = |text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        assert_eq!(next("one\ntwo\n", &|| append("three\n")), ["three"]);
        assert_eq!(next("one\ntw", &|| append("o\n")), ["two"], "a part of a line was no line yet");
        let rotate = || {
            append("last\n");
            std::fs::rename(&path, &old).unwrap();
            std::fs::write(&path, "new\n").unwrap();
        };
        assert_eq!(next("one\n", &rotate), ["last", "new"]);
        let replace = || {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "other\nand longer\n").unwrap();
        };
        assert_eq!(next("one\n", &replace), ["other", "and longer"], "also where it has the same inode");
        assert_eq!(next("one\ntwo\n", &|| std::fs::write(&path, "cut\n").unwrap()), ["cut"]);
        // There was none, and what came since is new.
        let mut tail = Tail::new(dir.path().join("later"));
        assert!(lines(&mut tail).is_empty());
        let mark = tail.mark().unwrap();
        std::fs::write(&tail.path, "first\n").unwrap();
        assert_eq!(lines(&mut Tail::resume(tail.path, mark)), ["first"]);
    }

    #[test]
    fn what_a_replaced_file_still_had_comes_although_the_new_one_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "").unwrap();
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().unwrap().is_empty());
        std::fs::write(&path, "one\nno end").unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        // A socket has metadata, and nobody opens it, root neither.
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(tail.lines().unwrap(), [&b"one"[..], b"no end"]);
        assert!(tail.lines().is_err(), "then it is complained of");
        drop(socket);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(tail.lines().unwrap(), [b"new"]);
    }

    #[test]
    fn a_file_that_is_replaced_is_read_to_its_end_however_much_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "").unwrap();
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().unwrap().is_empty());
        let line = format!("{}\n", "x".repeat(MAX_LINE / 2 - 1));
        let many = 3 * MAX_READ as usize / line.len();
        std::fs::write(&path, line.repeat(many)).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        let lines: Vec<_> = (0..4).flat_map(|_| tail.lines().unwrap()).collect();
        assert_eq!((lines.len(), lines.last().unwrap().as_slice()), (many + 1, &b"new"[..]));
    }

    #[test]
    fn lines_that_are_no_alerts_are_told_at_once_and_then_more_seldom() {
        let mut unread = Unread::default();
        let told: Vec<u64> = (1..=100).filter(|_| unread.more(1)).collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn a_file_that_comes_later_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().unwrap().is_empty());
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(tail.lines().unwrap(), [b"first"]);
    }
}
