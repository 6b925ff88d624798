//! Keys as a user presses them, and where they lead.

use std::time::Duration;

use afterimage_format::BootNanos;

use crate::tui::{
    app::Sort,
    feed::{KeepKey, Kept, Reply, StoryKey, Tally},
    fixture::{self, START},
    harness::Harness,
    layout::Pane,
    player::Motion,
    update::{self, Effect},
};

fn replay() -> Harness {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter");
    harness
}

/// Seconds of the playhead after the container's start.
fn seconds(harness: &Harness) -> f64 {
    let opened = harness.app.opened.as_ref().expect("a container");
    (opened.playhead.time.0 - opened.whole.0.0) as f64 / 1e9
}

fn at(harness: &mut Harness, moment: &str) {
    harness.press("@");
    harness.type_text(moment);
    harness.press("Enter");
}

/// The name of the event at the playhead.
fn event(harness: &Harness) -> String {
    let opened = harness.app.opened.as_ref().expect("a container");
    let (page, row) = opened.at().expect("an event");
    page.rows[row].name.as_str().to_owned()
}

#[test]
fn steps_seconds_and_ends() {
    let mut harness = replay();
    harness.press("(");
    assert_eq!(event(&harness), "exec");
    harness.press(". .");
    assert_eq!(event(&harness), "read");
    harness.press(",");
    assert_eq!(event(&harness), "openat");
    harness.press("( t t t T");
    assert!((seconds(&harness) - 2.0).abs() < 0.001, "{}", seconds(&harness));
    harness.press(")");
    assert_eq!(event(&harness), "exit");
    harness.press(".");
    assert_eq!(event(&harness), "exit");
}

#[test]
fn to_the_next_and_the_previous_process() {
    let mut harness = replay();
    at(&mut harness, "+19.2s");
    harness.press("}");
    assert_eq!(event(&harness), "fork");
    harness.press("}");
    assert_eq!(event(&harness), "exec");
    assert!((seconds(&harness) - 19.2921).abs() < 0.001);
    harness.press("{ {");
    assert!((seconds(&harness) - 18.7).abs() < 0.001, "{}", seconds(&harness));
    harness.press(") }");
    assert!(harness.text().contains("no process starts or ends later"));
}

#[test]
fn playing_follows_time_and_any_step_pauses_it() {
    let mut harness = replay();
    at(&mut harness, "+3s");
    harness.press("i Space");
    assert!(update::tick(&mut harness.app, Duration::from_millis(500)));
    assert!((seconds(&harness) - 3.5).abs() < 0.001);
    harness.press("+");
    update::tick(&mut harness.app, Duration::from_millis(500));
    assert!((seconds(&harness) - 4.5).abs() < 0.001);
    harness.press(";");
    update::tick(&mut harness.app, Duration::from_millis(250));
    assert!((seconds(&harness) - 4.0).abs() < 0.001);
    harness.press(".");
    assert!(!update::tick(&mut harness.app, Duration::from_secs(1)));
}

#[test]
fn playing_to_the_end_stops_there_and_playing_again_begins_anew() {
    let mut harness = replay();
    at(&mut harness, "end-1s");
    harness.press("Space");
    update::tick(&mut harness.app, Duration::from_secs(5));
    let opened = harness.app.opened.as_ref().expect("a container");
    assert_eq!((opened.player.motion, opened.playhead.time), (Motion::Paused, opened.whole.1));
    harness.press("Space");
    assert!(seconds(&harness) < 0.001);
}

#[test]
fn a_filter_keeps_the_moment_and_says_how_much_it_hides() {
    let mut harness = replay();
    at(&mut harness, "+20s");
    harness.press("/");
    harness.type_text("evt.failed=true");
    harness.press("Enter");
    assert!(harness.text().contains("2 of 268 events  266 hidden"), "{}", harness.text());
    harness.press("Ctrl-x");
    assert!(harness.text().contains("268 events"));
    assert!((seconds(&harness) - 20.0).abs() < 0.1, "{}", seconds(&harness));
}

