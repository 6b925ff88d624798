//! What could stand at the cursor of the filter bar: fields, operators, and values that occur in this container.

use std::collections::HashSet;

use afterimage_detect::complete::{self, Expected};
use afterimage_model::text::{Safe, escape};
use crossterm::event::KeyCode;

use super::filtering;
use crate::tui::{
    app::App,
    feed::{Values, ValuesKey},
    filter::literal,
    keys::Key,
    screen::Screen,
    scroll::Scroll,
    text::{grouped, safe},
};

/// Candidates that are seen.
pub(crate) const ROWS: usize = 8;

/// Makes the list of candidates for what is typed.
pub(super) fn offer(app: &mut App) {
    let Some(line) = &app.bar.edit else { return };
    let (left, _) = line.halves();
    let found = complete::complete(&left, left.len());
    let word = left.get(found.start..).unwrap_or("");
    let count = word.chars().count();
    let mut candidates: Vec<(String, Safe)> =
        found.candidates.into_iter().map(|c| (c.text, escape(c.note.as_bytes()))).collect();
    let field = match found.expected {
        Expected::Value(def, _) if app.screen != Screen::Containers => Some(def.name),
        _ => None,
    };
    let uid = app.opened.as_ref().map(|o| o.uid);
    let completion = &mut app.bar.completion;
    completion.field = field;
    let values =
        completion.values.entry().filter(|(key, _)| Some(key.field) == field && Some(key.uid) == uid);
    if let (Some(field), Some((_, values))) = (field, values) {
        candidates = counted(field, values, word).chain(candidates).collect();
        // What occurs here and what can occur at all have words in common: they are told with their number.
        let mut told = HashSet::new();
        candidates.retain(|(text, _)| told.insert(text.clone()));
    }
    // A word that is complete needs no completion.
    candidates.retain(|(text, _)| text != word);
    completion.word = count;
    completion.candidates = candidates;
    completion.scroll = Scroll::default();
}

/// The values that begin like the word, with how often they occur.
fn counted<'a>(
    field: &'static str,
    values: &'a Values,
    word: &str,
) -> impl Iterator<Item = (String, Safe)> + use<'a> {
    let word = word.trim_start_matches(['"', '\'']).to_owned();
    let more = if values.reading.is_some() { "+" } else { "" };
    values
        .counts
        .iter()
        .filter(move |(value, _)| value.starts_with(word.as_bytes()))
        .map(move |(value, count)| (literal(field, value), safe!("{}{more} events", grouped(*count))))
        .filter(|(text, _)| !text.is_empty())
}

/// Values came.
pub(super) fn take(app: &mut App, key: ValuesKey, values: Values) {
    let completion = &mut app.bar.completion;
    let is_whole = |(got, known): (&ValuesKey, &Values)| {
        ValuesKey { generation: key.generation, ..*got } == key && known.reading.is_none()
    };
    match values.reading {
        // What was read to its end stands while more is read.
        Some(_) if completion.values.entry().is_some_and(is_whole) => {}
        Some(_) => completion.values.preview(key, values),
        None => {
            completion.values.fill(key, values);
            completion.pace.end(app.uptime);
        }
    }
    let cursor = app.bar.completion.scroll;
    offer(app);
    app.bar.completion.scroll = cursor;
    let len = app.bar.completion.candidates.len();
    app.bar.completion.scroll.show(len, ROWS);
}

/// A key in the bar: whether it was one of the list of candidates.
pub(super) fn key(app: &mut App, key: Key) -> bool {
    let len = app.bar.completion.candidates.len();
    match key.code {
        KeyCode::Down | KeyCode::Up if len > 0 => {
            let by = if key.code == KeyCode::Down { 1 } else { -1 };
            app.bar.completion.scroll.step(by, len, ROWS);
            true
        }
        KeyCode::Tab => {
            let completion = &app.bar.completion;
            let chosen = completion.candidates.get(completion.scroll.cursor).map(|(text, _)| text.clone());
            let word = completion.word;
            if let (Some(text), Some(line)) = (chosen, &mut app.bar.edit) {
                let open = text.ends_with(['[', '(']);
                line.replace_left(word, &text);
                if !open {
                    line.insert(" ");
                }
                filtering::check(app);
            }
            true
        }
        _ => false,
    }
}
