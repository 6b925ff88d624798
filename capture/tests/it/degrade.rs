//! Kernels that lack a member: the programs load all the same, and the missing source is named.

use std::{fs, path::PathBuf, process::Command};

use afterimage_capture::{
    btf::Btf,
    programs::{self, LoadOptions, Programs},
    specs,
};
use afterimage_capture_abi::{config::Config, offsets::Offsets};
use afterimage_launch::{ContainerId, Stdio};

use crate::{
    bench::busybox,
    harness::{RECORDER, Running, alone, container, open, unified, wait_until},
};

#[test]
#[ignore = "needs root and eBPF"]
fn programs_load_without_any_one_member() {
    let _alone = alone();
    let btf = Btf::of_kernel().unwrap();
    for (field, structure, member) in Offsets::NAMES {
        let options = LoadOptions {
            config: Config { kernel_paths: 1, v1_subsys: 1, exit_tells_group: 0, ..Config::default() },
            data_ring: 1 << 16,
            control_ring: 1 << 16,
            specs: specs::table(false)[..1].to_vec(),
            own_tgid: 0,
            hidden: vec![field],
        };
        if let Err(error) = Programs::load(&btf, &options) {
            panic!("without `{structure}::{member}`: {error}: {:?}", std::error::Error::source(&error));
        }
        let named = format!("kernel has no `{structure}::{member}`");
        let missing = programs::missing(&btf, &options);
        assert!(missing.contains(&named), "{named}: {missing:?}");
    }
}

/// A pod has a cgroup namespace of its own, in which the node's hierarchy is a mount whose root is above the namespace's.
#[test]
#[ignore = "needs root and eBPF"]
fn in_a_cgroup_namespace_containers_that_were_there_are_found_all_the_same() {
    let _alone = alone();
    let (launcher, _root) = busybox();
    let there = launcher.spawn(&["/bin/busybox", "sleep", "600"], Stdio::default()).unwrap();
    let id = there.id().to_string();
    let pod = unified().join(format!("afterimage-pod-{}", std::process::id()));
    fs::create_dir(&pod).unwrap();
    let mut command = Command::new("sh");
    let script = "echo $$ > \"$0/cgroup.procs\" && exec unshare --cgroup \"$@\"";
    command.args(["-c", script]).arg(&pod).arg(RECORDER);
    let recorder = Running::of(command, tempfile::tempdir().unwrap(), &["--host", "none"]);
    let (store, said) = recorder.stop();
    wait_until("the recorder's last process is gone", || fs::remove_dir(&pod).is_ok());
    there.kill().unwrap();
    there.wait().unwrap();
    let recording = open(store.path());
    assert!(container(&recording, &id).record.preexisting, "{said}");
    // Other kernels may lack other things.
    let degraded = recording.origin().degraded.iter().map(|why| String::from_utf8_lossy(why));
    let of_cgroups: Vec<_> = degraded.filter(|why| why.contains("cgroup")).collect();
    assert!(of_cgroups.is_empty(), "{of_cgroups:?}: {said}");
}

/// A runtime that crashed leaves cgroups behind, and what runs nowhere is no running container.
#[test]
#[ignore = "needs root and eBPF"]
fn an_empty_cgroup_that_was_there_is_no_container_until_something_happens_in_it() {
    let _alone = alone();
    let left: Vec<(String, PathBuf)> = (0..2)
        .map(|_| {
            let id = ContainerId::random().unwrap().to_string();
            let cgroup = unified().join("docker").join(&id);
            fs::create_dir_all(cgroup.join("init")).unwrap();
            (id, cgroup)
        })
        .collect();
    let recorder = Running::start(&["--host", "none"]);
    let mut late = Command::new("sh");
    late.args(["-c", "echo $$ > \"$0/init/cgroup.procs\" && exec sleep 600"]).arg(&left[1].1);
    let mut late = late.spawn().unwrap();
    let name = || fs::read_to_string(format!("/proc/{}/comm", late.id())).unwrap_or_default();
    wait_until("it sleeps in there", || name().trim_end() == "sleep");
    recorder.wait_for_round();
    let (store, _) = recorder.stop();
    late.kill().unwrap();
    late.wait().unwrap();
    for (_, cgroup) in &left {
        wait_until("its last process is gone", || fs::remove_dir(cgroup.join("init")).is_ok());
        fs::remove_dir(cgroup).unwrap();
    }
    let recording = open(store.path());
    let is_listed =
        |id: &str| recording.containers().iter().any(|summary| summary.record.id == id.as_bytes());
    assert_eq!(left.iter().map(|(id, _)| is_listed(id)).collect::<Vec<_>>(), [false, true]);
    assert!(container(&recording, &left[1].0).record.preexisting);
}
