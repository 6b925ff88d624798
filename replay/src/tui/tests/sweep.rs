//! What is looked for in the events of all containers, from the list of them.

use std::cell::Cell;

use afterimage_format::{BootNanos, ContainerUid, EventId};

use crate::tui::{
    app::Popup,
    engine::{self, Cache, Job},
    feed::{Found, Reply, Request, Sweep, SweepKey},
    filter::Library,
    fixture,
    harness::Harness,
    keys,
    screen::Screen,
    update::{self, Effect},
    wants,
};

fn listed(harness: &Harness) -> Vec<ContainerUid> {
    let rows = harness.app.list.order.iter().filter_map(|at| harness.app.catalog.containers.get(*at));
    rows.map(|row| row.uid).collect()
}

fn answer(harness: &mut Harness, keys: &str, text: &str) {
    harness.press(keys);
    harness.type_text(text);
    harness.press("Enter");
}

/// How many events a filter keeps of a container that is opened, counted by the container itself.
fn hits_in(uid: ContainerUid, text: &str) -> u64 {
    let mut harness = Harness::new(120, 40);
    update::begin_in(&mut harness.app, uid);
    harness.settle();
    answer(&mut harness, "/", text);
    harness.app.hits().map_or(0, |hits| hits.len() as u64)
}

#[test]
fn a_filter_on_the_list_keeps_the_containers_that_have_such_events_with_how_many() {
    for text in
        ["proc.name = curl", "evt.type = openat", "near(evt.type = connect, 1s)", "within proc.name = sh"]
    {
        let mut harness = Harness::new(120, 40);
        let all = listed(&harness);
        answer(&mut harness, "/", text);
        let found = harness.app.list.found().expect("a search").clone();
        assert_eq!(found.reading, None, "{text}");
        assert!(!found.by_container.is_empty(), "{text}");
        for uid in all {
            let count = found.by_container.get(&uid).map_or(0, |found| found.count);
            assert_eq!(count, hits_in(uid, text), "{text} in {uid:?}");
            assert_eq!(listed(&harness).contains(&uid), count > 0, "{text} in {uid:?}");
        }
        let sum: u64 = found.by_container.values().map(|found| found.count).sum();
        assert!(harness.text().contains(&format!("{sum} hit")), "{}", harness.text());
    }
}

#[test]
fn the_filter_of_the_list_goes_into_the_container_and_the_playhead_to_the_first_hit() {
    let mut harness = Harness::new(80, 24);
    answer(&mut harness, "/", "proc.name = curl");
    assert_eq!(listed(&harness), [fixture::INCIDENT]);
    assert!(
        harness.text().contains("HITS") && harness.text().contains("1 of 4 containers"),
        "{}",
        harness.text()
    );
    let first = harness.app.list.found().expect("found").by_container[&fixture::INCIDENT].first;
    harness.press("Enter");
    assert_eq!(harness.app.bar.filter.text(), "proc.name = curl");
    assert_eq!(harness.app.opened.as_ref().and_then(|opened| opened.event()), Some(first));
    assert!(harness.text().contains("the list's filter holds here too"), "{}", harness.text());
    harness.press("u");
    assert!(harness.app.bar.filter.is_empty());
    // Words find containers by what the list shows of them: no event is asked.
    harness.press("1 Ctrl-x");
    answer(&mut harness, "/", "batch");
    harness.press("Enter");
    assert!(harness.app.bar.filter.is_empty() && harness.app.list.sought.is_none());
}

#[test]
fn find_on_the_list_looks_in_all_containers_and_goes_on_in_the_one_that_is_opened() {
    let mut harness = Harness::new(80, 24);
    let all = listed(&harness);
    answer(&mut harness, "Ctrl-f", "curl");
    assert_eq!(harness.app.screen, Screen::Containers, "{}", harness.text());
    assert_eq!(listed(&harness), [fixture::INCIDENT]);
    assert!(harness.text().contains("find curl"), "{}", harness.text());
    harness.press("Enter");
    assert_eq!(harness.app.bar.find.as_deref(), Some("curl"));
    let at = |harness: &Harness| harness.app.opened.as_ref().and_then(|opened| opened.event());
    let first = at(&harness);
    assert_eq!(first, Some(harness.app.list.found().expect("found").by_container[&fixture::INCIDENT].first));
    harness.press("n");
    assert!(at(&harness) > first, "to the next hit");
    harness.press("1 Esc");
    assert_eq!(listed(&harness), all);
    answer(&mut harness, "Ctrl-f", "no-such-word-anywhere");
    assert!(harness.text().contains("no container has such an event"), "{}", harness.text());
    answer(&mut harness, "Ctrl-f", "evt.typ = x");
    assert!(matches!(harness.app.popup, Some(Popup::Ask(_, _, Some(_)))), "{}", harness.text());
}

