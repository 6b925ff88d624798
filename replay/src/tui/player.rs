//! The clock of the replay: where the playhead is and how it moves by itself.

use std::time::Duration;

use afterimage_format::{BootNanos, EventId};

use crate::tui::feed::{Center, Page};

/// The one moment that every screen shows: a time and, where one is selected, an event at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Playhead {
    pub(crate) time: BootNanos,
    pub(crate) event: Option<EventId>,
}

impl Playhead {
    pub(crate) const fn at_time(time: BootNanos) -> Self {
        Self { time, event: None }
    }

    pub(crate) const fn at_event(id: EventId) -> Self {
        Self { time: id.time, event: Some(id) }
    }

    pub(crate) fn center(self) -> Center {
        self.event.map_or(Center::Time(self.time), Center::Event)
    }

    /// The row of `page` that it stands on: its event, else the last row not after it, else the first. The event may have
    /// another id since the recording grew, but never another time.
    pub(crate) fn row(self, page: &Page) -> Option<usize> {
        let exact = self.event.and_then(|id| page.rows.binary_search_by_key(&id, |row| row.id).ok());
        let after = || page.rows.partition_point(|row| row.id.time <= self.time);
        (!page.rows.is_empty()).then(|| exact.unwrap_or_else(|| after().saturating_sub(1)))
    }

    /// Whether the row that it stands on is surely in `page`.
    pub(crate) fn is_in(self, page: &Page) -> bool {
        let (Some(first), Some(last)) = (page.rows.first(), page.rows.last()) else {
            return page.at_start && page.at_end;
        };
        let (after_first, before_last) = match self.event {
            Some(id) => (first.id <= id, id <= last.id),
            None => (first.id.time <= self.time, self.time < last.id.time),
        };
        (page.at_start || after_first) && (page.at_end || before_last)
    }
}

/// Which way time runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Motion {
    Paused,
    Forward,
    Backward,
}

/// Speeds in tenths of real time.
const SPEEDS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
/// A wait that skipping shortens, nanoseconds.
const IDLE: u64 = 1_000_000_000;
/// What remains of a skipped wait at speed 1, nanoseconds.
const IDLE_LEFT: u64 = 300_000_000;

/// What playing goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Time as it was.
    Time,
    /// Events, each as long as every other: ten a second at speed 1.
    Events,
}

/// How the playhead moves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Player {
    pub(crate) motion: Motion,
    pub(crate) pace: Pace,
    speed: usize,
    pub(crate) skip_idle: bool,
    /// Of the next event, in tenths of nanoseconds of real time: what has passed of its turn.
    owed: u64,
}

impl Default for Player {
    fn default() -> Self {
        Self { motion: Motion::Paused, pace: Pace::Time, speed: 3, skip_idle: true, owed: 0 }
    }
}

impl Player {
    /// Speed in tenths of real time.
    pub(crate) fn tenths(self) -> u64 {
        SPEEDS.get(self.speed).copied().unwrap_or(10)
    }

    pub(crate) fn faster(&mut self) {
        self.speed = (self.speed + 1).min(SPEEDS.len() - 1);
    }

    pub(crate) fn turn_pace(&mut self) {
        self.pace = if self.pace == Pace::Time { Pace::Events } else { Pace::Time };
    }

    pub(crate) fn slower(&mut self) {
        self.speed = self.speed.saturating_sub(1);
    }

    /// Where the playhead is after `elapsed` of real time, within `whole`; motion stops at its ends. `page` tells
    /// what comes next, so that waits can be skipped.
    pub(crate) fn advance(
        &mut self,
        at: Playhead,
        elapsed: Duration,
        whole: (BootNanos, BootNanos),
        page: &Page,
    ) -> Playhead {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        if self.pace == Pace::Events {
            return self.by_events(at, elapsed, page);
        }
        let step = elapsed.saturating_mul(self.tenths()) / 10;
        let forward = match self.motion {
            Motion::Paused => return at,
            Motion::Forward => true,
            Motion::Backward => false,
        };
        let time = if forward { at.time.0.saturating_add(step) } else { at.time.0.saturating_sub(step) };
        let time = self.skipped(at, time, forward, page).clamp(whole.0.0, whole.1.0);
        if time == if forward { whole.1.0 } else { whole.0.0 } {
            self.motion = Motion::Paused;
        }
        Playhead::at_time(BootNanos(time))
    }

    /// So many events further as their pace makes of `elapsed`, as far as they are known; motion stops at the ends.
    fn by_events(&mut self, at: Playhead, elapsed: u64, page: &Page) -> Playhead {
        /// Speed 1 is ten tenths, and ten events a second: a tenth is an event.
        const EVENT: u64 = 1_000_000_000;
        let Some(row) = at.row(page).filter(|_| at.is_in(page) && self.motion != Motion::Paused) else {
            return at;
        };
        let owed = self.owed.saturating_add(elapsed.saturating_mul(self.tenths()));
        self.owed = owed % EVENT;
        let steps = usize::try_from(owed / EVENT).unwrap_or(usize::MAX);
        let last = page.rows.len().saturating_sub(1);
        let (to, ends) = match self.motion {
            Motion::Backward => (row.saturating_sub(steps), page.at_start && steps >= row),
            _ => (row.saturating_add(steps).min(last), page.at_end && row.saturating_add(steps) >= last),
        };
        if ends {
            (self.motion, self.owed) = (Motion::Paused, 0);
        }
        match page.rows.get(to) {
            Some(found) if to != row || ends => Playhead::at_event(found.id),
            _ => at,
        }
    }

