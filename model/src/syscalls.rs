//! Every system call of x86-64, i386 and x32: name, arguments and what each argument is.
//!
//! The table is generated (`cargo xtask syscalls`) from `model/data`. A number without an entry is a value, not an
//! error: it is shown as `syscall_999`.

mod results;
#[rustfmt::skip]
mod table;

use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

use afterimage_format::{Abi, EventCode};

pub use results::{is_no_result, is_own_number};

use crate::symbols::SymbolSet;

/// The code of calls whose number fits no table: the number is the last of the event's numbers.
pub const NO_SUCH_CALL: EventCode = EventCode(0x0fff);
/// The number of what has none: -1, of the width that numbers of calls have.
pub const NO_NUMBER: u64 = u32::MAX as u64;

/// A system call's name and arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name in the kernel's headers.
    pub name: &'static str,
    /// Its arguments in order of their registers.
    pub args: &'static [ArgSpec],
}

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub struct ArgSpec {
    /// Its name as the manual page has it.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
}

/// What an argument is: how to read the register, and which field holds the memory it points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// Signed 32-bit number.
    Int,
    /// Unsigned 32-bit number.
    Uint,
    /// Signed number of the ABI's width.
    Long,
    /// Unsigned number of the ABI's width.
    Ulong,
    /// A length in bytes or a count.
    Size,
    /// A position in a file, signed.
    Offset,
    /// Bits without names, in hexadecimal.
    Hex,
    /// Permission bits.
    Mode,
    /// File type and permission bits.
    FileMode,
    /// A device number.
    Device,
    /// An address; what it points to is not recorded.
    Pointer,
    /// A System V key.
    Key,
    /// A file descriptor.
    Fd,
    /// A directory's descriptor, or `AT_FDCWD`.
    Dirfd,
    /// A process, thread, group or session id.
    Pid,
    /// A user id; -1 for none.
    Uid,
    /// A group id; -1 for none.
    Gid,
    /// A signal number.
    Signal,
    /// A string recorded as `PATH`: a path, or the name that the call is about.
    Path,
    /// A string recorded as `PATH2`.
    Path2,
    /// A buffer that the call reads from; its bytes are `PAYLOAD`.
    WriteBuffer,
    /// A buffer that the call fills; its bytes are `PAYLOAD`.
    ReadBuffer,
    /// An iovec array that the call reads from.
    WriteVector,
    /// An iovec array that the call fills.
    ReadVector,
    /// A `struct msghdr` (or an array of them) that is sent.
    WriteMessage,
    /// A `struct msghdr` (or an array of them) that is received.
    ReadMessage,
    /// A socket address given: `SOCKADDR`.
    Sockaddr,
    /// A socket address returned: `SOCKADDR` where recorded.
    SockaddrOut,
    /// Arguments of a program: `ARGV`.
    Argv,
    /// Environment of a program: `ENVP`.
    Envp,
    /// Two new descriptors returned: `FDS`.
    FdPair,
    /// `struct open_how`: `DATA`.
    OpenHow,
    /// Flags of `clone` with the end signal.
    CloneFlags,
    /// Flags of `mmap` with the size of huge pages.
    MmapFlags,
    /// An `ioctl` request.
    Ioctl,
    /// A futex operation with its flags.
    FutexOp,
    /// A scheduling policy with its flag.
    SchedPolicy,
    /// Third argument of `fcntl`: depends on the command.
    FcntlArg,
    /// Second argument of `prctl`: depends on the option.
    PrctlArg,
    /// A socket's type with its flags.
    SocketType,
    /// A socket's protocol: depends on the family.
    SocketProtocol,
    /// A socket option: depends on the level.
    Sockopt,
    /// A combination of named bits.
    Flags(&'static SymbolSet),
    /// One of several named values.
    Symbol(&'static SymbolSet),
}

/// The signature of a system call; `None` for other events and for numbers that no table has. Asked for each event that is
/// recorded.
pub fn signature(code: EventCode) -> Option<&'static Signature> {
    /// Codes of system calls, of all ABIs.
    const CODES: usize = 3 * 0x1000;
    static BY_CODE: OnceLock<Vec<Option<&'static Signature>>> = OnceLock::new();
    let by_code = BY_CODE.get_or_init(|| {
        let mut by_code = vec![None; CODES];
        for (code, signature) in all() {
            if let Some(slot) = by_code.get_mut(usize::from(code.0)) {
                *slot = Some(signature);
            }
        }
        by_code
    });
    by_code.get(usize::from(code.0)).copied().flatten()
}

/// The name of a system call: `openat`, `open(i386)`, `syscall_999`; of other events as [`crate::event_name`].
pub fn name(code: EventCode) -> Cow<'static, str> {
    let Some((abi, nr)) = code.as_syscall() else { return crate::event_name(code) };
    match (signature(code), abi) {
        (Some(s), Abi::X86_64) => Cow::Borrowed(s.name),
        (Some(s), Abi::I386) => Cow::Owned(format!("{}(i386)", s.name)),
        (Some(s), Abi::X32) => Cow::Owned(format!("{}(x32)", s.name)),
        (None, Abi::X86_64) => Cow::Owned(format!("syscall_{nr}")),
        (None, Abi::I386) => Cow::Owned(format!("syscall_{nr}(i386)")),
        (None, Abi::X32) => Cow::Owned(format!("syscall_{nr}(x32)")),
    }
}

