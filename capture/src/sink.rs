//! What becomes of an event: whose it is, whether it is set-up, what it tells of its container; then into the store.

pub mod census;
mod policies;
pub mod resume;
mod runtime;
mod traced;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use afterimage_capture_abi::record::V1_BIT;
use afterimage_format::{
    BootNanos, ContainerUid, Event, EventCode, EventFlags, FieldTag, Loss, LossCause, Space, StoreWriter,
    WriteError, layout,
};
use afterimage_model::keeper::Keeper;
use tracing::{debug, warn};

use crate::{
    artifacts::Artifacts,
    helpers::watch::Helpers,
    host::{Cgroups, Walk},
    identity::{
        claims::{ClaimId, Claims},
        lineage::Lineage,
        phase::{self, Phases},
        registry::{Added, CgroupKey, Registry},
    },
    metadata::{
        Metadata, scout,
        worker::{Answer, Target},
    },
    programs::{Marks, Policies},
    recorder::Looking,
    redact::Redactor,
    witness::Witness,
};
use traced::Traced;

/// How long removed cgroups are remembered for late records.
const REMEMBER: u64 = 2_000_000_000;
/// How often the cgroup tree is read again for a cgroup that is not known.
const RESCAN: Duration = Duration::from_secs(1);

/// What the sink counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Events stored.
    pub stored: u64,
    /// Events of the host that its policy leaves out, but that came before the kernel knew.
    pub filtered: u64,
    /// Events whose cgroup could not be found: stored as the host's.
    pub unattributed: u64,
    /// Events that the store refused.
    pub refused: u64,
    /// Secrets that were masked.
    pub redacted: u64,
}

/// The end of an event's way.
pub struct Sink {
    /// The store.
    pub store: StoreWriter,
    /// Whose is what.
    pub registry: Registry,
    /// What was done.
    pub counts: SinkCounts,
    /// What is known of containers beyond their cgroups.
    pub metadata: Metadata,
    /// Executed images that are no part of a container's.
    pub artifacts: Artifacts,
    helpers: Arc<Helpers>,
    /// The containers' states, for keyframes.
    keeper: Keeper,
    phases: Phases,
    lineage: Lineage,
    claims: Claims,
    /// Answers about claims whose turn has not come.
    answers: VecDeque<Answer>,
    /// Containers of which more is known than was stored.
    changed: BTreeSet<ContainerUid>,
    policy: Policies,
    marks: Marks,
    cgroups: Cgroups,
    /// Policy of the host's cgroups.
    host_policy: u32,
    /// Whether the host's own calls are recorded.
    host_calls: bool,
    /// Whether the host's forks, execs and exits are recorded.
    host_lifecycle: bool,
    rescanned: Option<Instant>,
    refused_since: Option<(BootNanos, u64)>,
    /// Containers whose cgroup had no process when recording began and of which nothing has been seen since: an empty cgroup
    /// that somebody left behind is told of when something happens in it.
    silent: HashSet<ContainerUid, foldhash::fast::RandomState>,
    /// Who is told besides the store.
    witness: Option<Box<dyn Witness>>,
    /// Policy of containers, where it is not the one the programs were loaded with.
    container_policy: Option<u32>,
    /// Masks secrets.
    redactor: Option<Redactor>,
    /// What an earlier recorder has stored already.
    stored: resume::Stored,
    /// Its containers that go on.
    resumed: BTreeSet<ContainerUid>,
    /// Cgroups whose making is told by what is in the rings still: who made them tells more than a look at them.
    foretold: HashSet<CgroupKey, foldhash::fast::RandomState>,
    /// Policies of single containers.
    own_policies: HashMap<ContainerUid, u32, foldhash::fast::RandomState>,
    /// Containers whose calls a tracer may skip.
    traced: Traced,
}

/// Stores an event, behind the state of its container where the store wants that first.
fn push(
    (store, keeper): (&mut StoreWriter, &mut Keeper),
    uid: ContainerUid,
    event: &Event<'_>,
) -> Result<(), WriteError> {
    if let Err(error) = keeper.before(store, uid) {
        debug!("a keyframe could not be written: {error}");
    }
    store.push(uid, event)?;
    keeper.apply(uid, event);
    Ok(())
}

