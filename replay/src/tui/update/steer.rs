//! Actions of the clock: where the playhead goes.

use std::time::Duration;

use afterimage_format::{BootNanos, ContainerUid, EventId};
use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};

use super::{alerts, case, filtering, stream, walk};
use crate::{
    time::{Frame, Moment, Named, Namer, human, shifted},
    tui::{
        action::Action,
        app::{App, Opened, Popup},
        ask::Ask,
        edit::LineEdit,
        feed::{Heading, ProcessRow, SeekKey, Sought, Story, StoryRow},
        filter::{Verdict, sentence},
        layout::Pane,
        player::{Motion, Playhead},
        screen::Screen,
        sheets::LaneRow,
        text::safe,
    },
};

const SECOND: u64 = 1_000_000_000;
/// The least part of a life that the timeline shows.
const LEAST_WINDOW: u64 = 1_000;

/// Does an action of the clock so many times.
pub(super) fn clock(app: &mut App, action: Action, times: usize) {
    let height = app.rows_in(Pane::Events);
    if let Some(ask) = asks(app, action) {
        let known = match ask {
            Ask::Find => app.bar.find.as_deref(),
            Ask::FindInAll => app.list.find.as_deref(),
            _ => None,
        };
        let text = known.unwrap_or_default();
        app.popup = Some(Popup::Ask(ask, LineEdit::new(text), None));
        return;
    }
    match action {
        Action::NextMark => return case::step(app, true, times),
        Action::PrevMark => return case::step(app, false, times),
        Action::NextProcess => return seek(app, Heading::Forward, Sought::Process, times),
        Action::PrevProcess => return seek(app, Heading::Backward, Sought::Process, times),
        Action::NextFinding => return finding(app, Heading::Forward, times),
        Action::PrevFinding => return finding(app, Heading::Backward, times),
        Action::JumpBack | Action::JumpForward => {
            (0..times).for_each(|_| jump(app, action == Action::JumpBack));
            return;
        }
        Action::Live => return live(app),
        _ => {}
    }
    let Some(opened) = &mut app.opened else { return };
    let rows = isize::try_from(times).unwrap_or(isize::MAX);
    let nanos = i128::from(SECOND) * times as i128;
    match action {
        Action::Play => toggle(opened, Motion::Forward),
        Action::PlayBack => toggle(opened, Motion::Backward),
        Action::StepForward => step(opened, rows, height),
        Action::StepBack => step(opened, -rows, height),
        Action::SecondForward => by_time(opened, nanos),
        Action::SecondBack => by_time(opened, -nanos),
        Action::Begin => opened.arrive(Playhead::at_time(opened.whole.0)),
        Action::End => opened.arrive(Playhead::at_time(opened.whole.1)),
        Action::Faster => (0..times).for_each(|_| opened.player.faster()),
        Action::Slower => (0..times).for_each(|_| opened.player.slower()),
        Action::Pace => opened.player.turn_pace(),
        Action::SkipIdle => opened.player.skip_idle = !opened.player.skip_idle,
        _ => {}
    }
}

/// What an action of the clock asks for first.
pub(super) fn asks(app: &App, action: Action) -> Option<Ask> {
    match action {
        Action::GoTo => Some(Ask::Moment),
        Action::Find if !app.screen.needs_container() => Some(Ask::FindInAll),
        Action::Find => Some(Ask::Find),
        Action::RunUntil => Some(Ask::Until(Heading::Forward)),
        Action::RunBack => Some(Ask::Until(Heading::Backward)),
        _ => None,
    }
}

/// Stays at the newest event of what is being recorded, or not any more.
fn live(app: &mut App) {
    if !app.catalog.unsealed {
        app.complain(safe!("nothing is being recorded here"));
        return;
    }
    let Some(opened) = &mut app.opened else { return };
    opened.live = !opened.live;
    if opened.live {
        let end = opened.whole.1;
        opened.arrive(Playhead::at_time(end));
        opened.live = true;
        app.say(safe!("following the newest event; any step back pauses"));
    } else {
        app.say(safe!("paused; L follows again"));
    }
}

