//! `container.*` and `k8s.*`: what was learnt of the container, whenever it was learnt.

use afterimage_format::{ContainerRecord, ContainerUid, FactKey};

use super::{FieldArg, family};
use crate::{context::EventContext, glob::Glob, program::life, value::Value};

family! {
    /// Containers and pods.
    Container as Container {
        Id = "container.id", Text, One, Never: "First 12 characters of the id; `host` outside of containers.";
        FullId = "container.full_id", Text, One, Never: "The whole id; empty on the host.";
        Name = "container.name", Text, One, Never: "The name its engine gave it; of containerd and CRI-O the container's name in its pod, as in Falco; `host` outside of \
             containers.";
        Image = "container.image", Text, One, Never: "The image as it was asked for.";
        Repository = "container.image.repository", Text, One, Never: "The image without tag and digest.";
        Tag = "container.image.tag", Text, One, Never: "The image's tag.";
        Digest = "container.image.digest", Text, One, Never: "The image's digest.";
        ImageId = "container.image.id", Text, One, Never: "The image's id without `sha256:`, where it was learnt: of Docker, Podman and CRI-O.";
        Type = "container.type", Text, One, Never: "The engine: docker, containerd, cri-o, podman, lxc, ...";
        Privileged = "container.privileged", Bool, One, Never: "Whether it runs privileged, where that was learnt.";
        Mounts = "container.mounts", Text, One, Never: "All mounts that were learnt, with a comma between.";
        Mount = "container.mount", Text, One, MustKey: "A mount by number, or by its source, a pattern; `none` where there is no such mount.";
        MountSource = "container.mount.source", Text, One, MustKey:
            "The source of a mount by number, or by its destination, a pattern.";
        MountDest = "container.mount.dest", Text, One, MustKey:
            "The destination of a mount by number, or by its source, a pattern.";
        MountMode = "container.mount.mode", Text, One, MustKey: "The options of a mount by number or source.";
        MountRdwr = "container.mount.rdwr", Text, One, MustKey:
            "`true` or `false`: whether a mount is writable, by number or source; where it was learnt.";
        MountPropagation = "container.mount.propagation", Text, One, MustKey:
            "How a mount propagates, by number or source; where it was learnt.";
        StartTs = "container.start_ts", Time, One, Never: "When its first program began.";
        Duration = "container.duration", Duration, One, Never: "Time since its first program began.";
        State = "container.state", Text, One, Never:
            "What became of it: `running`, `exited`, `deleted`, or `unknown` where the recording ended before it did. Ours.";
        Life = "container.life", Duration, One, Never:
            "How long it lived in the end, or until the recording's end where it still does. Ours.";
        Lost = "container.lost", Number, One, Never: "How many events of it were lost, in its whole life. Ours.";
        HostPid = "container.host_pid", Bool, One, Never: "Whether its init is in the initial pid namespace.";
        Label = "container.label", Text, One, MustName: "A label's value.";
        Labels = "container.labels", Text, One, Never: "All labels as `key:value`, with a comma between.";
        Uid = "container.uid", Number, One, Never: "The recording's own number of it; 0 is the host. Ours.";
        PodName = "k8s.pod.name", Text, One, Never: "The pod's name.";
        PodUid = "k8s.pod.uid", Text, One, Never: "The pod's uid.";
        PodId = "k8s.pod.id", Text, One, Never: "As `k8s.pod.uid`.";
        PodSandbox = "k8s.pod.sandbox_id", Text, One, Never: "First 12 characters of the sandbox's id.";
        PodFullSandbox = "k8s.pod.full_sandbox_id", Text, One, Never: "The sandbox's id.";
        PodLabel = "k8s.pod.label", Text, One, MustName: "A label's value, as far as the container has it.";
        PodLabels = "k8s.pod.labels", Text, One, Never: "All labels as `key:value`, with a comma between.";
        NsName = "k8s.ns.name", Text, One, Never: "The pod's namespace.";
    }
}

