//! Drawing: the only module that writes into the buffer. Takes safe text only ([`Shown`]).

use afterimage_model::text::Safe;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use crate::tui::{
    symbols::Symbols,
    text::{self, Shown},
    theme::{Depth, Role, Theme},
};

/// How everything is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) theme: Theme,
    pub(crate) depth: Depth,
    pub(crate) symbols: &'static Symbols,
}

/// Pieces of text in one line, each with its role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row(Vec<(Safe, Role)>);

impl Row {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(crate) fn add(mut self, text: impl Shown, role: Role) -> Self {
        self.push(text, role);
        self
    }

    pub(crate) fn push(&mut self, text: impl Shown, role: Role) {
        self.0.push((text::fit(text.shown(), usize::MAX, ""), role));
    }

    /// Adds the pieces of another row.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Columns that it takes.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text::width(text.as_str())).sum()
    }
}

/// Draws into a buffer.
pub(crate) struct Painter<'a> {
    buffer: &'a mut Buffer,
    pub(crate) look: Look,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(buffer: &'a mut Buffer, look: Look) -> Self {
        let area = buffer.area;
        buffer.set_style(area, look.theme.base());
        Self { buffer, look }
    }

    pub(crate) fn symbols(&self) -> &'static Symbols {
        self.look.symbols
    }

    fn style(&self, role: Role) -> Style {
        self.look.theme.style(self.look.depth, role)
    }

    /// Writes `text` at `x`, `y` in at most `columns`, cut with a mark; gives the columns used.
    pub(crate) fn text(&mut self, x: u16, y: u16, columns: u16, text: impl Shown, role: Role) -> u16 {
        let style = self.style(role);
        let cut = text::fit(text.shown(), usize::from(columns), self.look.symbols.ellipsis);
        self.write(x, y, columns, cut.as_str(), style)
    }

    /// As [`Self::text`], cutting in the middle: for paths, whose end tells most.
    pub(crate) fn path(&mut self, x: u16, y: u16, columns: u16, text: impl Shown, role: Role) -> u16 {
        let style = self.style(role);
        let cut = text::fit_middle(text.shown(), usize::from(columns), self.look.symbols.ellipsis);
        self.write(x, y, columns, cut.as_str(), style)
    }

    /// Writes `text` so that it ends before `right`; gives the columns used.
    pub(crate) fn right(&mut self, right: u16, y: u16, columns: u16, text: impl Shown, role: Role) -> u16 {
        let wide = u16::try_from(text::width(text.shown())).unwrap_or(u16::MAX).min(columns);
        self.text(right.saturating_sub(wide), y, wide, text, role)
    }

    /// Writes a row of pieces; gives the columns used.
    pub(crate) fn row(&mut self, x: u16, y: u16, columns: u16, row: &Row) -> u16 {
        let mut used = 0;
        for (text, role) in &row.0 {
            if used >= columns {
                break;
            }
            used += self.text(x.saturating_add(used), y, columns - used, text, *role);
        }
        used
    }

    /// A style that leaves nothing of what was written there before but the ground.
    fn whole(&self, style: Style) -> Style {
        let fg = style.fg.or(self.look.theme.base().fg).unwrap_or(Color::Reset);
        let others = Modifier::all().difference(style.add_modifier);
        style.fg(fg).remove_modifier(others)
    }

    fn write(&mut self, x: u16, y: u16, columns: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if columns == 0 || y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
            return 0;
        }
        let (end, _) = self.buffer.set_stringn(x, y, text, usize::from(columns), self.whole(style));
        end.saturating_sub(x)
    }

    /// Gives all cells of `area` the ground of `role`; text that is there stays, with its own colour where the
    /// role has none.
    pub(crate) fn ground(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        self.buffer.set_style(area, style);
    }

    /// Empties `area`.
    pub(crate) fn clear(&mut self, area: Rect) {
        let base = self.look.theme.base();
        for y in area.top()..area.bottom() {
            let blanks = " ".repeat(usize::from(area.width));
            self.buffer
                .set_style(Rect { y, height: 1, ..area }.intersection(self.buffer.area), Style::reset());
            self.write(area.x, y, area.width, &blanks, base);
        }
    }

    /// A pane's title line: `─ title ───── note ─`; heavy where the pane has the keys.
    pub(crate) fn rule(&mut self, area: Rect, title: &Row, note: &Safe, focus: bool) {
        let symbol = if focus { self.look.symbols.rule_focus } else { self.look.symbols.rule };
        let line = symbol.repeat(usize::from(area.width));
        let style = self.style(Role::Rule);
        self.write(area.x, area.y, area.width, &line, style);
        let room = area.width.saturating_sub(4);
        let mut used = 0;
        if title.width() > 0 && room > 0 {
            self.write(area.x + 1, area.y, 1, " ", style);
            used = self.row(area.x + 2, area.y, room, title);
            self.write(area.x + 2 + used, area.y, 1, " ", style);
        }
        let wide = u16::try_from(text::width(note.as_str())).unwrap_or(u16::MAX);
        if wide > 0 && wide.saturating_add(used).saturating_add(4) <= room {
            let end = area.right() - 1;
            self.write(end - wide - 2, area.y, 1, " ", style);
            self.right(end - 1, area.y, wide, note, Role::Dim);
            self.write(end - 1, area.y, 1, " ", style);
        }
    }

    /// A vertical line.
    pub(crate) fn side(&mut self, x: u16, top: u16, bottom: u16) {
        let style = self.style(Role::Rule);
        for y in top..bottom {
            self.write(x, y, 1, self.look.symbols.side, style);
        }
    }

    /// A line across `area` with a text in it, drawn with `symbol`.
    pub(crate) fn separator(&mut self, area: Rect, text: &Row, symbol: &'static str, role: Role) {
        let style = self.style(role);
        let x = area.x.saturating_add(2);
        let used = self.row(x, area.y, area.right().saturating_sub(x + 1), text);
        let from = x.saturating_add(used);
        let room = area.right().saturating_sub(from.saturating_add(1));
        self.write(from, area.y, room, &symbol.repeat(usize::from(room)), style);
    }

    /// Text in as many rows of `area` as it takes.
    pub(crate) fn wrapped(&mut self, area: Rect, text: &Safe, role: Role) {
        let style = self.style(role);
        for (y, part) in
            (area.top()..area.bottom()).zip(text::wrapped(text.as_str(), usize::from(area.width)))
        {
            self.write(area.x, y, area.width, part, style);
        }
    }

    /// Where a pane's rule begins at a side.
    pub(crate) fn branch(&mut self, x: u16, y: u16) {
        let style = self.style(Role::Rule);
        self.write(x, y, 1, self.look.symbols.corners.left, style);
    }

    /// The top of a side, where a rule is in the way.
    pub(crate) fn cross(&mut self, x: u16, y: u16) {
        let style = self.style(Role::Rule);
        self.write(x, y, 1, self.look.symbols.rule, style);
    }

    /// A frame around a popup, its inside emptied; gives the inside.
    pub(crate) fn frame(&mut self, area: Rect, title: &Row) -> Rect {
        if area.width < 4 || area.height < 3 {
            return Rect::default();
        }
        self.clear(area);
        let corners = &self.look.symbols.corners;
        let style = self.style(Role::Rule);
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        let line = self.look.symbols.rule.repeat(usize::from(area.width));
        for y in [area.top(), bottom] {
            self.write(area.x, y, area.width, &line, style);
        }
        self.side(area.x, area.y + 1, bottom);
        self.side(right, area.y + 1, bottom);
        self.write(area.x, area.y, 1, corners.top_left, style);
        self.write(right, area.y, 1, corners.top_right, style);
        self.write(area.x, bottom, 1, corners.bottom_left, style);
        self.write(right, bottom, 1, corners.bottom_right, style);
        if title.width() > 0 {
            self.write(area.x + 2, area.y, 1, " ", style);
            let used = self.row(area.x + 3, area.y, area.width.saturating_sub(6), title);
            self.write(area.x + 3 + used, area.y, 1, " ", style);
        }
        Rect { x: area.x + 2, y: area.y + 1, width: area.width - 4, height: area.height - 2 }
    }

    /// Joins lines that meet: a side below or above a rule.
    pub(crate) fn join(&mut self, area: Rect) {
        let symbols = self.look.symbols;
        let style = self.style(Role::Rule);
        let is = |buffer: &Buffer, x: u16, y: u16, symbol: &str| {
            buffer.cell((x, y)).is_some_and(|cell| cell.symbol() == symbol)
        };
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                let line = is(self.buffer, x, y, symbols.rule) || is(self.buffer, x, y, symbols.rule_focus);
                if !line {
                    continue;
                }
                let above = y > area.top() && is(self.buffer, x, y - 1, symbols.side);
                let below = y + 1 < area.bottom() && is(self.buffer, x, y + 1, symbols.side);
                let ruled =
                    |x: u16| is(self.buffer, x, y, symbols.rule) || is(self.buffer, x, y, symbols.rule_focus);
                let left = x > area.left() && ruled(x - 1);
                let right = x + 1 < area.right() && ruled(x + 1);
                let joint = match (above, below, left, right) {
                    (true, true, true, false) => symbols.corners.right,
                    (true, true, false, true) => symbols.corners.left,
                    (true, true, ..) => symbols.corners.cross,
                    (true, false, ..) => symbols.corners.up,
                    (false, true, ..) => symbols.corners.down,
                    (false, false, ..) => continue,
                };
                self.write(x, y, 1, joint, style);
            }
        }
    }

    /// A scroll mark at the right edge of `area`: which part of `total` rows is shown.
    pub(crate) fn scroll(&mut self, area: Rect, first: u64, shown: u64, total: u64) {
        if total <= shown || area.height < 3 || area.width < 2 {
            return;
        }
        let height = u64::from(area.height);
        let size = (shown.saturating_mul(height) / total.max(1)).clamp(1, height);
        let room = height - size;
        let last = total - shown;
        let top = u64::try_from(u128::from(first.min(last)) * u128::from(room) / u128::from(last.max(1)))
            .unwrap_or(room);
        let style = self.style(Role::Dim);
        for i in top..top + size {
            let y = area.y + u16::try_from(i).unwrap_or(0);
            self.write(area.right() - 1, y, 1, self.look.symbols.scroll, style);
        }
    }
}
