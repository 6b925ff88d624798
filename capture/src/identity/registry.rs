//! Every cgroup seen and the container it belongs to.
//!
//! A container's cgroup is made before the first task can be in it, so a call's cgroup id, read at the call itself,
//! finds its container. What is not in the registry is looked up in the cgroup file system once, and is the host's
//! where that finds nothing.

use std::collections::{HashMap, HashSet};

use afterimage_format::{BootNanos, ContainerRecord, ContainerUid, Engine, Fact, FactKey, FactSource, Role};
use foldhash::fast::RandomState;

use super::cgroup_path::{self, PathIdentity};

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
    /// The cgroup of a container that was known without one.
    Adopted(ContainerUid),
    /// The cgroup of a container that a scan had found before the news of its making came.
    Confirmed(ContainerUid),
    /// A cgroup inside a known container.
    Inside(ContainerUid),
    /// A cgroup of the host.
    Host,
}

impl Added {
    /// Whose tasks the cgroup's are.
    pub fn owner(self) -> ContainerUid {
        match self {
            Self::NewContainer(uid) | Self::Adopted(uid) | Self::Confirmed(uid) | Self::Inside(uid) => uid,
            Self::Host => ContainerUid::HOST,
        }
    }
}

/// How a cgroup came to be, as far as that tells whose it is.
#[derive(Debug, Clone, Default)]
pub struct Making {
    /// The container that it was made from; the host where it is not known.
    pub maker: ContainerUid,
    /// Found by a scan, not told of by the kernel.
    pub scanned: bool,
    /// Found by the scan at the start: it was there before recording began.
    pub preexisting: bool,
    /// The id that a runtime gives the container whose cgroup this is.
    pub named: Option<Vec<u8>>,
}

/// All cgroups and containers of this run.
#[derive(Debug)]
pub struct Registry {
    cgroups: HashMap<CgroupKey, ContainerUid, RandomState>,
    /// Living containers by the path of their cgroup: the same container's cgroups of two hierarchies meet here.
    by_path: HashMap<Vec<u8>, ContainerUid>,
    /// Living containers by their engine's id, monitors left out.
    by_id: HashMap<Vec<u8>, Vec<ContainerUid>>,
    /// The host's cgroups by path: a bundle that is read late may turn one into a container's.
    hosts: HashMap<Vec<u8>, Vec<CgroupKey>>,
    containers: HashMap<ContainerUid, ContainerRecord, RandomState>,
    next: ContainerUid,
    /// Living containers whose processes have left their cgroup, which is gone.
    adrift: HashSet<ContainerUid>,
    /// cgroups whose directory has gone, to be forgotten when no event of theirs can come any more.
    gone: Vec<(BootNanos, CgroupKey, Vec<u8>)>,
}

impl Registry {
    /// `next` is the first uid to give out.
    pub fn new(next: ContainerUid) -> Self {
        Self {
            cgroups: HashMap::default(),
            by_path: HashMap::new(),
            by_id: HashMap::new(),
            hosts: HashMap::new(),
            containers: HashMap::default(),
            next,
            adrift: HashSet::new(),
            gone: Vec::new(),
        }
    }

    /// A container that an earlier recorder of this store knew, and that goes on.
    pub fn restore(&mut self, record: ContainerRecord) {
        let uid = record.uid;
        self.cgroups.insert(CgroupKey { hierarchy: record.hierarchy, id: record.cgroup_id }, uid);
        self.by_path.insert(record.cgroup_path.clone(), uid);
        if record.role != Role::Monitor {
            self.by_id.entry(record.id.clone()).or_default().push(uid);
        }
        self.containers.insert(uid, record);
    }

    /// A cgroup that has been removed by now; it was a container's where it was below one's.
    pub fn restore_below(&mut self, key: CgroupKey, path: &[u8]) {
        if let Some((_, uid)) = self.nearest(path, key) {
            self.cgroups.entry(key).or_insert(uid);
        }
    }

