//! Who said what of which container, and what that may change.
//!
//! A claim is made by executing a program that announces a container ([`super::announce`]). Anybody can execute such a
//! program, so a claim counts only for containers that the claiming process could have made:
//! - the container is inside the same container as the process (or both are the host's), and
//! - a runtime that makes it, or a monitor, came before it; of what was there before recording, it is the host's root
//!   or has a child in it; and where the host's root spoke of it, nobody else is heard;
//! - a runtime that enters it is the host's root's, or of the user that made it.
//!
//! So a process in a container can neither name the host's containers nor its neighbours, and a user not those of
//! others that exist already.

use std::collections::HashMap;

use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, Engine, Event, EventCode, Fact, FactKey, FactSource, layout,
};

use super::announce::{Announcement, Verb};
use crate::metadata::{
    Findings, engine_of_bundle,
    worker::{Answer, Origin, Target},
};

/// Most claims remembered.
const MOST: usize = 16_384;
/// How long a claim waits for its container.
const WAIT: u64 = 60_000_000_000;

/// A claim: the process, and when it executed the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimId {
    /// The process.
    pub tgid: u32,
    /// The time of the exec.
    pub time: BootNanos,
}

impl ClaimId {
    /// The claim that an exec makes.
    pub fn of(event: &Event<'_>) -> Self {
        Self { tgid: event.task.tgid, time: event.time }
    }
}

/// What the claiming process is to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A runtime that makes it.
    Maker,
    /// A runtime that starts another program in it.
    Visitor,
    /// conmon or a shim.
    Monitor,
}

/// A claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The container's id.
    pub id: Vec<u8>,
    /// What the process is to it.
    pub part: Part,
    /// Whose the process is.
    pub owner: ContainerUid,
    /// Effective user of the process.
    pub euid: u64,
    /// It runs since before recording began.
    pub preexisting: bool,
    /// Containers that children of the process were in when recording began.
    pub children_in: Vec<ContainerUid>,
    /// Mount namespace of the process.
    pub mnt_ns: Option<u64>,
    /// The container, once there is one.
    pub container: Option<ContainerUid>,
    /// Where its cgroup is: `cgroupsPath` of the bundle, or what is usual.
    pub cgroup: Option<String>,
    /// What the command line tells, and what was found out, until there is a container to tell it of.
    findings: Vec<Findings>,
    time: BootNanos,
}

impl Claim {
    /// What an announcement claims.
    pub fn new(announcement: &Announcement, owner: ContainerUid, event: &Event<'_>) -> Option<Self> {
        let mut findings = Findings::new(event.time);
        let mut cgroup = None;
        let part = match announcement {
            Announcement::Runtime { verb: Verb::Create, bundle, .. } => {
                findings.engine = engine_of_bundle(bundle);
                findings.add(FactKey::Bundle, bundle, FactSource::RuntimeArgv);
                Part::Maker
            }
            Announcement::Runtime { verb: Verb::Exec, .. } => Part::Visitor,
            Announcement::Conmon { name, .. } => {
                findings.add(FactKey::Name, name.as_deref().unwrap_or_default(), FactSource::Conmon);
                Part::Monitor
            }
            Announcement::Shim { id, namespace, .. } => {
                // Where containerd puts a container unless it is told otherwise.
                let path = [&b"/"[..], namespace, b"/", id].concat();
                cgroup = String::from_utf8(path).ok().filter(|path| !path.contains(':'));
                Part::Monitor
            }
            Announcement::Dockerd { .. } => return None,
        };
        Some(Self {
            id: announcement.id()?.to_vec(),
            part,
            owner,
            euid: event.number(layout::exec::EUID).unwrap_or(u64::MAX),
            preexisting: event.code == EventCode::PROCESS,
            children_in: Vec::new(),
            mnt_ns: event.number(layout::exec::NS_MNT),
            container: None,
            cgroup,
            findings: vec![findings],
            time: event.time,
        })
    }

    /// Whether it is the host's root that speaks.
    fn is_trusted(&self) -> bool {
        self.owner == ContainerUid::HOST && self.euid == 0
    }

