//! Real containers, made and taken away. They need root; the witnesses are `/proc`, the cgroup file system, and
//! `strace` where calls are counted.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use afterimage_launch::{
    ExitStatus, Hierarchy, Join, LaunchError, Launcher, Outcome, Root, Stage, Stdio, Style, rootfs,
};
use tempfile::TempDir;

fn busybox_root() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    rootfs::busybox(dir.path()).unwrap();
    dir
}

fn shell(launcher: &Launcher, script: &str) -> (Outcome, String) {
    let (mut read, write) = std::io::pipe().unwrap();
    let stdio = Stdio { stdout: Some(write.as_fd()), ..Stdio::default() };
    let running = launcher.spawn(&["/bin/sh", "-c", script], stdio).unwrap();
    drop(write);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    (running.wait().unwrap(), text)
}

fn cgroup_directory(outcome: &str) -> PathBuf {
    let hierarchy = Hierarchy::open().unwrap();
    hierarchy.mount_point().expect("cgroup v2 is mounted").join(outcome.trim_start_matches('/'))
}

#[test]
#[ignore = "needs root"]
fn busybox_root_runs_its_applets_and_has_the_usual_devices() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().into())).unwrap();
    let (outcome, text) = shell(&launcher, "echo gone > /dev/null && head -c 3 /dev/zero | wc -c && id -un");
    assert_eq!(outcome.status, ExitStatus::Code(0));
    assert_eq!(text, "3\nroot\n");
}

#[test]
#[ignore = "needs root"]
fn container_is_in_its_cgroup_in_every_style_and_however_it_joins() {
    let root = busybox_root();
    for style in Style::ALL {
        for join in [Join::Clone, Join::Attach] {
            let mut launcher = Launcher::new(style, Root::Overlay(root.path().into())).unwrap();
            launcher.join = join;
            let running = launcher.spawn(&["/bin/sleep", "60"], Stdio::default()).unwrap();
            let path = running.cgroup().to_string();
            let membership = fs::read_to_string(format!("/proc/{}/cgroup", running.pid())).unwrap();
            assert!(membership.lines().any(|line| line == format!("0::{path}")), "{style}: {membership}");
            assert!(path.contains(&running.id().to_string()));
            running.kill().unwrap();
            let outcome = running.wait().unwrap();
            assert_eq!(outcome.status, ExitStatus::Signal(9));
            assert!(!cgroup_directory(&path).exists(), "{path} was left behind");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn first_process_is_pid_1_with_the_container_as_its_host() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Podman, Root::Overlay(root.path().into())).unwrap();
    let (outcome, text) = shell(&launcher, "echo $$; hostname; cat /proc/self/cgroup | grep ^0::");
    assert_eq!(text, format!("1\n{}\n0::/\n", outcome.id.short()));
}

#[test]
#[ignore = "needs root"]
fn what_an_overlay_container_writes_is_gone_and_the_root_is_untouched() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Docker, Root::Overlay(root.path().into())).unwrap();
    let script = "echo x > /tmp/mark; rm /etc/hosts; [ -e /tmp/mark ] && [ ! -e /etc/hosts ] && mount";
    let (outcome, text) = shell(&launcher, script);
    assert!(outcome.status.success());
    assert_eq!(text.lines().filter(|line| line.contains(" on / type overlay")).count(), 1, "{text}");
    assert!(!root.path().join("tmp/mark").exists());
    assert!(root.path().join("etc/hosts").exists());
    let (_, again) = shell(&launcher, "ls /tmp");
    assert_eq!(again, "");
}

#[test]
#[ignore = "needs root"]
fn own_network_has_a_loopback_device_and_nothing_else() {
    let root = busybox_root();
    let mut launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().into())).unwrap();
    launcher.netns = true;
    let (outcome, text) = shell(&launcher, "ping -c 1 -W 5 127.0.0.1 > /dev/null && ip -o link | wc -l");
    assert_eq!((outcome.status, text.as_str()), (ExitStatus::Code(0), "1\n"));
}

#[test]
#[ignore = "needs root"]
fn exit_codes_and_signals_are_told_apart() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().into())).unwrap();
    assert_eq!(shell(&launcher, "exit 42").0.status, ExitStatus::Code(42));
    // The pid namespace's first process has no default action for signals of its own: a child dies instead.
    assert_eq!(shell(&launcher, "sh -c 'kill -9 $$' 2> /dev/null; exit $?").0.status, ExitStatus::Code(137));
}

