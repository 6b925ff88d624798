//! Every container that can be asked for, living or dead, with what a trigger may know it by.
//!
//! Fed by the recorder as it learns, and once at the start with what the store already had. Times are wall-clock
//! nanoseconds since 1970: those of alerts are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use afterimage_format::{ContainerRecord, ContainerUid, Engine, FactKey, Loss, LossCause, Role};
use afterimage_model::text::escape;

use super::neighbours::Neighbours;

/// Most containers remembered; of more, the dead of longest ago go.
const MAX_CONTAINERS: usize = 200_000;
/// Most containers remembered of which nothing is recorded any more.
const MAX_GONE: usize = 4096;
/// Most gaps remembered.
const MAX_GAPS: usize = 65_536;
/// So little is between two parts of one gap. Nanoseconds.
const SAME_GAP: i64 = 1_000_000_000;
/// Most processes remembered.
const MAX_PROCESSES: usize = 262_144;

/// A container as triggers see it. Text is escaped, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The recorder's number of it.
    pub uid: ContainerUid,
    /// The engine's id.
    pub id: String,
    /// Who made it.
    pub engine: Engine,
    /// Its part.
    pub role: Role,
    /// The engine's name for it.
    pub name: Option<String>,
    /// Its pod's namespace.
    pub namespace: Option<String>,
    /// Its pod.
    pub pod: Option<String>,
    /// Its pod's uid.
    pub pod_uid: Option<String>,
    /// Its name in the pod.
    pub pod_container: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// Its cgroup.
    pub cgroup: String,
    /// The container it was started from, when it is inside one.
    pub outer: Option<ContainerUid>,
    /// First sign of it.
    pub first_seen: i64,
    /// It was there before recording began.
    pub preexisting: bool,
    /// When its program began.
    pub started: Option<i64>,
    /// When its first process ended, and the kernel's exit code.
    pub exited: Option<(i64, u32)>,
    /// When it was deleted; or when it was seen last, where its end was not.
    pub removed: Option<i64>,
    /// Its recorder stopped before it did: what became of it is not known.
    pub end_unseen: bool,
}

impl Known {
    /// From a record; `real` gives wall-clock time.
    pub fn new(record: &ContainerRecord, real: impl Fn(afterimage_format::BootNanos) -> i64) -> Self {
        let fact = |key| record.fact(key).map(|fact| escape(&fact.value).into_string());
        Self {
            uid: record.uid,
            id: escape(&record.id).into_string(),
            engine: record.engine,
            role: record.role,
            name: fact(FactKey::Name),
            namespace: fact(FactKey::PodNamespace),
            pod: fact(FactKey::PodName),
            pod_uid: fact(FactKey::PodUid),
            pod_container: fact(FactKey::PodContainer),
            image: fact(FactKey::Image),
            cgroup: escape(&record.cgroup_path).into_string(),
            outer: record.outer,
            first_seen: real(record.first_seen),
            preexisting: record.preexisting,
            started: record.started.map(&real),
            exited: record.exited.map(|(at, code)| (real(at), code)),
            removed: record.removed.map(&real),
            end_unseen: false,
        }
    }

    /// It is of a recorder that has stopped: where that did not see its end, it was seen until `last`.
    pub fn seen_until(&mut self, last: i64) {
        if self.removed.is_none() && self.role != Role::Host {
            (self.removed, self.end_unseen) = (Some(last), true);
        }
    }

    /// `running`, `exited`, `deleted`, or `unknown` where the recording ended before it did.
    pub fn state(&self) -> &'static str {
        match (self.removed, self.exited) {
            (_, Some(_)) if self.end_unseen => "exited",
            (Some(_), _) if self.end_unseen => "unknown",
            (Some(_), _) => "deleted",
            (None, Some(_)) => "exited",
            (None, None) => "running",
        }
    }

    /// Whether it existed at some moment between `from` and `to`.
    pub fn lived(&self, from: i64, to: i64) -> bool {
        self.first_seen <= to && self.removed.is_none_or(|removed| removed >= from)
    }
}

/// A gap in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Whose; `None` where that is not known: anybody's.
    pub container: Option<ContainerUid>,
    /// Why.
    pub cause: LossCause,
    /// From.
    pub from: i64,
    /// To.
    pub to: i64,
    /// How many events, where that is known.
    pub count: Option<u64>,
}

impl Gap {
    /// From a loss; `real` gives wall-clock time.
    pub fn new(loss: &Loss, real: impl Fn(afterimage_format::BootNanos) -> i64) -> Self {
        Self {
            container: loss.container,
            cause: loss.cause,
            from: real(loss.from),
            to: real(loss.to),
            count: loss.count,
        }
    }

