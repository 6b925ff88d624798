//! `evt.*`: the event itself.

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};

use afterimage_format::{EventCode, FieldTag};
use afterimage_model::symbols;

use super::{FieldArg, args, family, open};
use crate::{
    context::EventContext,
    facts::{DescriptorKind, Family},
    shape::Io,
    value::Value,
};

family! {
    /// The event's own fields.
    Evt as Evt {
        Num = "evt.num", Number, One, Never: "Number of the event in the recording, from 1.";
        Time = "evt.time", Text, One, Never: "Time of day, UTC, with nanoseconds: when the call returned.";
        TimeS = "evt.time.s", Text, One, Never: "Time of day, UTC, without fractions.";
        TimeIso = "evt.time.iso8601", Text, One, Never: "Date and time as ISO 8601 in UTC with nanoseconds, `+0000` at its end, as Falco writes it.";
        Datetime = "evt.datetime", Text, One, Never: "Date and time, UTC, with nanoseconds.";
        DatetimeS = "evt.datetime.s", Text, One, Never: "Date and time, UTC, without fractions.";
        Rawtime = "evt.rawtime", Time, One, Never: "Nanoseconds since 1970.";
        RawtimeS = "evt.rawtime.s", Time, One, Never: "Whole seconds since 1970.";
        RawtimeNs = "evt.rawtime.ns", Time, One, Never: "Nanoseconds of the second.";
        Reltime = "evt.reltime", Duration, One, Never: "Time since the recording's first event.";
        ReltimeS = "evt.reltime.s", Duration, One, Never: "Whole seconds since the recording's first event.";
        ReltimeNs = "evt.reltime.ns", Duration, One, Never:
            "Nanoseconds of the second since the recording's first event.";
        Latency = "evt.latency", Duration, One, Never:
            "How long the call took; absent where the time of entry was not recorded.";
        LatencyS = "evt.latency.s", Duration, One, Never: "Whole seconds of `evt.latency`.";
        LatencyNs = "evt.latency.ns", Duration, One, Never: "Nanoseconds of the second of `evt.latency`.";
        LatencyHuman = "evt.latency.human", Text, One, Never: "`evt.latency` in its longest unit.";
        Dir = "evt.dir", Text, One, Never: "Always `<`: calls are recorded when they return. Accepted, ignored.";
        Type = "evt.type", Text, One, Never:
            "The system call's name, as Falco spells it and as the kernel does; `execve` (or `exec`), `procexit` \
             (or `exit`) and `clone` (or `fork`) for the events of the scheduler.";
        TypeIs = "evt.type.is", Number, One, MustName: "1 when `evt.type` is the given name, else 0.";
        SyscallType = "syscall.type", Text, One, Never: "As `evt.type`; absent for events that are no system call.";
        Category = "evt.category", Text, One, Never:
            "What it is about: file, net, IPC, memory, process, signal, sleep, time, user, wait, other; internal of what \
             the recorder tells by itself. I/O takes the category of its descriptor: file, net, IPC or unknown.";
        Class = "evt.class", Text, One, Never:
            "The class that timelines show: exec, file, write, net, dns, priv, mem, signal, other. Ours.";
        Cpu = "evt.cpu", Number, One, Never: "The CPU it was recorded on.";
        Args = "evt.args", Text, One, Never: "All arguments as `name=value`.";
        Info = "evt.info", Text, One, Never: "As `evt.args`.";
        Arg = "evt.arg", Text, Sides, MustName:
            "An argument by Falco's name for it, by the kernel's, or by position: flags and constants by their \
             symbols joined with `|`, descriptors by what they are open on, relative paths made absolute. A mode is its \
             symbols and its octal digits: `evt.arg.mode contains S_ISUID`, `evt.arg.mode = 0755`. An argument that the \
             call does not look at, as the mode of an open that makes no file, is absent.";
        Rawarg = "evt.rawarg", Number, One, MustName:
            "An argument as a number, or a path as it was given. `evt.rawarg.mode = 0755` is octal.";
        Buffer = "evt.buffer", Bytes, One, Never: "The first bytes read or written, as many as were kept.";
        Buflen = "evt.buflen", Number, One, Never: "Bytes that an I/O call moved: its result.";
        BuflenIn = "evt.buflen.in", Number, One, Never: "`evt.buflen` of reading.";
        BuflenOut = "evt.buflen.out", Number, One, Never: "`evt.buflen` of writing.";
        BuflenFile = "evt.buflen.file", Number, One, Never: "`evt.buflen` of files.";
        BuflenFileIn = "evt.buflen.file.in", Number, One, Never: "`evt.buflen` of reading files.";
        BuflenFileOut = "evt.buflen.file.out", Number, One, Never: "`evt.buflen` of writing files.";
        BuflenNet = "evt.buflen.net", Number, One, Never: "`evt.buflen` of IP sockets.";
        BuflenNetIn = "evt.buflen.net.in", Number, One, Never: "`evt.buflen` of reading IP sockets.";
        BuflenNetOut = "evt.buflen.net.out", Number, One, Never: "`evt.buflen` of writing IP sockets.";
        Res = "evt.res", Text, One, Never: "`SUCCESS`, or the error's name such as `ENOENT`.";
        Rawres = "evt.rawres", Number, One, Never: "The result: negative error number on failure.";
        Failed = "evt.failed", Bool, One, Never: "Whether the result is an error.";
        IsIo = "evt.is_io", Bool, One, Never: "Whether it reads or writes.";
        IsIoRead = "evt.is_io_read", Bool, One, Never: "Whether it reads.";
        IsIoWrite = "evt.is_io_write", Bool, One, Never: "Whether it writes.";
        IoDir = "evt.io_dir", Text, One, Never: "`read` or `write` for I/O, else absent.";
        IsWait = "evt.is_wait", Bool, One, Never: "Whether it is a call that waits.";
        IsSyslog = "evt.is_syslog", Bool, One, Never: "Whether it writes to /dev/log.";
        Count = "evt.count", Number, One, Never: "Always 1.";
        CountError = "evt.count.error", Number, One, Never: "1 when the result is an error, else 0.";
        CountErrorFile = "evt.count.error.file", Number, One, Never: "`evt.count.error` of files.";
        CountErrorNet = "evt.count.error.net", Number, One, Never: "`evt.count.error` of sockets.";
        CountErrorMemory = "evt.count.error.memory", Number, One, Never: "`evt.count.error` of memory calls.";
        CountErrorOther = "evt.count.error.other", Number, One, Never: "`evt.count.error` of all others.";
        CountExit = "evt.count.exit", Number, One, Never: "Always 1: calls are recorded when they return.";
        Around = "evt.around", Number, One, MustKey:
            "`evt.around[T]=D` keeps what is within D milliseconds of T, nanoseconds since 1970.";
        Abspath = "evt.abspath", Text, One, Never: "The path of a call, made absolute: the first where it takes two.";
        AbspathSrc = "evt.abspath.src", Text, One, Never: "As `evt.abspath`: the first path of a call that takes two.";
        AbspathDst = "evt.abspath.dst", Text, One, Never: "The second path of a call that takes two, made absolute.";
        IsOpenRead = "evt.is_open_read", Bool, One, Never: "Whether a path was opened for reading.";
        IsOpenWrite = "evt.is_open_write", Bool, One, Never: "Whether a path was opened for writing.";
        IsOpenExec = "evt.is_open_exec", Bool, One, Never:
            "Whether a path was opened to be created with execute permission.";
        IsOpenCreate = "evt.is_open_create", Bool, One, Never:
            "Whether opening made the file for certain: with O_EXCL or O_TMPFILE. Whether O_CREAT alone made it is \
             not recorded.";
        Source = "evt.source", Text, One, Never: "Always `syscall`.";
        IsAsync = "evt.is_async", Bool, One, Never: "Always false.";
        Hostname = "evt.hostname", Text, One, Never: "The host's name when it was recorded.";
    }
}

