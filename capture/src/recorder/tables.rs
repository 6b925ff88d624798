//! What the recorder owns in the kernel and cannot freeze, looked after: it is as it was left, or it is made so again and the time
//! between is a gap.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use afterimage_format::BootNanos;
use tracing::warn;

use super::Recorder;
use crate::{guard::Guard, host, programs::Found};

/// The whole table of policies is looked at no more often than this.
const WHOLE: Duration = Duration::from_secs(1);

/// What is looked after.
#[derive(Debug)]
pub(super) struct Tables {
    /// The words by which the programs are steered.
    words: [Guard; 2],
    policies: Guard,
    rings: Guard,
    looked: Instant,
    /// How often something else was found than was left.
    pub(super) changed: u64,
    /// The log says already that something cannot be looked at.
    complained: bool,
}

impl Tables {
    /// All is as it was left at `now`.
    pub(super) fn new(now: BootNanos) -> Self {
        let guard = Guard::new(now);
        let (changed, complained) = (0, false);
        Self { words: [guard; 2], policies: guard, rings: guard, looked: Instant::now(), changed, complained }
    }
}

impl Recorder {
    /// Looks at the tables that steer the programs; at all of them where `whole` says so, or it is time.
    pub(super) fn look_after_tables(&mut self, whole: bool) {
        const WORDS: [&str; 2] = ["LIVE", "MARKED"];
        let from = host::boot_now();
        match self.sink.look_at_words() {
            Ok(found) => {
                for (index, (found, name)) in found.into_iter().zip(WORDS).enumerate() {
                    self.judge(|tables| &mut tables.words[index], name, found, from);
                }
            }
            Err(error) => self.cannot_look("LIVE", &error),
        }
        if !whole && self.tables.looked.elapsed() < WHOLE {
            return;
        }
        self.tables.looked = Instant::now();
        let from = host::boot_now();
        match self.sink.look_at_policies() {
            Ok(found) => self.judge(|tables| &mut tables.policies, "POLICY", found, from),
            Err(error) => self.cannot_look("POLICY", &error),
        }
    }

    /// Takes in whether a pass that began at `from` found the rings' positions changed.
    pub(super) fn look_after_rings(&mut self, from: BootNanos) {
        let found = if self.pending.was_meddled_with() { Found::Restored } else { Found::AsLeft };
        self.judge(|tables| &mut tables.rings, "DATA, CONTROL or GIVEN", found, from);
    }

    /// Tells gaps that go on when recording ends.
    pub(super) fn end_tables(&mut self, now: BootNanos) {
        let Tables { words: [live, marked], policies, rings, .. } = &self.tables;
        let gaps = [live, marked, policies, rings].map(|guard| guard.end(now));
        gaps.into_iter().flatten().for_each(|gap| self.sink.lost(&gap));
    }

    fn judge(
        &mut self,
        guard: impl Fn(&mut Tables) -> &mut Guard,
        name: &str,
        found: Found,
        from: BootNanos,
    ) {
        let Some(gap) = guard(&mut self.tables).look(found, (from, host::boot_now())) else { return };
        self.tables.changed += 1;
        let what = match found {
            Found::Refused => "it cannot be restored: the recorder must be stopped and started again",
            Found::AsLeft | Found::Restored => "it is as it was again",
        };
        warn!("somebody else has changed the eBPF map {name} of the recorder: {what}");
        self.sink.lost(&gap);
    }

    fn cannot_look(&mut self, name: &str, error: &dyn Error) {
        if !std::mem::replace(&mut self.tables.complained, true) {
            warn!("whether the eBPF map {name} is as the recorder left it is not known: {error}");
        }
    }
}
