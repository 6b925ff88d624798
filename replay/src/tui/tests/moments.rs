//! What was there by a moment, and nothing later: processes as they were, lists that follow the clock.

use std::path::Path;

use crate::tui::{harness::Harness, update::Effect};

/// A recording that comes with the program, its container opened.
fn sample(name: &str, width: u16, height: u16) -> Harness {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name);
    let mut harness = Harness::on(&sample, width, height);
    harness.press("Enter");
    harness
}

#[test]
fn the_peer_of_an_accepted_connection_is_whole_at_every_size() {
    let mut harness = sample("plain.aftx", 120, 40);
    harness.press("6");
    for (width, height) in [(40, 10), (60, 20), (80, 24), (108, 30), (120, 40), (200, 60)] {
        harness.resize(width, height);
        let text = harness.text();
        let row = text.lines().find(|line| line.contains("127.0.0.1:54424")).unwrap_or_default();
        assert!(row.starts_with("  127.0.0.1:54424"), "{width}: {text}");
        assert!(!text.contains("::ffff"), "{width}: {text}");
    }
    harness.resize(80, 24);
    harness.press("j");
    assert!(harness.text().contains("IPv4; the program used [::ffff:127.0.0.1]:54424"), "{}", harness.text());
}

#[test]
fn a_finding_and_the_acts_on_a_file_name_the_process_as_it_was_then() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    harness.press("8");
    let text = harness.text();
    let finding = harness.app.selected_finding().expect("a finding");
    assert!(finding.text.as_str().starts_with("written, then executed"), "{text}");
    let program = format!("{} .update /tmp/.update", finding.pid);
    assert!(text.lines().any(|line| line.contains(" process  ") && line.contains(&program)), "{text}");
    // That process executes a shell later: what it did as the dropped program is not the shell's.
    let whole = harness.app.whole().expect("the whole");
    let process = whole.world.process_by_pid(finding.pid).expect("the process");
    assert_eq!(process.comm(), Some(&b"sh"[..]), "later it is a shell");
    assert_eq!(whole.named(process.key, finding.time).as_str(), format!("{} .update", finding.pid));
}

/// Goes to an offset.
fn at(harness: &mut Harness, offset: &str) {
    harness.press("@");
    harness.type_text(offset);
    harness.press("Enter");
}

/// What the lists are made of, in words: files with their acts, processes, conversations.
fn lists(harness: &Harness) -> String {
    let whole = harness.app.whole().expect("the whole");
    let files: Vec<_> = (0..whole.file_count()).filter_map(|at| whole.file(at)).collect();
    let acts: Vec<_> =
        files.iter().map(|file| (&file.path, file.bytes_written, file.deleted, &file.acts)).collect();
    format!("{acts:?} {:?} {:?}", whole.tree, whole.conversations())
}

/// The row of the screen that has a text.
fn row(harness: &Harness, text: &str) -> String {
    harness.text().lines().find(|line| line.contains(text)).map(str::to_owned).unwrap_or_default()
}

#[test]
fn lists_that_follow_the_clock_show_the_state_of_then_and_nothing_later() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    harness.press("5");
    let log = "/var/log/service.log";
    assert!(row(&harness, log).contains('u'), "it is deleted in the end: {}", harness.text());
    let whole = lists(&harness);
    harness.press("f");
    for offset in ["+1.8s", "+0.3s", "+0s", "+0.25s", "+1.5s"] {
        at(&mut harness, offset);
        let now = harness.app.opened.as_ref().expect("open").playhead.time;
        let lists = harness.app.whole().expect("the whole");
        assert_eq!(lists.until, Some(now), "{offset}");
        for file in (0..lists.file_count()).filter_map(|at| lists.file(at)) {
            assert!(file.last <= now && file.acts.iter().all(|act| act.last <= now), "{offset}: {file:?}");
        }
        assert!(lists.tree.iter().all(|row| row.began() <= now), "{offset}");
        assert!(lists.tree.iter().all(|row| row.ended().is_none_or(|(end, _)| end <= now)), "{offset}");
        assert!(lists.conversations().iter().all(|talk| talk.last <= now), "{offset}");
        let findings = &harness.app.listed().expect("a story").rows;
        assert!(findings.iter().all(|row| row.time <= now), "{offset}");
    }
    at(&mut harness, "+0.3s");
    let early = row(&harness, log);
    assert!(early.contains("283 B") && !early.contains('u'), "all is written by then: {early}");
    assert!(harness.text().contains("by the playhead"), "{}", harness.text());
    at(&mut harness, "+0.1s");
    assert!(!row(&harness, log).contains("283 B"), "{}", harness.text());
    at(&mut harness, "+0.3s");
    // At the end there is nothing that is left out; from there back it is as it was.
    let then = lists(&harness);
    at(&mut harness, "+9s");
    assert_eq!(lists(&harness), whole);
    at(&mut harness, "+0.3s");
    assert_eq!(lists(&harness), then);
}

