//! What the screens need and do not have: the questions to the background.

use std::{sync::Arc, time::Duration};

use afterimage_format::BootNanos;

use crate::analysis::images::Images;
use crate::tui::{
    app::{App, Opened},
    feed::{
        Center, DensityKey, HitsKey, KeepKey, MomentKey, PageKey, Request, StoryKey, StreamKey, SweepKey,
        ValuesKey,
    },
    layout::{Pane, Plan},
    player::Motion,
    screen::Screen,
    sheets,
    slot::Slot,
    update,
    view::lanes::name_columns,
};

/// Columns that a lane's name takes.
pub(crate) const LANE_NAME: u16 = 9;

/// The questions to ask now.
pub(crate) fn requests(app: &mut App) -> Vec<Request> {
    sheets::arrange(app);
    update::arrange_stream(app);
    let plan = app.plan();
    let generation = app.catalog.generation;
    let mut asked = std::mem::take(&mut app.questions);
    if let Some(rect) = plan.rect(Pane::Overview) {
        let (begin, end) = app.catalog.range;
        let columns = usize::from(rect.width.saturating_sub(LANE_NAME + 1));
        let key = DensityKey { uid: None, begin, end: after(end), columns, generation };
        asked.extend(app.overview.want(key).map(Request::Density));
    }
    if !app.list.wanted.trim().is_empty() {
        let key = KeepKey { text: app.list.wanted.clone(), generation };
        asked.extend(app.list.kept.want(key).map(|key| Request::Keep(key, app.bar.library.clone())));
    }
    asked.extend(sweep(app, generation));
    asked.extend(app.alerts.want(generation).map(Request::Alerts));
    if let Some(key) = app.subject().map(|row| StoryKey::of(row, generation)) {
        let whole = app.screen != Screen::Containers;
        asked.extend(app.stories.want(key, whole, app.uptime).map(Request::Story));
    }
    if !app.screen.needs_container() {
        asked.extend(app.tallies.want(&app.list, &app.catalog, app.uptime).map(Request::Tally));
        return asked;
    }
    let (height, screen) = (app.size.1, app.screen);
    if let (Some(field), Some(uid)) = (app.bar.completion.field, app.opened.as_ref().map(|o| o.uid)) {
        let key = ValuesKey { uid, field, setup: app.bar.setup, generation };
        let is_same = |asked: &ValuesKey| ValuesKey { generation, ..*asked } == key;
        let completion = &mut app.bar.completion;
        let want = completion.values.want_paced(key, is_same, (&mut completion.pace, app.uptime));
        asked.extend(want.map(Request::Values));
    }
    let (text, setup) = (app.bar.filter.text(), app.bar.setup);
    let library = &app.bar.library;
    let images = images_by_then(app);
    let Some(opened) = &mut app.opened else { return asked };
    let mut hits = None;
    if !text.is_empty() {
        let key = HitsKey { uid: opened.uid, text: text.into(), setup, generation };
        // A recording that grows asks anew all the time: only another filter ends the reading under way.
        let is_same = |asked: &HitsKey| HitsKey { generation, ..asked.clone() } == key;
        let same = opened.hits.asked().is_some_and(is_same);
        let want = if same { opened.hits.want(key.clone()) } else { opened.hits.want_instead(key.clone()) };
        if want.is_some() {
            // It ends the reading ahead.
            opened.ahead = Slot::default();
        }
        asked.extend(want.map(|key| Request::Hits(key, library.clone())));
        let known = opened.hits.entry().filter(|(got, _)| **got == key);
        hits = Some((key.text, known.map(|(_, hits)| hits.clone()).unwrap_or_default()));
    }
    densities(opened, &plan, generation, &mut asked);
    if screen == Screen::Follow {
        asked.extend(stream(opened, generation, app.uptime));
    }
    let reach =
        if hits.is_some() { usize::from(height).max(40) * 2 } else { usize::from(height).max(50) * 4 };
    let filter = hits.as_ref().map(|(text, hits)| (text.clone(), hits.len()));
    let hits = hits.map(|(_, hits)| hits).unwrap_or_default();
    let center = opened.playhead.center();
    let key = PageKey { uid: opened.uid, center, filter, setup, reach, generation };
    let filtered = key.filter.is_some();
    if needs_page(opened, &key, usize::from(height)) {
        asked.extend(opened.page.want(key).map(|key| Request::Page(key, hits)));
    } else if let Some((key, page)) = opened.page.entry()
        && !page.named
        && opened.naming.as_ref() != Some(key)
    {
        let key = key.clone();
        opened.naming = Some(key.clone());
        asked.push(Request::Names(key, hits));
    }
    asked.extend(images.and_then(|images| until(opened, images, generation)));
    asked.extend(moment(opened, filtered, generation));
    if let Some(key) = opened.seek.clone().filter(|_| !opened.seek_asked) {
        opened.seek_asked = true;
        asked.push(Request::Seek(key, library.clone()));
    }
    asked
}

