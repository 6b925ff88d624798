//! `afterimaged doctor`.

use std::process::ExitCode;

use clap::Args;

use super::{EXIT_ENVIRONMENT, run, settings::SourceArgs, settings::complain};
use crate::{
    config,
    doctor::{Verdict, examine},
};

/// Arguments of `doctor`: those of `run`, since what can be recorded depends on how.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    sources: SourceArgs,
}

/// Prints every check; the status says whether recording would work.
pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    let (config, settings) = match args.sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return complain(&error),
    };
    let problems = config::here::problems(&config, &settings);
    let checks = examine(&run::options(&config.record), &problems);
    for check in &checks {
        println!("{check}");
    }
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    if bad > 0 {
        println!("this machine cannot be recorded: {bad} of {} checks fail", checks.len());
        return ExitCode::from(EXIT_ENVIRONMENT);
    }
    let less = checks.iter().filter(|check| check.verdict == Verdict::Less).count();
    match less {
        0 => println!("this machine can be recorded"),
        _ => println!(
            "this machine can be recorded, with less than there could be: {less} of {} checks",
            checks.len()
        ),
    }
    ExitCode::SUCCESS
}
