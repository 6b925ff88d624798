//! Calls that change a process itself: directory, rights, namespaces, name, mounts.

use afterimage_format::{EventFlags, FieldTag};

use super::{
    calls::{Call, Effect, absolute, kernel_path},
    lifecycle::new_ns,
    places::{self, Moved},
    sharing,
    state::State,
    targets,
};
use crate::{
    fds::{FdInfo, FdKind},
    mounts::{Mount, MountAction},
    paths,
    process::Process,
    symbols::PRCTL,
    syscalls::{self, ArgKind},
};

/// Every `CLONE_NEW*` bit.
const NAMESPACES: u64 = 0x7e02_0080;
const MS_REMOUNT: u64 = 32;
const MS_MOVE: u64 = 8192;
/// `MS_UNBINDABLE|MS_PRIVATE|MS_SLAVE|MS_SHARED`.
const MS_PROPAGATION: u64 = 0xf << 17;
/// Length of a task's name.
const COMM: usize = 15;

pub(super) fn apply(state: &mut State, call: &Call<'_>, effect: Effect) {
    match effect {
        Effect::Chdir => chdir(state, call),
        Effect::Fchdir => fchdir(state, call),
        Effect::Rename => rename(state, call),
        Effect::Chroot => chroot(state, call),
        Effect::Ids(which) => {
            if let Some(p) = call.process(state) {
                p.credentials.apply(which, call.event.args, p.namespaces.user, p.hardening.keep_capabilities);
            }
        }
        Effect::Capset => {
            let data = call.event.bytes(FieldTag::DATA);
            if let Some(p) = call.process(state) {
                p.credentials.capset(data);
            }
        }
        Effect::Prctl => prctl(state, call),
        Effect::Seccomp => seccomp(state, call),
        Effect::Setpgid => setpgid(state, call),
        Effect::Setsid => {
            if let Some(p) = call.process(state) {
                p.sid = Some(call.key.tgid);
                p.pgid = Some(call.key.tgid);
                p.tty = Some(0);
            }
        }
        Effect::Unshare => {
            let flags = call.arg(0);
            sharing::unshare(state, call.key, call.event.task.tid, flags);
            enter(state, call, flags & NAMESPACES);
        }
        Effect::Setns => setns(state, call),
        Effect::Clone { three } => sharing::cloned(state, call, three),
        Effect::Mount | Effect::Umount | Effect::MoveMount | Effect::Pivot | Effect::MountSetattr => {
            mount(state, call, effect);
            if effect == Effect::Pivot {
                pivot(state, call);
            }
        }
        _ => {}
    }
}

fn claimed_path(state: &State, call: &Call<'_>, tag: FieldTag) -> Option<Vec<u8>> {
    let path = call.event.bytes(tag)?;
    let process = state.processes.get(&call.key);
    let tid = call.event.task.tid;
    let (root, cwd) = (process.and_then(|p| p.root_of(tid)), process.and_then(|p| p.cwd_of(tid)));
    Some(absolute(root, cwd, path))
}

fn chdir(state: &mut State, call: &Call<'_>) {
    let real = kernel_path(state, call.key, call.event);
    let path = real.or_else(|| claimed_path(state, call, FieldTag::PATH));
    sharing::set_cwd(state, call.who(), path.as_deref());
}

fn fchdir(state: &mut State, call: &Call<'_>) {
    let path = state.info(call.table, call.fd(0)).and_then(|info| info.kind.path()).map(<[u8]>::to_vec);
    sharing::set_cwd(state, call.who(), path.as_deref());
}

