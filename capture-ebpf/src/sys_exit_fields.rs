//! Calls with byte fields: one program for each way of reading them, reached by tail call from `sys_exit`.

use afterimage_capture_abi::{
    record::CpuCounters,
    spec::{self, CallSpec, NONE},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Record, Ring},
    file,
    maps::{DATA, config},
    path::{self, Place},
    read::user,
    sock,
    sys_exit::Call,
};

/// Field tags of the file format that are written here.
mod tag {
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
const PAYLOAD_SMALL: u64 = 64;
/// Most payload bytes of one call.
const PAYLOAD_MAX: usize = 4096;
/// Longest structure or string of a call that is about something else.
const DATA_MAX: usize = 256;
/// Size of `struct open_how`, in bytes.
const OPEN_HOW: u64 = 24;
/// Longest socket address.
const SOCKADDR_MAX: usize = 128;

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

    /// The argument a spec's letter names; `None` for none.
    #[inline(always)]
    fn arg(&self, index: u8) -> Option<u64> {
        match index {
            0 => Some(self.args[0]),
            1 => Some(self.args[1]),
            2 => Some(self.args[2]),
            3 => Some(self.args[3]),
            4 => Some(self.args[4]),
            5 => Some(self.args[5]),
            _ => None,
        }
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
    fn payload_limit(&self, fd: u64, len: u64) -> u64 {
        if len <= PAYLOAD_SMALL {
            return len;
        }
        let open = file::of_descriptor(self.call.task, fd as i32 as i64);
        let regular = file::mode(file::inode(open)) & file::S_IFMT == file::S_IFREG;
        let limit = u64::from(if regular { config!(payload_file) } else { config!(payload_stream) });
        if len > limit { limit } else { len }
    }

    /// Adds a socket address argument whose length is `len`.
    #[inline(always)]
    fn sockaddr(&mut self, address: u64, len: u64) {
        if address != 0 && len != 0 {
            self.record.user_bytes::<SOCKADDR_MAX>(tag::SOCKADDR, address, len, len);
        }
    }

    /// A length argument: by value, or behind a pointer.
    #[inline(always)]
    fn length(&self, arg: u64, by_pointer: bool) -> u64 {
        let len = if by_pointer { user::<u32>(arg).unwrap_or(0) } else { arg as u32 };
        u64::from(len) & 0xff
    }
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
                let root = Place::root_of(fields.call.task.0 as u64);
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
        let len = fields.payload_limit(fields.arg(spec.a).unwrap_or(u64::MAX), full);
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

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Iovec {
    base: u64,
    len: u64,
}

impl Fields {
    /// Adds the first bytes of the vectors at `vectors`, of which `full` bytes were moved.
    #[inline(always)]
    fn vectors(&mut self, counters: &mut CpuCounters, fd: u64, vectors: u64, count: u64) {
        const VECTORS: u64 = 8;
        if self.call.ret <= 0 || self.call.compat {
            return;
        }
        let full = self.call.ret as u64;
        let mut left = self.payload_limit(fd, full);
        let mut rest = full;
        for index in 0..VECTORS {
            if index >= count || left == 0 {
                break;
            }
            let Some(vector) = user::<Iovec>(vectors + index * 16) else { break };
            if vector.len == 0 {
                continue;
            }
            let moved = if vector.len < rest { vector.len } else { rest };
            let kept = if moved < left { moved } else { left };
            let read = self.record.user_bytes::<PAYLOAD_MAX>(tag::PAYLOAD, vector.base, kept, moved);
            Self::faulted(counters, read);
            left -= kept;
            rest -= moved;
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
    let vectors = fields.arg(spec.b).unwrap_or(0);
    let count = fields.arg(spec.c).unwrap_or(0);
    fields.vectors(counters, fd, vectors, count);
    fields.submit(counters);
    0
}

/// Calls with an array of messages: the first is looked at.
const SENDMMSG: u32 = 307;
const RECVMMSG: u32 = 299;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct UserMsghdr {
    name: u64,
    namelen: u32,
    pad: u32,
    iov: u64,
    iovlen: u64,
    control: u64,
    controllen: u64,
    flags: u64,
}

/// A message that was sent or received.
#[btf_tracepoint(function = "sys_exit")]
pub fn call_message(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let Some(mut fields) = Fields::begin(&ctx, counters) else { return 0 };
    let spec = fields.spec;
    let fd = fields.arg(spec.a).unwrap_or(u64::MAX);
    let message = user::<UserMsghdr>(fields.arg(spec.b).unwrap_or(0));
    Fields::faulted(counters, message.is_some());
    if let Some(message) = message {
        fields.sockaddr(message.name, u64::from(message.namelen) & 0xff);
        if fields.call.nr == SENDMMSG || fields.call.nr == RECVMMSG {
            // The result counts messages; how much the first moved is behind it.
            let moved = user::<u32>(fields.arg(spec.b).unwrap_or(0) + size_of::<UserMsghdr>() as u64);
            if fields.call.ret > 0 {
                fields.call.ret = i64::from(moved.unwrap_or(0));
            }
        }
        fields.vectors(counters, fd, message.iov, message.iovlen);
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
