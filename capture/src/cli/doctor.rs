//! `afterimaged doctor`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::EXIT_ENVIRONMENT;
use crate::doctor::{Verdict, examine};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Where the recording would be kept.
    #[arg(long, value_name = "DIR", env = "AFTERIMAGE_STORE", default_value = "/var/lib/afterimage")]
    store: PathBuf,
}

/// Prints every check; the status says whether recording would work.
pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    let checks = examine(&args.store);
    for check in &checks {
        println!("{check}");
    }
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    if bad > 0 {
        println!("this machine cannot be recorded: {bad} of {} checks fail", checks.len());
        return ExitCode::from(EXIT_ENVIRONMENT);
    }
    println!("this machine can be recorded");
    ExitCode::SUCCESS
}
