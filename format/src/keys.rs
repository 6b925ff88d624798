//! Signing keys: each segment has its own, endorsed by the one before, and only the present one exists.
//!
//! The secret lies in the file `key` of the store (0600) until the segment is sealed, so that a crash does not break
//! the chain; the next one is prepared as `key.next`. A change of segments goes in this order, and a crash anywhere
//! leaves a key that matches the last segment:
//!
//! 1. write and sync `key.next`;
//! 2. seal the segment;
//! 3. make the next segment, its header endorsed by the present key, and sync it;
//! 4. overwrite `key` with zeros and sync;
//! 5. rename `key.next` to `key`.
//!
//! Overwriting does not erase a secret from flash memory or a copy-on-write file system: docs/format.md says so.

use std::{fs, io, path::Path};

use ed25519_dalek::SigningKey;

use crate::{
    bytes::{Input, Output},
    file,
};

const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'K', b'\r', b'\n', 0x1a, b'\n'];
const KEY_LEN: usize = 44;
const KEY_NAME: &str = "key";
const NEXT_NAME: &str = "key.next";

fn encode(key: &SigningKey) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(key.as_bytes());
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    out
}

fn read(path: &Path) -> Option<SigningKey> {
    let bytes = file::read_at_most(&file::open_in_store(path).ok()?, 0, KEY_LEN).ok()?;
    let mut input = Input::new(&bytes);
    let magic = input.bytes::<8>().ok()?;
    let secret = input.bytes::<32>().ok()?;
    let covered = bytes.get(..KEY_LEN - 4)?;
    (magic == MAGIC && input.u32() == Ok(crc32c::crc32c(covered))).then(|| SigningKey::from_bytes(&secret))
}

/// The secret key of the segment with this public key, where the store still has it.
pub(crate) fn find(dir: &Path, public: &[u8; 32]) -> Option<SigningKey> {
    [KEY_NAME, NEXT_NAME]
        .iter()
        .filter_map(|name| read(&dir.join(name)))
        .find(|key| key.verifying_key().as_bytes() == public)
}

/// Finishes a change of keys that a crash interrupted: where the last segment's key still lies under the name of the
/// next one, it takes its place. Before [`prepare`], which would remove the only copy of it.
pub(crate) fn settle(dir: &Path, public: &[u8; 32]) -> io::Result<()> {
    match read(&dir.join(NEXT_NAME)) {
        Some(key) if key.verifying_key().as_bytes() == public => promote(dir),
        _ => Ok(()),
    }
}

/// Makes the key of the next segment and prepares its file.
pub(crate) fn prepare(dir: &Path) -> io::Result<SigningKey> {
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let key = SigningKey::from_bytes(&secret);
    let path = dir.join(NEXT_NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = file::create_new(&path)?;
    file::write_all_at(&made, &encode(&key), 0)?;
    made.sync_all()?;
    file::sync_dir(dir)?;
    Ok(key)
}

/// Erases the key of the segment before and puts the prepared one in its place.
pub(crate) fn promote(dir: &Path) -> io::Result<()> {
    let path = dir.join(KEY_NAME);
    match file::open_or_create(&path) {
        Ok(old) => {
            file::write_all_at(&old, &[0; KEY_LEN], 0)?;
            old.sync_all()?;
        }
        Err(error) => return Err(error),
    }
    fs::rename(dir.join(NEXT_NAME), &path)?;
    file::sync_dir(dir)
}
