//! The control plane of a recorder at work: the API, its clients, alerts over TCP, reloading.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output},
    time::{Duration, Instant},
};

use afterimage_format::{ContainerUid, EventCode};
use afterimage_launch::Stdio;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, TOKEN, busybox, eventually, falco},
    harness::{RECORDER, Running, alone, container, events, open, wait_until},
    http,
};

#[test]
#[ignore = "needs root and eBPF"]
fn an_alert_after_its_death_pins_a_container_from_its_first_instruction() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let script = "echo attack; busybox sleep 0.3";
    let outcome = launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
    let id = outcome.id.to_string();
    std::thread::sleep(Duration::from_secs(2));
    let answer = bench.alert(&falco(&id));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let trigger = answer.json()["triggers"][0].clone();
    assert_eq!(trigger["state"], "pinned", "{trigger}");
    let covered = &trigger["containers"][0];
    assert_eq!((&covered["container"], &covered["state"]), (&json!(id), &json!("deleted")), "{trigger}");
    assert_eq!(covered["complete"], true, "{trigger}");
    let pins = bench.get("/v1/pins")["pins"].clone();
    assert_eq!(pins[0]["id"], covered["pin"]);
    assert_eq!(pins[0]["container"], json!(id));

    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let summary = container(&recording, &id);
    let real = |at| recording.clock().real(at).unwrap();
    let nanos = |value: &Value| {
        let stamp: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        i64::try_from(stamp.as_nanosecond()).unwrap()
    };
    // Clocks are read a moment apart; a millisecond is far less than a container's set-up.
    let (from, to) = (nanos(&pins[0]["from"]) - 1_000_000, nanos(&pins[0]["to"]) + 1_000_000);
    let all = events(&recording, summary.record.uid);
    assert!(all.iter().any(|event| event.code == EventCode::EXEC) && all.len() > 10);
    for event in &all {
        assert!((from..=to).contains(&real(event.time)), "{event:?} is outside of {from}..{to}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_pin_tells_what_its_container_was_waiting_in() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let running = launcher.spawn(&["/bin/busybox", "sleep", "1000"], Stdio::default()).unwrap();
    let id = running.id().to_string();
    // In the sleep, and known to the engine.
    let now = || fs::read_to_string(format!("/proc/{}/syscall", running.pid())).unwrap_or_default();
    let nr = || now().split(' ').next().and_then(|nr| nr.parse::<u64>().ok());
    wait_until("it sleeps", || matches!(nr(), Some(35 | 230)));
    let nr = nr().unwrap();
    let answer = bench.alert(&falco(&id));
    assert_eq!(answer.json()["triggers"][0]["state"], "pinned", "{}", answer.body);
    // The recorder's thread answers in order, so what was asked of it before is done.
    let path = format!("/v1/containers/{}/profile", &id[..12]);
    assert_eq!(http::unix(&bench.socket(), "PUT", &path, br#"{"profile":"full"}"#).status, 200);
    bench.recorder.wait_for_round();
    running.kill().unwrap();
    running.wait().unwrap();
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let waits: Vec<_> = all.iter().filter(|e| e.code == EventCode::IN_CALL).map(|e| e.args[0]).collect();
    assert_eq!(waits, [nr]);
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_hundred_alerts_on_a_hundred_containers_are_all_kept() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let ids = std::sync::Mutex::new(Vec::new());
    launcher
        .run_many(100, 4, &["/bin/true"], Stdio::default(), |done| {
            ids.lock().unwrap().push(done.id.to_string())
        })
        .unwrap();
    let ids = ids.into_inner().unwrap();
    std::thread::scope(|scope| {
        for id in &ids {
            let bench = &bench;
            scope.spawn(move || {
                let answer = bench.alert(&falco(id));
                let json = answer.json();
                assert_eq!(json["triggers"][0]["state"], "pinned", "{id}: {json}");
            });
        }
    });
    let pins = bench.get("/v1/pins")["pins"].clone();
    let mut pinned: Vec<&str> =
        pins.as_array().unwrap().iter().map(|pin| pin["container"].as_str().unwrap()).collect();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    pinned.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(pinned, wanted);
    let metrics = http::unix(&bench.socket(), "GET", "/metrics", b"").body;
    assert!(
        metrics.contains("afterimage_triggers_total{source=\"falco\",result=\"pinned\"} 100"),
        "{metrics}"
    );
    let latency = metrics.lines().find(|line| line.contains("quantile=\"0.99\"")).unwrap();
    println!("100 alerts at a time: {latency}");
    // Pins outlive the recorder, killed or not.
    let store = bench.recorder.kill();
    let again = Running::on(
        store,
        &["--host", "none", "--set", &format!("api.socket={}", bench.dir.path().join("b.sock").display())],
    );
    let pins = http::unix(&bench.dir.path().join("b.sock"), "GET", "/v1/pins", b"").json();
    assert_eq!(pins["pins"].as_array().unwrap().len(), 100);
    // And the dead of the earlier run are found.
    let found = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let path = format!("/v1/containers?container={}", &ids[0][..12]);
        let list = http::unix(&bench.dir.path().join("b.sock"), "GET", &path, b"").json();
        list["containers"].get(0).cloned()
    });
    assert_eq!(found.unwrap()["state"], "deleted");
    again.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_host_is_pinned_as_a_container_is() {
    let _alone = alone();
    let bench = Bench::of(tempfile::tempdir().unwrap(), "", "lifecycle");
    let mut about_host = falco("host-of-12-digits");
    about_host["output_fields"]["container.id"] = json!("host");
    let trigger = bench.alert(&about_host).json()["triggers"][0].clone();
    assert_eq!((&trigger["state"], &trigger["found_by"]), (&json!("pinned"), &json!("host")), "{trigger}");
    assert_eq!(trigger["containers"][0]["container"], "host", "{trigger}");
    let (code, said, _) = bench.client(&["pin", "host", "--reason", "by hand"]);
    assert!(said.contains("pinned person") && [0, 4].contains(&code), "{code}: {said}");
    // What the scope adds is pinned beside what the alert is about.
    let (launcher, _root) = busybox();
    let id = launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string();
    let trigger = bench.alert(&json!({ "container": id, "scope": "host" })).json()["triggers"][0].clone();
    let covered: Vec<&Value> =
        trigger["containers"].as_array().unwrap().iter().map(|covered| &covered["container"]).collect();
    assert_eq!(covered, [&json!(id), &json!("host")], "{trigger}");
    let listed = bench.get("/v1/containers")["containers"].as_array().unwrap().clone();
    assert!(listed.iter().all(|container| container["id"] != "host"), "it is no container: {listed:?}");
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let of_host = recording.pins().iter().filter(|pin| pin.containers.contains(&ContainerUid::HOST));
    assert_eq!((of_host.count(), recording.pins().len()), (3, 4), "{:?}", recording.pins());
    // The next recorder knows its past: what is pinned of it begins there.
    let between = jiff::Timestamp::now();
    let again = Bench::of(store, "", "lifecycle");
    eventually("the host's past", || {
        let answer = again.alert(&json!({ "container": "host", "before": "all", "reason": "again" })).json();
        let from = answer["triggers"][0]["containers"][0]["from"].as_str()?;
        from.parse::<jiff::Timestamp>().ok().filter(|from| *from < between)
    });
    again.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_time_between_two_recorders_is_told_by_a_pin() {
    let _alone = alone();
    // Without pins in a BPF file system the gap is certain.
    let first = Bench::start("[record]\nbpffs = \"\"\n");
    let (launcher, _root) = busybox();
    let running = launcher.spawn(&["/bin/busybox", "sleep", "1000"], Stdio::default()).unwrap();
    let id = running.id().to_string();
    eventually("the container", || {
        (first.client(&["pin", &id, "--before", "1ms", "--after", "1ms"]).0 == 0).then_some(())
    });
    let (store, _) = first.recorder.stop();
    let second = Bench::on(store, "[record]\nbpffs = \"\"\n");
    let covered = eventually("both of its halves", || {
        let answer = http::unix(
            &second.socket(),
            "POST",
            "/v1/triggers",
            json!({"container": id}).to_string().as_bytes(),
        );
        let covered = answer.json()["triggers"][0]["containers"].as_array().unwrap().clone();
        (covered.len() == 2).then_some(covered)
    });
    let states: Vec<&Value> = covered.iter().map(|covered| &covered["state"]).collect();
    assert_eq!(states, ["unknown", "running"], "{covered:?}");
    for half in &covered {
        let causes: Vec<&Value> = half["gaps"].as_array().unwrap().iter().map(|gap| &gap["cause"]).collect();
        assert_eq!(
            (&half["complete"], causes),
            (&json!(false), vec![&json!("recorder not running")]),
            "{half}"
        );
    }
    // What became of the first recorder's triggers is still known.
    let (_, text, _) = second.client(&["trigger", "--list"]);
    assert!(text.lines().filter(|line| line.starts_with("t-")).count() >= 2, "{text}");
    let (code, text, _) = second.client(&["pin", &id]);
    assert!(code == 4 && text.contains("recorder not running"), "{code} {text}");
    running.kill().unwrap();
    running.wait().unwrap();
    second.recorder.stop();
}

/// Prints how long an alert takes from its arrival to the pin on disk:
/// `cargo test -p afterimage-capture --test it thousand_containers -- --ignored --nocapture`.
#[test]
#[ignore = "needs root and eBPF"]
fn a_thousand_alerts_on_a_thousand_containers_are_all_pinned() {
    let _alone = alone();
    let bench = Bench::start("rate = 1000000\n");
    let (launcher, _root) = busybox();
    let ids = std::sync::Mutex::new(Vec::new());
    let done = |done: afterimage_launch::Outcome| ids.lock().unwrap().push(done.id.to_string());
    launcher.run_many(1000, 4, &["/bin/true"], Stdio::default(), done).unwrap();
    let ids = ids.into_inner().unwrap();
    eventually("thousandth container", || {
        let known = bench.get("/v1/status")["containers_known"].as_u64();
        known.filter(|known| *known >= 1000)
    });
    for id in &ids {
        let answer = bench.alert(&falco(id)).json();
        assert_eq!(answer["triggers"][0]["state"], "pinned", "{id}: {answer}");
    }
    let metrics = http::unix(&bench.socket(), "GET", "/metrics", b"").body;
    for line in metrics.lines().filter(|line| line.starts_with("afterimage_trigger_latency_seconds{")) {
        println!("{line}");
    }
    assert_eq!(bench.get("/v1/pins")["pins"].as_array().unwrap().len(), 1000);
    let (store, _) = bench.recorder.stop();
    assert_eq!(open(store.path()).pins().len(), 1000, "and the store holds them");
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_clients_answer_by_text_json_and_exit_status() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let id = launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string();
    std::thread::sleep(Duration::from_millis(300));

    let (code, text, _) = bench.client(&["status"]);
    assert_eq!(code, 0);
    assert!(text.starts_with("recording, version") && text.contains("keeps      forensic"), "{text}");
    assert_eq!(bench.client(&["status", "--check"]).0, 0);
    let (code, text, _) = bench.client(&["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &status["schema"], &status["recording"]["lost"]), (0, &json!(1), &json!(0)));

    let (code, text, _) =
        bench.client(&["pin", &id[..12], "--before", "all", "--reason", "ticket\u{202e}4711"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("pinned") && text.contains("complete") && !text.contains('\u{202e}'), "{text}");
    let (code, text, _) = bench.client(&["pin", "--list"]);
    assert!(code == 0 && text.contains("\\u{202e}4711"), "{text}");
    let pin = text.split(' ').next().unwrap().to_owned();
    let (code, text, stderr) = bench.client(&["pin", "nobody-of-this-name"]);
    assert_eq!(code, 1, "{text}{stderr}");
    assert!(text.contains("queued") || text.contains("unmatched"), "{text}");
    let (code, _, stderr) = bench.client(&["pin", &id, "--before", "5 fortnights"]);
    assert!(code == 2 && stderr.contains("`before` is"), "{code} {stderr}");
    assert_eq!(bench.client(&["trigger"]).0, 2);
    let alert = bench.dir.path().join("alert.json");
    fs::write(&alert, falco(&id).to_string()).unwrap();
    let (code, text, stderr) = bench.client(&["trigger", "--body", alert.to_str().unwrap()]);
    assert!(code == 0 && text.contains("pinned falco \"Drop and execute"), "{code} {text}{stderr}");
    let (code, text, _) = bench.client(&["trigger", "--list"]);
    assert!(code == 0 && text.lines().filter(|l| l.starts_with("t-")).count() == 3, "{text}");

    assert_eq!(bench.client(&["unpin", &pin]).0, 0);
    let (code, _, stderr) = bench.client(&["unpin", &pin]);
    assert!(code == 1 && stderr.contains("no such pin"), "{code} {stderr}");
    let journal = fs::read_to_string(bench.recorder.store.path().join("triggers.jsonl")).unwrap();
    assert!(journal.lines().any(|line| line.contains("\"kind\":\"unpin\"") && line.contains(&pin)));

    let (code, _, stderr) = {
        let missing = Command::new(RECORDER).args(["status", "--socket", "/no/such.sock"]).output().unwrap();
        (missing.status.code(), missing.stdout, String::from_utf8(missing.stderr).unwrap())
    };
    assert_eq!(code, Some(5));
    assert!(stderr.contains("no recorder answers at `/no/such.sock`"), "{stderr}");
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_socket_is_for_root_and_its_group() {
    let _alone = alone();
    let bench = Bench::start("");
    let mode = fs::metadata(bench.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    // The checkout may be out of nobody's reach.
    let program = bench.dir.path().join("afterimaged");
    fs::copy(RECORDER, &program).unwrap();
    let status = |uid: u32, gid: u32| {
        let Output { status, stderr, .. } = Command::new(&program)
            .args(["status", "--socket"])
            .arg(bench.socket())
            .uid(uid)
            .gid(gid)
            .output()
            .unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    };
    let (code, said) = status(65534, 65534);
    assert!(code == Some(5) && said.contains("Permission denied"), "{code:?} {said}");
    // Even where the mode lets somebody through, the credentials do not.
    fs::set_permissions(bench.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let (code, said) = status(65534, 65534);
    assert!(code == Some(5) && said.contains("neither root nor in the group"), "{code:?} {said}");
    assert_eq!(status(0, 0).0, Some(0));
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_socket_is_not_for_root_in_a_container() {
    let _alone = alone();
    let bench = Bench::start("");
    let refused = |command: &mut Command| {
        let Output { status, stderr, .. } =
            command.args([RECORDER, "status", "--socket"]).arg(bench.socket()).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(
            status.code() == Some(5) && said.contains("the process is in a container"),
            "{status:?} {said}"
        );
    };
    // Root of a container that has the socket mounted: by its pid namespace, and by its cgroup.
    refused(Command::new("unshare").args(["--pid", "--fork"]));
    let cgroups = crate::harness::unified();
    let cgroup = cgroups.join(format!("docker-{}.scope", "5ec7".repeat(16)));
    fs::create_dir(&cgroup).unwrap();
    let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", cgroup.display());
    refused(Command::new("sh").args(["-c", &enter, "sh"]));
    eventually("cgroup that is empty again", || fs::remove_dir(&cgroup).ok());
    // And the host's is served.
    assert_eq!(
        Command::new(RECORDER).args(["status", "--socket"]).arg(bench.socket()).status().unwrap().code(),
        Some(0)
    );
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn senders_get_the_answer_they_need() {
    let _alone = alone();
    let bench = Bench::start("rate = 100000\nbody_limit = \"64KiB\"\n[triggers]\nqueue = 4\n");
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        http::tcp(bench.webhook, "POST", path, headers, body.as_bytes()).status
    };
    let bearer = format!("Bearer {TOKEN}");
    let auth = [("Authorization", bearer.as_str())];
    let one = falco(&"a".repeat(64)).to_string();
    assert_eq!(post("/v1/trigger", &[], &one), 401);
    assert_eq!(post("/v1/trigger", &[("X-Afterimage-Token", "wrong-but-long-enough")], &one), 403);
    assert_eq!(post("/v1/trigger", &auth, &one), 200);
    assert_eq!(post(&format!("/v1/trigger/falco/{TOKEN}"), &[], &one), 200, "as Falco must send it");
    assert_eq!(post("/v1/trigger/tracee", &auth, include_str!("../senders/tracee.json")), 200);
    assert_eq!(
        post("/v1/trigger/k8s-audit", &auth, include_str!("../senders/k8s-audit.json")),
        200,
        "not ours"
    );
    assert_eq!(post("/v1/trigger", &auth, "{"), 400);
    assert_eq!(post("/v1/trigger", &auth, "{\"colour\":1}"), 400);
    assert_eq!(post("/v1/elsewhere", &auth, &one), 404);
    for method in ["GET", "PUT"] {
        assert_eq!(
            http::tcp(bench.webhook, method, "/v1/trigger", &auth, one.as_bytes()).status,
            405,
            "{method}"
        );
    }
    assert_eq!(post("/v1/trigger/nosender", &auth, &one), 404);
    assert_eq!(post("/v1/trigger?wait=nonsense", &auth, &one), 400);
    let packed = [("Authorization", bearer.as_str()), ("Content-Encoding", "br")];
    assert_eq!(post("/v1/trigger", &packed, &one), 415);
    let head = http::unix(&bench.socket(), "HEAD", "/metrics", b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(post("/v1/trigger", &auth, &"x".repeat(65 << 10)), 413);
    let gigabyte = [("Authorization", bearer.as_str()), ("Content-Length", "1073741824")];
    let begun = Instant::now();
    assert_eq!(post("/v1/trigger", &gigabyte, "{"), 413, "what is announced too large is not waited for");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // A body larger than the queue is taken while nothing waits; the next finds it full. Alertmanager tries again
    // after 5xx only.
    let many = |n: usize| json!(vec![falco(&"b".repeat(64)); n]).to_string();
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let statuses: Vec<_> = (0..64)
            .map(|number| {
                let (many, bearer) = (&many, bearer.as_str());
                scope.spawn(move || {
                    let agent = if number % 2 == 0 { "Alertmanager/0.28" } else { "curl/8" };
                    let headers = [("Authorization", bearer), ("User-Agent", agent)];
                    (
                        number % 2 == 0,
                        http::tcp(bench.webhook, "POST", "/v1/trigger", &headers, many(40).as_bytes()).status,
                    )
                })
            })
            .collect();
        seen.extend(statuses.into_iter().map(|status| status.join().unwrap()));
    });
    for (alertmanager, status) in &seen {
        let full = if *alertmanager { 503 } else { 429 };
        assert!(*status == 200 || *status == full, "{seen:?}");
    }
    let said = bench.recorder.stop().1;
    assert!(!said.contains(TOKEN), "a token is never logged: {said}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_reload_changes_what_can_be_changed_and_says_what_cannot() {
    let _alone = alone();
    let bench = Bench::start("");
    let file = bench.dir.path().join("config.toml");
    let before = fs::read_to_string(&file).unwrap();
    let drop_in = bench.dir.path().join("config.d");
    fs::create_dir(&drop_in).unwrap();
    fs::write(drop_in.join("a.toml"), "[record]\nprofile = \"full\"\ndata_ring = \"64MiB\"\n").unwrap();
    let (code, text, _) = bench.client(&["reload"]);
    assert_eq!(code, 0);
    assert_eq!(text, "applied: record.profile\nneeds a restart: record.data_ring\n");
    assert_eq!(bench.get("/v1/status")["recording"]["profile"], "full", "at once");
    // Nothing of a configuration that cannot be used takes effect.
    fs::write(drop_in.join("a.toml"), "[record]\nprofile = \"minimal\"\nprofle = 1\n").unwrap();
    let (code, _, stderr) = bench.client(&["reload"]);
    assert!(code == 2 && stderr.contains("a.toml:3:1: unknown key `record.profle`"), "{code} {stderr}");
    assert_eq!(bench.get("/v1/config")["settings"]["record.profile"]["value"], "full");
    // The signal does the same.
    fs::write(drop_in.join("a.toml"), "[triggers]\nbefore = \"1h\"\n").unwrap();
    bench.recorder.signal(rustix::process::Signal::HUP);
    let applied = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        bench.get("/v1/config")["settings"]["triggers.before"]["value"] == "1h"
    });
    assert!(applied);
    // And a token that is not in the file any more is not one.
    fs::write(bench.dir.path().join("tokens"), "another-token-nobody-guesses").unwrap();
    assert_eq!(bench.client(&["reload"]).0, 0);
    assert_eq!(bench.alert(&falco(&"a".repeat(64))).status, 403);
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "nobody writes to the configuration");
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_recorder_that_was_stopped_is_not_well() {
    let _alone = alone();
    let bench = Bench::start("");
    assert_eq!(http::unix(&bench.socket(), "GET", "/healthz", b"").status, 200);
    bench.recorder.signal(rustix::process::Signal::STOP);
    let begun = Instant::now();
    let answer = http::unix(&bench.socket(), "GET", "/healthz", b"");
    bench.recorder.signal(rustix::process::Signal::CONT);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    eventually("health", || {
        (http::unix(&bench.socket(), "GET", "/healthz", b"").status == 200).then_some(())
    });
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_profile_can_be_changed_while_recording() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    // Sleeping is kept by the full profile only.
    let script = "for i in 1 2 3 4 5 6 7 8 9; do busybox date > /dev/null; busybox sleep 0.2; done";
    let running = launcher.spawn(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
    let id = running.id().to_string();
    std::thread::sleep(Duration::from_millis(700));
    let path = format!("/v1/containers/{}/profile", &id[..12]);
    let answer = http::unix(&bench.socket(), "PUT", &path, br#"{"profile":"full"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    running.wait().unwrap();
    assert_eq!(http::unix(&bench.socket(), "PUT", &path, br#"{"profile":"loud"}"#).status, 400);
    assert_eq!(
        http::unix(&bench.socket(), "PUT", "/v1/containers/nobody/profile", br#"{"profile":null}"#).status,
        404
    );
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let all = events(&recording, container(&recording, &id).record.uid);
    let sleeping =
        ["nanosleep", "clock_nanosleep"].map(|name| afterimage_model::syscalls::by_name(name).unwrap());
    let first = all.iter().position(|event| sleeping.contains(&event.code));
    let first = first.expect("the full profile keeps it");
    let setup_done = all.iter().position(|event| event.code == EventCode::EXEC).unwrap();
    assert!(first > setup_done + 20, "before the change it is not kept: {first}");
}
