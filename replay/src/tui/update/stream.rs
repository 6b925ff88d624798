//! Actions on the stream: whose it is, where in it one is.

use afterimage_format::ContainerUid;
use afterimage_model::{
    findings::Severity,
    net::Direction,
    text::{Safe, escape},
};

use super::{Effect, go};
use crate::tui::{
    app::{App, Popup},
    evidence::Evidence,
    feed::{Heading, Request, StreamKey, StreamList, StreamRow},
    layout::Pane,
    menu::{Choice, Menu},
    moment::since,
    player::{Motion, Playhead},
    screen::Screen,
    scroll::Scroll,
    stream::{Piece, Stream, Target},
    text::{bytes, counted, safe},
};

/// Goes to the stream of what is selected: a conversation, a process, else the process of the playhead.
pub(super) fn follow(app: &mut App) {
    let target = match app.screen {
        Screen::Net => app.selected_conversation().and_then(|talk| {
            let local = (talk.direction == Direction::In).then(|| talk.local.clone()).flatten();
            Some(Target::Peer(talk.peer.clone()?, local))
        }),
        Screen::Tree => app.selected_process().map(|row| Target::Process(row.key())),
        Screen::Replay if app.focus() == Pane::Tree => app
            .opened
            .as_ref()
            .and_then(|o| o.tree_rows().get(o.tree.cursor).map(|row| Target::Process(row.key()))),
        Screen::Findings => app.selected_finding().and_then(|row| process(app, row.pid)),
        _ => None,
    };
    let is_of_container = app.screen == Screen::Containers;
    if let Some(opened) = &mut app.opened {
        opened.telling = is_of_container;
    }
    let target = target.or_else(|| by_itself(app));
    show(app, target);
}

/// Goes to a stream that was chosen.
pub(super) fn turn_to(app: &mut App, target: Target) {
    show(app, Some(target));
}

/// Goes to the stream of a target, else to the one that is followed.
fn show(app: &mut App, target: Option<Target>) {
    let Some(opened) = &mut app.opened else {
        app.complain(safe!("no container to open"));
        return;
    };
    if target.is_some() && opened.target != target {
        opened.target = target;
        opened.lines = Default::default();
        app.hex_chosen = None;
    }
    opened.stream.try_again();
    go(app, Screen::Follow);
}

/// Asks which streams there are.
pub(super) fn ask(app: &mut App) {
    let Some(uid) = app.opened.as_ref().map(|opened| opened.uid) else { return };
    app.questions.push(Request::Streams(uid));
    app.say(safe!("reading which streams there are"));
}

/// Which streams there are came: they are offered where nothing else has begun since.
pub(super) fn offer(app: &mut App, uid: ContainerUid, list: &StreamList) {
    let Some(opened) = app.opened.as_ref().filter(|opened| opened.uid == uid) else { return };
    if app.popup.is_some() || app.bar.edit.is_some() || !app.screen.needs_container() {
        return;
    }
    let origin = opened.origin;
    let choice = |row: &StreamRow| {
        let (read, wrote) = row.bytes;
        let text = safe!(
            "{:>9} in {:>9} out {:>9}  {:<19}  {}",
            bytes(read).as_str(),
            bytes(wrote).as_str(),
            since(row.first, origin).as_str(),
            row.label.as_str(),
            row.by
        );
        (text, Choice::Follow(Target::Numbered(row.number, row.label.clone())))
    };
    let rows: Vec<_> = list.rows.iter().map(choice).collect();
    if rows.is_empty() {
        app.complain(safe!("nothing went through a stream of this container that was recorded"));
        return;
    }
    app.notice = None;
    if list.left_out > 0 {
        app.complain(safe!("{} more did not fit into memory", counted(list.left_out as u64, "stream")));
    }
    let followed = |(_, choice): &(Safe, Choice)| matches!(choice, Choice::Follow(target) if opened_target(app) == Some(target));
    let cursor = rows.iter().position(followed).unwrap_or(0);
    let menu =
        Menu { title: "streams", opener: Some('O'), rows, scroll: Scroll { cursor, ..Scroll::default() } };
    app.popup = Some(Popup::Menu(menu));
}

fn opened_target(app: &App) -> Option<&Target> {
    app.opened.as_ref()?.target.as_ref()
}

/// Whose stream it is, where no other is followed yet: of a container the one that tells most, else that of the process of
/// the playhead.
fn by_itself(app: &App) -> Option<Target> {
    let opened = app.opened.as_ref()?;
    if opened.target.is_some() {
        return None;
    }
    let at_playhead = || process(app, opened.moment.value().filter(|_| !opened.is_behind())?.pid?);
    match telling(app) {
        Some(found) if opened.telling => Some(found),
        _ => at_playhead(),
    }
}

/// The process at whose other end somebody sat: a shell on a connection, else what has a terminal.
fn telling(app: &App) -> Option<Target> {
    /// What findings call a shell whose input is a connection.
    const SHELL: &str = "T1059.004";
    let story = app.story()?;
    let tree = &story.whole.as_ref()?.tree;
    let shells =
        story.rows.iter().filter(|row| row.severity == Severity::Critical && row.tag.as_str() == SHELL);
    let shell = shells.min_by_key(|row| row.time).and_then(|row| process(app, row.pid));
    // The first that has it: all that it started is in its stream.
    let on_terminal = || tree.iter().find(|row| row.has_tty()).map(|row| Target::Process(row.key()));
    shell.or_else(on_terminal)
}

