//! Which processes a runtime made, for containers that no cgroup tells apart.
//!
//! A runtime's exec makes its process a member; what members fork are members. The first that is in a new pid, mount
//! or user namespace is in the container, and so is everything it makes. This holds as long as a process is in the
//! cgroup that its runtime was started in: in another cgroup the cgroup tells, as it does for nearly every container.
//! The eBPF programs follow the same rules (`capture-ebpf/src/lineage.rs`), because what a host's cgroup does is
//! otherwise left out before it gets here.

use std::collections::HashMap;

use afterimage_capture_abi::lineage::CONTAINING;
use afterimage_format::{ContainerUid, Event, EventCode, layout};
use foldhash::fast::RandomState;

use super::claims::ClaimId;

/// `unshare` of x86-64.
const UNSHARE: EventCode = EventCode(272);
/// Most processes followed.
const MOST: usize = 1 << 17;

/// A process that a runtime is, or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What the runtime claimed.
    pub claim: ClaimId,
    /// Mount namespace of the runtime.
    pub mnt_ns: Option<u64>,
    /// The cgroup that the runtime was started in, as the kernel stamps it.
    pub cgroup: u64,
    /// The container it is in, as far as lineage tells: of a runtime, the one it was started in.
    pub inside: Option<ContainerUid>,
    /// It is in the container that the runtime made.
    pub entered: bool,
}

/// All members.
#[derive(Debug, Default)]
pub struct Lineage {
    members: HashMap<u32, Member, RandomState>,
    /// How many processes each container has.
    living: HashMap<ContainerUid, u32, RandomState>,
}

impl Lineage {
    /// The container a process is in by its lineage, with this cgroup.
    pub fn container(&self, tgid: u32, cgroup: u64) -> Option<ContainerUid> {
        self.members.get(&tgid).filter(|member| member.cgroup == cgroup).and_then(|member| member.inside)
    }

    /// A process as a member.
    pub fn member(&self, tgid: u32) -> Option<&Member> {
        if self.members.is_empty() {
            return None;
        }
        self.members.get(&tgid)
    }

    /// A process became a runtime.
    pub fn begin(&mut self, tgid: u32, claim: ClaimId, mnt_ns: Option<u64>, cgroup: u64) {
        if self.members.len() < MOST {
            // A runtime that runs inside a container without a cgroup is in that one.
            let inside = self.container(tgid, cgroup);
            self.leave(tgid);
            self.insert(tgid, Member { claim, mnt_ns, cgroup, inside, entered: false });
        }
    }

    fn insert(&mut self, tgid: u32, member: Member) {
        if let Some(container) = member.inside {
            *self.living.entry(container).or_default() += 1;
        }
        self.members.insert(tgid, member);
    }

    /// Takes a fork into account; the child, where it is in a container that there is none for yet.
    pub fn forked(&mut self, event: &Event<'_>) -> Option<u32> {
        let child = event.number(layout::fork::CHILD_TGID)? as u32;
        if child == event.task.tgid || self.members.is_empty() {
            return None;
        }
        // What had this number before is over, whether its end was seen or not.
        self.leave(child);
        let parent = *self.members.get(&event.task.tgid)?;
        if self.members.len() >= MOST {
            return None;
        }
        self.insert(child, parent);
        let apart = event.number(layout::fork::NEW_NS).unwrap_or(0) & CONTAINING != 0;
        let here = event.number(layout::fork::CHILD_CGROUP) == Some(parent.cgroup);
        (apart && here && !parent.entered).then_some(child)
    }

    /// Whether a call takes a member that is a runtime into its container.
    pub fn unshares(&self, event: &Event<'_>) -> bool {
        event.code == UNSHARE
            && event.ret == 0
            && event.number(0).is_some_and(|flags| flags & CONTAINING != 0)
            && self.members.get(&event.task.tgid).is_some_and(|member| !member.entered)
    }

    /// A process that was there before is a member's child; `false` where it is a member already.
    pub fn adopt(&mut self, parent: u32, child: u32) -> bool {
        let Some(member) = self.members.get(&parent).copied() else { return false };
        if self.members.len() >= MOST || self.members.contains_key(&child) {
            return false;
        }
        self.insert(child, member);
        true
    }

    /// A container's process stays the container's in a cgroup that is another's.
    pub fn hold(&mut self, tgid: u32, container: ContainerUid, cgroup: u64, claim: ClaimId) {
        self.leave(tgid);
        if self.members.len() < MOST {
            let held = Member { claim, mnt_ns: None, cgroup, inside: Some(container), entered: true };
            self.insert(tgid, held);
        }
    }

    /// A member is in this container.
    pub fn enter(&mut self, tgid: u32, container: ContainerUid) {
        if let Some(member) = self.members.get(&tgid).copied() {
            self.leave(tgid);
            self.insert(tgid, Member { inside: Some(container), entered: true, ..member });
        }
    }

    /// A process is no member any more; the container that has no process left by it.
    pub fn leave(&mut self, tgid: u32) -> Option<ContainerUid> {
        let container = self.members.remove(&tgid)?.inside?;
        let living = self.living.get_mut(&container)?;
        *living -= 1;
        if *living > 0 {
            return None;
        }
        self.living.remove(&container);
        Some(container)
    }

