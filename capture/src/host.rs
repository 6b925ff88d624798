//! The machine that is recorded: clocks, kernel, cgroup hierarchies.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use afterimage_format::{BootNanos, ClockPair, Origin};
use rustix::time::{ClockId, clock_gettime};

use crate::{btf::Btf, identity::registry::CgroupKey};

/// v1 controllers that can tell containers apart where v2 does not, best first: name and enumerator.
const V1_CONTROLLERS: [(&str, &str); 5] = [
    ("pids", "pids_cgrp_id"),
    ("memory", "memory_cgrp_id"),
    ("devices", "devices_cgrp_id"),
    ("cpu", "cpu_cgrp_id"),
    ("freezer", "freezer_cgrp_id"),
];

/// Id of each hierarchy's root cgroup, which is the inode of its directory.
pub const ROOT: u64 = 1;

/// What is missing in a pid namespace of its own.
pub const NOT_THE_HOSTS_PROCESSES: &str =
    "not in the host's pid namespace: files of processes are not read, and the recorder records itself";

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its id: 0 is v2.
    pub id: u32,
    /// Where it is mounted.
    pub mount: PathBuf,
}

/// The cgroup hierarchies that tell containers apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// v2, where it is mounted.
    pub v2: Option<Hierarchy>,
    /// The chosen v1 hierarchy, and its controller's number in the kernel.
    pub v1: Option<(Hierarchy, u32)>,
}

impl Cgroups {
    /// Looks at the cgroups that there are.
    pub fn walk(&self) -> Walk {
        let hierarchies = [self.v2.as_ref(), self.v1.as_ref().map(|(hierarchy, _)| hierarchy)];
        let mut walk = Walk::default();
        hierarchies.into_iter().flatten().for_each(|hierarchy| walk.take(hierarchy));
        walk
    }

    /// Whether a cgroup has processes of its own; what cannot be read may have.
    pub fn has_processes(&self, key: CgroupKey, path: &[u8]) -> bool {
        let hierarchies = [self.v2.as_ref(), self.v1.as_ref().map(|(hierarchy, _)| hierarchy)];
        let mount = hierarchies.into_iter().flatten().find(|hierarchy| hierarchy.id == key.hierarchy);
        let Some(mount) = mount.map(|hierarchy| &hierarchy.mount) else { return true };
        let path = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
        fs::read(mount.join(path).join("cgroup.procs")).map_or(true, |processes| !processes.is_empty())
    }
}

/// What a look at the cgroup trees found.
#[derive(Debug, Default)]
pub struct Walk {
    /// Hierarchy, id and path, each above what is in it.
    pub cgroups: Vec<(CgroupKey, Vec<u8>)>,
    /// The hierarchies of which nothing was left out.
    whole: Vec<u32>,
}

impl Walk {
    /// Tells of a cgroup that was there before the look whether it is gone: one of a tree that could be seen in part, or not
    /// at all, may live where nobody looked.
    pub fn is_gone(&self) -> impl Fn(CgroupKey) -> bool {
        let there: HashSet<CgroupKey> = self.cgroups.iter().map(|(key, _)| *key).collect();
        move |key| self.whole.contains(&key.hierarchy) && !there.contains(&key)
    }

    fn take(&mut self, hierarchy: &Hierarchy) {
        let found = &mut self.cgroups;
        let id = hierarchy.id;
        let is_whole = directories(&hierarchy.mount, |path, inode| {
            found.push((CgroupKey { hierarchy: id, id: inode }, path))
        });
        // Where its root is not to be seen it is not mounted there any more.
        if is_whole && self.cgroups.contains(&(CgroupKey { hierarchy: id, id: ROOT }, b"/".to_vec())) {
            self.whole.push(id);
        }
    }
}

