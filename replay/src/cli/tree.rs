//! `afterimage tree`: who started whom in a container.

use afterimage_model::text::Safe;
use clap::Args;

use super::{
    scope::{OneArgs, Part},
    session::{Session, missing, sources_of_part},
};
use crate::{
    analysis::process_tree::{self, Choice, SHAPE},
    exit::Verdict,
    failure::Failure,
    output::OutputArgs,
    time::RangeArgs,
};

/// Show the processes of a container as a tree.
///
/// Each process with its life and its end; a program that is not part of the image is marked. With --at the
/// processes that lived at that moment, with --begin and --end those that lived in that range, as they were at its end;
/// events and bytes are those of the range.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage tree web
  afterimage tree web demo.aft --at +19s
  afterimage tree web -o json | jq '.processes[] | select(.marks != [])'")]
pub(super) struct TreeArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// The processes that lived at this moment, written like --begin
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["begin", "end"])]
    at: Option<String>,
    /// Also show the processes that set the container up
    #[arg(long)]
    setup: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &TreeArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(args.range.local)?;
    let mut part = args.whose.part(&traces, &args.range, session)?;
    let at = args.at.as_deref().map(|text| part.moment(text)).transpose()?;
    part.span.end = at.or(part.span.end);
    let choice = Choice { at, span: part.asked, setup: args.setup, ascii: session.ascii };
    draw(&part, choice, &args.output, session)
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
    let mut emitter = session.emit(SHAPE, output, &sources_of_part(part))?;
    for row in &tree.rows {
        emitter.row(row)?;
    }
    let gaps = [(part.trace, part.gaps())];
    emitter.finish(&missing(&gaps))?;
    if tree.forgotten > 0 {
        session.say(format!("{} ended processes did not fit into memory and are not shown", tree.forgotten));
    }
    if tree.rows.is_empty() && choice.at.is_some() {
        let moment =
            |at| part.trace.clock.full(at).map_or_else(|| format!("boot +{} ns", at.0), Safe::into_string);
        let (begin, end, zone) = (moment(life.begin), moment(life.last), part.trace.clock.zone_word());
        session
            .say(format!("no process ran at that moment; the container lived from {begin} to {end} {zone}"));
    }
    Ok(session.conclude(&gaps, !tree.rows.is_empty()))
}
