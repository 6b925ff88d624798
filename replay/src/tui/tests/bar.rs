//! The filter bar says what the filter does here, and what is wrong with it.

use crate::tui::{feed::Reply, fixture, harness::Harness, update};

fn answer(harness: &mut Harness, text: &str) {
    harness.press("/ Ctrl-u");
    harness.type_text(text);
    harness.press("Enter");
}

/// The filter's line.
fn bar(harness: &Harness) -> String {
    let screen = harness.text();
    screen.lines().map(str::trim).find(|line| line.starts_with("/ ")).expect("the bar").to_owned()
}

/// The command line said so, and no screen did.
#[test]
fn what_is_not_certain_of_a_filter_is_said_beside_it_and_explained() {
    let why = "not certain: events of these containers were lost";
    for (width, height) in [(80, 24), (120, 40)] {
        let mut harness = Harness::new(width, height);
        answer(&mut harness, "file.written = true");
        let screen = harness.text();
        assert!(bar(&harness).contains("not certain") && screen.contains(why), "{screen}");
        update::begin_in(&mut harness.app, fixture::SIBLING);
        harness.settle();
        answer(&mut harness, "file.written = true");
        assert!(bar(&harness).contains(" not certain (e)"), "{}", harness.text());
        harness.press("e");
        let screen = harness.text();
        assert!(screen.contains(why) && screen.contains("`file.written` and its like"), "{screen}");
        harness.press("Esc");
        answer(&mut harness, "evt.type = openat");
        assert!(!bar(&harness).contains("certain"), "{}", harness.text());
        update::begin_in(&mut harness.app, fixture::INCIDENT);
        harness.settle();
        answer(&mut harness, "file.written = true");
        assert!(!bar(&harness).contains("certain"), "this one lost nothing: {}", harness.text());
    }
}

#[test]
fn a_filter_that_keeps_more_than_is_remembered_says_so() {
    let mut harness = Harness::new(80, 24);
    harness.press("Enter");
    answer(&mut harness, "evt.type = openat");
    assert!(bar(&harness).contains(" hidden"), "{}", harness.text());
    let opened = harness.app.opened.as_ref().expect("one");
    let (key, hits) = opened.hits.entry().expect("hits");
    let (key, mut hits) = (key.clone(), hits.clone());
    hits.full = true;
    update::receive(&mut harness.app, Reply::Hits(key, hits));
    let line = bar(&harness);
    assert!(line.contains("there are more") && !line.contains("hidden"), "nobody read the rest: {line}");
}

#[test]
fn a_filter_that_only_events_can_answer_says_so_and_reads_them() {
    let mut harness = Harness::new(120, 40);
    harness.press("/");
    harness.type_text("evt.type = connect");
    assert!(harness.text().contains("asks events: Enter reads them"), "{}", harness.text());
    harness.press("Enter");
    let screen = harness.text();
    assert!(!screen.contains("asks events") && screen.contains(" hits"), "{screen}");
    harness.press("/");
    harness.type_text(" and container.name = batch-job-7f9c");
    harness.press("Enter");
    assert!(harness.text().contains(" 1 of 4 containers"), "{}", harness.text());
    harness.press("/ Ctrl-u");
    harness.type_text("container.name = batch-job-7f9c");
    harness.press("Enter");
    assert!(!harness.text().contains("asks events"), "{}", harness.text());
    harness.press("/ Ctrl-u");
    harness.type_text("batch");
    harness.press("Enter");
    assert!(!harness.text().contains("asks events"), "{}", harness.text());
}

#[test]
fn what_is_wrong_with_a_filter_is_said_in_full() {
    let whole = "invalid at 1: unknown field `evt.typ`; did you mean `evt.type`?";
    for (width, height) in [(120, 40), (100, 30), (80, 24), (60, 20), (40, 10)] {
        let mut harness = Harness::new(width, height);
        harness.press("Enter /");
        harness.type_text("evt.typ = open");
        let screen = harness.text();
        let lines: Vec<&str> = screen.lines().map(str::trim).collect();
        let from = lines.len() - 3;
        let footer = lines[from..].join(" ");
        assert!(footer.contains(whole), "{width}: {screen}");
        let bar = lines.iter().find(|line| line.starts_with("/ evt.typ")).expect("the bar");
        assert!(bar.contains("invalid at 1") && !bar.contains('…'), "{width}: {screen}");
        assert_eq!(bar.contains(whole), width >= 100, "{width}: {screen}");
    }
}

#[test]
fn running_until_nothing_is_refused_with_what_is_wanted() {
    let mut harness = Harness::new(120, 40);
    for (key, hint) in [("w", "the next event that it keeps"), ("B", "the previous event that it keeps")] {
        harness.press("1 Enter");
        harness.press(key);
        assert!(harness.text().contains(hint), "{}", harness.text());
        harness.press("Enter");
        assert!(harness.text().contains("nothing to look for: write a filter"), "{}", harness.text());
        harness.press("Esc");
    }
}

#[test]
fn a_value_is_offered_once_whether_it_occurs_or_only_could() {
    let mut harness = Harness::new(120, 40);
    harness.press("Enter /");
    harness.type_text("fd.type = ");
    harness.settle();
    let candidates = &harness.app.bar.completion.candidates;
    let mut texts: Vec<&str> = candidates.iter().map(|(text, _)| text.as_str()).collect();
    assert!(candidates.iter().any(|(text, note)| text == "file" && note.as_str().ends_with(" events")));
    assert!(texts.contains(&"pidfd"), "none of these is here, and could be: {texts:?}");
    let count = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count);
}

/// What is offered stands beside what is typed: Enter applies what is typed, and Tab alone takes what is offered.
#[test]
fn a_bare_word_is_what_is_looked_for_whatever_is_offered() {
    for (keys, applied, typed) in
        [("Enter", "deleted", None), ("Down Enter", "deleted", None), ("Tab", "", Some("file.deleted "))]
    {
        let mut harness = Harness::new(80, 24);
        harness.press("Enter /");
        harness.type_text("deleted");
        let offered = &harness.app.bar.completion.candidates;
        assert!(offered.iter().any(|(text, _)| text == "file.deleted"), "{offered:?}");
        assert!(harness.text().contains("Tab takes it"), "{}", harness.text());
        harness.press(keys);
        assert_eq!(harness.app.bar.filter.text(), applied, "{keys}");
        let line = harness.app.bar.edit.as_ref().map(|line| line.text());
        assert_eq!(line.as_deref(), typed, "{keys}");
    }
}