/// `CLOCK_BOOTTIME` now.
pub fn boot_now() -> BootNanos {
    let now = clock_gettime(ClockId::Boottime);
    BootNanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// How often both clocks are read to take the closest.
const READINGS: usize = 5;

/// Both clocks, read as close together as may be: whoever reads them can be made to wait between the two.
pub fn clock_pair() -> ClockPair {
    let readings = std::array::from_fn::<Reading, READINGS, _>(|_| Reading::now());
    Reading::closest(&readings)
}

/// A reading of `CLOCK_REALTIME`, nanoseconds since 1970, between two of `CLOCK_BOOTTIME`.
#[derive(Debug, Clone, Copy)]
struct Reading {
    before: BootNanos,
    real: i64,
    after: BootNanos,
}

impl Reading {
    fn now() -> Self {
        let before = boot_now();
        let real = clock_gettime(ClockId::Realtime);
        Self { before, real: real.tv_sec * 1_000_000_000 + real.tv_nsec, after: boot_now() }
    }

    /// The pair of the reading that took least, its moment the middle of it; of several the first.
    fn closest(readings: &[Self; READINGS]) -> ClockPair {
        let [first, rest @ ..] = readings;
        let closest = rest.iter().fold(first, |best, own| if own.took() < best.took() { own } else { best });
        ClockPair { boot: BootNanos(closest.before.0 + closest.took() / 2), real: closest.real }
    }

    /// How long it took, nanoseconds.
    fn took(&self) -> u64 {
        self.after.0.saturating_sub(self.before.0)
    }
}

/// Where a recording is made.
pub fn origin(degraded: &[String]) -> Origin {
    let read = |path: &str| fs::read(path).map(|text| text.trim_ascii().to_vec()).unwrap_or_default();
    let uname = rustix::system::uname();
    Origin {
        store_uuid: [0; 16],
        boot_id: boot_id(),
        hostname: read("/proc/sys/kernel/hostname"),
        kernel: read("/proc/sys/kernel/osrelease"),
        machine: uname.machine().to_bytes().to_vec(),
        degraded: degraded.iter().map(|reason| reason.clone().into_bytes()).collect(),
        recorder: concat!("afterimaged ", env!("CARGO_PKG_VERSION")).as_bytes().to_vec(),
    }
}

/// The boot's id; zeroes where the kernel does not tell.
pub fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.bytes().filter_map(|b| (b as char).to_digit(16)).map(|d| d as u8).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = pair[0] << 4 | pair[1];
    }
    id
}

/// Whether the numbers that the kernel's programs tell are those of `/proc` here: not in a pid namespace of its own.
pub fn shares_process_numbers() -> bool {
    /// The inode of the first pid namespace (`PROC_PID_INIT_INO`).
    const FIRST: &str = "pid:[4026531836]";
    static SHARES: OnceLock<bool> = OnceLock::new();
    // A kernel that does not tell has no other.
    *SHARES.get_or_init(|| fs::read_link("/proc/self/ns/pid").map_or(true, |link| link.as_os_str() == FIRST))
}

/// Where `/proc` has a file of a process that the programs told of. Where the numbers differ, no such file is there: the
/// process of that number would be another.
pub fn process_file(pid: u32, name: &str) -> PathBuf {
    let numbered = if shares_process_numbers() { "/proc" } else { "/proc/of-another-pid-namespace" };
    PathBuf::from(format!("{numbered}/{pid}/{name}"))
}

/// Finds the hierarchies; what is missing is described in the second part.
pub fn cgroups(btf: &Btf) -> (Cgroups, Vec<String>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut degraded = Vec::new();
    if !shares_process_numbers() {
        degraded.push(NOT_THE_HOSTS_PROCESSES.to_owned());
    }
    let v2 = whole(&mounts, |kind, _| kind == "cgroup2").map(|mount| Hierarchy { id: 0, mount });
    if v2.is_none() {
        let where_ = if mounts.contains(" - cgroup2 ") { "only in part" } else { "nowhere" };
        degraded
            .push(format!("cgroup2 is mounted {where_}: containers that were there before are not found"));
    }
    let v1 = V1_CONTROLLERS.iter().find_map(|(controller, enumerator)| {
        let id = hierarchy_id(&own, controller)?;
        let number = btf.enumerator("cgroup_subsys_id", enumerator)?;
        let mount = whole(&mounts, |kind, options| {
            kind == "cgroup" && options.split(',').any(|option| option == *controller)
        })?;
        Some((Hierarchy { id, mount }, number))
    });
    (Cgroups { v2, v1 }, degraded)
}

