//! `afterimage diff`: what one container did and another did not.

use clap::Args;

use super::session::{Session, missing, sources};
use crate::{
    analysis::behaviour::{Behaviour, SHAPE},
    exit::Verdict,
    failure::Failure,
    output::OutputArgs,
    time::Span,
    trace::{Gaps, StoreArgs, Trace, display_name, find},
};

/// Compare what two containers did: programs, files, peers, listeners, names, calls.
///
/// Shows what only one of them did; --all shows everything, with counts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage diff web-1 web-2
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
    output: OutputArgs,
}

pub(super) fn run(args: &DiffArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.stores.open(false)?;
    let targets = [find(&traces, &args.a)?, find(&traces, &args.b)?];
    let whole = Span::default();
    let [a, b] = [Behaviour::of(&targets[0], whole)?, Behaviour::of(&targets[1], whole)?];
    let mut rows = a.compare(b);
    rows.retain(|row| args.all || row.is_one_sided());
    let gaps: Vec<(&Trace, Gaps)> =
        targets.iter().map(|t| (t.trace, Gaps::of_container(t.trace, t.uid(), whole))).collect();
    let mut emitter = session.emit(SHAPE, &args.output, &sources(&traces))?;
    for row in &rows {
        emitter.row(row)?;
    }
    emitter.finish(&missing(&gaps))?;
    let [a, b] = targets.map(|t| display_name(&t.summary.record));
    session.say(format!("a is {a}, b is {b}"));
    Ok(session.conclude(&gaps, !rows.is_empty()))
}
