//! `cargo xtask bench`: measurements, each a program of the crate that it measures, built in release. They print the
//! machine and the kernel with their figures, and assert no time.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::{checkout, mixed};

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// What recording costs the programs that are recorded (as root); `-- --help` for its options
    Capture(Options),
    /// Size and speed of the file on a recorded workload: a store, and a scratch directory
    Format(Options),
    /// Filters and rules over a generated store: how many events, and a file of rules
    Query(Options),
    /// The state of containers: what keeping it costs, and seeks with keyframes; a store, and how many events
    State(Options),
    /// How long an alert takes to be a pin on disk, with 1,000 containers in the store (as root)
    Trigger(Options),
    /// Record a mixed workload for `format` (as root)
    Workload(mixed::WorkloadArgs),
    /// The TUI through a real pseudo-terminal: first paint, seeks, keys during a scan, memory; a store, or `--events N`
    Tui(Options),
}

#[derive(Args)]
struct Options {
    /// Handed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<bool> {
    let (package, example, options) = match &args.subject {
        Subject::Capture(options) => ("afterimage-capture", "bench_capture", options),
        Subject::Format(options) => ("afterimage-format", "bench_format", options),
        Subject::Query(options) => ("afterimage-detect", "bench_query", options),
        Subject::State(options) => ("afterimage-model", "bench_state", options),
        Subject::Trigger(options) => ("afterimage-capture", "bench_trigger", options),
        Subject::Workload(args) => return mixed::run(args),
        Subject::Tui(options) => ("afterimage-replay", "bench_tui", options),
    };
    // The benchmark of the recorder runs the program beside it.
    let mut build =
        checkout::cargo(["build", "--release", "--package", package, "--bins", "--example", example]);
    if !checkout::succeeds(&mut build)? {
        return Ok(false);
    }
    let mut run =
        checkout::cargo(["run", "--release", "--quiet", "--package", package, "--example", example, "--"]);
    checkout::succeeds(run.args(&options.options))
}
