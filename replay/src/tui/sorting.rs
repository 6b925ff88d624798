//! Orders of the lists: by which column, and which way. Chosen by key or by a press on the column's heading.

use std::cmp::Ordering;

use crate::tui::{feed::Story, screen::Screen, whole::Whole};

/// By which column a list is in order; by none, it is as it comes: what weighs most, or what was first, is above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sorting {
    /// Its heading.
    pub(crate) column: Option<&'static str>,
    /// The other way than one would expect of it.
    pub(crate) reversed: bool,
}

/// The columns that a list can be in order by, as their headings are written.
const fn columns(screen: Screen) -> &'static [&'static str] {
    match screen {
        Screen::Files => &["PATH", "WRITTEN", "FIRST", "LAST"],
        Screen::Net => &["PEER", "SENT", "RECEIVED", "FIRST", "LAST"],
        Screen::Findings => &["TIME", "SEVERITY"],
        _ => &[],
    }
}

impl Sorting {
    /// The next one of a screen's list: each column, then none.
    pub(crate) fn next(self, screen: Screen) -> Self {
        let all = columns(screen);
        let at = self.column.and_then(|column| all.iter().position(|c| *c == column));
        let column = all.get(at.map_or(0, |at| at + 1)).copied();
        Self { column, reversed: false }
    }

    /// That of a heading; the other way round where the list is in this order already.
    pub(crate) fn by(self, screen: Screen, heading: &str) -> Option<Self> {
        let column = columns(screen).iter().copied().find(|column| *column == heading)?;
        Some(Self { column: Some(column), reversed: self.column == Some(column) && !self.reversed })
    }

    /// In words, for the list's title.
    pub(crate) fn words(self) -> Option<String> {
        let way = if self.reversed { ", reversed" } else { "" };
        self.column.map(|column| format!("by {}{way}", column.to_lowercase()))
    }

    /// Puts the places of a list's rows in order: numbers and severity from the largest, names and times from the
    /// smallest.
    pub(crate) fn apply(self, screen: Screen, story: &Story, order: &mut [usize]) {
        let Some(column) = self.column else { return };
        let compare = |a: &usize, b: &usize| {
            let found = match (screen, story.whole.as_deref()) {
                (Screen::Files, Some(whole)) => files(whole, column, *a, *b),
                (Screen::Net, Some(whole)) => peers(whole, column, *a, *b),
                (Screen::Findings, _) => findings(story, column, *a, *b),
                _ => Ordering::Equal,
            };
            if self.reversed { found.reverse() } else { found }
        };
        order.sort_by(compare);
    }
}

fn files(whole: &Whole, column: &str, a: usize, b: usize) -> Ordering {
    let (Some(a), Some(b)) = (whole.file(a), whole.file(b)) else { return Ordering::Equal };
    match column {
        "PATH" => a.path.cmp(&b.path),
        "WRITTEN" => b.bytes_written.cmp(&a.bytes_written),
        "LAST" => a.last.cmp(&b.last),
        _ => a.first.cmp(&b.first),
    }
}

fn peers(whole: &Whole, column: &str, a: usize, b: usize) -> Ordering {
    let all = whole.conversations();
    let (Some(a), Some(b)) = (all.get(a), all.get(b)) else { return Ordering::Equal };
    let peer = |talk: &afterimage_model::net::Conversation| talk.peer.as_ref().map(ToString::to_string);
    match column {
        "PEER" => peer(a).cmp(&peer(b)),
        "SENT" => b.sent.cmp(&a.sent),
        "RECEIVED" => b.received.cmp(&a.received),
        "LAST" => a.last.cmp(&b.last),
        _ => a.first.cmp(&b.first),
    }
}

fn findings(story: &Story, column: &str, a: usize, b: usize) -> Ordering {
    let (Some(a), Some(b)) = (story.rows.get(a), story.rows.get(b)) else { return Ordering::Equal };
    match column {
        "SEVERITY" => b.severity.cmp(&a.severity),
        _ => (a.time, a.id).cmp(&(b.time, b.id)),
    }
}
