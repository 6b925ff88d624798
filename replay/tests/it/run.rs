//! Runs the real `afterimage` and looks at its bytes.

use std::process::{Command, Output, Stdio};

/// What it printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Ran {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.out).expect("stdout is UTF-8")
    }

    pub(crate) fn stderr(&self) -> &str {
        std::str::from_utf8(&self.err).expect("stderr is UTF-8")
    }

    /// The JSON document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.stdout()))
    }

    /// The JSON objects on stdout, one per line.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
            .collect()
    }
}

/// The command, cut off from the user's own settings.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.env_clear().env("TZ", "UTC").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// Runs it with these arguments.
pub(crate) fn afterimage(args: &[&str]) -> Ran {
    ran(command().args(args).output().expect("afterimage runs"))
}

pub(crate) fn ran(output: Output) -> Ran {
    let code = output.status.code().expect("an exit code, not a signal");
    Ran { code, out: output.stdout, err: output.stderr }
}

/// The id of the only container of a sample.
pub(crate) fn only_container(sample: &str) -> String {
    let listed = afterimage(&["ls", sample, "-o", "json"]).json();
    let [only] = &listed["containers"].as_array().expect("a list")[..] else { panic!("{listed}") };
    only["id"].as_str().expect("an id").to_owned()
}
