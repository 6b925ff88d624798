//! Tasks made, programs executed, tasks ended.

use afterimage_capture_abi::{
    config::policy,
    lineage::Mark,
    offsets::ABSENT,
    record::{CpuCounters, Header, V1_BIT, kind},
};
use aya_ebpf::{helpers::generated::bpf_seq_write, macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Record, Ring},
    lineage,
    maps::{CONTROL, LIVE, config, offset},
    path::{self, Place},
    read::{kernel, member, pointer},
    sys_exit::policy_of,
    task::Task,
};

/// Field tags of the file format that are written here.
mod tag {
    pub const KPATH: u8 = 3;
    pub const ARGV: u8 = 8;
    pub const ENVP: u8 = 9;
    pub const FILENAME: u8 = 10;
    pub const INTERP: u8 = 11;
    pub const CWD: u8 = 12;
    pub const COMM: u8 = 13;
}

/// `format::layout::UNKNOWN`.
const UNKNOWN: u64 = u64::MAX;

#[inline(always)]
fn handed_over(counters: &mut CpuCounters, header: &Header, kept: bool) {
    if kept {
        counters.control += 1;
    } else {
        emit::lost(counters, Ring::Control, header.cgroup, header.time);
    }
}

/// Address of a task's `struct pid`, and the level of its own pid namespace.
#[inline(always)]
fn pid_and_level(task: u64) -> (u64, u64) {
    let pid: u64 = kernel(task, offset!(task_thread_pid));
    (pid, u64::from(kernel::<u32>(pid, offset!(pid_level))))
}

/// A task's id in its own pid namespace, that namespace's level and inode.
#[inline(always)]
fn virtual_pid(task: u64) -> (u64, u64, u64) {
    let (pid, level) = pid_and_level(task);
    (pid_at(pid, level), level, pid_ns_at(pid, level))
}

/// A task's id in the pid namespace at a level: its own or one around it.
#[inline(always)]
fn pid_at(pid: u64, level: u64) -> u64 {
    u64::from(kernel::<u32>(upid(pid, level), offset!(upid_nr)))
}

/// Inode of the pid namespace at a level.
#[inline(always)]
fn pid_ns_at(pid: u64, level: u64) -> u64 {
    let ns: u64 = kernel(upid(pid, level), offset!(upid_ns));
    u64::from(kernel::<u32>(ns, offset!(pid_inum)))
}

/// `struct upid` is a number, its padding and a pointer.
#[inline(always)]
fn upid(pid: u64, level: u64) -> u64 {
    pid + u64::from(offset!(pid_numbers)) + (level & 0x1f) * 16
}

/// A task was made, by the running one.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn fork(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let parent = Task(ctx.arg(0));
    let child = Task(ctx.arg(1));
    let cgroup = parent.cgroup();
    // An absent one has all its members: what is left undefined is carried about by the compiler, and the verifier refuses that.
    const UNMARKED: Mark = Mark { cgroup: 0, mnt_ns: 0, state: 0 };
    let (is_marked, mark) = match lineage::mark_of(parent) {
        Some(mark) if mark.cgroup == cgroup.0 => (true, mark),
        _ => (false, UNMARKED),
    };
    if !is_marked && policy_of(cgroup.0) & policy::LIFECYCLE == 0 {
        return 0;
    }
    let mut header = emit::header(counters, parent, cgroup);
    header.kind = kind::FORK;
    let ids = child.pid_tgid();
    header.ret = (ids & 0xffff_ffff) as i64;
    header.nargs = 9;
    let (pid, level) = pid_and_level(child.0 as u64);
    let (vpid, pid_ns) = (pid_at(pid, level), pid_ns_at(pid, level));
    // A child's namespace is its maker's or one below it.
    let (_, level_of_maker) = pid_and_level(parent.0 as u64);
    let for_maker = pid_at(pid, level_of_maker);
    let new_pid = u64::from(level != level_of_maker) * 0x2000_0000;
    let (namespaces, of_child) = (new_pid | new_namespaces(parent, child), child.cgroup().0);
    if is_marked {
        lineage::forked(counters, mark, child, namespaces, of_child);
    }
    if of_child != cgroup.0 {
        // Born elsewhere (`CLONE_INTO_CGROUP`): as if it had been moved.
        lineage::moved(counters, child);
    }
    let shares = shares(parent, child);
    let args =
        [ids >> 32, ids & 0xffff_ffff, child.start(), vpid, namespaces, of_child, shares, pid_ns, for_maker];
    let kept = emit::submit_plain(&CONTROL, &header, &args);
    handed_over(counters, &header, kept);
    0
}

