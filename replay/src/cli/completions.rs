//! `afterimage completions`: completion scripts for shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, session::Session};
use crate::{exit::Verdict, failure::Failure};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  afterimage completions bash > /etc/bash_completion.d/afterimage")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    // Through memory: the generator panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "afterimage", &mut script);
    session.out.write_all(&script)?;
    Ok(Verdict::FOUND)
}