/// A cgroup as the kernel stamps it on a record; `v1` is the chosen v1 hierarchy.
fn key_of(cgroup: u64, v1: u32) -> CgroupKey {
    let hierarchy = if cgroup & V1_BIT != 0 { v1 } else { 0 };
    CgroupKey { hierarchy, id: cgroup & !V1_BIT }
}

/// The other way round.
fn stamp_of(key: CgroupKey) -> u64 {
    if key.hierarchy == 0 { key.id } else { key.id | V1_BIT }
}

/// Hands an event on without its secrets.
fn masked<R>(redactor: Option<&mut Redactor>, event: &Event<'_>, then: impl FnOnce(&Event<'_>) -> R) -> R {
    match redactor.and_then(|redactor| redactor.event(event)) {
        Some(redacted) => then(&Event { fields: &redacted.fields(event), ..*event }),
        None => then(event),
    }
}

/// How the host itself is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPolicy {
    /// For the programs.
    pub bits: u32,
    /// Whether calls are kept.
    pub calls: bool,
    /// Whether forks, execs and exits are kept.
    pub lifecycle: bool,
}

impl Sink {
    /// Into `store`.
    pub fn new(
        store: StoreWriter,
        Looking { metadata, artifacts, helpers }: Looking,
        (policy, marks): (Policies, Marks),
        cgroups: Cgroups,
        host: HostPolicy,
    ) -> Self {
        let registry = Registry::new(store.next_uid());
        Self {
            store,
            registry,
            counts: SinkCounts::default(),
            metadata,
            artifacts,
            helpers,
            keeper: Keeper::default(),
            phases: Phases::default(),
            lineage: Lineage::default(),
            claims: Claims::default(),
            answers: VecDeque::new(),
            changed: BTreeSet::new(),
            policy,
            marks,
            cgroups,
            host_policy: host.bits,
            host_calls: host.calls,
            host_lifecycle: host.lifecycle,
            rescanned: None,
            refused_since: None,
            silent: HashSet::default(),
            witness: None,
            redactor: None,
            container_policy: None,
            stored: resume::Stored::default(),
            resumed: BTreeSet::new(),
            foretold: HashSet::default(),
            own_policies: HashMap::default(),
            traced: Traced::default(),
        }
    }

    /// Looks at the cgroup trees, for [`Self::found_at_start`].
    pub fn walk(&self) -> Walk {
        self.cgroups.walk()
    }

    /// What is in the rings tells of the making of this cgroup.
    pub fn foretell(&mut self, event: &Event<'_>) {
        if event.code == EventCode::CGROUP_MKDIR {
            self.foretold.extend(Self::cgroup_of(event).map(|(key, _)| key));
        }
    }

    /// Takes in what a look at the start has found and nothing [foretells](Self::foretell): what existed before.
    pub fn found_at_start(&mut self, walk: Walk, now: BootNanos) {
        let mut cgroups = walk.cgroups;
        cgroups.retain(|(key, _)| !self.foretold.contains(key));
        for (key, path) in &cgroups {
            let making = self.found(path, true);
            let added = self.registry.add(*key, path, now, &making);
            if let Added::NewContainer(uid) = added {
                self.silent.insert(uid);
            }
            self.added(*key, added);
        }
        for (key, path) in &cgroups {
            let owner = self.registry.owner(*key).filter(|owner| self.silent.contains(owner));
            if let Some(uid) = owner.filter(|_| self.cgroups.has_processes(*key, path)) {
                self.silent.remove(&uid);
                self.put_container(uid);
            }
        }
    }

    /// Looks for a cgroup of whose making nothing was told. Of the others it finds containers; what looks like the host's may be one
    /// whose making is still to be told, and is left for then.
    fn find(&mut self, wanted: CgroupKey, now: BootNanos) {
        for (key, path) in self.walk().cgroups {
            let making = self.found(&path, false);
            if key == wanted || !self.registry.is_nobodys(key, &path, &making) {
                let added = self.registry.add(key, &path, now, &making);
                self.added(key, added);
            }
        }
    }

