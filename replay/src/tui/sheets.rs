//! Screens that are a list with panes about its selected row: which rows, in which order.

use std::{collections::HashSet, sync::Arc};

use afterimage_format::BootNanos;
use afterimage_model::{files::FileRecord, findings::Severity, net::Conversation, process::ProcessKey};

use crate::tui::{
    app::{App, Opened},
    feed::{MomentKey, ProcessRow, Story, StoryKey},
    hits::{Hits, Touched},
    layout::Pane,
    screen::Screen,
    scroll::Scroll,
    sorting::Sorting,
    whole::{Whole, end_of},
};

/// What the order of a list depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Basis {
    screen: Screen,
    /// How many events the rows were read from.
    events: u64,
    /// The moment up to which, where not all.
    then: Option<MomentKey>,
    rows: usize,
    complete: bool,
    /// The filter, how many of its hits are known, and whether these are all.
    filter: Option<(String, usize, bool)>,
    other: bool,
    sorting: Sorting,
    /// Rows that begin later are left out.
    until: Option<BootNanos>,
}

/// A list: its rows by place, the cursor, and what is seen of the panes about the selected row.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    basis: Option<Basis>,
    pub(crate) order: Vec<usize>,
    pub(crate) list: Scroll,
    pub(crate) left: Scroll,
    pub(crate) right: Scroll,
    /// The user has moved in it since it was entered.
    pub(crate) moved: bool,
    /// The other choice of rows: hot paths only in the tree, everything elsewhere.
    pub(crate) other: bool,
    pub(crate) sorting: Sorting,
    /// The row that the cursor was led to last.
    led: Option<usize>,
    /// The selected row, whatever place it has when more was read.
    held: Option<RowName>,
}

impl Sheet {
    /// The screen is entered: the list is made anew.
    pub(crate) fn enter(&mut self) {
        self.basis = None;
        self.moved = false;
    }

    /// The cursor goes to the row that is to be looked at, or to the last one before it, unless the user has moved.
    fn lead(&mut self, to: Option<usize>) {
        if self.moved || to.is_none() || to == self.led {
            return;
        }
        let exact = self.order.iter().position(|row| Some(*row) == to);
        let before = || self.order.iter().rposition(|row| Some(*row) <= to);
        self.list.cursor = exact.or_else(before).unwrap_or(0);
        self.led = to;
    }

    /// What is seen of a pane about the selected row.
    pub(crate) fn of(&self, pane: Pane) -> Scroll {
        if pane == Pane::Notes { self.right } else { self.left }
    }

    /// The selected row's place in what the list is made of.
    pub(crate) fn selected(&self) -> Option<usize> {
        self.order.get(self.list.cursor).copied()
    }
}

/// Makes the list of the screen anew where what it depends on has changed; the cursor stays on its row.
pub(crate) fn arrange(app: &mut App) {
    let screen = app.screen;
    take_what_was_by_then(app);
    let Some(opened) = &app.opened else { return };
    let Some((key, _)) = app.stories.entry(opened.uid) else { return };
    let Some(story) = app.listed() else { return };
    let filter = app.bar.filter.text();
    let sheet = opened.sheets.get(&screen);
    let is_led = sheet.is_none_or(|sheet| !sheet.moved);
    let near = is_led.then(|| near(app, opened, story)).flatten();
    let basis = Basis {
        screen,
        events: key.events,
        then: opened.by_then.as_ref().and_then(|by_then| by_then.whole),
        rows: story.rows.len(),
        complete: story.whole.is_some(),
        filter: (!filter.is_empty()).then(|| {
            let hits = app.hits();
            (filter, hits.map_or(0, Hits::len), hits.is_some_and(|hits| hits.reading.is_none()))
        }),
        other: sheet.is_some_and(|sheet| sheet.other),
        sorting: sheet.map(|sheet| sheet.sorting).unwrap_or_default(),
        until: app.follow.then_some(opened.playhead.time),
    };
    if sheet.and_then(|sheet| sheet.basis.as_ref()) == Some(&basis) {
        let held = sheet.and_then(Sheet::selected).and_then(|row| RowName::of(screen, story, row));
        let sheet = app.opened.as_mut().and_then(|opened| opened.sheets.get_mut(&screen));
        if let Some(sheet) = sheet {
            sheet.held = held;
            // Where the lists follow the clock, it leads them itself.
            if basis.until.is_none() {
                sheet.lead(near);
            }
        }
        return;
    }
    let hits = app.hits().cloned();
    let touched = hits.as_ref().map(|hits| Arc::clone(&hits.touched));
    let wanted = Wanted { other: basis.other, touched: touched.as_deref(), hits: hits.as_ref() };
    let mut order = order(screen, story, &wanted);
    basis.sorting.apply(screen, story, &mut order);
    let newest = basis.until.and_then(|until| begun(screen, story, until, &mut order));
    // What a row was before more was read, it is in another place.
    let is_read = |old: &Basis| (old.events, old.then) != (basis.events, basis.then);
    let old = sheet.filter(|sheet| sheet.basis.as_ref().is_some_and(is_read));
    let held = old.and_then(|sheet| sheet.held.as_ref());
    let held = held.and_then(|held| {
        order.iter().position(|row| RowName::of(screen, story, *row).as_ref() == Some(held))
    });
    let sheet = app.opened.as_mut().map(|opened| opened.sheets.entry(screen).or_default());
    let Some(sheet) = sheet else { return };
    let selected = sheet.selected();
    sheet.order = order;
    let at = held.or_else(|| sheet.order.iter().position(|row| Some(*row) == selected));
    sheet.list.cursor = at.unwrap_or(sheet.list.cursor).min(sheet.order.len().saturating_sub(1));
    sheet.lead(near);
    // The clock leads the cursor where the lists follow it; between its moves the user does.
    let moved = sheet.basis.as_ref().is_none_or(|old| (old.until, old.then) != (basis.until, basis.then));
    if let Some(newest) = newest.filter(|_| moved) {
        sheet.list.cursor = sheet.order.iter().position(|row| *row == newest).unwrap_or(0);
    }
    sheet.basis = Some(basis);
}

