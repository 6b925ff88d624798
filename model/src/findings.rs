//! The key events of a container, told without rules: what an analyst would point at first.
//!
//! Each finding is an observation with its evidence, not a verdict: titles say what was seen. The set-up by the
//! runtime and the host are left out. A finding is raised when a process descends from one that was itself found
//! to be foreign (a dropped program, a shell on a socket): the same act weighs more there. The same observation is
//! told once per container.

mod act;
mod attack;
mod bpf;
mod files;
mod network;
mod places;
mod privileges;
mod programs;
mod tried;

use std::collections::{BTreeMap, HashMap, HashSet};

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, EventFlags, TaskKey};

use crate::{World, process::ProcessKey, renames::Renames, requests::Requests, text::Safe};
use act::Act;
pub use attack::technique;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Part of the story.
    Info,
    /// Worth a look.
    Notice,
    /// Rarely part of normal work.
    Warning,
    /// Hardly ever part of normal work.
    Critical,
}

impl Severity {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// One step up.
    fn raised(self) -> Self {
        match self {
            Self::Info => Self::Notice,
            Self::Notice => Self::Warning,
            Self::Warning | Self::Critical => Self::Critical,
        }
    }
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The event's time; with `task` it names the event.
    pub time: BootNanos,
    /// Whose.
    pub container: ContainerUid,
    /// The thread that did it.
    pub task: TaskKey,
    /// The event's kind.
    pub code: EventCode,
    /// How much it weighs.
    pub severity: Severity,
    /// What was seen.
    pub title: &'static str,
    /// On what, by what.
    pub detail: Safe,
    /// Technique of MITRE ATT&CK that it may be part of; empty where it is none.
    pub attack: &'static str,
}

/// What a look at one event found, before it becomes a [`Finding`].
#[derive(Debug)]
struct Seen {
    severity: Severity,
    title: &'static str,
    attack: &'static str,
    detail: Safe,
}

impl Seen {
    fn new(severity: Severity, title: &'static str, attack: &'static str, detail: Safe) -> Self {
        Self { severity, title, attack, detail }
    }
}

/// Findings told of one container at most.
const MOST_FINDINGS: usize = 10_000;
/// Files, programs, foreign processes remembered of one container at most.
const MOST_REMEMBERED: usize = 8_192;

/// Follows containers and tells their key events as they come.
#[derive(Debug, Default)]
pub struct Story {
    memories: BTreeMap<ContainerUid, Memory>,
}

/// What is remembered of a container.
#[derive(Debug, Default)]
struct Memory {
    /// What was told already.
    told: HashSet<(&'static str, String)>,
    /// Files written during the recording, by path.
    written: BTreeMap<Vec<u8>, Written>,
    /// Descriptors through which a file was written that is not closed yet.
    writing: BTreeMap<(ProcessKey, i32), Vec<u8>>,
    /// Images executed.
    executed: BTreeMap<Vec<u8>, ()>,
    /// Effective user ids at the last execution.
    users: HashMap<ProcessKey, u32>,
    /// Processes found to be foreign.
    foreign: HashSet<ProcessKey>,
    /// Connections that failed.
    tried: tried::Tried,
    /// Work that renames of directories may still make.
    renames: Renames,
    /// Requests of io_urings.
    requests: Requests,
    /// When descriptors of eBPF objects were opened by their numbers.
    numbered: HashSet<BootNanos>,
    /// Findings and memories that were left out for lack of room.
    dropped: u64,
}

/// A file that was written during the recording.
#[derive(Debug, Clone)]
struct Written {
    by: ProcessKey,
    name: Safe,
    created: bool,
    bytes: u64,
    /// Of these, those of before it was emptied the last time.
    emptied: u64,
    /// It lost this name: what may have it since is another file.
    gone: bool,
}

impl Written {
    /// Bytes written since it was made or emptied.
    fn content(&self) -> u64 {
        self.bytes.saturating_sub(self.emptied)
    }
}

impl Story {
    /// Nothing told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at one event, which `world` has applied already, and tells what is to be told of it: the weightiest
    /// observation, where there are several.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) -> Option<Finding> {
        if container == ContainerUid::HOST || event.flags.contains(EventFlags::SETUP) {
            return None;
        }
        let is_told = matches!(
            event.code,
            EventCode::EXEC | EventCode::EXIT | EventCode::URING_SUBMIT | EventCode::URING_COMPLETE
        ) || event.code.as_syscall().is_some();
        if !is_told || event.flags.contains(EventFlags::SIGRETURN) {
            return None;
        }
        let process = world.process_of_task(event.task)?;
        let memory = self.memories.entry(container).or_default();
        let act = Act { world, event, process };
        let mut seen = if event.code == EventCode::EXEC {
            programs::look(&act, memory)?
        } else if event.code == EventCode::EXIT {
            files::ended(&act, memory)?
        } else if event.code.as_syscall().is_none() {
            let found = [files::ring(&act, memory), network::ring(&act, memory)];
            found.into_iter().flatten().max_by_key(|s| s.severity)?
        } else {
            let found =
                [files::look(&act, memory), network::look(&act, memory), privileges::look(&act, memory)];
            found.into_iter().flatten().max_by_key(|s| s.severity)?
        };
        if seen.severity != Severity::Info && memory.is_foreign(&act) {
            seen.severity = seen.severity.raised();
        }
        memory.tell(&act, container, seen)
    }

