//! What each process of the recorder may do, and that it can do no more.
//!
//! There are four, of which three work:
//!
//! | process | capabilities | besides |
//! |---|---|---|
//! | capture: programs, rings, store | `CAP_BPF`, `CAP_PERFMON`, in its recording thread alone | Landlock: the store, what it reads; no IP socket |
//! | metadata: files of containers and runtimes | `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH` | no eBPF, no IP socket |
//! | control: API, webhook, metrics, outputs | none | no eBPF; Landlock: what its configuration names, not the store |
//! | spawner: starts the two anew when they end | permitted, not in force: what metadata has | reads one byte at a time |
//!
//! Rules. All of them lose the way back: `no_new_privs`, an emptied bounding set where they may, and a seccomp filter
//! without which no program is executed, no process traced, nothing mounted, no clock set. Capabilities, Landlock and
//! seccomp belong to threads: each thread gives up its rights itself, first of all, by [`settle`]. What a kernel refuses
//! is told by name, in the log and in the status, and never stops recording.

pub mod capabilities;
pub mod landlock;
pub mod reach;
pub mod seccomp;
pub mod spawner;

use std::{
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use capabilities::Set;
use tracing::warn;

/// A process of the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The recording thread's process.
    Capture,
    /// Reads what runtimes keep about containers.
    Metadata,
    /// Serves.
    Control,
    /// Starts the others.
    Spawner,
}

impl Role {
    /// Its name, in the status and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Metadata => "metadata",
            Self::Control => "control",
            Self::Spawner => "spawner",
        }
    }

    /// What its first thread keeps.
    pub fn keeps(self) -> Set {
        match self {
            Self::Capture => Set::EBPF,
            Self::Metadata | Self::Spawner => Set::LOOK,
            Self::Control => Set::NONE,
        }
    }
}

/// What the threads of the capture process are confined to, once its first thread has decided.
static CAPTURE: OnceLock<Capture> = OnceLock::new();
/// A failure is told once, not by each thread.
static TOLD: AtomicBool = AtomicBool::new(false);

/// The capture process's confinement.
#[derive(Debug, Default)]
pub struct Capture {
    /// Capabilities that all its threads need besides, because of whose the store is.
    pub also: Set,
    /// Files.
    pub files: landlock::Files,
}

/// What threads of the capture process need besides, to write to this store: the files of another user are written only
/// by who may write all.
pub fn for_store(store: &Path) -> Set {
    let own = rustix::process::geteuid().as_raw();
    match std::fs::metadata(store) {
        Ok(meta) if meta.uid() != own || meta.mode() & 0o300 != 0o300 => Set::DAC_OVERRIDE,
        // One that is not there will be its own.
        Ok(_) | Err(_) => Set::NONE,
    }
}

/// Confines a process of one thread.
///
/// What the kernel refused, in words; nothing where all is as it should be.
#[must_use]
pub fn confine(role: Role) -> Vec<String> {
    let mut refused = Vec::new();
    if role == Role::Control {
        be_ordinary();
    }
    refused.extend(capabilities::keep(role.keeps(), role != Role::Spawner).err());
    refused.extend(seccomp::forbid(role).err());
    refused.into_iter().map(|why| format!("{}: {why}", role.as_str())).collect()
}

/// From here on threads of this process that [`settle`] are confined.
pub fn begin(capture: Capture) {
    let _ = CAPTURE.set(capture);
}

/// Gives this thread ordinary priority, the recorder's being for the recording thread, and confines it.
pub fn settle() {
    be_ordinary();
    settle_urgent();
}

fn be_ordinary() {
    // Raising a nice value is always allowed; a failure only costs priority.
    let _ = rustix::process::setpriority_process(None, 0);
}

/// Confines this thread, which needs no capability, and leaves it the priority that it has.
pub fn settle_urgent() {
    let Some(capture) = CAPTURE.get() else { return };
    let refused = confine_thread(capture, capture.also);
    if !refused.is_empty() && !TOLD.swap(true, Ordering::Relaxed) {
        warn!("threads are confined less than they could be: {}", refused.join("; "));
    }
}

/// Confines the recording thread, after everything is loaded and what was there before is known.
#[must_use]
pub fn settle_recording() -> Vec<String> {
    let Some(capture) = CAPTURE.get() else { return Vec::new() };
    confine_thread(capture, Role::Capture.keeps().with(capture.also))
}

fn confine_thread(capture: &Capture, kept: Set) -> Vec<String> {
    let mut refused = Vec::new();
    refused.extend(capabilities::keep(kept, true).err());
    refused.extend(landlock::restrict(&capture.files, landlock::Tcp::None).err());
    refused.extend(seccomp::forbid(Role::Capture).err());
    refused.into_iter().map(|why| format!("capture: {why}")).collect()
}