pub(super) fn get<'c>(field: Evt, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let event = cx.event();
    let name = || cx.shape().name.as_bytes();
    Some(match field {
        Evt::Num => Value::number(cx.number()),
        Evt::Dir => Value::text(b"<"),
        Evt::Type => Value::text(name()),
        Evt::SyscallType if event.code != EventCode::EXEC && event.code.as_syscall().is_none() => {
            return None;
        }
        Evt::SyscallType => Value::text(name()),
        Evt::TypeIs => match arg {
            FieldArg::Key(key) => Value::number(u8::from(cx.shape().is_called(key))),
            FieldArg::Index(nr) => Value::number(u8::from(usize::from(event.code.0) == *nr)),
            FieldArg::None => return None,
        },
        Evt::Category => Value::text(category(cx).as_bytes()),
        Evt::Class => Value::text(afterimage_model::class::classify(event).as_str().as_bytes()),
        Evt::Cpu => Value::number(event.cpu),
        Evt::Args | Evt::Info => Value::made(args::all(cx)),
        Evt::Arg => args::rendered(cx, arg)?,
        Evt::Rawarg => args::raw(cx, arg)?,
        Evt::Buffer => Value::text(event.bytes(FieldTag::PAYLOAD)?),
        Evt::Source => Value::text(b"syscall"),
        Evt::IsAsync => Value::Bool(false),
        Evt::Hostname => Value::text(&cx.frame().hostname),
        Evt::Count | Evt::CountExit => Value::number(1),
        Evt::Around => return None,
        Evt::Abspath | Evt::AbspathSrc => super::path::first(cx).map(Value::made)?,
        Evt::AbspathDst => super::path::second(cx).map(Value::made)?,
        Evt::IsOpenRead | Evt::IsOpenWrite | Evt::IsOpenExec | Evt::IsOpenCreate => {
            Value::Bool(open::is_open(field, cx))
        }
        Evt::Time
        | Evt::TimeS
        | Evt::TimeIso
        | Evt::Datetime
        | Evt::DatetimeS
        | Evt::Rawtime
        | Evt::RawtimeS
        | Evt::RawtimeNs => clock(field, cx)?,
        Evt::Reltime | Evt::ReltimeS | Evt::ReltimeNs => {
            let (first, _) = cx.frame().range?;
            part(field, event.time.0.checked_sub(first.0)?)
        }
        Evt::Latency | Evt::LatencyS | Evt::LatencyNs => part(field, event.duration?),
        Evt::LatencyHuman => Value::made(crate::syntax::instant::print_duration(event.duration?)),
        _ => return outcome(field, cx),
    })
}

