//! Alerts: told in the storylines of the containers they are about, and gone to.

use std::sync::Arc;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::text::Safe;

use super::{go, walk};
use crate::{
    trace::alerts::{self, Alert},
    tui::{
        app::{App, Sort},
        feed::StoryRow,
        layout::Pane,
        player::Playhead,
        screen::Screen,
        text::safe,
    },
};

/// The alerts came: they are lines of the storylines that are there.
pub(super) fn take(app: &mut App, generation: u64, all: Arc<Vec<Alert>>) {
    app.list.alerts.clear();
    for covered in all.iter().flat_map(|alert| &alert.containers) {
        *app.list.alerts.entry(covered.uid).or_default() += 1;
    }
    app.alerts.fill(generation, all);
    if app.list.sort == Sort::Alerts {
        super::arrange(app);
    }
    for uid in app.stories.uids() {
        tell(app, uid);
    }
}

/// Adds the alerts about a container to its storyline.
pub(super) fn tell(app: &mut App, uid: ContainerUid) {
    let Some(all) = app.alerts.value().cloned() else { return };
    let rows: Vec<StoryRow> = alerts::numbered(&all, Some(uid)).filter_map(line).collect();
    app.stories.tell(uid, rows);
}

fn line((number, alert): (u32, &Alert)) -> Option<StoryRow> {
    Some(StoryRow {
        time: alert.at?,
        id: None,
        severity: alert.severity(),
        text: safe!("alert:{number} {} ({}, {})", alert.title, alert.source, alert.state),
        pid: 0,
        process: Safe::default(),
        tag: Safe::default(),
    })
}

/// The alert that the cursor of the Health screen is on; the newest is first.
pub(crate) fn selected(app: &App) -> Option<&Alert> {
    let all = app.alerts.value()?;
    all.iter().rev().nth(app.health.last()?.cursor)
}

/// Opens the container that the selected alert is about, at its moment.
pub(super) fn open(app: &mut App) {
    let Some(alert) = selected(app) else { return };
    let known = alert.containers.iter().map(|covered| covered.uid);
    let uid = known.into_iter().find(|uid| app.catalog.container(*uid).is_some());
    let (Some(uid), Some(at)) = (uid, alert.at) else {
        app.complain(safe!("this alert is about no container of this recording"));
        return;
    };
    walk::select_container(app, uid);
    if app.opened.as_ref().is_none_or(|opened| opened.uid != uid) {
        super::open(app, uid);
    }
    if let Some(opened) = &mut app.opened {
        opened.arrive(Playhead::at_time(at));
    }
    go(app, Screen::Replay);
    app.set_focus(Pane::Events);
}

/// The moment of an alert about the container that is open.
pub(super) fn moment(app: &App, wanted: &str) -> Result<BootNanos, Safe> {
    let Some(opened) = &app.opened else { return Err(safe!("no container is open")) };
    let all = app.alerts.value().map_or(&[][..], |all| all.as_slice());
    alerts::moment(all, Some(opened.uid), wanted).map_err(|error| safe!("{error}"))
}
