//! Every run of the sys_exit program is accounted for, by the kernel's own count of runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use afterimage_capture::{
    btf::Btf,
    drain::Pending,
    host,
    losses::Told,
    programs::{LoadOptions, Programs},
    specs,
};
use afterimage_capture_abi::{
    config::{Config, policy},
    record::LossSlot,
};
use afterimage_format::BootNanos;
use afterimage_launch::Stdio;

use crate::{bench::busybox, harness::alone};

/// What decides how much is lost and left out.
struct Setting {
    data_ring: u32,
    profiles: u32,
}

fn load(setting: &Setting) -> Programs {
    let btf = Btf::of_kernel().unwrap();
    let config = Config {
        payload_file: 256,
        payload_stream: 1024,
        payload_budget: 1 << 20,
        v1_subsys: u32::MAX,
        argv_bytes: 4096,
        kernel_paths: 1,
        default_policy: setting.profiles | policy::LIFECYCLE,
        exit_tells_group: u32::from(btf.tracepoint_arguments("sched_process_exit") == Some(2)),
        v1_hierarchy: u32::MAX,
        root_cgroup: host::ROOT as u32,
        ..Config::default()
    };
    let options = LoadOptions {
        config,
        data_ring: setting.data_ring,
        control_ring: 1 << 23,
        specs: specs::table(false),
        hidden: Vec::new(),
        own_tgid: std::process::id(),
    };
    Programs::load(&btf, &options).unwrap()
}

fn check(setting: &Setting) -> (u64, u64) {
    let _stats = aya::sys::enable_stats(aya::sys::Stats::RunTime).unwrap();
    let mut programs = load(setting);
    let rings = programs.take_rings().unwrap();
    programs.attach().unwrap();
    let status = Command::new("/bin/busybox")
        .args([
            "sh",
            "-c",
            "i=0; while [ $i -lt 300 ]; do /bin/busybox cat /etc/passwd > /dev/null; i=$((i+1)); done",
        ])
        .status()
        .unwrap();
    assert!(status.success());
    programs.detach();
    let runs = programs.kernel_runs("sys_exit").unwrap();
    let counted = programs.counters().unwrap();
    let mut pending = Pending::new(rings);
    let mut records = 0;
    while pending.take().records > 0 {
        pending.release(BootNanos(u64::MAX), |_| records += 1);
    }
    assert_eq!(counted.runs, runs, "the program's own count of runs and the kernel's");
    assert_eq!(
        counted.runs,
        counted.calls
            + counted.merged
            + counted.filtered
            + counted.own
            + counted.throttled
            + counted.lost_data,
        "{counted:?}"
    );
    assert_eq!(
        records,
        counted.calls + counted.control,
        "what was handed over and what came out: {counted:?}"
    );
    let booked: u64 = programs.losses().unwrap().iter().map(|(_, slot)| slot.data + slot.control).sum();
    assert_eq!(booked + counted.lost_unbooked, counted.lost_data + counted.lost_control);
    assert_eq!(
        counted.seq,
        records + counted.lost_data + counted.lost_control,
        "each hole is a loss: {counted:?}"
    );
    (counted.calls, counted.lost_data)
}

#[test]
#[ignore = "needs root and eBPF"]
fn runs_are_records_and_counted_rest_with_and_without_loss() {
    let _alone = alone();
    const FULL: u32 = 4;
    const MINIMAL: u32 = 1;
    let (calls, lost) = check(&Setting { data_ring: 1 << 25, profiles: FULL });
    assert!(calls > 300 * 10 && lost == 0, "{calls} calls, {lost} lost");
    let (_, lost) = check(&Setting { data_ring: 1 << 14, profiles: FULL });
    assert!(lost > 0, "a ring of 16 KiB that nobody empties must overflow");
    let (minimal, _) = check(&Setting { data_ring: 1 << 25, profiles: MINIMAL });
    assert!(minimal < calls);
}

/// Runs a container that makes more calls than a ring of 16 KiB holds.
fn lose() {
    let (launcher, _root) = busybox();
    let script = "i=0; while [ $i -lt 500 ]; do kill -0 $$; i=$((i+1)); done";
    let outcome = launcher.run(&["/bin/sh", "-c", script], Stdio::default()).unwrap();
    assert!(outcome.status.success());
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_books_of_containers_that_are_gone_make_room_and_no_count_goes_with_them() {
    let _alone = alone();
    const FULL: u32 = 4;
    let mut programs = load(&Setting { data_ring: 1 << 14, profiles: FULL });
    programs.attach().unwrap();
    let booked = |programs: &Programs| -> BTreeMap<u64, u64> {
        let sum = |slot: &LossSlot| slot.data + slot.control + slot.throttled;
        programs.losses().unwrap().iter().map(|(cgroup, slot)| (*cgroup, sum(slot))).collect()
    };
    lose();
    let first = booked(&programs);
    lose();
    programs.detach();
    let before = booked(&programs);
    // Those of the first container are as they were: nothing is lost of what is gone.
    let gone: Vec<u64> = first.keys().copied().filter(|cgroup| before[cgroup] == first[cgroup]).collect();
    assert!(!gone.is_empty() && before.len() > gone.len(), "{first:?} {before:?}");
    let told = |slots: &[u64]| Told {
        slots: slots.iter().map(|cgroup| (*cgroup, LossSlot::default())).collect(),
        unbooked: 3,
        closed: Some(5),
        noted: BootNanos(9),
    };
    let all: Vec<u64> = before.keys().copied().collect();
    programs.tell(&told(&all)).unwrap();
    let (closed, failed) = programs.close_books(&gone);
    assert!(closed == gone && failed.is_none(), "{failed:?}");
    // A second time there is nothing to close.
    let (closed, failed) = programs.close_books(&gone);
    assert!(closed == gone && failed.is_none(), "{failed:?}");
    let kept: BTreeMap<u64, u64> = before.into_iter().filter(|(cgroup, _)| !gone.contains(cgroup)).collect();
    assert_eq!(booked(&programs), kept, "no count of any other has changed");
    let noted = programs.told().unwrap();
    assert_eq!(
        noted.slots.iter().map(|(cgroup, _)| *cgroup).collect::<BTreeSet<_>>(),
        kept.into_keys().collect()
    );
    assert_eq!((noted.unbooked, noted.closed, noted.noted), (3, Some(5), BootNanos(9)));
}
