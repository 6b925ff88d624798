//! The files of a whole life, what was done to the selected one, and its bytes.

use afterimage_model::{
    files::{Act, ActKind, Existence, FileRecord},
    symbols,
    text::{Safe, escape},
};
use ratatui::layout::Rect;

use super::{
    processes::{FromRight, choice, cursor, list_style, nothing, time_width, whole},
    title,
};
use crate::{
    analysis::recovery::{Source, recover},
    tui::{
        app::App,
        hex,
        layout::Pane,
        paint::{Painter, Row},
        text::{bytes, counted, safe},
        theme::Role,
        whole::Whole,
    },
};

/// Bytes of a file that are put together to be shown.
pub(crate) const SHOWN: usize = 1 << 20;

/// The list.
pub(super) fn draw(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let known = app.whole();
    let total = known.map_or(0, |whole| whole.file_count());
    let note = choice(app, total, "A shows those only read too");
    let extra = match known.map_or(0, |whole| whole.files.left_out(whole.uid).unlisted) {
        0 => Row::new(),
        acts => {
            Row::new().add(&safe!(" {} on files without room not shown", counted(acts, "act")), Role::Warn)
        }
    };
    let inner = title(app, painter, rect, Pane::Files, extra, &note);
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let columns = Columns::new(app, inner);
    columns.heading(painter, inner.y);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    nothing(app, painter, body, "no file");
    let mut scroll = sheet.list;
    scroll.show(sheet.order.len(), usize::from(body.height));
    let shown = sheet.order.iter().enumerate().skip(scroll.top).take(usize::from(body.height));
    for (y, (at, index)) in (body.y..).zip(shown) {
        let Some(file) = whole.file(*index) else { continue };
        let line = Rect { y, height: 1, ..body };
        columns.draw(app, painter, line, file, whole);
        if at == scroll.cursor {
            cursor(app, painter, line, Pane::Files);
        }
    }
    painter.scroll(body, scroll.top as u64, u64::from(body.height), sheet.order.len() as u64);
}

/// Where the columns are.
struct Columns {
    path: (u16, u16),
    acts: (u16, u16),
    written: Option<(u16, u16)>,
    layer: Option<(u16, u16)>,
    first: (u16, u16),
    last: Option<(u16, u16)>,
    by: Option<(u16, u16)>,
}

impl Columns {
    fn new(app: &App, inner: Rect) -> Self {
        let time = time_width(app);
        let mut places = FromRight::new(inner);
        let by = (inner.width >= 96).then(|| places.take(18));
        let last = (inner.width >= 118).then(|| places.take(time));
        let first = places.take(time);
        let layer = (inner.width >= 70).then(|| places.take(9));
        let written = (inner.width >= 60).then(|| places.take(10));
        let acts = places.take(10);
        let x = inner.x + 2;
        Self { path: (x, places.room(x)), acts, written, layer, first, last, by }
    }

    fn heading(&self, painter: &mut Painter<'_>, y: u16) {
        painter.text(self.path.0, y, self.path.1, "PATH", Role::Dim);
        painter.text(self.acts.0, y, self.acts.1, "DONE", Role::Dim);
        painter.right(self.first.0 + self.first.1, y, self.first.1, "FIRST", Role::Dim);
        for (place, text) in [(self.layer, "ORIGIN"), (self.by, "BY")] {
            if let Some((x, width)) = place {
                painter.text(x, y, width, text, Role::Dim);
            }
        }
        for (place, text) in [(self.written, "WRITTEN"), (self.last, "LAST")] {
            if let Some((x, width)) = place {
                painter.right(x + width, y, width, text, Role::Dim);
            }
        }
    }

