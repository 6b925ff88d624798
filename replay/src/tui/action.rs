//! What the user can do: one closed list. Keys, palette, footer and help are all made from it.

/// The chapters of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Move,
    Screens,
    Clock,
    Filter,
    Case,
    View,
    Program,
}

impl Group {
    pub(crate) const ALL: &[Self] =
        &[Self::Clock, Self::Move, Self::Screens, Self::Filter, Self::Case, Self::View, Self::Program];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Screens => "screens",
            Self::Clock => "clock",
            Self::Filter => "filter",
            Self::Case => "case",
            Self::View => "view",
            Self::Program => "program",
        }
    }
}

macro_rules! actions {
    ($($group:ident { $($variant:ident => $name:literal, $help:literal;)* })*) => {
        /// One thing the user can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Action { $($(#[doc = $help] $variant,)*)* }

        impl Action {
            pub(crate) const ALL: &[Self] = &[$($(Self::$variant,)*)*];

            /// Its name in the palette and in `tui.toml`.
            pub(crate) const fn name(self) -> &'static str {
                match self { $($(Self::$variant => $name,)*)* }
            }

            /// What it does, for the help.
            pub(crate) const fn help(self) -> &'static str {
                match self { $($(Self::$variant => $help,)*)* }
            }

            pub(crate) const fn group(self) -> Group {
                match self { $($(Self::$variant => Group::$group,)*)* }
            }
        }
    };
}

actions! {
    Clock {
        Play => "play or pause", "play from the playhead, or pause";
        PlayBack => "play backwards", "play towards the beginning";
        StepForward => "step forward", "next event";
        StepBack => "step back", "previous event";
        SecondForward => "forward 1 s", "one second later";
        SecondBack => "back 1 s", "one second earlier";
        NextProcess => "next process start or exit", "next process start or exit";
        PrevProcess => "previous process start or exit", "previous process start or exit";
        NextFinding => "next finding", "next finding of 8, or of find";
        PrevFinding => "previous finding", "previous finding of 8, or of find";
        Begin => "begin of the container", "first event";
        End => "end of the container", "last event";
        GoTo => "go to a moment", "go to a time, offset, mark or alert";
        NextMark => "next mark", "next mark, bookmark or note";
        PrevMark => "previous mark", "previous mark, bookmark or note";
        JumpBack => "jump back", "where the playhead jumped from";
        JumpForward => "jump forward", "where jump back came from";
        Find => "find", "go to matches; on 1 in all of them";
        RunUntil => "run until", "run until a filter matches";
        RunBack => "run back until", "run back until a filter matches";
        Live => "follow live", "stay at the newest event of what is being recorded";
        Faster => "faster", "play faster";
        Slower => "slower", "play slower";
        Pace => "pace", "pace: real time, or events a second";
        SkipIdle => "skip idle", "skip waits over 1 s, or keep them";
    }
    Move {
        Down => "down", "next row";
        Up => "up", "previous row";
        Left => "left", "close, or scroll left";
        Right => "right", "open, or scroll right";
        HalfDown => "half a page down", "half a page down";
        HalfUp => "half a page up", "half a page up";
        PageDown => "page down", "page down";
        PageUp => "page up", "page up";
        First => "first row", "first row";
        Last => "last row", "last row";
        Count => "count", "a number for the next key: # 1 0 n";
        NextPane => "next pane", "next pane";
        PrevPane => "previous pane", "previous pane";
        Maximise => "maximise pane", "this pane alone, or all";
        LineLeft => "line to the left", "the line between panes to the left";
        LineRight => "line to the right", "the line between panes to the right";
    }
    Screens {
        GoContainers => "containers", "the containers screen";
        GoReplay => "replay", "the replay screen";
        GoTimeline => "timeline", "lanes of processes, files and peers";
        GoFollow => "follow", "what went through the selected process or conversation";
        Streams => "streams", "every stream of the container: terminals, pipes, sockets; one to follow";
        GoTree => "tree", "the processes of the whole life";
        GoFiles => "files", "what was done to files";
        GoNet => "net", "the network";
        GoFindings => "findings", "what stands out";
        GoHealth => "health", "the recording itself";
        OpenInReplay => "open in replay", "this moment in the replay";
        LastScreen => "last screen", "the screen before this one";
        Enter => "open", "open what is selected";
        Back => "back", "close, clear, or go back";
    }
    Filter {
        EditFilter => "filter", "edit the filter";
        ClearFilter => "clear filter", "show everything again";
        FilterParts => "filter parts", "parts of the filter on and off";
        UndoFilter => "undo filter", "the filter before this one";
        RedoFilter => "redo filter", "the filter that undoing left";
        Keep => "keep this value", "only events with this row's value";
        Drop => "drop this value", "no events with this row's value";
        SaveFilter => "save filter", "give the filter a name to use it by";
        SetUp => "set-up events", "show or hide the runtime's set-up of the container";
    }
    Case {
        Mark => "mark", "set a mark here: a letter follows";
        JumpMark => "go to mark", "go to a mark: its letter follows";
        Bookmark => "bookmark", "bookmark this moment, with a text and tags";
        Note => "note", "write a note on this moment";
        InReport => "in report", "this finding or event is in the report, or not";
        Report => "report", "write what is in the report as Markdown";
        Copy => "copy", "copy the row, a value or the command line";
        Cli => "cli", "the command line that prints this";
        Rules => "run rules", "look for what Falco rules match";
    }
    View {
        ZoomIn => "zoom in", "zoom in at the playhead";
        ZoomOut => "zoom out", "zoom out";
        EarlierPart => "earlier part", "the window half its length earlier";
        LaterPart => "later part", "the window half its length later";
        Range => "range", "begin a range here, or end it: the window shows it";
        Life => "life of the process", "the window shows this row's life";
        FollowClock => "follow clock", "lists up to the playhead, or whole";
        Pin => "pin lane", "this lane stays at the top, or not";
        Explain => "explain filter", "what of the recording the filter reads";
        Fit => "fit", "the whole life in the timeline";
        MarkContainer => "mark container", "the container to compare others with";
        Compare => "compare", "what this container did and the marked one (or its sibling) did not";
        OtherRows => "all rows", "rows that are left out at first, or not";
        HotPaths => "hot paths", "only the ways to what stands out, or all";
        Hex => "hex or text", "bytes as hexadecimal or as text";
        Side => "side", "what came in, what went out, or both";
        Save => "save bytes", "write these bytes into a new file, read-only, never executed";
        Sort => "sort", "next order of the list";
        TimeFormat => "time format", "times as since start, UTC, local, since the row before";
        Mouse => "mouse", "give the mouse to the terminal, or take it";
        Theme => "theme", "next theme: dark, light, high contrast, mono";
        Redraw => "redraw", "draw everything again";
    }
    Program {
        TourNext => "tour: next", "next step of the guided tour, or its end";
        Help => "help", "this page";
        Palette => "palette", "all actions, by name";
        Suspend => "suspend", "back to the shell; fg returns";
        Quit => "quit", "quit";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Action::ALL.iter().map(|a| a.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
        assert!(Action::ALL.iter().all(|a| Group::ALL.contains(&a.group())));
    }
}
