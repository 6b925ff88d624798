//! Values of the selected row: to keep or drop events by, and to copy.

use afterimage_detect::syntax::ast::Op;
use afterimage_model::{
    process::Process,
    text::{Safe, escape, unescape},
};

use super::{Effect, command_line::command_line, filtering, stream, update};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    feed::{Center, ContainerRow, MomentKey, Purpose, Request},
    filter::{comparison, opposite},
    layout::Pane,
    menu::{Choice, Menu},
    screen::Screen,
    scroll::Scroll,
    sheets::LaneRow,
    text::safe,
};

type Cell = (&'static str, Vec<u8>);

/// Opens the menu of the row's values; those of an event are asked for first.
pub(super) fn ask(app: &mut App, purpose: Purpose) {
    let of_event = app.screen == Screen::Replay && app.focus() != Pane::Tree
        || matches!(app.screen, Screen::Follow | Screen::Findings);
    if !of_event {
        let cells = cells(app);
        open(app, purpose, &cells);
        return;
    }
    let finding = app.selected_finding().filter(|_| app.screen == Screen::Findings).and_then(|row| row.id);
    let generation = app.catalog.generation;
    let Some(opened) = &app.opened else { return };
    let Some(id) = finding.or_else(|| opened.event()) else {
        app.complain(safe!("no event here"));
        return;
    };
    let key = MomentKey { uid: opened.uid, at: Center::Event(id), generation };
    app.questions.push(Request::Cells(key, purpose));
}

/// The values of a row that is no event.
fn cells(app: &App) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let whole = app.whole();
    let mut process = |process: &Process, pid: u32| {
        cells.extend(process.comm().map(|comm| ("proc.name", comm.to_vec())));
        cells.extend(process.exec().map(|run| ("proc.exepath", run.program().to_vec())));
        cells.push(("proc.pid", pid.to_string().into_bytes()));
    };
    match app.screen {
        Screen::Containers => {
            if let Some(row) = app.selected() {
                return of_container(row);
            }
        }
        Screen::Replay => {
            let row = app.opened.as_ref().and_then(|o| o.tree_rows().get(o.tree.cursor).copied());
            if let Some(row) = row {
                process(&row.process, row.pid);
            }
        }
        Screen::Tree => {
            if let Some(row) = app.selected_process() {
                process(&row.process, row.pid);
            }
        }
        Screen::Files => cells.extend(app.selected_file().map(|file| ("fd.name", file.path.clone()))),
        Screen::Net => cells.extend(app.selected_conversation().into_iter().flat_map(peer)),
        Screen::Timeline => {
            let place = app.sheet().and_then(|sheet| sheet.selected());
            match whole.zip(place).map(|(whole, place)| LaneRow::of(whole, place)) {
                Some(LaneRow::Process(row)) => {
                    process(&row.process, row.pid);
                }
                Some(LaneRow::File(file)) => cells.push(("fd.name", file.path.clone())),
                Some(LaneRow::Peer(talk)) => cells.extend(peer(talk)),
                _ => {}
            }
        }
        _ => {}
    }
    cells
}

fn of_container(row: &ContainerRow) -> Vec<Cell> {
    let texts = [
        ("container.name", Some(&row.name)),
        ("container.image", row.image.as_ref()),
        ("container.id", Some(&row.short_id)),
    ];
    texts.into_iter().filter_map(|(field, text)| Some((field, unescape(text?.as_str())?))).collect()
}

fn peer(talk: &afterimage_model::net::Conversation) -> Vec<Cell> {
    let Some(peer) = &talk.peer else { return Vec::new() };
    let mut cells: Vec<Cell> = Vec::new();
    if let Some(ip) = peer.ip() {
        cells.push(("fd.rip", ip.to_string().into_bytes()));
    }
    if let Some(port) = peer.port() {
        cells.push(("fd.rport", port.to_string().into_bytes()));
    }
    cells
}

/// Opens the menu.
pub(super) fn open(app: &mut App, purpose: Purpose, cells: &[Cell]) {
    let part = |(field, value): &Cell| comparison(field, Op::Eq, value);
    let menu = |title, opener, rows| Menu { title, opener: Some(opener), rows, scroll: Scroll::default() };
    let menu = match purpose {
        Purpose::Keep => {
            let rows = cells.iter().map(part).map(|text| (escape(text.as_bytes()), Choice::Filter(text)));
            menu("keep only", '=', rows.collect())
        }
        Purpose::Drop => {
            let rows = cells.iter().map(|cell| opposite(&part(cell)));
            menu("drop", '!', rows.map(|text| (escape(text.as_bytes()), Choice::Filter(text))).collect())
        }
        Purpose::Copy => menu("copy", 'y', copies(app, cells)),
    };
    if menu.rows.is_empty() {
        app.complain(safe!("this row has no value to take"));
        return;
    }
    app.popup = Some(Popup::Menu(menu));
}

/// What a row's menu offers, in this order.
const OFFERED: [Action; 11] = [
    Action::Enter,
    Action::Keep,
    Action::Drop,
    Action::Copy,
    Action::OpenInReplay,
    Action::GoFollow,
    Action::Life,
    Action::Bookmark,
    Action::Note,
    Action::InReport,
    Action::Compare,
];

/// Opens the menu of what can be done with the selected row on this screen, each with its key.
pub(super) fn offer(app: &mut App) {
    let offered = OFFERED.into_iter().filter_map(|action| {
        let key = app.keymap.ways(app.screen, action).next()?.shown();
        Some((safe!("{:<24} {key}", action.name()), Choice::Do(action)))
    });
    let menu = Menu { title: "this row", opener: None, rows: offered.collect(), scroll: Scroll::default() };
    app.popup = Some(Popup::Menu(menu));
}

/// What can be copied: the row as it is shown, its values, the command line.
fn copies(app: &App, cells: &[Cell]) -> Vec<(Safe, Choice)> {
    let mut rows: Vec<(Safe, Choice)> = Vec::new();
    let mut add =
        |name: &'static str, text: Safe| rows.push((safe!("{name:<14} {text}"), Choice::Copy(text)));
    if let Some(text) = line(app) {
        add("line", text);
    }
    for (field, value) in cells {
        add(field, escape(value));
    }
    if let Some(opened) = &app.opened {
        add("moment", app.catalog.clocks.rfc3339(opened.playhead.time));
    }
    add("command line", command_line(app));
    rows
}

/// The selected row as one line.
fn line(app: &App) -> Option<Safe> {
    match app.screen {
        Screen::Containers => app.selected().map(|row| safe!("{} {}", row.name, row.id)),
        Screen::Findings => {
            let row = app.selected_finding()?;
            let time = app.catalog.clocks.rfc3339(row.time);
            Some(safe!("{time} {} {} {}", row.severity.as_str(), row.text, row.tag))
        }
        Screen::Replay | Screen::Follow => {
            let (page, at) = app.opened.as_ref()?.at()?;
            let row = page.rows.get(at)?;
            let time = app.catalog.clocks.rfc3339(row.id.time);
            Some(safe!("{time} {} {} {} {} {}", row.pid, row.process, row.name, row.detail, row.result))
        }
        _ => None,
    }
}

/// Does what was chosen.
pub(super) fn choose(app: &mut App, choice: Choice) {
    match choice {
        Choice::Filter(part) => filtering::add(app, part),
        Choice::Copy(text) => {
            app.say(safe!("copied: {text}"));
            app.outbox.push(Effect::Copy(text));
        }
        Choice::Follow(target) => stream::turn_to(app, target),
        Choice::Do(action) => {
            // What the terminal has to do is not offered in menus.
            let _ = update(app, action);
        }
    }
}
