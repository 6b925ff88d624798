//! The arguments of an event by name, each rendered as strace renders it.

mod kernel;

use afterimage_format::{Abi, Event, EventFlags, Field, FieldFlags, FieldTag};

use super::{command, payload};
use crate::{
    sockaddr::SocketAddress,
    symbols,
    syscalls::{self, ArgKind, ArgSpec},
    text::{self, Safe},
};

/// Most bytes of a string or payload that are shown.
const SHOWN: usize = 1024;
/// `O_CREAT` and the bit that makes `O_TMPFILE`: only with one of them an open has a mode.
const OPEN_MAKES: u64 = 0o100 | 0o20_000_000;
/// `AT_FDCWD` as a signed 32-bit number.
const AT_FDCWD: i32 = -100;

/// Names and values of an event's arguments. A system call's are those of its signature; where the kernel's path
/// differs from the claimed one, both are there, the claimed one labelled.
pub fn args(event: &Event<'_>) -> Vec<(String, Safe)> {
    if event.code.as_syscall().is_none() {
        return kernel::args(event);
    }
    let mut out = Vec::new();
    if event.flags.contains(EventFlags::SIGRETURN) {
        return out;
    }
    match syscalls::signature(event.code) {
        Some(signature) => {
            let call = Call { event, name: signature.name };
            for (index, spec) in signature.args.iter().enumerate() {
                if let Some(&value) = event.args.get(index)
                    && !call.is_absent(spec)
                {
                    out.push((call.label(spec), call.value(spec, value)));
                }
            }
        }
        None => {
            let numbers = event.args.iter().enumerate();
            out.extend(numbers.map(|(at, n)| (format!("arg{at}"), Safe::format(format_args!("{n:#x}")))));
        }
    }
    push_kernel_facts(event, &mut out);
    out
}

/// Whether a system call looks at its argument at `index`: an open that makes no file has no mode.
pub fn is_used(event: &Event<'_>, index: usize) -> bool {
    let Some((call, spec)) = call_with(event, index) else { return false };
    !call.is_absent(spec)
}

/// What an argument says that its number alone does not: what lies behind a pointer, as far as it was recorded, or what another
/// argument tells of its meaning. `None` where there is nothing but the number.
pub fn meaning(event: &Event<'_>, index: usize) -> Option<Safe> {
    let (call, spec) = call_with(event, index)?;
    let value = *event.args.get(index)?;
    match spec.kind {
        ArgKind::Pointer => call.structure(spec.name),
        ArgKind::FcntlArg => Some(call.fcntl_argument(value)),
        ArgKind::PrctlArg => Some(call.prctl_argument(value)),
        _ => None,
    }
}

/// A system call and its argument at `index`.
fn call_with<'a>(event: &'a Event<'a>, index: usize) -> Option<(Call<'a>, &'static ArgSpec)> {
    let signature = syscalls::signature(event.code)?;
    Some((Call { event, name: signature.name }, signature.args.get(index)?))
}

/// What the kernel's own objects say besides the arguments.
fn push_kernel_facts(event: &Event<'_>, out: &mut Vec<(String, Safe)>) {
    if let Some(real) = event.bytes(FieldTag::KPATH)
        && event.bytes(FieldTag::PATH) != Some(real)
    {
        out.push(("kernel path".to_owned(), text::quote(real, false)));
    }
    for (tag, name) in [(FieldTag::LOCAL, "local"), (FieldTag::PEER, "peer")] {
        if let Some(address) = event.bytes(tag).and_then(SocketAddress::parse) {
            out.push((name.to_owned(), Safe::format(format_args!("{address}"))));
        }
    }
}

/// A system call whose arguments are rendered.
struct Call<'a> {
    event: &'a Event<'a>,
    name: &'static str,
}

