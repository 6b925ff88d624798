//! Development tasks, as `cargo xtask <task>`. One file per task.

mod bench;
mod checkout;
mod ci;
mod demo;
mod ebpf;
mod foreign;
mod golden;
mod mixed;
mod package;
mod policy;
mod privilege;
mod recorder;
mod samples;
mod soak;
mod step;
mod syscalls;
mod tally;
mod test;
mod vm;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of Afterimage.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Record a container that is broken into and deleted, then open the recording
    Demo(demo::DemoArgs),
    /// Everything that CI tests, on any machine; what needs root runs when root is there
    Test(test::TestArgs),
    /// What CI does: install what is missing (Debian, as root), then test
    Ci,
    /// Measure what recording costs, or what the file does
    Bench(bench::BenchArgs),
    /// The proofs that take long: fuzzing, kills, power cuts, damage, churn
    Soak(soak::SoakArgs),
    /// Make the Debian package, with manual and completions (needs cargo-deb)
    Package {
        /// Of programs as tests build them: only to see whether the package is right
        #[arg(long)]
        dev: bool,
    },
    /// Record the committed samples anew
    Samples,
    /// Make the golden traces of a format version that is not released yet anew
    Golden,
    /// Make the table of system calls
    Syscalls(syscalls::SyscallsArgs),
    /// Build the eBPF object that is committed
    Ebpf {
        /// Build it elsewhere and compare with the committed one instead
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Options::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Package { dev: false } => package::run(package::Profile::Release),
        Task::Package { dev: true } => package::run(package::Profile::Dev),
        Task::Samples => samples::run(),
        Task::Golden => golden::run(),
        Task::Test(args) => test::run(&args),
        Task::Ci => ci::run(),
        Task::Syscalls(args) => syscalls::run(&args),
        Task::Ebpf { check: false } => ebpf::build(),
        Task::Ebpf { check: true } => ebpf::check(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
