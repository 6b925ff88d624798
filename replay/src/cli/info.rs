//! `afterimage info`: where and how a recording was made, what it holds and what is missing from it.

use std::collections::BTreeMap;

use afterimage_format::{BootNanos, CatalogUse, Incident, Role};
use afterimage_model::text::{Safe, escape};
use clap::Args;

use super::session::{Session, missing};
use crate::{
    exit::Verdict,
    failure::Failure,
    output::{Cell, Column, Format, Kind, Machine, OutputArgs, Record, Shape, Tone},
    time,
    trace::{Gaps, Life, State, StoreArgs, Trace},
};

/// Describe a recording: origin, range, contents, losses and damage.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage info                  the default store
  afterimage info demo.aft -o json")]
pub(super) struct InfoArgs {
    #[command(flatten)]
    stores: StoreArgs,
    /// Show times in the local time zone instead of UTC
    #[arg(long)]
    local: bool,
    /// Print what it was extracted for instead: trigger, alert and pins, as a line of JSON
    #[arg(long)]
    incident: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("path", "recording", "what was opened"),
    Column::new("hostname", "host", "name of the host it was made on"),
    Column::new("kernel", "kernel", "kernel release"),
    Column::new("machine", "machine", "machine"),
    Column::new("recorder", "recorder", "version of the recorder"),
    Column::new("store_uuid", "store", "identity of the store"),
    Column::new("boot_id", "boot", "identity of the boot"),
    Column::new("begin", "begin", "first event").kind(Kind::Time),
    Column::new("end", "end", "last event").kind(Kind::Time),
    Column::new("length", "length", "time between them"),
    Column::new("length_ns", "length ns", "the same in nanoseconds").hidden().integer(),
    Column::new("sealed", "sealed", "closed properly; otherwise the recorder has it open, or was killed")
        .kind(Kind::Boolean),
    Column::new(
        "catalog",
        "catalog",
        "`used` where it stood for the footers of the segments, `none`, or `ignored` and why",
    ),
    Column::new("containers", "containers", "how many containers it knows, by state").kind(Kind::Object),
    Column::new("events", "events", "events kept").integer(),
    Column::new("blocks", "blocks", "blocks").integer(),
    Column::new("bytes", "block bytes", "bytes of all blocks on disk").integer(),
    Column::new(
        "keyframes",
        "keyframes",
        "states of containers that are written out: a seek begins at the nearest",
    )
    .integer(),
    Column::new("keyframe_bytes", "keyframe bytes", "bytes of all keyframes on disk").integer(),
    Column::new("clock_readings", "clock readings", "how often boot time and wall clock were compared")
        .integer(),
    Column::new("clock_steps", "clock steps", "how often the wall clock was set by more than 100 ms")
        .integer(),
    Column::new("degraded", "not recorded", "what this host did not allow to be recorded, and why")
        .kind(Kind::Texts),
    Column::new(
        "incidents",
        "incidents",
        "what it was extracted for: id and rule; --incident shows all of it",
    )
    .kind(Kind::Texts),
    Column::new("lost", "lost", "events that the recorder could not hand over").integer(),
    Column::new("gaps", "gaps", "gaps").hidden().integer(),
    Column::new("damage", "damage", "torn, corrupt, missing and unknown parts").integer(),
];

pub(super) const SHAPE: Shape = Shape { rows: "recordings", row: "recording", columns: COLUMNS };

/// A wall clock that moved against boot time by more than this was set.
const STEP: u64 = 100_000_000;

struct Row<'a> {
    trace: &'a Trace,
    gaps: &'a Gaps,
}

pub(super) fn run(args: &InfoArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.stores.open(args.local)?;
    if args.incident {
        return incidents(&traces, session);
    }
    let gaps: Vec<(&Trace, Gaps)> =
        traces.iter().map(|t| (t, Gaps::of_all(t, time::Span::default()))).collect();
    let rows: Vec<Row<'_>> = gaps.iter().map(|(trace, gaps)| Row { trace, gaps }).collect();
    if args.output.output == Format::Table && args.output.fields.is_empty() {
        for (i, row) in rows.iter().enumerate() {
            sheet(row, i > 0, session)?;
        }
    } else {
        let mut emitter = session.emit(SHAPE, &args.output, &serde_json::Map::new())?;
        for row in &rows {
            emitter.row(row)?;
        }
        emitter.finish(&missing(&gaps))?;
    }
    Ok(session.conclude(&gaps, true))
}

/// The documents of incidents, in ASCII: their text is foreign.
fn incidents(traces: &[Trace], session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let mut found = false;
    for incident in traces.iter().flat_map(|trace| trace.recording.incidents()) {
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&incident.document) else { continue };
        found = true;
        let mut line = String::new();
        for unit in document.to_string().encode_utf16() {
            match u8::try_from(unit).ok().filter(|byte| (0x20..0x7f).contains(byte)) {
                Some(byte) => line.push(byte.into()),
                None => line.push_str(&format!("\\u{unit:04x}")),
            }
        }
        writeln!(session.out, "{line}")?;
    }
    Ok(Verdict { matched: found, ..Verdict::FOUND })
}

