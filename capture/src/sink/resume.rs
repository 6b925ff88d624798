//! Going on after a recorder that was killed: its containers keep their uids, and what it had stored is not stored again.

use std::collections::{HashMap, HashSet};

use afterimage_format::{BootNanos, ContainerRecord, ContainerUid, Event, FactKey};
use tracing::debug;

use super::Sink;
use crate::{host, identity::registry::CgroupKey};

/// What the recorder before has stored of what is still in the rings.
#[derive(Debug, Default)]
pub struct Stored {
    known: HashSet<(u64, u16)>,
    latest: u64,
}

impl Stored {
    /// Times and CPUs of events.
    pub fn new(known: HashSet<(u64, u16)>) -> Self {
        let latest = known.iter().map(|(time, _)| *time).max().unwrap_or(0);
        Self { known, latest }
    }

    /// Whether an event is in the store. Events come by their time.
    pub(super) fn has(&mut self, event: &Event<'_>) -> bool {
        if self.known.is_empty() {
            return false;
        }
        if event.time.0 > self.latest {
            self.known = HashSet::new();
            return false;
        }
        self.known.contains(&(event.time.0, event.cpu))
    }
}

impl Sink {
    /// Goes on with the containers of a recorder that ended at `end`: those whose cgroup is there, or was `removed` since.
    pub fn resume(
        &mut self,
        containers: &[ContainerRecord],
        removed: &[(CgroupKey, Vec<u8>)],
        (stored, end): (Stored, BootNanos),
    ) {
        self.stored = stored;
        let mut there: HashSet<CgroupKey> = removed.iter().map(|(key, _)| *key).collect();
        let hierarchies = [self.cgroups.v2.clone(), self.cgroups.v1.clone().map(|(hierarchy, _)| hierarchy)];
        for hierarchy in hierarchies.into_iter().flatten() {
            let ids = host::walk(&hierarchy).into_iter().map(|(_, id)| id);
            there.extend(ids.map(|id| CgroupKey { hierarchy: hierarchy.id, id }));
        }
        // Of several that had the same cgroup, earlier ones were an earlier recorder's that left a gap.
        let mut living: HashMap<CgroupKey, &ContainerRecord> = HashMap::new();
        let had_cgroup = |record: &&ContainerRecord| {
            record.uid != ContainerUid::HOST && record.removed.is_none() && !record.cgroup_path.is_empty()
        };
        for record in containers.iter().filter(had_cgroup) {
            let key = CgroupKey { hierarchy: record.hierarchy, id: record.cgroup_id };
            let latest = living.entry(key).or_insert(record);
            if there.contains(&key) && record.uid > latest.uid {
                *latest = record;
            }
        }
        living.retain(|key, _| there.contains(key));
        for record in living.into_values() {
            if record.started.is_some() {
                self.phases.taken_over(record.uid, end);
            }
            self.registry.restore(record.clone());
            self.resumed.insert(record.uid);
            self.put_container(record.uid);
        }
        for (key, path) in removed {
            self.registry.restore_below(*key, path);
        }
    }

    /// What runs in them has been told anew.
    pub fn resumed(&mut self) {
        for uid in &self.resumed {
            self.store.state_is_known(*uid);
        }
    }

    /// After the first scan: what an earlier recorder set for single containers is not set any more.
    pub fn reset_policies(&mut self) {
        let v1 = self.cgroups.v1.as_ref().map_or(0, |(hierarchy, _)| hierarchy.id);
        let registry = &self.registry;
        let hosts = |id| registry.owner(super::key_of(id, v1)) == Some(ContainerUid::HOST);
        if let Err(error) = self.policy.retain(hosts) {
            debug!("policies of an earlier recorder are still in force: {error}");
        }
    }

    /// Containers of an earlier recorder, where it did not come to know their names.
    pub(super) fn nameless(&self) -> impl Iterator<Item = &ContainerRecord> {
        let known = self.resumed.iter().filter_map(|uid| self.registry.get(*uid));
        known.filter(|record| !record.facts.iter().any(|fact| fact.key == FactKey::Name))
    }
}