#[test]
fn rows_tell_their_descriptors_again_when_a_filter_is_taken_away() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    let mut harness = Harness::on(&sample, 160, 60);
    harness.press("Enter");
    let before = harness.text();
    assert!(before.contains(":tcp "), "{before}");
    harness.press("/");
    harness.type_text("there-is-no-such-name");
    harness.press("Enter Ctrl-x");
    let rows = |text: &str| text.lines().skip(3).take(40).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&harness.text()), rows(&before));
}

#[test]
fn the_last_event_has_the_number_of_all() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    for mut harness in [Harness::new(120, 40), Harness::on(&sample, 120, 40)] {
        harness.press("Enter S )");
        let events = harness.app.subject().expect("a container").events;
        let expected = format!("event {events} of {events}");
        assert!(harness.text().contains(&expected), "{expected}: {}", harness.text());
    }
}

#[test]
fn offsets_count_from_the_first_program_as_in_the_commands() {
    let mut harness = replay();
    let subject = harness.app.subject().cloned().expect("a container");
    let mut row = subject.clone();
    row.life.begin.0 += 2_000_000_000;
    harness.app.opened = Some(crate::tui::app::Opened::new(&row));
    harness.settle();
    at(&mut harness, "+3s");
    let time = harness.app.opened.as_ref().expect("a container").playhead.time;
    assert_eq!(time.0, row.life.begin.0 + 3_000_000_000);
    assert!(harness.text().contains("+3.000s"), "{}", harness.text());
    at(&mut harness, "start-2s");
    assert!(harness.text().contains("-1.99"), "{}", harness.text());
}

#[test]
fn that_nothing_matches_is_said_only_when_all_was_read() {
    let mut harness = replay();
    let (mut screens, mut reading) = (0, 0);
    harness.press("/");
    harness.apply_slowly("evt.failed=true", |screen| {
        screens += 1;
        reading += usize::from(screen.contains("  reading"));
        assert!(!screen.contains("no event matches"), "{screen}");
    });
    assert!(screens > 2 && reading > 0, "{reading} of {screens}");
    harness.press("/ Ctrl-u");
    harness.apply_slowly("proc.name=nobody", |_| {});
    assert!(harness.text().contains("no event matches the filter"), "{}", harness.text());
}

#[test]
fn an_invalid_filter_is_told_while_it_is_typed_and_changes_nothing() {
    let mut harness = replay();
    harness.press("/");
    harness.type_text("proc.pid=x");
    assert!(harness.text().contains("invalid"), "{}", harness.text());
    harness.press("Enter Esc");
    assert!(harness.text().contains("no filter"));
}

#[test]
fn zooming_keeps_the_playhead_in_the_window_and_never_leaves_the_life() {
    let mut harness = replay();
    at(&mut harness, "+38s");
    for keys in ["z", "z", "z", "Z", "z z z z z z z z z z z z z z z z z z z z z z z z z z", "a"] {
        harness.press(keys);
        let opened = harness.app.opened.as_ref().expect("a container");
        let (begin, end) = opened.window;
        assert!(begin <= opened.playhead.time && opened.playhead.time <= end, "{keys}");
        assert!(opened.whole.0 <= begin && end <= opened.whole.1 && begin < end, "{keys}");
    }
    let opened = harness.app.opened.as_ref().expect("a container");
    assert_eq!(opened.window, opened.whole);
}

#[test]
fn the_palette_does_what_it_finds() {
    let mut harness = replay();
    harness.press(":");
    harness.type_text("end of");
    harness.press("Enter");
    assert_eq!(event(&harness), "exit");
    harness.press(":");
    harness.type_text("quit");
    assert_eq!(harness.press("Enter"), Some(Effect::Quit));
}

#[test]
fn screens_are_left_and_come_back_as_they_were() {
    let mut harness = replay();
    at(&mut harness, "+20s");
    harness.press("Esc");
    assert!(harness.text().contains("[1 Containers]"));
    harness.press("`");
    assert!((seconds(&harness) - 20.0).abs() < 0.001);
    harness.press("1 k 2");
    assert_eq!(harness.app.opened.as_ref().map(|o| o.uid), Some(fixture::RUNNING));
}

