//! The processes of a container as a tree: who started whom, what they ran, how they ended.

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{
    World, describe,
    process::{End, Exec, Origin, Process},
    symbols,
    text::{Safe, escape},
};

use crate::{
    events,
    failure::Failure,
    output::{Cell, Column, Kind, Machine, Record, Shape, Tone},
    time::{self, Span},
    trace::{Ended, Trace},
};

const COLUMNS: &[Column] = &[
    Column::new("pid", "PID", "process, as the host sees it").integer(),
    Column::new("vpid", "VPID", "its id in its own pid namespace").integer(),
    Column::new("parent_pid", "PPID", "its parent").hidden().integer(),
    Column::new("depth", "DEPTH", "how deep it stands in the tree").hidden().integer(),
    Column::new("user", "USER", "effective user id").integer(),
    Column::new("start", "START", "when it began").hidden().kind(Kind::Time),
    Column::new("offset", "OFFSET", "the same in seconds after the container's start").right(),
    Column::new("end", "END", "when it ended, where that is not after the range").hidden().kind(Kind::Time),
    Column::new("life", "LIFE", "how long it lived, as far as is recorded by the end of the range").right(),
    Column::new("life_ns", "LIFE NS", "the same in nanoseconds").hidden().integer(),
    Column::new("exit", "EXIT", "exit code, signal, `running`, or `?` where its end was not seen").right(),
    Column::new("exit_code", "EXIT CODE", "exit code").hidden().integer(),
    Column::new("exit_signal", "EXIT SIGNAL", "name of the signal that ended it").hidden(),
    Column::new(
        "process",
        "PROCESS",
        "what it runs: program, arguments, and in brackets what is special and what it ran before",
    )
    .flexible(),
    Column::new("exe", "EXE", "path of its program, from the kernel").hidden().flexible(),
    Column::new("argv", "ARGV", "its arguments").hidden().flexible().kind(Kind::Texts),
    Column::new("cwd", "CWD", "its working directory").hidden().flexible(),
    Column::new("root", "ROOT", "its root directory after `chroot` or `pivot_root`, where that is not the container's; or that it is `not known`")
        .hidden()
        .flexible(),
    Column::new("marks", "MARKS", "upper layer, memfd, deleted, script: what is special about its program")
        .hidden()
        .kind(Kind::Texts),
    Column::new("execs", "EXECS", "everything it executed: `time`, `exe`, `argv` and `marks` each")
        .hidden()
        .kind(Kind::Objects),
    Column::new("names", "NAMES", "names it had, the oldest first").hidden().kind(Kind::Texts),
    Column::new("origin", "ORIGIN", "how it became known: forked, snapshot, seen").hidden(),
    Column::new("setup", "SETUP", "it belonged to the container's set-up").hidden().kind(Kind::Boolean),
    Column::new("threads", "THREADS", "threads it ever had").hidden().integer(),
    Column::new("events", "EVENTS", "events of it in the range").hidden().integer(),
    Column::new("bytes_written", "WRITTEN", "bytes written to files in the range").hidden().integer(),
    Column::new("bytes_sent", "SENT", "bytes written to sockets in the range").hidden().integer(),
    Column::new("bytes_received", "RECEIVED", "bytes read from sockets in the range").hidden().integer(),
];

/// How processes are printed.
pub const SHAPE: Shape = Shape { rows: "processes", row: "process", columns: COLUMNS };

/// Levels that are drawn; deeper ones are told by number.
const DRAWN: usize = 24;

/// Which processes are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The state at this moment, with the processes that lived then; the whole life where absent.
    pub at: Option<BootNanos>,
    /// Those that lived in this range, as they were at its end; only what they did in it is counted.
    pub span: Span,
    /// Also those of the container's set-up.
    pub setup: bool,
    /// Draw with ASCII only.
    pub ascii: bool,
}

/// One process.
#[derive(Debug, Clone)]
pub struct ProcessRow<'a> {
    trace: &'a Trace,
    process: Process,
    done: Done,
    depth: usize,
    /// What stands before it in a drawn tree.
    branch: String,
    start: BootNanos,
    last: BootNanos,
}

/// What a process did, as far as it is counted.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    events: u64,
    written: u64,
    sent: u64,
    received: u64,
}

impl Done {
    /// In its whole life until the state that it is of.
    fn of(process: &Process) -> Self {
        Self {
            events: process.events,
            written: process.bytes_written,
            sent: process.bytes_sent,
            received: process.bytes_received,
        }
    }

    /// Without what was done by an earlier state.
    fn since(self, earlier: Self) -> Self {
        Self {
            events: self.events.saturating_sub(earlier.events),
            written: self.written.saturating_sub(earlier.written),
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
        }
    }
}

