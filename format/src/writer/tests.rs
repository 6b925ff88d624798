use std::path::Path;

use super::*;
use crate::{
    EventCode, EventFlags, Pin, TaskKey,
    block::kind,
    reader::scan,
    stage::file::StageFile,
    store::{SEGMENTS, STAGES},
};

fn origin() -> Origin {
    Origin { boot_id: [1; 16], ..Origin::default() }
}

/// Pushes so many events, each a microsecond after the one before.
fn push(store: &mut StoreWriter, uid: u64, rows: usize) {
    for _ in 0..rows {
        let event = Event {
            time: BootNanos(1000 * (store.stats().events + 1)),
            duration: None,
            task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
            code: EventCode(39),
            flags: EventFlags(0),
            cpu: 0,
            ret: 1,
            args: &[],
            fields: &[],
        };
        store.push(ContainerUid(uid), &event).unwrap();
    }
}

#[test]
fn containers_that_have_ended_are_let_go_of_and_what_comes_late_goes_on() {
    const MANY: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let mut store = StoreWriter::open(dir.path(), origin(), StoreOptions::default()).unwrap();
    for uid in 1..=MANY {
        push(&mut store, uid, 3);
        store.finish_container(ContainerUid(uid)).unwrap();
    }
    push(&mut store, MANY + 1, 3);
    store.commit(BootNanos(1_000_000_000)).unwrap();
    let uids = |store: &StoreWriter| store.containers.iter().map(|(uid, _)| uid).collect::<Vec<u64>>();
    assert_eq!(uids(&store), [MANY + 1]);
    // Its state is nobody's any more.
    assert_eq!(store.state_due(ContainerUid(7)), StateDue::NotNow);
    push(&mut store, 7, 2);
    assert_eq!(store.state_due(ContainerUid(7)), StateDue::NotNow);
    store.seal().unwrap();
    // The next writer knows of them as well.
    let mut store = StoreWriter::open(dir.path(), origin(), StoreOptions::default()).unwrap();
    assert_eq!(uids(&store), []);
    push(&mut store, 7, 1);
    assert_eq!(store.state_due(ContainerUid(8)), StateDue::NotNow);
    assert_eq!(uids(&store), [7]);
    store.seal().unwrap();
    let recording = crate::Recording::open(dir.path()).unwrap();
    assert_eq!(recording.defects(), []);
    let own = |uid| recording.blocks().iter().filter(move |block| block.container == ContainerUid(uid));
    let rows: Vec<(u64, u32)> = own(7).map(|block| (block.first_row, block.rows)).collect();
    assert_eq!(rows, [(0, 3), (3, 2), (5, 1)]);
    assert_eq!(own(8).map(|block| block.rows).sum::<u32>(), 3);
}

#[test]
fn what_retention_removed_whole_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 2 << 20, segment_bytes: 1 << 17, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir.path(), origin(), options).unwrap();
    let (mut gone, mut uid) = (Vec::new(), 0);
    while gone.len() < 100 {
        uid += 1;
        assert!(uid < 100_000, "nothing goes");
        push(&mut store, uid, 3);
        store.finish_container(ContainerUid(uid)).unwrap();
        store.commit(BootNanos(1000 * store.stats().events)).unwrap();
        gone.extend(store.take_gone());
    }
    store.seal().unwrap();
    let recording = crate::Recording::open(dir.path()).unwrap();
    let mut once = gone.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), gone.len());
    assert!(recording.blocks().iter().all(|block| !gone.contains(&block.container)));
}

