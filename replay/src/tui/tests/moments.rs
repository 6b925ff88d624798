//! What was there by a moment, and nothing later: processes as they were, lists that follow the clock.

use std::path::Path;

use crate::tui::harness::Harness;

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