    fn draw(&self, app: &App, painter: &mut Painter<'_>, line: Rect, file: &FileRecord, whole: &Whole) {
        let y = line.y;
        let dropped = file.was_dropped_and_executed();
        let role = if dropped { Role::Alert } else { Role::Text };
        if dropped {
            painter.text(line.x + 1, y, 1, "!", Role::Alert);
        } else if !file.kernel_path {
            painter.text(line.x + 1, y, 1, "?", Role::Dim);
        }
        painter.path(self.path.0, y, self.path.1, &escape(&file.path), role);
        painter.text(self.acts.0, y, self.acts.1, &letters(file, painter.symbols().dot), Role::Text);
        if let Some((x, width)) = self.written {
            let (text, role) = match file.bytes_written {
                0 => (Safe::literal("-"), Role::Dim),
                some => (bytes(some), Role::Text),
            };
            painter.right(x + width, y, width, &text, role);
        }
        if let Some((x, width)) = self.layer {
            let (word, role) = origin(file);
            painter.text(x, y, width, word, role);
        }
        let Some(opened) = &app.opened else { return };
        let time = |at| app.catalog.clocks.column(list_style(app), at, opened.origin, None);
        painter.right(self.first.0 + self.first.1, y, self.first.1, &time(file.first), Role::Dim);
        if let Some((x, width)) = self.last {
            painter.right(x + width, y, width, &time(file.last), Role::Dim);
        }
        if let Some((x, width)) = self.by {
            painter.text(x, y, width, &by(file, whole), Role::Dim);
        }
    }
}

/// A letter for each kind of act: `c`reated, `w`ritten, `r`ead, e`X`ecuted, `m`ode, `n`amed, `u`nlinked, re`f`used.
fn letters(file: &FileRecord, none: &'static str) -> Safe {
    const LETTERS: [(&[ActKind], &str); 8] = [
        (&[ActKind::Created, ActKind::OpenedOrCreated, ActKind::Linked], "c"),
        (&[ActKind::Written, ActKind::MappedForWriting, ActKind::Truncated], "w"),
        (&[ActKind::Read], "r"),
        (&[ActKind::ModeSet { mode: 0 }, ActKind::OwnerSet], "m"),
        (&[ActKind::Renamed], "n"),
        (&[ActKind::Executed, ActKind::Mapped], "X"),
        (&[ActKind::Deleted, ActKind::Replaced], "u"),
        (&[ActKind::Refused, ActKind::NotExecuted], "f"),
    ];
    let letters: String = LETTERS
        .iter()
        .map(|(kinds, letter)| if kinds.iter().any(|kind| file.was(*kind)) { *letter } else { none })
        .collect();
    safe!("{letters}")
}

fn origin(file: &FileRecord) -> (&'static str, Role) {
    match (file.upper_layer, file.existence) {
        _ if file.memory => ("in memory", Role::Warn),
        (Some(true), _) => ("not image", Role::Warn),
        (Some(false), _) => ("image", Role::Dim),
        (None, Existence::Made) => ("made here", Role::Text),
        (None, Existence::MaybeMade) => ("maybe new", Role::Dim),
        (None, Existence::Found) => ("was there", Role::Dim),
        (None, Existence::Unknown) => ("", Role::Dim),
    }
}

/// Who did it first, and how many others.
fn by(file: &FileRecord, whole: &Whole) -> Safe {
    let mut keys: Vec<_> = file.acts.iter().map(|act| act.by).collect();
    keys.sort_unstable();
    keys.dedup();
    match (file.acts.first(), keys.len()) {
        (None, _) => Safe::default(),
        (Some(act), 1) => whole.named(act.by, act.time),
        (Some(act), others) => safe!("{} +{}", whole.named(act.by, act.time), others - 1),
    }
}

/// What was done to the selected file.
pub(super) fn provenance(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let file = app.selected_file();
    let extra = match file {
        Some(file) => Row::new().add(" of ", Role::Dim).add(&escape(&file.path), Role::Text),
        None => Row::new(),
    };
    let inner = title(app, painter, rect, Pane::Provenance, extra, &Safe::default());
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let (Some(file), Some(opened)) = (file, &app.opened) else { return };
    let mut scroll = sheet.left;
    let height = inner.height.saturating_sub(1);
    scroll.show(file.acts.len(), usize::from(height));
    let shown = file.acts.iter().enumerate().skip(scroll.top).take(usize::from(height));
    for (y, (at, act)) in (inner.y..).zip(shown) {
        let line = Rect { y, height: 1, ..inner };
        let time = app.catalog.clocks.column(list_style(app), act.time, opened.origin, None);
        let row = Row::new()
            .add(&safe!("{time}  "), Role::Dim)
            .add(&safe!("{:<18} ", whole.named(act.by, act.time).as_str()), Role::Text)
            .add(&act_text(act), act_role(act));
        painter.row(line.x + 2, y, line.width.saturating_sub(3), &row);
        if at == scroll.cursor && app.focus() == Pane::Provenance {
            cursor(app, painter, line, Pane::Provenance);
        }
    }
    let life = sheet.selected().and_then(|at| whole.life(at)).unwrap_or((1, 1));
    let below = inner.bottom().saturating_sub(1);
    painter.text(inner.x + 2, below, inner.width.saturating_sub(3), &closing(file, life), Role::Dim);
}

