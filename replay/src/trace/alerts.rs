//! Alerts: what came to the recorder from outside or from its rules, and what became of it.
//!
//! A store has them beside its segments, one JSON object in a line; an extract of an incident has its one inside.
//! Bodies and rule names are foreign text: everything is escaped here.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use afterimage_format::{BootNanos, ContainerUid, Query};
use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};
use serde::Deserialize;

use super::{
    Trace,
    incident::{MAX_LINE, TRIGGERS, directory, open_beside},
};
use crate::failure::{Failure, shown};

/// Most alerts that are told: the latest.
const MOST: usize = 10_000;

/// How far behind the event that tripped it an alert can be, in nanoseconds. It tells the wall clock's time; rules and recording
/// turn the event's time into that by readings of both clocks of their own, and between two clocks that are read one after
/// the other there is never the same time.
const JITTER: u64 = 1_000;

/// An alert and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The recorder's id of it.
    pub id: Safe,
    /// Who sent it: `falco`, `rules`, `person`.
    pub source: Safe,
    /// The rule, else the reason in words.
    pub title: Safe,
    /// How bad, in the sender's word.
    pub priority: Safe,
    /// `pinned`, `marked`, `ignored`, `unmatched` and so on.
    pub state: Safe,
    /// When what it tells of happened; nothing where the recording has no clock reading.
    pub at: Option<BootNanos>,
    /// Whom it is about.
    pub containers: Vec<Covered>,
}

/// A container that an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// Which.
    pub uid: ContainerUid,
    /// Its recording of that time is kept.
    pub pinned: bool,
    /// Nothing of it is missing.
    pub complete: bool,
}

impl Alert {
    /// Whether it is about a container.
    pub fn is_about(&self, uid: ContainerUid) -> bool {
        self.containers.iter().any(|covered| covered.uid == uid)
    }

    /// How much a sender's word weighs here. An alert that says nothing of it is one all the same.
    pub fn severity(&self) -> Severity {
        match self.priority.as_str().to_ascii_lowercase().as_str() {
            "emergency" | "alert" | "critical" | "error" | "high" => Severity::Critical,
            "notice" | "low" => Severity::Notice,
            "info" | "informational" | "debug" | "routine" => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// Where a range begins that has what tripped it: at the first event of whom it is about in the last microsecond before
    /// its time, else at its time. Reads that much of the recording; what cannot be read says so when the range is.
    pub fn begin(&self, trace: &Trace) -> Option<BootNanos> {
        let at = self.at?;
        let containers: Vec<ContainerUid> = self.containers.iter().map(|covered| covered.uid).collect();
        let mut begin = at;
        if !containers.is_empty() {
            let from = BootNanos(at.0.saturating_sub(JITTER));
            let query = Query { containers, begin: Some(from), end: Some(at) };
            let _ = trace.recording.for_each(&query, &mut |_, event| {
                begin = event.time;
                ControlFlow::Break(())
            });
        }
        Some(begin)
    }
}

/// A trigger as the recorder writes it; members that are not needed here are passed over unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    kind: String,
    id: String,
    source: String,
    rule: String,
    reason: String,
    priority: String,
    state: String,
    time: String,
    containers: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    uid: u64,
    pin: Option<String>,
    complete: bool,
}

#[derive(Deserialize)]
struct Document {
    trigger: Line,
}

/// The files that have a store's alerts, and their lengths: while these stay, so do the alerts.
pub fn extent(path: &Path) -> Vec<(PathBuf, u64)> {
    let Some(store) = directory(path) else { return Vec::new() };
    let length = |path: PathBuf| {
        let length = path.metadata().ok()?.len();
        Some((path, length))
    };
    TRIGGERS.iter().filter_map(|name| length(store.join(name))).collect()
}

/// The alerts of a recording, in order of time.
///
/// # Errors
/// Files that are there and cannot be read.
pub fn alerts(trace: &Trace) -> Result<Vec<Alert>, Failure> {
    let mut lines = Lines::default();
    for (file, _) in extent(&trace.path) {
        let failed =
            |source: io::Error| Failure::Environment(format!("cannot read `{}`: {source}", shown(&file)));
        // Where it is gone the recorder turned to a new file since.
        if let Some(opened) = open_beside(&file).map_err(failed)? {
            lines.read(opened).map_err(failed)?;
        }
    }
    for incident in trace.recording.incidents() {
        if let Ok(document) = serde_json::from_slice::<Document>(&incident.document) {
            lines.take(document.trigger);
        }
    }
    let mut all: Vec<Alert> = lines.kept.into_iter().map(|line| alert(trace, line)).collect();
    all.sort_by_key(|alert| alert.at);
    Ok(all)
}

/// Lines by id: the last of an id counts.
#[derive(Default)]
struct Lines {
    kept: Vec<Line>,
    places: HashMap<String, usize>,
}

impl Lines {
    fn read(&mut self, file: File) -> io::Result<()> {
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        loop {
            text.clear();
            if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)? == 0 {
                return Ok(());
            }
            // A last line that a crash cut off is none.
            if let Ok(line) = serde_json::from_slice::<Line>(&text)
                && line.kind == "trigger"
            {
                self.take(line);
            }
        }
    }

