//! `cargo xtask samples`: records the committed samples anew, each one container of a workload of ours, and writes
//! down what must be found in them. A sample that lacks any of it is not written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use afterimage_launch::Outcome;
use anyhow::{Context as _, bail};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::recorder::Recorder;
use crate::{checkout, demo, privilege, workload};

const FOLDER: &str = "samples";
const MANIFEST: &str = "samples/manifest.json";

/// A sample is in every clone for ever.
const MAX_BYTES: usize = 300_000;

struct Sample {
    file: &'static str,
    what: &'static str,
    run: fn() -> anyhow::Result<Outcome>,
    find: &'static [Find],
}

/// Something that must be found in a sample.
#[derive(Clone, Copy, Serialize)]
struct Find {
    what: &'static str,
    /// In the filter language.
    filter: &'static str,
    at_least: u64,
}

const fn find(what: &'static str, filter: &'static str, at_least: u64) -> Find {
    Find { what, filter, at_least }
}

const SAMPLES: [Sample; 2] = [
    Sample {
        file: "intrusion.aftx",
        what: "the demo's staged intrusion: an injected command, a download, a new program, a reverse shell",
        run: || workload::intrusion().map(|(outcome, _)| outcome),
        find: &[
            find(
                "the service's shell runs what was injected",
                "evt.type = execve and proc.args contains 'wget -q -O /tmp/.update'",
                1,
            ),
            find("the program is downloaded", "evt.type = connect and proc.name = wget", 1),
            find("the new program is run", "evt.type = execve and proc.exepath = /tmp/.update", 1),
            find(
                "it puts its connection in place of its standard streams",
                "evt.type = dup2 and proc.exepath = /tmp/.update",
                3,
            ),
            find(
                "the planted token is opened",
                "evt.is_open_read = true and fd.name = /run/secrets/kubernetes.io/serviceaccount/token",
                1,
            ),
            find(
                "the program is removed",
                "evt.type in (unlink, unlinkat) and evt.args contains /tmp/.update",
                1,
            ),
        ],
    },
    Sample {
        file: "plain.aftx",
        what: "plain work: files, a pipeline, a TCP exchange over loopback, a failed open, exit code 3",
        run: workload::plain,
        find: &[
            find(
                "the pipeline's programs run",
                "evt.type = execve and proc.name in (sort, uniq, awk, gzip, tar)",
                5,
            ),
            find("a connection over loopback", "evt.type = connect and fd.sport = 7007", 1),
            find("a file is renamed", "evt.type in (rename, renameat, renameat2)", 1),
            find("an open that fails", "evt.type in (open, openat) and evt.res = ENOENT", 1),
        ],
    },
];

#[derive(Serialize)]
struct Manifest {
    made_by: &'static str,
    kernel: String,
    samples: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    file: &'static str,
    what: &'static str,
    sha256: String,
    bytes: usize,
    container: String,
    exit: String,
    find: &'static [Find],
}

pub(crate) fn run() -> anyhow::Result<bool> {
    if let Some(lack) = privilege::lacking() {
        bail!("samples cannot be recorded here: {lack}");
    }
    let programs = demo::build()?;
    let made: Vec<(Entry, Vec<u8>)> =
        SAMPLES.iter().map(|sample| make(sample, &programs)).collect::<Result<_, _>>()?;
    let root = checkout::root();
    let mut samples = Vec::new();
    for (entry, bytes) in made {
        fs::write(root.join(FOLDER).join(entry.file), bytes)?;
        println!("{FOLDER}/{}: {} bytes, container {}", entry.file, entry.bytes, entry.container);
        samples.push(entry);
    }
    let kernel = checkout::output(Command::new("uname").arg("-rm")).context("`uname` does not run")?;
    let manifest = Manifest { made_by: "cargo xtask samples", kernel, samples };
    fs::write(root.join(MANIFEST), serde_json::to_string_pretty(&manifest)? + "\n")?;
    Ok(true)
}

fn make(sample: &Sample, programs: &Path) -> anyhow::Result<(Entry, Vec<u8>)> {
    let dir = TempDir::with_prefix("afterimage-samples-")?;
    let (store, file) = (dir.path().join("store"), dir.path().join(sample.file));
    let recorder = Recorder::start(&programs.join("afterimaged"), &store)?;
    let outcome = (sample.run)()?;
    recorder.stop()?;
    let reader = programs.join("afterimage");
    let mut extract = Command::new(&reader);
    extract.arg("extract").arg(outcome.id.to_string()).arg(&store).arg("--to").arg(&file);
    if !checkout::succeeds(&mut extract)? {
        bail!("`{}` could not be extracted", sample.file);
    }
    for find in sample.find {
        let found = count(&reader, &file, find.filter)?;
        if found < find.at_least {
            let kept = keep(&dir, sample);
            bail!("in `{}`: {}: `{}` finds {found} events", kept.display(), find.what, find.filter);
        }
    }
    let bytes = fs::read(&file)?;
    if bytes.len() > MAX_BYTES {
        bail!("`{}` has {} bytes, more than {MAX_BYTES}", keep(&dir, sample).display(), bytes.len());
    }
    let entry = Entry {
        file: sample.file,
        what: sample.what,
        sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes: bytes.len(),
        container: outcome.id.to_string(),
        exit: outcome.status.to_string(),
        find: sample.find,
    };
    Ok((entry, bytes))
}

/// Moves a sample that was refused to where it can be looked at.
fn keep(dir: &TempDir, sample: &Sample) -> PathBuf {
    let kept = std::env::temp_dir().join(format!("refused-{}", sample.file));
    match fs::copy(dir.path().join(sample.file), &kept) {
        Ok(_) => kept,
        Err(_) => PathBuf::from(sample.file),
    }
}

/// How many events of the only container of `file` a filter finds.
fn count(reader: &Path, file: &Path, filter: &str) -> anyhow::Result<u64> {
    let mut grep = Command::new(reader);
    grep.args(["grep", filter]).arg(file).args(["-o", "jsonl"]);
    let output = grep.output().context("the reader does not start")?;
    // 1 says that nothing was found.
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("`afterimage grep` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64)
}
