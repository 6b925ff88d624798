//! What the kernel could not hand over, read from its own books and turned into positional records.

use std::collections::{HashMap, HashSet};

use afterimage_capture_abi::record::LossSlot;
use afterimage_format::{BootNanos, ContainerUid, Loss, LossCause};

/// How long a cgroup may be unknown before its losses are told as nobody's. Nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// The id of no cgroup.
const NOBODY: u64 = u64::MAX;

/// What is told of the kernel's own books.
const OWN: [LossCause; 4] =
    [LossCause::RingFull, LossCause::ControlRingFull, LossCause::Throttled, LossCause::MapFull];

/// The books as last read.
#[derive(Debug, Default)]
pub struct LossBook {
    seen: HashMap<u64, LossSlot>,
    read: BootNanos,
    /// Cgroups of which something was told since the last [`Self::news`].
    news: Vec<u64>,
    /// By cause: told by the recorder before, which did not come to note it down.
    unnoted: HashMap<LossCause, u64>,
    /// Told of what the kernel had no room to book on a cgroup.
    unbooked: u64,
    /// Cgroups that lost something and are not known, and when that was seen first: it is told at a later reading.
    waiting: HashMap<u64, BootNanos>,
    /// Cgroups that are gone, and of which something was told: their books can be closed when all is noted.
    ended: HashSet<u64>,
    /// Those of which that is so.
    due: Vec<u64>,
    /// Told of cgroups whose books are closed.
    closed: u64,
    /// What was counted and is in no book was told up to here; `None` where an earlier recorder closed books.
    missed: Option<u64>,
    /// When everything that was counted was booked, or told, for the last time.
    whole: BootNanos,
}

/// The kernel's books at one reading.
#[derive(Debug, Clone, Copy)]
pub struct Books<'a> {
    /// By cgroup.
    pub slots: &'a [(u64, LossSlot)],
    /// What there was no room to book on a cgroup.
    pub unbooked: u64,
    /// There is no later one: nothing waits to become known.
    pub is_last: bool,
}

/// What was told of them, for the next recorder.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// By cgroup.
    pub slots: Vec<(u64, LossSlot)>,
    /// Of what is booked on no cgroup.
    pub unbooked: u64,
    /// Of cgroups whose books are closed; `None` where that was not noted.
    pub closed: Option<u64>,
    /// When the books were read for it.
    pub noted: BootNanos,
}

impl LossBook {
    /// Begins at `now`: nothing is lost before the programs are attached.
    pub fn new(now: BootNanos) -> Self {
        Self { read: now, whole: now, missed: Some(0), ..Self::default() }
    }

    /// Goes on after an earlier recorder, which has noted down what it told at `noted`. What it told later than that is
    /// among the `losses` of its recording, which ends at `end`.
    pub fn resume(told: Told, losses: impl Iterator<Item = Loss>, end: BootNanos) -> Self {
        let Told { slots, unbooked, closed, noted } = told;
        let mut unnoted: HashMap<LossCause, u64> = HashMap::new();
        for loss in losses.filter(|loss| OWN.contains(&loss.cause) && loss.from >= noted) {
            *unnoted.entry(loss.cause).or_default() += loss.count.unwrap_or(0);
        }
        let seen = slots.into_iter().collect();
        let read = end.max(noted);
        let missed = closed.map(|_| 0);
        let closed = closed.unwrap_or(0);
        Self { seen, read, whole: read, unnoted, unbooked, closed, missed, ..Self::default() }
    }

    /// What was told since this was asked last: for the next recorder. `None` where nothing was.
    pub fn news(&mut self) -> Option<Told> {
        if self.news.is_empty() {
            return None;
        }
        let seen = &self.seen;
        let slots = self.news.drain(..).filter_map(|cgroup| Some((cgroup, *seen.get(&cgroup)?)));
        Some(Told { slots: slots.collect(), ..self.of_no_cgroup() })
    }

