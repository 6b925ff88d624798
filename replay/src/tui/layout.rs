//! Where each pane lies: a pure function of the size, the screen and the user's wishes.
//!
//! What does not fit is left out by a fixed order, never squeezed below its least size.

use ratatui::layout::Rect;

use crate::tui::screen::Screen;

/// A part of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pane {
    /// Program, recording, container, moment.
    Header,
    /// The screens.
    Tabs,
    Filter,
    /// Messages and hints.
    Footer,
    /// What the clock does.
    Transport,
    Overview,
    Containers,
    Storyline,
    Summary,
    Tree,
    Events,
    Detail,
    Timeline,
    Lanes,
    Processes,
    Card,
    Acts,
    Files,
    Provenance,
    Content,
    Conversations,
    Conversation,
    Lookups,
    Stream,
    FindingList,
    Explain,
    Notes,
    Recording,
    Gaps,
    Damage,
    Triggers,
}

impl Pane {
    /// Its title.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Tabs => "tabs",
            Self::Filter => "filter",
            Self::Footer => "footer",
            Self::Transport => "transport",
            Self::Overview => "overview",
            Self::Containers => "containers",
            Self::Storyline => "storyline",
            Self::Summary => "summary",
            Self::Tree => "tree",
            Self::Events => "events",
            Self::Detail => "detail",
            Self::Timeline => "timeline",
            Self::Lanes => "lanes",
            Self::Processes => "processes",
            Self::Card => "process",
            Self::Acts => "its findings",
            Self::Files => "files",
            Self::Provenance => "provenance",
            Self::Content => "content",
            Self::Conversations => "conversations",
            Self::Conversation => "conversation",
            Self::Lookups => "names and sockets",
            Self::Stream => "stream",
            Self::FindingList => "findings",
            Self::Explain => "explain",
            Self::Notes => "bookmarks and notes",
            Self::Recording => "recording",
            Self::Gaps => "lost",
            Self::Damage => "damage",
            Self::Triggers => "triggers",
        }
    }

    /// The least width and height it is drawn in.
    #[cfg(test)]
    const fn least(self) -> (u16, u16) {
        match self {
            Self::Header | Self::Tabs | Self::Filter | Self::Footer | Self::Transport => (40, 1),
            Self::Overview => (40, 2),
            Self::Containers => (40, 4),
            Self::Events => (40, 5),
            Self::Tree => (24, 5),
            Self::Detail => (28, 5),
            Self::Storyline | Self::Summary => (28, 4),
            Self::Timeline => (40, 3),
            Self::Lanes | Self::Stream => (40, 5),
            Self::Processes | Self::Files | Self::Conversations | Self::FindingList | Self::Recording => {
                (40, 4)
            }
            Self::Card
            | Self::Acts
            | Self::Provenance
            | Self::Content
            | Self::Conversation
            | Self::Lookups
            | Self::Explain
            | Self::Notes
            | Self::Gaps
            | Self::Damage => (28, 4),
            Self::Triggers => (40, 4),
        }
    }
}

/// The panes of a screen that take the keys, in the order of Tab.
pub(crate) const fn focusable(screen: Screen) -> &'static [Pane] {
    match screen {
        Screen::Containers => &[Pane::Containers, Pane::Storyline, Pane::Summary],
        Screen::Replay => &[Pane::Events, Pane::Tree, Pane::Detail, Pane::Notes],
        Screen::Timeline => &[Pane::Lanes],
        Screen::Tree => &[Pane::Processes, Pane::Card, Pane::Acts],
        Screen::Files => &[Pane::Files, Pane::Provenance, Pane::Content],
        Screen::Net => &[Pane::Conversations, Pane::Conversation, Pane::Lookups],
        Screen::Follow => &[Pane::Stream],
        Screen::Findings => &[Pane::FindingList, Pane::Explain, Pane::Notes],
        Screen::Health => &[Pane::Recording, Pane::Gaps, Pane::Damage, Pane::Triggers],
    }
}

