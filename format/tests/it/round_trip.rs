//! What is written is what is read.

use afterimage_format::{
    BootNanos, ClockPair, ContainerRecord, ContainerUid, DefectKind, Engine, EventCode, EventFlags, Fact,
    FactKey, FactSource, FieldFlags, FieldTag, Loss, LossCause, OwnedEvent, OwnedField, Query, Recording,
    StoreWriter, TaskKey, extract,
};
use proptest::prelude::*;

use crate::generate::{Row, assert_same, events, options, origin, push_all, read, read_path, writer};

fn container(uid: u64) -> ContainerRecord {
    ContainerRecord {
        uid: ContainerUid(uid),
        engine: Engine::Docker,
        id: format!("{uid:064x}").into_bytes(),
        cgroup_path: format!("/docker/{uid:064x}").into_bytes(),
        preexisting: false,
        ..ContainerRecord::host(BootNanos(uid))
    }
}

#[test]
fn a_sealed_store_has_every_event_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(1, 40_000, 5);
    let mut store = writer(dir.path());
    for chunk in rows.chunks(700) {
        push_all(&mut store, chunk);
        store.commit(chunk.last().unwrap().1.time).unwrap();
    }
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert!(!recording.unsealed());
    assert!(recording.defects().is_empty(), "{:?}", recording.defects());
    assert_eq!(recording.origin(), &origin());
    assert_eq!(recording.count_hint(&Query::default()), 40_000);
    assert!(recording.blocks().iter().all(|b| b.rows <= 16_384));
    assert_eq!(recording.time_range(), recording.sealed_range());
    assert_same(read(&recording, &Query::default()), rows);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5, "STORE, lock, key, catalog, one segment");
}

#[test]
fn a_store_can_be_read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(2, 20_000, 3);
    let mut store = writer(dir.path());
    let mut recording = Recording::open(dir.path()).unwrap();
    let mut seen = 0;
    for chunk in rows.chunks(1000) {
        push_all(&mut store, chunk);
        store.commit(chunk[0].1.time).unwrap();
        seen += chunk.len();
        assert!(recording.refresh().unwrap());
        assert!(!recording.refresh().unwrap(), "nothing more was written");
        assert!(recording.unsealed());
        assert_eq!(read(&recording, &Query::default()).len(), seen);
        assert!(recording.defects().is_empty(), "{:?}", recording.defects());
    }
    store.seal().unwrap();
    assert!(recording.refresh().unwrap());
    assert_same(read(&recording, &Query::default()), rows);
}

#[test]
fn segments_rotate_and_each_repeats_its_containers() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(3, 30_000, 2);
    let small = afterimage_format::StoreOptions { segment_bytes: 60_000, block_age: 2_000_000, ..options() };
    let mut store = StoreWriter::open(dir.path(), origin(), small).unwrap();
    store.put_container(&container(1)).unwrap();
    for chunk in rows.chunks(500) {
        push_all(&mut store, chunk);
        store.commit(chunk.last().unwrap().1.time).unwrap();
    }
    store.seal().unwrap();
    assert_same(read_path(dir.path()), rows);
    let mut segments = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "aft") {
            segments += 1;
            let recording = Recording::open(&path).unwrap();
            assert_eq!(recording.origin(), &origin());
            for summary in recording.containers().iter().filter(|s| s.record.uid.0 == 1) {
                assert_eq!(summary.record, container(1), "{}", path.display());
            }
        }
    }
    assert!(segments > 3, "{segments}");
}

