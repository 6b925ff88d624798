//! Recordings for tests, told act by act: processes, files, sockets of one container.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use afterimage_detect::{
    EventContext, Filter, Frame, Gatherer, RuleSet, Tracker, Whole, WholeAsks, rules::Hit,
};
use afterimage_format::{
    BootNanos, ClockMap, ClockPair, ContainerRecord, ContainerUid, Engine, EventCode, EventFlags, Fact,
    FactKey, FactSource, Field, FieldFlags, FieldTag, OwnedEvent, OwnedField, Role, TaskKey,
    layout::{UNKNOWN, exec, fork},
};
use afterimage_model::{sockaddr::SocketAddress, syscalls};

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// The container of every scene.
pub(crate) const CONTAINER: ContainerUid = ContainerUid(7);
/// `O_RDONLY | O_CLOEXEC`.
pub(crate) const READ: u64 = 0o2_000_000;
/// `O_WRONLY | O_CREAT | O_TRUNC`.
pub(crate) const REWRITE: u64 = 0o1 | 0o100 | 0o1000;
/// `-ENOENT`.
pub(crate) const ENOENT: i64 = -2;
/// `CAP_SYS_ADMIN`.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;
/// `CAP_SYS_MODULE`.
pub(crate) const SYS_MODULE: u64 = 1 << 16;
/// `CAP_DAC_OVERRIDE`.
pub(crate) const DAC_OVERRIDE: u64 = 1 << 1;

/// A recording that grows by acts.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) events: Vec<OwnedEvent>,
    pub(crate) record: ContainerRecord,
    pub(crate) uid: ContainerUid,
    pub(crate) now: u64,
    starts: BTreeMap<u32, u64>,
}

/// What a program is started with.
#[derive(Debug, Clone)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a str,
    pub(crate) argv: &'a [&'a str],
    pub(crate) env: &'a [&'a str],
    pub(crate) cwd: &'a str,
    pub(crate) uid: u64,
    pub(crate) tty: u64,
    pub(crate) flags: u64,
    pub(crate) caps: u64,
}

impl Default for Program<'_> {
    fn default() -> Self {
        Self { path: "/bin/true", argv: &["true"], env: &[], cwd: "/", uid: 0, tty: 0, flags: 0, caps: 0 }
    }
}

impl<'a> Program<'a> {
    pub(crate) fn new(path: &'a str, argv: &'a [&'a str]) -> Self {
        Self { path, argv, ..Self::default() }
    }
}

pub(crate) fn address(text: &str) -> Vec<u8> {
    match text.parse().unwrap() {
        std::net::SocketAddr::V4(a) => SocketAddress::V4(a).to_bytes(),
        std::net::SocketAddr::V6(a) => SocketAddress::V6(a).to_bytes(),
    }
}

impl Scene {
    /// A container with an image, run by docker, in which nothing has happened.
    pub(crate) fn new() -> Self {
        let mut record = ContainerRecord::host(BootNanos(SECOND));
        record.uid = CONTAINER;
        record.engine = Engine::Docker;
        record.role = Role::Container;
        record.id = b"3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e".to_vec();
        record.started = Some(BootNanos(SECOND));
        let scene =
            Self { events: Vec::new(), record, uid: CONTAINER, now: 10 * SECOND, starts: BTreeMap::new() };
        scene.fact(FactKey::Image, "docker.io/library/web:1.0").fact(FactKey::Name, "web")
    }

    /// The same acts outside of any container.
    pub(crate) fn on_host(mut self) -> Self {
        self.uid = ContainerUid::HOST;
        self.record = ContainerRecord::host(BootNanos(0));
        self
    }

    pub(crate) fn fact(mut self, key: FactKey, value: &str) -> Self {
        let value = value.as_bytes().to_vec();
        self.record.facts.push(Fact { key, value, source: FactSource::Launcher, time: BootNanos(0) });
        self
    }

    pub(crate) fn wait(mut self, nanos: u64) -> Self {
        self.now += nanos;
        self
    }

