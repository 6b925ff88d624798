//! Bytes of a recording as files of their own, under the first name that is free.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use afterimage_model::text::{Safe, escape};

use crate::{
    evidence::create,
    tui::{
        app::App,
        text::{bytes as amount, safe},
    },
};

/// Names that are tried when the first is taken.
const TRIES: u32 = 1_000;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// What is not in it that was in the original.
    pub(crate) lacking: Option<Safe>,
}

impl Evidence {
    /// Writes it into a new file in the working directory, and says where, with what is lacking, or why not.
    pub(crate) fn save(&self, app: &mut App) {
        match write_new(&self.name, &self.bytes) {
            Ok(path) => {
                let path = escape(path.as_os_str().as_encoded_bytes());
                let size = amount(self.bytes.len() as u64);
                match &self.lacking {
                    None => app.say(safe!("{size} written to {path}, mode 0400")),
                    Some(lacking) => app.complain(safe!("{size} written to {path}, mode 0400; {lacking}")),
                }
            }
            Err(error) => app.complain(safe!("cannot write `{}`: {error}", escape(self.name.as_bytes()))),
        }
    }
}

/// The first name that is free: `name`, `name.1`, `name.2`, ... An existing file is never touched.
fn write_new(name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    for number in 0..TRIES {
        let path = PathBuf::from(if number == 0 { name.to_owned() } else { format!("{name}.{number}") });
        match create(&path) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_can_be_executed() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = dir.path().join("evidence-x");
        let name = name.to_str().expect("UTF-8");
        let first = write_new(name, b"one").expect("written");
        let second = write_new(name, b"two").expect("written");
        assert_ne!(first, second);
        assert_eq!(std::fs::read(&first).expect("read"), b"one");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&first.metadata().expect("there").permissions()) & 0o777,
            0o400
        );
    }
}