/// Where cgroups are mounted, whole or in part.
pub fn cgroup_mounts() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let point = front.split(' ').nth(4)?;
        matches!(back.split(' ').next()?, "cgroup" | "cgroup2").then(|| PathBuf::from(unescape(point)))
    };
    mounts.lines().filter_map(of).collect()
}

/// Where a hierarchy whose type and superblock options `wanted` accepts is mounted from its root on.
fn whole(mountinfo: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mount_points(mountinfo, wanted).find(|mount| fs::metadata(mount).is_ok_and(|meta| meta.ino() == ROOT))
}

/// Where such hierarchies are mounted, but for those of which a part below their root is. In a cgroup namespace the root of
/// its own part is `/`, and the hierarchy's is a way upwards: which it is, the inode tells.
fn mount_points(mountinfo: &str, wanted: impl Fn(&str, &str) -> bool) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(move |line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let kind = back.next()?;
        let options = back.nth(1).unwrap_or("");
        let mut front = front.split(' ').skip(3);
        let root = front.next()?;
        let point = front.next()?;
        let upwards = root.split('/').all(|part| part.is_empty() || part == "..");
        (upwards && wanted(kind, options)).then(|| PathBuf::from(unescape(point)))
    })
}

/// `\040` and its like in mountinfo.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        match rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(byte as char);
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// Id of the v1 hierarchy that has a controller, from `/proc/self/cgroup`.
fn hierarchy_id(own: &str, controller: &str) -> Option<u32> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let id: u32 = parts.next()?.parse().ok()?;
        let controllers = parts.next()?;
        (id != 0 && controllers.split(',').any(|c| c == controller)).then_some(id)
    })
}

/// Calls `found` with each directory of a tree, its path from the root and its inode, parents before children; whether all
/// could be seen.
fn directories(root: &Path, mut found: impl FnMut(Vec<u8>, u64)) -> bool {
    let Ok(device) = fs::metadata(root).map(|meta| meta.dev()) else { return false };
    let mut is_whole = true;
    let mut open: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        match fs::metadata(&directory) {
            Ok(meta) if meta.dev() == device => {
                let path = directory.strip_prefix(root).unwrap_or(Path::new(""));
                found([b"/", path.as_os_str().as_bytes()].concat(), meta.ino());
                is_whole &= open_below(&directory, &mut open);
            }
            // Something is mounted over it.
            Ok(_) => is_whole = false,
            Err(error) => is_whole &= is_removal(&error),
        }
    }
    is_whole
}

/// The directories in a directory; whether all could be seen.
fn open_below(directory: &Path, open: &mut Vec<PathBuf>) -> bool {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return is_removal(&error),
    };
    let mut is_whole = true;
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) {
            Ok((kind, path)) if kind.is_dir() => open.push(path),
            Ok(_) => {}
            Err(error) => is_whole &= is_removal(&error),
        }
    }
    is_whole
}