    /// Whether the container's own cgroup is this one, by what its bundle says; or as long as that is not known by its
    /// name, if it was made by the claiming process (`own`) or is a unit of systemd's named so.
    fn names_cgroup(&self, path: &[u8], own: bool) -> bool {
        let leaf = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let unit = leaf.strip_suffix(b".scope");
        match self.cgroup.as_ref().map(|told| told.splitn(3, ':').collect::<Vec<_>>()).as_deref() {
            Some([_, "", name]) => unit == Some(name.as_bytes()),
            Some([_, prefix, name]) => unit == Some(format!("{prefix}-{name}").as_bytes()),
            Some([told]) if told.starts_with('/') => path == told.as_bytes(),
            _ => {
                let of_unit = unit.and_then(|unit| unit.strip_suffix(self.id.as_slice()));
                own && leaf == self.id || of_unit.is_some_and(|prefix| prefix.ends_with(b"-"))
            }
        }
    }
}

/// Every claim that may still matter.
#[derive(Debug, Default)]
pub struct Claims {
    claims: HashMap<ClaimId, Claim>,
    by_id: HashMap<Vec<u8>, Vec<ClaimId>>,
    /// Docker daemons and whose they are.
    daemons: HashMap<ClaimId, ContainerUid>,
    /// Who made a container.
    makers: HashMap<ContainerUid, u64>,
    /// Claims that there was no room for.
    pub refused: u64,
}

impl Claims {
    /// Adds one, unless it is there: what a killed recorder has stored may be in the rings as well.
    pub fn add(&mut self, id: ClaimId, claim: Claim) {
        if self.claims.contains_key(&id) {
            return;
        }
        if self.claims.len() >= MOST {
            self.refused += 1;
            return;
        }
        self.by_id.entry(claim.id.clone()).or_default().push(id);
        self.claims.insert(id, claim);
    }

    /// Adds a Docker daemon.
    pub fn add_daemon(&mut self, id: ClaimId, owner: ContainerUid) {
        if self.daemons.len() < MOST {
            self.daemons.insert(id, owner);
        }
    }

    /// A claim.
    pub fn get(&self, id: ClaimId) -> Option<&Claim> {
        self.claims.get(&id)
    }

    /// The claim that says a cgroup is its container's, where only a claim can tell: of the process that made the
    /// cgroup (`by`), or of another.
    pub fn of_cgroup(&self, path: &[u8], owner: ContainerUid, by: Option<ClaimId>) -> Option<&Claim> {
        let open =
            |claim: &&Claim| claim.part != Part::Visitor && claim.owner == owner && claim.container.is_none();
        let own = by.and_then(|id| self.claims.get(&id)).filter(open);
        own.filter(|claim| claim.names_cgroup(path, true))
            .or_else(|| self.claims.values().filter(open).find(|claim| claim.names_cgroup(path, false)))
    }

    fn may_speak_for(&self, claim: &Claim, record: &ContainerRecord) -> bool {
        if claim.owner != record.outer.unwrap_or(ContainerUid::HOST) {
            return false;
        }
        if claim.part == Part::Visitor {
            return claim.is_trusted() || self.makers.get(&record.uid) == Some(&claim.euid);
        }
        let before = claim.preexisting && record.preexisting;
        record.first_seen >= claim.time && !before
            || before && (claim.is_trusted() || claim.children_in.contains(&record.uid))
    }

    /// A container is there: what those who spoke of it know of it.
    pub fn bind(&mut self, record: &ContainerRecord) -> Vec<Findings> {
        let ids = self.by_id.get(&record.id).cloned().unwrap_or_default();
        let heard = |id: &ClaimId, trusted: bool| {
            let claim = self.claims.get(id).filter(|claim| self.may_speak_for(claim, record));
            claim.is_some_and(|claim| claim.part != Part::Visitor && (!trusted || claim.is_trusted()))
        };
        let trusted = ids.iter().any(|id| heard(id, true));
        let ids: Vec<ClaimId> = ids.iter().copied().filter(|id| heard(id, trusted)).collect();
        ids.into_iter().flat_map(|id| self.bind_claim(id, record)).collect()
    }

