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
    /// A busy node (as root): containers come and go, alerts, rules, reloads, retention, and now and then a full disk
    Node {
        #[arg(long, default_value_t = 60)]
        minutes: u32,
    },
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
        Kind::Node { minutes } => {
            let environment = [("AFTERIMAGE_NODE_SECONDS", (minutes * 60).to_string())];
            as_root("afterimage-capture", "a_busy_node_loses_nothing_without_saying_so", &environment)
        }
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// All Rust sources below a directory, one after the other.
    fn sources(directory: &Path) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                all += &sources(&path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                all += &fs::read_to_string(&path).unwrap();
            }
        }
        all
    }

    #[test]
    fn the_tests_that_are_named_for_each_fault_are_there() {
        let text = fs::read_to_string(checkout::root().join("docs/soak.md")).unwrap();
        let (_, table) = text.split_once("## Which test is for what").unwrap();
        let rows: Vec<&str> = table
            .lines()
            .filter(|line| line.starts_with("| E") || line.starts_with("| F") || line.starts_with("| S"))
            .collect();
        assert!(rows.len() > 35, "{}", rows.len());
        let all: String = ["capture", "format", "model", "replay"]
            .map(|part| sources(&checkout::root().join(part)))
            .concat();
        for row in rows {
            let tests = row.rsplit('|').nth(1).unwrap();
            let names: Vec<&str> =
                tests.split('`').skip(1).step_by(2).filter(|name| !name.contains(' ')).collect();
            assert!(!names.is_empty(), "{row}");
            for name in names {
                assert!(
                    all.contains(&format!("fn {name}(")),
                    "`{name}`, of which docs/soak.md tells, is not there"
                );
            }
        }
    }
}
