//! From what an alert says of a container to the containers it can mean.

use afterimage_format::{ContainerUid, Role};

use super::{
    Hints,
    directory::{Directory, Known},
};

/// Shortest beginning of an id that may mean several containers.
const SHORT_ID: usize = 12;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// All that it can mean, over all time.
    pub found: Vec<ContainerUid>,
    /// By what they were found.
    pub by: &'static str,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

impl Resolution {
    fn by(by: &'static str, found: Vec<ContainerUid>) -> Option<Self> {
        (!found.is_empty()).then(|| Self { found, by, warnings: Vec::new() })
    }
}

/// Finds the containers that `hints` mean, at about `at`. The surest hint that finds anything decides.
pub fn resolve(directory: &Directory, hints: &Hints, at: i64) -> Resolution {
    let ways: [&dyn Fn() -> Option<Resolution>; 8] = [
        &|| Resolution::by("the recorder's own number", vec![directory.get(hints.uid?)?.uid]),
        &|| Resolution::by("host", if hints.host { vec![ContainerUid::HOST] } else { Vec::new() }),
        &|| by_id(directory, hints),
        &|| by_pod(directory, hints),
        &|| by_pid(directory, hints, at),
        &|| by_cgroup(directory, hints.cgroup.as_deref()?),
        &|| by_name(directory, hints.name.as_deref()?, hints),
        &|| by_image(directory, hints.image.as_deref()?, at),
    ];
    let mut found = ways.iter().find_map(|way| way()).unwrap_or_default();
    if let Some(id) = &hints.id
        && !matches!(found.by, "the recorder's own number" | "id" | "id prefix" | "name" | "")
    {
        found.warnings.push(format!("no container has the id `{id}`: found by {}", found.by));
    }
    found
}

/// An id as runtimes write it, without who wrote it.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id).trim()
}

fn by_id(directory: &Directory, hints: &Hints) -> Option<Resolution> {
    let id = bare(hints.id.as_deref()?);
    if id.is_empty() {
        return None;
    }
    let exact = directory.by_id(id);
    if !exact.is_empty() {
        return Resolution::by("id", exact.to_vec());
    }
    let matching: Vec<(&str, &[ContainerUid])> =
        directory.by_prefix(id).take(super::engine::MAX_MATCHES + 1).collect();
    match matching.as_slice() {
        [] => {}
        [(_, uids)] => return Resolution::by("id prefix", uids.to_vec()),
        several if id.len() >= SHORT_ID => {
            let all = several.iter().flat_map(|(_, uids)| uids.iter().copied()).collect();
            let mut found = Resolution::by("id prefix", all)?;
            found.warnings.push(format!("`{id}` begins the ids of {} containers", several.len()));
            return Some(found);
        }
        several => {
            let found = by_name(directory, id, hints);
            return found.or_else(|| {
                let warning = format!(
                    "`{id}` begins the ids of {} containers or more: give more digits",
                    several.len()
                );
                Some(Resolution { warnings: vec![warning], ..Resolution::default() })
            });
        }
    }
    // What people call it.
    by_name(directory, id, hints)
}

/// What people call a container: its name, its name in its pod, its pod, NAMESPACE/POD or NAMESPACE/POD/CONTAINER. Where its
/// pod is told besides, it is one of that pod.
fn by_name(directory: &Directory, name: &str, hints: &Hints) -> Option<Resolution> {
    let name = name.trim_start_matches('/');
    let parts: Vec<&str> = name.split('/').collect();
    let is = |value: &Option<String>, word: &str| value.as_deref() == Some(word);
    let agrees = |value: &Option<String>, hint: &Option<String>| hint.is_none() || value == hint;
    let named = |known: &&Known| {
        let path = match parts.as_slice() {
            [namespace, pod] => is(&known.namespace, namespace) && is(&known.pod, pod),
            [namespace, pod, container] => {
                is(&known.namespace, namespace) && is(&known.pod, pod) && is(&known.pod_container, container)
            }
            _ => false,
        };
        let one = is(&known.name, name) || is(&known.pod_container, name) || is(&known.pod, name);
        (one || path) && agrees(&known.pod, &hints.pod) && agrees(&known.namespace, &hints.namespace)
    };
    Resolution::by("name", directory.iter().filter(named).map(|known| known.uid).collect())
}

/// What of several that were found is one thing to whoever asked: a container with all its lives, or a pod.
fn thing<'k>(known: &'k Known, by: &str, hints: &Hints) -> [Option<&'k str>; 3] {
    let name =
        hints.id.as_deref().map(bare).or(hints.name.as_deref()).map(|name| name.trim_start_matches('/'));
    let pod = [known.namespace.as_deref(), known.pod.as_deref(), known.pod_uid.as_deref()];
    let is_own_name = [&known.name, &known.pod_container].iter().any(|own| own.as_deref() == name);
    match by {
        "pod" | "pod and container" => pod,
        "name" if !is_own_name => pod,
        _ => [Some(&known.id), None, None],
    }
}

