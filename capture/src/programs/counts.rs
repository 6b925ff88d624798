//! What the programs counted, and what was told of it.

use afterimage_capture_abi::record::{CpuCounters, LossSlot};
use afterimage_format::BootNanos;
use aya::maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuHashMap};

use super::{LoadError, Programs, TOLD};
use crate::losses::Told;

/// The map of what was lost, by cgroup.
const LOSSES: &str = "LOSSES";

/// Under this key of what was told, which no cgroup has, is when it was read, and what was told of no cgroup.
const READ: u64 = u64::MAX;

/// In its place for what was throttled: what was told of closed books is there too.
const CLOSED_NOTED: u64 = 1;

impl Programs {
    /// What all CPUs counted, summed; `seq` is the sum of records begun.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn counters(&self) -> Result<CpuCounters, LoadError> {
        const NAME: &str = "COUNTERS";
        let map = self.ebpf.map(NAME).ok_or(LoadError::Missing { name: NAME })?;
        let error = |source| LoadError::Map { name: NAME, source: Box::new(source) };
        let array: PerCpuArray<_, CpuCounters> = PerCpuArray::try_from(map).map_err(error)?;
        let mut sum = CpuCounters::default();
        for cpu in array.get(&0, 0).map_err(error)?.iter() {
            sum.seq += cpu.seq;
            sum.runs += cpu.runs;
            sum.calls += cpu.calls;
            sum.merged += cpu.merged;
            sum.filtered += cpu.filtered;
            sum.own += cpu.own;
            sum.throttled += cpu.throttled;
            sum.lost_data += cpu.lost_data;
            sum.lost_control += cpu.lost_control;
            sum.lost_unbooked += cpu.lost_unbooked;
            sum.control += cpu.control;
            sum.faults += cpu.faults;
            sum.uring += cpu.uring;
            sum.unmarked += cpu.unmarked;
        }
        Ok(sum)
    }

    /// How often the kernel ran a program, where run statistics are on.
    ///
    /// # Errors
    /// [`LoadError::Program`].
    pub fn kernel_runs(&self, name: &'static str) -> Result<u64, LoadError> {
        let error = |source| LoadError::Program { name, source: Box::new(source) };
        let program = self.ebpf.program(name).ok_or(LoadError::Missing { name })?;
        Ok(program.info().map_err(error)?.run_count())
    }

    /// What was told of the losses.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn told(&self) -> Result<Told, LoadError> {
        let error = |source| LoadError::Map { name: TOLD, source: Box::new(source) };
        let map = self.ebpf.map(TOLD).ok_or(LoadError::Missing { name: TOLD })?;
        let table: HashMap<_, u64, LossSlot> = HashMap::try_from(map).map_err(error)?;
        let mut slots: Vec<_> = table.iter().collect::<Result<_, _>>().map_err(error)?;
        let read =
            slots.iter().find(|(cgroup, _)| *cgroup == READ).map(|(_, slot)| *slot).unwrap_or_default();
        slots.retain(|(cgroup, _)| *cgroup != READ);
        let closed = (read.throttled == CLOSED_NOTED).then_some(read.control);
        Ok(Told { slots, unbooked: read.data, closed, noted: BootNanos(read.last) })
    }

    /// Notes for the next recorder what was told of the losses.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn tell(&mut self, told: &Told) -> Result<(), LoadError> {
        let error = |source| LoadError::Map { name: TOLD, source: Box::new(source) };
        let map = self.ebpf.map_mut(TOLD).ok_or(LoadError::Missing { name: TOLD })?;
        let mut table: HashMap<_, u64, LossSlot> = HashMap::try_from(map).map_err(error)?;
        for (cgroup, slot) in &told.slots {
            table.insert(cgroup, slot, 0).map_err(error)?;
        }
        let throttled = if told.closed.is_some() { CLOSED_NOTED } else { 0 };
        let control = told.closed.unwrap_or(0);
        let read = LossSlot { data: told.unbooked, control, throttled, last: told.noted.0 };
        table.insert(READ, read, 0).map_err(error)
    }

    /// Closes the books of cgroups that are gone: room for those to come. What was booked goes before what was told of it:
    /// a recorder that is killed between the two tells nothing twice. Gives those that are closed, and why others are not.
    pub fn close_books(&mut self, cgroups: &[u64]) -> (Vec<u64>, Option<LoadError>) {
        let mut failed = None;
        let mut closed = Vec::new();
        match self.losses_table() {
            Ok(mut table) => {
                let mut gone = |cgroup: &u64| match removed(table.remove(cgroup)) {
                    Ok(()) => true,
                    Err(error) => {
                        failed.get_or_insert(error);
                        false
                    }
                };
                closed.extend(cgroups.iter().filter(|cgroup| gone(cgroup)));
            }
            Err(error) => return (closed, Some(error)),
        }
        let failed = failed.map(|source| LoadError::Map { name: LOSSES, source: Box::new(source) });
        match self.untell(&closed) {
            Ok(()) => (closed, failed),
            Err(error) => (closed, failed.or(Some(error))),
        }
    }

    fn losses_table(&mut self) -> Result<PerCpuHashMap<&mut MapData, u64, LossSlot>, LoadError> {
        let map = self.ebpf.map_mut(LOSSES).ok_or(LoadError::Missing { name: LOSSES })?;
        PerCpuHashMap::try_from(map)
            .map_err(|source| LoadError::Map { name: LOSSES, source: Box::new(source) })
    }

    /// Forgets what was told of cgroups whose books are closed; all of them are tried.
    fn untell(&mut self, cgroups: &[u64]) -> Result<(), LoadError> {
        let error = |source| LoadError::Map { name: TOLD, source: Box::new(source) };
        let map = self.ebpf.map_mut(TOLD).ok_or(LoadError::Missing { name: TOLD })?;
        let mut table: HashMap<_, u64, LossSlot> = HashMap::try_from(map).map_err(error)?;
        let mut done = Ok(());
        for cgroup in cgroups {
            done = done.and(removed(table.remove(cgroup)));
        }
        done.map_err(error)
    }

    /// Losses by cgroup since loading, all CPUs summed.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn losses(&self) -> Result<Vec<(u64, LossSlot)>, LoadError> {
        let map = self.ebpf.map(LOSSES).ok_or(LoadError::Missing { name: LOSSES })?;
        let error = |source| LoadError::Map { name: LOSSES, source: Box::new(source) };
        let table: PerCpuHashMap<_, u64, LossSlot> = PerCpuHashMap::try_from(map).map_err(error)?;
        let mut losses = Vec::new();
        for entry in table.iter() {
            let (cgroup, cpus) = entry.map_err(error)?;
            let mut sum = LossSlot::default();
            for cpu in cpus.iter() {
                sum.data += cpu.data;
                sum.control += cpu.control;
                sum.throttled += cpu.throttled;
                sum.last = sum.last.max(cpu.last);
            }
            losses.push((cgroup, sum));
        }
        Ok(losses)
    }
}

/// What was removed, or was not there.
fn removed(done: Result<(), MapError>) -> Result<(), MapError> {
    match done {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
