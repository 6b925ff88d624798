//! The state of the TUI. Knows no terminal: [`crate::tui::update`] changes it, [`crate::tui::view`] shows it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use afterimage_format::{BootNanos, ContainerUid, EventId};
use afterimage_model::{files::FileRecord, findings::Severity, net::Conversation, text::Safe};

use crate::trace::alerts::Alert;
use crate::tui::{
    ask::Ask,
    case::Case,
    edit::LineEdit,
    feed::{
        Catalog, Center, Column, ContainerRow, DensityKey, DiffKey, DiffRow, HitsKey, KeepKey, Kept, Moment,
        MomentKey, Page, PageKey, ProcessRow, Request, SeekKey, Story, StoryRow, StreamKey, Sweep, SweepKey,
        Values, ValuesKey,
    },
    filter::{Filter, Library, Verdict},
    hits::Hits,
    keys::{Key, Keymap},
    layout::{self, LEAST, Pane, Plan, Wish},
    menu::Menu,
    moment::TimeStyle,
    paint::Look,
    player::{Motion, Player, Playhead},
    screen::Screen,
    scroll::Scroll,
    sheets::{ByThen, LaneName, Sheet},
    slot::Slot,
    stories::{Pace, Stories, Tallies},
    stream::{Line, Side, Stream, Target},
    tour::{self, Tour},
    trail::{Place, Trail},
    update::{Effect, Held},
    whole::Whole,
};

/// Everything that is shown depends on this alone.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) look: Look,
    pub(crate) keymap: Keymap,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) screen: Screen,
    pub(crate) previous: Screen,
    focus: BTreeMap<Screen, Pane>,
    pub(crate) maximised: bool,
    /// Columns that the line between panes was moved to the right, by screen.
    pub(crate) shift: BTreeMap<Screen, i16>,
    pub(crate) popup: Option<Popup>,
    /// Keys of a sequence that is not complete.
    pub(crate) pending: Vec<Key>,
    /// A number that is being typed for the next key.
    pub(crate) count: Option<usize>,
    pub(crate) time_style: TimeStyle,
    pub(crate) notice: Option<Notice>,
    /// Time since the start, by a clock that no one sets.
    pub(crate) uptime: Duration,
    /// Wall clock of the machine that shows, nanoseconds since 1970; for `3m ago`.
    pub(crate) now: i64,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) overview: Slot<DensityKey, Vec<Column>>,
    pub(crate) list: ContainerList,
    pub(crate) stories: Stories,
    pub(crate) tallies: Tallies,
    pub(crate) opened: Option<Opened>,
    pub(crate) bar: FilterBar,
    /// Bytes of files are shown as hexadecimal.
    pub(crate) hex: bool,
    /// Bytes of the stream are, as the user chose; else as they are more readable.
    pub(crate) hex_chosen: Option<bool>,
    /// What people noted.
    pub(crate) case: Case,
    /// What the terminal has to do when the update is over.
    pub(crate) outbox: Vec<Effect>,
    /// Questions to the background that no screen asks by itself.
    pub(crate) questions: Vec<Request>,
    /// What the mouse holds.
    pub(crate) held: Option<Held>,
    /// Lists show only what there was by the playhead.
    pub(crate) follow: bool,
    /// The mouse is ours.
    pub(crate) mouse: bool,
    /// What came to the recorder, by generation.
    pub(crate) alerts: Slot<u64, Arc<Vec<Alert>>>,
    /// What is seen of the panes of Health.
    pub(crate) health: [Scroll; 4],
    /// The guided tour, where it was asked for.
    pub(crate) tour: Option<Tour>,
    /// States that are shown no more, to be freed when everything is drawn: that takes a while where many processes were.
    pub(crate) spent: Vec<Moment>,
}

