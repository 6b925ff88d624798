//! What a cgroup's path says about the container in it.
//!
//! Components are read from the leaf upwards; the first that is a container's decides, those above it are the outer
//! containers. A last component that merely looks like a name is never taken for a container.

use afterimage_format::{Engine, Role};

/// What one component of a path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathIdentity {
    /// Who made it.
    pub engine: Engine,
    /// Its part: container or the monitor of one.
    pub role: Role,
    /// The engine's id, or its name where the engine has no ids.
    pub id: Vec<u8>,
    /// The pod's uid, with dashes.
    pub pod_uid: Option<Vec<u8>>,
    /// How many bytes of the path lead to (and include) this component: what it is in is before that.
    pub prefix: usize,
}

/// The innermost container that `path` lies in, or the monitor of one; `None` for a host's cgroup.
pub fn parse(path: &[u8]) -> Option<PathIdentity> {
    let mut end = path.len();
    while end > 0 {
        let start = path[..end].iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let component = &path[start..end];
        let above = &path[..start.saturating_sub(1)];
        if let Some((engine, role, id)) = component_identity(component, above) {
            let pod_uid = pod_of(above, component);
            let engine = refine(engine, above, pod_uid.is_some());
            return Some(PathIdentity { engine, role, id, pod_uid, prefix: end });
        }
        end = start.saturating_sub(1);
    }
    None
}

/// All containers that `path` lies in, innermost first.
pub fn chain(path: &[u8]) -> Vec<PathIdentity> {
    let mut found = Vec::new();
    let mut rest = path;
    while let Some(identity) = parse(rest) {
        let start = rest[..identity.prefix].iter().rposition(|&b| b == b'/').unwrap_or(0);
        rest = &rest[..start];
        found.push(identity);
    }
    found
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(&[])
}

fn is_hex(bytes: &[u8], len: usize) -> bool {
    bytes.len() == len && bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn component_identity(component: &[u8], above: &[u8]) -> Option<(Engine, Role, Vec<u8>)> {
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    for (prefix, engine) in [(&b"libpod-conmon-"[..], Engine::Podman), (b"crio-conmon-", Engine::Crio)] {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_hex(id, 64)) {
            return Some((engine, Role::Monitor, id.to_vec()));
        }
    }
    prefixed(name)
        .or_else(|| misconfigured_driver(name))
        .or_else(|| bare(name, above))
        .or_else(|| named(component, name, above))
        .map(|(engine, id)| (engine, Role::Container, id))
}

/// `docker-<64>.scope` and its like.
fn prefixed(name: &[u8]) -> Option<(Engine, Vec<u8>)> {
    const PREFIXES: [(&[u8], Engine); 6] = [
        (b"docker-", Engine::Docker),
        (b"cri-containerd-", Engine::Containerd),
        (b"crio-", Engine::Crio),
        (b"libpod-payload-", Engine::Podman),
        (b"libpod-", Engine::Podman),
        (b"nerdctl-", Engine::Containerd),
    ];
    PREFIXES.iter().find_map(|(prefix, engine)| {
        name.strip_prefix(*prefix).filter(|id| is_hex(id, 64)).map(|id| (*engine, id.to_vec()))
    })
}

/// `kubepods-burstable-pod<uuid>.slice:cri-containerd:<64>`: systemd's form handed to the cgroupfs driver.
fn misconfigured_driver(name: &[u8]) -> Option<(Engine, Vec<u8>)> {
    let mut parts = name.rsplitn(3, |&b| b == b':');
    let id = parts.next().filter(|id| is_hex(id, 64))?;
    let engine = match parts.next()? {
        b"cri-containerd" => Engine::Containerd,
        b"crio" => Engine::Crio,
        b"docker" => Engine::Docker,
        _ => return None,
    };
    Some((engine, id.to_vec()))
}

/// Bare ids, whose parent tells the engine.
fn bare(name: &[u8], above: &[u8]) -> Option<(Engine, Vec<u8>)> {
    let parent = last(above);
    if is_hex(name, 64) {
        let engine = if parent == b"docker" || parent == b"actions_job" {
            Engine::Docker
        } else if pod_uid(parent).is_some() {
            Engine::Kubernetes
        } else if above.split(|&b| b == b'/').any(|c| c == b"ecs") {
            Engine::Ecs
        } else {
            Engine::Oci
        };
        return Some((engine, name.to_vec()));
    }
    // Fargate: `<32 hex>-<digits>`.
    if let (Some(head), Some(tail)) = (name.get(..32), name.get(33..))
        && is_hex(head, 32)
        && name.get(32) == Some(&b'-')
        && !tail.is_empty()
        && tail.iter().all(u8::is_ascii_digit)
    {
        return Some((Engine::Ecs, name.to_vec()));
    }
    if parent == b"garden" && is_groups(name, &[8, 4, 4, 4, 4]) {
        return Some((Engine::Garden, name.to_vec()));
    }
    let is_buildkit = parent == b"buildkit"
        && name.len() == 25
        && name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    is_buildkit.then(|| (Engine::Buildkit, name.to_vec()))
}

