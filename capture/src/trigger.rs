//! Triggers: alerts of other systems, of the recorder's own rules and of people, in one form.
//!
//! A body comes in, [`sender`] makes triggers of it, [`engine`] finds the containers they are about ([`directory`]),
//! decides what to do ([`action`]), pins, and writes everything down ([`journal`]). Bodies are foreign: every length,
//! count and depth is bounded before anything is kept.

pub mod action;
pub mod directory;
pub mod engine;
pub mod journal;
pub mod kept;
pub mod marks;
pub mod meters;
pub mod neighbours;
pub mod outcome;
pub mod pins;
pub mod resolve;
pub mod sender;
pub mod tail;

use std::{sync::Arc, time::Duration};

use afterimage_detect::rules::Priority;
use afterimage_format::ContainerUid;
use afterimage_model::artifacts::hex;
use sha2::{Digest as _, Sha256};

/// Who sent a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Falco's `http_output`, or falcosidekick.
    Falco,
    /// Prometheus Alertmanager.
    Alertmanager,
    /// The audit webhook of the Kubernetes API server.
    K8sAudit,
    /// A line of Tetragon's export.
    Tetragon,
    /// Tracee's webhook.
    Tracee,
    /// Our own form.
    Generic,
    /// A rule of the recorder.
    Rules,
    /// A person, by the command line.
    Person,
}

impl Source {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Falco, "falco"),
        (Self::Alertmanager, "alertmanager"),
        (Self::K8sAudit, "k8s-audit"),
        (Self::Tetragon, "tetragon"),
        (Self::Tracee, "tracee"),
        (Self::Generic, "generic"),
        (Self::Rules, "rules"),
        (Self::Person, "person"),
    ];

    /// Every source.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(source, _)| source)
    }

    /// Its word, as in paths and metrics.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(source, _)| *source == self).map_or("", |(_, name)| name)
    }

    /// The source of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == word).map(|(source, _)| *source)
    }
}

/// An alert in our own form.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Who sent it.
    pub source: Source,
    /// The rule's or alert's name.
    pub rule: String,
    /// How bad.
    pub priority: Priority,
    /// Its tags.
    pub tags: Vec<String>,
    /// When what it tells of happened: nanoseconds since 1970.
    pub time: Option<i64>,
    /// What it says of the container.
    pub hints: Hints,
    /// The sender's own key of it: the same key again is the same alert.
    pub fingerprint: Option<String>,
    /// It tells that something is over.
    pub resolved: bool,
    /// The sender writes down everything that happens, and this is no alert: only an action that names its rule acts.
    pub routine: bool,
    /// What it asks for itself.
    pub wish: Wish,
    /// In words.
    pub reason: String,
    /// What is odd about the body it came in, for its answer.
    pub notes: Vec<String>,
}

/// What a trigger says of the container it is about. All of it is what the sender claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The recorder's own number of it: no claim.
    pub uid: Option<ContainerUid>,
    /// The engine's id, or its first digits.
    pub id: Option<String>,
    /// The engine's name.
    pub name: Option<String>,
    /// Pod's namespace.
    pub namespace: Option<String>,
    /// Pod.
    pub pod: Option<String>,
    /// Container's name in the pod.
    pub pod_container: Option<String>,
    /// A process, as the host numbers it.
    pub pid: Option<u32>,
    /// When that process started: nanoseconds since 1970.
    pub pid_start: Option<i64>,
    /// Path of its cgroup.
    pub cgroup: Option<String>,
    /// Image.
    pub image: Option<String>,
    /// It is about the host itself.
    pub host: bool,
}

impl Hints {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a sender asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// What to do.
    pub action: Option<ActionKind>,
    /// How far back.
    pub before: Option<Span>,
    /// How far ahead.
    pub after: Option<Span>,
    /// What besides the container.
    pub scope: Option<Scope>,
    /// Bytes recorded from now on at which the pin ends.
    pub limit: Option<u64>,
    /// Whether to record every call of the container meanwhile.
    pub boost: Option<bool>,
    /// Of several containers that its words can mean, all are meant.
    pub all: bool,
}

/// What to do with a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// Pin what was and will be recorded.
    Pin,
    /// Write it down.
    Mark,
    /// Count it.
    Ignore,
}

/// A length of time, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// So long.
    For(Duration),
    /// Back to the container's beginning, or on to its end.
    All,
}

/// What a pin reaches besides the container itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Nothing.
    #[default]
    Container,
    /// The containers of its pod.
    Pod,
    /// The containers that descendants of the process are in.
    ProcessTree,
    /// Its pod, the container it was started from, those started from it, and those it talked to.
    Neighbours,
    /// The host's own processes.
    Host,
}

impl Scope {
    /// The scope of a word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "container" => Some(Self::Container),
            "pod" => Some(Self::Pod),
            "process_tree" => Some(Self::ProcessTree),
            "neighbours" => Some(Self::Neighbours),
            "host" => Some(Self::Host),
            _ => None,
        }
    }
}

impl ActionKind {
    /// The action of a word; the older words of other tools count.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "pin" | "keep" | "snapshot" => Some(Self::Pin),
            "mark" => Some(Self::Mark),
            "ignore" => Some(Self::Ignore),
            _ => None,
        }
    }
}

/// A body as it was received.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its bytes, unpacked.
    pub bytes: Arc<[u8]>,
    /// Their SHA-256, as hex digits.
    pub sha256: String,
    /// When: nanoseconds since 1970.
    pub received: i64,
    /// From where: an address, `uid 0`, a file.
    pub from: String,
}

impl Body {
    /// Received now.
    pub fn new(bytes: impl Into<Arc<[u8]>>, from: impl Into<String>) -> Self {
        let bytes = bytes.into();
        let sha256 = hex(&Sha256::digest(&bytes));
        Self { bytes, sha256, received: crate::host::clock_pair().real, from: from.into() }
    }

    /// The id of the trigger that is at this place in it.
    pub fn trigger_id(&self, place: usize) -> String {
        let mut hash = Sha256::new();
        hash.update(self.sha256.as_bytes());
        hash.update(self.received.to_le_bytes());
        hash.update((place as u64).to_le_bytes());
        format!("t-{}", hex(&hash.finalize()[..8]))
    }
}
