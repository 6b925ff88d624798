//! `afterimage timeline`: how much of what happened when.

use afterimage_format::{Class, ContainerRecord};
use afterimage_model::{
    findings::Story,
    text::{Safe, escape},
};
use clap::Args;

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing, sources_of},
};
use crate::{
    analysis::perfetto::Perfetto,
    density::{self, Density},
    events,
    exit::Verdict,
    failure::Failure,
    output::{Cell, Column, Format, Kind, OutputArgs, Record, Shape, Tone, display_width, filled, terminal},
    time::{self, Clock},
    trace::{self, Gaps, Trace, display_name},
};

/// Show how many events of each class happened when.
///
/// `·` is no event, blank is not recorded, `×` is a loss; heights are logarithmic. Counts are those of the index, where it has to
/// be with the events at the borders of parts read; of a large recording with many parts they can be estimates, which is
/// said then. The set-up of containers is counted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage timeline                          all containers of the default store
  afterimage timeline -c web demo.aft          one container
  afterimage timeline -c web --svg > web.svg   as a drawing
  afterimage timeline -c web --perfetto > web.json
  afterimage timeline -b 11:58 -e 12:03 -o csv")]
pub(super) struct TimelineArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Parts to divide the range into [default: as the terminal has room, else 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    columns: Option<u16>,
    /// Print an SVG drawing
    #[arg(long, conflicts_with = "output")]
    svg: bool,
    /// Print what ran and what it called for ui.perfetto.dev and other viewers of traces (reads all events)
    #[arg(long, conflicts_with_all = ["output", "svg", "columns"])]
    perfetto: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("begin", "BEGIN", "from, inclusive").kind(Kind::Time),
    Column::new("end", "END", "to, exclusive").hidden().kind(Kind::Time),
    Column::new("events", "EVENTS", "events of all classes").integer(),
    Column::new("exec", "EXEC", "programs and processes").integer(),
    Column::new("file", "FILE", "files opened, read, looked at").integer(),
    Column::new("write", "WRITE", "files created, written, renamed, deleted").integer(),
    Column::new("net", "NET", "sockets").integer(),
    Column::new("dns", "DNS", "traffic with port 53").integer(),
    Column::new("priv", "PRIV", "credentials, namespaces, mounts, modules, ptrace, bpf").integer(),
    Column::new("mem", "MEM", "memory").integer(),
    Column::new("signal", "SIGNAL", "signals and other communication").integer(),
    Column::new("other", "OTHER", "everything else").integer(),
    Column::new("gaps", "GAPS", "gaps that touch this part").integer(),
    Column::new("recorded", "RECORDED", "the recorder was running").hidden().kind(Kind::Boolean),
    Column::new(
        "approximate",
        "APPROXIMATE",
        "some events near its borders may be counted in the part beside it, or the other way round",
    )
    .hidden()
    .kind(Kind::Boolean),
    Column::new("corrupt", "CORRUPT", "events of this part were recorded and cannot be read")
        .hidden()
        .kind(Kind::Boolean),
    Column::new("store", "STORE", "the recording").hidden(),
];

pub(super) const SHAPE: Shape = Shape { rows: "timeline", row: "part", columns: COLUMNS };

/// As they are shown where there are several recordings.
const WITH_STORE: [Column; COLUMNS.len()] = Column::with_last(COLUMNS);

/// Columns that labels take.
const LABEL: usize = 8;

/// How rows of so many recordings are printed.
const fn shape(recordings: usize) -> Shape {
    if recordings > 1 { Shape { columns: &WITH_STORE, ..SHAPE } } else { SHAPE }
}

pub(super) fn run(args: &TimelineArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.scope.open()?;
    let parts = args.scope.parts(&traces, session)?;
    if args.perfetto {
        return perfetto(&parts, session);
    }
    let room = terminal::columns().map_or(100, |w| w.saturating_sub(LABEL).max(10));
    let columns = args.columns.map_or(room, usize::from);
    let charts: Vec<(&Part<'_>, Density)> =
        parts.iter().map(|p| (p, Density::of(p.trace, p.uid(), p.span, columns))).collect();
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|p| (p.trace, p.gaps())).collect();
    let is_text = args.output.output == Format::Table && args.output.fields.is_empty();
    if args.svg {
        for (part, chart) in &charts {
            let [what, scale] = heading(part, chart, traces.len() > 1);
            let title = Safe::format(format_args!("{what}  {scale}"));
            session.out.write_all(density::svg(chart, &title).as_bytes())?;
        }
    } else if is_text {
        for (part, chart) in &charts {
            draw(part, chart, traces.len() > 1, session)?;
        }
    } else {
        let mut emitter = session.emit(shape(traces.len()), &args.output, &sources_of(&traces, &parts))?;
        for (part, chart) in &charts {
            for column in &chart.columns {
                emitter.row(&Row { part, column })?;
            }
        }
        emitter.finish(&missing(&gaps))?;
    }
    let all: usize = charts.iter().map(|(_, chart)| chart.columns.len()).sum();
    let estimates = charts.iter().flat_map(|(_, chart)| &chart.columns).filter(|c| c.approximate).count();
    if estimates > 0 {
        session.say(format!(
            "the counts of {estimates} of {all} parts are estimates: events near a border may be counted beside it; a shorter \
             range, one container or fewer --columns make them exact"
        ));
    }
    let any = charts.iter().any(|(_, c)| c.columns.iter().any(|column| column.total() > 0));
    Ok(session.conclude(&gaps, any))
}

