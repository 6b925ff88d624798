//! Names of what lies in a directory, which change with the directory's name.

use std::collections::BTreeMap;

use crate::paths::is_below;

/// Bytes of names that renames of directories may make work of, in one container: to rename a full directory to and fro is
/// little for a program and would be much for who reads of it.
const MOST: usize = 64 << 20;
/// What a name costs beside its bytes.
const EACH: usize = 64;
/// Longer names are not made: no call could name the file so.
const LONGEST: usize = 4096;

/// How much of that is left.
#[derive(Debug, Clone)]
pub(crate) struct Renames {
    left: usize,
}

impl Default for Renames {
    fn default() -> Self {
        Self { left: MOST }
    }
}

impl Renames {
    /// The names below a directory of all that are known; `None` where that would be too much work.
    pub(crate) fn below<V>(
        &mut self,
        known: &BTreeMap<Vec<u8>, V>,
        directory: &[u8],
    ) -> Option<Vec<Vec<u8>>> {
        let first = [directory, b"/"].concat();
        let mut names = Vec::new();
        for (name, _) in known.range(first..).take_while(|(name, _)| is_below(name, directory)) {
            let Some(left) = self.left.checked_sub(name.len() + EACH) else {
                self.left = 0;
                return None;
            };
            self.left = left;
            names.push(name.clone());
        }
        Some(names)
    }

    /// Renames all that is known of what is below a directory; says whether there was room for it.
    pub(crate) fn apply<V>(&mut self, known: &mut BTreeMap<Vec<u8>, V>, (from, to): (&[u8], &[u8])) -> bool {
        let Some(names) = self.below(known, from) else { return false };
        for name in names {
            if let Some(new) = renamed(&name, from, to)
                && let Some(value) = known.remove(&name)
            {
                known.insert(new, value);
            }
        }
        true
    }
}

/// What is called so when the directory `from`, in which it lies, is called `to`.
pub(crate) fn renamed(name: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let new = [to, name.get(from.len()..)?].concat();
    (new.len() <= LONGEST).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> BTreeMap<Vec<u8>, ()> {
        names.iter().map(|name| (name.as_bytes().to_vec(), ())).collect()
    }

    #[test]
    fn only_what_is_below_goes_along() {
        let mut all = known(&["/a", "/a/b", "/a/b/c", "/a-b/c", "/ab", "/b/c"]);
        assert!(Renames::default().apply(&mut all, (b"/a", b"/x/y")));
        assert_eq!(all, known(&["/a", "/x/y/b", "/x/y/b/c", "/a-b/c", "/ab", "/b/c"]));
    }

    #[test]
    fn work_and_names_are_bounded() {
        let mut all = known(&["/a/1", "/a/2"]);
        let mut renames = Renames { left: 2 * (4 + EACH) };
        assert!(renames.apply(&mut all, (b"/a", b"/b")));
        assert!(!renames.apply(&mut all, (b"/b", b"/a")));
        assert_eq!(all, known(&["/b/1", "/b/2"]), "all or nothing");
        let long = [b"/", &[b'l'; LONGEST][..]].concat();
        assert!(Renames::default().apply(&mut all, (b"/b", &long)));
        assert_eq!(all, known(&["/b/1", "/b/2"]));
    }
}