#[test]
fn records_gaps_and_clocks_come_back_once_and_facts_accumulate() {
    let dir = tempfile::tempdir().unwrap();
    let fact = |key, value: &[u8]| Fact {
        key,
        value: value.to_vec(),
        source: FactSource::OciBundle,
        time: BootNanos(3),
    };
    let loss = Loss {
        container: Some(ContainerUid(4)),
        cause: LossCause::RingFull,
        cpu: Some(1),
        from: BootNanos(5),
        to: BootNanos(6),
        count: Some(70),
    };
    let mut store = writer(dir.path());
    let first = ContainerRecord { facts: vec![fact(FactKey::Name, b"a")], ..container(4) };
    store.put_container(&first).unwrap();
    store.put_loss(&loss).unwrap();
    store.finish_container(ContainerUid(4)).unwrap();
    let second = ContainerRecord {
        facts: vec![fact(FactKey::Image, b"b")],
        removed: Some(BootNanos(90)),
        ..container(4)
    };
    store.put_container(&second).unwrap();
    store.put_loss(&Loss { container: None, count: None, cause: LossCause::RecorderDown, ..loss }).unwrap();
    store.put_clock(ClockPair { boot: BootNanos(10), real: 1000 }).unwrap();
    store.commit(BootNanos(10)).unwrap();
    let check = |recording: &Recording| {
        assert_eq!(recording.containers().len(), 1);
        let summary = &recording.containers()[0];
        assert_eq!(summary.lost, 70);
        assert_eq!(summary.record.removed, Some(BootNanos(90)));
        assert_eq!(summary.record.facts.len(), 2);
        assert_eq!(recording.losses().len(), 2);
        assert_eq!(recording.clock().real(BootNanos(15)), Some(1005));
    };
    check(&Recording::open(dir.path()).unwrap());
    assert_eq!(store.next_uid(), ContainerUid(5));
    store.seal().unwrap();
    check(&Recording::open(dir.path()).unwrap());
    let again = writer(dir.path());
    assert_eq!(again.next_uid(), ContainerUid(5));
}

#[test]
fn an_extract_has_its_containers_and_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = events(5, 9000, 3);
    for (uid, event) in &mut rows {
        let secret = format!("/secret/of/{}", uid.0).into_bytes();
        event.fields.push(OwnedField {
            tag: FieldTag::TARGET,
            flags: FieldFlags(0),
            full_len: secret.len() as u32,
            bytes: secret,
        });
    }
    let mut store = writer(dir.path());
    (0..3).for_each(|uid| store.put_container(&container(uid)).unwrap());
    store.put_clock(ClockPair { boot: BootNanos(10), real: 1000 }).unwrap();
    push_all(&mut store, &rows[..6000]);
    (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
    push_all(&mut store, &rows[6000..]);
    store.commit(BootNanos(0)).unwrap();
    let out = dir.path().join("one.aftx");
    let recording = Recording::open(dir.path()).unwrap();
    let report = extract(&recording, &[ContainerUid(1)], &out).unwrap();
    let wanted: Vec<Row> = rows.iter().filter(|(uid, _)| uid.0 == 1).cloned().collect();
    assert_eq!(report.events, wanted.len() as u64);
    let extracted = Recording::open(&out).unwrap();
    assert_same(read(&extracted, &Query::default()), wanted);
    assert_eq!(extracted.containers().len(), 1);
    assert_eq!(extracted.containers()[0].record, container(1));
    assert_eq!(extracted.clock().pairs().len(), 1);
    assert_eq!(extracted.origin(), &origin());
    assert!(extracted.defects().is_empty() && !extracted.unsealed());
    assert!(extract(&recording, &[ContainerUid(1)], &out).is_err(), "never over an existing file");
    assert!(extract(&recording, &[ContainerUid(77)], &dir.path().join("none.aftx")).is_err());
    assert!(!dir.path().join("none.aftx").exists());
}

#[test]
fn a_query_takes_its_containers_and_its_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(6, 20_000, 4);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    let (begin, end) = (rows[4000].1.time, rows[15_000].1.time);
    let query =
        Query { containers: vec![ContainerUid(0), ContainerUid(3)], begin: Some(begin), end: Some(end) };
    let wanted = rows
        .into_iter()
        .filter(|(uid, e)| (uid.0 == 0 || uid.0 == 3) && e.time >= begin && e.time <= end)
        .collect();
    assert_same(read(&recording, &query), wanted);
}

