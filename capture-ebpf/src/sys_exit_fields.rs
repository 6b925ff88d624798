//! Calls with byte fields: one program for each way of reading them, reached by tail call from `sys_exit`.

use afterimage_capture_abi::{
    config::policy,
    record::CpuCounters,
    slot,
    spec::{self, CallSpec, NONE},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Left, Record, Ring},
    file,
    maps::{DATA, Kept, STREAMS, Stream, config},
    path::{self, Place},
    read::user,
    sock,
    sys_exit::Call,
};

/// Field tags of the file format that are written here.
pub mod tag {
    pub const PATH: u8 = 1;
    pub const PATH2: u8 = 2;
    pub const KPATH: u8 = 3;
    pub const SOCKADDR: u8 = 4;
    pub const PAYLOAD: u8 = 7;
    pub const FDS: u8 = 16;
    pub const DATA: u8 = 17;
}

/// Longest path with its NUL: `PATH_MAX`.
const PATH_MAX: usize = 4096;
/// Payloads up to this are copied without a look at the kind of file.
const PAYLOAD_SMALL: u64 = slot::PAYLOAD as u64;
/// Most payload bytes of one call.
const PAYLOAD_MAX: usize = 4096;
/// Longest structure or string of a call that is about something else.
const DATA_MAX: usize = 256;
/// Size of `struct open_how`, in bytes.
const OPEN_HOW: u64 = 24;
/// Longest socket address.
const SOCKADDR_MAX: usize = 128;

/// The argument a spec's letter names; `None` for none.
#[inline(always)]
pub fn arg(args: &[u64; 6], index: u8) -> Option<u64> {
    match index {
        0 => Some(args[0]),
        1 => Some(args[1]),
        2 => Some(args[2]),
        3 => Some(args[3]),
        4 => Some(args[4]),
        5 => Some(args[5]),
        _ => None,
    }
}

/// Everything a handler needs.
struct Fields {
    call: Call,
    spec: CallSpec,
    args: [u64; 6],
    record: Record,
    cgroup: u64,
    time: u64,
}

impl Fields {
    #[inline(always)]
    fn begin(ctx: &BtfTracePointContext, counters: &mut CpuCounters) -> Option<Self> {
        let call = Call::new(ctx);
        let spec = call.spec();
        let header = call.header(counters, 6);
        let args = call.args();
        let mut record = Record::new()?;
        record.begin(&header);
        let mut index = 0;
        while index < 6 {
            record.number(index, args[index]);
            index += 1;
        }
        Some(Self { call, spec, args, record, cgroup: header.cgroup, time: header.time })
    }

    #[inline(always)]
    fn arg(&self, index: u8) -> Option<u64> {
        arg(&self.args, index)
    }

    #[inline(always)]
    fn submit(self, counters: &mut CpuCounters) {
        if self.record.submit(&DATA) {
            counters.calls += 1;
        } else {
            emit::lost(counters, Ring::Data, self.cgroup, self.time);
        }
    }

    #[inline(always)]
    fn faulted(counters: &mut CpuCounters, read: bool) {
        counters.faults += u64::from(!read);
    }

    /// How much of `len` payload bytes on descriptor `fd` to keep.
    #[inline(always)]
    fn payload_limit(&self, counters: &CpuCounters, fd: u64, len: u64) -> u64 {
        if len <= PAYLOAD_SMALL {
            return len;
        }
        let open = file::of_descriptor(self.call.task, fd as i32 as i64);
        let inode = file::inode(open);
        let budgets = file::budgets(inode, file::mode(inode));
        let file = u64::from(config!(payload_file));
        let as_file = if len > file { file } else { len };
        if budgets == 0 {
            return as_file;
        }
        let stream = u64::from(config!(payload_stream));
        let limit = if len > stream { stream } else { len };
        let budget = u64::from(config!(payload_budget)) * budgets;
        if limit <= file || budget == 0 || self.keeps_whole_streams(counters) {
            return limit;
        }
        if has_room(open, inode, (limit, budget), self.time) { limit } else { as_file }
    }