    /// Ties one claim to a container, if it may speak for it and is not tied to another.
    pub fn bind_claim(&mut self, id: ClaimId, record: &ContainerRecord) -> Vec<Findings> {
        let Some(claim) = self.claims.get(&id) else { return Vec::new() };
        if claim.container.is_some() || claim.id != record.id || !self.may_speak_for(claim, record) {
            return Vec::new();
        }
        if claim.part != Part::Visitor {
            self.makers.entry(record.uid).or_insert(claim.euid);
        }
        let Some(claim) = self.claims.get_mut(&id) else { return Vec::new() };
        claim.container = Some(record.uid);
        // Whoever enters a container knows nothing of how it was made.
        if claim.part == Part::Visitor { Vec::new() } else { std::mem::take(&mut claim.findings) }
    }

    /// Takes an answer: the container it tells of and what it tells, where there is a container already.
    pub fn learn(&mut self, answer: Answer) -> Option<(ContainerUid, Findings)> {
        let id = match answer.target {
            Target::Container(container) => {
                // Nobody spoke: only what the host itself keeps counts.
                let host = match answer.origin {
                    Origin::Host => true,
                    Origin::Daemon(daemon) => self.daemons.get(&daemon) == Some(&ContainerUid::HOST),
                    Origin::Claimant => false,
                };
                return host.then_some((container, answer.findings));
            }
            Target::Claim(id) => id,
        };
        let daemons = &self.daemons;
        let claim = self.claims.get_mut(&id)?;
        let vouched = match answer.origin {
            Origin::Claimant => true,
            Origin::Host => claim.owner == ContainerUid::HOST,
            Origin::Daemon(daemon) => daemons.get(&daemon) == Some(&claim.owner),
        };
        if !vouched {
            return None;
        }
        claim.cgroup = answer.cgroup.or(claim.cgroup.take());
        match claim.container {
            Some(container) => Some((container, answer.findings)),
            None => {
                claim.findings.push(answer.findings);
                None
            }
        }
    }

    /// A claim, to be filled in.
    pub fn get_mut(&mut self, id: ClaimId) -> Option<&mut Claim> {
        self.claims.get_mut(&id)
    }

    /// Whether a claim is tied to `container` and `due` says there is more to come.
    pub fn expects(&self, container: ContainerUid, due: impl Fn(Target) -> bool) -> bool {
        due(Target::Container(container))
            || self
                .claims
                .iter()
                .any(|(id, claim)| claim.container == Some(container) && due(Target::Claim(*id)))
    }

    /// Forgets claims that have waited long enough, unless `needed`, and containers that ended.
    pub fn forget(&mut self, now: BootNanos, ended: &[ContainerUid], needed: impl Fn(ClaimId) -> bool) {
        for uid in ended {
            self.makers.remove(uid);
        }
        let horizon = now.0.saturating_sub(WAIT);
        let by_id = &mut self.by_id;
        self.claims.retain(|id, claim| {
            let over = claim.container.is_some_and(|container| ended.contains(&container))
                || claim.time.0 < horizon && claim.container.is_none();
            let kept = !over || needed(*id);
            if !kept && let Some(ids) = by_id.get_mut(&claim.id) {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    by_id.remove(&claim.id);
                }
            }
            kept
        });
    }
}

/// The engine that is to be told, of the one known and the one found: what a path or a runtime tells is refined, what
/// is certain stays.
pub fn refine(known: Engine, found: Option<Engine>) -> Engine {
    match (known, found) {
        (Engine::Unknown | Engine::Oci | Engine::Kubernetes, Some(found)) => found,
        (known, _) => known,
    }
}

