//! Whether this machine lets us make containers and load eBPF programs.

use std::path::Path;

/// Capabilities that making containers and recording them take, with their numbers.
const NEEDED: [(&str, u32); 4] =
    [("CAP_SYS_ADMIN", 21), ("CAP_SYS_CHROOT", 18), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// What is missing for tests and recordings that need the kernel's help; nothing when all is there.
pub(crate) fn lacking() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("this is not Linux".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(missing) = missing_capability(&status) {
        return Some(format!("root without {missing}"));
    }
    let btf = Path::new("/sys/kernel/btf/vmlinux");
    (!btf.exists()).then(|| format!("the kernel has no type information (`{}`)", btf.display()))
}

fn missing_capability(status: &str) -> Option<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(effective.trim(), 16).ok()?;
    NEEDED.iter().find(|(_, bit)| set & (1 << bit) == 0).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_s_root_lacks_what_the_recorder_needs() {
        let docker_default = "Name:\tx\nCapEff:\t00000000a80425fb\n";
        assert_eq!(missing_capability(docker_default), Some("CAP_SYS_ADMIN"));
        assert_eq!(missing_capability("CapEff:\t000001ffffffffff\n"), None);
    }
}
