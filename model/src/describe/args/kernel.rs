//! The numbers and fields of events that are no system calls, by name.

use afterimage_format::{Event, EventCode, Field, FieldTag, layout};

use super::{own, quoted};
use crate::{
    artifacts,
    describe::{command, image_marks, payload},
    sockaddr::SocketAddress,
    symbols,
    text::{self, Safe},
};

/// How a number is shown.
#[derive(Clone, Copy)]
enum Show {
    Decimal,
    Hex,
    Id,
    Mode,
    Capabilities,
    Namespaces,
    Image,
    Flags,
    Time,
    Operation,
    Fd,
}

static FORK: &[(usize, &str, Show)] = &[
    (layout::fork::CHILD_TGID, "child pid", Show::Decimal),
    (layout::fork::CHILD_TID, "child tid", Show::Decimal),
    (layout::fork::CHILD_START, "child start", Show::Time),
    (layout::fork::CHILD_VPID, "child pid inside", Show::Decimal),
    (layout::fork::NEW_NS, "new namespaces", Show::Namespaces),
    (layout::fork::CHILD_CGROUP, "cgroup id", Show::Decimal),
    (layout::fork::CHILD_NS_PID, "pid namespace", Show::Decimal),
    (layout::fork::CHILD_PID_FOR_MAKER, "child pid for its maker", Show::Decimal),
];

static EXEC: &[(usize, &str, Show)] = &[
    (layout::exec::PPID, "ppid", Show::Decimal),
    (layout::exec::VPID, "pid inside", Show::Decimal),
    (layout::exec::PGID, "pgid", Show::Decimal),
    (layout::exec::SID, "sid", Show::Decimal),
    (layout::exec::TTY, "tty", Show::Hex),
    (layout::exec::UID, "uid", Show::Id),
    (layout::exec::GID, "gid", Show::Id),
    (layout::exec::EUID, "euid", Show::Id),
    (layout::exec::EGID, "egid", Show::Id),
    (layout::exec::LOGINUID, "loginuid", Show::Id),
    (layout::exec::CAP_INHERITABLE, "cap inheritable", Show::Capabilities),
    (layout::exec::CAP_PERMITTED, "cap permitted", Show::Capabilities),
    (layout::exec::CAP_EFFECTIVE, "cap effective", Show::Capabilities),
    (layout::exec::NS_PID, "pid namespace", Show::Decimal),
    (layout::exec::NS_MNT, "mount namespace", Show::Decimal),
    (layout::exec::NS_NET, "network namespace", Show::Decimal),
    (layout::exec::NS_USER, "user namespace", Show::Decimal),
    (layout::exec::EXE_INO, "exe inode", Show::Decimal),
    (layout::exec::EXE_MODE, "exe mode", Show::Mode),
    (layout::exec::EXE_SIZE, "exe size", Show::Decimal),
    (layout::exec::EXE_FLAGS, "exe", Show::Image),
    (layout::exec::CGROUP, "cgroup id", Show::Decimal),
];

static EXIT: &[(usize, &str, Show)] =
    &[(layout::exit::RAW, "exit code", Show::Hex), (layout::exit::GROUP_DEAD, "last thread", Show::Decimal)];

static CGROUP: &[(usize, &str, Show)] = &[
    (layout::cgroup::ID, "cgroup id", Show::Decimal),
    (layout::cgroup::HIERARCHY, "hierarchy", Show::Decimal),
    (layout::cgroup::LEVEL, "level", Show::Decimal),
];

static OPEN_FD: &[(usize, &str, Show)] = &[
    (layout::open_fd::FD, "fd", Show::Decimal),
    (layout::open_fd::FLAGS, "flags", Show::Flags),
    (layout::open_fd::POS, "position", Show::Decimal),
    (layout::open_fd::INO, "inode", Show::Decimal),
];

static ARTIFACT: &[(usize, &str, Show)] = &[
    (layout::artifact::SIZE, "size", Show::Decimal),
    (layout::artifact::INO, "inode", Show::Decimal),
    (layout::artifact::EXECUTED, "executed", Show::Time),
    (layout::artifact::OFFSET, "offset", Show::Decimal),
];

