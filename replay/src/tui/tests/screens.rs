//! Every screen as text and as styles, on the staged events and a fixed clock.

use crate::tui::{fixture, harness::Harness, theme::Theme, update};

/// The sizes of the design's table.
const SIZES: [(u16, u16); 5] = [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)];

/// Keeps the screen as text in every size, and as styles in the two that matter most.
fn keep(name: &str, harness: &mut Harness) {
    for (width, height) in SIZES {
        harness.resize(width, height);
        insta::assert_snapshot!(format!("{name}-{width}x{height}"), harness.text());
        if matches!(width, 120 | 80) {
            insta::assert_snapshot!(format!("{name}-{width}x{height}-styles"), harness.styles());
        }
    }
}

/// The list with the cursor on the incident.
fn containers() -> Harness {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j");
    assert_eq!(harness.app.selected().map(|row| row.uid), Some(fixture::INCIDENT));
    harness
}

/// The incident, the playhead where the dropped binary is executed.
fn replay() -> Harness {
    let mut harness = containers();
    harness.press("Enter @");
    harness.type_text("+19.2922s");
    harness.press("Enter");
    harness
}

#[test]
fn containers_screen() {
    keep("containers", &mut containers());
}

#[test]
fn containers_that_a_filter_keeps() {
    let mut harness = containers();
    harness.press("/");
    harness.type_text("batch deleted");
    keep("containers-typing", &mut harness);
    harness.press("Enter");
    keep("containers-filtered", &mut harness);
}

#[test]
fn replay_screen() {
    keep("replay", &mut replay());
}

#[test]
fn replay_with_a_filter_zoomed_in_and_playing() {
    let mut harness = replay();
    harness.press("/");
    harness.type_text("/tmp/.x");
    harness.press("Enter z z + ;");
    keep("replay-filtered", &mut harness);
}

#[test]
fn what_was_lost_stands_between_the_events_and_in_the_timeline() {
    let mut harness = Harness::new(120, 40);
    harness.press("j Enter @");
    harness.type_text("+11.9s");
    harness.press("Enter");
    assert!(
        harness.text().contains("× 312 events lost within 800ms: ring full, cpu 3"),
        "{}",
        harness.text()
    );
    keep("replay-lost", &mut harness);
}

#[test]
fn the_screens_about_a_whole_life() {
    for (digit, name) in
        [("3", "timeline"), ("4", "tree"), ("5", "files"), ("6", "net"), ("8", "findings"), ("0", "health")]
    {
        let mut harness = replay();
        harness.press(digit);
        keep(name, &mut harness);
    }
}

#[test]
fn a_stream_as_text_and_as_bytes() {
    let mut harness = replay();
    harness.press("4 g g");
    harness.press("j j j j j j");
    assert_eq!(harness.app.selected_process().map(|row| row.pid), Some(31_418));
    harness.press("7");
    keep("follow", &mut harness);
    harness.press("X s");
    keep("follow-other", &mut harness);
    // What was typed, digit by digit: whatever the width, no byte is left out.
    for (width, height) in SIZES {
        harness.resize(width, height.max(60));
        let digits: String = harness
            .text()
            .lines()
            .filter_map(|line| line.split("<< ").nth(1))
            .flat_map(|line| line.split_whitespace().skip(1).map(|word| word.trim_end_matches('…')))
            .filter(|word| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .collect();
        assert!(digits.contains("636174202f72756e2f73656372657473"), "{width}: {}", harness.text());
    }
}

#[test]
fn findings_with_what_was_noted() {
    let mut harness = replay();
    harness.press("m a 8 * b");
    harness.type_text("the dropper #ioc T1105");
    harness.press("Enter Tab Tab");
    keep("findings-noted", &mut harness);
}

#[test]
fn popups() {
    for (name, keys) in [
        ("help", "?"),
        ("palette", ": z o o"),
        ("goto", "@"),
        ("event", "Enter"),
        ("compare", "1 d"),
        ("keep", "="),
        ("copy", "y"),
        ("mark", "m a m"),
        ("parts", "/ s h Enter F"),
        ("complete", "/ p r o c . n a m e Space = Space"),
    ] {
        let mut harness = replay();
        harness.press(keys);
        keep(name, &mut harness);
    }
}

#[test]
fn a_moment_that_is_none_is_refused_with_the_reason() {
    let mut harness = replay();
    harness.press("@");
    harness.type_text("tomorrow");
    harness.press("Enter");
    assert!(harness.text().contains("`tomorrow` is no moment"), "{}", harness.text());
}

#[test]
fn every_theme_and_ascii() {
    let mut harness = replay();
    for theme in Theme::ALL {
        harness.app.look.theme = *theme;
        insta::assert_snapshot!(format!("replay-{}", theme.name()), harness.styles());
    }
    harness.app.look.symbols = &crate::tui::symbols::ASCII;
    insta::assert_snapshot!("replay-ascii", harness.text());
    assert!(harness.text().is_ascii());
}

#[test]
fn too_small_a_terminal_is_told_what_is_needed() {
    let mut harness = replay();
    harness.resize(38, 9);
    insta::assert_snapshot!("too-small", harness.text());
}

#[test]
fn a_container_named_on_the_command_line_is_opened_at_once() {
    let mut harness = Harness::new(120, 40);
    update::begin_in(&mut harness.app, fixture::SIBLING);
    harness.settle();
    assert!(harness.text().contains("[2 Replay]"));
    assert!(harness.text().contains("batch-job-81aa"));
}

/// The sample's implant was kept when it was executed, and its log was appended to: both can be saved as a whole.
#[test]
fn a_file_is_shown_and_saved_as_far_as_the_recording_has_it() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    let mut harness = Harness::on(&sample, 200, 60);
    harness.press("Enter 5");
    let mut saved = |path: &[u8]| {
        harness.press("g g");
        for _ in 0..50 {
            if harness.app.selected_file().is_some_and(|file| file.path == path) {
                break;
            }
            harness.press("j");
        }
        let text = harness.text();
        match harness.press("W") {
            Some(update::Effect::Save(evidence)) => (text, evidence),
            other => panic!("{other:?} for {text}"),
        }
    };
    let (text, implant) = saved(b"/tmp/.update");
    assert!(text.contains("8.6 KiB as they were executed"), "{text}");
    assert_eq!((implant.bytes.len(), implant.lacking), (8808, None));
    assert!(implant.bytes.starts_with(b"\x7fELF"));
    let (text, log) = saved(b"/var/log/service.log");
    assert!(text.contains("283 B put together from 4 writes; 4 writes whose place"), "{text}");
    assert!(log.bytes.starts_with(b"09:29:57 GET /index.html\n09:29:57 GET /about.html\nPING "));
    assert!(log.lacking.expect("told").as_str().contains("what the file may have held before is not known"));
}
