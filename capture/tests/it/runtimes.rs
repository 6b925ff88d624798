//! Real runtimes and engines, their containers made and deleted as fast as they go: each is listed, with the engine's
//! id, name and image, its exit code, and exactly the calls of its payload.

mod lab;
mod witness;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use afterimage_format::{Engine, EventCode, EventFlags, layout};
use serde_json::json;

use self::{
    lab::{Cgroups, Lab, NOBODY, image},
    witness::{CALLS, Made, check, look, payload},
};
use crate::harness::{Running, alone, container, events, open};

/// Containers at a time.
const AT_A_TIME: usize = 4;
const IMAGE: &str = "localhost/bb:1";
const RECORD: [&str; 6] = ["--profile", "full", "--host", "lifecycle", "--data-ring", "128"];

/// Runs `one` for the marks 1 to `count`, some at a time.
fn many(count: u32, one: impl Fn(u32) -> Made + Sync) -> Vec<Made> {
    let (next, made) = (AtomicU32::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let mark = next.fetch_add(1, Ordering::Relaxed);
                    if mark > count {
                        break;
                    }
                    let container = one(mark);
                    made.lock().unwrap().push(container);
                }
            });
        }
    });
    made.into_inner().unwrap()
}

/// 64 hex digits that no other container has.
fn id_of(engine: &str, mark: u32) -> String {
    use sha2::{Digest as _, Sha256};
    let seed = format!("{engine} {mark} {} {:?}", std::process::id(), std::time::Instant::now());
    Sha256::digest(seed).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All words of a command line.
fn words<'a>(parts: &[&'a [&'a str]], last: &'a [String]) -> Vec<&'a str> {
    parts.iter().flat_map(|part| part.iter().copied()).chain(last.iter().map(String::as_str)).collect()
}

