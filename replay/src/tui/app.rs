//! The state of the TUI. Knows no terminal: [`crate::tui::update`] changes it, [`crate::tui::view`] shows it.

use std::{collections::BTreeMap, sync::Arc};

use afterimage_format::{BootNanos, ContainerUid, EventId};
use afterimage_model::text::Safe;

use crate::tui::{
    edit::LineEdit,
    feed::{
        Catalog, Column, ContainerRow, DensityKey, HitsKey, KeepKey, Moment, MomentKey, Page, PageKey,
        ProcessRow, SeekKey, Story, StoryKey, StoryRow, Tally,
    },
    filter::{Filter, Library, Verdict},
    hits::Hits,
    keys::{Key, Keymap},
    layout::{self, Pane, Plan, Wish},
    moment::TimeStyle,
    paint::Look,
    player::{Motion, Player, Playhead},
    screen::Screen,
    scroll::Scroll,
    slot::Slot,
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
    pub(crate) popup: Option<Popup>,
    /// Keys of a sequence that is not complete.
    pub(crate) pending: Vec<Key>,
    pub(crate) time_style: TimeStyle,
    pub(crate) notice: Option<Notice>,
    /// Wall clock of the machine that shows, nanoseconds since 1970; for `3m ago`.
    pub(crate) now: i64,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) overview: Slot<DensityKey, Vec<Column>>,
    pub(crate) list: ContainerList,
    pub(crate) stories: Stories,
    pub(crate) tallies: Tallies,
    pub(crate) opened: Option<Opened>,
    pub(crate) bar: FilterBar,
}

/// What lies over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Popup {
    Help(Scroll),
    Palette(LineEdit, Scroll),
    GoTo(LineEdit, Option<Safe>),
    /// The whole of the event at the playhead.
    Event(Scroll),
    /// The filter's parts.
    Parts(Scroll),
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
    Name,
}

impl Sort {
    const ALL: [Self; 6] = [Self::Newest, Self::Oldest, Self::Findings, Self::Events, Self::Lost, Self::Name];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest first",
            Self::Oldest => "oldest first",
            Self::Findings => "worst findings first",
            Self::Events => "most events first",
            Self::Lost => "most lost first",
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
    pub(crate) kept: Slot<KeepKey, Vec<bool>>,
    /// The filter in force, or being typed.
    pub(crate) wanted: String,
    pub(crate) order: Vec<usize>,
    pub(crate) scroll: Scroll,
    /// In the storyline of the selected one.
    pub(crate) story: Scroll,
    pub(crate) summary: Scroll,
}

impl ContainerList {
    fn keeps(&self, at: usize) -> bool {
        let kept = self.kept.value().filter(|_| !self.wanted.trim().is_empty());
        kept.is_none_or(|kept| kept.get(at) == Some(&true))
    }

    /// Makes the order anew; the cursor stays on container `keep`.
    pub(crate) fn arrange(&mut self, catalog: &Catalog, tallies: &Tallies, keep: Option<ContainerUid>) {
        let rows = &catalog.containers;
        let mut order: Vec<usize> = (0..rows.len()).filter(|i| self.keeps(*i)).collect();
        let row = |i: &usize| rows.get(*i);
        match self.sort {
            Sort::Oldest => order.sort_by_key(|i| row(i).map(|r| r.life.begin)),
            Sort::Newest => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.life.begin))),
            Sort::Findings => {
                order.sort_by_key(|i| std::cmp::Reverse(row(i).and_then(|r| tallies.of(r.uid))));
            }
            Sort::Events => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.events))),
            Sort::Lost => order.sort_by_key(|i| row(i).map(|r| std::cmp::Reverse(r.lost))),
            Sort::Name => order.sort_by(|a, b| row(a).map(|r| &r.name).cmp(&row(b).map(|r| &r.name))),
        }
        // The host is where everything else comes from, not a container that anybody looks for first.
        order.sort_by_key(|i| row(i).is_some_and(|r| r.uid == ContainerUid::HOST));
        let at = order.iter().position(|i| row(i).map(|r| r.uid) == keep);
        self.scroll.cursor = at.unwrap_or(self.scroll.cursor).min(order.len().saturating_sub(1));
        self.order = order;
    }
}

