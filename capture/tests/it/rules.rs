//! Falco's 25 stable rules over what the recorder kept of real containers: for each rule a container that does what the
//! rule is about, and a twin that does nearly the same and is no concern of it.
//!
//! Every line of [`ACTS`] is two shell scripts. Programs that rules know by name are copies of `tests/rules/pose.c`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Write as _,
    ops::ControlFlow,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use afterimage_detect::{EventContext, Frame, RuleSet, Tracker};
use afterimage_format::{Query, Recording};
use afterimage_launch::{ContainerId, Launcher, Root, Running as Container, Stdio, Style, rootfs};
use tempfile::TempDir;

use crate::harness::{Running, alone, container, open};

/// Where programs of other names stand in the root.
const POSES: [&str; 10] = [
    "usr/sbin/nginx",
    "usr/sbin/sshd",
    "usr/sbin/debugfs",
    "usr/sbin/insmod",
    "usr/bin/python3",
    "usr/bin/ssh",
    "usr/bin/runc",
    "usr/bin/curl",
    "usr/bin/shred",
    "usr/bin/pose",
];

/// Files that acts look for.
const FILES: [(&str, &str); 4] = [
    ("etc/shadow", "root:*:1:0:99999:7:::\n"),
    ("etc/motd", "hello\n"),
    ("var/log/auth.log", "a line\n"),
    ("var/www/index.html", "hello\n"),
];

/// What makes a container privileged is not in its calls but in what its engine writes down. Engines do so before they
/// run a program; here it is written by the test, and read for containers that were there before the recorder.
const PRIVILEGED: &str = "Debugfs Launched in Privileged Container";

