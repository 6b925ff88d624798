//! `evt.arg`, `evt.rawarg`, `evt.args`: arguments by name, rendered as Falco renders them.
//!
//! Names are looked up as the call's own arguments first (the kernel's names), then under Falco's names for them.

use std::borrow::Cow;

use afterimage_format::{EventCode, FieldTag, layout};
use afterimage_model::{
    describe,
    sockaddr::SocketAddress,
    symbols,
    syscalls::{ArgKind, ArgSpec},
};

use super::{FieldArg, evt, fd, open, path};
use crate::{context::EventContext, value::Value};

/// Falco's names of arguments and the names that the tables have for them, in order of preference.
const ALIASES: &[(&str, &[&str])] = &[
    ("name", &["path", "target", "name"]),
    ("filename", &["path"]),
    ("pathname", &["path"]),
    ("path", &["path", "new_root"]),
    ("size", &["count", "len", "size"]),
    ("length", &["length", "len"]),
    ("pos", &["offset"]),
    ("proto", &["protocol"]),
    ("olddir", &["olddirfd"]),
    ("newdir", &["newdirfd"]),
    ("linkdirfd", &["newdirfd"]),
    ("dev", &["source", "dev"]),
    ("dir", &["target"]),
    ("uargs", &["param_values"]),
    ("uid", &["uid", "owner"]),
    ("gid", &["gid", "group"]),
    ("pid", &["pid", "tgid"]),
    ("flags", &["flags", "mountflags"]),
    ("mountfd", &["mount_fd"]),
    ("argument", &["arg"]),
    ("fdin", &["fd_in"]),
    ("fdout", &["fd_out"]),
];

/// An argument as text.
pub(super) fn rendered<'c>(cx: &'c EventContext<'_>, arg: &FieldArg) -> Option<Value<'c>> {
    match arg {
        FieldArg::Index(at) => by_position(cx, *at),
        FieldArg::Key(name) => by_name(cx, std::str::from_utf8(name).ok()?),
        FieldArg::None => None,
    }
}

/// The names and values of all arguments.
pub(crate) fn all(cx: &EventContext<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push = |name: &str, value: &Value<'_>| {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        // Of several ways to write it, one.
        out.extend_from_slice(&value.each().first().map(Value::to_bytes).unwrap_or_default());
    };
    if let Some(result) = result(cx) {
        push(if cx.shape().makes_fd { "fd" } else { "res" }, &result);
    }
    for (index, spec) in specs(cx).iter().enumerate() {
        if let Some(value) = of_spec(cx, index, spec) {
            push(spec.name, &value);
        }
    }
    for name in EXEC_NAMES.iter().filter(|_| cx.event().code == EventCode::EXEC) {
        if let Some(value) = of_exec(cx, name) {
            push(name, &value);
        }
    }
    out
}

fn specs(cx: &EventContext<'_>) -> &'static [ArgSpec] {
    cx.shape().signature.map_or(&[], |signature| signature.args)
}

/// Position 0 is the result, as in Falco; the call's own arguments follow.
fn by_position<'c>(cx: &'c EventContext<'_>, at: usize) -> Option<Value<'c>> {
    match at.checked_sub(1) {
        None => result(cx),
        Some(index) => of_spec(cx, index, specs(cx).get(index)?),
    }
}

fn by_name<'c>(cx: &'c EventContext<'_>, name: &str) -> Option<Value<'c>> {
    let event = cx.event();
    match event.code {
        EventCode::EXEC => return of_exec(cx, name),
        EventCode::EXIT => return of_exit(cx, name),
        EventCode::FORK => return of_fork(cx, name),
        _ => {}
    }
    match name {
        "res" => return result(cx),
        "fd" if cx.shape().makes_fd => return result(cx),
        "data" if event.field(FieldTag::PAYLOAD).is_some() => {
            return event.bytes(FieldTag::PAYLOAD).map(Value::text);
        }
        "tuple" => return fd::get(fd::Fd::Name, &FieldArg::None, cx),
        "flags" | "mode" if cx.shape().name == "openat2" => return how(cx, name),
        "fd1" | "fd2" => return pair(cx, usize::from(name == "fd2")),
        _ => {}
    }
    let index = position(cx, name)?;
    of_spec(cx, index, specs(cx).get(index)?)
}

fn position(cx: &EventContext<'_>, name: &str) -> Option<usize> {
    let shape = cx.shape();
    shape.argument(name).or_else(|| {
        let (_, own) = ALIASES.iter().find(|(falco, _)| *falco == name)?;
        own.iter().find_map(|own| shape.argument(own))
    })
}

/// The result: the error's name, what a new descriptor is open on, or the number.
fn result<'c>(cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let result = evt::result(cx)?;
    if result < 0 {
        return Some(match evt::result_name(cx)? {
            Cow::Borrowed("SUCCESS") => Value::made(result.to_string()),
            name => Value::made(name.into_owned()),
        });
    }
    let made = if cx.shape().makes_fd { cx.fd_number().and_then(|fd| named(cx, fd)) } else { None };
    Some(made.map_or_else(|| Value::made(result.to_string()), Value::made))
}