/// What lies over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Popup {
    Help(Scroll),
    Palette(LineEdit, Scroll),
    /// A line is being typed as the answer; with what is wrong with it.
    Ask(Ask, LineEdit, Option<Safe>),
    /// A mark's letter is awaited: to set it, or to go there.
    Letter {
        set: bool,
    },
    Menu(Menu),
    Diff(Diff),
    /// The whole of the event at the playhead.
    Event(Scroll),
    /// The filter's parts.
    Parts(Scroll),
    /// What the filter reads; none while that is being found out.
    Explain(Option<Vec<Safe>>, Scroll),
}

/// What two containers did differently.
#[derive(Debug, Clone)]
pub(crate) struct Diff {
    pub(crate) key: DiffKey,
    /// None while they are being read.
    pub(crate) rows: Option<Vec<DiffRow>>,
    pub(crate) scroll: Scroll,
}

/// A message in the footer; the next key takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: Safe,
    pub(crate) bad: bool,
}

/// Order of the list of containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    Newest,
    Oldest,
    Events,
    Findings,
    Lost,
    Alerts,
    Name,
}

impl Sort {
    const ALL: [Self; 7] =
        [Self::Newest, Self::Findings, Self::Events, Self::Lost, Self::Alerts, Self::Name, Self::Oldest];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest first",
            Self::Oldest => "oldest first",
            Self::Findings => "worst findings first",
            Self::Events => "most events first",
            Self::Lost => "most lost first",
            Self::Alerts => "most alerts first",
            Self::Name => "by name",
        }
    }

    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|s| *s == self).unwrap_or(0);
        Self::ALL.get((at + 1) % Self::ALL.len()).copied().unwrap_or_default()
    }
}

/// The list of containers: which rows of the catalog, in which order.
#[derive(Debug, Default)]
pub(crate) struct ContainerList {
    pub(crate) sort: Sort,
    /// Which containers the filter keeps, by place in the catalog; empty: all.
    pub(crate) kept: Slot<KeepKey, Kept>,
    /// The filter in force, or being typed.
    pub(crate) wanted: String,
    pub(crate) order: Vec<usize>,
    pub(crate) scroll: Scroll,
    /// The cursor was sent to the first row: it stays there while the order becomes known.
    pub(crate) at_top: bool,
    /// The one to compare with.
    pub(crate) marked: Option<ContainerUid>,
    /// What is looked for in the events of all containers by find.
    pub(crate) find: Option<Arc<str>>,
    /// What is, by find and by the filter where only events can tell.
    pub(crate) sought: Option<Arc<str>>,
    /// Where it was found.
    pub(crate) sweep: Slot<SweepKey, Sweep>,
    /// When this is read again of a recording that grows.
    pub(crate) sweep_pace: Pace,
    /// The search was ended before all was read.
    pub(crate) stopped: bool,
    /// How many alerts are about each.
    pub(crate) alerts: BTreeMap<ContainerUid, u32>,
    /// In the storyline of the selected one.
    pub(crate) story: Scroll,
    /// All of the storyline, also where it is longer than its pane.
    pub(crate) whole_story: bool,
    pub(crate) summary: Scroll,
}

impl ContainerList {
    fn keeps(&self, at: usize) -> bool {
        let kept = self.kept.value().filter(|_| !self.wanted.trim().is_empty());
        kept.is_none_or(|kept| kept.rows.get(at) == Some(&true))
    }

    /// Where what is looked for was found so far; none where nothing is looked for.
    pub(crate) fn found(&self) -> Option<&Sweep> {
        let sought = self.sought.as_ref()?;
        self.sweep.entry().filter(|(key, _)| key.text == *sought).map(|(_, sweep)| sweep)
    }

    /// Whether something was found in a container, or nothing is looked for.
    fn is_found(&self, uid: ContainerUid) -> bool {
        let is_in = |found: &Sweep| found.by_container.contains_key(&uid);
        self.sought.is_none() || self.found().is_some_and(is_in)
    }

    /// Whether containers are in the list only because the filter asks what their events tell.
    pub(crate) fn asks_events(&self) -> bool {
        let known = self.kept.entry().filter(|(key, _)| key.text == self.wanted);
        known.is_some_and(|(_, kept)| kept.asks_events)
    }

