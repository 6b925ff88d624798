//! `proc.*`: the process of the event and its ancestors.

use afterimage_format::layout::exec;

use super::{FieldArg, family};
use crate::{context::EventContext, facts::Process, value::Value};

family! {
    /// Processes.
    Proc as Process {
        Exe = "proc.exe", Text, One, Never: "The first argument (argv[0]).";
        Pexe = "proc.pexe", Text, One, Never: "The parent's first argument.";
        Aexe = "proc.aexe", Text, Ancestors, MayIndex: "First argument of ancestor N, or of any ancestor.";
        Exepath = "proc.exepath", Text, One, Never: "The path of the program, from the kernel.";
        Pexepath = "proc.pexepath", Text, One, Never: "The path of the parent's program.";
        Aexepath = "proc.aexepath", Text, Ancestors, MayIndex: "Program path of ancestor N, or of any ancestor.";
        Name = "proc.name", Text, One, Never:
            "The name (`comm`), at most 15 bytes; `<NA>` where nothing is known of the process, as in Falco.";
        Pname = "proc.pname", Text, One, Never: "The parent's name.";
        Aname = "proc.aname", Text, Ancestors, MayIndex:
            "Name of ancestor N (0 is the process itself, 1 its parent), or of any ancestor.";
        Args = "proc.args", Text, One, MayIndex: "The arguments without the first, joined by blanks, or the one at N, from 0.";
        Aargs = "proc.aargs", Text, Ancestors, MayIndex: "Arguments of ancestor N, or of any ancestor.";
        Cmdline = "proc.cmdline", Text, One, Never: "Name and arguments.";
        Pcmdline = "proc.pcmdline", Text, One, Never: "The parent's name and arguments.";
        Acmdline = "proc.acmdline", Text, Ancestors, MayIndex: "Command line of ancestor N, or of any ancestor.";
        Cmdnargs = "proc.cmdnargs", Number, One, Never: "How many arguments follow the first.";
        Cmdlenargs = "proc.cmdlenargs", Number, One, Never: "How many bytes they have, without blanks between.";
        Exeline = "proc.exeline", Text, One, Never: "First argument and the others.";
        Env = "proc.env", Text, One, MayKey:
            "The environment joined by blanks, or the value of one variable. Values may be masked by the recorder's \
             policy. It is forgotten at the process's end (`procexit`).";
        Aenv = "proc.aenv", Text, Ancestors, MayKey: "Environment of ancestor N or any, or the nearest value of a name.";
        Cwd = "proc.cwd", Text, One, Never: "The working directory, with a slash at its end, as Falco has it.";
        Loginshellid = "proc.loginshellid", Number, One, Never: "Process id of the eldest shell above.";
        Tty = "proc.tty", Number, One, Never: "The controlling terminal's device number; 0 for none.";
        Pid = "proc.pid", Number, One, Never: "Process id, initial namespace.";
        Ppid = "proc.ppid", Number, One, Never: "The parent's process id.";
        Apid = "proc.apid", Number, Ancestors, MayIndex: "Process id of ancestor N, or of any ancestor.";
        Vpid = "proc.vpid", Number, One, Never: "Process id in its own namespace.";
        Pvpid = "proc.pvpid", Number, One, Never: "The parent's process id in the parent's namespace.";
        Sid = "proc.sid", Number, One, Never: "Session id, initial namespace.";
        Sname = "proc.sname", Text, One, Never:
            "Name of the session's leader, or of the eldest ancestor in the session.";
        SidExe = "proc.sid.exe", Text, One, Never: "First argument of the session's leader.";
        SidExepath = "proc.sid.exepath", Text, One, Never: "Program path of the session's leader.";
        Pgid = "proc.pgid", Number, One, Never: "Process group, initial namespace.";
        PgidName = "proc.pgid.name", Text, One, Never: "Name of the group's leader, or of the eldest ancestor in it.";
        PgidExe = "proc.pgid.exe", Text, One, Never: "First argument of the group's leader.";
        PgidExepath = "proc.pgid.exepath", Text, One, Never: "Program path of the group's leader.";
        Vpgid = "proc.vpgid", Number, One, Never:
            "Process group in its own namespace: known where the group's leader is.";
        VpgidName = "proc.vpgid.name", Text, One, Never: "As `proc.pgid.name`.";
        VpgidExe = "proc.vpgid.exe", Text, One, Never: "As `proc.pgid.exe`.";
        VpgidExepath = "proc.vpgid.exepath", Text, One, Never: "As `proc.pgid.exepath`.";
        Duration = "proc.duration", Duration, One, Never: "Time since the process was made.";
        PpidDuration = "proc.ppid.duration", Duration, One, Never: "Time since the parent was made.";
        PidTs = "proc.pid.ts", Time, One, Never: "When the process was made.";
        Start = "proc.start", Time, One, Never: "As `proc.pid.ts`. Ours.";
        Exit = "proc.exit", Time, One, Never:
            "When the process ended: at its end (`procexit`), and absent before, for a recording is read forward. Ours.";
        PpidTs = "proc.ppid.ts", Time, One, Never: "When the parent was made.";
        IsExeWritable = "proc.is_exe_writable", Bool, One, Never: "Whether the user may write the program's file.";
        IsExeUpperLayer = "proc.is_exe_upper_layer", Bool, One, Never:
            "Whether the program is on an overlay's upper layer: not part of the image.";
        IsExeLowerLayer = "proc.is_exe_lower_layer", Bool, One, Never: "Whether it is on a lower layer.";
        IsExeFromMemfd = "proc.is_exe_from_memfd", Bool, One, Never: "Whether the program is a memfd.";
        IsSidLeader = "proc.is_sid_leader", Bool, One, Never: "Whether it leads its session.";
        IsVpgidLeader = "proc.is_vpgid_leader", Bool, One, Never: "Whether it leads its group.";
        IsPgidLeader = "proc.is_pgid_leader", Bool, One, Never: "Whether it leads its group.";
        ExeIno = "proc.exe_ino", Number, One, Never: "Inode of the program's file.";
        ExeSha256 = "proc.exe_sha256", Text, One, Never:
            "SHA-256 of the program in small letters, where it is not of the container's image and could be read when it was \
             executed. Filters and `hunt` know it; a recorder's rules do not. Ours.";
        ExeInoCtime = "proc.exe_ino.ctime", Time, One, Never: "Change time of the program's file.";
        ExeInoMtime = "proc.exe_ino.mtime", Time, One, Never: "Modification time of the program's file.";
        ExeInoCtimeStart = "proc.exe_ino.ctime_duration_proc_start", Duration, One, Never:
            "From the program file's change to the process's start.";
        ExeInoCtimePidns = "proc.exe_ino.ctime_duration_pidns_start", Duration, One, Never:
            "From the container's start to the program file's change, where that was later.";
        PidnsStart = "proc.pidns_init_start_ts", Time, One, Never: "The container's start.";
        Fdopencount = "proc.fdopencount", Number, One, Never: "Open descriptors that are known.";
        Nthreads = "proc.nthreads", Number, One, Never: "Living threads.";
        Nchilds = "proc.nchilds", Number, One, Never: "Living threads without the leader.";
        StdinType = "proc.stdin.type", Text, One, Never: "`fd.type` of descriptor 0.";
        StdoutType = "proc.stdout.type", Text, One, Never: "`fd.type` of descriptor 1.";
        StderrType = "proc.stderr.type", Text, One, Never: "`fd.type` of descriptor 2.";
        StdinName = "proc.stdin.name", Text, One, Never: "Path of descriptor 0.";
        StdoutName = "proc.stdout.name", Text, One, Never: "Path of descriptor 1.";
        StderrName = "proc.stderr.name", Text, One, Never: "Path of descriptor 2.";
    }
}

