//! A workload's records, as the programs wrote them.

use std::{ops::Range, path::PathBuf, sync::Arc};

use afterimage_capture::{
    artifacts::{self, Artifacts},
    btf::Btf,
    drain::Pending,
    helpers::watch::Helpers,
    host::{self, Cgroups},
    metadata::{Metadata, worker},
    programs::{LoadOptions, Marks, Policies, Programs},
    recorder::{Looking, Profile},
    sink::{HostPolicy, Sink},
    specs,
    translate::head,
};
use afterimage_capture_abi::{config::Config, record::kind};
use afterimage_format::{BootNanos, ContainerUid};
use afterimage_launch::{Launcher, Root, Stdio, Style};

use super::Error;
use crate::load::Load;

/// Nothing is read before the workload has ended: all of it must fit into the half of the ring that is not throttled.
const RINGS: (u32, u32) = (1 << 29, 1 << 27);

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) time: u64,
    pub(super) control: bool,
    pub(super) bytes: &'a [u8],
}

/// All of a workload's.
pub(super) struct Taken {
    bytes: Vec<u8>,
    records: Vec<(u64, bool, Range<usize>)>,
    id: String,
    pub(super) cgroups: Cgroups,
}

/// The ends of those who look things up: nobody does.
pub(super) type Ends = (
    std::sync::mpsc::Receiver<worker::Request>,
    std::sync::mpsc::SyncSender<worker::Answer>,
    std::sync::mpsc::Receiver<artifacts::Request>,
    std::sync::mpsc::SyncSender<artifacts::Answer>,
);

pub(super) fn looking() -> (Looking, Ends) {
    let (metadata, asked, answer) = Metadata::new();
    let (artifacts, wanted, seen) = Artifacts::new();
    let looking = Looking { metadata, artifacts, helpers: Arc::new(Helpers::new(0)) };
    (looking, (asked, answer, wanted, seen))
}

/// Programs that keep every call of containers, not attached.
pub(super) fn programs(
    cgroups: &Cgroups,
    (data_ring, control_ring): (u32, u32),
) -> Result<(Programs, (Policies, Marks)), Error> {
    let btf = Btf::of_kernel()?;
    let v1 = cgroups.v1.as_ref();
    let config = Config {
        payload_file: 256,
        payload_stream: 1024,
        payload_budget: 1 << 20,
        v1_subsys: v1.map_or(u32::MAX, |(_, number)| *number),
        argv_bytes: 4096,
        kernel_paths: 1,
        default_policy: Profile::Full.policy(),
        exit_tells_group: u32::from(btf.tracepoint_arguments("sched_process_exit") == Some(2)),
        v1_hierarchy: v1.map_or(u32::MAX, |(hierarchy, _)| hierarchy.id),
        root_cgroup: host::ROOT as u32,
        host_mnt_ns: host::host_mount_namespace(),
        ..Config::default()
    };
    let options = LoadOptions {
        config,
        data_ring,
        control_ring,
        specs: specs::table(false),
        hidden: Vec::new(),
        own_tgid: std::process::id(),
    };
    let mut programs = Programs::load(&btf, &options)?;
    let tables = (programs.take_policy()?, programs.take_marks()?);
    Ok((programs, tables))
}

impl Taken {
    /// Runs a workload in a container of its own, and keeps what the programs wrote of it.
    pub(super) fn from(load: &Load) -> Result<Self, Error> {
        let (cgroups, _) = host::cgroups(&Btf::of_kernel()?);
        let (mut programs, tables) = programs(&cgroups, RINGS)?;
        let rings = programs.take_rings()?;
        let scratch = tempfile::tempdir()?;
        let (looking, _ends) = looking();
        let host = HostPolicy { bits: 0, calls: false, lifecycle: false };
        // Of the host nothing is wanted: its cgroups are told apart as a recorder does.
        let mut sink = Sink::new(super::open(scratch.path())?, looking, tables, cgroups.clone(), host);
        let walk = sink.walk();
        sink.found_at_start(walk, host::boot_now());
        programs.attach()?;
        let launcher = Launcher::new(Style::Docker, Root::Chroot(PathBuf::from("/")))?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        let null = Some(std::os::fd::AsFd::as_fd(&null));
        let streams = Stdio { stdin: null, stdout: null, stderr: null };
        let running = launcher.spawn(&["/bin/sh", "-c", &load.script], streams)?;
        let id = running.id().to_string();
        running.wait()?;
        programs.detach();
        let counters = programs.counters()?;
        if counters.lost_data + counters.lost_control + counters.throttled > 0 {
            eprintln!("bench: {}: some records did not fit the ring", load.name);
        }
        let mut taken = Self { bytes: Vec::new(), records: Vec::new(), id, cgroups };
        taken.read(Pending::new(rings), &mut sink);
        Ok(taken)
    }

    fn read(&mut self, mut pending: Pending, sink: &mut Sink) {
        let mut all: Vec<(u64, u64, Vec<u8>)> = Vec::new();
        let mut more = true;
        while more {
            more = pending.take().more;
            pending.release(BootNanos(u64::MAX), |record| {
                if let Ok(stamp) = head(record) {
                    all.push((stamp.header.time, stamp.header.cgroup, record.to_vec()));
                }
            });
        }
        all.sort_by_key(|(time, ..)| *time);
        let mut translator = afterimage_capture::translate::Translator::default();
        for (time, cgroup, record) in all {
            let kind = record[0];
            let is_cgroup = matches!(kind, kind::CGROUP_MKDIR | kind::CGROUP_RMDIR | kind::CGROUP_ATTACH);
            // What tells whose a cgroup is, and what is the container's.
            let _ = translator.event(&record, |event| sink.take(cgroup, event));
            let own = sink.known_owner(cgroup).is_some_and(|uid| uid != ContainerUid::HOST);
            if !is_cgroup && !own {
                continue;
            }
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(&record);
            self.records.push((time, kind != kind::SYSCALL, begin..self.bytes.len()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let record = |(time, control, range): &(u64, bool, Range<usize>)| Record {
            time: *time,
            control: *control,
            bytes: &self.bytes[range.clone()],
        };
        self.records.iter().map(record)
    }

    /// The container as a sink knows it.
    pub(super) fn uid(&self, sink: &Sink) -> ContainerUid {
        sink.registry.with_id(self.id.as_bytes()).first().copied().unwrap_or(ContainerUid::HOST)
    }
}