    /// What was told of no cgroup that is still booked.
    pub fn of_no_cgroup(&self) -> Told {
        // What was not found in the books and told counts with what is closed: the next recorder does not look for it.
        let closed = self.missed.map(|missed| self.closed + missed);
        Told { slots: Vec::new(), unbooked: self.unbooked, closed, noted: self.read }
    }

    /// Cgroups are gone long enough that nothing can be lost of them any more.
    pub fn ended(&mut self, cgroups: &[u64]) {
        self.ended.extend(cgroups.iter().filter(|cgroup| self.seen.contains_key(cgroup)));
    }

    /// Cgroups that are gone, all of whose losses were told and noted, and which a later reading found as they were: what
    /// the kernel has booked on them need not be kept. To be closed by the caller, first in the kernel's books, then in
    /// what was told; those that were are for [`Self::close`]. The others stay, and are due again when they are told to have
    /// [`Self::ended`] once more: where the kernel refuses, asking again at once is of no use.
    pub fn due(&mut self) -> Vec<u64> {
        for cgroup in &self.due {
            self.ended.remove(cgroup);
        }
        std::mem::take(&mut self.due)
    }

    /// Forgets cgroups whose books are closed: should the kernel use a number again, it begins anew.
    pub fn close(&mut self, cgroups: &[u64]) {
        for cgroup in cgroups {
            self.closed += self.seen.remove(cgroup).as_ref().map_or(0, count);
        }
    }

    /// Whether the kernel will soon have no room for more cgroups.
    pub fn is_crowded(&self) -> bool {
        /// Half of the map.
        const MANY: usize = 4096;
        self.seen.len() >= MANY
    }

    /// The cgroups that something was told of.
    pub fn booked(&self) -> Vec<u64> {
        self.seen.keys().copied().collect()
    }

