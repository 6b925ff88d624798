//! The key events of a container as rows.

use std::borrow::Cow;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    describe, event_name,
    findings::{Finding, Severity, Story},
    process::Process,
    text::{Safe, escape},
};

use crate::{
    events::{self, Teller},
    failure::Failure,
    output::{
        Cell, Column, Kind, Record, Shape, Tone,
        facts::{self, Facts},
    },
    time::{self, Span},
    trace::Trace,
};

/// The columns of findings.
const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", "when it happened").kind(Kind::Time).spare(),
    Column::new("offset", "OFFSET", "the same in seconds after the container's start").right(),
    Column::new("offset_ns", "OFFSET NS", "the same in nanoseconds").hidden().integer(),
    Column::new(
        "severity",
        "SEVERITY",
        "info, notice, warning or critical; of an alert, what its priority comes to",
    ),
    Column::new("alert", "ALERT", "of an alert its number, as in `alert:N`; it has no process and no event")
        .integer()
        .optional(),
    Column::new("pid", "PID", "process (the kernel's tgid), as the host sees it").integer(),
    Column::new("tid", "TID", "thread").hidden().integer(),
    Column::new("process", "PROCESS", "name of the process at that moment").flexible().spare(),
    Column::new("event", "EVENT", "the event it rests on").hidden(),
    Column::new("title", "WHAT", "what was seen").flexible(),
    Column::new("detail", "DETAIL", "on what, by what").flexible(),
    Column::new("result", "RESULT", "result of the event").hidden(),
    Column::new("attack", "ATT&CK", "technique of MITRE ATT&CK that it may be part of").optional(),
    Column::new("container_uid", "UID", "the recorder's number of the container").hidden().integer(),
];

/// How findings are printed.
pub const SHAPE: Shape = Shape { rows: "findings", row: "finding", columns: COLUMNS };

/// One key event.
#[derive(Debug, Clone)]
pub struct FindingRow<'a> {
    trace: &'a Trace,
    /// What was seen.
    pub finding: Finding,
    start: BootNanos,
    process: Option<Safe>,
    result: Safe,
    facts: Option<Box<Facts>>,
}

/// The key events of a container in a range, in order of time, none below `least`. `facts`: rows tell their meaning too.
///
/// # Errors
/// [`Failure::Read`].
pub fn of_container<'a>(
    trace: &'a Trace,
    (uid, start): (ContainerUid, BootNanos),
    span: Span,
    least: Severity,
    facts: bool,
) -> Result<Vec<FindingRow<'a>>, Failure> {
    let mut story = Story::new();
    let mut teller = facts.then(|| Teller::new(trace));
    let mut rows = Vec::new();
    events::roll(trace, Some(uid), span.end, &mut |world, uid, event| {
        let found = story.apply(world, uid, event);
        if let Some(finding) = found.filter(|f| f.severity >= least && span.contains(f.time)) {
            let process = world.process_of_task(event.task).and_then(Process::comm).map(escape);
            let facts = teller.as_mut().map(|teller| teller.finding(world, uid, event, told(&finding)));
            rows.push(FindingRow { trace, finding, start, process, result: describe::result(event), facts });
        }
    })?;
    Ok(rows)
}

/// A finding as other tools have it.
fn told(finding: &Finding) -> facts::Finding {
    let attack = (!finding.attack.is_empty()).then(|| Safe::literal(finding.attack));
    facts::Finding {
        title: Safe::literal(finding.title),
        detail: finding.detail.clone(),
        rule: None,
        tags: Vec::new(),
        techniques: attack.into_iter().collect(),
        severity: told_severity(finding.severity),
        word: finding.severity.as_str(),
    }
}

/// A severity by OCSF's numbers.
pub(super) const fn told_severity(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 1,
        Severity::Notice => 2,
        Severity::Warning => 3,
        Severity::Critical => 5,
    }
}

/// How a finding of this severity is coloured.
pub(super) const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical | Severity::Warning => Tone::Finding,
        Severity::Info => Tone::Dim,
        Severity::Notice => Tone::Plain,
    }
}

impl Record for FindingRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let finding = &self.finding;
        let offset = i128::from(finding.time.0) - i128::from(self.start.0);
        match key {
            "time" => self.trace.moment(finding.time),
            "offset" => Cell::safe(Safe::format(format_args!("{}", time::offset(offset)))),
            "offset_ns" => Cell::option(i64::try_from(offset).ok(), Cell::number),
            "severity" => Cell::word(finding.severity.as_str()),
            "pid" => Cell::number(finding.task.tgid),
            "tid" => Cell::number(finding.task.tid),
            "process" => Cell::option(self.process.clone(), Cell::safe),
            "event" => Cell::safe(Safe::format(format_args!("{}", event_name(finding.code)))),
            "title" => Cell::word(finding.title),
            "detail" => Cell::safe(finding.detail.clone()),
            "result" => Cell::safe(self.result.clone()),
            "attack" if finding.attack.is_empty() => Cell::absent(),
            "attack" => Cell::word(finding.attack),
            "container_uid" => Cell::number(finding.container.0),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }

    fn tone(&self) -> Tone {
        tone(self.finding.severity)
    }
}
