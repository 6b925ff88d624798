//! `afterimage net`: who a container talked to.

use afterimage_format::EventFlags;
use afterimage_model::net::Network;
use clap::Args;

use super::{
    scope::{OneArgs, Part},
    session::{Session, missing, sources_of_part},
};
use crate::{
    analysis::{
        around::Around,
        network::{CONVERSATIONS, LISTENERS, LOOKUPS, Row, Talk},
    },
    events,
    exit::Verdict,
    failure::Failure,
    output::{Format, OutputArgs, Record, Shape, Tone},
    time::RangeArgs,
};

/// Show who a container talked to: connections, listeners, DNS names.
///
/// A table shows all three; other formats show connections unless --listeners or --lookups is given. With --begin and --end
/// all counts are those of that range; a connection or a listener from before it is shown where it is still used, and
/// marked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage net web
  afterimage net web -o json | jq '.conversations[] | select(.direction == \"out\")'
  afterimage net web --lookups -o csv")]
pub(super) struct NetArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// Sockets that waited for connections
    #[arg(long, conflicts_with = "lookups")]
    listeners: bool,
    /// Questions to DNS servers, with their answers
    #[arg(long)]
    lookups: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &NetArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range, session)?;
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let uid = target.uid();
    let mut network = Network::new().counting_from(part.span.begin);
    let world = events::roll(part.trace, Some(uid), part.span.end, &mut |world, uid, event| {
        if !event.flags.contains(EventFlags::SETUP) {
            network.apply(world, uid, event);
        }
    })?;
    let around = Around { trace: part.trace, world: &world, start: target.life().begin };
    let mut talks: Vec<_> =
        network.counted(uid).map(|(talk, before)| Talk { around, talk, before }).collect();
    talks.sort_by_key(|row| row.talk.first);
    let listeners: Vec<_> = network.listeners(uid).iter().map(|l| Row(around, l)).collect();
    let mut lookups: Vec<_> = network.counted_lookups(uid).map(|l| Row(around, l)).collect();
    lookups.sort_by_key(|row| row.1.time);
    let sections = [
        (CONVERSATIONS, rows(&talks), "Connections"),
        (LISTENERS, rows(&listeners), "Listeners"),
        (LOOKUPS, rows(&lookups), "DNS"),
    ];
    let only = usize::from(args.listeners) + 2 * usize::from(args.lookups);
    let all = args.output.output == Format::Table && only == 0 && args.output.fields.is_empty();
    let mut found = 0;
    for (i, (shape, rows, title)) in sections.into_iter().enumerate() {
        if i == only || all && !rows.is_empty() {
            found += rows.len();
            let title = all.then_some(title);
            print(&part, shape, &rows, title, args, session)?;
        }
    }
    let dropped = network.dropped(uid);
    if dropped > 0 {
        session.say(format!("{dropped} conversations or lookups did not fit into memory and are not shown"));
    }
    let unknown = network.unknown(uid);
    if unknown > 0 {
        session.say(format!(
            "{unknown} bytes went through descriptors of which nothing is known; they may be sockets that came from another process"
        ));
    }
    Ok(session.conclude(&[(part.trace, part.gaps())], found > 0))
}

fn rows<T: Record>(rows: &[T]) -> Vec<&dyn Record> {
    rows.iter().map(|r| r as &dyn Record).collect()
}

fn print(
    part: &Part<'_>,
    shape: Shape,
    rows: &[&dyn Record],
    title: Option<&str>,
    args: &NetArgs,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if let Some(title) = title.filter(|_| !rows.is_empty()) {
        let line = session.style.paint(Tone::Head, title);
        writeln!(session.out, "{line}")?;
    }
    let mut emitter = session.emit(shape, &args.output, &sources_of_part(part))?;
    for row in rows {
        emitter.row(*row)?;
    }
    emitter.finish(&missing(&[(part.trace, part.gaps())]))?;
    Ok(())
}