    /// Makes the order anew; the cursor stays on container `keep`.
    pub(crate) fn arrange(&mut self, catalog: &Catalog, tallies: &Tallies, keep: Option<ContainerUid>) {
        let rows = &catalog.containers;
        let is_kept = |at: &usize| self.keeps(*at) && rows.get(*at).is_some_and(|row| self.is_found(row.uid));
        let mut order: Vec<usize> = (0..rows.len()).filter(is_kept).collect();
        let row = |i: &usize| rows.get(*i);
        match self.sort {
            Sort::Oldest => order.sort_by_key(|i| row(i).map(|r| r.life.begin)),
            Sort::Newest => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.life.begin))),
            Sort::Findings => {
                order.sort_by_key(|i| std::cmp::Reverse(row(i).and_then(|r| tallies.of(r.uid))));
            }
            Sort::Events => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.events))),
            Sort::Lost => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.lost))),
            Sort::Alerts => {
                order.sort_by_key(|i| std::cmp::Reverse(row(i).and_then(|r| self.alerts.get(&r.uid))));
            }
            Sort::Name => order.sort_by(|a, b| row(a).map(|r| &r.name).cmp(&row(b).map(|r| &r.name))),
        }
        // The host is where everything else comes from, not a container that anybody looks for first.
        order.sort_by_key(|i| row(i).is_some_and(|r| r.uid == ContainerUid::HOST));
        let at = order.iter().position(|i| row(i).map(|r| r.uid) == keep);
        let at = if self.at_top { Some(0) } else { at };
        self.scroll.cursor = at.unwrap_or(self.scroll.cursor).min(order.len().saturating_sub(1));
        self.order = order;
    }
}

/// The filter bar.
#[derive(Debug, Default)]
pub(crate) struct FilterBar {
    /// Being typed.
    pub(crate) edit: Option<LineEdit>,
    /// What is to be said of what is typed.
    pub(crate) verdict: Option<Verdict>,
    /// In force for events.
    pub(crate) filter: Filter,
    /// In force for the list of containers.
    pub(crate) list: Filter,
    pub(crate) library: Library,
    /// What is gone to from match to match.
    pub(crate) find: Option<Arc<str>>,
    /// Set-up events of the runtime are shown too.
    pub(crate) setup: bool,
    /// What could stand at the cursor.
    pub(crate) completion: Completing,
    /// Filters that were in force, the latest last.
    pub(crate) history: Vec<String>,
    /// Filters before this one, and those that undoing left.
    pub(crate) past: Vec<Filter>,
    pub(crate) future: Vec<Filter>,
}

/// Candidates for the word at the cursor of the filter bar.
#[derive(Debug, Default)]
pub(crate) struct Completing {
    /// Characters of the word that a candidate takes the place of.
    pub(crate) word: usize,
    /// Text and what it is.
    pub(crate) candidates: Vec<(String, Safe)>,
    pub(crate) scroll: Scroll,
    /// The field whose values are wanted.
    pub(crate) field: Option<&'static str>,
    pub(crate) values: Slot<ValuesKey, Values>,
    /// When these are read again of a recording that grows.
    pub(crate) pace: Pace,
}

/// The lines of the stream as they are seen.
#[derive(Debug, Default)]
pub(crate) struct StreamLines {
    /// What they were made of: pieces, side, hexadecimal or not, columns.
    pub(crate) basis: Option<(usize, Side, bool, u16)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) scroll: Scroll,
    /// The moment that the cursor was put at last.
    pub(crate) at: Option<BootNanos>,
}

