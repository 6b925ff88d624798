//! What dockerd keeps of a container: `containers/<id>/config.v2.json` and `hostconfig.json` below its data root.

use std::collections::BTreeMap;

use afterimage_format::{Engine, FactKey, FactSource, Role};
use serde::Deserialize;

use super::Findings;

/// Largest file read.
pub const LIMIT: u64 = 4 << 20;
/// Where dockerd keeps its data unless told otherwise.
pub const DATA_ROOT: &str = "/var/lib/docker";
/// Where dockerd reads its configuration unless told otherwise.
pub const CONFIG_FILE: &str = "/etc/docker/daemon.json";

/// The fact that a label of cri-dockerd is.
const LABELS: [(&str, FactKey); 4] = [
    ("io.kubernetes.pod.name", FactKey::PodName),
    ("io.kubernetes.pod.namespace", FactKey::PodNamespace),
    ("io.kubernetes.pod.uid", FactKey::PodUid),
    ("io.kubernetes.container.name", FactKey::PodContainer),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Image")]
    image_id: Option<String>,
    #[serde(rename = "Driver")]
    driver: Option<String>,
    #[serde(rename = "Config")]
    config: Option<Config>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    hostname: Option<String>,
    user: Option<String>,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    privileged: Option<bool>,
}

/// Which image a container was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Docker's id of it: `sha256:` and the digest of its configuration.
    pub id: String,
    /// The storage driver it is kept by.
    pub driver: String,
}

/// Reads `config.v2.json`.
pub fn read(json: &[u8], findings: &mut Findings) -> Option<Image> {
    let container: Container = serde_json::from_slice(json).ok()?;
    let source = FactSource::DockerConfig;
    findings.engine = Some(Engine::Docker);
    let name = container.name.as_deref().map(|name| name.strip_prefix('/').unwrap_or(name));
    findings.add_text(FactKey::Name, name, source);
    findings.add_text(FactKey::ImageId, container.image_id.as_deref(), source);
    let config = container.config.unwrap_or_default();
    findings.add_text(FactKey::Image, config.image.as_deref(), source);
    findings.add_text(FactKey::Hostname, config.hostname.as_deref(), source);
    findings.add_text(FactKey::User, config.user.as_deref(), source);
    for (name, value) in config.labels.unwrap_or_default() {
        match LABELS.iter().find(|(label, _)| *label == name) {
            Some((_, key)) => findings.add(*key, value.as_bytes(), source),
            None => findings.add(FactKey::Label, format!("{name}={value}").as_bytes(), source),
        }
        if name == "io.kubernetes.docker.type" {
            findings.role = Some(if value == "podsandbox" { Role::Sandbox } else { Role::Container });
        }
    }
    Some(Image { id: container.image_id?, driver: container.driver? })
}

/// Reads `hostconfig.json`.
pub fn read_host_config(json: &[u8], findings: &mut Findings) {
    let privileged = serde_json::from_slice::<HostConfig>(json).ok().and_then(|config| config.privileged);
    let text = privileged.map(|privileged| if privileged { "true" } else { "false" });
    findings.add_text(FactKey::Privileged, text, FactSource::DockerConfig);
}

/// Reads `image/<driver>/repositories.json`: the digest that a registry knows the image by.
pub fn read_repositories(json: &[u8], image: &Image, findings: &mut Findings) {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Repositories {
        repositories: BTreeMap<String, BTreeMap<String, String>>,
    }
    let Ok(all) = serde_json::from_slice::<Repositories>(json) else { return };
    let references = all.repositories.values().flatten().filter(|(_, id)| **id == image.id);
    for (_, digest) in references.filter_map(|(reference, _)| reference.split_once('@')) {
        findings.add(FactKey::ImageDigest, digest.as_bytes(), FactSource::DockerConfig);
    }
}

/// The data root that a configuration file of dockerd names.
pub fn data_root(json: &[u8]) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "kebab-case")]
    struct Daemon {
        data_root: Option<String>,
        graph: Option<String>,
    }
    let daemon: Daemon = serde_json::from_slice(json).ok()?;
    daemon.data_root.or(daemon.graph).filter(|root| root.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::BootNanos;

    #[test]
    fn dockers_own_records_tell_name_image_and_labels() {
        let json = br#"{"Name":"/web","Image":"sha256:aa","Driver":"overlay2","Config":{"Image":"nginx:1",
            "Hostname":"h","User":"www","Labels":{"app":"shop","io.kubernetes.pod.name":"web-0",
            "io.kubernetes.docker.type":"podsandbox"}}}"#;
        let mut findings = Findings::new(BootNanos(1));
        let image = read(json, &mut findings).unwrap();
        read_host_config(br#"{"Privileged":true}"#, &mut findings);
        let repositories = br#"{"Repositories":{"nginx":{"nginx:1":"sha256:aa","nginx@sha256:dd":"sha256:aa",
            "nginx@sha256:ee":"sha256:bb"}}}"#;
        read_repositories(repositories, &image, &mut findings);
        let told: Vec<_> =
            findings.facts.iter().map(|f| (f.key, str::from_utf8(&f.value).unwrap())).collect();
        assert_eq!(
            told,
            [
                (FactKey::Name, "web"),
                (FactKey::ImageId, "sha256:aa"),
                (FactKey::Image, "nginx:1"),
                (FactKey::Hostname, "h"),
                (FactKey::User, "www"),
                (FactKey::Label, "app=shop"),
                (FactKey::Label, "io.kubernetes.docker.type=podsandbox"),
                (FactKey::PodName, "web-0"),
                (FactKey::Privileged, "true"),
                (FactKey::ImageDigest, "sha256:dd"),
            ]
        );
        assert_eq!((findings.engine, findings.role), (Some(Engine::Docker), Some(Role::Sandbox)));
    }

    #[test]
    fn the_daemons_file_may_move_the_data() {
        assert_eq!(data_root(br#"{"data-root":"/d"}"#).as_deref(), Some("/d"));
        assert_eq!(data_root(br#"{"graph":"/g","debug":true}"#).as_deref(), Some("/g"));
        assert_eq!(data_root(br#"{"data-root":"relative"}"#), None);
        assert_eq!(data_root(b"{"), None);
    }
}