    /// `time`, or near the next event where the wait until it is long.
    fn skipped(self, at: Playhead, time: u64, forward: bool, page: &Page) -> u64 {
        if !self.skip_idle || !at.is_in(page) {
            return time;
        }
        let scaled = |nanos: u64| nanos.saturating_mul(self.tenths()) / 10;
        let next = if forward {
            page.rows.iter().find(|row| row.id.time > at.time).map(|row| row.id.time.0)
        } else {
            let before = page.rows.partition_point(|row| row.id.time < at.time);
            before.checked_sub(1).and_then(|i| page.rows.get(i)).map(|row| row.id.time.0)
        };
        match next {
            Some(next) if forward && next.saturating_sub(time) > scaled(IDLE) => next - scaled(IDLE_LEFT),
            Some(next) if !forward && time.saturating_sub(next) > scaled(IDLE) => next + scaled(IDLE_LEFT),
            _ => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::Class;
    use afterimage_model::text::Safe;

    use super::*;
    use crate::tui::feed::EventRow;

    const S: u64 = 1_000_000_000;

    fn row(time: u64) -> EventRow {
        EventRow {
            id: EventId { time: BootNanos(time), block: 0, row: 0 },
            pid: 1,
            process: Safe::default(),
            name: Safe::default(),
            detail: Safe::default(),
            result: Safe::default(),
            failed: false,
            class: Class::Other,
            truncated: false,
            incomplete: false,
            differs: false,
            setup: false,
        }
    }

    fn page(times: &[u64]) -> Page {
        Page {
            rows: times.iter().map(|t| row(*t)).collect(),
            at_start: true,
            at_end: true,
            first_number: None,
            named: true,
        }
    }

    fn play(player: &mut Player, from: u64, millis: u64, page: &Page) -> u64 {
        let whole = (BootNanos(0), BootNanos(100 * S));
        player.advance(Playhead::at_time(BootNanos(from)), Duration::from_millis(millis), whole, page).time.0
    }

    #[test]
    fn plays_in_real_time_and_stops_at_the_end() {
        let page = page(&[0, S, 100 * S]);
        let mut player = Player { motion: Motion::Forward, skip_idle: false, ..Player::default() };
        assert_eq!(play(&mut player, 0, 500, &page), S / 2);
        assert_eq!(play(&mut player, 99 * S, 5_000, &page), 100 * S);
        assert_eq!(player.motion, Motion::Paused);
        player.motion = Motion::Backward;
        assert_eq!(play(&mut player, S, 250, &page), S * 3 / 4);
        assert_eq!(play(&mut player, S / 2, 1_000, &page), 0);
        assert_eq!(player.motion, Motion::Paused);
    }

    #[test]
    fn long_waits_are_skipped_up_to_just_before_the_next_event() {
        let page = page(&[0, 50 * S, 50 * S + 10]);
        let mut player = Player { motion: Motion::Forward, ..Player::default() };
        assert_eq!(play(&mut player, 0, 100, &page), 50 * S - IDLE_LEFT);
        player.motion = Motion::Backward;
        assert_eq!(play(&mut player, 49 * S, 100, &page), IDLE_LEFT);
    }

    #[test]
    fn by_events_each_takes_as_long_as_every_other() {
        let page = page(&[0, 5, 6, 50 * S, 99 * S]);
        let mut player = Player { motion: Motion::Forward, pace: Pace::Events, ..Player::default() };
        assert_eq!(play(&mut player, 0, 90, &page), 0);
        assert_eq!(play(&mut player, 0, 20, &page), 5, "what had passed counts");
        assert_eq!(play(&mut player, 5, 200, &page), 50 * S);
        assert_eq!(play(&mut player, 50 * S, 100, &page), 99 * S);
        assert_eq!(player.motion, Motion::Paused);
        player.motion = Motion::Backward;
        player.faster();
        assert_eq!(play(&mut player, 99 * S, 100, &page), 6, "at twice the speed twice as many");
        let unknown = Page { at_end: false, ..page };
        player.motion = Motion::Forward;
        let at = Playhead::at_event(unknown.rows[4].id);
        let whole = (BootNanos(0), BootNanos(100 * S));
        assert_eq!(player.advance(at, Duration::from_secs(9), whole, &unknown), at);
        assert_eq!(player.motion, Motion::Forward, "it goes on when the next page is there");
    }

    #[test]
    fn nothing_is_skipped_where_the_next_event_is_not_known() {
        let known = page(&[0, S]);
        let unknown = Page { at_end: false, ..known };
        let mut player = Player { motion: Motion::Forward, ..Player::default() };
        assert_eq!(play(&mut player, 2 * S, 100, &unknown), 2 * S + S / 10);
    }

    #[test]
    fn the_playhead_stands_on_the_last_row_not_after_it() {
        let page = page(&[10, 20, 20, 30]);
        assert_eq!(Playhead::at_time(BootNanos(25)).row(&page), Some(2));
        assert_eq!(Playhead::at_time(BootNanos(5)).row(&page), Some(0));
        assert_eq!(Playhead::at_event(page.rows[0].id).row(&page), Some(0));
        assert!(Playhead::at_time(BootNanos(99)).is_in(&page));
        assert!(!Playhead::at_time(BootNanos(99)).is_in(&Page { at_end: false, ..page }));
    }
}
