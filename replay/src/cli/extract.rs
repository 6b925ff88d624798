//! `afterimage extract`: chosen containers, or parts of them, as a file of their own, with nothing of any other.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    ops::ControlFlow,
    path::PathBuf,
};

use afterimage_format::{
    BlockInfo, BootNanos, ContainerUid, ExtractError, ExtractReport, Part, extract_parts,
};
use clap::Args;

use super::{
    scope::{self, OneArgs},
    session::Session,
};
use crate::{
    events::{self, Filters, Item, Options},
    exit::Verdict,
    failure::{Failure, shown},
    output::{Cell, Column, OutputArgs, Record, Shape},
    time::{RangeArgs, Span},
    trace::{
        Gaps, Trace,
        asked::{Asked, Beside},
        carried, incident,
    },
};

/// Copy containers into a file of their own; several are separated by commas.
///
/// The file can be opened and verified alone and holds nothing of any other container. An existing file is never
/// overwritten. With --begin, --end or --filter only the blocks that have something of it are copied, whole and with
/// their proofs, so there are other events beside those asked for, and of each container the state before them; where no
/// container is named, all are meant but the host. The alerts about what is copied come along, as far as they are of its times.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage extract 3ad7b26ded6d --to container.aftx
  afterimage extract --incident t-5f0c2d7e --to incident.aftx
  afterimage extract web --begin 'alert:1-30s' --end 'alert:1+2m' --to part.aftx
  afterimage extract --filter 'evt.type = connect and fd.sport = 4444' --to calls.aftx
  afterimage extract web,db /mnt/evidence/store --to two.aftx")]
pub(super) struct ExtractArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// The new file [default: a name made of the store's identity and the container's number]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What a trigger or a pin of this id pinned, with the alert and the pin itself
    #[arg(long, value_name = "ID", conflicts_with_all = ["begin", "end", "filter"])]
    incident: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// Only what has events that pass this filter; several must hold together
    #[arg(short, long, value_name = "EXPR")]
    filter: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("path", "FILE", "the new file"),
    Column::new("containers", "CONTAINERS", "containers copied").integer(),
    Column::new("events", "EVENTS", "events copied").integer(),
    Column::new("asked", "ASKED", "of these, those that were asked for: blocks are copied whole").integer(),
    Column::new("blocks", "BLOCKS", "blocks copied").integer(),
    Column::new("bytes", "BYTES", "size of the file").integer(),
    Column::new("alerts", "ALERTS", "alerts about what was copied that it carries").integer(),
];

pub(super) const SHAPE: Shape = Shape { rows: "extracts", row: "extract", columns: COLUMNS };

pub(super) fn run(args: &ExtractArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    if let Some(id) = &args.incident {
        return of_incident(args, id, session);
    }
    let mut filters = Filters::parse(&args.filter)?;
    let traces = args.whose.open(args.range.local)?;
    let (trace, asked) = parts(args, &traces, session)?;
    let mut parts = asked.clone();
    let mut passed = None;
    if !args.filter.is_empty() {
        filters.warnings().for_each(|line| session.say(line));
        let is_named = args.whose.split().0.is_some();
        match is_named {
            true => parts.iter().try_for_each(|part| filters.check(trace, Some(part.container)))?,
            false => filters.check(trace, None)?,
        }
        let (found, rows) = matches(trace, &parts, is_named, &mut filters, session)?;
        (parts, passed) = (found, Some(rows));
    }
    let spans: Vec<(ContainerUid, Span)> =
        parts.iter().map(|p| (p.container, Span { begin: p.begin, end: p.end })).collect();
    if parts.is_empty() {
        session.say("nothing of it is in the recording; no file was made");
        return Ok(session.conclude(&[(trace, Gaps::of_all(trace, Span::default()))], false));
    }
    let path = args.to.clone().unwrap_or_else(|| default_name(trace, &uids(&parts)));
    let alerts = carried::alerts_of(&trace.path, &trace.recording, &parts)?;
    let mut documents = alerts.documents.clone();
    if args.is_part() {
        let filters = args.filter.clone();
        documents.extend(
            Asked { containers: uids(&asked).len() as u64, parts: asked.clone(), filters }.document(),
        );
    }
    let report = extract_parts(&trace.recording, &parts, &documents, &path).map_err(failure)?;
    lacking(&alerts).into_iter().for_each(|line| session.say(line));
    let asked = beside(trace, (&parts, &asked), passed, &report, session);
    tell(args, session, trace, &spans, Row { path, report, alerts: alerts.documents.len(), asked })
}