/// Prints a document in the Trace Event Format.
fn perfetto(parts: &[Part<'_>], session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let [part] = parts else {
        return Err(Failure::Usage(
            "name one recording: times of several hosts are not comparable".to_owned(),
        ));
    };
    let gaps = part.gaps();
    let records = part.trace.recording.containers().iter().map(|summary| &summary.record);
    let whose: Vec<&ContainerRecord> = match part.target {
        Some(target) => vec![&target.summary.record],
        None => records.collect(),
    };
    let origin =
        part.span.begin.unwrap_or_else(|| part.target.map_or(part.trace.range().0, |t| t.life().begin));
    let title = part.target.map_or(Safe::literal("all containers"), |t| display_name(&t.summary.record));
    let mut to = Perfetto::new(session.out, &title, origin, part.trace.clock.rfc3339(origin).as_ref())?;
    let (mut story, mut any, mut written) = (Story::new(), false, Ok(()));
    let world = events::roll(part.trace, part.uid(), part.span.end, &mut |world, uid, event| {
        let finding = story.apply(world, uid, event);
        if written.is_err() || !part.span.contains(event.time) || !events::is_shown(event, false) {
            return;
        }
        any = true;
        written = to.event(world, uid, event);
        if let (Ok(()), Some(finding)) = (&written, finding) {
            written = to.finding(world, &finding);
        }
    })?;
    written?;
    gaps.list.iter().try_for_each(|loss| to.gap(loss))?;
    let (_, last) = part.trace.range();
    let mut forgotten = 0_u64;
    for record in whose {
        let label = trace::label(record);
        for row in world.tree(record.uid) {
            let process = row.process;
            if part.span.overlaps(process.began(), process.ended().unwrap_or(last)) {
                to.process(process, &label, part.span.end.unwrap_or(last))?;
            }
        }
        let overflow = world.overflow(record.uid);
        forgotten = forgotten.saturating_add(overflow.forgotten).saturating_add(overflow.processes);
    }
    to.finish()?;
    if forgotten > 0 {
        session.say(format!(
            "the lives of {forgotten} processes did not fit into memory: their calls are there"
        ));
    }
    Ok(session.conclude(&[(part.trace, gaps)], any))
}

/// What a chart is of: who and when, then how wide a column is.
fn heading(part: &Part<'_>, chart: &Density, several: bool) -> [Safe; 2] {
    let clock: &Clock = &part.trace.clock;
    let moment = |at| clock.full(at).unwrap_or_default();
    let who = part.target.map_or(Safe::literal("all containers"), |t| display_name(&t.summary.record));
    let place = match several {
        true => Safe::format(format_args!(" of {}", escape(part.trace.path.as_os_str().as_encoded_bytes()))),
        false => Safe::default(),
    };
    let zone = clock.zone_word();
    let (begin, end) = (moment(chart.begin), moment(chart.end));
    let (length, step) = (time::human(chart.end.0 - chart.begin.0), time::human(chart.step()));
    [
        Safe::format(format_args!("{who}{place}  {begin} .. {end} {zone}")),
        Safe::format(format_args!("{length}  1 column = {step}")),
    ]
}

fn draw(part: &Part<'_>, chart: &Density, several: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    let style = session.style;
    let [what, scale] = heading(part, chart, several);
    let width = terminal::columns().unwrap_or(usize::MAX);
    let whole = format!("{what}  {scale}");
    let lines = if display_width(&whole) <= width {
        vec![whole]
    } else {
        [what, scale].iter().flat_map(|line| filled(line.as_str(), width)).collect()
    };
    for line in lines {
        writeln!(session.out, "{}", style.paint(Tone::Head, &line))?;
    }
    for (label, glyphs) in density::text(chart, session.ascii) {
        let tone = match label {
            "lost" if chart.columns.iter().any(|c| c.gaps > 0) => Tone::Lost,
            "lost" => Tone::Dim,
            "corrupt" => Tone::Lost,
            _ => Tone::Plain,
        };
        writeln!(session.out, "{}", style.paint(tone, format!("{label:<LABEL$}{glyphs}").trim_end()))?;
    }
    Ok(())
}

struct Row<'a> {
    part: &'a Part<'a>,
    column: &'a density::Column,
}

impl Record for Row<'_> {
    fn cell(&self, key: &str) -> Cell {
        let moment = |at| self.part.trace.moment(at);
        let class = |name: &str| Class::ALL.into_iter().find(|c| c.as_str() == name);
        match key {
            "begin" => moment(self.column.from),
            "end" => moment(self.column.to),
            "events" => Cell::number(self.column.total()),
            "gaps" => Cell::number(self.column.gaps),
            "approximate" => Cell::flag(self.column.approximate),
            "corrupt" => Cell::flag(self.column.corrupt),
            "recorded" => Cell::flag(!self.column.blind),
            "store" => Cell::safe(escape(self.part.trace.path.as_os_str().as_encoded_bytes())),
            name => Cell::option(class(name), |c| Cell::number(self.column.counts[c as usize])),
        }
    }
}
