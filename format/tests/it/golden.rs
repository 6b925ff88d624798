//! Traces of every version of the format, kept for good, and what is in them.
//!
//! `tests/golden/vMAJOR.MINOR/` holds a store as a crash left it (a sealed segment, an unsealed one, a stage), an extract
//! of it, and `expected.txt`, written down when they were made. A released version's folder is never touched again.
//! The folder of a version that is not released yet is made anew with `AFTERIMAGE_GOLDEN=new` (`cargo xtask golden`).

use std::{
    fmt::Write as _,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use afterimage_format::{
    BootNanos, ClockPair, ContainerRecord, ContainerUid, Engine, Event, Fact, FactKey, FactSource, Loss,
    LossCause, Query, Recording, Role, StoreWriter, TaskKey, VerifyOptions, extract, verify,
};

use crate::generate::{Row, events, options, origin, push_all, writer};

/// What the writer writes now.
const PRESENT: &str = "v1.0";
const EXTRACT: &str = "extract.aftx";
const STORE: &str = "store";
const EXPECTED: &str = "expected.txt";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Everything that a reader says of a recording, as text. Paths and keys are left out. Only what version 1.0 knows is
/// told, member by member, so that what later versions add changes nothing in the folders of earlier ones.
fn told(path: &Path) -> String {
    let recording = Recording::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = heading(&recording);
    for summary in recording.containers() {
        text += &container_lines(&summary.record);
        let range = summary.range.map(|(first, last)| (first.0, last.0));
        writeln!(text, "  events {}, lost {}, range {range:?}", summary.events, summary.lost).unwrap();
    }
    for loss in recording.losses() {
        let (whose, cause) = (loss.container.map(|uid| uid.0), loss.cause.code());
        let (from, to, count) = (loss.from.0, loss.to.0, loss.count);
        writeln!(text, "loss of {whose:?} cause {cause} cpu {:?} {from}..{to} count {count:?}", loss.cpu)
            .unwrap();
    }
    for pair in recording.clock().pairs() {
        writeln!(text, "clock {} is {}", pair.boot.0, pair.real).unwrap();
    }
    for block in recording.blocks() {
        let (uid, first, last) = (block.container.0, block.first.0, block.last.0);
        writeln!(text, "block of {uid}: {} rows, {first}..{last}", block.rows).unwrap();
    }
    for defect in recording.defects() {
        writeln!(text, "{:?} at {}: {}", defect.kind, defect.offset, defect.detail).unwrap();
    }
    let read = recording.for_each(&Query::default(), &mut |uid, event| {
        writeln!(text, "{} {}", uid.0, event_line(event)).unwrap();
        ControlFlow::Continue(())
    });
    read.unwrap();
    text + &verified(path)
}

fn heading(recording: &Recording) -> String {
    let about = recording.origin();
    let (kernel, machine, recorder) = (bytes(&about.kernel), bytes(&about.machine), bytes(&about.recorder));
    let degraded: Vec<String> = about.degraded.iter().map(|what| bytes(what)).collect();
    let sealed = recording.sealed_range().map(|(first, last)| (first.0, last.0));
    format!(
        "host {} {kernel} {machine} recorder {recorder} degraded {degraded:?}\nstore {:02x?} boot {:02x?}\n\
         unsealed {}, sealed range {sealed:?}\n",
        bytes(&about.hostname),
        about.store_uuid,
        about.boot_id,
        recording.unsealed()
    )
}

fn verified(path: &Path) -> String {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let mut text = String::new();
    for finding in &report.findings {
        let (kind, segment, offset) = (finding.kind, finding.sequence, finding.offset);
        writeln!(text, "{kind:?} in {segment:?} at {offset:?}: {}", finding.detail).unwrap();
    }
    let (good, events, signed) = (report.is_good(), report.events, report.signed_blocks);
    text + &format!("good {good}, events {events}, signed blocks {signed}\n")
}

fn bytes(bytes: &[u8]) -> String {
    format!("'{}'", bytes.escape_ascii())
}

fn task(task: TaskKey) -> String {
    format!("{}/{}@{}", task.tgid, task.tid, task.start.0)
}

fn container_lines(record: &ContainerRecord) -> String {
    let (uid, id, outer) = (record.uid.0, bytes(&record.id), record.outer.map(|uid| uid.0));
    let (engine, role) = (record.engine.code(), record.role.code());
    let cgroup = (bytes(&record.cgroup_path), record.cgroup_id, record.hierarchy);
    let [removed, started] = [record.removed, record.started].map(|time| time.map(|time| time.0));
    let (seen, before) = (record.first_seen.0, record.preexisting);
    let (init, exited) = (record.init.map(task), record.exited.map(|(time, code)| (time.0, code)));
    let mut text = format!(
        "container {uid} {id} in {outer:?} engine {engine} role {role} cgroup {cgroup:?}\n  seen {seen} before {before} \
         removed {removed:?} started {started:?} init {init:?} exited {exited:?}\n"
    );
    for fact in &record.facts {
        let (key, source, time) = (fact.key.code(), fact.source.code(), fact.time.0);
        writeln!(text, "  fact {key} from {source} at {time}: {}", bytes(&fact.value)).unwrap();
    }
    text
}

fn event_line(event: &Event<'_>) -> String {
    let (time, duration, code, flags) = (event.time.0, event.duration, event.code.0, event.flags.0);
    let (task, cpu, ret, args) = (task(event.task), event.cpu, event.ret, event.args);
    let mut line =
        format!("{time} +{duration:?} {task} code {code:#x} flags {flags:#x} cpu {cpu} = {ret} {args:x?}");
    for field in event.fields {
        let (tag, flags, full) = (field.tag.0, field.flags.0, field.full_len);
        write!(line, " {tag}.{flags}({full}){}", bytes(field.bytes)).unwrap();
    }
    line
}

/// What the reader says of a folder's store and extract.
fn told_of(folder: &Path) -> String {
    // A version control system keeps no lock; whether there is one must not matter.
    [STORE, EXTRACT].map(|name| format!("== {name}\n{}", told(&folder.join(name)))).concat()
}

#[test]
fn golden_traces_of_every_version_say_what_they_said() {
    if std::env::var_os("AFTERIMAGE_GOLDEN").is_some_and(|wish| wish == "new") {
        regenerate();
    }
    let mut versions = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let folder = entry.unwrap().path();
        let expected = fs::read_to_string(folder.join(EXPECTED)).unwrap();
        let found = told_of(&folder);
        for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{} line {}", folder.display(), number + 1);
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{}", folder.display());
        versions += 1;
    }
    assert!(versions > 0);
    assert!(golden().join(PRESENT).is_dir(), "no golden traces of the version that is written");
}

