//! `afterimage merge` and `afterimage recover`: all that can be read of one store as one new file.

use std::{io, path::PathBuf};

use afterimage_format::{MergeError, MergeReport, Part, Recording, merge};
use clap::Args;

use super::session::Session;
use crate::{
    exit::Verdict,
    failure::{Failure, shown},
    output::{Cell, Column, OutputArgs, Record, Shape},
    progress::Progress,
    time::Span,
    trace::{Gaps, StoreArgs, Trace, carried},
};

/// Put recordings of one store together into one file.
///
/// Extracts, segments and the store itself, with whatever they have in common: each event is copied once, with its
/// proof, and the new file can be opened and verified alone. An existing file is never overwritten. Recordings of
/// different stores stay apart, since their containers have numbers and proofs of their own: every command takes
/// several recordings at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage merge web.aftx db.aftx --to incident.aftx
  afterimage merge /mnt/evidence/store later.aftx --to all.aftx")]
pub(super) struct MergeArgs {
    /// Trace files and store directories, all of one store
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<PathBuf>,
    /// The new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Copy all that can still be read of a damaged or unfinished store into a new file.
///
/// What is recovered: every block whose checksums are right, also of segments without an end or with a damaged
/// header, and what was only in the stage. The store itself is not changed. What proves itself goes on doing so in
/// the new file; an existing file is never overwritten. Exit code 3 says that something could not be recovered.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage recover /mnt/evidence/store --to recovered.aftx
  afterimage recover broken.aftx --to recovered.aftx -o json")]
pub(super) struct RecoverArgs {
    /// A store directory or a trace file
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// The new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("path", "FILE", "the new file"),
    Column::new("containers", "CONTAINERS", "containers in it, without the host").integer(),
    Column::new("events", "EVENTS", "events copied").integer(),
    Column::new("blocks", "BLOCKS", "blocks copied").integer(),
    Column::new("staged_events", "STAGED", "of the events, those that were only in the stage").integer(),
    Column::new("salvaged_events", "SALVAGED", "of the events, those of segments whose header is damaged")
        .integer(),
    Column::new("duplicates", "DUPLICATES", "blocks left out because another copy was taken").integer(),
    Column::new("damaged_blocks", "DAMAGED", "blocks left out because they are damaged").integer(),
    Column::new("damaged_events", "DAMAGED EVENTS", "events in those, as far as their headers tell")
        .integer(),
    Column::new("bytes", "BYTES", "size of the file").integer(),
    Column::new(
        "alerts",
        "ALERTS",
        "alerts about these containers that were beside a store and that it carries",
    )
    .integer(),
];

pub(super) const MERGED: Shape = Shape { rows: "merges", row: "merge", columns: COLUMNS };
pub(super) const RECOVERED: Shape = Shape { rows: "recoveries", row: "recovery", columns: COLUMNS };

pub(super) fn run(args: &MergeArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = StoreArgs { stores: args.recordings.clone() }.open(false)?;
    copy(&traces, &args.to, &args.output, MERGED, session)
}

pub(super) fn recover(args: &RecoverArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = StoreArgs { stores: vec![args.store.clone()] }.open(false)?;
    copy(&traces, &args.to, &args.output, RECOVERED, session)
}

fn copy(
    traces: &[Trace],
    to: &std::path::Path,
    output: &OutputArgs,
    shape: Shape,
    session: &mut Session<'_>,
) -> Result<Verdict, Failure> {
    let recordings: Vec<&Recording> = traces.iter().map(|trace| &trace.recording).collect();
    let mut progress = Progress::new(0, false);
    let mut alerts = Vec::new();
    let mut dropped = 0;
    for trace in traces {
        let all: Vec<Part> =
            trace.recording.containers().iter().map(|one| Part::all(one.record.uid)).collect();
        let carried = carried::alerts_of(&trace.path, &trace.recording, &all)?;
        dropped += carried.dropped;
        alerts.extend(carried.documents);
    }
    let report =
        merge(&recordings, &alerts, to, &mut |done, total| progress.at(done, total)).map_err(failure)?;
    drop(progress);
    if dropped > 0 {
        session.say(carried::no_room(dropped));
    }
    let mut emitter = session.emit(shape, output, &serde_json::Map::new())?;
    emitter.row(&Row { path: to.to_owned(), report, alerts: alerts.len() as u64 })?;
    let gaps: Vec<(&Trace, Gaps)> =
        traces.iter().map(|trace| (trace, Gaps::of_all(trace, Span::default()))).collect();
    emitter.finish(&super::session::missing(&gaps))?;
    let verdict = session.conclude(&gaps, true);
    Ok(Verdict { damaged: verdict.damaged || report.damaged_blocks > 0, ..verdict })
}

fn failure(error: MergeError) -> Failure {
    match error {
        MergeError::Read(read) => Failure::Read(read),
        MergeError::Io { path, source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("`{}` exists already; name another file with --to", shown(&path)))
        }
        MergeError::Io { path, source, .. } => {
            Failure::Output { place: format!("`{}`", shown(&path)), source }
        }
        MergeError::OtherStore { first, other } => Failure::Usage(format!(
            "`{}` is of another store than `{}`; every command takes both at once, without merging them",
            shown(&other),
            shown(&first)
        )),
        other => Failure::Environment(other.to_string()),
    }
}

struct Row {
    path: PathBuf,
    report: MergeReport,
    alerts: u64,
}

impl Record for Row {
    fn cell(&self, key: &str) -> Cell {
        let report = &self.report;
        Cell::number(match key {
            "path" => {
                return Cell::safe(afterimage_model::text::escape(self.path.as_os_str().as_encoded_bytes()));
            }
            "containers" => report.containers,
            "events" => report.events,
            "blocks" => report.blocks,
            "staged_events" => report.staged_events,
            "salvaged_events" => report.salvaged_events,
            "duplicates" => report.duplicates,
            "damaged_blocks" => report.damaged_blocks,
            "damaged_events" => report.damaged_events,
            "bytes" => report.bytes,
            "alerts" => self.alerts,
            _ => return Cell::absent(),
        })
    }
}
