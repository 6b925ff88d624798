//! The recorder's side of the kernel's books: what was lost is read, told, noted for the next recorder, and closed.

use std::time::{Duration, Instant};

use afterimage_capture_abi::record::CpuCounters;
use afterimage_format::{BootNanos, Loss, LossCause};
use tracing::warn;

use super::Recorder;
use crate::{losses::Books, programs::LoadError};

/// After so many readings without a loss, all that was counted is booked.
const BOOKED: u32 = 2;
/// So many readings of the books follow a loss.
const READINGS: u32 = 3;
/// Cgroups whose end nobody saw are looked for no more often than this.
const SWEEP: Duration = Duration::from_secs(10);

impl Recorder {
    /// Books what was lost since the last reading; false where that cannot be read.
    fn read_books(&mut self, now: BootNanos, counters: &CpuCounters, is_last: bool) -> bool {
        let lost = counters.lost_data + counters.lost_control + counters.throttled;
        let known = std::mem::replace(&mut self.lost, lost) == lost;
        self.readings = if known { self.readings.saturating_add(1) } else { 0 };
        // The kernel counts a loss a moment before it books it. With many books a reading is dear.
        if self.readings > READINGS && self.book.is_settled() {
            self.book.nothing_lost(now);
            return true;
        }
        match self.programs.losses() {
            Ok(slots) => {
                let Self { book, sink, .. } = self;
                let books = Books { slots: &slots, unbooked: counters.lost_unbooked, is_last };
                for loss in book.update(now, books, |cgroup| sink.known_owner(cgroup)) {
                    sink.lost(&loss);
                }
                if self.readings >= BOOKED
                    && let Some(loss) = book.missing(now, lost, books)
                {
                    self.tables.changed += 1;
                    warn!("somebody else changed LOSSES: how many of each container were lost is not known");
                    sink.lost(&loss);
                }
            }
            // The kernel's counts only grow: a later reading makes up for this one.
            Err(error) => {
                self.complain("what was lost since the last reading is not known yet", &error);
                return false;
            }
        }
        self.complained = false;
        self.close_ended();
        true
    }

    /// Makes room in the kernel's books: those of cgroups that are gone are closed, as far as the kernel lets them be. What it
    /// does not is told once, and tried again by a sweep.
    fn close_ended(&mut self) {
        let due = self.book.due();
        if due.is_empty() {
            return;
        }
        let (closed, failed) = self.programs.close_books(&due);
        self.book.close(&closed);
        // A recorder that is killed just here leaves a gap to the next that is none: rather that than the other way round.
        if !closed.is_empty()
            && let Err(error) = self.programs.tell(&self.book.of_no_cgroup())
        {
            self.complain("what was told of closed books is not noted down", &error);
        }
        let was_told = std::mem::replace(&mut self.unclosed, failed.is_some());
        if let Some(error) = failed.filter(|_| !was_told) {
            tell("the kernel's books of cgroups that are gone are kept", &error);
        }
    }

    /// Where the kernel's books are half full, cgroups whose end nobody saw are looked for.
    pub(super) fn sweep(&mut self) {
        if !self.book.is_crowded() || self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        // In this order: what was booked before is there now, or gone.
        let booked = self.book.booked();
        let gone = self.sink.gone(booked);
        self.book.ended(&gone);
    }

    /// What was told is in the stage now: the next recorder need not tell it.
    pub(super) fn note_losses(&mut self) {
        if let Some(news) = self.book.news()
            && let Err(error) = self.programs.tell(&news)
        {
            self.complain("what was told of losses is not noted down", &error);
        }
    }

    /// The last reading: what it cannot tell is in the recording as a gap of unknown size.
    pub(super) fn close_books(&mut self, now: BootNanos) {
        let from = self.book.last_read();
        self.readings = 0;
        let counters = self.programs.counters();
        let known = counters.is_ok_and(|counters| self.read_books(now, &counters, true));
        if !known {
            let cause = LossCause::CountsUnread;
            self.sink.lost(&Loss { container: None, cause, cpu: None, from, to: now, count: None });
        }
    }

    /// Whether the programs still run, and what they lost.
    pub(super) fn look_after_programs(&mut self, now: BootNanos) {
        match self.programs.counters() {
            Ok(counters) => {
                if let Some(gap) = self.pulse.look(now, counters.own) {
                    warn!("the programs did not run: something has taken them off their hooks");
                    self.sink.lost(&gap);
                }
                self.read_books(now, &counters, false);
            }
            Err(error) => self.complain("whether the programs run is not known", &error),
        }
    }

    /// Says once what cannot be read, until it can be read again.
    fn complain(&mut self, what: &str, error: &LoadError) {
        if !std::mem::replace(&mut self.complained, true) {
            tell(what, error);
        }
    }
}

fn tell(what: &str, error: &LoadError) {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!("{what}: {error}: {reason}");
}