    /// A cgroup exists: made now, or found by a scan.
    pub fn add(&mut self, key: CgroupKey, path: &[u8], now: BootNanos, making: &Making) -> Added {
        match self.cgroups.get(&key) {
            Some(&ContainerUid::HOST) if making.named.is_none() => return Added::Host,
            None | Some(&ContainerUid::HOST) => {}
            Some(&known) => return self.known(known, key, now, making),
        }
        let added = self.place(key, path, now, making);
        self.cgroups.insert(key, added.owner());
        let hosts = self.hosts.entry(path.to_vec()).or_default();
        hosts.retain(|host| *host != key);
        if added == Added::Host {
            hosts.push(key);
        } else if hosts.is_empty() {
            self.hosts.remove(path);
        }
        added
    }

    /// Whether a cgroup is not known and would be the host's: neither it nor what it is in says that it is a container's.
    pub fn is_nobodys(&self, key: CgroupKey, path: &[u8], making: &Making) -> bool {
        let is_said = making.named.is_some() || cgroup_path::parse(path).is_some();
        !self.cgroups.contains_key(&key) && !is_said && self.nearest(path, key).is_none()
    }

    /// A cgroup that is known to be a container's; scans run ahead of the news.
    fn known(&mut self, uid: ContainerUid, key: CgroupKey, now: BootNanos, making: &Making) -> Added {
        let record = self.containers.get_mut(&uid);
        let own = record.filter(|record| !making.scanned && is_in(record, key));
        let Some(record) = own else { return Added::Inside(uid) };
        record.preexisting = false;
        record.first_seen = now;
        Added::Confirmed(uid)
    }

    fn place(&mut self, key: CgroupKey, path: &[u8], now: BootNanos, making: &Making) -> Added {
        let identity = cgroup_path::parse(path);
        let named = making.named.as_ref().filter(|_| identity.as_ref().is_none_or(|i| i.prefix < path.len()));
        let identity = match named {
            Some(id) => Some(PathIdentity {
                engine: Engine::Oci,
                role: Role::Container,
                id: id.clone(),
                pod_uid: None,
                prefix: path.len(),
            }),
            None => identity,
        };
        let above = self.nearest(path, key);
        let Some(identity) =
            identity.filter(|identity| above.is_none_or(|(prefix, _)| prefix < identity.prefix))
        else {
            return match above {
                None => Added::Host,
                Some((prefix, uid)) if prefix == path.len() && self.complete(uid, key) => Added::Adopted(uid),
                Some((_, uid)) => Added::Inside(uid),
            };
        };
        let own = &path[..identity.prefix];
        // Of a container that something deeper gives away its own cgroup is still to come.
        let own_id = if own == path { key.id } else { 0 };
        let within = above.map_or(making.maker, |(_, uid)| uid);
        let outer = self.outermost(within);
        if let Some(uid) = self.without_cgroup(&identity, outer) {
            self.by_path.insert(own.to_vec(), uid);
            if let Some(record) = self.containers.get_mut(&uid) {
                if matches!(record.engine, Engine::Oci | Engine::Unknown) {
                    record.engine = identity.engine;
                }
                record.cgroup_path = own.to_vec();
                record.cgroup_id = own_id;
                record.hierarchy = key.hierarchy;
            }
            return Added::Adopted(uid);
        }
        let uid = self.insert(identity, outer, now, |record| {
            record.cgroup_path = own.to_vec();
            record.cgroup_id = own_id;
            record.hierarchy = key.hierarchy;
            record.preexisting = making.preexisting;
        });
        self.by_path.insert(own.to_vec(), uid);
        Added::NewContainer(uid)
    }

    /// The cgroup at a container's path is its own: whether that was not known.
    fn complete(&mut self, uid: ContainerUid, key: CgroupKey) -> bool {
        let record = self.containers.get_mut(&uid);
        let Some(record) = record.filter(|r| r.cgroup_id == 0 && r.hierarchy == key.hierarchy) else {
            return false;
        };
        record.cgroup_id = key.id;
        true
    }

    /// The innermost known container whose cgroup is at `path` or above it, and how much of the path is its. One at
    /// `path` itself, in the hierarchy of `key` but under another id, is an earlier one, of whose end news is to come.
    fn nearest(&self, path: &[u8], key: CgroupKey) -> Option<(usize, ContainerUid)> {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let mut found = None;
        for end in ends.chain([path.len()]) {
            let uid = self.by_path.get(&path[..end]).copied();
            let is_earlier = |uid: &ContainerUid| end == path.len() && !self.is_own(*uid, key);
            if let Some(uid) = uid.filter(|uid| !is_earlier(uid)) {
                found = Some((end, uid));
            }
        }
        found
    }

