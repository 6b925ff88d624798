//! Files opened, written, made executable, deleted.

use afterimage_format::{EventCode, FieldTag, layout};

use super::{
    MOST_REMEMBERED, Memory, Seen, Severity, Written,
    act::{Act, DOWNLOADERS, is_one_of},
    places,
};
use crate::{fds::FdKind, symbols, text, text::Safe};

const ACCESS_MODE: u64 = 3;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;
const O_TMPFILE: u64 = 0o20_000_000;
const O_DIRECTORY: u64 = 0o200_000;
const RENAME_EXCHANGE: u64 = 2;
const SETUID_SETGID: u64 = 0o6000;
const EXECUTE: u64 = 0o111;
const EACCES: i64 = -13;
const EPERM: i64 = -1;

pub(super) fn look(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    match act.call() {
        "open" => opened(act, memory, act.arg(1)),
        "openat" => opened(act, memory, act.arg(2)),
        "openat2" => opened(act, memory, crate::class::open_how_flags(act.event).unwrap_or(0)),
        "creat" => opened(act, memory, 0o1101),
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => {
            written(act, memory, act.arg(0) as i32);
            None
        }
        "sendfile" | "sendfile64" => {
            written(act, memory, act.arg(0) as i32);
            None
        }
        "splice" | "copy_file_range" => {
            written(act, memory, act.arg(2) as i32);
            None
        }
        "close" => closed(act, memory),
        "chmod" => mode_changed(act, memory, act.path(), act.arg(1)),
        "fchmod" => {
            let path = act.fd(act.arg(0) as i32).and_then(|info| info.kind.path()).map(<[u8]>::to_vec);
            mode_changed(act, memory, path, act.arg(1))
        }
        "fchmodat" | "fchmodat2" => mode_changed(act, memory, act.path(), act.arg(2)),
        "rename" | "renameat" | "renameat2" => renamed(act, memory),
        "link" | "linkat" => linked(act, memory),
        "unlink" | "unlinkat" => deleted(act, memory),
        "truncate" if act.succeeded() => {
            let path = act.path()?;
            places::is_trace(&path).then(|| about(act, Severity::Warning, "log emptied", "T1070.002", &path))
        }
        _ => None,
    }
}

/// The same acts through an io_uring. A request is not its success, but nobody asks in vain to remove traces.
pub(super) fn ring(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    let operation = symbols::URING_OP.name_of(act.event.number(layout::uring::OPCODE)?)?;
    match (act.event.code, operation) {
        // The completion has the path that was really opened.
        (EventCode::URING_COMPLETE, "IORING_OP_OPENAT" | "IORING_OP_OPENAT2") => {
            let path = act.world.kernel_path_of(act.event)?;
            let place = places::secret(&path).or_else(|| places::opened(&path))?;
            Some(about(act, place.severity, place.title, place.attack, &path))
        }
        (EventCode::URING_SUBMIT, "IORING_OP_RENAMEAT") => renamed(act, memory),
        (EventCode::URING_SUBMIT, "IORING_OP_UNLINKAT") => {
            let dirfd = act.event.number(layout::uring::FD).map(|fd| fd as i32).filter(|&fd| fd >= 0);
            let path = act.world.resolve(act.event.task, dirfd, act.event.bytes(FieldTag::PATH)?);
            removed(act, memory, &path)
        }
        _ => None,
    }
}

/// `path by 412 sh`.
fn about(act: &Act<'_>, severity: Severity, title: &'static str, attack: &'static str, path: &[u8]) -> Seen {
    let detail = Safe::format(format_args!("{} by {}", act.told(path), act.who()));
    Seen::new(severity, title, attack, act.with_outcome(detail))
}

fn opened(act: &Act<'_>, memory: &mut Memory, flags: u64) -> Option<Seen> {
    let refused = matches!(act.event.ret, EACCES | EPERM);
    if !act.succeeded() && !refused {
        return None;
    }
    let path = act.path()?;
    let writes = flags & ACCESS_MODE != 0 || flags & (O_CREAT | O_TRUNC) != 0;
    if writes && act.succeeded() {
        note_open(act, memory, &path, flags);
        if flags & O_TRUNC != 0
            && places::is_trace(&path)
            && memory.written_at(&path).is_none_or(|w| w.bytes == 0)
        {
            return Some(about(act, Severity::Notice, "log emptied", "T1070.002", &path));
        }
    }
    // Listing a directory of secrets reads none of them.
    if flags & O_DIRECTORY != 0 {
        return None;
    }
    let find = |path: &[u8]| {
        let place = if writes { places::changed(path) } else { places::secret(path) };
        place.or_else(|| places::opened(path))
    };
    let (place, inside) = match find(&path) {
        Some(place) => (place, None),
        // Mostly a copy in a root of its own; but the name of that root may be a link to the container's.
        None => act.inside().and_then(|inside| Some((find(inside)?, Some(inside))))?,
    };
    let severity = if refused || inside.is_some() { Severity::Notice } else { place.severity };
    let Some(inside) = inside else { return Some(about(act, severity, place.title, place.attack, &path)) };
    let (told, inside) = (act.told(&path), text::escape(inside));
    let detail = Safe::format(format_args!("{told} ({inside} in its root) by {}", act.who()));
    Some(Seen::new(severity, place.title, place.attack, act.with_outcome(detail)))
}

/// Remembers that a file was opened to be written.
fn note_open(act: &Act<'_>, memory: &mut Memory, path: &[u8], flags: u64) {
    if let Some(known) = memory.written.get_mut(path).filter(|known| !known.gone) {
        if flags & O_TRUNC != 0 {
            (known.by, known.name, known.emptied) = (act.process.key, act.who(), known.bytes);
        }
        return;
    }
    // A file of that name may have been there: only these say that it may be new.
    remember(act, memory, path, flags & (O_CREAT | O_TMPFILE) != 0, 0);
}