#[test]
fn the_oldest_event_is_that_of_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 1 << 20, segment_bytes: 1 << 16, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir.path(), origin(), options).unwrap();
    assert_eq!(store.oldest_event(), None);
    push(&mut store, 1, 3);
    store.cut(1, 0).unwrap();
    assert_eq!(store.oldest_event(), Some(BootNanos(1000)));
    while store.stats().evicted_events < 1000 {
        push(&mut store, 1, 3);
        store.cut(1, 0).unwrap();
        store.commit(BootNanos(1000 * store.stats().events)).unwrap();
    }
    let told = store.oldest_event();
    store.seal().unwrap();
    let recording = crate::Recording::open(dir.path()).unwrap();
    assert_eq!(told, recording.blocks().iter().map(|block| block.first).min());
    assert!(told > Some(BootNanos(1_000_000)));
}

#[test]
fn nothing_was_removed_since_the_youngest_event_that_was_however_old_the_oldest_is() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 1 << 20, segment_bytes: 1 << 16, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir.path(), origin(), options).unwrap();
    assert_eq!(store.whole_since(), None);
    store.pin(Pin { id: "p".to_owned(), containers: vec![ContainerUid(2)], ..Pin::default() }).unwrap();
    push(&mut store, 2, 3);
    store.cut(2, 0).unwrap();
    let first = store.oldest_event();
    assert_eq!(store.whole_since(), first);
    while store.stats().evicted_events < 1000 {
        push(&mut store, 1, 3);
        store.cut(1, 0).unwrap();
        store.commit(BootNanos(1000 * store.stats().events)).unwrap();
    }
    let (oldest, whole) = (store.oldest_event(), store.whole_since());
    store.seal().unwrap();
    let removed = crate::Recording::open(dir.path()).unwrap().eviction(ContainerUid(1)).unwrap().until;
    assert_eq!((oldest, whole), (first, Some(removed)));
}

#[test]
fn a_removal_that_could_not_be_told_is_told_later_and_nothing_is_there_twice() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { budget_bytes: 1 << 20, segment_bytes: 1 << 16, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir.path(), origin(), options).unwrap();
    store.pin(Pin { id: "p".to_owned(), containers: vec![ContainerUid(1)], ..Pin::default() }).unwrap();
    store.keeping.refuses = true;
    let (mut refused, mut kept) = (0, 0);
    let mut all = 0;
    for round in 0..20_000 {
        let uid = 1 + u64::from(round % 50 > 0);
        push(&mut store, uid, 3);
        all += 3;
        kept += if uid == 1 { 3 } else { 0 };
        store.cut(uid, 0).unwrap();
        match store.commit(BootNanos(1000 * store.stats().events)) {
            Ok(()) if refused > 0 && store.stats().evicted_events > 1000 => break,
            Ok(()) => {}
            Err(_) => {
                refused += 1;
                // It tries again when it looks at the disk.
                while store.space() == Space::Stopped {
                    std::thread::sleep(Duration::from_millis(20));
                    let _ = store.commit(BootNanos(1000 * store.stats().events));
                }
            }
        }
    }
    assert_eq!(refused, 1);
    assert!(store.stats().evicted_events > 1000);
    store.seal().unwrap();
    let recording = crate::Recording::open(dir.path()).unwrap();
    let rows = |uid| {
        let own = recording.blocks().iter().filter(move |block| block.container == ContainerUid(uid));
        own.map(|block| u64::from(block.rows)).sum::<u64>()
    };
    assert_eq!(rows(1), kept, "of the pinned container");
    assert_eq!(rows(1) + rows(2) + recording.evictions().iter().map(|lost| lost.events).sum::<u64>(), all);
    assert!(recording.defects().is_empty(), "{:?}", recording.defects());
    let report = crate::verify(dir.path(), &crate::VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{report:?}");
}