/// Whether that is what is seen of a cgroup that is removed at this moment: it has none below it then.
fn is_removal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// Inode of the host's mount namespace: the first process's, or where that may not be looked at, the recorder's own;
/// 0 where neither can be read.
pub fn host_mount_namespace() -> u32 {
    let inode = |path| fs::metadata(path).ok().and_then(|meta| u32::try_from(meta.ino()).ok());
    inode("/proc/1/ns/mnt").or_else(|| inode("/proc/self/ns/mnt")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 24 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
31 24 0:27 / /sys/fs/cgroup/pids rw,relatime shared:5 - cgroup cgroup rw,pids
32 24 0:28 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 24 0:30 /../.. /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 24 0:29 / /mnt/a\\040b rw - tmpfs tmpfs rw";

    #[test]
    fn hierarchies_are_found_where_their_root_is_mounted() {
        let first = |wanted: &dyn Fn(&str, &str) -> bool| mount_points(MOUNTS, wanted).next();
        assert_eq!(first(&|kind, _| kind == "cgroup2"), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        let controller =
            |name: &str| first(&|kind, options| kind == "cgroup" && options.split(',').any(|o| o == name));
        assert_eq!(
            controller("cpu"),
            Some(PathBuf::from("/sys/fs/cgroup/cpu")),
            "the root as a namespace below it shows it"
        );
        assert_eq!(controller("pids"), Some(PathBuf::from("/sys/fs/cgroup/pids")));
        assert_eq!(controller("memory"), None, "a bind of a part is not the hierarchy");
        assert_eq!(first(&|kind, _| kind == "tmpfs"), Some(PathBuf::from("/mnt/a b")));
        // Nothing here is a cgroup hierarchy's root.
        let nowhere =
            "30 24 0:26 / /no/such/place rw - cgroup2 cgroup2 rw\n31 24 0:26 / /tmp rw - cgroup2 cgroup2 rw";
        assert_eq!(whole(nowhere, |kind, _| kind == "cgroup2"), None);
    }

    /// A recorder that had to wait between its two clocks told events of that pair later than they were.
    #[test]
    fn the_clocks_are_those_of_the_reading_that_took_least() {
        let reading =
            |before, real, after| Reading { before: BootNanos(before), real, after: BootNanos(after) };
        // Real time is 7000 ahead.
        let mut readings = [
            reading(100, 7_900, 1_100),
            reading(2_000, 9_020, 2_040),
            reading(3_000, 10_004, 3_010),
            reading(4_000, 11_006, 4_010),
            reading(5_000, 14_000, 9_000),
        ];
        assert_eq!(Reading::closest(&readings), ClockPair { boot: BootNanos(3_005), real: 10_004 });
        readings[4] = reading(9_000, 16_000, 9_000);
        assert_eq!(Reading::closest(&readings), ClockPair { boot: BootNanos(9_000), real: 16_000 });
        let (low, pair, high) = (boot_now(), clock_pair(), boot_now());
        assert!(low <= pair.boot && pair.boot <= high, "{low:?} {pair:?} {high:?}");
    }

    #[test]
    fn a_cgroup_is_gone_only_where_the_whole_tree_was_seen() {
        let key = |hierarchy, id| CgroupKey { hierarchy, id };
        let walk =
            Walk { cgroups: vec![(key(0, 1), b"/".to_vec()), (key(4, 1), b"/".to_vec())], whole: vec![0] };
        let is_gone = walk.is_gone();
        assert!(is_gone(key(0, 7)) && !is_gone(key(0, 1)));
        assert!(!is_gone(key(4, 7)), "of that tree a part was seen");
        assert!(!is_gone(key(9, 7)), "of that one nothing");
    }

    #[test]
    fn a_tree_that_goes_deeper_than_paths_do_is_not_seen_whole() {
        use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut paths = Vec::new();
        assert!(directories(dir.path(), |path, _| paths.push(path)));
        assert_eq!(paths, [b"/".to_vec(), b"/a".to_vec(), b"/a/b".to_vec()]);
        // What hides below is somebody's who may live.
        let name = "x".repeat(255);
        let mut at = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..17 {
            mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = openat(&at, name.as_str(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(!directories(dir.path(), |_, _| {}));
        assert!(!directories(&dir.path().join("none"), |_, _| {}));
        assert!(Cgroups::default().walk().whole.is_empty());
        let mount = dir.path().join("a");
        let cgroups = Cgroups { v2: Some(Hierarchy { id: 0, mount }), v1: None };
        assert!(cgroups.walk().whole.is_empty(), "that is no hierarchy's root");
    }

    #[test]
    fn hierarchy_ids_come_from_proc() {
        let own = "8:pids:/\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/";
        assert_eq!(hierarchy_id(own, "pids"), Some(8));
        assert_eq!(hierarchy_id(own, "cpuacct"), Some(2));
        assert_eq!(hierarchy_id(own, "memory"), None);
    }
}
