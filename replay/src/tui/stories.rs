//! What is known of whole lives: storylines of the containers looked at last, and numbers of findings of all.
//!
//! A recording that grows is read again and again. What was read before stands meanwhile, and readings that a life which
//! goes on makes necessary take a fifth of the time at most.

use std::{collections::BTreeMap, time::Duration};

use afterimage_format::ContainerUid;
use afterimage_model::text::Safe;

use crate::tui::{
    app::ContainerList,
    feed::{Catalog, ContainerRow, Story, StoryKey, StoryRow, Tally},
};

/// Storylines kept.
const STORIES: usize = 32;
/// Whole lives kept with them: they are large.
const WHOLES: usize = 2;
/// Containers with more events are counted only when they are looked at.
const COUNTED: u64 = 2_000_000;
/// A reading again comes so many times its own length after the one before.
const REST: u32 = 4;

/// When readings began, and until when none has to be repeated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    began: Duration,
    rest: Duration,
}

impl Pace {
    pub(crate) fn begin(&mut self, now: Duration) {
        self.began = now;
    }

    pub(crate) fn end(&mut self, now: Duration) {
        self.rest = now.saturating_add(now.saturating_sub(self.began).saturating_mul(REST));
    }

    pub(crate) fn is_resting(&self, now: Duration) -> bool {
        now < self.rest
    }
}

/// Storylines read so far, of the containers looked at last.
#[derive(Debug, Default)]
pub(crate) struct Stories {
    asked: Option<StoryKey>,
    /// What could not be read, until another is asked for.
    failed: Option<StoryKey>,
    kept: Vec<(StoryKey, Story)>,
    /// Lines that no reading of the life gives: alerts, what rules matched.
    added: BTreeMap<ContainerUid, Vec<StoryRow>>,
    /// What is to be said of the rules that were asked last.
    notes: BTreeMap<ContainerUid, Vec<Safe>>,
    pace: Pace,
}

impl Stories {
    /// Keeps what is to be said of rules, in place of what was before.
    pub(crate) fn note(&mut self, uid: ContainerUid, notes: Vec<Safe>) {
        self.notes.insert(uid, notes);
    }

    /// What is to be said of the rules that were asked last of a container.
    pub(crate) fn notes(&self, uid: ContainerUid) -> &[Safe] {
        self.notes.get(&uid).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn of(&self, uid: ContainerUid) -> Option<&Story> {
        self.entry(uid).map(|(_, story)| story)
    }

    /// The storyline with what it was read from.
    pub(crate) fn entry(&self, uid: ContainerUid) -> Option<&(StoryKey, Story)> {
        self.kept.iter().rev().find(|(key, _)| key.uid == uid)
    }

    /// The question to ask so that the storyline of `key` comes or is completed.
    /// With `whole`, what the storyline was read from is wanted too.
    pub(crate) fn want(&mut self, key: StoryKey, whole: bool, now: Duration) -> Option<StoryKey> {
        let known =
            self.entry(key.uid).filter(|(_, story)| is_read(story) && (story.whole.is_some() || !whole));
        // A life that did not grow is as it was read, whatever else was recorded.
        let there = known.is_some_and(|(known, _)| known.events == key.events || self.pace.is_resting(now));
        let under_way = self.asked.is_some_and(|asked| asked.uid == key.uid);
        let has_failed = self
            .failed
            .is_some_and(|failed| failed == key || failed.uid == key.uid && self.pace.is_resting(now));
        if there || under_way || has_failed {
            return None;
        }
        self.failed = None;
        self.asked = Some(key);
        self.pace.begin(now);
        Some(key)
    }

    /// Takes it that it cannot be read.
    pub(crate) fn fail(&mut self, key: StoryKey, now: Duration) {
        if self.asked == Some(key) {
            self.failed = self.asked.take();
            self.pace.end(now);
        }
    }

    /// Whether the storyline of a container could not be read to its end: nobody reads on before another was asked for.
    pub(crate) fn has_failed(&self, uid: ContainerUid) -> bool {
        self.failed.is_some_and(|failed| failed.uid == uid)
    }

    /// The containers whose storylines are there.
    pub(crate) fn uids(&self) -> Vec<ContainerUid> {
        self.kept.iter().map(|(key, _)| key.uid).collect()
    }

    /// The alerts about a container, in place of those that were told before: their numbers and what became of them change.
    /// They are the lines that rest on no event.
    pub(crate) fn tell(&mut self, uid: ContainerUid, alerts: Vec<StoryRow>) {
        let story = self.kept.iter_mut().rev().find(|(key, _)| key.uid == uid);
        let own = story.map(|(_, story)| &mut story.rows);
        self.added.get_mut(&uid).into_iter().chain(own).for_each(|rows| rows.retain(|row| row.id.is_some()));
        self.add(uid, alerts);
    }

    /// Adds lines to the storyline of a container, in order of time.
    pub(crate) fn add(&mut self, uid: ContainerUid, rows: Vec<StoryRow>) {
        let added = self.added.entry(uid).or_default();
        merge(added, rows);
        if let Some((_, story)) = self.kept.iter_mut().rev().find(|(key, _)| key.uid == uid) {
            merge(&mut story.rows, added.clone());
        }
    }

    pub(crate) fn fill(&mut self, key: StoryKey, mut story: Story, now: Duration) {
        if is_read(&story) && self.asked == Some(key) {
            self.asked = None;
            self.pace.end(now);
        }
        // What was read to its end stands while more is read.
        if !is_read(&story) && self.of(key.uid).is_some_and(is_read) {
            return;
        }
        self.kept.retain(|(k, _)| k.uid != key.uid);
        merge(&mut story.rows, self.added.get(&key.uid).cloned().unwrap_or_default());
        self.kept.push((key, story));
        let old = self.kept.len().saturating_sub(WHOLES);
        self.kept.iter_mut().take(old).for_each(|(_, story)| story.whole = None);
        if self.kept.len() > STORIES {
            self.kept.remove(0);
        }
    }
}

/// Adds lines to others, in order of time.
fn merge(rows: &mut Vec<StoryRow>, more: Vec<StoryRow>) {
    rows.retain(|old| !more.iter().any(|new| new.id == old.id && new.text == old.text));
    rows.extend(more);
    rows.sort_by_key(|row| (row.time, row.id));
}

/// Whether it was read to its end.
fn is_read(story: &Story) -> bool {
    story.reading.is_none()
}

/// Numbers of findings, of one container after the other in the background.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    asked: Option<StoryKey>,
    /// How many events were read, and in the how manyth counting.
    known: BTreeMap<ContainerUid, (u64, u64, Tally)>,
    counted: u64,
    /// What could not be read, of which state of the recording: a newer one is worth another try.
    failed: BTreeMap<ContainerUid, u64>,
    pace: Pace,
}