/// `CLONE_FS` and `CLONE_FILES` where they hold: what `clone3` was asked for lies in the caller's memory, which says something
/// else when it is read.
#[inline(always)]
fn shares(parent: Task, child: Task) -> u64 {
    let same = |offset: u32| kernel::<u64>(parent.0 as u64, offset) == kernel::<u64>(child.0 as u64, offset);
    u64::from(same(offset!(task_fs))) * 0x200 | u64::from(same(offset!(task_files))) * 0x400
}

/// `CLONE_NEW*` bits of the namespaces in which two tasks differ, but for the pid namespace.
#[inline(always)]
fn new_namespaces(parent: Task, child: Task) -> u64 {
    let of_parent: u64 = kernel(parent.0 as u64, offset!(task_nsproxy));
    let of_child: u64 = kernel(child.0 as u64, offset!(task_nsproxy));
    let mut bits = 0;
    if of_parent != of_child {
        let differ = |offset: u32| kernel::<u64>(of_parent, offset) != kernel::<u64>(of_child, offset);
        bits |= u64::from(differ(offset!(ns_mnt))) * 0x0002_0000;
        bits |= u64::from(differ(offset!(ns_cgroup))) * 0x0200_0000;
        bits |= u64::from(differ(offset!(ns_uts))) * 0x0400_0000;
        bits |= u64::from(differ(offset!(ns_ipc))) * 0x0800_0000;
        bits |= u64::from(differ(offset!(ns_net))) * 0x4000_0000;
    }
    let user = |task: Task| {
        let cred: u64 = kernel(task.0 as u64, offset!(task_cred));
        kernel::<u64>(cred, offset!(cred_user_ns))
    };
    bits | u64::from(user(parent) != user(child)) * 0x1000_0000
}

/// A task ends.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn exit(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let task = Task(ctx.arg(0));
    let cgroup = task.cgroup();
    let group_dead = if config!(exit_tells_group) == 1 {
        ctx.arg::<u64>(1) & 1
    } else {
        // The count of live threads is taken down before this point.
        let group: u64 = kernel(task.0 as u64, offset!(task_signal));
        u64::from(kernel::<u32>(group, offset!(signal_live)) == 0)
    };
    if group_dead == 1 {
        forget_own(task);
    }
    let mark = lineage::mark_of(task);
    if mark.is_some() && group_dead == 1 {
        lineage::ended(task);
    }
    if mark.is_none_or(|mark| mark.cgroup != cgroup.0) && policy_of(cgroup.0) & policy::LIFECYCLE == 0 {
        return 0;
    }
    let mut header = emit::header(counters, task, cgroup);
    header.kind = kind::EXIT;
    header.nargs = 3;
    let raw: u32 = member(task.0, offset!(task_exit_code));
    let signal = raw & 0x7f;
    header.ret = if signal == 0 { i64::from(raw >> 8 & 0xff) } else { -i64::from(signal) };
    let kept = emit::submit_plain(&CONTROL, &header, &[u64::from(raw), group_dead, call_of(task)]);
    handed_over(counters, &header, kept);
    0
}

/// The recorder has ended: whoever has its number next is another process.
#[inline(always)]
fn forget_own(task: Task) {
    let Some(live) = LIVE.get_ptr_mut(0) else { return };
    // SAFETY: a map's value; the recorder, the only other to write it, is ending.
    let live = unsafe { &mut *live };
    if (task.pid_tgid() >> 32) as u32 == live.own_tgid {
        live.own_tgid = 0;
    }
}

/// The number of the system call a task is in.
#[inline(always)]
fn call_of(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer, as the helper wants.
    let regs = unsafe { aya_ebpf::helpers::generated::bpf_task_pt_regs(task.0.cast_mut().cast()) };
    kernel(regs as u64, offset!(regs_orig_ax))
}

