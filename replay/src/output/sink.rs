//! Where results go: stdout, or a pager when stdout is a terminal.

use std::{
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

/// Bytes gathered before they are handed on.
const BUFFER: usize = 64 << 10;

/// An open output.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Stdout(BufWriter<StdoutLock<'static>>),
    /// A pager's standard input.
    Pager(Child, BufWriter<ChildStdin>),
}

impl Sink {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::Stdout(BufWriter::with_capacity(BUFFER, io::stdout().lock()))
    }

    /// A pager when stdout is a terminal and a pager can be run, else stdout. $AFTERIMAGE_PAGER, $PAGER, `less`
    /// in this order; `cat` or an empty value turn it off.
    pub fn paged() -> Self {
        if !io::stdout().is_terminal() {
            return Self::stdout();
        }
        Self::pager().unwrap_or_else(Self::stdout)
    }

    fn pager() -> Option<Self> {
        let asked = ["AFTERIMAGE_PAGER", "PAGER"].into_iter().find_map(|v| std::env::var(v).ok());
        let line = asked.unwrap_or_else(|| "less".to_owned());
        let mut words = line.split_whitespace();
        let program = words.next().filter(|p| *p != "cat")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            // Colours pass, one screen is not paged, the screen is left as it is.
            command.env("LESS", "FRX");
        }
        let mut child = command.spawn().ok()?;
        let input = child.stdin.take()?;
        Some(Self::Pager(child, BufWriter::with_capacity(BUFFER, input)))
    }

    /// Hands everything on and waits for the pager to be left.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub fn close(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::Pager(mut child, mut input) => {
                let flushed = input.flush();
                drop(input);
                child.wait()?;
                flushed
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Pager(_, input) => input.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Pager(_, input) => input.flush(),
        }
    }
}
