//! The paths that an event is about, as its process means them.

use afterimage_format::{Event, EventCode, FieldTag, TaskKey, layout};

use super::{World, calls};
use crate::{
    paths,
    process::Process,
    syscalls::{self, ArgKind},
};

/// So many of a process's ancestors are looked at by their id.
const MOST_ABOVE: usize = 16;
/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

impl World {
    /// The path that an event is about: the kernel's, else the claimed one made absolute.
    pub fn path_of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        match self.kernel_path_of(event) {
            Some(real) => Some(real),
            None => self.claimed(event, FieldTag::PATH, ArgKind::Path),
        }
    }

    /// The kernel's path of what an event opened or executed, from the container's root.
    pub fn kernel_path_of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        event.field(FieldTag::KPATH)?;
        match self.home_of_task(event.task) {
            Some((state, process)) => calls::kernel_path(state, process.key, event),
            None => event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec),
        }
    }

    /// The second path, claimed, made absolute.
    pub fn second_path_of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        self.claimed(event, FieldTag::PATH2, ArgKind::Path2)
    }

    /// Where an absolute path leads that goes through a descriptor of a process (`/proc/self/fd/5`, `/dev/fd/5/x`): the path of
    /// what that is open on, and what is written behind it. `None` for any other path, and where it is not known.
    ///
    /// A call that does not follow a link at the end of its path, such as `unlink`, is about the link itself: `follows` is
    /// false then.
    pub fn through_descriptor(&self, task: TaskKey, path: &[u8], follows: bool) -> Option<Vec<u8>> {
        let (process, fd, behind) = self.named_descriptor(task, path)?;
        let behind = behind.strip_prefix(b"/").unwrap_or(behind);
        if behind.is_empty() && !follows {
            return None;
        }
        let known = self.fds(process).into_iter().find(|(own, ..)| *own == fd);
        let (.., info) = known?;
        let open = info.kind.path().filter(|open| open.starts_with(b"/"))?;
        Some(if behind.is_empty() { open.to_vec() } else { paths::join(open, behind) })
    }

    /// The descriptor of the thread's own process that an absolute path is (`/proc/self/fd/5`).
    pub fn descriptor_at(&self, task: TaskKey, path: &[u8]) -> Option<i32> {
        let own = self.process_of_task(task)?.key;
        let (process, fd, behind) = self.named_descriptor(task, path)?;
        (process.key == own && behind.is_empty()).then_some(fd)
    }

    /// The process and the descriptor that a path names, and what is behind them.
    fn named_descriptor<'p>(&self, task: TaskKey, path: &'p [u8]) -> Option<(&Process, i32, &'p [u8])> {
        let own = self.process_of_task(task)?;
        let standard = [&b"/dev/stdin"[..], b"/dev/stdout", b"/dev/stderr"];
        if let Some(fd) = standard.iter().position(|name| *name == path) {
            return Some((own, i32::try_from(fd).ok()?, b""));
        }
        let (process, rest) = match path.strip_prefix(b"/dev/fd/") {
            Some(rest) => (own, rest),
            None => {
                let (whose, rest) = first_part(path.strip_prefix(b"/proc/")?);
                let rest = match rest.strip_prefix(b"task/") {
                    Some(thread) => first_part(thread).1,
                    None => rest,
                };
                (self.called(own, whose)?, rest.strip_prefix(b"fd/")?)
            }
        };
        let (fd, _) = first_part(rest);
        Some((process, number(fd)?, &rest[fd.len()..]))
    }

    /// The process that another one calls so in its `/proc`: itself or one above it. To look at all for each event would be work
    /// that a container can ask for without end.
    fn called<'w>(&'w self, own: &'w Process, name: &[u8]) -> Option<&'w Process> {
        if name == b"self" || name == b"thread-self" {
            return Some(own);
        }
        let pid = u32::try_from(number(name)?).ok()?;
        let near = std::iter::once(own).chain(self.ancestors(own).take(MOST_ABOVE));
        let mut near = near.filter(|process| process.container == own.container);
        near.find(|process| process.vpid.unwrap_or(process.key.tgid) == pid)
    }

    /// A claimed path, from the directory whose descriptor stands before it, else the working directory. Of a ring's request
    /// only the first path's directory is recorded: a second that is relative stays so.
    fn claimed(&self, event: &Event<'_>, tag: FieldTag, kind: ArgKind) -> Option<Vec<u8>> {
        let path = event.bytes(tag)?;
        if event.code == EventCode::URING_SUBMIT {
            let fd = event.number(layout::uring::FD).map(|fd| fd as i32).filter(|&fd| fd != AT_FDCWD);
            let is_known = tag == FieldTag::PATH || path.starts_with(b"/");
            return Some(if is_known { self.resolve(event.task, fd, path) } else { path.to_vec() });
        }
        Some(self.resolve(event.task, directory(event, kind), path))
    }
}

