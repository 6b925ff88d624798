//! Recordings made by the store's own writer, for tests of the command line.

use std::path::{Path, PathBuf};

use afterimage_format::{
    BootNanos, Class, ClockPair, ContainerRecord, ContainerUid, Engine, Event, EventCode, EventFlags, Fact,
    FactKey, FactSource, Field, FieldFlags, FieldTag, Loss, Origin, Role, StoreOptions, StoreWriter, TaskKey,
    layout,
};

/// Boot time of second 0 of every fixture.
pub(crate) const BOOT: u64 = 1_000_000_000_000;
/// Wall clock at second 0: 2026-11-21T11:58:02Z.
pub(crate) const REAL: i64 = 1_795_262_282_000_000_000;

/// Boot time of a moment of the fixture.
pub(crate) fn at(seconds: f64) -> BootNanos {
    BootNanos(BOOT + (seconds * 1e9).round() as u64)
}

/// A thread that leads its process and started at `start`.
pub(crate) fn task(pid: u32, start: f64) -> TaskKey {
    TaskKey { tgid: pid, tid: pid, start: at(start) }
}

/// A store that is being written.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    writer: StoreWriter,
    last: BootNanos,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options =
            StoreOptions { block_age: 1_000_000_000, classify: |_| Class::Other, ..StoreOptions::default() };
        let mut writer =
            StoreWriter::open(&dir.path().join("store"), origin(), options).expect("a new store");
        writer.put_clock(ClockPair { boot: BootNanos(BOOT), real: REAL }).expect("written");
        Self { dir, writer, last: BootNanos(BOOT) }
    }

    pub(crate) fn container(&mut self, record: &ContainerRecord) {
        self.writer.put_container(record).expect("written");
    }

    pub(crate) fn loss(&mut self, loss: Loss) {
        self.writer.put_loss(&loss).expect("written");
    }

    pub(crate) fn push(&mut self, container: u64, event: &Event<'_>) {
        self.last = self.last.max(event.time);
        self.writer.push(ContainerUid(container), event).expect("written");
    }

    /// A system call of `task`.
    pub(crate) fn call(&mut self, container: u64, seconds: f64, task: TaskKey, call: Call<'_>) {
        let fields: Vec<Field<'_>> = call.fields.iter().map(|&(tag, bytes)| field(tag, bytes)).collect();
        self.push(
            container,
            &Event {
                time: at(seconds),
                duration: None,
                task,
                code: EventCode(call.nr),
                flags: call.flags,
                cpu: 0,
                ret: call.ret,
                args: call.args,
                fields: &fields,
            },
        );
    }

    /// `task` makes the process `child`.
    pub(crate) fn fork(&mut self, container: u64, seconds: f64, task: TaskKey, child: TaskKey) {
        let args = [u64::from(child.tgid), u64::from(child.tid), child.start.0, u64::from(child.tid), 0, 0];
        let ret = i64::from(child.tid);
        self.call(
            container,
            seconds,
            task,
            Call { nr: EventCode::FORK.0, ret, args: &args, ..Call::default() },
        );
    }

    /// `task` executes `exe` with `argv`.
    pub(crate) fn exec(&mut self, container: u64, seconds: f64, task: TaskKey, exec: Exec<'_>) {
        let mut args = [layout::UNKNOWN; layout::exec::COUNT];
        args[layout::exec::PPID] = u64::from(exec.parent.tgid);
        args[layout::exec::PPID_START] = exec.parent.start.0;
        args[layout::exec::VPID] = u64::from(task.tgid % 100);
        args[layout::exec::UID] = 0;
        args[layout::exec::EUID] = 0;
        args[layout::exec::EXE_FLAGS] = exec.exe_flags;
        args[layout::exec::ARGC] = exec.argv.len() as u64;
        let argv: Vec<u8> = exec.argv.iter().flat_map(|a| a.iter().copied().chain([0])).collect();
        let fields = [
            (FieldTag::KPATH, exec.exe),
            (FieldTag::FILENAME, exec.exe),
            (FieldTag::ARGV, argv.as_slice()),
            (FieldTag::COMM, exec.comm),
            (FieldTag::CWD, b"/".as_slice()),
        ];
        self.call(
            container,
            seconds,
            task,
            Call { nr: EventCode::EXEC.0, args: &args, fields: &fields, flags: exec.flags, ret: 0 },
        );
    }

    /// `task` ends with exit code `code`.
    pub(crate) fn exit(&mut self, container: u64, seconds: f64, task: TaskKey, code: u32) {
        let args = [u64::from(code) << 8, 1];
        let ret = i64::from(code);
        self.call(
            container,
            seconds,
            task,
            Call { nr: EventCode::EXIT.0, ret, args: &args, ..Call::default() },
        );
    }

    /// Ends a container's block: what follows is in the next.
    pub(crate) fn cut(&mut self, container: u64) {
        self.writer.finish_container(ContainerUid(container)).expect("a block is cut");
    }

    /// Commits, as a recorder does again and again: what is old enough becomes blocks.
    pub(crate) fn commit(&mut self) {
        self.writer.commit(self.last).expect("committed");
    }

    /// Closes the store properly; where it is.
    pub(crate) fn seal(mut self) -> Store {
        self.writer.commit(self.last).expect("committed");
        self.writer.seal().expect("sealed");
        Store { path: self.dir.path().join("store"), _writer: None, _dir: self.dir }
    }

    /// Leaves the store as a recorder that was killed would.
    pub(crate) fn leave(self) -> Store {
        let store = Store { _writer: None, ..self.go_on() };
        // A test beside this one may just begin a program: until that is executed, it has the lock of this process's writers too.
        let lock = std::fs::File::open(store.path.join("lock")).expect("the lock");
        lock.lock_shared().expect("nobody writes any more");
        store
    }

    /// Leaves the store to a recorder that goes on as long as the store is there.
    pub(crate) fn go_on(mut self) -> Store {
        self.writer.commit(self.last).expect("committed");
        Store { path: self.dir.path().join("store"), _writer: Some(self.writer), _dir: self.dir }
    }
}

