//! The case file on disk: beside the recording, opened to be appended to, never truncated.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use afterimage_model::text::escape;

use crate::{
    trace::{CASE_LIMIT, case_file},
    tui::{app::App, text::safe},
};

/// Where a recording's case file is.
#[derive(Debug, Clone)]
pub(crate) struct CaseFile {
    path: PathBuf,
    /// Writing failed and that was told.
    failed: bool,
}

impl CaseFile {
    /// Beside the recording.
    pub(crate) fn beside(recording: &Path) -> Self {
        Self { path: case_file(recording), failed: false }
    }

    /// At a place that the user named.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, failed: false }
    }

    /// What is in it; nothing where it does not exist.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(crate) fn read(&self) -> io::Result<String> {
        let file = match OpenOptions::new().read(true).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(CASE_LIMIT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what was noted since; where that fails it is told once, and what was noted stays until the end.
    pub(crate) fn append(&mut self, app: &mut App) {
        let text = app.case.unwritten();
        if text.is_empty() || self.failed {
            return;
        }
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_data()));
        if let Err(error) = written {
            self.failed = true;
            let path = escape(self.path.as_os_str().as_encoded_bytes());
            app.complain(safe!(
                "cannot write {path}: {error}; notes last until you quit (or use --case FILE)"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_the_recording_never_in_it() {
        let of = |path: &str| CaseFile::beside(Path::new(path)).path().display().to_string();
        assert_eq!(of("/evidence/demo.aftx"), "/evidence/demo.case.jsonl");
        assert_eq!(of("/var/lib/afterimage"), "/var/lib/afterimage.case.jsonl");
        assert_eq!(of("/var/lib/afterimage/"), "/var/lib/afterimage.case.jsonl");
        assert_eq!(of("/e/7f9c.d"), "/e/7f9c.d.case.jsonl");
    }
}
