//! What an event did: by its call, its flags, and what its descriptor is open on.

use std::borrow::Cow;

use afterimage_format::{Event, EventCode, FieldTag, layout};
use afterimage_model::{
    World, event_name,
    fds::{FdInfo, FdKind},
    symbols, syscalls,
    text::Safe,
};

use crate::output::facts::Act;

/// `O_CREAT | O_EXCL`: what was opened is new.
const OPENS_NEW: u64 = 0o100 | 0o200;
/// `O_TRUNC`.
const TRUNCATES: u64 = 0o1000;
/// `PROT_EXEC`.
const EXECUTABLE: u64 = 4;

/// What an event did, and the call that it is or stands for.
pub(super) fn of(world: &World, event: &Event<'_>) -> (Act, EventCode) {
    let code = stands_for(event);
    let act = match event.code {
        EventCode::FORK if event.number(layout::fork::CHILD_TGID) == Some(event.task.tgid.into()) => {
            Act::Thread
        }
        EventCode::FORK => Act::Fork,
        EventCode::EXEC => Act::Exec,
        EventCode::EXIT if event.number(layout::exit::GROUP_DEAD) == Some(0) => Act::Thread,
        EventCode::EXIT => Act::Exit,
        EventCode::PROCESS => Act::Process,
        EventCode::OPEN_FD => Act::OpenFile,
        EventCode::ARTIFACT => Act::Artifact,
        EventCode::CGROUP_MKDIR => Act::MakeCgroup,
        EventCode::CGROUP_RMDIR => Act::RemoveCgroup,
        EventCode::IN_CALL => Act::Call,
        _ if code.as_syscall().is_none() => Act::Kernel,
        _ => of_call(world, event, code),
    };
    (act, code)
}

/// The call that a request of a ring stands for; else the event's own code.
fn stands_for(event: &Event<'_>) -> EventCode {
    if !matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
        return event.code;
    }
    operation(event).and_then(|name| syscalls::by_name(call_of(&name))).unwrap_or(event.code)
}

/// The name of a ring's operation: `openat`.
fn operation(event: &Event<'_>) -> Option<String> {
    let operation = symbols::URING_OP.name_of(event.number(layout::uring::OPCODE)?)?;
    Some(operation.strip_prefix("IORING_OP_")?.to_ascii_lowercase())
}

/// The call of an operation whose name is not the call's.
fn call_of(operation: &str) -> &str {
    match operation {
        "send" | "send_zc" => "sendto",
        "sendmsg_zc" => "sendmsg",
        "recv" => "recvfrom",
        "read_fixed" => "read",
        "write_fixed" => "write",
        same => same,
    }
}

/// The event's name; of a ring's request that of its operation.
pub(super) fn name(event: &Event<'_>) -> Safe {
    let name = match operation(event).filter(|_| event.code.as_syscall().is_none()) {
        Some(operation) if stands_for(event) != event.code => Cow::Owned(operation),
        _ => event_name(event.code),
    };
    Safe::format(format_args!("{name}"))
}

fn of_call(world: &World, event: &Event<'_>, code: EventCode) -> Act {
    let name = syscalls::base_name(code);
    let arg = |at: usize| event.args.get(at).copied().unwrap_or(0);
    // A request's numbers are not the call's registers.
    let is_call = event.code == code;
    match Act::of_call(name) {
        Act::Open => match open_flags(event, name).filter(|_| is_call) {
            Some(flags) if flags & OPENS_NEW == OPENS_NEW => Act::Create,
            Some(flags) if flags & TRUNCATES != 0 => Act::Write,
            _ => Act::Open,
        },
        Act::Allocate | Act::Map if !is_call => Act::Call,
        Act::Map if event.field(FieldTag::KPATH).is_some() => Act::Map,
        Act::Map if arg(3) & 0x20 == 0 && arg(4) as i32 >= 0 && event.args.len() > 4 => Act::Map,
        Act::Map => Act::Allocate,
        Act::Protect if arg(2) & EXECUTABLE != 0 => Act::MakeExecutable,
        act @ (Act::Read | Act::Write) if !has_path(code) => {
            match descriptor(world, event, code).map(|(_, info)| &info.kind) {
                Some(FdKind::Socket(_)) => Act::Traffic,
                Some(FdKind::File { .. } | FdKind::Memfd { .. }) => act,
                // These are calls of sockets, whatever is known of the descriptor.
                _ if name.starts_with("send") && !name.starts_with("sendfile") => Act::Traffic,
                _ if name.starts_with("recv") => Act::Traffic,
                _ => Act::Call,
            }
        }
        act => act,
    }
}

fn has_path(code: EventCode) -> bool {
    syscalls::signature(code)
        .is_some_and(|signature| signature.args.iter().any(|arg| arg.kind == syscalls::ArgKind::Path))
}

fn open_flags(event: &Event<'_>, name: &str) -> Option<u64> {
    match name {
        "open" => event.args.get(1).copied(),
        "openat" | "open_by_handle_at" => event.args.get(2).copied(),
        _ => event.bytes(FieldTag::DATA)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)),
    }
}

/// The descriptor that a call is about, and what it is open on: of copies where the bytes go.
pub(super) fn descriptor<'w>(
    world: &'w World,
    event: &Event<'_>,
    code: EventCode,
) -> Option<(i32, &'w FdInfo)> {
    let fd = if event.code == code {
        let signature = syscalls::signature(code)?;
        let of_copy = matches!(signature.name, "splice" | "copy_file_range").then_some(2);
        let first = || {
            signature
                .args
                .iter()
                .position(|arg| matches!(arg.kind, syscalls::ArgKind::Fd))
                .filter(|at| *at == 0)
        };
        event.args.get(of_copy.or_else(first)?).map(|&fd| fd as i32)
    } else {
        event.number(layout::uring::FD).map(|fd| fd as i32)
    };
    let fd = fd.filter(|&fd| fd >= 0)?;
    Some((fd, world.fd(event.task, fd)?))
}

/// The path of the file that an event is about.
pub(super) fn file(world: &World, event: &Event<'_>, act: Act, code: EventCode) -> Option<Vec<u8>> {
    match act {
        Act::Exec if event.code == EventCode::EXEC => return None,
        Act::OpenFile => {
            return event.bytes(FieldTag::TARGET).filter(|path| path.starts_with(b"/")).map(<[u8]>::to_vec);
        }
        Act::MakeCgroup | Act::RemoveCgroup => return event.bytes(FieldTag::CGROUP).map(<[u8]>::to_vec),
        Act::Process | Act::Exit | Act::Fork | Act::Thread => return None,
        _ => {}
    }
    if let Some(path) = world.path_of(event).filter(|path| !path.is_empty()) {
        return Some(path);
    }
    let (_, info) = descriptor(world, event, code)?;
    info.kind.path().map(<[u8]>::to_vec)
}