#[test]
fn times_of_a_later_boot_lie_behind_those_of_the_earlier() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(7, 500, 2);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    store.commit(BootNanos(0)).unwrap();
    drop(store);
    let rebooted = afterimage_format::Origin { boot_id: [9; 16], ..origin() };
    let mut store = StoreWriter::open(dir.path(), rebooted, options()).unwrap();
    push_all(&mut store, &rows);
    store.seal().unwrap();
    let found = read_path(dir.path());
    assert_eq!(found.len(), 1000);
    assert!(found.is_sorted_by_key(|(_, event)| event.time));
    assert_same(found[..500].to_vec(), rows.clone());
    let base = found[500].1.time.0 - rows[0].1.time.0;
    for (late, early) in found[500..].iter().zip(&found[..500]) {
        assert_eq!(late.1.time.0, early.1.time.0 + base);
        assert_eq!(late.1.task.start.0, early.1.task.start.0 + base, "starts move with it");
    }
}

prop_compose! {
    fn any_field()(
        tag in 0u8..20,
        flags in any::<u8>(),
        full_len in any::<u32>(),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        odd in 0u8..10,
    ) -> OwnedField {
        let full_len = if odd == 0 { full_len } else { bytes.len() as u32 };
        OwnedField { tag: FieldTag(tag), flags: FieldFlags(if odd < 2 { flags } else { 0 }), full_len, bytes }
    }
}

prop_compose! {
    fn any_event()(
        time in 0u64..2000,
        far in prop::option::weighted(0.02, any::<u64>()),
        duration in prop::option::weighted(0.1, any::<u64>()),
        tgid in prop_oneof![0u32..3, any::<u32>()],
        tid in prop_oneof![0u32..3, any::<u32>()],
        start in 0u64..3,
        code in prop_oneof![0u16..5, any::<u16>()],
        numbers in (any::<u32>(), any::<u16>(), prop_oneof![-20i64..300, any::<i64>()]),
        args in prop::collection::vec(prop_oneof![0u64..9, any::<u64>()], 0..=48),
        fields in prop::collection::vec(any_field(), 0..=16),
        plain in any::<bool>(),
    ) -> OwnedEvent {
        let short = if plain { 2 } else { 48 };
        OwnedEvent {
            time: BootNanos(far.unwrap_or(time)),
            duration,
            task: TaskKey { tgid, tid, start: BootNanos(start) },
            code: EventCode(code),
            flags: EventFlags(if plain { 0 } else { numbers.0 }),
            cpu: numbers.1,
            ret: numbers.2,
            args: args.into_iter().take(short).collect(),
            fields: fields.into_iter().take(if plain { 1 } else { 16 }).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the events are, they come back: from the stage, from a sealed segment, from an extract.
    #[test]
    fn any_events_come_back(
        rows in prop::collection::vec((0u64..3, any_event()), 1..120),
        cut_at in any::<prop::sample::Index>(),
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(uid, event)| (ContainerUid(uid), event)).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut store = writer(&dir.path().join("store"));
        let (before, after) = rows.split_at(cut_at.index(rows.len()));
        push_all(&mut store, before);
        store.finish_container(ContainerUid(1)).unwrap();
        push_all(&mut store, after);
        store.commit(BootNanos(0)).unwrap();
        let path = dir.path().join("store");
        let live = Recording::open(&path).unwrap();
        prop_assert!(live.defects().is_empty());
        assert_same(read(&live, &Query::default()), rows.clone());
        store.seal().unwrap();
        let sealed = Recording::open(&path).unwrap();
        prop_assert!(sealed.defects().is_empty());
        assert_same(read(&sealed, &Query::default()), rows.clone());
        let out = dir.path().join("all.aftx");
        let uids: Vec<_> = sealed.containers().iter().map(|c| c.record.uid).collect();
        extract(&sealed, &uids, &out).unwrap();
        let copy = Recording::open(&out).unwrap();
        prop_assert!(copy.defects().iter().all(|d| d.kind != DefectKind::Corrupt));
        assert_same(read(&copy, &Query::default()), rows);
    }
}