    /// Whether a container has processes by their lineage.
    pub fn lives(&self, container: ContainerUid) -> bool {
        self.living.contains_key(&container)
    }

    /// Whether a claim still has members.
    pub fn has(&self, claim: ClaimId) -> bool {
        self.members.values().any(|member| member.claim == claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{BootNanos, EventFlags, TaskKey};

    const HOST_CGROUP: u64 = 5;
    const NEW_PID: u64 = 0x2000_0000;
    const CLAIM: ClaimId = ClaimId { tgid: 10, time: BootNanos(1) };
    const BOX: ContainerUid = ContainerUid(3);

    fn event(code: EventCode, tgid: u32, args: &[u64]) -> Event<'_> {
        Event {
            time: BootNanos(2),
            duration: None,
            task: TaskKey { tgid, tid: tgid, start: BootNanos(1) },
            code,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args,
            fields: &[],
        }
    }

    fn fork(lineage: &mut Lineage, parent: u32, child: u32, namespaces: u64, cgroup: u64) -> Option<u32> {
        let child = u64::from(child);
        lineage.forked(&event(EventCode::FORK, parent, &[child, child, 1, 1, namespaces, cgroup]))
    }

    fn runtime() -> Lineage {
        let mut lineage = Lineage::default();
        lineage.begin(10, CLAIM, Some(1), HOST_CGROUP);
        lineage
    }

    #[test]
    fn the_first_in_a_new_namespace_and_all_it_makes_are_the_container() {
        let mut lineage = runtime();
        assert_eq!(fork(&mut lineage, 10, 11, 0, HOST_CGROUP), None);
        assert_eq!(fork(&mut lineage, 11, 12, NEW_PID, HOST_CGROUP), Some(12));
        lineage.enter(12, BOX);
        assert_eq!(
            fork(&mut lineage, 12, 13, NEW_PID, HOST_CGROUP),
            None,
            "a namespace within is no container"
        );
        assert_eq!(lineage.container(13, HOST_CGROUP), Some(BOX));
        assert_eq!(lineage.container(11, HOST_CGROUP), None);
        assert_eq!(lineage.leave(13), None);
        assert_eq!(lineage.leave(12), Some(BOX), "its last process");
        assert!(lineage.has(CLAIM));
    }

    #[test]
    fn a_cgroup_of_its_own_tells_more_than_lineage() {
        let mut lineage = runtime();
        assert_eq!(fork(&mut lineage, 10, 11, NEW_PID, 77), None, "born into a cgroup of its own");
        fork(&mut lineage, 10, 12, NEW_PID, HOST_CGROUP);
        lineage.enter(12, BOX);
        assert_eq!(lineage.container(12, HOST_CGROUP), Some(BOX));
        assert_eq!(lineage.container(12, 77), None, "moved");
    }

    #[test]
    fn unshare_takes_a_runtimes_child_in_and_threads_are_no_children() {
        let mut lineage = runtime();
        fork(&mut lineage, 10, 11, 0, HOST_CGROUP);
        assert!(
            !lineage.unshares(&event(EventCode(272), 11, &[0x4000_0000])),
            "a network namespace is not enough"
        );
        assert!(lineage.unshares(&event(EventCode(272), 11, &[0x6c02_0000])));
        assert!(!lineage.unshares(&event(EventCode(272), 99, &[0x6c02_0000])));
        assert_eq!(lineage.forked(&event(EventCode::FORK, 11, &[11, 15, 1, 1, 0, HOST_CGROUP])), None);
        assert_eq!(lineage.member(15), None);
    }

    #[test]
    fn a_runtime_inside_makes_a_container_within_the_container() {
        const INNER: ContainerUid = ContainerUid(4);
        let mut lineage = runtime();
        fork(&mut lineage, 10, 11, NEW_PID, HOST_CGROUP);
        lineage.enter(11, BOX);
        lineage.begin(11, ClaimId { tgid: 11, time: BootNanos(9) }, None, HOST_CGROUP);
        assert_eq!(lineage.container(11, HOST_CGROUP), Some(BOX));
        assert_eq!(fork(&mut lineage, 11, 12, NEW_PID, HOST_CGROUP), Some(12));
        lineage.enter(12, INNER);
        assert_eq!(lineage.container(12, HOST_CGROUP), Some(INNER));
        assert_eq!((lineage.leave(12), lineage.leave(11)), (Some(INNER), Some(BOX)));
    }

    #[test]
    fn who_is_held_stays_in_its_container_with_what_it_forks() {
        let mut lineage = Lineage::default();
        lineage.hold(20, BOX, HOST_CGROUP, ClaimId { tgid: 20, time: BootNanos(2) });
        assert_eq!(fork(&mut lineage, 20, 21, NEW_PID, HOST_CGROUP), None);
        assert_eq!(lineage.container(21, HOST_CGROUP), Some(BOX));
        assert_eq!(lineage.container(20, 77), None, "where it is moved on, it is judged again");
    }

    #[test]
    fn a_number_used_again_is_another_process() {
        let mut lineage = runtime();
        fork(&mut lineage, 10, 11, NEW_PID, HOST_CGROUP);
        lineage.enter(11, BOX);
        fork(&mut lineage, 500, 11, 0, HOST_CGROUP);
        assert_eq!(lineage.member(11), None);
    }
}