pub(super) fn get<'c>(field: Proc, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let Some(process) = cx.process() else {
        return match field {
            Proc::Name => Some(Value::text(b"<NA>")),
            Proc::Pid => Some(Value::number(cx.task().tgid)),
            _ => None,
        };
    };
    match field {
        Proc::Aexe
        | Proc::Aexepath
        | Proc::Aname
        | Proc::Aargs
        | Proc::Acmdline
        | Proc::Apid
        | Proc::Aenv => lineage(field, arg, cx),
        Proc::Pexe => of_one(Proc::Exe, &cx.ancestor(1)?),
        Proc::Pexepath => of_one(Proc::Exepath, &cx.ancestor(1)?),
        Proc::Pname => of_one(Proc::Name, &cx.ancestor(1)?),
        Proc::Pcmdline => of_one(Proc::Cmdline, &cx.ancestor(1)?),
        Proc::Pvpid => of_one(Proc::Vpid, &cx.ancestor(1)?),
        Proc::Args => match arg {
            FieldArg::Index(at) => args(process).nth(*at).map(Value::text),
            _ => cx.arguments().map(Value::text),
        },
        Proc::Cmdline => cx.command_line().map(Value::text),
        Proc::Env => match arg {
            FieldArg::Key(name) => env_value(process, name).map(Value::text),
            // A name of digits.
            FieldArg::Index(name) => env_value(process, name.to_string().as_bytes()).map(Value::text),
            FieldArg::None => Some(Value::made(joined(process.env?))),
        },
        Proc::Name if process.comm.is_none() => Some(Value::text(b"<NA>")),
        Proc::ExeSha256 => {
            let image = cx.frame().image(cx.container(), process.executed?, process.exe_path?)?;
            Some(Value::text(image.sha256.as_bytes()))
        }
        _ => of_one(field, process)
            .or_else(|| times(field, cx, process))
            .or_else(|| groups(field, cx, process)),
    }
}

