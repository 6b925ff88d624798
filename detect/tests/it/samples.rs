//! The rules over recordings of real containers: `samples/`.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    path::Path,
};

use afterimage_detect::{EventContext, Frame, RuleSet, Tracker};
use afterimage_format::{Query, Recording};

use crate::falco_rules::PATH;

/// The names of the rules that fire in a sample, each with the command line it fired for.
fn fired(sample: &str) -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(sample);
    let recording = Recording::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rules = RuleSet::load(&[PATH]).unwrap();
    let records: HashMap<_, _> = recording.containers().iter().map(|c| (c.record.uid, &c.record)).collect();
    let frame = Frame { clock: recording.clock().clone(), range: recording.time_range(), ..Frame::default() };
    let mut tracker = Tracker::new();
    let mut number = 0;
    let mut fired = BTreeSet::new();
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            number += 1;
            tracker.apply(uid, event);
            let cx = EventContext::new(event, (uid, records.get(&uid).copied()), &tracker, &frame, number);
            for hit in rules.evaluate(&cx) {
                let command = hit
                    .fields
                    .iter()
                    .find(|(name, _)| name == "proc.name")
                    .map(|(_, value)| value.to_string());
                fired.insert((hit.name, command.unwrap_or_default()));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(number > 100, "{sample} has {number} events");
    fired
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn the_staged_intrusion_is_found_and_plain_work_is_not() {
    let hits = fired("intrusion.aftx");
    for expected in [
        ("Drop and execute new binary in container", ".update"),
        ("Redirect STDOUT/STDIN to Network Connection in Container", ".update"),
    ] {
        let expected = (expected.0.to_owned(), expected.1.to_owned());
        assert!(hits.contains(&expected), "{expected:?} is not among {hits:?}");
    }
    assert_eq!(fired("plain.aftx"), BTreeSet::new());
}
