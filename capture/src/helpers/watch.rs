//! What is known of the other processes, for the status and the metrics.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
};

use crate::{host, privilege::Role};

/// One process.
#[derive(Debug, Default)]
pub struct Helper {
    pid: AtomicI32,
    running: AtomicBool,
    /// How often another had to take its place.
    pub restarts: AtomicU64,
    /// What it sent that answers nothing or is no message.
    pub rejected: AtomicU64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Helpers {
    /// Reads what runtimes keep.
    pub metadata: Helper,
    /// Serves.
    pub control: Helper,
    /// Starts the others.
    spawner: Helper,
    /// What the kernel refused when rights were given up.
    refused: Mutex<Vec<String>>,
}

/// One process at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its id; 0 before the first.
    pub pid: i32,
    /// Whether it runs.
    pub running: bool,
    /// How often another had to take its place.
    pub restarts: u64,
    /// Messages left out.
    pub rejected: u64,
}

impl Helper {
    /// It has begun.
    pub fn began(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
        self.running.store(true, Ordering::Release);
    }

    /// It has ended.
    pub fn ended(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// As it is now.
    pub fn seen(&self) -> Seen {
        Seen {
            pid: self.pid.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Acquire),
            restarts: self.restarts.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }
}

impl Helpers {
    /// The one of a role.
    pub fn of(&self, role: Role) -> &Helper {
        match role {
            Role::Control => &self.control,
            Role::Spawner => &self.spawner,
            Role::Metadata | Role::Capture => &self.metadata,
        }
    }

    /// With this spawner.
    pub fn new(spawner: i32) -> Self {
        let helpers = Self::default();
        helpers.spawner.began(spawner);
        helpers
    }

    /// Whether a process is one of them, at this moment: the id of one that has ended is nobody else's before another
    /// has taken its place.
    pub fn are(&self, tgid: u32) -> bool {
        let known = host::shares_process_numbers();
        known
            && [&self.metadata, &self.control, &self.spawner].iter().any(|helper| {
                helper.pid.load(Ordering::Relaxed) as u32 == tgid && helper.running.load(Ordering::Acquire)
            })
    }

    /// Notes what the kernel refused.
    pub fn refuse(&self, refused: Vec<String>) {
        let mut all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for why in refused {
            if !all.contains(&why) {
                tracing::warn!("{why}");
                all.push(why);
            }
        }
    }

    /// What the kernel refused.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
