//! Opening: files, store directories, several of them, or the default store.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use afterimage_detect::{Image, rooted};
use afterimage_format::{BootNanos, ContainerUid, OpenError, Part, RECORDING_MAGIC, Recording};
use afterimage_model::text::Safe;
use clap::Args;
use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::{incident, whole::Wholes};
use crate::{
    failure::{Failure, shown},
    output::{Cell, Machine},
    time::{self, Clock, Frame},
};

/// Where `afterimaged` writes unless it is told otherwise.
const DEFAULT_STORE: &str = "/var/lib/afterimage";
/// Names another default.
const STORE_VARIABLE: &str = "AFTERIMAGE_STORE";

/// Signals that stop a program at once.
#[cfg(unix)]
const STOPS: [i32; 3] =
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];

/// Names standard input.
pub(crate) const STDIN: &str = "-";

/// The recordings that a verb reads.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArgs {
    /// Trace files, store directories, directories of `.aftx` files, or `-` for standard input [default: $AFTERIMAGE_STORE, else /var/lib/afterimage]
    #[arg(value_name = "STORE")]
    pub stores: Vec<PathBuf>,
}

/// One opened recording.
#[derive(Debug)]
pub struct Trace {
    /// What was opened.
    pub path: PathBuf,
    /// Its contents.
    pub recording: Recording,
    /// Its clock in the zone that was asked for.
    pub clock: Clock,
    /// See [`Self::images`].
    pub(super) images: OnceLock<Arc<[Image]>>,
    /// See [`Self::wholes`].
    pub(super) wholes: Wholes,
    /// See [`Self::rooted`].
    rooted: OnceLock<Arc<[ContainerUid]>>,
    /// See [`Self::pinned`].
    pinned: OnceLock<Vec<Part>>,
    /// What came through standard input; goes away with this.
    _spool: Option<NamedTempFile>,
}

impl StoreArgs {
    /// The paths that are meant.
    pub fn paths(&self) -> Vec<PathBuf> {
        if self.stores.is_empty() { vec![default_store()] } else { self.stores.clone() }
    }

    /// Opens all of them.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub fn open(&self, local: bool) -> Result<Vec<Trace>, Failure> {
        let mut traces = Vec::new();
        for path in self.paths() {
            match Trace::open(path.clone(), local) {
                Err(Failure::Open(OpenError::NotARecording { .. })) if !files_in(&path).is_empty() => {
                    let inside = files_in(&path).into_iter().map(|file| Trace::open(file, local));
                    traces.extend(inside.collect::<Result<Vec<_>, _>>()?);
                }
                opened => traces.push(opened?),
            }
        }
        Ok(traces)
    }

    /// The places as one text, for messages.
    pub fn place(&self) -> String {
        let paths: Vec<String> = self.paths().iter().map(|p| shown(p)).collect();
        paths.join("`, `")
    }
}

/// The extracts in a directory that is no store, by name.
pub fn files_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "aftx")).collect();
    files.sort();
    files
}

/// The store that is read when none is named.
fn default_store() -> PathBuf {
    std::env::var_os(STORE_VARIABLE)
        .filter(|v| !v.is_empty())
        .map_or_else(|| Path::new(DEFAULT_STORE).to_owned(), PathBuf::from)
}

/// Standard input as a file: reading begins with a recording's end, so a stream has to be kept. Only the user can
/// read the file, and its name cannot be foretold.
pub(crate) fn spool() -> Result<NamedTempFile, Failure> {
    let failed = |source| {
        Failure::output(
            format!("a temporary copy of standard input in {}", shown(&std::env::temp_dir())),
            source,
        )
    };
    let mut input = io::stdin().lock();
    let mut beginning = Vec::new();
    input.by_ref().take(RECORDING_MAGIC.len() as u64).read_to_end(&mut beginning).map_err(failed)?;
    // What is no recording may be endless.
    if beginning != RECORDING_MAGIC {
        return Err(OpenError::NotARecording { path: STDIN.into() }.into());
    }
    let mut file = NamedTempFile::with_prefix("afterimage-").map_err(failed)?;
    forget_on_signal(file.path().to_owned());
    io::copy(&mut beginning.as_slice().chain(input), &mut file).map_err(failed)?;
    Ok(file)
}

/// Takes the copy away when the program is stopped: a signal runs no destructor, and the copy holds evidence.
fn forget_on_signal(path: PathBuf) {
    #[cfg(unix)]
    if let Ok(mut signals) = signal_hook::iterator::Signals::new(STOPS) {
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // The program ends as the signal would have ended it, whether or not that worked.
                let _ = std::fs::remove_file(&path);
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
    }
    #[cfg(not(unix))]
    let _ = path;
}

impl Trace {
    /// Opens one recording.
    ///
    /// # Errors
    /// [`Failure::Open`].
    pub fn open(path: PathBuf, local: bool) -> Result<Self, Failure> {
        let spool = (path.as_os_str() == STDIN).then(spool).transpose()?;
        let opened = Recording::open(spool.as_ref().map_or(&path, |s| s.path()));
        let recording = opened.map_err(|error| match error {
            OpenError::NotARecording { .. } => OpenError::NotARecording { path: path.clone() },
            other => other,
        })?;
        let clock = Clock::new(recording.clock(), local);
        Ok(Self {
            path,
            recording,
            clock,
            images: OnceLock::new(),
            wholes: Wholes::default(),
            rooted: OnceLock::new(),
            pinned: OnceLock::new(),
            _spool: spool,
        })
    }

    /// The containers of which paths in events do not tell what they are ([`afterimage_detect::rooted`]), read once.
    pub fn rooted(&self) -> Arc<[ContainerUid]> {
        Arc::clone(self.rooted.get_or_init(|| rooted(&self.recording)))
    }

    /// What was pinned of whom, where it was extracted for incidents; else nothing.
    pub fn pinned(&self) -> &[Part] {
        self.pinned.get_or_init(|| {
            let incidents = self.recording.incidents().iter();
            incidents.flat_map(|incident| incident::pinned(&self.recording, incident)).collect()
        })
    }

    /// First and last moment of it; both 0 where it holds no event.
    pub fn range(&self) -> (BootNanos, BootNanos) {
        self.recording.time_range().unwrap_or_default()
    }

    /// What moments refer to in the whole of it.
    pub fn frame(&self) -> Frame<'_> {
        let (start, end) = self.range();
        self.frame_between(start, end)
    }

    /// What moments refer to in a part of it: a container's life.
    pub fn frame_between(&self, start: BootNanos, end: BootNanos) -> Frame<'_> {
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        Frame { clock: &self.clock, start, end, now }
    }

    /// A moment as a cell: date and time for people, RFC 3339 in UTC for programs. Without any clock reading only
    /// people get something: the time since boot.
    pub fn moment(&self, at: BootNanos) -> Cell {
        match self.clock.full(at) {
            Some(text) => Cell::both(text, self.clock.rfc3339(at)),
            None => {
                let since = time::offset(i128::from(at.0));
                Cell::both(Safe::format(format_args!("boot{since}")), Machine::NULL)
            }
        }
    }
}
