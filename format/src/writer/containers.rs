//! The containers of a writer, by uid.

use std::collections::HashMap;

use super::container::Container;

/// Containers in order of their first event; finding the same one again is free.
#[derive(Debug, Default)]
pub(super) struct Containers {
    list: Vec<(u64, Container)>,
    by_uid: HashMap<u64, usize, foldhash::fast::RandomState>,
    last: usize,
}

impl Containers {
    /// The container with this uid, made when there is none.
    pub(super) fn entry(&mut self, uid: u64) -> &mut Container {
        if self.list.get(self.last).is_none_or(|(known, _)| *known != uid) {
            let free = self.list.len();
            self.last = *self.by_uid.entry(uid).or_insert(free);
            if self.last == free {
                self.list.push((uid, Container::default()));
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
