//! What the filter does: put in force, taken back, switched part by part.

use afterimage_model::text::Safe;

use super::{case, cells, completion};
use crate::tui::{
    action::Action,
    app::{App, Popup},
    ask::Ask,
    case::What,
    edit::LineEdit,
    feed::{Purpose, Request},
    filter::{Filter, Verdict, sentence},
    screen::Screen,
    scroll::Scroll,
    text::{safe, wrapped},
};

/// Filters that undoing remembers.
const PAST: usize = 50;

/// Does an action of the filter.
pub(super) fn filter(app: &mut App, action: Action) {
    match action {
        Action::EditFilter => {
            let text = in_force(app).text();
            app.bar.edit = Some(LineEdit::new(&text));
            check(app);
        }
        Action::Keep => cells::ask(app, Purpose::Keep),
        Action::Drop => cells::ask(app, Purpose::Drop),
        Action::SaveFilter => {
            // The name may be typed already: it is never taken as commands.
            let why = in_force(app).is_empty().then(|| safe!("no filter to save"));
            app.popup = Some(Popup::Ask(Ask::SaveFilter, LineEdit::default(), why));
        }
        Action::ClearFilter => {
            if app.screen == Screen::Containers {
                app.list.find = None;
            }
            put(app, Filter::default());
            app.say(safe!("no filter"));
        }
        Action::UndoFilter => undo(app, false),
        Action::RedoFilter => undo(app, true),
        Action::FilterParts => app.popup = Some(Popup::Parts(Scroll::default())),
        Action::SetUp => {
            app.bar.setup = !app.bar.setup;
            let word = if app.bar.setup { "shown" } else { "hidden" };
            app.say(safe!("events of the container's set-up are {word}"));
        }
        _ => {}
    }
}

/// The filter of the screen: one for the list of containers, one for everything about a container.
pub(crate) fn in_force(app: &App) -> &Filter {
    if app.screen == Screen::Containers { &app.bar.list } else { &app.bar.filter }
}

/// Asks what the filter in force reads of the recording.
pub(super) fn explain(app: &mut App) {
    let text = in_force(app).text();
    if text.is_empty() {
        app.complain(safe!("no filter: everything is read"));
        return;
    }
    let Some(uid) = app.opened.as_ref().map(|o| o.uid) else { return };
    app.questions.push(Request::Explain(uid, text, app.bar.library.clone()));
    app.popup = Some(Popup::Explain(None, Scroll::default()));
}

/// Takes in what the filter reads; before it stands why what it keeps may be more or less than it should be.
pub(super) fn explained(app: &mut App, lines: Vec<Safe>) {
    let doubt = app.hits().and_then(|hits| hits.doubt).map(|why| safe!("not certain: {why}"));
    let columns = usize::from(app.size.0.saturating_sub(12).min(96));
    let mut all: Vec<Safe> = Vec::new();
    if let Some(doubt) = doubt {
        all.extend(wrapped(doubt.as_str(), columns).map(|row| safe!("{row}")));
        all.push(Safe::default());
    }
    all.extend(lines);
    if let Some(Popup::Explain(known @ None, _)) = &mut app.popup {
        *known = Some(all);
    }
}

/// Puts a text in force.
///
/// # Errors
/// Why it is not understood; the one in force stays.
pub(super) fn apply(app: &mut App, text: &str) -> Result<(), Verdict> {
    let filter = Filter::parse(text, &app.bar.library)?;
    put(app, filter);
    Ok(())
}

/// Puts a filter in force; undoing leads back.
pub(super) fn put(app: &mut App, filter: Filter) {
    if app.screen == Screen::Containers {
        app.list.wanted = filter.text();
        app.bar.list = filter;
        super::arrange(app);
        return;
    }
    put_in_containers(app, filter);
}

/// Puts a filter in force in the containers; whether it is another one.
pub(super) fn put_in_containers(app: &mut App, filter: Filter) -> bool {
    if let Some(opened) = &mut app.opened {
        opened.hits.try_again();
    }
    let is_other = app.bar.filter != filter;
    if is_other {
        let before = std::mem::replace(&mut app.bar.filter, filter);
        app.bar.past.push(before);
        remember(app);
        app.bar.future.clear();
        if app.bar.past.len() > PAST {
            app.bar.past.remove(0);
        }
    }
    is_other
}

/// The filter in force goes into the history and, where there is one, into the case file.
fn remember(app: &mut App) {
    let text = app.bar.filter.text();
    if !text.is_empty() {
        app.bar.history.retain(|old| *old != text);
        app.bar.history.push(text.clone());
        let more = app.bar.history.len().saturating_sub(PAST);
        app.bar.history.drain(..more);
    }
    case::add(app, What::Filter { text });
}

/// What can be put in force from the list of parts: saved filters by name, then those of before, the latest first.
pub(crate) fn offered(app: &App) -> Vec<String> {
    let saved = app.bar.library.all().iter().map(|(name, _)| format!("${name}"));
    saved.chain(app.bar.history.iter().rev().cloned()).collect()
}

/// Gives the filter in force a name.
pub(super) fn save(app: &mut App, name: &str) -> Result<(), Safe> {
    let name = name.trim().trim_start_matches('$');
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(safe!("a name is letters, digits and _"));
    }
    let text = in_force(app).text();
    if text.is_empty() {
        return Err(safe!("no filter to save"));
    }
    app.bar.library.add(name, &text);
    case::add(app, What::SavedFilter { name: name.to_owned(), text });
    app.say(safe!("${name} is this filter now"));
    Ok(())
}

fn undo(app: &mut App, again: bool) {
    let bar = &mut app.bar;
    let (from, to) = if again { (&mut bar.future, &mut bar.past) } else { (&mut bar.past, &mut bar.future) };
    let Some(filter) = from.pop() else {
        app.say(if again { safe!("nothing to redo") } else { safe!("nothing to undo") });
        return;
    };
    to.push(std::mem::replace(&mut bar.filter, filter));
    let text = afterimage_model::text::escape(bar.filter.text().as_bytes());
    app.say(if text.as_str().is_empty() { safe!("no filter") } else { safe!("filter: {text}") });
}

/// Says at once what is to be said of what is typed; the list of containers follows as it is typed.
pub(super) fn check(app: &mut App) {
    let Some(line) = &app.bar.edit else { return };
    let text = line.text();
    let verdict = app.bar.library.verdict(&text);
    if app.screen == Screen::Containers && !matches!(verdict, Verdict::Invalid(..)) {
        app.list.wanted = text;
        super::arrange(app);
    }
    app.bar.verdict = Some(verdict);
    completion::offer(app);
}

/// Typing is given up: what was in force is in force again.
pub(super) fn cancel(app: &mut App) {
    app.bar.edit = None;
    app.bar.verdict = None;
    app.bar.completion = Default::default();
    app.list.wanted = app.bar.list.text();
    super::arrange(app);
}

/// Adds a part; what came of it is told.
pub(super) fn add(app: &mut App, part: String) {
    match app.bar.library.verdict(&part) {
        verdict @ Verdict::Invalid(..) => app.complain(sentence(&verdict)),
        _ => {
            let filter = in_force(app).with(part.clone());
            put(app, filter);
            app.say(safe!("filter: {}", afterimage_model::text::escape(part.as_bytes())));
        }
    }
}