/// Those of `found` that lived at the same time as another and are something else: words that mean both mean neither for
/// certain. Nothing where they are one after the other, or where many were asked for.
pub fn rivals<'k>(
    directory: &'k Directory,
    found: &[ContainerUid],
    by: &str,
    hints: &Hints,
) -> Vec<&'k Known> {
    if !matches!(by, "name" | "id prefix" | "pod" | "pod and container") {
        return Vec::new();
    }
    let mut known: Vec<&Known> = found.iter().filter_map(|uid| directory.get(*uid)).collect();
    known.sort_by_key(|known| known.first_seen);
    let mut latest: Option<(&Known, i64)> = None;
    let mut rivals: Vec<&Known> = Vec::new();
    for own in known {
        let end = own.removed.unwrap_or(i64::MAX);
        match latest {
            Some((other, until))
                if own.first_seen < until && thing(own, by, hints) != thing(other, by, hints) =>
            {
                if rivals.is_empty() {
                    rivals.push(other);
                }
                rivals.push(own);
            }
            _ => {}
        }
        if latest.is_none_or(|(_, until)| end >= until) {
            latest = Some((own, end));
        }
    }
    rivals
}

/// Rivals in words, as somebody can ask for one of them.
pub fn told(rivals: &[&Known]) -> String {
    /// More are counted.
    const NAMED: usize = 8;
    let one = |known: &&Known| {
        let id: String = known.id.chars().take(SHORT_ID).collect();
        let parts = [known.namespace.as_deref(), known.pod.as_deref(), known.pod_container.as_deref()];
        let path: Vec<&str> = parts.into_iter().flatten().collect();
        let name = if path.is_empty() { known.name.clone().unwrap_or_default() } else { path.join("/") };
        format!("{id} {name} {}", known.state())
    };
    let mut named: Vec<String> = rivals.iter().take(NAMED).map(one).collect();
    if rivals.len() > NAMED {
        named.push(format!("{} more", rivals.len() - NAMED));
    }
    named.join(", ")
}

fn by_pod(directory: &Directory, hints: &Hints) -> Option<Resolution> {
    let pod = hints.pod.as_deref()?;
    let in_pod: Vec<&Known> = directory
        .iter()
        .filter(|known| known.pod.as_deref() == Some(pod))
        .filter(|known| hints.namespace.is_none() || known.namespace == hints.namespace)
        .collect();
    let named: Vec<ContainerUid> = in_pod
        .iter()
        .filter(|known| hints.pod_container.is_some() && known.pod_container == hints.pod_container)
        .map(|known| known.uid)
        .collect();
    if !named.is_empty() {
        return Resolution::by("pod and container", named);
    }
    let payload = in_pod.iter().filter(|known| known.role != Role::Sandbox).map(|known| known.uid);
    let mut found = Resolution::by("pod", payload.collect())?;
    if let Some(name) = &hints.pod_container {
        found.warnings.push(format!("no container `{name}` is known in the pod: all of it is taken"));
    }
    Some(found)
}

fn by_pid(directory: &Directory, hints: &Hints, at: i64) -> Option<Resolution> {
    let pid = hints.pid?;
    let recorded =
        directory.by_pid(pid, hints.pid_start.unwrap_or(at)).filter(|uid| directory.get(*uid).is_some());
    Resolution::by("pid", recorded.into_iter().collect())
}

