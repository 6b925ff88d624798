//! `cargo xtask samples`: records the committed samples anew, each one container of a workload of ours, and writes
//! down what must be found in them. The reader's tests then look for it; a sample that fails them is not to be
//! committed.

use std::fs;
use std::path::Path;
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

/// Something that must be found in a sample: rows of `afterimage show -o jsonl`.
#[derive(Clone, Copy, Serialize)]
struct Find {
    what: &'static str,
    /// The row's `event` is one of these.
    event: &'static [&'static str],
    /// The row holds all of these words.
    holds: &'static [&'static str],
    at_least: u64,
}

const fn find(
    what: &'static str,
    event: &'static [&'static str],
    holds: &'static [&'static str],
    at_least: u64,
) -> Find {
    Find { what, event, holds, at_least }
}

const EXEC: &[&str] = &["exec"];
const OPEN: &[&str] = &["open", "openat"];

const SAMPLES: [Sample; 2] = [
    Sample {
        file: "intrusion.aftx",
        what: "the demo's staged intrusion: an injected command, a download, a new program, a reverse shell",
        run: || workload::intrusion().map(|(outcome, _)| outcome),
        find: &[
            find("a shell runs what was injected", EXEC, &["wget -q -O /tmp/.update"], 1),
            find("the program is downloaded", &["connect"], &["wget", "127.0.0.1"], 1),
            find("it is made executable", &["chmod", "fchmodat"], &["/tmp/.update"], 1),
            find("it is run", EXEC, &["/tmp/.update"], 1),
            find("its connection replaces its standard streams", &["dup2"], &[".update"], 3),
            find("it becomes a shell", EXEC, &["sh -i"], 1),
            find("the token is opened", OPEN, &["/run/secrets/kubernetes.io/serviceaccount/token"], 1),
            find("the program is removed", &["unlink", "unlinkat"], &["/tmp/.update"], 1),
            find("the log is removed", &["unlink", "unlinkat"], &["/var/log/service.log"], 1),
        ],
    },
    Sample {
        file: "plain.aftx",
        what: "plain work: files, a pipeline, a TCP exchange over loopback, a failed open, exit code 3",
        run: workload::plain,
        find: &[
            find("the pipeline's programs run", EXEC, &["sort"], 1),
            find("the archiver runs", EXEC, &["tar -c"], 1),
            find("a connection over loopback", &["connect"], &["127.0.0.1", "7007"], 1),
            find("a file is renamed", &["rename", "renameat", "renameat2"], &["work/out/total.txt"], 1),
            find("an open that fails", OPEN, &["/tmp/absent", "ENOENT"], 1),
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
    let programs = demo::build(demo::Build::Debug)?;
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
    // The witness is the reader's own test, so that what is required of a sample is checked in one place.
    checkout::succeeds(&mut checkout::cargo(["test", "--package", "afterimage-replay", "samples"]))
}

fn make(sample: &Sample, programs: &Path) -> anyhow::Result<(Entry, Vec<u8>)> {
    let dir = TempDir::with_prefix("afterimage-samples-")?;
    let (store, file) = (dir.path().join("store"), dir.path().join(sample.file));
    let recorder = Recorder::start(&programs.join("afterimaged"), &store)?;
    let outcome = (sample.run)()?;
    recorder.stop()?;
    let mut extract = Command::new(programs.join("afterimage"));
    extract.arg("extract").arg(outcome.id.to_string()).arg(&store).arg("--to").arg(&file);
    if !checkout::succeeds(&mut extract)? {
        bail!("`{}` could not be extracted", sample.file);
    }
    let bytes = fs::read(&file)?;
    if bytes.len() > MAX_BYTES {
        bail!("`{}` has {} bytes, more than {MAX_BYTES}", sample.file, bytes.len());
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
