//! `afterimage info`: where and how a recording was made, what it holds and what is missing from it.

use std::collections::{BTreeMap, BTreeSet};

use afterimage_format::{
    BlockInfo, BootNanos, CatalogUse, ContainerSummary, ContainerUid, Incident, Keyframe, Wanted,
};
use afterimage_model::{
    artifacts,
    text::{Safe, escape},
};
use clap::Args;

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing},
};
use crate::{
    analysis::{
        self,
        images::{self, Told},
    },
    exit::Verdict,
    failure::Failure,
    output::{Cell, Column, Format, Kind, Machine, OutputArgs, Record, Shape, Tone},
    time,
    trace::{Gaps, Life, State, Trace, asked::Asked, display_name, incident::INCIDENT},
};

/// Describe a recording: origin, range, contents, losses and damage.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage info                  the default store
  afterimage info demo.aft -o json
  afterimage info -c web -b +10s -e +20s      what is there of a container in a range of time")]
pub(super) struct InfoArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Print what it was extracted for and the alerts that it carries instead: trigger, alert and pins, or what was asked for; a line
    /// of JSON for each
    #[arg(long, conflicts_with_all = ["container", "begin", "end"])]
    incident: bool,
    /// Look for executed images however many events that takes; without it not in more than 20 million
    #[arg(long)]
    images: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Path, hash and what became of it.
type Program<'i> = (&'i [u8], Option<[u8; 32]>, u64);

/// Events that are read for images where nobody asked for more: seconds, where a whole host's store takes minutes.
const IMAGE_ROWS: u64 = 20_000_000;

/// Different programs that a table names.
const TOLD_IMAGES: usize = 8;

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
        "unfinished",
        "unfinished",
        "segments that no recorder finished: it was killed, or the power was cut",
    )
    .integer(),
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
    Column::new(
        "images",
        "executed images",
        "programs that were dropped or run from memory: `container_uid`, `path`, `sha256`, `size` and `outcome` \
         (whether its bytes are kept) of each; null where too many events would have to be read, unless --images is given",
    )
    .kind(Kind::Objects),
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
    Column::new(
        "asked",
        "asked for",
        "the parts that were asked for when it was extracted: `containers`, `parts` (`container_uid`, `begin`, `end`) and `filters` of each time. \
         Blocks are copied whole, so that it has events beside these",
    )
    .kind(Kind::Objects),
    Column::new(
        "alerts",
        "alerts",
        "alerts of other systems, of rules and of people: beside a store, carried by an extract. `show --findings` and `report` list them",
    )
    .integer(),
    Column::new(
        "lost",
        "lost",
        "events that the recorder could not hand over, those among them whose gaps were evicted",
    )
    .integer(),
    Column::new("gaps", "gaps", "gaps").hidden().integer(),
    Column::new("damage_in", "damage in", "where damage was looked for: `what was read` for this; `verify` reads all").hidden(),
    Column::new("damage", "damage", "torn, corrupt, missing and unknown parts, and blocks that were damaged in what this was copied from").integer(),
];

pub(super) const SHAPE: Shape = Shape { rows: "recordings", row: "recording", columns: COLUMNS };

/// A wall clock that moved against boot time by more than this was set.
const STEP: u64 = 100_000_000;

struct Row<'a> {
    trace: &'a Trace,
    part: &'a Part<'a>,
    gaps: &'a Gaps,
    held: Held,
    /// Nothing where they were not looked for.
    images: Option<Vec<Told>>,
    /// Nothing where they could not be read.
    alerts: Option<usize>,
}

/// What is there of the part that was asked for.
#[derive(Default)]
struct Held {
    range: Option<(BootNanos, BootNanos)>,
    events: u64,
    blocks: u64,
    bytes: u64,
}

impl Held {
    fn of(part: &Part<'_>) -> Self {
        let mut held = Self::default();
        let recording = &part.trace.recording;
        let mut reader = recording.column_reader();
        let is_asked = |block: &&BlockInfo| {
            part.uid().is_none_or(|uid| uid == block.container) && part.span.overlaps(block.first, block.last)
        };
        for block in recording.blocks().iter().filter(is_asked) {
            held.blocks += 1;
            held.bytes += block.stored;
            if part.span.contains(block.first) && part.span.contains(block.last) {
                held.events += u64::from(block.rows);
                held.widen(block.first, block.last);
            } else if let Ok(Some(columns)) = reader.read(block.index, Wanted::TIMES) {
                // A block that cannot be read is told as damage.
                let times = columns.times().iter().map(|time| BootNanos(*time));
                for time in times.filter(|time| part.span.contains(*time)) {
                    held.events += 1;
                    held.widen(time, time);
                }
            }
        }
        held
    }

