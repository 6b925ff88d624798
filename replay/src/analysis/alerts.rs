//! Alerts as rows, under the numbers that `alert:N` knows them by.

use afterimage_format::ContainerUid;
use afterimage_model::text::{Safe, escape};

use crate::{
    failure::Failure,
    output::{Cell, Column, Kind, Record, Shape, Tone},
    time::Span,
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
    number: usize,
    alert: Alert,
}

/// The alerts about a container, or all, that are of a range; their numbers are those of the whole.
///
/// # Errors
/// The files with them are there and cannot be read.
pub fn of(trace: &Trace, uid: Option<ContainerUid>, span: Span) -> Result<Vec<AlertRow<'_>>, Failure> {
    let all = alerts::alerts(trace)?;
    let of_range = |(_, alert): &(usize, &Alert)| alert.at.is_none_or(|at| span.contains(at));
    let own = alerts::numbered(&all, uid).enumerate().filter(of_range);
    Ok(own.map(|(at, alert)| AlertRow { trace, number: at + 1, alert: alert.clone() }).collect())
}

impl AlertRow<'_> {
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
            "number" => Cell::number(self.number as u64),
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
