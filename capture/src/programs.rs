//! Loads the eBPF programs into this kernel: offsets from its BTF, settings as globals, tables filled, and only then
//! attached.

use afterimage_capture_abi::{
    config::Config,
    lineage::{COMM_LEN, Mark, marked, state},
    offsets::Offsets,
    record::{CpuCounters, LossSlot},
    spec::CallSpec,
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, ProgramArray},
    programs::{BtfTracePoint, Iter, ProgramError, tp_btf::BtfTracePointLinkId},
};

use crate::{
    btf::{Btf, BtfError},
    identity::announce,
    ring::Ring,
};

/// The programs as built by `cargo xtask ebpf`; how, and from which sources, `capture/ebpf/manifest.toml` tells.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../ebpf/afterimage.bpf.o");

/// The programs that read byte fields, by the number of their handler.
const HANDLERS: [(u32, &str); 7] = [
    (1, "call_path"),
    (2, "call_buffer"),
    (3, "call_vector"),
    (4, "call_message"),
    (5, "call_socket"),
    (6, "call_fds"),
    (7, "call_data"),
];

/// The programs that are attached: name and tracepoint. Cgroups and processes come first, so that nothing is seen
/// returning from a call before what it belongs to can be known.
const ATTACHED: [(&str, &str); 7] = [
    ("cgroup_mkdir", "cgroup_mkdir"),
    ("cgroup_rmdir", "cgroup_rmdir"),
    ("cgroup_attach_task", "cgroup_attach_task"),
    ("fork", "sched_process_fork"),
    ("exec", "sched_process_exec"),
    ("exit", "sched_process_exit"),
    ("sys_exit", "sys_exit"),
];

/// Programs that recording can do without: name, tracepoint, and the arguments it must have.
const OPTIONAL: [(&str, &str, u32); 2] =
    [("uring_submit", "io_uring_submit_req", 1), ("uring_complete", "io_uring_complete", 3)];

/// The program that runs once for each task that exists.
const TASKS: &str = "tasks";
/// The iterator that tells of calls that have not returned.
const IN_CALLS: &str = "in_calls";

/// The programs could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No usable BTF.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel's BTF is of no use to aya.
    #[error("cannot use the kernel's type information")]
    AyaBtf(#[source] aya::BtfError),
    /// The kernel has no such tracepoint.
    #[error("this kernel has no tracepoint `{name}`")]
    NoTracepoint {
        /// Which.
        name: &'static str,
    },
    /// The object could not be loaded.
    #[error("cannot load the eBPF object")]
    Object(#[source] Box<EbpfError>),
    /// One program was refused.
    #[error("the kernel refuses the eBPF program `{name}`")]
    Program {
        /// Which.
        name: &'static str,
        /// Why: the verifier's words.
        source: Box<ProgramError>,
    },
    /// A map could not be used.
    #[error("cannot use the eBPF map `{name}`")]
    Map {
        /// Which.
        name: &'static str,
        /// Why not.
        source: Box<MapError>,
    },
    /// The object lacks a program or map: it is not of this build.
    #[error("the eBPF object has no `{name}`")]
    Missing {
        /// Which.
        name: &'static str,
    },
}

/// Why an error's text says it happened. A verifier's log is many pages: its last words are the reason, but for the lines
/// in which it counts its work.
pub fn last_words(text: &str) -> &str {
    const COUNTS: [&str; 3] = ["processed ", "stack depth ", "verification time "];
    let mut lines = text.lines().map(str::trim).rev();
    lines.find(|line| !line.is_empty() && !COUNTS.iter().any(|count| line.starts_with(count))).unwrap_or("")
}

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Settings of the programs.
    pub config: Config,
    /// Bytes of the data ring: a power of two.
    pub data_ring: u32,
    /// Bytes of the control ring: a power of two.
    pub control_ring: u32,
    /// What to record of each call: x86-64, then i386.
    pub specs: Vec<CallSpec>,
    /// Members to take for missing, by their names in `Offsets::NAMES`: how another kernel would look.
    pub hidden: Vec<&'static str>,
}

