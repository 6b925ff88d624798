//! Loads the eBPF programs into this kernel: offsets from its BTF, settings as globals, tables filled, and only then
//! attached.

mod bpf;
mod counts;
mod offsets;
mod pinned;
mod tables;

use std::os::fd::{AsFd as _, BorrowedFd};

use afterimage_capture_abi::{
    config::{Config, Live},
    lineage::COMM_LEN,
    slot,
    spec::CallSpec,
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, ProgramArray},
    programs::{
        BtfTracePoint, Iter, ProgramError,
        links::{FdLink, PinnedLink},
    },
};
use sha2::{Digest as _, Sha256};

pub use self::{
    offsets::offsets,
    pinned::owner,
    tables::{Found, Marks, Policies},
};
use crate::{
    btf::{Btf, BtfError},
    drain::Rings,
    identity::announce,
    ring::Ring,
    slots::Slots,
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

/// Programs that recording can do without, in the ways in which kernels have what they need, the newest first: name, tracepoint,
/// and the arguments it must have.
const OPTIONAL: [[(&str, &str, u32); 2]; 2] = [
    [("uring_submit", "io_uring_submit_req", 1), ("uring_submit", "io_uring_submit_sqe", 2)],
    [("uring_complete", "io_uring_complete", 3), ("uring_complete_by_value", "io_uring_complete", 7)],
];

/// Maps that nobody changes after loading but the programs themselves, or not even they: frozen, so that who may use bpf(2)
/// cannot take a handler away, or a count back. The others are looked after (`recorder/tables.rs`).
const FROZEN: [&str; 10] = [
    "HANDLERS", "SPECS", "PROGRAMS", "COUNTERS", "SHARES", "STREAMS", "SCRATCH", "SNAPSHOT", "SLOTS",
    "WRITTEN",
];

/// Maps that the programs write records to, and what goes with them.
const RINGS: [&str; 5] = ["DATA", "CONTROL", "SLOTS", "WRITTEN", "GIVEN"];

/// The program that runs once for each task that exists.
const TASKS: &str = "tasks";
/// The map of what was told of losses.
const TOLD: &str = "TOLD";
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
    /// Thread group id of the recorder.
    pub own_tgid: u32,
}

impl LoadOptions {
    /// How the object is opened on this kernel: settings and sizes, as in [`Self::fingerprint`].
    fn open(
        &self,
        btf: &Btf,
        kept: impl FnOnce(&mut EbpfLoader<'_>) -> Result<(), LoadError>,
    ) -> Result<(Ebpf, aya::Btf), LoadError> {
        let (offsets, _) = offsets(btf, &self.hidden);
        let aya_btf = aya::Btf::from_sys_fs().map_err(LoadError::AyaBtf)?;
        let cpus = cpus();
        let slots = slot::slots(self.data_ring, cpus);
        let config = Config { slots, ..self.config };
        let mut loader = EbpfLoader::new();
        loader
            .btf(Some(&aya_btf))
            .override_global("OFFSETS", &offsets, true)
            .override_global("CONFIG", &config, true)
            .map_max_entries("SLOTS", (cpus * slots).max(1))
            .map_max_entries("WRITTEN", cpus)
            .map_max_entries("GIVEN", cpus)
            .map_max_entries("DATA", self.data_ring)
            .map_max_entries("CONTROL", self.control_ring);
        kept(&mut loader)?;
        let ebpf = loader.load(OBJECT).map_err(|source| LoadError::Object(Box::new(source)))?;
        drop(loader);
        Ok((ebpf, aya_btf))
    }

    /// Everything that programs are loaded with, but for who loads them: programs with another fingerprint record
    /// something else, or otherwise.
    pub fn fingerprint(&self, btf: &Btf) -> [u8; 8] {
        let (offsets, _) = offsets(btf, &self.hidden);
        let mut hash = Sha256::new();
        hash.update(OBJECT);
        hash.update(format!("{offsets:?} {:?} {} {}", self.config, self.data_ring, self.control_ring));
        hash.update(format!("{:?}", self.specs));
        for (name, kind) in announce::programs() {
            hash.update(format!("{name:?} {kind}"));
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        first
    }
}

/// The loaded programs and their maps. Dropping it detaches them.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    attached: Vec<(&'static str, &'static str)>,
    links: Vec<(&'static str, Link)>,
}

/// What keeps a program on its hook.
#[derive(Debug)]
enum Link {
    /// As long as it is open.
    Own(FdLink),
    /// As long as its file is there.
    Pinned(PinnedLink),
}

/// How many CPUs there may be. Where they cannot be counted, one: the others' calls go through the shared ring.
pub(crate) fn cpus() -> u32 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u32)
}

