//! The guided tour of the bundled recording: one step at a time, each over when the user has done it.
//!
//! It takes rows of its own at the bottom of the terminal, so that nothing it speaks of is hidden by it.

use crate::tui::{app::App, feed::Story, player::Motion, screen::Screen, text};

/// A step: what is said, and whether it was done.
struct Step {
    text: &'static str,
    done: fn(&App) -> bool,
}

const STEPS: &[Step] = &[
    Step {
        text: "A container of a web service ran for two seconds and was deleted, its root file system with it. It was \
               being recorded. The storyline (Tab, where it is not beside the list) says what happened. Press Enter.",
        done: |app| app.screen == Screen::Replay,
    },
    Step {
        text: "The playhead stands at the first grave finding: a program that was written here is executed. The tree \
               (Tab) has who was alive at that instant. Press n for the next finding, N for the one before.",
        done: is_past_the_first_finding,
    },
    Step {
        text: "Time goes both ways: Space plays, ; plays backwards, . and , step by one event, @ goes to a moment such \
               as +1.5s. What is shown is the state at the playhead. Press Space.",
        done: |app| app.opened.as_ref().is_some_and(|o| o.player.motion != Motion::Paused),
    },
    Step {
        text: "The whole life at a glance: when each process lived, which files were written (w), executed (X) and \
               deleted (u), and which peers were talked to. Press 3.",
        done: |app| app.screen == Screen::Timeline,
    },
    Step {
        text: "Which file was it? Press 5. The first one was created, made executable, executed and deleted; below is \
               by whom, and the first bytes of a program that no longer exists. X shows them as text.",
        done: |app| app.screen == Screen::Files,
    },
    Step {
        text: "Whom did it talk to? Press 6: the conversation marked ! is the reverse shell. Press Enter for what the \
               intruder typed into it, and what came back.",
        done: |app| app.screen == Screen::Follow,
    },
    Step {
        text: "Everything can be asked for in Falco's language. Press 2, then / and type  proc.name=cat and \
               evt.type=openat  and Enter: the row marked ! is the token being read.",
        done: |app| !app.bar.filter.is_empty(),
    },
    Step {
        text: "Ctrl-x takes the filter away, on every screen. Then press 8: every finding with its evidence and its ATT&CK \
               technique; Enter or o leads to its moment.",
        done: |app| app.screen == Screen::Findings && app.bar.filter.is_empty(),
    },
    Step {
        text: "That was the tour. ? has every key, : every action by its name, q quits. The same answers for scripts: \
               afterimage report, tree, files, net, follow, grep, hunt. F3 takes this away.",
        done: |_| false,
    },
];

/// Rows that it takes of a terminal so many cells wide: a rule, and as many as the longest step needs, so that nothing moves
/// from one step to the next.
pub(crate) fn rows(width: u16) -> u16 {
    let width = usize::from(width.saturating_sub(2));
    let longest = STEPS.iter().map(|step| text::wrapped(step.text, width).count()).max().unwrap_or(0);
    u16::try_from(longest + 1).unwrap_or(u16::MAX)
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tour {
    at: usize,
}

impl Tour {
    /// What is to be done now, with its number and how many there are.
    pub(crate) fn now(self) -> (&'static str, usize, usize) {
        (STEPS.get(self.at).map_or("", |step| step.text), self.at + 1, STEPS.len())
    }
}

fn is_past_the_first_finding(app: &App) -> bool {
    let Some(opened) = &app.opened else { return false };
    let first = app.stories.of(opened.uid).and_then(Story::beginning);
    first.is_some_and(|row| opened.playhead.time > row.time)
}

/// Goes on when what was asked for was done.
pub(crate) fn advance(app: &mut App) {
    let step = app.tour.and_then(|tour| STEPS.get(tour.at));
    if step.is_some_and(|step| (step.done)(app)) {
        next(app);
    }
}

/// The next step; after the last one the tour is over.
pub(crate) fn next(app: &mut App) {
    app.tour = app.tour.map(|tour| Tour { at: tour.at + 1 }).filter(|tour| tour.at < STEPS.len());
}
