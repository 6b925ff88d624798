//! The bars: header, screens, filter, transport, footer.

use afterimage_format::ContainerUid;
use afterimage_model::text::{Safe, escape};
use ratatui::layout::Rect;

use crate::tui::{
    action::Action,
    app::App,
    feed::Heading,
    filter::{Chip, Verdict, sentence},
    keys,
    moment::since,
    paint::{Painter, Row},
    player::{Motion, Pace},
    screen::Screen,
    text::{counted, grouped, safe, width, wrapped},
    theme::Role,
    update,
};

/// Program, recording, container, moment.
pub(super) fn header(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    painter.ground(rect, Role::Bar);
    let right = moment(app, rect.width);
    let used = u16::try_from(right.width()).unwrap_or(0);
    painter.row(rect.right().saturating_sub(used + 1), rect.y, used, &right);
    let room = rect.width.saturating_sub(used + 3);
    let mut row = Row::new().add("afterimage", Role::BarStrong);
    // Before names, which may be long.
    for word in app.catalog.damage_words() {
        row.push(&safe!("  {word}"), Role::BarStrong);
    }
    let tabs = app.plan().rect(crate::tui::layout::Pane::Tabs).is_some();
    if !tabs {
        row.push(&safe!("  {} {}", app.screen.digit(), app.screen.name()), Role::BarStrong);
    }
    if app.screen.needs_container()
        && let Some(subject) = app.subject()
    {
        row.push(&safe!("  {}", subject.name), Role::BarStrong);
        row.push(&safe!("  {}", subject.life.state.as_str()), Role::Bar);
        if subject.uid != ContainerUid::HOST && tabs && subject.name != subject.short_id {
            row.push(&safe!("  {}", subject.short_id), Role::Bar);
        }
    }
    if tabs || !app.screen.needs_container() {
        row.push(&safe!("  {}", app.catalog.host), Role::Bar);
        row.push(&safe!("  {}", app.catalog.place), Role::Bar);
        let live = app.opened.as_ref().is_some_and(|o| o.live);
        let state = match (app.catalog.unsealed, live) {
            (true, true) => "  live",
            (true, false) => "  not sealed",
            (false, _) => "  sealed",
        };
        row.push(state, if live { Role::BarStrong } else { Role::Bar });
    }
    painter.row(rect.x + 1, rect.y, room, &row);
}

/// The playhead, or the span of the recording.
fn moment(app: &App, columns: u16) -> Row {
    let clocks = &app.catalog.clocks;
    match (&app.opened, app.screen) {
        (Some(opened), screen) if screen.needs_container() => {
            let at = opened.playhead.time;
            let mut row = Row::new();
            if columns >= 60 {
                row.push(&clocks.day_time(app.time_style, at), Role::Bar);
                row.push("  ", Role::Bar);
            }
            row.add(&since(at, opened.origin), Role::BarStrong)
        }
        _ => {
            let (begin, end) = app.catalog.range;
            let (first, last) =
                (clocks.date_time(app.time_style, begin), clocks.date_time(app.time_style, end));
            match (first, last) {
                (Some(first), Some(last)) if columns >= 100 => {
                    let same_day = first.as_str().get(..10) == last.as_str().get(..10);
                    let end = if same_day { last.as_str().get(11..).unwrap_or("") } else { last.as_str() };
                    Row::new().add(
                        &safe!("{first} .. {end} {}", clocks.typed(app.time_style).zone_word()),
                        Role::Bar,
                    )
                }
                _ => Row::new(),
            }
        }
    }
}

