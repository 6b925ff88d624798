//! Bytes of a recording as files of their own, under the first name that is free.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use afterimage_model::text::escape;

use crate::{
    evidence::create,
    tui::{
        app::App,
        text::{bytes as amount, safe},
    },
};

/// Names that are tried when the first is taken.
const TRIES: u32 = 1_000;

/// Writes `bytes` into a new file in the working directory, and says where or why not.
pub(crate) fn save(app: &mut App, name: &str, bytes: &[u8]) {
    match write_new(name, bytes) {
        Ok(path) => {
            let path = escape(path.as_os_str().as_encoded_bytes());
            app.say(safe!("{} written to {path}, mode 0400", amount(bytes.len() as u64)));
        }
        Err(error) => app.complain(safe!("cannot write `{}`: {error}", escape(name.as_bytes()))),
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
