//! A message between two processes: its length, four bytes little-endian, then itself in bincode.

use std::io::{self, Read, Write};

use bincode::{
    Decode, Encode,
    config::{Configuration, Fixint, Limit, LittleEndian},
};

/// Longest message: an executed image of 16 MiB, or an alert of 8, and what is said of it.
pub const LONGEST: usize = 17 << 20;

const fn encoding() -> Configuration<LittleEndian, Fixint, Limit<LONGEST>> {
    bincode::config::legacy().with_limit::<LONGEST>()
}

/// A message could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The socket; it has ended, mostly.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// It says to be longer than any may be.
    #[error("a message of {length} bytes: the longest has {LONGEST}")]
    TooLong {
        /// As it says.
        length: u64,
    },
    /// It is none.
    #[error("not a message: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// There is more behind it.
    #[error("a message with {0} bytes too many")]
    Trailing(usize),
}

/// Encodes a message with its length.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is longer than any may be.
pub fn encode<T: Encode>(message: &T) -> io::Result<Vec<u8>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let mut bytes = vec![0; 4];
    let length = bincode::encode_into_std_write(message, &mut bytes, encoding()).map_err(invalid)?;
    let length = u32::try_from(length).ok().filter(|length| *length as usize <= LONGEST);
    let length = length.ok_or(io::ErrorKind::InvalidInput)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Decodes a message without its length.
///
/// # Errors
/// [`FrameError`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, FrameError> {
    let (message, used) = bincode::decode_from_slice(bytes, encoding())?;
    if used == bytes.len() { Ok(message) } else { Err(FrameError::Trailing(bytes.len() - used)) }
}

/// What the length at the beginning of a message says.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn length(head: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(head);
    if length as usize > LONGEST {
        return Err(FrameError::TooLong { length: u64::from(length) });
    }
    Ok(length as usize)
}

/// Writes a message.
///
/// # Errors
/// What the operating system says.
pub fn write<T: Encode>(mut socket: impl Write, message: &T) -> io::Result<()> {
    socket.write_all(&encode(message)?)
}

/// Reads a message. Memory grows with what has come, not with what is announced.
///
/// # Errors
/// [`FrameError`].
pub fn read<T: Decode<()>>(mut socket: impl Read) -> Result<T, FrameError> {
    let mut head = [0; 4];
    socket.read_exact(&mut head)?;
    let length = length(head)?;
    let mut bytes = Vec::new();
    socket.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written_and_nothing_else_is() {
        let mut bytes = Vec::new();
        let message = (7u64, b"bytes".to_vec(), Some("text".to_owned()));
        write(&mut bytes, &message).unwrap();
        assert_eq!(read::<(u64, Vec<u8>, Option<String>)>(&bytes[..]).unwrap(), message);
        for cut in 0..bytes.len() {
            let error = read::<(u64, Vec<u8>, Option<String>)>(&bytes[..cut]).unwrap_err();
            assert!(matches!(error, FrameError::Socket(_)), "{cut}: {error}");
        }
        let long = u32::MAX.to_le_bytes();
        assert!(matches!(read::<u64>(&long[..]), Err(FrameError::TooLong { length: 0xffff_ffff })));
        // A vector of so many bytes would not fit any memory.
        let mut lies = 8u32.to_le_bytes().to_vec();
        lies.extend(u64::MAX.to_le_bytes());
        assert!(matches!(read::<Vec<u8>>(&lies[..]), Err(FrameError::Malformed(_))));
        let mut more = 9u32.to_le_bytes().to_vec();
        more.extend([0; 9]);
        assert!(matches!(read::<u64>(&more[..]), Err(FrameError::Trailing(1))));
        assert!(encode(&vec![0u8; LONGEST]).is_err());
    }
}
