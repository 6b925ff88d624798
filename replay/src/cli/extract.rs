//! `afterimage extract`: chosen containers as a file of their own, with nothing of any other.

use std::{io, path::PathBuf};

use afterimage_format::{ContainerUid, ExtractError, ExtractReport, extract, extract_incident};
use clap::Args;

use super::{scope::OneArgs, session::Session};
use crate::{
    exit::Verdict,
    failure::{Failure, shown},
    output::{Cell, Column, OutputArgs, Record, Shape},
    time::Span,
    trace::{Gaps, Target, Trace, incident},
};

/// Copy containers into a file of their own; several are separated by commas.
///
/// The file can be opened and verified alone and holds nothing of any other container. An existing file is never
/// overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage extract 3ad7b26ded6d --to container.aftx
  afterimage extract --incident t-5f0c2d7e --to incident.aftx
  afterimage extract web,db /mnt/evidence/store --to two.aftx")]
pub(super) struct ExtractArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// The new file [default: a name made of the store's identity and the container's number]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What a trigger or a pin of this id pinned, with the alert and the pin itself
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("path", "FILE", "the new file"),
    Column::new("containers", "CONTAINERS", "containers copied").integer(),
    Column::new("events", "EVENTS", "events copied").integer(),
    Column::new("blocks", "BLOCKS", "blocks copied").integer(),
    Column::new("bytes", "BYTES", "size of the file").integer(),
];

pub(super) const SHAPE: Shape = Shape { rows: "extracts", row: "extract", columns: COLUMNS };

pub(super) fn run(args: &ExtractArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    if let Some(id) = &args.incident {
        return of_incident(args, id, session);
    }
    let traces = args.whose.open(false)?;
    let targets: Vec<Target<'_>> = args.whose.targets(&traces)?;
    let trace = one_recording(&targets)?;
    let mut uids: Vec<ContainerUid> = targets.iter().map(Target::uid).collect();
    uids.sort_unstable();
    uids.dedup();
    let path = args.to.clone().unwrap_or_else(|| default_name(trace, &uids));
    let report = extract(&trace.recording, &uids, &path).map_err(failure)?;
    tell(args, session, trace, &uids, Row { path, report })
}

/// What belongs to an incident.
fn of_incident(args: &ExtractArgs, id: &str, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(false)?;
    let [trace] = traces.as_slice() else {
        return Err(Failure::Usage("an incident is in one store".to_owned()));
    };
    let store = incident::directory(&trace.path);
    let store =
        store.ok_or_else(|| Failure::Usage("incidents are found in a store's directory".to_owned()))?;
    let found = incident::find(&store, &trace.recording, id)?;
    let mut uids: Vec<ContainerUid> = found.parts.iter().map(|part| part.container).collect();
    uids.sort_unstable();
    uids.dedup();
    let path = args.to.clone().unwrap_or_else(|| default_name(trace, &uids));
    let report = extract_incident(&trace.recording, &found.parts, &found.incident, &path).map_err(failure)?;
    tell(args, session, trace, &uids, Row { path, report })
}

fn tell(
    args: &ExtractArgs,
    session: &mut Session<'_>,
    trace: &Trace,
    uids: &[ContainerUid],
    row: Row,
) -> Result<Verdict, Failure> {
    let mut emitter = session.emit(SHAPE, &args.output, &serde_json::Map::new())?;
    emitter.row(&row)?;
    let gaps: Vec<(&Trace, Gaps)> =
        uids.iter().map(|&uid| (trace, Gaps::of_container(trace, uid, Span::default()))).collect();
    emitter.finish(&super::session::missing(&gaps))?;
    Ok(session.conclude(&gaps, true))
}

fn one_recording<'a>(targets: &[Target<'a>]) -> Result<&'a Trace, Failure> {
    let several = || {
        Failure::Usage(
            "the containers are in different recordings; extract from one recording at a time".to_owned(),
        )
    };
    let first = targets.first().map(|t| t.trace).ok_or_else(several)?;
    if targets.iter().all(|t| std::ptr::eq(t.trace, first)) { Ok(first) } else { Err(several()) }
}

/// Made of our own numbers only: a name from the recording could lead anywhere.
fn default_name(trace: &Trace, uids: &[ContainerUid]) -> PathBuf {
    let store: String =
        trace.recording.origin().store_uuid.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let numbers: Vec<String> = uids.iter().take(4).map(|u| u.0.to_string()).collect();
    PathBuf::from(format!("{store}-{}.aftx", numbers.join("-")))
}

fn failure(error: ExtractError) -> Failure {
    match error {
        ExtractError::Read(read) => Failure::Read(read),
        ExtractError::Io { path, source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("`{}` exists already; name another file with --to", shown(&path)))
        }
        ExtractError::Io { path, source, .. } => {
            Failure::Output { place: format!("`{}`", shown(&path)), source }
        }
        other => Failure::Environment(other.to_string()),
    }
}

struct Row {
    path: PathBuf,
    report: ExtractReport,
}

impl Record for Row {
    fn cell(&self, key: &str) -> Cell {
        match key {
            "path" => Cell::safe(afterimage_model::text::escape(self.path.as_os_str().as_encoded_bytes())),
            "containers" => Cell::number(self.report.containers),
            "events" => Cell::number(self.report.events),
            "blocks" => Cell::number(self.report.blocks),
            "bytes" => Cell::number(self.report.bytes),
            _ => Cell::absent(),
        }
    }
}
