//! One line that says what an event was about: the DETAIL column.

use afterimage_format::{Event, EventCode, EventFlags, FieldTag, layout};

use super::{FdNames, args, command, is_used, path, payload, tasks};
use crate::{
    artifacts,
    names::event_name,
    peer,
    sockaddr::SocketAddress,
    streams::counts_messages,
    symbols, syscalls,
    text::{self, Safe},
};

/// Bytes of payload that are shown in a line.
const SHOWN: usize = 48;
/// `O_ACCMODE`, and the flags that every program sets and nobody looks for.
const DULL_OPEN_FLAGS: u64 = 0o100_000 | 0o2_000_000 | 0o400;

/// The event in one line, without its name and result. `fds` tells what descriptors are.
pub fn detail(event: &Event<'_>, fds: Option<&dyn FdNames>) -> Safe {
    let line = Line { event, fds };
    let text = match event.code {
        EventCode::EXEC | EventCode::PROCESS => command::command_line(event).into_string(),
        EventCode::FORK => line.fork(),
        EventCode::EXIT => line.exit(),
        EventCode::CGROUP_MKDIR | EventCode::CGROUP_RMDIR | EventCode::CGROUP_ATTACH => {
            line.field(FieldTag::CGROUP)
        }
        EventCode::OPEN_FD => line.open_fd(),
        EventCode::URING_SUBMIT | EventCode::URING_COMPLETE => line.uring(),
        EventCode::IN_CALL => line.in_call(),
        EventCode::ARTIFACT => line.artifact(),
        _ if event.flags.contains(EventFlags::SIGRETURN) => String::new(),
        syscalls::NO_SUCH_CALL if event.args == [syscalls::NO_NUMBER] => {
            "without a number: skipped by a tracer, or a return from a signal handler".to_owned()
        }
        _ => line.call_and_task(),
    };
    Safe::format(format_args!("{text}{}", line.root()))
}

struct Line<'a> {
    event: &'a Event<'a>,
    fds: Option<&'a dyn FdNames>,
}

