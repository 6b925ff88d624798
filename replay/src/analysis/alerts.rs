//! Alerts as rows, under the numbers that `alert:N` knows them by.

use std::borrow::Cow;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::text::{Safe, escape};

use crate::{
    analysis::findings::{self, told_severity},
    events::Teller,
    failure::Failure,
    output::{
        Cell, Column, Kind, Record, Shape, Tone,
        facts::{self, Act, Facts, More},
    },
    time::{self, Span},
    trace::{
        Trace,
        alerts::{self, Alert},
        display_name,
    },
};

const COLUMNS: &[Column] = &[
    Column::new(
        "number",
        "ALERT",
        "`alert:N` in --begin and --end: of the container, where one was asked for",
    )
    .integer(),
    Column::new("time", "TIME", "when what it tells of happened").kind(Kind::Time),
    Column::new("source", "SOURCE", "who sent it: `falco`, `rules`, `person`"),
    Column::new("priority", "PRIORITY", "how bad, in the sender's word"),
    Column::new("title", "WHAT", "the rule, else the reason in words").flexible(),
    Column::new("containers", "CONTAINERS", "whom it is about").flexible().kind(Kind::Texts),
    Column::new("state", "STATE", "what became of it: `pinned`, `marked`, `ignored`, ..."),
    Column::new("id", "ID", "the recorder's id of it, for `extract --incident`"),
];

/// How alerts are printed.
pub const SHAPE: Shape = Shape { rows: "alerts", row: "alert", columns: COLUMNS };

/// One alert.
#[derive(Debug)]
pub struct AlertRow<'a> {
    trace: &'a Trace,
    number: u32,
    alert: Alert,
}

/// The alerts about a container, or all, that are of a range; their numbers are those of the whole.
///
/// # Errors
/// The files with them are there and cannot be read.
pub fn of(trace: &Trace, uid: Option<ContainerUid>, span: Span) -> Result<Vec<AlertRow<'_>>, Failure> {
    let all = alerts::alerts(trace)?;
    let of_range = |(_, alert): &(u32, &Alert)| alert.at.is_none_or(|at| span.contains(at));
    let own = alerts::numbered(&all, uid).filter(of_range);
    Ok(own.map(|(number, alert)| AlertRow { trace, number, alert: alert.clone() }).collect())
}

/// An alert among the findings of a container: the most that anybody has found there.
#[derive(Debug)]
pub struct AlertFinding<'a> {
    row: AlertRow<'a>,
    whose: (ContainerUid, BootNanos),
    facts: Option<Box<Facts>>,
}

/// The alerts about a container that are of a range, as findings; its uid and when it began. `facts`: rows tell their meaning
/// too. One without a time is in no order of time, and is left out.
///
/// # Errors
/// As [`of`].
pub fn as_findings<'a>(
    trace: &'a Trace,
    whose: (ContainerUid, BootNanos),
    span: Span,
    facts: bool,
) -> Result<Vec<AlertFinding<'a>>, Failure> {
    let mut teller = facts.then(|| Teller::new(trace));
    let rows = of(trace, Some(whose.0), span)?.into_iter().filter(|row| row.alert.at.is_some());
    let found = |row: AlertRow<'a>| {
        let facts = teller.as_mut().map(|teller| {
            let mut facts = teller.begin(Act::Finding, whose.0, row.alert.at.unwrap_or_default());
            facts.more = More::Finding(Box::new(row.told()));
            facts
        });
        AlertFinding { row, whose, facts }
    };
    Ok(rows.map(found).collect())
}

impl AlertFinding<'_> {
    /// When what it tells of happened.
    pub fn at(&self) -> BootNanos {
        self.row.alert.at.unwrap_or_default()
    }
}

impl Record for AlertFinding<'_> {
    fn cell(&self, key: &str) -> Cell {
        let alert = &self.row.alert;
        let offset = i128::from(self.at().0) - i128::from(self.whose.1.0);
        match key {
            "time" => self.row.trace.moment(self.at()),
            "offset" => Cell::safe(Safe::format(format_args!("{}", time::offset(offset)))),
            "offset_ns" => Cell::option(i64::try_from(offset).ok(), Cell::number),
            "severity" => Cell::word(alert.severity().as_str()),
            "alert" => Cell::number(u64::from(self.row.number)),
            "title" => Cell::safe(alert.title.clone()),
            "detail" => Cell::safe(self.row.detail()),
            "container_uid" => Cell::number(self.whose.0.0),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }

    fn tone(&self) -> Tone {
        findings::tone(self.row.alert.severity())
    }
}

impl AlertRow<'_> {
    /// Its name in ranges and filters, who sent it, and what became of it.
    fn detail(&self) -> Safe {
        let Alert { source, priority, state, .. } = &self.alert;
        let priority = if priority.as_str().is_empty() { "no priority" } else { priority.as_str() };
        Safe::format(format_args!("alert:{} from {source}, {priority}, {state}", self.number))
    }

    /// As other tools have it.
    fn told(&self) -> facts::Finding {
        let alert = &self.alert;
        facts::Finding {
            title: alert.title.clone(),
            detail: self.detail(),
            rule: None,
            tags: Vec::new(),
            techniques: Vec::new(),
            severity: told_severity(alert.severity()),
            word: alert.severity().as_str(),
        }
    }

    fn containers(&self) -> Vec<Safe> {
        let known = self.trace.recording.containers();
        let name = |uid: ContainerUid| match known.iter().find(|summary| summary.record.uid == uid) {
            Some(summary) => display_name(&summary.record),
            None => escape(format!("uid {}", uid.0).as_bytes()),
        };
        self.alert.containers.iter().map(|covered| name(covered.uid)).collect()
    }
}

impl Record for AlertRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let alert = &self.alert;
        match key {
            "number" => Cell::number(u64::from(self.number)),
            "time" => Cell::option(alert.at, |at| self.trace.moment(at)),
            "source" => Cell::safe(alert.source.clone()),
            "priority" => Cell::safe(alert.priority.clone()),
            "title" => Cell::safe(alert.title.clone()),
            "containers" => Cell::list(self.containers()),
            "state" => Cell::safe(alert.state.clone()),
            "id" => Cell::safe(alert.id.clone()),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        Tone::Plain
    }
}
