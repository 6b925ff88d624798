//! The rules over recordings of real containers: `samples/`.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    path::Path,
};

use afterimage_detect::{EventContext, Filter, Frame, RuleSet, Tracker};
use afterimage_format::{Query, Recording};

use crate::falco_rules::PATH;

/// Shows every event of a sample in its surroundings to `visit`.
fn each(sample: &str, visit: &mut dyn FnMut(&EventContext<'_>)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(sample);
    let recording = Recording::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let records: HashMap<_, _> = recording.containers().iter().map(|c| (c.record.uid, &c.record)).collect();
    let frame = Frame { clock: recording.clock().clone(), range: recording.time_range(), ..Frame::default() };
    let mut tracker = Tracker::new();
    let mut number = 0;
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            number += 1;
            tracker.apply(uid, event);
            visit(&EventContext::new(event, (uid, records.get(&uid).copied()), &tracker, &frame, number));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(number > 100, "{sample} has {number} events");
}

/// The names of the rules that fire in a sample, each with the command line it fired for.
fn fired(sample: &str) -> BTreeSet<(String, String)> {
    let rules = RuleSet::load(&[PATH]).unwrap();
    let mut fired = BTreeSet::new();
    each(sample, &mut |cx| {
        for hit in rules.evaluate(cx) {
            let command =
                hit.fields.iter().find(|(name, _)| name == "proc.name").map(|(_, value)| value.to_string());
            fired.insert((hit.name, command.unwrap_or_default()));
        }
    });
    fired
}

/// Rules with most of their checks in common, some of them twice in one rule or negated.
const ALIKE: &str = r#"
- list: shells
  items: [sh, bash, dash]
- macro: opened
  condition: (evt.type in (open, openat) and evt.rawres >= 0 and fd.typechar='f')
- macro: by_shell
  condition: (proc.name in (shells) or proc.pname in (shells))
- rule: opened by a shell
  desc: d
  condition: opened and by_shell
  output: o
  priority: INFO
- rule: opened by another
  desc: d
  condition: opened and not proc.name in (shells)
  output: o
  priority: INFO
- rule: opened below etc
  desc: d
  condition: opened and (fd.name startswith /etc/ or by_shell and fd.name startswith /tmp/)
  output: o
  priority: INFO
- rule: anything of a shell
  desc: d
  condition: by_shell and not (proc.name in (shells) and fd.name startswith /etc/)
  output: o
  priority: INFO
- rule: child of a shell
  desc: d
  condition: proc.pname in (shells) and not proc.name in (shells)
  output: o
  priority: INFO
"#;

/// Holds what all rules together say of each event of the samples against each rule's condition alone.
fn agree(rules: &RuleSet) -> Vec<usize> {
    let alone = |rule: &afterimage_detect::rules::Rule| Filter::parse_strict(&rule.condition()).unwrap();
    let alone: Vec<Filter> = rules.rules().iter().map(alone).collect();
    let mut counts = vec![0; alone.len()];
    for sample in ["intrusion.aftx", "plain.aftx"] {
        each(sample, &mut |cx| {
            let together: Vec<usize> = rules.evaluate(cx).into_iter().map(|hit| hit.rule).collect();
            let plain: Vec<usize> =
                alone.iter().enumerate().filter(|(_, f)| f.matches(cx)).map(|(at, _)| at).collect();
            assert_eq!(together, plain, "event {} of {sample}", cx.number());
            together.into_iter().for_each(|rule| counts[rule] += 1);
        });
    }
    counts
}

#[test]
fn rules_that_share_checks_say_what_each_says_alone() {
    let counts = agree(&RuleSet::parse(&[("alike.yaml", ALIKE)]).unwrap());
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn stable_rules_together_say_what_each_says_alone() {
    let counts = agree(&RuleSet::load(&[PATH]).unwrap());
    assert!(counts.iter().sum::<usize>() > 1, "{counts:?}");
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