/// The screens.
pub(super) fn tabs(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let mut row = Row::new();
    for screen in Screen::ALL {
        let name = safe!("{} {}", screen.digit(), screen.name());
        // At 100 columns there is no room for blanks behind the last one.
        let last = Screen::ALL.last() == Some(screen);
        match (*screen == app.screen, last) {
            (true, false) => row.push(&safe!("[{name}] "), Role::TitleFocus),
            (true, true) => row.push(&safe!("[{name}]"), Role::TitleFocus),
            (false, false) => row.push(&safe!(" {name}  "), Role::Dim),
            (false, true) => row.push(&safe!(" {name}"), Role::Dim),
        }
    }
    painter.row(rect.x, rect.y, rect.width, &row);
    let hints = tab_hints(app);
    // Where they would hide a screen, the footer has them.
    if tabs_have_hints(app, rect.width) {
        let used = u16::try_from(hints.width()).unwrap_or(0);
        painter.row(rect.right().saturating_sub(used + 1), rect.y, used, &hints);
    }
}

fn tab_hints(app: &App) -> Row {
    let [palette, help] = [Action::Palette, Action::Help].map(|action| key_of(app, action));
    Row::new()
        .add(&palette, Role::Key)
        .add(" actions  ", Role::Dim)
        .add(&help, Role::Key)
        .add(" keys", Role::Dim)
}

fn tabs_have_hints(app: &App, columns: u16) -> bool {
    let tabs: usize = Screen::ALL.iter().map(|screen| width(screen.name()) + TAB).sum();
    tabs + tab_hints(app).width() < usize::from(columns)
}

/// Columns of a tab beside its name: a digit, a blank, and three for brackets or blanks.
const TAB: usize = 5;

/// The screen whose name is at a column of the row of screens.
pub(crate) fn tab_at(app: &App, column: u16) -> Option<Screen> {
    let mut from = 0;
    for screen in Screen::ALL {
        let wide = u16::try_from(width(screen.name()) + TAB).unwrap_or(0);
        if (from..from + wide).contains(&column) {
            return Some(*screen).filter(|screen| *screen != app.screen);
        }
        from += wide;
    }
    None
}

/// The filter; where the cursor is while it is edited.
pub(super) fn filter(app: &App, painter: &mut Painter<'_>, rect: Rect) -> Option<(u16, u16)> {
    painter.text(rect.x + 1, rect.y, 1, "/", Role::Key);
    let x = rect.x + 3;
    let mut note = filter_note(app, false);
    // The note has half the bar, and what the filter leaves of the other half.
    let parts = u16::try_from(chips(app).width()).unwrap_or(u16::MAX);
    let beside = rect.width.saturating_sub(parts.saturating_add(6));
    let most = (rect.width / 2).max(if app.bar.edit.is_none() { beside } else { 0 });
    if note.width() > usize::from(most) {
        note = filter_note(app, true);
    }
    let wide = u16::try_from(note.width()).unwrap_or(u16::MAX);
    // Beside a short text there is more room than half. What is wrong, and does not fit, is in the footer in full.
    let typed = app.bar.edit.as_ref().map(|line| u16::try_from(width(&line.text())).unwrap_or(u16::MAX));
    let most = typed.map_or(most, |typed| most.max(rect.width.saturating_sub(typed.saturating_add(8))));
    let note = match &app.bar.verdict {
        Some(Verdict::Invalid(column, _)) if typed.is_some() && wide > most => {
            Row::new().add(&safe!("invalid at {}", column + 1), Role::Bad)
        }
        _ => note,
    };
    let used = u16::try_from(note.width()).unwrap_or(0).min(most);
    painter.row(rect.right().saturating_sub(used + 1), rect.y, used, &note);
    let room = rect.width.saturating_sub(used + 6);
    if let Some(line) = &app.bar.edit {
        let (left, right) = line.halves();
        let (left, right) = (escape(left.as_bytes()), escape(right.as_bytes()));
        let invalid = matches!(app.bar.verdict, Some(Verdict::Invalid(..)));
        let role = if invalid { Role::Bad } else { Role::Strong };
        let shown = tail_of(&left, room.saturating_sub(2));
        let before = painter.text(x, rect.y, room, &shown, role);
        painter.text(x + before, rect.y, room.saturating_sub(before), &right, role);
        return Some((x + before, rect.y));
    }
    painter.row(x, rect.y, room, &chips(app));
    None
}