/// What the user wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) screen: Screen,
    pub(crate) focus: Pane,
    /// The focused pane alone.
    pub(crate) maximised: bool,
    /// Columns that the line between panes side by side was moved to the right.
    pub(crate) shift: i16,
    /// Rows of the screen's list: a short one leaves its room to the panes about its row.
    pub(crate) rows: usize,
}

/// The least size that anything is drawn in.
pub(crate) const LEAST: (u16, u16) = (40, 10);

/// Panes and their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    panes: Vec<(Pane, Rect)>,
}

impl Plan {
    pub(crate) fn rect(&self, pane: Pane) -> Option<Rect> {
        self.panes.iter().find(|(p, _)| *p == pane).map(|(_, rect)| *rect)
    }

    pub(crate) fn panes(&self) -> &[(Pane, Rect)] {
        &self.panes
    }

    fn put(&mut self, pane: Pane, rect: Rect) {
        self.panes.push((pane, rect));
    }
}

/// What is left of the area while panes are cut off.
struct Rest(Rect);

impl Rest {
    fn top(&mut self, height: u16) -> Rect {
        let height = height.min(self.0.height);
        let cut = Rect { height, ..self.0 };
        self.0 = Rect { y: self.0.y + height, height: self.0.height - height, ..self.0 };
        cut
    }

    fn bottom(&mut self, height: u16) -> Rect {
        let height = height.min(self.0.height);
        self.0.height -= height;
        Rect { y: self.0.bottom(), height, ..self.0 }
    }

    /// Cuts off the left part; one column between it and the rest stays free for a line.
    fn left(&mut self, width: u16) -> Rect {
        let width = width.min(self.0.width);
        let cut = Rect { width, ..self.0 };
        let skip = (width + 1).min(self.0.width);
        self.0 = Rect { x: self.0.x + skip, width: self.0.width - skip, ..self.0 };
        cut
    }
}

/// The plan for a terminal of this size; empty where it is too small.
pub(crate) fn plan(width: u16, height: u16, wish: Wish) -> Plan {
    let mut plan = Plan::default();
    if width < LEAST.0 || height < LEAST.1 {
        return plan;
    }
    let mut rest = Rest(Rect { x: 0, y: 0, width, height });
    plan.put(Pane::Header, rest.top(1));
    if width >= 100 && height >= 28 {
        plan.put(Pane::Tabs, rest.top(1));
    }
    plan.put(Pane::Filter, rest.top(1));
    plan.put(Pane::Footer, rest.bottom(1));
    match wish.screen {
        Screen::Containers => containers(&mut plan, rest, wish),
        Screen::Replay => replay(&mut plan, rest, wish),
        Screen::Timeline | Screen::Follow => whole(&mut plan, rest, wish),
        Screen::Health => health(&mut plan, rest, wish),
        _ => sheet(&mut plan, rest, wish),
    }
    plan
}

fn containers(plan: &mut Plan, mut rest: Rest, wish: Wish) {
    let Rect { width, height, .. } = rest.0;
    if wish.maximised {
        plan.put(wish.focus, rest.0);
        return;
    }
    if height >= 20 && width >= 60 {
        plan.put(Pane::Overview, rest.top(if height >= 30 { 4 } else { 3 }));
    }
    let wide = width >= 100;
    let below = match height {
        32.. => (height / 2).min(22),
        20.. => height / 2 - 2,
        // As at 60x20 under the tour.
        13.. => 6,
        _ => 0,
    };
    let below = roomy(rest.0.height, below, wish.rows);
    if below == 0 || width < 60 {
        let alone = if wish.focus == Pane::Containers { Pane::Containers } else { wish.focus };
        plan.put(alone, rest.0);
        return;
    }
    let mut lower = Rest(rest.bottom(below));
    plan.put(Pane::Containers, rest.0);
    if wide {
        plan.put(
            Pane::Storyline,
            lower.left(split(lower.0.width, lower.0.width * 11 / 20, wish.shift, (28, 28))),
        );
        plan.put(Pane::Summary, lower.0);
    } else {
        plan.put(if wish.focus == Pane::Summary { Pane::Summary } else { Pane::Storyline }, lower.0);
    }
}

