//! What an action does to the state. No terminal, no files: what must happen outside is an [`Effect`].

mod alerts;
mod case;
mod cells;
mod command_line;
mod completion;
mod diff;
mod filtering;
mod live;
mod mouse;
mod sheet;
mod sort;
mod steer;
mod stream;
mod sweep;
mod typing;
mod unanswered;
mod walk;

use std::sync::Arc;

use afterimage_format::ContainerUid;
use afterimage_model::text::Safe;

pub(crate) use self::{
    case::{leave, restore, shown as noted},
    completion::ROWS as COMPLETIONS,
    diff::name as container_name,
    filtering::{in_force, offered},
    live::{Growth, damaged, grown, growth},
    mouse::{Held, pointer},
    steer::tick,
    stream::arrange as arrange_stream,
    typing::paste,
};
use crate::tui::{
    action::{Action, Group},
    app::{App, Notice, Opened, Popup, Sort},
    edit::LineEdit,
    evidence::Evidence,
    feed::{Reply, Story, StoryKey, Tally},
    keys::Key,
    layout::Pane,
    player::Playhead,
    screen::Screen,
    scroll::Scroll,
    text::safe,
    tour,
};

/// What the terminal has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Quit,
    /// Write bytes of the recording into a new file.
    Save(Evidence),
    Suspend,
    /// Put text into the clipboard.
    Copy(Safe),
    /// Take the mouse, or give it to the terminal.
    Mouse(bool),
    /// Draw everything again.
    Redraw,
}

/// Does what a key means.
pub(crate) fn key(app: &mut App, key: Key) -> Option<Effect> {
    let effect = typing::key(app, key);
    tour::advance(app);
    effect
}

/// Does an action.
pub(crate) fn update(app: &mut App, action: Action) -> Option<Effect> {
    app.notice = None;
    if !matches!(action, Action::Enter | Action::Range) {
        app.forget_range();
    }
    let times = app.count.take().unwrap_or(1).max(1);
    match action.group() {
        Group::Clock => {
            steer::clock(app, action, times);
            None
        }
        Group::Move => {
            walk::step(app, action, times);
            None
        }
        Group::Screens => {
            screens(app, action);
            None
        }
        Group::Filter => {
            filtering::filter(app, action);
            None
        }
        Group::Case => {
            case::action(app, action);
            None
        }
        Group::View => {
            let repeated = matches!(
                action,
                Action::ZoomIn | Action::ZoomOut | Action::EarlierPart | Action::LaterPart | Action::Sort
            );
            for _ in 1..if repeated { times } else { 1 } {
                view(app, action);
            }
            view(app, action)
        }
        Group::Program => program(app, action),
    }
}

fn screens(app: &mut App, action: Action) {
    match action {
        Action::GoContainers => go(app, Screen::Containers),
        Action::GoReplay => go_about(app, Screen::Replay),
        Action::GoTimeline => go_about(app, Screen::Timeline),
        Action::GoFollow => {
            go_about(app, app.screen);
            stream::follow(app);
        }
        Action::Streams => stream::ask(app),
        Action::GoTree => go_about(app, Screen::Tree),
        Action::GoFiles => go_about(app, Screen::Files),
        Action::GoNet => go_about(app, Screen::Net),
        Action::GoFindings => go_about(app, Screen::Findings),
        Action::GoHealth => go(app, Screen::Health),
        Action::OpenInReplay => sheet::open_in_replay(app),
        Action::LastScreen => {
            let previous = app.previous;
            go(app, previous);
        }
        Action::Enter => enter(app),
        Action::Back => back(app),
        _ => {}
    }
}

/// Goes to a screen about a container: from the list about the selected one.
fn go_about(app: &mut App, screen: Screen) {
    let selected = app.selected().map(|row| row.uid).filter(|_| !app.screen.needs_container());
    if let Some(uid) = selected
        && app.opened.as_ref().is_none_or(|o| o.uid != uid)
    {
        open(app, uid);
        sweep::carry(app, true);
    } else if selected.is_some() {
        sweep::carry(app, false);
    }
    go(app, screen);
}

/// Goes to a screen; one that needs a container needs one to be open.
pub(crate) fn go(app: &mut App, screen: Screen) {
    if screen.needs_container() && app.opened.is_none() {
        app.complain(safe!("no container to open"));
        return;
    }
    if app.screen != screen {
        app.previous = app.screen;
        app.screen = screen;
        app.maximised = false;
        if let Some(sheet) = app.opened.as_mut().and_then(|o| o.sheets.get_mut(&screen)) {
            sheet.enter();
        }
    }
}

