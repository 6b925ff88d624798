//! What tells somebody new where they are: the story first, what is hidden, what leads on, at every size.

use std::path::Path;

use crate::tui::{fixture, harness::Harness, stream::Target, symbols, text::safe, update};

/// The incident, in the list of containers.
fn containers(width: u16, height: u16) -> Harness {
    let mut harness = Harness::new(width, height);
    harness.press("j j j");
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
    harness
}

/// The recorded intrusion that comes with the program, opened.
fn sample() -> Harness {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    let mut harness = Harness::on(&sample, 120, 40);
    harness.press("Enter");
    harness
}

#[test]
fn a_story_that_is_longer_than_its_pane_is_told_by_what_stands_out() {
    let mut harness = containers(80, 24);
    let routine = "program executed: ";
    assert!(!harness.text().contains(routine), "{}", harness.text());
    assert!(harness.text().contains("reverse shell") && harness.text().contains(", A shows all"));
    harness.resize(60, 20);
    assert!(harness.text().contains(", A shows all"), "{}", harness.text());
    harness.resize(80, 24);
    harness.press("A");
    assert!(harness.text().contains(routine) && !harness.text().contains(", A shows all"));
    harness.press("A");
    harness.resize(200, 60);
    assert!(harness.text().contains(routine), "there is room for all of it: {}", harness.text());
    // The line that Enter goes to is the one that is shown.
    harness.resize(80, 24);
    harness.press("Tab j Enter");
    let there = harness.app.opened.as_ref().expect("opened").playhead.time;
    let story = harness.app.story().expect("a story");
    let weighty =
        story.rows.iter().filter(|row| row.severity >= afterimage_model::findings::Severity::Notice);
    assert_eq!(weighty.map(|row| row.time).nth(1), Some(there));
}

#[test]
fn events_of_the_set_up_that_are_left_out_are_counted_and_no_filter_finds_them() {
    let mut harness = sample();
    let hidden = " of set-up hidden (S)";
    assert!(harness.text().contains(hidden), "{}", harness.text());
    harness.press("S");
    assert!(!harness.text().contains(hidden));
    harness.press("/");
    harness.type_text("evt.type = mount");
    harness.press("Enter");
    assert!(!harness.text().contains(" 0 of "), "{}", harness.text());
    harness.press("S");
    assert!(harness.text().contains(" 0 of "), "{}", harness.text());
    harness.press("Ctrl-x @");
    harness.type_text("+1s");
    harness.press("Enter B");
    harness.type_text("evt.type = mount");
    harness.press("Enter");
    assert!(harness.text().contains("nothing earlier matches"), "{}", harness.text());
    // What is offered is what is found.
    harness.press("/");
    harness.type_text("proc.name = ");
    let offered = |harness: &Harness| harness.text().lines().any(|line| line.contains("│   date"));
    assert!(offered(&harness) && !harness.text().contains("<NA>"), "{}", harness.text());
}

