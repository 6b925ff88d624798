//! A busy container's events, made by a small generator, and what the benchmarks say of machine and CPU time.

use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, EventCode, EventFlags, Field, FieldFlags, FieldTag, OwnedEvent,
    OwnedField, TaskKey,
    layout::{UNKNOWN, exec, fork},
};
use afterimage_model::syscalls;

/// Processes in the mix.
const PROCESSES: u32 = 64;
/// Events of the mix.
pub(crate) const EVENTS: usize = 20_000;
/// Whose they are.
pub(crate) const UID: ContainerUid = ContainerUid(1);

/// Nanoseconds this thread has had a CPU.
pub(crate) fn on_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

/// The machine and kernel that the figures are of.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("cpu {}, {cores} cores, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

/// A small generator: the same mix every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

pub(crate) fn mix() -> (Vec<OwnedEvent>, ContainerRecord) {
    let mut dice = Dice(0x5eed_cafe);
    let mut events = Vec::with_capacity(EVENTS);
    for pid in 0..PROCESSES {
        events.push(forked(100 + pid / 4, 101 + pid));
        events.push(executed(101 + pid, pid));
    }
    while events.len() < EVENTS {
        let pid = 101 + u32::try_from(dice.roll(PROCESSES.into())).unwrap_or(0);
        let event = match dice.roll(100) {
            0..55 => call(pid, ["read", "write"][usize::from(dice.roll(2) == 0)], &[3, 0, 4096], 4096, &[]),
            55..75 => opened(pid, dice.roll(500)),
            75..90 => call(pid, "close", &[9], if dice.roll(50) == 0 { -9 } else { 0 }, &[]),
            90..96 => connected(pid, dice.roll(200)),
            96..98 => executed(pid, u32::try_from(dice.roll(500)).unwrap_or(0)),
            _ => call(pid, "fstat", &[3, 0], 0, &[]),
        };
        events.push(event);
    }
    for (time, event) in (1..).zip(&mut events) {
        event.time = BootNanos(time * 1000);
    }
    let mut record = ContainerRecord::host(BootNanos(0));
    record.uid = UID;
    record.id = vec![b'a'; 64];
    (events, record)
}

fn bare(pid: u32, code: EventCode, args: &[u64], ret: i64, fields: &[(FieldTag, &[u8])]) -> OwnedEvent {
    let field = |(tag, bytes): &(FieldTag, &[u8])| {
        let full_len = u32::try_from(bytes.len()).unwrap_or(0);
        OwnedField::from_field(&Field { tag: *tag, flags: FieldFlags(0), full_len, bytes })
    };
    OwnedEvent {
        time: BootNanos(0),
        duration: None,
        task: TaskKey { tgid: pid, tid: pid, start: BootNanos(u64::from(pid)) },
        code,
        flags: EventFlags::default(),
        cpu: 0,
        ret,
        args: args.to_vec(),
        fields: fields.iter().map(field).collect(),
    }
}

fn call(pid: u32, name: &str, args: &[u64], ret: i64, fields: &[(FieldTag, &[u8])]) -> OwnedEvent {
    let code = syscalls::by_name(name).unwrap_or_else(|| panic!("no call `{name}`"));
    bare(pid, code, args, ret, fields)
}

fn forked(parent: u32, pid: u32) -> OwnedEvent {
    let mut numbers = [UNKNOWN; fork::COUNT];
    numbers[fork::CHILD_TGID] = pid.into();
    numbers[fork::CHILD_TID] = pid.into();
    numbers[fork::CHILD_START] = pid.into();
    bare(parent, EventCode::FORK, &numbers, pid.into(), &[])
}

fn executed(pid: u32, which: u32) -> OwnedEvent {
    let programs = ["sh", "nginx", "python3", "node", "cat", "ls", "curl", "java"];
    let name = programs[which as usize % programs.len()];
    let mut numbers = [UNKNOWN; exec::COUNT];
    for index in [exec::TTY, exec::EUID, exec::EGID, exec::EXE_FLAGS, exec::CAP_EFFECTIVE] {
        numbers[index] = 0;
    }
    let path = format!("/usr/bin/{name}");
    let argv = format!("{name}\0-x\0--config=/etc/app/{which}.conf\0");
    let fields: &[(FieldTag, &[u8])] = &[
        (FieldTag::KPATH, path.as_bytes()),
        (FieldTag::ARGV, argv.as_bytes()),
        (FieldTag::CWD, b"/srv"),
        (FieldTag::COMM, name.as_bytes()),
    ];
    bare(pid, EventCode::EXEC, &numbers, 0, fields)
}

pub(crate) fn opened(pid: u32, which: u64) -> OwnedEvent {
    let path = match which % 10 {
        0 => format!("/etc/conf.d/{which}"),
        1..5 => format!("/usr/lib/x86_64-linux-gnu/lib{which}.so.1"),
        _ => format!("/srv/app/data/{which}.json"),
    };
    let flags = if which.is_multiple_of(7) { 0o1 | 0o100 } else { 0o2_000_000 };
    let at_cwd = (-100i64).cast_unsigned();
    let fields: &[(FieldTag, &[u8])] =
        &[(FieldTag::PATH, path.as_bytes()), (FieldTag::KPATH, path.as_bytes())];
    let ret = if which.is_multiple_of(50) { -2 } else { 3 };
    call(pid, "openat", &[at_cwd, 0, flags, 0o644], ret, fields)
}

fn connected(pid: u32, which: u64) -> OwnedEvent {
    let last = u8::try_from(which % 250).unwrap_or(0);
    let peer = [2, 0, 0x01, 0xbb, 93, 184, 216, last, 0, 0, 0, 0, 0, 0, 0, 0];
    let local = [2, 0, 0x9c, 0x40, 172, 17, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    let fields: &[(FieldTag, &[u8])] =
        &[(FieldTag::SOCKADDR, &peer), (FieldTag::LOCAL, &local), (FieldTag::PEER, &peer)];
    call(pid, "connect", &[4, 0, 16], 0, fields)
}