/// Opens a container for the replay, at its first finding where it is known.
pub(crate) fn open(app: &mut App, uid: ContainerUid) {
    let Some(row) = app.catalog.container(uid) else { return };
    let mut opened = Opened::new(row);
    if let Some(first) = app.stories.of(uid).and_then(Story::beginning) {
        opened.playhead = first.id.map_or(Playhead::at_time(first.time), Playhead::at_event);
    }
    if let Some(old) = app.opened.take() {
        let place = old.place();
        opened.trail = old.trail;
        opened.trail.leave(place);
    }
    app.opened = Some(opened);
}

/// Begins in a container instead of in the list.
pub(crate) fn begin_in(app: &mut App, uid: ContainerUid) {
    walk::select_container(app, uid);
    open(app, uid);
    go(app, Screen::Replay);
}

fn enter(app: &mut App) {
    if app.screen.needs_container() && steer::filter_to_range(app) {
        return;
    }
    match (app.screen, app.focus()) {
        (Screen::Containers, pane) => {
            let Some(uid) = app.selected().map(|row| row.uid) else { return };
            let story = (pane == Pane::Storyline).then(|| app.story_row().cloned()).flatten();
            let is_new = app.opened.as_ref().is_none_or(|o| o.uid != uid);
            if is_new {
                open(app, uid);
            }
            sweep::carry(app, is_new);
            if let (Some(row), Some(opened)) = (story, &mut app.opened) {
                opened.arrive(row.id.map_or(Playhead::at_time(row.time), Playhead::at_event));
            }
            go(app, Screen::Replay);
        }
        (Screen::Health, Pane::Triggers) => alerts::open(app),
        (Screen::Replay, Pane::Notes) => case::open_note(app),
        (Screen::Replay, Pane::Tree) => walk::keep_process(app),
        (Screen::Replay, _) => app.popup = Some(Popup::Event(Scroll::default())),
        _ => sheet::enter(app),
    }
}

/// Out of whatever is innermost: maximised pane, filter, screen.
fn back(app: &mut App) {
    if let Some(opened) = app.opened.as_mut().filter(|o| o.seek.is_some()) {
        opened.seek = None;
        app.say(safe!("stopped looking"));
    } else if app.opened.as_mut().is_some_and(|opened| opened.range.take().is_some()) {
        app.say(safe!("no range"));
    } else if app.screen.needs_container() && app.bar.find.take().is_some() {
        app.say(safe!("find ended; n and N go to findings"));
    } else if app.maximised {
        app.maximised = false;
    } else if app.screen != Screen::Containers {
        go(app, Screen::Containers);
    } else if sweep::back(app) {
    } else if !app.list.wanted.is_empty() {
        filtering::filter(app, Action::ClearFilter);
    }
}

fn view(app: &mut App, action: Action) -> Option<Effect> {
    match action {
        Action::ZoomIn | Action::ZoomOut | Action::Fit => steer::zoom(app, action),
        Action::EarlierPart | Action::LaterPart => steer::pan(app, action),
        Action::Range => steer::range(app),
        Action::Life => steer::life(app),
        Action::Pin => sheet::pin(app),
        Action::Explain => filtering::explain(app),
        Action::FollowClock => {
            app.follow = !app.follow;
            app.say(if app.follow {
                safe!("lists show what there was by the playhead, and nothing later")
            } else {
                safe!("lists show the whole life")
            });
        }
        Action::Sort => sort::next(app),
        Action::TimeFormat => app.time_style = app.time_style.next(),
        Action::Theme => {
            app.look.theme = app.look.theme.next();
            app.say(safe!("theme: {}", app.look.theme.name()));
        }
        Action::MarkContainer => diff::mark(app),
        Action::Compare => diff::compare(app),
        Action::OtherRows | Action::HotPaths => sheet::other_rows(app),
        Action::Hex if app.screen == Screen::Follow => app.hex_chosen = Some(!app.stream_hex()),
        Action::Hex => app.hex = !app.hex,
        Action::Side => {
            if let Some(opened) = &mut app.opened {
                opened.side = opened.side.next();
            }
        }
        Action::Save if app.screen == Screen::Follow => return stream::save(app),
        Action::Save => return sheet::save(app),
        Action::Mouse => {
            app.mouse = !app.mouse;
            app.say(if app.mouse {
                safe!("the mouse is ours; F2 gives it back")
            } else {
                safe!("the mouse is the terminal's")
            });
            return Some(Effect::Mouse(app.mouse));
        }
        Action::Redraw => return Some(Effect::Redraw),
        _ => {}
    }
    None
}