/// A rule, the script that trips it, and the twin that does not.
type Act = (&'static str, &'static str, &'static str);

const ACTS: [Act; 25] = [
    (
        "Directory traversal monitored file read",
        "nginx open /var/www/../../etc/passwd read",
        "nginx open /etc/passwd read",
    ),
    (
        "Read sensitive file trusted after startup",
        "nginx wait 6 open /etc/shadow read",
        "nginx open /etc/shadow read",
    ),
    ("Read sensitive file untrusted", "python3 open /etc/shadow read", "python3 open /etc/motd read"),
    ("Run shell untrusted", "nginx run /bin/sh -c id", "nginx run /bin/id"),
    (
        "System user interactive",
        "sshd open /etc/passwd read read user 65534 run /bin/id",
        "sshd open /etc/passwd read read user 0 run /bin/id",
    ),
    (
        "Terminal shell in container",
        "mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; runc terminal /bin/sh -c true",
        "mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; setsid runc run /bin/sh -c true",
    ),
    (
        "Contact K8S API Server From Container",
        "curl resolve kubernetes.default.svc.cluster.local 127.0.0.2 listen 127.0.0.2 443 connect 127.0.0.2 443",
        "curl resolve kubernetes.default.svc.cluster.local 127.0.0.2 listen 127.0.0.3 443 connect 127.0.0.3 443",
    ),
    (
        "Netcat Remote Code Execution in Container",
        "pose run /bin/nc 127.0.0.1 4444 -e /bin/sh",
        "pose run /bin/nc 127.0.0.1 4444",
    ),
    (
        "Search Private Keys or Passwords",
        "pose run /bin/find /etc -name id_rsa",
        "pose run /bin/find /etc -name motd",
    ),
    (
        "Clear Log Activities",
        "python3 open /var/log/auth.log truncate",
        "python3 open /var/log/auth.log append",
    ),
    ("Remove Bulk Data from Disk", "/usr/bin/shred", "rm /etc/motd"),
    ("Create Symlink Over Sensitive Files", "ln -s /etc/shadow /tmp/x", "ln -s /etc/motd /tmp/x"),
    ("Create Hardlink Over Sensitive Files", "ln /etc/shadow /tmp/x", "ln /etc/motd /tmp/x"),
    ("Packet socket created in container", "curl socket 17 768", "curl socket 2 1"),
    (
        "Redirect STDOUT/STDIN to Network Connection in Container",
        "python3 listen 127.0.0.1 4444 connect 127.0.0.1 4444 dup 1",
        "python3 listen 127.0.0.1 4444 connect 127.0.0.1 4444 dup 7",
    ),
    ("Linux Kernel Module Injection Detected", "/usr/sbin/insmod module", "/usr/sbin/insmod drop 16 module"),
    (PRIVILEGED, "read go; debugfs", "read go; debugfs"),
    (
        "Detect release_agent File Container Escapes",
        "pose open /tmp/release_agent truncate",
        "pose drop 21 open /tmp/release_agent truncate",
    ),
    ("PTRACE attached to process", "python3 attach", "python3 peek"),
    ("PTRACE anti-debug attempt", "python3 traceme", "python3 peek"),
    (
        "Find AWS Credentials",
        "pose run /bin/grep -r AWS_SECRET_ACCESS_KEY /etc",
        "pose run /bin/grep -r needle /etc",
    ),
    ("Execution from /dev/shm", "mkdir -p /dev/shm; cp /usr/bin/pose /dev/shm/x; /dev/shm/x", "pose"),
    ("Drop and execute new binary in container", "cp /usr/bin/pose /tmp/x; /tmp/x", "pose"),
    (
        "Disallowed SSH Connection Non Standard Port",
        "ip addr add 203.0.113.5/32 dev lo; ssh listen 203.0.113.5 443 connect 203.0.113.5 443",
        "ip addr add 203.0.113.5/32 dev lo; ssh listen 203.0.113.5 22 connect 203.0.113.5 22",
    ),
    ("Fileless execution via memfd_create", "pose memory", "pose"),
];

/// A busybox root with the programs that pose and the files that are looked for.
fn root() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    rootfs::busybox(dir.path()).unwrap();
    let built = dir.path().join("pose");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/pose.c");
    let status = Command::new("gcc").args(["-O1", "-static", "-o"]).arg(&built).arg(source).status().unwrap();
    assert!(status.success());
    for name in POSES {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(&built, path).unwrap();
    }
    for (name, text) in FILES {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// What Docker writes down of a container, taken away at the end.
struct Written(PathBuf);

impl Written {
    fn privileged(id: &str, privileged: bool) -> Self {
        let dir = Path::new("/var/lib/docker/containers").join(id);
        fs::create_dir_all(&dir).unwrap();
        let config = format!(r#"{{"ID":"{id}","Name":"/act","Config":{{"Image":"acts"}}}}"#);
        fs::write(dir.join("config.v2.json"), config).unwrap();
        fs::write(dir.join("hostconfig.json"), format!(r#"{{"Privileged":{privileged}}}"#)).unwrap();
        Self(dir)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The names of the rules that fire, by container.
fn fired(recording: &Recording, rules: &RuleSet) -> HashMap<Vec<u8>, BTreeSet<String>> {
    let records: HashMap<_, _> = recording.containers().iter().map(|c| (c.record.uid, &c.record)).collect();
    let frame = Frame { clock: recording.clock().clone(), range: recording.time_range(), ..Frame::default() };
    let (mut tracker, mut number) = (Tracker::new(), 0);
    let mut fired: HashMap<Vec<u8>, BTreeSet<String>> = HashMap::new();
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            number += 1;
            tracker.apply(uid, event);
            let cx = EventContext::new(event, (uid, records.get(&uid).copied()), &tracker, &frame, number);
            for hit in rules.evaluate(&cx) {
                let id = records.get(&uid).map(|record| record.id.clone()).unwrap_or_default();
                fired.entry(id).or_default().insert(hit.name);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    fired
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
#[cfg_attr(falco_rules, ignore = "needs root, eBPF and gcc")]
fn each_stable_rule_fires_in_a_real_container_and_not_in_its_twin() {
    let rules = RuleSet::load(&[option_env!("FALCO_RULES").unwrap_or_default()]).unwrap();
    let known: BTreeSet<&str> = rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(known, ACTS.iter().map(|act| act.0).collect(), "one act for each rule");
    let _alone = alone();
    let lower = root();
    let mut launcher = Launcher::new(Style::Docker, Root::Overlay(lower.path().to_owned())).unwrap();
    launcher.netns = true;
    let (wait, go) = std::io::pipe().unwrap();
    let mut written = Vec::new();
    let mut running: Vec<(&str, bool, Container)> = Vec::new();
    let mut start = |rule: &'static str, script: &str, trips: bool| {
        let id = ContainerId::random().unwrap();
        let mut stdio = Stdio::default();
        if rule == PRIVILEGED {
            written.push(Written::privileged(&id.to_string(), trips));
            stdio.stdin = Some(wait.as_fd());
        }
        running.push((rule, trips, launcher.spawn_as(id, &["/bin/sh", "-c", script], stdio).unwrap()));
    };
    let acts = |privileged: bool| ACTS.iter().filter(move |act| (act.0 == PRIVILEGED) == privileged);
    for (rule, trips, benign) in acts(true) {
        start(rule, trips, true);
        start(rule, benign, false);
    }
    let recorder = Running::start(&["--host", "none"]);
    for (rule, trips, benign) in acts(false) {
        start(rule, trips, true);
        start(rule, benign, false);
    }
    (&go).write_all(b"go\ngo\n").unwrap();
    drop(go);
    let mut ended = BTreeMap::new();
    for (rule, trips, container) in running {
        let outcome = container.wait().unwrap();
        assert!(outcome.status.success(), "{rule}, {trips}: {:?}", outcome.status);
        ended.insert((rule, trips), outcome.id.to_string());
    }
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let fired = fired(&recording, &rules);
    let none = BTreeSet::new();
    let mut wrong = Vec::new();
    for ((rule, trips), id) in &ended {
        let facts = &container(&recording, id).record.facts;
        let fired = fired.get(id.as_bytes()).unwrap_or(&none);
        if fired.contains(*rule) != *trips {
            let facts: Vec<_> = facts.iter().map(|fact| fact.key).collect();
            wrong.push(format!("`{rule}` expected {trips}; fired: {fired:?}; known: {facts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
