//! Questions that are answered by typing a line.

use crate::tui::feed::Heading;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Go to a moment.
    Moment,
    Bookmark,
    Note,
    /// Run until a filter matches.
    Until(Heading),
    /// Go from match to match.
    Find,
    /// Look in the events of all containers.
    FindInAll,
    /// The name of the filter in force.
    SaveFilter,
    /// A file of Falco rules.
    Rules,
}

impl Ask {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Moment => "go to",
            Self::Bookmark => "bookmark",
            Self::Note => "note",
            Self::Until(Heading::Forward) => "run until",
            Self::Until(Heading::Backward) => "run back until",
            Self::Find => "find",
            Self::FindInAll => "find in all containers",
            Self::SaveFilter => "save filter as",
            Self::Rules => "rules",
        }
    }

    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Moment => "@",
            Self::Until(_) | Self::Find | Self::FindInAll => "/",
            Self::SaveFilter => "$",
            _ => ">",
        }
    }

    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::Moment => {
                "12:03:11.5, +19s after the start, -5s before the end, start, end, 3m ago, a date and time, mark:a, or alert:1"
            }
            Self::Bookmark => "what this is, with #tags and techniques like T1105; goes into the case file",
            Self::Note => "a note on this moment; goes into the case file",
            Self::Until(Heading::Forward) => {
                "a filter; the playhead goes to the next event that it keeps, Esc stops looking"
            }
            Self::Until(Heading::Backward) => {
                "a filter; the playhead goes to the previous event that it keeps, Esc stops looking"
            }
            Self::Find => {
                "a word or a filter (in a stream, 7, a text); n and N go to its next and previous match, nothing is hidden; empty ends it"
            }
            Self::FindInAll => {
                "a word or a filter; the list keeps the containers with events that match, Esc stops looking; empty ends it"
            }
            Self::SaveFilter => "a name; then $name is this filter",
            Self::Rules => "a file of Falco rules; what they match is added to the findings",
        }
    }
}
