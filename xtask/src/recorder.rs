//! The recorder as a child process: started, waited for, sealed.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long attaching and the first scan may take, and sealing at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first word of the status line that says all programs are attached and what ran before is known.
const READY: &str = "recording";

pub(crate) struct Recorder {
    child: Child,
    lines: Receiver<String>,
}

impl Recorder {
    /// Starts `program` on the store `store` and returns when it records.
    pub(crate) fn start(program: &Path, store: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, store, &[])
    }

    /// The same, with further options.
    pub(crate) fn start_with(program: &Path, store: &Path, options: &[OsString]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["run", "--store"])
            .arg(store)
            .args(options)
            // One that is killed below must not leave its programs running.
            .env("AFTERIMAGE_RECORD_BPFFS", "")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let stderr = child.stderr.take().context("the recorder has no standard error")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                // After the last receiver is gone the lines are still read, so that the recorder never blocks.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let recorder = Self { child, lines };
        recorder.await_ready()?;
        Ok(recorder)
    }

    fn await_ready(&self) -> anyhow::Result<()> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    println!("  recorder: {line}");
                    if line.starts_with(READY) {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the recorder ended before it recorded"),
                Err(RecvTimeoutError::Timeout) => bail!("the recorder did not begin within a minute"),
            }
        }
    }

    /// Asks the recorder to seal its store, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).context("cannot signal the recorder")?;
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => println!("  recorder: {line}"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("the recorder did not end within a minute"),
            }
        }
        let status = self.child.wait().context("cannot wait for the recorder")?;
        if !status.success() {
            bail!("the recorder ended with {status}");
        }
        Ok(())
    }
}

/// A recorder that was not stopped, because something failed, must not go on recording this machine.
impl Drop for Recorder {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