    /// Whether a cgroup at a container's path may be the container's.
    fn is_own(&self, uid: ContainerUid, key: CgroupKey) -> bool {
        self.containers.get(&uid).is_none_or(|record| {
            record.hierarchy != key.hierarchy || record.cgroup_id == 0 || record.cgroup_id == key.id
        })
    }

    /// Whether `inner` is `outer`, or in it.
    pub fn is_within(&self, inner: ContainerUid, outer: ContainerUid) -> bool {
        /// Deeper than any cgroup may be.
        const DEEPEST: usize = 256;
        let mut chain = std::iter::successors(Some(inner), |uid| self.containers.get(uid)?.outer);
        chain.by_ref().take(DEEPEST).any(|uid| uid == outer)
    }

    /// The container that something made by `maker` is in: a monitor stands for what it is in itself.
    pub fn outermost(&self, maker: ContainerUid) -> Option<ContainerUid> {
        let record = self.containers.get(&maker)?;
        if record.role == Role::Monitor { record.outer } else { Some(maker) }
    }

    /// A living container that was known by its runtime alone, and that this is.
    fn without_cgroup(&self, identity: &PathIdentity, outer: Option<ContainerUid>) -> Option<ContainerUid> {
        if identity.role == Role::Monitor {
            return None;
        }
        self.with_id(&identity.id).iter().copied().find(|uid| {
            self.containers
                .get(uid)
                .is_some_and(|record| record.cgroup_path.is_empty() && record.outer == outer)
        })
    }

    /// A container that has no cgroup, or none yet.
    pub fn add_without_cgroup(
        &mut self,
        id: &[u8],
        outer: Option<ContainerUid>,
        now: BootNanos,
        preexisting: bool,
    ) -> ContainerUid {
        let identity = PathIdentity {
            engine: Engine::Oci,
            role: Role::Container,
            id: id.to_vec(),
            pod_uid: None,
            prefix: 0,
        };
        self.insert(identity, outer, now, |record| record.preexisting = preexisting)
    }

    fn insert(
        &mut self,
        identity: PathIdentity,
        outer: Option<ContainerUid>,
        now: BootNanos,
        complete: impl FnOnce(&mut ContainerRecord),
    ) -> ContainerUid {
        let uid = self.next;
        self.next = ContainerUid(uid.0 + 1);
        let mut facts = Vec::new();
        if let Some(pod) = identity.pod_uid {
            facts.push(Fact { key: FactKey::PodUid, value: pod, source: FactSource::CgroupPath, time: now });
        }
        let mut record = ContainerRecord {
            uid,
            outer,
            engine: identity.engine,
            role: identity.role,
            id: identity.id,
            cgroup_path: Vec::new(),
            cgroup_id: 0,
            hierarchy: 0,
            first_seen: now,
            preexisting: false,
            removed: None,
            init: None,
            started: None,
            exited: None,
            facts,
        };
        complete(&mut record);
        if record.role != Role::Monitor {
            self.by_id.entry(record.id.clone()).or_default().push(uid);
        }
        self.containers.insert(uid, record);
        uid
    }

    /// A cgroup that was the host's turns out to be a container's, and with it those below it and those of the same
    /// path in other hierarchies: its uid, and the cgroups.
    pub fn claim(
        &mut self,
        path: &[u8],
        id: &[u8],
        maker: ContainerUid,
        now: BootNanos,
    ) -> Option<(ContainerUid, Vec<CgroupKey>)> {
        let below = |other: &[u8]| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.hosts.get(path)?;
        let paths: Vec<Vec<u8>> = self.hosts.keys().filter(|other| below(other)).cloned().collect();
        let making = Making { maker, named: Some(id.to_vec()), ..Making::default() };
        let mut keys = Vec::new();
        let mut container = None;
        // What is above comes first, so that what is below is found to be inside.
        let mut paths = paths;
        paths.sort_by_key(Vec::len);
        for path in &paths {
            for key in self.hosts.remove(path).unwrap_or_default() {
                let making = if container.is_none() { making.clone() } else { Making::default() };
                self.cgroups.remove(&key);
                let added = self.add(key, path, now, &making);
                container = container.or(Some(added.owner()));
                keys.push(key);
            }
        }
        container.map(|uid| (uid, keys))
    }