/// Remembers that `bytes` were written to a file.
fn note_write(act: &Act<'_>, memory: &mut Memory, path: &[u8], bytes: u64) {
    match memory.written.get_mut(path) {
        Some(known) => known.bytes = known.bytes.saturating_add(bytes),
        None => remember(act, memory, path, false, bytes),
    }
}

fn remember(act: &Act<'_>, memory: &mut Memory, path: &[u8], created: bool, bytes: u64) {
    if memory.written.len() >= MOST_REMEMBERED && !memory.written.contains_key(path) {
        memory.dropped += 1;
        return;
    }
    let (by, name) = (act.process.key, act.who());
    memory.written.insert(path.to_vec(), Written { by, name, created, bytes, emptied: 0, gone: false });
}

fn written(act: &Act<'_>, memory: &mut Memory, fd: i32) {
    let Ok(bytes) = u64::try_from(act.event.ret) else { return };
    let Some(FdKind::File { path, .. }) = act.fd(fd).map(|info| &info.kind) else { return };
    if path.starts_with(b"/dev/") || path.starts_with(b"/proc/") {
        return;
    }
    note_write(act, memory, path, bytes);
    let key = (act.process.key, fd);
    if memory.writing.len() < MOST_REMEMBERED || memory.writing.contains_key(&key) {
        memory.writing.insert(key, path.clone());
    }
}

/// A downloader has written a file.
fn closed(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    let path = memory.writing.remove(&(act.process.key, act.arg(0) as i32))?;
    downloaded(act, memory, &path)
}

/// One that ends has closed what it wrote. Of several files one is told.
pub(super) fn ended(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    if memory.writing.is_empty() || act.process.is_running() {
        return None;
    }
    let own = (act.process.key, i32::MIN)..=(act.process.key, i32::MAX);
    let mut paths: Vec<Vec<u8>> = memory.writing.extract_if(own, |_, _| true).map(|(_, path)| path).collect();
    paths.sort();
    paths.iter().find_map(|path| downloaded(act, memory, path))
}

fn downloaded(act: &Act<'_>, memory: &Memory, path: &[u8]) -> Option<Seen> {
    let written = memory.written_at(path)?;
    let downloaded = is_one_of(act.process, &DOWNLOADERS) && written.by == act.process.key;
    downloaded.then(|| {
        let detail =
            Safe::format(format_args!("{}, {} B, by {}", text::escape(path), written.content(), act.who()));
        Seen::new(Severity::Notice, "file downloaded", "T1105", detail)
    })
}

fn mode_changed(act: &Act<'_>, memory: &Memory, path: Option<Vec<u8>>, mode: u64) -> Option<Seen> {
    let path = path.filter(|_| act.succeeded())?;
    if mode & SETUID_SETGID != 0 && mode & EXECUTE != 0 {
        return Some(about(act, Severity::Critical, "set-user-id program made", "T1548.001", &path));
    }
    if mode & EXECUTE == 0 {
        return None;
    }
    let title = "file made executable";
    let severity = if memory.written_at(&path).is_some() { Severity::Warning } else { Severity::Notice };
    Some(about(act, severity, title, "T1222.002", &path))
}

fn renamed(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    if !act.succeeded() {
        return None;
    }
    let (from, to) = (act.path()?, act.path2()?);
    if act.call() == "renameat2" && act.arg(4) & RENAME_EXCHANGE != 0 {
        memory.exchange(&from, &to);
    } else {
        memory.rename(&from, &to);
    }
    let place = places::changed(&to)?;
    Some(about(act, place.severity, place.title, place.attack, &to))
}

/// A file has one more name: one that was written is remembered by it too. Of a secret that is told, since what is read by the
/// new name does not look like one.
fn linked(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    if !act.succeeded() {
        return None;
    }
    let from = link_source(act)?;
    if let Some(to) = act.path2() {
        remember_name(memory, &from, to);
    }
    let place = places::secret(&from)?;
    Some(about(act, place.severity, "secret linked", place.attack, &from))
}

/// The file that gets a name: one that is open, where the call names none.
fn link_source(act: &Act<'_>) -> Option<Vec<u8>> {
    const AT_EMPTY_PATH: u64 = 0x1000;
    let of_descriptor = act.call() == "linkat" && act.arg(4) & AT_EMPTY_PATH != 0;
    let is_named = act.event.bytes(FieldTag::PATH).is_some_and(|path| !path.is_empty());
    if !of_descriptor || is_named {
        return act.path();
    }
    act.fd(act.arg(0) as i32).and_then(|info| info.kind.path()).map(<[u8]>::to_vec)
}

/// A file that was written has one more name.
fn remember_name(memory: &mut Memory, from: &[u8], to: Vec<u8>) {
    let Some(written) = memory.written.get(from).cloned() else { return };
    if memory.written.len() >= MOST_REMEMBERED {
        memory.dropped += 1;
        return;
    }
    memory.written.insert(to, Written { gone: false, ..written });
}

fn deleted(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    if !act.succeeded() {
        return None;
    }
    let path = act.path()?;
    let seen = removed(act, memory, &path);
    memory.lose_name(&path);
    seen
}

fn removed(act: &Act<'_>, memory: &Memory, path: &[u8]) -> Option<Seen> {
    if memory.executed.contains_key(path) {
        return Some(about(act, Severity::Warning, "executed program deleted", "T1070.004", path));
    }
    let title = "log or history deleted";
    places::is_trace(path).then(|| about(act, Severity::Warning, title, "T1070.002", path))
}
