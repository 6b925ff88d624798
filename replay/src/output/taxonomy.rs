//! What an event is in the words of two schemas: ECS's categorization fields and OCSF's classes.
//!
//! ECS allows each `event.category` some of `event.type`: <https://www.elastic.co/docs/reference/ecs/ecs-category-field-values-reference>.
//! OCSF gives each class its activities: <https://schema.ocsf.io/1.8.0/>. Where it has no class for a call, the call is one that
//! the kernel was invoked by.

use std::{collections::HashMap, sync::OnceLock};

/// What was done, as far as the schemas tell things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A process was made.
    Fork,
    /// A program was executed, or was to be.
    Exec,
    /// A process ended.
    Exit,
    /// A thread was made or ended.
    Thread,
    /// A process was there when recording began.
    Process,
    /// A process took another user's id.
    SetUser,
    /// A process changed its other rights.
    SetRights,
    /// A process wrote to its container's output.
    Output,
    /// A file was opened.
    Open,
    /// A file, directory or link was made.
    Create,
    /// A file was read.
    Read,
    /// A file was written to, cut or emptied.
    Write,
    /// A name was removed.
    Delete,
    /// A file got another name.
    Rename,
    /// Mode, owner, times or extended attributes were set.
    SetAttributes,
    /// They were asked for.
    GetAttributes,
    /// Something was mounted.
    Mount,
    /// Something was unmounted.
    Unmount,
    /// A file was open when recording began.
    OpenFile,
    /// An executed image was hashed.
    Artifact,
    /// A connection was begun.
    Connect,
    /// A connection was accepted.
    Accept,
    /// A socket waits for connections.
    Listen,
    /// A socket sent or received.
    Traffic,
    /// Something else was done to a socket.
    Socket,
    /// A DNS server was asked.
    DnsQuery,
    /// A DNS server answered.
    DnsAnswer,
    /// Memory was allocated.
    Allocate,
    /// A file was mapped.
    Map,
    /// The protection of memory was changed.
    Protect,
    /// Memory was made executable.
    MakeExecutable,
    /// Memory was given back.
    Unmap,
    /// A kernel module was loaded.
    LoadModule,
    /// A kernel module was unloaded.
    UnloadModule,
    /// The host's name or clock was set.
    SetHost,
    /// A cgroup was made.
    MakeCgroup,
    /// A cgroup was removed.
    RemoveCgroup,
    /// Something else of the kernel's, without a call.
    Kernel,
    /// Any other call.
    Call,
    /// A key event, or a rule's hit.
    Finding,
    /// Events were lost.
    Lost,
}

/// An act in ECS: `event.kind`, `event.category`, `event.type`. Both lists are empty for an error of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ecs {
    pub(super) kind: &'static str,
    pub(super) category: &'static [&'static str],
    pub(super) types: &'static [&'static str],
}

/// An act in OCSF: its class and what of the class it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ocsf {
    pub(super) class: u32,
    pub(super) activity: u32,
}

/// `File System Activity`.
pub(super) const FILE: u32 = 1001;
/// `Kernel Activity`.
pub(super) const KERNEL: u32 = 1003;
/// `Memory Activity`.
pub(super) const MEMORY: u32 = 1004;
/// `Process Activity`.
pub(super) const PROCESS: u32 = 1007;
/// `Event Log Activity`.
pub(super) const EVENT_LOG: u32 = 1008;
/// `Detection Finding`.
pub(super) const FINDING: u32 = 2004;
/// `Network Activity`.
pub(super) const NETWORK: u32 = 4001;
/// `DNS Activity`.
pub(super) const DNS: u32 = 4003;
/// An activity that a class has no number for: `activity_name` tells it.
pub(super) const OTHER: u32 = 99;
/// `Kernel Activity: Invoke`.
pub(super) const INVOKE: u32 = 4;
/// `Network Activity: Fail` and `Refuse`.
pub(super) const FAIL: u32 = 4;
pub(super) const REFUSE: u32 = 5;

impl Ocsf {
    /// The class's category: the thousands of its number.
    pub(super) const fn category(self) -> u32 {
        self.class / 1000
    }

    /// What class and activity are together.
    pub(super) const fn type_uid(self) -> u32 {
        self.class * 100 + self.activity
    }
}

