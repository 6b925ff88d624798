//! What runtimes and monitors tell: their claims, containers that only they tell of, what is found out about them.

use std::time::Instant;

use afterimage_capture_abi::record::V1_BIT;
use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, Role, StoreWriter, layout};
use afterimage_model::keeper::Keeper;
use tracing::debug;

use super::{Sink, SinkCounts, masked, push};
use crate::{
    host,
    identity::{
        announce::{self, Announcement},
        claims::{self, Claim, ClaimId, Part},
        phase,
        registry::Making,
    },
    metadata::{
        Findings,
        worker::{Answer, Target},
    },
    redact::Redactor,
};

impl Sink {
    /// Whose an event is: by lineage where that tells, else by cgroup.
    pub fn owner_of(&mut self, cgroup: u64, event: &Event<'_>) -> ContainerUid {
        match self.lineage.container(event.task.tgid, cgroup) {
            Some(uid) => uid,
            None => self.owner(cgroup, event.time),
        }
    }

    /// What was to be learnt of containers, but that there was no room for.
    pub fn unread(&self) -> u64 {
        self.metadata.refused + self.claims.refused
    }

    /// How a cgroup came to be.
    pub(super) fn making(&mut self, cgroup: u64, path: &[u8], event: &Event<'_>) -> Making {
        let maker = self.owner_of(cgroup, event);
        let by = self.lineage.member(event.task.tgid).map(|member| member.claim);
        let owner = self.registry.outermost(maker).unwrap_or(ContainerUid::HOST);
        let named = self.claims.of_cgroup(path, owner, by).map(|claim| claim.id.clone());
        Making { maker, named, ..Making::default() }
    }

    /// The same of a cgroup that a scan found.
    pub(super) fn found(&self, path: &[u8], preexisting: bool) -> Making {
        let named = self.claims.of_cgroup(path, ContainerUid::HOST, None).map(|claim| claim.id.clone());
        Making { maker: ContainerUid::HOST, scanned: true, preexisting, named }
    }

    /// A container is there: everything that was said of it before is its.
    pub(super) fn created(&mut self, uid: ContainerUid) {
        let Some(record) = self.registry.get(uid) else { return };
        for findings in self.claims.bind(record) {
            self.tell(uid, findings);
        }
        self.put_container(uid);
    }

    /// Adds what was found out to a container's record.
    fn tell(&mut self, uid: ContainerUid, mut findings: Findings) {
        if let Some(redactor) = &mut self.redactor {
            findings.facts.iter_mut().for_each(|fact| redactor.fact(fact));
        }
        let Some(record) = self.registry.get_mut(uid) else { return };
        let before = (record.engine, record.role);
        record.engine = claims::refine(record.engine, findings.engine);
        if let (Role::Container | Role::Unknown, Some(role)) = (record.role, findings.role) {
            record.role = role;
        }
        let changed = before != (record.engine, record.role);
        if claims::add_facts(record, findings.facts) || changed {
            self.changed.insert(uid);
        }
    }

    /// An exec, before it is stored: what it announces, and whether it is the payload of a container that has no
    /// cgroup. Returns whose it is.
    pub(super) fn executed(&mut self, uid: ContainerUid, cgroup: u64, event: &Event<'_>) -> ContainerUid {
        let tgid = event.task.tgid;
        if let Some(announcement) = announce::of(event) {
            self.announced(&announcement, uid, cgroup, event);
            return uid;
        }
        let Some(member) = self.lineage.member(tgid).copied() else { return uid };
        if member.entered || member.cgroup != cgroup || phase::is_runtime(event) {
            return uid;
        }
        let namespace = event.number(layout::exec::NS_MNT);
        if member.mnt_ns.is_some() && namespace.is_some() && member.mnt_ns != namespace {
            return self.enter(tgid, event.time);
        }
        // A hook or helper of the runtime.
        self.lineage.leave(tgid);
        uid
    }

