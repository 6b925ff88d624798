//! `afterimage ls`: every container of a recording, the deleted ones too.

use afterimage_format::{ContainerSummary, ContainerUid, FactKey};
use afterimage_model::text::{Safe, escape};
use clap::Args;

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing, sources_of},
};
use crate::{
    exit::Verdict,
    failure::Failure,
    output::{Cell, Column, Kind, Machine, OutputArgs, Record, Shape, Tone},
    time::{self, Span},
    trace::{self, Ended, Gaps, Life, State, Target, Trace},
};

/// List every container of a recording, running, exited or deleted.
///
/// The host itself is listed with --all. EVENTS counts what was kept, LOST what the recorder could not hand over.
/// A recording of a container is partial when it began before the recording, outlived it, or events were lost. With --begin and
/// --end those that lived in that range; what is told of them is of their whole lives.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage ls                              the default store
  afterimage ls demo.aft other-store/        several recordings in one list
  afterimage ls --state deleted -o json      deleted containers for a script
  afterimage ls --fields id,name,exit_code   some columns; `--fields help` lists them")]
pub(super) struct LsArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Also list the host and the engines' own monitors
    #[arg(short, long)]
    all: bool,
    /// Only containers in this state: running, exited, deleted or unknown
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = ["running", "exited", "deleted", "unknown"])]
    state: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("id", "ID", "the engine's id; the first 12 digits in tables unless --no-trunc").flexible(),
    Column::new("uid", "UID", "the recorder's own number of it in this store").hidden().integer(),
    Column::new("engine", "ENGINE", "who made it: docker, podman, containerd, ...").spare(),
    Column::new("role", "ROLE", "container, sandbox, monitor or host").hidden(),
    Column::new("name", "NAME", "the engine's name for it, else the name in its pod").flexible().optional(),
    Column::new("image", "IMAGE", "the image it was made from").flexible().optional(),
    Column::new("image_digest", "DIGEST", "digest of the image").hidden(),
    Column::new("pod", "POD", "namespace and name of its pod").flexible().optional(),
    Column::new("state", "STATE", "running, exited, deleted, or unknown where the recording ended before it"),
    Column::new("start", "START", "when its first program was executed, else its first sign")
        .kind(Kind::Time),
    Column::new("end", "END", "when its first process ended").hidden().kind(Kind::Time),
    Column::new("removed", "REMOVED", "when it was removed").hidden().kind(Kind::Time),
    Column::new("life", "LIFE", "how long it lived, as far as is recorded").right().spare(),
    Column::new("life_ns", "LIFE NS", "the same in nanoseconds").hidden().integer(),
    Column::new("exit", "EXIT", "exit code or signal of its first process").right(),
    Column::new("exit_code", "EXIT CODE", "exit code").hidden().integer(),
    Column::new("exit_signal", "EXIT SIGNAL", "number of the signal that ended it").hidden().integer(),
    Column::new("events", "EVENTS", "events kept").integer(),
    Column::new("lost", "LOST", "events lost, throttled ones included").integer(),
    Column::new(
        "evicted",
        "EVICTED",
        "events that retention removed, to stay within the store's budget or age",
    )
    .hidden()
    .integer(),
    Column::new("recording", "RECORDING", "complete, or partial and why").flexible(),
    Column::new("partial", "PARTIAL", "why the recording of it is partial; empty where it is complete")
        .hidden()
        .kind(Kind::Texts),
    Column::new("preexisting", "PREEXISTING", "it was there before recording began")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("outer", "OUTER", "uid of the container it runs in, for nested ones").hidden().integer(),
    Column::new("cgroup", "CGROUP", "path of its cgroup").hidden().flexible(),
    Column::new("facts", "FACTS", "everything learnt about it, with source and time")
        .hidden()
        .flexible()
        .kind(Kind::Objects),
    Column::new("store", "STORE", "the recording it is in").hidden().flexible(),
];

pub(super) const SHAPE: Shape = Shape { rows: "containers", row: "container", columns: COLUMNS };

/// As they are shown where there are several recordings.
const WITH_STORE: [Column; COLUMNS.len()] = Column::with_last(COLUMNS);

/// One container.
pub(super) struct ContainerRow<'a> {
    trace: &'a Trace,
    summary: &'a ContainerSummary,
    life: Life,
    short: bool,
}

/// How rows of so many recordings are printed.
const fn shape(recordings: usize) -> Shape {
    if recordings > 1 { Shape { columns: &WITH_STORE, ..SHAPE } } else { SHAPE }
}

pub(super) fn run(args: &LsArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.scope.open()?;
    let parts = args.scope.parts(&traces, session)?;
    let mut rows: Vec<_> = parts.iter().flat_map(|part| rows_of(part, args)).collect();
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|part| (part.trace, part.gaps())).collect();
    if traces.len() > 1 {
        rows.sort_by_key(|row| row.trace.clock.map().real(row.life.begin));
    }
    let mut emitter = session.emit(shape(traces.len()), &args.output, &sources_of(&traces, &parts))?;
    for row in &rows {
        emitter.row(row)?;
    }
    emitter.finish(&missing(&gaps))?;
    Ok(session.conclude(&gaps, !rows.is_empty()))
}

