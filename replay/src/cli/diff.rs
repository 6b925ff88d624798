//! `afterimage diff`: what one container did and another did not.

use clap::Args;

use super::{
    scope::Part,
    session::{Session, missing, sources_of},
};
use crate::{
    analysis::behaviour::{Behaviour, SHAPE},
    exit::Verdict,
    failure::Failure,
    output::OutputArgs,
    time::RangeArgs,
    trace::{Gaps, StoreArgs, Trace, display_name},
};

/// Compare what two containers did: programs, files, peers, listeners, names, calls.
///
/// Shows what only one of them did; --all shows everything, with counts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage diff web-1 web-2
  afterimage diff web-1 web-2 --end +5s         the first five seconds of each
  afterimage diff good bad yesterday.aftx today.aftx -o csv")]
pub(super) struct DiffArgs {
    /// The first container: a prefix of its id, its name, `namespace/pod`, `uid:N` or `host`
    #[arg(value_name = "A")]
    a: String,
    /// The second container
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    stores: StoreArgs,
    /// Also show what both did
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &DiffArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.stores.open(args.range.local)?;
    // Each container is its own frame: `+5s` is five seconds after the start of each.
    let parts = [
        Part::of_container(&traces, &args.a, &args.range, session)?,
        Part::of_container(&traces, &args.b, &args.range, session)?,
    ];
    let [a, b] = [behaviour(&parts[0])?, behaviour(&parts[1])?];
    let mut rows = a.compare(b);
    rows.retain(|row| args.all || row.is_one_sided());
    let gaps: Vec<(&Trace, Gaps)> = parts.iter().map(|part| (part.trace, part.gaps())).collect();
    let mut emitter = session.emit(SHAPE, &args.output, &sources_of(&traces, &parts))?;
    for row in &rows {
        emitter.row(row)?;
    }
    emitter.finish(&missing(&gaps))?;
    let [a, b] = parts.map(|part| part.target.map(|t| display_name(&t.summary.record)).unwrap_or_default());
    session.say(format!("a is {a}, b is {b}"));
    Ok(session.conclude(&gaps, !rows.is_empty()))
}

fn behaviour(part: &Part<'_>) -> Result<Behaviour, Failure> {
    match &part.target {
        Some(target) => Behaviour::of(target, part.span),
        None => Err(Failure::Usage("name a container".to_owned())),
    }
}
