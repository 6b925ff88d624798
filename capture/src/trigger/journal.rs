//! Every trigger that came, with what became of it and the body it came in, for the case.
//!
//! `triggers.jsonl` in the store: a line for each body (once, however often it comes) and one for each trigger. When the
//! file has half the room there is, it becomes `triggers.1.jsonl` and the one that was this before goes.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    Body,
    kept::Lines,
    outcome::{Instant, Outcome, State},
    pins::Pin,
};

const FILE: &str = "triggers.jsonl";
const OLDER: &str = "triggers.1.jsonl";
/// Bodies remembered as written already.
const REMEMBERED: usize = 1024;

/// The journal of a store.
#[derive(Debug)]
pub struct Journal {
    store: PathBuf,
    file: Lines,
    room: u64,
    bodies: VecDeque<String>,
    unsynced: bool,
    /// Lines that could not be written.
    pub failed: u64,
}

impl Journal {
    /// Opens the journal of a store, which may take `room` bytes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(store: &Path, room: u64) -> io::Result<Self> {
        Ok(Self {
            store: store.to_owned(),
            file: Lines::open(&store.join(FILE))?,
            room,
            bodies: VecDeque::new(),
            unsynced: false,
            failed: 0,
        })
    }

    /// What became of the latest triggers, the latest last: at most `most`, of as much of the files as is read at a start.
    /// What is damaged is left out.
    pub fn latest(&self, most: usize) -> Vec<Outcome> {
        let mut latest: VecDeque<Outcome> = VecDeque::new();
        for line in [OLDER, FILE].iter().flat_map(|file| end_of(&self.store.join(file)).unwrap_or_default()) {
            let Some(mut outcome) = outcome_of(&line) else { continue };
            if outcome.state == State::Queued {
                // It is overwritten by what became of it, if anything did.
                outcome.state = State::Unmatched;
                outcome.warnings.push("the recorder stopped before a container was found".to_owned());
            }
            latest.retain(|earlier| earlier.id != outcome.id);
            latest.push_back(outcome);
            if latest.len() > most {
                latest.pop_front();
            }
        }
        latest.into()
    }

    /// Writes a body down, unless it is there already.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn body(&mut self, body: &Body) -> io::Result<()> {
        if self.bodies.contains(&body.sha256) {
            return Ok(());
        }
        let mut line = json!({
            "kind": "body",
            "sha256": body.sha256,
            "received": Instant(body.received).to_string(),
            "from": body.from,
            "length": body.bytes.len(),
        });
        // A body that does not fit at all is written down by its hash.
        if body.bytes.len() as u64 * 2 > self.room / 2 {
            line["dropped"] = "larger than the room for bodies".into();
        } else {
            match std::str::from_utf8(&body.bytes) {
                Ok(text) => line["text"] = text.into(),
                Err(_) => line["base64"] = STANDARD.encode(&body.bytes).into(),
            }
        }
        self.write(&line)?;
        self.bodies.push_back(body.sha256.clone());
        if self.bodies.len() > REMEMBERED {
            self.bodies.pop_front();
        }
        Ok(())
    }

    /// Writes an outcome down.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        let mut line = serde_json::to_value(outcome)?;
        line["kind"] = "trigger".into();
        self.write(&line)
    }

    /// Writes down that a pin was taken away, and by whom.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn unpinned(&mut self, pin: &Pin, by: &str) -> io::Result<()> {
        let time = Instant(crate::host::clock_pair().real).to_string();
        self.write(&json!({ "kind": "unpin", "time": time, "by": by, "pin": pin }))
    }

    fn write(&mut self, line: &serde_json::Value) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.file.size() > 0 && self.file.size() + text.len() as u64 > self.room / 2 {
            self.turn()?;
        }
        let written = self.file.append(&text);
        self.failed += u64::from(written.is_err());
        written?;
        self.unsynced = true;
        Ok(())
    }

    /// Begins a new file.
    fn turn(&mut self) -> io::Result<()> {
        self.file.sync()?;
        match std::fs::rename(self.store.join(FILE), self.store.join(OLDER)) {
            // It was renamed before, and no new one could be made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = Lines::open(&self.store.join(FILE))?;
        self.bodies.clear();
        Ok(())
    }

    /// Makes everything safe from a power cut.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync()?;
        }
        Ok(())
    }
}

/// The whole lines of a file's end.
fn end_of(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    /// As much of each file is read.
    const MOST: u64 = 4 << 20;
    let file = super::kept::open_to_read(path)?;
    let from = file.metadata()?.len().saturating_sub(MOST);
    let mut bytes = Vec::new();
    (&file).seek(SeekFrom::Start(from))?;
    (&file).take(MOST).read_to_end(&mut bytes)?;
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if from > 0 {
        lines.remove(0);
    }
    Ok(lines)
}

/// The outcome that a line is, if it is one.
fn outcome_of(line: &[u8]) -> Option<Outcome> {
    // Bodies may be long, and are not read. Quotes inside of them are escaped.
    const KIND: &[u8] = b"\"kind\":\"trigger\"";
    line.windows(KIND.len()).any(|part| part == KIND).then(|| serde_json::from_slice(line).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn bodies_are_kept_once_and_as_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), 1 << 20).unwrap();
        let text = Body::new(&b"{\"a\": 1}\n"[..], "127.0.0.1");
        let raw = Body::new(&b"\xff\x00"[..], "127.0.0.1");
        for body in [&text, &raw, &text] {
            journal.body(body).unwrap();
        }
        journal.sync().unwrap();
        let lines = lines(&dir.path().join(FILE));
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0]["text"].as_str(), lines[0]["sha256"].as_str()),
            (Some("{\"a\": 1}\n"), Some(text.sha256.as_str()))
        );
        assert_eq!(lines[1]["base64"], "/wA=");
    }

    #[test]
    fn the_room_is_not_exceeded_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let room = 64 << 10;
        let mut journal = Journal::open(dir.path(), room).unwrap();
        for number in 0..200 {
            journal.body(&Body::new(format!("{number}{}", "x".repeat(1000)).into_bytes(), "f")).unwrap();
        }
        journal.body(&Body::new(vec![b'y'; 1 << 20], "f")).unwrap();
        drop(journal);
        let size = |name| std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(size(FILE) + size(OLDER) <= room, "{} + {}", size(FILE), size(OLDER));
        let newest = lines(&dir.path().join(FILE));
        let last = newest.last().unwrap();
        assert!(last["dropped"].is_string() && last["text"].is_null() && last["length"] == 1 << 20);
        assert!(newest[newest.len() - 2]["text"].as_str().unwrap().starts_with("199x"));
    }
}
