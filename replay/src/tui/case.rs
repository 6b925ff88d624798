//! What people noted about a recording: a list that only grows, in a file beside the recording, never in it.
//!
//! Each line is one JSON object with its author, its time and the moment that it is about. What is in force comes
//! of reading the lines in order: a later mark of the same letter moves it, a later `report` line switches. Lines
//! that are not understood are kept in the file and left out here. Looking at a recording writes nothing: the file
//! is begun by the first mark, note, bookmark, report mark or saved filter, and from then on remembers filter and
//! place too.

use std::collections::BTreeMap;

use afterimage_format::{BootNanos, ContainerUid, EventId};
use serde::{Deserialize, Serialize};

/// One line of a case file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was written, RFC 3339.
    pub(crate) time: String,
    pub(crate) author: String,
    /// The store that it is about.
    pub(crate) store: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<u64>,
    /// The moment that it is about, nanoseconds since the host booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    /// The event that it is about: its block and row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<(u32, u32)>,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum What {
    Mark { letter: char },
    Bookmark { text: String },
    Note { text: String },
    Report { on: bool, title: String },
    Filter { text: String },
    SavedFilter { name: String, text: String },
    Place { screen: char },
    Export { file: String },
}

impl What {
    /// Whether it begins a case file.
    const fn counts(&self) -> bool {
        !matches!(self, Self::Filter { .. } | Self::Place { .. })
    }

    /// What it is, in a word.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Mark { .. } => "mark",
            Self::Bookmark { .. } => "bookmark",
            Self::Note { .. } => "note",
            Self::Report { .. } => "report",
            Self::Filter { .. } => "filter",
            Self::SavedFilter { .. } => "saved filter",
            Self::Place { .. } => "place",
            Self::Export { .. } => "export",
        }
    }
}

impl Entry {
    /// The event, where it is about one.
    pub(crate) fn event_id(&self) -> Option<EventId> {
        let (block, row) = self.event?;
        Some(EventId { time: BootNanos(self.at?), block, row })
    }

    /// Words of a bookmark that begin with `#`, and techniques of ATT&CK.
    pub(crate) fn tags(&self) -> Vec<&str> {
        let (What::Bookmark { text } | What::Note { text }) = &self.what else { return Vec::new() };
        text.split_whitespace().filter(|word| word.starts_with('#') || is_technique(word)).collect()
    }
}

/// `T1059` or `T1059.004`.
pub(crate) fn is_technique(word: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    word.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(rest, 4),
    })
}

/// What a line is about: a moment, and the block and row of its event.
pub(crate) type About = (u64, Option<(u32, u32)>);

/// Everything that was noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Case {
    entries: Vec<Entry>,
    /// How many of them are in the file.
    written: usize,
    /// There is a file, or there will be.
    begun: bool,
    pub(crate) store: String,
    pub(crate) author: String,
    /// Lines of the file that were not understood, or are about another store.
    pub(crate) strange: usize,
}

