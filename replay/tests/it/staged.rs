//! A staged incident for the tests: what the design's pictures show, as events with fixed times.

#[path = "staged/incident.rs"]
mod incident;
#[path = "staged/script.rs"]
mod script;

use std::path::Path;

use afterimage_format::{
    BootNanos, ClockPair, ContainerRecord, ContainerUid, Engine, Fact, FactKey, FactSource, Loss, LossCause,
    Origin, OwnedEvent, Role, StoreOptions, StoreWriter,
};

/// Boot time at which the first container starts.
pub(crate) const START: u64 = 1_000_000_000_000;
/// 2026-11-21T11:58:02.118Z.
const REAL: i64 = 1_795_262_282_118_000_000;

/// Everything that a store is written from.
pub(crate) struct Staged {
    pub(crate) containers: Vec<ContainerRecord>,
    /// In order of time.
    pub(crate) events: Vec<(ContainerUid, OwnedEvent)>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) clock: ClockPair,
}

/// The whole stage: the incident, a sibling that lost events, a container that still runs, and a hostile one.
pub(crate) fn staged() -> Staged {
    let mut events = incident::events();
    events.extend(incident::sibling());
    events.extend(incident::running());
    events.extend(incident::hostile());
    events.sort_by_key(|(_, event)| event.time);
    Staged {
        containers: vec![incident_record(), sibling_record(), running_record(), hostile_record()],
        events,
        losses: vec![Loss {
            container: Some(SIBLING),
            cause: LossCause::RingFull,
            cpu: Some(3),
            from: BootNanos(START + 61_000_000_000),
            to: BootNanos(START + 61_800_000_000),
            count: Some(312),
        }],
        clock: ClockPair { boot: BootNanos(START), real: REAL },
    }
}

pub(crate) const INCIDENT: ContainerUid = ContainerUid(1);
pub(crate) const SIBLING: ContainerUid = ContainerUid(2);
pub(crate) const RUNNING: ContainerUid = ContainerUid(3);
pub(crate) const HOSTILE: ContainerUid = ContainerUid(4);

fn record(
    uid: ContainerUid,
    id: &[u8],
    name: &[u8],
    image: &[u8],
    begin: u64,
    end: Option<u64>,
) -> ContainerRecord {
    let at = |ms: u64| BootNanos(START + ms * 1_000_000);
    let fact = |key, value: &[u8], source| Fact { key, value: value.to_vec(), source, time: at(begin) };
    ContainerRecord {
        uid,
        outer: None,
        engine: Engine::Containerd,
        role: Role::Container,
        id: id.to_vec(),
        cgroup_path: [b"/kubepods.slice/cri-containerd-".as_slice(), id, b".scope"].concat(),
        cgroup_id: 4_000 + uid.0,
        hierarchy: 0,
        first_seen: at(begin),
        preexisting: false,
        removed: end.map(|end| at(end + 1_400)),
        init: None,
        started: Some(at(begin)),
        exited: end.map(|end| (at(end), 0)),
        facts: vec![
            fact(FactKey::Name, name, FactSource::OciBundle),
            fact(FactKey::Image, image, FactSource::CriAnnotations),
            fact(FactKey::Hostname, b"etl", FactSource::OciBundle),
        ],
    }
}

fn incident_record() -> ContainerRecord {
    let id = b"7f9c0b2d4e6a81c3f5970d1b2a4c6e8f0123456789abcdef0123456789abcdef";
    record(INCIDENT, id, b"batch-job-7f9c", b"reg.example/batch:1.4", 0, Some(39_480))
}

fn sibling_record() -> ContainerRecord {
    let id = b"81aa4c6e8f0123456789abcdef0123456789abcdef7f9c0b2d4e6a81c3f5970d";
    record(SIBLING, id, b"batch-job-81aa", b"reg.example/batch:1.4", 50_000, Some(81_000))
}

