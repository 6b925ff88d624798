//! Pins: ranges of containers that retention must not take.
//!
//! Kept in one file of the store, a line of JSON for each change, synced before a trigger is answered. The last line of
//! an id counts. A last line that was cut by a crash was never answered for and is left out; the file is written anew
//! when most of it is history.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{kept::Lines, outcome::Instant};

/// The file's name in the store.
const FILE: &str = "pins.jsonl";
/// Longest file that is read.
const MAX_FILE: u64 = 256 << 20;
/// Lines of history before the file is written anew.
const HISTORY: usize = 10_000;

/// Room that pins leave on a full disk for taking some of them away, which makes room.
const FOR_UNPINS: u64 = 16 << 10;

/// A pinned range of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its id.
    pub id: String,
    /// The recorder's number of the container.
    pub uid: u64,
    /// The engine's id of it.
    pub container: String,
    /// From.
    pub from: Instant,
    /// To; until the container's end where there is none.
    pub to: Option<Instant>,
    /// The trigger that made it.
    pub trigger: String,
    /// The trigger's sender.
    pub source: String,
    /// The trigger's rule.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
    /// When it was made.
    pub made: Instant,
    /// It ended because of its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// A pin could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct PinError {
    /// What failed.
    pub action: &'static str,
    /// Of which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Who keeps pins.
pub trait PinKeeper: Send {
    /// Makes a pin, or changes it. Counts after the next [`Self::sync`].
    ///
    /// # Errors
    /// [`PinError`]; the pin is then not made.
    fn pin(&mut self, pin: Pin) -> Result<(), PinError>;

    /// Takes a pin away; `false` when there is none of this id. Counts after the next [`Self::sync`].
    ///
    /// # Errors
    /// [`PinError`]; the pin is then still there.
    fn unpin(&mut self, id: &str) -> Result<bool, PinError>;

    /// Makes all changes safe from a power cut.
    ///
    /// # Errors
    /// [`PinError`]; it is not known then whether they are.
    fn sync(&mut self) -> Result<(), PinError>;

    /// A pin.
    fn get(&self, id: &str) -> Option<&Pin>;

    /// All pins, by id.
    fn all(&self) -> Box<dyn Iterator<Item = &Pin> + '_>;
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Pin(Pin),
    Unpin(String),
}

/// Pins in a file of the store.
#[derive(Debug)]
pub struct PinFile {
    path: PathBuf,
    file: Lines,
    pins: BTreeMap<String, Pin>,
    lines: usize,
    unsynced: bool,
    /// Lines that were not understood; they stay in the file until it is written anew.
    pub damaged: usize,
}

impl PinFile {
    /// Opens the pins of a store, making the file when there is none.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn open(store: &Path) -> Result<Self, PinError> {
        let path = store.join(FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| PinError { action, path, source }
        };
        let file = Lines::open(&path).map_err(failed("open"))?;
        let text = file.read(MAX_FILE + 1).map_err(failed("read"))?;
        if text.len() as u64 > MAX_FILE {
            return Err(failed("read")(io::Error::other("larger than 256 MiB")));
        }
        let mut keeper =
            Self { path: path.clone(), file, pins: BTreeMap::new(), lines: 0, unsynced: false, damaged: 0 };
        keeper.replay(&text);
        if keeper.lines > keeper.pins.len() * 2 + HISTORY
            && let Err(error) = keeper.rewrite()
        {
            // A full disk, for one: the long file tells the same.
            warn!("{error}");
        }
        Ok(keeper)
    }

    fn replay(&mut self, text: &[u8]) {
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            match serde_json::from_slice(line) {
                Ok(Line::Pin(pin)) => {
                    self.pins.insert(pin.id.clone(), pin);
                }
                Ok(Line::Unpin(id)) => {
                    self.pins.remove(&id);
                }
                Err(_) => self.damaged += 1,
            }
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> PinError + use<> {
        let path = self.path.clone();
        move |source| PinError { action, path, source }
    }

    /// Writes a line where so many bytes are left behind it.
    fn write(&mut self, line: &Line, leave: u64) -> Result<(), PinError> {
        let mut text = serde_json::to_vec(line).map_err(|e| self.failed("write")(e.into()))?;
        text.push(b'\n');
        self.file.append_leaving(&text, leave).map_err(self.failed("write"))?;
        self.lines += 1;
        self.unsynced = true;
        Ok(())
    }

    /// Writes the living pins to a new file and puts it in the old one's place.
    fn rewrite(&mut self) -> Result<(), PinError> {
        let new = self.path.with_extension("new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.failed("remove")(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&new).map_err(self.failed("create"))?;
        let mut text = Vec::new();
        for pin in self.pins.values() {
            serde_json::to_writer(&mut text, &Line::Pin(pin.clone()))
                .map_err(|e| self.failed("write")(e.into()))?;
            text.push(b'\n');
        }
        file.write_all(&text).map_err(self.failed("write"))?;
        file.sync_all().map_err(self.failed("sync"))?;
        std::fs::rename(&new, &self.path).map_err(self.failed("rename"))?;
        self.file = Lines::of(file).map_err(self.failed("look at"))?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory).and_then(|dir| dir.sync_all()).map_err(self.failed("sync the directory of"))?;
        (self.lines, self.damaged) = (self.pins.len(), 0);
        Ok(())
    }
}

