//! `afterimaged doctor`: whether this machine can be recorded, line by line, each with what to do where not.
//!
//! Every check looks at the thing itself: the programs are loaded (and not attached), the store's directory is asked
//! for its space, the kernel for its members.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use afterimage_capture_abi::slot;

use crate::{
    bpffs,
    btf::{Btf, VMLINUX},
    config::{Problem, here},
    host,
    privilege::{landlock, seccomp},
    programs::{self, LoadError, Programs},
    recorder::{self, Options},
};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Recording works, with less.
    Less,
    /// Recording does not work.
    Bad,
}

impl Verdict {
    /// The word at the beginning of the line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Less => "less",
            Self::Bad => "FAIL",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Good, found: found.into(), advice: String::new() }
    }

    fn less(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Less, found: found.into(), advice: advice.into() }
    }

    fn bad(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Bad, found: found.into(), advice: advice.into() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4} {:<14} {}", self.verdict.word(), self.what, self.found)?;
        if !self.advice.is_empty() {
            write!(f, "\n     {:<14} -> {}", "", self.advice)?;
        }
        Ok(())
    }
}

/// All checks of whether it can be recorded so, in the order in which recording needs things. `problems` are what this machine
/// does not have of what is configured.
pub fn examine(options: &Options, problems: &[Problem]) -> Vec<Check> {
    let mut checks = vec![kernel(), rights(), lockdown()];
    match Btf::of_kernel() {
        Ok(btf) => {
            checks.push(Check::good("type info", VMLINUX));
            checks.push(members(&btf));
            checks.push(tracepoints(&btf));
            checks.push(load(&btf, options));
            checks.extend(cgroups(&btf));
            checks.push(processes());
        }
        Err(error) => checks.push(Check::bad(
            "type info",
            error.to_string(),
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        )),
    }
    checks.push(confinement());
    checks.push(rings(options));
    checks.push(pins(options.pin.as_deref()));
    checks.push(configured(problems));
    checks.push(space(&options.store));
    checks.extend(here::store_open(&options.store).map(|found| {
        let advice = "take the right away: chmod go-w, and look who used it: `afterimage verify`";
        Check::less("store", found, advice)
    }));
    checks.push(runtimes());
    checks.push(clock());
    checks
}

fn kernel() -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let machine = uname.machine().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {release} on {machine}");
    if machine != "x86_64" {
        Check::bad("kernel", found, "only x86_64 is recorded so far")
    } else if version < (5, 15) {
        Check::bad("kernel", found, "Linux 5.15 or later is needed")
    } else {
        Check::good("kernel", found)
    }
}

/// Capability numbers of the kernel.
const CAPABILITIES: [(&str, u32, bool); 4] = [
    ("CAP_BPF", 39, true),
    ("CAP_PERFMON", 38, true),
    ("CAP_SYS_PTRACE", 19, false),
    ("CAP_DAC_READ_SEARCH", 2, false),
];

fn rights() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    // CAP_SYS_ADMIN stands in for the two that eBPF needs.
    let admin = effective >> 21 & 1 == 1;
    let missing = |needed: bool| -> Vec<&str> {
        CAPABILITIES
            .iter()
            .filter(|(_, bit, need)| *need == needed && effective >> bit & 1 == 0 && !(needed && admin))
            .map(|(name, ..)| *name)
            .collect()
    };
    let (needed, wanted) = (missing(true), missing(false));
    if !needed.is_empty() {
        let advice = "run as root, or give the service these capabilities";
        Check::bad("rights", format!("missing {}", needed.join(", ")), advice)
    } else if !wanted.is_empty() {
        let advice = "arguments and files of processes of other users are not read at the start";
        Check::less("rights", format!("missing {}", wanted.join(", ")), advice)
    } else {
        Check::good("rights", "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH")
    }
}

fn lockdown() -> Check {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = text.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("none");
    if mode == "confidentiality" {
        let advice = "boot without lockdown=confidentiality: it forbids eBPF to read kernel memory";
        Check::bad("lockdown", mode, advice)
    } else {
        Check::good("lockdown", mode)
    }
}

fn members(btf: &Btf) -> Check {
    let (_, missing) = programs::offsets(btf, &[]);
    if missing.is_empty() {
        Check::good("members", "all that are read are there")
    } else {
        let advice = if missing.iter().all(|member| member.contains("ovl_inode")) {
            "`modprobe overlay` before the recorder starts: until then programs from an upper layer are not told apart"
        } else {
            "what they tell is left out of the recording, and said in it"
        };
        Check::less("members", missing.join("; "), advice)
    }
}

