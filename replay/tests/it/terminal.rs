//! The TUI in a real terminal: tmux stands in for the user, keys in, screens out.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::staged;

/// The longest that a screen may take to appear: generous, only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal of its own tmux server, which ends with it.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// A terminal of this size in which a shell runs.
    fn new(width: u16, height: u16) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let this = Self { socket: format!("afterimage-test-{}-{number}", std::process::id()) };
        let (width, height) = (width.to_string(), height.to_string());
        this.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, "sh"]);
        this.run(&["set-option", "-g", "status", "off"]);
        this.line("PS1='ready> '; export LANG=C.UTF-8 LC_ALL= NO_COLOR=; stty -echo; clear");
        this.wait("the shell", |screen| screen.contains("ready>"));
        this
    }

    fn tmux(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").args(["-L", &self.socket]);
        command.args(args).output().expect("tmux is needed")
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.tmux(args);
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line into the shell.
    fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.run(&["send-keys", "Enter"]);
    }

    /// Presses keys, as tmux names them.
    fn press(&self, keys: &[&str]) {
        for key in keys {
            self.run(&["send-keys", key]);
        }
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as `wanted` says.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(begin.elapsed() < PATIENCE, "{what} did not come:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Starts the TUI on a store, and tells when it has ended and how.
    fn replay(&self, store: &Path, rest: &str) {
        let program = env!("CARGO_BIN_EXE_afterimage");
        self.line(&format!("{program} replay '{}' {rest}; echo ended with $?", store.display()));
        self.wait_for("containers");
    }

    /// What tmux knows of the terminal.
    fn state(&self, format: &str) -> String {
        self.run(&["display-message", "-p", format]).trim().to_owned()
    }

    fn is_as_found(&self) {
        assert_eq!(self.state("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"), "0 1 0");
        // Raw mode would leave the line unfinished.
        self.line("echo still $((40 + 2))");
        self.wait_for("still 42");
    }

    /// Sends a signal to the TUI.
    fn signal(&self, name: &str) {
        let shell = self.state("#{pane_pid}");
        let children = Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &shell]).output().expect("ps");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let pid = children
            .lines()
            .find(|line| line.contains("afterimage"))
            .and_then(|line| line.split_whitespace().next());
        let pid = pid.unwrap_or_else(|| panic!("no TUI among {children:?}"));
        let sent = Command::new("kill").args([&format!("-{name}"), pid]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    staged::write_store(dir.path(), &staged::staged());
    dir
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn from_the_list_to_the_dropped_binary_and_back_to_the_shell() {
    let (tmux, store) = (Tmux::new(120, 40), store());
    tmux.replay(store.path(), "");
    tmux.wait_for("batch-job-7f9c");
    tmux.press(&["j", "j", "j"]);
    tmux.wait("the selection", |screen| {
        screen.lines().any(|l| l.starts_with('›') && l.contains("batch-job-7f9c"))
    });
    tmux.press(&["Enter"]);
    tmux.wait_for("[2 Replay]");
    tmux.wait_for("of 268");
    tmux.press(&["/"]);
    tmux.run(&["send-keys", "-l", "/tmp/.x"]);
    tmux.press(&["Enter"]);
    tmux.wait("the hits", |screen| screen.contains("hidden") && screen.contains("/tmp/.x -q"));
    tmux.press(&["q"]);
    tmux.wait_for("ended with 0");
    tmux.is_as_found();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn hostile_text_changes_neither_title_nor_clipboard() {
    let (tmux, store) = (Tmux::new(120, 40), store());
    tmux.run(&["set-option", "-g", "set-clipboard", "on"]);
    tmux.run(&["set-option", "-g", "allow-rename", "on"]);
    tmux.run(&["set-buffer", "mine"]);
    let title = tmux.state("#{pane_title}");
    tmux.replay(store.path(), "");
    tmux.wait_for(r"\x1b]52;c;");
    tmux.press(&["Enter"]);
    tmux.wait_for("[2 Replay]");
    tmux.press(&["j", "j", "Enter"]);
    tmux.wait_for("Esc closes");
    // Escape and a letter in one go would be Alt and the letter.
    tmux.press(&["Escape"]);
    tmux.wait("the popup's end", |screen| !screen.contains("Esc closes"));
    tmux.press(&["q"]);
    tmux.wait_for("ended with 0");
    assert_eq!(tmux.state("#{pane_title}"), title);
    assert_eq!(tmux.run(&["show-buffer"]), "mine");
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn a_signal_ends_it_and_leaves_the_terminal_as_found() {
    let (tmux, store) = (Tmux::new(80, 24), store());
    tmux.replay(store.path(), "");
    tmux.signal("TERM");
    tmux.wait_for("ended with 143");
    tmux.is_as_found();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn suspended_it_gives_the_terminal_back_and_resumed_it_draws_again() {
    let (tmux, store) = (Tmux::new(100, 30), store());
    tmux.replay(store.path(), "");
    for way in ["key", "signal"] {
        match way {
            "key" => tmux.press(&["C-z"]),
            _ => tmux.signal("TSTP"),
        }
        tmux.wait("the shell", |screen| !screen.contains("containers") && screen.contains("ready>"));
        tmux.is_as_found();
        tmux.line("clear; fg >/dev/null");
        tmux.wait_for("batch-job-7f9c");
        assert_eq!(tmux.state("#{alternate_on}"), "1");
    }
    tmux.press(&["q"]);
    // The shell forgot the rest of its line when the program was stopped.
    tmux.wait("the shell", |screen| !screen.contains("containers") && screen.contains("ready>"));
    tmux.is_as_found();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn it_survives_a_storm_of_sizes() {
    let (tmux, store) = (Tmux::new(120, 40), store());
    tmux.replay(store.path(), "");
    tmux.press(&["j", "Enter"]);
    for (width, height) in [(1, 1), (200, 60), (39, 10), (80, 24), (60, 20), (300, 100), (40, 10), (120, 40)]
    {
        let (width, height) = (width.to_string(), height.to_string());
        tmux.run(&["resize-window", "-x", &width, "-y", &height]);
        tmux.press(&["j"]);
    }
    tmux.wait_for("[2 Replay]");
    tmux.press(&["q"]);
    tmux.wait_for("ended with 0");
    tmux.is_as_found();
}