/// Whether Falco has an empty text where there is no value: a variable that is not in an environment that is known, an
/// argument behind the last.
pub(super) fn is_empty(field: Proc, arg: &FieldArg, cx: &EventContext<'_>) -> bool {
    cx.process().is_some_and(|process| match (field, arg) {
        (Proc::Env, FieldArg::Key(_) | FieldArg::Index(_)) | (Proc::Aenv, FieldArg::Key(_)) => {
            process.env.is_some()
        }
        (Proc::Args, FieldArg::Index(_)) => process.argv.is_some(),
        _ => false,
    })
}

/// A field that a process has by itself.
fn of_one<'a>(field: Proc, process: &Process<'a>) -> Option<Value<'a>> {
    let flag = |bit: u64| process.exe_flags.map(|flags| Value::Bool(flags & bit != 0));
    Some(match field {
        Proc::Exe | Proc::Aexe => Value::text(arguments(process.argv?).next().unwrap_or(b"")),
        Proc::Exepath | Proc::Aexepath => Value::text(process.exe_path?),
        Proc::Name | Proc::Aname => Value::text(process.comm?),
        Proc::Args | Proc::Aargs => Value::made(after_first(process.argv?)),
        Proc::Cmdline | Proc::Acmdline => Value::made(command_line(process)?),
        Proc::Exeline => Value::made(joined(process.argv?)),
        Proc::Cmdnargs => Value::number(u64::try_from(args(process).count()).ok()?),
        Proc::Cmdlenargs => Value::number(u64::try_from(args(process).map(<[u8]>::len).sum::<usize>()).ok()?),
        Proc::Aenv => Value::made(joined(process.env?)),
        Proc::Cwd => Value::made(with_slash(process.cwd?)),
        Proc::Tty => Value::number(user_device(process.tty?)),
        Proc::Pid | Proc::Apid => Value::number(process.key.tgid),
        Proc::Ppid => Value::number(process.ppid?),
        Proc::Vpid => Value::number(process.vpid?),
        Proc::Sid => Value::number(process.sid?),
        Proc::Pgid => Value::number(process.pgid?),
        Proc::IsExeWritable => flag(exec::EXE_WRITABLE)?,
        Proc::IsExeUpperLayer => flag(exec::EXE_UPPER_LAYER)?,
        Proc::IsExeLowerLayer => flag(exec::EXE_LOWER_LAYER)?,
        Proc::IsExeFromMemfd => flag(exec::EXE_MEMFD)?,
        Proc::IsSidLeader => Value::Bool(process.sid? == process.key.tgid),
        Proc::IsVpgidLeader | Proc::IsPgidLeader => Value::Bool(process.pgid? == process.key.tgid),
        Proc::ExeIno => Value::number(process.exe_ino.filter(|ino| *ino != 0)?),
        Proc::ExeInoCtime => Value::number(process.exe_ctime.filter(|t| *t != 0)?),
        Proc::ExeInoMtime => Value::number(process.exe_mtime.filter(|t| *t != 0)?),
        _ => return None,
    })
}

