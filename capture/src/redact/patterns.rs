//! What secrets look like. The group `secret` is what is masked; without one, all that matches is.

/// Shapes that are secrets wherever they stand: in a script the character before may be the `n` of `\n`.
const SHAPES: &[&str] = &[
    // Keys in PEM, and the part of one whose end was not read.
    r"(?s-u)-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.*?)(?:-----END|\z)",
    // JSON web tokens.
    r"(?-u)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    // AWS, GitHub, GitLab, Slack, Google, Stripe.
    r"(?-u)(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"(?-u)(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    r"(?-u)glpat-[A-Za-z0-9_-]{16,}",
    r"(?-u)xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"(?-u)AIza[A-Za-z0-9_-]{30,}",
    r"(?-u)[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    // scheme://user:secret@host
    r"(?-u)[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s\x00:@]*:(?P<secret>[^/\s\x00@]+)@",
    // Headers of HTTP.
    r#"(?i-u)authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token|digest|negotiate|apikey)\s+)?(?P<secret>[^\x00\r\n"']+)"#,
    r"(?i-u)cookie:[ \t]*(?P<secret>[^\x00\r\n]+)",
];

/// All patterns, with those for values of what is named so.
pub(super) fn known(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = SHAPES.iter().map(|shape| (*shape).to_owned()).collect();
    let names: Vec<String> =
        names.iter().filter(|name| !name.is_empty()).map(|name| regex::escape(name)).collect();
    if names.is_empty() {
        return all;
    }
    let names = names.join("|");
    // "name": "value with spaces"
    all.push(format!(
        r#"(?i-u)(?:{names})[a-z0-9_.-]*["']?[ \t]*[=:][ \t]*"(?P<secret>(?:[^"\\\x00]|\\[^\x00])+)"#
    ));
    // NAME=value, name: value
    all.push(format!(
        r#"(?i-u)(?:{names})[a-z0-9_.-]*["']?[ \t]*[=:][ \t]*["']?(?P<secret>[^\x00\s"'&;,]+)"#
    ));
    // --name value
    all.push(format!(
        r#"(?i-u)(?:\A|[\x00\s])--?[a-z0-9_.-]*(?:{names})[a-z0-9_.-]*(?:\x00|[ \t]+)["']?(?P<secret>[^\x00\s"'-][^\x00\s"']*)"#
    ));
    all
}
