//! Where each container runtime puts a container's cgroup.
//!
//! The names are those that were seen on real hosts; the recorder's parser must find the id in each of them.

use std::fmt;
use std::str::FromStr;

use crate::{ContainerId, PodUid};

/// The runtime and cgroup driver whose naming is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Docker with the cgroupfs driver: `/docker/<id>`.
    Docker,
    /// Docker with the systemd driver: `/system.slice/docker-<id>.scope`.
    DockerSystemd,
    /// Kubernetes with the cgroupfs driver: `/kubepods/burstable/pod<uid>/<id>`.
    K8s,
    /// Kubernetes on containerd with the systemd driver: `/kubepods.slice/…/cri-containerd-<id>.scope`.
    K8sSystemd,
    /// Podman as root with the systemd manager: `/machine.slice/libpod-<id>.scope/container`.
    Podman,
}

impl Style {
    /// Every style, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Docker, Self::DockerSystemd, Self::K8s, Self::K8sSystemd, Self::Podman];

    /// The word that selects the style on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::DockerSystemd => "docker-systemd",
            Self::K8s => "k8s",
            Self::K8sSystemd => "k8s-systemd",
            Self::Podman => "podman",
        }
    }

    /// The cgroup of container `id`, in pod `pod` where the style has pods.
    pub fn cgroup_path(self, id: &ContainerId, pod: &PodUid) -> CgroupPath {
        let (components, own) = match self {
            Self::Docker => (vec!["docker".to_owned(), id.to_string()], 1),
            Self::DockerSystemd => (vec!["system.slice".to_owned(), format!("docker-{id}.scope")], 1),
            Self::K8s => {
                let pod = format!("pod{}", pod.text('-'));
                (vec!["kubepods".to_owned(), "burstable".to_owned(), pod, id.to_string()], 2)
            }
            Self::K8sSystemd => (
                vec![
                    "kubepods.slice".to_owned(),
                    "kubepods-burstable.slice".to_owned(),
                    format!("kubepods-burstable-pod{}.slice", pod.text('_')),
                    format!("cri-containerd-{id}.scope"),
                ],
                2,
            ),
            Self::Podman => {
                (vec!["machine.slice".to_owned(), format!("libpod-{id}.scope"), "container".to_owned()], 2)
            }
        };
        CgroupPath { components, own }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Style {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let words = Self::ALL.map(Self::word).join(", ");
        Self::ALL
            .into_iter()
            .find(|style| style.word() == word)
            .ok_or_else(|| format!("no cgroup style `{word}`: it is one of {words}"))
    }
}

/// A container's cgroup, from the root of its hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPath {
    components: Vec<String>,
    /// How many of the last components belong to this container alone and go with it.
    own: usize,
}

impl CgroupPath {
    /// Every directory on the way that others share, outermost first, relative to the hierarchy's root.
    pub(crate) fn shared(&self) -> impl Iterator<Item = String> {
        (1..=self.components.len() - self.own).map(|depth| self.components[..depth].join("/"))
    }

    /// Every directory of the container's own, outermost first, relative to the hierarchy's root.
    pub(crate) fn owned(&self) -> impl DoubleEndedIterator<Item = String> {
        (self.components.len() - self.own + 1..=self.components.len())
            .map(|depth| self.components[..depth].join("/"))
    }
}

/// The path as `cgroup_mkdir` and `/proc/<pid>/cgroup` give it, with a leading slash.
impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.components.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_is_found_by_its_word() {
        for style in Style::ALL {
            assert_eq!(style.word().parse(), Ok(style));
        }
        let error = "rkt".parse::<Style>().unwrap_err();
        assert!(error.contains("`rkt`") && error.contains("k8s-systemd"), "{error}");
    }

    #[test]
    fn paths_are_those_of_the_runtimes() {
        let (id, pod) = (ContainerId::random().unwrap(), PodUid::random().unwrap());
        let (dashed, underscored) = (pod.text('-'), pod.text('_'));
        let expected = [
            (Style::Docker, format!("/docker/{id}")),
            (Style::DockerSystemd, format!("/system.slice/docker-{id}.scope")),
            (Style::K8s, format!("/kubepods/burstable/pod{dashed}/{id}")),
            (
                Style::K8sSystemd,
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/\
                     cri-containerd-{id}.scope"
                ),
            ),
            (Style::Podman, format!("/machine.slice/libpod-{id}.scope/container")),
        ];
        for (style, path) in expected {
            assert_eq!(style.cgroup_path(&id, &pod).to_string(), path);
        }
    }

    #[test]
    fn own_directories_go_with_the_container_and_shared_ones_stay() {
        let (id, pod) = (ContainerId::random().unwrap(), PodUid::random().unwrap());
        let path = Style::K8s.cgroup_path(&id, &pod);
        assert_eq!(path.shared().collect::<Vec<_>>(), ["kubepods", "kubepods/burstable"]);
        let pod = format!("kubepods/burstable/pod{}", pod.text('-'));
        assert_eq!(path.owned().collect::<Vec<_>>(), [pod.clone(), format!("{pod}/{id}")]);
    }
}