    pub(crate) fn push(
        mut self,
        pid: u32,
        code: EventCode,
        args: &[u64],
        ret: i64,
        fields: &[(FieldTag, &[u8])],
    ) -> Self {
        self.now += 1000;
        let field = |(tag, bytes): &(FieldTag, &[u8])| {
            let full_len = u32::try_from(bytes.len()).unwrap();
            OwnedField::from_field(&Field { tag: *tag, flags: FieldFlags(0), full_len, bytes })
        };
        let start = BootNanos(self.starts.get(&pid).copied().unwrap_or(0));
        self.events.push(OwnedEvent {
            time: BootNanos(self.now),
            duration: None,
            task: TaskKey { tgid: pid, tid: pid, start },
            code,
            flags: EventFlags::default(),
            cpu: 0,
            ret,
            args: args.to_vec(),
            fields: fields.iter().map(field).collect(),
        });
        self
    }

    /// A system call.
    pub(crate) fn call(
        self,
        pid: u32,
        name: &str,
        args: &[u64],
        ret: i64,
        fields: &[(FieldTag, &[u8])],
    ) -> Self {
        let code = syscalls::by_name(name).unwrap_or_else(|| panic!("no call `{name}`"));
        self.push(pid, code, args, ret, fields)
    }

    /// `parent` forks `pid`.
    pub(crate) fn fork(mut self, parent: u32, pid: u32) -> Self {
        self.starts.insert(pid, self.now);
        let mut numbers = [UNKNOWN; fork::COUNT];
        numbers[fork::CHILD_TGID] = pid.into();
        numbers[fork::CHILD_TID] = pid.into();
        numbers[fork::CHILD_START] = self.now;
        numbers[fork::NEW_NS] = 0;
        self.push(parent, EventCode::FORK, &numbers, pid.into(), &[])
    }

    /// `pid` executes a program.
    pub(crate) fn exec(self, pid: u32, program: &Program<'_>) -> Self {
        let mut numbers = [UNKNOWN; exec::COUNT];
        for (index, value) in [
            (exec::VPID, u64::from(pid)),
            (exec::PGID, pid.into()),
            (exec::SID, pid.into()),
            (exec::TTY, program.tty),
            (exec::UID, program.uid),
            (exec::EUID, program.uid),
            (exec::GID, program.uid),
            (exec::EGID, program.uid),
            (exec::LOGINUID, u32::MAX.into()),
            (exec::CAP_EFFECTIVE, program.caps),
            (exec::CAP_PERMITTED, program.caps),
            (exec::EXE_FLAGS, program.flags),
            (exec::EXE_INO, 4711),
        ] {
            numbers[index] = value;
        }
        let joined = |words: &[&str]| words.iter().flat_map(|w| w.bytes().chain([0])).collect::<Vec<u8>>();
        let (argv, env) = (joined(program.argv), joined(program.env));
        let name = program.path.rsplit('/').next().unwrap_or("");
        let comm = &name.as_bytes()[..name.len().min(15)];
        let fields: &[(FieldTag, &[u8])] = &[
            (FieldTag::KPATH, program.path.as_bytes()),
            (FieldTag::FILENAME, program.path.as_bytes()),
            (FieldTag::ARGV, &argv),
            (FieldTag::ENVP, &env),
            (FieldTag::CWD, program.cwd.as_bytes()),
            (FieldTag::COMM, comm),
        ];
        self.push(pid, EventCode::EXEC, &numbers, 0, fields)
    }

    /// `parent` starts a program as `pid`.
    pub(crate) fn start(self, parent: u32, pid: u32, program: &Program<'_>) -> Self {
        self.fork(parent, pid).exec(pid, program)
    }

    /// `parent` starts `path` with these arguments as `pid`.
    pub(crate) fn run(self, parent: u32, pid: u32, path: &str, argv: &[&str]) -> Self {
        self.start(parent, pid, &Program::new(path, argv))
    }

