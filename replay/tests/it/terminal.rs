//! The TUI in a real terminal, left as found on every way out.

use crate::{staged, tmux::Tmux};

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