/// Rows below a list of so many rows: the usual number, more where the list is short.
fn roomy(height: u16, usual: u16, rows: usize) -> u16 {
    // Title, heading and a free row; never so few that the list is no list.
    let list = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3).max(5);
    if usual == 0 { 0 } else { usual.max(height.saturating_sub(list)) }
}

/// Columns of the left one of two panes, moved by `shift`; both keep their least.
fn split(width: u16, left: u16, shift: i16, (least, least_right): (u16, u16)) -> u16 {
    let most = width.saturating_sub(least_right + 1).max(least);
    left.saturating_add_signed(shift).clamp(least, most)
}

/// One pane and the transport under it.
fn whole(plan: &mut Plan, mut rest: Rest, wish: Wish) {
    if rest.0.height >= 16 {
        plan.put(Pane::Transport, rest.bottom(1));
    }
    plan.put(wish.focus, rest.0);
}

/// A list, and two panes about its selected row.
fn sheet(plan: &mut Plan, mut rest: Rest, wish: Wish) {
    let [list, left, right] = *focusable(wish.screen) else { return };
    let Rect { width, height, .. } = rest.0;
    if wish.maximised || height < 14 {
        plan.put(wish.focus, rest.0);
        return;
    }
    let mut lower = Rest(rest.bottom(roomy(height, (height / 2).min(28), wish.rows)));
    plan.put(list, rest.0);
    if width >= 100 {
        plan.put(left, lower.left(split(lower.0.width, lower.0.width / 2, wish.shift, (28, 28))));
        plan.put(right, lower.0);
    } else {
        plan.put(if wish.focus == right { right } else { left }, lower.0);
    }
}

/// What the recording is and what it lacks, and under it what came to the recorder.
fn health(plan: &mut Plan, mut rest: Rest, wish: Wish) {
    let Rect { width, height, .. } = rest.0;
    if wish.maximised || height < 14 {
        plan.put(wish.focus, rest.0);
        return;
    }
    let below = rest.bottom(height / 2);
    // Two panes above one another need four rows each.
    if width < 100 || rest.0.height < 8 {
        plan.put(Pane::Recording, rest.0);
        plan.put(if wish.focus == Pane::Recording { Pane::Triggers } else { wish.focus }, below);
        return;
    }
    plan.put(Pane::Recording, rest.left(split(width, width / 2, wish.shift, (40, 28))));
    plan.put(Pane::Gaps, rest.top(rest.0.height.div_ceil(2)));
    plan.put(Pane::Damage, rest.0);
    plan.put(Pane::Triggers, below);
}

fn replay(plan: &mut Plan, mut rest: Rest, wish: Wish) {
    let Rect { width, height, .. } = rest.0;
    if height >= 16 {
        plan.put(Pane::Transport, rest.bottom(1));
    }
    if let Some(rows) = timeline_rows(width, height) {
        plan.put(Pane::Timeline, rest.bottom(rows));
    }
    if wish.maximised || width < 100 || rest.0.height < 12 {
        plan.put(wish.focus, rest.0);
        return;
    }
    if width < 160 {
        // Tree over detail, so that the events keep the width that their texts need.
        let mut left = Rest(rest.left(split(width, (width * 9 / 25).clamp(34, 48), wish.shift, (28, 40))));
        plan.put(Pane::Tree, left.top(left.0.height / 2));
        plan.put(if wish.focus == Pane::Notes { Pane::Notes } else { Pane::Detail }, left.0);
        plan.put(Pane::Events, rest.0);
        return;
    }
    let detail = (width * 3 / 10).clamp(44, 64);
    plan.put(Pane::Tree, rest.left(split(width, (width / 4).clamp(40, 56), wish.shift, (28, detail + 41))));
    plan.put(Pane::Events, rest.left(rest.0.width - detail - 1));
    // Beside the detail the notes would leave the events too narrow.
    if height >= 44 {
        plan.put(Pane::Notes, rest.bottom(rest.0.height / 3));
        plan.put(Pane::Detail, rest.0);
    } else {
        plan.put(if wish.focus == Pane::Notes { Pane::Notes } else { Pane::Detail }, rest.0);
    }
}

