//! What the engine keeps in the store: files of lines that are nobody else's under another name, and that can be written
//! to for a while when the disk is full.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Room behind the last line that the file has on the disk already: some hundred pins, and thousands that are taken away.
/// A full disk is when somebody takes pins away, to have room.
const AHEAD: u64 = 64 << 10;

/// A file of lines, open to append to it.
#[derive(Debug)]
pub struct Lines {
    file: File,
    size: u64,
    /// Where the room ends that it has.
    room: u64,
    /// The last line is a part of one.
    is_torn: bool,
}

impl Lines {
    /// Opens a file as [`open`] does.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(open(path)?)
    }

    /// Of a file that is open to read it and to append to it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1)?;
        }
        let mut lines = Self { file, size, room: size, is_torn: last != [b'\n'] };
        let _ = lines.reserve(size + AHEAD);
        Ok(lines)
    }

    /// Bytes of the lines.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes there are, but no more than `most`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.file).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Adds whole lines, or nothing of them: a part of one would take the line after it with it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.append_leaving(lines, 0)
    }

    /// As [`Self::append`], where there is room for so many bytes more behind it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append_leaving(&mut self, lines: &[u8], leave: u64) -> io::Result<()> {
        let torn = self.is_torn.then(|| [b"\n", lines].concat());
        let lines = torn.as_deref().unwrap_or(lines);
        self.reserve(self.size + lines.len() as u64 + leave)?;
        if let Err(error) = self.file.write_all(lines) {
            self.is_torn = self.file.set_len(self.size).is_err();
            self.size = self.file.metadata()?.len();
            self.room = self.size;
            return Err(error);
        }
        self.is_torn = false;
        self.size += lines.len() as u64;
        if self.room < self.size + AHEAD / 2 {
            // Where there is none, what is left of the room before does for a while.
            let _ = self.reserve(self.size + AHEAD);
        }
        Ok(())
    }

    /// Makes all lines safe from a power cut.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Takes room on the disk up to `end`. Nothing is begun that does not fit: what was taken before would go with it.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        if end <= self.room {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.size, end - self.size) {
            Ok(()) => {
                self.room = end;
                Ok(())
            }
            Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error.into()),
            // The file system has no such thing: a full disk refuses lines.
            Err(_) => Ok(()),
        }
    }
}

/// Opens a file to read it: a link is not followed, and a pipe not waited for.
///
/// # Errors
/// What the operating system says, or that it is no file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(careful).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

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
    #[ignore = "needs root: mounts a small file system"]
    fn a_full_disk_takes_lines_for_a_while_and_never_a_part_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "none"])
            .arg(dir.path())
            .status();
        assert!(mounted.unwrap().success());
        let path = dir.path().join("lines");
        let mut lines = Lines::open(&path).unwrap();
        lines.append(b"before\n").unwrap();
        let mut fill = File::create(dir.path().join("fill")).unwrap();
        while fill.write_all(&[1; 1024]).is_ok() {}
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let huge = [&[b'y'; 100_000][..], b"\n"].concat();
        assert_eq!(lines.append(&huge).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut taken = 0;
        let refused = loop {
            match lines.append_leaving(&line, 20_000) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(taken >= 40, "only {taken} lines fitted");
        for _ in 0..15 {
            lines.append(&line).expect("the room that was left");
            taken += 1;
        }
        std::fs::remove_file(dir.path().join("fill")).unwrap();
        lines.append(b"after\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let unmounted = std::process::Command::new("umount").arg("-l").arg(dir.path()).status();
        assert!(unmounted.unwrap().success());
        let whole = format!("before\n{}after\n", String::from_utf8(line).unwrap().repeat(taken));
        assert!(text == whole, "{} bytes", text.len());
    }

    #[test]
    fn a_line_that_a_crash_cut_does_not_take_the_next_one_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, "whole\npart").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        lines.append(b"next\n").unwrap();
        lines.append(b"last\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\npart\nnext\nlast\n");
    }

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
