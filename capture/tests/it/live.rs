//! Rules judged while recording, and events shown while they happen.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio as Pipe},
};

use afterimage_launch::Stdio;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, busybox, eventually},
    harness::{RECORDER, alone, patience},
    http,
};

/// Where secrets are: other recorders of this machine have theirs elsewhere.
fn secret(name: &str) -> String {
    format!("/tmp/secret-{}-{name}", std::process::id())
}

fn rules(version: &str, capture: &str) -> String {
    let secret = secret("");
    format!(
        "- rule: Secret opened\n  desc: Somebody opens a secret.\n  condition: evt.type in (open, openat) and \
         fd.name startswith {secret} and container.id != host\n  output: {version} %proc.name opens %fd.name\n  \
         priority: CRITICAL\n  tags: [T1552]\n{capture}"
    )
}

/// A recorder with rules in a file, and hits in another.
fn bench(text: &str, more: &str) -> Bench {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("rules.yaml"), text).unwrap();
    let config = format!(
        "[rules]\nfiles = [\"{0}/rules.yaml\"]\noutputs = [\"file:{0}/hits.jsonl\"]\n{more}",
        files.path().display()
    );
    let mut bench = Bench::start(&config);
    bench.files = Some(files);
    bench
}

impl Bench {
    fn hits(&self) -> Vec<Value> {
        let text =
            fs::read_to_string(self.files.as_ref().unwrap().path().join("hits.jsonl")).unwrap_or_default();
        // A line without its end is still being written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn metric(&self, name: &str) -> Option<String> {
        let metrics = http::unix(&self.socket(), "GET", "/metrics", b"").body;
        let line = metrics.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
        Some(line.rsplit(' ').next()?.to_owned())
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_rules_hit_is_told_as_falco_tells_it_and_pins_its_container() {
    let _alone = alone();
    let capture = "  capture: true\n  capture_duration: 5000\n  capture_before: 600000\n";
    let bench = bench(&rules("v1", capture), "");
    let (launcher, _root) = busybox();
    let secret = secret("1");
    let script = format!("busybox touch {secret}; busybox cat {secret}; busybox cat {secret}");
    let id = launcher.run(&["/bin/busybox", "sh", "-c", &script], Stdio::default()).unwrap().id.to_string();
    let hits = eventually("third hit", || Some(bench.hits()).filter(|hits| hits.len() == 3));
    for hit in &hits {
        assert_eq!(
            (&hit["rule"], &hit["priority"], &hit["source"]),
            (&json!("Secret opened"), &json!("Critical"), &json!("syscall"))
        );
        assert_eq!(hit["output_fields"]["container.id"], json!(&id[..12]), "{hit}");
        assert_eq!(hit["output_fields"]["fd.name"], json!(secret));
        assert!(
            hit["output"].as_str().unwrap().contains(&format!("Critical v1 busybox opens {secret}")),
            "{hit}"
        );
        assert_eq!(hit["tags"], json!(["T1552"]));
    }
    // The first hit pins; those that follow at once have nothing to add.
    let pins = eventually("pin", || {
        Some(bench.get("/v1/pins")["pins"].clone())
            .filter(|pins| pins.as_array().is_some_and(|pins| !pins.is_empty()))
    });
    assert_eq!(pins.as_array().unwrap().len(), 1, "{pins}");
    assert_eq!((&pins[0]["container"], &pins[0]["source"]), (&json!(id), &json!("rules")), "{pins}");
    let trigger = bench.get("/v1/triggers")["triggers"][0].clone();
    assert_eq!(trigger["containers"][0]["complete"], true, "{trigger}");
    assert_eq!(
        trigger["containers"][0]["from"], trigger["containers"][0]["recorded_from"],
        "from its beginning"
    );
    assert_eq!(bench.metric("afterimage_rules_hits_total").as_deref(), Some("3"));
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn rules_are_changed_without_missing_an_event() {
    let _alone = alone();
    let bench = bench(&rules("v0", ""), "");
    let (launcher, _root) = busybox();
    let script = format!("i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo x > {}$i; done", secret(""));
    let running = launcher.spawn(&["/bin/busybox", "sh", "-c", &script], Stdio::default()).unwrap();
    let file = bench.files.as_ref().unwrap().path().join("rules.yaml");
    for version in 1..=8 {
        fs::write(&file, rules(&format!("v{version}"), "")).unwrap();
        assert_eq!(bench.client(&["reload"]).0, 0);
    }
    running.wait().unwrap();
    let mut seen = eventually("hit for each", || Some(bench.hits()).filter(|hits| hits.len() >= 400));
    // What cannot be used changes nothing, and says where it is wrong.
    fs::write(&file, "- rule: x\n  desc: d\n  condition: evt.tpye = open\n  output: o\n  priority: INFO\n")
        .unwrap();
    let (code, _, said) = bench.client(&["reload"]);
    assert!(code == 2 && said.contains("rules.yaml:3:"), "{code} {said}");
    let last = launcher
        .run(&["/bin/busybox", "sh", "-c", &format!("echo x > {}", secret("last"))], Stdio::default());
    last.unwrap();
    seen.extend(eventually("hit by the rules before", || {
        Some(bench.hits()).filter(|hits| hits.len() > 400).map(|hits| hits[400..].to_vec())
    }));
    let name = |hit: &Value| hit["output_fields"]["fd.name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = seen.iter().map(name).collect();
    assert_eq!(names.pop().unwrap(), secret("last"));
    let expected: Vec<String> = (1..=400).map(|i| secret(&i.to_string())).collect();
    let first = names.iter().zip(&expected).position(|(name, expected)| name != expected);
    assert_eq!((first, names.len()), (None, expected.len()), "each once, in order");
    assert!(seen.last().unwrap()["output"].as_str().unwrap().contains(" v8 "));
    assert_eq!(bench.metric("afterimage_rules_events_skipped_total").as_deref(), Some("0"));
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_rule_that_costs_too_much_is_named_and_shed() {
    let _alone = alone();
    let dear = "- rule: Dear\n  desc: d\n  condition: evt.type in (open, openat) and \
                fd.name regex \".*(a|b|c|d)+.*(e|f)+.*never-there\"\n  output: o\n  priority: INFO\n";
    let bench = bench(&format!("{dear}{}", rules("v1", "")), "budget = 1\n");
    let (launcher, _root) = busybox();
    let script = "while :; do read x < /tmp/abcdefabcdef; done";
    fs::write(_root.path().join("tmp/abcdefabcdef"), "x\n").unwrap();
    let running = launcher.spawn(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
    let shed = eventually("shed rule", || {
        bench.hits().into_iter().find(|hit| hit["rule"] == "Afterimage internal: rule shed")
    });
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(shed["output_fields"]["rule"], "Dear", "{shed}");
    // A reload gives it another chance. The other one may have been shed too, before or after it, where the machine is slow.
    eventually("hit of the other rule", || {
        assert_eq!(bench.client(&["reload"]).0, 0);
        eventually("rule in force again", || {
            bench.metric("afterimage_rules_active").filter(|active| active == "2.0")
        });
        let script = format!("echo x > {}", secret("1"));
        launcher.run(&["/bin/busybox", "sh", "-c", &script], Stdio::default()).unwrap();
        std::thread::sleep(patience() / 40);
        bench.hits().into_iter().find(|hit| hit["rule"] == "Secret opened")
    });
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn who_looks_on_sees_what_passes_the_filter_while_it_happens() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let socket = bench.socket();
    let tail = Command::new(RECORDER)
        .args([
            "tail",
            "--filter",
            "evt.type = execve and proc.args contains marker",
            "-n",
            "3",
            "-o",
            "json",
        ])
        .arg("--socket")
        .arg(&socket)
        .stdout(Pipe::piped())
        .spawn()
        .unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            // From when on it looks on is not known: there is something to see until it has seen enough.
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                launcher.run(&["/bin/busybox", "echo", "marker"], Stdio::default()).unwrap();
                launcher.run(&["/bin/busybox", "echo", "other"], Stdio::default()).unwrap();
            }
        });
        let output = tail.wait_with_output().unwrap();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        output
    });
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3, "{text}");
    for event in &events {
        assert_eq!((&event["kind"], &event["event"]), (&json!("event"), &json!("exec")), "{event}");
        assert!(event["detail"].as_str().unwrap().contains("marker"), "{event}");
        assert_eq!(event["container"].as_str().unwrap().len(), 64, "{event}");
    }
    let (code, _, said) = bench.client(&["tail", "--filter", "evt.tpye = open"]);
    assert!(code == 2 && said.contains("evt.type"), "{code} {said}");
    assert_eq!(bench.client(&["tail", "nobody-of-this-name"]).0, 1);
    // Who opens a stream and goes leaves nothing behind: after more than there is room for, there is room.
    for _ in 0..40 {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).unwrap();
        drop(stream);
    }
    eventually("place", || {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).ok()?;
        stream.write_all(b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).ok()?;
        (&head == b"HTTP/1.1 200").then_some(())
    });
    bench.recorder.stop();
}