fn toggle(opened: &mut Opened, motion: Motion) {
    let stop = opened.player.motion == motion;
    opened.player.motion = if stop { Motion::Paused } else { motion };
    let (begin, end) = opened.whole;
    if motion == Motion::Forward && opened.playhead.time >= end && !stop {
        opened.move_to(Playhead::at_time(begin));
    }
    opened.fresh = false;
}

/// Moves by `rows` events; what lies beyond those that are known is gone when they are.
pub(super) fn step(opened: &mut Opened, rows: isize, height: usize) {
    opened.player.motion = Motion::Paused;
    let Some((page, at)) = opened.at() else { return };
    let to = at.saturating_add_signed(rows).min(page.rows.len().saturating_sub(1));
    let Some(id) = page.rows.get(to).map(|row| row.id) else { return };
    let line = opened.line(height).saturating_add_signed(to as isize - at as isize);
    let at_edge = if rows < 0 { page.at_start } else { page.at_end };
    let due = rows.saturating_sub(to as isize - at as isize);
    opened.line = Some(line.min(height.saturating_sub(1)));
    opened.move_to(Playhead::at_event(id));
    opened.due = if at_edge { 0 } else { due };
}

/// The next page came: the rows that are still to be gone are gone.
pub(super) fn go_on(app: &mut App) {
    let height = app.rows_in(Pane::Events);
    if let Some(opened) = app.opened.as_mut().filter(|o| o.due != 0) {
        let due = opened.due;
        step(opened, due, height);
    }
}

/// Back to where the playhead was before it jumped, or forward again.
pub(super) fn jump(app: &mut App, back: bool) {
    let Some(opened) = &mut app.opened else { return };
    let here = opened.place();
    let to = if back { opened.trail.back(here) } else { opened.trail.forward(here) };
    let Some(to) = to else {
        app.say(if back { safe!("no jump to go back from") } else { safe!("no jump was gone back from") });
        return;
    };
    if to.uid != here.uid && app.catalog.container(to.uid).is_some() {
        let trail = std::mem::take(&mut opened.trail);
        walk::select_container(app, to.uid);
        super::open(app, to.uid);
        if let Some(opened) = &mut app.opened {
            opened.trail = trail;
        }
    }
    if let Some(opened) = app.opened.as_mut().filter(|o| o.uid == to.uid) {
        opened.put(to.playhead);
    }
}

fn by_time(opened: &mut Opened, by: i128) {
    let time = (i128::from(opened.playhead.time.0) + by).max(0);
    opened.put(Playhead::at_time(BootNanos(u64::try_from(time).unwrap_or(u64::MAX))));
}

fn seek(app: &mut App, heading: Heading, sought: Sought, nth: usize) {
    let setup = app.bar.setup;
    let Some(opened) = &mut app.opened else { return };
    opened.player.motion = Motion::Paused;
    let from = opened.event().map_or_else(|| opened.playhead.center(), |id| Playhead::at_event(id).center());
    opened.seek = Some(SeekKey { uid: opened.uid, from, heading, sought, nth, setup });
    opened.seek_asked = false;
}

/// What was looked for was found, or was not.
pub(super) fn found(app: &mut App, key: SeekKey, found: Option<EventId>) {
    let Some(opened) = app.opened.as_mut().filter(|o| o.seek.as_ref() == Some(&key)) else { return };
    opened.seek = None;
    let Some(id) = found else {
        let when = if key.heading == Heading::Forward { "later" } else { "earlier" };
        app.say(match &key.sought {
            Sought::Process => safe!("no process starts or ends {when}"),
            Sought::Filter(text) => safe!("nothing {when} matches {}", escape(text.as_bytes())),
        });
        return;
    };
    opened.arrive(Playhead::at_event(id));
}

/// The findings that `n` goes to: those that the Findings screen lists, all where none stands out.
fn told(app: &App) -> Vec<&StoryRow> {
    let rows = app.story().map_or(&[][..], |story| story.rows.as_slice());
    let sheet = app.opened.as_ref().and_then(|opened| opened.sheets.get(&Screen::Findings));
    let is_weighty = |row: &&StoryRow| row.severity >= Severity::Notice;
    let is_all = sheet.is_some_and(|sheet| sheet.other) || !rows.iter().any(|row| is_weighty(&row));
    rows.iter().filter(|row| is_all || is_weighty(row)).collect()
}

