//! What is known of a container, and how it came to be known.

use crate::{BootNanos, ContainerUid, TaskKey};

/// A container as one metadata record tells it. Later records of the same uid replace earlier ones; `facts`
/// accumulate, each with its source and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRecord {
    /// The recorder's own identity of it.
    pub uid: ContainerUid,
    /// The container it runs in, for nested ones.
    pub outer: Option<ContainerUid>,
    /// Who made it.
    pub engine: Engine,
    /// Its part in the engine's scheme.
    pub role: Role,
    /// The engine's own id: 64 hex digits for most, a name for some. Bytes from the outside: escape before use.
    pub id: Vec<u8>,
    /// Path of its cgroup from the hierarchy's root; empty where there is none.
    pub cgroup_path: Vec<u8>,
    /// Its cgroup's id; 0 where there is none.
    pub cgroup_id: u64,
    /// The hierarchy of `cgroup_id`: 0 is v2.
    pub hierarchy: u32,
    /// First sign of it.
    pub first_seen: BootNanos,
    /// It was there before recording began: its beginning is missing.
    pub preexisting: bool,
    /// When its cgroup was removed: deleted.
    pub removed: Option<BootNanos>,
    /// Its first process, once known.
    pub init: Option<TaskKey>,
    /// When its first payload program was executed.
    pub started: Option<BootNanos>,
    /// When its first process ended, and how: raw `exit_code` of the kernel.
    pub exited: Option<(BootNanos, u32)>,
    /// Everything learnt besides, in order of learning.
    pub facts: Vec<Fact>,
}

/// One thing learnt about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub key: FactKey,
    /// Its value: bytes from the outside.
    pub value: Vec<u8>,
    /// Where it was learnt.
    pub source: FactSource,
    /// When it was learnt.
    pub time: BootNanos,
}

macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A code of a later version.
            Other(u16),
        }

        impl $name {
            /// The code in the file.
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* Self::Other(code) => code }
            }

            /// From the code in the file; never fails.
            pub const fn from_code(code: u16) -> Self {
                match code { $($code => Self::$variant,)* other => Self::Other(other) }
            }

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other(_) => "other" }
            }
        }
    };
}

coded! {
    /// Who made a container, as its cgroup path or its runtime tells.
    Engine {
        /// Not known.
        Unknown = 0 => "unknown",
        /// Docker.
        Docker = 1 => "docker",
        /// containerd through ctr or nerdctl, or its CRI plugin.
        Containerd = 2 => "containerd",
        /// CRI-O.
        Crio = 3 => "cri-o",
        /// Podman.
        Podman = 4 => "podman",
        /// LXC, LXD, Incus.
        Lxc = 5 => "lxc",
        /// systemd-nspawn.
        Nspawn = 6 => "nspawn",
        /// runc, crun or another OCI runtime run directly.
        Oci = 7 => "oci",
        /// AWS ECS and Fargate.
        Ecs = 8 => "ecs",
        /// Nomad.
        Nomad = 9 => "nomad",
        /// Garden (Cloud Foundry).
        Garden = 10 => "garden",
        /// BuildKit.
        Buildkit = 11 => "buildkit",
        /// A Kubernetes container whose runtime the path does not tell (cgroupfs driver).
        Kubernetes = 12 => "kubernetes",
        /// The host itself: uid 0.
        Host = 13 => "host",
        /// libvirt-lxc.
        LibvirtLxc = 14 => "libvirt-lxc",
    }
}

coded! {
    /// A container's part in its engine's scheme.
    Role {
        /// Not known.
        Unknown = 0 => "unknown",
        /// A container with a payload.
        Container = 1 => "container",
        /// A pod's sandbox (pause).
        Sandbox = 2 => "sandbox",
        /// The engine's monitor of a container (conmon): not a container.
        Monitor = 3 => "monitor",
        /// The host.
        Host = 4 => "host",
    }
}

coded! {
    /// What a fact says.
    FactKey {
        /// The engine's name for it.
        Name = 1 => "name",
        /// Image reference.
        Image = 2 => "image",
        /// Image digest.
        ImageDigest = 3 => "image_digest",
        /// Pod name.
        PodName = 4 => "pod_name",
        /// Pod namespace.
        PodNamespace = 5 => "pod_namespace",
        /// Pod uid.
        PodUid = 6 => "pod_uid",
        /// Container name in the pod.
        PodContainer = 7 => "pod_container",
        /// `key=value` label.
        Label = 8 => "label",
        /// Host name inside.
        Hostname = 9 => "hostname",
        /// Bundle directory.
        Bundle = 10 => "bundle",
        /// Sandbox id.
        SandboxId = 11 => "sandbox_id",
        /// Whether it runs privileged: `true` or `false`.
        Privileged = 12 => "privileged",
        /// `source:destination` mount.
        Mount = 13 => "mount",
        /// User it runs as.
        User = 14 => "user",
        /// The engine's own id of the image.
        ImageId = 15 => "image_id",
    }
}

