//! Draws the state. Each pane has a file; nothing here changes anything.

pub(crate) mod bars;
mod containers;
pub(crate) mod detail;
pub(crate) mod events;
pub(crate) mod files;
mod findings;
mod health;
pub(crate) mod help;
pub(crate) mod lanes;
mod net;
pub(crate) mod popups;
mod processes;
mod storyline;
mod stream;
mod timeline;
mod tree;

use ratatui::{Frame, buffer::Buffer, layout::Rect};

use crate::tui::{
    action::Action,
    app::App,
    keys::Binding,
    layout::{self, LEAST, Pane},
    paint::{Painter, Row},
    text::safe,
    theme::Role,
};

/// Draws everything, and puts the terminal's cursor where text is typed.
pub(crate) fn view(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let cursor = draw(app, area, frame.buffer_mut());
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// The word that stands at a place of the screen, as it is drawn.
pub(crate) fn word_at(app: &App, (x, y): (u16, u16)) -> String {
    let area = Rect { x: 0, y: 0, width: app.size.0, height: app.size.1 };
    let mut buffer = Buffer::empty(area);
    draw(app, area, &mut buffer);
    let is_word = |x: u16| buffer.cell((x, y)).is_some_and(|cell| cell.symbol() != " ");
    if !is_word(x) {
        return String::new();
    }
    let first = (0..x).rev().take_while(|x| is_word(*x)).last().unwrap_or(x);
    let cells = (first..area.width).take_while(|x| is_word(*x));
    cells.filter_map(|x| buffer.cell((x, y))).map(|cell| cell.symbol()).collect()
}

/// Draws into a buffer; where the cursor is, if text is being typed.
fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    let mut painter = Painter::new(buffer, app.look);
    let plan = app.plan();
    if plan.panes().is_empty() {
        too_small(&mut painter, area);
        return None;
    }
    let mut cursor = None;
    for (pane, rect) in plan.panes() {
        match pane {
            Pane::Header => bars::header(app, &mut painter, *rect),
            Pane::Tabs => bars::tabs(app, &mut painter, *rect),
            Pane::Filter => cursor = bars::filter(app, &mut painter, *rect),
            // A message in it may take rows of what is above it: it comes last.
            Pane::Footer => {}
            Pane::Transport => bars::transport(app, &mut painter, *rect),
            Pane::Overview => timeline::overview(app, &mut painter, *rect),
            Pane::Timeline => timeline::timeline(app, &mut painter, *rect),
            Pane::Containers => containers::draw(app, &mut painter, *rect),
            Pane::Storyline => storyline::draw(app, &mut painter, *rect),
            Pane::Summary => storyline::summary(app, &mut painter, *rect),
            Pane::Tree => tree::draw(app, &mut painter, *rect),
            Pane::Events => events::draw(app, &mut painter, *rect),
            Pane::Detail => detail::draw(app, &mut painter, *rect),
            Pane::Processes => processes::draw(app, &mut painter, *rect),
            Pane::Card => processes::card(app, &mut painter, *rect),
            Pane::Acts => processes::acts(app, &mut painter, *rect),
            Pane::Files => files::draw(app, &mut painter, *rect),
            Pane::Provenance => files::provenance(app, &mut painter, *rect),
            Pane::Content => files::content(app, &mut painter, *rect),
            Pane::Conversations => net::draw(app, &mut painter, *rect),
            Pane::Conversation => net::conversation(app, &mut painter, *rect),
            Pane::Lookups => net::lookups(app, &mut painter, *rect),
            Pane::FindingList => findings::draw(app, &mut painter, *rect),
            Pane::Explain => findings::explain(app, &mut painter, *rect),
            Pane::Notes => findings::notes(app, &mut painter, *rect),
            Pane::Recording => health::recording(app, &mut painter, *rect),
            Pane::Gaps => health::gaps(app, &mut painter, *rect),
            Pane::Damage => health::damage(app, &mut painter, *rect),
            Pane::Triggers => health::triggers(app, &mut painter, *rect),
            Pane::Lanes => lanes::draw(app, &mut painter, *rect),
            Pane::Stream => stream::draw(app, &mut painter, *rect),
        }
    }
    for (x, top, bottom) in layout::sides(&plan) {
        painter.side(x, top + 1, bottom);
        painter.cross(x, top);
    }
    painter.join(area);
    for (x, top, bottom) in layout::sides(&plan) {
        let begins = plan.panes().iter().map(|(_, rect)| *rect).filter(|rect| rect.x == x + 1);
        begins.filter(|rect| rect.y > top && rect.y < bottom).for_each(|rect| painter.branch(x, rect.y));
    }
    if let Some(bar) = plan.rect(Pane::Filter) {
        popups::candidates(app, &mut painter, bar, area);
    }
    // What is wrong with what is typed may take rows that the candidates have.
    if let Some(rect) = plan.rect(Pane::Footer) {
        bars::footer(app, &mut painter, rect);
    }
    let rows = app.tour_rows();
    if rows > 0 {
        tour(app, &mut painter, Rect { y: area.bottom().saturating_sub(rows), height: rows, ..area });
    }
    if app.popup.is_some() {
        cursor = popups::draw(app, &mut painter, area);
    }
    cursor
}

