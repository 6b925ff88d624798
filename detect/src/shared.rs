//! Checks that several rules have in common, evaluated once for each event.
//!
//! Macros are put into every rule that uses them, so most rules begin alike. Equal checks get the same place in a small
//! table of results, which an event's context has; a check that only one rule has gets none.

use std::{
    cell::Cell,
    collections::HashMap,
    fmt::{self, Write as _},
};

use crate::program::Node;

/// Words of a bitmap of results.
const WORDS: usize = 4;
/// Most checks that are remembered.
const MOST: usize = WORDS * 64;
/// A check of more text than this is not looked for in other rules.
const LONGEST: usize = 64 << 10;
/// All texts together.
const ALL_TEXTS: usize = 16 << 20;

/// A place in [`Results`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared(u8);

/// What shared checks say at one event, as far as they were asked.
#[derive(Debug, Default)]
pub(crate) struct Results {
    known: [Cell<u64>; WORDS],
    holds: [Cell<u64>; WORDS],
}

impl Results {
    pub(crate) fn get(&self, Shared(place): Shared) -> Option<bool> {
        let (word, bit) = (usize::from(place / 64), 1u64 << (place % 64));
        (self.known[word].get() & bit != 0).then(|| self.holds[word].get() & bit != 0)
    }

    pub(crate) fn set(&self, Shared(place): Shared, holds: bool) {
        let (word, bit) = (usize::from(place / 64), 1u64 << (place % 64));
        self.known[word].set(self.known[word].get() | bit);
        if holds {
            self.holds[word].set(self.holds[word].get() | bit);
        }
    }

    /// Forgets everything: the places of other rules mean other checks.
    pub(crate) fn clear(&self) {
        self.known.iter().chain(&self.holds).for_each(|word| word.set(0));
    }
}

/// A text that ends where it grows too long.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// Gives the checks that are in more than one place the same place in [`Results`].
pub(crate) fn share<'n>(nodes: impl Iterator<Item = &'n mut Node>) {
    let mut nodes: Vec<&mut Node> = nodes.collect();
    // Of a text: how often it was found, and its place.
    let mut texts: HashMap<String, (usize, Option<Shared>)> = HashMap::new();
    let mut bytes = 0;
    for node in &mut nodes {
        node.checks(&mut |check| {
            check.shared = None;
            let mut text = Bounded(String::new());
            // Everything a check depends on is in its text: fields, arguments, operators, constants.
            if bytes < ALL_TEXTS && write!(text, "{check:?}").is_ok() {
                bytes += text.0.len();
                texts.entry(text.0).or_default().0 += 1;
            }
        });
    }
    let mut next = 0;
    for node in &mut nodes {
        node.checks(&mut |check| {
            let mut text = Bounded(String::new());
            if write!(text, "{check:?}").is_err() {
                return;
            }
            let Some((count, place)) = texts.get_mut(&text.0) else { return };
            if *count > 1 && place.is_none() && next < MOST {
                *place = u8::try_from(next).ok().map(Shared);
                next += 1;
            }
            check.shared = *place;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Filter;

    #[test]
    fn equal_checks_share_a_place_and_others_do_not() {
        let texts = [
            "proc.name in (sh, bash) and fd.num >= 0",
            "evt.type=open and not proc.name in (bash, sh) or fd.num >= 1",
            "proc.pname in (sh, bash) or proc.name contains sh or proc.name glob sh",
            "(fd.num >= 0 and proc.aname[2]=x) or proc.aname[3]=x",
        ];
        let mut filters: Vec<Filter> = texts.iter().map(|text| Filter::parse(text).unwrap()).collect();
        share(filters.iter_mut().map(|filter| &mut filter.node));
        let mut places: Vec<Vec<Option<Shared>>> = Vec::new();
        for filter in &mut filters {
            let mut own = Vec::new();
            filter.node.checks(&mut |check| own.push(check.shared));
            places.push(own);
        }
        let [names, number] = places[0][..] else { panic!("{places:?}") };
        assert!(names.is_some() && number.is_some() && names != number);
        assert_eq!(places[1], [names, None], "a list is a set");
        assert_eq!(places[2], [None; 3]);
        assert_eq!(places[3], [number, None, None]);
    }

    #[test]
    fn results_are_remembered_until_they_are_cleared() {
        let results = Results::default();
        for place in [0, 63, 64, 255] {
            assert_eq!(results.get(Shared(place)), None);
            results.set(Shared(place), place != 63);
        }
        let told = [0, 63, 64, 255, 1].map(|place| results.get(Shared(place)));
        assert_eq!(told, [Some(true), Some(false), Some(true), Some(true), None]);
        results.clear();
        assert_eq!(results.get(Shared(64)), None);
    }
}