#[test]
fn what_was_found_so_far_is_shown_and_stays_where_the_search_is_ended() {
    let mut harness = Harness::new(80, 24);
    let all = listed(&harness);
    answer(&mut harness, "Ctrl-f", "connect");
    harness.press("Esc Ctrl-f");
    harness.type_text("openat");
    update::key(&mut harness.app, keys::parse_all("Enter").expect("a key")[0]);
    let asked = wants::requests(&mut harness.app);
    let key = asked.iter().find_map(|request| match request {
        Request::Sweep(key, _) if !key.text.is_empty() => Some(key.clone()),
        _ => None,
    });
    let key = key.expect("a search is asked for");
    assert!(
        listed(&harness).is_empty() && harness.text().contains("nothing found yet"),
        "{}",
        harness.text()
    );
    let first = EventId { time: BootNanos(1), block: 0, row: 0 };
    let found = [(fixture::INCIDENT, Found { count: 3, first })].into();
    let part = Sweep { by_container: found, reading: Some(40), doubt: None };
    update::receive(&mut harness.app, Reply::Sweep(key.clone(), part));
    assert_eq!(listed(&harness), [fixture::INCIDENT]);
    assert!(harness.text().contains("1 of 4 containers  3 hits  40 % read"), "{}", harness.text());
    update::key(&mut harness.app, keys::parse_all("Esc").expect("a key")[0]);
    let asked = wants::requests(&mut harness.app);
    let ends = |request: &Request| matches!(request, Request::Sweep(key, _) if key.text.is_empty());
    assert!(asked.iter().any(ends), "the reading is told to end: {asked:?}");
    // What comes late is of no use.
    update::receive(&mut harness.app, Reply::Sweep(key, Sweep::default()));
    assert_eq!(listed(&harness), [fixture::INCIDENT]);
    assert!(harness.text().contains("stopped at 40 %"), "{}", harness.text());
    harness.press("Esc");
    assert_eq!(listed(&harness), all);
}

#[test]
fn a_search_that_nobody_waits_for_ends() {
    let harness = Harness::new(80, 24);
    let key = SweepKey { text: "no-such-word-anywhere".into(), setup: true, generation: 0 };
    let (looks, told) = (Cell::new(0), Cell::new(0));
    let over = || {
        looks.set(looks.get() + 1);
        true
    };
    let job = Job { over: &over, tell: &|_| told.set(told.get() + 1) };
    let request = Request::Sweep(key, Library::default());
    engine::answer(&harness.trace, &mut Cache::default(), request, &job).expect("read");
    assert!(looks.get() > 0);
    assert_eq!(told.get(), 0, "no answer for nobody");
}

#[test]
fn text_that_follows_a_refused_prompt_is_never_taken_as_commands() {
    for screen in ["1", "0"] {
        for prompt in ["b", "c", "@", "w", "B"] {
            let mut harness = Harness::new(80, 24);
            harness.press(screen);
            let shown = harness.app.screen;
            let quit = harness.press(&format!("{prompt} q u i t Enter"));
            assert_eq!(quit, None::<Effect>);
            assert!(harness.text().contains("no container is open"), "{prompt}: {}", harness.text());
            harness.press("Esc");
            assert_eq!((harness.app.screen, harness.app.opened.is_none()), (shown, true), "{prompt}");
        }
        let mut harness = Harness::new(80, 24);
        harness.press(screen);
        assert_eq!(harness.press("m q"), None);
        assert!(harness.text().contains("no container is open"), "{}", harness.text());
        harness.press("n");
        assert!(harness.text().contains("no container is open"), "{}", harness.text());
        assert_eq!(harness.press("$ q"), None);
    }
}