/// `<f>/etc/passwd`, `<4t>10.0.0.1:40000->10.0.0.2:443`: a descriptor's type and name.
fn named(cx: &EventContext<'_>, number: i32) -> Option<Vec<u8>> {
    let own = (cx.fd_number() == Some(number)).then(|| cx.descriptor().copied()).flatten();
    let descriptor = own.or_else(|| cx.facts().descriptor(cx.task(), number))?;
    let mut out = b"<".to_vec();
    out.extend_from_slice(fd::typechar(&descriptor));
    out.extend_from_slice(fd::protocol_char(&descriptor));
    out.push(b'>');
    match fd::get(fd::Fd::Name, &FieldArg::None, cx) {
        Some(name) if own.is_some() => out.extend_from_slice(&name.each().first()?.to_bytes()),
        _ if own.is_some() => {}
        _ => out.extend_from_slice(&fd::name_of(&descriptor)),
    }
    Some(out)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "registers hold the ABI's types"
)]
fn of_spec<'c>(cx: &'c EventContext<'_>, index: usize, spec: &ArgSpec) -> Option<Value<'c>> {
    let event = cx.event();
    if !describe::is_used(event, index) {
        return None;
    }
    let given = event.args.get(index).copied();
    let value = || given;
    let word = || given.map(|value| value as u32);
    let int = || given.map(|value| value as u32 as i32);
    let made = |text: String| Some(Value::made(text));
    match spec.kind {
        ArgKind::Path if raw_path(cx) => event.bytes(FieldTag::PATH).map(Value::text),
        ArgKind::Path => absolute(cx, FieldTag::PATH),
        ArgKind::Path2 => absolute(cx, FieldTag::PATH2),
        ArgKind::Flags(set) => made(set.flags(value()?)),
        ArgKind::Symbol(set) => made(set.symbol(value()?)),
        ArgKind::Mode | ArgKind::FileMode => Some(mode(value()?)),
        ArgKind::Pointer | ArgKind::FcntlArg | ArgKind::PrctlArg => Some(pointed(cx, index, spec, value()?)),
        ArgKind::CloneFlags => made(symbols::clone_flags(value()?)),
        ArgKind::MmapFlags => made(symbols::mmap_flags(value()?)),
        ArgKind::Ioctl => made(symbols::ioctl(value()?)),
        ArgKind::FutexOp => made(symbols::futex_op(value()?)),
        ArgKind::SchedPolicy => made(symbols::sched_policy(value()?)),
        ArgKind::SocketType => made(symbols::socket_type(value()?)),
        ArgKind::SocketProtocol => made(symbols::socket_protocol(event.args.first().copied()?, value()?)),
        ArgKind::Sockopt => made(symbols::socket_option(event.args.get(1).copied()?, value()?)),
        ArgKind::Signal => made(symbols::signal_or_number(value()?)),
        ArgKind::Uid | ArgKind::Gid => made(match word()? {
            0 => "root".to_owned(),
            u32::MAX => "-1".to_owned(),
            id => id.to_string(),
        }),
        ArgKind::Fd | ArgKind::Dirfd => match int()? {
            -100 => Some(Value::text(b"AT_FDCWD")),
            fd => Some(named(cx, fd).map_or_else(|| Value::made(fd.to_string()), Value::made)),
        },
        ArgKind::Sockaddr | ArgKind::SockaddrOut => {
            event.bytes(FieldTag::SOCKADDR).and_then(SocketAddress::parse).map(|a| Value::made(a.to_string()))
        }
        ArgKind::WriteBuffer | ArgKind::ReadBuffer | ArgKind::WriteVector | ArgKind::ReadVector => {
            event.bytes(FieldTag::PAYLOAD).map(Value::text)
        }
        ArgKind::Int | ArgKind::Pid | ArgKind::Key => made(int()?.to_string()),
        ArgKind::Uint => made(word()?.to_string()),
        ArgKind::Long | ArgKind::Offset => made((value()? as i64).to_string()),
        ArgKind::Ulong | ArgKind::Size => made(value()?.to_string()),
        _ => made(symbols::hex(value()?)),
    }
}

/// A mode as Falco has that of `chmod`, and in octal: a comparison may be with either, whatever the call.
fn mode(value: u64) -> Value<'static> {
    let bits = value & 0o7777;
    let symbols = symbols::MODE.flags(bits);
    let symbols = match symbols::FILE_TYPE.name_of(value & 0o170_000) {
        Some(kind) if bits == 0 => kind.to_owned(),
        Some(kind) => format!("{kind}|{symbols}"),
        None => symbols,
    };
    Value::Many(vec![Value::made(symbols), Value::made(symbols::mode(bits))])
}