/// The name of a system call without its ABI: what filters compare with. Empty for other events and for numbers
/// that no table has.
pub fn base_name(code: EventCode) -> &'static str {
    signature(code).map_or("", |s| s.name)
}

/// How many arguments a call has; six where the number is not known, so that nothing is left out.
pub fn arg_count(code: EventCode) -> usize {
    match (signature(code), code.as_syscall()) {
        (Some(s), _) => s.args.len(),
        (None, Some(_)) => 6,
        (None, None) => 0,
    }
}

/// The code of a system call by name as [`name`] writes it; without an ABI, x86-64's.
pub fn by_name(name: &str) -> Option<EventCode> {
    let (base, abi) = match name.strip_suffix(')').and_then(|n| n.split_once('(')) {
        Some((base, "i386")) => (base, Abi::I386),
        Some((base, "x32")) => (base, Abi::X32),
        Some(_) => return None,
        None => (name, Abi::X86_64),
    };
    if let Some(nr) = base.strip_prefix("syscall_") {
        return EventCode::syscall(abi, nr.parse().ok()?);
    }
    codes_by_name(base).iter().copied().find(|code| code.as_syscall().is_some_and(|(a, _)| a == abi))
}

/// The codes of a name without ABI, on every ABI that has it.
pub fn codes_by_name(base: &str) -> &'static [EventCode] {
    static INDEX: OnceLock<HashMap<&'static str, Vec<EventCode>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for (code, signature) in all() {
            index.entry(signature.name).or_default().push(code);
        }
        index
    });
    index.get(base).map_or(&[], Vec::as_slice)
}

/// Every call of every table, by ABI and number.
pub fn all() -> impl Iterator<Item = (EventCode, &'static Signature)> {
    let rows = |abi, table: &'static [(u16, u16)]| {
        table.iter().filter_map(move |(nr, at)| {
            Some((EventCode::syscall(abi, (*nr).into())?, table::SIGNATURES.get(usize::from(*at))?))
        })
    };
    rows(Abi::X86_64, table::X86_64).chain(rows(Abi::I386, table::I386)).chain(rows(Abi::X32, table::X32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(abi: Abi, nr: u32) -> EventCode {
        EventCode::syscall(abi, nr).unwrap()
    }

    #[test]
    fn the_same_number_means_another_call_on_another_abi() {
        assert_eq!(name(code(Abi::X86_64, 5)), "fstat");
        assert_eq!(name(code(Abi::I386, 5)), "open(i386)");
        assert_eq!(name(code(Abi::X86_64, 257)), "openat");
        assert_eq!(name(code(Abi::X32, 512)), "rt_sigaction(x32)");
        assert_eq!(name(code(Abi::X32, 0)), "read(x32)");
        assert_eq!(name(code(Abi::X86_64, 999)), "syscall_999");
        assert_eq!(name(code(Abi::I386, 999)), "syscall_999(i386)");
        assert_eq!(name(EventCode::EXEC), "exec");
    }

    #[test]
    fn tables_are_in_order_and_every_name_finds_its_code_again() {
        let mut last = None;
        for (code, signature) in all() {
            assert!(last < Some(code), "`{}` is out of order", signature.name);
            last = Some(code);
            assert_eq!(super::signature(code), Some(signature));
            assert_eq!(by_name(&name(code)), Some(code), "{}", name(code));
            assert!(codes_by_name(signature.name).contains(&code));
        }
        assert_eq!(by_name("syscall_999"), Some(code(Abi::X86_64, 999)));
        assert_eq!(by_name("nothing_like_it"), None);
        assert_eq!(by_name("open(arm)"), None);
    }

    #[test]
    fn counts_equal_those_of_the_kernel_where_it_has_them() {
        for (name, count) in [
            ("openat", 4),
            ("read", 3),
            ("clone", 5),
            ("fork", 0),
            ("mmap", 6),
            ("statx", 5),
            ("socketpair", 4),
        ] {
            assert_eq!(arg_count(by_name(name).unwrap()), count, "{name}");
        }
        assert_eq!(arg_count(by_name("mmap(i386)").unwrap()), 1);
        assert_eq!(arg_count(code(Abi::X86_64, 999)), 6);
        assert_eq!(arg_count(EventCode::EXEC), 0);
    }

    #[test]
    fn at_most_one_path_of_each_kind() {
        for (_, s) in all() {
            for kind in [ArgKind::Path, ArgKind::Path2] {
                assert!(s.args.iter().filter(|a| a.kind == kind).count() <= 1, "{}", s.name);
            }
        }
    }
}