fn tracepoints(btf: &Btf) -> Check {
    let missing: Vec<&str> =
        programs::tracepoints().filter(|name| btf.tracepoint_arguments(name).is_none()).collect();
    if missing.is_empty() {
        Check::good("tracepoints", programs::tracepoints().collect::<Vec<_>>().join(", "))
    } else {
        Check::bad("tracepoints", format!("missing {}", missing.join(", ")), "use a kernel that has them")
    }
}

/// Whether the kernel takes the programs as the recorder would load them: settings decide which of their ways it walks.
fn load(btf: &Btf, options: &Options) -> Check {
    let (cgroups, _) = host::cgroups(btf);
    let options = recorder::load_options(options, btf, &cgroups);
    match Programs::load(btf, &options) {
        Ok(_) => Check::good("programs", "the kernel takes all of them"),
        Err(error) => {
            let advice = match &error {
                LoadError::Program { .. } | LoadError::Object(_) => {
                    "missing rights, a seccomp profile that forbids bpf(), or a verifier that differs: report it"
                }
                _ => "see the line above",
            };
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Check::bad("programs", format!("{error}: {}", programs::last_words(&why)), advice)
        }
    }
}

fn cgroups(btf: &Btf) -> Vec<Check> {
    let advice = "mount cgroup2, or give the recorder the host's /sys/fs/cgroup";
    let (found, degraded) = host::cgroups(btf);
    let v2 = found.v2.as_ref().map(|h| format!("v2 at {}", h.mount.display()));
    let v1 = found.v1.as_ref().map(|(h, _)| format!("v1 at {}", h.mount.display()));
    let all: Vec<String> = v2.into_iter().chain(v1).collect();
    let mut checks = Vec::new();
    // One that is mounted in part is told below: what begins from now on is recorded all the same.
    if all.is_empty() && host::cgroup_mounts().is_empty() {
        checks.push(Check::bad("cgroups", "no hierarchy is mounted", advice));
    } else if !all.is_empty() {
        checks.push(Check::good("cgroups", all.join(", ")));
    }
    let of_cgroups = degraded.into_iter().filter(|reason| reason != host::NOT_THE_HOSTS_PROCESSES);
    checks.extend(of_cgroups.map(|reason| Check::less("cgroups", reason, advice)));
    checks
}

fn processes() -> Check {
    if host::shares_process_numbers() {
        return Check::good("processes", "in the host's pid namespace");
    }
    Check::less(
        "processes",
        host::NOT_THE_HOSTS_PROCESSES,
        "give the recorder the host's pid namespace (hostPID: true, --pid=host)",
    )
}

fn configured(problems: &[Problem]) -> Check {
    let found: Vec<String> = problems.iter().map(|problem| problem.kind.to_string()).collect();
    if found.is_empty() {
        Check::good("configuration", "can be used here")
    } else {
        Check::bad("configuration", found.join("; "), "`run` refuses it: change it, or make what it names")
    }
}

/// The nearest directory of a path that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|p| p.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

fn space(store: &Path) -> Check {
    const LEAST: u64 = 1 << 30;
    let place = existing(store);
    let what = "disk";
    let advice = "choose another directory with --store";
    match rustix::fs::statvfs(&place) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MiB free at {}", free >> 20, place.display());
            let writable = rustix::fs::access(&place, rustix::fs::Access::WRITE_OK).is_ok();
            if !writable {
                Check::bad(what, format!("{} is not writable", place.display()), advice)
            } else if free < LEAST {
                Check::less(what, found, "make room: less than 1 GiB keeps little of the past")
            } else {
                Check::good(what, found)
            }
        }
        Err(error) => Check::bad(what, format!("{}: {error}", place.display()), advice),
    }
}