    /// Whether `next` goes on where this ends.
    fn is_before(&self, next: &Self) -> bool {
        (self.container, self.cause) == (next.container, next.cause)
            && next.from >= self.from
            && next.from <= self.to.saturating_add(SAME_GAP)
    }
}

/// What is missing in a range of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Gaps of its own, and those of nobody in particular.
    pub gaps: Vec<Gap>,
    /// What is missing besides, in words.
    pub words: Vec<&'static str>,
}

/// A process that began in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// Its pid, as the host numbers it.
    pub pid: u32,
    /// When.
    pub at: i64,
    /// Where.
    pub container: ContainerUid,
    /// The process that made it, where that was seen.
    pub parent: Option<u32>,
}

/// Where a process began, and the process that made it.
#[derive(Debug, Clone, Copy)]
struct Held {
    container: ContainerUid,
    parent: Option<u32>,
}

/// All containers, by what they can be found by.
#[derive(Debug)]
pub struct Directory {
    /// Most containers.
    most: usize,
    /// The host, which is no container.
    host: Option<Known>,
    known: BTreeMap<ContainerUid, Known>,
    ids: BTreeMap<String, Vec<ContainerUid>>,
    /// The dead in the order of their removal.
    dead: VecDeque<ContainerUid>,
    /// The dead of which nothing is recorded any more, in the order in which that came to be.
    gone: VecDeque<ContainerUid>,
    gaps: VecDeque<Gap>,
    /// How many came before the first of them.
    forgotten_gaps: u64,
    /// Whose latest gap of what the store refused is where, counted from the first there ever was.
    refused: HashMap<Option<ContainerUid>, u64>,
    /// The moment before which gaps may have been forgotten.
    gaps_from: Option<i64>,
    /// By pid and moment: a list for each pid would take four times the room.
    processes: BTreeMap<(u32, i64), Held>,
    /// Who talked to whom.
    pub neighbours: Neighbours,
    order: VecDeque<(u32, i64)>,
}

impl Default for Directory {
    fn default() -> Self {
        Self::with_room(MAX_CONTAINERS)
    }
}

impl Directory {
    /// Of so many containers at most.
    pub fn with_room(most: usize) -> Self {
        Self {
            most,
            host: None,
            known: BTreeMap::new(),
            ids: BTreeMap::new(),
            dead: VecDeque::new(),
            gone: VecDeque::new(),
            gaps: VecDeque::new(),
            forgotten_gaps: 0,
            refused: HashMap::new(),
            gaps_from: None,
            processes: BTreeMap::new(),
            neighbours: Neighbours::default(),
            order: VecDeque::new(),
        }
    }

    /// Learns of a container, or more of it, or of the host. Monitors are no containers.
    pub fn learn(&mut self, known: Known) {
        match known.role {
            Role::Monitor => return,
            Role::Host => {
                // Each recorder begins with it anew: its past goes back to the first.
                let before = self.host.as_ref().map_or(known.first_seen, |before| before.first_seen);
                let first_seen = known.first_seen.min(before);
                self.host = Some(Known { first_seen, ..known });
                return;
            }
            _ => {}
        }
        let before = self.known.get(&known.uid);
        if before.is_none() {
            self.ids.entry(known.id.clone()).or_default().push(known.uid);
        }
        if known.removed.is_some() && before.is_none_or(|before| before.removed.is_none()) {
            self.dead.push_back(known.uid);
        }
        self.known.insert(known.uid, known);
        while self.known.len() > self.most
            && let Some(oldest) = self.dead.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// Learns of a container from the store's past: what is known of it by now stays.
    pub fn learn_past(&mut self, known: Known) {
        if known.role == Role::Host || !self.known.contains_key(&known.uid) {
            self.learn(known);
        }
    }

    /// Learns that nothing of a container is recorded any more. The latest are still answered for by what they were.
    pub fn learn_gone(&mut self, uid: ContainerUid) {
        if !self.known.contains_key(&uid) {
            return;
        }
        self.gone.push_back(uid);
        while self.gone.len() > MAX_GONE
            && let Some(oldest) = self.gone.pop_front()
        {
            self.forget(oldest);
        }
        // Those that were forgotten are not looked for one by one.
        if self.dead.len() > 2 * self.known.len() + MAX_GONE {
            self.dead.retain(|uid| self.known.contains_key(uid));
        }
    }

    fn forget(&mut self, uid: ContainerUid) {
        let Some(known) = self.known.remove(&uid) else { return };
        self.neighbours.forget(uid);
        if let Some(same) = self.ids.get_mut(&known.id) {
            same.retain(|own| *own != uid);
            if same.is_empty() {
                self.ids.remove(&known.id);
            }
        }
    }

    /// Learns of a gap. What the store refuses is told in many small ones, which are one where nothing is between them.
    pub fn learn_gap(&mut self, gap: Gap) {
        if gap.cause == LossCause::DiskFull {
            let next = self.forgotten_gaps + self.gaps.len() as u64;
            let place =
                self.refused.insert(gap.container, next).and_then(|at| at.checked_sub(self.forgotten_gaps));
            if let Some(place) = place
                && let Some(before) =
                    self.gaps.get_mut(place as usize).filter(|before| before.is_before(&gap))
            {
                before.to = before.to.max(gap.to);
                before.count = before.count.zip(gap.count).map(|(before, more)| before.saturating_add(more));
                self.refused.insert(gap.container, self.forgotten_gaps + place);
                return;
            }
        }
        if self.gaps.len() == MAX_GAPS
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.gaps_from = Some(self.gaps_from.map_or(oldest.to, |known| known.max(oldest.to)));
            if self.refused.get(&oldest.container) == Some(&self.forgotten_gaps) {
                self.refused.remove(&oldest.container);
            }
            self.forgotten_gaps += 1;
        }
        self.gaps.push_back(gap);
    }

