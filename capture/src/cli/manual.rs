//! `afterimaged man` and `afterimaged completions`: for packages.

use std::{fs, io::Write as _, path::PathBuf};

use clap::{Args, CommandFactory as _};
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
        let mut page = Vec::new();
        Man::new(command).section(SECTION).render(&mut page).map_err(failed)?;
        return std::io::stdout().write_all(&page).map_err(failed);
    };
    fs::create_dir_all(dir).map_err(failed)?;
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned();
    for command in std::iter::once(command.clone()).chain(verbs) {
        let page = Man::new(command).section(SECTION);
        let mut text = Vec::new();
        page.render(&mut text).map_err(failed)?;
        fs::write(dir.join(page.get_filename()), text).map_err(failed)?;
    }
    Ok(())
}

/// `afterimaged completions`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "afterimaged", &mut script);
    // Through memory: the generator panics on a closed pipe.
    std::io::stdout().write_all(&script).map_err(|error| Failure::new(&error, ""))
}
