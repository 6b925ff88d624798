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
}
