//! One event, or one gap, as a row.

use std::{borrow::Cow, sync::Arc};

use afterimage_format::{
    BootNanos, ContainerUid, EventCode, EventFlags, FieldFlags, FieldTag, Loss, OwnedEvent, OwnedField,
};
use afterimage_model::{
    class::classify,
    describe::{self, Named, TaskNumber},
    symbols,
    text::{Safe, escape},
};

use crate::{
    output::{Cell, Column, Kind, Machine, Record, Tone, facts::Facts},
    time::{self, Clock},
};

/// The columns of events.
pub const COLUMNS: &[Column] = &[
    Column::new("time", "TIME", "when it happened; a system call: when it returned").kind(Kind::Time),
    Column::new("offset", "OFFSET", "the same in seconds after the container's start").right().spare(),
    Column::new("offset_ns", "OFFSET NS", "the same in nanoseconds").hidden().integer(),
    Column::new("boot_ns", "BOOT NS", "the same in nanoseconds of CLOCK_BOOTTIME").hidden().right(),
    Column::new("container", "CONTAINER", "id of the container; its name in tables").hidden().flexible(),
    Column::new("container_uid", "UID", "the recorder's number of the container").hidden().integer(),
    Column::new("pid", "PID", "process (the kernel's tgid), as the host sees it").integer(),
    Column::new("tid", "TID", "thread").hidden().integer(),
    Column::new("process", "PROCESS", "name of the process at that moment").flexible(),
    Column::new(
        "event",
        "EVENT",
        "system call, `exec`, `fork`, `exit`, ...; `lost` for a gap, `corrupt` for one that damage left",
    ),
    Column::new("class", "CLASS", "exec, file, write, net, dns, priv, mem, signal or other").hidden(),
    Column::new("detail", "DETAIL", "what it was about").flexible(),
    Column::new("result", "RESULT", "number, error name, exit code or signal").right(),
    Column::new("ret", "RET", "the result as a number").hidden().integer(),
    Column::new("error", "ERROR", "name of the error").hidden(),
    Column::new("duration_ns", "DURATION NS", "how long it took, where entry times are recorded")
        .hidden()
        .integer(),
    Column::new("cpu", "CPU", "the CPU it was recorded on").hidden().integer(),
    Column::new(
        "flags",
        "FLAGS",
        "differs, incomplete, restarted, sigreturn, setup, from enter, kernel worker, denied by seccomp",
    )
    .hidden()
    .kind(Kind::Texts),
    Column::new("args", "ARGS", "arguments in words: `name` and `value` each")
        .hidden()
        .flexible()
        .kind(Kind::Objects),
    Column::new(
        "tasks",
        "TASKS",
        "numbers for processes among arguments and result, as the caller's pid namespace has them: `name` of the argument or `result`, `number`, `kind` \
         (task, group, session), and on the host `pid`, `tid` of a thread that is not the first, and `process`; no `pid` where that is not known",
    )
    .hidden()
    .flexible()
    .kind(Kind::Objects),
    Column::new("fields", "FIELDS", "recorded bytes: `name`, `bytes`, `length` and `flags` each")
        .hidden()
        .flexible()
        .kind(Kind::Objects),
];

/// What all rows of a container share.
#[derive(Debug)]
pub struct Whose {
    /// Its identity.
    pub uid: ContainerUid,
    /// Its id.
    pub id: Safe,
    /// Its name, else its short id.
    pub label: Safe,
    /// What offsets count from.
    pub start: BootNanos,
    /// It lived on more than one day: times of the day alone do not tell when.
    pub days: bool,
}

/// An event with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// As recorded.
    pub event: OwnedEvent,
    /// Its container.
    pub whose: Arc<Whose>,
    /// Shows its time.
    pub clock: Arc<Clock>,
    /// The process's name, where it is known.
    pub process: Option<Safe>,
    /// Name of the event.
    pub name: Safe,
    /// What it was about.
    pub detail: Safe,
    /// The numbers for tasks in it.
    pub tasks: Vec<TaskNumber>,
    /// The same by its meaning, where that was asked for.
    pub facts: Option<Box<Facts>>,
    /// The filter wants it; otherwise it may only end another row.
    pub(super) wanted: bool,
}

impl EventRow {
    /// This interrupted call, ended by its continuation.
    pub(super) fn continued_by(mut self: Box<Self>, end: Self) -> Box<Self> {
        let restart = EventFlags::RESTART.0;
        if end.event.code == self.event.code && !end.tasks.is_empty() {
            // The end knows who was waited for.
            (self.detail, self.tasks) = (end.detail, end.tasks);
        }
        self.event.time = end.event.time;
        self.event.ret = end.event.ret;
        self.event.cpu = end.event.cpu;
        self.event.duration = None;
        self.wanted |= end.wanted;
        if let (Some(facts), Some(end)) = (&mut self.facts, end.facts) {
            facts.ended_as(*end);
        }
        self.event.flags = EventFlags((self.event.flags.0 & !restart) | end.event.flags.0 & restart);
        self
    }

