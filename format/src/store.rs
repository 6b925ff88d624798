//! A store's directory: what is in it, under which names, and who may write.
//!
//! ```text
//! STORE                  what store this is; written once, never changed
//! lock                   empty; the writer holds an exclusive flock on it
//! seg-0123456789abcdef.aft   segments; the highest number may be unsealed, all others do not change
//! kept-0123456789abcdef.aft  what retention kept of older files; `.new` while it is written
//! stage-0123456789abcdef     rows of blocks that are not cut yet
//! key, key.next          secrets (crate::keys)
//! catalog                what opening needs of all of them (crate::catalog)
//! ```
//! Directories are 0700, files 0600, made with O_EXCL and opened with O_NOFOLLOW.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::{
    Defect, DefectKind, OpenError,
    bytes::{Input, Malformed, Output, checksum_is},
    file,
    keeping::FileId,
    segment,
};

/// Begins the STORE file.
const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'S', b'\r', b'\n', 0x1a, b'\n'];
const STORE_LEN: usize = 512;
const CRC_AT: usize = 508;
const STORE_NAME: &str = "STORE";
const STORE_NEW: &str = "STORE.new";
const LOCK_NAME: &str = "lock";
/// How often and how long a writer waits for the lock: a reader may hold it shared for a moment.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// What the STORE file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreFile {
    pub(crate) uuid: [u8; 16],
    /// When it was made: wall clock, nanoseconds since 1970.
    pub(crate) created: i64,
}

impl StoreFile {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STORE_LEN);
        out.extend_from_slice(&MAGIC);
        out.put_u32(STORE_LEN as u32);
        out.put_u16(segment::MAJOR);
        out.put_u16(segment::MINOR);
        out.extend_from_slice(&self.uuid);
        out.put_u64(self.created.cast_unsigned());
        out.resize(CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, OpenError> {
        let damaged = |Malformed(what)| OpenError::Damaged {
            path: path.to_owned(),
            defect: Defect {
                path: path.to_owned(),
                offset: 0,
                kind: DefectKind::Corrupt,
                detail: what.to_owned(),
            },
        };
        let mut input = Input::new(bytes);
        if input.bytes() != Ok(MAGIC) {
            return Err(OpenError::NotARecording { path: path.to_owned() });
        }
        let _length = input.u32().map_err(damaged)?;
        let major = input.u16().map_err(damaged)?;
        if major != segment::MAJOR {
            return Err(OpenError::Version {
                path: path.to_owned(),
                found: major,
                supported: segment::MAJOR,
            });
        }
        let (Some(covered), Some(crc)) = (bytes.get(..CRC_AT), bytes.get(CRC_AT..STORE_LEN)) else {
            return Err(damaged(Malformed("the file ends early")));
        };
        if !Input::new(crc).u32().is_ok_and(|crc| checksum_is(crc, &[covered])) {
            return Err(damaged(Malformed("the checksum is wrong")));
        }
        let _minor = input.u16().map_err(damaged)?;
        let uuid = input.bytes().map_err(damaged)?;
        Ok(Self { uuid, created: input.u64().map_err(damaged)?.cast_signed() })
    }

    /// Reads the STORE file of `dir`; `None` when there is none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join(STORE_NAME);
        match file::open_in_store(&path) {
            Ok(file) => {
                let bytes = file::read_at_most(&file, 0, STORE_LEN)
                    .map_err(|source| OpenError::reading(&path, source))?;
                Self::parse(&path, &bytes).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError::Io { action: "open", path, source }),
        }
    }

    /// What is wrong with the STORE file of `dir`, where that is no reason to leave the segments unread: each says itself of
    /// which store it is. Else the error again.
    pub(crate) fn defect(dir: &Path, error: OpenError) -> Result<Defect, OpenError> {
        let (kind, what) = match error {
            OpenError::Damaged { defect, .. } => (defect.kind, defect.detail),
            OpenError::NotARecording { .. } => (DefectKind::Corrupt, "it does not begin as one".to_owned()),
            OpenError::Version { found, .. } => (DefectKind::Unknown, format!("format version `{found}`")),
            other => return Err(other),
        };
        let detail = format!("the store's identity file: {what}");
        Ok(Defect { path: dir.join(STORE_NAME), offset: 0, kind, detail })
    }

    fn create(&self, dir: &Path) -> Result<(), OpenError> {
        let new = dir.join(STORE_NEW);
        let at = |action| {
            let path = new.clone();
            move |source| OpenError::Io { action, path, source }
        };
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(at("remove")(error));
        }
        let made = file::create_new(&new).map_err(at("create"))?;
        file::write_all_at(&made, &self.encode(), 0).map_err(at("write"))?;
        made.sync_all().map_err(at("sync"))?;
        fs::rename(&new, dir.join(STORE_NAME)).map_err(at("rename"))?;
        file::sync_dir(dir).map_err(at("sync the directory of"))
    }
}

