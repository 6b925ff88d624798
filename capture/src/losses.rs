//! What the kernel could not hand over, read from its own books and turned into positional records.

use std::collections::HashMap;

use afterimage_capture_abi::record::LossSlot;
use afterimage_format::{BootNanos, ContainerUid, Loss, LossCause};

/// How long a cgroup may be unknown before its losses are told as nobody's. Nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// What is told of the kernel's own books.
const OWN: [LossCause; 3] = [LossCause::RingFull, LossCause::ControlRingFull, LossCause::Throttled];

/// The books as last read.
#[derive(Debug, Default)]
pub struct LossBook {
    seen: HashMap<u64, LossSlot>,
    read: BootNanos,
    /// Cgroups of which something was told since the last [`Self::news`].
    news: Vec<u64>,
    /// By cause: told by the recorder before, which did not come to note it down.
    unnoted: HashMap<LossCause, u64>,
}

impl LossBook {
    /// Begins at `now`: nothing is lost before the programs are attached.
    pub fn new(now: BootNanos) -> Self {
        Self { read: now, ..Self::default() }
    }

    /// Goes on after an earlier recorder, which has noted down what it told at `noted`. What it told later than that is
    /// among the `losses` of its recording, which ends at `end`.
    pub fn resume(
        (told, noted): (Vec<(u64, LossSlot)>, BootNanos),
        losses: impl Iterator<Item = Loss>,
        end: BootNanos,
    ) -> Self {
        let mut unnoted: HashMap<LossCause, u64> = HashMap::new();
        for loss in losses.filter(|loss| OWN.contains(&loss.cause) && loss.from >= noted) {
            *unnoted.entry(loss.cause).or_default() += loss.count.unwrap_or(0);
        }
        Self { seen: told.into_iter().collect(), read: end.max(noted), news: Vec::new(), unnoted }
    }

    /// What was told since this was asked last: for the next recorder.
    pub fn news(&mut self) -> Vec<(u64, LossSlot)> {
        let seen = &self.seen;
        self.news.drain(..).filter_map(|cgroup| Some((cgroup, *seen.get(&cgroup)?))).collect()
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
        slots: &[(u64, LossSlot)],
        owner: impl Fn(u64) -> Option<ContainerUid>,
    ) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (cgroup, slot) in slots {
            let container = owner(*cgroup);
            if container.is_none() && now.0.saturating_sub(slot.last) < PATIENCE {
                continue;
            }
            let before = self.seen.insert(*cgroup, *slot).unwrap_or_default();
            let grown = [
                (LossCause::RingFull, slot.data.saturating_sub(before.data)),
                (LossCause::ControlRingFull, slot.control.saturating_sub(before.control)),
                (LossCause::Throttled, slot.throttled.saturating_sub(before.throttled)),
            ];
            if grown.iter().any(|(_, count)| *count > 0) {
                self.news.push(*cgroup);
            }
            for (cause, count) in grown {
                let known = self.unnoted.get_mut(&cause).filter(|known| **known > 0);
                let before = known.map_or(0, |known| {
                    let told = count.min(*known);
                    *known -= told;
                    told
                });
                let count = count - before;
                if count == 0 {
                    continue;
                }
                losses.push(Loss {
                    container,
                    cause,
                    cpu: None,
                    from: self.read,
                    to: BootNanos(slot.last.max(self.read.0)),
                    count: Some(count),
                });
            }
        }
        self.read = now;
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_goes_on_where_the_one_before_stopped_and_tells_nothing_twice() {
        let slot = |data| LossSlot { data, control: 0, throttled: 0, last: 90 };
        let mut first = LossBook::new(BootNanos(10));
        let owner = |_| Some(ContainerUid(3));
        let told = first.update(BootNanos(100), &[(7, slot(5))], owner);
        let noted = first.news();
        assert_eq!(noted, [(7, slot(5))]);
        assert!(first.news().is_empty());
        // Two more were told after that was noted, and are in the recording alone.
        let late = first.update(BootNanos(200), &[(7, slot(7))], owner);
        let recording = told.into_iter().chain(late);
        let mut second = LossBook::resume((noted, BootNanos(100)), recording, BootNanos(250));
        let counts: Vec<_> = second
            .update(BootNanos(300), &[(7, slot(17))], owner)
            .iter()
            .map(|l| (l.from, l.count))
            .collect();
        assert_eq!(counts, [(BootNanos(250), Some(10))]);
        assert_eq!(second.update(BootNanos(400), &[(7, slot(18))], owner)[0].count, Some(1));
    }

    #[test]
    fn only_what_grew_is_told_and_told_once() {
        let mut book = LossBook::new(BootNanos(100));
        let owner = |cgroup| (cgroup == 7).then_some(ContainerUid(3));
        let slot = LossSlot { data: 5, control: 0, throttled: 0, last: 150 };
        let losses = book.update(BootNanos(200), &[(7, slot)], owner);
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].container, losses[0].count), (Some(ContainerUid(3)), Some(5)));
        assert_eq!((losses[0].from, losses[0].to), (BootNanos(100), BootNanos(150)));
        assert!(book.update(BootNanos(300), &[(7, slot)], owner).is_empty());
        let more = LossSlot { data: 6, control: 2, last: 350, ..slot };
        assert!(book.update(BootNanos(350), &[(8, slot)], owner).is_empty(), "not known yet");
        let late = BootNanos(PATIENCE * 2);
        assert_eq!(LossBook::default().update(late, &[(8, slot)], owner)[0].container, None);
        let causes: Vec<_> =
            book.update(BootNanos(400), &[(7, more)], owner).iter().map(|l| (l.cause, l.count)).collect();
        assert_eq!(causes, [(LossCause::RingFull, Some(1)), (LossCause::ControlRingFull, Some(2))]);
    }
}