/// How much of an id Falco shows.
const SHORT: usize = 12;

pub(super) fn get<'c>(field: Container, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    match field {
        Container::Id => return short_id(cx).map(Value::text),
        Container::Uid => return Some(Value::number(cx.container().0)),
        Container::Lost => {
            let lost = cx.frame().lost.as_ref()?.iter().find(|(uid, _)| *uid == cx.container());
            return Some(Value::number(lost.map_or(0, |(_, count)| *count)));
        }
        Container::Name if cx.container() == ContainerUid::HOST => return Some(Value::text(b"host")),
        Container::FullId if cx.container() == ContainerUid::HOST => return Some(Value::text(b"")),
        _ => {}
    }
    let record = cx.record()?;
    let fact = |key: FactKey| record.fact(key).map(|fact| fact.value.as_slice());
    let text = |key: FactKey| fact(key).map(Value::text);
    match field {
        Container::FullId => Some(Value::text(&record.id)),
        Container::Name => record.name().map(Value::text),
        Container::Image => text(FactKey::Image),
        Container::Repository => fact(FactKey::Image).map(|image| Value::text(split_image(image).0)),
        Container::Tag => fact(FactKey::Image).and_then(|image| split_image(image).1).map(Value::text),
        Container::Digest => {
            text(FactKey::ImageDigest).or_else(|| split_image(fact(FactKey::Image)?).2.map(Value::text))
        }
        Container::ImageId => image_id(fact(FactKey::ImageId)?).map(Value::text),
        Container::Type => Some(Value::text(record.engine.as_str().as_bytes())),
        Container::Privileged => match fact(FactKey::Privileged)? {
            b"true" => Some(Value::Bool(true)),
            b"false" => Some(Value::Bool(false)),
            _ => None,
        },
        Container::Mounts => joined(record, FactKey::Mount),
        Container::Mount
        | Container::MountSource
        | Container::MountDest
        | Container::MountMode
        | Container::MountRdwr
        | Container::MountPropagation => mount(field, arg, record),
        Container::StartTs => Some(Value::number(cx.wall(cx.container_start()?)?)),
        Container::Duration => Some(Value::number(cx.event().time.0.checked_sub(cx.container_start()?.0)?)),
        Container::State => Some(Value::text(match (record.removed, record.exited) {
            (Some(_), _) => b"deleted",
            (None, Some(_)) => b"exited",
            (None, None) if cx.frame().follows(record) => b"running",
            (None, None) => b"unknown",
        })),
        Container::Life => life(cx.frame(), Some(record)).map(Value::number),
        Container::HostPid => {
            let init = cx.facts().process(record.init?)?;
            Some(Value::Bool(init.vpid? == init.key.tgid))
        }
        Container::Label | Container::PodLabel => label(record, arg),
        Container::Labels | Container::PodLabels => joined(record, FactKey::Label),
        Container::PodName => text(FactKey::PodName),
        Container::PodUid | Container::PodId => text(FactKey::PodUid),
        Container::PodSandbox => fact(FactKey::SandboxId).map(|id| Value::text(&id[..id.len().min(SHORT)])),
        Container::PodFullSandbox => text(FactKey::SandboxId),
        Container::NsName => text(FactKey::PodNamespace),
        Container::Id | Container::Uid | Container::Lost => None,
    }
}

/// Falco's `container.id`.
pub(super) fn short_id<'c>(cx: &'c EventContext<'_>) -> Option<&'c [u8]> {
    if cx.container() == ContainerUid::HOST {
        return Some(b"host");
    }
    let id = &cx.record()?.id;
    id.get(..id.len().min(SHORT))
}

/// An image's id without the name of its hash; a reference by digest is none.
fn image_id(id: &[u8]) -> Option<&[u8]> {
    (!id.contains(&b'@')).then(|| id.strip_prefix(b"sha256:").unwrap_or(id))
}