/// The tracepoints that recording needs.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    ATTACHED.iter().map(|(_, tracepoint)| *tracepoint)
}

/// Sources that this kernel does not have.
pub fn missing(btf: &Btf, options: &LoadOptions) -> Vec<String> {
    let (_, mut missing) = offsets(btf, &options.hidden);
    let optional = OPTIONAL.iter().filter(|ways| way(btf, ways.as_slice()).is_none());
    missing.extend(optional.map(|[(_, tracepoint, arguments), _]| {
        format!("kernel has no tracepoint `{tracepoint}` with {arguments} arguments")
    }));
    missing
}

/// The program and its tracepoint in the way that this kernel has, if any.
fn way(btf: &Btf, ways: &[(&'static str, &'static str, u32)]) -> Option<(&'static str, &'static str)> {
    let mut ways = ways.iter();
    let way =
        ways.find(|(_, tracepoint, arguments)| btf.tracepoint_arguments(tracepoint) == Some(*arguments));
    way.map(|(name, tracepoint, _)| (*name, *tracepoint))
}

/// The programs that are attached on this kernel.
fn hooks(btf: &Btf) -> Vec<(&'static str, &'static str)> {
    ATTACHED.into_iter().chain(OPTIONAL.iter().filter_map(|ways| way(btf, ways))).collect()
}

