//! What can stand at the cursor of the filter bar.
//!
//! The text before the cursor is followed loosely: it need not be a filter yet. Values that occur in a recording are
//! the caller's to add; what is known here are the values that a field can have at all.

use crate::{
    fields::{self, ArgRule, FieldDef},
    shape,
    syntax::ast::{Function, Op},
    value::Kind,
};

/// What can stand at the cursor.
#[derive(Debug)]
pub struct Completion {
    /// Where the word at the cursor begins: a candidate takes the place of everything from here to the cursor.
    pub start: usize,
    /// What is expected.
    pub expected: Expected,
    /// What begins like the word, in the order of the tables.
    pub candidates: Vec<Candidate>,
}

/// What is expected at the cursor.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// A field, a scope or text.
    Condition,
    /// An operator of this field.
    Operator(&'static FieldDef),
    /// A value to compare this field with.
    Value(&'static FieldDef, Op),
    /// Something that is not completed: the inside of a string, a moment.
    Nothing,
}

/// One thing that can stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The text.
    pub text: String,
    /// What it is, in a few words.
    pub note: String,
}

/// Words that begin or join conditions.
const WORDS: &[(&str, &str)] = &[
    ("not", "the opposite"),
    ("within", "a process and its descendants"),
    ("under", "descendants of a process"),
    ("near(", "around every match"),
    ("seq(", "steps in order"),
    ("time", "when"),
    ("life", "how long the container lived"),
    ("and", "both"),
    ("or", "either"),
];

/// What can stand at byte `cursor` of `text`.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let before = &text[..text.floor_char_boundary(cursor)];
    let (start, expected) = Walker { text: before, at: 0 }.run();
    let word = &before[start..];
    let mut candidates = candidates(expected, word);
    candidates.retain(|candidate| begins_like(&candidate.text, word));
    // What begins with the word stands before what has it further on.
    candidates.sort_by_key(|candidate| !candidate.text.starts_with(word));
    Completion { start, expected, candidates }
}

/// Whether the letters of `word` occur in `text` in their order, the first of them at the beginning of a part.
fn begins_like(text: &str, word: &str) -> bool {
    if word.is_empty() || text.starts_with(word) {
        return true;
    }
    text.match_indices(|c: char| !c.is_alphanumeric())
        .map(|(at, sign)| at + sign.len())
        .any(|at| text[at..].starts_with(word))
}

fn candidates(expected: Expected, word: &str) -> Vec<Candidate> {
    let candidate = |text: &str, note: &str| Candidate { text: text.to_owned(), note: note.to_owned() };
    match expected {
        Expected::Nothing => Vec::new(),
        Expected::Condition => {
            let fields = fields::fields().filter(|def| def.is_recorded()).map(|def| {
                let dotted = def.arg == ArgRule::MustName || def.arg == ArgRule::MustKey;
                candidate(&format!("{}{}", def.name, if dotted { "[" } else { "" }), def.kind.as_str())
            });
            let functions = Function::ALL.iter().filter(|f| **f != Function::Val);
            let functions = functions.map(|f| candidate(&format!("{}(", f.as_str()), "function"));
            let words = WORDS.iter().map(|(text, note)| candidate(text, note));
            if word.is_empty() {
                words.chain(fields).collect()
            } else {
                fields.chain(words).chain(functions).collect()
            }
        }
        Expected::Operator(def) => {
            let ops = def.operators().map(|op| candidate(op.as_str(), def.kind.phrase()));
            ops.chain([candidate("exists", "has a value")]).collect()
        }
        Expected::Value(def, _) => values(def).iter().map(|value| candidate(value, def.name)).collect(),
    }
}

/// Fields that never have another value than those listed, and what stands in the place of nothing.
const CLOSED: [&str; 9] = [
    "container.state",
    "evt.category",
    "evt.class",
    "evt.io_dir",
    "fd.l4proto",
    "fd.sockfamily",
    "fd.type",
    "fd.types",
    "find.sev",
];

/// All the values that a field can have, where no other is possible.
pub(crate) fn closed(def: &FieldDef) -> Option<Vec<&'static str>> {
    CLOSED.contains(&def.name).then(|| values(def))
}

/// The values that a field can have, where they can be listed.
pub fn values(def: &FieldDef) -> Vec<&'static str> {
    match def.name {
        _ if def.kind == Kind::Bool => vec!["true", "false"],
        "evt.type" | "syscall.type" => shape::names(),
        "evt.category" => {
            vec![
                "file", "net", "IPC", "memory", "process", "signal", "sleep", "time", "user", "wait",
                "other", "internal", "unknown",
            ]
        }
        "evt.class" => afterimage_format::Class::ALL.iter().map(|class| class.as_str()).collect(),
        "evt.res" => {
            vec!["SUCCESS", "ENOENT", "EACCES", "EPERM", "EAGAIN", "EINPROGRESS", "ECONNREFUSED", "EEXIST"]
        }
        "find.sev" => vec!["info", "notice", "warning", "critical"],
        "evt.io_dir" => vec!["read", "write"],
        "fd.type" | "fd.types" => vec![
            "file",
            "directory",
            "ipv4",
            "ipv6",
            "unix",
            "netlink",
            "pipe",
            "event",
            "signalfd",
            "eventpoll",
            "inotify",
            "timerfd",
            "bpf",
            "userfaultfd",
            "io_uring",
            "memfd",
            "pidfd",
        ],
        "fd.l4proto" => vec!["tcp", "udp", "icmp", "raw"],
        "fd.sockfamily" => vec!["ip", "unix"],
        "container.id" => vec!["host"],
        "container.state" => vec!["running", "exited", "deleted", "unknown"],
        _ => Vec::new(),
    }
}