    /// Whether all of the streams of this cgroup is wanted.
    #[inline(always)]
    fn keeps_whole_streams(&self, counters: &CpuCounters) -> bool {
        // `sys_exit` has looked it up on this CPU a moment ago.
        counters.policy_cgroup == self.cgroup && counters.policy as u32 & policy::WHOLE_STREAMS != 0
    }

    /// Adds a socket address argument whose length is said to be `len`: of longer ones the kernel takes as much as an
    /// address can have, or nothing.
    #[inline(always)]
    fn sockaddr(&mut self, address: u64, len: u64) {
        const MAX: u64 = SOCKADDR_MAX as u64;
        if address != 0 && len != 0 {
            let len = if len > MAX { MAX } else { len };
            self.record.user_bytes::<SOCKADDR_MAX>(tag::SOCKADDR, address, len, len);
        }
    }

    /// A length argument: by value, or behind a pointer.
    #[inline(always)]
    fn length(&self, arg: u64, by_pointer: bool) -> u64 {
        let len = if by_pointer { user::<u32>(arg).unwrap_or(0) } else { arg as u32 };
        u64::from(len)
    }
}

/// Whether so many bytes `more` of an open stream with a `budget` are to be kept at this time; counts them.
#[inline(always)]
fn has_room(open: u64, inode: u64, (more, budget): (u64, u64), now: u64) -> bool {
    /// So long a budget holds, in nanoseconds.
    const MINUTE: u64 = 60_000_000_000;
    let stream = Stream { file: open, inode: file::number(inode) };
    let first = Kept { bytes: more, since: now };
    let Some(kept) = STREAMS.get_ptr_mut(stream) else {
        // Where it is refused there is no room for counts: nothing is left out then.
        let _ = STREAMS.insert(stream, first, 0);
        return true;
    };
    // SAFETY: a value of the map, there for as long as the program runs.
    let before = unsafe { kept.read_volatile() };
    let is_over = now.wrapping_sub(before.since) > MINUTE;
    let next = if is_over { first } else { Kept { bytes: before.bytes + more, ..before } };
    // Two CPUs at the same moment may count once: a little more is kept then.
    // SAFETY: as above.
    unsafe { kept.write_volatile(next) };
    is_over || before.bytes < budget
}

/// Paths, and the kernel's path of a descriptor.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_path(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    if let Some(address) = fields.arg(spec.a) {
        let read = fields.record.user_str::<PATH_MAX>(tag::PATH, address);
        Fields::faulted(counters, read);
    }
    if spec.b != NONE {
        if let Some(address) = fields.arg(spec.b) {
            let read = fields.record.user_str::<PATH_MAX>(tag::PATH2, address);
            Fields::faulted(counters, read);
        }
    }
    if let Some(address) = fields.arg(spec.d).filter(|address| *address != 0) {
        let read = if spec.c & spec::path::OPEN_HOW == 0 {
            fields.record.user_str::<DATA_MAX>(tag::DATA, address)
        } else {
            fields.record.user_bytes::<DATA_MAX>(tag::DATA, address, OPEN_HOW, OPEN_HOW)
        };
        Fields::faulted(counters, read);
    }
    if spec.c & spec::path::OPENS != 0 && config!(kernel_paths) == 1 {
        let fd = fields.call.ret;
        if fd >= 0 {
            let open = file::of_descriptor(fields.call.task, fd);
            if open != 0 {
                let root = Place::root_of(fields.call.task);
                path::add(&mut fields.record, tag::KPATH, Place::of_file(open), root);
            }
        }
    }
    fields.submit(counters);
    0
}

/// A buffer that was read or written.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_buffer(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    if spec.c != NONE {
        let by_pointer = fields.call.nr == RECVFROM || fields.call.compat && fields.call.nr == RECVFROM_32;
        let len = fields.length(fields.arg(spec.d).unwrap_or(0), by_pointer);
        let address = fields.arg(spec.c).unwrap_or(0);
        fields.sockaddr(address, len);
    }
    if fields.call.ret > 0 {
        let full = fields.call.ret as u64;
        let len = fields.payload_limit(counters, fields.arg(spec.a).unwrap_or(u64::MAX), full);
        // A datagram's whole length may be told by a call whose buffer is shorter (`MSG_TRUNC`): behind it is something else.
        let size = fields.arg(spec.b + 1).unwrap_or(0);
        let len = if len > size { size } else { len };
        let address = fields.arg(spec.b).unwrap_or(0);
        let read = fields.record.user_bytes::<PAYLOAD_MAX>(tag::PAYLOAD, address, len, full);
        Fields::faulted(counters, read);
    }
    fields.submit(counters);
    0
}

