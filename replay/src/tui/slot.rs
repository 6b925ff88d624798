//! One answer of the background, what it answers, and whether a question is under way.
//!
//! At most one question per slot is asked at a time: while the user moves fast, questions in between are never
//! asked at all, or end unanswered.

use std::time::Duration;

use crate::tui::stories::Pace;

/// So many questions in a row end unanswered at most: while a key is held, something is shown.
const UNANSWERED: u8 = 8;

/// A question and its latest answer.
#[derive(Debug, Clone)]
pub(crate) struct Slot<K, V> {
    asked: Option<K>,
    got: Option<(K, V)>,
    /// It is a part of the answer.
    partial: bool,
    /// What could not be answered, until anything else is asked: it is not asked again and again.
    failed: Option<K>,
    /// Questions that ended unanswered since the last answer.
    unanswered: u8,
}

impl<K, V> Default for Slot<K, V> {
    fn default() -> Self {
        Self { asked: None, got: None, partial: false, failed: None, unanswered: 0 }
    }
}

impl<K: PartialEq + Clone, V> Slot<K, V> {
    /// The question to ask now so that the answer to `key` comes: none where it is there or another is under way.
    pub(crate) fn want(&mut self, key: K) -> Option<K> {
        if self.has(&key) || self.asked.is_some() || self.failed.as_ref() == Some(&key) {
            return None;
        }
        self.failed = None;
        self.asked = Some(key.clone());
        Some(key)
    }

    /// As [`Self::want`], but in place of the question under way: for long ones, which a newer one ends.
    pub(crate) fn want_instead(&mut self, key: K) -> Option<K> {
        let there = self.asked.is_none() && self.has(&key);
        if there || self.asked.as_ref() == Some(&key) || self.failed.as_ref() == Some(&key) {
            return None;
        }
        self.failed = None;
        self.asked = Some(key.clone());
        Some(key)
    }

    /// As [`Self::want_instead`], of a recording that grows: what asks the same of it as it was before is not ended, and its
    /// answer stands until `pace` has rested.
    pub(crate) fn want_paced(
        &mut self,
        key: K,
        is_same: impl Fn(&K) -> bool,
        (pace, now): (&mut Pace, Duration),
    ) -> Option<K> {
        if self.asked.as_ref().is_some_and(&is_same) {
            return None;
        }
        let stands = self.got.as_ref().is_some_and(|(got, _)| is_same(got)) && !self.partial;
        let has_failed = self.failed.as_ref().is_some_and(is_same);
        if self.asked.is_none() && (stands || has_failed) && pace.is_resting(now) {
            return None;
        }
        let want = self.want_instead(key);
        if want.is_some() {
            pace.begin(now);
        }
        want
    }

    /// As [`Self::want_instead`], but now and then one is answered however fast newer ones come.
    pub(crate) fn want_newest(&mut self, key: K) -> Option<K> {
        if self.asked.is_none() {
            return self.want(key);
        }
        if self.unanswered >= UNANSWERED {
            return None;
        }
        let want = self.want_instead(key);
        self.unanswered += u8::from(want.is_some());
        want
    }

    /// Whether the whole answer is there.
    fn has(&self, key: &K) -> bool {
        !self.partial && self.got.as_ref().is_some_and(|(got, _)| got == key)
    }

    /// Takes an answer that is not complete: the question stays under way.
    pub(crate) fn preview(&mut self, key: K, value: V) {
        self.got = Some((key, value));
        self.partial = true;
    }

    /// Takes an answer.
    pub(crate) fn fill(&mut self, key: K, value: V) {
        self.replace(key, value);
    }

    /// As [`Self::fill`]; the answer before is given back.
    pub(crate) fn replace(&mut self, key: K, value: V) -> Option<V> {
        if self.asked.as_ref() == Some(&key) {
            self.asked = None;
            self.unanswered = 0;
        }
        self.partial = false;
        self.got.replace((key, value)).map(|(_, before)| before)
    }

    /// Takes it that a question has no answer: the next one can be asked.
    pub(crate) fn fail(&mut self, key: &K) {
        if self.asked.as_ref() == Some(key) {
            self.failed = self.asked.take();
            self.unanswered = 0;
        }
    }

