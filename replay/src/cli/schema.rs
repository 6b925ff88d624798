//! The JSON of every verb written down: `docs/json.md` and `--fields help` are made of the tables that the verbs
//! print by.

use std::io::{self, Write};

use clap::ArgMatches;

use crate::output::{Shape, display_width};

/// The verbs with rows, each with its rows' shape.
const SHAPES: &[(&str, Shape)] = &[
    ("ls", super::ls::SHAPE),
    ("show", super::show::SHAPE),
    ("info", super::info::SHAPE),
    ("grep", super::grep::SHAPE),
    ("show --findings", crate::analysis::findings::SHAPE),
    ("tree", crate::analysis::process_tree::SHAPE),
    ("files", crate::analysis::file_acts::SHAPE),
    ("net", crate::analysis::network::CONVERSATIONS),
    ("net --listeners", crate::analysis::network::LISTENERS),
    ("net --lookups", crate::analysis::network::LOOKUPS),
    ("follow", crate::analysis::transcript::STREAMS),
    ("follow --stream", crate::analysis::transcript::CHUNKS),
    ("logs", super::logs::SHAPE),
    ("diff", crate::analysis::behaviour::SHAPE),
    ("verify", super::verify::SHAPE),
    ("hunt", super::hunt::SHAPE),
    ("stats", super::stats::SHAPE),
    ("timeline", super::timeline::SHAPE),
    ("extract", super::extract::SHAPE),
    ("merge", super::merge::MERGED),
    ("recover", super::merge::RECOVERED),
];

/// The rows of a verb, where its `--fields` ask for help and nothing else.
pub(super) fn asked(verb: &str, matches: &ArgMatches) -> Option<Shape> {
    let mut fields = matches.try_get_many::<String>("fields").ok()??;
    if fields.next()? != "help" || fields.next().is_some() {
        return None;
    }
    let given = |option: &str| {
        let source = matches.try_contains_id(option).ok().and_then(|_| matches.value_source(option));
        source.is_some_and(|source| source == clap::parser::ValueSource::CommandLine)
    };
    // The most special form whose option was given, else the verb's own.
    let special = SHAPES.iter().find(|(name, _)| {
        name.strip_prefix(verb).and_then(|rest| rest.strip_prefix(" --")).is_some_and(given)
    });
    special.or_else(|| SHAPES.iter().find(|(name, _)| *name == verb)).map(|(_, shape)| *shape)
}

/// Lists the members of rows: name, type, what it is.
pub(super) fn list(shape: Shape, out: &mut dyn Write) -> io::Result<()> {
    let widest =
        |width: fn(&crate::output::Column) -> usize| shape.columns.iter().map(width).max().unwrap_or(0);
    let (name, kind) = (widest(|c| display_width(c.key)), widest(|c| c.kind.as_str().len()));
    for column in shape.columns {
        writeln!(out, "{:name$}  {:kind$}  {}", column.key, column.kind.as_str(), column.about)?;
    }
    Ok(())
}

/// What holds for all of them.
#[cfg(test)]
const RULES: &str = "\
# JSON of `afterimage`

Made by `cargo test -p afterimage-replay` from the tables that the verbs print by; do not edit. `UPDATE_DOCS=1`
writes it anew.

Schema version: **1**. A member may be added within a version; one that changes its meaning or goes away makes a new
version.

## Rules for every verb

- `-o json` is one document: `schema`, `kind` (the name of its list), `sources` where recordings are listed, the list
  itself, then `lost`, `gaps` and `defects`. `-o jsonl` is one object per line, each with its own `kind`; the last
  line is of kind `summary` and holds `schema`, `lost`, `gaps` and `defects`.
- Strings that come from a recording are escaped: a backslash is doubled; newline, tab and carriage return are `\\n`,
  `\\t`, `\\r`; other control characters and bytes that are not UTF-8 are `\\xNN`; invisible, bidirectional, tag and
  private-use characters are `\\u{hex}`. This is the text *after* JSON's own escapes are undone; undoing it gives the
  exact bytes. No output holds a control character but the newline that ends a line.
- `null` is unknown or not applicable, never zero.
- A *time* is RFC 3339 in UTC with nanoseconds. 64-bit values that are no counts (registers, inode numbers,
  capabilities) are strings, because many JSON readers have no exact integers of 64 bits.
- `lost` is how many events are known to be lost in the asked range; where all is asked about, those among them whose own
  records of when were evicted, so that `gaps` may tell of fewer. Each of `gaps` has `from`, `to` (time), `cause`,
  `count` (integer or null where only the gap is known), `container_uid` and `cpu` (null where not known). Gaps with the cause
  `damaged in what this was copied from` are damage and are not in `lost`. Each of
  `defects` has `kind` (`torn`, `corrupt`, `missing`, `unknown`), `path`, `offset` and `detail`.
- `--fields` chooses and orders members; CSV has the same fields, a list in one cell separated by blanks.
- `afterimage files` ends with `left_out` too, what did not fit into memory: `unlisted_acts`, acts on files that are
  in no row, with `unlisted_written`, bytes that these wrote; `acts`, those that are missing in histories; and `directories`, renames of
  directories whose files are listed under their old names.
- Each of `sources` has `path`, `hostname`, `kernel`, `recorder` (strings) and `sealed` (boolean).
- Where `--begin` or `--end` was given, `ranges` follows them, one for each part that was looked at: `path`, `container_uid`
  (null for all of a recording), `begin` (time, included) and `end` (time, left out; each null where it was not given).
  Counts, sums and first and last times are of that range; what a row says of state may be from before it.
";

/// The whole page.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;

    let mut out = RULES.to_owned();
    for (verb, shape) in SHAPES {
        let _ = writeln!(out, "\n## `afterimage {verb}`\n");
        let _ = writeln!(out, "List `{}`; in JSON lines `\"kind\": \"{}\"`.\n", shape.rows, shape.row);
        let _ = writeln!(out, "| member | type | what |\n| --- | --- | --- |");
        for column in shape.columns {
            let _ = writeln!(out, "| `{}` | {} | {} |", column.key, column.kind.as_str(), column.about);
        }
    }
    out.push_str(REPORT);
    out
}

/// The one document that has no rows of its own.
#[cfg(test)]
const REPORT: &str = "
## `afterimage report -o json`

One document of kind `report`: `sources`, `containers` (each with the members of `afterimage ls` and the lists
`processes` and `findings`, whose members are those of `afterimage tree` and `afterimage show --findings`), `alerts` (each
with `number`, `time`, `source`, `priority`, `title`, `containers`, `state` and `id`), `lost`, `gaps` and `defects`.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn documentation_is_what_the_verbs_print_by() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, page()).expect("written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/json.md is out of date: run UPDATE_DOCS=1 cargo test -p afterimage-replay"
        );
    }

    #[test]
    fn names_are_unique_and_every_member_is_explained() {
        for (verb, shape) in SHAPES {
            let mut keys: Vec<_> = shape.columns.iter().map(|c| c.key).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), shape.columns.len(), "{verb}");
            assert!(shape.columns.iter().all(|c| !c.about.is_empty()), "{verb}");
        }
    }
}
