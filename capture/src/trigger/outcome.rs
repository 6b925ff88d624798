//! What became of a trigger: the answer to its sender, and what is written down.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    Hints, Trigger,
    directory::{Known, Missing},
};

/// Wall-clock nanoseconds, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(stamp) => write!(f, "{stamp:.9}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let stamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        i64::try_from(stamp.as_nanosecond()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// One of few words: ours, or as an earlier recorder wrote it down.
pub type Word = Cow<'static, str>;

/// What became of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Taken, and not looked at yet, or no container is known yet that it can mean.
    Queued,
    /// Pinned.
    Pinned,
    /// Written down.
    Marked,
    /// No action wanted it.
    Ignored,
    /// It came before.
    Duplicate,
    /// No container is known that it can mean.
    Unmatched,
    /// The pin could not be made.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Pinned,
        Self::Marked,
        Self::Ignored,
        Self::Duplicate,
        Self::Unmatched,
        Self::Failed,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinned => "pinned",
            Self::Marked => "marked",
            Self::Ignored => "ignored",
            Self::Duplicate => "duplicate",
            Self::Unmatched => "unmatched",
            Self::Failed => "failed",
        }
    }
}

/// What became of a trigger, with everything that was found and pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The trigger's id.
    pub id: String,
    /// What became of it.
    pub state: State,
    /// The sender.
    pub source: Word,
    /// The rule.
    pub rule: String,
    /// How bad.
    pub priority: Word,
    /// Its tags.
    pub tags: Vec<String>,
    /// In words.
    pub reason: String,
    /// When what it tells of happened.
    pub time: Instant,
    /// When it came.
    pub received: Instant,
    /// From where.
    pub from: String,
    /// What it came in.
    pub body_sha256: String,
    /// What it said of the container.
    pub hints: Told,
    /// By what containers were found.
    pub found_by: Word,
    /// The containers, and what of them is pinned.
    pub containers: Vec<Covered>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// It was the same as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
}

/// Hints as they are written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    host: bool,
}

impl Told {
    fn new(hints: &Hints) -> Self {
        let Hints { id, name, namespace, pod, pod_container, pid, cgroup, image, host, .. } = hints.clone();
        Self { container: id, name, namespace, pod, pod_container, pid, cgroup, image, host }
    }
}

/// What of a container is pinned, and how complete its recording is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The recorder's number of it.
    pub uid: u64,
    /// The engine's id.
    pub container: String,
    /// Its name.
    pub name: Option<String>,
    /// Its pod, with the namespace.
    pub pod: Option<String>,
    /// Running, exited, deleted, or unknown where its recorder stopped before it did.
    pub state: Word,
    /// The pin.
    pub pin: Option<String>,
    /// It is an earlier trigger's pin, extended.
    pub extended: bool,
    /// Pinned from.
    pub from: Option<Instant>,
    /// Pinned to; nothing where it goes on until the container's end.
    pub to: Option<Instant>,
    /// Where the recording of the range begins.
    pub recorded_from: Instant,
    /// Where it ends by now.
    pub recorded_to: Instant,
    /// Nothing is missing of the range as far as it has passed.
    pub complete: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// Gaps in the range.
    pub gaps: Vec<GapTold>,
}

/// A gap as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapTold {
    /// Why.
    pub cause: Word,
    /// From.
    pub from: Instant,
    /// To.
    pub to: Instant,
    /// How many events, where that is known.
    pub count: Option<u64>,
    /// It is this container's own; otherwise nobody knows whose events they were.
    pub own: bool,
}

/// Most gaps that an answer lists.
const MAX_GAPS_TOLD: usize = 100;

impl Outcome {
    /// Of a trigger that was not looked at yet.
    pub fn queued(id: String, trigger: &Trigger, body: &super::Body) -> Self {
        Self {
            id,
            state: State::Queued,
            source: trigger.source.as_str().into(),
            rule: trigger.rule.clone(),
            priority: trigger.priority.as_str().into(),
            tags: trigger.tags.clone(),
            reason: trigger.reason.clone(),
            time: Instant(trigger.time.unwrap_or(body.received)),
            received: Instant(body.received),
            from: body.from.clone(),
            body_sha256: body.sha256.clone(),
            hints: Told::new(&trigger.hints),
            found_by: Word::default(),
            containers: Vec::new(),
            warnings: trigger.notes.clone(),
            duplicate_of: None,
        }
    }
}

impl Covered {
    /// What is recorded of a container between `from` and `to`; the future counts as far as `now`.
    pub fn new(
        known: &Known,
        (from, to): (i64, Option<i64>),
        now: i64,
        Missing { gaps, words }: Missing,
    ) -> Self {
        let end = known.removed.unwrap_or(now).min(to.unwrap_or(i64::MAX)).min(now);
        let mut missing: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if gaps.len() > MAX_GAPS_TOLD {
            missing.push(format!("{} gaps, of which the first {MAX_GAPS_TOLD} are listed", gaps.len()));
        }
        let told = gaps.iter().take(MAX_GAPS_TOLD).map(|gap| GapTold {
            cause: gap.cause.as_str().into(),
            from: Instant(gap.from),
            to: Instant(gap.to),
            count: gap.count,
            own: gap.container.is_some(),
        });
        Self {
            uid: known.uid.0,
            container: known.id.clone(),
            name: known.name.clone().or_else(|| known.pod_container.clone()),
            pod: known.pod.as_ref().map(|pod| match &known.namespace {
                Some(namespace) => format!("{namespace}/{pod}"),
                None => pod.clone(),
            }),
            state: known.state().into(),
            pin: None,
            extended: false,
            from: None,
            to: None,
            recorded_from: Instant(from.max(known.first_seen)),
            recorded_to: Instant(end.max(known.first_seen)),
            complete: missing.is_empty() && gaps.is_empty(),
            missing,
            gaps: told.collect(),
        }
    }
}