/// A directory may have been renamed, and who is in it is elsewhere. What was renamed is as claimed, and of which kind it was nobody tells.
///
/// What the call names is asked for again when this was done. From where its caller is then it has to be the same: else the caller is left
/// where it was.
fn rename(state: &mut State, call: &Call<'_>) {
    /// `renameat2`: both change their names.
    const EXCHANGE: u64 = 2;
    let Some(process) = state.processes.share(&call.key) else { return };
    let tid = call.event.task.tid;
    let paths = |state: &State, cwd: Option<&[u8]>, root: Option<&[u8]>| {
        let path = |tag, kind| {
            let base = match targets::directory(call.event, kind) {
                Some(fd) => state.info(process.table_of(tid), fd).and_then(|info| info.kind.path()),
                None => cwd,
            };
            Some(absolute(root, base, call.event.bytes(tag)?)).filter(|path| path.starts_with(b"/"))
        };
        path(FieldTag::PATH, ArgKind::Path).zip(path(FieldTag::PATH2, ArgKind::Path2))
    };
    let (cwd, root) = (process.cwd_of(tid), process.root_of(tid));
    let Some(named) = paths(state, cwd, root) else { return };
    let is_callers = |other: u32| {
        let is_own = process.apart.get(&tid).is_some_and(|apart| apart.directories.is_some());
        other == if is_own { tid } else { places::OTHERS }
    };
    let stays = |state: &State, new: &Moved| {
        let (cwd, root) = (new.cwd.as_deref().or(cwd), new.root.as_deref().or(root));
        new.key == call.key && is_callers(new.tid) && paths(state, cwd, root).as_ref() != Some(&named)
    };
    let swaps = syscalls::base_name(call.event.code) == "renameat2" && call.arg(4) & EXCHANGE != 0;
    let mut moved = places::moved(state, (&named.0, &named.1), swaps);
    moved.retain(|new| !stays(state, new));
    for new in moved {
        sharing::moved(state, (new.key, new.tid), new.cwd.as_deref(), new.root.as_deref());
    }
}

/// What a runtime does to the root of what it sets up makes the container's own.
fn is_setup(call: &Call<'_>) -> bool {
    call.event.flags.contains(EventFlags::SETUP)
}

fn chroot(state: &mut State, call: &Call<'_>) {
    if !is_setup(call) {
        let path = new_root(state, call);
        sharing::set_root(state, call.who(), path);
    }
}

/// Where a call puts the root; `None` where it is not known: in a root that is not known no path is.
fn new_root(state: &State, call: &Call<'_>) -> Option<Vec<u8>> {
    let root = state.processes.get(&call.key)?.root_of(call.event.task.tid);
    let is_known = root.is_none_or(|root| !root.is_empty());
    let path = claimed_path(state, call, FieldTag::PATH).filter(|_| is_known)?;
    // What `/proc` has links to has another name.
    let is_link = [&b"/proc"[..], b"/dev/fd"].iter().any(|links| paths::is_below(&path, links));
    (!is_link).then_some(path)
}

/// `pivot_root` moves the root of the caller, and of every process of its mount namespace that has the same, and their working
/// directory where that is the root.
fn pivot(state: &mut State, call: &Call<'_>) {
    if is_setup(call) {
        return;
    }
    let Some(caller) = state.processes.share(&call.key) else { return };
    let (tid, path) = (call.event.task.tid, new_root(state, call));
    let old = caller.root_of(tid);
    let is_caller = |process: &Process| process.key == call.key;
    let shares = |process: &&Process| {
        let is_there = process.namespaces.mnt.is_some() && process.namespaces.mnt == caller.namespaces.mnt;
        is_caller(process) || is_there && process.is_running() && process.root.as_deref() == old
    };
    let moved = state.processes.values().filter(shares).map(|process| {
        let tid = if is_caller(process) { tid } else { process.key.tgid };
        ((process.key, tid), process.cwd_of(tid) == Some(old.unwrap_or(b"/")))
    });
    for (who, was_in_root) in moved.collect::<Vec<_>>() {
        sharing::set_root(state, who, path.clone());
        if was_in_root {
            sharing::set_cwd(state, who, path.as_deref());
        }
    }
}