/// A container's tree.
#[derive(Debug)]
pub struct Tree<'a> {
    /// Parents before their children.
    pub rows: Vec<ProcessRow<'a>>,
    /// Processes that had to be forgotten for lack of memory.
    pub forgotten: u64,
}

/// The tree of a container that began at `start` and of which `last` is the last known moment.
///
/// # Errors
/// [`Failure::Read`].
pub fn of_container<'a>(
    trace: &'a Trace,
    uid: ContainerUid,
    (start, last): (BootNanos, BootNanos),
    choice: Choice,
) -> Result<Tree<'a>, Failure> {
    let until = choice.at.or(choice.span.end);
    let world = events::state_at(trace, uid, until)?;
    let before = match choice.span.begin.filter(|_| choice.at.is_none()).and_then(|at| at.0.checked_sub(1)) {
        Some(before) => Some(events::state_at(trace, uid, Some(BootNanos(before)))?),
        None => None,
    };
    let done = |process: &Process| {
        let earlier = before.as_ref().and_then(|world| world.process(process.key)).map(Done::of);
        Done::of(process).since(earlier.unwrap_or_default())
    };
    let kept = kept(&world, uid, choice);
    let branches = branches(&kept.iter().map(|(depth, _)| *depth).collect::<Vec<_>>(), choice.ascii);
    let rows = kept
        .into_iter()
        .zip(branches)
        .map(|((depth, process), branch)| ProcessRow {
            trace,
            process: process.clone(),
            done: done(process),
            depth,
            branch,
            start,
            last: until.map_or(last, |until| until.min(last)),
        })
        .collect();
    let overflow = world.overflow(uid);
    Ok(Tree { rows, forgotten: overflow.forgotten.saturating_add(overflow.processes) })
}

/// The wanted processes with their depth. One that is not wanted itself stays where a wanted one is below it.
fn kept(world: &World, uid: ContainerUid, choice: Choice) -> Vec<(usize, &Process)> {
    let rows = if choice.setup { world.tree_with_setup(uid) } else { world.tree(uid) };
    let wanted = |p: &Process| {
        let lived = choice.span.overlaps(p.began(), p.ended().unwrap_or(BootNanos(u64::MAX)));
        (choice.setup || !p.setup) && if choice.at.is_some() { p.is_running() } else { lived }
    };
    // Backwards: children come before their parents; the shallowest wanted depth met since says whether one is below.
    let mut below: Option<usize> = None;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        let has_wanted = below.is_some_and(|depth| depth > row.depth);
        if wanted(row.process) || has_wanted {
            out.push((row.depth, row.process.as_ref()));
            below = Some(row.depth);
        }
    }
    out.reverse();
    out
}

/// What stands before each row: lines to its parent and past it to later siblings.
fn branches(depths: &[usize], ascii: bool) -> Vec<String> {
    let [pass, blank, tee, last] =
        if ascii { ["|  ", "   ", "|- ", "`- "] } else { ["│  ", "   ", "├─ ", "└─ "] };
    // Backwards: whether a later row stands at each depth before one that is shallower.
    let mut later: Vec<bool> = Vec::new();
    let mut out = Vec::with_capacity(depths.len());
    for &depth in depths.iter().rev() {
        let drawn = depth.min(DRAWN);
        later.truncate(drawn + 1);
        later.resize(drawn + 1, false);
        let mut branch = String::new();
        for &more in later.iter().take(drawn).skip(1) {
            branch.push_str(if more { pass } else { blank });
        }
        if depth > 0 {
            branch.push_str(if later[drawn] { tee } else { last });
        }
        if depth > DRAWN {
            branch.push_str(&format!("(+{}) ", depth - DRAWN));
        }
        later[drawn] = true;
        out.push(branch);
    }
    out.reverse();
    out
}

impl ProcessRow<'_> {
    /// When it ended, or the last moment that is known.
    fn until(&self) -> BootNanos {
        self.process.ended().unwrap_or(self.last)
    }

    fn length(&self) -> u64 {
        self.until().0.saturating_sub(self.process.began().0)
    }

    fn ended(&self) -> Option<Ended> {
        match self.process.end {
            End::Exited { raw, .. } => Some(Ended::from_raw(raw)),
            End::Running | End::Unseen { .. } => None,
        }
    }

    fn exit(&self) -> Cell {
        match self.process.end {
            End::Exited { status, .. } => Cell::safe(describe::exit_status(status)),
            End::Running => Cell::word("running"),
            End::Unseen { .. } => Cell::word("?"),
        }
    }

    fn marks(&self) -> Vec<&'static str> {
        self.process.exec().map(|e| describe::image_marks(e.flags)).unwrap_or_default()
    }

    /// What it runs; of a process that only forked, its name: the command line is its parent's.
    fn title(&self) -> Safe {
        let inherited = self.process.exec().is_some_and(|e| e.time < self.process.began());
        match self.process.comm() {
            Some(comm) if inherited => Safe::format(format_args!("{} [forked]", escape(comm))),
            _ => self.process.title_with_past(),
        }
    }

    fn exec_object(&self, exec: &Exec) -> Machine {
        let texts = |items: Vec<Safe>| Machine::list(items.into_iter().map(Machine::from));
        let marks = describe::image_marks(exec.flags).into_iter().map(Machine::from);
        Machine::object([
            ("time", self.trace.clock.rfc3339(exec.time).into()),
            ("exe", escape(&exec.image).into()),
            ("argv", texts(exec.arguments().map(escape).collect())),
            ("marks", Machine::list(marks)),
        ])
    }
}

