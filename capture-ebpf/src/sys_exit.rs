//! A system call returns: filter, count, and hand over the calls that are numbers only.

use afterimage_capture_abi::{
    record::{CpuCounters, Header, flags, kind},
    spec::{CallSpec, MAX_NR, handler, profile, special},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Ring},
    lineage,
    maps::{DATA, HANDLERS, LIVE, POLICY, SPECS, config, offset},
    read::{member, user},
    short, slots, socketcall,
    task::Task,
};

/// A returning system call.
pub struct Call {
    pub task: Task,
    regs: *const u8,
    pub ret: i64,
    pub nr: u32,
    pub compat: bool,
    /// How many arguments are words in memory, and where; none are in registers then.
    packed: (u32, u64),
}

impl Call {
    /// The call the program was run for.
    #[inline(always)]
    pub fn new(ctx: &BtfTracePointContext) -> Self {
        let task = Task::current();
        let regs: *const u8 = ctx.arg(0);
        let nr = member::<u64>(regs, offset!(regs_orig_ax)) as u32;
        let call = Self { task, regs, ret: ctx.arg(1), nr, compat: task.is_compat(), packed: (0, 0) };
        if call.compat && nr == socketcall::NR {
            let which: u64 = member(regs, offset!(regs_bx));
            if let Some((nr, count)) = socketcall::made(which as u32) {
                let words: u64 = member(regs, offset!(regs_cx));
                return Self { nr, packed: (count, words & 0xffff_ffff), ..call };
            }
        }
        call
    }

    /// What to record of it.
    #[inline(always)]
    pub fn spec(&self) -> CallSpec {
        const UNLISTED: CallSpec = CallSpec {
            nargs: 6,
            handler: handler::PLAIN,
            a: 0,
            b: 0,
            c: 0,
            d: 0,
            profiles: profile::MINIMAL | profile::FORENSIC | profile::FULL,
            special: special::NOTHING,
        };
        if self.nr >= MAX_NR {
            return UNLISTED;
        }
        let table = if self.compat { MAX_NR } else { 0 };
        SPECS.get(self.nr + table).copied().unwrap_or(UNLISTED)
    }

    /// Argument registers, in the order of the call's ABI.
    #[inline(always)]
    pub fn args(&self) -> [u64; 6] {
        let regs = self.regs;
        if self.packed.0 != 0 {
            let word = |index: u32| {
                let at = self.packed.1 + u64::from(index) * 4;
                if index < self.packed.0 { u64::from(user::<u32>(at).unwrap_or(0)) } else { 0 }
            };
            [word(0), word(1), word(2), word(3), word(4), word(5)]
        } else if self.compat {
            // The kernel takes the lower half of each register, whatever a 64-bit program left in the upper one.
            let lower = |register: u32| u64::from(member::<u32>(regs, register));
            [
                lower(offset!(regs_bx)),
                lower(offset!(regs_cx)),
                lower(offset!(regs_dx)),
                lower(offset!(regs_si)),
                lower(offset!(regs_di)),
                lower(offset!(regs_bp)),
            ]
        } else {
            [
                member(regs, offset!(regs_di)),
                member(regs, offset!(regs_si)),
                member(regs, offset!(regs_dx)),
                member(regs, offset!(regs_r10)),
                member(regs, offset!(regs_r8)),
                member(regs, offset!(regs_r9)),
            ]
        }
    }

    /// Whether the arguments in memory can be read: their first and their last word.
    #[inline(always)]
    fn is_packed_readable(&self) -> bool {
        let (count, words) = self.packed;
        let last = words + u64::from(count.wrapping_sub(1)) * 4;
        user::<u32>(words).is_some() && user::<u32>(last).is_some()
    }