#[test]
fn another_order_shows_what_is_first_in_it() {
    let mut harness = Harness::new(120, 40);
    for _ in 0..7 {
        harness.press("G s");
        assert_eq!(harness.app.list.scroll.cursor, 0, "{}", harness.text());
    }
    harness.press("G s");
    assert!(harness.text().contains("worst findings first"), "{}", harness.text());
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
}

#[test]
fn the_first_row_stays_the_first_while_findings_are_still_being_counted() {
    let mut harness = Harness::new(120, 40);
    harness.press("s g g");
    let selected = |harness: &Harness| harness.app.selected().map(|row| row.uid);
    assert_eq!(selected(&harness), Some(fixture::INCIDENT));
    harness.press("s s g g j k");
    let before = selected(&harness);
    harness.app.list.sort = Sort::Oldest;
    let key = KeepKey { text: String::new(), generation: 0 };
    update::receive(&mut harness.app, Reply::Keep(key, Kept::default()));
    assert_eq!(selected(&harness), before, "after any other step the cursor stays on its container");
    // Counted only after the keys.
    let mut harness = Harness::new(120, 40);
    harness.app.tallies = Default::default();
    let row = harness.app.catalog.container(fixture::SIBLING).expect("a container");
    let key = StoryKey::of(row, 0);
    update::receive(&mut harness.app, Reply::Tally(key, Tally::default()));
    for key in ["s", "g", "g"] {
        update::key(&mut harness.app, crate::tui::keys::parse_all(key).expect("a key")[0]);
    }
    assert_ne!(selected(&harness), Some(fixture::INCIDENT));
    harness.settle();
    assert_eq!(selected(&harness), Some(fixture::INCIDENT));
}

#[test]
fn a_list_longer_than_a_page_is_walked_to_its_end_and_back() {
    let mut harness = Harness::new(60, 20);
    harness.press("j Enter (");
    for _ in 0..700 {
        harness.press("j");
    }
    let opened = harness.app.opened.as_ref().expect("a container");
    assert_eq!(opened.event().map(|id| id.time), Some(opened.whole.1));
    harness.press("g g");
    let first = harness.app.opened.as_ref().and_then(|o| o.event()).map(|id| id.time);
    assert_eq!(first, Some(BootNanos(START + 50_000_000_137)));
}

#[test]
fn no_screen_says_that_there_is_nothing_before_all_was_read() {
    for digit in ["3", "4", "5", "6", "8"] {
        let mut harness = replay();
        harness.press(digit);
        harness.press("/");
        harness.apply_slowly("proc.name=nobody", |screen| {
            assert!(!screen.contains("that the filter keeps"), "{screen}");
        });
        assert!(harness.text().contains("that the filter keeps"), "{}", harness.text());
        harness.press("Ctrl-x");
        assert!(!harness.text().contains("that the filter keeps"), "{}", harness.text());
    }
}

#[test]
fn the_tour_goes_on_as_its_steps_are_done_and_hides_nothing() {
    let mut harness = Harness::new(80, 24);
    harness.press("j j j");
    harness.app.tour = Some(crate::tui::tour::Tour::default());
    let number = |harness: &Harness| harness.app.tour.map(|tour| tour.now().1);
    assert!(harness.text().contains("tour 1 of 9"), "{}", harness.text());
    for (keys, expected) in
        [("? Esc", 1), ("Enter", 2), ("n", 3), ("Space", 4), ("Space 3", 5), ("5", 6), ("6 7", 7)]
    {
        harness.press(keys);
        assert_eq!(number(&harness), Some(expected), "after {keys}: {}", harness.text());
    }
    assert!(harness.text().lines().nth(19).is_some_and(|line| line.contains("? keys")), "{}", harness.text());
    harness.press("2 /");
    harness.type_text("proc.name=sh");
    harness.press("Enter");
    assert_eq!(number(&harness), Some(8));
    harness.press("8");
    assert_eq!(number(&harness), Some(8), "a filter hides findings");
    harness.press("Ctrl-x");
    assert_eq!(number(&harness), Some(9));
    harness.press("F3");
    assert_eq!(number(&harness), None);
    assert!(!harness.text().contains("tour"));
}