fn process(app: &App, pid: u32) -> Option<Target> {
    let tree = &app.story()?.whole.as_ref()?.tree;
    tree.iter().rev().find(|row| row.pid == pid).map(|row| Target::Process(row.key()))
}

/// Moves by lines; the playhead goes with the cursor.
pub(super) fn step(app: &mut App, by: isize, height: usize) {
    let Some(opened) = &mut app.opened else { return };
    opened.player.motion = Motion::Paused;
    let len = opened.lines.lines.len();
    opened.lines.scroll.step(by, len, height);
    let line = opened.lines.lines.get(opened.lines.scroll.cursor).copied();
    let piece = line.and_then(|line| opened.stream()?.pieces.get(line.piece).map(|piece| piece.id));
    if let Some(id) = piece {
        opened.move_to(Playhead::at_event(id));
        opened.lines.at = Some(id.time);
    }
}

/// Goes to the next or previous line that has a text, so many times; what was found is told.
pub(super) fn next_match(app: &mut App, heading: Heading, text: &str, times: usize) {
    let height = app.rows_in(Pane::Stream);
    let Some(opened) = &app.opened else { return };
    let Some(stream) = opened.stream() else { return };
    let found = stream.lines_with(&opened.lines.lines, text);
    let here = opened.lines.scroll.cursor;
    let to = match heading {
        Heading::Forward => found.iter().filter(|at| **at > here).take(times).last(),
        Heading::Backward => found.iter().rev().filter(|at| **at < here).take(times).last(),
    };
    let reading = if stream.reading.is_some() { " so far" } else { "" };
    let shown = escape(text.as_bytes());
    let Some(to) = to.copied() else {
        let when = if heading == Heading::Forward { "later" } else { "earlier" };
        let total = counted(found.len() as u64, "line");
        app.say(safe!(
            "no {when} line of this stream has {shown}: {total} in all{reading}; Replay (2) finds events"
        ));
        return;
    };
    let number = found.partition_point(|at| *at < to) + 1;
    let total = found.len();
    step(app, to as isize - here as isize, height);
    app.say(safe!("line {number} of {total}{reading} in this stream with {shown}"));
}

/// Makes the lines anew where the stream, its side or the screen has changed; the cursor goes with the playhead.
pub(crate) fn arrange(app: &mut App) {
    if app.screen != Screen::Follow {
        return;
    }
    // Without a target it is found as soon as what tells of it is known.
    if let Some(target) = by_itself(app)
        && let Some(opened) = &mut app.opened
    {
        opened.target = Some(target);
        opened.lines = Default::default();
    }
    let (hex, size) = (app.stream_hex(), app.size);
    let height = app.rows_in(Pane::Stream);
    let Some(opened) = &mut app.opened else { return };
    let Some(stream) = opened.stream().cloned() else { return };
    let basis = (stream.pieces.len(), opened.side, hex, size.0);
    if opened.lines.basis != Some(basis) {
        // Time, process and arrow stand before the text, and the scroll mark behind it.
        opened.lines.lines = stream.lines(opened.side, hex, usize::from(size.0.saturating_sub(34)));
        opened.lines.basis = Some(basis);
        opened.lines.at = None;
    }
    if opened.lines.at != Some(opened.playhead.time) {
        let time = opened.playhead.time;
        let after = opened.lines.lines.partition_point(|line| stream.time(*line) <= time);
        opened.lines.scroll.go(after.saturating_sub(1), opened.lines.lines.len(), height);
        opened.lines.at = Some(time);
    }
}

/// Some of a stream came, or all of it.
pub(super) fn take(app: &mut App, key: StreamKey, stream: Stream) {
    let Some(opened) = app.opened.as_mut().filter(|opened| opened.uid == key.uid) else { return };
    let is_whole = |(got, known): (&StreamKey, &Stream)| got.target == key.target && known.reading.is_none();
    match stream.reading {
        // What was read to its end stands while more is read.
        Some(_) if opened.stream.entry().is_some_and(is_whole) => {}
        Some(_) => opened.stream.preview(key, stream),
        None => {
            opened.stream.fill(key, stream);
            opened.stream_pace.end(app.uptime);
        }
    }
}

/// The bytes of the stream, to be written: of the sides that are shown.
pub(super) fn save(app: &mut App) -> Option<Effect> {
    let opened = app.opened.as_ref()?;
    let stream = opened.stream()?;
    let (mut bytes, mut missing, mut unread) = (Vec::new(), 0, 0);
    for transfer in stream.pieces.iter().filter(|piece| opened.side.has(piece)).filter_map(Piece::transfer) {
        bytes.extend_from_slice(&transfer.bytes);
        missing += transfer.missing();
        unread += transfer.unread;
    }
    if bytes.is_empty() {
        app.complain(safe!("no byte of it was kept"));
        return None;
    }
    let lacking = match (missing, unread) {
        (0, 0) => None,
        (_, 0) => Some(safe!("{missing} bytes between them were not recorded")),
        _ => Some(safe!("{missing} bytes and {unread} messages between them were not recorded")),
    };
    Some(Effect::Save(Evidence { name: "evidence-stream".to_owned(), bytes, lacking }))
}