impl PinKeeper for PinFile {
    fn pin(&mut self, pin: Pin) -> Result<(), PinError> {
        self.write(&Line::Pin(pin.clone()), FOR_UNPINS)?;
        self.pins.insert(pin.id.clone(), pin);
        Ok(())
    }

    fn unpin(&mut self, id: &str) -> Result<bool, PinError> {
        if !self.pins.contains_key(id) {
            return Ok(false);
        }
        self.write(&Line::Unpin(id.to_owned()), 0)?;
        self.pins.remove(id);
        Ok(true)
    }

    fn sync(&mut self) -> Result<(), PinError> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync().map_err(self.failed("sync"))?;
        }
        Ok(())
    }

    fn get(&self, id: &str) -> Option<&Pin> {
        self.pins.get(id)
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Pin> + '_> {
        Box::new(self.pins.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(id: &str, to: Option<i64>) -> Pin {
        Pin {
            id: id.to_owned(),
            uid: 7,
            container: "c".to_owned(),
            from: Instant(1_000),
            to: to.map(Instant),
            trigger: "t".to_owned(),
            source: "falco".to_owned(),
            rule: "r\n\"".to_owned(),
            reason: String::new(),
            made: Instant(5),
            full: false,
        }
    }

    fn ids(keeper: &PinFile) -> Vec<(String, Option<i64>)> {
        keeper.all().map(|pin| (pin.id.clone(), pin.to.map(|to| to.0))).collect()
    }

    #[test]
    fn pins_are_there_after_a_restart_whatever_the_crash_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = PinFile::open(dir.path()).unwrap();
        keeper.pin(pin("a", None)).unwrap();
        keeper.pin(pin("b", Some(9))).unwrap();
        keeper.pin(pin("a", Some(3))).unwrap();
        assert!(keeper.unpin("b").unwrap());
        assert!(!keeper.unpin("b").unwrap());
        keeper.sync().unwrap();
        drop(keeper);
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut keeper = PinFile::open(dir.path()).unwrap();
            keeper.pin(pin("z", None)).unwrap();
            drop(keeper);
            let again = PinFile::open(dir.path()).unwrap();
            let ids = ids(&again);
            assert!(ids.iter().any(|(id, _)| id == "z"), "cut at {cut}: {ids:?}");
            if cut == whole.len() {
                assert_eq!(ids, [("a".to_owned(), Some(3)), ("z".to_owned(), None)]);
                assert_eq!(again.damaged, 0);
            }
        }
    }

    #[test]
    fn history_is_dropped_and_pins_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = PinFile::open(dir.path()).unwrap();
        (0..=HISTORY as i64 + 2).for_each(|to| keeper.pin(pin("a", Some(to))).unwrap());
        drop(keeper);
        let before = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        let keeper = PinFile::open(dir.path()).unwrap();
        assert_eq!(ids(&keeper), [("a".to_owned(), Some(HISTORY as i64 + 2))]);
        assert!(std::fs::metadata(dir.path().join(FILE)).unwrap().len() * 100 < before);
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(FILE)).unwrap();
        let error = PinFile::open(dir.path()).unwrap_err();
        assert_eq!(error.action, "open");
        assert_eq!(std::fs::read(&victim).unwrap(), b"");
    }
}
