//! Targets of the trace file, the stage, and the state that is kept of a container.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::OnceLock};

use afterimage_detect::Tracker;
use afterimage_format::{
    Anchor, BootNanos, Direction, Event, Query, Recording, VerifyOptions, extract, fuzzing, verify,
};
use afterimage_model::{
    Restoring, World,
    budget::Limits,
    describe,
    files::Files,
    findings::Story,
    net::Network,
    streams::{Streams, Way},
};

pub use fuzzing::{block, catalog, footer, records, stage, stream};

/// Proofs, chains and notes.
pub fn proof(data: &[u8]) {
    fuzzing::proof(data);
    fuzzing::note(data);
    fuzzing::segment_header(data);
}

/// The rows of a batch of the stage.
pub fn rows(data: &[u8]) {
    fuzzing::rows(data, &mut |_, _| {});
}

/// A place for one file, in memory, for this process.
fn scratch() -> &'static PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let scratch = folder.join(format!("afterimage-fuzz-{}", std::process::id()));
        fs::create_dir_all(&scratch).expect("a folder of our own");
        scratch
    })
}

/// A whole file: opened, listed, read forward and backward, searched, counted, verified, extracted.
pub fn segment(data: &[u8]) {
    let path = scratch().join("fuzz.aft");
    fs::write(&path, data).expect("room for the file");
    let _ = verify(&path, &VerifyOptions::default(), &mut |_, _| {});
    let Ok(recording) = Recording::open(&path) else { return };
    let all = Query::default();
    let mut forward = 0u64;
    let mut before = BootNanos(0);
    let _ = recording.for_each(&all, &mut |_, event| {
        assert!(before <= event.time, "events out of order");
        (before, forward) = (event.time, forward + 1);
        if forward < 20_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if forward < 20_000 {
        let mut backward = 0u64;
        let from = Some(Anchor::Time(BootNanos(u64::MAX)));
        let _ = recording.walk(&all, from, Direction::Backward, &mut |_, _, _| {
            backward += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(forward, backward, "as many events backward as forward");
    }
    if let Some((first, last)) = recording.time_range() {
        let _ = recording.density(None, first, last, 100);
    }
    for index in 0..recording.blocks().len().min(50) {
        let _ = recording.columns(index);
    }
    let uids: Vec<_> = recording.containers().iter().map(|summary| summary.record.uid).take(3).collect();
    let out = scratch().join("out.aftx");
    if extract(&recording, &uids, &out).is_ok() {
        Recording::open(&out).expect("our own extract opens");
    }
    let _ = fs::remove_file(&out);
}

/// Events as a hostile trace may have them, through everything that keeps state of them.
pub fn events(data: &[u8]) {
    let mut state = State::default();
    fuzzing::rows(data, &mut |uid, event| state.apply(uid, event));
    for uid in state.tracker.world().containers().collect::<Vec<_>>() {
        state.look(uid);
        let saved = state.tracker.world().save(uid);
        let again = World::load(&saved).expect("our own snapshot reads");
        assert_eq!(again.save(uid), saved);
    }
}

#[derive(Default)]
struct State {
    tracker: Tracker,
    files: Files,
    net: Network,
    streams: Streams,
    findings: Story,
}

impl State {
    fn apply(&mut self, uid: afterimage_format::ContainerUid, event: &Event<'_>) {
        self.tracker.apply(uid, event);
        let world = self.tracker.world();
        self.files.apply(world, uid, event);
        self.net.apply(world, uid, event);
        self.streams.apply(world, uid, event);
        let _ = self.findings.apply(world, uid, event);
        let _ = describe::result(event);
        let _ = describe::path(event);
    }

    fn look(&self, uid: afterimage_format::ContainerUid) {
        let world = self.tracker.world();
        for process in world.processes(uid).into_iter().take(100) {
            let _ = (process.title(), process.comm(), process.exec().map(|exec| exec.command_line(None)));
            assert!(world.ancestors(process).count() < 1_000_000, "ancestors without end");
            for (_, _, info) in world.fds(process) {
                let _ = (info.label(), world.peers(process, info));
            }
        }
        for stream in self.streams.list(uid).iter().take(100) {
            let _ = (stream.reassemble(Way::In, 1 << 16), stream.is_complete());
        }
        let _ = (self.files.list(uid).count(), self.net.conversations(uid).len());
    }
}

/// A state keyframe: as the newest, and as one behind a whole one.
pub fn keyframe(data: &[u8]) {
    static NEWEST: OnceLock<Vec<u8>> = OnceLock::new();
    let newest = NEWEST.get_or_init(|| {
        let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        crate::seeds::keyframes(&repository).pop().expect("the samples have keyframes")
    });
    let tight = Limits { container_bytes: 1 << 20, ..Limits::default() };
    let mut restoring = Restoring::begin(tight, newest, 1).expect("our own keyframe reads");
    let _ = restoring.earlier(data, 1);
    see(&restoring.finish());
    let Ok(mut restoring) = Restoring::begin(tight, data, 1) else { return };
    if restoring.wants_earlier() {
        let _ = restoring.earlier(data, 0);
    }
    let mut world = restoring.finish();
    see(&world);
    for uid in world.containers().collect::<Vec<_>>() {
        let _ = world.keyframe(uid, true);
        world.shed(uid);
        let _ = world.keyframe(uid, false);
    }
    see(&world);
}

/// What was read is written and read again, and looked at.
fn see(world: &World) {
    for uid in world.containers().collect::<Vec<_>>() {
        World::load(&world.save(uid)).expect("our own snapshot reads");
        for process in world.processes(uid).into_iter().take(100) {
            let _ = (process.title(), process.comm(), process.exec().map(|exec| exec.command_line(None)));
            assert!(world.ancestors(process).count() < 1_000_000, "ancestors without end");
        }
    }
}

/// The saved state of one container.
pub fn snapshot(data: &[u8]) {
    if let Ok(world) = World::load(data) {
        see(&world);
    }
}
