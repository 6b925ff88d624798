//! `config.json` of an OCI bundle.

use std::collections::BTreeMap;

use afterimage_format::{FactKey, FactSource};
use serde::Deserialize;

use super::{Findings, annotations};

/// Largest file read. What engines write is some tens of kilobytes; environments can make it more.
pub const LIMIT: u64 = 2 << 20;
/// Capabilities a privileged container has and no default profile gives.
const PRIVILEGED: [&str; 3] = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"];

#[derive(Debug, Deserialize)]
struct Spec {
    /// Without it, it is something else.
    #[serde(rename = "ociVersion")]
    _version: String,
    hostname: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    process: Option<Process>,
    mounts: Option<Vec<Mount>>,
    linux: Option<Linux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Process {
    user: Option<User>,
    capabilities: Option<Capabilities>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    bounding: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mount {
    destination: String,
    r#type: Option<String>,
    source: Option<String>,
    options: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    cgroups_path: Option<String>,
    masked_paths: Option<Vec<String>>,
    seccomp: Option<serde::de::IgnoredAny>,
}

/// What a bundle tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Facts.
    pub findings: Findings,
    /// `cgroupsPath`: a path, or `slice:prefix:name` for systemd.
    pub cgroup: Option<String>,
}

/// Reads a bundle's configuration; nothing of it where it is not what the specification says.
pub fn read(json: &[u8], mut findings: Findings) -> Bundle {
    let Ok(spec) = serde_json::from_slice::<Spec>(json) else {
        return Bundle { findings, cgroup: None };
    };
    let source = FactSource::OciBundle;
    if let Some(annotations) = &spec.annotations {
        annotations::read(annotations, &mut findings);
    }
    findings.add_text(FactKey::Hostname, spec.hostname.as_deref(), source);
    let process = spec.process.unwrap_or_default();
    if let Some(User { uid, gid }) = process.user {
        findings.add(FactKey::User, format!("{uid}:{gid}").as_bytes(), source);
    }
    let linux = spec.linux.unwrap_or_default();
    // What an annotation says of it comes first.
    if !findings.facts.iter().any(|fact| fact.key == FactKey::Privileged) {
        let bounding = process.capabilities.and_then(|sets| sets.bounding).unwrap_or_default();
        let all = PRIVILEGED.iter().all(|wanted| bounding.iter().any(|has| has == wanted));
        let masked = linux.masked_paths.is_some_and(|paths| !paths.is_empty()) || linux.seccomp.is_some();
        let privileged: &[u8] = if all && !masked { b"true" } else { b"false" };
        findings.add(FactKey::Privileged, privileged, source);
    }
    for mount in spec.mounts.unwrap_or_default() {
        let binds = mount.r#type.as_deref() == Some("bind")
            || mount.options.unwrap_or_default().iter().any(|option| option == "bind" || option == "rbind");
        if let Some(from) = mount.source.filter(|_| binds) {
            findings.add(FactKey::Mount, format!("{from}:{}", mount.destination).as_bytes(), source);
        }
    }
    Bundle { findings, cgroup: linux.cgroups_path.filter(|path| !path.is_empty() && path.len() <= 4096) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::BootNanos;

    fn values(bundle: &Bundle, key: FactKey) -> Vec<&str> {
        let facts = bundle.findings.facts.iter().filter(|fact| fact.key == key);
        facts.map(|fact| str::from_utf8(&fact.value).unwrap()).collect()
    }

    #[test]
    fn a_bundle_tells_host_name_user_mounts_and_rights() {
        let json = br#"{"ociVersion":"1.0.2","hostname":"c","process":{"user":{"uid":7,"gid":8},
            "capabilities":{"bounding":["CAP_KILL","CAP_SYS_ADMIN","CAP_SYS_MODULE","CAP_SYS_RAWIO"]}},
            "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
              {"destination":"/data","type":"bind","source":"/srv/data","options":["rbind","ro"]}],
            "linux":{"cgroupsPath":"/docker/x","maskedPaths":[]}}"#;
        let bundle = read(json, Findings::new(BootNanos(1)));
        assert_eq!(values(&bundle, FactKey::Hostname), ["c"]);
        assert_eq!(values(&bundle, FactKey::User), ["7:8"]);
        assert_eq!(values(&bundle, FactKey::Mount), ["/srv/data:/data"]);
        assert_eq!(values(&bundle, FactKey::Privileged), ["true"]);
        assert_eq!(bundle.cgroup.as_deref(), Some("/docker/x"));
    }

    #[test]
    fn one_masked_path_or_missing_capability_is_not_privileged() {
        let masked = br#"{"ociVersion":"1","process":{"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_SYS_MODULE","CAP_SYS_RAWIO"]}},
            "linux":{"maskedPaths":["/proc/kcore"]}}"#;
        for json in [&masked[..], br#"{"ociVersion":"1"}"#] {
            let bundle = read(json, Findings::new(BootNanos(1)));
            assert_eq!(values(&bundle, FactKey::Privileged), ["false"]);
        }
    }

    #[test]
    fn what_is_no_bundle_tells_nothing() {
        let deep = "[".repeat(100_000);
        for json in [&b""[..], b"[]", b"{\"hostname\":7}", b"\xff\xfe", deep.as_bytes(), b"null", b"{}"] {
            let nothing = Bundle { findings: Findings::new(BootNanos(1)), cgroup: None };
            assert_eq!(read(json, Findings::new(BootNanos(1))), nothing);
        }
        let odd = br#"{"ociVersion":"1","annotations":null,"process":null,"mounts":null,"linux":null,"hostname":null}"#;
        assert_eq!(values(&read(odd, Findings::new(BootNanos(1))), FactKey::Privileged), ["false"]);
    }
}
