//! The mouse: what is pressed, dragged and rolled.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use crate::tui::{
    fixture,
    harness::Harness,
    layout::Pane,
    screen::Screen,
    update::{self, Effect},
};

fn mouse(harness: &mut Harness, kind: MouseEventKind, x: u16, y: u16) {
    let event = MouseEvent { kind, column: x, row: y, modifiers: KeyModifiers::NONE };
    update::pointer(&mut harness.app, event);
    harness.settle();
}

fn click(harness: &mut Harness, x: u16, y: u16) {
    mouse(harness, MouseEventKind::Down(MouseButton::Left), x, y);
    mouse(harness, MouseEventKind::Up(MouseButton::Left), x, y);
}

/// Where a text stands.
fn find(harness: &Harness, text: &str) -> (u16, u16) {
    let screen = harness.text();
    let (y, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).expect("the text");
    let x = line.split(text).next().map_or(0, |before| before.chars().count());
    (u16::try_from(x).expect("a column"), u16::try_from(y).expect("a row"))
}

#[test]
fn rows_are_selected_and_a_second_click_opens() {
    let mut harness = Harness::new(120, 40);
    let (x, y) = find(&harness, "batch-job-7f9c  ");
    click(&mut harness, x, y);
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
    assert_eq!(harness.app.screen, Screen::Containers);
    click(&mut harness, x, y);
    assert_eq!(harness.app.screen, Screen::Replay);
    let (x, y) = find(&harness, "5 Files");
    click(&mut harness, x, y);
    assert_eq!(harness.app.screen, Screen::Files);
    let (x, y) = find(&harness, "/usr/bin/curl ");
    click(&mut harness, x, y);
    assert_eq!(harness.app.selected_file().map(|file| file.path.as_slice()), Some(&b"/usr/bin/curl"[..]));
}

#[test]
fn events_are_selected_and_rolled() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter (");
    let before = harness.app.opened.as_ref().and_then(|o| o.event());
    let rect = harness.app.plan().rect(Pane::Events).expect("the events");
    mouse(&mut harness, MouseEventKind::ScrollDown, rect.x + 5, rect.y + 5);
    let after = harness.app.opened.as_ref().and_then(|o| o.event());
    assert!(after > before);
    click(&mut harness, rect.x + 5, rect.y + 2);
    assert_eq!(harness.app.opened.as_ref().and_then(|o| o.event()), before);
}

#[test]
fn time_is_gone_to_framed_and_scrubbed() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter");
    let rect = harness.app.plan().rect(Pane::Timeline).expect("the timeline");
    let playhead = |harness: &Harness| harness.app.opened.as_ref().map(|o| o.playhead.time).expect("open");
    let whole = harness.app.opened.as_ref().map(|o| o.whole).expect("open");
    click(&mut harness, rect.right() - 3, rect.y + 2);
    assert!(playhead(&harness).0 > whole.1.0 - (whole.1.0 - whole.0.0) / 10);
    // Dragged along the bottom row, the playhead follows.
    let bottom = rect.bottom() - 1;
    mouse(&mut harness, MouseEventKind::Down(MouseButton::Left), rect.x + 50, bottom);
    let first = playhead(&harness);
    mouse(&mut harness, MouseEventKind::Drag(MouseButton::Left), rect.x + 80, bottom);
    assert!(playhead(&harness) > first);
    mouse(&mut harness, MouseEventKind::Up(MouseButton::Left), rect.x + 80, bottom);
    // Dragged above it, a range is framed.
    mouse(&mut harness, MouseEventKind::Down(MouseButton::Left), rect.x + 40, rect.y + 2);
    mouse(&mut harness, MouseEventKind::Drag(MouseButton::Left), rect.x + 60, rect.y + 2);
    mouse(&mut harness, MouseEventKind::Up(MouseButton::Left), rect.x + 60, rect.y + 2);
    let opened = harness.app.opened.as_ref().expect("open");
    assert!(opened.window.1.0 - opened.window.0.0 < (whole.1.0 - whole.0.0) / 4);
    assert!(opened.window.0 <= opened.playhead.time && opened.playhead.time <= opened.window.1);
}

