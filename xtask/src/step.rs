//! A row of checks that all run, whatever the others say, and a summary at the end.

use std::time::{Duration, Instant};

/// How a check ended.
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// It could not run here, and why. Never the same as passed.
    NotRun(String),
}

impl Verdict {
    pub(crate) fn of(success: bool) -> Self {
        if success { Self::Passed } else { Self::Failed }
    }
}

#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Verdict, Duration)>,
}

impl Steps {
    /// Runs one check; an error counts as failed.
    pub(crate) fn run(&mut self, name: &'static str, check: impl FnOnce() -> anyhow::Result<Verdict>) {
        println!("\n== {name}");
        let begin = Instant::now();
        let verdict = check().unwrap_or_else(|error| {
            eprintln!("{error:#}");
            Verdict::Failed
        });
        if let Verdict::NotRun(reason) = &verdict {
            println!("not run: {reason}");
        }
        self.done.push((name, verdict, begin.elapsed()));
    }

    /// Prints one line for each check and says whether none failed.
    pub(crate) fn summary(&self) -> bool {
        println!("\n== summary");
        for (name, verdict, time) in &self.done {
            match verdict {
                Verdict::Passed => println!("passed   {name} ({} s)", time.as_secs()),
                Verdict::Failed => println!("FAILED   {name} ({} s)", time.as_secs()),
                Verdict::NotRun(reason) => println!("not run  {name}: {reason}"),
            }
        }
        !self.done.iter().any(|(_, verdict, _)| matches!(verdict, Verdict::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_or_error_fails_the_whole_and_the_rest_still_runs() {
        let mut steps = Steps::default();
        steps.run("first", || Ok(Verdict::NotRun("no such thing here".into())));
        steps.run("second", || Ok(Verdict::Passed));
        assert!(steps.summary());
        steps.run("third", || anyhow::bail!("broken"));
        steps.run("fourth", || Ok(Verdict::Passed));
        assert!(!steps.summary());
        assert_eq!(steps.done.len(), 4);
    }
}