    /// What was left out of a container's story for lack of room.
    pub fn dropped(&self, container: ContainerUid) -> u64 {
        self.memories.get(&container).map_or(0, |m| m.dropped)
    }

    /// Forgets a container.
    pub fn forget(&mut self, container: ContainerUid) {
        self.memories.remove(&container);
    }
}

impl Memory {
    /// Whether the process or one of its ancestors was found to be foreign.
    fn is_foreign(&self, act: &Act<'_>) -> bool {
        !self.foreign.is_empty()
            && std::iter::once(act.process)
                .chain(act.world.ancestors(act.process))
                .any(|p| self.foreign.contains(&p.key))
    }

    fn tell(&mut self, act: &Act<'_>, container: ContainerUid, seen: Seen) -> Option<Finding> {
        if self.told.len() >= MOST_FINDINGS {
            self.dropped += 1;
            return None;
        }
        if !self.told.insert((seen.title, seen.detail.as_str().to_owned())) {
            return None;
        }
        Some(Finding {
            time: act.event.time,
            container,
            task: act.event.task,
            code: act.event.code,
            severity: seen.severity,
            title: seen.title,
            detail: seen.detail,
            attack: seen.attack,
        })
    }

    /// What was known under a name, and below it, is known under another.
    fn rename(&mut self, from: &[u8], to: &[u8]) {
        if from == to {
            return;
        }
        self.lose_name(to);
        if let Some(written) = self.written.remove(from) {
            self.written.insert(to.to_vec(), written);
        }
        if self.executed.remove(from).is_some() {
            self.executed.insert(to.to_vec(), ());
        }
        let both = (from, to);
        let done =
            self.renames.apply(&mut self.written, both) && self.renames.apply(&mut self.executed, both);
        self.dropped += u64::from(!done);
    }

    /// Two files have each other's names.
    fn exchange(&mut self, one: &[u8], other: &[u8]) {
        swap(&mut self.written, one, other);
        swap(&mut self.executed, one, other);
        let mut all = true;
        // What lies in directories, by a name that no path has: one goes to where the other is.
        for both in [(one, &b"\0"[..]), (other, one), (&b"\0"[..], other)] {
            all &=
                self.renames.apply(&mut self.written, both) && self.renames.apply(&mut self.executed, both);
        }
        self.dropped += u64::from(!all);
    }

    /// The file that was written and still has this name.
    fn written_at(&self, path: &[u8]) -> Option<&Written> {
        self.written.get(path).filter(|written| !written.gone)
    }

    /// A name was removed, or given to another file. What was written by it may still be open, and be executed so.
    fn lose_name(&mut self, path: &[u8]) {
        if let Some(written) = self.written.get_mut(path) {
            written.gone = true;
        }
        self.executed.remove(path);
    }

    fn remember_user(&mut self, key: ProcessKey, euid: Option<u32>) {
        let Some(euid) = euid else { return };
        if self.users.len() < MOST_REMEMBERED || self.users.contains_key(&key) {
            self.users.insert(key, euid);
        } else {
            self.dropped += 1;
        }
    }

    fn remember_foreign(&mut self, key: ProcessKey) {
        if self.foreign.len() < MOST_REMEMBERED {
            self.foreign.insert(key);
        } else {
            self.dropped += 1;
        }
    }
}

fn swap<V>(known: &mut BTreeMap<Vec<u8>, V>, one: &[u8], other: &[u8]) {
    let (first, second) = (known.remove(one), known.remove(other));
    known.extend(first.map(|value| (other.to_vec(), value)));
    known.extend(second.map(|value| (one.to_vec(), value)));
}

#[cfg(test)]
mod tests;
