//! What was there before recording began, seen as a whole: monitors and runtimes, whose children are in which
//! container, containers that have no cgroup.
//!
//! Processes are told in no useful order, so all of them are looked at before the first takes its turn.

use std::collections::HashMap;

use afterimage_format::{BootNanos, ContainerUid, Event, layout};

use super::Sink;
use crate::{
    host::Walk,
    identity::{
        announce::{self, Announcement, Verb},
        claims::ClaimId,
    },
    metadata::{scout, worker::Request},
};

/// A process.
#[derive(Debug, Clone, Copy)]
struct Person {
    parent: u32,
    mnt_ns: Option<u64>,
    cgroup: u64,
    owner: ContainerUid,
}

/// Every process there was.
#[derive(Debug, Default)]
pub struct Census {
    people: HashMap<u32, Person>,
    monitors: HashMap<u32, ClaimId>,
}

impl Census {
    /// Counts a process in; `event` has its arguments where they matter.
    pub fn count(&mut self, sink: &mut Sink, cgroup: u64, event: &Event<'_>) {
        let owner = sink.owner(cgroup, event.time);
        let person = Person {
            parent: event.number(layout::exec::PPID).unwrap_or(0) as u32,
            mnt_ns: event.number(layout::exec::NS_MNT),
            cgroup,
            owner,
        };
        self.people.insert(event.task.tgid, person);
        let Some(announcement) = announce::of(event) else { return };
        scout::look(&mut sink.metadata, event);
        // A shim watches more containers than the one it names.
        if let Announcement::Conmon { .. } | Announcement::Runtime { verb: Verb::Create, .. } = announcement {
            self.monitors.insert(event.task.tgid, ClaimId::of(event));
        }
        sink.announced(&announcement, owner, cgroup, event);
    }

    /// All are counted: claims get their containers, containers without a cgroup are found. `walk` is older than the counting.
    pub fn close(self, sink: &mut Sink, walk: Walk, now: BootNanos) {
        for person in self.people.values() {
            let claim = self.monitors.get(&person.parent);
            if let Some(claim) = claim.and_then(|id| sink.claims.get_mut(*id)) {
                claim.children_in.push(person.owner);
            }
        }
        // Names that only the monitors give a meaning.
        sink.found_at_start(walk, now);
        // After what they ask for, so that the threads know the daemons.
        let found = sink.registry.preexisting().chain(sink.nameless());
        let found: Vec<_> = found.map(|record| (record.uid, record.id.clone())).collect();
        for (container, id) in found {
            sink.created(container);
            sink.metadata.ask(Request::Found { container, id });
        }
        self.without_cgroup(sink, now);
    }

    /// Children of monitors that are in the monitor's cgroup but see other mounts.
    fn without_cgroup(&self, sink: &mut Sink, now: BootNanos) {
        for (tgid, person) in &self.people {
            let Some(id) = self.monitors.get(&person.parent) else { continue };
            let monitor = self.people.get(&person.parent).filter(|monitor| monitor.cgroup == person.cgroup);
            let apart = monitor.is_some_and(|monitor| monitor.mnt_ns != person.mnt_ns);
            if !apart || self.monitors.contains_key(tgid) {
                continue;
            }
            sink.lineage.begin(*tgid, *id, monitor.and_then(|monitor| monitor.mnt_ns), person.cgroup);
            sink.enter_preexisting(*tgid, now);
            sink.mark(now, *tgid, person.cgroup);
            self.descendants(sink, now, *tgid, *person);
        }
    }

    /// What a process in a container without a cgroup has made so far.
    fn descendants(&self, sink: &mut Sink, now: BootNanos, root: u32, first: Person) {
        let mut open = vec![root];
        while let Some(parent) = open.pop() {
            let children = self.people.iter().filter(|(tgid, person)| {
                person.parent == parent && person.cgroup == first.cgroup && **tgid != parent
            });
            for (child, _) in children {
                if sink.lineage.adopt(parent, *child) {
                    sink.mark(now, *child, first.cgroup);
                    open.push(*child);
                }
            }
        }
    }
}
