//! Paths as bytes.

/// `path` as seen from `base`: absolute paths stay, relative ones are appended, `.`, `..` and doubled slashes are
/// resolved by their letters alone (links are not known here).
pub fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from_base = if path.starts_with(b"/") { &[][..] } else { base };
    for part in from_base.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut out = Vec::with_capacity(base.len() + path.len() + 1);
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// A path inside the root directory `root`, as it is outside of it. `None` is the container's own root; one that is empty is
/// not known, and leaves the path as it is.
pub fn below(root: Option<&[u8]>, path: &[u8]) -> Vec<u8> {
    match root {
        Some(root) if root.len() > 1 => {
            let inside = join(b"/", path);
            let root = root.strip_suffix(b"/").unwrap_or(root);
            if inside == b"/" { root.to_vec() } else { [root, &inside].concat() }
        }
        _ => path.to_vec(),
    }
}

/// As [`join`] where absolute paths begin at `root`, and from where nothing leads out that is below it. Without a `base` a
/// relative path stays as it is.
pub fn join_in(root: Option<&[u8]>, base: Option<&[u8]>, path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return below(root, &join(b"/", path));
    }
    let Some(base) = base else { return path.to_vec() };
    match root {
        Some(root) if root.len() > 1 && is_below(base, root) => {
            let root = root.strip_suffix(b"/").unwrap_or(root);
            below(Some(root), &join(base.get(root.len()..).unwrap_or_default(), path))
        }
        _ => join(base, path),
    }
}

/// The path of an object as it is outside of the root directory `root` of the process for which the kernel told it.
///
/// The kernel's way up ends at that root, or, where the object is not below it, at the container's. It does not tell which:
/// an object is outside where the program named it from a directory that is. `named` is that directory and what it named.
pub fn from_kernel(root: Option<&[u8]>, named: Option<(Option<&[u8]>, &[u8])>, told: &[u8]) -> Vec<u8> {
    let Some(root) = root.filter(|root| root.len() > 1 && told.starts_with(b"/")) else {
        return told.to_vec();
    };
    if let Some((Some(base), path)) = named
        && !path.starts_with(b"/")
        && !is_below(base, root)
    {
        return told.to_vec();
    }
    below(Some(root), told)
}

/// The last component.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// Whether `path` is `dir` or below it.
pub fn is_below(path: &[u8], dir: &[u8]) -> bool {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_paths_have_no_dots() {
        for (base, path, joined) in [
            ("/app", "x", "/app/x"),
            ("/app", "/x", "/x"),
            ("/app", "../x", "/x"),
            ("/app", "../../..", "/"),
            ("/", "./a//b/.", "/a/b"),
            ("/app/", "", "/app"),
            ("", "x", "/x"),
        ] {
            assert_eq!(join(base.as_bytes(), path.as_bytes()), joined.as_bytes(), "{base} + {path}");
        }
        assert_eq!(file_name(b"/a/b"), b"b");
        assert_eq!(file_name(b"b"), b"b");
        assert!(is_below(b"/a/b", b"/a/"));
        assert!(is_below(b"/a", b"/a"));
        assert!(!is_below(b"/ab", b"/a"));
    }

    #[test]
    fn paths_of_another_root_are_told_from_outside_of_it() {
        for (root, base, path, joined) in [
            (Some("/jail"), Some("/jail/a"), "x", "/jail/a/x"),
            (Some("/jail"), Some("/jail/a"), "../../../x", "/jail/x"),
            (Some("/jail"), Some("/jail"), "..", "/jail"),
            (Some("/jail"), Some("/jail"), "/../etc/./x", "/jail/etc/x"),
            // From outside `..` is not held up.
            (Some("/jail"), Some("/other/a"), "../../x", "/x"),
            (Some("/jail"), Some("/jailed"), "x", "/jailed/x"),
            (Some("/jail"), None, "x", "x"),
            // Its own root, and one that is not known.
            (None, Some("/a"), "x", "/a/x"),
            (Some(""), Some("/a"), "/x", "/x"),
            (Some("/"), Some("/a"), "../../x", "/x"),
        ] {
            let root = root.map(str::as_bytes);
            let whole = join_in(root, base.map(str::as_bytes), path.as_bytes());
            assert_eq!(whole, joined.as_bytes(), "{root:?} {base:?} {path}");
        }
        let jail = Some(&b"/jail"[..]);
        assert_eq!(from_kernel(jail, None, b"/etc/shadow"), b"/jail/etc/shadow");
        assert_eq!(from_kernel(jail, Some((Some(b"/"), b"etc/shadow")), b"/etc/shadow"), b"/etc/shadow");
        assert_eq!(from_kernel(jail, Some((Some(b"/"), b"/x")), b"/etc/shadow"), b"/jail/etc/shadow");
        assert_eq!(from_kernel(jail, None, b"memfd:x"), b"memfd:x");
        assert_eq!(from_kernel(jail, None, b"/"), b"/jail");
        assert_eq!(from_kernel(Some(b""), None, b"/x"), b"/x");
    }
}
