//! Checkpoints: signed statements of how long a segment is and what its root is, as C2SP signed notes
//! (`tlog-checkpoint`), so that other tools and witnesses can check and countersign them.
//!
//! ```text
//! afterimage/<store uuid, hex>/<segment>
//! <blocks>
//! <root, base64>
//! number <checkpoints of this segment before this one>
//! boot <CLOCK_BOOTTIME ns>
//! real <CLOCK_REALTIME ns>
//! final                                       only in the last of a sealed segment
//!
//! — <first line> <base64 of key hash (4 bytes) and Ed25519 signature (64 bytes)>
//! ```
//! It says nothing of what the blocks hold: an extract of one container carries it as part of its proof.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{bytes::Malformed, payload::Hash};

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) store_uuid: [u8; 16],
    pub(crate) sequence: u64,
    /// Blocks before it in the segment.
    pub(crate) size: u64,
    /// Root over their leaves.
    pub(crate) root: Hash,
    pub(crate) number: u64,
    pub(crate) boot: u64,
    pub(crate) real: i64,
    pub(crate) last: bool,
}

/// Longest note that is read.
pub(crate) const NOTE_BYTES: usize = 4096;
/// The signature algorithm's number in a key's hash.
const ED25519: u8 = 1;
const SIGNATURE_LINE: &str = "\u{2014} ";

/// Whether a text is a checkpoint; whose, and whether its signature is right, is another question.
pub fn is_checkpoint(text: &str) -> bool {
    Checkpoint::parse(text).is_ok()
}

impl Checkpoint {
    /// The log's name: the first line and the signer's name.
    fn origin(&self) -> String {
        origin(&self.store_uuid, self.sequence)
    }

    fn body(&self) -> String {
        let last = if self.last { "final\n" } else { "" };
        format!(
            "{}\n{}\n{}\nnumber {}\nboot {}\nreal {}\n{last}",
            self.origin(),
            self.size,
            base64(&self.root),
            self.number,
            self.boot,
            self.real,
        )
    }

    /// The signed note.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let body = self.body();
        let signature = key.sign(body.as_bytes());
        let mut blob = key_hash(&self.origin(), &key.verifying_key()).to_vec();
        blob.extend_from_slice(&signature.to_bytes());
        format!("{body}\n{SIGNATURE_LINE}{} {}\n", self.origin(), base64(&blob))
    }

    /// Reads a note without looking at its signature.
    pub(crate) fn parse(note: &str) -> Result<Self, Malformed> {
        let bad = Malformed("a checkpoint cannot be read");
        let (body, _) = note.split_once("\n\n").ok_or(bad)?;
        let mut lines = body.lines();
        let mut line = || lines.next().ok_or(bad);
        let (uuid, sequence) =
            line()?.strip_prefix("afterimage/").and_then(|rest| rest.split_once('/')).ok_or(bad)?;
        let size = line()?.parse().map_err(|_| bad)?;
        let root = unbase64(line()?).and_then(|root| root.try_into().ok()).ok_or(bad)?;
        let mut word =
            |name: &str| line()?.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).ok_or(bad);
        let number = word("number")?.parse().map_err(|_| bad)?;
        let boot = word("boot")?.parse().map_err(|_| bad)?;
        let real = word("real")?.parse().map_err(|_| bad)?;
        let parsed = Self {
            store_uuid: unhex(uuid).ok_or(bad)?,
            sequence: sequence.parse().map_err(|_| bad)?,
            size,
            root,
            number,
            boot,
            real,
            last: lines.next() == Some("final"),
        };
        // One statement has one form: leading zeros, signs or lines behind are not it.
        if parsed.body().strip_suffix('\n') == Some(body) { Ok(parsed) } else { Err(bad) }
    }

    /// Whether the note is signed by this key in the name of its log.
    pub(crate) fn is_signed(note: &str, key: &VerifyingKey) -> bool {
        let Some((body, signatures)) = note.split_once("\n\n") else { return false };
        let body = format!("{body}\n");
        let Some(name) = body.lines().next() else { return false };
        signatures.lines().any(|line| {
            let blob = line
                .strip_prefix(SIGNATURE_LINE)
                .and_then(|rest| rest.strip_prefix(name))
                .and_then(|rest| rest.strip_prefix(' '))
                .and_then(unbase64);
            let Some(blob) = blob else { return false };
            let Some((hash, signature)) = blob.split_first_chunk::<4>() else { return false };
            let Ok(signature) = Signature::from_slice(signature) else { return false };
            *hash == key_hash(name, key) && key.verify_strict(body.as_bytes(), &signature).is_ok()
        })
    }
}

/// The name of a segment's log.
pub(crate) fn origin(store_uuid: &[u8; 16], sequence: u64) -> String {
    format!("afterimage/{}/{sequence}", hex(store_uuid))
}

fn key_hash(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update([b'\n', ED25519]);
    hasher.update(key.as_bytes());
    let hash: Hash = hasher.finalize().into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0u8; N];
    if text.len() != N * 2 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(out)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 of RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The inverse of [`base64`]: `None` for anything that it would not have written.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        let digits = chunk.iter().take_while(|&&b| b != b'=').count();
        for place in 0..4 {
            let digit = if place < digits {
                DIGITS.iter().position(|d| Some(d) == chunk.get(place))? as u32
            } else {
                0
            };
            bits = (bits << 6) | digit;
        }
        let kept = digits.checked_sub(1)?;
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(kept));
    }
    (base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            store_uuid: [0xab; 16],
            sequence: 42,
            size: 7,
            root: [9; 32],
            number: 1,
            boot: 5,
            real: -6,
            last: true,
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded).as_deref(), Some(plain.as_bytes()));
        }
        for bad in ["Zg", "Zh==", "Z===", "Zg==Zg==x", "Z\u{e9}=="] {
            assert_eq!(unbase64(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_note_says_what_was_signed_and_any_change_shows() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let note = checkpoint().sign(&key);
        assert_eq!(Checkpoint::parse(&note), Ok(checkpoint()));
        assert!(Checkpoint::is_signed(&note, &key.verifying_key()));
        assert!(!Checkpoint::is_signed(&note, &SigningKey::from_bytes(&[4; 32]).verifying_key()));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let signed = Checkpoint::is_signed(&text, &key.verifying_key());
            assert!(!signed || Checkpoint::parse(&text) == Ok(checkpoint()), "{at}");
        }
        let second = note.replace("number 1", "number 01");
        assert!(Checkpoint::parse(&second).is_err(), "another form of the same");
    }
}