    /// Takes an announcement.
    pub(super) fn announced(
        &mut self,
        announcement: &Announcement,
        uid: ContainerUid,
        cgroup: u64,
        event: &Event<'_>,
    ) {
        let id = ClaimId::of(event);
        let owner = self.registry.outermost(uid).unwrap_or(ContainerUid::HOST);
        let Some(claim) = Claim::new(announcement, owner, event) else {
            self.claims.add_daemon(id, owner);
            return;
        };
        if event.code == EventCode::EXEC && claim.part != Part::Monitor {
            self.lineage.begin(event.task.tgid, id, claim.mnt_ns, cgroup);
        }
        self.claims.add(id, claim);
    }

    /// A member of a runtime's lineage is in its container, which is made where there is none.
    pub(super) fn enter(&mut self, tgid: u32, now: BootNanos) -> ContainerUid {
        self.enter_as(tgid, now, false)
    }

    /// The same of a process that was there before recording began.
    pub(super) fn enter_preexisting(&mut self, tgid: u32, now: BootNanos) -> ContainerUid {
        self.enter_as(tgid, now, true)
    }

    /// Has the programs record a process whose cgroup is the host's.
    pub(super) fn mark(&mut self, now: BootNanos, tgid: u32, cgroup: u64) {
        if let Err(error) = self.marks.set(now.0, tgid, cgroup) {
            debug!("process {tgid} of a container without a cgroup is not recorded: {error}");
        }
    }

    fn enter_as(&mut self, tgid: u32, now: BootNanos, preexisting: bool) -> ContainerUid {
        let Some(id) = self.lineage.member(tgid).map(|member| member.claim) else {
            return ContainerUid::HOST;
        };
        let Some(claim) = self.claims.get(id) else {
            self.lineage.leave(tgid);
            return ContainerUid::HOST;
        };
        let (owner, name) = (claim.owner, claim.id.clone());
        let uid = match self.container_of(id) {
            Some(uid) => uid,
            None => {
                let uid =
                    self.registry.add_without_cgroup(&name, self.registry.outermost(owner), now, preexisting);
                self.created(uid);
                uid
            }
        };
        self.lineage.enter(tgid, uid);
        // What was payload where the runtime ran stays payload: nobody hides in a set-up that never ends.
        if owner != ContainerUid::HOST {
            self.phases.is_payload(tgid, uid);
        }
        uid
    }

    /// The container that a claim is about, if it lives.
    fn container_of(&mut self, id: ClaimId) -> Option<ContainerUid> {
        let claim = self.claims.get(id)?;
        if let Some(uid) = claim.container {
            return self.registry.get(uid).filter(|record| record.removed.is_none()).map(|record| record.uid);
        }
        let known = self.registry.with_id(&claim.id).to_vec();
        known.into_iter().find(|uid| {
            let record = self.registry.get(*uid);
            record.is_some_and(|record| {
                self.claims.bind_claim(id, record);
                self.claims.get(id).is_some_and(|claim| claim.container == Some(*uid))
            })
        })
    }

    /// What an event does to the lineage of runtimes, after it was stored.
    pub(super) fn descend(&mut self, cgroup: u64, event: &Event<'_>) {
        match event.code {
            EventCode::FORK => {
                if let Some(child) = self.lineage.forked(event) {
                    self.enter(child, event.time);
                }
                self.born_elsewhere(cgroup, event);
            }
            EventCode::EXIT if event.number(layout::exit::GROUP_DEAD) == Some(1) => {
                if let Some(uid) = self.lineage.leave(event.task.tgid) {
                    self.ended_without_cgroup(uid, event.time);
                }
            }
            _ => {}
        }
    }

    /// A process was moved to another cgroup. A container's payload stays the container's wherever it goes, but for a
    /// container within it: nobody leaves by writing to `cgroup.procs`.
    pub(super) fn moved(&mut self, event: &Event<'_>) {
        let (Some(moved), Some(stamp)) =
            (event.number(layout::cgroup::MOVED), event.number(layout::cgroup::MOVED_TO))
        else {
            return;
        };
        self.comes_into((moved >> 32) as u32, stamp, event.time);
    }

