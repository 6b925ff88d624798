//! Tasks that a responder has, each done in a real terminal with the fewest keys.

use crate::{staged, tmux::Tmux};

/// The staged incident in the list of containers, in a folder of its own.
struct Desk {
    tmux: Tmux,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let store = folder.path().join("store");
        std::fs::create_dir(&store).expect("a directory");
        staged::write_store(&store, &staged::staged());
        staged::write_triggers(&store);
        let tmux = Tmux::new(120, 40);
        tmux.line(&format!("cd '{}'; export USER=ana", folder.path().display()));
        tmux.replay(&store, "");
        tmux.wait_for("batch-job-7f9c");
        Self { tmux, folder }
    }

    /// With the cursor on the container of the incident.
    fn on_the_incident() -> Self {
        let desk = Self::new();
        desk.tmux.press(&["G"]);
        desk.selected("batch-job-7f9c");
        desk
    }

    fn selected(&self, name: &str) {
        self.tmux.wait(name, |screen| screen.lines().any(|l| l.starts_with('›') && l.contains(name)));
    }

    fn quit(&self) {
        self.tmux.press(&["q"]);
        self.tmux.wait_for("ended with 0");
        self.tmux.is_as_found();
    }
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn which_container_ran_a_dropped_binary() {
    let desk = Desk::new();
    // Findings are counted in the background, and the cursor stays on its container when the order changes: as a person
    // does, wait for the count.
    desk.tmux.wait("its findings counted", |screen| {
        screen.lines().any(|l| l.contains("batch-job-7f9c") && l.contains("!!"))
    });
    // Worst findings first, and to the top: the storyline below says what happened there.
    desk.tmux.press(&["s", "g", "g"]);
    desk.tmux.wait("the worst container", |screen| {
        screen.lines().any(|l| l.starts_with('›') && l.contains("batch-job-7f9c"))
            && screen.contains("written, then executed: /tmp/.x -q")
    });
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn what_was_typed() {
    let desk = Desk::on_the_incident();
    desk.tmux.press(&["7"]);
    desk.tmux.wait("what was typed and seen", |screen| {
        screen.contains("<< cat /run/secrets/kubernetes.io/serviceaccount/token")
            && screen.contains(">> uid=1000(app) gid=1000(app)")
            && screen.contains("<< rm -f /tmp/.x; exit")
    });
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn which_peer_got_data() {
    let desk = Desk::on_the_incident();
    desk.tmux.press(&["6"]);
    desk.tmux.wait("the peer and how much it got", |screen| {
        screen
            .lines()
            .any(|l| l.contains("203.0.113.9:4444") && l.contains("1008 B") && l.contains("31412 .x"))
    });
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn which_of_all_containers_did_it_and_what_was_there_by_then() {
    let desk = Desk::new();
    desk.tmux.press(&["C-f", "c", "u", "r", "l", "Enter"]);
    desk.tmux.wait("the only container with such events", |screen| {
        screen.contains("1 of 4 containers") && screen.contains("HITS") && !screen.contains("% read")
    });
    desk.tmux.press(&["Enter"]);
    desk.tmux.wait_for("the first of ");
    // By the first of them nothing was dropped yet; at the end there is.
    desk.tmux.press(&["5", "f"]);
    let early = desk.tmux.wait_for("by the playhead");
    assert!(!early.contains("/tmp/.x"), "{early}");
    desk.tmux.press(&[")"]);
    desk.tmux.wait_for("/tmp/.x");
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn what_changed_between_the_good_and_the_bad_replica() {
    let desk = Desk::on_the_incident();
    // Without a mark the nearest other container of the same image is the other side.
    desk.tmux.press(&["d"]);
    desk.tmux.wait("what only the bad one did", |screen| {
        screen.contains("batch-job-81aa")
            && screen.lines().any(|l| l.contains("program") && l.contains("/tmp/.x"))
            && screen.lines().any(|l| l.contains("203.0.113.9:4444"))
    });
    desk.tmux.press(&["q"]);
    desk.tmux.wait("the list", |screen| !screen.contains("only in"));
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn export_the_finding() {
    let desk = Desk::on_the_incident();
    desk.tmux.press(&["8"]);
    desk.selected("written, then executed");
    desk.tmux.press(&["*"]);
    desk.tmux.wait_for("in the report; r writes it");
    desk.tmux.press(&["r"]);
    desk.tmux.wait_for("written to afterimage-report-7f9c0b2d4e6a.md");
    let report = std::fs::read_to_string(desk.folder.path().join("afterimage-report-7f9c0b2d4e6a.md"));
    let report = report.expect("a report");
    assert!(report.contains("## 1. written, then executed") && !report.contains("## 2."), "{report}");
    desk.quit();
    let case = std::fs::read_to_string(desk.folder.path().join("store.case.jsonl")).expect("a case file");
    assert!(
        case.lines().any(|l| l.contains("\"kind\":\"report\"") && l.contains("\"author\":\"ana\"")),
        "{case}"
    );
    assert!(case.lines().any(|l| l.contains("\"kind\":\"export\"")), "{case}");
    // Opened again, the recording is as it was left.
    let store = desk.folder.path().join("store");
    desk.tmux.line("clear");
    desk.tmux.line(&format!(
        "{} replay '{}'; echo ended with $?",
        env!("CARGO_BIN_EXE_afterimage"),
        store.display()
    ));
    desk.tmux.wait_for("[8 Findings]");
    desk.tmux.wait_for("1 in the report");
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn what_is_copied_reaches_the_clipboard_escaped() {
    let desk = Desk::new();
    desk.tmux.run(&["set-option", "-g", "set-clipboard", "on"]);
    desk.tmux.run(&["set-buffer", "mine"]);
    // The hostile container is the newest.
    desk.tmux.press(&["y", "y"]);
    desk.tmux.wait_for("copied: ");
    let begin = std::time::Instant::now();
    let copied = loop {
        let copied = desk.tmux.run(&["show-buffer"]);
        if copied != "mine" {
            break copied;
        }
        assert!(begin.elapsed() < crate::tmux::PATIENCE, "nothing was copied");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(copied.contains(r"\x1b]52;c;cm0gLXJmIC8=\x07"), "{copied}");
    assert!(!copied.contains('\x1b') && !copied.contains('\x07'), "{copied:?}");
    desk.quit();
}

#[test]
#[cfg_attr(not(has_tmux), ignore = "needs tmux")]
fn the_mouse_selects_and_is_given_back() {
    let desk = Desk::new();
    desk.tmux.wait("the mouse", |_| desk.tmux.state("#{mouse_any_flag}") == "1");
    desk.tmux.press(&["F2"]);
    desk.tmux.wait("the mouse's return", |_| desk.tmux.state("#{mouse_any_flag}") == "0");
    desk.quit();
}