type Line = (Act, &'static str, &'static [&'static str], &'static [&'static str], u32, u32);

/// Act, ECS's kind, categories and types, OCSF's class and activity.
static TABLE: [Line; 41] = [
    (Act::Fork, "event", &["process"], &["start"], PROCESS, 1),
    (Act::Exec, "event", &["process"], &["start"], PROCESS, 1),
    (Act::Exit, "event", &["process"], &["end"], PROCESS, 2),
    (Act::Thread, "event", &["process"], &["info"], PROCESS, OTHER),
    (Act::Process, "state", &["process"], &["info"], PROCESS, OTHER),
    (Act::SetUser, "event", &["process"], &["change"], PROCESS, 5),
    (Act::SetRights, "event", &["process"], &["change"], KERNEL, INVOKE),
    (Act::Output, "event", &["process"], &["info"], PROCESS, OTHER),
    (Act::Open, "event", &["file"], &["access"], FILE, 14),
    (Act::Create, "event", &["file"], &["creation"], FILE, 1),
    (Act::Read, "event", &["file"], &["access"], FILE, 2),
    (Act::Write, "event", &["file"], &["change"], FILE, 3),
    (Act::Delete, "event", &["file"], &["deletion"], FILE, 4),
    (Act::Rename, "event", &["file"], &["change"], FILE, 5),
    (Act::SetAttributes, "event", &["file"], &["change"], FILE, 6),
    (Act::GetAttributes, "event", &["file"], &["info"], FILE, 8),
    (Act::Mount, "event", &["file"], &["creation"], FILE, 12),
    (Act::Unmount, "event", &["file"], &["deletion"], FILE, 13),
    (Act::OpenFile, "state", &["file"], &["info"], FILE, OTHER),
    (Act::Artifact, "event", &["file"], &["info"], FILE, OTHER),
    (Act::Connect, "event", &["network"], &["connection", "start"], NETWORK, 1),
    (Act::Accept, "event", &["network"], &["connection", "start"], NETWORK, 1),
    (Act::Listen, "event", &["network"], &["start"], NETWORK, 7),
    (Act::Traffic, "event", &["network"], &["connection", "info"], NETWORK, 6),
    (Act::Socket, "event", &["network"], &["info"], NETWORK, OTHER),
    (Act::DnsQuery, "event", &["network"], &["protocol"], DNS, 1),
    (Act::DnsAnswer, "event", &["network"], &["protocol"], DNS, 2),
    (Act::Allocate, "event", &["process"], &["info"], MEMORY, 1),
    (Act::Map, "event", &["process"], &["info"], MEMORY, 9),
    (Act::Protect, "event", &["process"], &["info"], MEMORY, 2),
    (Act::MakeExecutable, "event", &["process"], &["info"], MEMORY, 5),
    (Act::Unmap, "event", &["process"], &["info"], MEMORY, 3),
    (Act::LoadModule, "event", &["driver"], &["start"], KERNEL, INVOKE),
    (Act::UnloadModule, "event", &["driver"], &["end"], KERNEL, INVOKE),
    (Act::SetHost, "event", &["host"], &["change"], KERNEL, INVOKE),
    (Act::MakeCgroup, "event", &["configuration"], &["creation"], KERNEL, 1),
    (Act::RemoveCgroup, "event", &["configuration"], &["deletion"], KERNEL, 3),
    (Act::Kernel, "event", &["process"], &["info"], KERNEL, OTHER),
    (Act::Call, "event", &["api"], &["info"], KERNEL, INVOKE),
    (Act::Finding, "alert", &["intrusion_detection"], &["info"], FINDING, 1),
    (Act::Lost, "pipeline_error", &[], &[], EVENT_LOG, OTHER),
];

/// System calls by act. Calls that read and write are [`Act::Read`] and [`Act::Write`] whatever they go to.
static CALLS: &[(Act, &str)] = &[
    (Act::Exec, "execve execveat"),
    (Act::SetUser, "setuid setuid32 setreuid setreuid32 setresuid setresuid32 setfsuid setfsuid32"),
    (
        Act::SetRights,
        "setgid setgid32 setregid setregid32 setresgid setresgid32 setfsgid setfsgid32 setgroups setgroups32 capset",
    ),
    (Act::Open, "open openat openat2 open_by_handle_at"),
    (Act::Create, "mkdir mkdirat mknod mknodat link linkat symlink symlinkat"),
    (
        Act::Read,
        "read pread64 readv preadv preadv2 getdents getdents64 readlink readlinkat recv recvfrom recvmsg recvmmsg \
         recvmmsg_time64",
    ),
    (
        Act::Write,
        "creat write pwrite64 writev pwritev pwritev2 truncate truncate64 ftruncate ftruncate64 fallocate send sendto \
         sendmsg sendmmsg sendfile sendfile64 splice copy_file_range",
    ),
    (Act::Delete, "unlink unlinkat rmdir"),
    (Act::Rename, "rename renameat renameat2"),
    (
        Act::SetAttributes,
        "chmod fchmod fchmodat fchmodat2 chown chown32 lchown lchown32 fchown fchown32 fchownat setxattr lsetxattr \
         fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat utime utimes futimesat utimensat \
         utimensat_time64 file_setattr",
    ),
    (
        Act::GetAttributes,
        "stat lstat fstat stat64 lstat64 fstat64 newfstatat fstatat64 statx access faccessat faccessat2 getxattr \
         lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat file_getattr",
    ),
    (Act::Mount, "mount move_mount"),
    (Act::Unmount, "umount umount2"),
    (Act::Connect, "connect"),
    (Act::Accept, "accept accept4"),
    (Act::Listen, "listen"),
    (Act::Socket, "socket bind shutdown getsockname getpeername setsockopt getsockopt"),
    (Act::Allocate, "brk"),
    (Act::Map, "mmap mmap2"),
    (Act::Protect, "mprotect pkey_mprotect"),
    (Act::Unmap, "munmap"),
    (Act::LoadModule, "init_module finit_module"),
    (Act::UnloadModule, "delete_module"),
    (Act::SetHost, "sethostname setdomainname settimeofday clock_settime clock_settime64 stime"),
];

impl Act {
    /// The act of a system call by its name without an ABI, before its arguments are looked at.
    pub fn of_call(name: &str) -> Self {
        static BY_NAME: OnceLock<HashMap<&'static str, Act>> = OnceLock::new();
        let by_name = BY_NAME.get_or_init(|| {
            CALLS.iter().flat_map(|(act, names)| names.split_whitespace().map(|name| (name, *act))).collect()
        });
        by_name.get(name).copied().unwrap_or(Self::Call)
    }

    fn line(self) -> &'static Line {
        TABLE.iter().find(|(act, ..)| *act == self).unwrap_or(&TABLE[0])
    }

    pub(super) fn ecs(self) -> Ecs {
        let (_, kind, category, types, ..) = *self.line();
        Ecs { kind, category, types }
    }

    pub(super) fn ocsf(self) -> Ocsf {
        let (.., class, activity) = *self.line();
        Ocsf { class, activity }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use afterimage_model::syscalls;

    use super::*;

    /// `event.kind`, of ECS 8.17.
    const KINDS: &str = "alert asset enrichment event metric state pipeline_error";
    /// Each `event.category` with the types that are expected of it, of ECS 8.17.
    const TYPES: [(&str, &str); 8] = [
        ("api", "access admin allowed change creation deletion denied end info start user"),
        ("configuration", "access change creation deletion info"),
        ("driver", "change end info start"),
        ("file", "access change creation deletion info"),
        ("host", "access change end info start"),
        ("intrusion_detection", "allowed denied info"),
        ("network", "access allowed connection denied end info protocol start"),
        ("process", "access change end info start"),
    ];
    /// Each class with its activities besides 0 and 99, of OCSF 1.8.0.
    const ACTIVITIES: [(u32, std::ops::RangeInclusive<u32>); 8] = [
        (1001, 1..=14),
        (1003, 1..=4),
        (1004, 1..=9),
        (1007, 1..=5),
        (1008, 1..=10),
        (2004, 1..=3),
        (4001, 1..=7),
        (4003, 1..=2),
    ];

    fn has(list: &str, word: &str) -> bool {
        list.split(' ').any(|known| known == word)
    }

    #[test]
    fn every_act_has_values_that_ecs_allows() {
        for (act, ..) in &TABLE {
            let Ecs { kind, category, types } = act.ecs();
            assert!(has(KINDS, kind), "{act:?}");
            assert_eq!(category.is_empty(), *act == Act::Lost, "{act:?}");
            for category in category {
                let known = TYPES.iter().find(|(name, _)| name == category);
                let (_, allowed) = known.unwrap_or_else(|| panic!("{act:?}: no category `{category}`"));
                assert!(!types.is_empty() && types.iter().all(|word| has(allowed, word)), "{act:?}");
            }
        }
    }

    #[test]
    fn every_act_has_an_activity_of_its_class() {
        for (act, ..) in &TABLE {
            let ocsf = act.ocsf();
            let (_, known) = ACTIVITIES.iter().find(|(class, _)| *class == ocsf.class).expect("a class");
            assert!(ocsf.activity == OTHER || known.contains(&ocsf.activity), "{act:?}");
            assert_eq!(ocsf.type_uid(), ocsf.class * 100 + ocsf.activity);
            assert!([1, 2, 4].contains(&ocsf.category()), "{act:?}");
        }
        for activity in [FAIL, REFUSE] {
            assert!((1..=7).contains(&activity));
        }
        assert_eq!(Act::Exec.ocsf().type_uid(), 100_701);
        assert_eq!(Act::Lost.ocsf().type_uid(), 100_899);
    }

    #[test]
    fn every_act_is_in_the_table_once_and_every_call_is_one() {
        for (at, (act, ..)) in TABLE.iter().enumerate() {
            assert_eq!(TABLE.iter().position(|(other, ..)| other == act), Some(at), "{act:?}");
            assert_eq!(act.line().0, *act);
        }
        let mut seen = HashSet::new();
        for (act, names) in CALLS {
            for name in names.split_whitespace() {
                // `send` and `recv` are calls of the table's other architectures and requests of a ring.
                let is_request = ["send", "recv"].contains(&name);
                assert!(is_request || !syscalls::codes_by_name(name).is_empty(), "`{name}` is no call");
                assert!(seen.insert(name), "`{name}` is listed twice");
                assert_eq!(Act::of_call(name), *act, "{name}");
            }
        }
        assert_eq!(Act::of_call("getpid"), Act::Call);
    }
}