    /// Those of some cgroups, as the kernel stamps them, that are gone for certain.
    pub fn gone(&self, cgroups: Vec<u64>) -> Vec<u64> {
        let walk = self.cgroups.walk();
        let is_gone = walk.is_gone();
        cgroups.into_iter().filter(|cgroup| is_gone(self.key_of(*cgroup))).collect()
    }

    fn key_of(&self, cgroup: u64) -> CgroupKey {
        key_of(cgroup, self.cgroups.v1.as_ref().map_or(0, |(hierarchy, _)| hierarchy.id))
    }

    fn added(&mut self, key: CgroupKey, added: Added) {
        match added {
            Added::NewContainer(uid) | Added::Confirmed(uid) => self.created(uid),
            Added::Adopted(uid) => self.put_container(uid),
            Added::Inside(_) | Added::Host => {}
        }
        self.apply_policy(key, added.owner());
    }

    /// Containers that are not deleted, but for those of which an empty cgroup is all there is.
    pub fn living(&self) -> usize {
        let leftover = |uid: &&ContainerUid| self.registry.get(**uid).is_some_and(Registry::is_living);
        self.registry.living() - self.silent.iter().filter(leftover).count()
    }

    fn put_container(&mut self, uid: ContainerUid) {
        if self.silent.contains(&uid) {
            return;
        }
        let Some(record) = self.registry.get(uid) else { return };
        if let Some(witness) = &mut self.witness {
            witness.container(record);
        }
        if let Err(error) = self.store.put_container(record) {
            self.refused(BootNanos(0), &error);
        }
    }

    /// Takes an event; `cgroup` is as the kernel stamped it.
    pub fn take(&mut self, cgroup: u64, event: &Event<'_>) {
        if self.helpers.are(event.task.tgid) {
            // It does not record itself: of its first process the programs see to that.
            self.counts.filtered += 1;
            return;
        }
        match event.code {
            EventCode::CGROUP_MKDIR => self.made(cgroup, event),
            EventCode::CGROUP_RMDIR => self.removed(event),
            _ => {
                let mut uid = self.owner_of(cgroup, event);
                if event.code == EventCode::EXEC {
                    uid = self.executed(uid, cgroup, event);
                } else if self.lineage.unshares(event) {
                    uid = self.enter(event.task.tgid, event.time);
                }
                self.put(uid, event);
                self.descend(cgroup, event);
                if event.code == EventCode::CGROUP_ATTACH {
                    self.moved(event);
                }
            }
        }
    }

    /// Has others look at what an exec names, which may be gone when its turn comes.
    pub fn look(&mut self, event: &Event<'_>) {
        scout::look(&mut self.metadata, event);
        self.artifacts.look(event);
    }

    /// Whose a cgroup is, as far as its making has been seen.
    pub fn known_owner(&self, cgroup: u64) -> Option<ContainerUid> {
        self.registry.owner(self.key_of(cgroup))
    }

    /// Whose the tasks of a cgroup are.
    pub fn owner(&mut self, cgroup: u64, now: BootNanos) -> ContainerUid {
        if let Some(uid) = self.known_owner(cgroup) {
            return uid;
        }
        if self.foretold.contains(&self.key_of(cgroup)) {
            // A look at who was there before: its cgroup's turn comes.
            return ContainerUid::HOST;
        }
        if self.rescanned.is_none_or(|at| at.elapsed() > RESCAN) {
            self.rescanned = Some(Instant::now());
            self.find(self.key_of(cgroup), now);
            if let Some(uid) = self.known_owner(cgroup) {
                return uid;
            }
        }
        self.counts.unattributed += 1;
        ContainerUid::HOST
    }

