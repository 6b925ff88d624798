//! `afterimage follow`: what went through a stream or a terminal.

use std::{
    io::{IsTerminal as _, Write},
    path::PathBuf,
};

use afterimage_format::EventFlags;
use afterimage_model::{
    streams::{Chunk, Stream, Streams, Way},
    text::Safe,
};
use clap::{Args, ValueEnum};

use super::{
    scope::{OneArgs, Part},
    session::{Session, missing, sources_of_part},
};
use crate::{
    analysis::{
        around::Around,
        cast, terminal,
        transcript::{self, CHUNKS, ChunkRow, STREAMS, StreamRow},
    },
    events, evidence,
    exit::Verdict,
    failure::Failure,
    output::{Format, OutputArgs},
    time::{RangeArgs, Span},
    trace::display_name,
};

/// Follow a stream or a terminal session: what was typed and what was seen.
///
/// Without --stream lists the streams of the container. A stream has the same number in every range. `<` marks what its processes read, `>` what they wrote.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage follow web                           which streams there are
  afterimage follow web --stream 3
  afterimage follow web --stream 3 --as hex
  afterimage follow web --stream 3 --way out --as raw --to sent.bin
  afterimage follow web --stream 3 --as cast --to session.cast")]
pub(super) struct FollowArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// The stream, by its number in the list
    #[arg(short, long, value_name = "N")]
    stream: Option<usize>,
    /// Only streams that this process read or wrote
    #[arg(long, value_name = "PID", conflicts_with = "stream")]
    pid: Option<u32>,
    /// One direction only
    #[arg(long, value_enum, value_name = "WAY", requires = "stream", conflicts_with = "pid")]
    way: Option<OneWay>,
    /// How to show what went through it [default: text; with --to raw]
    #[arg(long = "as", value_enum, value_name = "FORM", requires = "stream", conflicts_with_all = ["pid", "output"])]
    form: Option<Form>,
    /// Write it into this file; an existing one is never overwritten
    #[arg(long, value_name = "FILE", requires = "stream", conflicts_with = "pid")]
    to: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OneWay {
    /// What processes of the container read
    In,
    /// What they wrote
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines, escaped
    Text,
    /// A hex dump
    Hex,
    /// The bytes as they were; never to a terminal
    Raw,
    /// An asciicast, which asciinema plays: what draws as it was, all else as text
    Cast,
}

pub(super) fn run(args: &FollowArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range, session)?;
    let Some(target) = part.target else {
        return Err(Failure::Usage("name a container".to_owned()));
    };
    let uid = target.uid();
    let mut streams = Streams::new().counting_from(part.span.begin);
    let world = events::roll(part.trace, Some(uid), part.span.end, &mut |world, uid, event| {
        if !event.flags.contains(EventFlags::SETUP) {
            streams.apply(world, uid, event);
        }
    })?;
    let around = Around { trace: part.trace, world: &world, start: target.life().begin };
    let mut all: Vec<&Stream> = streams.list(uid).iter().collect();
    all.sort_by_key(|stream| stream.number);
    let numbered = streams.numbered(uid);
    let found = match args.stream {
        None => list(&part, around, &all, args, session)?,
        Some(number) => match all.iter().find(|stream| stream.number == number) {
            Some(stream) => show(&part, around, stream, args, session)?,
            None if (1..=numbered).contains(&number) => {
                session.say(format!("nothing of stream {number} is in the asked range"));
                false
            }
            None => {
                return Err(Failure::Usage(format!(
                    "no stream {number}; there are {numbered}, `afterimage follow` lists them"
                )));
            }
        },
    };
    let dropped = streams.dropped(uid);
    if dropped > 0 {
        session.say(format!("{dropped} reads and writes did not fit into memory and are not shown"));
    }
    Ok(session.conclude(&[(part.trace, part.gaps())], found))
}

fn list(
    part: &Part<'_>,
    around: Around<'_>,
    streams: &[&Stream],
    args: &FollowArgs,
    session: &mut Session<'_>,
) -> Result<bool, Failure> {
    let wanted = |s: &Stream| args.pid.is_none_or(|pid| s.users.iter().any(|(key, _)| key.tgid == pid));
    let mut emitter = session.emit(STREAMS, &args.output, &sources_of_part(part))?;
    for stream in streams.iter().filter(|stream| wanted(stream)) {
        emitter.row(&StreamRow(around, stream))?;
    }
    Ok(emitter.finish(&missing(&[(part.trace, part.gaps())]))? > 0)
}