impl Call<'_> {
    /// The argument's name; a claimed path that is not what the kernel opened says so.
    fn label(&self, spec: &ArgSpec) -> String {
        let differs = self.event.flags.contains(EventFlags::DIFFERS)
            && matches!(spec.kind, ArgKind::Path | ArgKind::Sockaddr);
        if differs { format!("{} (claimed)", spec.name) } else { spec.name.to_owned() }
    }

    /// The register of the argument with this name.
    fn register(&self, name: &str) -> Option<u64> {
        let at = syscalls::signature(self.event.code)?.args.iter().position(|a| a.name == name)?;
        self.event.args.get(at).copied()
    }

    /// Whether the call does not look at this argument.
    fn is_absent(&self, spec: &ArgSpec) -> bool {
        match spec.kind {
            ArgKind::Mode if spec.name == "mode" => {
                let flags = match self.name {
                    "open" | "openat" => self.register("flags"),
                    "mq_open" => self.register("oflag"),
                    _ => None,
                };
                flags.is_some_and(|flags| flags & OPEN_MAKES == 0)
            }
            ArgKind::FcntlArg => {
                let command = self.register("cmd").and_then(|c| symbols::FCNTL.name_of(c));
                command.is_some_and(|c| {
                    c.starts_with("F_GET") && !c.contains("LK") && !c.ends_with("_EX") && !c.ends_with("UIDS")
                })
            }
            _ => false,
        }
    }

    fn value(&self, spec: &ArgSpec, value: u64) -> Safe {
        let narrow = matches!(self.event.code.as_syscall(), Some((Abi::I386, _)));
        match spec.kind {
            ArgKind::Path => self.string(FieldTag::PATH, value),
            ArgKind::Path2 => self.string(FieldTag::PATH2, value),
            ArgKind::WriteBuffer => payload::joined(self.event, SHOWN).unwrap_or_else(|| pointer(value)),
            ArgKind::ReadBuffer if self.event.ret > 0 => {
                payload::joined(self.event, SHOWN).unwrap_or_else(|| pointer(value))
            }
            ArgKind::WriteVector | ArgKind::WriteMessage => self.vector(value),
            ArgKind::ReadVector | ArgKind::ReadMessage if self.event.ret > 0 => self.vector(value),
            ArgKind::Sockaddr | ArgKind::SockaddrOut => self.address(value),
            ArgKind::Argv => self.list(FieldTag::ARGV, value),
            ArgKind::Envp => self.list(FieldTag::ENVP, value),
            ArgKind::FdPair => self.descriptors(value),
            ArgKind::OpenHow => self.open_how(value),
            ArgKind::FcntlArg => self.fcntl_argument(value),
            ArgKind::PrctlArg => self.prctl_argument(value),
            ArgKind::SocketProtocol => {
                own(symbols::socket_protocol(self.register("domain").unwrap_or(0), value))
            }
            ArgKind::Sockopt => {
                own(symbols::socket_option(self.register("level").unwrap_or(u64::MAX), value))
            }
            ArgKind::Pointer => self.structure(spec.name).unwrap_or_else(|| pointer(value)),
            kind => own(number(kind, value, narrow)),
        }
    }

    fn string(&self, tag: FieldTag, address: u64) -> Safe {
        match self.event.field(tag) {
            Some(field) if field.flags.contains(FieldFlags::FAULT) && field.bytes.is_empty() => {
                pointer(address)
            }
            Some(field) => quoted(field),
            None => pointer(address),
        }
    }

    fn vector(&self, address: u64) -> Safe {
        let parts: Vec<String> = self
            .event
            .fields
            .iter()
            .filter(|f| f.tag == FieldTag::PAYLOAD)
            .map(|f| payload::field(f, SHOWN).into_string())
            .collect();
        if parts.is_empty() { pointer(address) } else { own(format!("[{}]", parts.join(", "))) }
    }

    fn address(&self, address: u64) -> Safe {
        match self.event.bytes(FieldTag::SOCKADDR).and_then(SocketAddress::parse) {
            Some(decoded) => own(decoded.to_string()),
            None => pointer(address),
        }
    }

    fn list(&self, tag: FieldTag, address: u64) -> Safe {
        let Some(field) = self.event.field(tag) else { return pointer(address) };
        let mut words: Vec<String> =
            command::arguments(field.bytes).map(|w| text::quote(w, false).into_string()).collect();
        if payload::is_cut(field) {
            words.push("...".to_owned());
        }
        own(format!("[{}]", words.join(", ")))
    }

    fn descriptors(&self, address: u64) -> Safe {
        let Some(bytes) = self.event.bytes(FieldTag::FDS) else { return pointer(address) };
        let fds: Vec<String> = descriptors(bytes).map(|fd| fd.to_string()).collect();
        own(format!("[{}]", fds.join(", ")))
    }

    fn open_how(&self, address: u64) -> Safe {
        let words: Vec<u64> = self.data_words();
        let (Some(flags), Some(mode)) = (words.first(), words.get(1)) else { return pointer(address) };
        let resolve = symbols::RESOLVE.flags(words.get(2).copied().unwrap_or(0));
        own(format!(
            "{{flags={}, mode={}, resolve={resolve}}}",
            symbols::OPEN.flags(*flags),
            symbols::mode(*mode)
        ))
    }

    fn fcntl_argument(&self, value: u64) -> Safe {
        let command = self.register("cmd").and_then(|c| symbols::FCNTL.name_of(c)).unwrap_or("");
        own(match command {
            "F_DUPFD" | "F_DUPFD_CLOEXEC" | "F_SETPIPE_SZ" | "F_SETOWN" => (value as i32).to_string(),
            "F_SETFD" => symbols::FD_FLAGS.flags(value),
            "F_SETFL" => symbols::OPEN.flags(value),
            "F_ADD_SEALS" => symbols::SEALS.flags(value),
            "F_SETSIG" => symbols::signal_or_number(value),
            _ => symbols::hex(value),
        })
    }

    fn prctl_argument(&self, value: u64) -> Safe {
        let option = self.register("option").and_then(|o| symbols::PRCTL.name_of(o)).unwrap_or("");
        own(match option {
            "PR_SET_NAME" => return self.string(FieldTag::DATA, value),
            "PR_SET_PDEATHSIG" => symbols::signal_or_number(value),
            "PR_CAPBSET_DROP" | "PR_CAPBSET_READ" => symbols::CAPABILITY.symbol(value),
            "PR_SET_SECCOMP" => symbols::SECCOMP_MODE.symbol(value),
            "PR_SET_DUMPABLE" | "PR_SET_KEEPCAPS" | "PR_SET_NO_NEW_PRIVS" | "PR_SET_CHILD_SUBREAPER" => {
                value.to_string()
            }
            _ => symbols::hex(value),
        })
    }

    /// Structures that are recorded as `DATA` and have words worth showing.
    fn structure(&self, argument: &str) -> Option<Safe> {
        let data = self.event.field(FieldTag::DATA)?;
        match (self.name, argument) {
            ("mount", "filesystemtype") => Some(quoted(data)),
            ("bpf", "attr") => {
                let first = u32::from_le_bytes(*data.bytes.first_chunk()?);
                let name = match symbols::BPF.name_of(self.register("cmd")?)? {
                    "BPF_MAP_GET_FD_BY_ID" | "BPF_PROG_GET_FD_BY_ID" | "BPF_LINK_GET_FD_BY_ID" => "id",
                    "BPF_MAP_UPDATE_ELEM" | "BPF_MAP_DELETE_ELEM" | "BPF_MAP_FREEZE" => "map_fd",
                    "BPF_LINK_UPDATE" | "BPF_LINK_DETACH" => "link_fd",
                    _ => return None,
                };
                Some(own(format!("{{{name}={first}}}")))
            }
            ("clone3", "cl_args") => {
                let words = self.data_words();
                let signal = words.get(4).copied().unwrap_or(0);
                let flags = symbols::CLONE.flags(*words.first()?);
                Some(own(format!("{{flags={flags}, exit_signal={}}}", symbols::signal_or_number(signal))))
            }
            // The structure of an i386 `setrlimit` has words of half the size.
            ("prlimit64", "new_limit") | ("setrlimit", "rlim")
                if self.name == "prlimit64"
                    || matches!(self.event.code.as_syscall(), Some((Abi::X86_64, _))) =>
            {
                let words = self.data_words();
                let limit = |word: &u64| {
                    if *word == u64::MAX { "RLIM64_INFINITY".to_owned() } else { word.to_string() }
                };
                Some(own(format!(
                    "{{rlim_cur={}, rlim_max={}}}",
                    limit(words.first()?),
                    limit(words.get(1)?)
                )))
            }
            ("setsockopt", "optval") => match data.bytes.first_chunk::<4>() {
                Some(int) if data.bytes.len() == 4 => Some(own(format!("[{}]", i32::from_le_bytes(*int)))),
                _ => Some(quoted(data)),
            },
            _ => None,
        }
    }

    fn data_words(&self) -> Vec<u64> {
        let bytes = self.event.bytes(FieldTag::DATA).unwrap_or_default();
        bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect()
    }
}