/// The exclusive right to write a store; given back when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

/// Opens or makes the store in `dir` for its one writer.
pub(crate) fn open_for_writing(dir: &Path, uuid: [u8; 16]) -> Result<(StoreLock, StoreFile), OpenError> {
    let at = |action| move |source| OpenError::Io { action, path: dir.to_owned(), source };
    match file::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at("create")(error)),
    }
    let known = StoreFile::read(dir)?;
    if known.is_none() {
        // Never make a store among somebody's files.
        for entry in fs::read_dir(dir).map_err(at("read"))? {
            let name = entry.map_err(at("read"))?.file_name();
            if name != LOCK_NAME && name != STORE_NEW {
                return Err(OpenError::NotARecording { path: dir.to_owned() });
            }
        }
    }
    let lock = lock(dir)?;
    // Another writer may have made it meanwhile.
    let store = match StoreFile::read(dir)? {
        Some(store) => store,
        None => {
            let created = file::wall_clock();
            let uuid =
                if uuid == [0; 16] { random_uuid().map_err(at("make an identity for"))? } else { uuid };
            let store = StoreFile { uuid, created };
            store.create(dir)?;
            store
        }
    };
    Ok((lock, store))
}

fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid).map_err(io::Error::other)?;
    Ok(uuid)
}

fn lock(dir: &Path) -> Result<StoreLock, OpenError> {
    let path = dir.join(LOCK_NAME);
    let file = file::open_or_create(&path).map_err(|source| OpenError::Io {
        action: "open",
        path: path.clone(),
        source,
    })?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(StoreLock { _file: file }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { action: "lock", path, source }),
        }
    }
    Err(OpenError::InUse { path: dir.to_owned() })
}

/// Whether a writer has the store open now. When it cannot be told, no.
pub(crate) fn is_live(dir: &Path) -> bool {
    let Ok(file) = file::open_in_store(&dir.join(LOCK_NAME)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// A kind of numbered file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered {
    prefix: &'static str,
    suffix: &'static str,
}

/// Segments.
pub(crate) const SEGMENTS: Numbered = Numbered { prefix: "seg-", suffix: ".aft" };
/// Blocks that retention kept of older files.
pub(crate) const KEPT: Numbered = Numbered { prefix: "kept-", suffix: ".aft" };
/// Such a file while it is written.
pub(crate) const KEPT_NEW: Numbered = Numbered { prefix: "kept-", suffix: ".new" };
/// Stage files.
pub(crate) const STAGES: Numbered = Numbered { prefix: "stage-", suffix: "" };

/// The path of a file that holds blocks.
pub(crate) fn path_of(dir: &Path, id: FileId) -> PathBuf {
    match id {
        FileId::Kept(number) => KEPT.path(dir, number),
        FileId::Segment(number) => SEGMENTS.path(dir, number),
    }
}

impl Numbered {
    /// The path of number `number`.
    pub(crate) fn path(self, dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{}{number:016x}{}", self.prefix, self.suffix))
    }

    /// The number in a file name; only names that this type would give.
    fn number(self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?;
        let plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if plain { u64::from_str_radix(digits, 16).ok() } else { None }
    }

    /// Every number there is in `dir`, rising.
    pub(crate) fn list(self, dir: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(dir)? {
            if let Some(number) = entry?.file_name().to_str().and_then(|name| self.number(name)) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_have_numbers() {
        assert_eq!(SEGMENTS.number("seg-000000000000002a.aft"), Some(42));
        assert_eq!(STAGES.number("stage-ffffffffffffffff"), Some(u64::MAX));
        for name in
            ["seg-2a.aft", "seg-000000000000002A.aft", "seg-+00000000000002a.aft", "seg-000000000000002a"]
        {
            assert_eq!(SEGMENTS.number(name), None, "{name}");
        }
    }
}