    fn widen(&mut self, first: BootNanos, last: BootNanos) {
        let (begin, end) = self.range.unwrap_or((first, last));
        self.range = Some((begin.min(first), end.max(last)));
    }
}

pub(super) fn run(args: &InfoArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.scope.open()?;
    if args.incident {
        return incidents(&traces, session);
    }
    let parts = args.scope.parts(&traces, session)?;
    let mut rows = Vec::new();
    let most = if args.images { u64::MAX } else { IMAGE_ROWS };
    let held: Vec<(Held, Option<Vec<Told>>)> = parts
        .iter()
        .map(|part| Ok((Held::of(part), images::executed(part.trace, part.uid(), part.span, most)?)))
        .collect::<Result<_, Failure>>()?;
    // Reading may have found damage.
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|part| (part.trace, part.gaps())).collect();
    for ((part, (_, gaps)), (held, images)) in parts.iter().zip(&gaps).zip(held) {
        let alerts = match analysis::alerts::of(part.trace, part.uid(), part.span) {
            Ok(all) => Some(all.len()),
            Err(failure) => {
                session.say(failure.to_string());
                None
            }
        };
        rows.push(Row { trace: part.trace, part, gaps, held, images, alerts });
    }
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

/// An incident in a few words; nothing for what else an extract carries.
fn titled(incident: &Incident) -> Option<Safe> {
    let document: serde_json::Value = serde_json::from_slice(&incident.document).unwrap_or_default();
    let rule = document["trigger"]["rule"].as_str().unwrap_or("");
    (document["kind"] == INCIDENT).then(|| escape(format!("{} {rule}", incident.id).as_bytes()))
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
        let range = self.held.range;
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
            "unfinished" => Cell::number(recording.unfinished().len()),
            "catalog" => catalog(recording.catalog()),
            "containers" => self.containers(),
            "events" => Cell::number(self.held.events),
            "blocks" => Cell::number(self.held.blocks),
            "bytes" => Cell::number(self.held.bytes),
            "keyframes" => Cell::number(self.keyframes().count()),
            "keyframe_bytes" => Cell::number(self.keyframes().map(|k| k.stored).sum::<u64>()),
            "images" => self.images(),
            "clock_readings" => Cell::number(recording.clock().pairs().len()),
            "clock_steps" => Cell::number(self.steps()),
            "degraded" => Cell::list(origin.degraded.iter().map(|d| escape(d))),
            "incidents" => Cell::list(recording.incidents().iter().filter_map(titled)),
            "asked" => self.asked(),
            "alerts" => Cell::option(self.alerts, Cell::number),
            "lost" if self.gaps.untold > 0 => {
                let (all, told) = (self.gaps.lost(), self.gaps.told());
                Cell::both(Safe::format(format_args!("{all}, {told} of them told in detail")), all)
            }
            "lost" => Cell::number(self.gaps.lost()),
            "gaps" => Cell::number(self.gaps.list.len()),
            "damage" => {
                let met = self.gaps.defects.len() + self.gaps.corrupt().count();
                let text = format_args!("{met} met in what was read; `afterimage verify` reads all");
                Cell::both(Safe::format(text), met as u64)
            }
            "damage_in" => Cell::word("what was read"),
            _ => Cell::absent(),
        }
    }
}