/// The parts of the filter; those switched off in parentheses. Behind each is an `[x]` that takes it away.
fn chips(app: &App) -> Row {
    let chips = update::in_force(app).chips();
    let mut row = Row::new();
    if chips.is_empty() {
        row.push("no filter", Role::Dim);
    }
    for (at, chip) in chips.iter().enumerate() {
        if at > 0 {
            row.push(AND, Role::Dim);
        }
        row.push(&chip_text(chip), if chip.on { Role::Match } else { Role::Dim });
        row.push(CLOSE, Role::Dim);
    }
    if let Some(find) = find(app) {
        row.push("   find ", Role::Dim);
        row.push(&escape(find.as_bytes()), Role::Strong);
    }
    row
}

/// What is looked for, and hides nothing in a container.
fn find(app: &App) -> Option<&str> {
    match app.screen {
        Screen::Containers => app.list.find.as_deref(),
        Screen::Health => None,
        _ => app.bar.find.as_deref(),
    }
}

/// Between two parts, and behind each.
const AND: &str = " and ";
const CLOSE: &str = " [x]";

fn chip_text(chip: &Chip) -> Safe {
    let text = escape(chip.text.as_bytes());
    if chip.on { text } else { safe!("(off: {text})") }
}

/// The part of the filter at a column of the screen, and whether it is its `x`.
pub(crate) fn chip_at(app: &App, rect: Rect, column: u16) -> Option<(usize, bool)> {
    let mut from = usize::from(rect.x) + 3;
    let column = usize::from(column);
    for (at, chip) in update::in_force(app).chips().iter().enumerate() {
        let end = from + width(chip_text(chip).as_str());
        if (from..end).contains(&column) {
            return Some((at, false));
        }
        if (end..end + CLOSE.len()).contains(&column) {
            return Some((at, true));
        }
        from = end + CLOSE.len() + AND.len();
    }
    None
}

/// The end of a text that is longer than its field: where one types.
fn tail_of(text: &Safe, columns: u16) -> Safe {
    let columns = usize::from(columns);
    let mut cut = text.as_str();
    while width(cut) > columns {
        let mut chars = cut.chars();
        chars.next();
        cut = chars.as_str();
    }
    safe!("{cut}")
}