    /// Learns of a process.
    pub fn learn_process(&mut self, began: Began) {
        let Began { pid, at, container, parent } = began;
        // A process that executes something where it was is nothing new.
        let last = self.holders(pid).next_back();
        if parent.is_none() && last.is_some_and(|(_, last)| last.container == container) {
            return;
        }
        if self.processes.insert((pid, at), Held { container, parent }).is_none() {
            self.order.push_back((pid, at));
        }
        while self.order.len() > MAX_PROCESSES
            && let Some(oldest) = self.order.pop_front()
        {
            self.processes.remove(&oldest);
        }
    }

    /// The processes that had this pid, in the order of their times.
    fn holders(&self, pid: u32) -> impl DoubleEndedIterator<Item = (i64, &Held)> {
        self.processes.range((pid, i64::MIN)..=(pid, i64::MAX)).map(|((_, at), held)| (*at, held))
    }

    /// A container, or the host.
    pub fn get(&self, uid: ContainerUid) -> Option<&Known> {
        self.host.as_ref().filter(|host| host.uid == uid).or_else(|| self.known.get(&uid))
    }

    /// All containers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Known> {
        self.known.values()
    }

    /// How many containers there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Those with this id.
    pub fn by_id(&self, id: &str) -> &[ContainerUid] {
        self.ids.get(id).map_or(&[], Vec::as_slice)
    }

    /// Those whose id begins so, by id.
    pub fn by_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [ContainerUid])> {
        self.ids
            .range(prefix.to_owned()..)
            .take_while(move |(id, _)| id.starts_with(prefix))
            .map(|(id, uids)| (id.as_str(), uids.as_slice()))
    }

    /// The container that a process with this pid was in at `at`.
    pub fn by_pid(&self, pid: u32, at: i64) -> Option<ContainerUid> {
        let before = self.holders(pid).rfind(|(began, _)| *began <= at);
        before.or_else(|| self.holders(pid).next()).map(|(_, held)| held.container)
    }

    /// The containers that the process with this pid at `at`, and its descendants, were in.
    pub fn tree(&self, pid: u32, at: i64) -> BTreeSet<ContainerUid> {
        let mut children: HashMap<u32, Vec<(u32, i64, ContainerUid)>> = HashMap::new();
        for (&(pid, at), held) in &self.processes {
            if let Some(parent) = held.parent {
                children.entry(parent).or_default().push((pid, at, held.container));
            }
        }
        // A pid is used again: a child is of the latest holder that began before it.
        let life = |pid: u32, at: i64| {
            let times = || self.holders(pid).map(|(began, _)| began);
            let since = times().rfind(|began| *began <= at).unwrap_or(at);
            let until = times().find(|next| *next > at).unwrap_or(i64::MAX);
            since..until
        };
        let mut found: BTreeSet<ContainerUid> = self.by_pid(pid, at).into_iter().collect();
        let mut open = vec![(pid, at)];
        let mut seen = HashSet::new();
        while let Some((pid, at)) = open.pop() {
            let life = life(pid, at);
            let children = children.get(&pid).into_iter().flatten();
            for &(pid, at, container) in children.filter(|(_, at, _)| life.contains(at)) {
                if seen.insert((pid, at)) {
                    found.insert(container);
                    open.push((pid, at));
                }
            }
        }
        found
    }

    /// What is missing of a container's recording in a range, which is a part of the one asked for: nobody knows what it did
    /// before it was first seen.
    pub fn missing(&self, known: &Known, asked: (i64, i64), (from, to): (i64, i64)) -> Missing {
        let concerns =
            |gap: &&Gap| gap.container.is_none_or(|own| own == known.uid) && gap.from <= to && gap.to >= from;
        let mut gaps: Vec<Gap> = self.gaps.iter().filter(concerns).copied().collect();
        let mut words = Vec::new();
        if known.preexisting && known.first_seen > asked.0 && !self.is_after_gap(known.first_seen) {
            words.push("it was there before recording began: its beginning is missing");
        }
        if let Some(end) = known.removed.filter(|end| known.end_unseen && *end <= asked.1) {
            words.push("the recorder stopped before it did: its end is missing");
            let down = self.down_after(end).filter(|gap| !gaps.contains(gap));
            gaps.extend(down);
        }
        if self.gone.contains(&known.uid) {
            words.push("retention has removed what was recorded of it");
        }
        if self.gaps_from.is_some_and(|known| from < known) {
            words.push("gaps of that time are not remembered any more: see the recording itself");
        }
        Missing { gaps, words }
    }

    /// The first time without a recorder that goes on after `end`.
    fn down_after(&self, end: i64) -> Option<&Gap> {
        let down = self.gaps.iter().filter(|gap| gap.cause == LossCause::RecorderDown && gap.to > end);
        down.min_by_key(|gap| gap.from)
    }

    /// Whether there was no recorder just before `at`: then the gap tells what is missing before it.
    fn is_after_gap(&self, at: i64) -> bool {
        self.gaps.iter().any(|gap| gap.cause == LossCause::RecorderDown && gap.from <= at && gap.to >= at)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use afterimage_format::{BootNanos, Fact, FactSource};

    /// A container of a pod, named by its id's first letter, that lived from `from` to `to`.
    pub(in crate::trigger) fn known(uid: u64, id: &str, from: i64, to: Option<i64>) -> Known {
        let mut record = ContainerRecord::host(BootNanos(from as u64));
        record.uid = ContainerUid(uid);
        record.id = id.as_bytes().to_vec();
        record.role = Role::Container;
        record.preexisting = false;
        record.cgroup_path = format!("/docker/{id}").into_bytes();
        record.removed = to.map(|to| BootNanos(to as u64));
        for (key, value) in [
            (FactKey::Name, format!("name-{uid}")),
            (FactKey::PodNamespace, "jobs".to_owned()),
            (FactKey::PodName, format!("pod-{}", uid / 10)),
            (FactKey::PodContainer, format!("c{}", uid % 10)),
            (FactKey::Image, "reg/batch:1.4".to_owned()),
        ] {
            let value = value.into_bytes();
            record.facts.push(Fact { key, value, source: FactSource::Launcher, time: BootNanos(0) });
        }
        Known::new(&record, |at| at.0 as i64)
    }

    #[test]
    fn the_host_is_known_from_the_first_recording_on_and_is_no_container() {
        let host = |from| Known::new(&ContainerRecord::host(BootNanos(from)), |at| at.0 as i64);
        let mut directory = Directory::default();
        directory.learn(host(500));
        directory.learn_past(host(20));
        directory.learn_past(host(300));
        let known = directory.get(ContainerUid::HOST).unwrap();
        assert_eq!((known.first_seen, known.id.as_str(), known.state()), (20, "host", "running"));
        assert_eq!((directory.len(), directory.iter().count()), (0, 0));
        assert!(directory.by_id("host").is_empty());
    }

    #[test]
    fn of_what_retention_removed_the_latest_are_remembered() {
        let mut directory = Directory::default();
        let uids = 1..=3 * MAX_GONE as u64;
        for uid in uids.clone() {
            directory.learn(known(uid, &format!("{uid:064x}"), 1, Some(2)));
        }
        directory.learn(known(0, "living", 1, None));
        uids.clone().for_each(|uid| directory.learn_gone(ContainerUid(uid)));
        // One that it never knew, or has forgotten.
        directory.learn_gone(ContainerUid(1));
        assert_eq!(directory.len(), MAX_GONE + 1);
        assert!(
            directory.get(ContainerUid(1)).is_none() && directory.get(ContainerUid(*uids.end())).is_some()
        );
        assert!(directory.dead.len() <= 3 * MAX_GONE, "{}", directory.dead.len());
        assert_eq!(directory.ids.len(), MAX_GONE + 1);
    }

    #[test]
    fn the_dead_of_longest_ago_go_first() {
        const MOST: u64 = 1000;
        let mut directory = Directory::with_room(MOST as usize);
        for uid in 1..=MOST {
            directory.learn(known(uid, &format!("{uid:064x}"), 1, (uid % 2 == 0).then_some(5)));
        }
        directory.learn(known(900_000, "new", 9, None));
        assert_eq!(directory.len(), MOST as usize);
        assert!(directory.get(ContainerUid(2)).is_none() && directory.get(ContainerUid(1)).is_some());
        assert!(directory.by_id(&format!("{:064x}", 2)).is_empty());
        assert_eq!(directory.by_id("new"), [ContainerUid(900_000)]);
    }

    #[test]
    fn a_pid_is_of_whom_it_was_at_the_time() {
        let mut directory = Directory::default();
        directory.learn_process(Began { pid: 7, at: 100, container: ContainerUid(1), parent: None });
        directory.learn_process(Began { pid: 7, at: 200, container: ContainerUid(2), parent: None });
        assert_eq!(directory.by_pid(7, 150), Some(ContainerUid(1)));
        assert_eq!(directory.by_pid(7, 200), Some(ContainerUid(2)));
        assert_eq!(directory.by_pid(7, 50), Some(ContainerUid(1)), "clocks are not that exact");
        assert_eq!(directory.by_pid(8, 50), None);
    }

    #[test]
    fn a_tree_reaches_the_containers_of_descendants_and_of_nobody_else() {
        let mut directory = Directory::default();
        for (pid, at, container, parent) in [
            (7, 100, 1, None),
            (8, 110, 1, Some(7)),
            (9, 120, 2, Some(8)),
            (10, 130, 3, Some(6)),
            (7, 200, 4, Some(1)),
            (11, 210, 5, Some(7)),
        ] {
            directory.learn_process(Began { pid, at, container: ContainerUid(container), parent });
        }
        let tree = |pid, at| directory.tree(pid, at).into_iter().map(|uid| uid.0).collect::<Vec<_>>();
        assert_eq!(tree(8, 150), [1, 2]);
        assert_eq!(tree(7, 150), [1, 2]);
        assert_eq!(tree(7, 250), [4, 5], "what an earlier holder of the pid made is not its own");
        assert_eq!(tree(12, 250), Vec::<u64>::new());
    }

    #[test]
    fn what_is_refused_of_many_containers_is_a_gap_for_each() {
        let mut directory = Directory::default();
        let gap = |uid: u64, from: i64| Gap {
            container: Some(ContainerUid(uid)),
            cause: LossCause::DiskFull,
            from,
            to: from + 1,
            count: Some(1),
        };
        for round in 0..500 {
            (1..=300).for_each(|uid| directory.learn_gap(gap(uid, round * 1000)));
        }
        let counts: Vec<_> = directory.gaps.iter().map(|gap| gap.count).collect();
        assert_eq!(counts, [Some(500); 300]);
        // Much later it is another; what was pushed out is not gone on with.
        directory.learn_gap(gap(1, SAME_GAP * 3));
        assert_eq!((directory.gaps.len(), directory.gaps.back().unwrap().count), (301, Some(1)));
        let ring = |from| Gap { cause: LossCause::RingFull, ..gap(2, from) };
        (0..=MAX_GAPS as i64).for_each(|at| directory.learn_gap(ring(at)));
        assert_eq!((directory.gaps.len(), directory.refused.len()), (MAX_GAPS, 0));
        directory.learn_gap(gap(1, SAME_GAP * 3 + 1));
        assert_eq!(directory.gaps.back(), Some(&gap(1, SAME_GAP * 3 + 1)));
    }

    #[test]
    fn forgotten_gaps_are_owned_up_to() {
        let mut directory = Directory::default();
        let gap =
            |from| Gap { container: None, cause: LossCause::RingFull, from, to: from + 1, count: Some(1) };
        (0..=MAX_GAPS as i64).for_each(|at| directory.learn_gap(gap(at * 10)));
        let missing = |from, to| directory.missing(&known(1, "1", from, None), (from, to), (from, to));
        assert_eq!(missing(10, 25), Missing { gaps: vec![gap(10), gap(20)], words: vec![] });
        assert!(missing(0, 5).words[0].contains("not remembered"));
    }
}