    fn flags(&self) -> Vec<Safe> {
        const WORDS: [(EventFlags, &str); 8] = [
            (EventFlags::DIFFERS, "differs"),
            (EventFlags::INCOMPLETE, "incomplete"),
            (EventFlags::RESTART, "restarted"),
            (EventFlags::SIGRETURN, "sigreturn"),
            (EventFlags::SETUP, "setup"),
            (EventFlags::FROM_ENTER, "from enter"),
            (EventFlags::KERNEL_WORKER, "kernel worker"),
            (EventFlags::DENIED, "denied by seccomp"),
        ];
        WORDS.iter().filter(|(f, _)| self.event.flags.contains(*f)).map(|(_, w)| Safe::literal(w)).collect()
    }

    fn args(&self) -> Cell {
        let args = self.event.with(describe::args);
        let text: Vec<String> = args.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let list = args.into_iter().map(|(name, value)| {
            Machine::object([("name", Safe::format(format_args!("{name}")).into()), ("value", value.into())])
        });
        Cell::both(Safe::format(format_args!("{}", text.join(" "))), Machine::list(list))
    }

    fn tasks(&self) -> Cell {
        let text: Vec<String> = self.tasks.iter().map(|task| format!("{}={task}", task.name)).collect();
        Cell::both(
            Safe::format(format_args!("{}", text.join(" "))),
            Machine::list(self.tasks.iter().map(task_object)),
        )
    }

    fn fields(&self) -> Cell {
        let text: Vec<String> =
            self.event.fields.iter().map(|f| format!("{}={}", field_name(f.tag), escape(&f.bytes))).collect();
        let list = self.event.fields.iter().map(field_object);
        Cell::both(Safe::format(format_args!("{}", text.join(" "))), Machine::list(list))
    }
}

impl Record for EventRow {
    fn cell(&self, key: &str) -> Cell {
        let event = &self.event;
        let offset = i128::from(event.time.0) - i128::from(self.whose.start.0);
        match key {
            "time" => {
                Cell::both(self.clock.clock(event.time).unwrap_or_default(), self.clock.rfc3339(event.time))
            }
            "offset" => Cell::safe(Safe::format(format_args!("{}", time::offset(offset)))),
            "offset_ns" => Cell::option(i64::try_from(offset).ok(), Cell::number),
            "boot_ns" => Cell::safe(Safe::format(format_args!("{}", event.time.0))),
            "container" => Cell::both(self.whose.label.clone(), self.whose.id.clone()),
            "container_uid" => Cell::number(self.whose.uid.0),
            "pid" => Cell::number(event.task.tgid),
            "tid" => Cell::number(event.task.tid),
            "process" => Cell::option(self.process.clone(), Cell::safe),
            "event" => Cell::safe(self.name.clone()),
            "class" => Cell::word(event.with(classify).as_str()),
            "detail" => Cell::safe(self.detail.clone()),
            "result" => Cell::safe(event.with(describe::result)),
            "ret" => Cell::number(event.ret),
            "error" => Cell::option(error(event), Cell::word),
            "duration_ns" => Cell::option(event.duration, Cell::number),
            "cpu" => Cell::number(event.cpu),
            "flags" => Cell::list(self.flags()),
            "args" => self.args(),
            "tasks" => self.tasks(),
            "fields" => self.fields(),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }

    fn tone(&self) -> Tone {
        match self.event.code {
            EventCode::EXEC => Tone::Exec,
            _ if self.event.flags.contains(EventFlags::DIFFERS) => Tone::Finding,
            _ if error(&self.event).is_some() => Tone::Dim,
            _ => Tone::Plain,
        }
    }
}

/// For people the time of the day, where that is enough; for programs always all.
fn moment(clock: &Clock, at: BootNanos, days: bool) -> Cell {
    let text = if days { clock.full(at) } else { clock.clock(at) };
    Cell::both(text.unwrap_or_default(), clock.rfc3339(at))
}

/// The name of a system call's error.
fn error(event: &OwnedEvent) -> Option<&'static str> {
    event.code.as_syscall().and_then(|_| symbols::errno(event.ret))
}