/// The container that is being replayed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) uid: ContainerUid,
    /// First and last moment.
    pub(crate) whole: (BootNanos, BootNanos),
    /// What offsets count from, as everywhere: the start of its first program.
    pub(crate) origin: BootNanos,
    pub(crate) playhead: Playhead,
    pub(crate) player: Player,
    /// Part of the life that the timeline shows.
    pub(crate) window: (BootNanos, BootNanos),
    pub(crate) page: Slot<PageKey, Page>,
    /// The page whose rows are being named.
    pub(crate) naming: Option<PageKey>,
    /// What there was by the playhead, where the lists follow it.
    pub(crate) until: Slot<MomentKey, Arc<Whole>>,
    pub(crate) by_then: Option<ByThen>,
    pub(crate) density: Slot<DensityKey, Vec<Column>>,
    pub(crate) moment: Slot<MomentKey, Moment>,
    /// What the filter keeps.
    pub(crate) hits: Slot<HitsKey, Hits>,
    /// What it keeps of the recording as it has grown, which is taken in when that is known.
    pub(crate) ahead: Slot<HitsKey, Hits>,
    pub(crate) ahead_pace: Pace,
    pub(crate) seek: Option<SeekKey>,
    pub(crate) seek_asked: bool,
    /// Where the playhead was before it jumped.
    pub(crate) trail: Trail,
    /// Rows that are still to be gone when the next page is there.
    pub(crate) due: isize,
    /// Screen row of the cursor in the event list; `None`: a third from the top, to show what led there.
    pub(crate) line: Option<usize>,
    pub(crate) tree: Scroll,
    /// The tree's cursor stays on the process of the playhead until the user moves it.
    pub(crate) tree_follows: bool,
    /// Closed branches: processes by pid and start.
    pub(crate) closed: Vec<(u32, BootNanos)>,
    pub(crate) detail: Scroll,
    /// Lanes that stay at the top of the timeline.
    pub(crate) pinned: Vec<LaneName>,
    /// In the notes beside the replay.
    pub(crate) notes: Scroll,
    /// Counts of the whole life, for the Timeline screen.
    pub(crate) life: Slot<DensityKey, Vec<Column>>,
    /// Whose stream is followed.
    pub(crate) target: Option<Target>,
    /// Without a target, the most telling stream of the container is meant, not that of the playhead.
    pub(crate) telling: bool,
    pub(crate) stream: Slot<StreamKey, Stream>,
    pub(crate) stream_pace: Pace,
    pub(crate) side: Side,
    pub(crate) lines: StreamLines,
    /// Where a range was begun.
    pub(crate) range: Option<BootNanos>,
    /// The range that was framed last, until anything else is done.
    pub(crate) framed: Option<(BootNanos, BootNanos)>,
    /// The screens that are lists.
    pub(crate) sheets: BTreeMap<Screen, Sheet>,
    /// The user has not moved in time yet.
    pub(crate) fresh: bool,
    /// The playhead stays at the newest event of what is being recorded.
    pub(crate) live: bool,
}

impl Opened {
    /// From the first moment to the last, nanoseconds.
    pub(crate) fn length(&self) -> u64 {
        self.whole.1.0.saturating_sub(self.whole.0.0)
    }

    pub(crate) fn new(row: &ContainerRow) -> Self {
        let whole = row.whole();
        Self {
            uid: row.uid,
            whole,
            origin: row.life.begin,
            playhead: Playhead::at_time(whole.0),
            player: Player::default(),
            window: whole,
            page: Slot::default(),
            naming: None,
            until: Slot::default(),
            by_then: None,
            density: Slot::default(),
            moment: Slot::default(),
            hits: Slot::default(),
            ahead: Slot::default(),
            ahead_pace: Pace::default(),
            seek: None,
            seek_asked: false,
            trail: Trail::default(),
            due: 0,
            line: None,
            tree: Scroll::default(),
            tree_follows: true,
            closed: Vec::new(),
            detail: Scroll::default(),
            pinned: Vec::new(),
            notes: Scroll::default(),
            life: Slot::default(),
            target: None,
            telling: false,
            stream: Slot::default(),
            stream_pace: Pace::default(),
            side: Side::default(),
            lines: StreamLines::default(),
            range: None,
            framed: None,
            sheets: BTreeMap::new(),
            fresh: true,
            live: false,
        }
    }