fn rows_of<'a>(part: &Part<'a>, args: &LsArgs) -> Vec<ContainerRow<'a>> {
    let long = args.output.no_trunc || args.output.is_machine();
    let in_state = |life: &Life| args.state.is_empty() || args.state.iter().any(|s| s == life.state.as_str());
    let wanted = |s: &ContainerSummary| match part.uid() {
        Some(uid) => s.record.uid == uid,
        None => args.all || s.record.is_container(),
    };
    let mut rows = rows_in(part.trace, part.span, long, wanted);
    rows.retain(|row| in_state(&row.life));
    rows
}

/// The wanted containers of a recording that lived in `span`; whole ids where `long`.
pub(super) fn rows_in<'a>(
    trace: &'a Trace,
    span: Span,
    long: bool,
    wanted: impl Fn(&ContainerSummary) -> bool,
) -> Vec<ContainerRow<'a>> {
    let all = trace.recording.containers().iter().filter(|s| wanted(s));
    all.map(|summary| ContainerRow { trace, summary, life: Life::of(trace, summary), short: !long })
        .filter(|row| span.overlaps(row.life.begin, row.life.last))
        .collect()
}

impl Record for ContainerRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let (record, life) = (&self.summary.record, &self.life);
        let moment = |at| self.trace.moment(at);
        match key {
            "id" if self.short => Cell::safe(trace::short_id(record)),
            "id" => Cell::safe(trace::id(record)),
            "uid" => Cell::number(record.uid.0),
            "engine" => Cell::word(record.engine.as_str()),
            "role" => Cell::word(record.role.as_str()),
            "name" => Cell::option(trace::name(record), Cell::safe),
            "image" => Cell::option(trace::image(record), Cell::safe),
            "image_digest" => {
                Cell::option(record.fact(FactKey::ImageDigest), |f| Cell::safe(escape(&f.value)))
            }
            "pod" => Cell::option(trace::pod(record), Cell::safe),
            "state" => Cell::word(life.state.as_str()),
            "start" => moment(life.begin),
            "end" => Cell::option(record.exited, |(at, _)| moment(at)),
            "removed" => Cell::option(record.removed, moment),
            "life" => Cell::safe(Safe::format(format_args!("{}", time::human(life.length())))),
            "life_ns" => Cell::number(life.length()),
            "exit" => self.exit(),
            "exit_code" => match life.exit {
                Some(Ended::Code(code)) => Cell::number(code),
                _ => Cell::absent(),
            },
            "exit_signal" => match life.exit {
                Some(Ended::Signal(signal)) => Cell::number(signal),
                _ => Cell::absent(),
            },
            "events" => Cell::number(self.summary.events),
            "lost" => Cell::number(self.summary.lost),
            "evicted" => Cell::number(self.trace.recording.eviction(record.uid).map_or(0, |e| e.events)),
            "recording" => self.recording(),
            "partial" => Cell::list(life.partial.iter().map(|p| Safe::literal(p.as_str()))),
            "preexisting" => Cell::flag(record.preexisting),
            "outer" => Cell::option(record.outer, |uid: ContainerUid| Cell::number(uid.0)),
            "cgroup" => Cell::safe(escape(&record.cgroup_path)),
            "facts" => self.facts(),
            "store" => Cell::safe(escape(self.trace.path.as_os_str().as_encoded_bytes())),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        match self.life.state {
            _ if self.summary.lost > 0 => Tone::Lost,
            State::Running => Tone::Plain,
            _ => Tone::Dim,
        }
    }
}

impl<'a> ContainerRow<'a> {
    /// The container itself.
    pub(super) fn target(&self) -> Target<'a> {
        Target { trace: self.trace, summary: self.summary }
    }

    /// Whether it is about this container.
    pub(super) fn is(&self, target: Target<'_>) -> bool {
        std::ptr::eq(self.summary, target.summary)
    }

    fn exit(&self) -> Cell {
        match self.life.exit {
            Some(Ended::Code(code)) => Cell::safe(Safe::format(format_args!("{code}"))),
            Some(Ended::Signal(signal)) => Cell::safe(Safe::format(format_args!("signal {signal}"))),
            None => Cell::absent(),
        }
    }

    fn recording(&self) -> Cell {
        if self.life.partial.is_empty() {
            return Cell::word("complete");
        }
        let reasons: Vec<&str> = self.life.partial.iter().map(|reason| reason.as_str()).collect();
        Cell::both(Safe::format(format_args!("partial: {}", reasons.join(", "))), "partial")
    }

    fn facts(&self) -> Cell {
        let facts = &self.summary.record.facts;
        let text: Vec<String> =
            facts.iter().map(|f| format!("{}={}", f.key.as_str(), escape(&f.value))).collect();
        let list = facts.iter().map(|f| {
            Machine::object([
                ("key", f.key.as_str().into()),
                ("value", escape(&f.value).into()),
                ("source", f.source.as_str().into()),
                ("time", self.trace.clock.rfc3339(f.time).into()),
            ])
        });
        Cell::both(Safe::format(format_args!("{}", text.join(" "))), Machine::list(list))
    }
}