impl Line<'_> {
    fn field(&self, tag: FieldTag) -> String {
        self.event.bytes(tag).map_or(String::new(), |b| text::escape(b).into_string())
    }

    /// A mark where the paths are those of another root than the container's.
    fn root(&self) -> String {
        // These tell the root themselves.
        if matches!(syscalls::base_name(self.event.code), "chroot" | "pivot_root") {
            return String::new();
        }
        let has_path = [FieldTag::PATH, FieldTag::PATH2, FieldTag::KPATH].iter();
        let has_path = has_path.copied().any(|tag| self.event.field(tag).is_some());
        let root = self.fds.filter(|_| has_path).and_then(|names| names.root(self.event.task));
        root.map_or(String::new(), |root| format!(" (root {root})"))
    }

    fn fork(&self) -> String {
        let event = self.event;
        let is_thread = event.number(layout::fork::CHILD_TGID) == Some(event.task.tgid.into());
        let new = event.number(layout::fork::NEW_NS).filter(|&bits| bits != 0);
        let namespaces = new.map_or(String::new(), |bits| format!(" {}", symbols::CLONE.flags(bits)));
        let what = if is_thread { "thread " } else { "" };
        format!("-> {what}{}{namespaces}", event.ret)
    }

    fn exit(&self) -> String {
        let raw = self.event.number(layout::exit::RAW).unwrap_or(0);
        let core = if raw & 0x80 != 0 { ", core dumped" } else { "" };
        let whole = self.event.number(layout::exit::GROUP_DEAD) != Some(0);
        let who = if whole { "" } else { "thread " };
        if self.event.ret < 0 {
            let signal = symbols::signal_or_number(self.event.ret.unsigned_abs());
            return format!("{who}killed by {signal}{core}");
        }
        format!("{who}exited")
    }

    /// A request's operation and what it is about.
    fn uring(&self) -> String {
        let operation = self.event.number(layout::uring::OPCODE);
        let mut line = operation.map_or("?".to_owned(), |op| symbols::URING_OP.symbol(op));
        let fd = self.event.number(layout::uring::FD).map(|fd| fd as i32).filter(|&fd| fd >= 0);
        // Of a socket that is to be made it is the family.
        let is_fd = operation.and_then(|op| symbols::URING_OP.name_of(op)) != Some("IORING_OP_SOCKET");
        if let Some(fd) = fd.filter(|_| is_fd) {
            line.push(' ');
            line += &self.fd_label(fd);
        }
        for tag in [FieldTag::PATH, FieldTag::PATH2, FieldTag::KPATH] {
            if self.event.field(tag).is_some() {
                line.push(' ');
                line += &self.field(tag);
            }
        }
        line
    }

    /// The call that has not returned, as it would be shown if it had.
    fn in_call(&self) -> String {
        let Some((&code, args)) = self.event.args.split_first() else { return String::new() };
        let code = EventCode(u16::try_from(code).unwrap_or(u16::MAX));
        let call = Event { code, args, ..*self.event };
        let line = Line { event: &call, fds: self.fds }.generic();
        let space = if line.is_empty() { "" } else { " " };
        format!("still in {}{space}{line}", event_name(code))
    }

    fn artifact(&self) -> String {
        let number = |at| self.event.number(at).unwrap_or(0);
        let hash = self.event.bytes(FieldTag::HASH).map(artifacts::hex);
        let hash = hash.map_or(String::new(), |hash| format!(" sha256:{hash}"));
        let (size, outcome) = (number(layout::artifact::SIZE), number(layout::artifact::OUTCOME));
        let outcome = artifacts::outcome(outcome);
        format!("{}{hash} {size} bytes, {outcome}{}", self.field(FieldTag::KPATH), self.piece(size))
    }

    /// Which piece of an image an event has, where that is kept in several: each is an event, and there is one image.
    fn piece(&self, size: u64) -> String {
        let from = self.event.number(layout::artifact::OFFSET).unwrap_or(0);
        let length = self.event.field(FieldTag::CONTENT).map_or(0, |content| u64::from(content.full_len));
        let to = from.saturating_add(length);
        if length == 0 || from == 0 && to >= size {
            return String::new();
        }
        format!(": piece {from} to {to}")
    }

    fn open_fd(&self) -> String {
        let fd = self.event.number(layout::open_fd::FD).map_or("?".to_owned(), |fd| (fd as i32).to_string());
        format!("{fd} -> {}", self.field(FieldTag::TARGET))
    }

    fn call(&self) -> String {
        let name = syscalls::base_name(self.event.code);
        match name {
            "open" | "openat" | "openat2" | "creat" => self.open(name),
            "execve" | "execveat" => self.failed_exec(),
            "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "preadv" | "pwritev"
            | "preadv2" | "pwritev2" | "send" | "recv" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg"
            | "sendmmsg" | "recvmmsg" | "recvmmsg_time64" => self.transfer(),
            "connect" | "bind" => self.address(),
            "accept" | "accept4" => self.accepted(),
            "socket" | "socketpair" => self.socket(),
            "pipe" | "pipe2" => self.new_fds(),
            "dup" => format!("{} -> {}", self.fd(0), self.event.ret),
            "dup2" | "dup3" => format!("{} -> {}", self.fd(0), self.number(1) as i32),
            "fork" | "vfork" | "clone" | "clone3" => self.cloned(name),
            "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink" | "symlinkat"
            | "pivot_root" | "mount" | "move_mount" => self.two_paths(name),
            "mmap" | "mmap2" | "mprotect" | "pkey_mprotect" => self.mapping(name),
            "kill" | "tkill" | "tgkill" | "pidfd_send_signal" => self.signal(),
            _ => self.generic(),
        }
    }

    fn number(&self, at: usize) -> u64 {
        self.event.args.get(at).copied().unwrap_or(0)
    }

    /// The descriptor in an argument, with what it is.
    fn fd(&self, at: usize) -> String {
        self.fd_label(self.number(at) as i32)
    }

    fn fd_label(&self, fd: i32) -> String {
        match self.fds.and_then(|fds| fds.fd_name(self.event.task, fd)) {
            Some(name) => format!("{fd}:{name}"),
            None => fd.to_string(),
        }
    }

    fn path(&self) -> String {
        path(self.event).map_or(String::new(), Safe::into_string)
    }

    fn open(&self, name: &str) -> String {
        let flags = match name {
            "open" => self.number(1),
            "openat" => self.number(2),
            "creat" => 0o1101,
            _ => crate::class::open_how_flags(self.event).unwrap_or(0),
        };
        let telling = flags & !DULL_OPEN_FLAGS & 0xffff_ffff;
        let path = self.path();
        if telling == 0 {
            path
        } else {
            format!("{path} {}", symbols::OPEN.flags(telling).replace("O_RDONLY|", ""))
        }
    }

    fn failed_exec(&self) -> String {
        let argv = self.event.bytes(FieldTag::ARGV).unwrap_or_default();
        let words = command::arguments(argv).skip(1);
        let rest = command::quote_words(words);
        format!("{} {rest}", self.path()).trim_end().to_owned()
    }

    fn transfer(&self) -> String {
        let mut out = self.fd(0);
        if let Some(address) = self.event.bytes(FieldTag::SOCKADDR).and_then(SocketAddress::parse) {
            out.push_str(&format!(" {address}"));
        }
        if let Some(bytes) = payload::joined(self.event, SHOWN) {
            out.push_str(&format!(" {bytes}"));
        }
        out.push_str(&self.further());
        out
    }

    /// How many messages one call moved besides the first, and to or from where, as far as that is known.
    fn further(&self) -> String {
        let more = self.event.ret.saturating_sub(1);
        if more <= 0 || !counts_messages(syscalls::base_name(self.event.code)) {
            return String::new();
        }
        let addresses: Vec<String> =
            SocketAddress::of_further_messages(self.event).map(|address| address.to_string()).collect();
        match addresses.as_slice() {
            [] => format!(" +{more} more"),
            known => format!(" +{more} more: {}", known.join(", ")),
        }
    }

    /// The kernel's own idea of the peer before the claimed one.
    fn address(&self) -> String {
        let decode = |tag| self.event.bytes(tag).and_then(SocketAddress::parse);
        let claimed = decode(FieldTag::SOCKADDR);
        let is_bind = syscalls::base_name(self.event.code) == "bind";
        let real = if is_bind {
            decode(FieldTag::LOCAL).filter(SocketAddress::is_named)
        } else {
            peer::of_event(self.event).map(|peer| peer.address)
        };
        match (real, claimed) {
            (Some(real), Some(claimed)) if self.event.flags.contains(EventFlags::DIFFERS) => {
                format!("{} {real} (claimed {claimed})", self.number(0) as i32)
            }
            (Some(address), _) | (None, Some(address)) => format!("{} {address}", self.number(0) as i32),
            (None, None) => self.fd(0),
        }
    }

    fn accepted(&self) -> String {
        let decode = |tag| self.event.bytes(tag).and_then(SocketAddress::parse);
        let peer =
            decode(FieldTag::PEER).filter(SocketAddress::is_named).or_else(|| decode(FieldTag::SOCKADDR));
        match peer {
            Some(peer) => format!("{} <- {peer}", self.number(0) as i32),
            None => self.fd(0),
        }
    }

    fn socket(&self) -> String {
        let family = symbols::FAMILY.symbol(self.number(0));
        let out = format!("{family} {}", symbols::socket_type(self.number(1)));
        match self.new_fds() {
            fds if fds.is_empty() => out,
            fds => format!("{out} {fds}"),
        }
    }

    fn new_fds(&self) -> String {
        let Some(bytes) = self.event.bytes(FieldTag::FDS) else { return String::new() };
        let fds: Vec<String> = args::descriptors(bytes).map(|fd| fd.to_string()).collect();
        format!("-> {}", fds.join(","))
    }

    fn cloned(&self, name: &str) -> String {
        let flags = match name {
            "clone" => self.number(0) & !0xff,
            "clone3" => crate::class::open_how_flags(self.event).unwrap_or(0),
            _ => 0,
        };
        /// Namespaces and what else tells a container's set-up from a plain fork or thread.
        const TELLING: u64 = 0x7e02_0080 | 0x0001_0000 | 0x2_0000_0000;
        let telling = flags & TELLING;
        let words = if telling == 0 { String::new() } else { format!(" {}", symbols::CLONE.flags(telling)) };
        let child = tasks::result(self.event).and_then(|child| self.task_label(child));
        let child = child.map_or(String::new(), |child| format!(":{child}"));
        format!("-> {}{child}{words}", self.event.ret)
    }

    /// What a number for a task is on the host; `None` where the number is the host's own, or nobody knows.
    fn task_label(&self, number: tasks::Number) -> Option<String> {
        tasks::label(number.kind, &tasks::named(self.event, number, self.fds?)?)
    }

    /// An argument with the task that its number is.
    fn with_task(&self, at: usize, value: &Safe) -> String {
        match tasks::argument(self.event, at).and_then(|number| self.task_label(number)) {
            Some(label) => format!("{value}:{label}"),
            None => value.as_str().to_owned(),
        }
    }

    /// A call, with the task that it returned where that is not what the number alone says.
    fn call_and_task(&self) -> String {
        let call = self.call();
        if matches!(syscalls::base_name(self.event.code), "fork" | "vfork" | "clone" | "clone3") {
            return call;
        }
        let returned = tasks::result(self.event);
        match returned.and_then(|number| Some((number.number, self.task_label(number)?))) {
            Some((number, label)) => format!("{call} -> {number}:{label}").trim_start().to_owned(),
            None => call,
        }
    }

    fn two_paths(&self, name: &str) -> String {
        let second =
            self.event.bytes(FieldTag::PATH2).map_or(String::new(), |b| text::escape(b).into_string());
        let mut out = format!("{} -> {second}", self.path());
        if name == "mount" {
            if let Some(kind) = self.event.bytes(FieldTag::DATA).filter(|k| !k.is_empty()) {
                out.push_str(&format!(" {}", text::escape(kind)));
            }
            let flags = self.number(3);
            if flags != 0 {
                out.push_str(&format!(" {}", symbols::MOUNT.flags(flags)));
            }
        }
        out
    }

    fn mapping(&self, name: &str) -> String {
        let prot: Vec<&str> = [(1, "READ"), (2, "WRITE"), (4, "EXEC")]
            .into_iter()
            .filter(|(bit, _)| self.number(2) & bit != 0)
            .map(|(_, word)| word)
            .collect();
        let prot = if prot.is_empty() { "NONE".to_owned() } else { prot.join("|") };
        let size = self.number(1);
        let fd = self.number(4) as i32;
        let is_file = name.starts_with("mmap") && fd >= 0 && self.event.args.len() > 4;
        match self.event.bytes(FieldTag::KPATH) {
            Some(real) => format!("{prot} {} {size} B", text::escape(real)),
            None if is_file => format!("{prot} {} {size} B", self.fd_label(fd)),
            None => format!("{prot} {size} B"),
        }
    }

    fn signal(&self) -> String {
        let args = args(self.event);
        let plain = args
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| matches!(name.as_str(), "tgid" | "pid" | "tid" | "pidfd" | "sig"));
        plain.map(|(at, (_, value))| self.with_task(at, value)).collect::<Vec<_>>().join(" ")
    }

    /// Paths first, then every argument that is more than an address.
    fn generic(&self) -> String {
        let Some(signature) = syscalls::signature(self.event.code) else { return self.all_args() };
        let mut words = Vec::new();
        let path = self.path();
        let shown = args(self.event);
        let used = signature.args.iter().enumerate().filter(|(at, _)| is_used(self.event, *at));
        for ((at, spec), (name, value)) in used.zip(&shown) {
            use syscalls::ArgKind as K;
            match spec.kind {
                K::Path if !path.is_empty() => words.push(path.clone()),
                K::Path2 => {
                    words.extend(self.event.bytes(FieldTag::PATH2).map(|b| text::escape(b).into_string()))
                }
                K::Fd => words.push(self.fd_label(value.as_str().parse().unwrap_or(-1))),
                K::Dirfd if value.as_str() != "AT_FDCWD" && !self.has_absolute_path() => {
                    words.push(self.fd_label(value.as_str().parse().unwrap_or(-1)));
                }
                K::Dirfd | K::Pointer | K::Size if !name.contains("len") || spec.kind == K::Dirfd => {}
                K::Flags(_) if value.as_str() == "0" => {}
                K::Argv | K::Envp | K::ReadVector | K::WriteVector => {}
                _ => words.push(self.with_task(at, value)),
            }
        }
        words.join(" ")
    }

    fn has_absolute_path(&self) -> bool {
        let claimed = self.event.bytes(FieldTag::KPATH).or_else(|| self.event.bytes(FieldTag::PATH));
        claimed.is_some_and(|p| p.starts_with(b"/"))
    }

    fn all_args(&self) -> String {
        args(self.event).iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    }
}