static URING: &[(usize, &str, Show)] = &[
    (layout::uring::OPCODE, "operation", Show::Operation),
    (layout::uring::USER_DATA, "user data", Show::Hex),
    (layout::uring::FD, "fd", Show::Fd),
];

static FIELDS: &[(FieldTag, &str)] = &[
    (FieldTag::PATH, "path"),
    (FieldTag::PATH2, "path2"),
    (FieldTag::KPATH, "exe path"),
    (FieldTag::FILENAME, "filename (claimed)"),
    (FieldTag::INTERP, "interpreter"),
    (FieldTag::ARGV, "argv"),
    (FieldTag::CWD, "cwd"),
    (FieldTag::ROOT, "root"),
    (FieldTag::COMM, "comm"),
    (FieldTag::CGROUP, "cgroup"),
    (FieldTag::TARGET, "target"),
    (FieldTag::SOCKADDR, "address"),
    (FieldTag::LOCAL, "local"),
    (FieldTag::PEER, "peer"),
    (FieldTag::ENVP, "environment"),
    (FieldTag::HASH, "sha256"),
];

/// Fields first, since they say what it was about, then the numbers that are known.
pub(super) fn args(event: &Event<'_>) -> Vec<(String, Safe)> {
    let mut out: Vec<(String, Safe)> = Vec::new();
    for (tag, name) in FIELDS {
        if let Some(field) = event.field(*tag) {
            let is_image = matches!(event.code, EventCode::EXEC | EventCode::PROCESS);
            let name = if *tag == FieldTag::KPATH && !is_image { "kernel path" } else { name };
            out.push((name.to_owned(), field_text(field)));
        }
    }
    let numbers = match event.code {
        EventCode::FORK => FORK,
        EventCode::EXEC | EventCode::PROCESS => EXEC,
        EventCode::EXIT => EXIT,
        EventCode::CGROUP_MKDIR | EventCode::CGROUP_RMDIR => CGROUP,
        EventCode::OPEN_FD => OPEN_FD,
        EventCode::ARTIFACT => ARTIFACT,
        EventCode::URING_SUBMIT | EventCode::URING_COMPLETE => URING,
        _ => {
            let rest =
                event.args.iter().enumerate().map(|(at, n)| (format!("arg{at}"), own(symbols::hex(*n))));
            out.extend(rest);
            return out;
        }
    };
    for (at, name, show) in numbers {
        if let Some(number) = event.number(*at) {
            out.push(((*name).to_owned(), own(shown(*show, number))));
        }
    }
    out
}

fn field_text(field: &Field<'_>) -> Safe {
    match field.tag {
        FieldTag::ARGV | FieldTag::ENVP => {
            let words: Vec<String> =
                command::arguments(field.bytes).map(|w| text::quote(w, false).into_string()).collect();
            let cut = if payload::is_cut(field) { ", ..." } else { "" };
            own(format!("[{}{cut}]", words.join(", ")))
        }
        FieldTag::SOCKADDR | FieldTag::LOCAL | FieldTag::PEER => {
            SocketAddress::parse(field.bytes).map_or_else(|| quoted(field), |a| own(a.to_string()))
        }
        FieldTag::HASH => own(artifacts::hex(field.bytes)),
        _ => quoted(field),
    }
}

fn shown(show: Show, number: u64) -> String {
    match show {
        Show::Decimal => number.to_string(),
        Show::Hex => symbols::hex(number),
        Show::Id if number == u64::from(u32::MAX) => "unset".to_owned(),
        Show::Id => number.to_string(),
        Show::Mode => symbols::file_mode(number),
        Show::Capabilities => symbols::capabilities(number),
        Show::Namespaces if number == 0 => "none".to_owned(),
        Show::Namespaces => symbols::CLONE.flags(number),
        Show::Image => match image_marks(number) {
            marks if marks.is_empty() => "plain".to_owned(),
            marks => marks.join(", "),
        },
        Show::Flags => symbols::OPEN.flags(number),
        Show::Operation => symbols::URING_OP.symbol(number),
        Show::Fd => (number as i32).to_string(),
        Show::Time => format!("{number} ns since boot"),
    }
}
