//! Builds events the way the recorder does: a call at a time, with its arguments and byte strings.

use afterimage_format::{
    BootNanos, ContainerUid, EventCode, EventFlags, FieldFlags, FieldTag, OwnedEvent, OwnedField, TaskKey,
    layout::{self, exec},
};
use afterimage_model::syscalls;

use super::START;

/// Events of one container.
pub(super) struct Script {
    uid: ContainerUid,
    /// Start of each process, by pid.
    starts: Vec<(u32, u64)>,
    pub(super) events: Vec<(ContainerUid, OwnedEvent)>,
    count: u64,
}

/// Milliseconds after the stage's start, in boot nanoseconds.
fn at(ms: f64) -> BootNanos {
    BootNanos(START + (ms * 1e6) as u64)
}

impl Script {
    pub(super) fn new(uid: ContainerUid) -> Self {
        Self { uid, starts: Vec::new(), events: Vec::new(), count: 0 }
    }

    fn task(&self, pid: u32) -> TaskKey {
        let start = self.starts.iter().rev().find(|(p, _)| *p == pid).map_or(START, |(_, start)| *start);
        TaskKey { tgid: pid, tid: pid, start: BootNanos(start) }
    }

    fn push(
        &mut self,
        (ms, pid): (f64, u32),
        code: EventCode,
        ret: i64,
        args: &[u64],
        fields: &[(FieldTag, &[u8])],
    ) {
        // Events of one millisecond are told apart by their nanoseconds.
        self.count += 1;
        let time = BootNanos(at(ms).0 + self.count * 137 % 100_000);
        let fields = fields.iter().map(|(tag, bytes)| {
            let kept = bytes.len().min(64);
            let cut = *tag == FieldTag::PAYLOAD && bytes.len() > kept;
            OwnedField {
                tag: *tag,
                flags: if cut { FieldFlags::TRUNCATED } else { FieldFlags::default() },
                full_len: bytes.len() as u32,
                bytes: if cut { bytes[..kept].to_vec() } else { bytes.to_vec() },
            }
        });
        let event = OwnedEvent {
            time,
            duration: None,
            task: self.task(pid),
            code,
            flags: EventFlags::default(),
            cpu: (pid % 4) as u16,
            ret,
            args: args.to_vec(),
            fields: fields.collect(),
        };
        self.events.push((self.uid, event));
    }

    pub(super) fn call(
        &mut self,
        (ms, pid): (f64, u32),
        name: &str,
        args: &[u64],
        ret: i64,
        fields: &[(FieldTag, &[u8])],
    ) {
        let code = syscalls::by_name(name).expect("a system call");
        let mut all = args.to_vec();
        all.resize(syscalls::arg_count(code).max(args.len()), 0);
        self.push((ms, pid), code, ret, &all, fields);
    }

    pub(super) fn fork(&mut self, ms: f64, parent: u32, child: u32) {
        let start = at(ms).0;
        self.starts.push((child, start));
        let args = [child.into(), child.into(), start, u64::from(child % 1_000), 0, 4_001];
        self.push((ms, parent), EventCode::FORK, child.into(), &args, &[]);
    }

    pub(super) fn exec(
        &mut self,
        ms: f64,
        (pid, parent): (u32, u32),
        exe: &[u8],
        argv: &[&[u8]],
        flags: u64,
    ) {
        let mut args = vec![layout::UNKNOWN; exec::COUNT];
        for (index, value) in [
            (exec::PPID, parent.into()),
            (exec::VPID, u64::from(pid % 1_000)),
            (exec::PGID, pid.into()),
            (exec::SID, 1_001),
            (exec::TTY, 0),
            (exec::UID, 1_000),
            (exec::GID, 1_000),
            (exec::EUID, 1_000),
            (exec::EGID, 1_000),
            (exec::LOGINUID, 4_294_967_295),
            (exec::CAP_EFFECTIVE, 0),
            (exec::CAP_PERMITTED, 0),
            (exec::CAP_INHERITABLE, 0),
            (exec::EXE_INO, 77_000 + u64::from(pid)),
            (exec::EXE_SIZE, 48_128),
            (exec::EXE_MODE, 0o100_755),
            (exec::EXE_FLAGS, flags),
            (exec::ARGC, argv.len() as u64),
            (exec::ENVC, 0),
            (exec::PPID_START, self.task(parent).start.0),
            (exec::PID_LEVEL, 1),
            (exec::NS_PID, 4_026_532_500),
        ] {
            args[index] = value;
        }
        let block: Vec<u8> = argv.iter().flat_map(|arg| arg.iter().copied().chain([0])).collect();
        let comm = exe.rsplit(|b| *b == b'/').next().unwrap_or(exe);
        let comm = &comm[..comm.len().min(15)];
        let fields: [(FieldTag, &[u8]); 5] = [
            (FieldTag::FILENAME, exe),
            (FieldTag::KPATH, exe),
            (FieldTag::ARGV, &block),
            (FieldTag::CWD, b"/app"),
            (FieldTag::COMM, comm),
        ];
        self.push((ms, pid), EventCode::EXEC, 0, &args, &fields);
    }

    /// `ret` is the code, or minus the signal.
    pub(super) fn exit(&mut self, ms: f64, pid: u32, ret: i64) {
        let raw = if ret < 0 { ret.unsigned_abs() } else { ret.unsigned_abs() << 8 };
        self.push((ms, pid), EventCode::EXIT, ret, &[raw, 1], &[]);
    }

    pub(super) fn open(&mut self, ms: f64, pid: u32, path: &[u8], flags: u64, fd: i64) {
        let mut fields: Vec<(FieldTag, &[u8])> = vec![(FieldTag::PATH, path)];
        if fd >= 0 {
            fields.push((FieldTag::KPATH, path));
        }
        self.call((ms, pid), "openat", &[-100_i64 as u64, 0x7ffe_1000, flags, 0o644], fd, &fields);
    }

    pub(super) fn read(&mut self, ms: f64, pid: u32, fd: u64, bytes: &[u8]) {
        let len = bytes.len();
        self.call((ms, pid), "read", &[fd, 0x7ffe_2000, 4_096], len as i64, &[(FieldTag::PAYLOAD, bytes)]);
    }

    pub(super) fn write(&mut self, ms: f64, pid: u32, fd: u64, bytes: &[u8]) {
        let len = bytes.len();
        self.call(
            (ms, pid),
            "write",
            &[fd, 0x7ffe_2000, len as u64],
            len as i64,
            &[(FieldTag::PAYLOAD, bytes)],
        );
    }

    /// A TCP connection on descriptor `fd`.
    pub(super) fn connect(&mut self, ms: f64, pid: u32, fd: u64, ip: [u8; 4], port: u16) {
        self.call((ms, pid), "socket", &[2, 1, 0], fd as i64, &[]);
        let mut address = vec![2, 0];
        address.extend(port.to_be_bytes());
        address.extend(ip);
        address.extend([0; 8]);
        let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::SOCKADDR, &address), (FieldTag::PEER, &address)];
        self.call((ms + 0.4, pid), "connect", &[fd, 0x7ffe_3000, 16], 0, &fields);
    }
}
