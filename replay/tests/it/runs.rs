//! One container in several recordings: the runs of a recorder that was restarted, and files of which one is a part of the other.

use afterimage_format::{ContainerUid, Engine, FactKey, Loss, LossCause};

use crate::{
    fixture::{self, Call, Fixture, Store, at, id, task},
    run::{afterimage, command, ran},
};

/// A container that was recorded twice, as one record for each run of the recorder, beside another.
fn restarted() -> Store {
    restarted_in(Fixture::new())
}

/// The same in a recording that has something already.
fn restarted_in(mut fixture: Fixture) -> Store {
    for (uid, name, prefix, start) in
        [(1, &b"longy"[..], "10ad", 1.0), (2, b"longy", "10ad", 11.0), (3, b"other", "cafe", 2.0)]
    {
        let names = [(FactKey::Name, name)];
        fixture.container(&fixture::container(uid, Engine::Docker, &id(prefix), start, &names));
        for step in 0..3 {
            let time = start + f64::from(step) / 10.0;
            fixture.call(uid, time, task(400 + uid as u32, start), Call { nr: 39, ..Call::default() });
        }
        fixture.cut(uid);
    }
    fixture.seal()
}

/// A gap that is nobody's in particular was told and counted once for each run.
#[test]
fn a_gap_that_touches_two_runs_is_one() {
    let mut fixture = Fixture::new();
    fixture.loss(Loss {
        container: None,
        cause: LossCause::RingFull,
        cpu: Some(0),
        from: at(1.1),
        to: at(11.1),
        count: Some(5),
    });
    let store = restarted_in(fixture);
    for verb in
        [&["grep", "evt.num >= 0", "-c", "longy"][..], &["ls", "-c", "longy"], &["diff", "uid:1", "uid:2"]]
    {
        let ran = afterimage(&[verb, &[store.arg(), "-o", "json"]].concat());
        let document = ran.json();
        assert_eq!(
            (&document["lost"], document["gaps"].as_array().map(Vec::len)),
            (&5.into(), Some(1)),
            "{ran:?}"
        );
        assert_eq!((ran.code, ran.stderr().matches("lost: 5 events in 1 gap").count()), (4, 1), "{ran:?}");
    }
}

fn count(args: &[&str]) -> (u64, String) {
    let ran = afterimage(&[&["grep", "evt.type exists", "--count"], args].concat());
    (ran.stdout().trim().parse().unwrap_or_else(|_| panic!("{ran:?}")), ran.stderr().to_owned())
}

