//! What people note, and what they take from rows: marks, notes, the report, values to keep, drop and copy.

use std::ops::ControlFlow;

use afterimage_format::Query;
use afterimage_model::{World, streams::Streams};

use crate::tui::{
    app::Popup,
    case::Case,
    feed::Reply,
    fixture,
    harness::Harness,
    screen::Screen,
    update::{self, Effect},
};

fn replay() -> Harness {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j Enter");
    harness
}

fn at(harness: &mut Harness, moment: &str) {
    harness.press("@");
    harness.type_text(moment);
    harness.press("Enter");
}

fn seconds(harness: &Harness) -> f64 {
    let opened = harness.app.opened.as_ref().expect("a container");
    (opened.playhead.time.0 - opened.whole.0.0) as f64 / 1e9
}

fn answer(harness: &mut Harness, keys: &str, text: &str) {
    harness.press(keys);
    harness.type_text(text);
    harness.press("Enter");
}

#[test]
fn marks_lead_back_and_notes_are_stepped_through() {
    let mut harness = replay();
    at(&mut harness, "+20s");
    harness.press("m a");
    at(&mut harness, "+5s");
    answer(&mut harness, "b", "the api call #todo T1071");
    at(&mut harness, "+30s");
    answer(&mut harness, "c", "nothing here");
    harness.press("' a");
    assert!((seconds(&harness) - 20.0).abs() < 0.1, "{}", seconds(&harness));
    harness.press("]");
    assert!((seconds(&harness) - 30.0).abs() < 0.6, "{}", seconds(&harness));
    harness.press("[ [");
    assert!((seconds(&harness) - 5.0).abs() < 0.6, "{}", seconds(&harness));
    harness.press("[");
    assert!(harness.text().contains("no mark or note earlier"));
    harness.press("' x");
    assert!(harness.text().contains("no mark x in this container"));
    answer(&mut harness, "@", "mark:a");
    assert!((seconds(&harness) - 20.0).abs() < 0.1, "{}", seconds(&harness));
    harness.press("8");
    assert!(harness.text().contains("the api call #todo T1071  ana"), "{}", harness.text());
    harness.press("Tab Tab j j o");
    assert_eq!(harness.app.screen, Screen::Replay);
    assert!((seconds(&harness) - 30.0).abs() < 0.6, "{}", seconds(&harness));
}

#[test]
fn a_recording_that_is_opened_again_is_as_it_was_left() {
    let mut harness = replay();
    at(&mut harness, "+20s");
    harness.press("m a");
    answer(&mut harness, "/", "proc.name = sh");
    answer(&mut harness, "$", "shells");
    harness.press("4");
    update::leave(&mut harness.app);
    let text = harness.app.case.unwritten();
    assert!(text.lines().count() >= 4, "{text}");

    let mut again = Harness::new(120, 40);
    again.app.case = Case::read("07".to_owned(), "bo".to_owned(), &text);
    update::restore(&mut again.app, true);
    again.settle();
    assert_eq!(again.app.opened.as_ref().map(|o| o.uid), Some(fixture::INCIDENT));
    assert_eq!(again.app.screen, Screen::Tree);
    assert_eq!(again.app.bar.filter.text(), "proc.name = sh");
    assert!((seconds(&again) - 20.0).abs() < 0.1);
    again.press("2 F");
    assert!(again.text().contains("$shells"), "{}", again.text());
    again.press("Esc ' a");
    assert!((seconds(&again) - 20.0).abs() < 0.1);
}

/// The report that `r` writes.
fn report(harness: &mut Harness) -> (String, String) {
    harness.press("r");
    saved(harness)
}

fn saved(harness: &mut Harness) -> (String, String) {
    let saved = std::mem::take(&mut harness.app.outbox).into_iter().find_map(|effect| match effect {
        Effect::Save(made) => Some((made.name, String::from_utf8(made.bytes).expect("text"))),
        _ => None,
    });
    saved.unwrap_or_else(|| panic!("no report:\n{}", harness.text()))
}

#[test]
fn the_report_has_what_was_put_into_it_with_its_evidence() {
    let mut harness = replay();
    // The list begins with the finding of the playhead: the weightiest.
    harness.press("8 *");
    answer(&mut harness, "c", "the dropper");
    let (name, text) = report(&mut harness);
    assert_eq!(name, "afterimage-report-7f9c0b2d4e6a.md");
    assert!(text.starts_with("# Container batch"), "{text}");
    assert!(text.contains("## 1. written, then executed"), "{text}");
    assert!(!text.contains("## 2."), "{text}");
    assert!(text.contains("the dropper") && text.contains("ana"), "{text}");
    assert!(text.contains("    > 2026-11-21T11:58:21.410"), "{text}");
    // Taken out again, nothing is chosen: then every warning and worse is told.
    harness.press("*");
    let (_, all) = report(&mut harness);
    assert!(all.matches("\n## ").count() >= 7, "{all}");
}

