//! The writer and the reader against a model: whatever is done to a store in whatever order, with kills in between, what
//! was committed is there, in order, and nothing else is.

use std::collections::BTreeMap;

use afterimage_format::{
    BootNanos, ContainerUid, Query, Recording, StoreOptions, StoreWriter, VerifyOptions, extract, verify,
};
use proptest::prelude::*;

use crate::generate::{Row, events, options, origin, push, read};

#[derive(Debug, Clone)]
enum Act {
    /// So many more events.
    Push(usize),
    Commit,
    /// A container ends: its block is cut.
    Finish(u64),
    Checkpoint,
    /// The writer seals, and another goes on.
    Seal,
    /// The writer dies, and another goes on.
    Kill,
    /// Somebody extracts a container while it is recorded.
    Extract(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1usize..40).prop_map(Act::Push),
        4 => Just(Act::Commit),
        2 => (0u64..4).prop_map(Act::Finish),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Seal),
        2 => Just(Act::Kill),
        1 => (0u64..4).prop_map(Act::Extract),
    ]
}

/// Small segments, and blocks that are cut by age now and then.
fn small() -> StoreOptions {
    StoreOptions { segment_bytes: 20_000, block_age: 40_000, ..options() }
}

/// What a store must hold.
#[derive(Default)]
struct Model {
    /// Everything that was pushed and not lost to a kill.
    pushed: Vec<Row>,
    /// How many of them, from the first on, were committed.
    committed: usize,
}

fn by_container(rows: &[Row]) -> BTreeMap<ContainerUid, Vec<&Row>> {
    let mut parts: BTreeMap<ContainerUid, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| parts.entry(row.0).or_default().push(row));
    // Ties of time are broken by task when read.
    parts.values_mut().for_each(|part| part.sort_by_key(|row| (row.1.time, row.1.task)));
    parts
}

impl Model {
    /// Compares with what is there; what a kill took is forgotten.
    fn compare(&mut self, found: &[Row], killed: bool) -> Result<(), TestCaseError> {
        prop_assert!(found.is_sorted_by_key(|row| row.1.time));
        let promised = if killed { self.committed } else { self.pushed.len() };
        let (there, wanted) = (by_container(found), by_container(&self.pushed[..promised]));
        for (uid, wanted) in &wanted {
            let there = there.get(uid).map_or(&[][..], Vec::as_slice);
            for row in wanted {
                prop_assert!(there.contains(row), "{uid:?}: a committed row is gone");
            }
        }
        // Beyond the promise: only what was pushed, and each row once.
        let mut rest = self.pushed.clone();
        for row in found {
            let at = rest.iter().position(|pushed| pushed == row);
            prop_assert!(at.is_some(), "a row that was not written, or one twice");
            rest.remove(at.unwrap_or(0));
        }
        self.pushed = found.to_vec();
        self.committed = found.len();
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_store_holds_what_was_committed(acts in prop::collection::vec(act(), 1..36), seed in 0u64..1000) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut coming = events(seed, 36 * 40, 4).into_iter();
        let mut model = Model::default();
        let mut store = StoreWriter::open(&path, origin(), small()).unwrap();
        for (number, act) in acts.iter().enumerate() {
            match act {
                Act::Push(count) => {
                    for row in coming.by_ref().take(*count) {
                        push(&mut store, &row);
                        model.pushed.push(row);
                    }
                }
                Act::Commit => {
                    store.commit(model.pushed.last().map_or(BootNanos(0), |row| row.1.time)).unwrap();
                    model.committed = model.pushed.len();
                }
                Act::Finish(uid) => store.finish_container(ContainerUid(*uid)).unwrap(),
                Act::Checkpoint => drop(store.checkpoint().unwrap()),
                Act::Seal | Act::Kill => {
                    let killed = matches!(act, Act::Kill);
                    if killed { drop(store) } else { drop(store.seal().unwrap()) }
                    let recording = Recording::open(&path).unwrap();
                    model.compare(&read(&recording, &Query::default()), killed)?;
                    store = StoreWriter::open(&path, origin(), small()).unwrap();
                }
                Act::Extract(uid) => {
                    let out = dir.path().join(format!("{number}.aftx"));
                    let recording = Recording::open(&path).unwrap();
                    let there = recording.containers().iter().any(|c| c.record.uid.0 == *uid);
                    prop_assert_eq!(extract(&recording, &[ContainerUid(*uid)], &out).is_ok(), there);
                    if there {
                        let report = verify(&out, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
                        prop_assert!(report.is_good(), "{:?}", report.findings);
                        let query = Query { containers: vec![ContainerUid(*uid)], ..Query::default() };
                        let copied = read(&Recording::open(&out).unwrap(), &Query::default());
                        prop_assert_eq!(copied, read(&recording, &query));
                    }
                }
            }
        }
        store.seal().unwrap();
        let recording = Recording::open(&path).unwrap();
        model.compare(&read(&recording, &Query::default()), false)?;
        let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        prop_assert!(report.is_good(), "{:?}", report.findings);
    }
}
