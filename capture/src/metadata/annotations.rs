//! Annotations of an OCI bundle: what Kubernetes runtimes and Podman say in them.

use std::collections::BTreeMap;

use afterimage_format::{Engine, FactKey, FactSource, Role};

use super::Findings;

/// Annotation by key, and the fact it is.
const FACTS: [(&str, FactKey); 20] = [
    // containerd's CRI plugin.
    ("io.kubernetes.cri.sandbox-name", FactKey::PodName),
    ("io.kubernetes.cri.sandbox-namespace", FactKey::PodNamespace),
    ("io.kubernetes.cri.sandbox-uid", FactKey::PodUid),
    ("io.kubernetes.cri.sandbox-id", FactKey::SandboxId),
    ("io.kubernetes.cri.container-name", FactKey::PodContainer),
    ("io.kubernetes.cri.image-name", FactKey::Image),
    // CRI-O, and with the first four cri-dockerd.
    ("io.kubernetes.pod.name", FactKey::PodName),
    ("io.kubernetes.pod.namespace", FactKey::PodNamespace),
    ("io.kubernetes.pod.uid", FactKey::PodUid),
    ("io.kubernetes.container.name", FactKey::PodContainer),
    ("io.kubernetes.cri-o.ContainerName", FactKey::Name),
    ("io.kubernetes.cri-o.ImageName", FactKey::Image),
    ("io.kubernetes.cri-o.SandboxID", FactKey::SandboxId),
    ("io.kubernetes.cri-o.ImageRef", FactKey::ImageId),
    // Podman.
    ("io.podman.annotations.privileged", FactKey::Privileged),
    ("io.podman.annotations.sandbox-id", FactKey::SandboxId),
    // nerdctl.
    ("nerdctl/name", FactKey::Name),
    ("nerdctl/hostname", FactKey::Hostname),
    // Static pods.
    ("kubernetes.io/config.hash", FactKey::PodUid),
    ("io.kubernetes.docker.type", FactKey::Label),
];

/// Adds what annotations tell.
pub fn read(annotations: &BTreeMap<String, String>, findings: &mut Findings) {
    let get = |key: &str| annotations.get(key).map(String::as_str);
    for (annotation, key) in FACTS {
        let Some(value) = get(annotation) else { continue };
        match key {
            FactKey::Label => label(annotation, value, findings),
            FactKey::Privileged => {
                let privileged = if value.eq_ignore_ascii_case("true") { "true" } else { "false" };
                findings.add(key, privileged.as_bytes(), FactSource::CriAnnotations);
            }
            key => findings.add(key, value.as_bytes(), FactSource::CriAnnotations),
        }
    }
    for (annotation, engine) in [
        ("io.kubernetes.cri.container-type", Engine::Containerd),
        ("io.kubernetes.cri-o.ContainerType", Engine::Crio),
    ] {
        if let Some(kind) = get(annotation) {
            findings.engine = Some(engine);
            findings.role = Some(if kind == "sandbox" { Role::Sandbox } else { Role::Container });
        }
    }
    match get("io.container.manager") {
        Some("libpod") => findings.engine = Some(Engine::Podman),
        Some("cri-o") => findings.engine = Some(Engine::Crio),
        _ => {}
    }
    // Labels as CRI-O repeats them, in JSON.
    let labels = get("io.kubernetes.cri-o.Labels").and_then(|text| serde_json::from_str(text).ok());
    for (name, value) in labels.unwrap_or(BTreeMap::<String, String>::new()) {
        label(&name, &value, findings);
    }
}

fn label(name: &str, value: &str, findings: &mut Findings) {
    findings.add(FactKey::Label, format!("{name}={value}").as_bytes(), FactSource::CriAnnotations);
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::BootNanos;

    fn found(annotations: &[(&str, &str)]) -> Findings {
        let map = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut findings = Findings::new(BootNanos(1));
        read(&map, &mut findings);
        findings
    }

    fn value(findings: &Findings, key: FactKey) -> Option<&str> {
        findings.facts.iter().find(|fact| fact.key == key).map(|fact| str::from_utf8(&fact.value).unwrap())
    }

    #[test]
    fn containerds_plugin_tells_the_pod() {
        let findings = found(&[
            ("io.kubernetes.cri.container-type", "container"),
            ("io.kubernetes.cri.sandbox-name", "web-0"),
            ("io.kubernetes.cri.sandbox-namespace", "shop"),
            ("io.kubernetes.cri.sandbox-uid", "f05cab8c-b36c-40a4-a9d4-8a0bf4a74c81"),
            ("io.kubernetes.cri.container-name", "nginx"),
            ("io.kubernetes.cri.image-name", "docker.io/library/nginx:1"),
        ]);
        assert_eq!((findings.engine, findings.role), (Some(Engine::Containerd), Some(Role::Container)));
        assert_eq!(value(&findings, FactKey::PodName), Some("web-0"));
        assert_eq!(value(&findings, FactKey::PodContainer), Some("nginx"));
        assert_eq!(value(&findings, FactKey::Image), Some("docker.io/library/nginx:1"));
    }

    #[test]
    fn a_sandbox_is_no_container_with_a_payload() {
        let findings = found(&[
            ("io.kubernetes.cri-o.ContainerType", "sandbox"),
            ("io.kubernetes.pod.name", "web-0"),
            ("io.kubernetes.cri-o.Labels", r#"{"app":"shop","tier":"front"}"#),
        ]);
        assert_eq!((findings.engine, findings.role), (Some(Engine::Crio), Some(Role::Sandbox)));
        assert_eq!(value(&findings, FactKey::Label), Some("app=shop"));
    }

    #[test]
    fn podman_tells_itself() {
        let findings =
            found(&[("io.container.manager", "libpod"), ("io.podman.annotations.privileged", "FALSE")]);
        assert_eq!(findings.engine, Some(Engine::Podman));
        assert_eq!(value(&findings, FactKey::Privileged), Some("false"));
        assert_eq!(found(&[("io.kubernetes.cri-o.Labels", "not JSON")]), Findings::new(BootNanos(1)));
    }
}
