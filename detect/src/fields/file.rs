//! `file.*`: the files that an event touches, and what became of each in the container's whole life. Ours.

use afterimage_format::{BootNanos, EventCode, FieldTag, layout};
use afterimage_model::syscalls::ArgKind;

use super::{family, path};
use crate::{
    context::EventContext,
    facts::{Descriptor, DescriptorKind},
    value::Value,
    whole::Fate,
};

family! {
    /// Files.
    File as File {
        Path = "file.path", Text, Sides, Never:
            "Every file or directory that the event touches: what its descriptors are open on, what it executes (of a script \
             the interpreter and the script) and what its paths name, both of a rename, a link or a copy. The kernel's path \
             where it told one, else the claimed one made absolute. Files in memory are none here. Ours.";
        Ext = "file.ext", Text, Sides, Never:
            "What follows the last dot of the name in `file.path`; of `.profile` and `a.` nothing. Ours.";
        Written = "file.written", Bool, Sides, Never:
            "Whether bytes were written to the file, or it was mapped so that writes to memory reach it, at any time of the \
             container's life that the recording has, under whatever name; of each where the event touches several. Filters, \
             `hunt` and the TUI know it; a recorder's rules do not. Ours.";
        Executed = "file.executed", Bool, Sides, Never:
            "The same of whether it was executed, by itself or as a script, or mapped to be executed, as libraries are. Ours.";
        Deleted = "file.deleted", Bool, Sides, Never:
            "The same of whether it, or one of its names, was removed. Ours.";
        Sha256 = "file.sha256", Text, Sides, Never:
            "SHA-256 in small letters of the bytes that the file had when it was executed, where it is not of the container's \
             image and could be read then. What was executed from memory is no file: `proc.exe_sha256` has its hash. Known \
             where `file.written` is. Ours.";
    }
}

/// A file that an event touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Its path, as the container sees it.
    pub(crate) path: Vec<u8>,
    /// When that path was the file's for certain: of an open file when it was opened.
    pub(crate) then: BootNanos,
}

/// What stands before a relative path whose directory is not known.
const UNKNOWN: &[u8] = b"<UNKNOWN>/";
/// Arguments that are recorded like paths and are names of something else.
const NAMES: [&str; 7] = ["cmdline", "description", "fsname", "key", "name", "param_values", "type"];

pub(super) fn get<'c>(field: File, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let touched = cx.touched();
    let fates = || touched.iter().filter_map(|file| fate(cx, file));
    let values: Vec<Value<'c>> = match field {
        File::Path => touched.iter().map(|file| Value::text(&file.path)).collect(),
        File::Ext => touched.iter().filter_map(|file| extension(&file.path)).map(Value::text).collect(),
        File::Written => fates().map(|fate| Value::Bool(fate.written)).collect(),
        File::Executed => fates().map(|fate| Value::Bool(fate.executed)).collect(),
        File::Deleted => fates().map(|fate| Value::Bool(fate.deleted)).collect(),
        File::Sha256 => {
            fates().flat_map(|fate| &fate.sha256).map(|hash| Value::text(hash.as_bytes())).collect()
        }
    };
    (!values.is_empty()).then_some(Value::Many(values))
}

fn fate<'c>(cx: &'c EventContext<'_>, file: &Touched) -> Option<&'c Fate> {
    let files = cx.frame().whole.get(&cx.container())?.files()?;
    files.fate(file.path.strip_prefix(UNKNOWN).unwrap_or(&file.path), file.then)
}

/// What follows the last dot of the last part.
fn extension(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|b| *b == b'/').next()?;
    let dot = name.iter().rposition(|b| *b == b'.').filter(|at| *at > 0)?;
    name.get(dot + 1..).filter(|rest| !rest.is_empty())
}

