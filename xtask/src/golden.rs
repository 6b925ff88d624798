//! `cargo xtask golden`: makes the golden traces of the present format version anew. They are kept for good once a
//! release can write that version, so from then on this refuses: a change needs a new version and a new folder.

use std::fs;

use anyhow::Context as _;

use crate::checkout;

const SPECIFICATION: &str = "docs/format.md";
const CHANGELOG: &str = "CHANGELOG.md";

pub(crate) fn run() -> anyhow::Result<bool> {
    let read = |path: &str| {
        fs::read_to_string(checkout::root().join(path)).with_context(|| format!("cannot read `{path}`"))
    };
    let (specification, changelog) = (read(SPECIFICATION)?, read(CHANGELOG)?);
    let release =
        since(&specification).with_context(|| format!("no table of versions in `{SPECIFICATION}`"))?;
    if is_released(&changelog, release) {
        println!(
            "{release} is released: its golden traces stay as they are. A change of the format is a new version."
        );
        return Ok(false);
    }
    let test = ["test", "--package", "afterimage-format", "--test", "it"];
    let mut make = checkout::cargo(test);
    // Made anew by the one test that compares them; then read by all.
    Ok(checkout::succeeds(make.arg("golden::golden_traces").env("AFTERIMAGE_GOLDEN", "new"))?
        && checkout::succeeds(checkout::cargo(test).arg("golden"))?)
}

/// The release that the last row of the table of versions names.
fn since(specification: &str) -> Option<&str> {
    let mut rows = specification.split("## Versions").nth(1)?.lines().filter(|line| line.starts_with("| "));
    rows.next_back()?.split('|').nth(2).map(str::trim)
}

fn is_released(changelog: &str, release: &str) -> bool {
    changelog.lines().filter_map(|line| line.strip_prefix("## ")).any(|title| {
        title
            .trim_start_matches('[')
            .strip_prefix(release)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_version_counts_and_a_release_has_a_title() {
        let text = "## Versions\n\n| version | since | what |\n| --- | --- | --- |\n| 1.0 | 0.1.0 | first |\n| 1.1 | 0.2.0 | x |\n";
        assert_eq!(since(text), Some("0.2.0"));
        for (changelog, released) in [
            ("# Changelog\n## Unreleased\n- 0.2.0\n", false),
            ("## 0.2.0, 2026-12-01\n", true),
            ("## [0.2.0]\n", true),
            ("## 0.2.01\n", false),
        ] {
            assert_eq!(is_released(changelog, "0.2.0"), released, "{changelog}");
        }
    }
}
