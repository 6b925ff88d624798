//! Who may use the control socket: root, the recorder's own user, and the members of one group; nobody from inside a
//! container, who may be root there.

use std::fs;

use tokio::net::unix::UCred;

use crate::identity::cgroup_path;

/// Longest file of `/proc` that is read.
const MAX_PROC: usize = 64 << 10;

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// The recorder's own user.
    pub own: u32,
    /// The group.
    pub group: Option<u32>,
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Another user.
    #[error("user {uid} is neither root nor in the group that may")]
    User {
        /// Who.
        uid: u32,
    },
    /// From inside a container.
    #[error("the process is in a container")]
    Container,
    /// The kernel does not tell the process: it is in another pid namespace, or gone.
    #[error("the process cannot be seen from here")]
    Unseen,
}

impl Allowed {
    /// The recorder's own user and the members of `group`.
    pub fn new(group: Option<&str>) -> Self {
        let own = rustix::process::geteuid().as_raw();
        Self { own, group: group.and_then(group_id) }
    }

    /// Whether the process at the other end may.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(self, peer: UCred) -> Result<(), Denied> {
        let pid = peer.pid().filter(|pid| *pid > 0).ok_or(Denied::Unseen)?;
        let member = || self.group.is_some_and(|group| peer.gid() == group || groups(pid).contains(&group));
        if peer.uid() != 0 && peer.uid() != self.own && !member() {
            return Err(Denied::User { uid: peer.uid() });
        }
        // Its own container is no foreign one: the recorder may run in a pod.
        let own = std::process::id() as i32;
        let theirs = cgroup(pid).ok_or(Denied::Unseen)?;
        let foreign = cgroup(own).as_ref() != Some(&theirs) && is_container(&theirs);
        if foreign || depth(pid)? > depth(own)? {
            return Err(Denied::Container);
        }
        Ok(())
    }
}

/// In how many pid namespaces a process is, as far as they can be seen from here: a container without a cgroup of its own
/// is in one more than its host.
fn depth(pid: i32) -> Result<usize, Denied> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| Denied::Unseen)?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    // Kernels tell this since 4.1; without it, one is as deep as the other.
    Ok(numbers.map_or(1, |numbers| numbers.split_whitespace().count()))
}

fn is_container(cgroups: &[u8]) -> bool {
    cgroups
        .split(|b| *b == b'\n')
        .filter_map(|line| line.splitn(3, |b| *b == b':').nth(2))
        .any(|path| cgroup_path::parse(path).is_some())
}

fn cgroup(pid: i32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/cgroup")).ok().filter(|text| text.len() <= MAX_PROC)
}

/// Supplementary groups of a process.
fn groups(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or("");
    line.split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

/// A group's number.
pub fn group_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_cgroups() {
        let id = "14cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e5abcd";
        assert!(is_container(format!("5:pids:/docker/{id}\n0::/x\n").as_bytes()));
        assert!(is_container(format!("0::/system.slice/docker-{id}.scope\n").as_bytes()));
        assert!(!is_container(b"1:name=systemd:/\n0::/user.slice/user-0.slice/session-1.scope\n"));
    }

    #[test]
    fn groups_are_found_by_name_and_number() {
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("4711"), Some(4711));
        assert_eq!(group_id("no-such-group"), None);
    }
}
