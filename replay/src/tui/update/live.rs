//! A recording that is still being written: what came since is taken in; what is looked at stays.

use std::sync::Arc;

use crate::tui::{app::App, feed::Catalog, player::Playhead};

/// The recording has grown.
pub(crate) fn grown(app: &mut App, catalog: Catalog) {
    app.catalog = Arc::new(catalog);
    super::arrange(app);
    let Some(opened) = &mut app.opened else { return };
    let Some(row) = app.catalog.container(opened.uid) else { return };
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
