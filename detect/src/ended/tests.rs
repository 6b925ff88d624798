use afterimage_format::{
    ContainerRecord, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, Origin, Query, Role,
    StoreOptions, StoreWriter, TaskKey, layout,
};
use afterimage_model::{World, budget::Limits, process::Process};
use std::ops::ControlFlow;

use super::*;

const CONTAINERS: u32 = 60;
const OF_EACH: u32 = 20;

/// Containers one after the other, each with processes that execute something with long arguments.
fn store(dir: &std::path::Path) {
    let origin = Origin { boot_id: [1; 16], ..Origin::default() };
    let mut writer = StoreWriter::open(dir, origin, StoreOptions::default()).unwrap();
    let mut number = 0;
    for uid in 1..=CONTAINERS {
        let uid = ContainerUid(uid.into());
        let record = ContainerRecord { uid, role: Role::Container, ..ContainerRecord::host(BootNanos(1)) };
        writer.put_container(&record).unwrap();
        for _ in 0..OF_EACH {
            number += 1;
            let start = BootNanos(u64::from(number) * 1000);
            let argv = [&b"a"[..], &[b'x'; 1000], b"\0"].concat();
            let field = |tag, bytes| Field { tag, flags: FieldFlags(0), full_len: 1002, bytes };
            let event = Event {
                time: BootNanos(start.0 + 1),
                duration: None,
                task: TaskKey { tgid: number, tid: number, start },
                code: EventCode::EXEC,
                flags: EventFlags(0),
                cpu: 0,
                ret: 0,
                args: &[layout::UNKNOWN; 4],
                fields: &[field(FieldTag::ARGV, &argv), field(FieldTag::COMM, b"a")],
            };
            writer.push(uid, &event).unwrap();
        }
    }
    writer.seal().unwrap();
}

/// How many processes are known at their exec, and whether something is said to be missing, with room for so many bytes.
fn known(bytes: u64, forgets: bool) -> (u32, bool) {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let recording = Recording::open(dir.path()).unwrap();
    let limits = Limits { total_bytes: bytes, ..Limits::default() };
    let mut tracker = Tracker::from_world(World::with_limits(limits));
    let mut ended = Ended::new(&recording);
    let mut known = 0;
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            if forgets {
                ended.make_room(&mut tracker, event.time);
            }
            tracker.apply(uid, event);
            let process = tracker.world().process_of_task(event.task);
            known += u32::from(process.and_then(Process::exec).is_some_and(|exec| exec.argv.len() > 1000));
            ControlFlow::Continue(())
        })
        .unwrap();
    (known, ended.lacked(tracker.world()))
}

#[test]
fn more_containers_than_there_is_room_for_are_known_while_they_last() {
    let all = CONTAINERS * OF_EACH;
    assert_eq!(known(64 << 20, false), (all, false), "there is room for all");
    assert_eq!(known(64 << 20, true), (all, false));
    // Some ten containers.
    let (few, lacked) = known(400 << 10, false);
    assert!(few < all / 2 && lacked, "{few}");
    assert_eq!(known(400 << 10, true), (all, false));
    // Not even one: it is said.
    let (few, lacked) = known(8 << 10, true);
    assert!(few < all && lacked, "{few}");
}
