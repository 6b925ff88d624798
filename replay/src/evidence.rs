//! Files for bytes of a recording: always new, readable only by their owner, never executable. What an attacker wrote must not
//! be executed by mistake, and evidence must not be changed by it.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use crate::failure::{Failure, shown};

/// Makes a new file, mode 0400.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is one: it is never touched.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o400);
    options.open(path)
}

/// Makes the file that `--to` names and has it written.
///
/// # Errors
/// It exists, or cannot be written.
pub(crate) fn save(to: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Failure> {
    create(to).and_then(|mut file| write(&mut file)).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("`{}` exists already; name another file with --to", shown(to)))
        }
        _ => Failure::output(format!("`{}`", shown(to)), source),
    })
}