/// Copies files of `from` that are not in `to`.
fn copy_missing(from: &Path, to: &Path) {
    let _ = std::fs::create_dir(to);
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copy = to.join(entry.file_name());
        if !copy.exists() {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

/// Rows that a reader finds of containers 1 and 2, and how many of 2 were removed; nothing is damaged.
fn good_rows(dir: &Path) -> (u64, u64, u64) {
    let report = crate::verify(dir, &crate::VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
    let recording = crate::Recording::open(dir).unwrap();
    let rows = |uid| {
        let own = recording.blocks().iter().filter(move |block| block.container == ContainerUid(uid));
        own.map(|block| u64::from(block.rows)).sum::<u64>()
    };
    (rows(1), rows(2), recording.eviction(ContainerUid(2)).map_or(0, |eviction| eviction.events))
}

#[test]
fn a_crash_in_the_middle_of_a_removal_is_no_damage_and_nothing_is_there_twice_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let [live, image] = ["live", "image"].map(|name| dir.path().join(name));
    let options = StoreOptions { budget_bytes: 1 << 20, segment_bytes: 1 << 16, ..StoreOptions::default() };
    let open = |dir| StoreWriter::open(dir, origin(), options.clone()).unwrap();
    let mut store = open(&live);
    store.pin(Pin { id: "p".to_owned(), containers: vec![ContainerUid(1)], ..Pin::default() }).unwrap();
    store.keeping.refuses = true;
    let (mut pinned, mut others) = (0, 0);
    for round in 0.. {
        let uid = 1 + u64::from(round % 50 > 0);
        *(if uid == 1 { &mut pinned } else { &mut others }) += 3;
        push(&mut store, uid, 3);
        store.cut(uid, 0).unwrap();
        if store.commit(BootNanos(1000 * store.stats().events)).is_err() {
            break;
        }
    }
    drop(store);
    let last = SEGMENTS.path(&live, *SEGMENTS.list(&live).unwrap().last().unwrap());
    let loaded = scan::walk(&last, true).unwrap();
    let told = *loaded.entries.last().unwrap();
    assert_eq!(told.kind, kind::KEEPING, "it was told and not signed");
    // Cut before it was told, in the middle of that, and before it was signed.
    for end in [told.offset, told.offset + 100, told.end()] {
        let _ = std::fs::remove_dir_all(&image);
        copy_missing(&live, &image);
        let file = std::fs::File::options().write(true).open(image.join(last.file_name().unwrap())).unwrap();
        file.set_len(end).unwrap();
        drop(file);
        let (one, two, _) = good_rows(&image);
        assert_eq!((one, two), (pinned, others), "cut at {end}");
        let mut next = open(&image);
        // What was not signed is not finished, but begun again when there is need.
        let mut more = 0;
        while next.stats().evicted_events == 0 {
            push(&mut next, 2, 3);
            more += 3;
            next.cut(2, 0).unwrap();
            next.commit(BootNanos(1_000_000_000 + more)).unwrap();
        }
        next.seal().unwrap();
        let (one, two, gone) = good_rows(&image);
        assert_eq!((one, two + gone), (pinned, others + more), "cut at {end}, and after the next writer");
        assert!(gone > 0);
        // The next one was killed before it removed them.
        copy_missing(&live, &image);
        std::fs::remove_file(image.join(crate::catalog::NAME)).unwrap();
        assert_eq!(good_rows(&image).0, pinned);
    }
}

#[test]
fn containers_that_have_ended_or_are_quiet_hold_no_room_for_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = StoreWriter::open(dir.path(), origin(), StoreOptions::default()).unwrap();
    let held = |store: &StoreWriter, uids: std::ops::Range<u64>| -> usize {
        uids.map(|uid| store.containers.get(uid).map_or(0, |entry| entry.open.room())).sum()
    };
    for uid in 1..20 {
        push(&mut store, uid, 2 * SPARE_ROWS);
        assert!(held(&store, uid..uid + 1) >= 2 * SPARE_ROWS);
        store.finish_container(ContainerUid(uid)).unwrap();
    }
    assert_eq!(held(&store, 1..20), 0, "ended");
    for uid in 20..40 {
        push(&mut store, uid, 2 * SPARE_ROWS);
        store.cut(uid, 0).unwrap();
        push(&mut store, uid, 1);
        store.cut(uid, 0).unwrap();
    }
    assert_eq!(held(&store, 20..40), 0, "quiet");
    assert!(store.spare.len() <= SPARE_BLOCKS);
}

#[test]
fn a_gap_of_nobody_in_particular_outlives_the_segment_that_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let open = |max_age| {
        let options = StoreOptions { max_age, ..StoreOptions::default() };
        StoreWriter::open(dir.path(), origin(), options).unwrap()
    };
    let gap = |from, count| Loss {
        container: None,
        cause: crate::LossCause::RecorderDown,
        cpu: None,
        from: BootNanos(from),
        to: BootNanos(from + 10),
        count,
    };
    for (uid, gaps) in [(1, 0), (2, 1), (3, 100), (1, 0)] {
        let mut store = open(0);
        push(&mut store, uid, 5);
        (0..gaps).for_each(|n| store.put_loss(&gap(1000 * uid + n, Some(2))).unwrap());
        store.seal().unwrap();
    }
    let told = |recording: &crate::Recording| recording.losses().to_vec();
    let before = told(&crate::Recording::open(dir.path()).unwrap());
    assert_eq!(before.len(), 101);

    let mut store = open(1);
    store.pin(Pin { id: "p".to_owned(), containers: vec![ContainerUid(1)], ..Pin::default() }).unwrap();
    push(&mut store, 9, 1);
    store.commit(BootNanos(1_000_000_000)).unwrap();
    drop(store);
    assert!(!SEGMENTS.path(dir.path(), 1).exists() && !SEGMENTS.path(dir.path(), 2).exists());
    let recording = crate::Recording::open(dir.path()).unwrap();
    let after = told(&recording);
    let sum: u64 = after.iter().filter_map(|loss| loss.count).sum();
    assert!(after.len() <= 2 && sum == 202, "{after:?}");
    assert_eq!(after.iter().map(|loss| (loss.from, loss.to)).min().unwrap().0, BootNanos(2000));
    assert_eq!(after.iter().map(|loss| loss.to).max(), Some(BootNanos(3109)));
    let out = dir.path().join("out.aftx");
    crate::extract(&recording, &[ContainerUid(1)], &out).unwrap();
    assert_eq!(told(&crate::Recording::open(&out).unwrap()), after, "an extract tells of it too");
}

