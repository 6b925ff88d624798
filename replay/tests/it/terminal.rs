//! The TUI in a real terminal, left as found on every way out.

use std::path::Path;

use crate::{
    staged,
    tmux::{PATIENCE, Tmux},
};

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
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        tmux.line("clear");
        tmux.replay(store.path(), "");
        tmux.signal(signal);
        tmux.wait_for(&format!("ended with {code}"));
        tmux.is_as_found();
    }
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
#[cfg_attr(not(debug_assertions), ignore = "needs a debug build")]
fn a_panic_leaves_the_terminal_as_found_and_says_its_words_escaped() {
    let (tmux, store) = (Tmux::new(100, 30), store());
    tmux.run(&["set-option", "-g", "set-clipboard", "on"]);
    tmux.run(&["set-buffer", "mine"]);
    let title = tmux.state("#{pane_title}");
    tmux.line(r"export AFTERIMAGE_TEST_PANIC=$(printf 'a\033]52;c;cm0gLXJmIC8=\007\033]0;own\007\033[2Jb')");
    tmux.replay(store.path(), "");
    tmux.press(&["j"]);
    let screen = tmux.wait_for("ended with 5");
    // The words may be wrapped by the terminal.
    let said = screen.replace('\n', "");
    assert!(said.contains(r"a\x1b]52;c;cm0gLXJmIC8=\x07\x1b]0;own\x07\x1b[2Jb"), "{screen}");
    assert!(said.contains("internal error at") && said.contains("please report this"), "{screen}");
    assert_eq!(tmux.state("#{pane_title}"), title);
    assert_eq!(tmux.run(&["show-buffer"]), "mine");
    tmux.is_as_found();
}

/// As a connection that breaks: the other end of the terminal is closed, and the program has to end.
fn ends_without_a_terminal(tmux: &Tmux) {
    let pid = tmux.program();
    tmux.run(&["kill-server"]);
    let begin = std::time::Instant::now();
    while Path::new(&format!("/proc/{pid}/exe")).exists() {
        assert!(begin.elapsed() < PATIENCE, "it goes on without a terminal");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn when_the_connection_breaks_it_ends_by_itself() {
    for size in [(120, 40), (40, 10)] {
        let (tmux, store) = (Tmux::new(size.0, size.1), store());
        tmux.replay(store.path(), "");
        ends_without_a_terminal(&tmux);
    }
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn a_hang_up_that_is_ignored_ends_it_too() {
    // As `nohup` starts it: the signal does not come, the closed terminal does.
    let (tmux, store) = (Tmux::new(80, 24), store());
    tmux.line("trap '' HUP");
    tmux.replay(store.path(), "");
    ends_without_a_terminal(&tmux);
}

/// Somebody at a terminal who names a recording wants to see it, with all that `replay` takes.
#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn a_recording_without_a_verb_is_opened() {
    let (tmux, store) = (Tmux::new(100, 30), store());
    let program = env!("CARGO_BIN_EXE_afterimage");
    let path = store.path().display();
    tmux.line(&format!("{program} --ascii '{path}' -c batch-job-7f9c; echo ended with $?"));
    tmux.wait_for("[2 Replay]");
    tmux.press(&["q"]);
    tmux.wait_for("ended with 0");
    tmux.line(&format!("{program} '{path}' --no-such-option; echo ended with $?"));
    tmux.wait_for("ended with 2");
    tmux.wait_for("--no-such-option");
    tmux.is_as_found();
}

#[test]
fn without_a_terminal_it_says_so_and_ends() {
    let store = store();
    let ran = crate::run::afterimage(&["replay", store.path().to_str().expect("a path")]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr().contains("terminal") && !ran.stdout().contains('\x1b'), "{ran:?}");
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
