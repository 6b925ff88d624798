//! What is looked for in the events of all containers: by find on the list, and by its filter where only events can tell. The list
//! has the containers in which it was found.

use std::sync::Arc;

use afterimage_model::text::{Safe, escape};

use super::{arrange, filtering, go};
use crate::tui::{
    app::App,
    feed::{Found, Request, Sweep, SweepKey},
    filter::{Verdict, sentence},
    player::Playhead,
    screen::Screen,
    text::{counted, safe},
};

/// What is looked for now: nothing while the filter is being typed.
fn sought(app: &App) -> Option<Arc<str>> {
    if app.bar.edit.is_some() {
        return None;
    }
    let filter = Some(app.bar.list.text()).filter(|_| app.list.asks_events());
    match (filter, &app.list.find) {
        (Some(filter), Some(find)) => Some(format!("({filter}) and ({find})").into()),
        (filter, find) => filter.map(Arc::from).or_else(|| find.clone()),
    }
}

/// Takes what is looked for from the filter and from find; a search for anything else ends.
pub(super) fn renew(app: &mut App) {
    let sought = sought(app);
    if sought != app.list.sought {
        end(app);
        (app.list.sought, app.list.stopped) = (sought, false);
        app.list.sweep.try_again();
    }
}

/// The reading under way ends; what was found stays.
fn end(app: &mut App) {
    if app.list.sweep.asked().is_some() {
        app.list.sweep.give_up();
        let nothing = SweepKey { text: "".into(), setup: false, generation: app.catalog.generation };
        app.questions.push(Request::Sweep(nothing, app.bar.library.clone()));
    }
}

/// Esc on the list: the search under way ends, then what was looked for is forgotten. False where there is none.
pub(super) fn back(app: &mut App) -> bool {
    if app.list.sweep.asked().is_some() && app.list.sought.is_some() {
        end(app);
        app.list.stopped = true;
        app.say(safe!("stopped looking; what was found stays"));
    } else if app.list.find.take().is_some() {
        arrange(app);
        app.say(safe!("find ended"));
    } else {
        return false;
    }
    true
}

/// What is to be looked for in all containers was typed.
pub(super) fn find(app: &mut App, text: &str) -> Result<(), Safe> {
    let text = text.trim();
    if let verdict @ Verdict::Invalid(..) = app.bar.library.verdict(text) {
        return Err(sentence(&verdict));
    }
    app.list.find = Some(text).filter(|text| !text.is_empty()).map(Arc::from);
    // Who asks again wants what could not be read, or was stopped, to be read.
    app.list.stopped = false;
    app.list.sweep.try_again();
    go(app, Screen::Containers);
    arrange(app);
    Ok(())
}

/// Some of what was found came, or all of it.
pub(super) fn take(app: &mut App, key: SweepKey, sweep: Sweep) {
    if !app.list.sweep.is_asked(&key) {
        return;
    }
    if sweep.reading.is_some() {
        // What was found of the recording before it grew stands while it is read again.
        let stands = app.list.found().is_some_and(|found| found.reading.is_none());
        if !stands {
            app.list.sweep.preview(key, sweep);
        }
    } else {
        let is_new = app.list.found().is_none_or(|found| found.doubt.is_none() || found.reading.is_some());
        if let Some(why) = sweep.doubt.filter(|_| is_new) {
            app.complain(safe!("not certain: {why}"));
        }
        app.list.sweep.fill(key, sweep);
        app.list.sweep_pace.end(app.uptime);
    }
    arrange(app);
}

/// What the list looks for goes on in the container that was opened from it: its filter is in force there, and the playhead goes
/// to the first match.
pub(super) fn carry(app: &mut App, is_new: bool) {
    let Some(uid) = app.opened.as_ref().map(|opened| opened.uid) else { return };
    let found = app.list.found().and_then(|found| found.by_container.get(&uid).copied());
    let filter = Some(app.bar.list.clone()).filter(|_| app.list.asks_events());
    let is_filter = filter.is_some_and(|filter| filtering::put_in_containers(app, filter));
    let is_find = app.list.find.clone().is_some_and(|find| {
        let is_other = app.bar.find.as_ref() != Some(&find);
        app.bar.find = Some(find);
        is_other
    });
    if !(is_new || is_filter || is_find) || app.list.sought.is_none() {
        return;
    }
    if let (Some(Found { first, .. }), Some(opened)) = (found, &mut app.opened) {
        opened.arrive(Playhead::at_event(first));
    }
    let first = found.map(|found| safe!("the first of {}", counted(found.count, "hit")));
    let filter = Some(app.bar.list.text()).filter(|_| app.list.asks_events());
    let filter = filter.map(|text| safe!("the list's filter holds here too: {}", escape(text.as_bytes())));
    let parts: Vec<String> = first.into_iter().chain(filter).map(Safe::into_string).collect();
    app.say(safe!("{}", parts.join("; ")));
}
