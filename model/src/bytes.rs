//! Bytes that many hold at once: what a process is called, where it works and what it executed is the same for many.

use std::{fmt, ops::Deref, sync::Arc};

use crate::codec::{Input, SnapshotError, Stored};

/// Bytes that do not change. Copies share them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Option<Arc<[u8]>>);

impl Bytes {
    /// None.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The bytes themselves.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        // None are none, however they came about: two that are equal are the same.
        Self((!bytes.is_empty()).then(|| Arc::from(bytes)))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_slice() == other
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(out)
    }
}

impl Stored for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, SnapshotError> {
        Vec::<u8>::get(input).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_same_bytes_and_are_stored_as_bytes_are() {
        for bytes in [&b""[..], b"a", b"/usr/bin/curl"] {
            let shared = Bytes::from(bytes);
            let copy = shared.clone();
            assert!(std::ptr::eq(shared.as_slice(), copy.as_slice()) && copy == *bytes);
            assert_eq!(format!("{shared:?}"), format!("{bytes:?}"));
            let (mut stored, mut plain) = (Vec::new(), Vec::new());
            shared.put(&mut stored);
            bytes.to_vec().put(&mut plain);
            assert_eq!(stored, plain);
            assert_eq!(Bytes::get(&mut Input::new(&stored)), Ok(shared));
        }
        assert_eq!(Bytes::from(b"".as_slice()), Bytes::default());
    }
}
