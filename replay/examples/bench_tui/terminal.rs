//! The program in a pseudo-terminal (made by `script`), its screen read as a terminal reads it.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Columns and rows.
pub(crate) const SIZE: (u16, u16) = (120, 40);

/// A run of the program.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    /// When it was started.
    pub(crate) begun: Instant,
    /// Bytes that it drew.
    pub(crate) drawn: usize,
}

impl Terminal {
    /// Starts the TUI on a recording.
    pub(crate) fn start(program: &Path, store: &Path) -> std::io::Result<Self> {
        let (columns, rows) = SIZE;
        let line = format!(
            "stty cols {columns} rows {rows}; exec '{}' replay '{}'",
            program.display(),
            store.display()
        );
        let begun = Instant::now();
        let mut child = Command::new("script")
            .args(["-qfec", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (keys, mut out) = match (child.stdin.take(), child.stdout.take()) {
            (Some(keys), Some(out)) => (keys, out),
            _ => return Err(std::io::Error::other("no pipes")),
        };
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut part = [0; 65536];
            while let Ok(n @ 1..) = out.read(&mut part) {
                if sender.send((Instant::now(), part[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(rows, columns, 0);
        Ok(Self { child, keys, output, parser, begun, drawn: 0 })
    }

    /// Sends keys; when.
    pub(crate) fn press(&mut self, keys: &str) -> std::io::Result<Instant> {
        let now = Instant::now();
        self.keys.write_all(keys.as_bytes())?;
        self.keys.flush()?;
        Ok(now)
    }

    /// What is on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen is as wanted; when the bytes came that made it so.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> std::io::Result<Instant> {
        let mut at = Instant::now();
        let begin = at;
        while !wanted(&self.text()) {
            at = self
                .next(PATIENCE.saturating_sub(begin.elapsed()))?
                .ok_or_else(|| std::io::Error::other(format!("{what} did not come:\n{}", self.text())))?;
        }
        Ok(at)
    }

    /// Waits for something to be drawn.
    pub(crate) fn next(&mut self, patience: Duration) -> std::io::Result<Option<Instant>> {
        match self.output.recv_timeout(patience) {
            Ok((at, bytes)) => {
                self.drawn += bytes.len();
                self.parser.process(&bytes);
                Ok(Some(at))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(std::io::Error::other(format!("the program ended:\n{}", self.text())))
            }
        }
    }

    /// Takes what is drawn until nothing was for a while.
    pub(crate) fn settle(&mut self, quiet: Duration) -> std::io::Result<()> {
        while self.next(quiet)?.is_some() {}
        Ok(())
    }

    /// CPU that threads of these names have used so far.
    pub(crate) fn used(&self, names: &[&str]) -> Option<Duration> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.program()?)).ok()?;
        let used = |task: std::fs::DirEntry| {
            let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let nanos = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos = nanos.split(' ').next()?.parse().ok()?;
            names.contains(&comm.trim_end()).then_some(Duration::from_nanos(nanos))
        };
        Some(tasks.flatten().filter_map(used).sum())
    }

    /// The id of the program's process.
    fn program(&self) -> Option<u32> {
        let children = format!("/proc/{}/task/{0}/children", self.child.id());
        std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// The most memory the program ever had, bytes, files mapped included; and of that what was its own.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program()?)).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some((kib("VmHWM:")? << 10, kib("RssAnon:")? << 10))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keys.write_all(b"q");
        let _ = self.child.wait();
    }
}