/// The recording that is copied from, and what of it by container and time.
fn parts<'a>(
    args: &ExtractArgs,
    traces: &'a [Trace],
    session: &mut Session<'_>,
) -> Result<(&'a Trace, Vec<Part>), Failure> {
    let is_open = args.range.begin.is_none() && args.range.end.is_none();
    let is_named = args.whose.split().0.is_some();
    if is_named || is_open && args.filter.is_empty() {
        let targets = args.whose.targets(traces, session)?;
        let trace = one_recording(targets.iter().map(|target| target.trace))?;
        let mut parts = Vec::new();
        for target in targets {
            let span = match is_open {
                true => Span::default(),
                false => scope::Part::of_target(target, &args.range, session)?.span,
            };
            let part = Part { container: target.uid(), begin: span.begin, end: span.end };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        return Ok((trace, parts));
    }
    let trace = one_recording(traces.iter())?;
    let span = scope::Part::of_trace(trace, &args.range, session)?.span;
    let recording = &trace.recording;
    let all = recording.containers().iter().filter(|summary| summary.record.is_container());
    let inside = recording.blocks().iter().filter(|block| span.overlaps(block.first, block.last));
    let there: HashSet<ContainerUid> = inside.map(|block| block.container).collect();
    let parts = all.map(|summary| summary.record.uid).filter(|uid| there.contains(uid));
    Ok((trace, parts.map(|container| Part { container, begin: span.begin, end: span.end }).collect()))
}

/// The times of the blocks that have events which pass the filters, as few parts as say it, and how many events pass. Where nobody named containers,
/// all are of one range and are walked over at once.
fn matches(
    trace: &Trace,
    parts: &[Part],
    is_named: bool,
    filters: &mut Filters,
    session: &mut Session<'_>,
) -> Result<(Vec<Part>, u64), Failure> {
    let mut passed = 0;
    let mut of: BTreeMap<ContainerUid, Matched<'_>> =
        parts.iter().map(|part| (part.container, Matched::default())).collect();
    for block in trace.recording.blocks() {
        if let Some(own) = of.get_mut(&block.container) {
            own.blocks.push(block);
        }
    }
    of.values_mut().for_each(Matched::sort);
    let walks = if is_named { parts } else { parts.get(..1).unwrap_or_default() };
    for part in walks {
        let options = Options {
            container: is_named.then_some(part.container),
            span: Span { begin: part.begin, end: part.end },
            setup: true,
            raw: true,
            skip: true,
            limit: u64::MAX,
            streams: false,
            facts: false,
            filters,
        };
        let seen = events::walk(trace, options, &mut |item| {
            if let Item::Event(row) = item
                && let Some(own) = of.get_mut(&row.whose.uid)
            {
                own.mark(row.event.time);
                passed += 1;
            }
            ControlFlow::Continue(())
        })?;
        seen.lacking.into_iter().for_each(|line| session.say(line));
    }
    Ok((of.into_iter().flat_map(|(uid, own)| own.parts(uid)).collect(), passed))
}

/// The blocks of a container, and which of them have what is looked for.
#[derive(Default)]
struct Matched<'t> {
    blocks: Vec<&'t BlockInfo>,
    /// Blocks can overlap a little: the latest end of all up to each.
    ends: Vec<BootNanos>,
    found: Vec<bool>,
}

impl Matched<'_> {
    fn sort(&mut self) {
        self.blocks.sort_by_key(|block| (block.first, block.index));
        self.ends.extend(self.blocks.iter().scan(BootNanos(0), |end, block| {
            *end = block.last.max(*end);
            Some(*end)
        }));
        self.found.resize(self.blocks.len(), false);
    }

    fn mark(&mut self, at: BootNanos) {
        let begun = self.blocks.partition_point(|block| block.first <= at);
        for number in (0..begun).rev().take_while(|&number| self.ends[number] >= at) {
            self.found[number] |= self.blocks[number].last >= at;
        }
    }

    fn parts(&self, container: ContainerUid) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (number, block) in self.blocks.iter().enumerate().filter(|(number, _)| self.found[*number]) {
            let (begin, end) = (Some(block.first), Some(block.last));
            match parts.last_mut() {
                Some(part) if number > 0 && self.found[number - 1] => part.end = part.end.max(end),
                _ => parts.push(Part { container, begin, end }),
            }
        }
        parts
    }
}