impl Row<'_> {
    fn containers(&self) -> Cell {
        const STATES: [State; 4] = [State::Running, State::Exited, State::Deleted, State::Unknown];
        let mut counts = BTreeMap::new();
        let all = self.trace.recording.containers().iter();
        let is_asked = |s: &&ContainerSummary| match self.part.uid() {
            Some(uid) => s.record.uid == uid,
            None => {
                let life = Life::of(self.trace, s);
                s.record.is_container() && self.part.span.overlaps(life.begin, life.last)
            }
        };
        for summary in all.filter(is_asked) {
            *counts.entry(Life::of(self.trace, summary).state.as_str()).or_insert(0_u64) += 1;
        }
        let count = |s: State| counts.get(s.as_str()).copied().unwrap_or(0);
        let words: Vec<String> = STATES
            .iter()
            .filter(|s| count(**s) > 0)
            .map(|s| format!("{} {}", count(*s), s.as_str()))
            .collect();
        let object = STATES.iter().map(|s| (s.as_str(), Machine::from(count(*s))));
        let is_host = |s: &ContainerSummary| s.record.uid == ContainerUid::HOST && s.events > 0;
        let has_host = self.part.uid().is_none() && self.trace.recording.containers().iter().any(is_host);
        let host = if has_host { ", and the host" } else { "" };
        Cell::both(Safe::format(format_args!("{}{host}", words.join(", "))), Machine::object(object))
    }

    fn keyframes(&self) -> impl Iterator<Item = &Keyframe> {
        let part = self.part;
        let is_asked =
            move |k: &&Keyframe| part.uid().is_none_or(|uid| k.container == uid) && part.span.contains(k.at);
        self.trace.recording.keyframes().iter().filter(is_asked)
    }

    fn images(&self) -> Cell {
        let Some(images) = &self.images else {
            let text =
                "not looked for in so many events: --images does, a container or a range makes it fewer";
            return Cell::both(Safe::literal(text), Machine::NULL);
        };
        // The same program was executed in many containers.
        let mut different: BTreeMap<Program<'_>, BTreeSet<ContainerUid>> = BTreeMap::new();
        for (uid, path, image) in images {
            different.entry((path, image.hash, image.outcome)).or_default().insert(*uid);
        }
        let told = |(&(path, hash, outcome), whose): (&Program<'_>, &BTreeSet<ContainerUid>)| {
            let hash = hash.map_or_else(String::new, |hash| format!("sha256 {}, ", artifacts::hex(&hash)));
            let times =
                if whose.len() > 1 { format!(", in {} containers", whose.len()) } else { String::new() };
            format!("{} ({hash}{}{times})", escape(path), artifacts::outcome(outcome))
        };
        let mut texts: Vec<String> = different.iter().take(TOLD_IMAGES).map(told).collect();
        if different.len() > TOLD_IMAGES {
            texts.push(format!("and {} more: `-o json` has all", different.len() - TOLD_IMAGES));
        }
        let object = |(uid, path, image): &Told| {
            let hash = image.hash.map(|hash| Safe::format(format_args!("{}", artifacts::hex(&hash))));
            Machine::object([
                ("container_uid", uid.0.into()),
                ("path", escape(path).into()),
                ("sha256", hash.into()),
                ("size", image.size.into()),
                ("outcome", artifacts::outcome(image.outcome).into()),
            ])
        };
        let list = Machine::list(images.iter().map(object));
        Cell::both(Safe::format(format_args!("{}", texts.join(", "))), list)
    }

    fn asked(&self) -> Cell {
        let all = Asked::of(&self.trace.recording);
        let ends = |part: &afterimage_format::Part| {
            (part.begin, part.end.map(|end| BootNanos(end.0.saturating_add(1))))
        };
        let known = self.trace.recording.containers();
        let name = |uid: ContainerUid| match known.iter().find(|summary| summary.record.uid == uid) {
            Some(summary) => display_name(&summary.record),
            None => Safe::format(format_args!("uid {}", uid.0)),
        };
        let moment = |at: Option<BootNanos>, open: &str| match at {
            Some(at) => self.trace.moment(at).text().to_owned(),
            None => open.to_owned(),
        };
        let part = |part: &afterimage_format::Part| {
            let (begin, end) = ends(part);
            let (begin, end) = (moment(begin, "its beginning"), moment(end, "its end"));
            format!("{} from {begin} to {end}", name(part.container))
        };
        let told = |asked: &Asked| {
            let mut texts: Vec<String> = asked.parts.iter().take(TOLD_IMAGES).map(part).collect();
            let others = asked.containers.saturating_sub(texts.len() as u64);
            if others > 0 {
                texts.push(format!("{others} more containers"));
            }
            let filters =
                asked.filters.iter().map(|text| format!("what passes `{}`", escape(text.as_bytes())));
            texts.extend(filters);
            texts.join(", ")
        };
        let texts: Vec<String> = all.iter().map(told).collect();
        let time = |at: Option<BootNanos>| Machine::from(at.and_then(|at| self.trace.clock.rfc3339(at)));
        let object = |asked: &Asked| {
            let part = |part: &afterimage_format::Part| {
                let (begin, end) = ends(part);
                Machine::object([
                    ("container_uid", part.container.0.into()),
                    ("begin", time(begin)),
                    ("end", time(end)),
                ])
            };
            Machine::object([
                ("containers", asked.containers.into()),
                ("parts", Machine::list(asked.parts.iter().map(part))),
                ("filters", Machine::list(asked.filters.iter().map(|text| escape(text.as_bytes()).into()))),
            ])
        };
        Cell::both(Safe::format(format_args!("{}", texts.join("; "))), Machine::list(all.iter().map(object)))
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