/// Rows of the timeline: title, lanes, the row of what was lost, the axis.
fn timeline_rows(width: u16, height: u16) -> Option<u16> {
    match height {
        _ if width < 60 => None,
        44.. => Some(11),
        32.. => Some(9),
        26.. => Some(6),
        18.. => Some(4),
        _ => None,
    }
}

/// Whether two panes are side by side with a free column between them, and where.
pub(crate) fn sides(plan: &Plan) -> Vec<(u16, u16, u16)> {
    let mut lines = Vec::new();
    for (_, left) in plan.panes() {
        let x = left.right();
        let neighbour =
            plan.panes().iter().any(|(_, r)| r.x == x + 1 && r.y < left.bottom() && left.y < r.bottom());
        if neighbour && left.height > 1 {
            lines.push((x, left.y, left.bottom()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wishes() -> Vec<Wish> {
        let mut all = Vec::new();
        for screen in Screen::ALL {
            for focus in focusable(*screen) {
                for maximised in [false, true] {
                    for (shift, rows) in [(0, usize::MAX), (-300, 3), (300, 9), (5, 0)] {
                        all.push(Wish { screen: *screen, focus: *focus, maximised, shift, rows });
                    }
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn panes_never_overlap_leave_the_screen_or_fall_below_their_least(
            width in 1_u16..=300, height in 1_u16..=100,
        ) {
            for wish in wishes() {
                let plan = plan(width, height, wish);
                let small = width < LEAST.0 || height < LEAST.1;
                prop_assert_eq!(plan.panes().is_empty(), small);
                for (i, (pane, rect)) in plan.panes().iter().enumerate() {
                    let (least_width, least_height) = pane.least();
                    prop_assert!(rect.right() <= width && rect.bottom() <= height, "{:?} {:?}", pane, rect);
                    prop_assert!(rect.width >= least_width && rect.height >= least_height,
                        "{:?} {:?} at {}x{}", pane, rect, width, height);
                    for (other, second) in plan.panes().iter().skip(i + 1) {
                        prop_assert!(!rect.intersects(*second), "{:?} and {:?} at {}x{}", pane, other, width, height);
                    }
                }
            }
        }
    }

    #[test]
    fn the_focused_pane_is_always_there() {
        for (width, height) in [(40, 10), (60, 20), (80, 24), (100, 30), (120, 40), (200, 60)] {
            for wish in wishes() {
                let plan = plan(width, height, wish);
                assert!(plan.rect(wish.focus).is_some(), "{wish:?} at {width}x{height}");
            }
        }
    }

    #[test]
    fn a_short_list_leaves_its_room_and_the_line_moves_within_bounds() {
        let wish = |rows, shift| Wish {
            screen: Screen::Net,
            focus: Pane::Conversations,
            maximised: false,
            shift,
            rows,
        };
        let of = |pane, wish| plan(120, 40, wish).rect(pane).expect("a pane");
        let long = of(Pane::Conversation, wish(1_000, 0));
        let short = of(Pane::Conversation, wish(3, 0));
        assert!(short.height > long.height + 8, "{short:?} {long:?}");
        assert_eq!(of(Pane::Conversations, wish(3, 0)).height, 6, "title, heading, rows and one more");
        assert_eq!(of(Pane::Conversation, wish(3, 8)).width, short.width + 8);
        assert_eq!(of(Pane::Conversation, wish(3, -300)).width, 28);
        assert_eq!(of(Pane::Lookups, wish(3, 300)).width, 28);
    }

    #[test]
    fn at_120_by_40_everything_is_seen_at_once() {
        let wish = Wish {
            screen: Screen::Replay,
            focus: Pane::Events,
            maximised: false,
            shift: 0,
            rows: usize::MAX,
        };
        let notes = plan(160, 50, wish).rect(Pane::Notes);
        assert!(notes.is_some_and(|rect| rect.width >= 44));
        let plan = plan(120, 40, wish);
        for pane in [Pane::Tree, Pane::Events, Pane::Detail, Pane::Timeline, Pane::Transport] {
            assert!(plan.rect(pane).is_some(), "{pane:?}");
        }
        assert!(!sides(&plan).is_empty());
    }
}
