//! Tables that the recorder changes while the programs look into them: what to keep of which cgroup, and which processes
//! runtimes made.

use std::{collections::BTreeMap, io, os::fd::OwnedFd};

use afterimage_capture_abi::{
    config::Live,
    lineage::{Mark, marked, state},
};
use aya::maps::{Array, HashMap, Map, MapData, MapError};

use super::{LoadError, Programs, bpf, descriptor};

/// What a look at a table found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// What was left there.
    AsLeft,
    /// Something else, which somebody else wrote; what was left there is there again.
    Restored,
    /// Something else, and the kernel does not let it be mended.
    Refused,
}

impl Found {
    fn mended(done: Result<(), MapError>) -> Self {
        match done {
            Ok(()) => Self::Restored,
            Err(error) => {
                tracing::debug!("what somebody else wrote into a map stays: {error}");
                Self::Refused
            }
        }
    }
}

/// What to keep of which cgroup: the table the programs look into.
pub struct Policies {
    table: HashMap<MapData, u64, u32>,
    /// The same table, for calls that look at all of it.
    descriptor: OwnedFd,
    live: Array<MapData, Live>,
    /// What was left in them: nobody else has any business to change it.
    left: BTreeMap<u64, u32>,
    left_live: Live,
}

impl Policies {
    /// Sets a cgroup's policy.
    ///
    /// # Errors
    /// When the table is full: the cgroup then has the default.
    pub fn set(&mut self, cgroup: u64, policy: u32) -> Result<(), MapError> {
        self.table.insert(cgroup, policy, 0)?;
        self.left.insert(cgroup, policy);
        self.changed()
    }

    /// Forgets a cgroup.
    ///
    /// # Errors
    /// When it has no policy.
    pub fn forget(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.left.remove(&cgroup);
        self.table.remove(&cgroup)
    }

    /// Gives a cgroup the default policy again.
    ///
    /// # Errors
    /// When it has no policy of its own.
    pub fn reset(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.forget(cgroup)?;
        self.changed()
    }

    /// Gives those that are not `wanted` the default policy.
    ///
    /// # Errors
    /// As of map operations.
    pub fn retain(&mut self, wanted: impl Fn(u64) -> bool) -> Result<(), MapError> {
        let others: Vec<u64> = self.left.keys().copied().filter(|cgroup| !wanted(*cgroup)).collect();
        for cgroup in others {
            self.forget(cgroup)?;
        }
        self.changed()
    }

    /// CPUs are to forget the policies that they remember.
    fn changed(&mut self) -> Result<(), MapError> {
        let generation = self.left_live.generation.wrapping_add(1);
        self.left_live = Live { generation, ..self.left_live };
        self.live.set(0, self.left_live, 0)
    }

    /// Looks whether the programs are told whose calls are the recorder's own, and which policies are of now.
    ///
    /// # Errors
    /// As of map operations.
    pub fn look_at_live(&mut self) -> Result<Found, MapError> {
        let found = self.live.get(&0, 0)?;
        if found == self.left_live {
            return Ok(Found::AsLeft);
        }
        // A CPU may remember a policy under the generation that was written: that must not come round again soon.
        self.left_live.generation = self.left_live.generation.max(found.generation);
        Ok(Found::mended(self.changed()))
    }

    /// Looks whether every cgroup has the policy that was set for it, and no other has one.
    ///
    /// # Errors
    /// As of the system call.
    pub fn look_at_all(&mut self) -> io::Result<Found> {
        let found: BTreeMap<u64, u32> = bpf::entries(&self.descriptor)?.into_iter().collect();
        if found == self.left {
            return Ok(Found::AsLeft);
        }
        Ok(Found::mended(self.restore(&found)))
    }

    fn restore(&mut self, found: &BTreeMap<u64, u32>) -> Result<(), MapError> {
        // Those that have none first: a full table has room then.
        for cgroup in found.keys().filter(|cgroup| !self.left.contains_key(cgroup)) {
            self.table.remove(cgroup)?;
        }
        for (cgroup, policy) in self.left.iter().filter(|(cgroup, policy)| found.get(cgroup) != Some(policy))
        {
            self.table.insert(cgroup, policy, 0)?;
        }
        self.changed()
    }
}