fn act_role(act: &Act) -> Role {
    match act.kind {
        ActKind::Executed => Role::Exec,
        ActKind::Refused | ActKind::NotExecuted => Role::Bad,
        ActKind::Created
        | ActKind::OpenedOrCreated
        | ActKind::Replaced
        | ActKind::Written
        | ActKind::Deleted
        | ActKind::Renamed
        | ActKind::ModeSet { .. } => Role::Write,
        _ => Role::Text,
    }
}

fn act_text(act: &Act) -> Safe {
    let times = if act.count > 1 { safe!(" {} times", act.count) } else { Safe::default() };
    let moved = if act.bytes > 0 { safe!(", {}", bytes(act.bytes)) } else { Safe::default() };
    match act.kind {
        ActKind::ModeSet { mode } => safe!("mode set {mode:04o}{times}"),
        ActKind::Refused | ActKind::NotExecuted => {
            let why = symbols::errno(act.result).unwrap_or("unknown reason");
            safe!("{}: {why}{times}", act.kind.as_str())
        }
        kind => safe!("{}{times}{moved}", kind.as_str()),
    }
}

/// What is to be said of the file as a whole.
fn closing(file: &FileRecord, (nth, all): (u64, u64)) -> Safe {
    let mut parts: Vec<String> = Vec::new();
    if file.lives > 1 {
        parts.push(format!("files {nth} to {} of {all} that had this path", nth + file.lives - 1));
    } else if all > 1 {
        parts.push(format!("file {nth} of {all} that had this path"));
    }
    if file.acts_dropped > 0 {
        parts.push(format!("{} more acts", file.acts_dropped));
    }
    if !file.kernel_path {
        parts.push("path as programs claimed it".to_owned());
    }
    if let Some(target) = &file.link_to {
        parts.push(format!("links to {}", escape(target)));
    }
    if let Some(old) = file.formerly.last() {
        parts.push(format!("formerly {}", escape(old)));
    }
    for (holds, word) in [(file.deleted, "deleted"), (file.replaced, "replaced")] {
        if holds {
            parts.push(word.to_owned());
        }
    }
    safe!("{}", parts.join(", "))
}

/// The bytes of the selected file: as it was executed, or as its writes made it.
pub(super) fn content(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let note = Safe::literal(if app.hex { "hex, X text, W save" } else { "text, X hex, W save" });
    let inner = title(app, painter, rect, Pane::Content, Row::new(), &note);
    let Some((_, whole, sheet)) = whole(app, painter, inner) else { return };
    let Some(file) = app.selected_file() else { return };
    let width = inner.width.saturating_sub(2);
    let Some(found) = recover(file, &whole.images, app.has_losses(), SHOWN) else {
        let why = match file.bytes_recorded {
            0 => "nothing that was written to it was recorded",
            _ => "what was written to it is recorded, but it was emptied after that",
        };
        painter.text(inner.x + 1, inner.y, width, why, Role::Dim);
        return;
    };
    let made = &found.bytes;
    let size = bytes(made.len() as u64);
    let how = match found.source {
        Source::Image => safe!("{size} as they were executed"),
        Source::Writes(writes, _) => safe!("{size} put together from {}", counted(writes, "write")),
    };
    let said = match found.doubts.as_slice() {
        [] => how,
        doubts => safe!("{how}; {}", doubts.join("; ")),
    };
    let lacks = matches!(found.source, Source::Writes(_, 1..));
    painter.text(inner.x + 1, inner.y, width, &said, if lacks { Role::Warn } else { Role::Dim });
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let width = body.width.saturating_sub(3);
    let total = hex::rows(made, app.hex, width);
    let top = sheet.right.top.min(total.saturating_sub(1));
    for (y, at) in (body.y..body.bottom()).zip(top..total) {
        let row = hex::row(made, at, app.hex, width);
        painter.row(body.x + 1, y, width, &row);
    }
    painter.scroll(body, top as u64, u64::from(body.height), total as u64);
}