fn program(app: &mut App, action: Action) -> Option<Effect> {
    match action {
        Action::TourNext if app.tour.is_some() => tour::next(app),
        Action::TourNext => app.say(safe!("the tour is part of `afterimage demo`")),
        Action::Help => app.popup = Some(Popup::Help(Scroll::default())),
        Action::Palette => app.popup = Some(Popup::Palette(LineEdit::default(), Scroll::default())),
        Action::Suspend => return Some(Effect::Suspend),
        Action::Quit => return Some(Effect::Quit),
        _ => {}
    }
    None
}

/// Makes the list of containers anew; the cursor stays on its container.
pub(crate) fn arrange(app: &mut App) {
    sweep::renew(app);
    let keep = app.selected().map(|row| row.uid);
    let catalog = Arc::clone(&app.catalog);
    app.list.arrange(&catalog, &app.tallies, keep);
    let height = app.rows_in(Pane::Containers);
    app.list.scroll.show(app.list.order.len(), height);
}

/// Takes an answer of the background.
pub(crate) fn receive(app: &mut App, reply: Reply) {
    match reply {
        Reply::Failed(message) => app.notice = Some(Notice { text: message, bad: true }),
        Reply::Unanswered(request) => unanswered::take(app, &request),
        Reply::Tally(key, tally) => take_tally(app, key, tally),
        Reply::Story(key, story) => {
            if story.reading.is_none() {
                let mut tally = Tally::default();
                story.rows.iter().for_each(|row| tally.add(row.severity));
                take_tally(app, key, tally);
            }
            let is_read = story.reading.is_none();
            app.stories.fill(key, story, app.uptime);
            alerts::tell(app, key.uid);
            steer::begin_with_story(app, key.uid, is_read);
        }
        Reply::Density(key, columns) if key.uid.is_none() => app.overview.fill(key, columns),
        Reply::Density(key, columns) => {
            if let Some(opened) = app.opened.as_mut().filter(|o| Some(o.uid) == key.uid) {
                if opened.life.is_asked(&key) {
                    opened.life.fill(key, columns.clone());
                }
                if opened.density.is_asked(&key) {
                    opened.density.fill(key, columns);
                }
            }
        }
        Reply::Page(key, page) => {
            if let Some(opened) = app.opened.as_mut().filter(|o| o.uid == key.uid) {
                let newer = opened.page.entry().is_some_and(|(got, _)| page.named && *got != key);
                // Names that come after the page was left are of no use.
                if !newer {
                    // A page that is read again has no names again.
                    opened.naming.take_if(|_| !page.named);
                    opened.page.fill(key, page);
                }
            }
            steer::go_on(app);
        }
        Reply::Moment(key, moment) => {
            if let Some(opened) = app.opened.as_mut().filter(|o| o.uid == key.uid) {
                app.spent.extend(opened.moment.replace(key, moment));
            }
            walk::follow_process(app);
        }
        Reply::Hits(key, hits) => {
            if let Some(opened) = app.opened.as_mut().filter(|o| o.uid == key.uid) {
                match hits.reading {
                    None if opened.ahead.is_asked(&key) => live::read_ahead(opened, key, hits, app.uptime),
                    Some(_) if opened.ahead.is_asked(&key) => {}
                    Some(_) => opened.hits.preview(key, hits),
                    None => opened.hits.fill(key, hits),
                }
            }
        }
        Reply::Until(key, whole) => {
            if let Some(opened) = app.opened.as_mut().filter(|o| o.uid == key.uid) {
                opened.until.fill(key, whole);
            }
        }
        Reply::Sweep(key, found) => sweep::take(app, key, found),
        Reply::Stream(key, read) => stream::take(app, key, read),
        Reply::Streams(uid, list) => stream::offer(app, uid, &list),
        Reply::Explain(lines) => filtering::explained(app, lines),
        Reply::Keep(key, kept) => {
            app.list.kept.fill(key, kept);
            arrange(app);
        }
        Reply::Seek(key, found) => steer::found(app, key, found),
        Reply::Diff(key, rows) => diff::take(app, key, rows),
        Reply::Values(key, values) => completion::take(app, key, values),
        Reply::Cells(purpose, values) => cells::open(app, purpose, &values),
        Reply::Report(uid, text) => case::export(app, uid, text),
        Reply::Rules(uid, rows, notes) => case::take_rules(app, uid, rows, notes),
        Reply::Alerts(generation, all) => alerts::take(app, generation, all),
    }
}

fn take_tally(app: &mut App, key: StoryKey, tally: Tally) {
    app.tallies.fill(key, tally, app.uptime);
    if app.list.sort == Sort::Findings {
        arrange(app);
    }
}
