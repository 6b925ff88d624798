//! How far watched files were read: told by the control process, which may end at any time, kept by the recorder, and in
//! `tails.json` of the store for the next recorder.
//!
//! A mark is set when the lines before it were taken. What ends in between has lines read again, never left out.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// The file's name in the store.
const FILE: &str = "tails.json";
/// Longest file that is read.
const MAX_FILE: u64 = 1 << 20;
/// So much of what is before a mark tells the file from another one with its inode.
const BEFORE: u64 = 64;

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Mark {
    /// The file; nothing where there was none.
    inode: Option<u64>,
    /// Bytes.
    at: u64,
    /// The last of them.
    before: Vec<u8>,
}

impl Mark {
    /// Of a file that is not there.
    pub const NOTHING: Self = Self { inode: None, at: 0, before: Vec::new() };

    /// At a place in a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(file: &File, at: u64) -> io::Result<Self> {
        let told = at.min(BEFORE);
        let mut before = vec![0; told as usize];
        file.read_exact_at(&mut before, at - told)?;
        Ok(Self { inode: Some(file.metadata()?.ino()), at, before })
    }

    /// Whether it is at this place of this file.
    pub fn is_at(&self, file: Option<u64>, at: u64) -> bool {
        (self.inode, self.at) == (file, at)
    }

    /// The file and the place, where a file was marked at `path`: it may have another name now. Nothing where it is gone, or was
    /// cut.
    pub fn find(&self, path: &Path) -> Option<(File, u64)> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        let mut paths = std::iter::once(path.to_owned()).chain(beside.map(|entry| entry.path()));
        paths.find_map(|path| self.open(&path)).map(|file| (file, self.at))
    }

    /// Whether there was a file.
    pub fn is_of_a_file(&self) -> bool {
        self.inode.is_some()
    }

    fn open(&self, path: &Path) -> Option<File> {
        let is_it = fs::metadata(path).is_ok_and(|meta| meta.is_file() && Some(meta.ino()) == self.inode);
        let file = is_it.then(|| File::open(path).ok())??;
        let now = Self::of(&file, self.at).ok()?;
        (now == *self).then_some(file)
    }

    fn is_sound(&self) -> bool {
        self.before.len() as u64 == self.at.min(BEFORE)
    }
}

/// The marks of the files that are watched.
#[derive(Debug)]
pub struct Marks {
    path: PathBuf,
    files: Vec<String>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    marks: BTreeMap<String, Mark>,
    has_complained: bool,
}

/// The name by which a watched file is marked.
pub fn name(path: &Path) -> String {
    path.display().to_string()
}

impl Marks {
    /// Of these files, as far as an earlier recorder of the store has left them.
    pub fn open<'p>(store: &Path, files: impl Iterator<Item = &'p Path>) -> Self {
        let path = store.join(FILE);
        let files: Vec<String> = files.map(name).collect();
        let mut marks = read(&path).unwrap_or_else(|error| {
            warn!("watched files are read from their ends on: `{}`: {error}", path.display());
            BTreeMap::new()
        });
        marks.retain(|file, mark| files.contains(file) && mark.is_sound());
        Self { path, files, kept: Mutex::new(Kept { marks, has_complained: false }) }
    }

    /// A file's.
    pub fn get(&self, file: &str) -> Option<Mark> {
        self.kept().marks.get(file).cloned()
    }

    /// Keeps a file's mark; `false` where the file is not watched, or the mark is none.
    pub fn set(&self, file: String, mark: Mark) -> bool {
        if !self.files.contains(&file) || !mark.is_sound() {
            return false;
        }
        let mut kept = self.kept();
        kept.marks.insert(file, mark);
        let written = self.write(&kept.marks);
        let complains = written.is_err() && !kept.has_complained;
        kept.has_complained = written.is_err();
        if let (true, Err(error)) = (complains, written) {
            warn!("how far watched files were read is not kept: `{}`: {error}", self.path.display());
        }
        true
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, marks: &BTreeMap<String, Mark>) -> io::Result<()> {
        let new = self.path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(marks)?)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Mark>> {
    use io::Read as _;
    // A pipe in its place would keep who opens it waiting.
    let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(careful).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_there_for_the_next_recorder_of_files_that_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "x".repeat(100)).unwrap();
        let mark = Mark::of(&File::open(&log).unwrap(), 100).unwrap();
        let open = |files: &[&str]| Marks::open(dir.path(), files.iter().map(Path::new));
        let marks = open(&["/a", "/b"]);
        assert_eq!(marks.get("/a"), None);
        assert!(marks.set("/a".to_owned(), mark.clone()) && marks.set("/b".to_owned(), Mark::NOTHING));
        // What nobody watches is nobody's to say.
        assert!(!marks.set("/c".to_owned(), mark.clone()));
        let unsound = Mark { before: vec![0; 1 << 16], ..mark.clone() };
        assert!(!marks.set("/a".to_owned(), unsound));
        let next = open(&["/a"]);
        assert_eq!((next.get("/a"), next.get("/b")), (Some(mark), None));
        // A file that says nothing is no reason not to begin.
        for text in ["", "{\"/a\":7}"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(open(&["/a"]).get("/a"), None);
        }
    }
}
