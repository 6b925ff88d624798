//! Runs the targets of `fuzz/` with libFuzzer, on stable Rust: coverage comes from LLVM's own pass, which needs no
//! nightly compiler. No sanitizer: the parsers have no unsafe code, so that what a fuzzer can find are panics, overflows,
//! assertions, endless loops and memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::checkout;
use crate::step::Verdict;

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/fuzz_targets";
/// Inputs that found something once; each is run first, for ever.
const REGRESSIONS: &str = "fuzz/regressions";
const WORK: &str = "target/fuzz";

/// Seconds of each target in the tests that CI runs.
const SHORT: u32 = 20;

/// What instruments the code: cargo-fuzz gives the same to its compiler.
const RUSTFLAGS: [&str; 6] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// Minutes for each target
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Targets; all, when none is given
    targets: Vec<String>,
}

pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<bool> {
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    if let Some(lack) = lacking() {
        bail!("nothing can be fuzzed here: {lack}");
    }
    fuzz(chosen, args.minutes * 60)
}

/// All targets for a short time.
pub(crate) fn short() -> anyhow::Result<Verdict> {
    match lacking() {
        Some(lack) => Ok(Verdict::NotRun(lack)),
        None => Ok(Verdict::of(fuzz(&targets()?, SHORT)?)),
    }
}

/// libFuzzer itself is C++.
fn lacking() -> Option<String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    checkout::output(Command::new(&compiler).arg("--version"))
        .is_none()
        .then(|| format!("no C++ compiler `{compiler}` for libFuzzer (apt-get install g++)"))
}

fn targets() -> anyhow::Result<Vec<String>> {
    let folder = checkout::root().join(TARGETS);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn fuzz(targets: &[String], seconds: u32) -> anyhow::Result<bool> {
    let programs = build()?;
    let work = checkout::root().join(WORK);
    for folder in ["logs", "artifacts"] {
        fs::create_dir_all(work.join(folder))?;
    }
    // Each runs by itself; as many at once as there are processors.
    let waiting = Mutex::new(targets.iter());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let sound = std::thread::scope(|scope| {
        let work_off = || -> anyhow::Result<bool> {
            let mut sound = true;
            loop {
                let next = waiting.lock().map_or(None, |mut waiting| waiting.next());
                let Some(target) = next else { return Ok(sound) };
                sound &= one(&programs, &work, target, seconds)?;
            }
        };
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work_off)).collect();
        let ended = running.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a fuzzer's thread panicked"),
        });
        ended.collect::<anyhow::Result<Vec<bool>>>()
    })?;
    Ok(sound.into_iter().all(|sound| sound))
}

fn build() -> anyhow::Result<PathBuf> {
    let about = checkout::output(Command::new("rustc").arg("-vV")).context("`rustc -vV` does not run")?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    // With a target named, build scripts and macros stay as they are.
    let mut cargo = checkout::cargo(["build", "--release", "--manifest-path", MANIFEST, "--target", host]);
    cargo
        .args(["--target-dir", WORK])
        .env("RUSTFLAGS", RUSTFLAGS.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if !checkout::succeeds(&mut cargo)? {
        bail!("the fuzz targets do not build");
    }
    Ok(checkout::root().join(WORK).join(host).join("release"))
}

/// Runs one target: its seeds, what found something once, what earlier runs found worth keeping, then new inputs.
fn one(programs: &Path, work: &Path, target: &str, seconds: u32) -> anyhow::Result<bool> {
    let (program, corpus) = (programs.join(target), work.join("corpus").join(target));
    fs::create_dir_all(&corpus)?;
    let seeded = Command::new(&program).env("AFTERIMAGE_FUZZ_SEEDS", &corpus).stdout(Stdio::null()).status();
    if !seeded.with_context(|| format!("cannot run `{}`", program.display()))?.success() {
        bail!("the seeds of `{target}` could not be made");
    }
    let log = work.join("logs").join(format!("{target}.log"));
    let mut run = Command::new(&program);
    run.arg(format!("-max_total_time={seconds}"));
    if seconds == SHORT {
        // What CI tries is the same each time, as far as the machine gets; what is new is for the soak to find.
        run.arg("-seed=1");
    }
    // A reader stays under 256 MB; the fuzzer's own corpus and tables come on top.
    run.args(["-timeout=20", "-rss_limit_mb=512", "-malloc_limit_mb=256", "-print_final_stats=1"]);
    run.arg(format!("-artifact_prefix={}/{target}-", work.join("artifacts").display()));
    run.arg(&corpus);
    let regressions = checkout::root().join(REGRESSIONS).join(target);
    if regressions.is_dir() {
        run.arg(&regressions);
    }
    let output = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
    let status = run.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null()).status()?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    println!("{}", summary(target, &text, status.success()));
    if !status.success() {
        let telling = ["panicked at", "ERROR: libFuzzer", "Test unit written", "assertion"];
        for line in text.lines().filter(|line| telling.iter().any(|word| line.contains(word))) {
            println!("  {line}");
        }
        println!("  `{}` has the rest", log.display());
    }
    Ok(status.success())
}

fn summary(target: &str, log: &str, sound: bool) -> String {
    let figure = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    let (runs, kept) = (figure("stat::number_of_executed_units:"), figure("stat::new_units_added:"));
    let memory = figure("stat::peak_rss_mb:");
    let found = if sound { "nothing found" } else { "FOUND" };
    format!("{target:10} {found}: {runs} inputs, {kept} kept, {memory} MB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_of_its_own() {
        let manifest = fs::read_to_string(checkout::root().join(MANIFEST)).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() > 10);
        for target in targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }

    #[test]
    fn a_summary_tells_what_was_run() {
        let log = "INFO: x\nstat::number_of_executed_units: 12\nstat::new_units_added:          3\nstat::peak_rss_mb: 90\n";
        assert_eq!(summary("dns", log, true), "dns        nothing found: 12 inputs, 3 kept, 90 MB");
    }
}
