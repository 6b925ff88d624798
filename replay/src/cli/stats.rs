//! `afterimage stats`: how often what happened.

use std::{collections::HashMap, ops::ControlFlow};

use afterimage_format::BootNanos;
use afterimage_model::text::Safe;
use clap::{Args, ValueEnum};

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing, sources_of},
    show::events as number_of,
};
use crate::{
    events::{self, EventRow, Filters, Item, Options},
    exit::Verdict,
    failure::Failure,
    output::{Cell, Column, Kind, Machine, OutputArgs, Record, Shape},
    time,
    trace::{Gaps, Trace},
};

/// Count events by what they are, who did them, or how they ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage stats -c web                      system calls of one container
  afterimage stats -c web --by process -n 10
  afterimage stats --by container -o csv")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// What to count by
    #[arg(long, value_enum, default_value = "event", value_name = "KEY")]
    by: By,
    /// Also count what runtimes did to set containers up
    #[arg(long)]
    setup: bool,
    /// Only the most frequent
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// System call or other event
    Event,
    /// Class of events
    Class,
    /// Name of the process
    Process,
    /// Error
    Error,
    /// Container
    Container,
}

impl By {
    /// The column of events that is counted by.
    const fn column(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Class => "class",
            Self::Process => "process",
            Self::Error => "error",
            Self::Container => "container",
        }
    }
}

const COLUMNS: &[Column] = &[
    Column::new("key", "KEY", "event, class, process, error or container").flexible(),
    Column::new("count", "COUNT", "events").integer(),
    Column::new("failed", "FAILED", "calls among them that failed").integer(),
    Column::new("first", "FIRST", "the first of them").kind(Kind::Time),
    Column::new("last", "LAST", "the last of them").kind(Kind::Time),
    Column::new("duration", "DURATION", "time spent in them, where entry times are recorded")
        .right()
        .optional(),
    Column::new("duration_ns", "DURATION NS", "the same in nanoseconds").hidden().integer(),
    Column::new("store", "STORE", "the recording").hidden().flexible(),
];

pub(super) const SHAPE: Shape = Shape { rows: "stats", row: "stat", columns: COLUMNS };

/// As they are shown where there are several recordings.
const WITH_STORE: [Column; COLUMNS.len()] = Column::with_last(COLUMNS);

struct Stat<'a> {
    trace: &'a Trace,
    /// `None` where it is not known who did it.
    key: Option<Safe>,
    count: u64,
    failed: u64,
    first: BootNanos,
    last: BootNanos,
    duration: Option<u64>,
}

/// How rows of so many recordings are printed.
const fn shape(recordings: usize) -> Shape {
    if recordings > 1 { Shape { columns: &WITH_STORE, ..SHAPE } } else { SHAPE }
}

pub(super) fn run(args: &StatsArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.scope.open()?;
    let parts = args.scope.parts(&traces, session)?;
    let (mut rows, mut setup) = (Vec::new(), 0);
    for part in &parts {
        let (counted, hidden) = count(part, args)?;
        rows.extend(counted);
        setup += hidden;
    }
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    let mut emitter = session.emit(shape(traces.len()), &args.output, &sources_of(&traces, &parts))?;
    for row in &rows {
        emitter.row(row)?;
    }
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|p| (p.trace, p.gaps())).collect();
    emitter.finish(&missing(&gaps))?;
    if setup > 0 {
        let hidden = number_of(setup);
        session.say(format!("{hidden} of the containers' set-up not counted; --setup counts them too"));
    }
    Ok(session.conclude(&gaps, !rows.is_empty()))
}

/// What was counted, and how many events of the set-up were not.
fn count<'a>(part: &Part<'a>, args: &StatsArgs) -> Result<(Vec<Stat<'a>>, u64), Failure> {
    let mut stats: HashMap<Option<Safe>, Stat<'a>> = HashMap::new();
    let trace = part.trace;
    let options = Options {
        container: part.uid(),
        span: part.span,
        setup: args.setup,
        raw: false,
        skip: false,
        limit: u64::MAX,
        streams: false,
        facts: false,
        filters: &mut Filters::default(),
    };
    let seen = events::walk(trace, options, &mut |item| {
        if let Item::Event(row) = item {
            add(&mut stats, trace, &row, args.by);
        }
        ControlFlow::Continue(())
    })?;
    Ok((stats.into_values().collect(), seen.setup))
}

fn add<'a>(stats: &mut HashMap<Option<Safe>, Stat<'a>>, trace: &'a Trace, row: &EventRow, by: By) {
    let key = match by {
        // Names are not unique.
        By::Container => row.whose.id.clone(),
        // The cell's text is safe: this only makes it a key again.
        by => Safe::format(format_args!("{}", row.cell(by.column()).text())),
    };
    if key.as_str().is_empty() && by == By::Error {
        return;
    }
    let key = Some(key).filter(|key| !key.as_str().is_empty());
    let at = row.event.time;
    let stat = stats.entry(key.clone()).or_insert(Stat {
        trace,
        key,
        count: 0,
        failed: 0,
        first: at,
        last: at,
        duration: None,
    });
    stat.count += 1;
    stat.failed += u64::from(!row.cell("error").text().is_empty());
    stat.first = stat.first.min(at);
    stat.last = stat.last.max(at);
    if let Some(duration) = row.event.duration {
        stat.duration = Some(stat.duration.unwrap_or(0).saturating_add(duration));
    }
}

impl Record for Stat<'_> {
    fn cell(&self, key: &str) -> Cell {
        match key {
            "key" => match &self.key {
                Some(key) => Cell::safe(key.clone()),
                None => Cell::both(Safe::literal("?"), Machine::NULL),
            },
            "count" => Cell::number(self.count),
            "failed" => Cell::number(self.failed),
            "first" => self.trace.moment(self.first),
            "last" => self.trace.moment(self.last),
            "duration" => {
                Cell::option(self.duration, |d| Cell::safe(Safe::format(format_args!("{}", time::human(d)))))
            }
            "duration_ns" => Cell::option(self.duration, Cell::number),
            "store" => {
                Cell::safe(afterimage_model::text::escape(self.trace.path.as_os_str().as_encoded_bytes()))
            }
            _ => Cell::absent(),
        }
    }
}