/// The directory's descriptor that an event's first or second path is relative to; `None` for the working directory.
pub(super) fn directory(event: &Event<'_>, kind: ArgKind) -> Option<i32> {
    let args = syscalls::signature(event.code).map_or(&[][..], |signature| signature.args);
    let before = args.iter().position(|arg| arg.kind == kind)?.checked_sub(1)?;
    let is_directory = args.get(before).is_some_and(|arg| arg.kind == ArgKind::Dirfd);
    let fd = event.args.get(before).filter(|_| is_directory).map(|&fd| fd as i32)?;
    Some(fd).filter(|&fd| fd != AT_FDCWD)
}

/// What is before the first slash, and what behind it.
fn first_part(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use afterimage_format::{BootNanos, ContainerUid, OwnedEvent};

    use super::*;
    use crate::testing::{Build, call, fork, open_fd, task};

    const CWD: u64 = 0xffff_ff9c;

    fn paths(event: &OwnedEvent) -> [Option<String>; 2] {
        let mut world = World::new();
        let before = [call(1, 1, "chdir", &[0], 0).with_path("/cwd"), open_fd(2, 1, 5, "/dir")];
        before.iter().for_each(|event| event.with(|event| world.apply(ContainerUid(7), event)));
        let text = |path: Option<Vec<u8>>| path.map(|path| String::from_utf8(path).unwrap());
        event.with(|event| [text(world.path_of(event)), text(world.second_path_of(event))])
    }

    #[test]
    fn each_path_is_taken_from_the_directory_before_it() {
        let two = |name: &str, args: &[u64]| {
            paths(&call(3, 1, name, args, 0).with_path("a").with_field(FieldTag::PATH2, b"b"))
        };
        let are = |one: &str, other: &str| [Some(one.to_owned()), Some(other.to_owned())];
        assert_eq!(two("rename", &[0, 0]), are("/cwd/a", "/cwd/b"));
        assert_eq!(two("renameat", &[CWD, 0, 5, 0]), are("/cwd/a", "/dir/b"));
        assert_eq!(two("linkat", &[5, 0, CWD, 0, 0]), are("/dir/a", "/cwd/b"));
        // The directory is the new name's alone.
        assert_eq!(two("symlinkat", &[0, 5, 0]), are("/cwd/a", "/dir/b"));
        let open = call(3, 1, "openat", &[CWD, 0, 0, 0], 6).with_path("a");
        assert_eq!(paths(&open), [Some("/cwd/a".to_owned()), None]);
        assert_eq!(paths(&open.with_kpath("/real"))[0].as_deref(), Some("/real"));
    }

    #[test]
    fn a_path_through_a_descriptor_leads_to_what_is_open() {
        let mut world = World::new();
        let events = [
            call(1, 1, "getpid", &[], 1),
            open_fd(2, 1, 5, "/dir"),
            call(3, 1, "memfd_create", &[0, 0], 6).with_path("x"),
            fork(4, 1, 2),
            open_fd(5, 2, 7, "/other"),
        ];
        events.iter().for_each(|event| event.with(|event| world.apply(ContainerUid(7), event)));
        let leads_from = |pid: u32, path: &str, follows: bool| {
            let found = world.through_descriptor(task(pid), path.as_bytes(), follows);
            found.map(|path| String::from_utf8(path).unwrap())
        };
        let leads = |path: &str, follows: bool| leads_from(1, path, follows);
        for (path, to) in [
            ("/proc/self/fd/5", Some("/dir")),
            ("/proc/thread-self/fd/5", Some("/dir")),
            ("/proc/self/task/1/fd/5/a/../b", Some("/dir/b")),
            ("/proc/1/fd/5", Some("/dir")),
            ("/dev/fd/5/x", Some("/dir/x")),
            // Nothing is known of it, it has no path, it names no descriptor.
            ("/proc/self/fd/7", None),
            ("/proc/77/fd/5", None),
            ("/proc/self/fd/6", None),
            ("/dev/stdin", None),
            ("/proc/self/fd/5x", None),
            ("/proc/self/fd/", None),
            ("/proc/self/fd/99999999999", None),
            ("/proc/self/fdinfo/5", None),
            ("/procs/self/fd/5", None),
            ("proc/self/fd/5", None),
        ] {
            assert_eq!(leads(path, true).as_deref(), to, "{path}");
        }
        assert_eq!(leads_from(2, "/proc/1/fd/5", true).as_deref(), Some("/dir"));
        assert_eq!(leads_from(2, "/proc/2/fd/7", true).as_deref(), Some("/other"));
        assert_eq!(leads_from(1, "/proc/2/fd/7", true), None, "of one below it is not asked");
        // What is removed is the link, or what lies in the directory.
        assert_eq!(leads("/proc/self/fd/5", false), None);
        assert_eq!(leads("/proc/self/fd/5/x", false).as_deref(), Some("/dir/x"));
    }

    #[test]
    fn a_request_of_a_ring_tells_one_directory() {
        let request = OwnedEvent {
            code: EventCode::URING_SUBMIT,
            time: BootNanos(3),
            ..call(3, 1, "getpid", &[35, 1, 5], 0).with_path("a").with_field(FieldTag::PATH2, b"b")
        };
        assert_eq!(paths(&request), [Some("/dir/a".to_owned()), Some("b".to_owned())]);
    }
}