#[test]
fn each_step_of_the_tour_is_there_to_its_last_word() {
    for (width, height) in [(60, 20), (80, 24), (120, 40), (200, 60)] {
        let mut harness = Harness::new(width, height);
        harness.app.tour = Some(crate::tui::tour::Tour::default());
        while let Some((text, number, _)) = harness.app.tour.map(|tour| tour.now()) {
            let screen = harness.text();
            let panel: Vec<&str> =
                screen.lines().skip_while(|line| !line.contains("━ tour")).skip(1).collect();
            let words: Vec<&str> = panel.iter().flat_map(|line| line.split_whitespace()).collect();
            assert_eq!(words, text.split_whitespace().collect::<Vec<_>>(), "{number} at {width}x{height}");
            harness.press("F3");
        }
    }
}

#[test]
fn a_number_before_a_key_does_it_so_often() {
    let mut harness = replay();
    harness.press("( # 1 0 .");
    let by_number = harness.app.opened.as_ref().and_then(|o| o.event());
    harness.press("( . . . . . . . . . .");
    assert_eq!(harness.app.opened.as_ref().and_then(|o| o.event()), by_number);
    harness.press("( # 1 2 t # 2 T");
    assert!((seconds(&harness) - 10.0).abs() < 0.001, "{}", seconds(&harness));
    at(&mut harness, "+19.2s");
    harness.press("} } }");
    let third = event(&harness);
    let when = seconds(&harness);
    at(&mut harness, "+19.2s");
    harness.press("# 3 }");
    assert_eq!((event(&harness), seconds(&harness)), (third, when));
    harness.press("# 3 {");
    assert!((seconds(&harness) - 18.7).abs() < 0.001, "{}", seconds(&harness));
    harness.press("( # 3 n");
    let third = seconds(&harness);
    harness.press("( n n n");
    assert!((seconds(&harness) - third).abs() < 1e-9);
}

#[test]
fn a_number_is_shown_and_is_given_up_by_escape_and_by_keys_that_mean_nothing() {
    let mut harness = replay();
    harness.press("( # 4 2");
    assert!(harness.text().contains("# 42"), "{}", harness.text());
    assert!(harness.text().contains("[2 Replay]"), "the digits went to no screen");
    harness.press("Esc .");
    assert_eq!(event(&harness), "openat");
    harness.press("( # 4 F12 .");
    assert_eq!(event(&harness), "openat");
    harness.press("4");
    assert!(harness.text().contains("[4 Tree]"));
}

#[test]
fn a_number_leads_beyond_the_page_that_is_known() {
    let mut harness = Harness::new(60, 20);
    harness.press("j Enter ( # 7 0 0 j");
    let opened = harness.app.opened.as_ref().expect("a container");
    assert_eq!(opened.event().map(|id| id.time), Some(opened.whole.1));
    harness.press("# 5 0 0 k # 5 0 0 j");
    let opened = harness.app.opened.as_ref().expect("a container");
    assert_eq!(opened.event().map(|id| id.time), Some(opened.whole.1));
}

#[test]
fn jumps_are_gone_back_and_forth_and_steps_are_none() {
    let mut harness = replay();
    at(&mut harness, "+3s");
    harness.press(". t");
    let left = seconds(&harness);
    harness.press("n");
    let finding = seconds(&harness);
    at(&mut harness, "+30s");
    harness.press("Ctrl-o");
    assert!((seconds(&harness) - finding).abs() < 1e-9);
    harness.press("Ctrl-o");
    assert!((seconds(&harness) - left).abs() < 1e-9, "where the jump began, steps included");
    harness.press("# 2 Alt-o");
    assert!((seconds(&harness) - 30.0).abs() < 0.001);
    harness.press("Alt-o");
    assert!(harness.text().contains("no jump was gone back from"), "{}", harness.text());
    harness.press("' '");
    assert!((seconds(&harness) - finding).abs() < 1e-9);
}

#[test]
fn a_jump_leads_back_into_the_container_before() {
    let mut harness = replay();
    at(&mut harness, "+20s");
    harness.press("1 k 2");
    assert_eq!(harness.app.opened.as_ref().map(|o| o.uid), Some(fixture::RUNNING));
    harness.press("Ctrl-o");
    assert_eq!(harness.app.opened.as_ref().map(|o| o.uid), Some(fixture::INCIDENT));
    assert!((seconds(&harness) - 20.0).abs() < 0.001);
    harness.press("Alt-o");
    assert_eq!(harness.app.opened.as_ref().map(|o| o.uid), Some(fixture::RUNNING));
}