/// What the filter hides, or what is wrong with it; where there is little room in few words.
fn filter_note(app: &App, brief: bool) -> Row {
    if let Some(verdict) = app.bar.verdict.as_ref().filter(|_| app.bar.edit.is_some()) {
        let role = match verdict {
            Verdict::Valid => Role::Good,
            Verdict::Doubtful(_) => Role::Warn,
            Verdict::Invalid(..) => Role::Bad,
        };
        return match asks_events(app) {
            Some(why) if *verdict == Verdict::Valid => Row::new().add(why, Role::Warn),
            _ => Row::new().add(&sentence(verdict), role),
        };
    }
    if app.bar.edit.is_some() {
        return Row::new().add("Enter applies, Esc cancels", Role::Dim);
    }
    let corrupt = app.subject().map_or(0, |row| app.catalog.corrupt(row.uid));
    let (shown, total, what, hits) = match app.screen {
        Screen::Containers => {
            let rows = app.list.order.iter().filter_map(|at| app.catalog.containers.get(*at));
            let shown = rows.filter(|row| row.is_container).count() as u64;
            (Some(shown), app.catalog.count(), "container", None)
        }
        Screen::Health => return Row::new(),
        _ if app.bar.filter.is_empty() => return without_filter(app, brief),
        _ => {
            let total = app.subject().map_or(0, |row| row.events);
            let hits = app.hits();
            (hits.map(|hits| hits.len() as u64), total, "event", hits)
        }
    };
    let reading = hits.and_then(|hits| hits.reading);
    let doubt = doubt_note(hits.and_then(|hits| hits.doubt), Some(key_of(app, Action::Explain)));
    let mut row = Row::new();
    if app.screen == Screen::Containers && app.list.sought.is_some() {
        return search_note(app, shown.unwrap_or(0), &of_all(total, what, brief));
    }
    match shown {
        Some(shown) if shown == total && reading.is_none() => {
            row.push(&safe!("{}{}", counted(total, what), and_host(app)), Role::Dim);
            row.append(doubt);
        }
        Some(shown) => {
            let all = of_all(total, what, brief);
            row.push(&safe!("{} of {all}{}", grouped(shown), and_host(app)), Role::Text);
            row.append(doubt);
            match reading {
                Some(percent) if app.has_unread_hits() => {
                    row.push(&safe!("  {percent} % read, then failed"), Role::Warn);
                }
                Some(percent) => row.push(&safe!("  {percent} % read"), Role::Warn),
                None if hits.is_some_and(|hits| hits.full) => row.push("  there are more", Role::Warn),
                None => {
                    let hidden = total.saturating_sub(shown);
                    let corrupt = if app.screen == Screen::Containers { 0 } else { corrupt.min(hidden) };
                    row.push(&safe!("  {} hidden", grouped(hidden - corrupt)), Role::Warn);
                    row.append(corrupt_note(corrupt));
                }
            }
        }
        None if app.has_unread_hits() => row.push("could not be read", Role::Warn),
        None => row.push("counting", Role::Dim),
    }
    row
}

/// How many containers have what is looked for in all, how often, and how much was read.
fn search_note(app: &App, shown: u64, total: &Safe) -> Row {
    let found = app.list.found();
    let hits: u64 = found.map_or(0, |found| found.by_container.values().map(|found| found.count).sum());
    let text = safe!("{} of {total}{}  {}", grouped(shown), and_host(app), counted(hits, "hit"));
    let mut row = Row::new().add(&text, Role::Text);
    row.append(doubt_note(found.and_then(|found| found.doubt), None));
    match found.map_or(Some(0), |found| found.reading) {
        Some(percent) if app.list.stopped => row.push(&safe!("  stopped at {percent} %"), Role::Warn),
        Some(percent) if app.list.sweep.has_failed() => {
            row.push(&safe!("  {percent} % read, then failed"), Role::Warn);
        }
        Some(percent) => row.push(&safe!("  {percent} % read"), Role::Warn),
        None => {}
    }
    row
}

/// That what is shown may be more or less than it should be, and the key to why; before what may be cut for lack of room.
fn doubt_note(doubt: Option<&'static str>, key: Option<Safe>) -> Row {
    match (doubt, key) {
        (None, _) => Row::new(),
        (Some(_), Some(key)) => Row::new().add(&safe!("  not certain ({key})"), Role::Warn),
        (Some(_), None) => Row::new().add("  not certain", Role::Warn),
    }
}

/// That the list of containers does not do what the filter says, where that is so: it reads no events.
fn asks_events(app: &App) -> Option<&'static str> {
    if app.screen != Screen::Containers || !app.list.asks_events() {
        return None;
    }
    let is_narrowed = app.list.order.len() < app.catalog.containers.len();
    Some(if is_narrowed { "asks events too: Enter reads them" } else { "asks events: Enter reads them" })
}

/// The host, where it is in the list beside the containers.
fn and_host(app: &App) -> &'static str {
    let is_host = |at: &usize| app.catalog.containers.get(*at).is_some_and(|r| r.uid == ContainerUid::HOST);
    let is_shown = app.screen == Screen::Containers && app.list.order.iter().any(is_host);
    if is_shown { " and the host" } else { "" }
}

