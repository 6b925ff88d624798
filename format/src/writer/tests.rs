use super::*;
use crate::{EventCode, EventFlags, TaskKey};

fn origin() -> Origin {
    Origin {
        store_uuid: [0; 16],
        boot_id: [1; 16],
        hostname: Vec::new(),
        kernel: Vec::new(),
        machine: Vec::new(),
        degraded: Vec::new(),
        recorder: Vec::new(),
    }
}

#[test]
fn containers_that_have_ended_or_are_quiet_hold_no_room_for_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = StoreWriter::open(dir.path(), origin(), StoreOptions::default()).unwrap();
    let mut time = 0;
    let mut push = |store: &mut StoreWriter, uid: u64, rows: usize| {
        for _ in 0..rows {
            time += 1000;
            let event = Event {
                time: BootNanos(time),
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
    };
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
