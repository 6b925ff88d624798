//! `afterimage logs`: what a container wrote to its standard output and standard error.

use std::{borrow::Cow, io::IsTerminal as _};

use afterimage_format::{ContainerUid, Event, EventFlags, FieldTag};
use afterimage_model::{
    World,
    fds::{FdKind, PipeId},
    standard::Standard,
    syscalls,
    text::{Safe, escape},
};
use clap::{Args, ValueEnum};

use super::{
    scope::{OneArgs, Part},
    session::{Session, missing, sources_of},
};
use crate::{
    events::{self, Teller},
    exit::Verdict,
    failure::Failure,
    output::{
        Cell, Column, Format, Kind, OutputArgs, Record, Shape, Tone,
        facts::{Act, Facts, More},
    },
    time::RangeArgs,
    trace::{Trace, display_name},
};

/// Print what a container wrote to its standard output and standard error.
///
/// Only what went to the container's own streams: output into a file, a pipe between its processes or a socket is
/// not part of it. Text is escaped unless --raw is given; bytes that were not recorded are told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  afterimage logs web
  afterimage logs web --only stderr -t
  afterimage logs web --raw > log.txt")]
pub(super) struct LogsArgs {
    #[command(flatten)]
    whose: OneArgs,
    /// One of the two streams
    #[arg(long, value_enum, value_name = "STREAM")]
    only: Option<Which>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// The bytes as they were; never to a terminal
    #[arg(long, conflicts_with_all = ["timestamps", "output"])]
    raw: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", "when the write returned").kind(Kind::Time),
    Column::new("stream", "STREAM", "stdout or stderr"),
    Column::new("pid", "PID", "process that wrote").integer(),
    Column::new("text", "TEXT", "what it wrote, escaped").flexible(),
    Column::new("length", "LENGTH", "bytes that it wrote").hidden().integer(),
    Column::new("missing", "MISSING", "of these, bytes that the recording does not hold").hidden().integer(),
];

pub(super) const SHAPE: Shape = Shape { rows: "writes", row: "write", columns: COLUMNS };

/// One write.
struct Written<'a> {
    trace: &'a Trace,
    time: afterimage_format::BootNanos,
    which: Which,
    pid: u32,
    bytes: Vec<u8>,
    length: u64,
    facts: Option<Box<Facts>>,
}

impl Written<'_> {
    fn missing(&self) -> u64 {
        self.length.saturating_sub(self.bytes.len() as u64)
    }

    /// Completes what the row says by its meaning.
    fn tell(&mut self) {
        let (text, kept, missing) = (escape(&self.bytes), self.bytes.len() as u64, self.missing());
        if let Some(facts) = &mut self.facts {
            facts.act = Act::Output;
            facts.more = More::Output { stream: self.which.as_str(), text, kept, missing };
        }
    }
}

pub(super) fn run(args: &LogsArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    if args.raw && std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "raw bytes of a recording are not sent to a terminal; write them into a file or a pipe"
                .to_owned(),
        ));
    }
    let traces = args.whose.open(args.range.local)?;
    let part = args.whose.part(&traces, &args.range, session)?;
    let lines = !args.raw && args.output.output == Format::Table && args.output.fields.is_empty();
    let mut lacking = 0_u64;
    let mut count = 0_u64;
    let mut text = Lines::new(args, session.style);
    if args.raw || lines {
        let out = &mut *session.out;
        each(&part, args, &mut |written| {
            count += 1;
            lacking += written.missing();
            if args.raw { out.write_all(&written.bytes) } else { text.push(&written, out) }
        })?;
        text.finish(out)?;
    } else {
        let mut emitter =
            session.emit(SHAPE, &args.output, &sources_of(&traces, std::slice::from_ref(&part)))?;
        each(&part, args, &mut |written| {
            count += 1;
            lacking += written.missing();
            emitter.row(&written)
        })?;
        emitter.finish(&missing(&[(part.trace, part.gaps())]))?;
    }
    if lacking > 0 {
        session.say(format!(
            "{lacking} bytes of the output were not recorded (truncated, or moved by the kernel)"
        ));
    }
    if count == 0 {
        session.say(silence(&part, args));
    }
    Ok(session.conclude(&[(part.trace, part.gaps())], count > 0))
}

/// What is to be said of a container that wrote nothing.
fn silence(part: &Part<'_>, args: &LogsArgs) -> String {
    let name = part.target.map_or_else(Safe::default, |target| display_name(&target.summary.record));
    let streams = match args.only {
        None => "its standard output and standard error",
        Some(Which::Stdout) => "its standard output",
        Some(Which::Stderr) => "its standard error",
    };
    let asked = args.range.begin.is_some() || args.range.end.is_some();
    let when = if asked { "in this range" } else { "while it was recorded" };
    format!(
        "{name} wrote nothing to {streams} {when}; `afterimage follow` lists its files, pipes and sockets"
    )
}

