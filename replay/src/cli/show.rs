//! `afterimage show`: what happened in one container, event by event.

use std::{io::IsTerminal as _, ops::ControlFlow};

use afterimage_format::BootNanos;
use afterimage_model::findings::Severity;
use clap::Args;

use super::{
    scope::{OneArgs, Part},
    session::{Session, missing, sources_of, sources_of_part},
};
use crate::{
    analysis::{alerts, findings, process_tree::Choice},
    events::{self, Filters, Item, Options},
    exit::Verdict,
    failure::Failure,
    output::{OutputArgs, Record, Shape},
    time::RangeArgs,
};

/// Show what happened in a container, in order of time.
///
/// Lost events stand at their place as rows `lost`. What the container's runtime did to set it up is hidden unless
/// --setup is given. A call that a signal interrupted and the kernel restarted is one row unless --raw is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage show web                                   all of it
  afterimage show 3ad7 demo.aft --begin +19s --end +21s
  afterimage show web --filter 'evt.type = connect and fd.sport != 443' -o json
  afterimage show web --fields time,pid,args -n 20")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// Only events that pass this filter, in Falco's language; several must all hold
    #[arg(short, long, value_name = "EXPR")]
    filter: Vec<String>,
    /// Also show what the runtime did to set the container up
    #[arg(long)]
    setup: bool,
    /// Show every return of a restarted call
    #[arg(long)]
    raw: bool,
    /// Show the processes as a tree instead, as `afterimage tree` does
    #[arg(long, conflicts_with_all = ["filter", "raw", "findings"])]
    tree: bool,
    /// Show the key events only: what an analyst would point at first, with its weight, and the alerts about the container
    #[arg(long, conflicts_with_all = ["filter", "raw", "setup"])]
    findings: bool,
    /// At most so many events
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) const SHAPE: Shape = Shape { rows: "events", row: "event", columns: events::COLUMNS };

pub(super) fn run(args: &ShowArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let mut filters = Filters::parse(&args.filter)?;
    filters.warnings().for_each(|line| session.say(line));
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range, session)?;
    filters.check(part.trace, part.uid())?;
    if args.tree {
        let choice = Choice { at: None, span: part.asked, setup: args.setup, ascii: session.ascii };
        return super::tree::draw(&part, choice, &args.output, session);
    }
    if args.findings {
        return findings(&part, args, session);
    }
    let mut emitter = session.emit(SHAPE, &args.output, &sources_of(&traces, std::slice::from_ref(&part)))?;
    let mut written = Ok(());
    let options = Options {
        container: part.uid(),
        span: part.span,
        setup: args.setup,
        raw: args.raw,
        skip: false,
        limit: args.limit.unwrap_or(u64::MAX),
        streams: std::io::stdout().is_terminal(),
        facts: args.output.is_schema(),
        filters: &mut filters,
    };
    let seen = events::walk(part.trace, options, &mut |item| {
        written = match &item {
            Item::Event(row) => emitter.row(row.as_ref()),
            Item::Gap(gap) => emitter.row_as("gap", gap),
        };
        if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    written?;
    // Reading may have found damage.
    let gaps = [(part.trace, part.gaps())];
    emitter.finish(&missing(&gaps))?;
    if seen.setup > 0 {
        session.say(format!("{} of the container's set-up hidden; --setup shows them", events(seen.setup)));
    }
    seen.lacking.into_iter().for_each(|line| session.say(line));
    if seen.more {
        session.say("stopped at --limit; there are more events");
    }
    // Where none were asked for, something may still be there.
    Ok(session.conclude(&gaps, seen.shown > 0 || args.limit == Some(0) && seen.more))
}

/// A number of events in words.
pub(super) fn events(count: u64) -> String {
    format!("{count} {}", if count == 1 { "event" } else { "events" })
}

fn findings(part: &Part<'_>, args: &ShowArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let whose = (target.uid(), target.life().begin);
    let facts = args.output.is_schema();
    let found = findings::of_container(part.trace, whose, part.span, Severity::Info, facts)?;
    // Who tells of a container may do so when it has ended.
    let alerts = alerts::as_findings(part.trace, whose, part.asked, facts)?;
    let mut rows: Vec<(BootNanos, &dyn Record)> =
        found.iter().map(|row| (row.finding.time, row as _)).collect();
    rows.extend(alerts.iter().map(|row| (row.at(), row as &dyn Record)));
    rows.sort_by_key(|(at, _)| *at);
    rows.truncate(args.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX));
    let head = sources_of_part(part);
    let mut emitter = session.emit(findings::SHAPE, &args.output, &head)?;
    for (_, row) in &rows {
        emitter.row(*row)?;
    }
    let gaps = [(part.trace, part.gaps())];
    emitter.finish(&missing(&gaps))?;
    Ok(session.conclude(&gaps, !rows.is_empty()))
}
