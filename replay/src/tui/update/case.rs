//! Actions on what people note: marks, bookmarks, notes, the report.

use std::{collections::BTreeSet, path::PathBuf};

use afterimage_format::{BootNanos, ContainerUid, EventId};
use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};
use jiff::Timestamp;

use super::{Effect, cells, command_line::command_line, go, steer, typing::NO_CONTAINER};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    ask::Ask,
    case::{About, Entry, What},
    edit::LineEdit,
    evidence::Evidence,
    feed::{ReportItem, Request, StoryKey, StoryRow},
    filter::Filter,
    player::Playhead,
    screen::Screen,
    text::{counted, safe},
};

/// Does an action of the case.
pub(super) fn action(app: &mut App, action: Action) {
    let ask = |ask| Some(Popup::Ask(ask, LineEdit::default(), None));
    match action {
        Action::Copy => cells::ask(app, crate::tui::feed::Purpose::Copy),
        Action::Cli => {
            let line = command_line(app);
            app.say(line);
        }
        _ if app.opened.is_none() => app.complain(safe!("no container is open")),
        Action::Mark => app.popup = Some(Popup::Letter { set: true }),
        Action::JumpMark => app.popup = Some(Popup::Letter { set: false }),
        Action::Bookmark => app.popup = ask(Ask::Bookmark),
        Action::Note => app.popup = ask(Ask::Note),
        Action::Rules => app.popup = ask(Ask::Rules),
        Action::InReport => in_report(app),
        Action::Report => report(app),
        _ => {}
    }
}

/// The moment that a note is about: the selected finding, else the playhead.
fn moment(app: &App) -> Option<(BootNanos, Option<EventId>)> {
    if app.screen == Screen::Findings
        && let Some(row) = app.selected_finding()
    {
        return Some((row.time, row.id));
    }
    let opened = app.opened.as_ref()?;
    let id = opened.event();
    Some((id.map_or(opened.playhead.time, |id| id.time), id))
}

/// Adds a line to the case about the moment of the screen; a place is the playhead itself.
pub(super) fn add(app: &mut App, what: What) {
    let about = match what {
        What::Place { .. } => app.opened.as_ref().map(|o| (o.playhead.time, o.playhead.event)),
        _ => moment(app),
    };
    let container = app.opened.as_ref().map(|o| o.uid.0);
    let now = Timestamp::from_nanosecond(i128::from(app.now)).unwrap_or_default();
    let entry = Entry {
        time: now.to_string(),
        author: app.case.author.clone(),
        store: app.case.store.clone(),
        container,
        at: about.map(|(time, _)| time.0),
        event: about.and_then(|(_, id)| id).map(|id| (id.block, id.row)),
        what,
    };
    app.case.add(entry);
}

/// A letter was pressed for a mark.
pub(super) fn letter(app: &mut App, set: bool, letter: char) {
    if !app.screen.needs_container() {
        app.complain(Safe::literal(NO_CONTAINER));
    } else if letter == '\'' && !set {
        steer::jump(app, true);
    } else if !letter.is_alphanumeric() {
        app.complain(safe!("a mark is a letter or a digit"));
    } else if set {
        add(app, What::Mark { letter });
        app.say(safe!("mark {letter} is here; '{letter} comes back"));
    } else if let Err(why) = jump(app, letter) {
        app.complain(why);
    }
}

/// Goes to a mark.
pub(super) fn jump(app: &mut App, letter: char) -> Result<(), Safe> {
    let to = mark(app, letter)?;
    arrive(app, to);
    Ok(())
}

/// Where a mark is.
pub(super) fn mark(app: &App, letter: char) -> Result<Playhead, Safe> {
    let uid = app.opened.as_ref().map(|o| o.uid);
    let marks = uid.map(|uid| app.case.marks(uid)).unwrap_or_default();
    let letter_shown = escape(letter.to_string().as_bytes());
    let to = marks.get(&letter).map(|entry| playhead(entry));
    to.ok_or_else(|| safe!("no mark {letter_shown} in this container"))
}

fn playhead(entry: &Entry) -> Playhead {
    entry.event_id().map_or(Playhead::at_time(BootNanos(entry.at.unwrap_or(0))), Playhead::at_event)
}

fn arrive(app: &mut App, to: Playhead) {
    if let Some(opened) = &mut app.opened {
        opened.arrive(to);
    }
}