/// Fields of the result, of I/O and of errors.
fn outcome<'c>(field: Evt, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let io = cx.shape().io;
    Some(match field {
        Evt::Res => Value::Text(match result_name(cx)? {
            Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
            Cow::Owned(name) => Cow::Owned(name.into_bytes()),
        }),
        Evt::Rawres => Value::number(result(cx)?),
        Evt::Failed => Value::Bool(result(cx)? < 0),
        Evt::IsIo => Value::Bool(io != Io::None),
        Evt::IsIoRead => Value::Bool(io == Io::Read),
        Evt::IsIoWrite => Value::Bool(io == Io::Write),
        Evt::IoDir => match io {
            Io::None => return None,
            Io::Read => Value::text(b"read"),
            Io::Write => Value::text(b"write"),
        },
        Evt::IsWait => Value::Bool(cx.shape().waits),
        Evt::IsSyslog => {
            let to_log = || cx.descriptor().and_then(|d| d.path).is_some_and(|p| p.ends_with(b"/dev/log"));
            Value::Bool(io == Io::Write && to_log())
        }
        Evt::Buflen => moved(cx, &[Io::Read, Io::Write], None)?,
        Evt::BuflenIn => moved(cx, &[Io::Read], None)?,
        Evt::BuflenOut => moved(cx, &[Io::Write], None)?,
        Evt::BuflenFile => moved(cx, &[Io::Read, Io::Write], Some("file"))?,
        Evt::BuflenFileIn => moved(cx, &[Io::Read], Some("file"))?,
        Evt::BuflenFileOut => moved(cx, &[Io::Write], Some("file"))?,
        Evt::BuflenNet => moved(cx, &[Io::Read, Io::Write], Some("net"))?,
        Evt::BuflenNetIn => moved(cx, &[Io::Read], Some("net"))?,
        Evt::BuflenNetOut => moved(cx, &[Io::Write], Some("net"))?,
        Evt::CountError => errors(cx, None)?,
        Evt::CountErrorFile => errors(cx, Some("file"))?,
        Evt::CountErrorNet => errors(cx, Some("net"))?,
        Evt::CountErrorMemory => errors(cx, Some("memory"))?,
        Evt::CountErrorOther => errors(cx, Some("other"))?,
        _ => return None,
    })
}