    /// A process was made in another cgroup than its parent's (`CLONE_INTO_CGROUP`): the same as if it had been moved.
    fn born_elsewhere(&mut self, cgroup: u64, event: &Event<'_>) {
        let (Some(child), Some(stamp)) =
            (event.number(layout::fork::CHILD_TGID), event.number(layout::fork::CHILD_CGROUP))
        else {
            return;
        };
        if stamp != cgroup && stamp != layout::UNKNOWN {
            self.comes_into(child as u32, stamp, event.time);
        }
    }

    fn comes_into(&mut self, tgid: u32, stamp: u64, time: BootNanos) {
        if self.lineage.container(tgid, stamp).is_some() {
            return;
        }
        let Some(uid) = self.phases.container(tgid) else {
            // The programs could not know that it is no container's; most are not marked at all.
            if self.lineage.member(tgid).is_none() {
                let _ = self.marks.clear(tgid);
            }
            return;
        };
        let owner = self.known_owner(stamp).unwrap_or(ContainerUid::HOST);
        if !self.registry.is_within(owner, uid) {
            self.lineage.hold(tgid, uid, stamp, ClaimId { tgid, time });
        }
    }

    /// The last process of a container has ended: where no cgroup goes away, this is the container's end.
    fn ended_without_cgroup(&mut self, uid: ContainerUid, now: BootNanos) {
        let has_none = self.registry.get(uid).is_some_and(|record| record.cgroup_path.is_empty());
        if has_none || self.registry.is_adrift(uid) {
            self.registry.end(uid, now);
            self.finish(uid, now);
        }
    }

    fn learnt_of_image(
        store: (&mut StoreWriter, &mut Keeper),
        (counts, redactor): (&mut SinkCounts, Option<&mut Redactor>),
        uid: ContainerUid,
        event: &Event<'_>,
    ) {
        match masked(redactor, event, |event| push(store, uid, event)) {
            Ok(()) => counts.stored += 1,
            // What a full disk refuses is told by the events of everybody.
            Err(_) => counts.refused += 1,
        }
    }

    /// Takes answers about claims not younger than `horizon`: claims that have had their turn.
    pub fn learn(&mut self, horizon: BootNanos) {
        let Self { artifacts, store, keeper, counts, redactor, .. } = self;
        artifacts.learn(horizon.min(host::boot_now()), |uid, event| {
            Self::learnt_of_image((store, keeper), (counts, redactor.as_mut()), uid, event)
        });
        while let Some(answer) = self.metadata.answer() {
            self.answers.push_back(answer);
        }
        for _ in 0..self.answers.len() {
            let Some(answer) = self.answers.pop_front() else { break };
            match answer.target {
                Target::Claim(claim) if claim.time > horizon => self.answers.push_back(answer),
                _ => self.learnt(answer, horizon),
            }
        }
    }

    /// Waits for the answers that are due, but not longer than `until`.
    pub fn learn_last(&mut self, until: Instant) {
        let Self { artifacts, store, keeper, counts, redactor, .. } = self;
        artifacts.learn_last(host::boot_now(), until, |uid, event| {
            Self::learnt_of_image((store, keeper), (counts, redactor.as_mut()), uid, event);
        });
        while let Some(answer) = self.metadata.last_answer(until) {
            self.answers.push_back(answer);
        }
        while let Some(answer) = self.answers.pop_front() {
            self.learnt(answer, BootNanos(u64::MAX));
        }
    }

    fn learnt(&mut self, answer: Answer, now: BootNanos) {
        let target = answer.target;
        if let Some((uid, findings)) = self.claims.learn(answer) {
            self.tell(uid, findings);
        }
        let Target::Claim(id) = target else { return };
        let Some(claim) = self.claims.get(id).filter(|claim| claim.container.is_none()) else { return };
        let Some(path) = claim.cgroup.clone().filter(|path| path.starts_with('/')) else { return };
        let (name, owner) = (claim.id.clone(), claim.owner);
        // The bundle told too late: the cgroup was taken for the host's.
        let Some((uid, keys)) = self.registry.claim(path.as_bytes(), &name, owner, now) else { return };
        for key in keys {
            let id = if key.hierarchy == 0 { key.id } else { key.id | V1_BIT };
            if let Err(error) = self.policy.reset(id) {
                debug!("cgroup {id} keeps the host's policy: {error}");
            }
        }
        self.created(uid);
    }
}