fn prctl(state: &mut State, call: &Call<'_>) {
    let value = call.arg(1);
    match PRCTL.name_of(call.arg(0)) {
        Some("PR_SET_NAME") => {
            // The name is the first thread's only where the first thread sets it.
            let fields = [FieldTag::COMM, FieldTag::DATA, FieldTag::PATH];
            let name = fields.into_iter().find_map(|tag| call.event.bytes(tag));
            if let Some(name) = name.filter(|_| call.event.task.tid == call.event.task.tgid) {
                let name = name.split(|&b| b == 0).next().unwrap_or(name);
                let name = name.get(..COMM).unwrap_or(name);
                state.push_comm(call.key, call.event.time, name, call.limits);
            }
        }
        Some("PR_SET_NO_NEW_PRIVS") => {
            if let Some(p) = call.process(state) {
                p.hardening.no_new_privs |= value == 1;
            }
        }
        Some("PR_SET_KEEPCAPS") => {
            if let Some(p) = call.process(state) {
                p.hardening.keep_capabilities = value == 1;
            }
        }
        Some("PR_SET_SECCOMP") => {
            if let Some(p) = call.process(state) {
                match value {
                    1 => p.hardening.seccomp_strict = true,
                    2 => p.hardening.seccomp_filters = p.hardening.seccomp_filters.saturating_add(1),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn seccomp(state: &mut State, call: &Call<'_>) {
    const STRICT: u64 = 0;
    const FILTER: u64 = 1;
    const NEW_LISTENER: u64 = 8;
    let operation = call.arg(0) & 0xffff_ffff;
    if let Some(p) = call.process(state) {
        match operation {
            STRICT => p.hardening.seccomp_strict = true,
            FILTER => p.hardening.seccomp_filters = p.hardening.seccomp_filters.saturating_add(1),
            _ => {}
        }
    }
    if operation == FILTER
        && call.arg(1) & NEW_LISTENER != 0
        && let Some(fd) = call.new_fd()
    {
        state.open(call.table, fd, FdInfo::new(FdKind::SeccompListener, None, call.event.time), true);
    }
}

/// Ids in the arguments are the caller's namespace's: only "myself" can be told for sure.
fn setpgid(state: &mut State, call: &Call<'_>) {
    let (pid, pgid) = (call.arg(0), call.arg(1));
    let Some(process) = call.process(state) else { return };
    let own = u64::from(process.pid_inside());
    if pid == 0 || pid == own {
        process.pgid = if pgid == 0 || pgid == own { Some(call.key.tgid) } else { None };
    }
}

fn enter(state: &mut State, call: &Call<'_>, bits: u64) {
    if let Some(process) = call.process(state) {
        process.namespaces.enter(bits);
    }
}

fn setns(state: &mut State, call: &Call<'_>) {
    let asked = call.arg(1) & NAMESPACES;
    if asked != 0 {
        joined(state, call, asked);
        return;
    }
    // Without a type the descriptor's path tells it: `/proc/1/ns/net`, `net:[4026531840]`.
    let path = state.info(call.table, call.fd(0)).map(|info| info.label().into_string()).unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let kinds = [
        ("mnt", 0x0002_0000),
        ("cgroup", 0x0200_0000),
        ("uts", 0x0400_0000),
        ("ipc", 0x0800_0000),
        ("user", 0x1000_0000),
        ("pid", 0x2000_0000),
        ("net", 0x4000_0000),
        ("time", 0x80),
    ];
    let bits = kinds.iter().find(|(name, _)| last.starts_with(name)).map_or(0, |(_, bit)| *bit);
    joined(state, call, bits);
}

/// Whoever joins a mount namespace has its root, which no path tells, for root and working directory.
fn joined(state: &mut State, call: &Call<'_>, bits: u64) {
    enter(state, call, bits);
    if bits & new_ns::MNT != 0 && !is_setup(call) {
        sharing::set_root(state, call.who(), None);
        sharing::set_cwd(state, call.who(), None);
    }
}

fn mount(state: &mut State, call: &Call<'_>, effect: Effect) {
    let path = |state: &State, tag| claimed_path(state, call, tag).unwrap_or_default();
    let raw = |tag| call.event.bytes(tag).unwrap_or_default().to_vec();
    let (action, source, target, flags) = match effect {
        Effect::Mount => {
            let flags = call.arg(3);
            let action = match flags {
                f if f & MS_MOVE != 0 => MountAction::Move,
                f if f & (MS_REMOUNT | MS_PROPAGATION) != 0 => MountAction::Change,
                _ => MountAction::Mount,
            };
            (action, raw(FieldTag::PATH), path(state, FieldTag::PATH2), flags)
        }
        Effect::MoveMount => {
            (MountAction::Move, raw(FieldTag::PATH), path(state, FieldTag::PATH2), call.arg(4))
        }
        Effect::Umount => {
            let flags = if call.event.args.len() > 1 { call.arg(1) } else { 0 };
            (MountAction::Unmount, Vec::new(), path(state, FieldTag::PATH), flags)
        }
        Effect::Pivot => (MountAction::Pivot, raw(FieldTag::PATH), path(state, FieldTag::PATH2), 0),
        _ => (MountAction::Change, Vec::new(), path(state, FieldTag::PATH), call.arg(2)),
    };
    let kind = if effect == Effect::Mount { raw(FieldTag::DATA) } else { Vec::new() };
    let kind = kind.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    let setup = call.event.flags.contains(EventFlags::SETUP);
    state.push_mount(Mount {
        time: call.event.time,
        by: call.key,
        action,
        source: source.into(),
        target: target.into(),
        kind: kind.into(),
        flags,
        setup,
    });
}