/// A finished store; it goes away with this.
pub(crate) struct Store {
    pub(crate) path: PathBuf,
    _writer: Option<StoreWriter>,
    _dir: tempfile::TempDir,
}

impl Store {
    /// Its path as an argument.
    pub(crate) fn arg(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// Every file in it.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.path, &mut files);
        files.sort();
        files
    }
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// What a system call did.
#[derive(Default)]
pub(crate) struct Call<'a> {
    pub(crate) nr: u16,
    pub(crate) ret: i64,
    pub(crate) args: &'a [u64],
    pub(crate) fields: &'a [(FieldTag, &'a [u8])],
    pub(crate) flags: EventFlags,
}

/// What an exec did.
pub(crate) struct Exec<'a> {
    pub(crate) exe: &'a [u8],
    pub(crate) argv: &'a [&'a [u8]],
    pub(crate) comm: &'a [u8],
    pub(crate) parent: TaskKey,
    pub(crate) exe_flags: u64,
    pub(crate) flags: EventFlags,
}

impl Default for Exec<'_> {
    fn default() -> Self {
        Self {
            exe: b"/bin/sh",
            argv: &[],
            comm: b"sh",
            parent: TaskKey::default(),
            exe_flags: layout::exec::EXE_LOWER_LAYER,
            flags: EventFlags::default(),
        }
    }
}

pub(crate) fn field(tag: FieldTag, bytes: &[u8]) -> Field<'_> {
    Field { tag, flags: FieldFlags::default(), full_len: bytes.len() as u32, bytes }
}

fn origin() -> Origin {
    Origin {
        store_uuid: [7; 16],
        boot_id: [9; 16],
        hostname: b"node-7".to_vec(),
        kernel: b"6.18.5".to_vec(),
        machine: b"x86_64".to_vec(),
        degraded: Vec::new(),
        recorder: b"0.1.0".to_vec(),
    }
}

/// A container that began at `first` seconds, with these facts.
pub(crate) fn container(
    uid: u64,
    engine: Engine,
    id: &[u8],
    first: f64,
    facts: &[(FactKey, &[u8])],
) -> ContainerRecord {
    ContainerRecord {
        uid: ContainerUid(uid),
        outer: None,
        engine,
        role: Role::Container,
        id: id.to_vec(),
        cgroup_path: [b"/sys/", id].concat(),
        cgroup_id: 1000 + uid,
        hierarchy: 0,
        first_seen: at(first),
        preexisting: false,
        removed: None,
        init: None,
        started: Some(at(first)),
        exited: None,
        facts: facts
            .iter()
            .map(|&(key, value)| Fact {
                key,
                value: value.to_vec(),
                source: FactSource::DockerConfig,
                time: at(first),
            })
            .collect(),
    }
}

/// 64 hex digits that begin with `prefix`.
pub(crate) fn id(prefix: &str) -> Vec<u8> {
    let mut id = prefix.as_bytes().to_vec();
    id.resize(64, b'0');
    id
}