    fn take(&mut self, line: Line) {
        if line.id.is_empty() {
            return;
        }
        if let Some(known) = self.places.get(&line.id).and_then(|at| self.kept.get_mut(*at)) {
            *known = line;
            return;
        }
        if self.kept.len() >= 2 * MOST {
            self.kept.drain(..MOST);
            self.places = self.kept.iter().enumerate().map(|(at, line)| (line.id.clone(), at)).collect();
        }
        self.places.insert(line.id.clone(), self.kept.len());
        self.kept.push(line);
    }
}

fn alert(trace: &Trace, line: Line) -> Alert {
    let real = line.time.parse::<jiff::Timestamp>().ok();
    let real = real.and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok());
    // What a person says has no rule, and the recorder writes who said it in that place.
    let has_rule = !line.rule.is_empty() && (line.rule != line.source || line.reason.is_empty());
    let title = if has_rule { &line.rule } else { &line.reason };
    Alert {
        id: escape(line.id.as_bytes()),
        source: escape(line.source.as_bytes()),
        title: escape(title.as_bytes()),
        priority: escape(line.priority.as_bytes()),
        state: escape(line.state.as_bytes()),
        at: real.and_then(|real| trace.recording.clock().boot(real)),
        containers: line
            .containers
            .iter()
            .map(|part| Covered {
                uid: ContainerUid(part.uid),
                pinned: part.pin.is_some(),
                complete: part.complete,
            })
            .collect(),
    }
}

/// The alerts that `alert:N` counts, the first of which is 1: those about a container, or all.
pub fn numbered(alerts: &[Alert], of: Option<ContainerUid>) -> impl Iterator<Item = (u32, &Alert)> {
    (1..).zip(alerts.iter().filter(move |alert| of.is_none_or(|uid| alert.is_about(uid))))
}

/// The moment of an alert about a container, or of any, by its number (the first is 1) or the beginning of its id.
///
/// # Errors
/// No such alert, several, or one without a time.
pub fn moment(alerts: &[Alert], of: Option<ContainerUid>, wanted: &str) -> Result<BootNanos, Failure> {
    find(alerts, of, wanted)?.at.ok_or_else(no_time)
}

/// Where a range begins that has what tripped such an alert.
///
/// # Errors
/// As [`moment`].
pub fn begin(trace: &Trace, of: Option<ContainerUid>, wanted: &str) -> Result<BootNanos, Failure> {
    find(&alerts(trace)?, of, wanted)?.begin(trace).ok_or_else(no_time)
}

fn no_time() -> Failure {
    Failure::Usage("the recording has no clock reading for this alert".to_owned())
}

fn find<'a>(alerts: &'a [Alert], of: Option<ContainerUid>, wanted: &str) -> Result<&'a Alert, Failure> {
    let own: Vec<&Alert> = numbered(alerts, of).map(|(_, alert)| alert).collect();
    let by_number = wanted.parse::<usize>().ok().and_then(|number| own.get(number.checked_sub(1)?));
    if let Some(alert) = by_number {
        return Ok(alert);
    }
    let mut named = own.iter().filter(|alert| !wanted.is_empty() && alert.id.as_str().starts_with(wanted));
    match (named.next(), named.next()) {
        (Some(alert), None) => Ok(alert),
        (Some(_), Some(_)) => {
            Err(Failure::Usage(format!("`{}` begins the ids of several alerts", escape(wanted.as_bytes()))))
        }
        (None, _) => Err(Failure::Usage(format!(
            "no alert `{}`: {} has {}, counted from 1",
            escape(wanted.as_bytes()),
            if of.is_some() { "this container" } else { "the recording" },
            own.len(),
        ))),
    }
}