/// Engines whose cgroups carry names.
fn named(component: &[u8], name: &[u8], above: &[u8]) -> Option<(Engine, Vec<u8>)> {
    let parent = last(above);
    if let Some(lxc) = component.strip_prefix(b"lxc.payload.").filter(|n| !n.is_empty()) {
        return Some((Engine::Lxc, lxc.to_vec()));
    }
    if above == b"/lxc" && !component.starts_with(b"lxc.") {
        return Some((Engine::Lxc, component.to_vec()));
    }
    if let Some(machine) = component.strip_suffix(b".libvirt-lxc") {
        return Some((Engine::LibvirtLxc, machine.to_vec()));
    }
    if let Some(machine) = name.strip_prefix(b"machine-").filter(|_| component.ends_with(b".scope")) {
        let plain = unescape_unit(machine);
        let engine = if plain.starts_with(b"lxc-") { Engine::LibvirtLxc } else { Engine::Nspawn };
        return Some((engine, plain));
    }
    if let Some(machine) =
        component.strip_prefix(b"systemd-nspawn@").and_then(|n| n.strip_suffix(b".service"))
    {
        return Some((Engine::Nspawn, unescape_unit(machine)));
    }
    // nspawn outside systemd: all its containers share this one.
    if component == b"payload" && above.is_empty() {
        return Some((Engine::Nspawn, b"payload".to_vec()));
    }
    if let Some(bpm) = component.strip_prefix(b"bpm-").filter(|n| !n.is_empty()) {
        return Some((Engine::Garden, bpm.to_vec()));
    }
    let in_nomad = above.split(|&b| b == b'/').any(|c| c == b"nomad.slice" || c == b"nomad");
    let dot = name.iter().position(|&b| b == b'.');
    if let Some(dot) = dot.filter(|_| in_nomad || parent == b"share.slice" || parent == b"reserve.slice")
        && is_uuid(&name[..dot])
    {
        return Some((Engine::Nomad, name.to_vec()));
    }
    None
}

/// What the path above says of an engine that the component alone does not tell.
fn refine(engine: Engine, above: &[u8], in_pod: bool) -> Engine {
    match engine {
        Engine::Docker if above.split(|&b| b == b'/').any(|c| c.starts_with(b"ecstasks")) => Engine::Ecs,
        Engine::Oci if in_pod => Engine::Kubernetes,
        other => other,
    }
}

fn is_groups(name: &[u8], lengths: &[usize]) -> bool {
    let groups: Vec<&[u8]> = name.split(|&b| b == b'-').collect();
    groups.len() == lengths.len() && groups.iter().zip(lengths).all(|(group, &len)| is_hex(group, len))
}

fn is_uuid(name: &[u8]) -> bool {
    is_groups(name, &[8, 4, 4, 4, 12])
}

/// The pod's uid, from the nearest component above (or the component itself, for misconfigured drivers).
fn pod_of(above: &[u8], component: &[u8]) -> Option<Vec<u8>> {
    pod_uid(component).or_else(|| pod_uid(last(above)))
}

/// `pod<uuid>`, `kubepods-burstable-pod<uuid with _>.slice`, `pod<32 hex>`.
fn pod_uid(component: &[u8]) -> Option<Vec<u8>> {
    let at = component.windows(3).rposition(|w| w == b"pod")?;
    let before = &component[..at];
    if !before.is_empty() && !before.ends_with(b"-") {
        return None;
    }
    let rest = &component[at + 3..];
    if let Some(hash) = rest.get(..32).filter(|h| is_hex(h, 32)) {
        return Some(hash.to_vec());
    }
    let plain: Vec<u8> = rest.get(..36)?.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect();
    is_uuid(&plain).then_some(plain)
}