/// Fields of ancestors: of one of them by its level, or of all.
fn lineage<'c>(field: Proc, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    match arg {
        FieldArg::Index(level) => of_one(field, &cx.ancestor(*level)?),
        FieldArg::Key(name) => {
            let mut found = None;
            cx.ancestors(|process| {
                found = env_value(process, name).map(Value::text);
                found.is_none()
            });
            found
        }
        FieldArg::None => {
            let mut values = Vec::new();
            cx.ancestors(|process| {
                values.extend(of_one(field, process));
                true
            });
            (!values.is_empty()).then_some(Value::Many(values))
        }
    }
}

/// Fields of times.
fn times<'c>(field: Proc, cx: &'c EventContext<'_>, process: &Process<'_>) -> Option<Value<'c>> {
    let now = cx.event().time;
    let age = |process: &Process<'_>| process.start.and_then(|start| now.0.checked_sub(start.0));
    let wall = |process: &Process<'_>| process.start.and_then(|start| cx.wall(start));
    let container = || cx.container_start().and_then(|start| cx.wall(start));
    let ctime = || process.exe_ctime.and_then(|t| i64::try_from(t).ok()).filter(|t| *t != 0);
    Some(match field {
        Proc::Duration => Value::number(age(process)?),
        Proc::PpidDuration => Value::number(age(&cx.ancestor(1)?)?),
        Proc::PidTs | Proc::Start => Value::number(wall(process)?),
        Proc::Exit => Value::number(cx.wall(process.exit?)?),
        Proc::PpidTs => Value::number(wall(&cx.ancestor(1)?)?),
        Proc::ExeInoCtimeStart => Value::number(wall(process)?.checked_sub(ctime()?).filter(|d| *d > 0)?),
        Proc::ExeInoCtimePidns => Value::number(ctime()?.checked_sub(container()?).filter(|d| *d > 0)?),
        Proc::PidnsStart => Value::number(container()?),
        _ => return None,
    })
}

/// Fields of groups, sessions, threads and standard descriptors.
fn groups<'c>(field: Proc, cx: &'c EventContext<'_>, process: &Process<'c>) -> Option<Value<'c>> {
    let session = || eldest(cx, process, |p| p.sid);
    let group = || eldest(cx, process, |p| p.pgid);
    let standard = |fd: i32| cx.facts().descriptor(cx.task(), fd);
    let kind = |fd: i32| standard(fd).map(|descriptor| Value::text(super::fd::type_name(&descriptor)));
    let threads = || cx.facts().threads(cx.task());
    match field {
        Proc::Sname => of_one(Proc::Name, &session()?),
        Proc::SidExe => of_one(Proc::Exe, &session()?),
        Proc::SidExepath => of_one(Proc::Exepath, &session()?),
        Proc::PgidName | Proc::VpgidName => of_one(Proc::Name, &group()?),
        Proc::PgidExe | Proc::VpgidExe => of_one(Proc::Exe, &group()?),
        Proc::PgidExepath | Proc::VpgidExepath => of_one(Proc::Exepath, &group()?),
        Proc::Vpgid => {
            let leader = process.pgid?;
            let is_own = leader == process.key.tgid;
            let vpid = if is_own { process.vpid } else { cx.facts().process_by_pid(leader)?.vpid };
            vpid.map(Value::number)
        }
        Proc::Loginshellid => login_shell(cx, process).map(Value::number),
        Proc::Fdopencount => {
            let mut count = 0u64;
            cx.facts().descriptors(cx.task(), &mut |_, _| count += 1);
            Some(Value::number(count))
        }
        Proc::Nthreads => threads().map(Value::number),
        Proc::Nchilds => threads().map(|n| Value::number(n.saturating_sub(1))),
        Proc::StdinType => kind(0),
        Proc::StdoutType => kind(1),
        Proc::StderrType => kind(2),
        Proc::StdinName => standard(0)?.path.map(Value::text),
        Proc::StdoutName => standard(1)?.path.map(Value::text),
        Proc::StderrName => standard(2)?.path.map(Value::text),
        _ => None,
    }
}