/// The files that an event touches, each once.
pub(crate) fn touched(cx: &EventContext<'_>) -> Vec<Touched> {
    let mut all: Vec<Touched> = Vec::new();
    let (event, now) = (cx.event(), cx.event().time);
    let mut add = |path: Option<Vec<u8>>, then: BootNanos| {
        let path = path.filter(|path| path.starts_with(b"/") || path.starts_with(UNKNOWN));
        if let Some(path) = path.filter(|path| all.iter().all(|known| known.path != *path)) {
            all.push(Touched { path, then });
        }
    };
    match event.code {
        EventCode::EXEC => {
            let image = cx.process().and_then(|process| process.exe_path);
            add(image.or(event.bytes(FieldTag::KPATH)).map(<[u8]>::to_vec), now);
            let flags = event.number(layout::exec::EXE_FLAGS).unwrap_or(0);
            if flags & layout::exec::EXE_SCRIPT != 0 {
                add(path::claimed(cx, FieldTag::FILENAME), now);
            }
        }
        EventCode::ARTIFACT => add(event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec), now),
        EventCode::URING_SUBMIT | EventCode::URING_COMPLETE => {
            let told = event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec);
            let is_named = event.field(FieldTag::PATH).is_some();
            add(told.or_else(|| path::first(cx)), now);
            add(path::second(cx), now);
            let fd = event
                .number(layout::uring::FD)
                .filter(|_| !is_named && event.code == EventCode::URING_SUBMIT);
            if let Some((path, then)) = fd.and_then(|fd| opened(cx, i32::try_from(fd).ok()?)) {
                add(Some(path), then);
            }
        }
        _ if event.code.as_syscall().is_some() => of_call(cx, &mut add),
        _ => {
            let fd = cx.fd_number().and_then(|fd| opened(cx, fd));
            fd.into_iter().for_each(|(path, then)| add(Some(path), then));
        }
    }
    all
}

/// The files of a system call's arguments and of its result.
fn of_call(cx: &EventContext<'_>, add: &mut dyn FnMut(Option<Vec<u8>>, BootNanos)) {
    let (event, now) = (cx.event(), cx.event().time);
    let is_open = (cx.shape().opens || cx.shape().name == "creat") && event.ret >= 0;
    if is_open {
        add(cx.descriptor().and_then(|own| own.path).map(<[u8]>::to_vec).or_else(|| path::first(cx)), now);
        return;
    }
    let Some(signature) = cx.shape().signature else { return };
    let names_nothing = event.bytes(FieldTag::PATH).is_none_or(<[u8]>::is_empty);
    for (at, arg) in signature.args.iter().enumerate() {
        match arg.kind {
            ArgKind::Fd => {}
            // `AT_EMPTY_PATH`: the call is about what the descriptor is open on.
            ArgKind::Dirfd if names_nothing => {}
            _ => continue,
        }
        if let Some((path, then)) = cx.register_i32(at).and_then(|fd| opened(cx, fd)) {
            add(Some(path), then);
        }
    }
    let named =
        |kind: ArgKind| signature.args.iter().any(|arg| arg.kind == kind && !NAMES.contains(&arg.name));
    // What a symbolic link says is a text, and need not be a file.
    let is_symlink = cx.shape().name.starts_with("symlink");
    if !names_nothing && named(ArgKind::Path) && !is_symlink {
        add(event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec).or_else(|| path::first(cx)), now);
    }
    if named(ArgKind::Path2) {
        add(path::second(cx), now);
    }
}

/// What a descriptor of the event's process is open on, where that is a file, and when it was opened.
fn opened(cx: &EventContext<'_>, fd: i32) -> Option<(Vec<u8>, BootNanos)> {
    let is_file = |own: &Descriptor<'_>| matches!(own.kind, DescriptorKind::File | DescriptorKind::Directory);
    let known = cx.facts().descriptor(cx.task(), fd).filter(is_file)?;
    Some((known.path?.to_vec(), known.opened.unwrap_or(cx.event().time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_what_follows_the_last_dot_of_a_name() {
        for (path, ext) in [
            ("/srv/a.tar.gz", Some("gz")),
            ("/srv/.profile", None),
            ("/srv.d/a", None),
            ("/srv/a.", None),
            ("/srv/.x.sh", Some("sh")),
        ] {
            assert_eq!(extension(path.as_bytes()), ext.map(str::as_bytes), "{path}");
        }
    }
}