/// A program was executed: everything from the kernel's own objects, at the moment the new image is in place.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn exec(ctx: BtfTracePointContext) -> i32 {
    const ARGS: u8 = 32;
    let Some(counters) = emit::counters() else { return 0 };
    let task = Task::current();
    let bprm: u64 = ctx.arg(2);
    let cgroup = task.cgroup();
    let told = lineage::executed(counters, task, cgroup.0);
    if !told && policy_of(cgroup.0) & policy::LIFECYCLE == 0 {
        return 0;
    }
    let mut header = emit::header(counters, task, cgroup);
    header.kind = kind::EXEC;
    header.nargs = ARGS;
    let Some(mut record) = Record::new() else { return 0 };
    record.begin(&header);
    let at = task.0 as u64;
    ids(&mut record, at);
    credentials(&mut record, at);
    namespaces(&mut record, at);
    image(&mut record, at);
    record.number(26, image_flags(at) | name_flags(bprm));
    record.number(27, u64::from(kernel::<u32>(bprm, offset!(bprm_argc))));
    record.number(28, u64::from(kernel::<u32>(bprm, offset!(bprm_envc))));
    record.number(29, cgroup.0 & !V1_BIT);
    places(&mut record, task);
    names(&mut record, bprm);
    memory(&mut record, at);
    let kept = record.submit_and_wake(&CONTROL);
    handed_over(counters, &header, kept);
    0
}

#[inline(always)]
fn ids(record: &mut Record, task: u64) {
    let parent: u64 = kernel(task, offset!(task_real_parent));
    record.number(0, u64::from(kernel::<u32>(parent, offset!(task_tgid))));
    let leader: u64 = kernel(parent, offset!(task_group_leader));
    record.number(30, kernel(leader, offset!(task_start)));
    let (vpid, level, pid_ns) = virtual_pid(task);
    record.number(1, vpid);
    record.number(31, level);
    record.number(13, pid_ns);
    let signal: u64 = kernel(task, offset!(task_signal));
    // `enum pid_type`: PID, TGID, PGID, SID.
    let id_of = |kind: u32| {
        let pid: u64 = kernel(signal, offset!(signal_pids) + kind * 8);
        u64::from(kernel::<u32>(pid, offset!(pid_numbers) + offset!(upid_nr)))
    };
    record.number(2, id_of(2));
    record.number(3, id_of(3));
    let tty: u64 = kernel(signal, offset!(signal_tty));
    let number = if tty == 0 {
        0
    } else {
        let driver: u64 = kernel(tty, offset!(tty_driver));
        let major: u32 = kernel(driver, offset!(tty_major));
        let minor: u32 = kernel::<u32>(driver, offset!(tty_minor)) + kernel::<u32>(tty, offset!(tty_index));
        u64::from(major) << 20 | u64::from(minor)
    };
    record.number(4, number);
}

#[inline(always)]
fn credentials(record: &mut Record, task: u64) {
    let cred: u64 = kernel(task, offset!(task_cred));
    record.number(5, u64::from(kernel::<u32>(cred, offset!(cred_uid))));
    record.number(6, u64::from(kernel::<u32>(cred, offset!(cred_gid))));
    record.number(7, u64::from(kernel::<u32>(cred, offset!(cred_euid))));
    record.number(8, u64::from(kernel::<u32>(cred, offset!(cred_egid))));
    let login = if offset!(task_loginuid) == ABSENT {
        UNKNOWN
    } else {
        u64::from(kernel::<u32>(task, offset!(task_loginuid)))
    };
    record.number(9, login);
    record.number(10, kernel(cred, offset!(cred_cap_inheritable)));
    record.number(11, kernel(cred, offset!(cred_cap_permitted)));
    record.number(12, kernel(cred, offset!(cred_cap_effective)));
    let user: u64 = kernel(cred, offset!(cred_user_ns));
    record.number(19, u64::from(kernel::<u32>(user, offset!(user_inum))));
}

