//! `afterimaged man` and `afterimaged completions`: for packages.

use std::{fs, io::Write as _, path::PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Failure};

/// The manual's section of what administrators run.
const SECTION: &str = "8";

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where to write the pages; made when it does not exist.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `afterimaged man`.
pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(&error, "");
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        let (_, text) = page(command).map_err(failed)?;
        return std::io::stdout().write_all(text.as_bytes()).map_err(failed);
    };
    fs::create_dir_all(dir).map_err(failed)?;
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned();
    for command in std::iter::once(command.clone()).chain(verbs) {
        let (name, text) = page(command).map_err(failed)?;
        fs::write(dir.join(name), text).map_err(failed)?;
    }
    Ok(())
}

/// A command's page: the file's name and its text. The synopsis is the usage that `--help` shows: the generator's own lists
/// options without their values, which are said below it.
fn page(mut command: Command) -> std::io::Result<(String, String)> {
    const SYNOPSIS: &str = ".SH SYNOPSIS\n";
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let usage: Vec<String> = usage.lines().map(|line| roff(line.trim())).collect();
    let page = Man::new(command).section(SECTION);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8(text).map_err(std::io::Error::other)?;
    let parts = text.split_once(SYNOPSIS).and_then(|(head, rest)| Some((head, rest.split_once(".SH ")?.1)));
    let text = match parts {
        Some((head, rest)) => format!("{head}{SYNOPSIS}{}\n.SH {rest}", usage.join("\n.br\n")),
        None => text,
    };
    Ok((page.get_filename(), text))
}

/// Text as roff has it.
fn roff(text: &str) -> String {
    text.replace('\\', "\\\\").replace('-', "\\-")
}

/// `afterimaged completions`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "afterimaged", &mut script);
    // Through memory: the generator panics on a closed pipe.
    std::io::stdout().write_all(&script).map_err(|error| Failure::new(&error, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synopsis_is_the_usage_and_options_have_their_values_below() {
        let mut command = Cli::command();
        command.build();
        let pin = command.find_subcommand("pin").unwrap().clone();
        let (name, text) = page(pin).unwrap();
        assert_eq!(name, "afterimaged-pin.8");
        assert!(
            text.contains(".SH SYNOPSIS\nafterimaged pin [OPTIONS] [CONTAINER]\n.SH DESCRIPTION\n"),
            "{text}"
        );
        assert!(text.contains("\\fB\\-\\-before\\fR \\fI<TIME>\\fR"), "{text}");
    }
}