    /// Moves the playhead; the timeline follows where it would leave it.
    pub(crate) fn move_to(&mut self, to: Playhead) {
        let time = to.time.clamp(self.whole.0, self.whole.1);
        self.playhead = Playhead { time, event: to.event };
        self.fresh = false;
        self.live = false;
        self.tree_follows = true;
        self.detail.top = 0;
        self.due = 0;
        let (begin, end) = self.window;
        if time < begin || time > end {
            let length = end.0 - begin.0;
            let from = time.0.saturating_sub(length / 4).max(self.whole.0.0);
            let from = from.min(self.whole.1.0.saturating_sub(length)).max(self.whole.0.0);
            self.window = (BootNanos(from), BootNanos(from.saturating_add(length)));
        }
    }

    /// Where the playhead is.
    pub(crate) fn place(&self) -> Place {
        Place { uid: self.uid, playhead: self.playhead }
    }

    /// Moves the playhead to a place far from here, with a way back.
    pub(crate) fn arrive(&mut self, at: Playhead) {
        if at != self.playhead {
            self.trail.leave(self.place());
        }
        self.put(at);
    }

    /// Puts the playhead at a place: what led there is shown above it.
    pub(crate) fn put(&mut self, at: Playhead) {
        self.player.motion = Motion::Paused;
        self.line = None;
        self.move_to(at);
    }

    /// Screen row of the cursor in an event list of this height.
    pub(crate) fn line(&self, height: usize) -> usize {
        self.line.unwrap_or(height / 3).min(height.saturating_sub(1))
    }

    /// The page, and the row of it that the playhead stands on.
    pub(crate) fn at(&self) -> Option<(&Page, usize)> {
        let page = self.page.value()?;
        Some((page, self.playhead.row(page)?))
    }

    /// The event at the playhead.
    pub(crate) fn event(&self) -> Option<EventId> {
        self.at().and_then(|(page, row)| page.rows.get(row)).map(|row| row.id)
    }

    /// The stream of the target, as far as it is known.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        let (key, stream) = self.stream.entry()?;
        (Some(&key.target) == self.target.as_ref()).then_some(stream)
    }

    /// Whether the state that is shown is not that of the playhead: it is being read.
    pub(crate) fn is_behind(&self) -> bool {
        let shown = self.moment.entry().map(|(key, _)| key.at);
        self.event().is_some_and(|id| shown != Some(Center::Event(id)))
    }

    /// The rows of the tree that are seen, closed branches left out.
    pub(crate) fn tree_rows(&self) -> Vec<&ProcessRow> {
        let Some(moment) = self.moment.value() else { return Vec::new() };
        if self.closed.is_empty() {
            return moment.tree.iter().collect();
        }
        let mut rows = Vec::with_capacity(moment.tree.len());
        let mut hidden_below: Option<usize> = None;
        for row in &moment.tree {
            if hidden_below.is_some_and(|depth| row.depth > depth) {
                continue;
            }
            hidden_below = self.closed.contains(&(row.pid, row.key().start)).then_some(row.depth);
            rows.push(row);
        }
        rows
    }
}

impl App {
    pub(crate) fn new(look: Look, size: (u16, u16), catalog: Arc<Catalog>) -> Self {
        let mut list = ContainerList::default();
        list.arrange(&catalog, &Tallies::default(), None);
        Self {
            look,
            keymap: Keymap::default(),
            size,
            screen: Screen::Containers,
            previous: Screen::Containers,
            focus: BTreeMap::new(),
            maximised: false,
            shift: BTreeMap::new(),
            popup: None,
            pending: Vec::new(),
            count: None,
            time_style: TimeStyle::Start,
            notice: None,
            uptime: Duration::ZERO,
            now: 0,
            catalog,
            overview: Slot::default(),
            list,
            stories: Stories::default(),
            tallies: Tallies::default(),
            opened: None,
            bar: FilterBar::default(),
            hex: true,
            hex_chosen: None,
            case: Case::default(),
            outbox: Vec::new(),
            questions: Vec::new(),
            held: None,
            follow: false,
            mouse: true,
            alerts: Slot::default(),
            health: [Scroll::default(); 4],
            tour: None,
            spent: Vec::new(),
        }
    }