/// The next or previous finding; where something is looked for, its next or previous match.
fn finding(app: &mut App, heading: Heading, times: usize) {
    if let Some(text) = app.bar.find.clone() {
        return next_match(app, heading, &text, times);
    }
    let forward = heading == Heading::Forward;
    let Some(opened) = &app.opened else { return };
    let here = opened.event();
    let at = opened.playhead.time;
    let after = |row: &&StoryRow| match (row.id, here) {
        (Some(id), Some(here)) => id > here,
        _ => row.time > at,
    };
    let before = |row: &&StoryRow| match (row.id, here) {
        (Some(id), Some(here)) => id < here,
        _ => row.time < at,
    };
    let rows = told(app);
    let rows = rows.iter().copied();
    let target = match forward {
        true => rows.filter(after).take(times).last(),
        false => rows.rev().filter(before).take(times).last(),
    };
    let Some(row) = target.cloned() else {
        let reading = app.story().is_none_or(|story| story.reading.is_some());
        let way = if forward { "later" } else { "earlier" };
        app.say(match (reading, app.has_unread_story()) {
            (true, true) => safe!("no finding {way} in what could be read"),
            (true, false) => safe!("still reading for findings"),
            (false, _) => safe!("no finding {way} of those that 8 lists"),
        });
        return;
    };
    if let Some(opened) = &mut app.opened {
        opened.arrive(row.id.map_or(Playhead::at_time(row.time), Playhead::at_event));
    }
    app.say(row.text);
}

/// Story first: a container whose first finding becomes known is shown there, unless the user has moved.
/// When all was read, what is recorded later moves nothing.
pub(super) fn begin_with_story(app: &mut App, uid: ContainerUid, all: bool) {
    let first = app.stories.of(uid).and_then(Story::beginning).cloned();
    let Some(opened) = app.opened.as_mut().filter(|o| o.uid == uid && o.fresh) else { return };
    opened.fresh = !all;
    if let Some(first) = first {
        opened.put(first.id.map_or(Playhead::at_time(first.time), Playhead::at_event));
    }
}

/// Goes to a moment as typed.
pub(super) fn go_to(app: &mut App, text: &str) -> Result<(), Safe> {
    if let Some(named) = Named::parse(text) {
        let at = match named.by {
            Namer::Alert => alerts::moment(app, named.name)?,
            Namer::Mark if named.offset == 0 => return case::jump(app, mark(named.name)?),
            Namer::Mark => case::mark(app, mark(named.name)?)?.time,
        };
        return arrive_within(app, shifted(at, named.offset));
    }
    let Some(opened) = &mut app.opened else { return Ok(()) };
    let clock = app.catalog.clocks.typed(app.time_style);
    let frame = Frame { clock, start: opened.origin, end: opened.whole.1, now: app.now };
    let to = Moment::parse(text).and_then(|moment| moment.resolve(&frame)).map_err(|e| safe!("{e}"))?;
    arrive_within(app, to)
}

/// The letter of a mark as typed.
fn mark(name: &str) -> Result<char, Safe> {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(safe!("write `mark:` and one letter")),
    }
}

/// Goes to a moment, or to the end of the life that is nearest to it.
fn arrive_within(app: &mut App, to: BootNanos) -> Result<(), Safe> {
    let Some(opened) = &mut app.opened else { return Ok(()) };
    let (begin, end) = opened.whole;
    opened.arrive(Playhead::at_time(to));
    if to < begin || to > end {
        app.say(safe!("that is outside of this container's life; its nearest end is shown"));
    }
    Ok(())
}

/// Looks for the next or previous event that a filter keeps.
pub(super) fn run_until(app: &mut App, heading: Heading, text: &str) -> Result<(), Safe> {
    if text.trim().is_empty() {
        return Err(safe!("nothing to look for: write a filter, such as evt.type = connect, or a word"));
    }
    if let verdict @ Verdict::Invalid(..) = app.bar.library.verdict(text) {
        return Err(sentence(&verdict));
    }
    seek(app, heading, Sought::Filter(text.into()), 1);
    Ok(())
}