/// Storylines read so far, of the containers looked at last.
#[derive(Debug, Default)]
pub(crate) struct Stories {
    pub(crate) asked: Option<StoryKey>,
    kept: Vec<(StoryKey, Story)>,
}

/// Storylines kept.
const STORIES: usize = 32;

impl Stories {
    pub(crate) fn of(&self, uid: ContainerUid) -> Option<&Story> {
        self.kept.iter().rev().find(|(key, _)| key.uid == uid).map(|(_, story)| story)
    }

    /// The question to ask so that the storyline of `key` comes or is completed.
    pub(crate) fn want(&mut self, key: StoryKey) -> Option<StoryKey> {
        let there = self.kept.iter().any(|(k, story)| *k == key && story.reading.is_none());
        if there || self.asked == Some(key) {
            return None;
        }
        self.asked = Some(key);
        Some(key)
    }

    pub(crate) fn fill(&mut self, key: StoryKey, story: Story) {
        if story.reading.is_none() && self.asked == Some(key) {
            self.asked = None;
        }
        self.kept.retain(|(k, _)| k.uid != key.uid);
        self.kept.push((key, story));
        if self.kept.len() > STORIES {
            self.kept.remove(0);
        }
    }
}

/// Numbers of findings, of one container after the other in the background.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    asked: Option<StoryKey>,
    known: BTreeMap<ContainerUid, Tally>,
}

/// Containers with more events are counted only when they are looked at.
const COUNTED: u64 = 2_000_000;

impl Tallies {
    pub(crate) fn of(&self, uid: ContainerUid) -> Option<Tally> {
        self.known.get(&uid).copied()
    }

    /// The next container to ask for, in the order of the list.
    pub(crate) fn want(&mut self, list: &ContainerList, catalog: &Catalog) -> Option<StoryKey> {
        if self.asked.is_some() {
            return None;
        }
        let seen = list.order.iter().skip(list.scroll.top).chain(&list.order);
        let mut rows = seen.filter_map(|index| catalog.containers.get(*index));
        let row = rows.find(|row| row.events <= COUNTED && !self.known.contains_key(&row.uid))?;
        self.asked = Some(StoryKey { uid: row.uid, generation: catalog.generation });
        self.asked
    }

    pub(crate) fn fill(&mut self, key: StoryKey, tally: Tally) {
        if self.asked == Some(key) {
            self.asked = None;
        }
        self.known.insert(key.uid, tally);
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
    /// Set-up events of the runtime are shown too.
    pub(crate) setup: bool,
    /// Filters before this one, and those that undoing left.
    pub(crate) past: Vec<Filter>,
    pub(crate) future: Vec<Filter>,
}

/// The container that is being replayed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) uid: ContainerUid,
    /// First and last moment.
    pub(crate) whole: (BootNanos, BootNanos),
    pub(crate) playhead: Playhead,
    pub(crate) player: Player,
    /// Part of the life that the timeline shows.
    pub(crate) window: (BootNanos, BootNanos),
    pub(crate) page: Slot<PageKey, Page>,
    /// The page whose rows are being named.
    pub(crate) naming: Option<PageKey>,
    pub(crate) density: Slot<DensityKey, Vec<Column>>,
    pub(crate) moment: Slot<MomentKey, Moment>,
    /// What the filter keeps.
    pub(crate) hits: Slot<HitsKey, Hits>,
    pub(crate) seek: Option<SeekKey>,
    pub(crate) seek_asked: bool,
    /// Screen row of the cursor in the event list; `None`: a third from the top, to show what led there.
    pub(crate) line: Option<usize>,
    pub(crate) tree: Scroll,
    /// The tree's cursor stays on the process of the playhead until the user moves it.
    pub(crate) tree_follows: bool,
    /// Closed branches: processes by pid and start.
    pub(crate) closed: Vec<(u32, BootNanos)>,
    pub(crate) detail: Scroll,
    /// The user has not moved in time yet.
    pub(crate) fresh: bool,
}