/// Processes that runtimes made, where the programs remember them.
pub struct Marks {
    marks: HashMap<MapData, u32, Mark>,
    marked: Array<MapData, u64>,
    /// What was left in its word for when there were none any more.
    cleared: u64,
}

impl Marks {
    /// Has the programs record a process that was there before, and what it forks.
    ///
    /// # Errors
    /// When there is no room for more marks.
    pub fn set(&mut self, now: u64, tgid: u32, cgroup: u64) -> Result<(), MapError> {
        self.marked.set(marked::LATEST, now, 0)?;
        self.marks.insert(tgid, Mark { cgroup, mnt_ns: 0, state: state::INSIDE }, 0)
    }

    /// A process is not recorded for its mark any more.
    ///
    /// # Errors
    /// When it has none.
    pub fn clear(&mut self, tgid: u32) -> Result<(), MapError> {
        self.marks.remove(&tgid)
    }

    /// Tells the programs when there are no marks any more, so that they need not look.
    ///
    /// # Errors
    /// As of map operations.
    pub fn settle(&mut self, now: u64) -> Result<(), MapError> {
        /// The programs set the word before the mark: within this time both are there.
        const APART: u64 = 1_000_000_000;
        let latest = self.marked.get(&marked::LATEST, 0)?;
        let settled = self.marked.get(&marked::CLEARED, 0)? == latest;
        if settled || latest > now.saturating_sub(APART) || self.marks.keys().next().is_some() {
            return Ok(());
        }
        self.cleared = latest;
        self.marked.set(marked::CLEARED, latest, 0)
    }

    /// Looks whether the programs are told since when there are no marks any more.
    ///
    /// # Errors
    /// As of map operations.
    pub fn look_at_cleared(&mut self) -> Result<Found, MapError> {
        if self.marked.get(&marked::CLEARED, 0)? == self.cleared {
            return Ok(Found::AsLeft);
        }
        Ok(Found::mended(self.marked.set(marked::CLEARED, self.cleared, 0)))
    }
}

impl Programs {
    /// Takes the policy table.
    ///
    /// # Errors
    /// [`LoadError`] when it was taken before.
    pub fn take_policy(&mut self) -> Result<Policies, LoadError> {
        const NAME: &str = "POLICY";
        let unusable = |error: io::Error| LoadError::Map { name: NAME, source: Box::new(error.into()) };
        let map = self.ebpf.map(NAME).and_then(descriptor).ok_or(LoadError::Missing { name: NAME })?;
        let descriptor = map.try_clone_to_owned().map_err(unusable)?;
        let left = bpf::entries(&descriptor).map_err(unusable)?.into_iter().collect();
        let table = self.take(NAME)?;
        let live: Array<MapData, Live> = self.take("LIVE")?;
        let left_live =
            live.get(&0, 0).map_err(|source| LoadError::Map { name: "LIVE", source: Box::new(source) })?;
        Ok(Policies { table, descriptor, live, left, left_live })
    }

    /// Takes the marks of processes that runtimes made.
    ///
    /// # Errors
    /// [`LoadError`] when they were taken before.
    pub fn take_marks(&mut self) -> Result<Marks, LoadError> {
        const NAME: &str = "MARKED";
        let marked: Array<MapData, u64> = self.take(NAME)?;
        let cleared = marked
            .get(&marked::CLEARED, 0)
            .map_err(|source| LoadError::Map { name: NAME, source: Box::new(source) })?;
        Ok(Marks { marks: self.take("MARKS")?, marked, cleared })
    }

    fn take<T: TryFrom<Map, Error = MapError>>(&mut self, name: &'static str) -> Result<T, LoadError> {
        let map = self.ebpf.take_map(name).ok_or(LoadError::Missing { name })?;
        T::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })
    }
}