/// What is to be looked for was typed: the playhead goes to its next match, and from there to the others.
pub(super) fn find(app: &mut App, text: &str) -> Result<(), Safe> {
    let text = text.trim();
    if text.is_empty() {
        app.bar.find = None;
        return Ok(());
    }
    // In a stream it is a text and nothing else.
    if app.screen != Screen::Follow
        && let verdict @ Verdict::Invalid(..) = app.bar.library.verdict(text)
    {
        return Err(sentence(&verdict));
    }
    app.bar.find = Some(text.into());
    next_match(app, Heading::Forward, text, 1);
    Ok(())
}

/// The next or previous match of what is looked for, among the events that the filter in force keeps; of a stream among its
/// lines.
fn next_match(app: &mut App, heading: Heading, text: &str, times: usize) {
    if app.screen == Screen::Follow {
        return stream::next_match(app, heading, text, times);
    }
    if let verdict @ Verdict::Invalid(..) = app.bar.library.verdict(text) {
        return app.complain(safe!("what is looked for is {}", sentence(&verdict)));
    }
    let kept = app.bar.filter.text();
    let text = if kept.is_empty() { text.to_owned() } else { format!("({kept}) and ({text})") };
    seek(app, heading, Sought::Filter(text.into()), times);
}

/// Zooms the timeline about the playhead.
pub(super) fn zoom(app: &mut App, action: Action) {
    if let Some(at) = app.opened.as_ref().map(|opened| opened.playhead.time) {
        zoom_about(app, action, at);
    }
}

/// Zooms the timeline about a moment, which stays where it is.
pub(super) fn zoom_about(app: &mut App, action: Action, at: BootNanos) {
    let Some(opened) = &mut app.opened else { return };
    let (begin, end) = opened.window;
    let length = end.0.saturating_sub(begin.0);
    let whole = opened.length();
    let new = match action {
        Action::ZoomIn => (length / 2).max(LEAST_WINDOW.min(whole)),
        Action::ZoomOut => length.saturating_mul(2).min(whole),
        _ => whole,
    };
    let at = at.0.clamp(begin.0, end.0);
    let part = u128::from(at - begin.0) * u128::from(new) / u128::from(length.max(1));
    let from = at.saturating_sub(u64::try_from(part).unwrap_or(0));
    let from = from.min(opened.whole.1.0.saturating_sub(new)).max(opened.whole.0.0);
    opened.window = (BootNanos(from), BootNanos(from + new));
}

/// Shows an earlier or later part of the life: half a window.
pub(super) fn pan(app: &mut App, action: Action) {
    let Some(opened) = &mut app.opened else { return };
    let (begin, end) = opened.window;
    let length = end.0.saturating_sub(begin.0);
    let (first, last) = (opened.whole.0.0, opened.whole.1.0.saturating_sub(length));
    let from = match action {
        Action::EarlierPart => begin.0.saturating_sub(length / 2),
        _ => begin.0.saturating_add(length / 2),
    };
    let from = from.min(last).max(first);
    opened.window = (BootNanos(from), BootNanos(from + length));
}

/// Begins a range at the playhead, or ends it: the window then shows the range.
pub(super) fn range(app: &mut App) {
    let Some(opened) = &mut app.opened else { return };
    let here = opened.playhead.time;
    let Some(begin) = opened.range.take() else {
        (opened.range, opened.framed) = (Some(here), None);
        app.say(safe!("the range begins here; go to its end, then v shows it and Enter filters to it"));
        return;
    };
    frame_range(app, begin, here);
}

/// A range was chosen: the window shows it, and Enter filters to it.
pub(super) fn frame_range(app: &mut App, one: BootNanos, other: BootNanos) {
    frame(app, one, other);
    if let Some(opened) = &mut app.opened {
        opened.framed = Some((one.min(other), one.max(other)));
        app.say(safe!("this is the range; Enter filters to it"));
    }
}