fn task_object(told: &TaskNumber) -> Machine {
    let (pid, thread, process) = match &told.task {
        Named::Host { process } => (Some(told.number), None, process.clone()),
        Named::Task { pid, thread, process } => (Some(*pid), *thread, process.clone()),
        Named::NotKnown => (None, None, None),
    };
    Machine::object([
        ("name", told.name.into()),
        ("number", told.number.into()),
        ("kind", told.kind.word().into()),
        ("pid", pid.into()),
        ("tid", thread.into()),
        ("process", process.into()),
    ])
}

fn field_object(field: &OwnedField) -> Machine {
    const WORDS: [(FieldFlags, &str); 3] = [
        (FieldFlags::TRUNCATED, "truncated"),
        (FieldFlags::FAULT, "unreadable"),
        (FieldFlags::REDACTED, "redacted"),
    ];
    let flags = WORDS.iter().filter(|(f, _)| field.flags.contains(*f)).map(|(_, w)| Machine::from(*w));
    Machine::object([
        ("name", Safe::format(format_args!("{}", field_name(field.tag))).into()),
        ("bytes", escape(&field.bytes).into()),
        ("length", field.full_len.into()),
        ("flags", Machine::list(flags)),
    ])
}

/// The name of a field in outputs.
fn field_name(tag: FieldTag) -> String {
    const NAMES: [(FieldTag, &str); 20] = [
        (FieldTag::PATH, "path"),
        (FieldTag::PATH2, "path2"),
        (FieldTag::KPATH, "kernel_path"),
        (FieldTag::SOCKADDR, "claimed_address"),
        (FieldTag::LOCAL, "local_address"),
        (FieldTag::PEER, "peer_address"),
        (FieldTag::PAYLOAD, "payload"),
        (FieldTag::ARGV, "argv"),
        (FieldTag::ENVP, "env"),
        (FieldTag::FILENAME, "filename"),
        (FieldTag::INTERP, "interpreter"),
        (FieldTag::CWD, "cwd"),
        (FieldTag::COMM, "comm"),
        (FieldTag::CGROUP, "cgroup"),
        (FieldTag::TARGET, "target"),
        (FieldTag::FDS, "fds"),
        (FieldTag::DATA, "data"),
        (FieldTag::ROOT, "root"),
        (FieldTag::HASH, "sha256"),
        (FieldTag::CONTENT, "content"),
    ];
    let known = NAMES.iter().find(|(t, _)| *t == tag).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("field_{}", tag.0))
}

/// A gap among events.
#[derive(Debug, Clone)]
pub struct GapRow {
    /// What is missing.
    pub loss: Loss,
    /// The container that is looked at, where it is one.
    pub whose: Option<Arc<Whose>>,
    /// Shows its time.
    pub clock: Arc<Clock>,
    /// The same by its meaning, where that was asked for.
    pub facts: Option<Box<Facts>>,
}

impl GapRow {
    fn detail(&self) -> String {
        let count = self.loss.count.map_or("an unknown number of".to_owned(), |n| n.to_string());
        let length = time::human(self.loss.to.0.saturating_sub(self.loss.from.0));
        let cpu = self.loss.cpu.map_or(String::new(), |cpu| format!(", cpu {cpu}"));
        let cause = self.loss.cause;
        format!("{count} events {} in {length}: {}{cpu}", cause.word(), cause.as_str())
    }
}

impl Record for GapRow {
    fn cell(&self, key: &str) -> Cell {
        let from = self.loss.from;
        let whose = self.whose.as_ref();
        let offset = whose.map(|w| i128::from(from.0) - i128::from(w.start.0));
        match key {
            "time" => moment(&self.clock, from, whose.is_none_or(|w| w.days)),
            "offset" => {
                Cell::option(offset, |o| Cell::safe(Safe::format(format_args!("{}", time::offset(o)))))
            }
            "offset_ns" => Cell::option(offset.and_then(|o| i64::try_from(o).ok()), Cell::number),
            "boot_ns" => Cell::safe(Safe::format(format_args!("{}", from.0))),
            "container" => Cell::option(whose, |w| Cell::both(w.label.clone(), w.id.clone())),
            "container_uid" => Cell::option(self.loss.container, |uid| Cell::number(uid.0)),
            "event" => Cell::word(self.loss.cause.word()),
            "detail" => Cell::safe(Safe::format(format_args!("{}", self.detail()))),
            "ret" | "duration_ns" => Cell::absent(),
            "cpu" => Cell::option(self.loss.cpu, Cell::number),
            _ => Cell::absent(),
        }
    }

    fn facts(&self) -> Option<Cow<'_, Facts>> {
        self.facts.as_deref().map(Cow::Borrowed)
    }

    fn tone(&self) -> Tone {
        Tone::Lost
    }
}
