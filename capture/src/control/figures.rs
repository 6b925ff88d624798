//! What the recording thread leaves for others to read.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    cost::Memory,
    host,
    recorder::{HostMode, Profile, Status},
};

/// Figures of the recording thread, as last left.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Its own figures.
    pub status: Status,
    /// Which calls are kept.
    pub profile: Profile,
    /// What of the host.
    pub host: HostMode,
    /// Events stored in each second, over the last few.
    pub rate: u64,
}

/// Between the recording thread and all others.
#[derive(Debug)]
pub struct Shared {
    figures: Mutex<Option<Figures>>,
    /// When the recording thread last made a pass: nanoseconds of boot time.
    alive: AtomicU64,
    /// When recording began.
    pub started: i64,
    /// What is missing in the recording, because this kernel or place does not offer it.
    pub degraded: Vec<String>,
    memory: Memory,
    begun: Instant,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            figures: Mutex::default(),
            alive: AtomicU64::new(0),
            started: host::clock_pair().real,
            degraded: Vec::new(),
            memory: Memory::open(),
            begun: Instant::now(),
        }
    }
}

impl Shared {
    /// Of a recording in which something is missing.
    pub fn of(degraded: &[String]) -> Self {
        Self { degraded: degraded.to_vec(), ..Self::default() }
    }

    /// Says that the recording thread lives.
    pub fn beat(&self, now: afterimage_format::BootNanos) {
        self.alive.store(now.0, Ordering::Relaxed);
    }

    /// How long ago the recording thread last said so.
    pub fn silence(&self) -> Duration {
        let alive = self.alive.load(Ordering::Relaxed);
        Duration::from_nanos(host::boot_now().0.saturating_sub(alive))
    }

    /// Leaves figures; not when somebody is just reading them.
    pub fn leave(&self, figures: Figures) {
        if let Ok(mut left) = self.figures.try_lock() {
            *left = Some(figures);
        }
    }

    /// The figures as last left; `None` before the first time.
    pub fn figures(&self) -> Option<Figures> {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resident memory of the capture process, bytes; `None` where it cannot be read.
    pub fn resident(&self) -> Option<u64> {
        self.memory.resident()
    }

    /// How long recording goes on.
    pub fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }
}