#[test]
fn the_stages_hold_rows_of_little_more_than_two_ages_of_a_block() {
    const AGE: u64 = 1_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    // No sync comes but with a new stage file.
    let options = StoreOptions { block_age: AGE, sync_interval: u64::MAX, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir.path(), origin(), options).unwrap();
    let mut state = 1u64;
    let mut noise = |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    let (mut in_an_age, mut most) = (0, 0);
    for tenth in 1..=60 {
        let time = BootNanos(tenth * AGE / 10);
        for uid in 1..=3 {
            let bytes: Vec<u8> = (0..64 << 10).map(&mut noise).collect();
            let payload = crate::Field {
                tag: crate::FieldTag::PAYLOAD,
                flags: crate::FieldFlags(0),
                full_len: bytes.len() as u32,
                bytes: &bytes,
            };
            let event = Event {
                time,
                duration: None,
                task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
                code: EventCode(0),
                flags: EventFlags(0),
                cpu: 0,
                ret: bytes.len() as i64,
                args: &[],
                fields: &[payload],
            };
            store.push(ContainerUid(uid), &event).unwrap();
        }
        store.commit(time).unwrap();
        if tenth == 10 {
            in_an_age = store.stats().stage_bytes;
        }
        let stages = STAGES.list(dir.path()).unwrap();
        let read = |&number| StageFile::read(&STAGES.path(dir.path(), number)).unwrap().0.len() as u64;
        most = most.max(stages.iter().map(read).sum());
    }
    assert!(in_an_age > STAGE_WORTH, "{in_an_age}");
    assert!(most < 5 * in_an_age / 2, "{most} of {in_an_age}");
}