/// systemd's escape: `\x2d` for a byte.
fn unescape_unit(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut at = 0;
    while at < name.len() {
        let escaped = name
            .get(at..at + 4)
            .filter(|e| e.starts_with(b"\\x"))
            .and_then(|e| std::str::from_utf8(&e[2..]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()));
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(name[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "14cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e5abcd";
    const OUTER: &str = "f0d9ba77fb28f0d9ba77fb28f0d9ba77fb28f0d9ba77fb28f0d9ba77fb280123";
    const UUID: &str = "f05cab8c-b36c-40a4-a9d4-8a0bf4a74c81";

    fn check(path: &str, engine: Engine, role: Role, id: &str, pod: Option<&str>) {
        let path = path.replace("UUID", UUID).replace("UU_", &UUID.replace('-', "_"));
        let path = path.replace("ID", ID).replace("OUT", OUTER);
        let found = parse(path.as_bytes()).unwrap_or_else(|| panic!("no container in {path}"));
        assert_eq!(
            (found.engine, found.role, found.id.as_slice(), found.pod_uid.as_deref()),
            (engine, role, id.replace("ID", ID).as_bytes(), pod.map(str::as_bytes)),
            "{path}"
        );
    }

    #[test]
    fn every_runtime_is_known_by_its_path() {
        use Engine::{
            Buildkit, Containerd, Crio, Docker, Ecs, Garden, Kubernetes, LibvirtLxc, Lxc, Nomad, Nspawn, Oci,
            Podman,
        };
        let container = |path: &str, engine: Engine, id: &str, pod: Option<&str>| {
            check(path, engine, Role::Container, id, pod);
        };
        container("/docker/ID", Docker, "ID", None);
        container("/system.slice/docker-ID.scope", Docker, "ID", None);
        container("/payload/system.slice/docker-ID.scope", Docker, "ID", None);
        container(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            Docker,
            "ID",
            None,
        );
        container("/mine/ID", Oci, "ID", None);
        container("/actions_job/ID", Docker, "ID", None);
        container("/default/ID", Oci, "ID", None);
        container("/default/nerdctl-ID.scope", Containerd, "ID", None);
        container("/kubepods/burstable/podUUID/ID", Kubernetes, "ID", Some(UUID));
        container("/kubepods/podUUID/ID", Kubernetes, "ID", Some(UUID));
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUU_.slice";
        container(&format!("{slice}/cri-containerd-ID.scope"), Containerd, "ID", Some(UUID));
        container(&format!("{slice}/crio-ID.scope/container"), Crio, "ID", Some(UUID));
        container(&format!("{slice}/crio-ID.scope"), Crio, "ID", Some(UUID));
        container(&format!("{slice}/docker-ID.scope"), Docker, "ID", Some(UUID));
        container(
            "/kubepods.slice/kubepods-podUU_.slice/cri-containerd-ID.scope",
            Containerd,
            "ID",
            Some(UUID),
        );
        container(
            "/system.slice/containerd.service/kubepods-burstable-podUU_.slice:cri-containerd:ID",
            Containerd,
            "ID",
            Some(UUID),
        );
        container(
            "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/ID",
            Kubernetes,
            "ID",
            Some("0123456789abcdef0123456789abcdef"),
        );
        container("/machine.slice/libpod-ID.scope/container", Podman, "ID", None);
        container("/libpod_parent/libpod-ID", Podman, "ID", None);
        container(
            "/machine.slice/machine-libpod_pod_OUT.slice/libpod-ID.scope/container",
            Podman,
            "ID",
            None,
        );
        container("/system.slice/myapp.service/libpod-payload-ID", Podman, "ID", None);
        container("/lxc.payload.web", Lxc, "web", None);
        container("/lxc/web", Lxc, "web", None);
        container("/machine.slice/machine-a\\x2db.scope/payload", Nspawn, "a-b", None);
        container("/machine.slice/systemd-nspawn@a.service/payload", Nspawn, "a", None);
        container("/payload", Nspawn, "payload", None);
        container("/machine.slice/machine-lxc\\x2d12\\x2dweb.scope", LibvirtLxc, "lxc-12-web", None);
        container("/ecs/task/ID", Ecs, "ID", None);
        container("/ecstasks.slice/ecstasks-0f1e.slice/docker-ID.scope", Ecs, "ID", None);
        let fargate = "0123456789abcdef0123456789abcdef-2531612879";
        container(&format!("/ecs/0123456789abcdef0123456789abcdef/{fargate}"), Ecs, fargate, None);
        let garden = "01234567-89ab-cdef-0123-4567";
        container(&format!("/garden/{garden}"), Garden, garden, None);
        container("/nomad.slice/UUID.web.scope", Nomad, &format!("{UUID}.web"), None);
        container("/nomad.slice/share.slice/UUID.web.scope", Nomad, &format!("{UUID}.web"), None);
        container("/docker/buildkit/abcdefghijklmnopqrstuvwxy", Buildkit, "abcdefghijklmnopqrstuvwxy", None);
        container("/system.slice/docker-ID.scope/syscont-cgroup-root/init.scope", Docker, "ID", None);
    }

    #[test]
    fn monitors_are_not_containers() {
        for (path, engine) in [
            ("/machine.slice/libpod-conmon-ID.scope", Engine::Podman),
            ("/kubepods.slice/kubepods-podUU_.slice/crio-conmon-ID.scope", Engine::Crio),
        ] {
            let pod = path.contains("UU_").then_some(UUID);
            check(path, engine, Role::Monitor, "ID", pod);
        }
    }

    #[test]
    fn hosts_cgroups_are_nobodys() {
        for path in [
            "/",
            "",
            "/system.slice/ssh.service",
            "/user.slice/user-1000.slice/session-3.scope",
            "/init.scope",
            "/docker",
            "/kubepods/burstable/podUUID",
            "/kubepods.slice/kubepods-burstable.slice",
            "/lxc.monitor.web",
            "/lxc.pivot",
            "/libpod_parent/conmon",
            "/machine.slice/machine-libpod_pod_OUT.slice",
            "/app/0123456789abcdef",
            "/default/web",
        ] {
            let path = path.replace("UUID", UUID).replace("OUT", OUTER);
            assert_eq!(parse(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn nested_containers_keep_the_chain() {
        let path = format!("/docker/{OUTER}/kubelet/kubepods/burstable/pod{UUID}/{ID}");
        let ids: Vec<_> = chain(path.as_bytes()).into_iter().map(|c| c.id).collect();
        assert_eq!(ids, [ID.as_bytes(), OUTER.as_bytes()]);
    }
}