#[test]
fn what_is_found_is_gone_to_and_nothing_is_hidden() {
    let mut harness = replay();
    harness.press("( Ctrl-f");
    harness.type_text("proc.name=curl and evt.type=connect");
    harness.press("Enter");
    assert_eq!(event(&harness), "connect");
    let first = seconds(&harness);
    assert!(harness.text().contains("find proc.name=curl"), "{}", harness.text());
    assert!(harness.text().contains("268 events"), "nothing is hidden: {}", harness.text());
    harness.press("n");
    assert!(harness.text().contains("nothing later matches"), "{}", harness.text());
    harness.press(") N");
    assert!((seconds(&harness) - first).abs() < 1e-9);
    // Among what a filter keeps, only that is found.
    harness.press("( /");
    harness.type_text("proc.name=sh");
    harness.press("Enter n");
    assert!(harness.text().contains("nothing later matches"), "{}", harness.text());
    harness.press("Ctrl-x Esc");
    assert!(harness.text().contains("find ended"), "{}", harness.text());
    harness.press("( n");
    let row = harness.app.story().and_then(|story| story.rows.get(1)).expect("a finding");
    assert_eq!(harness.app.opened.as_ref().map(|o| o.playhead.time), Some(row.time));
}

#[test]
fn the_list_says_how_many_alerts_are_about_a_container() {
    let mut harness = Harness::new(120, 40);
    let screen = harness.text();
    let heading = screen.lines().find(|line| line.contains("ALERTS")).expect("the heading");
    let end = heading.find("ALERTS").expect("the column") + "ALERTS".len();
    let count = |name: &str| {
        let row = screen.lines().find(|line| line.contains(name)).expect("a row").chars();
        let cells: String = row.take(end).collect();
        cells.split_whitespace().next_back().map(str::to_owned)
    };
    let expected = harness.app.list.alerts.get(&fixture::INCIDENT).expect("alerts").to_string();
    assert_eq!(count("batch-job-7f9c "), Some(expected));
    assert_eq!(count("batch-job-81aa "), Some("0".to_owned()));
    harness.press("s s s s");
    assert!(harness.text().contains("most alerts first"), "{}", harness.text());
    assert_eq!(
        harness.app.list.order.first().map(|at| harness.app.catalog.containers[*at].uid),
        Some(fixture::INCIDENT)
    );
}

#[test]
fn lists_follow_the_clock_where_they_are_told_to() {
    let mut harness = replay();
    let rows = |harness: &Harness| harness.app.sheet().map_or(0, |sheet| sheet.order.len());
    for (digit, some) in [("4", "+19.2s"), ("5", "+19.2s"), ("6", "+6s"), ("8", "+18.5s"), ("3", "+19.2s")] {
        harness.press(digit);
        let all = rows(&harness);
        assert!(!harness.text().contains("by the playhead"), "{}", harness.text());
        harness.press("f");
        at(&mut harness, some);
        let then = rows(&harness);
        assert!(0 < then && then < all, "{digit}: {then} of {all}");
        assert!(harness.text().contains("by the playhead"), "{}", harness.text());
        harness.press(")");
        assert_eq!(rows(&harness), all, "{digit}");
        harness.press("f");
    }
    // The cursor is on what began last, until the user moves it; then until the clock moves.
    harness.press("4 f");
    at(&mut harness, "+19.5s");
    assert_eq!(harness.app.selected_process().map(|row| row.pid), Some(31_412));
    harness.press("k");
    assert_ne!(harness.app.selected_process().map(|row| row.pid), Some(31_412));
    at(&mut harness, "+20.1s");
    assert_eq!(harness.app.selected_process().map(|row| row.pid), Some(31_418));
}