/// To the moment of the note that the cursor beside the replay is on.
pub(super) fn open_note(app: &mut App) {
    let Some(opened) = &app.opened else { return };
    match app.case.noted(opened.uid).get(opened.notes.cursor).map(|entry| playhead(entry)) {
        Some(to) => arrive(app, to),
        None => app.complain(safe!("no note here")),
    }
}

/// To the next or previous moment that something was noted on, so many times.
pub(super) fn step(app: &mut App, forward: bool, times: usize) {
    let Some(opened) = &app.opened else { return };
    let here = opened.event().map_or(opened.playhead.time.0, |id| id.time.0);
    let all = app.case.noted(opened.uid);
    let found = if forward {
        all.iter().filter(|entry| entry.at.is_some_and(|at| at > here)).take(times).last()
    } else {
        all.iter().rev().filter(|entry| entry.at.is_some_and(|at| at < here)).take(times).last()
    };
    let when = if forward { "later" } else { "earlier" };
    match found.map(|entry| (playhead(entry), shown(entry))) {
        Some((to, text)) => {
            arrive(app, to);
            app.say(text);
        }
        None => app.say(safe!("no mark or note {when}")),
    }
}

/// An entry in a line.
pub(crate) fn shown(entry: &Entry) -> Safe {
    match &entry.what {
        What::Mark { letter } => safe!("mark {}", escape(letter.to_string().as_bytes())),
        What::Bookmark { text } | What::Note { text } => escape(text.as_bytes()),
        other => Safe::literal(other.word()),
    }
}

/// A bookmark or note was typed.
pub(super) fn write(app: &mut App, ask: Ask, text: &str) -> Result<(), Safe> {
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(safe!("write a few words"));
    }
    let what = if ask == Ask::Bookmark { What::Bookmark { text } } else { What::Note { text } };
    app.say(safe!("{} kept", what.word()));
    add(app, what);
    Ok(())
}

/// Puts the moment into the report, or takes it out.
fn in_report(app: &mut App) {
    let (Some((time, id)), Some(uid)) = (moment(app), app.opened.as_ref().map(|o| o.uid)) else { return };
    let on = !app.case.is_reported(uid, time, id);
    let title = title(app, time, id).into_string();
    add(app, What::Report { on, title });
    app.say(if on { safe!("in the report; r writes it") } else { safe!("not in the report") });
}

/// What a moment is called: its finding, else its event.
fn title(app: &App, time: BootNanos, id: Option<EventId>) -> Safe {
    if let Some(row) = app.story().and_then(|story| told(&story.rows, time, id)) {
        return row.text.clone();
    }
    let page = app.opened.as_ref().and_then(|o| o.page.value());
    let row = page.and_then(|page| page.rows.iter().find(|row| Some(row.id) == id));
    row.map_or_else(
        || safe!("{}", app.catalog.clocks.day_time(app.time_style, time)),
        |row| safe!("{} {}: {}", row.process, row.name, row.detail),
    )
}

/// The finding of an event, or the alert of a moment that rests on none.
fn told(rows: &[StoryRow], time: BootNanos, id: Option<EventId>) -> Option<&StoryRow> {
    rows.iter().find(|row| row.id == id && row.time == time)
}

/// Asks for the report: what was put into it, or where that is nothing, every warning and worse.
fn report(app: &mut App) {
    let Some(uid) = app.opened.as_ref().map(|o| o.uid) else { return };
    let Some(story) = app.stories.of(uid).filter(|story| story.reading.is_none()) else {
        app.complain(if app.stories.has_failed(uid) {
            safe!("the recording could not be read to its end")
        } else {
            safe!("the recording is still being read for findings")
        });
        return;
    };
    let reported = app.case.reported(uid);
    let mut keys: BTreeSet<About> = reported.keys().copied().collect();
    if keys.is_empty() {
        let weighty = story.rows.iter().filter(|row| row.severity >= Severity::Warning);
        keys.extend(weighty.map(|row| (row.time.0, row.id.map(|id| (id.block, id.row)))));
    }
    let noted = app.case.noted(uid);
    let items: Vec<ReportItem> = keys
        .into_iter()
        .map(|(at, event)| {
            let time = BootNanos(at);
            let id = event.map(|(block, row)| EventId { time, block, row });
            let finding = told(&story.rows, time, id);
            let title = finding.map(|row| row.text.clone());
            let title = title.or_else(|| reported.get(&(at, event)).map(|title| escape(title.as_bytes())));
            let notes = noted.iter().filter(|entry| entry.at == Some(at));
            ReportItem {
                time,
                id,
                title: title.unwrap_or_default(),
                about: finding.map_or_else(Safe::default, |row| {
                    let tag = if row.tag.as_str().is_empty() { "no technique" } else { row.tag.as_str() };
                    // An alert is about a container, not about a process.
                    match row.process.as_str() {
                        "" => safe!("{}", row.severity.as_str()),
                        process => safe!("{}, ATT&CK {tag}, process {process}", row.severity.as_str()),
                    }
                }),
                notes: notes
                    .map(|entry| safe!("{} ({})", shown(entry), escape(entry.author.as_bytes())))
                    .collect(),
            }
        })
        .collect();
    if items.is_empty() {
        app.complain(safe!("nothing to report: * puts a finding or an event into the report"));
        return;
    }
    let Some(row) = app.catalog.container(uid) else { return };
    let key = StoryKey::of(row, app.catalog.generation);
    app.questions.push(Request::Report(key, items));
}