impl Tallies {
    pub(crate) fn of(&self, uid: ContainerUid) -> Option<Tally> {
        self.known.get(&uid).map(|(.., tally)| *tally)
    }

    /// The next container to ask for: in the order of the list, then of those that have grown the one counted first.
    pub(crate) fn want(
        &mut self,
        list: &ContainerList,
        catalog: &Catalog,
        now: Duration,
    ) -> Option<StoryKey> {
        if self.asked.is_some() {
            return None;
        }
        let seen = list.order.iter().skip(list.scroll.top).chain(&list.order);
        let rows = || {
            seen.clone()
                .filter_map(|index| catalog.containers.get(*index))
                .filter(|row| row.events <= COUNTED)
        };
        let is_tried = |uid: &ContainerUid| {
            self.failed
                .get(uid)
                .is_some_and(|tried| *tried == catalog.generation || self.pace.is_resting(now))
        };
        let is_new = |row: &&ContainerRow| !self.known.contains_key(&row.uid) && !is_tried(&row.uid);
        let grown = |row: &ContainerRow| {
            let (events, number, _) = self.known.get(&row.uid)?;
            (*events != row.events).then_some(*number)
        };
        let row = rows().find(is_new).or_else(|| {
            let grown = rows().filter_map(|row| Some((grown(row)?, row)));
            grown.filter(|_| !self.pace.is_resting(now)).min_by_key(|(number, _)| *number).map(|(_, row)| row)
        })?;
        self.asked = Some(StoryKey::of(row, catalog.generation));
        self.pace.begin(now);
        self.asked
    }

    pub(crate) fn fill(&mut self, key: StoryKey, tally: Tally, now: Duration) {
        self.end(key, now);
        self.failed.remove(&key.uid);
        self.counted += 1;
        self.known.insert(key.uid, (key.events, self.counted, tally));
    }

    /// Takes it that the container cannot be read.
    pub(crate) fn fail(&mut self, key: StoryKey, now: Duration) {
        self.end(key, now);
        self.failed.insert(key.uid, key.generation);
        self.known.remove(&key.uid);
    }

    fn end(&mut self, key: StoryKey, now: Duration) {
        if self.asked == Some(key) {
            self.asked = None;
            self.pace.end(now);
        }
    }

    /// Whether that was tried in vain.
    pub(crate) fn has_failed(&self, uid: ContainerUid) -> bool {
        self.failed.contains_key(&uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_cannot_be_read_and_goes_on_is_tried_again_after_a_rest() {
        let key = |events| StoryKey { uid: ContainerUid(1), events, generation: events };
        let at = Duration::from_secs;
        let mut stories = Stories::default();
        assert_eq!(stories.want(key(1), false, at(0)), Some(key(1)));
        stories.fail(key(1), at(10));
        assert_eq!(stories.want(key(1), false, at(1000)), None, "it is as it was");
        assert_eq!(stories.want(key(2), false, at(11)), None, "it rests");
        assert_eq!(stories.want(key(2), false, at(51)), Some(key(2)));
    }
}