#[test]
fn a_writer_goes_on_in_a_golden_store() {
    for entry in fs::read_dir(golden()).unwrap() {
        let folder = entry.unwrap().path();
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder.join(STORE)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        let count = |path: &Path| crate::generate::read_path(path).len();
        let before = count(dir.path());
        let mut store = StoreWriter::open(dir.path(), origin(), options()).unwrap();
        push_all(&mut store, &events(62, 50, 2));
        store.seal().unwrap();
        assert_eq!(count(dir.path()), before + 50);
        let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_good(), "{:?}", report.findings);
    }
}

/// A container of which everything is known that a record can hold.
fn container(uid: u64) -> ContainerRecord {
    let fact =
        |key, value: &[u8], source| Fact { key, value: value.to_vec(), source, time: BootNanos(uid + 3) };
    ContainerRecord {
        uid: ContainerUid(uid),
        outer: (uid == 2).then_some(ContainerUid(1)),
        engine: Engine::Docker,
        role: Role::Container,
        id: format!("{uid:064x}").into_bytes(),
        cgroup_path: format!("/docker/{uid:064x}").into_bytes(),
        cgroup_id: 4000 + uid,
        preexisting: uid == 2,
        removed: (uid == 1).then_some(BootNanos(2_000_000_000)),
        init: Some(TaskKey { tgid: 100, tid: 100, start: BootNanos(77) }),
        started: Some(BootNanos(1_000_000_001)),
        exited: (uid == 1).then_some((BootNanos(1_900_000_000), 0x8b)),
        facts: vec![
            fact(FactKey::Name, b"web\x1b[31m", FactSource::OciBundle),
            fact(FactKey::Image, b"docker.io/library/nginx:1", FactSource::OciBundle),
        ],
        ..ContainerRecord::host(BootNanos(uid))
    }
}

fn put_all(store: &mut StoreWriter, rows: &[Row], uid: u64) {
    store.put_container(&container(uid)).unwrap();
    let (container, cpu) = (Some(ContainerUid(uid)), Some(1));
    let (from, to) = (BootNanos(1_000_000_100), BootNanos(1_000_000_200));
    store.put_loss(&Loss { container, cause: LossCause::RingFull, cpu, from, to, count: Some(7) }).unwrap();
    store
        .put_loss(&Loss { container: None, cause: LossCause::RecorderDown, cpu: None, from, to, count: None })
        .unwrap();
    store.put_clock(ClockPair { boot: BootNanos(1_000_000_000), real: 1_700_000_000_000_000_000 }).unwrap();
    push_all(store, rows);
}

/// Makes the golden traces of the present version anew.
fn regenerate() {
    let folder = golden().join(PRESENT);
    let _ = fs::remove_dir_all(&folder);
    let path = folder.join(STORE);
    fs::create_dir_all(&folder).unwrap();
    let mut rows = events(61, 120, 3);
    for (number, row) in rows.iter_mut().enumerate() {
        // Half of one container's rows know how long they took.
        row.1.duration = (row.0.0 == 2 && number % 2 == 0).then_some(500 + number as u64);
    }
    let mut store = StoreWriter::open(&path, origin(), options()).unwrap();
    put_all(&mut store, &rows[..40], 1);
    store.checkpoint().unwrap();
    store.seal().unwrap();
    // The next writer is killed: some of its rows are in blocks, some in the stage alone.
    let mut store = writer(&path);
    put_all(&mut store, &rows[40..80], 2);
    store.finish_container(ContainerUid(2)).unwrap();
    push_all(&mut store, &rows[80..]);
    store.commit(BootNanos(0)).unwrap();
    drop(store);
    trim_stage(&path);
    let uids = [ContainerUid(1), ContainerUid(2)];
    extract(&Recording::open(&path).unwrap(), &uids, &folder.join(EXTRACT)).unwrap();
    fs::write(folder.join(EXPECTED), told_of(&folder)).unwrap();
}

/// What is reserved of the stage behind its last batch is of no use in a repository.
fn trim_stage(store: &Path) {
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("stage-") {
            let mut bytes = fs::read(&path).unwrap();
            let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
            bytes.truncate(used);
            bytes.resize(used.next_multiple_of(4096), 0);
            fs::write(&path, bytes).unwrap();
        }
    }
}