/// The descriptors in a field `FDS`.
pub(crate) fn descriptors(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.as_chunks::<4>().0.iter().map(|fd| i32::from_le_bytes(*fd))
}

/// A number by its kind alone.
fn number(kind: ArgKind, value: u64, narrow: bool) -> String {
    match kind {
        ArgKind::Int | ArgKind::Fd | ArgKind::Pid => (value as i32).to_string(),
        ArgKind::Uid | ArgKind::Gid => match value as u32 {
            u32::MAX => "-1".to_owned(),
            id => id.to_string(),
        },
        ArgKind::Dirfd => match value as i32 {
            AT_FDCWD => "AT_FDCWD".to_owned(),
            fd => fd.to_string(),
        },
        ArgKind::Uint => (value as u32).to_string(),
        ArgKind::Long | ArgKind::Offset if narrow => (value as i32).to_string(),
        ArgKind::Long | ArgKind::Offset => (value as i64).to_string(),
        ArgKind::Size | ArgKind::Ulong => value.to_string(),
        ArgKind::Mode => symbols::mode(value),
        ArgKind::FileMode => symbols::file_mode(value),
        ArgKind::Device => symbols::device(value),
        ArgKind::Key => symbols::hex(value & 0xffff_ffff),
        ArgKind::Signal => symbols::signal_or_number(value),
        ArgKind::CloneFlags => symbols::clone_flags(value),
        ArgKind::MmapFlags => symbols::mmap_flags(value),
        ArgKind::Ioctl => symbols::ioctl(value),
        ArgKind::FutexOp => symbols::futex_op(value),
        ArgKind::SchedPolicy => symbols::sched_policy(value),
        ArgKind::SocketType => symbols::socket_type(value),
        ArgKind::Flags(set) => set.flags(value),
        ArgKind::Symbol(set) => set.symbol(value),
        ArgKind::ReadBuffer | ArgKind::ReadVector | ArgKind::ReadMessage => pointer(value).into_string(),
        _ => symbols::hex(value),
    }
}

fn pointer(value: u64) -> Safe {
    if value == 0 { Safe::literal("NULL") } else { Safe::format(format_args!("{value:#x}")) }
}

fn quoted(field: &Field<'_>) -> Safe {
    payload::field(field, SHOWN)
}

/// Text made of own words and of values that are safe already.
fn own(text: String) -> Safe {
    Safe::format(format_args!("{text}"))
}