#[test]
#[ignore = "needs root"]
fn failed_set_up_names_its_stage_and_leaves_no_cgroup() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::K8sSystemd, Root::Chroot(root.path().into())).unwrap();
    let error = launcher.run(&["/bin/absent"], Stdio::default()).unwrap_err();
    assert!(matches!(&error, LaunchError::Setup { stage: Stage::Exec, .. }), "{error:?}");
    assert_eq!(error.to_string(), "container of `/bin/absent` stopped while it ran the program");

    let nowhere = Launcher::new(Style::K8sSystemd, Root::Chroot("/nonexistent".into())).unwrap();
    let error = nowhere.run(&["/bin/true"], Stdio::default()).unwrap_err();
    assert!(matches!(&error, LaunchError::Setup { stage: Stage::Root, .. }), "{error:?}");

    let slice = cgroup_directory("/kubepods.slice/kubepods-burstable.slice");
    // Other launchers on this machine make pods of their own at the same time; only a leftover stays empty.
    let first = empty_pods(&slice);
    std::thread::sleep(Duration::from_secs(1));
    let leftover: Vec<_> = empty_pods(&slice).intersection(&first).cloned().collect();
    assert!(leftover.is_empty(), "{leftover:?}");
}

fn empty_pods(slice: &Path) -> HashSet<PathBuf> {
    let is_empty = |pod: &PathBuf| {
        let events = fs::read_to_string(pod.join("cgroup.events")).unwrap_or_default();
        events.contains("populated 0")
    };
    fs::read_dir(slice).unwrap().flatten().map(|entry| entry.path()).filter(is_empty).collect()
}

#[test]
#[ignore = "needs root"]
fn a_dropped_container_is_killed_and_removed() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Docker, Root::Overlay(root.path().into())).unwrap();
    let running = launcher.spawn(&["/bin/sleep", "60"], Stdio::default()).unwrap();
    let (pid, path) = (running.pid(), running.cgroup().to_string());
    drop(running);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!cgroup_directory(&path).exists());
}

#[test]
#[ignore = "needs root"]
fn a_container_that_outlives_its_limit_is_killed() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::Docker, Root::Overlay(root.path().into())).unwrap();
    let limit = Duration::from_millis(50);
    let slow = launcher.spawn(&["/bin/sleep", "60"], Stdio::default()).unwrap();
    assert_eq!(slow.wait_at_most(limit).unwrap().status, ExitStatus::Signal(9));
    let quick = launcher.spawn(&["/bin/true"], Stdio::default()).unwrap();
    assert_eq!(quick.wait_at_most(Duration::from_secs(60)).unwrap().status, ExitStatus::Code(0));
}

#[test]
#[ignore = "needs root"]
fn a_detached_hierarchy_serves_where_none_is_mounted() {
    let root = busybox_root();
    let hierarchy = Hierarchy::detached().unwrap();
    assert_eq!(hierarchy.mount_point(), None);
    let launcher = Launcher::on(hierarchy, Style::K8s, Root::Overlay(root.path().into())).unwrap();
    let running = launcher.spawn(&["/bin/sleep", "60"], Stdio::default()).unwrap();
    let membership = fs::read_to_string(format!("/proc/{}/cgroup", running.pid())).unwrap();
    assert!(membership.contains(&format!("0::{}\n", running.cgroup())), "{membership}");
}

#[test]
#[ignore = "needs root"]
fn a_hundred_containers_eight_at_a_time_all_return_with_their_own_ids() {
    let root = busybox_root();
    let launcher = Launcher::new(Style::K8s, Root::Overlay(root.path().into())).unwrap();
    let outcomes = Mutex::new(Vec::new());
    launcher
        .run_many(100, 8, &["/bin/true"], Stdio::default(), |outcome| outcomes.lock().unwrap().push(outcome))
        .unwrap();
    let outcomes = outcomes.into_inner().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.status.success()));
    let ids: HashSet<_> = outcomes.iter().map(|outcome| outcome.id).collect();
    assert_eq!((outcomes.len(), ids.len()), (100, 100));
}

#[test]
#[ignore = "needs root and strace"]
fn set_up_makes_the_same_calls_every_time() {
    let (root, dir) = (busybox_root(), tempfile::tempdir().unwrap());
    let log = dir.path().join("log");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-ff", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_afterimage-launch"))
        .args(["--count", "6", "--jobs", "3", "--overlay", "--netns", "--root"])
        .arg(root.path())
        .status()
        .expect("strace runs (apt-get install strace)");
    assert!(status.success());
    let mut sequences = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        if text.contains("execve(\"/bin/true\"") {
            let calls = text.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name.to_owned());
            sequences.push(calls.collect::<Vec<_>>());
        }
    }
    assert_eq!(sequences.len(), 6);
    assert!(sequences.iter().all(|sequence| *sequence == sequences[0]), "{sequences:#?}");
    let exec = sequences[0].iter().position(|name| name == "execve").unwrap();
    // The exec, 15 calls of busybox's /bin/true with results, and its exit.
    assert_eq!(sequences[0].len() - exec, 17, "{:?}", &sequences[0][exec..]);
}