coded! {
    /// Where a fact was learnt.
    FactSource {
        /// The cgroup's path.
        CgroupPath = 1 => "cgroup path",
        /// `config.json` of the OCI bundle.
        OciBundle = 2 => "OCI bundle",
        /// Arguments of the runtime, seen by its exec.
        RuntimeArgv = 3 => "runtime arguments",
        /// Docker's `config.v2.json`.
        DockerConfig = 4 => "docker config",
        /// podman's `containers.json`.
        PodmanStorage = 5 => "podman storage",
        /// Arguments of conmon.
        Conmon = 6 => "conmon arguments",
        /// CRI annotations.
        CriAnnotations = 7 => "CRI annotations",
        /// The runtime's socket.
        RuntimeSocket = 8 => "runtime socket",
        /// The launcher of the tests and the demo.
        Launcher = 9 => "launcher",
        /// `/proc`.
        Proc = 10 => "proc",
    }
}

impl ContainerRecord {
    /// Whether it is a container, not the host and no engine's helper: only containers are counted as such.
    pub fn is_container(&self) -> bool {
        !matches!(self.role, Role::Host | Role::Monitor)
    }

    /// The host's record.
    pub fn host(first_seen: BootNanos) -> Self {
        Self {
            uid: ContainerUid::HOST,
            outer: None,
            engine: Engine::Host,
            role: Role::Host,
            id: b"host".to_vec(),
            cgroup_path: b"/".to_vec(),
            cgroup_id: 0,
            hierarchy: 0,
            first_seen,
            preexisting: true,
            removed: None,
            init: None,
            started: None,
            exited: None,
            facts: Vec::new(),
        }
    }

    /// Takes a later record's word for everything; facts of both are kept, each once, in order.
    pub(crate) fn absorb(&mut self, later: Self) {
        let mut facts = std::mem::take(&mut self.facts);
        *self = later;
        self.facts.retain(|fact| !facts.contains(fact));
        facts.append(&mut self.facts);
        self.facts = facts;
    }

    /// The latest fact of this key.
    pub fn fact(&self, key: FactKey) -> Option<&Fact> {
        self.facts.iter().rev().find(|f| f.key == key)
    }

    /// What it is called; `None` where nobody named it. Of containers that CRI made that is their name in the pod, as in Falco, though
    /// CRI-O has a longer one of its own (`k8s_web_shop-1_...`); of others the engine's.
    pub fn name(&self) -> Option<&[u8]> {
        let keys = match self.engine {
            Engine::Containerd | Engine::Crio => [FactKey::PodContainer, FactKey::Name],
            _ => [FactKey::Name, FactKey::PodContainer],
        };
        let named = |key| self.fact(key).map(|fact| fact.value.as_slice()).filter(|name| !name.is_empty());
        keys.into_iter().find_map(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_a_pod_has_its_name_there_and_others_their_engines() {
        let record = |engine, facts: &[(FactKey, &str)]| ContainerRecord {
            engine,
            facts: facts
                .iter()
                .map(|(key, value)| Fact {
                    key: *key,
                    value: value.as_bytes().to_vec(),
                    source: FactSource::OciBundle,
                    time: BootNanos(1),
                })
                .collect(),
            ..ContainerRecord::host(BootNanos(1))
        };
        let both = [(FactKey::Name, "k8s_web_shop-1"), (FactKey::PodContainer, "web")];
        for (engine, facts, name) in [
            (Engine::Crio, &both[..], Some("web")),
            (Engine::Containerd, &both[1..], Some("web")),
            (Engine::Containerd, &both[..1], Some("k8s_web_shop-1")),
            (Engine::Docker, &both[..], Some("k8s_web_shop-1")),
            (Engine::Docker, &[], None),
            (Engine::Crio, &[(FactKey::PodContainer, "")], None),
        ] {
            assert_eq!(record(engine, facts).name(), name.map(str::as_bytes), "{engine:?} {facts:?}");
        }
    }
}