/// What there was by the playhead, and what that was made of.
#[derive(Debug)]
pub(crate) struct ByThen {
    key: StoryKey,
    rows: usize,
    until: BootNanos,
    whole: Option<MomentKey>,
    story: Story,
}

impl ByThen {
    pub(crate) fn story(&self) -> &Story {
        &self.story
    }
}

/// Where the lists follow the clock, takes what there was by the playhead as far as it is known.
fn take_what_was_by_then(app: &mut App) {
    let follow = app.follow;
    let Some(opened) = app.opened.as_mut() else { return };
    let entry = app.stories.entry(opened.uid).filter(|_| follow);
    let Some((key, story)) = entry else {
        opened.by_then = None;
        return;
    };
    let until = opened.playhead.time;
    // What was read up to a later moment has what was not there yet.
    let whole = opened.until.entry().filter(|(at, _)| at.at.time() <= until);
    let (from, rows) = (whole.map(|(at, _)| *at), story.rows.len());
    let is_it =
        |known: &ByThen| (known.key, known.rows, known.until, known.whole) == (*key, rows, until, from);
    if opened.by_then.as_ref().is_some_and(is_it) {
        return;
    }
    let then = Story {
        rows: story.rows.iter().filter(|row| row.time <= until).cloned().collect(),
        left_out: story.left_out,
        summary: Vec::new(),
        setup: story.setup,
        reading: story.reading,
        whole: whole.map(|(_, whole)| Arc::clone(whole)),
    };
    opened.by_then = Some(ByThen { key: *key, rows, until, whole: from, story: then });
}

/// The row that is to be looked at until the user moves. The selection is one: the playhead's process and finding; of the
/// conversations the first that stands out.
fn near(app: &App, opened: &Opened, story: &Story) -> Option<usize> {
    let time = opened.playhead.time;
    match app.screen {
        Screen::Findings => story.rows.partition_point(|row| row.time <= time).checked_sub(1),
        Screen::Tree | Screen::Timeline => {
            let (page, at) = opened.at()?;
            let pid = page.rows.get(at)?.pid;
            let tree = &story.whole.as_deref()?.tree;
            tree.iter().rposition(|row| row.pid == pid && row.began() <= time)
        }
        Screen::Net => {
            let times: HashSet<BootNanos> = warned(story).collect();
            story.whole.as_deref()?.conversations().iter().position(|talk| times.contains(&talk.first))
        }
        _ => None,
    }
}

/// Whether its beginning is a finding to be warned of: an unusual port, an address of the cloud.
pub(crate) fn stands_out(story: &Story, talk: &Conversation) -> bool {
    warned(story).any(|time| time == talk.first)
}

/// When there was something to be warned of.
fn warned(story: &Story) -> impl Iterator<Item = BootNanos> {
    story.rows.iter().filter(|row| row.severity >= Severity::Warning).map(|row| row.time)
}

