//! `cargo xtask soak`: the proofs that take long. CI runs a small part of each with `cargo xtask test`; what a long run
//! found is written down in docs/soak.md.

pub(crate) mod fuzz;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::{checkout, privilege};

#[derive(Args)]
pub(crate) struct SoakArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Fuzz every parser of foreign bytes
    Fuzz(fuzz::FuzzArgs),
    /// kill -9 of the recorder at random moments (as root): what it had taken over is there
    Kill {
        #[arg(long, default_value_t = 1000)]
        rounds: u32,
    },
    /// Images of an ext4 after power cuts at random moments (as root): what was synced is there
    Power {
        #[arg(long, default_value_t = 1000)]
        images: u32,
        /// Another seed gives another workload and other moments
        #[arg(long, default_value_t = 1)]
        seed: u32,
    },
    /// Cut a small file at every byte, and flip every bit of it
    Damage,
    /// Containers that come and go (as root)
    Churn,
}

pub(crate) fn run(args: &SoakArgs) -> anyhow::Result<bool> {
    match &args.kind {
        Kind::Fuzz(args) => fuzz::run(args),
        Kind::Kill { rounds } => {
            let environment = [("AFTERIMAGE_KILL_ROUNDS", rounds.to_string())];
            as_root("afterimage-capture", "nothing_taken_over_is_lost_to_a_kill", &environment)
        }
        Kind::Power { images, seed } => {
            let environment = [
                ("AFTERIMAGE_POWER_IMAGES", images.to_string()),
                ("AFTERIMAGE_POWER_SEED", seed.to_string()),
            ];
            as_root("afterimage-format", "what_was_synced_survives_any_power_cut", &environment)
        }
        Kind::Damage => Ok(tests("afterimage-format", "a_file_cut_at_any_byte", &[])?
            && tests("afterimage-format", "any_flipped_bit", &[])?),
        Kind::Churn => as_root("afterimage-capture", "a_thousand_short_containers", &[]),
    }
}

fn as_root(package: &str, test: &str, environment: &[(&str, String)]) -> anyhow::Result<bool> {
    if let Some(lack) = privilege::lacking() {
        bail!("this soak cannot run here: {lack}");
    }
    tests(package, test, environment)
}

/// Runs the tests of that name, those that are ignored elsewhere as well, with what they print.
fn tests(package: &str, test: &str, environment: &[(&str, String)]) -> anyhow::Result<bool> {
    let mut cargo = checkout::cargo(["test", "--release", "--package", package, "--test", "it", test]);
    cargo.args(["--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    for (name, value) in environment {
        println!("{name}={value}");
        cargo.env(name, value);
    }
    checkout::succeeds(&mut cargo)
}
