//! Tables that the recorder changes while the programs look into them: what to keep of which cgroup, and which processes
//! runtimes made.

use afterimage_capture_abi::{
    config::Live,
    lineage::{Mark, marked, state},
};
use aya::maps::{Array, HashMap, Map, MapData, MapError};

use super::{LoadError, Programs};

/// What to keep of which cgroup: the table the programs look into.
pub struct Policies {
    table: HashMap<MapData, u64, u32>,
    live: Array<MapData, Live>,
}

impl Policies {
    /// Sets a cgroup's policy.
    ///
    /// # Errors
    /// When the table is full: the cgroup then has the default.
    pub fn set(&mut self, cgroup: u64, policy: u32) -> Result<(), MapError> {
        self.table.insert(cgroup, policy, 0)?;
        self.changed()
    }

    /// Forgets a cgroup.
    ///
    /// # Errors
    /// When it has no policy.
    pub fn forget(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.table.remove(&cgroup)
    }

    /// Gives a cgroup the default policy again.
    ///
    /// # Errors
    /// When it has no policy of its own.
    pub fn reset(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.table.remove(&cgroup)?;
        self.changed()
    }

    /// Gives those that are not `wanted` the default policy.
    ///
    /// # Errors
    /// As of map operations.
    pub fn retain(&mut self, wanted: impl Fn(u64) -> bool) -> Result<(), MapError> {
        let all: Vec<u64> = self.table.keys().collect::<Result<_, _>>()?;
        for cgroup in all.into_iter().filter(|cgroup| !wanted(*cgroup)) {
            self.table.remove(&cgroup)?;
        }
        self.changed()
    }

    fn changed(&mut self) -> Result<(), MapError> {
        let mut live = self.live.get(&0, 0)?;
        live.generation = live.generation.wrapping_add(1);
        self.live.set(0, live, 0)
    }
}

/// Processes that runtimes made, where the programs remember them.
pub struct Marks {
    marks: HashMap<MapData, u32, Mark>,
    marked: Array<MapData, u64>,
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
        self.marked.set(marked::CLEARED, latest, 0)
    }
}

impl Programs {
    /// Takes the policy table.
    ///
    /// # Errors
    /// [`LoadError`] when it was taken before.
    pub fn take_policy(&mut self) -> Result<Policies, LoadError> {
        Ok(Policies { table: self.take("POLICY")?, live: self.take("LIVE")? })
    }

    /// Takes the marks of processes that runtimes made.
    ///
    /// # Errors
    /// [`LoadError`] when they were taken before.
    pub fn take_marks(&mut self) -> Result<Marks, LoadError> {
        Ok(Marks { marks: self.take("MARKS")?, marked: self.take("MARKED")? })
    }

    fn take<T: TryFrom<Map, Error = MapError>>(&mut self, name: &'static str) -> Result<T, LoadError> {
        let map = self.ebpf.take_map(name).ok_or(LoadError::Missing { name })?;
        T::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })
    }
}