    /// Header of the call's record; takes a sequence number.
    #[inline(always)]
    pub fn header(&self, counters: &mut CpuCounters, nargs: u8) -> Header {
        let cgroup = self.task.cgroup();
        let mut header = emit::header(counters, self.task, cgroup);
        header.kind = kind::SYSCALL;
        header.nargs = nargs;
        header.nr = self.nr;
        header.ret = self.ret;
        if self.compat {
            header.flags |= flags::COMPAT;
        }
        if self.packed.0 != 0 && !self.is_packed_readable() {
            header.flags |= flags::OVERFLOW;
            counters.faults += 1;
        }
        if self.task.has_seccomp() {
            header.flags |= flags::SECCOMP;
        }
        header
    }
}

/// Runs at each return from a system call, but of `exit` and `exit_group`, which never return.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    counters.runs += 1;
    let call = Call::new(&ctx);
    let Some(live) = LIVE.get(0) else { return 0 };
    if (call.task.pid_tgid() >> 32) as u32 == live.own_tgid {
        counters.own += 1;
        return 0;
    }
    let spec = call.spec();
    if call.ret == 0 && spec.special != special::NOTHING {
        counters.merged += 1;
        return 0;
    }
    let cgroup = call.task.cgroup().0;
    let wanted = u32::from(spec.profiles);
    if remembered_policy(counters, cgroup, live.generation) & wanted == 0
        && (config!(default_policy) & wanted == 0 || !lineage::keeps(&call, cgroup))
    {
        counters.filtered += 1;
        return 0;
    }
    if emit::throttled(counters, cgroup) {
        return 0;
    }
    if spec.handler == handler::BUFFER && short::buffer(counters, &call, &spec) {
        return 0;
    }
    if spec.handler != handler::PLAIN {
        // SAFETY: same program type and context; falls through where the slot is empty.
        unsafe { HANDLERS.tail_call(&ctx, u32::from(spec.handler)) };
    }
    plain(counters, &call, &spec);
    0
}

#[inline(always)]
fn plain(counters: &mut CpuCounters, call: &Call, spec: &CallSpec) {
    // A signal frame's return: registers are the user's frame, only the number means something.
    let nargs = match spec.nargs {
        _ if call.nr == u32::MAX => 0,
        few @ 0..=4 => few,
        _ => 6,
    };
    let header = call.header(counters, nargs);
    let args = call.args();
    if let Some(free) = slots::free() {
        free.numbers(&header, &args);
        counters.calls += 1;
        return;
    }
    let [a, b, c, d, e, f] = args;
    let kept = match nargs {
        0 => emit::submit_plain(&DATA, &header, &[]),
        1 => emit::submit_plain(&DATA, &header, &[a]),
        2 => emit::submit_plain(&DATA, &header, &[a, b]),
        3 => emit::submit_plain(&DATA, &header, &[a, b, c]),
        4 => emit::submit_plain(&DATA, &header, &[a, b, c, d]),
        _ => emit::submit_plain(&DATA, &header, &[a, b, c, d, e, f]),
    };
    if kept {
        counters.calls += 1;
    } else {
        emit::lost(counters, Ring::Data, header.cgroup, header.time);
    }
}

/// The policy of a cgroup, remembered on this CPU until the table changes or another cgroup runs.
#[inline(always)]
fn remembered_policy(counters: &mut CpuCounters, cgroup: u64, generation: u32) -> u32 {
    if counters.policy_cgroup == cgroup && (counters.policy >> 32) as u32 == generation {
        return counters.policy as u32;
    }
    let policy = policy_of(cgroup);
    counters.policy_cgroup = cgroup;
    counters.policy = u64::from(generation) << 32 | u64::from(policy);
    policy
}

/// What to keep of a cgroup's tasks.
#[inline(always)]
pub fn policy_of(cgroup: u64) -> u32 {
    // SAFETY: the value is one aligned word that user space replaces whole.
    match unsafe { POLICY.get(cgroup) } {
        Some(policy) => *policy,
        None => config!(default_policy),
    }
}