/// What the tour says.
fn tour(app: &App, painter: &mut Painter<'_>, area: Rect) {
    let Some(tour) = app.tour else { return };
    let (text, number, of) = tour.now();
    let key = app.keymap.any_way(Action::TourNext).map(Binding::shown).unwrap_or_default();
    let title = Row::new().add(&safe!("tour {number} of {of}"), Role::TitleFocus);
    painter.rule(Rect { height: 1, ..area }, &title, &safe!("{key} goes on"), true);
    let inner =
        Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    painter.wrapped(inner, &safe!("{text}"), Role::Strong);
}

fn too_small(painter: &mut Painter<'_>, area: Rect) {
    let text =
        safe!("needs {}x{}, is {}x{}; `afterimage show` prints", LEAST.0, LEAST.1, area.width, area.height);
    painter.wrapped(area, &text, Role::Text);
}

/// The title line of a pane: its name, heavy where it has the keys, and panes that Tab leads to where they are
/// not seen.
fn title(
    app: &App,
    painter: &mut Painter<'_>,
    rect: Rect,
    pane: Pane,
    extra: Row,
    note: &afterimage_model::text::Safe,
) -> Rect {
    let focus = app.focus() == pane;
    let name = Row::new().add(pane.name(), if focus { Role::TitleFocus } else { Role::Title });
    let mut others = Row::new();
    for other in hidden_panes(app, pane) {
        others.push("  ", Role::Rule);
        others.push(other.name(), Role::Dim);
    }
    // What a pane is about stands behind its name, unless it would hide the panes that Tab leads to.
    let is_short = name.width() + extra.width() + others.width() + 4 <= usize::from(rect.width);
    let (second, third) = if is_short { (extra, others) } else { (others, extra) };
    let mut row = name;
    row.append(second);
    row.append(third);
    painter.rule(Rect { height: 1, ..rect }, &row, note, focus);
    Rect { y: rect.y + 1, height: rect.height.saturating_sub(1), ..rect }
}

/// The panes that Tab leads to in the place of this one: it is the last of those that are seen.
fn hidden_panes(app: &App, pane: Pane) -> Vec<Pane> {
    let plan = app.plan();
    let (seen, hidden): (Vec<Pane>, Vec<Pane>) =
        layout::focusable(app.screen).iter().partition(|p| plan.rect(**p).is_some());
    let lowest = seen.iter().max_by_key(|p| plan.rect(**p).map(|rect| (rect.y, rect.x)));
    if lowest == Some(&pane) { hidden } else { Vec::new() }
}
