//! How many tests ran, over many runs of libtest, read from their closing lines.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Adds what one line of libtest's output says, if it is a closing line.
    fn count(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for part in counts.1.split("; ") {
            match part.split_once(' ').and_then(|(n, word)| Some((n.parse::<u64>().ok()?, word))) {
                Some((n, "passed")) => self.passed += n,
                Some((n, "failed")) => self.failed += n,
                Some((n, "ignored")) => self.ignored += n,
                _ => {}
            }
        }
    }

    /// What both runs did, where `self` named as ignored what `second` then ran.
    pub(crate) fn followed_by(self, second: Self) -> Self {
        let ran = second.passed + second.failed;
        Self {
            passed: self.passed + second.passed,
            failed: self.failed + second.failed,
            ignored: self.ignored.saturating_sub(ran) + second.ignored,
        }
    }
}

/// The closing line that test runners of any language share.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored)
    }
}

/// Runs a command that runs tests, repeats its output, and counts. Says as well whether it succeeded.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<(bool, Tally)> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("could not start the tests")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("could not read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.count(&line);
        }
    }
    let status = child.wait().context("could not wait for the tests")?;
    Ok((status.success(), tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSING: &str =
        "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 0.09s";

    #[test]
    fn closing_lines_add_up_and_nothing_else_counts() {
        let mut tally = Tally::default();
        let failed = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        for line in [CLOSING, failed, "test it::works ... ok", "2 passed", ""] {
            tally.count(line);
        }
        assert_eq!(tally, Tally { passed: 13, failed: 2, ignored: 3 });
        assert_eq!(tally.to_string(), "13 passed, 2 failed, 3 skipped");
    }

    #[test]
    fn what_the_second_run_ran_is_no_longer_ignored() {
        let first = Tally { passed: 10, failed: 0, ignored: 4 };
        let second = Tally { passed: 2, failed: 1, ignored: 0 };
        assert_eq!(first.followed_by(second), Tally { passed: 12, failed: 1, ignored: 1 });
    }
}