/// The loaded programs and their maps. Dropping it detaches them.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    attached: Vec<(&'static str, &'static str)>,
    links: Vec<(&'static str, BtfTracePointLinkId)>,
    /// Sources this kernel does not have: the missing members.
    pub degraded: Vec<String>,
}

/// What to keep of which cgroup: the table the programs look into.
pub struct Policies {
    table: HashMap<MapData, u64, u32>,
    generation: Array<MapData, u32>,
    now: u32,
}

impl Policies {
    /// Sets a cgroup's policy.
    ///
    /// # Errors
    /// When the table is full: the cgroup then has the default.
    pub fn set(&mut self, cgroup: u64, policy: u32) -> Result<(), MapError> {
        self.table.insert(cgroup, policy, 0)?;
        self.changed()
    }

    /// Forgets a cgroup.
    ///
    /// # Errors
    /// When it has no policy.
    pub fn forget(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.table.remove(&cgroup)
    }

    /// Gives a cgroup the default policy again.
    ///
    /// # Errors
    /// When it has no policy of its own.
    pub fn reset(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.table.remove(&cgroup)?;
        self.changed()
    }

    fn changed(&mut self) -> Result<(), MapError> {
        self.now = self.now.wrapping_add(1);
        self.generation.set(0, self.now, 0)
    }
}

/// The tracepoints that recording needs.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    ATTACHED.iter().map(|(_, tracepoint)| *tracepoint)
}

/// Processes that runtimes made, where the programs remember them.
pub struct Marks {
    marks: HashMap<MapData, u32, Mark>,
    marked: Array<MapData, u64>,
}

impl Marks {
    /// Has the programs record a process that was there before, and what it forks.
    ///
    /// # Errors
    /// When there is no room for more marks.
    pub fn set(&mut self, now: u64, tgid: u32, cgroup: u64) -> Result<(), MapError> {
        self.marked.set(marked::LATEST, now, 0)?;
        self.marks.insert(tgid, Mark { cgroup, mnt_ns: 0, state: state::INSIDE }, 0)
    }

    /// A process is not recorded for its mark any more.
    ///
    /// # Errors
    /// When it has none.
    pub fn clear(&mut self, tgid: u32) -> Result<(), MapError> {
        self.marks.remove(&tgid)
    }

    /// Tells the programs when there are no marks any more, so that they need not look.
    ///
    /// # Errors
    /// As of map operations.
    pub fn settle(&mut self, now: u64) -> Result<(), MapError> {
        /// The programs set the word before the mark: within this time both are there.
        const APART: u64 = 1_000_000_000;
        let latest = self.marked.get(&marked::LATEST, 0)?;
        let settled = self.marked.get(&marked::CLEARED, 0)? == latest;
        if settled || latest > now.saturating_sub(APART) || self.marks.keys().next().is_some() {
            return Ok(());
        }
        self.marked.set(marked::CLEARED, latest, 0)
    }
}

/// Offsets of this kernel, and the members that are missing (or `hidden`).
pub fn offsets(btf: &Btf, hidden: &[&str]) -> (Offsets, Vec<String>) {
    let mut missing = Vec::new();
    let mut values = [afterimage_capture_abi::offsets::ABSENT; Offsets::NAMES.len()];
    for (value, (field, structure, member)) in values.iter_mut().zip(Offsets::NAMES) {
        // Members that moved or were renamed between kernels.
        let found = btf.offset(structure, member).or_else(|| match *field {
            "task_state" => btf.offset("task_struct", "state"),
            "inode_ctime" => {
                btf.offset("inode", "__i_ctime.tv_sec").or(btf.offset("inode", "i_ctime.tv_sec"))
            }
            "inode_ctime_nsec" => {
                btf.offset("inode", "__i_ctime.tv_nsec").or(btf.offset("inode", "i_ctime.tv_nsec"))
            }
            "inode_mtime" => {
                btf.offset("inode", "__i_mtime.tv_sec").or(btf.offset("inode", "i_mtime.tv_sec"))
            }
            "inode_mtime_nsec" => {
                btf.offset("inode", "__i_mtime.tv_nsec").or(btf.offset("inode", "i_mtime.tv_nsec"))
            }
            _ => None,
        });
        match found {
            Some(offset) if !hidden.contains(field) => *value = offset,
            _ => missing.push(format!("kernel has no `{structure}::{member}`")),
        }
    }
    (Offsets::from_array(values), missing)
}