/// `show longy` said that it names two containers and asked for more digits of the id, which both have alike.
#[test]
fn runs_of_one_container_are_one_where_verbs_can_take_them_all_and_else_the_newest() {
    let store = restarted();
    let (found, said) = count(&["-c", "longy", store.arg()]);
    assert_eq!(found, 6, "{said}");
    assert!(
        said.contains("`longy` was recorded 2 times, and all of it is meant; one alone is uid:2, uid:1"),
        "{said}"
    );
    let shown = afterimage(&["show", "longy", store.arg(), "-o", "json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert_eq!(shown.json()["events"].as_array().map(Vec::len), Some(3));
    let said = shown.stderr();
    assert!(said.contains("this is the last, uid:2; the others are uid:1"), "{said}");
    assert_eq!(count(&["-c", "uid:1", store.arg()]), (3, String::new()));
    let rows = afterimage(&["ls", "-c", "10ad", store.arg(), "-o", "json"]).json();
    assert_eq!(rows["containers"].as_array().map(Vec::len), Some(2));
}

/// Without a name, where a recording is of one container, only its newest run was copied.
#[test]
fn an_extract_of_the_only_container_has_all_its_runs() {
    let mut fixture = Fixture::new();
    for (uid, start) in [(1, 1.0), (2, 11.0)] {
        let names = [(FactKey::Name, &b"longy"[..])];
        fixture.container(&fixture::container(uid, Engine::Docker, &id("10ad"), start, &names));
        fixture.call(uid, start, task(400, start), Call { nr: 39, ..Call::default() });
        fixture.cut(uid);
    }
    let store = fixture.seal();
    let path = store.path.with_extension("aftx");
    let made = afterimage(&["extract", store.arg(), "--to", path.to_str().expect("text")]);
    assert!(made.stderr().contains("was recorded 2 times, and all of it is meant"), "{made:?}");
    assert_eq!(count(&[path.to_str().expect("text")]).0, 2);
}

#[test]
fn what_is_in_two_files_is_read_once() {
    let store = restarted();
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let other = path("other.aftx");
    assert_eq!(afterimage(&["extract", "other", store.arg(), "--to", &other]).code, 0);
    for files in [[store.arg(), &other], [&other, store.arg()]] {
        let (found, said) = count(&[&["-c", "cafe"], &files[..]].concat());
        assert_eq!(found, 3, "{said}");
        assert!(said.contains("is the same container of the same store in"), "{said}");
        let (found, said) = count(&files);
        assert_eq!(found, 9, "{said}");
        assert!(said.contains("nothing is counted twice"), "{said}");
        let shown = afterimage(&[&["show", "cafe"], &files[..]].concat());
        assert_eq!(shown.code, 0, "{shown:?}");
    }
    // Different parts of one container are no copies of each other.
    let longy = path("longy.aftx");
    assert_eq!(afterimage(&["extract", "longy", store.arg(), "--to", &longy]).code, 0);
    let (found, said) = count(&[&longy, &other]);
    assert_eq!((found, said.as_str()), (9, ""));
}

#[test]
fn several_recordings_are_told_apart_in_tables() {
    let (one, other) = (restarted(), restarted());
    for verb in ["ls", "stats"] {
        assert!(!afterimage(&[verb, one.arg()]).stdout().contains("STORE"));
    }
    // Both are made of the same store's number: what one has the other has.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/plain.aftx");
    for verb in ["ls", "stats"] {
        let table = afterimage(&[verb, one.arg(), sample]);
        assert!(table.stdout().contains("STORE") && table.stdout().contains("plain.aftx"), "{table:?}");
    }
    let chart = afterimage(&["timeline", one.arg(), sample]);
    assert!(chart.stdout().contains("plain.aftx"), "{chart:?}");
    assert!(afterimage(&["ls", one.arg(), other.arg()]).stderr().contains("nothing is counted twice"));
}

#[test]
fn a_container_that_runs_lives_to_the_end_of_the_recording() {
    let mut fixture = Fixture::new();
    for (uid, prefix) in [(1, "aaaa"), (2, "bbbb")] {
        fixture.container(&fixture::container(uid, Engine::Docker, &id(prefix), 1.0, &[]));
    }
    fixture.call(1, 1.5, task(10, 1.0), Call { nr: 39, ..Call::default() });
    fixture.call(2, 35.0, task(20, 1.0), Call { nr: 39, ..Call::default() });
    let store = fixture.go_on();
    let rows = afterimage(&["ls", store.arg(), "-o", "json"]).json();
    let lives: Vec<_> = rows["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["state"].as_str(), row["life_ns"].as_u64()))
        .collect();
    assert_eq!(lives, [(Some("running"), Some(34_000_000_000)); 2]);
}

#[test]
fn standard_input_is_verified_as_it_is_read() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");
    let input = std::fs::File::open(sample).expect("the sample");
    let verified = ran(command().args(["verify", "-"]).stdin(input).output().expect("afterimage runs"));
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(verified.stdout().contains("consistent"), "{verified:?}");
}

/// Gaps before and behind what was pinned are of no concern to whoever gets the extract.
#[test]
fn an_incident_is_not_partial_for_what_was_lost_elsewhere() {
    let lost_at = |container: Option<u64>, second: f64| {
        let mut fixture = Fixture::new();
        fixture.container(&fixture::container(1, Engine::Docker, &id("aa"), 0.0, &[]));
        for second in (0..60).step_by(10) {
            fixture.call(1, f64::from(second), task(10, 0.0), Call { nr: 39, ..Call::default() });
            fixture.commit();
        }
        fixture.loss(Loss {
            container: container.map(ContainerUid),
            cause: LossCause::RingFull,
            cpu: None,
            from: at(second),
            to: at(second + 1.0),
            count: Some(5),
        });
        let store = fixture.seal();
        let trigger = serde_json::json!({
            "kind": "trigger", "id": "t-1", "rule": "r", "source": "falco", "body_sha256": "x",
            "time": "2026-11-21T11:58:22Z",
            "containers": [{"uid": 1, "from": "2026-11-21T11:58:22Z", "to": "2026-11-21T11:58:33Z"}],
        });
        std::fs::write(store.path.join("triggers.jsonl"), format!("{trigger}\n")).expect("written");
        let file = store.path.join("inc.aftx");
        let file = file.to_str().expect("text");
        let extracted = afterimage(&["extract", "--incident", "t-1", store.arg(), "--to", file]);
        [extracted.code, afterimage(&["ls", file]).code]
    };
    assert_eq!(lost_at(Some(1), 25.0), [4, 4]);
    assert_eq!(lost_at(None, 25.0), [4, 4]);
    assert_eq!(lost_at(Some(1), 50.0), [0, 0]);
    assert_eq!(lost_at(None, 2.0), [0, 0]);
}