/// How many events there are, and how many of them are left out without a filter.
fn without_filter(app: &App, brief: bool) -> Row {
    let total = app.subject().map_or(0, |row| row.events);
    let corrupt = app.subject().map_or(0, |row| app.catalog.corrupt(row.uid)).min(total);
    let setup = app.story().map_or(0, |story| story.setup).min(total - corrupt);
    let setup = if app.bar.setup { 0 } else { setup };
    if setup + corrupt == 0 {
        return Row::new().add(&counted(total, "event"), Role::Dim);
    }
    let shown = safe!("{} of {}", grouped(total - setup - corrupt), of_all(total, "event", brief));
    let mut row = Row::new().add(&shown, Role::Dim);
    if setup > 0 {
        let key = key_of(app, Action::SetUp);
        let words = if brief { "set-up" } else { "of set-up hidden" };
        row.push(&safe!("  {} {words} ({key})", grouped(setup)), Role::Dim);
    }
    row.append(corrupt_note(corrupt));
    row
}

/// `733 events`, or the number alone.
fn of_all(total: u64, what: &'static str, brief: bool) -> Safe {
    if brief { grouped(total) } else { counted(total, what) }
}

/// That so many events were recorded and cannot be read.
fn corrupt_note(events: u64) -> Row {
    match events {
        0 => Row::new(),
        _ => Row::new().add(&safe!("  {} corrupt", grouped(events)), Role::Bad),
    }
}

/// What the clock does.
pub(super) fn transport(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    let Some(opened) = &app.opened else { return };
    let symbols = painter.symbols();
    let (glyph, word, role) = match opened.player.motion {
        // The newest event is come to as it is recorded.
        Motion::Paused if opened.live => (symbols.play, "live, at the newest event", Role::Good),
        Motion::Paused => (symbols.pause, "paused", Role::Dim),
        Motion::Forward => (symbols.play, "playing", Role::Good),
        Motion::Backward => (symbols.play_back, "playing back", Role::Good),
    };
    let tenths = opened.player.tenths();
    let speed = if tenths.is_multiple_of(10) { safe!("{}x", tenths / 10) } else { safe!("0.{tenths}x") };
    let mut row = Row::new().add(glyph, role).add(" ", role).add(word, role).add("  ", role);
    if opened.player.pace == Pace::Events {
        row.push(&safe!("{tenths} events/s"), Role::Strong);
    } else {
        row.push(&speed, Role::Strong);
        row.push(if opened.player.skip_idle { "  waits skipped" } else { "  waits kept" }, Role::Dim);
    }
    if app.follow {
        row.push("  lists follow", Role::Dim);
    }
    if let Some(key) = &opened.seek {
        row.push(
            if key.heading == Heading::Forward { "  looking ahead" } else { "  looking back" },
            Role::Warn,
        );
    }
    painter.row(rect.x + 1, rect.y, rect.width.saturating_sub(2), &row);
    let right = place(app);
    let used = u16::try_from(right.width()).unwrap_or(0);
    if usize::from(rect.width) > row.width() + right.width() + 4 {
        painter.row(rect.right().saturating_sub(used + 1), rect.y, used, &right);
    }
}

/// Number of the event at the playhead among all.
fn place(app: &App) -> Row {
    let Some((page, at)) = app.opened.as_ref().and_then(|o| o.at()) else { return Row::new() };
    let total = app.subject().map_or(0, |row| row.events);
    match page.first_number {
        Some(first) => {
            let number = first + at as u64;
            Row::new().add(&safe!("event {} of {}", grouped(number), grouped(total)), Role::Dim)
        }
        None => Row::new(),
    }
}