fn by_cgroup(directory: &Directory, path: &str) -> Option<Resolution> {
    let inside = |known: &&Known| {
        known.cgroup.len() > 1
            && path
                .strip_prefix(known.cgroup.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let longest = directory.iter().filter(inside).map(|known| known.cgroup.len()).max()?;
    let found =
        directory.iter().filter(inside).filter(|known| known.cgroup.len() == longest).map(|known| known.uid);
    Resolution::by("cgroup", found.collect())
}

fn by_image(directory: &Directory, image: &str, at: i64) -> Option<Resolution> {
    let same = |own: &str| {
        own == image
            || own.split_once('@').is_some_and(|(name, _)| name == image)
            || own.strip_prefix(image).is_some_and(|rest| rest.starts_with([':', '@']))
    };
    let of_image = directory.iter().filter(|known| known.image.as_deref().is_some_and(same));
    // An image says little: only those that lived then.
    let found: Vec<ContainerUid> =
        of_image.filter(|known| known.lived(at, at)).map(|known| known.uid).collect();
    let several = found.len();
    let mut found = Resolution::by("image", found)?;
    if several > 1 {
        found.warnings.push(format!("{several} containers of this image lived at that time"));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::{
        super::directory::{Began, tests::known},
        *,
    };

    const A: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
    const B: &str = "3ad7b26ded6dffffffffffffffffffffffffffffffffffffffffffffffffffff";
    const C: &str = "9999999999999999999999999999999999999999999999999999999999999999";

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.learn(known(11, A, 100, Some(200)));
        directory.learn(known(12, B, 100, None));
        directory.learn(known(21, C, 300, None));
        directory.learn(known(22, A, 400, None));
        directory.learn_process(Began { pid: 412, at: 150, container: ContainerUid(12), parent: None });
        directory
    }

    fn check(hints: Hints, by: &str, found: &[u64]) -> Vec<String> {
        let resolution = resolve(&directory(), &hints, 500);
        let uids: Vec<u64> = resolution.found.iter().map(|uid| uid.0).collect();
        assert_eq!((resolution.by, uids.as_slice()), (by, found), "{hints:?}");
        resolution.warnings
    }

    fn id(id: &str) -> Hints {
        Hints { id: Some(id.to_owned()), ..Hints::default() }
    }

    #[test]
    fn ids_of_every_length_find_their_container() {
        assert!(check(id(A), "id", &[11, 22]).is_empty(), "both lives of one id");
        check(id(&format!("containerd://{A}")), "id", &[11, 22]);
        check(id(&A[..31]), "id prefix", &[11, 22]);
        check(id("99"), "id prefix", &[21]);
        let warnings = check(id(&A[..12]), "id prefix", &[11, 22, 12]);
        assert!(warnings[0].contains("begins the ids of 2 containers"), "{warnings:?}");
        assert!(check(id("3ad7"), "", &[])[0].contains("give more digits"));
        check(id("name-21"), "name", &[21]);
        check(id("jobs/pod-1"), "name", &[11, 12]);
        check(id("jobs/pod-1/c2"), "name", &[12]);
        check(id("jobs/pod-1/c9"), "", &[]);
        check(Hints { pod: Some("pod-2".into()), ..id("c1") }, "name", &[21]);
        assert!(check(id("nobody"), "", &[]).is_empty());
    }

    #[test]
    fn what_is_one_thing_has_no_rivals() {
        let directory = directory();
        let rivals = |hints: Hints| -> Vec<u64> {
            let Resolution { found, by, .. } = resolve(&directory, &hints, 500);
            rivals(&directory, &found, by, &hints).iter().map(|known| known.uid.0).collect()
        };
        assert!(rivals(id(A)).is_empty(), "two lives of one id");
        assert!(rivals(id("jobs/pod-1")).is_empty(), "two containers of one pod");
        assert_eq!(rivals(id("c1")), Vec::<u64>::new(), "one after the other");
        assert_eq!(rivals(id("c2")), [12, 22], "of two pods, at the same time");
        assert_eq!(rivals(id(&A[..12])), [11, 12, 22], "two ids");
        let image = Hints { image: Some("reg/batch".into()), ..Hints::default() };
        assert!(rivals(image).is_empty(), "many were asked for");
        let known = [directory.get(ContainerUid(22)).unwrap()];
        assert_eq!(told(&known), "3ad7b26ded6d jobs/pod-2/c2 running");
        assert!(told(&[known[0]; 9]).ends_with(", 1 more"));
    }

    #[test]
    fn other_hints_are_tried_from_the_surest() {
        let pod = |container: Option<&str>| Hints {
            namespace: Some("jobs".into()),
            pod: Some("pod-1".into()),
            pod_container: container.map(str::to_owned),
            ..Hints::default()
        };
        check(pod(Some("c2")), "pod and container", &[12]);
        check(pod(None), "pod", &[11, 12]);
        assert!(check(pod(Some("sidecar")), "pod", &[11, 12])[0].contains("sidecar"));
        check(Hints { namespace: Some("other".into()), ..pod(None) }, "", &[]);
        check(Hints { pid: Some(412), ..Hints::default() }, "pid", &[12]);
        let cgroup = Hints { cgroup: Some(format!("/docker/{C}/inner")), ..Hints::default() };
        check(cgroup, "cgroup", &[21]);
        check(Hints { cgroup: Some("/docker".into()), ..Hints::default() }, "", &[]);
        let image = Hints { image: Some("reg/batch".into()), ..Hints::default() };
        assert!(check(image, "image", &[12, 21, 22])[0].contains("3 containers"), "only those living");
        check(Hints { host: true, ..Hints::default() }, "host", &[0]);
        let wrong = check(Hints { id: Some("f".repeat(64)), ..pod(None) }, "pod", &[11, 12]);
        assert!(wrong[0].contains("found by pod"), "{wrong:?}");
    }
}
