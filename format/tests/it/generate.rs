//! Events that look like a recorder's, from a seed; a store filled with them; and what a reader should say of it.

use std::{ops::ControlFlow, path::Path};

use afterimage_format::{
    BootNanos, Class, ContainerUid, Event, EventCode, EventFlags, FieldFlags, FieldTag, Origin, OwnedEvent,
    OwnedField, Query, Recording, StateDue, StoreOptions, StoreWriter, TaskKey,
};

/// An event and whose it is.
pub(crate) type Row = (ContainerUid, OwnedEvent);

pub(crate) fn origin() -> Origin {
    Origin {
        store_uuid: [7; 16],
        boot_id: [8; 16],
        hostname: b"host\x1b[2J".to_vec(),
        kernel: b"6.18.44".to_vec(),
        machine: b"x86_64".to_vec(),
        degraded: vec![b"no fork hook".to_vec()],
        recorder: b"0.1.0".to_vec(),
    }
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions { classify, ..StoreOptions::default() }
}

/// A class by the code alone.
pub(crate) fn classify(event: &Event<'_>) -> Class {
    match event.code.0 {
        0 | 257 => Class::File,
        1 => Class::FileWrite,
        42 => Class::Net,
        0x8002 => Class::Exec,
        _ => Class::Other,
    }
}

pub(crate) fn writer(dir: &Path) -> StoreWriter {
    StoreWriter::open(dir, origin(), options()).unwrap()
}

/// Numbers that follow from a seed (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn field(tag: FieldTag, bytes: &[u8], full_len: u32) -> OwnedField {
    let cut = full_len as usize > bytes.len();
    let flags = if cut { FieldFlags::TRUNCATED } else { FieldFlags(0) };
    OwnedField { tag, flags, full_len, bytes: bytes.to_vec() }
}

/// `count` events of `containers` containers in order of time.
pub(crate) fn events(seed: u64, count: usize, containers: u64) -> Vec<Row> {
    let mut random = Random::new(seed);
    let mut time = 1_000_000_000 + random.below(1000);
    (0..count)
        .map(|_| {
            time += random.below(5000) * random.below(2);
            let uid = random.below(containers);
            (ContainerUid(uid), event(&mut random, uid, time))
        })
        .collect()
}

fn event(random: &mut Random, uid: u64, time: u64) -> OwnedEvent {
    let tid = 100 * (uid as u32 + 1) + random.below(4) as u32;
    let mut event = OwnedEvent {
        time: BootNanos(time),
        duration: None,
        task: TaskKey { tgid: 100 * (uid as u32 + 1), tid, start: BootNanos(u64::from(tid) * 1000) },
        code: EventCode([0, 1, 3, 42, 257, 0x8002][random.below(6) as usize]),
        flags: EventFlags(if random.below(50) == 0 { 1 } else { 0 }),
        cpu: random.below(2) as u16,
        ret: random.below(200) as i64 - 20,
        args: Vec::new(),
        fields: Vec::new(),
    };
    match event.code.0 {
        0 | 1 => {
            event.args = vec![random.below(20), 0x7f00_0000_0000 | random.below(1 << 30), 4096];
            let moved = event.ret.max(0) as u32;
            let kept = vec![b'x'; (moved as usize).min(80)];
            event.fields = vec![field(FieldTag::PAYLOAD, &kept, moved)];
        }
        257 => {
            event.args = vec![u64::MAX - 99, random.next(), 0x8_0000, 0];
            let path = format!("/usr/lib/lib{}.so\u{202e}", random.below(40)).into_bytes();
            event.fields = vec![field(FieldTag::PATH, &path, path.len() as u32)];
            if event.ret >= 0 {
                event.fields.push(field(FieldTag::KPATH, &path, path.len() as u32));
            }
        }
        42 => {
            event.args = vec![3, random.next(), 16];
            event.fields = vec![field(FieldTag::SOCKADDR, &[2, 0, 0, 53, 127, 0, 0, 1], 16)];
        }
        0x8002 => {
            event.args = (0..32).map(|i| if i % 5 == 0 { u64::MAX } else { random.below(1000) }).collect();
            event.fields =
                vec![field(FieldTag::ARGV, b"sh\0-c\0\x1b[31m\0", 11), field(FieldTag::CWD, b"", 0)];
        }
        _ => event.args = vec![random.below(20)],
    }
    event
}

/// Stands for the state of a container before a row.
pub(crate) fn state_before(row: &Row) -> Vec<u8> {
    format!("{} before {}", row.0.0, row.1.time.0).into_bytes()
}

pub(crate) fn push(writer: &mut StoreWriter, row: &Row) {
    if matches!(writer.state_due(row.0), StateDue::Now { .. }) {
        let state = state_before(row);
        writer.push_state(row.0, &state, state.len()).unwrap();
    }
    row.1.with(|event| writer.push(row.0, event)).unwrap();
}

pub(crate) fn push_all(writer: &mut StoreWriter, rows: &[Row]) {
    rows.iter().for_each(|row| push(writer, row));
}

/// What a reader finds, in its order.
pub(crate) fn read(recording: &Recording, query: &Query) -> Vec<Row> {
    let mut rows = Vec::new();
    recording
        .for_each(query, &mut |container, event| {
            rows.push((container, OwnedEvent::from_event(event)));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

pub(crate) fn read_path(path: &Path) -> Vec<Row> {
    read(&Recording::open(path).unwrap(), &Query::default())
}

/// Rows in an order that does not depend on how ties of time were broken; each container's and task's order is kept.
pub(crate) fn normal(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|(uid, event)| (event.time, *uid, event.task));
    rows
}

/// Asserts that both have the same rows, and that `found` is in order of time.
pub(crate) fn assert_same(found: Vec<Row>, wanted: Vec<Row>) {
    assert!(found.is_sorted_by_key(|(_, event)| event.time), "rows out of order");
    assert_eq!(found.len(), wanted.len());
    let (found, wanted) = (normal(found), normal(wanted));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
}