impl Programs {
    /// Loads everything; attaches nothing yet.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(btf: &Btf, options: &LoadOptions) -> Result<Self, LoadError> {
        let (offsets, mut degraded) = offsets(btf, &options.hidden);
        for (_, tracepoint) in ATTACHED {
            if btf.tracepoint_arguments(tracepoint).is_none() {
                return Err(LoadError::NoTracepoint { name: tracepoint });
            }
        }
        let aya_btf = aya::Btf::from_sys_fs().map_err(LoadError::AyaBtf)?;
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&aya_btf))
            .override_global("OFFSETS", &offsets, true)
            .override_global("CONFIG", &options.config, true)
            .map_max_entries("DATA", options.data_ring)
            .map_max_entries("CONTROL", options.control_ring)
            .load(OBJECT)
            .map_err(|source| LoadError::Object(Box::new(source)))?;
        for (name, tracepoint) in ATTACHED {
            load_program(&mut ebpf, name, tracepoint, &aya_btf)?;
        }
        for (_, name) in HANDLERS {
            load_program(&mut ebpf, name, "sys_exit", &aya_btf)?;
        }
        let mut attached = ATTACHED.to_vec();
        for (name, tracepoint, arguments) in OPTIONAL {
            if btf.tracepoint_arguments(tracepoint) == Some(arguments) {
                load_program(&mut ebpf, name, tracepoint, &aya_btf)?;
                attached.push((name, tracepoint));
            } else {
                degraded.push(format!("kernel has no tracepoint `{tracepoint}` with {arguments} arguments"));
            }
        }
        for name in [TASKS, IN_CALLS] {
            let iterator: &mut Iter = program(&mut ebpf, name)?;
            iterator
                .load("task", &aya_btf)
                .map_err(|source| LoadError::Program { name, source: Box::new(source) })?;
        }
        let mut programs = Self { ebpf, attached, links: Vec::new(), degraded };
        programs.fill(&options.specs)?;
        Ok(programs)
    }

    fn fill(&mut self, specs: &[CallSpec]) -> Result<(), LoadError> {
        const HANDLER_MAP: &str = "HANDLERS";
        const SPEC_MAP: &str = "SPECS";
        const PROGRAM_MAP: &str = "PROGRAMS";
        let error = |name| move |source| LoadError::Map { name, source: Box::new(source) };
        let mut fds = Vec::new();
        for (index, name) in HANDLERS {
            let program = self.ebpf.program(name).ok_or(LoadError::Missing { name })?;
            let fd = program.fd().and_then(|fd| fd.try_clone().map_err(ProgramError::IOError));
            fds.push((index, fd.map_err(|source| LoadError::Program { name, source: Box::new(source) })?));
        }
        // The program array must stay open: the kernel clears it when the last descriptor goes.
        let map = self.ebpf.map_mut(HANDLER_MAP).ok_or(LoadError::Missing { name: HANDLER_MAP })?;
        let mut handlers = ProgramArray::try_from(map).map_err(error(HANDLER_MAP))?;
        for (index, fd) in &fds {
            handlers.set(*index, fd, 0).map_err(error(HANDLER_MAP))?;
        }
        let map = self.ebpf.map_mut(PROGRAM_MAP).ok_or(LoadError::Missing { name: PROGRAM_MAP })?;
        let mut programs: HashMap<_, [u8; COMM_LEN], u32> =
            HashMap::try_from(map).map_err(error(PROGRAM_MAP))?;
        for (name, kind) in announce::programs() {
            let mut comm = [0; COMM_LEN];
            comm[..name.len()].copy_from_slice(name);
            programs.insert(comm, kind, 0).map_err(error(PROGRAM_MAP))?;
        }
        let map = self.ebpf.map_mut(SPEC_MAP).ok_or(LoadError::Missing { name: SPEC_MAP })?;
        let mut table: Array<_, CallSpec> = Array::try_from(map).map_err(error(SPEC_MAP))?;
        for (index, spec) in specs.iter().enumerate() {
            table.set(index as u32, *spec, 0).map_err(error(SPEC_MAP))?;
        }
        Ok(())
    }

    /// Attaches everything: from here on, events are recorded.
    ///
    /// # Errors
    /// [`LoadError::Program`].
    pub fn attach(&mut self) -> Result<(), LoadError> {
        for (name, _) in self.attached.clone() {
            let program: &mut BtfTracePoint = program(&mut self.ebpf, name)?;
            let link =
                program.attach().map_err(|source| LoadError::Program { name, source: Box::new(source) })?;
            self.links.push((name, link));
        }
        Ok(())
    }

    /// Detaches everything: what is in the rings then is all there is.
    ///
    /// # Errors
    /// [`LoadError::Program`].
    pub fn detach(&mut self) -> Result<(), LoadError> {
        for (name, link) in self.links.drain(..) {
            let program: &mut BtfTracePoint = program(&mut self.ebpf, name)?;
            program.detach(link).map_err(|source| LoadError::Program { name, source: Box::new(source) })?;
        }
        Ok(())
    }

    /// Has the kernel write a record of every process that exists into the control ring.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn snapshot(&mut self) -> Result<(), LoadError> {
        self.iterate(TASKS)
    }

    /// The same of every call that a container's task is waiting in.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn in_calls(&mut self) -> Result<(), LoadError> {
        self.iterate(IN_CALLS)
    }

    fn iterate(&mut self, name: &'static str) -> Result<(), LoadError> {
        let error = |source| LoadError::Program { name, source: Box::new(source) };
        let tasks: &mut Iter = program(&mut self.ebpf, name)?;
        let link = tasks.attach().map_err(error)?;
        let mut file = tasks
            .take_link(link)
            .and_then(|link| {
                link.into_file().map_err(|source| ProgramError::IOError(std::io::Error::other(source)))
            })
            .map_err(error)?;
        std::io::copy(&mut file, &mut std::io::sink())
            .map_err(|source| error(ProgramError::IOError(source)))?;
        Ok(())
    }

    /// Takes a ring for reading; each can be taken once.
    ///
    /// # Errors
    /// [`LoadError`] when it was taken before.
    pub fn take_ring(&mut self, name: &'static str) -> Result<Ring, LoadError> {
        let error = |source| LoadError::Map { name, source: Box::new(source) };
        let Some(Map::RingBuf(map)) = self.ebpf.take_map(name) else {
            return Err(LoadError::Missing { name });
        };
        let size = map.info().map_err(error)?.max_entries();
        Ring::open(map.fd(), size).map_err(|source| error(source.into()))
    }

    /// Takes the policy table.
    ///
    /// # Errors
    /// [`LoadError`] when it was taken before.
    pub fn take_policy(&mut self) -> Result<Policies, LoadError> {
        let mut take = |name| {
            let map = self.ebpf.take_map(name).ok_or(LoadError::Missing { name })?;
            Ok::<_, LoadError>((name, map))
        };
        let (name, map) = take("POLICY")?;
        let table =
            HashMap::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })?;
        let (name, map) = take("GENERATION")?;
        let generation =
            Array::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })?;
        Ok(Policies { table, generation, now: 0 })
    }

    /// Takes the marks of processes that runtimes made.
    ///
    /// # Errors
    /// [`LoadError`] when they were taken before.
    pub fn take_marks(&mut self) -> Result<Marks, LoadError> {
        let mut take = |name| {
            let map = self.ebpf.take_map(name).ok_or(LoadError::Missing { name })?;
            Ok::<_, LoadError>((name, map))
        };
        let (name, map) = take("MARKS")?;
        let marks =
            HashMap::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })?;
        let (name, map) = take("MARKED")?;
        let marked =
            Array::try_from(map).map_err(|source| LoadError::Map { name, source: Box::new(source) })?;
        Ok(Marks { marks, marked })
    }

    /// What all CPUs counted, summed; `seq` is the sum of records begun.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn counters(&self) -> Result<CpuCounters, LoadError> {
        const NAME: &str = "COUNTERS";
        let map = self.ebpf.map(NAME).ok_or(LoadError::Missing { name: NAME })?;
        let error = |source| LoadError::Map { name: NAME, source: Box::new(source) };
        let array: PerCpuArray<_, CpuCounters> = PerCpuArray::try_from(map).map_err(error)?;
        let mut sum = CpuCounters::default();
        for cpu in array.get(&0, 0).map_err(error)?.iter() {
            sum.seq += cpu.seq;
            sum.runs += cpu.runs;
            sum.calls += cpu.calls;
            sum.merged += cpu.merged;
            sum.filtered += cpu.filtered;
            sum.own += cpu.own;
            sum.throttled += cpu.throttled;
            sum.lost_data += cpu.lost_data;
            sum.lost_control += cpu.lost_control;
            sum.lost_unbooked += cpu.lost_unbooked;
            sum.control += cpu.control;
            sum.faults += cpu.faults;
            sum.uring += cpu.uring;
            sum.unmarked += cpu.unmarked;
        }
        Ok(sum)
    }

    /// How often the kernel ran a program, where run statistics are on.
    ///
    /// # Errors
    /// [`LoadError::Program`].
    pub fn kernel_runs(&self, name: &'static str) -> Result<u64, LoadError> {
        let error = |source| LoadError::Program { name, source: Box::new(source) };
        let program = self.ebpf.program(name).ok_or(LoadError::Missing { name })?;
        Ok(program.info().map_err(error)?.run_count())
    }

    /// Losses by cgroup since loading, all CPUs summed.
    ///
    /// # Errors
    /// [`LoadError::Map`].
    pub fn losses(&self) -> Result<Vec<(u64, LossSlot)>, LoadError> {
        const NAME: &str = "LOSSES";
        let map = self.ebpf.map(NAME).ok_or(LoadError::Missing { name: NAME })?;
        let error = |source| LoadError::Map { name: NAME, source: Box::new(source) };
        let table: PerCpuHashMap<_, u64, LossSlot> = PerCpuHashMap::try_from(map).map_err(error)?;
        let mut losses = Vec::new();
        for entry in table.iter() {
            let (cgroup, cpus) = entry.map_err(error)?;
            let mut sum = LossSlot::default();
            for cpu in cpus.iter() {
                sum.data += cpu.data;
                sum.control += cpu.control;
                sum.throttled += cpu.throttled;
                sum.last = sum.last.max(cpu.last);
            }
            losses.push((cgroup, sum));
        }
        Ok(losses)
    }
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
    program.try_into().map_err(|source| LoadError::Program { name, source: Box::new(source) })
}

fn load_program(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &str,
    btf: &aya::Btf,
) -> Result<(), LoadError> {
    let program: &mut BtfTracePoint = program(ebpf, name)?;
    program.load(tracepoint, btf).map_err(|source| LoadError::Program { name, source: Box::new(source) })
}