    /// A cgroup's directory was removed; the uid of the container that is deleted by it, if one is. One that `lives` elsewhere is not.
    pub fn remove(
        &mut self,
        key: CgroupKey,
        path: &[u8],
        now: BootNanos,
        lives: impl Fn(ContainerUid) -> bool,
    ) -> Option<ContainerUid> {
        self.gone.push((now, key, path.to_vec()));
        let uid = self.by_path.get(path).copied()?;
        if !self.is_own(uid, key) {
            // Another one has taken its place already.
            let own = |uid: &ContainerUid| {
                let record = self.containers.get(uid);
                record.is_some_and(|record| record.removed.is_none() && is_in(record, key))
            };
            let uid = self.owner(key).filter(own)?;
            return self.without_its_cgroup(uid, now, lives);
        }
        // The directory of the hierarchy the container was found in decides: others go before or after.
        if self.containers.get(&uid)?.hierarchy != key.hierarchy {
            return None;
        }
        self.by_path.remove(path);
        self.without_its_cgroup(uid, now, lives)
    }

    /// A container's cgroup is gone; the container where that is its end.
    fn without_its_cgroup(
        &mut self,
        uid: ContainerUid,
        now: BootNanos,
        lives: impl Fn(ContainerUid) -> bool,
    ) -> Option<ContainerUid> {
        if lives(uid) {
            self.adrift.insert(uid);
            self.free_id(uid);
            return None;
        }
        self.end(uid, now);
        Some(uid)
    }

    /// A container is deleted.
    pub fn end(&mut self, uid: ContainerUid, now: BootNanos) {
        if let Some(record) = self.containers.get_mut(&uid) {
            record.removed = Some(now);
        }
        self.adrift.remove(&uid);
        self.free_id(uid);
    }

    /// Whether a container goes on without the cgroup that it had.
    pub fn is_adrift(&self, uid: ContainerUid) -> bool {
        self.adrift.contains(&uid)
    }

    /// Whatever is called so from now on is another container.
    fn free_id(&mut self, uid: ContainerUid) {
        let Some(record) = self.containers.get(&uid) else { return };
        if let Some(uids) = self.by_id.get_mut(&record.id) {
            uids.retain(|other| *other != uid);
            if uids.is_empty() {
                self.by_id.remove(&record.id);
            }
        }
    }

    /// Living containers with this id.
    pub fn with_id(&self, id: &[u8]) -> &[ContainerUid] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// Containers that were there before recording began.
    pub fn preexisting(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.containers.values().filter(|record| record.preexisting && record.role != Role::Monitor)
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

    /// Every container that is not forgotten.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.containers.values()
    }

    /// Every cgroup, and whose it is.
    pub fn cgroups(&self) -> impl Iterator<Item = (CgroupKey, ContainerUid)> {
        self.cgroups.iter().map(|(key, uid)| (*key, *uid))
    }

    /// Containers that are not deleted, monitors left out.
    pub fn living(&self) -> usize {
        self.containers.values().filter(|record| Self::is_living(record)).count()
    }

    /// Whether this is a container, and not deleted.
    pub fn is_living(record: &ContainerRecord) -> bool {
        record.removed.is_none() && record.role != Role::Monitor
    }

    /// Forgets cgroups and containers that were removed before `horizon`, but for containers that something is still to
    /// be learnt of: returns the keys and the containers.
    pub fn forget(
        &mut self,
        horizon: BootNanos,
        expects: impl Fn(ContainerUid) -> bool,
    ) -> (Vec<CgroupKey>, Vec<ContainerUid>) {
        let (old, kept): (Vec<_>, Vec<_>) = self.gone.drain(..).partition(|(time, ..)| *time < horizon);
        self.gone = kept;
        for (_, key, path) in &old {
            self.cgroups.remove(key);
            if let Some(hosts) = self.hosts.get_mut(path) {
                hosts.retain(|host| host != key);
                if hosts.is_empty() {
                    self.hosts.remove(path);
                }
            }
        }
        let ended: Vec<ContainerUid> = self
            .containers
            .values()
            .filter(|c| c.removed.is_some_and(|removed| removed < horizon) && !expects(c.uid))
            .map(|c| c.uid)
            .collect();
        for uid in &ended {
            self.containers.remove(uid);
        }
        (old.into_iter().map(|(_, key, _)| key).collect(), ended)
    }
}

