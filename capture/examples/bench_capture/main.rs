//! What recording costs: workloads untraced and traced, in paired rounds on one machine.
//!
//! `cargo xtask bench capture` runs it. Each round runs every workload once under every tracer, so that a slow moment
//! of the machine hits all of them; the figures are medians over the rounds, and for each the spread of the untraced
//! runs is printed beside: what lies within it is noise. Nothing here asserts a time.

mod load;
mod machine;
mod recorder;
mod report;
mod stages;
mod tracer;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{load::Load, tracer::Tracer};

/// Measures what recording costs.
#[derive(Debug, Parser)]
struct Args {
    /// About two minutes: fewer rounds, smaller loads.
    #[arg(long)]
    quick: bool,
    /// Rounds; more for quieter figures.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only workloads whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Another tracer to run in the same rounds: a shell command in which `{}` stands for the workload's command.
    #[arg(long, value_name = "COMMAND")]
    peer: Vec<String>,
    /// Another recorder to run in the same rounds, started before the workload and ended by SIGTERM after it, of which only
    /// the workload is timed: a shell command that writes `recording PID...` to standard error when it records, and
    /// `sealed: N events, N lost, N bytes` when it ends.
    #[arg(long, value_name = "COMMAND")]
    peer_recorder: Vec<String>,
    /// Takes the recorder's CPU apart instead: its stages, each by itself, over the records of workloads.
    #[arg(long)]
    stages: bool,
    /// The recorder's program; by default the one beside this.
    #[arg(long)]
    recorder: Option<PathBuf>,
    /// Runs a load in this process and ends: how the rounds start it.
    #[arg(long, hide = true, num_args = 2, value_names = ["LOAD", "COUNT"])]
    load: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(load) = &args.load {
        return load::run_named(&load[0], load[1].parse().unwrap_or(1));
    }
    let Some(recorder) = args.recorder.clone().or_else(beside) else {
        eprintln!(
            "bench: no afterimaged beside this program: cargo build --release -p afterimage-capture first"
        );
        return ExitCode::from(5);
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("bench: not root: recording needs it");
        return ExitCode::from(5);
    }
    println!("{}", machine::describe());
    if args.stages {
        let done = stages::run(args.only.as_deref(), args.quick, args.rounds.unwrap_or(3));
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 7 });
    let tracers = Tracer::all(&recorder, &args.peer_recorder, &args.peer);
    for load in Load::all(args.quick) {
        if args.only.as_ref().is_some_and(|only| !load.name.contains(only.as_str())) {
            continue;
        }
        if let Some(missing) = load.missing() {
            println!("\n{}: not run: {missing} is not installed", load.name);
            continue;
        }
        let mut table = report::Table::new(&load);
        for _ in 0..rounds {
            for tracer in &tracers {
                if tracer.fits(&load) {
                    table.add(tracer, tracer.measure(&load));
                }
            }
        }
        print!("{table}");
    }
    ExitCode::SUCCESS
}

/// `afterimaged` of the same build.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.parent()?.join("afterimaged");
    path.exists().then_some(path)
}
