//! The command line of `afterimaged`.

mod client;
mod doctor;
mod log;
mod manual;
mod run;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::programs::last_words;

/// Exit status where the environment does not allow what was asked: rights, kernel, disk.
const EXIT_ENVIRONMENT: u8 = 5;
/// Exit status where what was asked makes no sense.
const EXIT_USAGE: u8 = 2;

/// Records what every container does at the system-call boundary, so that it can be replayed when the container is
/// gone. Read recordings with `afterimage`.
#[derive(Debug, Parser)]
#[command(name = "afterimaged", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record until told to stop (SIGTERM or Ctrl-C); the store is then sealed.
    Run(Box<run::RunArgs>),
    /// Look whether this machine can be recorded: each line says what was found and what to do.
    Doctor(doctor::DoctorArgs),
    /// Say how a running recorder is.
    Status(client::StatusArgs),
    /// Tell a running recorder of an alert: what it is about is pinned.
    Trigger(client::AlertArgs),
    /// Pin what is and will be recorded of a container, so that retention does not take it.
    Pin(client::PinArgs),
    /// Take pins away.
    Unpin(client::UnpinArgs),
    /// Show events while they happen.
    Tail(client::TailArgs),
    /// Have a running recorder read its configuration again.
    Reload(client::ReloadArgs),
    /// Check the configuration, or print it.
    Config(settings::ConfigArgs),
    /// Print the manual, or write a page for each command into a directory.
    Man(manual::ManArgs),
    /// Print a completion script for a shell.
    Completions(manual::CompletionsArgs),
}

/// Parses the arguments, does what they say, and tells the exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => match args.load() {
            Ok((config, settings)) => run::run(&args, &config, settings),
            Err(error) => return settings::complain(&error),
        },
        Command::Doctor(args) => return doctor::doctor(&args),
        Command::Status(args) => return client::status(&args),
        Command::Trigger(args) => return client::trigger(&args),
        Command::Pin(args) => return client::pin(&args),
        Command::Unpin(args) => return client::unpin(&args),
        Command::Tail(args) => return client::tail(&args),
        Command::Reload(args) => return client::reload(&args),
        Command::Config(args) => return settings::config(&args),
        Command::Man(args) => manual::man(&args),
        Command::Completions(args) => manual::completions(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("afterimaged: {failure}");
            ExitCode::from(EXIT_ENVIRONMENT)
        }
    }
}

/// One sentence for people: what, where, why, and what to do.
#[derive(Debug)]
struct Failure {
    what: String,
    advice: &'static str,
}

impl Failure {
    /// From an error with its causes.
    fn new(error: &dyn std::error::Error, advice: &'static str) -> Self {
        const LONGEST: usize = 300;
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let short: String = last_words(&text).chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            // Some errors say their cause themselves.
            if !what.ends_with(&short) {
                what = format!("{what}: {short}");
            }
            source = cause.source();
        }
        Self { what, advice }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.advice.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}; {}", self.what, self.advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot serve: {0}")]
    struct Says(#[source] std::io::Error);

    #[test]
    fn a_cause_is_said_once() {
        let failure = Failure::new(&Says(std::io::Error::other("there is no group `x`")), "make it");
        assert_eq!(failure.to_string(), "cannot serve: there is no group `x`; make it");
    }
}