/// The leader of a session or group when it is known, else the eldest ancestor (or the process) that is in it.
fn eldest<'c>(
    cx: &'c EventContext<'_>,
    process: &Process<'c>,
    id: fn(&Process<'_>) -> Option<u32>,
) -> Option<Process<'c>> {
    let wanted = id(process)?;
    if let Some(leader) = cx.facts().process_by_pid(wanted).filter(|leader| id(leader) == Some(wanted)) {
        return Some(leader);
    }
    let mut found = *process;
    cx.ancestors(|ancestor| {
        let same = id(ancestor) == Some(wanted);
        if same {
            found = *ancestor;
        }
        same
    });
    Some(found)
}

fn login_shell(cx: &EventContext<'_>, process: &Process<'_>) -> Option<u32> {
    let is_shell = |process: &Process<'_>| process.comm.is_some_and(|comm| comm.ends_with(b"sh"));
    let mut found = is_shell(process).then_some(process.key.tgid);
    cx.ancestors(|ancestor| {
        if is_shell(ancestor) {
            found = Some(ancestor.key.tgid);
        }
        true
    });
    found
}

/// Strings each ended by a NUL; the last one may have been cut.
fn arguments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let none = bytes.is_empty();
    bytes.split(|b| *b == 0).skip(usize::from(none))
}

/// The arguments without the first.
fn args<'a>(process: &Process<'a>) -> impl Iterator<Item = &'a [u8]> {
    arguments(process.argv.unwrap_or(b"")).skip(1)
}

/// NUL-ended strings joined by blanks.
fn joined(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.strip_suffix(b"\0").unwrap_or(bytes).to_vec();
    for byte in &mut out {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    out
}

/// The arguments but the first, joined by blanks.
pub(crate) fn after_first(argv: &[u8]) -> Vec<u8> {
    argv.iter().position(|b| *b == 0).map_or_else(Vec::new, |end| joined(&argv[end + 1..]))
}

/// Name and arguments.
pub(crate) fn command_line(process: &Process<'_>) -> Option<Vec<u8>> {
    let mut out = process.comm?.to_vec();
    for arg in args(process) {
        out.push(b' ');
        out.extend_from_slice(arg);
    }
    Some(out)
}

/// The value of a variable.
pub(super) fn env_value<'a>(process: &Process<'a>, name: &[u8]) -> Option<&'a [u8]> {
    arguments(process.env?)
        .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
        .map(<[u8]>::trim_ascii)
}

fn with_slash(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
    out
}

/// A kernel `dev_t` as user space numbers devices (`/proc/PID/stat`).
fn user_device(device: u64) -> u64 {
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_and_joined() {
        let process = Process { comm: Some(b"sh"), argv: Some(b"/bin/sh\0-c\0a b\0"), ..Process::default() };
        assert_eq!(command_line(&process).unwrap(), b"sh -c a b");
        assert_eq!(args(&process).collect::<Vec<_>>(), [&b"-c"[..], b"a b"]);
        assert_eq!(after_first(b"x\0"), b"");
        assert_eq!(args(&Process { argv: Some(b""), ..Process::default() }).count(), 0);
        assert_eq!(args(&Process { argv: Some(b"a\0\0"), ..Process::default() }).collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn terminals_are_numbered_as_user_space_does() {
        assert_eq!(user_device(136 << 20), 34816);
        assert_eq!(user_device((136 << 20) | 3), 34819);
        assert_eq!(user_device(0), 0);
    }
}
