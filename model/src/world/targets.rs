//! The paths that an event is about, as its process means them.

use afterimage_format::{Event, EventCode, FieldTag, layout};

use super::World;
use crate::syscalls::{self, ArgKind};

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

impl World {
    /// The path that an event is about: the kernel's, else the claimed one made absolute.
    pub fn path_of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        match event.bytes(FieldTag::KPATH) {
            Some(real) => Some(real.to_vec()),
            None => self.claimed(event, FieldTag::PATH, ArgKind::Path),
        }
    }

    /// The second path, claimed, made absolute.
    pub fn second_path_of(&self, event: &Event<'_>) -> Option<Vec<u8>> {
        self.claimed(event, FieldTag::PATH2, ArgKind::Path2)
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
        let args = syscalls::signature(event.code).map_or(&[][..], |signature| signature.args);
        let before = args.iter().position(|arg| arg.kind == kind).and_then(|at| at.checked_sub(1));
        let dirfd = before.filter(|&at| args.get(at).is_some_and(|arg| arg.kind == ArgKind::Dirfd));
        let dirfd = dirfd.and_then(|at| event.args.get(at)).map(|&fd| fd as i32);
        Some(self.resolve(event.task, dirfd.filter(|&fd| fd != AT_FDCWD), path))
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{BootNanos, ContainerUid, OwnedEvent};

    use super::*;
    use crate::testing::{Build, call, open_fd};

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
    fn a_request_of_a_ring_tells_one_directory() {
        let request = OwnedEvent {
            code: EventCode::URING_SUBMIT,
            time: BootNanos(3),
            ..call(3, 1, "getpid", &[35, 1, 5], 0).with_path("a").with_field(FieldTag::PATH2, b"b")
        };
        assert_eq!(paths(&request), [Some("/dir/a".to_owned()), Some("b".to_owned())]);
    }
}
