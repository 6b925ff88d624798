//! `afterimage ls`.

use afterimage_format::{ContainerUid, Engine, FactKey, Loss, LossCause};

use crate::{
    fixture::{self, Call, Fixture, Store, at, id, task},
    run::afterimage,
};

/// One container of each state but running, one that was there before, and one with losses.
fn several() -> Fixture {
    let mut fixture = Fixture::new();
    let facts: [(FactKey, &[u8]); 2] = [(FactKey::Name, b"web"), (FactKey::Image, b"nginx:1.29")];
    let mut web = fixture::container(1, Engine::Docker, &id("3ad7b26ded6d"), 1.0, &facts);
    web.exited = Some((at(4.0), 0x100));
    web.removed = Some(at(5.0));
    let mut job = fixture::container(2, Engine::Podman, &id("3ad8"), 2.0, &[(FactKey::Name, b"job")]);
    job.exited = Some((at(6.0), 9));
    let mut db = fixture::container(3, Engine::Containerd, &id("cafe"), 0.0, &[(FactKey::PodName, b"db-0")]);
    db.preexisting = true;
    for record in [&web, &job, &db] {
        fixture.container(record);
    }
    for uid in 1..=3 {
        fixture.call(
            uid,
            2.0 + uid as f64,
            task(100 + uid as u32, 0.5),
            Call { nr: 39, ret: 1, ..Call::default() },
        );
    }
    fixture.loss(Loss {
        container: Some(ContainerUid(2)),
        cause: LossCause::RingFull,
        cpu: Some(3),
        from: at(3.0),
        to: at(3.8),
        count: Some(312),
    });
    fixture
}

fn sealed() -> Store {
    several().seal()
}

fn states(store: &Store) -> Vec<(String, String)> {
    let document = afterimage(&["ls", store.arg(), "-o", "json"]).json();
    let rows = document["containers"].as_array().expect("a list").clone();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().expect("text").to_owned();
    rows.iter().map(|r| (text(r, "id")[..4].to_owned(), text(r, "state"))).collect()
}

#[test]
fn states_say_what_became_of_each_container() {
    let pairs = |list: [(&str, &str); 3]| list.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
    let mut found = states(&sealed());
    found.sort();
    assert_eq!(found, pairs([("3ad7", "deleted"), ("3ad8", "exited"), ("cafe", "unknown")]));
    for (store, last) in [(several().go_on(), "running"), (several().leave(), "unknown")] {
        let mut found = states(&store);
        found.sort();
        assert_eq!(found, pairs([("3ad7", "deleted"), ("3ad8", "exited"), ("cafe", last)]));
    }
}

#[test]
fn table_is_what_a_person_needs() {
    let store = sealed();
    let ran = afterimage(&["ls", store.arg()]);
    insta::assert_snapshot!(ran.stdout());
    let place = store.arg();
    assert_eq!(ran.stderr(), format!("afterimage: lost: 312 events in 1 gap of `{place}`: ring full\n"));
    assert_eq!(ran.code, 4);
}

#[test]
fn json_has_whole_ids_reasons_and_losses() {
    let ran = afterimage(&["ls", sealed().arg(), "-o", "json"]);
    let document = ran.json();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["kind"], "containers");
    assert_eq!(document["lost"], 312);
    assert_eq!(document["gaps"][0]["cause"], "ring full");
    assert_eq!(document["gaps"][0]["from"], "2026-11-21T11:58:05.000000000Z");
    let rows = document["containers"].as_array().expect("a list");
    let row = |name: &str| rows.iter().find(|r| r["name"] == name).expect("a row").clone();
    let web = row("web");
    assert_eq!(web["id"].as_str().map(str::len), Some(64));
    assert_eq!((&web["exit_code"], &web["life_ns"]), (&1.into(), &3_000_000_000_u64.into()));
    assert_eq!(web["start"], "2026-11-21T11:58:03.000000000Z");
    assert_eq!(web["partial"], serde_json::json!([]));
    let job = row("job");
    assert_eq!((&job["exit_code"], &job["exit_signal"]), (&serde_json::Value::Null, &9.into()));
    assert_eq!(job["partial"], serde_json::json!(["events lost"]));
    assert_eq!(job["lost"], 312);
}

#[test]
fn loss_counts_only_where_the_range_touches_it() {
    let store = sealed();
    assert_eq!(afterimage(&["ls", store.arg(), "--begin", "11:58:02", "--end", "11:58:04.5"]).code, 0);
    assert_eq!(afterimage(&["ls", store.arg(), "--begin", "11:58:05.5"]).code, 4);
}

#[test]
fn state_filter_without_a_match_is_exit_code_1() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 0.0, &[]));
    fixture.exit(1, 1.0, task(100, 0.0), 0);
    let store = fixture.seal();
    assert_eq!(afterimage(&["ls", store.arg(), "--state", "unknown"]).code, 0);
    let ran = afterimage(&["ls", store.arg(), "--state", "deleted"]);
    assert_eq!((ran.code, ran.stdout()), (1, ""));
}

#[test]
fn several_recordings_make_one_list() {
    let one = sealed();
    let two = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/plain.aftx");
    let lines = afterimage(&["ls", one.arg(), two, "-o", "jsonl"]).json_lines();
    assert_eq!(lines.iter().filter(|l| l["kind"] == "container").count(), 4);
    assert_eq!(lines.last().expect("a summary")["lost"], 312);
    // The same store twice is one.
    let lines = afterimage(&["ls", one.arg(), one.arg(), "-o", "jsonl"]).json_lines();
    assert_eq!(lines.iter().filter(|l| l["kind"] == "container").count(), 3);
    assert_eq!(lines.last().expect("a summary")["lost"], 312);
}

#[test]
fn host_is_listed_with_all_only() {
    let mut fixture = several();
    fixture.container(&afterimage_format::ContainerRecord::host(at(0.0)));
    fixture.call(0, 1.0, task(1, 0.0), Call { nr: 39, ..Call::default() });
    let store = fixture.seal();
    assert!(!afterimage(&["ls", store.arg()]).stdout().contains("host"));
    assert!(afterimage(&["ls", "-a", store.arg()]).stdout().contains("host"));
}

#[test]
fn closed_pipe_is_quiet() {
    let store = sealed();
    // Closed before the program starts: one that is closed while it runs may have taken all the words already.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = crate::run::command()
        .args(["ls", store.arg(), "-o", "jsonl", "--state", "deleted"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .output()
        .expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