/// Makes the range that was begun or framed a filter; false where there is none.
pub(super) fn filter_to_range(app: &mut App) -> bool {
    let Some(opened) = &mut app.opened else { return false };
    let here = opened.playhead.time;
    let begun = opened.range.take().map(|begin| (begin.min(here), begin.max(here)));
    let Some((from, to)) = begun.or(opened.framed.take()) else { return false };
    let Some(start) = app.catalog.container(opened.uid).map(|row| row.life.begin) else { return false };
    // Not finer than a microsecond, and nothing of the range left out.
    let instant = |at: u64| {
        let micros = (i128::from(at) - i128::from(start.0)).div_euclid(1_000);
        let (sign, size) = (if micros < 0 { '-' } else { '+' }, micros.unsigned_abs());
        format!("start{sign}{}.{:06}s", size / 1_000_000, size % 1_000_000)
    };
    filtering::add(app, format!("time in {}..{}", instant(from.0), instant(to.0.saturating_add(999))));
    true
}

/// The window shows the life of the selected row: a lane's, else a process's.
pub(super) fn life(app: &mut App) {
    let Some(opened) = &app.opened else { return };
    let of_list = matches!(app.screen, Screen::Timeline | Screen::Tree);
    let story = || app.story().and_then(|story| story.whole.as_deref());
    let Some(whole) = (if of_list { app.whole() } else { story() }) else {
        app.complain(if app.has_unread_story() {
            safe!("the recording could not be read to its end")
        } else {
            safe!("the recording is still being read for lives")
        });
        return;
    };
    let last = whole.until.unwrap_or(opened.whole.1);
    let lane = match app.screen {
        Screen::Timeline => app.sheet().and_then(|sheet| sheet.selected()).map(|at| LaneRow::of(whole, at)),
        Screen::Tree => app.selected_process().map(LaneRow::Process),
        _ => {
            // What a process of this moment came to is known to the whole life.
            let rows = opened.tree_rows();
            let pid = opened.moment.value().and_then(|moment| moment.pid);
            let row = match app.focus() {
                Pane::Tree => rows.get(opened.tree.cursor).copied(),
                _ => rows.into_iter().rev().find(|row| Some(row.pid) == pid),
            };
            let key = row.map(ProcessRow::key);
            whole.tree.iter().find(|row| Some(row.key()) == key).map(LaneRow::Process)
        }
    };
    let Some((from, to)) = lane.and_then(|lane| lane.span(last)) else {
        app.complain(safe!("nothing is selected that has a life"));
        return;
    };
    frame(app, from, to);
    app.say(safe!("the window is {} long; a shows everything", human(to.0.saturating_sub(from.0))));
}

/// The window shows what is between two moments, where that is not too little.
fn frame(app: &mut App, one: BootNanos, other: BootNanos) {
    let Some(opened) = &mut app.opened else { return };
    let (from, to) = (one.min(other), one.max(other));
    if to.0.saturating_sub(from.0) < LEAST_WINDOW {
        return;
    }
    opened.window = (from, to);
    if opened.playhead.time < from || opened.playhead.time > to {
        opened.move_to(Playhead::at_time(from));
        opened.window = (from, to);
    }
}

/// Lets time run; whether anything moved.
pub(crate) fn tick(app: &mut App, elapsed: Duration) -> bool {
    let height = app.rows_in(Pane::Events);
    let Some(opened) = app.opened.as_mut().filter(|o| o.player.motion != Motion::Paused) else {
        return false;
    };
    let empty = crate::tui::feed::Page::default();
    let before = opened.at().map(|(_, row)| row);
    let mut player = opened.player;
    let page = opened.page.value().unwrap_or(&empty);
    let to = player.advance(opened.playhead, elapsed, opened.whole, page);
    opened.player = player;
    opened.move_to(to);
    // The cursor walks down the list before the list scrolls under it.
    if let (Some(before), Some((_, after))) = (before, opened.at()) {
        let moved = after as isize - before as isize;
        opened.line = Some(opened.line(height).saturating_add_signed(moved).min(height * 2 / 3));
    }
    true
}