/// `recvfrom`: the one buffer call whose address length is behind a pointer.
const RECVFROM: u32 = 45;
const RECVFROM_32: u32 = 371;

/// Where the parts of a payload are.
#[derive(Clone, Copy)]
struct Vectors {
    address: u64,
    count: u64,
    compat: bool,
}

impl Vectors {
    /// Address and length of one; `None` where it cannot be read.
    #[inline(always)]
    fn get(self, index: u64) -> Option<(u64, u64)> {
        if self.compat {
            let [base, len] = user::<[u32; 2]>(self.address + index * 8)?;
            return Some((u64::from(base), u64::from(len)));
        }
        let [base, len] = user::<[u64; 2]>(self.address + index * 16)?;
        Some((base, len))
    }
}

impl Fields {
    /// Adds the first bytes of `vectors`, through which `full` bytes were moved, and how many are not among them.
    #[inline(always)]
    fn vectors(&mut self, counters: &mut CpuCounters, fd: u64, vectors: Vectors, full: i64) {
        /// Looked at; empty ones are no part of the payload.
        const LOOKED: u64 = 16;
        /// An event has room for no more.
        const KEPT: u64 = 8;
        if full <= 0 {
            return;
        }
        let counts = self.record.left();
        counts.set::<{ Left::BYTES }>(full as u64);
        counts.set::<{ Left::ROOM }>(self.payload_limit(counters, fd, full as u64));
        counts.set::<{ Left::VECTORS }>(KEPT);
        for index in 0..LOOKED {
            let (rest, left, room) = (
                counts.get::<{ Left::BYTES }>(),
                counts.get::<{ Left::ROOM }>(),
                counts.get::<{ Left::VECTORS }>(),
            );
            if index >= vectors.count || left == 0 || room == 0 {
                break;
            }
            let Some((base, len)) = vectors.get(index) else { break };
            if len == 0 {
                continue;
            }
            let moved = if len < rest { len } else { rest };
            let kept = if moved < left { moved } else { left };
            counts.set::<{ Left::BYTES }>(rest - moved);
            counts.set::<{ Left::ROOM }>(left - kept);
            counts.set::<{ Left::VECTORS }>(room - 1);
            let read = self.record.user_bytes::<PAYLOAD_MAX>(tag::PAYLOAD, base, kept, moved);
            Self::faulted(counters, read);
        }
        let rest = counts.get::<{ Left::BYTES }>();
        if rest > 0 {
            self.record.cut(tag::PAYLOAD, rest);
        }
    }
}

/// Vectors that were read or written.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_vector(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    let fd = fields.arg(spec.a).unwrap_or(u64::MAX);
    let vectors = Vectors {
        address: fields.arg(spec.b).unwrap_or(0),
        count: fields.arg(spec.c).unwrap_or(0),
        compat: fields.call.compat,
    };
    let moved = fields.call.ret;
    fields.vectors(counters, fd, vectors, moved);
    fields.submit(counters);
    0
}

/// Calls with an array of messages.
const SENDMMSG: u32 = 307;
const RECVMMSG: u32 = 299;
const SENDMMSG_32: u32 = 345;
const RECVMMSG_32: u32 = 337;
const RECVMMSG_TIME64_32: u32 = 417;

/// What is read of a `struct user_msghdr`.
#[derive(Clone, Copy)]
struct Message {
    name: u64,
    namelen: u32,
    iov: u64,
    iovlen: u64,
}

impl Message {
    /// Length of one, and of one in an array: how much it moved is behind it.
    const LEN: u64 = 56;
    const STEP: u64 = 64;
    const LEN_32: u64 = 28;
    const STEP_32: u64 = 32;

