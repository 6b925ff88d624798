//! A recording that grows while one looks, without a recorder: what is looked at stays, and what came is there.

use std::{path::Path, sync::Arc, time::Duration};

use afterimage_format::{BootNanos, ContainerUid, OwnedEvent, StoreWriter};

use crate::tui::{
    feed::{Catalog, Reply, Request, StoryKey},
    fixture::{self, START},
    harness::Harness,
    screen::Screen,
    update, wants,
};

/// A store that is written while it is looked at: the staged events, so many of them at a time.
struct Recorder {
    store: StoreWriter,
    left: std::vec::IntoIter<(ContainerUid, OwnedEvent)>,
}

impl Recorder {
    fn new(dir: &Path) -> Self {
        let staged = fixture::staged();
        let mut store = fixture::open_store(dir);
        store.put_clock(staged.clock).expect("clock");
        for record in &staged.containers {
            store.put_container(record).expect("container");
        }
        Self { store, left: staged.events.into_iter() }
    }

    /// Records events until the incident has so many more.
    fn record(&mut self, count: usize) {
        let mut own = 0;
        while own < count {
            let Some((uid, event)) = self.left.next() else { break };
            own += usize::from(uid == fixture::INCIDENT);
            event.with(|event| self.store.push(uid, event)).expect("event");
        }
        self.store.commit(BootNanos(START + 200_000_000_000)).expect("committed");
    }
}

/// So many events of the incident are recorded, and the store is looked at.
fn beginning(dir: &Path, count: usize) -> (Recorder, Harness) {
    let mut recorder = Recorder::new(dir);
    recorder.record(count);
    (recorder, Harness::on(dir, 120, 40))
}

/// Half of the incident is recorded, and it is looked at.
fn half(dir: &Path) -> (Recorder, Harness) {
    let (recorder, mut harness) = beginning(dir, 134);
    let row = harness.app.catalog.containers.iter().find(|row| row.uid == fixture::INCIDENT);
    assert_eq!(row.map(|row| row.events), Some(134));
    update::begin_in(&mut harness.app, fixture::INCIDENT);
    harness.settle();
    (recorder, harness)
}

/// Puts a filter in force that keeps some of the events.
fn filter(harness: &mut Harness) {
    harness.press("/");
    harness.type_text("evt.type = openat");
    harness.press("Enter");
}

#[test]
fn lists_have_what_came_and_the_cursor_stays_on_its_row() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    for screen in ["4", "5", "8"] {
        harness.press(screen);
        harness.press("G");
    }
    let of = |harness: &Harness| {
        let process =
            harness.app.story().and_then(|story| story.whole.as_ref()).map(|whole| whole.tree.len());
        (process, harness.app.story().map(|story| story.rows.len()))
    };
    let before = of(&harness);
    harness.press("8");
    let finding = harness.app.selected_finding().cloned().expect("a finding");
    harness.press("4");
    let process = harness.app.selected_process().expect("a process").key();
    recorder.record(usize::MAX);
    harness.grow(dir.path());
    assert!(of(&harness) > before, "{before:?}");
    assert_eq!(harness.app.selected_process().map(|row| row.key()), Some(process));
    let listed = |harness: &Harness| harness.app.sheet().map(|sheet| sheet.order.len());
    assert_eq!(listed(&harness), of(&harness).0);
    harness.press("8");
    assert_eq!(harness.app.selected_finding().map(|row| &row.text), Some(&finding.text));
}

#[test]
fn the_numbers_of_findings_grow_with_the_recording() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = beginning(dir.path(), 60);
    // Another one is looked at.
    harness.press("g g");
    assert_ne!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
    let early = harness.app.tallies.of(fixture::INCIDENT);
    recorder.record(usize::MAX);
    harness.grow(dir.path());
    let late = harness.app.tallies.of(fixture::INCIDENT);
    assert!(late > early, "{early:?} {late:?}");
    let mut whole = Harness::on(dir.path(), 120, 40);
    whole.settle();
    assert_eq!(late, whole.app.tallies.of(fixture::INCIDENT));
}

#[test]
fn what_could_not_be_counted_is_counted_when_the_recording_has_grown() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = beginning(dir.path(), 60);
    let app = &mut harness.app;
    let row = app.catalog.containers.iter().find(|row| row.uid == fixture::INCIDENT).expect("the incident");
    let key = StoryKey::of(row, app.catalog.generation);
    app.tallies.fail(key, app.uptime);
    harness.settle();
    assert!(harness.app.tallies.has_failed(fixture::INCIDENT), "the same is not tried again");
    recorder.record(usize::MAX);
    harness.grow(dir.path());
    assert!(!harness.app.tallies.has_failed(fixture::INCIDENT));
    assert!(harness.app.tallies.of(fixture::INCIDENT).is_some());
}

#[test]
fn what_a_filter_keeps_is_never_away_while_the_recording_grows() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    filter(&mut harness);
    harness.press("g g");
    let first = harness.app.opened.as_ref().and_then(|opened| opened.event()).expect("an event");
    let rows = |harness: &Harness| {
        harness.app.opened.as_ref().and_then(|o| o.page.value()).map_or(0, |page| page.rows.len())
    };
    let before = rows(&harness);
    assert!(before > 0);
    recorder.record(usize::MAX);
    let mut screens = Vec::new();
    harness.grow_slowly(dir.path(), |screen| screens.push(screen));
    assert!(!screens.is_empty());
    for screen in screens {
        assert!(screen.contains("openat") && !screen.contains("counting"), "{screen}");
    }
    assert!(rows(&harness) > before);
    let there = harness.app.opened.as_ref().and_then(|opened| opened.event()).map(|id| id.time);
    assert_eq!(there, Some(first.time));
}

