//! From the alert to the file that leaves the host: what senders send, what is pinned, what is extracted.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use afterimage_format::{EventCode, Recording};
use afterimage_launch::Stdio;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, busybox, eventually, falco},
    harness::{RECORDER, alone, container, events, open},
};

/// The container of the recorded shapes.
const SAMPLE: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";

/// A sender's body, of another container at another time. Each sender tells as many digits of the id as it always does.
fn body(sample: &str, id: &str, at: &str) -> Value {
    let nanos = at.parse::<jiff::Timestamp>().unwrap().as_nanosecond().to_string();
    let text = [64, 31, 12]
        .iter()
        .fold(sample.to_owned(), |text, digits| text.replace(&SAMPLE[..*digits], &id[..*digits]));
    let text = text.replace("1795262301410331902", &nanos);
    let text = text.replace("2026-11-21T11:58:21.410331902Z", at).replace("2026-11-21T11:58:21.410Z", at);
    serde_json::from_str(&text).unwrap()
}

/// The reader; built when this package alone was.
fn afterimage(args: &[&str]) -> Output {
    let program = PathBuf::from(RECORDER).with_file_name("afterimage");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let built = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "-p",
                "afterimage-replay",
                "--bin",
                "afterimage",
                "--manifest-path",
                manifest,
            ])
            .status();
        assert!(built.unwrap().success());
    }
    Command::new(program).args(args).output().unwrap()
}