    /// Whether only what is lost later can be news.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.ended.is_empty()
    }

    /// Nothing was lost since the last reading.
    pub fn nothing_lost(&mut self, now: BootNanos) {
        self.read = now;
    }

    /// When the books were read last.
    pub fn last_read(&self) -> BootNanos {
        self.read
    }

    /// What was lost since the last reading; `owner` tells whose a cgroup is. What was lost of a cgroup that is not
    /// known yet (the record of its making is still on its way) is told at a later reading.
    pub fn update(
        &mut self,
        now: BootNanos,
        Books { slots, unbooked, is_last }: Books<'_>,
        owner: impl Fn(u64) -> Option<ContainerUid>,
    ) -> Vec<Loss> {
        let mut losses = Vec::new();
        let mut begun_anew = false;
        for (cgroup, slot) in slots {
            let container = owner(*cgroup);
            let known = self.seen.get(cgroup);
            if known == Some(slot) {
                if self.ended.contains(cgroup) && !self.news.contains(cgroup) {
                    self.due.push(*cgroup);
                }
                continue;
            }
            if container.is_none() {
                let since = *self.waiting.entry(*cgroup).or_insert(now);
                if !is_last && now.0.saturating_sub(since.0) < PATIENCE {
                    continue;
                }
            }
            self.waiting.remove(cgroup);
            let mut before = self.seen.insert(*cgroup, *slot).unwrap_or_default();
            if slot.data < before.data || slot.control < before.control || slot.throttled < before.throttled {
                // The kernel's books only grow: somebody has removed them, and they began anew.
                self.closed += count(&std::mem::take(&mut before));
                begun_anew = true;
            }
            self.news.push(*cgroup);
            let to = BootNanos(slot.last.max(self.read.0));
            for (cause, count) in [
                (LossCause::RingFull, slot.data.saturating_sub(before.data)),
                (LossCause::ControlRingFull, slot.control.saturating_sub(before.control)),
                (LossCause::Throttled, slot.throttled.saturating_sub(before.throttled)),
            ] {
                losses.extend(self.loss((container, cause), to, count));
            }
        }
        let more = unbooked.saturating_sub(self.unbooked);
        if more > 0 {
            self.unbooked = unbooked;
            // Of no cgroup, but news.
            self.news.push(NOBODY);
            losses.extend(self.loss((None, LossCause::MapFull), now, more));
        }
        if begun_anew {
            losses.push(changed((self.whole, now), None));
        }
        self.forget_unbooked(slots);
        self.read = now;
        losses
    }

    /// What the programs `counted` as lost and nobody finds in the books, at a reading before which nothing was lost for a
    /// while: somebody else has removed it from there.
    pub fn missing(
        &mut self,
        now: BootNanos,
        counted: u64,
        Books { slots, unbooked, .. }: Books<'_>,
    ) -> Option<Loss> {
        let mut found: HashMap<u64, LossSlot> = slots.iter().copied().collect();
        for (cgroup, seen) in &self.seen {
            let slot = found.entry(*cgroup).or_default();
            *slot = LossSlot {
                data: slot.data.max(seen.data),
                control: slot.control.max(seen.control),
                throttled: slot.throttled.max(seen.throttled),
                ..*slot
            };
        }
        let booked = found.values().map(count).sum::<u64>() + unbooked + self.closed;
        let missing = counted.saturating_sub(booked);
        let known = self.missed.get_or_insert(missing);
        let more = missing.saturating_sub(*known);
        *known = missing.max(*known);
        let from = std::mem::replace(&mut self.whole, now);
        (more > 0).then(|| changed((from, now), Some(more)))
    }

    /// A loss since the last reading, but for what the recorder before has told of it.
    fn loss(
        &mut self,
        (container, cause): (Option<ContainerUid>, LossCause),
        to: BootNanos,
        count: u64,
    ) -> Option<Loss> {
        let known = self.unnoted.get_mut(&cause);
        let told = known.map_or(0, |known| {
            let told = count.min(*known);
            *known -= told;
            told
        });
        let count = count - told;
        let from = self.read;
        (count > 0).then_some(Loss { container, cause, cpu: None, from, to, count: Some(count) })
    }

    /// Of cgroups that the kernel has no books of, none is to be closed.
    fn forget_unbooked(&mut self, slots: &[(u64, LossSlot)]) {
        if self.ended.is_empty() {
            return;
        }
        let booked: HashSet<u64> = slots.iter().map(|(cgroup, _)| *cgroup).collect();
        self.ended.retain(|cgroup| booked.contains(cgroup));
    }
}

/// Somebody else has removed what was booked.
fn changed((from, to): (BootNanos, BootNanos), count: Option<u64>) -> Loss {
    Loss { container: None, cause: LossCause::MapsChanged, cpu: None, from, to, count }
}

