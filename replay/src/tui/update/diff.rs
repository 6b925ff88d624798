//! Comparing two containers of the list.

use afterimage_format::ContainerUid;

use crate::tui::{
    app::{App, Diff, Popup},
    feed::{DiffKey, DiffRow, Request},
    scroll::Scroll,
    text::safe,
};

/// Marks the selected container as one to compare with, or takes the mark away.
pub(super) fn mark(app: &mut App) {
    let Some(row) = app.selected() else { return };
    let (uid, name) = (row.uid, row.name.clone());
    if app.list.marked == Some(uid) {
        app.list.marked = None;
        app.say(safe!("{name} is not marked any more"));
    } else {
        app.list.marked = Some(uid);
        app.say(safe!("{name} is marked; d on another container compares the two"));
    }
}

/// Compares the selected container with the marked one, else with the nearest other of the same image.
pub(super) fn compare(app: &mut App) {
    let Some(row) = app.selected() else { return };
    let (uid, begin) = (row.uid, row.life.begin.0);
    let marked = app.list.marked.filter(|marked| *marked != uid && app.catalog.container(*marked).is_some());
    let same = |other: &&crate::tui::feed::ContainerRow| {
        other.uid != uid && other.image.is_some() && other.image == row.image
    };
    let nearest =
        app.catalog.containers.iter().filter(same).min_by_key(|other| other.life.begin.0.abs_diff(begin));
    let Some(other) = marked.or_else(|| nearest.map(|row| row.uid)) else {
        app.complain(safe!("no other container of this image: Space marks the one to compare with"));
        return;
    };
    let key = DiffKey { a: other, b: uid };
    app.questions.push(Request::Diff(key));
    app.popup = Some(Popup::Diff(Diff { key, rows: None, scroll: Scroll::default() }));
}

/// The difference came.
pub(super) fn take(app: &mut App, key: DiffKey, rows: Vec<DiffRow>) {
    if let Some(Popup::Diff(diff)) = &mut app.popup
        && diff.key == key
    {
        diff.rows = Some(rows);
    }
}

/// The name of a container of the list.
pub(crate) fn name(app: &App, uid: ContainerUid) -> afterimage_model::text::Safe {
    app.catalog.container(uid).map(|row| row.name.clone()).unwrap_or_default()
}
