//! `afterimage man`: the manual, for packages.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

use super::{Cli, session::Session};
use crate::{exit::Verdict, failure::Failure};

/// Print the manual, or write a page for each command into a directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  afterimage man | man -l -")]
pub(super) struct ManArgs {
    /// Where to write the pages; made when it does not exist
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs, session: &mut Session<'_>) -> Result<Verdict, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        session.out.write_all(&page)?;
        return Ok(Verdict::FOUND);
    };
    let failed = |source| Failure::Output { place: format!("`{}`", crate::failure::shown(dir)), source };
    fs::create_dir_all(dir).map_err(failed)?;
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned();
    for command in std::iter::once(command.clone()).chain(verbs) {
        let page = Man::new(command);
        let mut text = Vec::new();
        page.render(&mut text)?;
        fs::write(dir.join(page.get_filename()), text).map_err(failed)?;
    }
    Ok(Verdict::FOUND)
}
