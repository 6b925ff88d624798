//! Why a verb could not do what was asked: each failure is one sentence that names what, where and what to do.

use std::{io, path::Path};

use afterimage_format::{OpenError, ReadError};
use afterimage_model::text::escape;

use crate::exit::Exit;

/// A verb's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line asks for something that does not exist or contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// No container of that name.
    #[error(
        "no container `{wanted}` in {}`{place}`; {hint}",
        if *damaged { "what is left of the damaged " } else { "" }
    )]
    NoSuchContainer {
        /// As the user gave it.
        wanted: String,
        /// The recording.
        place: String,
        /// What to do.
        hint: String,
        /// One of the recordings has damage: it may have been there.
        damaged: bool,
    },
    /// No container at all.
    #[error("no container in `{place}`; `afterimage info` says what is in it and what is damaged")]
    NoContainer {
        /// The recordings.
        place: String,
        /// One of them has damage: there may have been containers.
        damaged: bool,
    },
    /// No incident of that id, or none with a container.
    #[error("no incident `{wanted}` with a container in `{place}`; `afterimaged trigger --list` lists them")]
    NoSuchIncident {
        /// As the user gave it.
        wanted: String,
        /// The store.
        place: String,
    },
    /// Several containers of that name.
    #[error("`{wanted}` names {count} containers: {}; give more digits of the id, or `uid:N`", candidates.join(", "))]
    Ambiguous {
        /// As the user gave it.
        wanted: String,
        /// How many.
        count: usize,
        /// Those it could be, as far as they are listed.
        candidates: Vec<String>,
    },
    /// A recording cannot be opened.
    #[error("{}", open_sentence(.0))]
    Open(#[from] OpenError),
    /// A recording cannot be read on.
    #[error("{}", read_sentence(.0))]
    Read(#[from] ReadError),
    /// Standard output, or a file that was asked for, cannot be written.
    #[error("cannot write {place}: {source}; the output is incomplete")]
    Output {
        /// Where to.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// Whoever read the output has closed it: not an error.
    #[error("output closed")]
    Closed,
    /// Anything else about the environment.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Ambiguous { .. } => Exit::Usage,
            Self::NoContainer { damaged: true, .. } | Self::NoSuchContainer { damaged: true, .. } => {
                Exit::Damaged
            }
            Self::NoSuchContainer { .. } | Self::NoContainer { .. } | Self::NoSuchIncident { .. } => {
                Exit::Nothing
            }
            Self::Open(OpenError::NotARecording { .. } | OpenError::Damaged { .. }) => Exit::Damaged,
            Self::Closed => Exit::Found,
            Self::Open(_) | Self::Read(_) | Self::Output { .. } | Self::Environment(_) => Exit::Environment,
        }
    }

    /// A failed write of the file or stream `place`; a closed pipe is told apart.
    pub fn output(place: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Output { place: place.into(), source },
        }
    }
}

impl From<io::Error> for Failure {
    /// Errors of standard output, the only stream that verbs write to through `?`.
    fn from(source: io::Error) -> Self {
        Self::output("standard output", source)
    }
}

/// A path as text that is safe to print.
pub fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).into_string()
}

fn open_sentence(error: &OpenError) -> String {
    match error {
        OpenError::Io { action, path, source } => {
            let hint = match source.kind() {
                io::ErrorKind::NotFound => {
                    "name a trace file or a store's directory, or set AFTERIMAGE_STORE to a store"
                }
                io::ErrorKind::PermissionDenied => "run as a user who may read it, or as root",
                _ => "check the file and its disk",
            };
            format!("cannot {action} `{}`: {}; {hint}", shown(path), os_reason(source))
        }
        OpenError::NotARecording { path } => format!(
            "`{}` is not an Afterimage recording; name an `.aft` or `.aftx` file, or the directory that \
             `afterimaged run --store` writes to",
            shown(path)
        ),
        OpenError::Version { path, found, supported } => format!(
            "`{}` has format version {found} and this afterimage reads version {supported}; use the afterimage \
             of the release that recorded it",
            shown(path)
        ),
        OpenError::InUse { path } => {
            format!("the store `{}` is in use by another recorder; stop that one first", shown(path))
        }
        OpenError::Damaged { path, defect } => format!(
            "`{}` has a damaged header ({} at offset {}: {}); look for an intact copy",
            shown(path),
            defect.kind.as_str(),
            defect.offset,
            defect.detail
        ),
        other => format!("{other}; check the path"),
    }
}

fn read_sentence(error: &ReadError) -> String {
    match error {
        ReadError::Io { path, source } => {
            format!("cannot read `{}`: {}; check the file and its disk", shown(path), os_reason(source))
        }
        other => other.to_string(),
    }
}

/// The operating system's words without Rust's `(os error N)`.
fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_escaped_in_sentences() {
        let path = Path::new("/tmp/\x1b]0;own\x07.aft").to_owned();
        let text = Failure::Open(OpenError::NotARecording { path }).to_string();
        assert!(text.contains(r"/tmp/\x1b]0;own\x07.aft"), "{text}");
        assert!(!text.chars().any(char::is_control));
    }

    #[test]
    fn other_version_is_the_environment_and_no_recording_is_damage() {
        let version = OpenError::Version { path: "x".into(), found: 9, supported: 1 };
        assert_eq!(Failure::Open(version).exit(), Exit::Environment);
        assert_eq!(Failure::Open(OpenError::NotARecording { path: "x".into() }).exit(), Exit::Damaged);
    }

    #[test]
    fn denied_permission_says_who_may() {
        let source = io::Error::from_raw_os_error(13);
        let error = OpenError::Io { action: "open", path: "/var/lib/afterimage".into(), source };
        let text = Failure::Open(error).to_string();
        assert_eq!(
            text,
            "cannot open `/var/lib/afterimage`: permission denied; run as a user who may read it, or as root"
        );
    }

    #[test]
    fn closed_pipe_is_no_error() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit(), Exit::Found);
    }
}