/// What lies behind a pointer, texts as they are; else the number.
fn pointed<'c>(cx: &'c EventContext<'_>, index: usize, spec: &ArgSpec, value: u64) -> Value<'c> {
    let event = cx.event();
    let data = event.bytes(FieldTag::DATA);
    let option = || event.args.first().copied().and_then(|option| symbols::PRCTL.name_of(option));
    let text = match (cx.shape().name, spec.name) {
        ("mount", "filesystemtype") => data,
        ("setsockopt", "optval") => data.filter(|data| data.len() != 4),
        ("prctl", _) if option() == Some("PR_SET_NAME") => data,
        _ => None,
    };
    match (text, describe::meaning(event, index)) {
        (Some(text), _) => Value::text(text),
        (None, Some(meaning)) => Value::made(meaning.into_string()),
        (None, None) => Value::made(symbols::hex(value)),
    }
}

/// Whether the call's first string is no path, or stays as it was given: a symlink's target, names.
fn raw_path(cx: &EventContext<'_>) -> bool {
    matches!(
        cx.shape().name,
        "symlink"
            | "symlinkat"
            | "memfd_create"
            | "init_module"
            | "finit_module"
            | "delete_module"
            | "fsconfig"
    )
}

/// A path as Falco shows it: as given when it is absolute, else made absolute.
fn absolute<'c>(cx: &'c EventContext<'_>, tag: FieldTag) -> Option<Value<'c>> {
    let given = cx.event().bytes(tag)?;
    if given.first() == Some(&b'/') || cx.shape().name == "finit_module" || cx.shape().name == "init_module" {
        return Some(Value::text(given));
    }
    path::claimed(cx, tag).map(Value::made)
}

/// Flags and mode of `openat2`.
fn how<'c>(cx: &'c EventContext<'_>, name: &str) -> Option<Value<'c>> {
    let (flags, bits) = open::flags_and_mode(cx)?;
    if name == "flags" {
        return Some(Value::made(symbols::OPEN.flags(flags)));
    }
    open::makes_file(flags).then(|| mode(bits))
}

fn pair<'c>(cx: &'c EventContext<'_>, at: usize) -> Option<Value<'c>> {
    let bytes = cx.event().bytes(FieldTag::FDS)?.get(at * 4..at * 4 + 4)?;
    let fd = i32::from_le_bytes(bytes.try_into().ok()?);
    Some(named(cx, fd).map_or_else(|| Value::made(fd.to_string()), Value::made))
}

/// Arguments of an exec in the order in which `evt.args` lists them.
const EXEC_NAMES: [&str; 17] = [
    "exe",
    "args",
    "tid",
    "pid",
    "ptid",
    "cwd",
    "comm",
    "cgroups",
    "tty",
    "loginuid",
    "flags",
    "uid",
    "gid",
    "pgid",
    "exe_ino",
    "trusted_exepath",
    "filename",
];

fn of_exec<'c>(cx: &'c EventContext<'_>, name: &str) -> Option<Value<'c>> {
    use super::{process::Proc, thread::Thread, user::User};
    let event = cx.event();
    let process = |field| super::process::get(field, &FieldArg::None, cx);
    match name {
        "res" => Some(Value::text(b"SUCCESS")),
        "exe" => process(Proc::Exe),
        "args" => process(Proc::Args),
        "tid" => Some(Value::made(event.task.tid.to_string())),
        "pid" => Some(Value::made(event.task.tgid.to_string())),
        "ptid" => process(Proc::Ppid),
        "cwd" => process(Proc::Cwd),
        "comm" => process(Proc::Name),
        "env" => process(Proc::Env),
        "tty" => process(Proc::Tty),
        "pgid" | "vpgid" => process(Proc::Pgid),
        "exe_ino" => process(Proc::ExeIno),
        "exe_ino_ctime" => process(Proc::ExeInoCtime),
        "exe_ino_mtime" => process(Proc::ExeInoMtime),
        "trusted_exepath" => process(Proc::Exepath),
        "cgroups" => super::thread::get(Thread::Cgroups, &FieldArg::None, cx),
        "cap_inheritable" => super::thread::get(Thread::CapInheritable, &FieldArg::None, cx),
        "cap_permitted" => super::thread::get(Thread::CapPermitted, &FieldArg::None, cx),
        "cap_effective" => super::thread::get(Thread::CapEffective, &FieldArg::None, cx),
        "loginuid" => super::user::get(User::Loginuid, cx),
        "uid" => super::user::get(User::Uid, cx),
        "gid" => super::user::get(User::Gid, cx),
        "filename" | "pathname" => event.bytes(FieldTag::FILENAME).map(Value::text),
        "flags" => exec_flags(cx).map(Value::made),
        _ => None,
    }
}

