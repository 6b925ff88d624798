//! `fs.path.*` and the making of absolute paths.
//!
//! Paths of calls are what the program claimed (decisions: only descriptors and execs have the kernel's own path).

use std::borrow::Cow;

use afterimage_format::FieldTag;
use afterimage_model::{paths, syscalls::ArgKind};

use super::family;
use crate::{context::EventContext, value::Value};

family! {
    /// Paths that calls act on.
    Path as Path {
        Name = "fs.path.name", Text, One, Never:
            "The path that a successful file call acts on, as claimed, made absolute.";
        Nameraw = "fs.path.nameraw", Text, One, Never: "The path that a successful file call acts on, as given.";
        Source = "fs.path.source", Text, One, Never:
            "What a successful rename, link, symlink or mount takes, as claimed, made absolute; of a mount that is no bind \
             mount what it was given, which need not be a path (`tmpfs`).";
        Sourceraw = "fs.path.sourceraw", Text, One, Never: "The same as given.";
        Target = "fs.path.target", Text, One, Never:
            "What a successful rename, link, symlink or mount makes, as claimed, made absolute. Of links Falco calls \
             the existing file the target and the new name the source, and so do we.";
        Targetraw = "fs.path.targetraw", Text, One, Never: "The same as given.";
    }
}

/// `MS_BIND` and `MS_MOVE`: only with one of them the source of a mount is a path in any case.
const MOUNTS_PATH: u64 = 4096 | 8192;
/// Where `mount` has its flags.
const MOUNT_FLAGS: usize = 3;
/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

pub(super) fn get<'c>(field: Path, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    if cx.event().code.as_syscall().is_none() || cx.event().ret < 0 {
        return None;
    }
    let pair = matches!(
        cx.shape().name,
        "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink" | "symlinkat" | "mount"
    );
    let links = cx.shape().name.contains("link");
    // Links name the existing file first, yet it is their target.
    let tag_of = |wants_source: bool| if wants_source == links { FieldTag::PATH2 } else { FieldTag::PATH };
    let (tag, absolute) = match field {
        Path::Name | Path::Nameraw if pair || !one_path(cx) => return None,
        Path::Name => (FieldTag::PATH, true),
        Path::Nameraw => (FieldTag::PATH, false),
        _ if !pair => return None,
        Path::Source => (tag_of(true), true),
        Path::Sourceraw => (tag_of(true), false),
        Path::Target => (tag_of(false), true),
        Path::Targetraw => (tag_of(false), false),
    };
    if absolute {
        return claimed(cx, tag).map(Value::made);
    }
    cx.event().bytes(tag).map(Value::text)
}

/// Falco's calls with one path that `fs.path.name` speaks of.
fn one_path(cx: &EventContext<'_>) -> bool {
    cx.shape().opens
        || matches!(
            cx.shape().name,
            "mkdir"
                | "mkdirat"
                | "rmdir"
                | "unlink"
                | "unlinkat"
                | "chmod"
                | "fchmodat"
                | "fchmodat2"
                | "chown"
                | "lchown"
                | "fchownat"
                | "creat"
                | "mknod"
                | "mknodat"
                | "newfstatat"
                | "umount"
                | "umount2"
                | "quotactl"
                | "truncate"
        )
}

/// The call's first path, absolute.
pub(super) fn first(cx: &EventContext<'_>) -> Option<Vec<u8>> {
    claimed(cx, FieldTag::PATH)
}

/// The call's second path, absolute.
pub(super) fn second(cx: &EventContext<'_>) -> Option<Vec<u8>> {
    claimed(cx, FieldTag::PATH2)
}

/// A claimed path made absolute with the directory that the call takes it from.
pub(super) fn claimed(cx: &EventContext<'_>, tag: FieldTag) -> Option<Vec<u8>> {
    let path = cx.event().bytes(tag)?;
    let root = cx.process().and_then(|process| process.root);
    if path.first() == Some(&b'/') {
        return Some(paths::below(root, &normal(b"", path)));
    }
    if tag == FieldTag::PATH && cx.shape().name == "mount" {
        let flags = cx.event().args.get(MOUNT_FLAGS).copied().unwrap_or(0);
        if path.is_empty() {
            return None;
        }
        if flags & MOUNTS_PATH == 0 {
            return Some(path.to_vec());
        }
    }
    let args = cx.shape().signature?.args;
    let kind = if tag == FieldTag::PATH { ArgKind::Path } else { ArgKind::Path2 };
    let at = args.iter().position(|arg| arg.kind == kind)?;
    let dirfd = at.checked_sub(1).filter(|before| args[*before].kind == ArgKind::Dirfd);
    let directory = match dirfd.and_then(|index| cx.register_i32(index)) {
        None | Some(AT_FDCWD) => cx.process().and_then(|p| p.cwd),
        Some(fd) => cx.facts().descriptor(cx.task(), fd).and_then(|d| d.path),
    };
    Some(match (directory, root) {
        (None, _) => normal(b"<UNKNOWN>", path),
        (Some(directory), None) => normal(directory, path),
        (base, root) => paths::join_in(root, base, path),
    })
}

/// `directory/path` without `.`, `..` and doubled slashes. Textual: links are not followed.
fn normal(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in directory.split(|b| *b == b'/').chain(path.split(|b| *b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(directory.len() + path.len() + 2);
    for part in parts {
        if !(out.is_empty() && part == b"<UNKNOWN>") {
            out.push(b'/');
        }
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// What precedes the last slash; `/` for the root and for names without one, as `fd.directory` has it.
pub(crate) fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        None | Some(0) => b"/",
        Some(at) if at + 1 == path.len() => path,
        Some(at) => &path[..at],
    }
}

/// What follows the last slash; the whole when the path ends with one.
pub(crate) fn filename(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        None => b"/",
        Some(at) if at + 1 == path.len() => path,
        Some(at) => &path[at + 1..],
    }
}

/// The path with runs of slashes as one.
pub(super) fn single_slashes(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(path);
    }
    let mut out = path.to_vec();
    out.dedup_by(|b, a| *a == b'/' && *b == b'/');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_by_their_text() {
        for (directory, path, whole) in [
            ("/home/u", "a/../.ssh/./k", "/home/u/.ssh/k"),
            ("/", "..", "/"),
            ("", "/etc//shadow", "/etc/shadow"),
            ("/a/b", "../../../../etc", "/etc"),
            ("<UNKNOWN>", "x", "<UNKNOWN>/x"),
        ] {
            assert_eq!(normal(directory.as_bytes(), path.as_bytes()), whole.as_bytes(), "{directory} {path}");
        }
        assert_eq!(&*single_slashes(b"//a///b/"), b"/a/b/");
    }

    #[test]
    fn directory_and_name_are_split_as_falco_does() {
        for (path, dir, file) in [
            ("/etc/shadow", "/etc", "shadow"),
            ("/x", "/", "x"),
            ("x", "/", "/"),
            ("/a/b/", "/a/b/", "/a/b/"),
        ] {
            assert_eq!(directory(path.as_bytes()), dir.as_bytes(), "{path}");
            assert_eq!(filename(path.as_bytes()), file.as_bytes(), "{path}");
        }
    }
}