fn uids(parts: &[Part]) -> Vec<ContainerUid> {
    let mut uids: Vec<ContainerUid> = parts.iter().map(|part| part.container).collect();
    uids.sort_unstable();
    uids.dedup();
    uids
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
    let uids = uids(&found.parts);
    let path = args.to.clone().unwrap_or_else(|| default_name(trace, &uids));
    let report = extract_parts(&trace.recording, &found.parts, &[found.incident], &path).map_err(failure)?;
    let pinned = found.parts.iter();
    let spans: Vec<_> =
        pinned.map(|part| (part.container, Span { begin: part.begin, end: part.end })).collect();
    let asked = beside(trace, (&found.parts, &found.parts), None, &report, session);
    tell(args, session, trace, &spans, Row { path, report, alerts: 1, asked })
}

impl ExtractArgs {
    /// Whether not all of a container was asked for.
    fn is_part(&self) -> bool {
        self.range.begin.is_some() || self.range.end.is_some() || !self.filter.is_empty()
    }
}

/// Says what comes along with what was asked for, and gives how many events were.
fn beside(
    trace: &Trace,
    (copied, asked): (&[Part], &[Part]),
    passed: Option<u64>,
    report: &ExtractReport,
    session: &mut Session<'_>,
) -> u64 {
    if let Some(passed) = passed {
        let others = report.events.saturating_sub(passed);
        if others > 0 {
            session.say(format!(
                "{passed} of {} events pass; {others} others come along, because blocks are copied whole",
                report.events
            ));
        }
        return passed;
    }
    let Beside { before, after } = Beside::of(&trace.recording, copied, asked);
    if before + after > 0 {
        session.say(format!(
            "{before} events before and {after} behind what was asked for come along, because blocks are copied whole"
        ));
    }
    report.events.saturating_sub(before + after)
}

/// What alerts are without, in words.
fn lacking(alerts: &carried::Carried) -> Vec<String> {
    let mut lines = Vec::new();
    if alerts.withheld > 0 {
        lines.push(format!(
            "{} alerts without what they came in: it also tells of containers that are not in the extract",
            alerts.withheld
        ));
    }
    if alerts.dropped > 0 {
        lines.push(carried::no_room(alerts.dropped));
    }
    lines
}

fn tell(
    args: &ExtractArgs,
    session: &mut Session<'_>,
    trace: &Trace,
    spans: &[(ContainerUid, Span)],
    row: Row,
) -> Result<Verdict, Failure> {
    let mut emitter = session.emit(SHAPE, &args.output, &serde_json::Map::new())?;
    emitter.row(&row)?;
    let gaps: Vec<(&Trace, Gaps)> =
        spans.iter().map(|&(uid, span)| (trace, Gaps::of_container(trace, uid, span))).collect();
    emitter.finish(&super::session::missing(&gaps))?;
    Ok(session.conclude(&gaps, true))
}

fn one_recording<'a>(traces: impl Iterator<Item = &'a Trace>) -> Result<&'a Trace, Failure> {
    let several = || {
        Failure::Usage(
            "the containers are in different recordings; extract from one recording at a time".to_owned(),
        )
    };
    let mut traces = traces;
    let first = traces.next().ok_or_else(several)?;
    if traces.all(|trace| std::ptr::eq(trace, first)) { Ok(first) } else { Err(several()) }
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
    alerts: usize,
    /// Events that were asked for.
    asked: u64,
}

impl Record for Row {
    fn cell(&self, key: &str) -> Cell {
        match key {
            "path" => Cell::safe(afterimage_model::text::escape(self.path.as_os_str().as_encoded_bytes())),
            "containers" => Cell::number(self.report.containers),
            "events" => Cell::number(self.report.events),
            "asked" => Cell::number(self.asked),
            "blocks" => Cell::number(self.report.blocks),
            "bytes" => Cell::number(self.report.bytes),
            "alerts" => Cell::number(self.alerts),
            _ => Cell::absent(),
        }
    }
}