    /// The cgroup that an event is about, and its path.
    pub fn cgroup_of<'e>(event: &Event<'e>) -> Option<(CgroupKey, &'e [u8])> {
        let hierarchy = event.number(layout::cgroup::HIERARCHY)? as u32;
        let id = event.number(layout::cgroup::ID)?;
        Some((CgroupKey { hierarchy, id }, event.bytes(FieldTag::CGROUP)?))
    }

    fn made(&mut self, cgroup: u64, event: &Event<'_>) {
        let Some((key, path)) = Self::cgroup_of(event) else { return };
        self.foretold.remove(&key);
        let making = self.making(cgroup, path, event);
        let added = self.registry.add(key, path, event.time, &making);
        self.added(key, added);
        self.put(added.owner(), event);
    }

    fn removed(&mut self, event: &Event<'_>) {
        let Some((key, path)) = Self::cgroup_of(event) else { return };
        let owner = self.registry.owner(key).unwrap_or(ContainerUid::HOST);
        self.put(owner, event);
        // Who has left it is the container's still, and the container is there.
        let lives = |uid| self.lineage.lives(uid);
        if let Some(uid) = self.registry.remove(key, path, event.time, lives) {
            self.finish(uid, event.time);
        }
    }

    /// A container is deleted.
    fn finish(&mut self, uid: ContainerUid, now: BootNanos) {
        self.put_container(uid);
        if let Err(error) = self.store.finish_container(uid) {
            self.refused(now, &error);
        }
        self.keeper.forget(uid);
        self.traced.forget(uid);
    }

    /// Whether an event of the host is kept: some come for what they tell of containers.
    fn keeps_of_host(&self, code: EventCode) -> bool {
        match code {
            EventCode::FORK | EventCode::EXEC | EventCode::EXIT => self.host_lifecycle,
            code => code.as_syscall().is_none() || self.host_calls,
        }
    }

    /// From now on secrets are masked.
    pub fn set_redactor(&mut self, redactor: Option<Redactor>) {
        self.redactor = redactor;
    }

    /// What was done so far.
    pub fn counts(&self) -> SinkCounts {
        let redacted = self.redactor.as_ref().map_or(0, |redactor| redactor.masked);
        SinkCounts { redacted, ..self.counts }
    }

    /// Stores an event of `uid`.
    pub fn put(&mut self, uid: ContainerUid, event: &Event<'_>) {
        if !self.silent.is_empty() && self.silent.remove(&uid) {
            self.put_container(uid);
        }
        let member = self.lineage.member(event.task.tgid);
        let runtime = member.and_then(|member| member.mnt_ns);
        if self.phases.container(event.task.tgid).is_some_and(|known| known != uid) {
            // Of who is payload, only what a runtime in its container makes sets a container up.
            let claim = member.and_then(|member| self.claims.get(member.claim));
            if claim.is_none_or(|claim| claim.owner == ContainerUid::HOST) {
                self.phases.enters(uid, event.task.tgid);
            }
        }
        // A process that is there when recording begins is payload, unless its container's beginning was seen.
        let begins = event.code == EventCode::PROCESS
            && self.registry.get(uid).is_some_and(|record| !record.preexisting && record.started.is_none());
        let setup = begins || self.phases.apply(uid, event, runtime);
        if event.code == EventCode::EXEC {
            self.artifacts.turned(event, Some(uid).filter(|uid| *uid != ContainerUid::HOST && !setup));
        }
        if uid == ContainerUid::HOST && !self.keeps_of_host(event.code) {
            self.counts.filtered += 1;
            return;
        }
        let mut event = *event;
        self.traced.apply(uid, &mut event);
        if setup {
            event.flags = event.flags.with(EventFlags::SETUP);
        } else if uid != ContainerUid::HOST {
            self.life(uid, &event);
        }
        let Self { redactor, store, keeper, witness, stored, .. } = self;
        if stored.has(&event) {
            // The state is that behind it.
            return;
        }
        let pushed = masked(redactor.as_mut(), &event, |event| {
            let pushed = push((store, keeper), uid, event);
            if let Some(witness) = witness {
                witness.event(uid, event);
            }
            pushed
        });
        match pushed {
            Ok(()) => self.counts.stored += 1,
            Err(error) => self.refused(event.time, &error),
        }
    }

    /// What an event of the payload tells of its container's life.
    fn life(&mut self, uid: ContainerUid, event: &Event<'_>) {
        if !matches!(event.code, EventCode::EXEC | EventCode::PROCESS | EventCode::EXIT) {
            return;
        }
        let Some(record) = self.registry.get_mut(uid) else { return };
        let changed = match event.code {
            EventCode::EXEC if record.started.is_none() && !phase::is_runtime(event) => {
                record.started = Some(event.time);
                record.init = Some(event.task);
                true
            }
            EventCode::PROCESS if record.init.is_none() && event.number(layout::exec::VPID) == Some(1) => {
                record.started = Some(event.task.start);
                record.init = Some(event.task);
                true
            }
            EventCode::EXIT
                if event.number(layout::exit::GROUP_DEAD) == Some(1)
                    && record.exited.is_none()
                    && record.init.is_some_and(|init| init.tgid == event.task.tgid) =>
            {
                let raw = event.number(layout::exit::RAW).unwrap_or(0);
                record.exited = Some((event.time, raw as u32));
                true
            }
            _ => false,
        };
        if changed {
            self.put_container(uid);
        }
    }

    /// The store refused: counted, and told in the trace as soon as it takes something again.
    fn refused(&mut self, time: BootNanos, error: &WriteError) {
        self.counts.refused += 1;
        if !matches!(error, WriteError::TooLarge { .. }) {
            // The store counts these itself, for each container.
            return;
        }
        let (since, count) = self.refused_since.unwrap_or((time, 0));
        if count == 0 {
            warn!("the store refuses events: {error}");
        }
        self.refused_since = Some((since, count + 1));
    }

    /// Whether the store has refused events and has taken none since.
    pub fn is_refusing(&self) -> bool {
        self.refused_since.is_some() || self.store.space() == Space::Stopped
    }

    /// Makes everything taken so far safe from a kill, and tells of what the store refused.
    pub fn commit(&mut self, now: BootNanos) {
        for uid in std::mem::take(&mut self.changed) {
            self.put_container(uid);
        }
        if let Some((from, count)) = self.refused_since {
            let loss = Loss {
                container: None,
                cause: LossCause::DiskFull,
                cpu: None,
                from,
                to: now,
                count: Some(count),
            };
            if self.store.put_loss(&loss).is_ok() {
                self.refused_since = None;
            }
        }
        let before = self.store.space();
        if let Err(error) = self.store.commit(now) {
            match std::error::Error::source(&error) {
                Some(source) => warn!("the store cannot be written: {error}: {source}"),
                None => warn!("the store cannot be written: {error}"),
            }
        }
        let space = self.store.space();
        if space != before {
            warn!("disk space: {}, was {}", space.as_str(), before.as_str());
        }
        let gone = self.store.take_gone();
        if let Some(witness) = &mut self.witness {
            if !gone.is_empty() {
                witness.gone(&gone);
            }
            witness.committed();
        }
    }

    /// Writes a loss.
    pub fn lost(&mut self, loss: &Loss) {
        if let Some(witness) = &mut self.witness {
            witness.gap(loss);
        }
        if let Err(error) = self.store.put_loss(loss) {
            self.refused(loss.to, &error);
        }
    }

    /// Forgets what was removed long enough before `now`, but for what is still to be learnt of: the cgroups, as the kernel
    /// stamps them.
    pub fn forget(&mut self, now: BootNanos) -> Vec<u64> {
        let horizon = BootNanos(now.0.saturating_sub(REMEMBER));
        let Self { registry, claims, metadata, lineage, .. } = self;
        let due = |target: Target| metadata.is_due(target);
        let (keys, ended) = registry.forget(horizon, |uid| claims.expects(uid, due));
        claims.forget(horizon, &ended, |id: ClaimId| lineage.has(id) || due(Target::Claim(id)));
        if let Err(error) = self.marks.settle(now.0) {
            debug!("marks of runtimes' processes not settled: {error}");
        }
        for uid in &ended {
            self.own_policies.remove(uid);
            // What came late of it opened it again.
            if let Err(error) = self.store.finish_container(*uid) {
                debug!("container {} is not let go of: {error}", uid.0);
            }
        }
        let gone: Vec<u64> = keys.into_iter().map(stamp_of).collect();
        for id in &gone {
            // Cgroups of containers mostly have no entry.
            let _ = self.policy.forget(*id);
        }
        gone
    }
}
