//! Every cgroup seen and the container it belongs to.
//!
//! A container's cgroup is made before the first task can be in it, so a call's cgroup id, read at the call itself,
//! finds its container. What is not in the registry is looked up in the cgroup file system once, and is the host's
//! where that finds nothing.

use std::collections::HashMap;

use afterimage_format::{BootNanos, ContainerRecord, ContainerUid, Fact, FactKey, FactSource, Role};

use super::cgroup_path;

/// A cgroup: hierarchy (0 is v2) and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CgroupKey {
    /// Hierarchy id.
    pub hierarchy: u32,
    /// cgroup id.
    pub id: u64,
}

/// What adding a cgroup brought to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// A container that was not known.
    NewContainer(ContainerUid),
    /// A cgroup inside a known container.
    Inside(ContainerUid),
    /// A cgroup of the host.
    Host,
}

impl Added {
    /// Whose tasks the cgroup's are.
    pub fn owner(self) -> ContainerUid {
        match self {
            Self::NewContainer(uid) | Self::Inside(uid) => uid,
            Self::Host => ContainerUid::HOST,
        }
    }
}

/// All cgroups and containers of this run.
#[derive(Debug)]
pub struct Registry {
    cgroups: HashMap<CgroupKey, ContainerUid>,
    /// Living containers by the path of their cgroup: the same container's cgroups of two hierarchies meet here.
    by_path: HashMap<Vec<u8>, ContainerUid>,
    containers: HashMap<ContainerUid, ContainerRecord>,
    next: ContainerUid,
    /// cgroups whose directory has gone, to be forgotten when no event of theirs can come any more.
    gone: Vec<(BootNanos, CgroupKey)>,
}

impl Registry {
    /// `next` is the first uid to give out.
    pub fn new(next: ContainerUid) -> Self {
        Self {
            cgroups: HashMap::new(),
            by_path: HashMap::new(),
            containers: HashMap::new(),
            next,
            gone: Vec::new(),
        }
    }

    /// A cgroup exists: made now, or found by the scan (`preexisting`).
    pub fn add(&mut self, key: CgroupKey, path: &[u8], now: BootNanos, preexisting: bool) -> Added {
        if let Some(&known) = self.cgroups.get(&key) {
            return if known == ContainerUid::HOST { Added::Host } else { Added::Inside(known) };
        }
        let added = self.place(key, path, now, preexisting);
        self.cgroups.insert(key, added.owner());
        added
    }

    fn place(&mut self, key: CgroupKey, path: &[u8], now: BootNanos, preexisting: bool) -> Added {
        let Some(identity) = cgroup_path::parse(path) else { return Added::Host };
        let own = &path[..identity.prefix];
        if let Some(&uid) = self.by_path.get(own) {
            return Added::Inside(uid);
        }
        let outer = cgroup_path::chain(path).get(1).and_then(|outer| {
            let prefix = &path[..outer.prefix];
            self.by_path.get(prefix).copied()
        });
        let uid = self.next;
        self.next = ContainerUid(uid.0 + 1);
        let mut facts = Vec::new();
        if let Some(pod) = identity.pod_uid {
            facts.push(Fact { key: FactKey::PodUid, value: pod, source: FactSource::CgroupPath, time: now });
        }
        let record = ContainerRecord {
            uid,
            outer,
            engine: identity.engine,
            role: identity.role,
            id: identity.id,
            cgroup_path: own.to_vec(),
            cgroup_id: key.id,
            hierarchy: key.hierarchy,
            first_seen: now,
            preexisting,
            removed: None,
            init: None,
            started: None,
            exited: None,
            facts,
        };
        self.by_path.insert(own.to_vec(), uid);
        self.containers.insert(uid, record);
        Added::NewContainer(uid)
    }

    /// A cgroup's directory was removed; the uid of the container that is deleted by it, if one is.
    pub fn remove(&mut self, key: CgroupKey, path: &[u8], now: BootNanos) -> Option<ContainerUid> {
        self.gone.push((now, key));
        let uid = self.by_path.get(path).copied()?;
        let record = self.containers.get_mut(&uid)?;
        // The directory of the hierarchy the container was found in decides: others go before or after.
        if record.hierarchy != key.hierarchy {
            return None;
        }
        record.removed = Some(now);
        self.by_path.remove(path);
        Some(uid)
    }

    /// Whose a cgroup is; `None` where it was never seen.
    pub fn owner(&self, key: CgroupKey) -> Option<ContainerUid> {
        self.cgroups.get(&key).copied()
    }

    /// A container's record.
    pub fn get(&self, uid: ContainerUid) -> Option<&ContainerRecord> {
        self.containers.get(&uid)
    }

    /// A container's record, to be filled in.
    pub fn get_mut(&mut self, uid: ContainerUid) -> Option<&mut ContainerRecord> {
        self.containers.get_mut(&uid)
    }

    /// Containers that are not deleted, monitors left out.
    pub fn living(&self) -> usize {
        self.containers.values().filter(|c| c.removed.is_none() && c.role != Role::Monitor).count()
    }

    /// Forgets cgroups and containers that were removed before `horizon`: returns the keys and the containers.
    pub fn forget(&mut self, horizon: BootNanos) -> (Vec<CgroupKey>, Vec<ContainerUid>) {
        let (old, kept): (Vec<_>, Vec<_>) = self.gone.drain(..).partition(|(time, _)| *time < horizon);
        self.gone = kept;
        for (_, key) in &old {
            self.cgroups.remove(key);
        }
        let ended: Vec<ContainerUid> = self
            .containers
            .values()
            .filter(|c| c.removed.is_some_and(|removed| removed < horizon))
            .map(|c| c.uid)
            .collect();
        for uid in &ended {
            self.containers.remove(uid);
        }
        (old.into_iter().map(|(_, key)| key).collect(), ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "14cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e5abcd";

    fn v2(id: u64) -> CgroupKey {
        CgroupKey { hierarchy: 0, id }
    }

    #[test]
    fn a_container_is_one_over_all_its_cgroups() {
        let mut registry = Registry::new(ContainerUid(5));
        let path = format!("/machine.slice/libpod-{ID}.scope");
        let inner = format!("{path}/container");
        assert_eq!(registry.add(v2(1), b"/machine.slice", BootNanos(1), false), Added::Host);
        assert_eq!(
            registry.add(v2(2), path.as_bytes(), BootNanos(2), false),
            Added::NewContainer(ContainerUid(5))
        );
        assert_eq!(
            registry.add(v2(3), inner.as_bytes(), BootNanos(3), false),
            Added::Inside(ContainerUid(5))
        );
        assert_eq!(registry.owner(v2(3)), Some(ContainerUid(5)));
        assert_eq!(registry.remove(v2(3), inner.as_bytes(), BootNanos(4)), None);
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(5)), Some(ContainerUid(5)));
        assert_eq!(registry.owner(v2(2)), Some(ContainerUid(5)), "late events still find it");
        assert_eq!(registry.forget(BootNanos(6)).1, [ContainerUid(5)]);
        assert_eq!(registry.owner(v2(2)), None);
    }

    #[test]
    fn the_same_id_again_is_another_container() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/docker/{ID}");
        registry.add(v2(2), path.as_bytes(), BootNanos(2), false);
        registry.remove(v2(2), path.as_bytes(), BootNanos(3));
        assert_eq!(
            registry.add(v2(9), path.as_bytes(), BootNanos(4), false),
            Added::NewContainer(ContainerUid(2))
        );
    }
}