/// Asks for the state at the playhead.
fn moment(opened: &mut Opened, filtered: bool, generation: u64) -> Option<Request> {
    // While the page of the playhead is being read, the row under it is one of the page before. Of hits the nearest that is
    // known yet is shown. A page of before the recording grew can have other ids.
    let is_current = |key: &PageKey| key.generation == generation;
    let page = opened.page.entry().filter(|(key, _)| is_current(key));
    let is_there = page.is_some_and(|(_, page)| filtered || opened.playhead.is_in(page));
    let at = opened.event().filter(|_| is_there)?;
    let key = MomentKey { uid: opened.uid, at: Center::Event(at), generation };
    // What plays is shown moment by moment; where a seek goes, what was on the way is of no use. A recording that grows
    // ends no reading of the same moment.
    let plays = opened.player.motion != Motion::Paused;
    let same = opened.moment.asked().is_some_and(|asked| (asked.uid, asked.at) == (key.uid, key.at));
    let want = if plays || same { opened.moment.want(key) } else { opened.moment.want_newest(key) };
    want.map(Request::Moment)
}

/// Asks which containers have what is looked for in all, while the list of them is seen.
fn sweep(app: &mut App, generation: u64) -> Option<Request> {
    let list = &mut app.list;
    let text = list.sought.clone().filter(|_| app.screen == Screen::Containers && !list.stopped)?;
    let key = SweepKey { text, setup: app.bar.setup, generation };
    let is_same = |asked: &SweepKey| SweepKey { generation, ..asked.clone() } == key;
    let want = list.sweep.want_paced(key.clone(), is_same, (&mut list.sweep_pace, app.uptime));
    want.map(|key| Request::Sweep(key, app.bar.library.clone()))
}

/// Asks for the stream that is followed.
fn stream(opened: &mut Opened, generation: u64, now: Duration) -> Option<Request> {
    let key = StreamKey { uid: opened.uid, target: opened.target.clone()?, generation };
    let is_same = |asked: &StreamKey| asked.target == key.target;
    let pace = (&mut opened.stream_pace, now);
    opened.stream.want_paced(key.clone(), is_same, pace).map(Request::Stream)
}

/// The images of the life, where a list of it follows the clock.
fn images_by_then(app: &App) -> Option<Arc<Images>> {
    let lists = [Screen::Timeline, Screen::Tree, Screen::Files, Screen::Net, Screen::Follow];
    let whole = app.story()?.whole.as_ref().filter(|_| app.follow && lists.contains(&app.screen));
    whole.map(|whole| Arc::clone(&whole.images))
}

/// Asks for what there was by the playhead.
fn until(opened: &mut Opened, images: Arc<Images>, generation: u64) -> Option<Request> {
    let at = opened.playhead.center();
    // What was there by a moment does not change when a recording grows.
    let known = opened.until.entry().map(|(key, _)| *key).filter(|key| key.at == at);
    let key = known.unwrap_or(MomentKey { uid: opened.uid, at, generation });
    let plays = opened.player.motion != Motion::Paused;
    let want = if plays { opened.until.want(key) } else { opened.until.want_newest(key) };
    want.map(|key| Request::Until(key, images))
}

/// Asks for the counts over time that the screen shows.
fn densities(opened: &mut Opened, plan: &Plan, generation: u64, asked: &mut Vec<Request>) {
    let uid = opened.uid;
    let of = |(begin, end): (BootNanos, BootNanos), columns: u16| DensityKey {
        uid: Some(uid),
        begin,
        end: after(end),
        columns: usize::from(columns),
        generation,
    };
    if let Some(rect) = plan.rect(Pane::Timeline) {
        let key = of(opened.window, rect.width.saturating_sub(LANE_NAME + 1));
        asked.extend(opened.density.want(key).map(Request::Density));
    }
    if let Some(rect) = plan.rect(Pane::Lanes) {
        let columns = rect.width.saturating_sub(name_columns(rect.width) + 1);
        let (window, whole) = (of(opened.window, columns), of(opened.whole, columns));
        asked.extend(opened.density.want(window).map(Request::Density));
        asked.extend(opened.life.want(whole).map(Request::Density));
    }
}

/// Whether the page is of another filter, does not have the playhead, or ends too near to it.
fn needs_page(opened: &Opened, key: &PageKey, height: usize) -> bool {
    let Some((got, page)) = opened.page.entry() else { return true };
    let text = |key: &PageKey| key.filter.as_ref().map(|(text, _)| text.clone());
    if text(got) != text(key) || got.generation != key.generation || got.setup != key.setup {
        return true;
    }
    let Some(row) = opened.playhead.row(page).filter(|_| opened.playhead.is_in(page)) else { return true };
    let above = row < height && !page.at_start;
    let below = row + height >= page.rows.len() && !page.at_end;
    above || below
}

/// The first moment after `end`, so that what happened at `end` is in the range.
fn after(end: BootNanos) -> BootNanos {
    BootNanos(end.0.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{harness::Harness, player::Playhead};

    #[test]
    fn while_the_playheads_page_is_read_nobody_asks_for_the_state_at_another_row() {
        let mut tui = Harness::new(120, 40);
        tui.press("Enter");
        let opened = tui.app.opened.as_mut().expect("a container");
        let (key, mut page) =
            opened.page.entry().map(|(key, page)| (key.clone(), page.clone())).expect("a page");
        let last = page.rows.last().expect("rows").id;
        page.rows.truncate(3);
        page.at_end = false;
        opened.page.fill(key, page);
        opened.playhead = Playhead::at_event(last);
        let asked = requests(&mut tui.app);
        assert!(asked.iter().any(|request| matches!(request, Request::Page(..))), "{asked:?}");
        assert!(!asked.iter().any(|request| matches!(request, Request::Moment(_))), "{asked:?}");
        tui.answer_all(asked);
        let shown = tui.app.opened.as_ref().and_then(|opened| opened.moment.entry()).map(|(key, _)| key.at);
        assert_eq!(shown, Some(Center::Event(last)));
    }
}
