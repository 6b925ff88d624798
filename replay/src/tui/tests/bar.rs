//! The filter bar says what the filter does here, and what is wrong with it.

use crate::tui::harness::Harness;

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