#[test]
fn the_window_shows_the_life_of_a_process() {
    let mut harness = replay();
    at(&mut harness, "+18.2s");
    // The process at the playhead, which still runs then: its whole life is known all the same.
    harness.press("V");
    let curl = harness.app.story().and_then(|story| story.whole.as_ref()).expect("the whole");
    let curl = curl.tree.iter().find(|row| row.pid == 31_401).expect("curl");
    let life = (curl.began(), curl.ended().expect("its end").0);
    let window = |harness: &Harness| harness.app.opened.as_ref().expect("open").window;
    assert_eq!(window(&harness), life);
    assert!(harness.text().contains("a shows everything"), "{}", harness.text());
    harness.press("a 4 g g V");
    assert_eq!(window(&harness), harness.app.opened.as_ref().expect("open").whole);
}

#[test]
fn playing_by_events_gives_each_its_turn() {
    let mut harness = replay();
    harness.press("( p Space");
    assert!(harness.text().contains("10 events/s"), "{}", harness.text());
    for _ in 0..3 {
        update::tick(&mut harness.app, Duration::from_millis(100));
        harness.settle();
    }
    let by_pace = harness.app.opened.as_ref().and_then(|o| o.event());
    harness.press("( . . .");
    assert_eq!(harness.app.opened.as_ref().and_then(|o| o.event()), by_pace);
    harness.press("p");
    assert!(harness.text().contains("1x"), "{}", harness.text());
}

#[test]
fn the_line_between_panes_is_moved_and_stays_on_its_screen() {
    let mut harness = replay();
    let width = |harness: &Harness, pane| harness.app.plan().rect(pane).map_or(0, |rect| rect.width);
    let before = width(&harness, Pane::Tree);
    harness.press("< <");
    assert_eq!(width(&harness, Pane::Tree), before - 8);
    harness.press("# 4 >");
    assert_eq!(width(&harness, Pane::Tree), before + 8);
    harness.press("5");
    assert_eq!(width(&harness, Pane::Provenance), 60);
    harness.press("2 # 9 9 9 9 <");
    assert_eq!(width(&harness, Pane::Tree), 28);
    harness.press("# 2 0 >");
    assert!(width(&harness, Pane::Tree) > 28, "what was pressed too often is not to be pressed back");
}

#[test]
fn what_the_filter_reads_is_explained() {
    let mut harness = replay();
    harness.press("e");
    assert!(harness.text().contains("no filter: everything is read"), "{}", harness.text());
    harness.press("/");
    harness.type_text("evt.type=execve");
    harness.press("Enter e");
    let screen = harness.text();
    for text in ["what the filter reads", "execve", "blocks", "`afterimage grep` reads it"] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    harness.press("Enter");
    assert!(harness.app.popup.is_none());
}

#[test]
fn a_range_is_begun_and_ended_by_v_and_enter_filters_to_it() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter (");
    let at = |harness: &Harness| harness.app.opened.as_ref().map(|o| o.playhead.time).expect("open");
    let shown = |harness: &Harness| {
        let page = harness.app.opened.as_ref().and_then(|o| o.page.value().cloned()).expect("a page");
        page.rows.iter().map(|row| row.id.time).collect::<Vec<_>>()
    };
    harness.press("# 2 0 j");
    let from = at(&harness);
    harness.press("v # 5 0 j");
    let to = at(&harness);
    assert!(from < to);
    // The second one shows the range; Enter then keeps what is in it.
    harness.press("v");
    let window = harness.app.opened.as_ref().map(|o| o.window).expect("open");
    assert_eq!(window, (from, to));
    harness.press("Enter");
    let times = shown(&harness);
    assert!(times.len() >= 51 && times.iter().all(|time| (from..=to).contains(time)), "{times:?}");
    assert!(times.contains(&from) && times.contains(&to), "both ends are in it");
    // Backwards, and at once.
    harness.press("u G v (");
    harness.press("Enter");
    let text = harness.app.bar.filter.text();
    assert!(text.starts_with("time in start+0.000000s..start+"), "{text}");
    assert!(shown(&harness).len() > times.len());
    // Given up, or followed by something else, it is no filter.
    harness.press("u v Esc Enter Esc");
    assert!(harness.app.bar.filter.is_empty(), "{}", harness.app.bar.filter.text());
}
