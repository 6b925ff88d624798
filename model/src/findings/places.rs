//! Paths that mean something to an intruder, as a container sees them.

use crate::paths::{file_name, is_below};

use super::Severity;

/// What a path means.
pub(super) struct Place {
    pub(super) title: &'static str,
    pub(super) attack: &'static str,
    pub(super) severity: Severity,
}

const fn place(severity: Severity, title: &'static str, attack: &'static str) -> Place {
    Place { title, attack, severity }
}

/// A secret that was read.
pub(super) fn secret(path: &[u8]) -> Option<Place> {
    use Severity::{Critical, Warning};
    let name = file_name(path);
    let has = |part: &[u8]| path.windows(part.len()).any(|w| w == part);
    if has(b"/serviceaccount/") && !matches!(name, b"namespace" | b"ca.crt") {
        return Some(place(Critical, "service account token read", "T1552.001"));
    }
    if is_below(path, b"/run/secrets") || is_below(path, b"/var/run/secrets") {
        // The kernel opens the directory too when it is listed.
        let title = "secret of the container read";
        return (!has(b"/serviceaccount/")).then(|| place(Warning, title, "T1552.001"));
    }
    match path {
        b"/etc/shadow" | b"/etc/gshadow" | b"/etc/shadow-" => {
            return Some(place(Critical, "password hashes read", "T1003.008"));
        }
        _ => {}
    }
    if has(b"/.ssh/") && (name.starts_with(b"id_") && !name.ends_with(b".pub") || name.ends_with(b".pem")) {
        return Some(place(Critical, "private SSH key read", "T1552.004"));
    }
    let credentials: [&[u8]; 9] = [
        b"/.aws/credentials",
        b"/.kube/config",
        b"/.docker/config.json",
        b"/.git-credentials",
        b"/.netrc",
        b"/.pgpass",
        b"/.npmrc",
        b"/.config/gcloud/credentials.db",
        b"/.azure/msal_token_cache.json",
    ];
    if credentials.iter().any(|end| path.ends_with(end)) {
        return Some(place(Critical, "stored credentials read", "T1552.001"));
    }
    let history = matches!(name, b".bash_history" | b".ash_history" | b".zsh_history" | b".mysql_history");
    if history {
        return Some(place(Warning, "shell history read", "T1552.003"));
    }
    if path.starts_with(b"/proc/") && name == b"environ" && !is_below(path, b"/proc/self") {
        return Some(place(Warning, "environment of a process read", "T1552.007"));
    }
    None
}

/// A file that was opened for writing, or renamed to.
pub(super) fn changed(path: &[u8]) -> Option<Place> {
    use Severity::{Critical, Warning};
    let name = file_name(path);
    match path {
        b"/etc/ld.so.preload" => return Some(place(Critical, "library preload list written", "T1574.006")),
        b"/etc/passwd" | b"/etc/shadow" | b"/etc/group" => {
            return Some(place(Critical, "user database written", "T1136.001"));
        }
        b"/etc/sudoers" => return Some(place(Critical, "sudo rules written", "T1548.003")),
        b"/etc/crontab" => return Some(place(Critical, "scheduled job written", "T1053.003")),
        b"/proc/sys/kernel/core_pattern" | b"/proc/sys/kernel/modprobe" | b"/sys/kernel/uevent_helper" => {
            return Some(place(Critical, "host helper program set", "T1611"));
        }
        b"/proc/sysrq-trigger" => return Some(place(Critical, "system request triggered", "T1529")),
        _ => {}
    }
    if name == b"release_agent" || name == b"notify_on_release" {
        return Some(place(Critical, "cgroup release agent written", "T1611"));
    }
    let profiles: [&[u8]; 7] =
        [b".bashrc", b".bash_profile", b".profile", b".zshrc", b".bash_login", b".zprofile", b".cshrc"];
    if profiles.contains(&name) || path == b"/etc/profile" || is_below(path, b"/etc/profile.d") {
        return Some(place(Warning, "shell profile written", "T1546.004"));
    }
    if name == b"authorized_keys" {
        return Some(place(Critical, "authorized SSH keys written", "T1098.004"));
    }
    let jobs: [&[u8]; 5] =
        [b"/etc/cron.d", b"/etc/cron.daily", b"/etc/cron.hourly", b"/var/spool/cron", b"/etc/cron.weekly"];
    if jobs.iter().any(|dir| is_below(path, dir)) {
        return Some(place(Critical, "scheduled job written", "T1053.003"));
    }
    if is_below(path, b"/etc/sudoers.d") {
        return Some(place(Critical, "sudo rules written", "T1548.003"));
    }
    if is_below(path, b"/etc/systemd/system") || is_below(path, b"/etc/init.d") || path == b"/etc/rc.local" {
        return Some(place(Warning, "service definition written", "T1543.002"));
    }
    let binaries: [&[u8]; 6] = [b"/bin", b"/sbin", b"/usr/bin", b"/usr/sbin", b"/lib", b"/usr/lib"];
    if binaries.iter().any(|dir| is_below(path, dir)) {
        return Some(place(Warning, "system directory written", "T1554"));
    }
    None
}