#[inline(always)]
fn namespaces(record: &mut Record, task: u64) {
    let proxy: u64 = kernel(task, offset!(task_nsproxy));
    let inum = |ns: u32, member: u32| {
        let ns: u64 = kernel(proxy, ns);
        u64::from(kernel::<u32>(ns, member))
    };
    record.number(14, inum(offset!(ns_mnt), offset!(mnt_inum)));
    record.number(15, inum(offset!(ns_net), offset!(net_inum)));
    record.number(16, inum(offset!(ns_uts), offset!(uts_inum)));
    record.number(17, inum(offset!(ns_ipc), offset!(ipc_inum)));
    record.number(18, inum(offset!(ns_cgroup), offset!(cgroup_inum)));
}

/// The executed file.
#[inline(always)]
fn image(record: &mut Record, task: u64) {
    let mm: u64 = kernel(task, offset!(task_mm));
    let file: u64 = kernel(mm, offset!(mm_exe_file));
    let inode: u64 = kernel(file, offset!(file_inode));
    let sb: u64 = kernel(inode, offset!(inode_sb));
    record.number(20, kernel(inode, offset!(inode_ino)));
    record.number(21, u64::from(kernel::<u32>(sb, offset!(sb_dev))));
    record.number(22, time_of(inode, offset!(inode_ctime), offset!(inode_ctime_nsec)));
    record.number(23, time_of(inode, offset!(inode_mtime), offset!(inode_mtime_nsec)));
    record.number(24, u64::from(kernel::<u16>(inode, offset!(inode_mode))));
    record.number(25, kernel(inode, offset!(inode_size)));
}

#[inline(always)]
fn time_of(inode: u64, seconds: u32, nanos: u32) -> u64 {
    if seconds == ABSENT {
        return UNKNOWN;
    }
    let seconds: u64 = kernel(inode, seconds);
    seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::from(kernel::<u32>(inode, nanos)))
}

#[inline(always)]
fn image_flags(task: u64) -> u64 {
    const OVERLAYFS: u64 = 0x794c_7630;
    const TMPFS: u64 = 0x0102_1994;
    const UPPER: u64 = 1;
    const MEMFD: u64 = 2;
    const UNLINKED: u64 = 4;
    const LOWER: u64 = 16;
    let mm: u64 = kernel(task, offset!(task_mm));
    let file: u64 = kernel(mm, offset!(mm_exe_file));
    let inode: u64 = kernel(file, offset!(file_inode));
    let sb: u64 = kernel(inode, offset!(inode_sb));
    let mut bits = 0;
    let magic: u64 = kernel(sb, offset!(sb_magic));
    if magic == OVERLAYFS && offset!(ovl_inode_vfs) != ABSENT && offset!(ovl_inode_upper) != ABSENT {
        let overlay = inode - u64::from(offset!(ovl_inode_vfs));
        let upper: u64 = kernel(overlay, offset!(ovl_inode_upper));
        bits |= if upper != 0 { UPPER } else { LOWER };
    }
    let dentry = Place::of_file(file).dentry;
    let parent: u64 = kernel(dentry, offset!(dentry_parent));
    if magic == TMPFS && parent == dentry {
        bits |= MEMFD;
    }
    if kernel::<u32>(inode, offset!(inode_nlink)) == 0 {
        bits |= UNLINKED;
    }
    bits
}

/// What the names given to exec tell of the image.
#[inline(always)]
fn name_flags(bprm: u64) -> u64 {
    const SCRIPT: u64 = 8;
    const BY_FD: u64 = 64;
    let mut bits = 0;
    let filename: u64 = kernel(bprm, offset!(bprm_filename));
    let interp: u64 = kernel(bprm, offset!(bprm_interp));
    if filename != interp {
        bits |= SCRIPT;
    }
    if kernel::<u64>(bprm, offset!(bprm_fdpath)) != 0 {
        bits |= BY_FD;
    }
    bits
}