#[test]
#[ignore = "needs root and eBPF"]
fn an_attack_of_300_ms_is_in_the_extracted_incident_from_its_first_instruction() {
    let _alone = alone();
    let bench = Bench::start("[[triggers.actions]]\nsource = \"tetragon\"\nrule = \"process_exec\"\n");
    let (launcher, _root) = busybox();
    let script = "cp /bin/busybox /tmp/sh; /tmp/sh -c 'busybox id > /tmp/loot'; busybox sleep 0.3";
    let bystander = launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string();
    let attack = launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
    let (id, at) = (attack.id.to_string(), jiff::Timestamp::now().to_string());
    std::thread::sleep(std::time::Duration::from_secs(2));
    let mut incidents = Vec::new();
    for sample in [
        include_str!("../senders/falco.json"),
        include_str!("../senders/tracee.json"),
        include_str!("../senders/tetragon.jsonl").lines().next().unwrap(),
    ] {
        let alert = body(sample, &id, &at);
        let answer = bench.alert(&alert);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let trigger = answer.json()["triggers"][0].clone();
        assert_eq!(trigger["state"], "pinned", "{trigger}");
        assert_eq!(trigger["containers"][0]["container"], json!(id), "{trigger}");
        assert_eq!(trigger["containers"][0]["complete"], true, "{trigger}");
        incidents.push((trigger, alert));
    }
    // Each has a pin of its own, and the store holds them all.
    let mut pins: Vec<&Value> =
        incidents.iter().map(|(trigger, _)| &trigger["containers"][0]["pin"]).collect();
    pins.sort_by_key(|pin| pin.to_string());
    pins.dedup();
    assert_eq!(pins.len(), 3);
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let uid = container(&recording, &id).record.uid;
    let held: Vec<&str> = recording.pins().iter().map(|pin| pin.id.as_str()).collect();
    for pin in pins {
        assert!(held.contains(&pin.as_str().unwrap()), "{pin}: {held:?}");
    }
    assert!(recording.pins().iter().all(|pin| pin.containers == [uid]));
    let whole = events(&recording, uid);
    let out = tempfile::tempdir().unwrap();
    for (number, (trigger, alert)) in incidents.iter().enumerate() {
        let file = out.path().join(format!("{number}.aftx"));
        let name = trigger["id"].as_str().unwrap();
        let args =
            ["extract", "--incident", name, store.path().to_str().unwrap(), "--to", file.to_str().unwrap()];
        let extracted = afterimage(&args);
        assert!(extracted.status.success(), "{extracted:?}");
        let incident = Recording::open(&file).unwrap();
        let own = events(&incident, container(&incident, &id).record.uid);
        assert!(own.iter().any(|event| event.code == EventCode::EXEC) && own.len() > 50, "{}", own.len());
        assert!(own == whole, "every event, from the first one: {} of {}", own.len(), whole.len());
        assert!(
            incident.containers().iter().all(|c| c.record.id != bystander.as_bytes()),
            "nothing of others"
        );
        let [carried] = incident.incidents() else { panic!("{:?}", incident.incidents()) };
        let document: Value = serde_json::from_slice(&carried.document).unwrap();
        assert_eq!(document["trigger"]["id"], trigger["id"]);
        assert_eq!(document["alert"]["sha256"], trigger["body_sha256"]);
        let sent: Value = serde_json::from_str(document["alert"]["text"].as_str().unwrap()).unwrap();
        assert_eq!(&sent, alert, "the alert as it was received");
        assert_eq!(document["pins"][0]["id"], trigger["containers"][0]["pin"]);
        let verified = afterimage(&["verify", file.to_str().unwrap()]);
        assert!(verified.status.success(), "{verified:?}");
        let shown = afterimage(&["info", "--incident", file.to_str().unwrap()]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown, document);
    }
    let none = afterimage(&["extract", "--incident", "t-none", store.path().to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_pin_ends_at_its_size_and_boosts_until_then() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    // Sleeping is kept by the full profile only.
    let script = "while :; do busybox sleep 0.01; done";
    let running = launcher.spawn(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
    let id = running.id().to_string();
    let pin = eventually("container", || {
        let args = ["pin", &id, "--limit", "200000", "--after", "exit", "--boost", "-o", "json"];
        let (_, text, _) = bench.client(&args);
        let answer: Value = serde_json::from_str(&text).ok()?;
        Some(answer["triggers"][0]["containers"][0]["pin"].as_str()?.to_owned())
    });
    let ended = eventually("end by size", || {
        let pins = bench.get("/v1/pins")["pins"].clone();
        pins.as_array().unwrap().iter().find(|own| own["id"] == pin.as_str() && own["full"] == true).cloned()
    });
    assert!(ended["to"].is_string(), "{ended}");
    running.kill().unwrap();
    running.wait().unwrap();
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let sleeping =
        ["nanosleep", "clock_nanosleep"].map(|name| afterimage_model::syscalls::by_name(name).unwrap());
    assert!(all.iter().any(|event| sleeping.contains(&event.code)), "every call was recorded");
    let held = recording.pins().iter().find(|own| own.id == pin).unwrap();
    let (first, last) = (all.first().unwrap().time, all.last().unwrap().time);
    assert!(held.end.is_some_and(|end| end > first && end < last), "{held:?} in {first:?}..{last:?}");
}

/// What is written to a watched file while nobody reads it is read by the next process, and by the next recorder.
#[test]
#[ignore = "needs root and eBPF"]
fn alerts_in_a_watched_file_are_read_once_whoever_ends_in_between() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let log = dir.path().join("alerts.jsonl");
    fs::write(&log, "what was there before is not news\n").unwrap();
    let more = format!("[[triggers.tail]]\npath = \"{}\"\nformat = \"falco\"\n", log.display());
    let bench = Bench::start(&more);
    let (launcher, _root) = busybox();
    let ids: Vec<String> =
        (0..4).map(|_| launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string()).collect();
    let append = |id: &str| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
        writeln!(file, "{}", falco(id)).unwrap();
    };
    // How often each container is pinned.
    let pinned = |bench: &Bench| {
        let mut pinned = BTreeMap::new();
        for pin in bench.get("/v1/pins")["pins"].as_array().unwrap() {
            *pinned.entry(pin["container"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        pinned
    };
    let all_of = |bench: &Bench, count: usize| {
        let wanted: BTreeMap<String, i32> = ids[..count].iter().map(|id| (id.clone(), 1)).collect();
        eventually("pin of each", || (pinned(bench) == wanted).then_some(()));
        // What was read is written down a moment after it was taken.
        let file = bench.recorder.store.path().join("tails.json");
        let end = format!("\"at\":{},", fs::metadata(&log).unwrap().len());
        eventually("mark", || fs::read_to_string(&file).ok()?.contains(&end).then_some(()));
    };
    let running = |bench: &Bench| {
        let status = bench.get("/v1/status");
        let control = status["processes"].as_array().unwrap().iter().find(|own| own["role"] == "control");
        control.and_then(|own| own["pid"].as_i64()).unwrap()
    };
    all_of(&bench, 0);
    append(&ids[0]);
    all_of(&bench, 1);
    let control = rustix::process::Pid::from_raw(running(&bench) as i32).unwrap();
    rustix::process::kill_process(control, rustix::process::Signal::KILL).unwrap();
    append(&ids[1]);
    eventually("another control process", || {
        let ready = crate::http::try_unix(&bench.socket(), "GET", "/readyz").ok()?;
        (ready.status == 200).then_some(())
    });
    all_of(&bench, 2);
    let (store, _) = bench.recorder.stop();
    append(&ids[2]);
    fs::rename(&log, dir.path().join("alerts.jsonl.1")).unwrap();
    append(&ids[3]);
    let bench = Bench::on(store, &more);
    all_of(&bench, 4);
    bench.recorder.stop();
}