    /// `openat(AT_FDCWD, claimed, flags)`; on success the kernel says that it is `path`.
    pub(crate) fn open_as(self, pid: u32, claimed: &str, path: &str, flags: u64, ret: i64) -> Self {
        let at_cwd = (-100i64).cast_unsigned();
        let mut fields: Vec<(FieldTag, &[u8])> = vec![(FieldTag::PATH, claimed.as_bytes())];
        if ret >= 0 {
            fields.push((FieldTag::KPATH, path.as_bytes()));
        }
        self.call(pid, "openat", &[at_cwd, 0, flags, 0o644], ret, &fields)
    }

    pub(crate) fn open(self, pid: u32, path: &str, flags: u64, ret: i64) -> Self {
        self.open_as(pid, path, path, flags, ret)
    }

    /// A TCP socket as descriptor `fd`.
    pub(crate) fn tcp(self, pid: u32, fd: i64) -> Self {
        self.call(pid, "socket", &[2, 1, 0], fd, &[])
    }

    pub(crate) fn connect(self, pid: u32, fd: u64, local: &str, peer: &str, ret: i64) -> Self {
        let (local, peer) = (address(local), address(peer));
        let fields: &[(FieldTag, &[u8])] =
            &[(FieldTag::SOCKADDR, &peer), (FieldTag::LOCAL, &local), (FieldTag::PEER, &peer)];
        self.call(pid, "connect", &[fd, 0, 16], ret, if ret == 0 { fields } else { &fields[..1] })
    }

    /// The frame of the recording: it began at boot second 0, which was 2026-11-21 12:00:00 UTC.
    pub(crate) fn frame(&self) -> Frame {
        let pair = ClockPair { boot: BootNanos(0), real: 1_795_262_400_000_000_000 };
        Frame {
            clock: ClockMap::new(vec![pair]),
            range: Some((BootNanos(0), BootNanos(self.now))),
            hostname: b"node-7".to_vec(),
            alerts: vec![Some(BootNanos(10 * SECOND))],
            marks: vec![('a', BootNanos(11 * SECOND))],
            whole: Arc::new(BTreeMap::from([(self.uid, Arc::new(self.whole()))])),
            ..Frame::default()
        }
    }

    /// What the whole of it tells.
    fn whole(&self) -> Whole {
        let mut tracker = Tracker::new();
        let mut gatherer = Gatherer::new(self.uid, WholeAsks { files: true, findings: true, net: true });
        for event in &self.events {
            event.with(|event| {
                tracker.apply(self.uid, event);
                gatherer.apply(tracker.world(), event);
            });
        }
        gatherer.finish()
    }

    /// Calls `visit` with every event in its surroundings.
    pub(crate) fn each(&self, mut visit: impl FnMut(&EventContext<'_>)) {
        let frame = self.frame();
        let mut tracker = Tracker::new();
        for (number, event) in (1..).zip(&self.events) {
            event.with(|event| {
                tracker.apply(self.uid, event);
                visit(&EventContext::new(event, (self.uid, Some(&self.record)), &tracker, &frame, number));
            });
        }
    }

    /// The numbers of the events that a filter keeps.
    pub(crate) fn kept(&self, filter: &str) -> Vec<u64> {
        let mut filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        if filter.needs_survey() {
            self.each(|cx| filter.survey(cx));
        }
        let mut kept = Vec::new();
        self.each(|cx| {
            if filter.matches(cx) {
                kept.push(cx.number());
            }
        });
        kept
    }

    /// Whether the last event passes.
    pub(crate) fn last_passes(&self, filter: &str) -> bool {
        self.kept(filter).last() == Some(&(self.events.len() as u64))
    }

    /// What rules say.
    pub(crate) fn hits(&self, rules: &RuleSet) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.each(|cx| hits.extend(rules.evaluate(cx)));
        hits
    }

    /// The names of the rules that fire.
    pub(crate) fn fired(&self, rules: &RuleSet) -> BTreeSet<String> {
        self.hits(rules).into_iter().map(|hit| hit.name).collect()
    }
}
