//! A real terminal for tests: tmux stands in for the user, keys in, screens out.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The longest that a screen may take to appear: generous, only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A terminal of its own tmux server, which ends with it.
pub(crate) struct Tmux {
    socket: String,
}

impl Tmux {
    /// A terminal of this size in which a shell runs.
    pub(crate) fn new(width: u16, height: u16) -> Self {
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

    pub(crate) fn tmux(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").args(["-L", &self.socket]);
        command.args(args).output().expect("tmux is needed")
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.tmux(args);
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line into the shell.
    pub(crate) fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.run(&["send-keys", "Enter"]);
    }

    /// Presses keys, as tmux names them.
    pub(crate) fn press(&self, keys: &[&str]) {
        for key in keys {
            self.run(&["send-keys", key]);
        }
    }

    pub(crate) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as `wanted` says.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
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

    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Starts the TUI on a store, and tells when it has ended and how.
    pub(crate) fn replay(&self, store: &Path, rest: &str) {
        let program = env!("CARGO_BIN_EXE_afterimage");
        self.line(&format!("{program} replay '{}' {rest}; echo ended with $?", store.display()));
        self.wait_for("containers");
    }

    /// What tmux knows of the terminal.
    pub(crate) fn state(&self, format: &str) -> String {
        self.run(&["display-message", "-p", format]).trim().to_owned()
    }

    pub(crate) fn is_as_found(&self) {
        // The shell has the terminal again: what was typed before would be read in the mode of the TUI.
        let format = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{pane_current_command}";
        self.wait("the terminal as it was found", |_| self.state(format) == "0 1 0 sh");
        // Raw mode would leave the line unfinished.
        self.line("echo still $((40 + 2))");
        self.wait_for("still 42");
    }

    /// The process of the TUI.
    pub(crate) fn program(&self) -> String {
        let shell = self.state("#{pane_pid}");
        let children = Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &shell]).output().expect("ps");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let pid = children
            .lines()
            .find(|line| line.contains("afterimage"))
            .and_then(|line| line.split_whitespace().next());
        pid.unwrap_or_else(|| panic!("no TUI among {children:?}")).to_owned()
    }

    /// Sends a signal to the TUI.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.program();
        let sent = Command::new("kill").args([format!("-{name}"), pid]).status().expect("kill");
        assert!(sent.success());
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