#[test]
fn the_report_is_of_the_open_container_wherever_the_cursor_is() {
    let mut harness = replay();
    harness.press("8 *");
    let (name, text) = report(&mut harness);
    harness.press("1 k");
    assert_ne!(harness.app.subject().map(|row| row.uid), Some(fixture::INCIDENT));
    answer(&mut harness, ":", "report");
    assert_eq!(saved(&mut harness), (name, text));
}

#[test]
fn a_report_of_hostile_names_is_text_and_ends_no_block() {
    let mut harness = Harness::new(120, 40);
    harness.press("Enter *");
    let (_, text) = report(&mut harness);
    assert!(text.contains(r"\x1b]52;c;"), "{text}");
    assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}' || c == '\u{200b}')));
}

#[test]
fn values_of_a_row_are_kept_and_dropped() {
    let mut harness = replay();
    at(&mut harness, "+21.447s");
    harness.press("= =");
    assert_eq!(harness.app.bar.filter.text(), "proc.name = id");
    harness.press("u !");
    assert!(harness.text().contains("not proc.name = id"), "{}", harness.text());
    harness.press("Enter");
    assert_eq!(harness.app.bar.filter.text(), "not proc.name = id");
    harness.press("Ctrl-x 6 = Enter");
    assert!(harness.app.bar.filter.text().starts_with("fd.rip = "), "{}", harness.app.bar.filter.text());
    harness.press("Ctrl-x 5 = Enter");
    assert_eq!(harness.app.bar.filter.text(), "fd.name = /tmp/.x");
}

#[test]
fn hostile_values_are_kept_as_values() {
    let mut harness = Harness::new(120, 40);
    harness.press("Enter j =");
    let Some(Popup::Menu(menu)) = &harness.app.popup else { panic!("{}", harness.text()) };
    let count = menu.rows.len();
    assert!(count > 3);
    for number in 1..=count.min(9) {
        harness.press("Esc Ctrl-x =");
        harness.press(&number.to_string());
        assert!(harness.app.bar.filter.chips().len() == 1, "{}", harness.text());
        assert!(!harness.text().contains("invalid"), "{}", harness.text());
    }
}

#[test]
fn a_row_is_copied_as_escaped_text() {
    let mut harness = Harness::new(120, 40);
    harness.press("Enter j y y");
    let copied: Vec<Effect> = std::mem::take(&mut harness.app.outbox);
    let [Effect::Copy(text)] = copied.as_slice() else { panic!("{copied:?}") };
    assert!(!text.as_str().contains('\x1b') && !text.as_str().is_empty());
    harness.press("1 C");
    assert!(harness.text().contains("afterimage ls /var/lib/afterimage"), "{}", harness.text());
}

#[test]
fn the_playhead_runs_until_a_filter_matches_and_back() {
    let mut harness = replay();
    harness.press("(");
    answer(&mut harness, "w", "fd.rport = 4444");
    let first = seconds(&harness);
    assert!((first - 19.812).abs() < 0.01, "{first}");
    answer(&mut harness, "w", "proc.name = rm");
    assert!((seconds(&harness) - 37.097).abs() < 0.01, "{}", seconds(&harness));
    answer(&mut harness, "B", "evt.type = connect");
    assert!((seconds(&harness) - first).abs() < 0.01, "{}", seconds(&harness));
    answer(&mut harness, "w", "proc.name = nobody");
    assert!(harness.text().contains("nothing later matches proc.name = nobody"), "{}", harness.text());
    answer(&mut harness, "w", "proc.nam = x");
    assert!(harness.text().contains("unknown field"), "{}", harness.text());
}

#[test]
fn fields_operators_and_values_that_occur_are_offered() {
    let mut harness = replay();
    harness.press("/");
    harness.type_text("proc.na");
    assert!(harness.text().contains("proc.name"), "{}", harness.text());
    harness.press("Tab");
    assert!(harness.text().contains("contains"), "{}", harness.text());
    harness.type_text("= c");
    assert!(harness.text().contains("curl"), "{}", harness.text());
    assert!(harness.text().contains(" events"), "{}", harness.text());
    harness.press("Tab Enter");
    let text = harness.app.bar.filter.text();
    assert!(text == "proc.name = curl" || text == "proc.name = cat", "{text}");
}

