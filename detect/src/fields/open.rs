//! `evt.is_open_*`: what a path was opened for.

use afterimage_format::FieldTag;

use super::evt::Evt;
use crate::context::EventContext;

const ACCESS_MODE: u64 = 3;
const WRITE_ONLY: u64 = 1;
const READ_WRITE: u64 = 2;
const CREATE: u64 = 0o100;
const EXCLUSIVE: u64 = 0o200;
/// `O_TMPFILE` without the `O_DIRECTORY` that its constant includes.
const TEMPORARY: u64 = 0o20_000_000;
const ANY_EXECUTE: u64 = 0o111;

/// Flags and mode of a call that opens a path.
pub(super) fn flags_and_mode(cx: &EventContext<'_>) -> Option<(u64, u64)> {
    let event = cx.event();
    let arg = |index: usize| event.args.get(index).map(|value| value & 0xffff_ffff);
    match cx.shape().name {
        "open" => Some((arg(1)?, arg(2).unwrap_or(0))),
        "openat" => Some((arg(2)?, arg(3).unwrap_or(0))),
        "open_by_handle_at" => Some((arg(2)?, 0)),
        "openat2" => {
            // struct open_how: flags, mode, resolve.
            let how = event.bytes(FieldTag::DATA)?;
            let word = |at: usize| how.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
            Some((word(0)?, word(8).unwrap_or(0)))
        }
        _ => None,
    }
}

/// Whether an open with these flags can make a file: else it has no mode.
pub(super) fn makes_file(flags: u64) -> bool {
    flags & (CREATE | TEMPORARY) != 0
}

pub(super) fn is_open(field: Evt, cx: &EventContext<'_>) -> bool {
    let event = cx.event();
    if !cx.shape().opens {
        let mode = || event.args.get(1).is_some_and(|mode| mode & ANY_EXECUTE != 0);
        return field == Evt::IsOpenExec && cx.shape().name == "creat" && mode();
    }
    let Some((flags, mode)) = flags_and_mode(cx) else { return false };
    let access = flags & ACCESS_MODE;
    match field {
        Evt::IsOpenRead => access != WRITE_ONLY,
        Evt::IsOpenWrite => access == WRITE_ONLY || access == READ_WRITE,
        Evt::IsOpenCreate => {
            let made = flags & TEMPORARY != 0 || flags & CREATE != 0 && flags & EXCLUSIVE != 0;
            event.ret >= 0 && made
        }
        _ => makes_file(flags) && mode & ANY_EXECUTE != 0,
    }
}
