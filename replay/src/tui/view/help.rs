//! The help: every key of this screen, made from the table of keys.

use afterimage_model::text::Safe;
use ratatui::layout::Rect;

use crate::tui::{
    action::{Action, Group},
    app::App,
    keys::Binding,
    paint::{Painter, Row},
    screen::Screen,
    text::safe,
    theme::Role,
};

/// Columns of the keys.
const KEYS: usize = 13;

/// Columns and rows of the help's text on a terminal of this size.
pub(crate) fn size((width, height): (u16, u16)) -> (u16, u16) {
    (width.saturating_sub(8).clamp(32, 104), height.saturating_sub(4))
}

/// The rows of the help.
pub(crate) fn rows(app: &App, columns: usize) -> Vec<Row> {
    let mut rows = vec![
        Row::new()
            .add(app.screen.name(), Role::TitleFocus)
            .add(": ", Role::Dim)
            .add(app.screen.question(), Role::Text),
    ];
    let letters = letters(app.screen);
    if !letters.is_empty() {
        rows.push(Row::new());
        rows.push(Row::new().add("letters", Role::Title));
        let cells = letters.iter().map(|(letter, text)| named(&Safe::literal(letter), text)).collect();
        two_columns(&mut rows, cells, columns);
    }
    for group in Group::ALL {
        let actions: Vec<Action> = Action::ALL
            .iter()
            .copied()
            .filter(|a| a.group() == *group && app.keymap.ways(app.screen, *a).next().is_some())
            .collect();
        if actions.is_empty() {
            continue;
        }
        rows.push(Row::new());
        rows.push(Row::new().add(group.name(), Role::Title));
        let cells: Vec<Row> = actions.into_iter().map(|action| cell(app, action)).collect();
        two_columns(&mut rows, cells, columns);
    }
    rows.push(Row::new());
    rows.push(Row::new().add("marks", Role::Title));
    let marks: [(&'static str, &'static str); 9] = [
        ("!!", "a critical finding"),
        ("!", "a finding that is a warning or critical"),
        ("-", "a finding worth a look"),
        ("?", "what the program claimed and what the kernel did differ"),
        ("*", "something of the event could not be read"),
        ("<", "a payload or path was truncated"),
        ("~", "the recording of this container is not complete"),
        (app.look.symbols.lost, "events were lost here"),
        (app.look.symbols.corrupt, "corrupt: recorded, and cannot be read"),
    ];
    let cells = marks.into_iter().map(|(mark, text)| named(&Safe::literal(mark), text)).collect();
    two_columns(&mut rows, cells, columns);
    rows.push(Row::new());
    rows.push(Row::new().add("screens", Role::Title));
    for screen in Screen::ALL {
        rows.push(named(&safe!("{} {}", screen.digit(), screen.name()), screen.question()));
    }
    rows
}

/// What the letters of a screen's rows stand for.
const fn letters(screen: Screen) -> &'static [(&'static str, &'static str)] {
    match screen {
        Screen::Timeline => &[
            ("*", "a program begins"),
            ("x", "the process ends"),
            ("c", "created; of a peer: connected"),
            ("w", "written, or opened for it"),
            ("r", "read, or opened for it"),
            ("X", "executed, or mapped as code"),
            ("m", "mode or owner set"),
            ("n", "renamed"),
            ("u", "deleted"),
            ("f", "failed or refused"),
            ("d", "data to or from a peer"),
        ],
        Screen::Files => &[
            ("c", "created"),
            ("w", "written or truncated"),
            ("r", "read"),
            ("m", "mode or owner set"),
            ("n", "renamed"),
            ("X", "executed, or mapped as code"),
            ("u", "deleted"),
            ("f", "failed or refused"),
        ],
        _ => &[],
    }
}

fn cell(app: &App, action: Action) -> Row {
    let keys: Vec<String> =
        app.keymap.ways(app.screen, action).map(|b: &Binding| b.shown().into_string()).collect();
    named(&safe!("{}", keys.join(" ")), action.help())
}

fn named(keys: &Safe, text: &'static str) -> Row {
    Row::new().add(&safe!("  {:<KEYS$} ", keys.as_str()), Role::Key).add(text, Role::Text)
}

/// Cells side by side where there is room for two, filled down first; those that are too wide below them.
fn two_columns(rows: &mut Vec<Row>, cells: Vec<Row>, columns: usize) {
    let half = columns / 2;
    let (cells, wide): (Vec<Row>, Vec<Row>) = cells.into_iter().partition(|cell| cell.width() < half);
    let down = cells.len().div_ceil(2);
    let (left, right) = cells.split_at(down);
    for (i, cell) in left.iter().enumerate() {
        let mut row = cell.clone();
        if let Some(other) = right.get(i) {
            row.push(&safe!("{:1$}", "", half - cell.width()), Role::Text);
            row.append(other.clone());
        }
        rows.push(row);
    }
    rows.extend(wide);
}

/// Draws the help over the screen.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, area: Rect, top: usize) {
    let (width, height) = size((area.width, area.height));
    let rows = rows(app, usize::from(width));
    let frame =
        super::popups::centred(area, width + 4, u16::try_from(rows.len()).unwrap_or(height).min(height) + 2);
    let title = Row::new().add("keys", Role::TitleFocus).add("  Esc closes", Role::Dim);
    let inner = painter.frame(frame, &title);
    for (y, row) in (inner.y..inner.bottom()).zip(rows.iter().skip(top)) {
        painter.row(inner.x, y, inner.width, row);
    }
    painter.scroll(inner, top as u64, u64::from(inner.height), rows.len() as u64);
}