impl Case {
    /// Takes the lines of a file in.
    pub(crate) fn read(store: String, author: String, text: &str) -> Self {
        let mut case = Self { store, author, begun: !text.is_empty(), ..Self::default() };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.store == case.store => case.entries.push(entry),
                _ => case.strange += 1,
            }
        }
        case.written = case.entries.len();
        case
    }

    /// Adds a line; what only remembers how one looked is left out where nothing was noted yet.
    pub(crate) fn add(&mut self, entry: Entry) {
        if self.begun || entry.what.counts() {
            self.begun = true;
            self.entries.push(entry);
        }
    }

    /// The lines that are not in the file yet; they count as written then.
    pub(crate) fn unwritten(&mut self) -> String {
        let mut text = String::new();
        for entry in self.entries.iter().skip(self.written) {
            if let Ok(line) = serde_json::to_string(entry) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        self.written = self.entries.len();
        text
    }

    fn of(&self, uid: ContainerUid) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.container == Some(uid.0))
    }

    /// The marks of a container by letter.
    pub(crate) fn marks(&self, uid: ContainerUid) -> BTreeMap<char, &Entry> {
        let marks = self.of(uid).filter_map(|entry| match entry.what {
            What::Mark { letter } => Some((letter, entry)),
            _ => None,
        });
        marks.collect()
    }

    /// Marks, bookmarks and notes of a container, in order of the moments they are about.
    pub(crate) fn noted(&self, uid: ContainerUid) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self
            .of(uid)
            .filter(|entry| matches!(entry.what, What::Bookmark { .. } | What::Note { .. }))
            .chain(self.marks(uid).into_values())
            .collect();
        all.sort_by_key(|entry| entry.at);
        all
    }

    /// What is to be in the report about a container: the moments, and their titles.
    pub(crate) fn reported(&self, uid: ContainerUid) -> BTreeMap<About, &str> {
        let mut marked = BTreeMap::new();
        for entry in self.of(uid) {
            let (What::Report { on, title }, Some(at)) = (&entry.what, entry.at) else { continue };
            if *on {
                marked.insert((at, entry.event), title.as_str());
            } else {
                marked.remove(&(at, entry.event));
            }
        }
        marked
    }

    /// Whether a moment is to be in the report.
    pub(crate) fn is_reported(&self, uid: ContainerUid, at: BootNanos, event: Option<EventId>) -> bool {
        let key = (at.0, event.map(|id| (id.block, id.row)));
        self.reported(uid).contains_key(&key)
    }

    /// Filters that were saved, by name; the latest of a name counts.
    pub(crate) fn saved(&self) -> BTreeMap<&str, &str> {
        let saved = self.entries.iter().filter_map(|entry| match &entry.what {
            What::SavedFilter { name, text } => Some((name.as_str(), text.as_str())),
            _ => None,
        });
        saved.collect()
    }

    /// Filters that were in force, the latest last.
    pub(crate) fn filters(&self) -> Vec<&str> {
        let filters = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Filter { text } => Some(text.as_str()),
            _ => None,
        });
        filters.collect()
    }

    /// Where one was when the recording was left.
    pub(crate) fn place(&self) -> Option<(&Entry, char)> {
        self.entries.iter().rev().find_map(|entry| match entry.what {
            What::Place { screen } => Some((entry, screen)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, what: What) -> Entry {
        Entry {
            time: "2026-11-21T12:00:00Z".to_owned(),
            author: "ana".to_owned(),
            store: "07".to_owned(),
            container: Some(1),
            at: Some(at),
            event: Some((0, 7)),
            what,
        }
    }

    fn case() -> Case {
        Case::read("07".to_owned(), "ana".to_owned(), "")
    }

    #[test]
    fn looking_alone_writes_nothing_and_the_first_note_begins_the_file() {
        let mut case = case();
        case.add(entry(1, What::Filter { text: "proc.name = sh".to_owned() }));
        case.add(entry(1, What::Place { screen: '2' }));
        assert_eq!(case.unwritten(), "");
        case.add(entry(1, What::Mark { letter: 'a' }));
        case.add(entry(1, What::Place { screen: '2' }));
        assert_eq!(case.unwritten().lines().count(), 2);
        assert_eq!(case.unwritten(), "");
    }

    #[test]
    fn what_is_written_is_read_again_and_later_lines_count() {
        let mut case = case();
        case.add(entry(5, What::Mark { letter: 'a' }));
        case.add(entry(9, What::Mark { letter: 'a' }));
        case.add(entry(7, What::Bookmark { text: "dropper\x1b]0;own\x07 #ioc T1105".to_owned() }));
        case.add(entry(7, What::Report { on: true, title: "x".to_owned() }));
        case.add(entry(9, What::Report { on: true, title: "y".to_owned() }));
        case.add(entry(9, What::Report { on: false, title: "y".to_owned() }));
        case.add(entry(9, What::SavedFilter { name: "mine".to_owned(), text: "proc.pid = 1".to_owned() }));
        let text = case.unwritten();
        assert!(!text.contains('\x1b'), "{text}");
        let again = Case::read("07".to_owned(), "bo".to_owned(), &text);
        let uid = ContainerUid(1);
        assert_eq!(again.marks(uid).get(&'a').and_then(|e| e.at), Some(9));
        assert_eq!(again.noted(uid).len(), 2);
        assert_eq!(again.noted(uid)[0].tags(), ["#ioc", "T1105"]);
        assert_eq!(again.reported(uid).into_values().collect::<Vec<_>>(), ["x"]);
        assert_eq!(again.saved().get("mine"), Some(&"proc.pid = 1"));
        assert_eq!(again.noted(ContainerUid(2)).len(), 0);
    }

    #[test]
    fn lines_that_are_not_understood_and_those_of_other_stores_are_counted() {
        let mut first = case();
        first.add(entry(5, What::Mark { letter: 'a' }));
        let text = format!("{{\"kind\":\"new\"}}\nnonsense\n{}", first.unwritten());
        let again = Case::read("08".to_owned(), String::new(), &text);
        assert_eq!((again.strange, again.marks(ContainerUid(1)).len()), (3, 0));
    }
}
