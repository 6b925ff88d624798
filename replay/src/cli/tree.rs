//! `afterimage tree`: who started whom in a container.

use clap::Args;

use super::{
    scope::Part,
    session::{Session, missing, sources},
};
use crate::{
    analysis::process_tree::{self, Choice, SHAPE},
    exit::Verdict,
    failure::Failure,
    output::OutputArgs,
    time::RangeArgs,
    trace::StoreArgs,
};

/// Show the processes of a container as a tree.
///
/// Each process with its life and its end; a program that is not part of the image is marked. With --at the
/// processes that lived at that moment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage tree web
  afterimage tree web demo.aft --at +19s
  afterimage tree web -o json | jq '.processes[] | select(.marks != [])'")]
pub(super) struct TreeArgs {
    /// The container: a prefix of its id, its name, `namespace/pod`, `uid:N` or `host`
    container: String,
    #[command(flatten)]
    stores: StoreArgs,
    /// The processes that lived at this moment, written like --begin of `show`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Also show the processes that set the container up
    #[arg(long)]
    setup: bool,
    /// Show and read clock times in the local time zone instead of UTC
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &TreeArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.stores.open(args.local)?;
    let range = RangeArgs { end: args.at.clone(), local: args.local, ..RangeArgs::default() };
    let part = Part::of_container(&traces, &args.container, &range)?;
    let at = args.at.is_some().then_some(part.span.end).flatten();
    draw(&part, Choice { at, setup: args.setup, ascii: session.ascii }, &args.output, session)
}

/// Prints the tree of a part's container; `show --tree` is the same.
pub(super) fn draw(
    part: &Part<'_>,
    choice: Choice,
    output: &OutputArgs,
    session: &mut Session<'_>,
) -> Result<Verdict, Failure> {
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let life = target.life();
    let tree = process_tree::of_container(part.trace, target.uid(), (life.begin, life.last), choice)?;
    let mut emitter = session.emit(SHAPE, output, &sources(std::slice::from_ref(part.trace)))?;
    for row in &tree.rows {
        emitter.row(row)?;
    }
    let gaps = [(part.trace, part.gaps())];
    emitter.finish(&missing(&gaps))?;
    if tree.forgotten > 0 {
        session.say(format!("{} ended processes did not fit into memory and are not shown", tree.forgotten));
    }
    Ok(session.conclude(&gaps, !tree.rows.is_empty()))
}