/// Repository, tag and digest of `registry:5000/name:tag@sha256:...`.
fn split_image(image: &[u8]) -> (&[u8], Option<&[u8]>, Option<&[u8]>) {
    let (name, digest) = match image.iter().position(|b| *b == b'@') {
        Some(at) => (&image[..at], Some(&image[at + 1..])),
        None => (image, None),
    };
    let last = name.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    match name[last..].iter().position(|b| *b == b':') {
        Some(at) => (&name[..last + at], Some(&name[last + at + 1..]), digest),
        None => (name, None, digest),
    }
}

/// All facts of a key with a comma between.
fn joined<'c>(record: &ContainerRecord, key: FactKey) -> Option<Value<'c>> {
    let values: Vec<Vec<u8>> = record
        .facts
        .iter()
        .filter(|fact| fact.key == key)
        .map(|fact| {
            let mut value = fact.value.clone();
            let equals = value.iter().position(|b| *b == b'=').filter(|_| key == FactKey::Label);
            if let Some(at) = equals {
                value[at] = b':';
            }
            value
        })
        .collect();
    (!values.is_empty()).then(|| Value::made(values.join(&b',')))
}

fn label<'c>(record: &'c ContainerRecord, arg: &FieldArg) -> Option<Value<'c>> {
    let digits;
    let name = match arg {
        FieldArg::Key(name) => &**name,
        FieldArg::Index(name) => {
            digits = name.to_string();
            digits.as_bytes()
        }
        FieldArg::None => return None,
    };
    let labels = record.facts.iter().rev().filter(|fact| fact.key == FactKey::Label);
    labels.filter_map(|fact| fact.value.strip_prefix(name)?.strip_prefix(b"=")).next().map(Value::text)
}

/// A part of the mount that the argument chooses. A mount is `source:destination[:mode[:rdwr[:propagation]]]`.
fn mount<'c>(field: Container, arg: &FieldArg, record: &'c ContainerRecord) -> Option<Value<'c>> {
    let part = |mount: &'c [u8], index: usize| mount.split(|b| *b == b':').nth(index);
    let mut mounts = record.facts.iter().filter(|f| f.key == FactKey::Mount).map(|f| f.value.as_slice());
    let by = usize::from(field == Container::MountSource);
    let found = match arg {
        FieldArg::Index(at) => mounts.nth(*at),
        FieldArg::Key(pattern) => {
            let pattern = Glob::new(pattern, false);
            mounts.find(|mount| part(mount, by).is_some_and(|path| pattern.matches(path)))
        }
        FieldArg::None => None,
    };
    let found = match found {
        None if field == Container::Mount => b"none",
        found => found?,
    };
    match field {
        Container::Mount => Some(Value::text(found)),
        Container::MountSource => part(found, 0).map(Value::text),
        Container::MountDest => part(found, 1).map(Value::text),
        Container::MountMode => part(found, 2).map(Value::text),
        Container::MountRdwr => part(found, 3).map(Value::text),
        _ => part(found, 4).map(Value::text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_id_is_its_digits() {
        for (id, digits) in
            [("sha256:6f7e", Some("6f7e")), ("6f7e", Some("6f7e")), ("quay.io/x@sha256:6f7e", None)]
        {
            assert_eq!(image_id(id.as_bytes()), digits.map(str::as_bytes), "{id}");
        }
    }

    #[test]
    fn images_are_split_at_the_right_colon() {
        for (image, repository, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.27", "nginx", Some("1.27"), None),
            ("reg:5000/a/b", "reg:5000/a/b", None, None),
            ("reg:5000/a/b:t@sha256:ab", "reg:5000/a/b", Some("t"), Some("sha256:ab")),
        ] {
            let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
            assert_eq!(
                split_image(image.as_bytes()),
                (repository.as_bytes(), bytes(tag), bytes(digest)),
                "{image}"
            );
        }
    }
}