/// A file that was opened, whichever way.
pub(super) fn opened(path: &[u8]) -> Option<Place> {
    use Severity::{Critical, Warning};
    match path {
        b"/dev/mem" | b"/dev/kmem" | b"/dev/port" | b"/proc/kcore" => {
            return Some(place(Critical, "kernel memory opened", "T1611"));
        }
        _ => {}
    }
    let name = file_name(path);
    let disk = path.starts_with(b"/dev/")
        && [&b"sd"[..], b"vd", b"xvd", b"nvme", b"dm-"].iter().any(|p| name.starts_with(p))
        && name.iter().any(u8::is_ascii_alphanumeric);
    if disk && name.len() >= 3 {
        return Some(place(Critical, "disk of the host opened", "T1611"));
    }
    (path.starts_with(b"/proc/1/root/")).then(|| place(Warning, "root of another process entered", "T1611"))
}

/// A Unix socket that rules the host's containers.
pub(super) fn is_runtime_socket(path: &[u8]) -> bool {
    matches!(
        file_name(path),
        b"docker.sock"
            | b"containerd.sock"
            | b"crio.sock"
            | b"podman.sock"
            | b"cri-dockerd.sock"
            | b"kubelet.sock"
    )
}

/// A log or a shell's history.
pub(super) fn is_trace(path: &[u8]) -> bool {
    let name = file_name(path);
    is_below(path, b"/var/log")
        || name.ends_with(b"_history")
        || matches!(name, b"wtmp" | b"btmp" | b"lastlog" | b"utmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_their_neighbours() {
        let secret = |p: &str| secret(p.as_bytes()).map(|p| p.attack);
        assert_eq!(secret("/run/secrets/kubernetes.io/serviceaccount/token"), Some("T1552.001"));
        assert_eq!(secret("/run/secrets/kubernetes.io/serviceaccount/..2026/token"), Some("T1552.001"));
        assert_eq!(secret("/run/secrets/kubernetes.io/serviceaccount/namespace"), None);
        assert_eq!(secret("/run/secrets/db_password"), Some("T1552.001"));
        assert_eq!(secret("/run/secretsx"), None);
        assert_eq!(secret("/etc/shadow"), Some("T1003.008"));
        assert_eq!(secret("/etc/passwd"), None);
        assert_eq!(secret("/root/.ssh/id_ed25519"), Some("T1552.004"));
        assert_eq!(secret("/root/.ssh/id_ed25519.pub"), None);
        assert_eq!(secret("/home/a/.aws/credentials"), Some("T1552.001"));
        assert_eq!(secret("/proc/1/environ"), Some("T1552.007"));
        assert_eq!(secret("/proc/self/environ"), None);
        let changed = |p: &str| changed(p.as_bytes()).map(|p| p.attack);
        assert_eq!(changed("/home/app/.bashrc"), Some("T1546.004"));
        assert_eq!(changed("/etc/cron.d/x"), Some("T1053.003"));
        assert_eq!(changed("/usr/bin/ls"), Some("T1554"));
        assert_eq!(changed("/tmp/x"), None);
        assert_eq!(changed("/etc/passwd-"), None);
        assert!(opened(b"/dev/sda1").is_some());
        assert!(opened(b"/dev/null").is_none());
        assert!(opened(b"/dev/stdout").is_none());
        assert!(is_runtime_socket(b"/run/docker.sock"));
        assert!(is_trace(b"/var/log/service.log"));
        assert!(!is_trace(b"/var/lo"));
    }
}