/// Falco's words for how a program lies on disk.
fn exec_flags(cx: &EventContext<'_>) -> Option<String> {
    use layout::exec;
    let flags = cx.event().number(exec::EXE_FLAGS)?;
    let words = [
        (exec::EXE_WRITABLE, "EXE_WRITABLE"),
        (exec::EXE_UPPER_LAYER, "EXE_UPPER_LAYER"),
        (exec::EXE_MEMFD, "EXE_FROM_MEMFD"),
        (exec::EXE_LOWER_LAYER, "EXE_LOWER_LAYER"),
    ];
    let set: Vec<&str> = words.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, word)| *word).collect();
    Some(if set.is_empty() { "0".to_owned() } else { set.join("|") })
}

fn of_exit<'c>(cx: &'c EventContext<'_>, name: &str) -> Option<Value<'c>> {
    let event = cx.event();
    let raw = event.number(layout::exit::RAW);
    let text = match name {
        "status" => raw?.to_string(),
        "ret" => (event.ret.max(0)).to_string(),
        "sig" => symbols::signal_or_number(raw? & 0x7f),
        "core" => u8::from(raw? & 0x80 != 0).to_string(),
        _ => return None,
    };
    Some(Value::made(text))
}

fn of_fork<'c>(cx: &'c EventContext<'_>, name: &str) -> Option<Value<'c>> {
    use layout::fork;
    let event = cx.event();
    let number = |index| event.number(index).map(|n| Value::made(n.to_string()));
    match name {
        "res" | "tid" => number(fork::CHILD_TID),
        "pid" => number(fork::CHILD_TGID),
        "vpid" => number(fork::CHILD_VPID),
        "ptid" => Some(Value::made(event.task.tid.to_string())),
        "flags" => event.number(fork::NEW_NS).map(|flags| Value::made(symbols::CLONE.flags(flags))),
        "comm" => cx.process()?.comm.map(Value::text),
        _ => None,
    }
}

/// An argument as a number; paths as they were given.
#[expect(clippy::cast_possible_wrap, reason = "registers hold the ABI's types")]
pub(super) fn raw<'c>(cx: &'c EventContext<'_>, arg: &FieldArg) -> Option<Value<'c>> {
    let index = match arg {
        FieldArg::Index(0) => return evt::result(cx).map(Value::number),
        FieldArg::Index(at) => at - 1,
        FieldArg::Key(name) => match std::str::from_utf8(name).ok()? {
            "res" => return evt::result(cx).map(Value::number),
            "fd" if cx.shape().makes_fd => return evt::result(cx).map(Value::number),
            name @ ("flags" | "mode") if cx.shape().name == "openat2" => {
                let (flags, mode) = open::flags_and_mode(cx)?;
                let has_mode = name == "mode" && open::makes_file(flags);
                return (name == "flags" || has_mode)
                    .then(|| Value::number(if has_mode { mode } else { flags }));
            }
            name => position(cx, name)?,
        },
        FieldArg::None => return None,
    };
    let spec = specs(cx).get(index)?;
    if !describe::is_used(cx.event(), index) {
        return None;
    }
    let value = cx.event().args.get(index).copied();
    Some(match spec.kind {
        // The kernel looks at no more than these bits.
        ArgKind::Mode | ArgKind::FileMode => Value::number(value? & 0o177_777),
        ArgKind::Path => Value::text(cx.event().bytes(FieldTag::PATH)?),
        ArgKind::Path2 => Value::text(cx.event().bytes(FieldTag::PATH2)?),
        ArgKind::Fd | ArgKind::Dirfd | ArgKind::Int | ArgKind::Pid => Value::number(cx.register_i32(index)?),
        ArgKind::Long | ArgKind::Offset => Value::number(value? as i64),
        ArgKind::Flags(set) | ArgKind::Symbol(set) => Value::number(set.narrow(value?)),
        _ => Value::number(value?),
    })
}

/// Whether any call has an argument of this name.
pub(crate) fn is_known(name: &str) -> bool {
    let special = ["res", "data", "tuple", "fd1", "fd2", "status", "ret", "sig", "core", "ptid", "env"];
    EXEC_NAMES.contains(&name)
        || special.contains(&name)
        || name.starts_with("cap_")
        || name.starts_with("exe_ino")
        || ALIASES.iter().any(|(falco, _)| *falco == name)
        || name.bytes().all(|b| b.is_ascii_digit())
        || afterimage_model::syscalls::all().any(|(_, s)| s.args.iter().any(|arg| arg.name == name))
}