/// The report came: it is written into a new file.
pub(super) fn export(app: &mut App, uid: ContainerUid, text: String) {
    let name = app.catalog.container(uid).map(|row| row.short_id.as_str().to_owned()).unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = format!("afterimage-report-{name}.md");
    add(app, What::Export { file: file.clone() });
    app.outbox.push(Effect::Save(Evidence { name: file, bytes: text.into_bytes(), lacking: None }));
}

/// A file of rules was named.
pub(super) fn run_rules(app: &mut App, text: &str) -> Result<(), Safe> {
    let path = PathBuf::from(text.trim());
    if !path.is_file() {
        return Err(safe!("{} is no file", escape(text.trim().as_bytes())));
    }
    let row = app.opened.as_ref().and_then(|opened| app.catalog.container(opened.uid));
    let Some(key) = row.map(|row| StoryKey::of(row, app.catalog.generation)) else { return Ok(()) };
    app.say(safe!("looking for what these rules match"));
    app.questions.push(Request::Rules(key, path));
    Ok(())
}

/// What the rules matched is added to the findings.
pub(super) fn take_rules(app: &mut App, uid: ContainerUid, rows: Vec<StoryRow>, notes: Vec<Safe>) {
    let matched = safe!("rules matched {}", counted(rows.len() as u64, "time"));
    match notes.as_slice() {
        [] => app.say(matched),
        [note] => app.complain(safe!("{matched}; {note}")),
        several => {
            let several = counted(several.len() as u64, "warning");
            app.complain(safe!("{matched}; {several}, told with the findings"));
        }
    }
    app.stories.add(uid, rows);
    app.stories.note(uid, notes);
}

/// What a case file remembers is in force again: saved filters, the filter, and, where no container was named,
/// the place.
pub(crate) fn restore(app: &mut App, with_place: bool) {
    let saved: Vec<(String, String)> =
        app.case.saved().into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    for (name, text) in saved {
        app.bar.library.add(&name, &text);
    }
    let filters: Vec<String> = app.case.filters().into_iter().map(str::to_owned).collect();
    if let Some(last) = filters.last()
        && let Ok(filter) = Filter::parse(last, &app.bar.library)
    {
        app.bar.filter = filter;
    }
    for text in filters.into_iter().filter(|text| !text.is_empty()) {
        app.bar.history.retain(|old| *old != text);
        app.bar.history.push(text);
    }
    let place = app.case.place().filter(|_| with_place);
    let Some((uid, to, digit)) =
        place.and_then(|(entry, digit)| Some((ContainerUid(entry.container?), playhead(entry), digit)))
    else {
        return;
    };
    if app.catalog.container(uid).is_none() {
        return;
    }
    super::begin_in(app, uid);
    if let Some(opened) = &mut app.opened {
        opened.put(to);
    }
    let screen = Screen::ALL.iter().find(|screen| screen.digit() == digit);
    go(app, screen.copied().unwrap_or(Screen::Replay));
    app.say(safe!("back where the recording was left"));
}

/// The recording is left: its place is remembered where there is a case.
pub(crate) fn leave(app: &mut App) {
    let screen = app.screen.digit();
    if app.opened.is_some() {
        add(app, What::Place { screen });
    }
}
