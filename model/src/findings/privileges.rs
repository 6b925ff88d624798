//! Rights, namespaces, other processes' memory, the kernel itself.

use afterimage_format::FieldTag;

use super::{Memory, Seen, Severity, act::Act, bpf};
use crate::{
    describe, symbols,
    text::{self, Safe},
};

const EPERM: i64 = -1;
const EACCES: i64 = -13;
const EOPNOTSUPP: i64 = -95;
/// Every `CLONE_NEW*` bit.
const NAMESPACES: u64 = 0x7e02_0080;
/// Requests of `ptrace` that take hold of another process or change it.
const INTRUSIVE: [&str; 9] = [
    "PTRACE_ATTACH",
    "PTRACE_SEIZE",
    "PTRACE_POKETEXT",
    "PTRACE_POKEDATA",
    "PTRACE_POKEUSER",
    "PTRACE_SETREGS",
    "PTRACE_SETREGSET",
    "PTRACE_SETFPREGS",
    "PTRACE_SYSEMU",
];

pub(super) fn look(act: &Act<'_>, memory: &mut Memory) -> Option<Seen> {
    let refused = matches!(act.event.ret, EPERM | EACCES)
        // What the kernel has no way to do: taking a tracing program off its hook.
        || act.event.ret == EOPNOTSUPP && act.call() == "bpf";
    if !act.succeeded() && !refused {
        return None;
    }
    let (severity, title, attack, what) = observe(act, memory)?;
    let detail = match what.as_str() {
        "" => Safe::format(format_args!("{}", act.who())),
        what => Safe::format(format_args!("{what} by {}", act.who())),
    };
    let severity = if refused { Severity::Notice.min(severity) } else { severity };
    Some(Seen::new(severity, title, attack, act.with_outcome(detail)))
}

type Observed = (Severity, &'static str, &'static str, String);

fn observe(act: &Act<'_>, memory: &mut Memory) -> Option<Observed> {
    use Severity::{Critical, Notice, Warning};
    let path = || act.path().map_or(String::new(), |p| act.told(&p).into_string());
    let path2 = || act.path2().map_or(String::new(), |p| act.told(&p).into_string());
    Some(match act.call() {
        "ptrace" => {
            let request = symbols::PTRACE.name_of(act.arg(0)).filter(|name| INTRUSIVE.contains(name))?;
            (Warning, "other process taken over", "T1055.008", format!("{request} of {}", other(act, 1)))
        }
        "process_vm_writev" => (Critical, "other process's memory written", "T1055", other(act, 0)),
        "bpf" => bpf::look(act, &mut memory.numbered)?,
        "init_module" | "finit_module" => (Critical, "kernel module loaded", "T1547.006", String::new()),
        "delete_module" => (Critical, "kernel module removed", "T1562.001", path()),
        "kexec_load" | "kexec_file_load" => (Critical, "kernel replaced", "T1014", String::new()),
        "mount" => (Warning, "file system mounted", "T1611", format!("{} on {}", path(), path2())),
        "move_mount" => (Warning, "file system mounted", "T1611", path2()),
        "umount" | "umount2" => (Warning, "file system unmounted", "T1611", path()),
        "pivot_root" | "chroot" => (Warning, "root directory changed", "T1611", new_root(act)),
        "setns" => (Warning, "namespace entered", "T1611", setns(act)),
        "unshare" => (Warning, "namespaces made", "T1611", namespaces(act.arg(0))?),
        "clone" if act.event.ret > 0 => (Warning, "namespaces made", "T1611", namespaces(act.arg(0))?),
        "setuid" | "setreuid" | "setresuid" | "setuid32" | "setreuid32" | "setresuid32" => {
            let was_user = memory.users.get(&act.process.key).is_some_and(|&euid| euid != 0);
            let asks_for_root = act.event.args.iter().take(3).any(|&id| id as u32 == 0);
            let becomes_root = was_user && asks_for_root && act.succeeded();
            becomes_root.then_some((Warning, "user became root", "T1548", String::new()))?
        }
        "prctl" => renamed(act)?,
        "settimeofday" | "clock_settime" | "stime" => (Warning, "clock set", "T1070.006", String::new()),
        "sethostname" => (Notice, "host name set", "", path()),
        "reboot" => (Critical, "reboot asked for", "T1529", symbols::REBOOT.symbol(act.arg(2))),
        "swapoff" | "acct" => (Notice, "system setting changed", "", act.call().to_owned()),
        "open_by_handle_at" => (Critical, "file opened by handle", "T1611", String::new()),
        _ => return None,
    })
}

/// The process whose number is an argument: `7:pid 4711 sh`.
fn other(act: &Act<'_>, at: usize) -> String {
    let told = describe::tasks(act.event, act.world);
    told.first().map_or_else(|| (act.arg(at) as i32).to_string(), ToString::to_string)
}

/// Where the root was put. The state has it already: the call's own path would now be looked up in the new root.
fn new_root(act: &Act<'_>) -> String {
    match act.process.root_of(act.event.task.tid).filter(|_| act.succeeded()) {
        Some(root) if !root.is_empty() => text::escape(root).into_string(),
        // Where that is not known, as it was claimed.
        Some(_) => {
            act.event.bytes(FieldTag::PATH).map_or(String::new(), |path| text::escape(path).into_string())
        }
        None => act.path().map_or(String::new(), |path| act.told(&path).into_string()),
    }
}

fn namespaces(flags: u64) -> Option<String> {
    let bits = flags & NAMESPACES;
    (bits != 0).then(|| symbols::CLONE.flags(bits))
}

fn setns(act: &Act<'_>) -> String {
    match namespaces(act.arg(1)) {
        Some(names) => names,
        None => act.fd(act.arg(0) as i32).map_or(String::new(), |info| info.label().into_string()),
    }
}

/// A name in brackets is a kernel thread's.
fn renamed(act: &Act<'_>) -> Option<Observed> {
    if symbols::PRCTL.name_of(act.arg(0)) != Some("PR_SET_NAME") {
        return None;
    }
    let name = act.event.bytes(FieldTag::COMM).or_else(|| act.event.bytes(FieldTag::DATA))?;
    let name = name.split(|&b| b == 0).next().unwrap_or(name);
    let kernel_like =
        name.starts_with(b"[") || name.starts_with(b"kworker/") || name.starts_with(b"ksoftirqd/");
    let shown = text::escape(name).into_string();
    kernel_like.then_some((Severity::Warning, "process named like a kernel thread", "T1036.004", shown))
}