#[test]
fn rules_add_to_the_findings() {
    let mut harness = replay();
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let text = "- rule: a shell\n  desc: x\n  condition: evt.type = execve and proc.name = sh\n  \
                output: shell %proc.cmdline\n  priority: CRITICAL\n  tags: [T1059.004]\n";
    std::fs::write(rules.path(), text).expect("written");
    harness.press("8");
    answer(&mut harness, "R", &rules.path().display().to_string());
    assert!(harness.text().contains("rule a shell: shell"), "{}", harness.text());
    assert!(!harness.text().contains("rules matched 0"), "{}", harness.text());
    // What its author should know is told with them, and goes with the next file.
    assert!(!harness.text().contains("the rules that were asked"), "{}", harness.text());
    let odd = text.replace("proc.name = sh", "evt.dir = < and proc.name = sh and not user.shell = x");
    std::fs::write(rules.path(), odd).expect("written");
    answer(&mut harness, "R", &rules.path().display().to_string());
    let screen = harness.text();
    assert!(screen.contains("2 warnings, told with the findings"), "{screen}");
    assert!(screen.contains("the rules that were asked last"), "{screen}");
    assert!(screen.contains("`evt.dir` is") && screen.contains("`user.shell` is"), "{screen}");
    std::fs::write(rules.path(), text.replace("proc.name = sh", "evt.dir = < and proc.name = sh"))
        .expect("written");
    answer(&mut harness, "R", &rules.path().display().to_string());
    let screen = harness.text();
    assert!(screen.contains("`evt.dir` is") && !screen.contains("user.shell"), "{screen}");
    answer(&mut harness, "R", "/nowhere/at/all");
    assert!(harness.text().contains("/nowhere/at/all is no file"), "{}", harness.text());
}

#[test]
fn two_containers_are_compared() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j d");
    let text = harness.text();
    assert!(text.contains("+ only in batch-job-7f9c") && text.contains("- only in batch-job-81aa"), "{text}");
    assert!(text.lines().any(|l| l.contains("+ program") && l.contains("/tmp/.x")), "{text}");
    harness.press("Esc k d");
    assert!(harness.text().contains("no other container of this image"), "{}", harness.text());
    harness.press("Space k k d");
    assert!(harness.text().contains("only in web-frontend"), "{}", harness.text());
    assert!(!harness.text().contains('\x1b'));
}

#[test]
fn the_stream_of_a_container_is_that_of_its_weightiest_finding() {
    let mut harness = Harness::new(120, 40);
    harness.press("j j j 7");
    assert!(harness.text().contains("<< rm -f /tmp/.x; exit"), "{}", harness.text());
}

#[test]
fn what_the_kernel_moved_by_itself_is_a_gap_in_the_stream_on_the_screen_and_in_the_saved_file() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    let mut harness = Harness::on(&sample, 120, 40);
    harness.press("Enter 7");
    // As the streams that `afterimage follow` lists count it.
    let (mut world, mut streams) = (World::new(), Streams::new());
    let all = harness.trace.recording.for_each(&Query::default(), &mut |uid, event| {
        world.apply(uid, event);
        streams.apply(&world, uid, event);
        ControlFlow::Continue(())
    });
    all.expect("read");
    let uid = harness.app.opened.as_ref().expect("a container").uid;
    let shell = streams.list(uid).iter().find(|s| s.users.len() > 3).expect("the shell's");
    let lacking: u64 = shell.chunks.iter().map(|chunk| chunk.transfer.missing()).sum();
    assert!(lacking > 0, "cat sends the token by sendfile");
    let amounts = format!("{} B in, {} B out", shell.bytes_in, shell.bytes_out);
    let screen = harness.text();
    assert!(screen.contains(&amounts), "{amounts}: {screen}");
    let words = format!(">> [{lacking} bytes not recorded]");
    harness.press("G");
    let screen = harness.text();
    assert!(screen.lines().any(|line| line.contains(&words)), "{words}: {screen}");

    let press = crate::tui::keys::parse_all("W").expect("a key")[0];
    let Some(Effect::Save(saved)) = update::key(&mut harness.app, press) else { panic!("nothing is saved") };
    assert_eq!(saved.bytes.len() as u64 + lacking, shell.bytes_in + shell.bytes_out);
    assert!(saved.lacking.is_some_and(|words| words.as_str().contains(&format!("{lacking} bytes"))));
}

