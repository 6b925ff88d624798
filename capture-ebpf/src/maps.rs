//! Every map and global, in one place: the recorder finds them by name.

use afterimage_capture_abi::{
    config::{Config, Live},
    lineage::{self, COMM_LEN, Mark},
    offsets::Offsets,
    record::{CpuCounters, LossSlot, Share},
    slot::{Given, Slot, Written},
    spec::{CallSpec, MAX_NR, handler},
};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, LruPerCpuHashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf},
};

/// `BPF_F_NO_PREALLOC`.
const NOT_PREALLOCATED: u32 = 1;
/// `BPF_F_RDONLY_PROG`: no program writes to it, those of others who got hold of the map included.
const NOT_BY_PROGRAMS: u32 = 1 << 7;
/// `BPF_F_MMAPABLE`.
const MAPPED: u32 = 1 << 10;

/// Bytes of one CPU's scratch record: the most a per-CPU map value can hold.
pub const SCRATCH: usize = 32 * 1024;

/// A record too large for the stack, in the making.
#[repr(C, align(8))]
pub struct Scratch(pub [u8; SCRATCH]);

/// An open file that is a socket or an end of a pipe. The kernel gives its address to another one later, but no inode
/// number of these twice in a long time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stream {
    pub file: u64,
    pub inode: u64,
}

/// Payload bytes kept since a moment, nanoseconds of boot time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Kept {
    pub bytes: u64,
    pub since: u64,
}

/// Member offsets; set by the recorder before loading.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::ABSENT;

/// Settings; set by the recorder before loading.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    payload_file: 0,
    payload_stream: 0,
    payload_budget: 0,
    v1_subsys: u32::MAX,
    argv_bytes: 0,
    kernel_paths: 0,
    default_policy: 0,
    exit_tells_group: 0,
    v1_hierarchy: u32::MAX,
    root_cgroup: 1,
    host_mnt_ns: 0,
    slots: 0,
};

/// System calls that are numbers only, each CPU's behind the other's; sized by the recorder.
#[map(name = "SLOTS")]
pub static SLOTS: Array<Slot> = Array::with_max_entries(1, MAPPED);

/// How far each CPU's slots are written.
#[map(name = "WRITTEN")]
pub static WRITTEN: Array<Written> = Array::with_max_entries(1, MAPPED);

/// How far the recorder has given them back.
#[map(name = "GIVEN")]
pub static GIVEN: Array<Given> = Array::with_max_entries(1, MAPPED);

/// The other system calls, and what the slots have no room for; sized by the recorder.
#[map(name = "DATA")]
pub static DATA: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Forks, execs, exits, cgroups: what identity hangs on; sized by the recorder.
#[map(name = "CONTROL")]
pub static CONTROL: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What each CPU counted.
#[map(name = "COUNTERS")]
pub static COUNTERS: PerCpuArray<CpuCounters> = PerCpuArray::with_max_entries(1, 0);

/// Losses by cgroup.
#[map(name = "LOSSES")]
pub static LOSSES: PerCpuHashMap<u64, LossSlot> = PerCpuHashMap::with_max_entries(8192, 0);

/// Policy by cgroup; a cgroup without one has the configured default.
#[map(name = "POLICY")]
pub static POLICY: HashMap<u64, u32> = HashMap::with_max_entries(65_536, NOT_PREALLOCATED | NOT_BY_PROGRAMS);

/// What changes while the programs run.
#[map(name = "LIVE")]
pub static LIVE: Array<Live> = Array::with_max_entries(1, 0);

/// What the recorder has told of [`LOSSES`], kept for the one after it: the programs never look at it.
#[map(name = "TOLD")]
pub static TOLD: HashMap<u64, LossSlot> = HashMap::with_max_entries(8193, NOT_PREALLOCATED | NOT_BY_PROGRAMS);

/// Shares of the data ring under pressure, by cgroup.
#[map(name = "SHARES")]
pub static SHARES: LruPerCpuHashMap<u64, Share> = LruPerCpuHashMap::with_max_entries(8192, 0);

/// Processes that a runtime is, or made, by thread group id.
#[map(name = "MARKS")]
pub static MARKS: HashMap<u32, Mark> = HashMap::with_max_entries(lineage::MOST, 0);

/// Whether there may be marks: most of the time there are none, and then nobody looks for one.
#[map(name = "MARKED")]
pub static MARKED: Array<u64> = Array::with_max_entries(lineage::marked::COUNT, 0);

/// Programs known by their `comm`: runtimes, and those that tell of containers.
#[map(name = "PROGRAMS")]
pub static PROGRAMS: HashMap<[u8; COMM_LEN], u32> =
    HashMap::with_max_entries(lineage::PROGRAMS, NOT_BY_PROGRAMS);

/// What was kept of each open socket and pipe. One that is pushed out begins anew: more is kept of it then, not less.
#[map(name = "STREAMS")]
pub static STREAMS: LruHashMap<Stream, Kept> = LruHashMap::with_max_entries(16_384, 0);

/// What to record of each call: x86-64 numbers, then i386 numbers.
#[map(name = "SPECS")]
pub static SPECS: Array<CallSpec> = Array::with_max_entries(MAX_NR * 2, NOT_BY_PROGRAMS);

/// The programs that record byte fields, by handler.
#[map(name = "HANDLERS")]
pub static HANDLERS: ProgramArray = ProgramArray::with_max_entries(handler::COUNT, 0);

/// Records in the making.
#[map(name = "SCRATCH")]
pub static SCRATCHES: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The task iterator's record in the making: it can be preempted, and there is one reader.
#[map(name = "SNAPSHOT")]
pub static SNAPSHOT: Array<Scratch> = Array::with_max_entries(1, 0);

/// A member offset: a constant to the verifier.
macro_rules! offset {
    ($field:ident) => {
        $crate::maps::offset_of(|o| unsafe { core::ptr::addr_of!((*o).$field) })
    };
}
pub(crate) use offset;

#[inline(always)]
pub fn offset_of(field: impl Fn(*const Offsets) -> *const u32) -> u32 {
    // SAFETY: the pointer is to a field of the static; volatile because the recorder replaces its contents.
    unsafe { core::ptr::read_volatile(field(&raw const OFFSETS)) }
}

/// A setting: a constant to the verifier.
macro_rules! config {
    ($field:ident) => {
        $crate::maps::config_of(|c| unsafe { core::ptr::addr_of!((*c).$field) })
    };
}
pub(crate) use config;

#[inline(always)]
pub fn config_of(field: impl Fn(*const Config) -> *const u32) -> u32 {
    // SAFETY: as in `offset_of`.
    unsafe { core::ptr::read_volatile(field(&raw const CONFIG)) }
}