/// Leaves out what begins after `until`; which of the others began last.
fn begun(screen: Screen, story: &Story, until: BootNanos, order: &mut Vec<usize>) -> Option<usize> {
    let whole = story.whole.as_deref();
    let begin = |at: usize| match screen {
        Screen::Tree => whole?.tree.get(at).map(|row| row.began()),
        Screen::Timeline => LaneRow::of(whole?, at).span(until).map(|(begin, _)| begin),
        Screen::Files => whole?.file(at).map(|file| file.first),
        Screen::Net => whole?.conversations().get(at).map(|talk| talk.first),
        _ => story.rows.get(at).map(|row| row.time),
    };
    order.retain(|at| begin(*at).is_none_or(|begin| begin <= until));
    order.iter().copied().max_by_key(|at| begin(*at))
}

/// Which rows are wanted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    other: bool,
    /// What the filter's events were about.
    touched: Option<&'a Touched>,
    hits: Option<&'a Hits>,
}

/// A lane of the Timeline screen.
pub(crate) enum LaneRow<'a> {
    Process(&'a ProcessRow),
    File(&'a FileRecord),
    Peer(&'a Conversation),
    None,
}

/// Which lane, whatever else there is: what it stays by when a recording grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LaneName {
    Process(ProcessKey),
    /// A path can have been several files': its first act tells which.
    File(Vec<u8>, BootNanos),
    Peer(String),
}

/// Which row of a list, whatever else there is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RowName {
    Lane(LaneName),
    /// A conversation or a finding: when it began, and its words.
    At(BootNanos, String),
}

impl RowName {
    fn of(screen: Screen, story: &Story, row: usize) -> Option<Self> {
        let whole = story.whole.as_deref();
        let lane = match screen {
            Screen::Tree => LaneRow::Process(whole?.tree.get(row)?),
            Screen::Timeline => LaneRow::of(whole?, row),
            Screen::Files => LaneRow::File(whole?.file(row)?),
            Screen::Net => {
                let talk = whole?.conversations().get(row)?;
                let peer = talk.peer.as_ref().map_or_else(String::new, ToString::to_string);
                return Some(Self::At(talk.first, peer));
            }
            Screen::Findings => {
                let row = story.rows.get(row)?;
                return Some(Self::At(row.time, row.text.as_str().to_owned()));
            }
            _ => return None,
        };
        lane.name().map(Self::Lane)
    }
}

impl<'a> LaneRow<'a> {
    pub(crate) fn name(&self) -> Option<LaneName> {
        match self {
            Self::Process(row) => Some(LaneName::Process(row.key())),
            Self::File(file) => Some(LaneName::File(file.path.clone(), file.first)),
            Self::Peer(talk) => talk.peer.as_ref().map(|peer| LaneName::Peer(peer.to_string())),
            Self::None => None,
        }
    }

    /// The lane of this name.
    pub(crate) fn named(whole: &'a Whole, name: &LaneName) -> Self {
        match name {
            LaneName::Process(key) => {
                whole.tree.iter().find(|row| row.key() == *key).map_or(Self::None, Self::Process)
            }
            LaneName::File(path, first) => {
                let mut named = whole.files.named(whole.uid, path);
                named.find(|file| file.first == *first).map_or(Self::None, Self::File)
            }
            LaneName::Peer(peer) => {
                let mut talks = whole.conversations().iter();
                let is = |talk: &&Conversation| talk.peer.as_ref().is_some_and(|p| p.to_string() == *peer);
                talks.find(is).map_or(Self::None, Self::Peer)
            }
        }
    }

    /// Lanes are counted: processes, then files, then peers.
    pub(crate) fn of(whole: &'a Whole, place: usize) -> Self {
        let (processes, files) = (whole.tree.len(), whole.file_count());
        if let Some(row) = whole.tree.get(place) {
            return Self::Process(row);
        }
        if let Some(file) = whole.file(place - processes) {
            return Self::File(file);
        }
        let peer = place.checked_sub(processes + files);
        peer.and_then(|at| whole.conversations().get(at)).map_or(Self::None, Self::Peer)
    }

    /// When it was there.
    pub(crate) fn span(&self, last: BootNanos) -> Option<(BootNanos, BootNanos)> {
        match self {
            Self::Process(row) => Some((row.began(), end_of(row, last))),
            Self::File(file) => Some((file.first, file.last)),
            Self::Peer(talk) => Some((talk.first, talk.last)),
            Self::None => None,
        }
    }
}

/// Most processes of which none stands out that have lanes.
const MOST_QUIET: usize = 40;