#[test]
fn alerts_are_in_the_storyline_and_gone_to_by_number_id_and_from_health() {
    let mut harness = replay();
    answer(&mut harness, "@", "alert:1");
    assert!((seconds(&harness) - 19.382).abs() < 0.001, "{}", seconds(&harness));
    answer(&mut harness, "@", "alert:t-1a-2s");
    assert!((seconds(&harness) - 17.382).abs() < 0.001, "{}", seconds(&harness));
    answer(&mut harness, "@", "alert:2");
    assert!(harness.text().contains("no alert `2`: this container has 1"), "{}", harness.text());
    harness.press("Esc 8");
    let said = "alert:1 Drop and execute new binary in container (falco, pinned)";
    assert!(harness.text().contains(said), "{}", harness.text());
    // It has its number among all alerts too, and the others are not this container's.
    harness.press("0");
    let numbered: Vec<String> =
        harness.text().lines().filter(|l| l.contains("alert:")).map(str::to_owned).collect();
    assert!(numbered.len() == 1 && numbered[0].contains("Drop and execute"), "{}", harness.text());
    harness.press("8");
    // The newest alert is first; the one about nobody opens nothing.
    harness.press("0 S-Tab j Enter");
    assert!(harness.text().contains("about no container"), "{}", harness.text());
    harness.press("j Enter");
    assert!(harness.text().contains("[2 Replay]"), "{}", harness.text());
    assert!((seconds(&harness) - 19.382).abs() < 0.001, "{}", seconds(&harness));
}

/// In a report an alert had no title, or the time in place of one.
#[test]
fn an_alert_in_the_report_has_what_it_says() {
    let mut harness = replay();
    harness.press("8");
    let said = "alert:1 Drop and execute new binary in container";
    let (_, all) = report(&mut harness);
    assert!(
        all.contains(said) && !all.lines().any(|line| line.starts_with("## ") && line.ends_with(". ")),
        "{all}"
    );
    // The line of it, wherever the list begins.
    let mut tries = 0;
    harness.press("g g");
    while harness.app.selected_finding().is_none_or(|row| row.id.is_some()) {
        harness.press("j");
        tries += 1;
        assert!(tries < 100, "{}", harness.text());
    }
    harness.press("*");
    let (_, text) = report(&mut harness);
    assert!(text.contains(&format!("## 1. {said}")) && !text.contains("## 2."), "{text}");
    assert!(text.contains("critical") && !text.contains("process  "), "{text}");
}

/// What became of an alert, and its number, were told beside what they were before.
#[test]
fn an_alert_is_told_once_as_it_is_now() {
    let mut harness = replay();
    harness.press("8");
    let mut all = harness.app.alerts.value().expect("alerts").to_vec();
    let own = all.iter().position(|alert| alert.is_about(fixture::INCIDENT)).expect("one");
    all[own].state = crate::tui::text::safe!("ignored");
    let earlier =
        crate::trace::alerts::Alert { title: crate::tui::text::safe!("an earlier one"), ..all[own].clone() };
    all.insert(own, earlier);
    update::receive(&mut harness.app, Reply::Alerts(0, std::sync::Arc::new(all)));
    let lines: Vec<String> =
        harness.text().lines().filter(|l| l.contains("alert:")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{}", harness.text());
    assert!(lines[0].contains("alert:1 an earlier one") && lines[1].contains("alert:2 Drop"), "{lines:?}");
}

#[test]
fn what_was_noted_is_seen_on_the_timeline() {
    let mut harness = replay();
    at(&mut harness, "+5s");
    harness.press("m a");
    at(&mut harness, "+10s");
    answer(&mut harness, "b", "the beginning #ioc");
    at(&mut harness, "+30s");
    answer(&mut harness, "c", "look again");
    answer(&mut harness, "@", "mark:a+15s");
    assert!((seconds(&harness) - 20.0).abs() < 0.5, "{}", seconds(&harness));
    for (width, height, screen) in [(120, 40, "2"), (80, 24, "2"), (120, 40, "3"), (80, 24, "3")] {
        harness.resize(width, height);
        harness.press(screen);
        let text = harness.text();
        let axis = text.lines().rfind(|line| line.contains('▲')).expect("the axis").to_owned();
        let places = ['a', '*', '▲', '#'].map(|mark| axis.find(mark));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{axis}");
    }
}

#[test]
fn notes_stand_beside_the_replay_where_there_is_room_and_are_gone_to() {
    let mut harness = replay();
    at(&mut harness, "+5s");
    answer(&mut harness, "c", "the first one");
    at(&mut harness, "+30s");
    answer(&mut harness, "c", "the second one");
    assert!(!harness.text().contains("the first one  ana"), "{}", harness.text());
    harness.resize(160, 50);
    assert!(harness.text().contains("the first one  ana"), "{}", harness.text());
    harness.press("Tab Tab Tab Enter");
    assert!((seconds(&harness) - 5.0).abs() < 0.6, "{}", seconds(&harness));
    harness.press("j Enter");
    assert!((seconds(&harness) - 30.0).abs() < 0.6, "{}", seconds(&harness));
    harness.press("Ctrl-o");
    assert!((seconds(&harness) - 5.0).abs() < 0.6, "{}", seconds(&harness));
    // Where there is little room, Tab leads to them.
    harness.resize(80, 24);
    assert!(harness.text().contains("the second one  ana"), "{}", harness.text());
}