fn running_record() -> ContainerRecord {
    let id = b"c0ffee0123456789abcdef0123456789abcdef7f9c0b2d4e6a81c3f5970d81aa";
    record(RUNNING, id, b"web-frontend", b"reg.example/web:7", 10_000, None)
}

fn hostile_record() -> ContainerRecord {
    let id = b"dead\x1b]0;own\x07beef";
    let mut record =
        record(HOSTILE, id, HOSTILE_TEXT, b"img\x1b[31m\xff:\xe2\x80\xae1", 90_000, Some(92_000));
    record.cgroup_path = [b"/x/".as_slice(), HOSTILE_TEXT].concat();
    record
}

/// What a terminal must never get: a clipboard write, a title, clearing, C1, bidi, zero width, line ends, invalid UTF-8.
pub(crate) const HOSTILE_TEXT: &[u8] =
    b"a\x1b]52;c;cm0gLXJmIC8=\x07\x1b]0;own\x07\x1b[2J\xc2\x9b31m\xe2\x80\xaetxt.exe\xe2\x80\x8b\r\n\t\xff\x08end";

/// Writes the stage into a store at `dir`.
pub(crate) fn write_store(dir: &Path, staged: &Staged) {
    let mut writer = open_store(dir);
    writer.put_clock(staged.clock).expect("clock");
    for record in &staged.containers {
        writer.put_container(record).expect("container");
    }
    for (uid, event) in &staged.events {
        event.with(|event| writer.push(*uid, event)).expect("event");
    }
    for loss in &staged.losses {
        writer.put_loss(loss).expect("loss");
    }
    writer.seal().expect("sealed");
}

/// A store that is written to.
pub(crate) fn open_store(dir: &Path) -> StoreWriter {
    StoreWriter::open(dir, origin(), options()).expect("a store")
}

fn origin() -> Origin {
    Origin {
        store_uuid: [7; 16],
        boot_id: [9; 16],
        hostname: b"node-7".to_vec(),
        kernel: b"6.18.0".to_vec(),
        machine: b"x86_64".to_vec(),
        degraded: Vec::new(),
        recorder: b"0.1.0".to_vec(),
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        block_age: 10_000_000_000,
        sync_interval: 0,
        classify: afterimage_model::class::classify,
        ..StoreOptions::default()
    }
}

/// Writes what came to the recorder: an alert about the incident, one about nobody, and a hostile one.
#[allow(dead_code, reason = "not every test that has the stage has alerts")]
pub(crate) fn write_triggers(dir: &Path) {
    let hostile = String::from_utf8_lossy(HOSTILE_TEXT);
    let covered = |uid: ContainerUid, complete: bool| serde_json::json!([{"uid": uid.0, "pin": format!("p-{}", uid.0), "complete": complete}]);
    let line = |id: &str, time: &str, rule: &str, (state, containers): (&str, serde_json::Value)| {
        serde_json::json!({"kind": "trigger", "id": id, "source": "falco", "priority": "critical", "rule": rule,
            "reason": "", "time": time, "state": state, "containers": containers})
    };
    let none = || ("queued", serde_json::json!([]));
    let lines = [
        serde_json::json!({"kind": "body", "sha256": "5ha", "length": 2, "text": "{}"}),
        line("t-1a2b", "2026-11-21T11:58:21.5Z", "Drop and execute new binary in container", none()),
        line("t-3c4d", "2026-11-21T11:59:02Z", "PodCPUThrottled", ("unmatched", serde_json::json!([]))),
        line("t-5e6f", "2026-11-21T11:59:33Z", &hostile, ("pinned", covered(HOSTILE, false))),
        // The last line of an id counts.
        line(
            "t-1a2b",
            "2026-11-21T11:58:21.5Z",
            "Drop and execute new binary in container",
            ("pinned", covered(INCIDENT, true)),
        ),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    // A crash cut the last line off.
    std::fs::write(dir.join("triggers.jsonl"), text + "{\"kind\":\"trig").expect("triggers");
}
