//! `pmatch`: whether one of many paths is a path or a directory above it.
//!
//! Paths are compared part by part; parts may be shell patterns. The cost of a match does not grow with the number of
//! paths without patterns.

use std::collections::BTreeMap;

use crate::glob::Glob;

/// Paths, each standing for itself and all below.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathSet {
    whole: bool,
    plain: BTreeMap<Vec<u8>, PathSet>,
    patterns: Vec<(Glob, PathSet)>,
}

impl PathSet {
    /// A set of these paths.
    pub(crate) fn new<'p>(paths: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut set = Self::default();
        for path in paths {
            let mut at = &mut set;
            for part in parts(path) {
                if part.iter().any(|b| b"?*[".contains(b)) {
                    at.patterns.push((Glob::new(part, false), Self::default()));
                    let Some((_, next)) = at.patterns.last_mut() else { break };
                    at = next;
                } else {
                    at = at.plain.entry(part.to_vec()).or_default();
                }
            }
            at.whole = true;
        }
        set
    }

    /// Whether the path or a directory above it is in the set.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        if self.whole {
            return true;
        }
        let mut rest = path;
        while let [b'/', tail @ ..] = rest {
            rest = tail;
        }
        if rest.is_empty() {
            return false;
        }
        let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        self.plain.get(part).is_some_and(|set| set.matches(tail))
            || self.patterns.iter().any(|(glob, set)| glob.matches(part) && set.matches(tail))
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_by_itself_and_by_what_is_above_it() {
        let set = PathSet::new([&b"/var/run"[..], b"/etc", b"/lib/*/x", b"/usr/lib/"]);
        for path in
            ["/etc", "/etc/", "/etc/a/b", "/var/run/docker.sock", "/lib/q/x/y", "/usr/lib/a", "//etc//x"]
        {
            assert!(set.matches(path.as_bytes()), "{path}");
        }
        for path in ["/etcx", "/var", "/lib/q", "/usr/libx", "/", ""] {
            assert!(!set.matches(path.as_bytes()), "{path}");
        }
        assert!(PathSet::new([&b"/"[..]]).matches(b"/anything"));
        assert!(!PathSet::new([]).matches(b"/"));
    }
}
