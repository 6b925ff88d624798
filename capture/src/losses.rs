//! What the kernel could not hand over, read from its own books and turned into positional records.

use std::collections::HashMap;

use afterimage_capture_abi::record::LossSlot;
use afterimage_format::{BootNanos, ContainerUid, Loss, LossCause};

/// How long a cgroup may be unknown before its losses are told as nobody's. Nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// The books as last read.
#[derive(Debug, Default)]
pub struct LossBook {
    seen: HashMap<u64, LossSlot>,
    read: BootNanos,
}

impl LossBook {
    /// Begins at `now`: nothing is lost before the programs are attached.
    pub fn new(now: BootNanos) -> Self {
        Self { seen: HashMap::new(), read: now }
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
            for (cause, count) in grown.into_iter().filter(|(_, count)| *count > 0) {
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