    /// Nobody waits for the question under way any more; what is known of its answer stays.
    pub(crate) fn give_up(&mut self) {
        self.asked = None;
    }

    /// Whether the question asked last has no answer.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Somebody asks for it by a key: what could not be answered before is asked once more.
    pub(crate) fn try_again(&mut self) {
        self.failed = None;
    }

    /// Whether this question is under way.
    pub(crate) fn is_asked(&self, key: &K) -> bool {
        self.asked.as_ref() == Some(key)
    }

    /// The question under way.
    pub(crate) fn asked(&self) -> Option<&K> {
        self.asked.as_ref()
    }

    /// The latest answer, whatever it answers.
    pub(crate) fn value(&self) -> Option<&V> {
        self.got.as_ref().map(|(_, value)| value)
    }

    /// The latest answer with its question, for whoever keeps it elsewhere.
    pub(crate) fn into_entry(self) -> Option<(K, V)> {
        self.got
    }

    /// The latest answer with its question.
    pub(crate) fn entry(&self) -> Option<(&K, &V)> {
        self.got.as_ref().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_at_a_time_and_the_newest_next() {
        let mut slot = Slot::<u32, &str>::default();
        assert_eq!(slot.want(1), Some(1));
        assert_eq!(slot.want(2), None);
        assert_eq!(slot.want(3), None);
        slot.fill(1, "one");
        assert_eq!(slot.value(), Some(&"one"));
        assert_eq!(slot.want(3), Some(3));
        slot.fill(3, "three");
        assert_eq!(slot.want(3), None);
        assert_eq!(slot.asked, None);
    }

    #[test]
    fn a_part_of_an_answer_that_ended_there_is_asked_for_again() {
        let mut slot = Slot::<u32, &str>::default();
        assert_eq!(slot.want_instead(1), Some(1));
        slot.preview(1, "on");
        assert_eq!((slot.want(1), slot.want_instead(1)), (None, None), "it is under way");
        slot.fail(&1);
        assert_eq!((slot.want(1), slot.want_instead(1)), (None, None));
        slot.try_again();
        assert_eq!(slot.value(), Some(&"on"));
        assert_eq!(slot.want(1), Some(1));
        slot.fill(1, "one");
        slot.try_again();
        assert_eq!((slot.want(1), slot.want_instead(1)), (None, None), "the whole is there");
    }

    #[test]
    fn what_has_no_answer_is_not_asked_again_until_something_else_is() {
        let mut slot = Slot::<u32, &str>::default();
        assert_eq!(slot.want(1), Some(1));
        slot.fail(&2);
        assert_eq!(slot.want(2), None, "another question failed");
        slot.fail(&1);
        assert_eq!((slot.want(1), slot.want_instead(1), slot.want_newest(1)), (None, None, None));
        assert_eq!(slot.want(2), Some(2));
        slot.fill(2, "two");
        assert_eq!(slot.want(1), Some(1));
    }

    #[test]
    fn a_long_question_gives_way_to_a_newer_one_and_its_late_answer_changes_nothing() {
        let mut slot = Slot::<u32, &str>::default();
        assert_eq!(slot.want_instead(1), Some(1));
        slot.preview(1, "half of one");
        assert_eq!(slot.want_instead(1), None);
        assert_eq!(slot.want_instead(2), Some(2));
        slot.preview(1, "more of one");
        assert_eq!(slot.want_instead(2), None);
        slot.fill(2, "two");
        assert_eq!(slot.want_instead(2), None);
        assert_eq!(slot.value(), Some(&"two"));
    }

    #[test]
    fn the_newest_of_many_questions_wins_and_a_held_key_does_not_keep_all_from_being_answered() {
        let mut slot = Slot::<u32, &str>::default();
        assert_eq!(slot.want_newest(0), Some(0));
        assert_eq!(slot.want_newest(0), None);
        for key in 1..=u32::from(UNANSWERED) {
            assert_eq!(slot.want_newest(key), Some(key));
        }
        assert_eq!(slot.want_newest(100), None, "one is let finish");
        slot.fill(u32::from(UNANSWERED), "an answer");
        assert_eq!(slot.want_newest(100), Some(100));
        assert_eq!(slot.want_newest(101), Some(101));
        slot.fill(101, "the newest");
        assert_eq!(slot.want_newest(101), None);
    }
}
