//! The containers of a writer, by uid.

use std::collections::{HashMap, VecDeque};

use super::container::{Container, Numbers};

/// Containers in order of their first event; finding the same one again is free.
#[derive(Debug, Default)]
pub(super) struct Containers {
    list: Vec<(u64, Container)>,
    by_uid: HashMap<u64, usize, foldhash::fast::RandomState>,
    last: usize,
    /// Those that have ended: numbers alone, in case something of them comes late.
    ended: HashMap<u64, Numbers, foldhash::fast::RandomState>,
    /// Those of them of which nothing is in the store any more, in the order in which that came to be.
    gone: VecDeque<u64>,
    /// So many ended since those that have were last let go of.
    ends: usize,
}

/// Most whose numbers are known although nothing else is.
const GONE: usize = 65_536;
/// Ends that are worth looking for what has ended.
const MANY: usize = 256;

impl Containers {
    /// The container with this uid, made when there is none.
    pub(super) fn entry(&mut self, uid: u64) -> &mut Container {
        if self.list.get(self.last).is_none_or(|(known, _)| *known != uid) {
            let free = self.list.len();
            self.last = *self.by_uid.entry(uid).or_insert(free);
            if self.last == free {
                let again = self.ended.remove(&uid).map(Container::again);
                self.list.push((uid, again.unwrap_or_default()));
            }
        }
        &mut self.list[self.last].1
    }

    pub(super) fn get(&self, uid: u64) -> Option<&Container> {
        let found = match self.list.get(self.last) {
            Some(last) if last.0 == uid => last,
            _ => self.list.get(*self.by_uid.get(&uid)?)?,
        };
        Some(&found.1)
    }

    /// Whether it ended and was let go of.
    pub(super) fn has_ended(&self, uid: u64) -> bool {
        self.ended.contains_key(&uid)
    }

    /// A container ended.
    pub(super) fn one_ended(&mut self) {
        self.ends += 1;
    }

    /// Lets go of containers that have ended, when there are many.
    pub(super) fn tend(&mut self) {
        if self.ends >= MANY {
            self.let_go();
        }
    }

    /// Lets go of containers that have ended and of which all is written.
    pub(super) fn let_go(&mut self) {
        (self.ends, self.last) = (0, 0);
        self.by_uid.clear();
        for (uid, container) in std::mem::take(&mut self.list) {
            match container.ended() {
                Some(numbers) => {
                    self.ended.insert(uid, numbers);
                }
                None => {
                    self.by_uid.insert(uid, self.list.len());
                    self.list.push((uid, container));
                }
            }
        }
    }

    /// Nothing of an ended container is in the store any more. Its numbers are still known for long after: what comes late
    /// must not begin anew.
    pub(super) fn forget(&mut self, uid: u64) {
        self.gone.push_back(uid);
        if self.gone.len() > GONE
            && let Some(oldest) = self.gone.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    pub(super) fn get_mut(&mut self, uid: u64) -> Option<&mut Container> {
        let index = *self.by_uid.get(&uid)?;
        self.list.get_mut(index).map(|(_, container)| container)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Container)> {
        self.list.iter().map(|(uid, container)| (*uid, container))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Container> {
        self.list.iter_mut().map(|(_, container)| container)
    }
}
