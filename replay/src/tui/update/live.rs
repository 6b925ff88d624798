//! A recording that is still being written: what came since is taken in; what is looked at stays.
//!
//! Where a filter is in force, what it keeps of the longer recording is read before that is taken in, so that its events
//! are on the screen all the time.

use std::{sync::Arc, time::Duration};

use crate::tui::{
    app::{App, Opened},
    feed::{Catalog, HitsKey, Request},
    hits::Hits,
    player::Playhead,
    screen::Screen,
    slot::Slot,
    text::safe,
};

/// What is to be done with a recording that was found to have grown.
#[derive(Debug)]
pub(crate) enum Growth {
    /// It waits until what is being read is there.
    Wait,
    /// This is to be asked of it first.
    Ask(Request),
    /// It is taken in: the one that was asked, if any was.
    Take,
}

/// What is to be done now with a recording that was found to have grown.
pub(crate) fn growth(app: &mut App) -> Growth {
    let (text, setup, generation) = (app.bar.filter.text(), app.bar.setup, app.catalog.generation);
    let (is_read, is_shown) =
        (app.hits().is_some_and(|hits| hits.reading.is_none()), app.screen.needs_container());
    let Some(opened) = app.opened.as_mut().filter(|_| is_shown && !text.is_empty()) else {
        return Growth::Take;
    };
    let key = HitsKey { uid: opened.uid, text: text.into(), setup, generation: generation + 1 };
    if opened.hits.asked().is_some() || opened.ahead.is_asked(&key) {
        return Growth::Wait;
    }
    let is_known = opened.ahead.entry().is_some_and(|(read, _)| *read == key);
    if is_known || !is_read || opened.ahead.has_failed() {
        return Growth::Take;
    }
    if opened.ahead_pace.is_resting(app.uptime) {
        return Growth::Wait;
    }
    opened.ahead_pace.begin(app.uptime);
    opened.ahead = Slot::default();
    opened
        .ahead
        .want(key)
        .map_or(Growth::Wait, |key| Growth::Ask(Request::Hits(key, app.bar.library.clone())))
}

/// What the filter keeps of the recording as it has grown is known.
pub(super) fn read_ahead(opened: &mut Opened, key: HitsKey, hits: Hits, now: Duration) {
    opened.ahead.fill(key, hits);
    opened.ahead_pace.end(now);
}

/// Reading has found damage: what is shown of the recording as a whole says so from now on.
pub(crate) fn damaged(app: &mut App, catalog: Catalog) {
    app.catalog = Arc::new(catalog);
    super::arrange(app);
}

/// The recording has grown.
pub(crate) fn grown(app: &mut App, catalog: Catalog) {
    app.catalog = Arc::new(catalog);
    super::arrange(app);
    let Some(opened) = &mut app.opened else { return };
    let Some(row) = app.catalog.container(opened.uid) else {
        app.opened = None;
        if app.screen.needs_container() {
            super::go(app, Screen::Containers);
            app.complain(safe!("nothing is left of this container: retention removed it"));
        }
        return;
    };
    if let Some((key, hits)) = std::mem::take(&mut opened.ahead).into_entry()
        && key.generation == app.catalog.generation
    {
        opened.hits.fill(key, hits);
    }
    let before = opened.whole;
    (opened.whole, opened.origin) = (row.whole(), row.life.begin);
    // A window that showed everything shows everything again.
    if opened.window == before || opened.window.1 == before.1 && opened.live {
        let length = opened.window.1.0.saturating_sub(opened.window.0.0);
        let whole = opened.window == before;
        opened.window.1 = opened.whole.1;
        let begin = opened.whole.1.0.saturating_sub(length).max(opened.whole.0.0);
        opened.window.0 = if whole { opened.whole.0 } else { afterimage_format::BootNanos(begin) };
    }
    // Events that were not sealed may have another place now: the playhead keeps its time.
    opened.playhead = Playhead::at_time(opened.playhead.time);
    if opened.live {
        let end = opened.whole.1;
        opened.put(Playhead::at_time(end));
        opened.live = true;
    }
}