/// Whether a cgroup is the container's own.
fn is_in(record: &ContainerRecord, key: CgroupKey) -> bool {
    (record.hierarchy, record.cgroup_id) == (key.hierarchy, key.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "14cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e5abcd";

    fn v2(id: u64) -> CgroupKey {
        CgroupKey { hierarchy: 0, id }
    }

    fn made() -> Making {
        Making::default()
    }

    fn named(id: &str) -> Making {
        Making { named: Some(id.into()), ..Making::default() }
    }

    #[test]
    fn a_container_whose_processes_left_its_cgroup_lives_until_they_end() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/system.slice/docker-{}.scope", "c".repeat(64));
        registry.add(v2(2), path.as_bytes(), BootNanos(1), &Making::default());
        let uid = ContainerUid(1);
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(3), |of| of == uid), None);
        assert!(registry.is_adrift(uid));
        assert_eq!(registry.get(uid).unwrap().removed, None);
        // What is made at its place is another one.
        let again = registry.add(v2(9), path.as_bytes(), BootNanos(4), &Making::default());
        assert_eq!(again, Added::NewContainer(ContainerUid(2)));
        assert_eq!(
            registry.remove(v2(9), path.as_bytes(), BootNanos(5), |of| of == uid),
            Some(ContainerUid(2))
        );
        registry.end(uid, BootNanos(6));
        assert_eq!(registry.get(uid).unwrap().removed, Some(BootNanos(6)));
        assert!(!registry.is_adrift(uid));
    }

    #[test]
    fn a_container_that_began_again_at_its_path_is_another_one() {
        let path = format!("/docker/{}", "ab".repeat(32));
        let path = path.as_bytes();
        let mut registry = Registry::new(ContainerUid(1));
        let first = registry.add(v2(2), path, BootNanos(1), &Making::default()).owner();
        // A scan runs ahead of the news that the first was removed.
        let scanned = Making { scanned: true, ..Making::default() };
        let added = registry.add(v2(7), path, BootNanos(5), &scanned);
        let Added::NewContainer(second) = added else { panic!("{added:?}") };
        assert_ne!(first, second);
        // What is below is the second's, whoever's it was.
        let inner = [path, b"/init"].concat();
        assert_eq!(registry.add(v2(8), &inner, BootNanos(5), &scanned), Added::Inside(second));
        assert_eq!(registry.remove(v2(2), path, BootNanos(4), |_| false), Some(first));
        assert_eq!(registry.get(first).unwrap().removed, Some(BootNanos(4)));
        assert_eq!(registry.get(second).unwrap().removed, None);
        assert_eq!(registry.add(v2(7), path, BootNanos(4), &Making::default()), Added::Confirmed(second));
        assert_eq!(registry.remove(v2(7), path, BootNanos(9), |_| false), Some(second));
        assert_eq!(registry.remove(v2(2), path, BootNanos(10), |_| false), None);
    }

    #[test]
    fn a_container_is_one_over_all_its_cgroups() {
        let mut registry = Registry::new(ContainerUid(5));
        let path = format!("/machine.slice/libpod-{ID}.scope");
        let inner = format!("{path}/container");
        assert_eq!(registry.add(v2(1), b"/machine.slice", BootNanos(1), &made()), Added::Host);
        assert_eq!(
            registry.add(v2(2), path.as_bytes(), BootNanos(2), &made()),
            Added::NewContainer(ContainerUid(5))
        );
        assert_eq!(
            registry.add(v2(3), inner.as_bytes(), BootNanos(3), &made()),
            Added::Inside(ContainerUid(5))
        );
        assert_eq!(registry.owner(v2(3)), Some(ContainerUid(5)));
        assert_eq!(registry.remove(v2(3), inner.as_bytes(), BootNanos(4), |_| false), None);
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(5), |_| false), Some(ContainerUid(5)));
        assert_eq!(registry.owner(v2(2)), Some(ContainerUid(5)), "late events still find it");
        assert_eq!(registry.forget(BootNanos(6), |_| false).1, [ContainerUid(5)]);
        assert_eq!(registry.owner(v2(2)), None);
    }

    #[test]
    fn a_container_that_something_deeper_gives_away_is_the_one_at_its_own_path() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/docker/{ID}");
        let below = format!("{path}/init");
        let uid = registry.add(v2(3), below.as_bytes(), BootNanos(1), &made()).owner();
        assert_eq!(uid, ContainerUid(1));
        assert_eq!(registry.remove(v2(3), below.as_bytes(), BootNanos(2), |_| false), None);
        let own = registry.add(v2(2), path.as_bytes(), BootNanos(2), &made());
        assert_eq!(own, Added::Adopted(uid), "its record is written anew");
        assert_eq!(registry.get(uid).unwrap().cgroup_id, 2);
        // Then another one at the path is another one.
        let scanned = Making { scanned: true, ..Making::default() };
        let next = registry.add(v2(9), path.as_bytes(), BootNanos(3), &scanned);
        assert_eq!(next, Added::NewContainer(ContainerUid(2)));
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(3), |_| false), Some(uid));
        assert_eq!(registry.remove(v2(9), path.as_bytes(), BootNanos(4), |_| false), Some(ContainerUid(2)));
    }

    #[test]
    fn a_container_that_was_known_before_keeps_its_uid_and_ends_as_ever() {
        let path = format!("/docker/{ID}");
        let mut before = Registry::new(ContainerUid(5));
        before.add(v2(2), path.as_bytes(), BootNanos(1), &made());
        let mut registry = Registry::new(ContainerUid(6));
        registry.restore(before.get(ContainerUid(5)).unwrap().clone());
        let scan = Making { scanned: true, preexisting: true, ..Making::default() };
        let below = format!("{path}/init");
        assert_eq!(registry.add(v2(2), path.as_bytes(), BootNanos(9), &scan), Added::Inside(ContainerUid(5)));
        assert_eq!(
            registry.add(v2(3), below.as_bytes(), BootNanos(9), &scan),
            Added::Inside(ContainerUid(5))
        );
        assert_eq!((registry.owner(v2(3)), registry.preexisting().count()), (Some(ContainerUid(5)), 0));
        assert_eq!(registry.with_id(ID.as_bytes()), [ContainerUid(5)]);
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(10), |_| false), Some(ContainerUid(5)));
    }

    #[test]
    fn the_same_id_again_is_another_container() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/docker/{ID}");
        registry.add(v2(2), path.as_bytes(), BootNanos(2), &made());
        registry.remove(v2(2), path.as_bytes(), BootNanos(3), |_| false);
        assert_eq!(
            registry.add(v2(9), path.as_bytes(), BootNanos(4), &made()),
            Added::NewContainer(ContainerUid(2))
        );
    }

    #[test]
    fn a_name_that_a_runtime_announced_makes_a_container_of_its_cgroup_and_what_is_below() {
        let mut registry = Registry::new(ContainerUid(1));
        assert_eq!(registry.add(v2(2), b"/default", BootNanos(1), &made()), Added::Host);
        let added = registry.add(v2(3), b"/default/web", BootNanos(1), &named("web"));
        assert_eq!(added, Added::NewContainer(ContainerUid(1)));
        assert_eq!(registry.get(ContainerUid(1)).unwrap().id, b"web");
        let below = registry.add(v2(4), b"/default/web/init", BootNanos(1), &made());
        assert_eq!(below, Added::Inside(ContainerUid(1)));
        assert_eq!(registry.add(v2(5), b"/default/website", BootNanos(1), &made()), Added::Host);
        assert_eq!(registry.remove(v2(3), b"/default/web", BootNanos(2), |_| false), Some(ContainerUid(1)));
        assert!(registry.with_id(b"web").is_empty());
    }

    #[test]
    fn a_hosts_cgroup_can_turn_out_to_be_a_containers() {
        let mut registry = Registry::new(ContainerUid(1));
        for (id, path) in [(2, &b"/odd"[..]), (3, b"/odd/name"), (4, b"/odd/name/sub"), (5, b"/odd/names")] {
            assert_eq!(registry.add(v2(id), path, BootNanos(1), &made()), Added::Host);
        }
        let v1 = CgroupKey { hierarchy: 8, id: 3 };
        registry.add(v1, b"/odd/name", BootNanos(1), &made());
        let (uid, mut keys) = registry.claim(b"/odd/name", b"web", ContainerUid::HOST, BootNanos(2)).unwrap();
        keys.sort_by_key(|key| (key.hierarchy, key.id));
        assert_eq!(keys, [v2(3), v2(4), v1]);
        assert!(keys.iter().all(|key| registry.owner(*key) == Some(uid)));
        assert_eq!(registry.owner(v2(5)), Some(ContainerUid::HOST));
        assert_eq!(registry.claim(b"/odd/name", b"web", ContainerUid::HOST, BootNanos(3)), None);
    }

    #[test]
    fn a_container_known_by_its_runtime_takes_its_cgroup_when_it_comes() {
        let mut registry = Registry::new(ContainerUid(1));
        let uid = registry.add_without_cgroup(ID.as_bytes(), None, BootNanos(1), false);
        let path = format!("/docker/{ID}");
        assert_eq!(registry.add(v2(2), path.as_bytes(), BootNanos(2), &made()), Added::Adopted(uid));
        assert_eq!(registry.owner(v2(2)), Some(uid));
        let record = registry.get(uid).unwrap();
        assert_eq!((record.engine, record.cgroup_id, record.first_seen), (Engine::Docker, 2, BootNanos(1)));
        assert_eq!(registry.remove(v2(2), path.as_bytes(), BootNanos(3), |_| false), Some(uid));
    }

    #[test]
    fn what_a_container_makes_elsewhere_is_in_it() {
        // Docker in Docker without delegation: the inner cgroup is at the root, beside the outer one.
        const INNER: &str = "f0d9ba77fb28f0d9ba77fb28f0d9ba77fb28f0d9ba77fb28f0d9ba77fb280123";
        let mut registry = Registry::new(ContainerUid(1));
        registry.add(v2(2), format!("/docker/{ID}").as_bytes(), BootNanos(1), &made());
        let making = Making { maker: ContainerUid(1), ..Making::default() };
        let inner = format!("/docker/{INNER}");
        let added = registry.add(v2(3), inner.as_bytes(), BootNanos(2), &making);
        assert_eq!(added, Added::NewContainer(ContainerUid(2)));
        assert_eq!(registry.get(ContainerUid(2)).unwrap().outer, Some(ContainerUid(1)));
    }

    #[test]
    fn a_container_is_kept_while_something_is_to_be_learnt_of_it() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/docker/{ID}");
        registry.add(v2(2), path.as_bytes(), BootNanos(1), &made());
        registry.remove(v2(2), path.as_bytes(), BootNanos(2), |_| false);
        assert_eq!(registry.forget(BootNanos(9), |_| true).1, []);
        assert!(registry.get(ContainerUid(1)).is_some());
        assert_eq!(registry.forget(BootNanos(9), |_| false).1, [ContainerUid(1)]);
    }

    #[test]
    fn a_scan_that_ran_ahead_is_put_right_by_the_news() {
        let mut registry = Registry::new(ContainerUid(1));
        let path = format!("/docker/{ID}");
        let scan = Making { scanned: true, preexisting: true, ..Making::default() };
        registry.add(v2(2), path.as_bytes(), BootNanos(5), &scan);
        assert_eq!(registry.preexisting().count(), 1);
        assert_eq!(registry.add(v2(2), path.as_bytes(), BootNanos(6), &scan), Added::Inside(ContainerUid(1)));
        let added = registry.add(v2(2), path.as_bytes(), BootNanos(4), &made());
        assert_eq!(added, Added::Confirmed(ContainerUid(1)));
        assert_eq!(registry.get(ContainerUid(1)).unwrap().first_seen, BootNanos(4));
        assert_eq!(registry.preexisting().count(), 0);
    }
}
