//! Actions on screens that are lists.

use afterimage_detect::syntax::ast::Op;
use afterimage_format::BootNanos;
use afterimage_model::text::escape;

use super::{Effect, filtering, go};
use crate::{
    analysis::recovery::{LARGEST, recover},
    tui::{
        app::App,
        evidence::Evidence,
        filter::comparison,
        layout::{Pane, focusable},
        player::Playhead,
        screen::Screen,
        scroll::Scroll,
        sheets::LaneRow,
        text::{bytes, safe},
    },
};

/// Moves in the list, or in a pane about its selected row.
pub(super) fn step(app: &mut App, pane: Pane, by: isize, height: usize) {
    let acts = app.selected_file().map_or(0, |file| file.acts.len());
    let notes = app.opened.as_ref().map_or(0, |o| app.case.noted(o.uid).len());
    let place = focusable(app.screen).iter().position(|p| *p == pane);
    let Some(sheet) = app.opened.as_mut().and_then(|o| o.sheets.get_mut(&app.screen)) else { return };
    match place {
        Some(0) => {
            let before = sheet.list.cursor;
            sheet.list.step(by, sheet.order.len(), height);
            sheet.moved = true;
            if sheet.list.cursor != before {
                sheet.left = Scroll::default();
                // Notes are about the container, not about the row.
                if app.screen != Screen::Findings {
                    sheet.right = Scroll::default();
                }
            }
        }
        Some(2) if pane == Pane::Notes => sheet.right.step(by, notes, height),
        Some(1) if pane == Pane::Provenance => sheet.left.step(by, acts, height),
        Some(1) => sheet.left.roll(by, usize::MAX / 2, height),
        _ => sheet.right.roll(by, usize::MAX / 2, height),
    }
}

/// The other choice of rows.
pub(super) fn other_rows(app: &mut App) {
    if app.screen == Screen::Containers {
        app.list.whole_story = !app.list.whole_story;
        app.list.story = Scroll::default();
        return;
    }
    if let Some(sheet) = app.opened.as_mut().and_then(|o| o.sheets.get_mut(&app.screen)) {
        sheet.other = !sheet.other;
    }
}

/// Into the selected row.
pub(super) fn enter(app: &mut App) {
    match app.screen {
        Screen::Tree => {
            let Some(pid) = app.selected_process().map(|row| row.pid) else { return };
            open_in_replay(app);
            filtering::add(app, comparison("proc.pid", Op::Eq, pid.to_string().as_bytes()));
        }
        Screen::Files if app.focus() == Pane::Files => app.set_focus(Pane::Provenance),
        Screen::Timeline => zoom_to_lane(app),
        Screen::Net => super::stream::follow(app),
        Screen::Follow => go(app, Screen::Replay),
        _ => open_in_replay(app),
    }
}

/// The selected lane stays at the top, or not any more.
pub(super) fn pin(app: &mut App) {
    let name = app.whole().and_then(|whole| LaneRow::of(whole, app.sheet()?.selected()?).name());
    let (Some(name), Some(opened)) = (name, &mut app.opened) else { return };
    match opened.pinned.iter().position(|pinned| *pinned == name) {
        Some(at) => {
            opened.pinned.remove(at);
        }
        None => opened.pinned.push(name),
    }
}

/// The window shows when the selected lane was there, with a little around it; the playhead goes to its beginning.
fn zoom_to_lane(app: &mut App) {
    let span = app.whole().and_then(|whole| {
        let last = whole.until.unwrap_or(app.opened.as_ref()?.whole.1);
        LaneRow::of(whole, app.sheet()?.selected()?).span(last)
    });
    let (Some((from, to)), Some(opened)) = (span, &mut app.opened) else { return };
    let around = (to.0.saturating_sub(from.0) / 16).max(1_000_000);
    let begin = from.0.saturating_sub(around).max(opened.whole.0.0);
    let end = to.0.saturating_add(around).min(opened.whole.1.0);
    opened.arrive(Playhead::at_time(from));
    opened.window = (BootNanos(begin), BootNanos(end.max(begin + 1)));
}

/// Goes to the moment of the selected row in the replay.
pub(super) fn open_in_replay(app: &mut App) {
    let Some(to) = moment(app) else { return };
    if let Some(opened) = &mut app.opened {
        opened.arrive(to);
    }
    go(app, Screen::Replay);
}

fn moment(app: &App) -> Option<Playhead> {
    let at = |time: BootNanos| Some(Playhead::at_time(time));
    match app.screen {
        Screen::Tree => at(app.selected_process()?.began()),
        Screen::Files => {
            let file = app.selected_file()?;
            let act = file.acts.get(app.sheet()?.left.cursor).filter(|_| app.focus() == Pane::Provenance);
            at(act.map_or(file.first, |act| act.time))
        }
        Screen::Timeline => {
            let whole = app.whole()?;
            at(LaneRow::of(whole, app.sheet()?.selected()?).span(app.opened.as_ref()?.whole.1)?.0)
        }
        Screen::Net => at(app.selected_conversation()?.first),
        Screen::Findings if app.focus() == Pane::Notes => {
            let all = app.case.noted(app.opened.as_ref()?.uid);
            let entry = all.get(app.sheet()?.right.cursor)?;
            let time = Playhead::at_time(BootNanos(entry.at?));
            Some(entry.event_id().map_or(time, Playhead::at_event))
        }
        Screen::Findings => {
            let row = app.selected_finding()?;
            Some(row.id.map_or(Playhead::at_time(row.time), Playhead::at_event))
        }
        _ => None,
    }
}

/// The bytes of the selected file, to be written.
pub(super) fn save(app: &mut App) -> Option<Effect> {
    let (file, whole) = (app.selected_file()?, app.whole()?);
    let Some(found) = recover(file, &whole.images, app.has_losses(), LARGEST) else {
        let path = escape(&file.path);
        app.complain(match file.bytes_recorded {
            0 => safe!("nothing that was written to {path} was recorded"),
            some => safe!("{} written to {path} are recorded, but it was emptied after that", bytes(some)),
        });
        return None;
    };
    let name = evidence_name(afterimage_model::paths::file_name(&file.path));
    let lacking = (!found.doubts.is_empty()).then(|| safe!("{}", found.doubts.join("; ")));
    Some(Effect::Save(Evidence { name, bytes: found.bytes.into_owned(), lacking }))
}

/// A file name that is one whatever the bytes are: letters, digits, dots and dashes, never hidden.
fn evidence_name(name: &[u8]) -> String {
    let kept: String = name
        .iter()
        .take(80)
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() || b"._-".contains(byte) { char::from(*byte) } else { '_' }
            },
        )
        .collect();
    format!("evidence-{}", kept.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_has_a_harmless_name() {
        assert_eq!(evidence_name(b".x"), "evidence-x");
        assert_eq!(evidence_name(b"../../etc/passwd"), "evidence-_.._etc_passwd");
        assert_eq!(evidence_name(b"a\x1b]0;own\x07 b"), "evidence-a__0_own__b");
        assert_eq!(evidence_name(b""), "evidence-");
    }
}