impl Record for ProcessRow<'_> {
    fn cell(&self, key: &str) -> Cell {
        let process = &self.process;
        let exec = process.exec();
        let offset = i128::from(process.began().0) - i128::from(self.start.0);
        match key {
            "pid" => Cell::number(process.key.tgid),
            "vpid" => Cell::option(process.vpid, Cell::number),
            "parent_pid" => Cell::option(process.parent, |p| Cell::number(p.tgid)),
            "depth" => Cell::number(self.depth),
            "user" => Cell::option(process.credentials.euid, Cell::number),
            "start" => self.trace.moment(process.began()),
            "offset" => Cell::safe(Safe::format(format_args!("{}", time::offset(offset)))),
            "end" => Cell::option(process.ended(), |at| self.trace.moment(at)),
            "life" => Cell::safe(Safe::format(format_args!("{}", time::human(self.length())))),
            "life_ns" => Cell::number(self.length()),
            "exit" => self.exit(),
            "exit_code" => match self.ended() {
                Some(Ended::Code(code)) => Cell::number(code),
                _ => Cell::absent(),
            },
            "exit_signal" => match self.ended() {
                Some(Ended::Signal(n)) => Cell::safe(symbols_signal(n)),
                _ => Cell::absent(),
            },
            "process" => {
                let title = self.title();
                Cell::both(Safe::format(format_args!("{}{title}", self.branch)), title)
            }
            "exe" => Cell::option(exec, |e| Cell::safe(escape(&e.image))),
            "argv" => Cell::option(exec, |e| Cell::list(e.arguments().map(escape))),
            "cwd" => Cell::option(process.cwd.as_deref(), |cwd| Cell::safe(escape(cwd))),
            "root" => Cell::option(process.other_root(), Cell::safe),
            "marks" => Cell::list(self.marks().into_iter().map(Safe::literal)),
            "execs" => {
                let execs = process.execs.iter().map(|e| self.exec_object(e));
                Cell::both(Safe::format(format_args!("{}", process.execs.len())), Machine::list(execs))
            }
            "names" => Cell::list(process.comms.iter().map(|(_, name)| escape(name))),
            "origin" => Cell::word(match process.origin {
                Origin::Forked => "forked",
                Origin::Snapshot => "snapshot",
                Origin::Seen => "seen",
            }),
            "setup" => Cell::flag(process.setup),
            "threads" => Cell::number(process.threads_seen),
            "events" => Cell::number(self.done.events),
            "bytes_written" => Cell::number(self.done.written),
            "bytes_sent" => Cell::number(self.done.sent),
            "bytes_received" => Cell::number(self.done.received),
            _ => Cell::absent(),
        }
    }

    fn tone(&self) -> Tone {
        // What runs another program now is still the one that it was.
        let is_foreign =
            |exec: &Exec| !matches!(describe::image_marks(exec.flags).as_slice(), [] | ["script"]);
        let mut execs = self.process.execs.iter().map(AsRef::as_ref).chain(self.process.exec());
        if execs.any(is_foreign) {
            Tone::Finding
        } else if self.process.setup {
            Tone::Dim
        } else {
            Tone::Plain
        }
    }
}

fn symbols_signal(number: u32) -> Safe {
    Safe::format(format_args!("{}", symbols::signal_or_number(u64::from(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_join_siblings_and_end_with_the_last() {
        let drawn = branches(&[0, 1, 2, 2, 1, 2, 0], false);
        assert_eq!(drawn, ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ ", ""]);
        assert_eq!(branches(&[0, 1], true), ["", "`- "]);
    }

    #[test]
    fn depth_without_bound_is_drawn_within_bounds() {
        let depths: Vec<usize> = (0..10_000).collect();
        let drawn = branches(&depths, false);
        assert!(drawn.iter().all(|b| b.chars().count() < DRAWN * 3 + 12));
        assert!(drawn[9_999].ends_with("(+9975) "), "{}", drawn[9_999]);
    }
}