#[test]
fn the_wheel_with_ctrl_zooms_about_the_pointer() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter ( a");
    for screen in ["2", "3"] {
        harness.press(screen);
        harness.press("a");
        let pane = if screen == "2" { Pane::Timeline } else { Pane::Lanes };
        let rect = harness.app.plan().rect(pane).expect("the timeline");
        let window = |harness: &Harness| harness.app.opened.as_ref().map(|o| o.window).expect("open");
        let (begin, end) = window(&harness);
        // Far from the playhead, which is at the beginning.
        let x = rect.right() - rect.width / 4;
        let wheel = |harness: &mut Harness, kind| {
            let event = MouseEvent { kind, column: x, row: rect.y + 2, modifiers: KeyModifiers::CONTROL };
            update::pointer(&mut harness.app, event);
            harness.settle();
        };
        wheel(&mut harness, MouseEventKind::ScrollUp);
        let (from, to) = window(&harness);
        let length = end.0 - begin.0;
        assert!((to.0 - from.0).abs_diff(length / 2) <= 1, "half of it is shown");
        assert!(from.0 > begin.0 + length / 4, "the part under the pointer, not the playhead's");
        wheel(&mut harness, MouseEventKind::ScrollDown);
        assert_eq!(window(&harness), (begin, end), "and back");
    }
}

#[test]
fn a_dragged_range_becomes_a_filter_by_enter() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter");
    let rect = harness.app.plan().rect(Pane::Timeline).expect("the timeline");
    let (y, from, to) = (rect.y + 2, rect.x + 40, rect.x + 60);
    let drag = |harness: &mut Harness| {
        mouse(harness, MouseEventKind::Down(MouseButton::Left), from, y);
        mouse(harness, MouseEventKind::Drag(MouseButton::Left), to, y);
        mouse(harness, MouseEventKind::Up(MouseButton::Left), to, y);
    };
    drag(&mut harness);
    harness.press("Enter");
    let text = harness.app.bar.filter.text();
    assert!(text.starts_with("time in start"), "{text}");
    // Anything else than Enter leaves it a window.
    harness.press("u a");
    drag(&mut harness);
    harness.press("j Enter");
    assert!(harness.app.bar.filter.is_empty());
}

#[test]
fn the_mouse_anywhere_does_no_harm_and_can_be_given_back() {
    let mut harness = Harness::new(80, 24);
    for screen in Screen::ALL {
        harness.press("1 j");
        harness.press(&screen.digit().to_string());
        for y in 0..24 {
            for x in [0, 20, 41, 79] {
                click(&mut harness, x, y);
                mouse(&mut harness, MouseEventKind::ScrollUp, x, y);
                mouse(&mut harness, MouseEventKind::Drag(MouseButton::Left), 79 - x, y);
                harness.app.popup = None;
                harness.app.bar.edit = None;
                harness.press(&screen.digit().to_string());
            }
        }
    }
    assert_eq!(harness.press("F2"), Some(Effect::Mouse(false)));
    assert_eq!(harness.press("F2"), Some(Effect::Mouse(true)));
}

#[test]
fn a_heading_puts_the_list_in_its_order_and_again_the_other_way() {
    let mut harness = Harness::new(120, 40);
    let first = |harness: &Harness| {
        let screen = harness.text();
        let heading = screen.lines().position(|line| line.contains("EVENTS")).expect("headings");
        screen.lines().nth(heading + 1).expect("a row").to_owned()
    };
    let (x, y) = find(&harness, "EVENTS");
    click(&mut harness, x + 1, y);
    assert!(harness.text().contains("most events first") && first(&harness).contains("batch-job-81aa"));
    let (x, y) = find(&harness, "STARTED");
    click(&mut harness, x, y);
    assert!(harness.text().contains("newest first"));
    click(&mut harness, x, y);
    assert!(harness.text().contains("oldest first") && first(&harness).contains("batch-job-7f9c"));

    harness.press("1 G k k k");
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
    harness.press("6");
    let (x, y) = find(&harness, "SENT");
    let top = |harness: &Harness| harness.text().lines().nth(usize::from(y) + 1).expect("a row").to_owned();
    assert!(top(&harness).contains("10.0.0.53:53"), "{}", top(&harness));
    click(&mut harness, x, y);
    assert!(top(&harness).contains("203.0.113.9:4444"), "{}", top(&harness));
    assert!(harness.text().contains("4, by sent"), "{}", harness.text());
    click(&mut harness, x, y);
    assert!(harness.text().contains("by sent, reversed"));
    // By key: each order, and then as it comes.
    harness.press("s s s s s");
    assert!(top(&harness).contains("10.0.0.53:53"), "{}", top(&harness));
}