/// Where the program and its task are in the file system.
#[inline(always)]
fn places(record: &mut Record, task: Task) {
    const COMM_MAX: usize = 16;
    let at = task.0 as u64;
    if offset!(task_comm) != ABSENT {
        record.kernel_str::<COMM_MAX>(tag::COMM, at + u64::from(offset!(task_comm)));
    }
    let mm: u64 = kernel(at, offset!(task_mm));
    let file: u64 = kernel(mm, offset!(mm_exe_file));
    let root = Place::root_of(task);
    path::add(record, tag::KPATH, Place::of_file(file), root);
    path::add(record, tag::CWD, Place::cwd_of(task), root);
}

/// The names given to exec.
#[inline(always)]
fn names(record: &mut Record, bprm: u64) {
    const NAME_MAX: usize = 4096;
    let filename: u64 = kernel(bprm, offset!(bprm_filename));
    record.kernel_str::<NAME_MAX>(tag::FILENAME, filename);
    let interp: u64 = kernel(bprm, offset!(bprm_interp));
    if interp != filename {
        record.kernel_str::<NAME_MAX>(tag::INTERP, interp);
    }
}

/// Arguments and environment, from the memory of the running program.
#[inline(always)]
fn memory(record: &mut Record, task: u64) {
    const BLOCK_MAX: usize = 4096;
    let mm: u64 = kernel(task, offset!(task_mm));
    let limit = u64::from(config!(argv_bytes));
    let mut block = |tag: u8, start: u32, end: u32| {
        let start: u64 = kernel(mm, start);
        let end: u64 = kernel(mm, end);
        let full = if end > start { end - start } else { 0 };
        let len = if full > limit { limit } else { full };
        record.user_bytes::<BLOCK_MAX>(tag, start, len, full);
    };
    block(tag::ARGV, offset!(mm_arg_start), offset!(mm_arg_end));
    block(tag::ENVP, offset!(mm_env_start), offset!(mm_env_end));
}

/// Context of a task iterator.
#[repr(C)]
pub struct IterTask {
    meta: *const u8,
    pub task: *const u8,
}

impl IterTask {
    /// Tells the reader of the iterator, by a byte, of a record that did not fit the ring.
    #[inline(always)]
    pub fn left_out(&self) {
        /// The first member of `struct bpf_iter_meta` is the reader's `struct seq_file`.
        const SEQ: u32 = 0;
        let one = [b'.'];
        // SAFETY: a BTF pointer to what the helper wants, and one byte that is there.
        unsafe { bpf_seq_write(pointer(self.meta, SEQ).cast_mut().cast(), one.as_ptr().cast(), 1) };
    }
}

/// Runs for each task when the recorder starts and reads the iterator: what was there before.
///
/// It can be preempted, so it has a scratch of its own and takes no sequence number; what does not fit the ring is told to
/// the iterator's reader. Arguments and descriptors are
/// added by the recorder from `/proc`: another program's memory cannot be read here.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub fn tasks(ctx: *mut core::ffi::c_void) -> i32 {
    const ARGS: u8 = 32;
    // SAFETY: the kernel calls this program with such a context.
    let task = unsafe { (*ctx.cast::<IterTask>()).task };
    if task.is_null() {
        return 0;
    }
    let task = Task(task);
    let at = task.0 as u64;
    let ids_of = task.pid_tgid();
    let mm: u64 = kernel(at, offset!(task_mm));
    if ids_of >> 32 != ids_of & 0xffff_ffff || mm == 0 {
        return 0;
    }
    let (cgroup, flags) = task.cgroup();
    // SAFETY: no preconditions.
    let time = unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() };
    let header = Header {
        kind: kind::PROCESS,
        nargs: ARGS,
        flags,
        nr: 0,
        time,
        seq: 0,
        pid_tgid: ids_of,
        start: task.start(),
        cgroup,
        ret: 0,
    };
    let Some(mut record) = Record::snapshot() else { return 0 };
    record.begin(&header);
    ids(&mut record, at);
    credentials(&mut record, at);
    namespaces(&mut record, at);
    image(&mut record, at);
    record.number(26, image_flags(at));
    record.number(27, UNKNOWN);
    record.number(28, UNKNOWN);
    record.number(29, cgroup & !V1_BIT);
    places(&mut record, task);
    if !record.submit(&CONTROL) {
        // SAFETY: as above.
        unsafe { (*ctx.cast::<IterTask>()).left_out() };
    }
    0
}