/// The message of the last action, or the keys that help here.
pub(super) fn footer(app: &App, painter: &mut Painter<'_>, rect: Rect) {
    painter.ground(rect, Role::Bar);
    let x = rect.x + 1;
    let room = rect.width.saturating_sub(2);
    if let Some(notice) = &app.notice {
        let mark = if notice.bad { "! " } else { "" };
        return message(painter, rect, &safe!("{mark}{}", notice.text));
    }
    if app.bar.edit.is_some() {
        if let Some(verdict @ (Verdict::Invalid(..) | Verdict::Doubtful(_))) = &app.bar.verdict {
            return message(painter, rect, &sentence(verdict));
        }
        painter.row(x, rect.y, room, &while_typing());
        return;
    }
    if !app.pending.is_empty() || app.count.is_some() {
        let count = app.count.map_or_else(String::new, |count| format!("# {count} "));
        let keys: String = app.pending.iter().map(ToString::to_string).collect();
        let keys = format!("{count}{keys}");
        painter.text(x, rect.y, room, &safe!("{keys} ..."), Role::BarStrong);
        return;
    }
    let help = ways_on(app, rect.width);
    let used = u16::try_from(help.width()).unwrap_or(0);
    let mut left = usize::from(room.saturating_sub(used + 2));
    let mut at = x;
    for (actions, label) in keys::hints(app.screen) {
        let names: Vec<String> = actions.iter().map(|a| key_of(app, *a).into_string()).collect();
        let hint = Row::new()
            .add(&safe!("{}", names.join(" ")), Role::BarStrong)
            .add(&safe!(" {label}   "), Role::Bar);
        if hint.width().saturating_sub(3) > left {
            break;
        }
        at += painter.row(at, rect.y, room, &hint);
        left = left.saturating_sub(hint.width());
    }
    painter.row(rect.right().saturating_sub(used + 1), rect.y, used, &help);
}

/// A message in full: what does not fit into the footer takes rows above it.
fn message(painter: &mut Painter<'_>, rect: Rect, text: &Safe) {
    let columns = usize::from(rect.width.saturating_sub(2));
    let rows = wrapped(text.as_str(), columns).take(MESSAGE_ROWS).count();
    let above = u16::try_from(rows.saturating_sub(1)).unwrap_or(0).min(rect.y);
    let area = Rect { y: rect.y - above, height: above + 1, ..rect };
    for y in area.top()..area.bottom() {
        painter.text(area.x, y, area.width, &safe!("{:1$}", "", usize::from(area.width)), Role::Bar);
    }
    painter.ground(area, Role::Bar);
    painter.wrapped(
        Rect { x: rect.x + 1, width: rect.width.saturating_sub(2), ..area },
        text,
        Role::BarStrong,
    );
}

/// Rows that a message takes at most.
const MESSAGE_ROWS: usize = 4;

/// What the keys do now.
fn while_typing() -> Row {
    let keys = [("Enter", "applies"), ("Esc", "cancels"), ("Tab", "completes"), ("Up Down", "choose")];
    let mut row = Row::new();
    for (key, what) in keys {
        row.push(key, Role::BarStrong);
        row.push(&safe!(" {what}   "), Role::Bar);
    }
    row
}

/// What leads everywhere: the help; where no row of screens says it, the palette and the screens too.
fn ways_on(app: &App, columns: u16) -> Row {
    let mut row = Row::new();
    let tabs = app.plan().rect(crate::tui::layout::Pane::Tabs).is_some();
    if !tabs && columns >= 80 {
        let (first, last) = (key_of(app, Action::GoHealth), key_of(app, Action::GoFindings));
        row.push(&safe!("{first}-{last}"), Role::BarStrong);
        row.push(" screens  ", Role::Bar);
    }
    if columns >= 60 && !(tabs && tabs_have_hints(app, columns)) {
        row.push(&key_of(app, Action::Palette), Role::BarStrong);
        row.push(" actions  ", Role::Bar);
    }
    row.add(&key_of(app, Action::Help), Role::BarStrong).add(" keys", Role::Bar)
}

fn key_of(app: &App, action: Action) -> Safe {
    app.keymap.ways(app.screen, action).next().map_or_else(Safe::default, keys::Binding::shown)
}
