//! A disk that refuses, of every kind and at every call.

use std::{ops::ControlFlow, sync::mpsc};

use super::*;
use crate::{
    Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, Origin, Query, Recording, StoreOptions,
    TaskKey, VerifyOptions,
    file::fault::{self, Call, Fault},
    verify,
};

/// Numbers of errors: no space, I/O, read-only file system, quota.
const ERRORS: [i32; 4] = [28, 5, 30, 122];

fn origin() -> Origin {
    Origin { store_uuid: [1; 16], boot_id: [2; 16], ..Origin::default() }
}

fn classify(event: &Event<'_>) -> Class {
    if event.code.0 == 59 { Class::Exec } else { Class::File }
}

fn open(dir: &std::path::Path, reserve_bytes: u64) -> StoreWriter {
    let options = StoreOptions {
        // So much that nothing is given up for a full disk.
        budget_bytes: 1 << 30,
        segment_bytes: 16 << 10,
        block_age: 1000,
        sync_interval: 0,
        reserve_bytes,
        classify,
        ..StoreOptions::default()
    };
    StoreWriter::open(dir, origin(), options).unwrap()
}

/// Pushes `count` events from number `first` on, ten between two commits; gives how many were taken.
fn push(store: &mut StoreWriter, first: u64, count: u64) -> u64 {
    let mut taken = 0;
    for number in first..first + count {
        // Bytes that do not compress, so that segments fill up.
        let mut noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let path: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(100)
        .collect();
        let fields = [Field { tag: FieldTag::PATH, flags: FieldFlags(0), full_len: 100, bytes: &path }];
        let event = Event {
            time: BootNanos(1000 + number * 100),
            duration: None,
            task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
            code: EventCode(if number % 4 == 0 { 59 } else { 257 }),
            flags: EventFlags(0),
            cpu: 0,
            ret: number as i64,
            args: &[number],
            fields: &fields,
        };
        taken += u64::from(store.push(ContainerUid(1 + number % 3), &event).is_ok());
        if number % 10 == 9 {
            // What fails here is told by the events refused.
            let _ = store.commit(event.time);
        }
    }
    taken
}

/// Events and losses that a reader finds.
fn found(dir: &std::path::Path) -> (u64, u64) {
    let recording = Recording::open(dir).unwrap();
    let mut events = 0;
    let count = &mut |_, _: &Event<'_>| {
        events += 1;
        ControlFlow::Continue(())
    };
    recording.for_each(&Query::default(), count).unwrap();
    let full = recording.losses().iter().filter(|loss| loss.cause == LossCause::DiskFull);
    let lost = full.map(|loss| loss.count.unwrap()).sum();
    (events, lost)
}

#[test]
fn whatever_the_disk_refuses_is_counted_exactly_and_recording_goes_on_when_it_takes_again() {
    let mut stopped = 0;
    for call in [None, Some(Call::Create), Some(Call::Write), Some(Call::Sync)] {
        for (case, errno) in ERRORS.into_iter().cycle().take(12).enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path(), 0);
            let before = push(&mut store, 0, 200);
            assert_eq!(before, 200);
            fault::set(Some(Fault { call, after: case as u64 * 3, errno }));
            let during = push(&mut store, 200, 1000);
            stopped += u64::from(store.space() == Space::Stopped);
            fault::set(None);
            store.commit(BootNanos(1_000_000)).unwrap();
            assert_eq!(store.space(), Space::Enough, "{call:?} {errno}");
            let after = push(&mut store, 1200, 200);
            assert_eq!(after, 200, "loss ends with the fault: {call:?} {errno}");
            let refused = store.stats().refused;
            assert_eq!(refused, 1000 - during, "{call:?} {errno}");
            store.seal().unwrap();
            assert_eq!(found(dir.path()), (400 + during, refused), "{call:?} {errno} case {case}");
            let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
            assert!(report.is_good(), "{call:?} {errno} case {case}: {:?}", report.first_damage());
        }
    }
    assert!(stopped >= 40, "{stopped} of 48 cases stopped the writer");
}

#[test]
fn what_was_taken_survives_a_kill_while_the_disk_refuses() {
    for errno in ERRORS {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), 0);
        push(&mut store, 0, 400);
        fault::set(Some(Fault { call: None, after: 7, errno }));
        push(&mut store, 400, 400);
        // A kill: nothing is written any more.
        drop(store);
        fault::set(None);
        assert!(found(dir.path()).0 >= 400, "{errno}");
        let store = open(dir.path(), 0);
        store.seal().unwrap();
        let (events, _) = found(dir.path());
        assert!(events >= 400, "{errno}");
        let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_good(), "{errno}: {:?}", report.first_damage());
    }
}

#[test]
fn a_disk_that_fills_up_is_met_in_three_stages_and_left_with_room_to_spare() {
    let dir = tempfile::tempdir().unwrap();
    fault::set_free(Some(1000));
    let mut store = open(dir.path(), 100);
    let mut number = 0;
    let mut step = |free: u64| {
        fault::set_free(Some(free));
        store.commit(BootNanos(0)).unwrap();
        let refused = store.stats().refused;
        let taken = push(&mut store, number, 40);
        number += 40;
        assert_eq!(store.stats().refused - refused, 40 - taken);
        (store.space(), taken)
    };
    assert_eq!(step(1000), (Space::Enough, 40));
    assert_eq!(step(199), (Space::Low, 40));
    assert_eq!(step(99), (Space::Shedding, 10), "programs are recorded");
    assert_eq!(step(24), (Space::Stopped, 0));
    assert_eq!(step(49), (Space::Stopped, 0), "not at once");
    assert_eq!(step(50), (Space::Shedding, 10));
    assert_eq!(step(124), (Space::Shedding, 10));
    assert_eq!(step(125), (Space::Low, 40));
    assert_eq!(step(225), (Space::Enough, 40));
    let refused = store.stats().refused;
    store.seal().unwrap();
    fault::set_free(None);
    assert_eq!(found(dir.path()), (9 * 40 - refused, refused));
}

#[test]
fn what_is_refused_is_told_at_each_commit_although_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let (losses, told) = mpsc::channel();
    fault::set_free(Some(1000));
    let mut store = open(dir.path(), 100);
    store.options.losses = Some(losses);
    let news = || -> Vec<Loss> { told.try_iter().collect() };
    let refused = || -> u64 {
        let news = news().into_iter().inspect(|loss| assert_eq!(loss.cause, LossCause::DiskFull));
        news.map(|loss| loss.count.unwrap()).sum()
    };
    fault::set_free(Some(10));
    store.commit(BootNanos(0)).unwrap();
    assert_eq!(push(&mut store, 0, 40), 0);
    store.commit(BootNanos(0)).unwrap();
    assert_eq!(refused(), 40);
    assert_eq!(push(&mut store, 40, 2), 0);
    store.commit(BootNanos(0)).unwrap();
    assert_eq!(refused(), 2, "what is new since");
    fault::set_free(Some(1000));
    store.commit(BootNanos(0)).unwrap();
    assert_eq!(store.space(), Space::Enough);
    assert_eq!(news(), [], "that it is written now is no news");
    let loss = Loss {
        container: None,
        cause: LossCause::RecorderDown,
        cpu: None,
        from: BootNanos(1),
        to: BootNanos(2),
        count: None,
    };
    store.put_loss(&loss).unwrap();
    assert_eq!(news(), [loss]);
    store.seal().unwrap();
    fault::set_free(None);
    assert_eq!(found(dir.path()), (0, 42));
}