    /// Rows at the bottom that belong to the tour; none where there is no room for both.
    pub(crate) fn tour_rows(&self) -> u16 {
        let rows = tour::rows(self.size.0);
        let fits = self.size.1 >= LEAST.1.saturating_add(rows);
        if self.tour.is_some() && fits { rows } else { 0 }
    }

    /// The pane that has the keys.
    pub(crate) fn focus(&self) -> Pane {
        let default = layout::focusable(self.screen).first().copied().unwrap_or(Pane::Events);
        self.focus.get(&self.screen).copied().unwrap_or(default)
    }

    pub(crate) fn set_focus(&mut self, pane: Pane) {
        self.focus.insert(self.screen, pane);
    }

    pub(crate) fn plan(&self) -> Plan {
        let wish = Wish {
            screen: self.screen,
            focus: self.focus(),
            maximised: self.maximised,
            shift: self.shift.get(&self.screen).copied().unwrap_or(0),
            rows: self.list_rows(),
        };
        layout::plan(self.size.0, self.size.1 - self.tour_rows(), wish)
    }

    /// Whether bytes of the stream are shown as hexadecimal.
    pub(crate) fn stream_hex(&self) -> bool {
        let stream = || self.opened.as_ref().and_then(Opened::stream);
        self.hex_chosen.unwrap_or_else(|| stream().is_some_and(Stream::is_binary))
    }

    /// Rows that the screen's list may have, whatever is left out of it: panes do not jump while a filter is typed.
    fn list_rows(&self) -> usize {
        let whole = self.story().and_then(|story| story.whole.as_deref());
        let rows = match self.screen {
            Screen::Containers => Some(self.catalog.containers.len()),
            Screen::Tree => whole.map(|whole| whole.tree.len()),
            Screen::Files => whole.map(Whole::file_count),
            Screen::Net => whole.map(|whole| whole.conversations().len()),
            Screen::Findings => self.story().map(|story| story.rows.len()),
            _ => None,
        };
        rows.unwrap_or(usize::MAX)
    }

    /// Rows of text in a pane, its title not counted.
    pub(crate) fn rows_in(&self, pane: Pane) -> usize {
        let heading = matches!(
            pane,
            Pane::Containers
                | Pane::Events
                | Pane::Processes
                | Pane::Files
                | Pane::Conversations
                | Pane::FindingList
                | Pane::Provenance
                | Pane::Triggers
        );
        let heading = usize::from(heading);
        let height = self.plan().rect(pane).map_or(0, |rect| usize::from(rect.height));
        height.saturating_sub(1 + heading)
    }

    /// What the filter in force keeps, as far as it is known; none where there is no filter.
    pub(crate) fn hits(&self) -> Option<&Hits> {
        let text = self.bar.filter.text();
        let entry = self.opened.as_ref()?.hits.entry()?;
        let (key, uid) = (entry.0, self.opened.as_ref()?.uid);
        let is_it = *key.text == *text && key.uid == uid && key.setup == self.bar.setup;
        (!text.is_empty() && is_it).then_some(entry.1)
    }

    /// Whether what the filter keeps could not be read to its end: nobody reads on before the filter is put in force again.
    pub(crate) fn has_unread_hits(&self) -> bool {
        let is_part = self.hits().is_none_or(|hits| hits.reading.is_some());
        let is_failed = |opened: &Opened| opened.hits.asked().is_none() && opened.hits.has_failed();
        is_part && self.opened.as_ref().is_some_and(is_failed)
    }

