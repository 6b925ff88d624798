//! Events for tests, built in a line.

use afterimage_format::{
    BootNanos, EventCode, EventFlags, Field, FieldFlags, FieldTag, OwnedEvent, OwnedField, TaskKey, layout,
};

use crate::{sockaddr::SocketAddress, syscalls};

/// The leader thread of process `pid`, started at `pid * 1000`.
pub(crate) fn task(pid: u32) -> TaskKey {
    TaskKey { tgid: pid, tid: pid, start: BootNanos(u64::from(pid) * 1000) }
}

/// A system call by its first process's thread.
pub(crate) fn call(time: u64, pid: u32, name: &str, args: &[u64], ret: i64) -> OwnedEvent {
    OwnedEvent {
        time: BootNanos(time),
        duration: None,
        task: task(pid),
        code: syscalls::by_name(name).unwrap_or_else(|| panic!("no call `{name}`")),
        flags: EventFlags::default(),
        cpu: 0,
        ret,
        args: args.to_vec(),
        fields: Vec::new(),
    }
}

fn bare(time: u64, pid: u32, code: EventCode, args: Vec<u64>, ret: i64) -> OwnedEvent {
    OwnedEvent { code, args, ..call(time, pid, "getpid", &[], ret) }
}

/// `parent` forks `child`.
pub(crate) fn fork(time: u64, parent: u32, child: u32) -> OwnedEvent {
    let start = u64::from(child) * 1000;
    let numbers = vec![child.into(), child.into(), start, layout::UNKNOWN, 0, layout::UNKNOWN];
    bare(time, parent, EventCode::FORK, numbers, child.into())
}

/// `pid` makes thread `tid`.
pub(crate) fn thread(time: u64, pid: u32, tid: u32) -> OwnedEvent {
    bare(time, pid, EventCode::FORK, vec![pid.into(), tid.into(), time, layout::UNKNOWN, 0], tid.into())
}

/// `pid` executes `image` with these arguments.
pub(crate) fn exec(time: u64, pid: u32, image: &str, argv: &[&str]) -> OwnedEvent {
    let mut numbers = vec![layout::UNKNOWN; layout::exec::COUNT];
    numbers[layout::exec::EXE_FLAGS] = 0;
    let argv: Vec<u8> = argv.iter().flat_map(|a| a.bytes().chain([0])).collect();
    bare(time, pid, EventCode::EXEC, numbers, 0)
        .with_field(FieldTag::KPATH, image.as_bytes())
        .with_field(FieldTag::ARGV, &argv)
}

/// A request of an io_uring with this mark is submitted.
pub(crate) fn submitted(time: u64, pid: u32, operation: u64, mark: u64, fd: u64) -> OwnedEvent {
    bare(time, pid, EventCode::URING_SUBMIT, vec![operation, mark, fd], 0)
}

/// A request with this mark is completed.
pub(crate) fn completed(time: u64, pid: u32, operation: u64, mark: u64, ret: i64) -> OwnedEvent {
    bare(time, pid, EventCode::URING_COMPLETE, vec![operation, mark, layout::UNKNOWN], ret)
}

/// The last thread of `pid` ends.
pub(crate) fn exit(time: u64, pid: u32, status: i64) -> OwnedEvent {
    bare(time, pid, EventCode::EXIT, vec![status.cast_unsigned() << 8, 1], status)
}

/// A descriptor found open when recording began.
pub(crate) fn open_fd(time: u64, pid: u32, fd: u64, target: &str) -> OwnedEvent {
    bare(time, pid, EventCode::OPEN_FD, vec![fd, 0, 0, 0], 0).with_field(FieldTag::TARGET, target.as_bytes())
}

/// Additions to an event in a line.
pub(crate) trait Build: Sized {
    fn with_field(self, tag: FieldTag, bytes: &[u8]) -> Self;
    fn with_number(self, at: usize, number: u64) -> Self;

    fn with_path(self, path: &str) -> Self {
        self.with_field(FieldTag::PATH, path.as_bytes())
    }

    fn with_kpath(self, path: &str) -> Self {
        self.with_field(FieldTag::KPATH, path.as_bytes())
    }

    fn with_address(self, tag: FieldTag, address: &str) -> Self {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let address = match address {
            std::net::SocketAddr::V4(a) => SocketAddress::V4(a),
            std::net::SocketAddr::V6(a) => SocketAddress::V6(a),
        };
        self.with_field(tag, &address.to_bytes())
    }

    fn with_fds(self, fds: [i32; 2]) -> Self {
        self.with_field(FieldTag::FDS, &[fds[0].to_le_bytes(), fds[1].to_le_bytes()].concat())
    }
}

impl Build for OwnedEvent {
    fn with_field(mut self, tag: FieldTag, bytes: &[u8]) -> Self {
        let full_len = u32::try_from(bytes.len()).unwrap();
        self.fields.push(OwnedField::from_field(&Field { tag, flags: FieldFlags(0), full_len, bytes }));
        self
    }

    fn with_number(mut self, at: usize, number: u64) -> Self {
        if self.args.len() <= at {
            self.args.resize(at + 1, layout::UNKNOWN);
        }
        self.args[at] = number;
        self
    }
}