/// Lanes: what stands out, or everything.
fn lanes(story: &Story, whole: &Whole, wanted: &Wanted<'_>) -> Vec<usize> {
    let (processes, files) = (whole.tree.len(), whole.file_count());
    let tree = Wanted { other: !wanted.other, ..*wanted };
    let mut order = self::processes(story, whole, &tree);
    // Where no process stands out, all do, as far as they leave room for what is below them.
    if order.is_empty() && wanted.touched.is_none() && processes <= MOST_QUIET {
        order.extend(0..processes);
    }
    order.extend(self::files(whole, wanted).into_iter().map(|at| processes + at));
    order.extend(conversations(whole, wanted).into_iter().map(|at| processes + files + at));
    order
}

fn order(screen: Screen, story: &Story, wanted: &Wanted<'_>) -> Vec<usize> {
    match (screen, &story.whole) {
        (Screen::Tree, Some(whole)) => processes(story, whole, wanted),
        (Screen::Timeline, Some(whole)) => lanes(story, whole, wanted),
        (Screen::Files, Some(whole)) => files(whole, wanted),
        (Screen::Net, Some(whole)) => conversations(whole, wanted),
        (Screen::Findings, _) => findings(story, wanted),
        _ => Vec::new(),
    }
}

/// Processes by pid that something is to be said of.
pub(crate) fn telling(story: &Story) -> HashSet<u32> {
    story.rows.iter().filter(|row| row.severity >= Severity::Notice).map(|row| row.pid).collect()
}

/// All processes; only the ways to what matters where the hot paths are wanted, or to what the filter keeps.
fn processes(story: &Story, whole: &Whole, wanted: &Wanted<'_>) -> Vec<usize> {
    let hot = telling(story);
    let is_wanted = |pid: u32| match wanted.touched {
        Some(touched) => touched.pids.contains(&pid),
        None => !wanted.other || hot.contains(&pid),
    };
    if wanted.touched.is_none() && !wanted.other {
        return (0..whole.tree.len()).collect();
    }
    // From below: a row is kept where it, or anything under it, is wanted.
    let mut keep = Vec::new();
    let mut needed_depth: Option<usize> = None;
    for (at, row) in whole.tree.iter().enumerate().rev() {
        let leads = needed_depth.is_some_and(|depth| row.depth < depth);
        if is_wanted(row.pid) || leads {
            keep.push(at);
            needed_depth = Some(row.depth);
        }
        if row.depth == 0 {
            needed_depth = None;
        }
    }
    keep.reverse();
    keep
}

/// Files that were changed or executed, the dropped ones first; all where they are wanted.
fn files(whole: &Whole, wanted: &Wanted<'_>) -> Vec<usize> {
    use afterimage_model::files::ActKind;
    let mut rows: Vec<(u8, BootNanos, usize)> = Vec::new();
    for at in 0..whole.file_count() {
        let Some(file) = whole.file(at) else { continue };
        let told = [ActKind::Executed, ActKind::Refused, ActKind::NotExecuted];
        let matters = file.was_changed() || told.into_iter().any(|kind| file.was(kind));
        let kept = match wanted.touched {
            Some(touched) => touched.paths.contains(&file.path),
            None => wanted.other || matters,
        };
        if kept {
            let rank = match () {
                () if file.was_dropped_and_executed() => 0,
                () if file.was_changed() => 1,
                () => 2,
            };
            rows.push((rank, file.first, at));
        }
    }
    rows.sort_unstable();
    rows.into_iter().map(|(.., at)| at).collect()
}

/// Conversations with the network; those inside the host only where all are wanted.
fn conversations(whole: &Whole, wanted: &Wanted<'_>) -> Vec<usize> {
    let all = whole.conversations().iter().enumerate();
    let kept = all.filter(|(_, talk)| match wanted.touched {
        Some(touched) => talk.peer.as_ref().is_some_and(|peer| touched.peers.contains(&peer.to_string())),
        None => wanted.other || talk.peer.as_ref().is_none_or(|peer| peer.ip().is_some()),
    });
    kept.map(|(at, _)| at).collect()
}

/// Findings worth a look; all lines of the storyline where they are wanted.
fn findings(story: &Story, wanted: &Wanted<'_>) -> Vec<usize> {
    let all = story.rows.iter().enumerate();
    let kept = all.filter(|(_, row)| match (wanted.hits, row.id) {
        // What was read at another time of a recording that grows can have another id, never another time.
        (Some(hits), Some(id)) => {
            let at = hits.partition(|hit| hit.time < id.time);
            hits.get(at).is_some_and(|hit| hit.id.time == id.time)
        }
        // An alert is no event, so that no filter of events keeps it.
        (Some(_), None) => false,
        (None, _) => wanted.other || row.severity >= Severity::Notice,
    });
    kept.map(|(at, _)| at).collect()
}
