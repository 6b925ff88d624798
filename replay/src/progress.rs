//! How far long work has come, on stderr, for people only: nothing is printed unless stderr is a terminal and the
//! work takes longer than a moment.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Work that ends before this needs no progress.
const PATIENCE: Duration = Duration::from_millis(400);
/// Time between two lines.
const PERIOD: Duration = Duration::from_millis(200);
/// Events between two looks at the clock.
const STRIDE: u64 = 1 << 14;

/// Progress of reading.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    done: u64,
    what: &'static str,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// For `total` events; `quiet` where rows are printed to the same terminal as they come.
    pub fn new(total: u64, quiet: bool) -> Self {
        let watched = std::io::stderr().is_terminal() && !quiet;
        Self {
            total,
            done: 0,
            what: "events",
            next: watched.then(|| Instant::now() + PATIENCE),
            shown: false,
        }
    }

    /// One more event was read.
    pub fn tick(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(STRIDE) && self.next.is_some_and(|next| Instant::now() >= next) {
            self.show();
        }
    }

    /// So many more events were read, or passed over.
    pub fn pass(&mut self, events: u64) {
        self.done += events;
        if self.next.is_some_and(|next| Instant::now() >= next) {
            self.show();
        }
    }

    /// So much of so much is done.
    pub fn at(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        self.what = "bytes";
        if self.next.is_some_and(|next| Instant::now() >= next) {
            self.show();
        }
    }

    fn show(&mut self) {
        self.next = Some(Instant::now() + PERIOD);
        self.shown = true;
        let line = line(self.done, self.total, self.what);
        // A terminal that went away is no reason to fail.
        let _ = write!(std::io::stderr().lock(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(done: u64, total: u64, what: &str) -> String {
    let percent = done.min(total).saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("reading: {percent} % of {total} {what}; Ctrl-C stops")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_never_passes_a_hundred_and_empty_work_is_done() {
        assert_eq!(line(5, 10, "events"), "reading: 50 % of 10 events; Ctrl-C stops");
        assert_eq!(line(11, 10, "events"), "reading: 100 % of 10 events; Ctrl-C stops");
        assert_eq!(line(0, 0, "bytes"), "reading: 100 % of 0 bytes; Ctrl-C stops");
    }
}