impl Programs {
    /// Loads everything; attaches nothing yet.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(btf: &Btf, options: &LoadOptions) -> Result<Self, LoadError> {
        for (_, tracepoint) in ATTACHED {
            if btf.tracepoint_arguments(tracepoint).is_none() {
                return Err(LoadError::NoTracepoint { name: tracepoint });
            }
        }
        let (mut ebpf, aya_btf) = options.open(btf, |_| Ok(()))?;
        let attached = hooks(btf);
        for (name, tracepoint) in &attached {
            load_program(&mut ebpf, name, tracepoint, &aya_btf)?;
        }
        for (_, name) in HANDLERS {
            load_program(&mut ebpf, name, "sys_exit", &aya_btf)?;
        }
        load_iterators(&mut ebpf, &aya_btf)?;
        let mut programs = Self { ebpf, attached, links: Vec::new() };
        programs.fill(&options.specs)?;
        programs.own(options.own_tgid)?;
        programs.freeze()?;
        Ok(programs)
    }

    /// Lets nobody change what is complete.
    fn freeze(&self) -> Result<(), LoadError> {
        for name in FROZEN {
            let map = self.ebpf.map(name).and_then(descriptor).ok_or(LoadError::Missing { name })?;
            bpf::freeze(map).map_err(|error| LoadError::Map { name, source: Box::new(error.into()) })?;
        }
        Ok(())
    }

    /// Tells the programs whose calls are the recorder's own.
    fn own(&mut self, own_tgid: u32) -> Result<(), LoadError> {
        const NAME: &str = "LIVE";
        let error = |source| LoadError::Map { name: NAME, source: Box::new(source) };
        let map = self.ebpf.map_mut(NAME).ok_or(LoadError::Missing { name: NAME })?;
        let mut live: Array<_, Live> = Array::try_from(map).map_err(error)?;
        let before = live.get(&0, 0).map_err(error)?;
        live.set(0, Live { own_tgid, ..before }, 0).map_err(error)
    }

    fn hook(&mut self, name: &'static str) -> Result<Link, LoadError> {
        let error = |source| LoadError::Program { name, source: Box::new(source) };
        let program: &mut BtfTracePoint = program(&mut self.ebpf, name)?;
        let id = program.attach().map_err(error)?;
        Ok(Link::Own(program.take_link(id).map_err(error)?.into()))
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

    /// Attaches everything, unless it is: from here on, events are recorded.
    ///
    /// # Errors
    /// [`LoadError::Program`].
    pub fn attach(&mut self) -> Result<(), LoadError> {
        if !self.links.is_empty() {
            return Ok(());
        }
        for (name, _) in self.attached.clone() {
            let link = self.hook(name)?;
            self.links.push((name, link));
        }
        Ok(())
    }

    /// Detaches everything: what is in the rings then is all there is.
    pub fn detach(&mut self) {
        for (name, link) in self.links.drain(..) {
            match link {
                Link::Own(link) => drop(link),
                Link::Pinned(link) => {
                    if let Err(error) = link.unpin() {
                        tracing::warn!("the program `{name}` stays on its hook: {error}");
                    }
                }
            }
        }
    }

    /// Has the kernel write a record of every process that exists into the control ring; gives how many did not fit.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn snapshot(&mut self) -> Result<u64, LoadError> {
        self.iterate(TASKS)
    }

    /// The same of every call that a container's task is waiting in.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn in_calls(&mut self) -> Result<u64, LoadError> {
        self.iterate(IN_CALLS)
    }

    /// The programs tell by a byte of each record that did not fit.
    fn iterate(&mut self, name: &'static str) -> Result<u64, LoadError> {
        let error = |source| LoadError::Program { name, source: Box::new(source) };
        let tasks: &mut Iter = program(&mut self.ebpf, name)?;
        let link = tasks.attach().map_err(error)?;
        let mut file = tasks
            .take_link(link)
            .and_then(|link| {
                link.into_file().map_err(|source| ProgramError::IOError(std::io::Error::other(source)))
            })
            .map_err(error)?;
        std::io::copy(&mut file, &mut std::io::sink()).map_err(|source| error(ProgramError::IOError(source)))
    }

    /// Takes the rings for reading, once.
    ///
    /// # Errors
    /// [`LoadError`] when they were taken before.
    pub fn take_rings(&mut self) -> Result<Rings, LoadError> {
        let rings = self.open_rings()?;
        RINGS.into_iter().for_each(|name| _ = self.ebpf.take_map(name));
        Ok(rings)
    }

    fn open_rings(&self) -> Result<Rings, LoadError> {
        let (data, control) = (self.open_ring("DATA")?, self.open_ring("CONTROL")?);
        Ok(Rings { slots: self.open_slots()?, data, control })
    }

    fn open_slots(&self) -> Result<Vec<Slots>, LoadError> {
        let error = |source| LoadError::Map { name: "SLOTS", source: Box::new(source) };
        let map = |name| match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(LoadError::Missing { name }),
        };
        let [slots, written, given] = [map("SLOTS")?, map("WRITTEN")?, map("GIVEN")?];
        let entries = |map: &MapData| map.info().map(|info| info.max_entries()).map_err(error);
        let cpus = entries(written)?;
        // What was loaded tells, also by an earlier recorder. One slot, for all, is none.
        let size = entries(slots)?.checked_div(cpus).filter(|_| entries(slots).is_ok_and(|all| all > 1));
        Slots::open((slots.fd(), written.fd(), given.fd()), cpus, size.unwrap_or(0))
            .map_err(|source| error(source.into()))
    }

    fn open_ring(&self, name: &'static str) -> Result<Ring, LoadError> {
        let error = |source| LoadError::Map { name, source: Box::new(source) };
        let Some(Map::RingBuf(map)) = self.ebpf.map(name) else {
            return Err(LoadError::Missing { name });
        };
        let size = map.info().map_err(error)?.max_entries();
        Ring::open(map.fd(), size).map_err(|source| error(source.into()))
    }
}

/// Of a map of one of the kinds that the programs have.
fn descriptor(map: &Map) -> Option<BorrowedFd<'_>> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::ProgramArray(data) => Some(data.fd().as_fd()),
        _ => None,
    }
}

fn load_iterators(ebpf: &mut Ebpf, btf: &aya::Btf) -> Result<(), LoadError> {
    for name in [TASKS, IN_CALLS] {
        let iterator: &mut Iter = program(ebpf, name)?;
        iterator.load("task", btf).map_err(|source| LoadError::Program { name, source: Box::new(source) })?;
    }
    Ok(())
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
