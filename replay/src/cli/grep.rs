//! `afterimage grep`: events that pass a filter, over whole recordings.

use std::{io::IsTerminal as _, ops::ControlFlow, path::Path};

use clap::Args;

use super::{
    scope::{Part, ScopeArgs},
    session::{Session, missing, sources_of},
};
use crate::{
    events::{self, Filters, Item, Options},
    exit::Verdict,
    failure::Failure,
    output::{Column, Emitter, OutputArgs, Shape, terminal::defused},
    trace::{Gaps, Trace},
};

/// Find events by a filter, in all containers of a recording, also the deleted ones.
///
/// The language is Falco's, with its field names; `&&`, `||` and `!` work too, and bare text is looked for in what an
/// event's row shows. Besides: `within` and `under` (a process and its descendants), `near(..., 5s)`,
/// `seq(a; b within 10s)`, `time`, `life`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage grep 'evt.type = connect and fd.sport = 4444'
  afterimage grep 'proc.name in (curl, wget) and evt.type = execve' demo.aft
  afterimage grep 'within proc.pid = 412 and evt.failed = true' -c web -o jsonl
  afterimage grep 'fd.name startswith /etc/ and evt.is_open_write = true' --explain
  afterimage grep 'near(evt.type = ptrace, 2s)' -n 50")]
pub(super) struct GrepArgs {
    /// The filter
    #[arg(value_name = "EXPR")]
    expr: String,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Another filter that must hold too
    #[arg(short, long, value_name = "EXPR")]
    filter: Vec<String>,
    /// Say what the filter means and what has to be read for it, and read nothing
    #[arg(long)]
    explain: bool,
    /// Print only how many events were found; with --limit no more than that are looked for
    #[arg(long)]
    count: bool,
    /// Also events of the containers' set-up by their runtimes
    #[arg(long)]
    setup: bool,
    /// Show every return of a restarted call
    #[arg(long)]
    raw: bool,
    /// At most so many events
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Position of the container among the columns of events.
const CONTAINER: usize = 4;

/// As `show` has them, with the container shown.
const COLUMNS: &[Column] = &{
    let mut columns = [events::COLUMNS[0]; events::COLUMNS.len()];
    let mut i = 0;
    while i < columns.len() {
        columns[i] = events::COLUMNS[i];
        i += 1;
    }
    columns[CONTAINER].shown = true;
    columns
};

pub(super) const SHAPE: Shape = Shape { rows: "events", row: "event", columns: COLUMNS };

/// Who is used to another `grep` writes `-c` to count: what was meant as the filter is the container then, and the recording
/// the filter.
fn swapped(args: &GrepArgs, failure: Failure) -> Failure {
    let is_file = args.scope.stores.stores.is_empty() && Path::new(&args.expr).exists();
    match &args.scope.container {
        Some(meant) if is_file => Failure::Usage(format!(
            "`{}` is a file and no filter, and `-c {}` names a container; `--count` counts",
            defused(&args.expr),
            defused(meant)
        )),
        _ => failure,
    }
}

pub(super) fn run(args: &GrepArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let texts: Vec<&String> = std::iter::once(&args.expr).chain(&args.filter).collect();
    let mut filters = Filters::parse(&texts).map_err(|failure| swapped(args, failure))?;
    let traces = args.scope.open().map_err(|failure| swapped(args, failure))?;
    let parts = args.scope.parts(&traces, session)?;
    parts.iter().try_for_each(|part| filters.check(part.trace, part.uid()))?;
    if args.explain {
        return explain(&filters, &parts, session);
    }
    filters.warnings().for_each(|line| session.say(line));
    let mut all = events::Seen::default();
    if args.count {
        for part in &parts {
            let left = args.limit.map_or(u64::MAX, |limit| limit - all.shown);
            add(&mut all, events::count(part.trace, options(part, args, left, false, &mut filters))?);
        }
        writeln!(session.out, "{}", all.shown)?;
    } else {
        let mut emitter = session.emit(SHAPE, &args.output, &sources_of(&traces, &parts))?;
        for part in &parts {
            let left = args.limit.map_or(u64::MAX, |limit| limit - all.shown);
            add(&mut all, search(part, args, left, &mut filters, &mut emitter)?);
        }
        emitter.finish(&missing(&gaps(&parts)))?;
    }
    if all.more {
        session.say("stopped at --limit; there are more events");
    }
    if all.setup > 0 {
        session.say("events of the containers' set-up are left out; --setup searches them too");
    }
    all.lacking.into_iter().for_each(|line| session.say(line));
    if filters.saturated() {
        session.say(events::SATURATED);
    }
    // Nothing was asked for, and something is there.
    let none_asked = args.limit == Some(0) && all.more;
    Ok(session.conclude(&gaps(&parts), all.shown > 0 || none_asked))
}

/// Takes what was met in one part to that of all.
fn add(all: &mut events::Seen, part: events::Seen) {
    all.shown += part.shown;
    all.setup += part.setup;
    all.more |= part.more;
    all.lacking = all.lacking.or(part.lacking);
}

fn gaps<'a>(parts: &[Part<'a>]) -> Vec<(&'a Trace, Gaps)> {
    parts.iter().map(|p| (p.trace, p.gaps())).collect()
}

fn options<'f>(
    part: &Part<'_>,
    args: &GrepArgs,
    limit: u64,
    streams: bool,
    filters: &'f mut Filters,
) -> Options<'f> {
    let GrepArgs { setup, raw, .. } = *args;
    let facts = args.output.is_schema();
    Options { container: part.uid(), span: part.span, setup, raw, skip: true, limit, streams, facts, filters }
}

fn search(
    part: &Part<'_>,
    args: &GrepArgs,
    limit: u64,
    filters: &mut Filters,
    emitter: &mut Emitter<'_>,
) -> Result<events::Seen, Failure> {
    let mut written = Ok(());
    let options = options(part, args, limit, std::io::stdout().is_terminal(), filters);
    let seen = events::walk(part.trace, options, &mut |item| {
        written = match &item {
            Item::Event(row) => emitter.row(row.as_ref()),
            Item::Gap(gap) => emitter.row_as("gap", gap),
        };
        if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    written?;
    Ok(seen)
}

fn explain(filters: &Filters, parts: &[Part<'_>], session: &mut Session<'_>) -> Result<Verdict, Failure> {
    for part in parts {
        let recording = &part.trace.recording;
        let frame = filters.frame(part.trace, part.uid());
        for filter in filters.iter() {
            let text = filter
                .explain(&frame, recording.blocks(), &filter.prefilter(&frame).blocks(recording))
                .to_string();
            for line in text.lines() {
                writeln!(session.out, "{}", defused(line))?;
            }
        }
    }
    Ok(Verdict::FOUND)
}