/// A shared object that lets crun run where root may not raise limits: it asks for more locked memory than its
/// programs have needed since Linux 5.11, and gives up on a refusal.
fn lenient(lab: &Lab) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evasion/lenient.c");
    let object = lab.dir().join("lenient.so");
    let built = std::process::Command::new("gcc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&object)
        .arg(source)
        .status()
        .unwrap();
    assert!(built.success());
    let script = lab.dir().join("crun");
    let text = format!("#!/bin/sh\nLD_PRELOAD={} exec /usr/bin/crun \"$@\"\n", object.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    script.to_str().unwrap().to_owned()
}

/// An OCI bundle of a payload.
fn bundle(lab: &Lab, id: &str, argv: &[String]) -> String {
    let dir = lab.dir().join(id);
    fs::create_dir(&dir).unwrap();
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    let spec = json!({
        "ociVersion": "1.0.2",
        "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "args": argv, "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": image().0, "readonly": true},
        "hostname": "c",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
        "linux": {"cgroupsPath": format!("/afterimage-runtimes/{id}"), "namespaces": namespaces,
                  "resources": {"devices": [{"allow": false, "access": "rwm"}]}},
    });
    fs::write(dir.join("config.json"), spec.to_string()).unwrap();
    dir.to_str().unwrap().to_owned()
}

/// Containers of a runtime run directly.
fn check_runtime(cgroups: Cgroups, program: impl FnOnce(&Lab) -> String) {
    let _alone = alone();
    let lab = Lab::new(cgroups);
    let (program, state) = (program(&lab), lab.dir().join("state"));
    let recorder = Running::start(&RECORD);
    let made = many(40, |mark| {
        let (id, (argv, code)) = (id_of(&program, mark), payload(mark));
        let bundle = bundle(&lab, &id, &argv);
        let out = lab.run(&[&program, "--root", state.to_str().unwrap(), "run", "--bundle", &bundle, &id]);
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        Made { id, mark, code, name: None, image: None }
    });
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    check(&open(store.path()), Engine::Oci, &made);
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace and runc"]
fn every_container_of_runc_is_recorded_as_itself() {
    check_runtime(Cgroups::Host, |_| "runc".to_owned());
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace and crun"]
fn every_container_of_crun_is_recorded_as_itself() {
    check_runtime(Cgroups::V2, lenient);
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace and runc"]
fn containers_whose_names_say_nothing_are_themselves_also_where_the_recorder_is_killed_while_they_are_made() {
    const KILLED: [&str; 2] = ["--set", "record.bpffs=/sys/fs/bpf"];
    const KILLS: u32 = 6;
    let _alone = alone();
    let lab = Lab::new(Cgroups::Host);
    let state = lab.dir().join("state");
    let args: Vec<&str> = RECORD.into_iter().chain(KILLED).collect();
    let first = Running::start(&args);
    let (marks, is_over) = (AtomicU32::new(1), AtomicBool::new(false));
    // Which time it is that no recorder runs, 0 while one does. Each runner begins one container then and no more: a slow
    // machine takes seconds to start a recorder, and more than the ring holds would be made meanwhile.
    let alone_for = AtomicU32::new(0);
    let run = |mark: u32| {
        let (id, (argv, code)) = (format!("box-{mark}"), payload(mark));
        let bundle = bundle(&lab, &id, &argv);
        let out = lab.run(&["runc", "--root", state.to_str().unwrap(), "run", "--bundle", &bundle, &id]);
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        Made { id, mark, code, name: None, image: None }
    };
    let (recorder, made) = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..2)
            .map(|_| {
                let (marks, is_over, alone_for, run) = (&marks, &is_over, &alone_for, &run);
                scope.spawn(move || {
                    let (mut made, mut begun) = (Vec::new(), 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let now = alone_for.load(Ordering::Relaxed);
                        if now != 0 && std::mem::replace(&mut begun, now) == now {
                            std::thread::sleep(Duration::from_millis(5));
                            continue;
                        }
                        made.push(run(marks.fetch_add(1, Ordering::Relaxed)));
                    }
                    made
                })
            })
            .collect();
        let mut recorder = first;
        for round in 0..KILLS {
            std::thread::sleep(Duration::from_millis(500 + 37 * u64::from(round)));
            alone_for.store(round + 1, Ordering::Relaxed);
            let store = recorder.kill();
            std::thread::sleep(Duration::from_millis(400));
            recorder = Running::on(store, &args);
            alone_for.store(0, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(500));
        is_over.store(true, Ordering::Relaxed);
        (recorder, runners.into_iter().flat_map(|runner| runner.join().unwrap()).collect::<Vec<_>>())
    });
    let (store, said) = recorder.stop();
    assert!(said.contains("taken over") && said.contains(" 0 lost"), "{said}");
    assert!(made.len() > 2 * KILLS as usize, "{}", made.len());
    check(&open(store.path()), Engine::Oci, &made);
}

/// Podman with everything it keeps in the lab; the words that come before its verb.
fn podman(lab: &Lab, rootless: bool) -> Vec<String> {
    let dir = lab.dir().join("podman");
    let (home, run) = (dir.join("home"), dir.join("run"));
    for path in [&dir, &home, &run] {
        fs::create_dir(path).unwrap();
        let user = rootless.then_some(NOBODY);
        std::os::unix::fs::chown(path, user, user).unwrap();
    }
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let crun = lenient(lab);
    // Nothing may be raised where root has not all rights; the hierarchy may have no pids controller; no network.
    let containers = format!(
        "[containers]\ndefault_ulimits=[]\nnetns=\"none\"\npids_limit=0\nlog_driver=\"k8s-file\"\n\
         [engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\nruntime=\"crun\"\n\
         [engine.runtimes]\ncrun=[\"{crun}\"]\n"
    );
    let storage = format!(
        "[storage]\ndriver=\"{}\"\ngraphroot=\"{}\"\nrunroot=\"{}\"\n[storage.options]\n{}",
        if rootless { "vfs" } else { "overlay" },
        home.join("storage").display(),
        run.join("storage").display(),
        if rootless { "ignore_chown_errors=\"true\"\n" } else { "" },
    );
    let (containers_conf, storage_conf) = (dir.join("containers.conf"), dir.join("storage.conf"));
    fs::write(&containers_conf, containers).unwrap();
    fs::write(&storage_conf, storage).unwrap();
    let mut words = Vec::new();
    if rootless {
        let user = NOBODY.to_string();
        words.extend(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"].map(str::to_owned));
    }
    words.extend(["env".to_owned(), format!("HOME={}", home.display())]);
    words.push(format!("XDG_RUNTIME_DIR={}", run.display()));
    words.push(format!("CONTAINERS_CONF={}", containers_conf.display()));
    words.push(format!("CONTAINERS_STORAGE_CONF={}", storage_conf.display()));
    words.push("podman".to_owned());
    words
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Containers of Podman.
fn check_podman(lab: &Lab, podman: &[&str], options: &[&str], count: u32) {
    lab.must(&words(&[podman, &["import", image().1.to_str().unwrap(), IMAGE]], &[]));
    let recorder = Running::start(&RECORD);
    let made = many(count, |mark| {
        let (name, (argv, code)) = (format!("afi-{mark}"), payload(mark));
        let file = lab.dir().join("podman/run").join(&name);
        let written = ["--cidfile", file.to_str().unwrap(), "--name", &name, IMAGE];
        let run = ["run", "--pull", "never"];
        let out = lab.run(&words(&[podman, &run, options, &written], &argv));
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        let id = fs::read_to_string(file).unwrap().trim().to_owned();
        lab.must(&words(&[podman, &["rm", &id]], &[]));
        Made { id, mark, code, name: Some(name), image: Some(IMAGE.to_owned()) }
    });
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    check(&open(store.path()), Engine::Podman, &made);
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace, crun and podman"]
fn every_container_of_podman_is_recorded_as_itself() {
    let _alone = alone();
    let lab = Lab::new(Cgroups::V2);
    check_podman(&lab, &refs(&podman(&lab, false)), &[], 16);
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace, crun and podman"]
fn every_container_of_rootless_podman_is_recorded_as_itself_without_any_cgroup() {
    let _alone = alone();
    let lab = Lab::new(Cgroups::V1);
    check_podman(&lab, &refs(&podman(&lab, true)), &["--cgroups=disabled"], 16);
}

/// containerd with everything it keeps in the lab; ctr's words before its verb.
fn containerd(lab: &mut Lab) -> Vec<String> {
    let dir = lab.dir().join("containerd");
    fs::create_dir(&dir).unwrap();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (config, socket) = (at("config.toml"), at("c.sock"));
    let text = format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{socket}\"\n",
        at("root"),
        at("state"),
    );
    fs::write(&config, text).unwrap();
    let ctr = ["ctr", "--address", &socket];
    lab.daemon(&["containerd", "--config", &config], &[&ctr[..], &["version"]].concat());
    ctr.map(str::to_owned).to_vec()
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace, runc, containerd and podman"]
fn every_container_of_containerd_is_recorded_as_itself() {
    let _alone = alone();
    let mut lab = Lab::new(Cgroups::Host);
    let recorder = Running::start(&RECORD);
    let ctr = containerd(&mut lab);
    let ctr = refs(&ctr);
    let archive = lab.dir().join("oci.tar");
    let archive = archive.to_str().unwrap();
    let podman = podman(&lab, false);
    let podman = refs(&podman);
    lab.must(&words(&[&podman, &["import", image().1.to_str().unwrap(), IMAGE]], &[]));
    lab.must(&words(&[&podman, &["save", "--format", "oci-archive", "--output", archive, IMAGE]], &[]));
    lab.must(&words(&[&ctr, &["images", "import", "--base-name", "localhost/bb", archive]], &[]));
    // Every other one as the CRI plugin makes them: with a pod's cgroup and annotations.
    let made = many(16, |mark| {
        let (id, (argv, code)) = (id_of("ctr", mark), payload(mark));
        let cgroup = format!("/kubepods/burstable/pod{:08x}-0000-4000-8000-00000000000a/{id}", mark);
        let image = format!("io.kubernetes.cri.image-name={IMAGE}");
        let pod = format!("io.kubernetes.cri.container-name=ctr-{mark}");
        let cri = ["--cgroup", &cgroup, "--annotation", &image, "--annotation", &pod];
        let kubernetes = mark % 2 == 0;
        let options: &[&str] = if kubernetes { &cri } else { &[] };
        let out = lab.run(&words(&[&ctr, &["run", "--rm"], options, &[IMAGE, &id]], &argv));
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        Made { id, mark, code, name: None, image: kubernetes.then(|| IMAGE.to_owned()) }
    });
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    check(&open(store.path()), Engine::Containerd, &made);
}

/// A Docker daemon with everything it keeps in the lab; docker's words before its verb.
fn docker(lab: &mut Lab) -> Vec<String> {
    let dir = lab.dir().join("docker");
    fs::create_dir(&dir).unwrap();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (data, exec, pid, host) = (at("data"), at("exec"), at("pid"), format!("unix://{}", at("d.sock")));
    let daemon = ["dockerd", "--data-root", &data, "--exec-root", &exec, "--pidfile", &pid, "--host", &host];
    let options = [
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--storage-driver=overlay2",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
    ];
    let client = ["docker", "--host", &host];
    lab.daemon(&[&daemon[..], &options].concat(), &[&client[..], &["info"]].concat());
    lab.must(&[&client[..], &["import", image().1.to_str().unwrap(), IMAGE]].concat());
    client.map(str::to_owned).to_vec()
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace and docker.io"]
fn every_container_of_docker_is_recorded_as_itself() {
    let _alone = alone();
    let mut lab = Lab::new(Cgroups::Host);
    let docker = docker(&mut lab);
    let docker = refs(&docker);
    let recorder = Running::start(&RECORD);
    let made = many(12, |mark| {
        let (name, (argv, code)) = (format!("afi-{mark}"), payload(mark));
        let file = lab.dir().join(&name);
        let written = ["--cidfile", file.to_str().unwrap(), "--name", &name, IMAGE];
        let run = ["run", "--rm", "--pull", "never", "--network", "none"];
        let out = lab.run(&words(&[&docker, &run, &written], &argv));
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        let id = fs::read_to_string(file).unwrap().trim().to_owned();
        Made { id, mark, code, name: Some(name), image: Some(IMAGE.to_owned()) }
    });
    // `--rm` is the daemon's work after the client is told of the end.
    lab.must(&words(&[&docker, &["container", "prune", "--force"]], &[]));
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    check(&open(store.path()), Engine::Docker, &made);
}

/// `exec` sessions in a container that runs: more roots of the same container, each set-up hidden.
fn check_sessions(lab: &Lab, engine: &[&str], before: bool) {
    const SESSIONS: u32 = 6;
    let recorder = (!before).then(|| Running::start(&RECORD));
    let network: &[&str] = if engine.contains(&"docker") { &["--network", "none"] } else { &[] };
    let run = ["run", "--detach", "--pull", "never", "--name", "host-of-sessions"];
    let id = lab.must(&words(&[engine, &run, network, &[IMAGE, "/bin/acts", "idle"]], &[]));
    let id = id.trim();
    let recorder = recorder.unwrap_or_else(|| Running::start(&RECORD));
    many(SESSIONS, |mark| {
        let (argv, code) = payload(mark);
        let out = lab.run(&words(&[engine, &["exec", id]], &argv));
        assert_eq!(out.status.code(), Some(code as i32), "{out:?}");
        Made { id: id.to_owned(), mark, code, name: None, image: None }
    });
    lab.must(&words(&[engine, &["rm", "--force", id]], &[]));
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let record = &container(&recording, id).record;
    assert_eq!(record.preexisting, before);
    let seen = look(&recording);
    let own = &seen[&record.uid];
    assert_eq!(own.marks.len(), SESSIONS as usize, "{own:?}");
    assert!(own.marks.values().all(|count| *count == CALLS), "{own:?}");
    assert!(seen.iter().all(|(uid, seen)| *uid == record.uid || seen.marks.is_empty()));
    let all = events(&recording, record.uid);
    let is_payload = |code| {
        move |e: &&afterimage_format::OwnedEvent| e.code == code && !e.flags.contains(EventFlags::SETUP)
    };
    let roots = all.iter().filter(is_payload(EventCode::EXEC)).count() as u32;
    assert_eq!(roots, SESSIONS + u32::from(!before), "one program for each session, and the first");
    // None of them was made inside.
    let inside = |tgid: u64| all.iter().any(|e| u64::from(e.task.tgid) == tgid && e.code == EventCode::EXEC);
    for exec in all.iter().filter(is_payload(EventCode::EXEC)) {
        assert!(!inside(exec.args[layout::exec::PPID]), "{exec:?}");
    }
    assert_eq!(record.exited.map(|(_, raw)| raw), Some(9), "killed");
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace and docker.io"]
fn sessions_of_docker_exec_are_roots_of_their_container() {
    let _alone = alone();
    let mut lab = Lab::new(Cgroups::Host);
    let docker = docker(&mut lab);
    check_sessions(&lab, &refs(&docker), true);
}

#[test]
#[ignore = "needs root, eBPF, gcc, strace, crun and podman"]
fn sessions_of_podman_exec_are_roots_of_their_container() {
    let _alone = alone();
    let lab = Lab::new(Cgroups::V2);
    let podman = podman(&lab, false);
    let podman = refs(&podman);
    lab.must(&words(&[&podman, &["import", image().1.to_str().unwrap(), IMAGE]], &[]));
    check_sessions(&lab, &podman, false);
}
