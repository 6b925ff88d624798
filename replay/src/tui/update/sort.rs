//! Orders of the lists, by key and by a press on a heading.

use super::arrange;
use crate::tui::{
    app::{App, Sort},
    screen::Screen,
    scroll::Scroll,
    sorting::Sorting,
    text::safe,
};

/// The next order of the screen's list.
pub(super) fn next(app: &mut App) {
    if app.screen == Screen::Containers {
        return containers(app, app.list.sort.next());
    }
    let screen = app.screen;
    let now = app.sheet().map(|sheet| sheet.sorting).unwrap_or_default();
    sheet(app, now.next(screen));
}

/// The order that a heading stands for; false where it stands for none.
pub(super) fn by_heading(app: &mut App, heading: &str) -> bool {
    if app.screen == Screen::Containers {
        let sort = match heading {
            "STARTED" if app.list.sort == Sort::Newest => Sort::Oldest,
            "STARTED" => Sort::Newest,
            "FINDINGS" => Sort::Findings,
            "EVENTS" => Sort::Events,
            "LOST" => Sort::Lost,
            "ALERTS" => Sort::Alerts,
            "CONTAINER" => Sort::Name,
            _ => return false,
        };
        containers(app, sort);
        return true;
    }
    let now = app.sheet().map(|sheet| sheet.sorting).unwrap_or_default();
    match now.by(app.screen, heading) {
        Some(sorting) => {
            sheet(app, sorting);
            true
        }
        None => false,
    }
}

fn containers(app: &mut App, sort: Sort) {
    app.list.sort = sort;
    // Who asks for an order asks what is first in it, also when that becomes known later.
    app.list.at_top = true;
    app.list.scroll = Scroll::default();
    arrange(app);
    app.say(safe!("{}", sort.name()));
}

fn sheet(app: &mut App, sorting: Sorting) {
    let screen = app.screen;
    let Some(sheet) = app.opened.as_mut().and_then(|o| o.sheets.get_mut(&screen)) else { return };
    sheet.sorting = sorting;
    app.say(match sorting.words() {
        Some(words) => safe!("{words}"),
        None => safe!("as it comes"),
    });
}