/// An incident in a few words.
fn titled(incident: &Incident) -> Safe {
    let document: serde_json::Value = serde_json::from_slice(&incident.document).unwrap_or_default();
    let rule = document["trigger"]["rule"].as_str().unwrap_or("");
    escape(format!("{} {rule}", incident.id).as_bytes())
}

/// What the store's catalog was good for.
fn catalog(used: CatalogUse) -> Cell {
    match used {
        CatalogUse::Absent => Cell::safe(Safe::literal("none")),
        CatalogUse::Used { files } => {
            Cell::both(Safe::format(format_args!("used for {files} segments")), "used")
        }
        CatalogUse::Ignored(why) => Cell::both(Safe::format(format_args!("ignored: {why}")), "ignored"),
    }
}

/// One recording as lines of `what: value`.
fn sheet(row: &Row<'_>, spaced: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    if spaced {
        writeln!(session.out)?;
    }
    for column in COLUMNS.iter().filter(|c| c.shown) {
        let cell = row.cell(column.key);
        let title = session.style.paint(Tone::Dim, &format!("{:<15}", column.title));
        writeln!(session.out, "{title} {}", if cell.text().is_empty() { "-" } else { cell.text() })?;
    }
    Ok(())
}

impl Record for Row<'_> {
    fn cell(&self, key: &str) -> Cell {
        let recording = &self.trace.recording;
        let origin = recording.origin();
        let range = recording.time_range();
        let blocks = recording.blocks();
        match key {
            "path" => Cell::safe(escape(self.trace.path.as_os_str().as_encoded_bytes())),
            "hostname" => Cell::safe(escape(&origin.hostname)),
            "kernel" => Cell::safe(escape(&origin.kernel)),
            "machine" => Cell::safe(escape(&origin.machine)),
            "recorder" => Cell::safe(escape(&origin.recorder)),
            "store_uuid" => Cell::safe(uuid(&origin.store_uuid)),
            "boot_id" => Cell::safe(uuid(&origin.boot_id)),
            "begin" => Cell::option(range, |(begin, _)| self.trace.moment(begin)),
            "end" => Cell::option(range, |(_, end)| self.trace.moment(end)),
            "length" => {
                Cell::option(range, |r| Cell::safe(Safe::format(format_args!("{}", time::human(length(r))))))
            }
            "length_ns" => Cell::option(range, |r| Cell::number(length(r))),
            "sealed" => match recording.unsealed() {
                true => Cell::both(Safe::literal("no: the recorder has it open, or was killed"), false),
                false => Cell::flag(true),
            },
            "catalog" => catalog(recording.catalog()),
            "containers" => self.containers(),
            "events" => Cell::number(recording.containers().iter().map(|c| c.events).sum::<u64>()),
            "blocks" => Cell::number(blocks.len()),
            "bytes" => Cell::number(blocks.iter().map(|b| b.stored).sum::<u64>()),
            "keyframes" => Cell::number(recording.keyframes().len()),
            "keyframe_bytes" => Cell::number(recording.keyframes().iter().map(|k| k.stored).sum::<u64>()),
            "clock_readings" => Cell::number(recording.clock().pairs().len()),
            "clock_steps" => Cell::number(self.steps()),
            "degraded" => Cell::list(origin.degraded.iter().map(|d| escape(d))),
            "incidents" => Cell::list(recording.incidents().iter().map(titled)),
            "lost" => Cell::number(self.gaps.lost()),
            "gaps" => Cell::number(self.gaps.list.len()),
            "damage" => Cell::number(self.gaps.defects.len()),
            _ => Cell::absent(),
        }
    }
}

impl Row<'_> {
    fn containers(&self) -> Cell {
        const STATES: [State; 4] = [State::Running, State::Exited, State::Deleted, State::Unknown];
        let mut counts = BTreeMap::new();
        let all = self.trace.recording.containers().iter();
        for summary in all.filter(|s| !matches!(s.record.role, Role::Host | Role::Monitor)) {
            *counts.entry(Life::of(self.trace, summary).state.as_str()).or_insert(0_u64) += 1;
        }
        let count = |s: State| counts.get(s.as_str()).copied().unwrap_or(0);
        let words: Vec<String> = STATES
            .iter()
            .filter(|s| count(**s) > 0)
            .map(|s| format!("{} {}", count(*s), s.as_str()))
            .collect();
        let object = STATES.iter().map(|s| (s.as_str(), Machine::from(count(*s))));
        Cell::both(Safe::format(format_args!("{}", words.join(", "))), Machine::object(object))
    }

    fn steps(&self) -> usize {
        let pairs = self.trace.recording.clock().pairs();
        let offset = |p: &afterimage_format::ClockPair| i128::from(p.real) - i128::from(p.boot.0);
        pairs.windows(2).filter(|w| offset(&w[1]).abs_diff(offset(&w[0])) > u128::from(STEP)).count()
    }
}

fn length((begin, end): (BootNanos, BootNanos)) -> u64 {
    end.0.saturating_sub(begin.0)
}

fn uuid(bytes: &[u8; 16]) -> Safe {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Safe::format(format_args!("{}", parts.join("-")))
}
