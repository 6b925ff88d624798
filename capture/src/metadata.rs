//! What is known of a container beyond its cgroup: name, image, pod, host name, mounts.
//!
//! Sources vanish with the container, some of them milliseconds after it, so they are opened the moment a runtime's or
//! monitor's exec is taken from the ring, and parsed later. All of it happens in a process of its own
//! ([`crate::helpers::metadata`]): the drain thread hands over a request without ever waiting (what does not fit the queue is counted), and takes answers when there
//! are any. A fact that comes late still labels its container.
//!
//! Nothing learnt here is trusted: files are read by [`mod@file`]'s rules, parsed under limits, and each fact says where it
//! comes from. Whether the process that pointed at them may speak for the container is decided by
//! [`crate::identity::claims`].

pub mod annotations;
pub mod containers_storage;
pub mod docker;
pub mod file;
pub mod findings;
pub mod oci;
pub mod scout;
pub mod worker;

use std::{
    collections::HashMap,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    time::{Duration, Instant},
};

use afterimage_format::Engine;

pub use findings::Findings;
use worker::{Answer, Request, Target};

/// Most requests in waiting.
const REQUESTS: usize = 8192;
/// Most answers in waiting: those who look wait when they are not taken.
const ANSWERS: usize = 1024;

/// The way to those who look things up.
#[derive(Debug)]
pub struct Metadata {
    requests: Option<SyncSender<Request>>,
    answers: Receiver<Answer>,
    /// Requests without their last answer.
    open: HashMap<Target, u32>,
    /// Requests that did not fit the queue.
    pub refused: u64,
}

impl Metadata {
    /// With the ends for those who look: what is asked, and where answers go.
    pub fn new() -> (Self, Receiver<Request>, SyncSender<Answer>) {
        let (requests, asked) = mpsc::sync_channel(REQUESTS);
        let (answer, answers) = mpsc::sync_channel(ANSWERS);
        (Self { requests: Some(requests), answers, open: HashMap::new(), refused: 0 }, asked, answer)
    }

    /// Asks, without ever waiting.
    pub fn ask(&mut self, request: Request) {
        let target = request.target();
        let Some(requests) = &self.requests else { return };
        match requests.try_send(request) {
            Ok(()) => {
                if let Some(target) = target {
                    *self.open.entry(target).or_default() += 1;
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.refused += 1,
        }
    }

    /// The next answer, if there is one.
    pub fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.close(&answer);
        Some(answer)
    }

    /// Asks nothing more; the next answer of those that are due, unless it takes too long.
    pub fn last_answer(&mut self, until: Instant) -> Option<Answer> {
        self.requests = None;
        if self.open.is_empty() {
            return None;
        }
        let wait = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match self.answers.recv_timeout(wait) {
            Ok(answer) => {
                self.close(&answer);
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn close(&mut self, answer: &Answer) {
        if answer.last
            && let Some(open) = self.open.get_mut(&answer.target)
        {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&answer.target);
            }
        }
    }

    /// Whether answers about a target are still due.
    pub fn is_due(&self, target: Target) -> bool {
        self.open.contains_key(&target)
    }
}

/// Who lays out bundles like this.
pub fn engine_of_bundle(bundle: &[u8]) -> Option<Engine> {
    let parts: Vec<&[u8]> = bundle.split(|&b| b == b'/').collect();
    let task = parts.iter().position(|part| part.starts_with(b"io.containerd.runtime."));
    if let Some(namespace) = task.and_then(|at| parts.get(at + 1)) {
        return Some(if *namespace == b"moby" { Engine::Docker } else { Engine::Containerd });
    }
    let in_storage = parts.last() == Some(&&b"userdata"[..])
        && parts.len() > 3
        && parts[parts.len() - 3].ends_with(b"-containers");
    in_storage.then_some(Engine::Podman)
}