/// Follows the text.
struct Walker<'t> {
    text: &'t str,
    at: usize,
}

impl Walker<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn done(&self) -> bool {
        self.at == self.text.len()
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips what belongs to a word of this kind; where it began.
    fn take(&mut self, part_of: impl Fn(char) -> bool) -> usize {
        let start = self.at;
        self.at = self.text.len() - self.rest().trim_start_matches(part_of).len();
        start
    }

    fn run(mut self) -> (usize, Expected) {
        loop {
            self.blanks();
            self.take(|c| matches!(c, '(' | ')' | '!' | '&' | '|' | ',' | ';' | ' '));
            if self.done() {
                return (self.at, Expected::Condition);
            }
            if self.rest().starts_with(['"', '\'']) {
                if !self.string() {
                    return (self.at, Expected::Nothing);
                }
                continue;
            }
            let start = self.take(|c| c.is_alphanumeric() || "._$".contains(c));
            if self.done() {
                return (start, Expected::Condition);
            }
            if self.at == start {
                self.take(|c| !c.is_whitespace());
                continue;
            }
            let word = &self.text[start..self.at];
            let Some((def, _)) = fields::lookup(word) else {
                if matches!(word, "time" | "life") {
                    self.take(|c| !c.is_alphabetic());
                }
                continue;
            };
            if self.rest().starts_with('[') {
                match self.rest().find(']') {
                    Some(end) => self.at += end + 1,
                    None => return (self.at + 1, Expected::Nothing),
                }
            }
            if let Some(end) = self.check(def) {
                return end;
            }
        }
    }

    /// What follows a field; `None` when the check is over before the cursor.
    fn check(&mut self, def: &'static FieldDef) -> Option<(usize, Expected)> {
        self.blanks();
        // `len(proc.name) > 3`: the function's parenthesis stands between.
        self.take(|c| c == ')');
        self.blanks();
        let start = self.at;
        let sign = |c: char| "=!<>~".contains(c);
        if self.rest().starts_with(sign) {
            self.take(sign);
        } else {
            self.take(char::is_alphanumeric);
        }
        let word = &self.text[start..self.at];
        if word == "not" && !self.done() {
            return self.check(def);
        }
        let op = Op::ALL.iter().copied().find(|op| op.as_str() == word || word == "==" && *op == Op::Eq);
        let is_sign = word.starts_with(sign);
        match op {
            Some(op) if !self.done() || is_sign => self.value(def, op),
            _ if self.done() => Some((start, Expected::Operator(def))),
            _ => None,
        }
    }

    /// What follows an operator.
    fn value(&mut self, def: &'static FieldDef, op: Op) -> Option<(usize, Expected)> {
        self.blanks();
        let list = self.rest().starts_with('(');
        loop {
            self.take(|c| c == '(' || c == ',' || c.is_whitespace());
            if self.rest().starts_with(['"', '\'']) {
                let start = self.at + 1;
                if !self.string() {
                    return Some((start, Expected::Value(def, op)));
                }
            } else {
                let start = self.take(|c| !c.is_whitespace() && !"(),;\"'".contains(c));
                if self.done() {
                    return Some((start, Expected::Value(def, op)));
                }
            }
            self.blanks();
            if !list || self.rest().starts_with(')') || self.done() {
                return None;
            }
            if !self.rest().starts_with(',') {
                return None;
            }
        }
    }

    /// Skips a quoted string; false when it has no end.
    fn string(&mut self) -> bool {
        let quote = self.rest().chars().next();
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if Some(c) == quote => {
                    self.at += at + 1;
                    return true;
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> (usize, String, Vec<String>) {
        let completion = complete(text, text.len());
        let expected = match completion.expected {
            Expected::Condition => "condition".to_owned(),
            Expected::Operator(def) => format!("operator of {}", def.name),
            Expected::Value(def, op) => format!("value of {} {}", def.name, op.as_str()),
            Expected::Nothing => "nothing".to_owned(),
        };
        (completion.start, expected, completion.candidates.into_iter().map(|c| c.text).take(3).collect())
    }

    #[test]
    fn the_cursors_place_decides_what_is_offered() {
        for (text, start, expected, first) in [
            ("", 0, "condition", "not"),
            ("pro", 0, "condition", "proc.exe"),
            ("pna", 0, "condition", "proc.pname"),
            ("proc.name ", 10, "operator of proc.name", "="),
            ("proc.name cont", 10, "operator of proc.name", "contains"),
            ("evt.type =", 10, "value of evt.type =", "_newselect"),
            ("evt.type = op", 11, "value of evt.type =", "open"),
            ("evt.type in (open, clo", 19, "value of evt.type in", "clock_adjtime"),
            ("evt.failed = t", 13, "value of evt.failed =", "true"),
            ("proc.name = \"a b\" and fd.", 22, "condition", "fd.num"),
            ("not (proc.name = x fd.type != ", 30, "value of fd.type !=", "file"),
            ("proc.name exists ev", 17, "condition", "evt.num"),
            ("len(proc.name) ", 15, "operator of proc.name", "="),
            ("a b proc.aname[2] ", 18, "operator of proc.aname", "="),
        ] {
            let (own_start, own_expected, own_first) = at(text);
            assert_eq!((own_start, own_expected.as_str()), (start, expected), "{text}");
            assert_eq!(own_first.first().map(String::as_str), Some(first), "{text}");
        }
        assert_eq!(at("proc.aname[").1, "nothing");
        assert_eq!(at("\"open str").1, "nothing");
    }
}
