//! Which process a number is in a pid namespace.
//!
//! Events tell tasks by the host's ids; what programs hand to the kernel and get from it are numbers of their own pid namespace.
//! A process is known by the id in its own namespace, and by the one that it has for who made it, where that is in another.

use afterimage_format::{ContainerUid, TaskKey};

use super::{World, state::Map};
use crate::{
    describe::Named,
    process::{End, Process, ProcessKey},
    text,
};

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`): its numbers are the host's.
const HOST: u64 = 0xefff_fffc;

/// A number and the inode of the pid namespace that it is one of.
type Number = (u64, u32);

/// The numbers of one process: in its own namespace, and in that of who made it.
pub(super) type Numbers = [Option<Number>; 2];

/// The numbers of a process, where they are not the host's.
pub(super) fn of(process: &Process) -> Numbers {
    let own = process.namespaces.pid.zip(process.vpid);
    [own, process.outer].map(|number| number.filter(|(namespace, _)| *namespace != HOST))
}

/// Processes by the numbers that they have in pid namespaces. Made of what is known of the processes, whose it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbered(Map<Number, (ContainerUid, ProcessKey)>);

/// Worlds are the same where their processes are.
impl PartialEq for Numbered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Numbered {
    /// A process is no longer known.
    pub(super) fn remove(&mut self, who: (ContainerUid, ProcessKey), numbers: Numbers) {
        for number in numbers.into_iter().flatten() {
            if self.0.get(&number) == Some(&who) {
                self.0.remove(&number);
            }
        }
    }

    /// A container is no longer known.
    pub(super) fn forget(&mut self, uid: ContainerUid) {
        self.0.retain(|_, (home, _)| *home != uid);
    }
}

impl World {
    /// Notes the numbers of a process. Of several that had one, it is the last one's.
    pub(super) fn number(&mut self, uid: ContainerUid, key: ProcessKey) {
        let find = |(uid, key): (ContainerUid, ProcessKey)| self.containers.get(&uid)?.processes.get(&key);
        let Some(process) = find((uid, key)) else { return };
        for number in of(process).into_iter().flatten() {
            let holder = self.numbered.0.get(&number).and_then(|holder| find(*holder));
            if holder.is_none_or(|holder| holder.first_seen <= process.first_seen) {
                self.numbered.0.insert(number, (uid, key));
            }
        }
    }

    /// The same of all processes of a container.
    pub(super) fn number_all(&mut self, uid: ContainerUid) {
        let keys: Vec<_> = self
            .containers
            .get(&uid)
            .map(|state| state.processes.keys().copied().collect())
            .unwrap_or_default();
        keys.into_iter().for_each(|key| self.number(uid, key));
    }

    /// Which process or thread is meant by a number that a thread has for it: see [`crate::describe::FdNames::task_named`].
    pub(super) fn named(&self, task: TaskKey, number: u32, of: Option<u32>) -> Named {
        let Some(caller) = self.process_of_task(task) else { return Named::NotKnown };
        if caller.namespaces.pid == Some(HOST) {
            let process = self.process_by_pid(number).filter(|process| was_there(process, caller));
            return Named::Host { process: process.and_then(Process::comm).map(text::escape) };
        }
        let found = self.numbered(caller, number);
        if let Some(found) = found.filter(|process| process.is_running()) {
            return told(found, None);
        }
        let other = of.and_then(|number| self.numbered(caller, number));
        let other = other.filter(|other| other.namespaces.pid == caller.namespaces.pid);
        if let Some((process, tid)) =
            [Some(caller), other].into_iter().flatten().find_map(|process| thread(process, number))
        {
            return told(process, Some(tid));
        }
        found.map_or(Named::NotKnown, |found| told(found, None))
    }

    /// The process that another one calls so.
    fn numbered<'w>(&'w self, caller: &'w Process, number: u32) -> Option<&'w Process> {
        let Some(namespace) = caller.namespaces.pid else {
            // Whatever namespace it is: its own number is its own.
            return (caller.vpid == Some(number)).then_some(caller);
        };
        let (uid, key) = self.numbered.0.get(&(namespace, number))?;
        let found = self.containers.get(uid)?.processes.get(key)?;
        was_there(found, caller).then_some(found)
    }
}

/// Whether a process lived when another one did. Inodes of namespaces are given again to others: what had ended before the caller
/// began may have been in another namespace.
fn was_there(process: &Process, caller: &Process) -> bool {
    match process.end {
        End::Running => true,
        End::Exited { time, .. } => time >= caller.began(),
        End::Unseen { .. } => process.last_seen >= caller.began(),
    }
}

/// The thread of a process that has this id in its pid namespace.
fn thread(process: &Process, number: u32) -> Option<(&Process, u32)> {
    let (tid, _) = process.threads.iter().find(|(_, thread)| thread.vtid == Some(number))?;
    Some((process, *tid))
}

fn told(process: &Process, thread: Option<u32>) -> Named {
    Named::Task { pid: process.key.tgid, thread, process: process.comm().map(text::escape) }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{OwnedEvent, layout};

    use super::*;
    use crate::{
        describe::{self, TaskKind, TaskNumber},
        testing::{Build, call, exec, exit, fork, task, thread},
    };

    const BOX: ContainerUid = ContainerUid(7);
    /// A container's pid namespace, and one that was made in it.
    const NS: u64 = 4_026_532_500;
    const INNER: u64 = 4_026_532_600;
    const NEW_PID: u64 = 0x2000_0000;

    /// Process `pid` executes `sh`, and is `inside` in its namespace.
    fn sh(time: u64, pid: u32, namespace: u64, inside: u32) -> OwnedEvent {
        let told = [(layout::exec::NS_PID, namespace), (layout::exec::VPID, inside.into())];
        let event = exec(time, pid, "/bin/sh", &["sh"]).with_field(afterimage_format::FieldTag::COMM, b"sh");
        told.into_iter().fold(event, |event, (at, number)| event.with_number(at, number))
    }

    /// `parent` forks `child`, which is `inside` in its own namespace and `outside` in that of its parent.
    fn born(time: u64, (parent, child): (u32, u32), namespace: u64, inside: u32, outside: u32) -> OwnedEvent {
        let new = if inside == outside { 0 } else { NEW_PID };
        fork(time, parent, child)
            .with_number(layout::fork::CHILD_VPID, inside.into())
            .with_number(layout::fork::NEW_NS, new)
            .with_number(layout::fork::CHILD_NS_PID, namespace)
            .with_number(layout::fork::CHILD_PID_FOR_MAKER, outside.into())
    }

    fn world(events: &[OwnedEvent]) -> World {
        let mut world = World::new();
        events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
        world
    }

    /// A call as a line tells it, with the state after it.
    fn line(world: &mut World, event: &OwnedEvent) -> String {
        event.with(|event| {
            world.apply(BOX, event);
            describe::detail(event, Some(world)).into_string()
        })
    }

    /// The host's 4000 is 1 in the container, its child 4711 is 7, and 4712 is 9.
    fn container() -> Vec<OwnedEvent> {
        vec![
            sh(10, 4000, NS, 1),
            born(20, (4000, 4711), NS, 7, 7),
            born(30, (4000, 4712), NS, 9, 9),
            sh(40, 9, NS, 30),
        ]
    }

    #[test]
    fn numbers_of_a_container_tell_the_process_on_the_host() {
        let mut world = world(&container());
        for (name, args, ret, shown) in [
            ("kill", &[7, 9][..], 0, "7:pid 4711 sh SIGKILL"),
            // The host's process 9 is another one.
            ("kill", &[9, 0], 0, "9:pid 4712 sh 0"),
            ("kill", &[(-7_i64).cast_unsigned(), 15], 0, "-7:group of pid 4711 sh SIGTERM"),
            ("kill", &[u64::MAX, 15], 0, "-1 SIGTERM"),
            ("kill", &[0, 15], 0, "0 SIGTERM"),
            ("kill", &[4711, 15], -3, "4711:pid not known SIGTERM"),
            ("tgkill", &[7, 7, 10], 0, "7:pid 4711 sh 7:pid 4711 sh SIGUSR1"),
            ("wait4", &[u64::MAX, 0, 0, 0], 9, "-1 -> 9:pid 4712 sh"),
            ("wait4", &[9, 0, 1, 0], 0, "9:pid 4712 sh WNOHANG"),
            ("waitid", &[1, 9, 0, 4], 0, "P_PID 9:pid 4712 sh WEXITED"),
            // A descriptor.
            ("waitid", &[3, 9, 0, 4], 0, "P_PIDFD 9 WEXITED"),
            ("setpgid", &[7, 7], 0, "7:pid 4711 sh 7:group of pid 4711 sh"),
            ("setpgid", &[0, 0], 0, "0 0"),
            ("getpgid", &[7], 1, "7:pid 4711 sh -> 1:group of pid 4000 sh"),
            ("setsid", &[], 7, "-> 7:session of pid 4711 sh"),
            ("pidfd_open", &[9, 0], 3, "9:pid 4712 sh"),
            ("ptrace", &[16, 7, 0, 0], 0, "PTRACE_ATTACH 7:pid 4711 sh 0 0"),
            ("process_vm_readv", &[7, 1, 1, 1, 1, 0], 8, "7:pid 4711 sh 0"),
            ("rt_sigqueueinfo", &[7, 10, 0], 0, "7:pid 4711 sh SIGUSR1"),
            ("prlimit64", &[7, 7, 0, 0], 0, "7:pid 4711 sh RLIMIT_NOFILE"),
            ("getpriority", &[0, 7], 20, "PRIO_PROCESS 7:pid 4711 sh"),
            ("getpriority", &[2, 7], 20, "PRIO_USER 7"),
            ("getpid", &[], 1, "-> 1:pid 4000 sh"),
            ("getppid", &[], 0, ""),
            ("clone", &[0x11], 9, "-> 9:pid 4712 sh"),
        ] {
            assert_eq!(line(&mut world, &call(50, 4000, name, args, ret)), shown, "{name}");
        }
    }

    #[test]
    fn the_hosts_numbers_are_as_they_are() {
        let mut world = world(&[sh(10, 4000, HOST, 4000), born(20, (4000, 4711), HOST, 4711, 4711)]);
        let kill = call(30, 4000, "kill", &[4711, 9], 0);
        assert_eq!(line(&mut world, &kill), "4711 SIGKILL");
        assert_eq!(line(&mut world, &call(31, 4000, "wait4", &[u64::MAX, 0, 0, 0], 4711)), "-1");
        let told = kill.with(|event| describe::tasks(event, &world));
        let process = Some(text::escape(b"sh"));
        let task = Named::Host { process };
        assert_eq!(told, [TaskNumber { name: "pid", number: 4711, kind: TaskKind::Task, task }]);
    }

    #[test]
    fn a_namespace_in_a_container_has_numbers_of_its_own() {
        let mut world = world(&container());
        // 4711 unshares its pid namespace: its own numbers stay what they are, its next child is 1 there, and 12 for its parent.
        let events = [
            call(50, 4711, "unshare", &[NEW_PID], 0),
            born(60, (4711, 4800), INNER, 1, 12),
            born(70, (4800, 4801), INNER, 7, 7),
        ];
        events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
        for (pid, number, shown) in [
            (4711, 12, "12:pid 4800 sh"),
            (4711, 7, "7:pid 4711 sh"),
            (4711, 1, "1:pid 4000 sh"),
            (4000, 12, "12:pid 4800 sh"),
            (4800, 1, "1:pid 4800 sh"),
            (4800, 7, "7:pid 4801 sh"),
            (4801, 1, "1:pid 4800 sh"),
            // Nothing there has that number.
            (4801, 12, "12:pid not known"),
        ] {
            let kill = call(80, pid, "kill", &[number, 0], 0);
            assert_eq!(line(&mut world, &kill), format!("{shown} 0"), "{number} of {pid}");
        }
        let clone = call(81, 4711, "clone", &[0x11], 12);
        assert_eq!(line(&mut world, &clone), "-> 12:pid 4800 sh");
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        let older = fork(20, 4000, 4711)
            .with_number(layout::fork::CHILD_VPID, 1)
            .with_number(layout::fork::NEW_NS, NEW_PID);
        let mut world = world(&[sh(10, 4000, NS, 1), older]);
        // A recording that does not tell into which namespace the child was born.
        let wait = call(30, 4000, "wait4", &[u64::MAX, 0, 0, 0], 5);
        assert_eq!(line(&mut world, &wait), "-1 -> 5:pid not known");
        assert_eq!(line(&mut world, &call(31, 4711, "kill", &[2, 9], 0)), "2:pid not known SIGKILL");
        assert_eq!(line(&mut world, &call(32, 4711, "getpid", &[], 1)), "-> 1:pid 4711 sh", "its own it is");
        // The next program tells.
        sh(40, 4711, INNER, 1).with(|event| world.apply(BOX, event));
        born(50, (4711, 4712), INNER, 2, 2).with(|event| world.apply(BOX, event));
        assert_eq!(line(&mut world, &call(60, 4711, "kill", &[2, 9], 0)), "2:pid 4712 sh SIGKILL");
    }

    #[test]
    fn who_has_ended_is_told_to_those_who_lived_then() {
        let mut events = container();
        // After all of them began: who is called 4000 here began at 4,000,000.
        events.push(exit(10_000_000, 4711, 0));
        let mut world = world(&events);
        let wait = call(10_000_001, 4000, "wait4", &[u64::MAX, 0, 0, 0], 7);
        assert_eq!(line(&mut world, &wait), "-1 -> 7:pid 4711 sh");
        // Another namespace may have the same inode by now: the second of these began after the end of the first.
        let late = task(4_900_000);
        let kill = OwnedEvent { task: late, ..call(5_000_000_000, 1, "kill", &[7, 0], 0) };
        let run = OwnedEvent { task: late, ..sh(4_999_000_000, 1, NS, 2) };
        run.with(|event| world.apply(BOX, event));
        assert_eq!(line(&mut world, &kill), "7:pid not known 0");
        // The number is given to another.
        born(6_000_000_000, (4000, 4720), NS, 7, 7).with(|event| world.apply(BOX, event));
        let kill = call(6_000_000_001, 4000, "kill", &[7, 9], 0);
        assert_eq!(line(&mut world, &kill), "7:pid 4720 sh SIGKILL");
    }

    #[test]
    fn threads_are_told_by_their_own_numbers() {
        let mut events = container();
        events.push(thread(50, 4711, 4713).with_number(layout::fork::CHILD_VPID, 10));
        let mut world = world(&events);
        let shown = line(&mut world, &call(60, 4000, "tgkill", &[7, 10, 10], 0));
        assert_eq!(shown, "7:pid 4711 sh 10:tid 4713 sh SIGUSR1");
        assert_eq!(line(&mut world, &call(61, 4711, "tkill", &[10, 10], 0)), "10:tid 4713 sh SIGUSR1");
        assert_eq!(line(&mut world, &call(62, 4711, "clone", &[0x11], 10)), "-> 10:tid 4713 sh");
        assert_eq!(line(&mut world, &call(63, 4000, "tkill", &[10, 10], 0)), "10:pid not known SIGUSR1");
    }

    #[test]
    fn numbers_are_the_same_after_a_keyframe_and_a_snapshot() {
        let mut events = container();
        events.push(born(60, (4711, 4800), INNER, 1, 12));
        events.push(thread(65, 4711, 4713).with_number(layout::fork::CHILD_VPID, 10));
        events.push(exit(10_000_000, 4800, 0));
        let known = world(&events);
        let (bytes, _) = known.keyframe(BOX, true);
        let restored = crate::world::Restoring::begin(crate::budget::Limits::default(), &bytes, 0).unwrap();
        for mut world in [restored.finish(), World::load(&known.save(BOX)).unwrap()] {
            assert_eq!(world, known);
            for (number, shown) in [(7, "7:pid 4711 sh"), (12, "12:pid 4800 sh"), (10, "10:tid 4713 sh")] {
                let kill = call(10_000_001, 4711, "kill", &[number, 0], 0);
                assert_eq!(line(&mut world, &kill), format!("{shown} 0"));
            }
        }
    }
}