/// Losses of any kind.
fn count(slot: &LossSlot) -> u64 {
    slot.data + slot.control + slot.throttled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who may use bpf(2) deleted what was lost before anybody read it, and nothing told of it.
    #[test]
    fn what_was_counted_and_is_in_no_book_is_told_once() {
        let slot = |data, throttled| LossSlot { data, control: 0, throttled, last: 90 };
        let owner = |_| Some(ContainerUid(3));
        let mut book = LossBook::new(BootNanos(10));
        let own = [(7, slot(5, 2)), (8, slot(1, 0))];
        book.update(BootNanos(100), books(&own), owner);
        assert_eq!(book.missing(BootNanos(110), 8, books(&own)), None);
        // The books of 7 are gone with what was told already, and with three that were not.
        let left = [(8, slot(1, 0))];
        assert_eq!(book.update(BootNanos(200), books(&left), owner), []);
        let told = book.missing(BootNanos(210), 11, books(&left)).unwrap();
        assert_eq!((told.cause, told.container, told.count), (LossCause::MapsChanged, None, Some(3)));
        assert_eq!((told.from, told.to), (BootNanos(110), BootNanos(210)));
        assert_eq!(book.missing(BootNanos(220), 11, books(&left)), None, "it was told");
        // It begins anew below what was told of it: two more, and who knows what was there in between.
        let anew = [(7, slot(2, 0)), (8, slot(1, 0))];
        let more = book.update(BootNanos(300), books(&anew), owner);
        let more: Vec<_> = more.iter().map(|loss| (loss.cause, loss.count)).collect();
        assert_eq!(more, [(LossCause::RingFull, Some(2)), (LossCause::MapsChanged, None)]);
        assert_eq!(book.missing(BootNanos(310), 13, books(&anew)), None);
        // Books that were closed in order hide nothing, and what waits for its owner is booked.
        book.close(&[8]);
        let waiting = [(7, slot(2, 0)), (9, slot(4, 0))];
        assert_eq!(book.update(BootNanos(400), books(&waiting), |_| None), []);
        assert_eq!(book.missing(BootNanos(410), 17, books(&waiting)), None);
        // Whoever goes on knows what was closed and told.
        let mut next = LossBook::resume(book.of_no_cgroup(), [].into_iter(), BootNanos(400));
        assert_eq!(next.missing(BootNanos(420), 17, books(&waiting)), None);
        assert_eq!(next.missing(BootNanos(430), 18, books(&waiting)).unwrap().count, Some(1));
        // Or does not look for what was before, where that was not noted.
        let mut next = LossBook::resume(Told::default(), [].into_iter(), BootNanos(400));
        assert_eq!(next.missing(BootNanos(420), 17, books(&waiting)), None);
        assert_eq!(next.missing(BootNanos(430), 18, books(&waiting)).unwrap().count, Some(1));
    }

    fn books(slots: &[(u64, LossSlot)]) -> Books<'_> {
        Books { slots, unbooked: 0, is_last: false }
    }

    #[test]
    fn the_books_of_a_cgroup_are_closed_when_it_is_gone_and_all_of_it_is_noted() {
        let slot = |data| LossSlot { data, control: 0, throttled: 0, last: 90 };
        let mut book = LossBook::new(BootNanos(10));
        let owner = |_| Some(ContainerUid(3));
        let told = |losses: Vec<Loss>| losses.iter().filter_map(|loss| loss.count).sum::<u64>();
        assert_eq!(told(book.update(BootNanos(100), books(&[(7, slot(5)), (8, slot(1))]), owner)), 6);
        // Of 9 nothing was lost: nothing is to be closed.
        book.ended(&[7, 9]);
        assert!(!book.is_settled());
        assert_eq!(told(book.update(BootNanos(200), books(&[(7, slot(5)), (8, slot(1))]), owner)), 0);
        assert!(book.due().is_empty(), "it is told and not noted");
        book.news().unwrap();
        // It had lost more at the end.
        assert_eq!(told(book.update(BootNanos(300), books(&[(7, slot(6)), (8, slot(1))]), owner)), 1);
        book.news().unwrap();
        assert!(book.due().is_empty());
        assert_eq!(told(book.update(BootNanos(400), books(&[(7, slot(6)), (8, slot(1))]), owner)), 0);
        assert_eq!(book.due(), [7]);
        // The kernel did not let it be closed: nothing of it is told again, and nobody asks for it without end.
        assert!(book.is_settled());
        assert_eq!(told(book.update(BootNanos(450), books(&[(7, slot(6)), (8, slot(1))]), owner)), 0);
        assert_eq!(book.due(), [] as [u64; 0]);
        // A sweep found that it is gone.
        book.ended(&[7]);
        assert_eq!(told(book.update(BootNanos(470), books(&[(7, slot(6)), (8, slot(1))]), owner)), 0);
        assert_eq!(book.due(), [7]);
        book.close(&[7]);
        assert!(book.is_settled() && book.news().is_none());
        // Should the kernel use the number again, it begins anew.
        assert_eq!(told(book.update(BootNanos(500), books(&[(7, slot(2)), (8, slot(1))]), owner)), 2);
    }

    #[test]
    fn what_is_booked_on_nobody_is_told_once_also_by_the_next_recorder() {
        let books = |unbooked| Books { slots: &[], unbooked, is_last: false };
        let mut book = LossBook::new(BootNanos(10));
        let losses = book.update(BootNanos(100), books(4), |_| None);
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].cause, losses[0].container), (LossCause::MapFull, None));
        assert_eq!(losses[0].count, Some(4));
        assert!(book.update(BootNanos(200), books(4), |_| None).is_empty());
        let told = book.news().unwrap();
        assert_eq!((told.slots.len(), told.unbooked), (0, 4));
        let late = book.update(BootNanos(300), books(6), |_| None);
        let mut next = LossBook::resume(told, late.into_iter(), BootNanos(400));
        assert!(next.update(BootNanos(500), books(6), |_| None).is_empty());
        assert_eq!(next.update(BootNanos(600), books(7), |_| None)[0].count, Some(1));
    }

    #[test]
    fn a_book_goes_on_where_the_one_before_stopped_and_tells_nothing_twice() {
        let slot = |data| LossSlot { data, control: 0, throttled: 0, last: 90 };
        let mut first = LossBook::new(BootNanos(10));
        let owner = |_| Some(ContainerUid(3));
        let told = first.update(BootNanos(100), books(&[(7, slot(5))]), owner);
        let noted = first.news().unwrap();
        assert_eq!((noted.slots.as_slice(), noted.noted), (&[(7, slot(5))][..], BootNanos(100)));
        assert!(first.news().is_none());
        // Two more were told after that was noted, and are in the recording alone.
        let late = first.update(BootNanos(200), books(&[(7, slot(7))]), owner);
        let recording = told.into_iter().chain(late);
        let mut second = LossBook::resume(noted, recording, BootNanos(250));
        let counts: Vec<_> = second
            .update(BootNanos(300), books(&[(7, slot(17))]), owner)
            .iter()
            .map(|l| (l.from, l.count))
            .collect();
        assert_eq!(counts, [(BootNanos(250), Some(10))]);
        assert_eq!(second.update(BootNanos(400), books(&[(7, slot(18))]), owner)[0].count, Some(1));
    }

    #[test]
    fn only_what_grew_is_told_and_told_once() {
        let mut book = LossBook::new(BootNanos(100));
        let owner = |cgroup| (cgroup == 7).then_some(ContainerUid(3));
        let slot = LossSlot { data: 5, control: 0, throttled: 0, last: 150 };
        let losses = book.update(BootNanos(200), books(&[(7, slot)]), owner);
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].container, losses[0].count), (Some(ContainerUid(3)), Some(5)));
        assert_eq!((losses[0].from, losses[0].to), (BootNanos(100), BootNanos(150)));
        assert!(book.update(BootNanos(300), books(&[(7, slot)]), owner).is_empty());
        let more = LossSlot { data: 6, control: 2, last: 350, ..slot };
        assert!(book.update(BootNanos(350), books(&[(8, slot)]), owner).is_empty(), "not known yet");
        // Not for ever, however much more it loses, and not when there is no later reading.
        let mut other = LossBook::default();
        let much = LossSlot { data: 9, last: PATIENCE + 340, ..slot };
        assert!(other.update(BootNanos(350), books(&[(8, slot)]), owner).is_empty());
        assert!(!other.is_settled());
        let late = other.update(BootNanos(PATIENCE + 350), books(&[(8, much)]), owner);
        assert_eq!((late[0].container, late[0].count), (None, Some(9)));
        assert!(other.is_settled());
        let last = Books { slots: &[(8, slot)], unbooked: 0, is_last: true };
        assert_eq!(LossBook::default().update(BootNanos(350), last, owner)[0].count, Some(5));
        let causes: Vec<_> = book
            .update(BootNanos(400), books(&[(7, more)]), owner)
            .iter()
            .map(|l| (l.cause, l.count))
            .collect();
        assert_eq!(causes, [(LossCause::RingFull, Some(1)), (LossCause::ControlRingFull, Some(2))]);
    }
}