#[test]
fn no_screen_is_hidden_behind_the_hints_and_hints_are_always_somewhere() {
    for width in [60, 79, 80, 99, 100, 105, 119, 120, 125, 200] {
        let mut harness = containers(width, 30);
        for screen in ["1", "2", "4", "0"] {
            harness.press(screen);
            let text = harness.text();
            assert!(text.contains("? keys") && text.contains(": actions"), "{width}: {text}");
            if width >= 100 {
                assert!(!text.lines().nth(1).is_some_and(|line| line.contains('…')), "{width}: {text}");
                for name in ["1 Containers", "7 Follow", "8 Findings", "0 Health"] {
                    assert!(text.lines().nth(1).is_some_and(|line| line.contains(name)), "{width}: {text}");
                }
            } else if width >= 80 {
                assert!(text.contains("0-8 screens"), "{width}: {text}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_filter_is_told_in_full() {
    let mut harness = containers(80, 24);
    harness.press("2 /");
    assert!(harness.text().contains("Enter applies   Esc cancels   Tab completes"));
    harness.type_text("proc.nme = sh");
    let last = harness.text().lines().last().map(str::to_owned).unwrap_or_default();
    assert!(last.contains("unknown field `proc.nme`; did you mean `proc.name`?"), "{}", harness.text());
}

#[test]
fn of_the_conversations_the_first_that_stands_out_is_selected_until_one_chooses() {
    let mut harness = sample();
    harness.press("6");
    let selected = |harness: &Harness| {
        let text = harness.text();
        text.lines().find(|line| line.starts_with('›')).map(str::to_owned).unwrap_or_default()
    };
    assert!(selected(&harness).starts_with("›!"), "{}", harness.text());
    assert!(harness.text().lines().any(|line| line.contains(" 127.0.0.1 ") && line.contains("raw out")));
    let whole = harness.app.story().and_then(|story| story.whole.clone()).expect("all was read");
    let talks = whole.conversations().iter().filter(|talk| talk.protocol == "tcp");
    let peers: Vec<String> = talks.filter_map(|talk| Some(talk.peer.as_ref()?.to_string())).collect();
    assert_eq!(peers.len(), 2, "{peers:?}");
    for width in [60, 80, 99, 100, 107, 108, 119, 120, 125, 160] {
        harness.resize(width, 30);
        let text = harness.text();
        for peer in &peers {
            let is_whole = |line: &str| line.contains("tcp out") && line.contains(&format!("{peer} "));
            assert!(text.lines().any(is_whole), "{width}: {peer} is cut: {text}");
        }
    }
    harness.resize(120, 40);
    harness.press("g g");
    let chosen = selected(&harness);
    assert!(!chosen.starts_with("›!"));
    harness.press("2 6");
    assert_eq!(selected(&harness), chosen);
}

#[test]
fn the_tree_begins_at_the_process_of_the_playhead_and_goes_with_it() {
    let mut harness = sample();
    let pid = |harness: &Harness| harness.app.selected_process().map(|row| row.pid);
    let at_playhead = |harness: &Harness| {
        let (page, at) = harness.app.opened.as_ref()?.at()?;
        page.rows.get(at).map(|row| row.pid)
    };
    harness.press("4");
    assert!(pid(&harness).is_some() && pid(&harness) == at_playhead(&harness));
    let before = pid(&harness);
    harness.press("n n n n");
    assert!(pid(&harness) != before && pid(&harness) == at_playhead(&harness));
    harness.press("g g");
    let chosen = pid(&harness);
    harness.press("N");
    assert_eq!(pid(&harness), chosen, "it is the user's now");
}

#[test]
fn where_nothing_stands_out_processes_have_lanes_all_the_same() {
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/plain.aftx");
    let mut harness = Harness::on(&plain, 120, 40);
    harness.press("Enter 3");
    assert!(harness.text().contains(" sh /srv/plain.sh"), "{}", harness.text());
}

#[test]
fn ascii_is_ascii_on_every_screen() {
    let mut harness = containers(120, 40);
    harness.app.look.symbols = &symbols::ASCII;
    harness.press("Enter");
    for keys in ["1", "2", "3", "4", "5", "6", "7", "8", "0", "? Esc :", "Esc / p"] {
        harness.press(keys);
        assert!(harness.text().is_ascii(), "{keys}: {}", harness.text());
    }
}

#[test]
fn a_container_without_a_name_is_not_told_twice() {
    let harness = sample();
    let header = harness.text().lines().next().map(str::to_owned).unwrap_or_default();
    let id = harness.app.subject().map(|row| row.short_id.as_str().to_owned()).expect("an id");
    assert_eq!(header.matches(&id).count(), 1, "{header}");
    let mut named = containers(120, 40);
    update::begin_in(&mut named.app, fixture::INCIDENT);
    named.settle();
    let header = named.text().lines().next().map(str::to_owned).unwrap_or_default();
    assert!(header.contains("batch-job-7f9c") && header.contains("7f9c0b2d4e6a"), "{header}");
}

#[test]
fn letters_of_rows_are_explained_at_the_top_of_the_help() {
    for (screen, letter) in [("3", "the process ends"), ("5", "mode or owner set")] {
        let mut harness = containers(80, 24);
        harness.press("2");
        harness.press(screen);
        harness.press("?");
        assert!(harness.text().contains(letter), "{}", harness.text());
    }
}

#[test]
fn a_moment_says_why_it_stands_out_and_is_told_to_its_end() {
    let mut harness = sample();
    harness.resize(100, 30);
    assert!(harness.text().contains("!! written, then executed"), "{}", harness.text());
    let last = "cgroup id";
    harness.press("Tab Tab");
    assert!(!harness.text().contains(last));
    harness.press("G");
    assert!(harness.text().contains(last), "{}", harness.text());
    harness.press("g g Enter");
    assert!(harness.text().contains("!! written, then executed"), "{}", harness.text());
    harness.press("G");
    assert!(harness.text().contains(last), "{}", harness.text());
}

#[test]
fn a_recording_whose_containers_cannot_be_read_is_not_told_as_empty() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/plain.aftx");
    let whole = std::fs::read(sample).expect("the sample");
    let dir = tempfile::tempdir().expect("a directory");
    let cut = dir.path().join("cut.aftx");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let harness = Harness::on(&cut, 80, 24);
    assert!(harness.text().contains("no container in what can be read"), "{}", harness.text());
}

/// The clock's line was drawn over the first row of it.
#[test]
fn a_message_of_several_rows_is_whole() {
    let mut harness = Harness::new(80, 24);
    harness.press("j j j 7");
    let words: Vec<String> = (100..125).map(|number| format!("word{number}")).collect();
    harness.app.say(safe!("{}", words.join(" ")));
    let text = harness.text();
    let lacking: Vec<&String> = words.iter().filter(|word| !text.contains(word.as_str())).collect();
    assert!(lacking.is_empty(), "{lacking:?} in\n{text}");
}

#[test]
fn the_stream_of_a_container_is_the_shell_that_somebody_sat_at() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j 7");
    let shell = harness.app.story().expect("a story").rows.iter().find(|row| row.tag.as_str() == "T1059.004");
    let pid = shell.expect("a shell on a connection").pid;
    let Some(Target::Process(key)) = harness.app.opened.as_ref().expect("opened").target.clone() else {
        panic!("no process is followed: {}", harness.text())
    };
    assert_eq!(key.tgid, pid, "{}", harness.text());
}