impl Opened {
    pub(crate) fn new(row: &ContainerRow) -> Self {
        let whole = row.whole();
        Self {
            uid: row.uid,
            whole,
            playhead: Playhead::at_time(whole.0),
            player: Player::default(),
            window: whole,
            page: Slot::default(),
            naming: None,
            density: Slot::default(),
            moment: Slot::default(),
            hits: Slot::default(),
            seek: None,
            seek_asked: false,
            line: None,
            tree: Scroll::default(),
            tree_follows: true,
            closed: Vec::new(),
            detail: Scroll::default(),
            fresh: true,
        }
    }

    /// Moves the playhead; the timeline follows where it would leave it.
    pub(crate) fn move_to(&mut self, to: Playhead) {
        let time = to.time.clamp(self.whole.0, self.whole.1);
        self.playhead = Playhead { time, event: to.event };
        self.fresh = false;
        self.tree_follows = true;
        self.detail.top = 0;
        let (begin, end) = self.window;
        if time < begin || time > end {
            let length = end.0 - begin.0;
            let from = time.0.saturating_sub(length / 4).max(self.whole.0.0);
            let from = from.min(self.whole.1.0.saturating_sub(length)).max(self.whole.0.0);
            self.window = (BootNanos(from), BootNanos(from.saturating_add(length)));
        }
    }

    /// Moves the playhead to a place far from here: what led there is shown above it.
    pub(crate) fn arrive(&mut self, at: Playhead) {
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

    /// The rows of the tree that are seen, closed branches left out.
    pub(crate) fn tree_rows(&self) -> Vec<&ProcessRow> {
        let Some(moment) = self.moment.value() else { return Vec::new() };
        let mut rows = Vec::new();
        let mut hidden_below: Option<usize> = None;
        for row in &moment.tree {
            if hidden_below.is_some_and(|depth| row.depth > depth) {
                continue;
            }
            hidden_below = self.closed.contains(&(row.pid, row.start)).then_some(row.depth);
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
            popup: None,
            pending: Vec::new(),
            time_style: TimeStyle::Start,
            notice: None,
            now: 0,
            catalog,
            overview: Slot::default(),
            list,
            stories: Stories::default(),
            tallies: Tallies::default(),
            opened: None,
            bar: FilterBar::default(),
        }
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
        let wish = Wish { screen: self.screen, focus: self.focus(), maximised: self.maximised };
        layout::plan(self.size.0, self.size.1, wish)
    }

    /// Rows of text in a pane, its title not counted.
    pub(crate) fn rows_in(&self, pane: Pane) -> usize {
        let heading = usize::from(matches!(pane, Pane::Containers | Pane::Events));
        let height = self.plan().rect(pane).map_or(0, |rect| usize::from(rect.height));
        height.saturating_sub(1 + heading)
    }

    /// The container that the list's cursor is on.
    pub(crate) fn selected(&self) -> Option<&ContainerRow> {
        let index = self.list.order.get(self.list.scroll.cursor)?;
        self.catalog.containers.get(*index)
    }

    /// The container that the screen is about.
    pub(crate) fn subject(&self) -> Option<&ContainerRow> {
        match (&self.opened, self.screen) {
            (Some(opened), Screen::Replay) => self.catalog.container(opened.uid),
            _ => self.selected(),
        }
    }

    /// The storyline of the container that the screen is about.
    pub(crate) fn story(&self) -> Option<&Story> {
        self.stories.of(self.subject()?.uid)
    }

    /// The line of the storyline that the cursor is on.
    pub(crate) fn story_row(&self) -> Option<&StoryRow> {
        self.story()?.rows.get(self.list.story.cursor)
    }

    pub(crate) fn say(&mut self, text: Safe) {
        self.notice = Some(Notice { text, bad: false });
    }

    pub(crate) fn complain(&mut self, text: Safe) {
        self.notice = Some(Notice { text, bad: true });
    }
}
