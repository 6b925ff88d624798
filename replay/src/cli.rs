//! The command line: one file per verb. Verbs print rows to stdout, words to stderr, and return a verdict.

mod completions;
mod info;
mod ls;
mod replay;
mod session;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    crash,
    exit::{Exit, Verdict},
    failure::Failure,
    output::{ColorWhen, terminal},
};
use session::Session;

/// Heading of the options that only change how things look.
const DISPLAY: &str = "Display";

/// Opens recordings of live and long-deleted containers.
#[derive(Debug, Parser)]
#[command(name = "afterimage", version, after_help = Exit::HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// When to use colours
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN", help_heading = DISPLAY)]
    color: ColorWhen,
    /// Draw with ASCII characters only
    #[arg(long, global = true, help_heading = DISPLAY)]
    ascii: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::LsArgs),
    Replay(replay::ReplayArgs),
    Info(info::InfoArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the command line, runs the verb and tells the exit code.
pub fn main() -> ExitCode {
    crash::guard(|| {
        let cli = Cli::parse();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let result = run(&cli, &mut out);
        let flushed = out.flush().map_err(Failure::from);
        let exit = match result.and_then(|done| flushed.map(|()| done)) {
            Ok(Done::Verdict(verdict)) => verdict.exit(),
            Ok(Done::Code(code)) => return code,
            Err(failure) => {
                if !matches!(failure, Failure::Closed) {
                    terminal::say(&failure.to_string());
                }
                failure.exit()
            }
        };
        ExitCode::from(exit.code())
    })
}

/// How a verb ended.
enum Done {
    Verdict(Verdict),
    /// The TUI has its own.
    Code(ExitCode),
}

fn run(cli: &Cli, out: &mut dyn Write) -> Result<Done, Failure> {
    let mut session = Session::new(cli.color, cli.ascii, out);
    let verdict = match &cli.verb {
        Verb::Ls(args) => ls::run(args, &mut session),
        Verb::Info(args) => info::run(args, &mut session),
        Verb::Completions(args) => completions::run(args, &mut session),
        Verb::Replay(args) => return replay::run(args, &session).map(Done::Code),
    };
    verdict.map(Done::Verdict)
}
