//! Going on after a recorder that was killed: its containers keep their uids, and what it had stored is not stored again.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, Event, EventCode, FactKey, Query, ReadError, Recording, layout,
};
use afterimage_model::keeper::resumable;
use tracing::{debug, info};

use super::Sink;
use crate::{
    identity::{announce, registry::CgroupKey},
    metadata::scout,
};

/// A runtime makes its container's cgroup within this time, in nanoseconds.
const AT_WORK: u64 = 10_000_000_000;
/// The rings fill while something is read, so that it ends in time.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// Goes on with the containers of a recorder that ended at `end`, all that it did not see the end of: what is in the
    /// rings may be theirs. What says in the rings that a cgroup was `removed` is told in its turn; of those that were
    /// `made` meanwhile as well.
    pub fn resume(
        &mut self,
        containers: &[ContainerRecord],
        (made, removed): (&HashSet<CgroupKey>, &[(CgroupKey, Vec<u8>)]),
        (stored, end): (Stored, BootNanos),
    ) {
        self.stored = stored;
        // Of several that had the same cgroup, earlier ones were an earlier recorder's that left a gap.
        let mut living: HashMap<CgroupKey, &ContainerRecord> = HashMap::new();
        let key_of =
            |record: &ContainerRecord| CgroupKey { hierarchy: record.hierarchy, id: record.cgroup_id };
        // One that ended is written at once: all of it may still be in the rings, and then it ends once more.
        let ends: HashSet<CgroupKey> = removed.iter().map(|(key, _)| *key).collect();
        let goes_on = |record: &&ContainerRecord| {
            let is_open = record.removed.is_none() || ends.contains(&key_of(record));
            record.uid != ContainerUid::HOST && record.cgroup_id != 0 && is_open
        };
        for record in containers.iter().filter(goes_on) {
            let key = key_of(record);
            let latest = living.entry(key).or_insert(record);
            if record.uid > latest.uid {
                *latest = record;
            }
        }
        let mut living: Vec<&ContainerRecord> = living.into_values().collect();
        // Of those at the same place the latest stays.
        living.sort_unstable_by_key(|record| record.uid);
        for record in living {
            if record.started.is_some() || record.preexisting {
                self.phases.taken_over(record.uid, end);
            }
            self.registry.restore(ContainerRecord { removed: None, ..record.clone() });
            self.resumed.insert(record.uid);
            self.put_container(record.uid);
        }
        for (key, path) in removed.iter().filter(|(key, _)| !made.contains(key)) {
            self.registry.restore_below(*key, path);
        }
    }

    /// Remembers the runtimes of the host that were at work when the recorder before ended at `end`: who made a cgroup that is in the
    /// rings tells whose it is, where its name does not. Times of the recording are those of this boot and `base`.
    ///
    /// # Errors
    /// [`ReadError`]: the recording cannot be read.
    pub fn resume_runtimes(
        &mut self,
        recording: &Recording,
        base: BootNanos,
        end: BootNanos,
    ) -> Result<(), ReadError> {
        let begin = BootNanos(end.0.saturating_sub(AT_WORK).saturating_add(base.0));
        let query = Query { containers: vec![ContainerUid::HOST], begin: Some(begin), ..Query::default() };
        let until = Instant::now() + PATIENCE;
        recording.for_each(&query, &mut |_, event: &Event<'_>| {
            self.recall(&Event { time: BootNanos(event.time.0.saturating_sub(base.0)), ..*event });
            if Instant::now() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// What a stored event of the host tells of runtimes.
    fn recall(&mut self, event: &Event<'_>) {
        match event.code {
            EventCode::EXEC => {
                let Some((announcement, cgroup)) =
                    announce::of(event).zip(event.number(layout::exec::CGROUP))
                else {
                    return;
                };
                scout::look(&mut self.metadata, event);
                self.announced(&announcement, ContainerUid::HOST, cgroup, event);
            }
            EventCode::FORK => {
                self.lineage.forked(event);
            }
            EventCode::EXIT if event.number(layout::exit::GROUP_DEAD) == Some(1) => {
                self.lineage.leave(event.task.tgid);
            }
            _ => {}
        }
    }

    /// Goes on with their states, behind what is stored of them, so that they get keyframes: first where it takes the least
    /// reading.
    pub fn resume_states(&mut self, recording: &Recording) {
        let until = Instant::now() + PATIENCE;
        // The others begin when their first event comes.
        let begun = recording.containers().iter().filter(|summary| summary.events > 0);
        let begun = begun.map(|summary| summary.record.uid).filter(|uid| self.resumed.contains(uid));
        let begun: Vec<ContainerUid> = begun.collect();
        let mut without = begun.len();
        for (_, uid) in resumable(recording, begun.into_iter()) {
            match self.keeper.resume(&mut self.store, recording, uid, until) {
                Ok(known) => without -= usize::from(known),
                Err(error) => debug!("the state of container {} is not known: {error}", uid.0),
            }
        }
        if without > 0 {
            info!("{without} containers that go on get no keyframes any more: their state is not known");
        }
    }

    /// What was in the rings has been told: those whose cgroup is gone although nothing told of it have ended too.
    pub fn resumed(&mut self, now: BootNanos) {
        self.foretold = HashSet::default();
        let walk = self.cgroups.walk();
        let is_not_there = walk.is_gone();
        let is_gone = |uid: &ContainerUid| {
            self.registry.get(*uid).is_some_and(|record| {
                let key = CgroupKey { hierarchy: record.hierarchy, id: record.cgroup_id };
                record.removed.is_none() && is_not_there(key)
            })
        };
        let gone: Vec<ContainerUid> = self.resumed.iter().copied().filter(is_gone).collect();
        for uid in gone {
            self.registry.end(uid, now);
            self.finish(uid, now);
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