    /// The one at `address`; `None` where it cannot be read.
    #[inline(always)]
    fn at(address: u64, compat: bool) -> Option<Self> {
        if compat {
            let [name, namelen, iov, iovlen] = user::<[u32; 4]>(address)?;
            let (name, iov, iovlen) = (u64::from(name), u64::from(iov), u64::from(iovlen));
            return Some(Self { name, namelen, iov, iovlen });
        }
        let [name, namelen, iov, iovlen] = user::<[u64; 4]>(address)?;
        Some(Self { name, namelen: namelen as u32, iov, iovlen })
    }
}

impl Fields {
    /// Whether the call's messages are an array, and its result counts them.
    #[inline(always)]
    fn is_many(&self) -> bool {
        let nr = self.call.nr;
        if self.call.compat {
            nr == SENDMMSG_32 || nr == RECVMMSG_32 || nr == RECVMMSG_TIME64_32
        } else {
            nr == SENDMMSG || nr == RECVMMSG
        }
    }

    /// Adds the addresses of the messages behind the first, of which nothing else is kept.
    #[inline(always)]
    fn further(&mut self, messages: u64, step: u64) {
        /// With eight vectors, what is not among them and the first address, an event has room for no more.
        const MOST: u64 = 7;
        let count = self.call.ret;
        if count <= 1 {
            return;
        }
        self.record.incomplete();
        for index in 1..MOST {
            if index >= count as u64 {
                break;
            }
            let Some(message) = Message::at(messages + index * step, self.call.compat) else { break };
            self.sockaddr(message.name, u64::from(message.namelen));
        }
    }
}

/// A message that was sent or received.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_message(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    let compat = fields.call.compat;
    let fd = fields.arg(spec.a).unwrap_or(u64::MAX);
    let address = fields.arg(spec.b).unwrap_or(0);
    let (len, step) =
        if compat { (Message::LEN_32, Message::STEP_32) } else { (Message::LEN, Message::STEP) };
    let message = Message::at(address, compat);
    Fields::faulted(counters, message.is_some());
    if let Some(message) = message {
        let is_many = fields.is_many();
        let mut moved = fields.call.ret;
        if is_many && (message.name == 0 || message.namelen == 0) {
            // The first address is the first message's: those behind it may have some.
            fields.record.cut(tag::SOCKADDR, 0);
        }
        fields.sockaddr(message.name, u64::from(message.namelen));
        if is_many && moved > 0 {
            moved = i64::from(user::<u32>(address + len).unwrap_or(0));
        }
        let vectors = Vectors { address: message.iov, count: message.iovlen, compat };
        fields.vectors(counters, fd, vectors, moved);
        if is_many {
            fields.further(address, step);
        }
    }
    fields.submit(counters);
    0
}

/// A socket call: the claimed address, and both ends from the kernel.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_socket(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    if let Some(address) = fields.arg(spec.b) {
        let len = fields.length(fields.arg(spec.c).unwrap_or(0), spec.d == 1);
        fields.sockaddr(address, len);
    }
    let fd = match fields.arg(spec.a) {
        Some(fd) => fd as i32 as i64,
        None => fields.call.ret,
    };
    sock::add(&mut fields.record, fields.call.task, fd);
    fields.submit(counters);
    0
}

/// Two descriptors written to memory.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_fds(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    if fields.call.ret == 0 {
        let address = fields.arg(fields.spec.a).unwrap_or(0);
        let read = fields.record.user_bytes::<8>(tag::FDS, address, 8, 8);
        Fields::faulted(counters, read);
    }
    fields.submit(counters);
    0
}

/// A structure or a string.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_data(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    let address = fields.arg(spec.a).unwrap_or(0);
    if address != 0 {
        let read = if spec.c == spec::data::STRING {
            fields.record.user_str::<DATA_MAX>(tag::DATA, address)
        } else {
            let most = u64::from(spec.b);
            let said = if spec.c == spec::data::COUNTED { fields.arg(spec.d).unwrap_or(0) } else { most };
            let len = if said < most { said } else { most };
            fields.record.user_bytes::<DATA_MAX>(tag::DATA, address, len, len)
        };
        Fields::faulted(counters, read);
    }
    fields.submit(counters);
    0
}
