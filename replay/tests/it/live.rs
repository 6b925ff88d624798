//! A store that is being recorded is followed: what comes is shown, what is looked at stays.

use afterimage_format::{BootNanos, StoreWriter};

use crate::{
    staged::{self, START},
    tmux::Tmux,
};

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn what_is_recorded_meanwhile_is_shown_followed_and_walked_back_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let staged = staged::staged();
    let mut store = staged::open_store(dir.path());
    store.put_clock(staged.clock).expect("clock");
    let incident = &staged.containers[0];
    store.put_container(incident).expect("container");
    let own: Vec<_> = staged.events.iter().filter(|(uid, _)| *uid == incident.uid).collect();
    let (early, late) = own.split_at(own.len() / 2);
    let record = |store: &mut StoreWriter, events: &[&(afterimage_format::ContainerUid, _)]| {
        for (uid, event) in events {
            let event: &afterimage_format::OwnedEvent = event;
            event.with(|event| store.push(*uid, event)).expect("event");
        }
        store.commit(BootNanos(START + 200_000_000_000)).expect("committed");
    };
    record(&mut store, early);

    let tmux = Tmux::new(120, 40);
    let program = env!("CARGO_BIN_EXE_afterimage");
    tmux.line(&format!("{program} replay '{}' batch-job-7f9c; echo ended with $?", dir.path().display()));
    tmux.wait_for("not sealed");
    tmux.wait_for("134 events");
    // Its newest event is gone to and stayed at.
    tmux.press(&["L"]);
    tmux.wait_for("live, at the newest event");
    record(&mut store, late);
    tmux.wait_for("268 events");
    tmux.wait("the newest event", |screen| {
        screen.contains("live, at the newest event") && screen.contains("event 268 of 268")
    });
    // A step back pauses: what comes then moves nothing.
    tmux.press(&[","]);
    tmux.wait("the pause", |screen| !screen.contains("live, at") && screen.contains("event 267 of 268"));
    store.put_container(&staged.containers[1]).expect("container");
    store.commit(BootNanos(START + 201_000_000_000)).expect("committed");
    tmux.press(&["1"]);
    tmux.wait_for("batch-job-81aa");
    tmux.press(&["2"]);
    tmux.wait_for("event 267 of 268");
    tmux.press(&["L"]);
    tmux.wait_for("live, at the newest event");
    store.seal().expect("sealed");
    tmux.wait("the seal", |screen| screen.contains("sealed") && !screen.contains("not sealed"));
    tmux.press(&["q"]);
    tmux.wait_for("ended with 0");
    tmux.is_as_found();
}