fn show(
    part: &Part<'_>,
    around: Around<'_>,
    stream: &Stream,
    args: &FollowArgs,
    session: &mut Session<'_>,
) -> Result<bool, Failure> {
    let wanted = |c: &&Chunk| match args.way {
        None => true,
        Some(OneWay::In) => c.transfer.way == Way::In,
        Some(OneWay::Out) => c.transfer.way == Way::Out,
    };
    let chunks: Vec<&Chunk> = stream.chunks.iter().filter(wanted).collect();
    let form = args.form.unwrap_or(if args.to.is_some() { Form::Raw } else { Form::Text });
    let mut lines: Box<dyn Iterator<Item = Safe>> = match form {
        Form::Hex => Box::new(chunks.iter().flat_map(|chunk| transcript::hex(&around, chunk))),
        // Through a terminal each key goes by itself.
        _ if stream.kind == "tty" => Box::new(terminal::lines(&around, &chunks).into_iter()),
        _ => Box::new(chunks.iter().flat_map(|chunk| transcript::text(&around, chunk))),
    };
    if form == Form::Cast {
        cast(part, (around, stream), &chunks, args, session)?;
    } else if let Some(to) = &args.to {
        evidence::save(to, |file| match form {
            Form::Raw => write_raw(&chunks, file),
            _ => lines.try_for_each(|line| writeln!(file, "{line}")),
        })?;
    } else if args.output.output != Format::Table || !args.output.fields.is_empty() {
        let mut emitter = session.emit(CHUNKS, &args.output, &sources_of_part(part))?;
        for chunk in &chunks {
            emitter.row(&ChunkRow(around, chunk))?;
        }
        emitter.finish(&missing(&[(part.trace, part.gaps())]))?;
    } else if form == Form::Raw {
        if std::io::stdout().is_terminal() {
            let hint = "write them to a file with --to, or into a pipe";
            return Err(Failure::Usage(format!(
                "raw bytes of a recording are not sent to a terminal; {hint}"
            )));
        }
        write_raw(&chunks, session.out)?;
    } else {
        lines.try_for_each(|line| writeln!(session.out, "{line}"))?;
    }
    let lacking: u64 = chunks.iter().map(|c| c.transfer.missing()).sum();
    if lacking > 0 {
        session.say(format!(
            "{lacking} bytes of the stream were not recorded (truncated, or moved by the kernel)"
        ));
    }
    let unread = chunks.iter().fold(0, |sum: u64, chunk| sum.saturating_add(chunk.transfer.unread));
    if unread > 0 {
        session.say(format!(
            "{unread} messages of `sendmmsg` and `recvmmsg` were not recorded: of each such call the first is"
        ));
    }
    Ok(!chunks.is_empty())
}

/// Writes the stream as an asciicast.
fn cast(
    part: &Part<'_>,
    (around, stream): (Around<'_>, &Stream),
    chunks: &[&Chunk],
    args: &FollowArgs,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if args.output.output != Format::Table || !args.output.fields.is_empty() {
        return Err(Failure::Usage(
            "an asciicast is a format of its own: leave out --output and --fields".to_owned(),
        ));
    }
    let first = chunks.first().map_or(stream.first, |chunk| chunk.time);
    let last = chunks.last().map_or(stream.last, |chunk| chunk.time);
    let within = Span { begin: Some(first), end: Some(last) };
    let mut losses = part.gaps().list;
    losses.retain(|loss| within.overlaps(loss.from, loss.to));
    let name = part.target.as_ref().map_or_else(Safe::default, |target| display_name(&target.summary.record));
    let about = cast::Session {
        title: Safe::format(format_args!("{name}: {}", stream.label)),
        began: around.trace.recording.clock().real(first).map(|nanos| nanos.div_euclid(1_000_000_000)),
        losses: &losses,
    };
    match &args.to {
        Some(to) => evidence::save(to, |file| cast::write(file, &about, chunks))?,
        None => cast::write(session.out, &about, chunks)?,
    }
    Ok(())
}

fn write_raw(chunks: &[&Chunk], out: &mut dyn Write) -> std::io::Result<()> {
    chunks.iter().try_for_each(|chunk| out.write_all(&chunk.transfer.bytes))
}
