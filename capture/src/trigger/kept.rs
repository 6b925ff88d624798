//! Opening what the engine keeps in the store: files that are nobody else's under another name.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Opens a file to append to it, making it when there is none. A link is not followed, and what has a second name is
/// refused: what is written here would be written there.
///
/// # Errors
/// What the operating system says, or that it is no file of its own.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A pipe in its place would keep who opens it waiting.
    let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(careful).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.nlink() != 1 {
        return Err(io::Error::other("it has another name elsewhere"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("victim"), "v").unwrap();
        std::os::unix::fs::symlink(at("victim"), at("symbolic")).unwrap();
        std::fs::hard_link(at("victim"), at("hard")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            pipe,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for name in ["symbolic", "hard", "directory", "pipe"] {
            open(&at(name)).unwrap_err();
        }
        open(&at("new")).unwrap();
        open(&at("new")).unwrap();
        assert_eq!(std::fs::read(at("victim")).unwrap(), b"v");
    }
}