fn runtimes() -> Check {
    const KNOWN: [&str; 8] =
        ["dockerd", "containerd", "crio", "podman", "runc", "crun", "lxc-start", "systemd-nspawn"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Vec<&str> = KNOWN
        .into_iter()
        .filter(|name| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
        .collect();
    if found.is_empty() {
        Check::good("runtimes", "none found: containers are known by their cgroups all the same")
    } else {
        Check::good("runtimes", found.join(", "))
    }
}

/// Whether the recorder's processes can give up what they do not need.
fn confinement() -> Check {
    let mut less = Vec::new();
    if !seccomp::is_there() {
        less.push("no system call is refused to the recorder: this kernel has no seccomp filters");
    }
    if !landlock::is_there() {
        less.push("files of the recorder are not confined: this kernel has no Landlock, or it is off");
    }
    if less.is_empty() {
        return Check::good("confinement", "capabilities, seccomp and Landlock");
    }
    let advice = "recording works; for less trust in it, a kernel with seccomp and `landlock` in `lsm=`";
    Check::less("confinement", less.join("; "), advice)
}

/// Whether there is memory for the rings.
fn rings(options: &Options) -> Check {
    /// They should not take more than one part in so many of what is free.
    const PART: u64 = 4;
    let slots = slot::bytes(options.data_ring, programs::cpus());
    let data = (u64::from(options.data_ring) + slots) >> 20;
    let control = u64::from(options.control_ring) >> 20;
    let found = format!("{data} MiB for calls, {control} MiB for processes and cgroups");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = available(&memory).map(|kib| kib >> 10);
    match free {
        Some(free) if (data + control) * PART > free => {
            let found = format!("{found}, and {free} MiB of memory are free");
            Check::less("rings", found, "make them smaller: `record.data_ring`, `record.control_ring`")
        }
        _ => Check::good("rings", found),
    }
}

/// `MemAvailable` of `/proc/meminfo`, KiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether programs and rings outlive a recorder that is killed, and whether some do whose recorder did not come back.
fn pins(bpffs: Option<&Path>) -> Check {
    let what = "pins";
    let Some(bpffs) = bpffs else {
        let advice = "set `record.bpffs`, unless that is intended";
        return Check::less(what, "`record.bpffs` is empty: a recorder that is killed leaves a gap", advice);
    };
    if !bpffs::is_one(bpffs) {
        let found =
            format!("{} is no BPF file system: a recorder that is killed leaves a gap", bpffs.display());
        return Check::less(what, found, format!("mount -t bpf bpf {}", bpffs.display()));
    }
    let places = bpffs::places(&bpffs::directory(bpffs));
    let left: Vec<String> = places
        .iter()
        .filter(|place| host::shares_process_numbers() && programs::owner(place) == Some(0))
        .map(|place| place.display().to_string())
        .collect();
    if left.is_empty() {
        return Check::good(
            what,
            format!("{} in use: rings outlive a recorder that is killed", places.len()),
        );
    }
    let found = format!("programs run on without a recorder: {}", left.join(", "));
    let advice =
        "start the recorder of that store again, which takes them over, or remove the directory: rm -r";
    Check::less(what, found, advice)
}

fn clock() -> Check {
    // In a time namespace with an offset, boot time is shifted against what the programs stamp.
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    if shifted(&offsets) {
        let advice = "run the recorder in the host's time namespace";
        Check::bad("clock", "the recorder is in a time namespace with other clocks", advice)
    } else {
        Check::good("clock", "boot time is the host's")
    }
}

/// Whether any clock of `timens_offsets` (name, seconds, nanoseconds) is shifted.
fn shifted(offsets: &str) -> bool {
    offsets.lines().any(|line| line.split_whitespace().skip(1).any(|number| number != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_found_and_what_to_do() {
        let check = Check::bad("rights", "missing CAP_BPF", "run as root");
        let text = check.to_string();
        assert!(text.starts_with("FAIL rights"), "{text}");
        assert!(text.ends_with("-> run as root"), "{text}");
        assert!(!Check::good("kernel", "fine").to_string().contains("->"));
    }

    #[test]
    fn free_memory_is_what_the_kernel_says_is_available() {
        let told = "MemTotal:       8000000 kB\nMemFree:          10000 kB\nMemAvailable:    2048000 kB\n";
        assert_eq!(available(told), Some(2_048_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_place_of_a_store_to_be_made_is_its_nearest_directory() {
        assert_eq!(existing(Path::new("/no/such/store")), Path::new("/"));
        assert!(shifted("monotonic 0 0\nboottime 86400 0") && !shifted("monotonic  0  0\nboottime 0 0"));
        assert_eq!(existing(Path::new("/tmp")), Path::new("/tmp"));
    }
}