/// Adds facts that are new to a record; `true` where there were any.
pub fn add_facts(record: &mut ContainerRecord, facts: Vec<Fact>) -> bool {
    const MOST_FACTS: usize = 256;
    let before = record.facts.len();
    for fact in facts {
        let known = record.facts.iter().any(|f| f.key == fact.key && f.value == fact.value);
        if !known && record.facts.len() < MOST_FACTS {
            record.facts.push(fact);
        }
    }
    record.facts.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{EventFlags, Role, TaskKey};

    const HOST: ContainerUid = ContainerUid::HOST;
    const ROOT: u64 = 0;
    const USER: u64 = 1001;

    /// Who claims, and when.
    struct Claimant {
        tgid: u32,
        time: u64,
        owner: ContainerUid,
        euid: u64,
        code: EventCode,
    }

    const RUNTIME: Claimant = Claimant { tgid: 7, time: 10, owner: HOST, euid: ROOT, code: EventCode::EXEC };

    fn claim(claims: &mut Claims, who: &Claimant, announcement: &Announcement) -> ClaimId {
        let mut args = [0; layout::exec::COUNT];
        args[layout::exec::EUID] = who.euid;
        let event = Event {
            time: BootNanos(who.time),
            duration: None,
            task: TaskKey { tgid: who.tgid, tid: who.tgid, start: BootNanos(1) },
            code: who.code,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &args,
            fields: &[],
        };
        let id = ClaimId::of(&event);
        claims.add(id, Claim::new(announcement, who.owner, &event).unwrap());
        id
    }

    fn makes(id: &str) -> Announcement {
        Announcement::Runtime { verb: Verb::Create, id: id.into(), bundle: b"/b".to_vec(), root: None }
    }

    fn enters(id: &str) -> Announcement {
        Announcement::Runtime { verb: Verb::Exec, id: id.into(), bundle: b"/b".to_vec(), root: None }
    }

    fn container(uid: u64, id: &str, first_seen: u64, outer: Option<ContainerUid>) -> ContainerRecord {
        ContainerRecord {
            uid: ContainerUid(uid),
            outer,
            engine: Engine::Oci,
            role: Role::Container,
            id: id.into(),
            first_seen: BootNanos(first_seen),
            preexisting: false,
            ..ContainerRecord::host(BootNanos(0))
        }
    }

    fn names(image: &str) -> Findings {
        let mut findings = Findings::new(BootNanos(11));
        findings.add(FactKey::Image, image.as_bytes(), FactSource::OciBundle);
        findings
    }

    fn answer(id: ClaimId, origin: Origin, image: &str) -> Answer {
        Answer { target: Target::Claim(id), origin, findings: names(image), cgroup: None, last: true }
    }

    fn images(findings: &[Findings]) -> Vec<&str> {
        let facts = findings.iter().flat_map(|f| &f.facts).filter(|f| f.key == FactKey::Image);
        facts.map(|f| str::from_utf8(&f.value).unwrap()).collect()
    }

    #[test]
    fn what_is_learnt_before_and_after_the_container_is_made_labels_it() {
        let mut claims = Claims::default();
        let id = claim(&mut claims, &RUNTIME, &makes("abc"));
        assert_eq!(claims.learn(answer(id, Origin::Claimant, "early")), None);
        assert_eq!(images(&claims.bind(&container(1, "abc", 20, None))), ["early"]);
        let (uid, late) = claims.learn(answer(id, Origin::Host, "late")).unwrap();
        assert_eq!((uid, images(&[late])), (ContainerUid(1), vec!["late"]));
    }

    #[test]
    fn a_container_can_neither_label_the_host_s_nor_its_neighbours() {
        let mut claims = Claims::default();
        let inside = Claimant { owner: ContainerUid(5), ..RUNTIME };
        let id = claim(&mut claims, &inside, &makes("abc"));
        claims.learn(answer(id, Origin::Claimant, "false"));
        assert!(claims.bind(&container(1, "abc", 20, None)).is_empty());
        assert!(claims.bind(&container(2, "abc", 20, Some(ContainerUid(6)))).is_empty());
        assert_eq!(claims.learn(answer(id, Origin::Host, "of the host")), None);
        assert_eq!(images(&claims.bind(&container(3, "abc", 20, Some(ContainerUid(5))))), ["false"]);
    }

    #[test]
    fn where_the_host_s_root_spoke_nobody_else_is_heard() {
        let mut claims = Claims::default();
        let user = Claimant { tgid: 8, euid: USER, ..RUNTIME };
        let (root, other) =
            (claim(&mut claims, &RUNTIME, &makes("web")), claim(&mut claims, &user, &makes("web")));
        claims.learn(answer(root, Origin::Claimant, "true"));
        claims.learn(answer(other, Origin::Claimant, "false"));
        assert_eq!(images(&claims.bind(&container(1, "web", 20, None))), ["true"]);
    }

    #[test]
    fn who_comes_late_made_nothing() {
        let mut claims = Claims::default();
        let record = container(1, "web", 5, None);
        let id = claim(&mut claims, &RUNTIME, &makes("web"));
        assert!(claims.bind(&record).is_empty());
        assert_eq!(claims.get(id).unwrap().container, None);
    }

    #[test]
    fn of_what_was_there_before_root_speaks_or_who_has_a_child_in_it() {
        let record = ContainerRecord { preexisting: true, ..container(1, "abc", 5, None) };
        let before = Claimant { code: EventCode::PROCESS, euid: USER, ..RUNTIME };
        let conmon = Announcement::Conmon { id: b"abc".to_vec(), bundle: None, name: Some(b"web".to_vec()) };
        let mut claims = Claims::default();
        let id = claim(&mut claims, &before, &conmon);
        assert!(claims.bind(&record).is_empty());
        claims.get_mut(id).unwrap().children_in.push(ContainerUid(1));
        assert_eq!(claims.bind(&record)[0].facts[0].value, b"web");
        let mut claims = Claims::default();
        claim(&mut claims, &Claimant { euid: ROOT, ..before }, &conmon);
        assert_eq!(claims.bind(&record).len(), 1);
    }

    #[test]
    fn entering_is_for_root_and_for_who_made_it() {
        let mut claims = Claims::default();
        let user = Claimant { euid: USER, ..RUNTIME };
        let record = container(1, "abc", 20, None);
        claim(&mut claims, &user, &makes("abc"));
        claims.bind(&record);
        let enter = |claims: &mut Claims, tgid, euid| {
            let id = claim(claims, &Claimant { tgid, time: 30, euid, ..RUNTIME }, &enters("abc"));
            claims.bind_claim(id, &record);
            claims.get(id).unwrap().container
        };
        assert_eq!(enter(&mut claims, 8, USER), Some(ContainerUid(1)));
        assert_eq!(enter(&mut claims, 9, ROOT), Some(ContainerUid(1)));
        assert_eq!(enter(&mut claims, 10, 1002), None);
    }

    #[test]
    fn a_cgroup_is_a_container_s_by_bundle_or_by_its_maker_s_word() {
        let mut claims = Claims::default();
        let id = claim(&mut claims, &RUNTIME, &makes("web"));
        let named = |claims: &Claims, path: &str, by| claims.of_cgroup(path.as_bytes(), HOST, by).is_some();
        assert!(named(&claims, "/default/web", Some(id)));
        assert!(!named(&claims, "/default/web", None), "somebody else made it");
        assert!(!named(&claims, "/default", Some(id)));
        assert!(named(&claims, "/system.slice/runc-web.scope", None), "systemd makes it for the runtime");
        let told = |cgroup: &str| Answer { cgroup: Some(cgroup.into()), ..answer(id, Origin::Claimant, "x") };
        claims.learn(told("system.slice:box:front"));
        assert!(named(&claims, "/system.slice/box-front.scope", None));
        assert!(!named(&claims, "/default/web", Some(id)), "its bundle says otherwise");
        claims.learn(told("/my/own"));
        assert!(named(&claims, "/my/own", None));
        assert!(claims.of_cgroup(b"/my/own", ContainerUid(5), None).is_none());
    }

    #[test]
    fn claims_that_nothing_came_of_are_forgotten() {
        let mut claims = Claims::default();
        let id = claim(&mut claims, &RUNTIME, &makes("abc"));
        claims.forget(BootNanos(WAIT), &[], |_| false);
        assert!(claims.get(id).is_some());
        claims.forget(BootNanos(WAIT + 100), &[], |_| true);
        assert!(claims.get(id).is_some(), "its process still lives");
        claims.forget(BootNanos(WAIT + 100), &[], |_| false);
        assert!(claims.get(id).is_none() && claims.by_id.is_empty());
    }
}