#[test]
fn a_process_that_still_runs_and_has_found_nothing_yet_is_shown_so() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    harness.press("4 f");
    at(&mut harness, "+0.24s");
    let text = harness.text();
    assert!(text.contains("alive") && !text.contains("critical"), "{text}");
    at(&mut harness, "+9s");
    assert!(harness.text().contains("critical"), "{}", harness.text());
}

#[test]
fn a_stream_that_follows_the_clock_has_what_went_through_by_then() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    harness.press("8 7");
    let lines =
        |harness: &Harness| harness.text().lines().filter(|l| l.contains("<<") || l.contains(">>")).count();
    harness.press("g g");
    let all = lines(&harness);
    harness.press("f");
    assert!(harness.text().contains(", by the playhead"), "{}", harness.text());
    let first = lines(&harness);
    assert!(first < all, "{first} of {all}: {}", harness.text());
    harness.press("j j j j j j");
    assert!(lines(&harness) > first, "one row after the other comes: {}", harness.text());
}

#[test]
fn the_report_has_the_hash_of_what_was_executed() {
    const HASH: &str = "d3e1e420312f7bfaba48fb6a9765ea3b8aea4778b77e824deb44e3e323af809a";
    let mut harness = sample("intrusion.aftx", 80, 24);
    harness.press("8 * r");
    let saved = std::mem::take(&mut harness.app.outbox).into_iter().find_map(|effect| match effect {
        Effect::Save(made) => String::from_utf8(made.bytes).ok(),
        _ => None,
    });
    let text = saved.expect("a report");
    let of_moment = text.lines().find(|line| line.starts_with("Program ")).unwrap_or_default();
    assert!(of_moment.contains("/tmp/") && of_moment.contains(HASH), "{text}");
    assert!(text.contains(&format!("\n    {HASH}  /tmp/.update  2026-11-22T09:29:57")), "{text}");
    assert!(text.contains("process 21350 .update"), "{text}");
}

#[test]
fn find_in_a_stream_goes_to_the_lines_that_have_the_text() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    harness.press("8 7 g g Ctrl-f");
    harness.type_text("token");
    harness.press("Enter");
    let selected = |harness: &Harness| row(harness, "›");
    let first = selected(&harness);
    assert!(first.contains("token") && harness.text().contains("line 1 of "), "{}", harness.text());
    harness.press("n");
    assert!(selected(&harness).contains("token") && selected(&harness) != first, "{}", harness.text());
    harness.press("N");
    assert_eq!(selected(&harness), first);
    harness.press("N");
    assert!(harness.text().contains("no earlier line of this stream has token"), "{}", harness.text());
    assert_eq!(selected(&harness), first);
    // The playhead is at the line: Replay goes on from there, and finds events.
    harness.press("2");
    assert_eq!(harness.app.bar.find.as_deref(), Some("token"));
}

#[test]
fn n_goes_to_the_findings_that_8_lists() {
    let mut harness = sample("intrusion.aftx", 120, 40);
    let stops = |harness: &mut Harness| {
        harness.press("(");
        let mut stops = Vec::new();
        while stops.len() < 100 {
            harness.press("n");
            let at = harness.app.opened.as_ref().and_then(|opened| opened.event());
            if stops.last() == Some(&at) {
                break;
            }
            stops.push(at);
        }
        stops.into_iter().flatten().collect::<Vec<_>>()
    };
    let listed = |harness: &mut Harness| {
        harness.press("8");
        let order = harness.app.sheet().expect("a list").order.clone();
        let rows = &harness.app.story().expect("a story").rows;
        order.into_iter().filter_map(|at| rows.get(at)?.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut harness).len(), 8);
    assert_eq!(stops(&mut harness), listed(&mut harness));
    harness.press("8 A");
    assert_eq!(listed(&mut harness).len(), 22);
    // The first is where the beginning is: n goes on from there.
    assert_eq!(stops(&mut harness), listed(&mut harness)[1..]);
}