/// The result, of events that have one: calls and execs.
pub(super) fn result(cx: &EventContext<'_>) -> Option<i64> {
    let event = cx.event();
    match event.code {
        EventCode::EXEC => Some(0),
        EventCode::FORK => Some(event.ret),
        code => code.as_syscall().map(|_| event.ret),
    }
}

/// `SUCCESS`, or the error's name.
pub(super) fn result_name(cx: &EventContext<'_>) -> Option<Cow<'static, str>> {
    let result = result(cx)?;
    // Addresses are negative numbers too: only the last page of numbers are errors.
    if !(-4095..0).contains(&result) {
        return Some("SUCCESS".into());
    }
    Some(symbols::errno(result).map_or_else(|| result.to_string().into(), Into::into))
}

fn part(field: Evt, nanos: u64) -> Value<'static> {
    const SECOND: u64 = 1_000_000_000;
    match field {
        Evt::ReltimeS | Evt::LatencyS => Value::number(nanos / SECOND),
        Evt::ReltimeNs | Evt::LatencyNs => Value::number(nanos % SECOND),
        _ => Value::number(nanos),
    }
}

fn clock(field: Evt, cx: &EventContext<'_>) -> Option<Value<'static>> {
    let nanos = cx.wall(cx.event().time)?;
    let stamp = Timestamp::from_nanosecond(nanos.into()).ok()?;
    let utc = || stamp.to_zoned(TimeZone::UTC);
    let format = |format: &str| Value::made(utc().strftime(format).to_string());
    Some(match field {
        Evt::Time => format("%H:%M:%S.%9f"),
        Evt::TimeS => format("%H:%M:%S"),
        Evt::TimeIso => format("%Y-%m-%dT%H:%M:%S.%9f+0000"),
        Evt::Datetime => format("%Y-%m-%d %H:%M:%S.%9f"),
        Evt::DatetimeS => format("%Y-%m-%d %H:%M:%S"),
        Evt::RawtimeS => Value::number(nanos.div_euclid(1_000_000_000)),
        Evt::RawtimeNs => Value::number(nanos.rem_euclid(1_000_000_000)),
        _ => Value::number(nanos),
    })
}

fn category(cx: &EventContext<'_>) -> &'static str {
    match cx.shape().category {
        "io" => descriptor_category(cx),
        category => category,
    }
}

/// The category that I/O has by its descriptor.
fn descriptor_category(cx: &EventContext<'_>) -> &'static str {
    match cx.descriptor().map(|d| (d.kind, d.socket)) {
        Some((DescriptorKind::File | DescriptorKind::Directory, _)) => "file",
        Some((DescriptorKind::Socket, Some(socket))) if socket.is_ip() => "net",
        Some((DescriptorKind::Socket, Some(socket))) if socket.family == Family::Unix => "IPC",
        Some((DescriptorKind::Pipe | DescriptorKind::Event, _)) => "IPC",
        _ => "unknown",
    }
}

fn moved(cx: &EventContext<'_>, ways: &[Io], category: Option<&str>) -> Option<Value<'static>> {
    let fits = ways.contains(&cx.shape().io) && category.is_none_or(|c| descriptor_category(cx) == c);
    let result = result(cx).filter(|r| *r >= 0 && fits)?;
    Some(Value::number(result))
}

fn errors(cx: &EventContext<'_>, wanted: Option<&str>) -> Option<Value<'static>> {
    let is = match cx.descriptor().map(|d| (d.kind, d.socket.is_some())) {
        Some((DescriptorKind::File | DescriptorKind::Directory, _)) => "file",
        Some((_, true)) => "net",
        Some(_) => "other",
        None if cx.shape().opens || cx.shape().name == "creat" => "file",
        None if matches!(cx.shape().name, "accept" | "accept4" | "connect") => "net",
        None if cx.shape().category == "memory" => "memory",
        None => "other",
    };
    let result = result(cx).filter(|_| wanted.is_none_or(|wanted| wanted == is))?;
    Some(Value::number(u8::from(result < 0)))
}