    /// Whether the storyline of the container that the screen is about could not be read to its end.
    pub(crate) fn has_unread_story(&self) -> bool {
        self.subject().is_some_and(|row| self.stories.has_failed(row.uid))
    }

    /// Whether all is known that the rows of the screen's list depend on: only then may an empty list say so.
    pub(crate) fn all_read(&self) -> bool {
        let story = self.listed().is_some_and(|story| story.reading.is_none() && story.whole.is_some());
        let hits = self.bar.filter.is_empty() || self.hits().is_some_and(|hits| hits.reading.is_none());
        story && hits
    }

    /// The container that the list's cursor is on.
    pub(crate) fn selected(&self) -> Option<&ContainerRow> {
        let index = self.list.order.get(self.list.scroll.cursor)?;
        self.catalog.containers.get(*index)
    }

    /// The container that the screen is about.
    pub(crate) fn subject(&self) -> Option<&ContainerRow> {
        match &self.opened {
            Some(opened) if self.screen.needs_container() => self.catalog.container(opened.uid),
            _ => self.selected(),
        }
    }

    /// The storyline of the container that the screen is about.
    pub(crate) fn story(&self) -> Option<&Story> {
        self.stories.of(self.subject()?.uid)
    }

    /// The lines of the storyline that are shown: all; where there is no room for all, what stands out.
    pub(crate) fn storyline(&self) -> Vec<&StoryRow> {
        let rows = self.story().map_or(&[][..], |story| &story.rows);
        if self.list.whole_story || rows.len() <= self.rows_in(Pane::Storyline) {
            return rows.iter().collect();
        }
        let weighty: Vec<&StoryRow> = rows.iter().filter(|row| row.severity >= Severity::Notice).collect();
        if weighty.is_empty() { rows.iter().collect() } else { weighty }
    }

    /// The line of the storyline that the cursor is on.
    pub(crate) fn story_row(&self) -> Option<&StoryRow> {
        self.storyline().get(self.list.story.cursor).copied()
    }

    /// The list of the screen, where it is one.
    pub(crate) fn sheet(&self) -> Option<&Sheet> {
        self.opened.as_ref()?.sheets.get(&self.screen)
    }

    /// What the lists are made of: the whole life, or where they follow the clock what there was of it by the playhead.
    pub(crate) fn listed(&self) -> Option<&Story> {
        if !self.follow || !self.screen.needs_container() {
            return self.story();
        }
        self.opened.as_ref()?.by_then.as_ref().map(ByThen::story)
    }

    pub(crate) fn whole(&self) -> Option<&Whole> {
        self.listed()?.whole.as_deref()
    }

    /// The process that the cursor of the Tree screen is on.
    pub(crate) fn selected_process(&self) -> Option<&ProcessRow> {
        self.whole()?.tree.get(self.sheet()?.selected()?)
    }

    /// The file that the cursor of the Files screen is on.
    pub(crate) fn selected_file(&self) -> Option<&FileRecord> {
        self.whole()?.file(self.sheet()?.selected()?)
    }

    /// Whether events of the opened container were lost.
    pub(crate) fn has_losses(&self) -> bool {
        let uid = self.opened.as_ref().map(|opened| opened.uid);
        self.catalog.losses_of(uid).next().is_some()
    }

    /// The conversation that the cursor of the Net screen is on.
    pub(crate) fn selected_conversation(&self) -> Option<&Conversation> {
        self.whole()?.conversations().get(self.sheet()?.selected()?)
    }

    /// The finding that the cursor of the Findings screen is on.
    pub(crate) fn selected_finding(&self) -> Option<&StoryRow> {
        self.listed()?.rows.get(self.sheet()?.selected()?)
    }

    /// Something else was done than to filter to the range that was framed.
    pub(crate) fn forget_range(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.framed = None;
        }
    }

    pub(crate) fn say(&mut self, text: Safe) {
        self.notice = Some(Notice { text, bad: false });
    }

    pub(crate) fn complain(&mut self, text: Safe) {
        self.notice = Some(Notice { text, bad: true });
    }
}
