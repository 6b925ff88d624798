//! One event with who did it, as the finders look at it.

use afterimage_format::{Event, EventFlags, FieldTag};

use crate::{
    World, describe,
    fds::{FdInfo, Socket},
    paths,
    process::Process,
    syscalls,
    text::{self, Safe},
};

/// Calls that are about a link at the end of their path, not about what it leads to.
const ABOUT_LINKS: [&str; 11] = [
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "symlink",
    "symlinkat",
    "lchown",
    "readlink",
    "readlinkat",
];

pub(super) struct Act<'a> {
    pub(super) world: &'a World,
    pub(super) event: &'a Event<'a>,
    pub(super) process: &'a Process,
}

impl<'a> Act<'a> {
    pub(super) fn call(&self) -> &'static str {
        syscalls::base_name(self.event.code)
    }

    pub(super) fn arg(&self, at: usize) -> u64 {
        self.event.args.get(at).copied().unwrap_or(0)
    }

    pub(super) fn succeeded(&self) -> bool {
        self.event.ret >= 0
    }

    pub(super) fn fd(&self, fd: i32) -> Option<&'a FdInfo> {
        self.world.fd(self.event.task, fd)
    }

    pub(super) fn socket(&self, fd: i32) -> Option<&'a Socket> {
        self.fd(fd)?.kind.socket()
    }

    /// The path the event is about: the kernel's, else the claimed one made absolute, or what it leads to through a descriptor.
    pub(super) fn path(&self) -> Option<Vec<u8>> {
        self.world.path_of(self.event).map(|path| self.followed(path))
    }

    /// The first path as it is in the process's root, where that is known and not the container's.
    pub(super) fn inside(&self) -> Option<&'a [u8]> {
        self.process.root_of(self.event.task.tid).filter(|root| !root.is_empty())?;
        let path = self.event.bytes(FieldTag::KPATH).or_else(|| self.event.bytes(FieldTag::PATH));
        path.filter(|path| path.starts_with(b"/"))
    }

    /// The second path.
    pub(super) fn path2(&self) -> Option<Vec<u8>> {
        self.world.second_path_of(self.event).map(|path| self.followed(path))
    }

    /// `/proc/self/fd/5` is whatever that is open on.
    fn followed(&self, path: Vec<u8>) -> Vec<u8> {
        let follows = !ABOUT_LINKS.contains(&self.call());
        self.world.through_descriptor(self.event.task, &path, follows).unwrap_or(path)
    }

    /// A path of the event as it is told: with the one that was claimed, where it led elsewhere.
    pub(super) fn told(&self, path: &[u8]) -> Safe {
        let given = [self.world.path_of(self.event), self.world.second_path_of(self.event)];
        let leads = |given: &Vec<u8>| given != path && self.followed(given.clone()) == path;
        match given.into_iter().flatten().find(leads) {
            Some(given) => {
                Safe::format(format_args!("{} (claimed {})", text::escape(path), text::escape(&given)))
            }
            None => text::escape(path),
        }
    }

    /// `412 curl`: the process by its id and name.
    pub(super) fn who(&self) -> Safe {
        who(self.process)
    }

    /// `what` with the reason behind it when the call failed: `/etc/shadow (refused: EACCES)`.
    pub(super) fn with_outcome(&self, what: Safe) -> Safe {
        if self.succeeded() {
            return what;
        }
        let result = describe::result(self.event);
        if self.event.flags.contains(EventFlags::DENIED) {
            return Safe::format(format_args!("{what} ({result})"));
        }
        Safe::format(format_args!("{what} (refused: {result})"))
    }
}

/// By the id that every list has it under, which is not the one it had inside.
pub(super) fn who(process: &Process) -> Safe {
    let name = process.comm().map_or_else(Safe::default, text::escape);
    Safe::format(format_args!("{} {name}", process.key.tgid))
}

/// Names a process may be known by: of its image, of what it was called as, its `comm`.
pub(super) fn names(process: &Process) -> impl Iterator<Item = &[u8]> {
    let exec = process.exec();
    let image = exec.map(|e| paths::file_name(e.program()));
    let called = exec.and_then(|e| e.arguments().next()).map(paths::file_name);
    let called = called.map(|name| name.strip_prefix(b"-").unwrap_or(name));
    // Busybox is whichever of its programs it is told to be.
    let is_box = [image, called].into_iter().flatten().any(|name| name == b"busybox");
    let applet = exec.filter(|_| is_box).and_then(|exec| exec.arguments().nth(1));
    [image, called, applet, process.comm()].into_iter().flatten()
}

/// Whether one of a process's names is in a list.
pub(super) fn is_one_of(process: &Process, list: &[&str]) -> bool {
    names(process).any(|name| list.iter().any(|l| l.as_bytes() == name))
}

pub(super) const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh"];
pub(super) const DOWNLOADERS: [&str; 8] = ["curl", "wget", "fetch", "ftp", "tftp", "aria2c", "scp", "rsync"];
