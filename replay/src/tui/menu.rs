//! A list to choose one thing from: values to keep or drop, texts to copy, streams.

use afterimage_model::text::Safe;

use crate::tui::{action::Action, scroll::Scroll, stream::Target};

/// What a choice does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Adds a part to the filter.
    Filter(String),
    /// Puts text into the clipboard.
    Copy(Safe),
    /// Does what a key would.
    Do(Action),
    /// Follows this.
    Follow(Target),
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Menu {
    pub(crate) title: &'static str,
    /// The key that opened it, if any, chooses too: the first choice takes two presses of one key.
    pub(crate) opener: Option<char>,
    pub(crate) rows: Vec<(Safe, Choice)>,
    pub(crate) scroll: Scroll,
}