#[test]
fn parts_of_the_filter_are_switched_and_taken_away() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter /");
    harness.type_text("proc.name = sh and evt.type = openat");
    harness.press("Enter");
    let (x, y) = find(&harness, "evt.type");
    click(&mut harness, x, y);
    assert!(harness.text().contains("(off: evt.type = openat) [x]"), "{}", harness.text());
    let (x, y) = find(&harness, "x] and (off");
    click(&mut harness, x, y);
    assert!(!harness.text().contains("proc.name"), "{}", harness.text());
    let (x, _) = find(&harness, "(off: evt.type = openat) [x]");
    click(&mut harness, x + 26, y);
    assert!(harness.text().contains("no filter"), "{}", harness.text());
    // Beside the parts, the filter is edited.
    click(&mut harness, 60, y);
    assert!(harness.app.bar.edit.is_some());
}

#[test]
fn the_right_button_offers_what_can_be_done_with_a_row_and_opens_nothing() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter 5");
    let (x, y) = find(&harness, "/usr/bin/curl ");
    let right = MouseEventKind::Down(MouseButton::Right);
    mouse(&mut harness, right, x, y);
    mouse(&mut harness, right, 0, 0);
    mouse(&mut harness, right, x, y);
    assert_eq!(harness.app.screen, Screen::Files, "a second press opens nothing");
    assert_eq!(harness.app.selected_file().map(|file| file.path.as_slice()), Some(&b"/usr/bin/curl"[..]));
    for text in ["this row", "keep this value", "drop this value", "open in replay"] {
        assert!(harness.text().contains(text), "{text}: {}", harness.text());
    }
    let (x, y) = find(&harness, "keep this value");
    click(&mut harness, x, y);
    assert!(harness.text().contains("fd.name = /usr/bin/curl"), "{}", harness.text());
    let (x, y) = find(&harness, "fd.name = /usr/bin/curl");
    click(&mut harness, x, y);
    assert_eq!(harness.app.bar.filter.text(), "fd.name = /usr/bin/curl");
    // Beside a menu, it is closed and nothing is done.
    harness.press("2 (");
    let before = harness.app.opened.as_ref().map(|o| o.playhead);
    let rect = harness.app.plan().rect(Pane::Timeline).expect("the timeline");
    mouse(&mut harness, right, rect.x + 60, rect.y + 2);
    click(&mut harness, 119, 39);
    assert!(harness.app.popup.is_none());
    assert_eq!(harness.app.opened.as_ref().map(|o| o.playhead), before);
}

#[test]
fn a_click_on_a_lane_selects_it_and_a_pinned_one_stays_at_the_top() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut harness = Harness::new(width, height);
        harness.press("j j j Enter 3");
        let (_, y) = find(&harness, "31418 ");
        click(&mut harness, 3, y);
        let line = |harness: &Harness| harness.text().lines().nth(usize::from(y)).expect("a row").to_owned();
        assert!(line(&harness).starts_with('›'), "{width}x{height}: {}", harness.text());
        harness.press("P");
        let pinned = |harness: &Harness| {
            let screen = harness.text();
            screen.lines().position(|line| line.starts_with('^') && line.contains("31418 "))
        };
        let top = pinned(&harness).expect("the pinned lane");
        harness.press("G");
        assert_eq!(pinned(&harness), Some(top), "{}", harness.text());
        harness.press("g g");
        let (_, y) = find(&harness, "31398 ");
        click(&mut harness, 3, y);
        assert!(harness.text().lines().nth(usize::from(y)).is_some_and(|line| line.starts_with('›')));
        let at = harness.app.sheet().expect("lanes").order.iter().position(|place| {
            let whole = harness.app.story().and_then(|story| story.whole.as_ref()).expect("the whole");
            whole.tree.get(*place).is_some_and(|row| row.pid == 31_418)
        });
        harness.press(&format!("Home {}", "j ".repeat(at.expect("the lane")).trim_end()));
        harness.press("P");
        assert_eq!(pinned(&harness), None, "{}", harness.text());
    }
}