#[test]
fn a_filter_that_cannot_be_read_ahead_does_not_stop_the_recording_from_being_taken_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    filter(&mut harness);
    recorder.record(usize::MAX);
    let update::Growth::Ask(request) = update::growth(&mut harness.app) else { panic!("nothing is asked") };
    assert!(matches!(update::growth(&mut harness.app), update::Growth::Wait));
    update::receive(&mut harness.app, Reply::Unanswered(Box::new(request)));
    harness.grow(dir.path());
    assert!(harness.text().contains("of 268 events"), "{}", harness.text());
}

#[test]
fn a_stream_that_grows_is_read_again_after_a_rest_and_another_one_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    harness.press("7");
    let asks = |harness: &mut Harness| {
        let asked = wants::requests(&mut harness.app);
        asked.into_iter().find(|request| matches!(request, Request::Stream(_)))
    };
    let lines =
        |harness: &Harness| harness.app.opened.as_ref().unwrap().stream().map_or(0, |s| s.pieces.len());
    let before = lines(&harness);
    assert!(before > 0);
    // It took a second to read.
    let opened = harness.app.opened.as_mut().expect("a container");
    opened.stream_pace.begin(Duration::ZERO);
    opened.stream_pace.end(Duration::from_secs(1));
    recorder.record(usize::MAX);
    harness.app.uptime = Duration::from_secs(2);
    harness.grow(dir.path());
    assert!(asks(&mut harness).is_none());
    assert_eq!(lines(&harness), before);
    harness.app.uptime = Duration::from_secs(6);
    let again = asks(&mut harness).expect("it is asked for");
    // More comes before it is there: it is read to its end.
    harness.app.catalog = Arc::new(Catalog { generation: 9, ..(*harness.app.catalog).clone() });
    assert!(asks(&mut harness).is_none());
    harness.answer_all(vec![again]);
    assert!(lines(&harness) > before);
}

#[test]
fn who_follows_the_newest_event_is_not_told_that_time_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    assert!(harness.text().contains("paused"));
    harness.press("L");
    let newest = |harness: &Harness| {
        let screen = harness.text();
        assert!(screen.contains("live, at the newest event") && !screen.contains("paused"), "{screen}");
        harness.app.opened.as_ref().map(|opened| opened.playhead.time)
    };
    let before = newest(&harness);
    recorder.record(usize::MAX);
    harness.grow(dir.path());
    assert!(newest(&harness) > before);
    harness.press(",");
    assert!(harness.text().contains("paused"), "{}", harness.text());
}

#[test]
fn another_filter_ends_the_reading_ahead_and_is_asked_for_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    filter(&mut harness);
    recorder.record(usize::MAX);
    assert!(matches!(update::growth(&mut harness.app), update::Growth::Ask(_)));
    // Set-up events are shown, and are not: each asks anew.
    for _ in 0..2 {
        update::key(&mut harness.app, crate::tui::keys::parse_all("S").expect("a key")[0]);
        let asked = wants::requests(&mut harness.app);
        assert!(asked.iter().any(|request| matches!(request, Request::Hits(..))), "{asked:?}");
        harness.answer_all(asked);
    }
    harness.grow(dir.path());
    assert!(harness.text().contains("of 268 events"), "{}", harness.text());
}

#[test]
fn of_a_container_that_retention_removed_nothing_is_shown_as_if_it_were_there() {
    let (before, after) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (_recorder, mut harness) = half(before.path());
    harness.press("4");
    let mut others = fixture::staged();
    others.containers.retain(|record| record.uid != fixture::INCIDENT);
    others.events.retain(|(uid, _)| *uid != fixture::INCIDENT);
    fixture::write_store(after.path(), &others);
    harness.grow(after.path());
    assert!(harness.app.opened.is_none() && harness.app.screen == Screen::Containers);
    assert!(harness.text().contains("retention removed it"), "{}", harness.text());
}

#[test]
fn a_life_that_goes_on_is_read_again_after_a_rest() {
    use std::time::Duration;
    let dir = tempfile::tempdir().expect("a directory");
    let (mut recorder, mut harness) = half(dir.path());
    recorder.record(20);
    harness.grow(dir.path());
    let at = |seconds| Duration::from_secs(seconds);
    let stories = |harness: &mut Harness| -> Vec<Request> {
        let asked = wants::requests(&mut harness.app);
        asked.into_iter().filter(|request| matches!(request, Request::Story(_))).collect()
    };
    recorder.record(20);
    let grown = crate::trace::Trace::open(dir.path().to_owned(), false).expect("a recording");
    let take_in = |harness: &mut Harness| {
        let generation = harness.app.catalog.generation + 1;
        update::grown(&mut harness.app, crate::tui::engine::catalog::catalog(&grown, generation));
    };
    take_in(&mut harness);
    harness.app.uptime = at(10);
    let asked = stories(&mut harness);
    assert_eq!(asked.len(), 1);
    // It takes two seconds: the next one is eight later, where the life went on.
    harness.app.uptime = at(12);
    let [Request::Story(key)] = asked.as_slice() else { panic!("{asked:?}") };
    let known = harness.app.story().cloned().expect("a story");
    update::receive(&mut harness.app, Reply::Story(*key, known));
    take_in(&mut harness);
    harness.app.uptime = at(30);
    assert_eq!(stories(&mut harness).len(), 0, "the life did not go on");
    recorder.record(20);
    let grown = crate::trace::Trace::open(dir.path().to_owned(), false).expect("a recording");
    update::grown(&mut harness.app, crate::tui::engine::catalog::catalog(&grown, 9));
    harness.app.uptime = at(19);
    assert_eq!(stories(&mut harness).len(), 0, "it rests");
    harness.app.uptime = at(20);
    assert_eq!(stories(&mut harness).len(), 1);
}