/// Hands every write to `visit`, in order of time.
fn each<'a>(
    part: &Part<'a>,
    args: &LogsArgs,
    visit: &mut dyn FnMut(Written<'a>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let trace = part.trace;
    let mut written = Ok(());
    let mut teller = args.output.is_schema().then(|| Teller::new(trace));
    let mut standard = Standard::new();
    events::roll(trace, part.uid(), part.span.end, &mut |world, uid, event| {
        if !event.flags.contains(EventFlags::SETUP) {
            standard.apply(world, uid, event);
        }
        if written.is_err() || !part.span.contains(event.time) {
            return;
        }
        let Some(which) =
            own_stream(world, (uid, &standard), event).filter(|w| args.only.is_none_or(|only| only == *w))
        else {
            return;
        };
        let bytes = event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD).flat_map(|f| f.bytes);
        let length = u64::try_from(event.ret).unwrap_or(0);
        let kept = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = bytes.copied().take(kept).collect();
        let facts = teller.as_mut().map(|teller| teller.event(world, uid, event));
        let mut row = Written { trace, time: event.time, which, pid: event.task.tgid, bytes, length, facts };
        row.tell();
        written = visit(row);
    })?;
    Ok(written?)
}

/// Which of the container's own streams the event wrote to.
fn own_stream(world: &World, (uid, standard): (ContainerUid, &Standard), event: &Event<'_>) -> Option<Which> {
    let is_call =
        event.ret > 0 && !event.flags.contains(EventFlags::SETUP) && event.code.as_syscall().is_some();
    if !is_call {
        return None;
    }
    // What the kernel moves by itself is output too, though its bytes are in no recording.
    let place = match syscalls::base_name(event.code) {
        "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" | "vmsplice" => 0,
        "sendfile" | "sendfile64" => 0,
        "splice" | "copy_file_range" => 2,
        _ => return None,
    };
    let fd = event.args.get(place).map(|&fd| fd as i32)?;
    // What it is by its open file, and only where nothing tells that, by its number.
    let known = standard.of(world, uid, event.task, fd).filter(|&which| which > 0);
    let which = match known.unwrap_or(fd) {
        1 => Which::Stdout,
        2 => Which::Stderr,
        _ => return None,
    };
    // What the runtime opened was there before the container's first event; everything else was put in its place.
    let own = world.fd(event.task, fd).is_none_or(|info| match &info.kind {
        FdKind::Unknown | FdKind::Other { .. } => true,
        FdKind::Pipe(pipe) => matches!(pipe.id, PipeId::Inode(_)),
        FdKind::File { path, .. } => {
            path.starts_with(b"/dev/pts/") || path.as_slice() == b"/dev/console" || info.inherited
        }
        FdKind::Socket(_) => info.inherited,
        _ => false,
    });
    own.then_some(which)
}

impl Which {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl Record for Written<'_> {
    fn cell(&self, key: &str) -> Cell {
        match key {
            "time" => self.trace.moment(self.time),
            "stream" => Cell::word(self.which.as_str()),
            "pid" => Cell::number(self.pid),
            "text" => Cell::safe(escape(&self.bytes)),
            "length" => Cell::number(self.length),
            "missing" => Cell::number(self.missing()),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }
}

/// Puts writes together to lines, each stream its own.
struct Lines<'a> {
    args: &'a LogsArgs,
    style: crate::output::Style,
    open: [String; 2],
}

impl<'a> Lines<'a> {
    fn new(args: &'a LogsArgs, style: crate::output::Style) -> Self {
        Self { args, style, open: [String::new(), String::new()] }
    }

    fn push(&mut self, written: &Written<'_>, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let slot = usize::from(written.which == Which::Stderr);
        for part in written.bytes.split_inclusive(|&b| b == b'\n') {
            if self.open[slot].is_empty() && self.args.timestamps {
                let time = written.trace.clock.full(written.time).unwrap_or_default();
                self.open[slot].push_str(&format!("{time} "));
            }
            let line = part.strip_suffix(b"\n");
            self.open[slot].push_str(escape(line.unwrap_or(part)).as_str());
            if line.is_some() {
                self.line(slot, out)?;
            }
        }
        if written.missing() > 0 {
            self.open[slot].push_str(&format!("[{} bytes not recorded]", written.missing()));
        }
        Ok(())
    }

    fn line(&mut self, slot: usize, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let tone = if slot == 1 { Tone::Lost } else { Tone::Plain };
        let line = std::mem::take(&mut self.open[slot]);
        writeln!(out, "{}", self.style.paint(tone, &line))
    }

    fn finish(&mut self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        for slot in 0..2 {
            if !self.open[slot].is_empty() {
                self.line(slot, out)?;
            }
        }
        Ok(())
    }
}
