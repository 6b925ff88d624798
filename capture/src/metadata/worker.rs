//! The thread that reads files about containers.
//!
//! Requests are answered in two steps: what a request points at is read into memory at once, because it may be gone a
//! moment later; it is parsed when nothing else waits to be read. Each request gets exactly one answer with
//! [`Answer::last`] set, so that who asked knows when there is nothing more to come.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, TryRecvError},
};

use afterimage_format::{BootNanos, ContainerUid, FactKey, FactSource};

use super::{Findings, containers_storage, docker, file::Root, oci};
use crate::{host, identity::claims::ClaimId};

/// Most bytes read but not parsed yet.
const BACKLOG: usize = 64 << 20;
/// Most Docker daemons remembered: the first stay, so that nobody can push out the host's by starting others.
const DAEMONS: usize = 32;
/// Most directories of containerd's bundles remembered.
const TASKS: usize = 64;

/// Whom an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The container that a process spoke of.
    Claim(ClaimId),
    /// A container that was there before.
    Container(ContainerUid),
}

/// Who vouches for what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was read as the process of the claim sees the file system.
    Claimant,
    /// It was read as the host sees the file system.
    Host,
    /// It was read from the data of a Docker daemon, known by its own claim.
    Daemon(ClaimId),
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A container that a process announced.
    Announced {
        /// The process's claim.
        claim: ClaimId,
        /// The container's id.
        id: Vec<u8>,
        /// Its bundle.
        bundle: Option<Vec<u8>>,
    },
    /// containerd's bundles have a directory: it is looked into for containers that were there before.
    Tasks {
        /// The directory.
        directory: Vec<u8>,
    },
    /// A Docker daemon runs.
    Dockerd {
        /// Its claim.
        claim: ClaimId,
        /// Where it keeps what it knows, where that was said.
        data_root: Option<Vec<u8>>,
        /// Its configuration file, where that was said.
        config_file: Option<Vec<u8>>,
    },
    /// A container that was there before, of which only the id is known.
    Found {
        /// Which.
        container: ContainerUid,
        /// Its id.
        id: Vec<u8>,
    },
}

impl Request {
    /// Whom answers are about; of some requests there are none.
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Announced { claim, .. } => Some(Target::Claim(*claim)),
            Self::Found { container, .. } => Some(Target::Container(*container)),
            Self::Tasks { .. } | Self::Dockerd { .. } => None,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// About whom.
    pub target: Target,
    /// Who vouches for it.
    pub origin: Origin,
    /// The facts.
    pub findings: Findings,
    /// `cgroupsPath`, where a bundle had one.
    pub cgroup: Option<String>,
    /// Nothing more comes on this request.
    pub last: bool,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bundle,
    Storage,
    StorageImages,
    Docker,
    DockerHost,
    DockerRepositories,
}

#[derive(Debug)]
struct Read {
    kind: Kind,
    origin: Origin,
    time: BootNanos,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Unparsed {
    target: Target,
    id: Vec<u8>,
    bundle: Option<Vec<u8>>,
    files: Vec<Read>,
}

#[derive(Debug)]
struct Daemon {
    claim: ClaimId,
    data_root: Vec<u8>,
}

/// The thread's state.
#[derive(Debug, Default)]
pub struct Worker {
    daemons: Vec<Daemon>,
    tasks: Vec<Vec<u8>>,
    backlog: VecDeque<Unparsed>,
    bytes: usize,
}

impl Worker {
    /// Works until nobody asks any more, or nobody takes answers.
    pub fn run(mut self, requests: &Receiver<Request>, answers: &SyncSender<Answer>) {
        let mut asking = true;
        loop {
            let request = if !asking {
                Err(TryRecvError::Disconnected)
            } else if self.backlog.is_empty() {
                requests.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                requests.try_recv()
            };
            asking = request != Err(TryRecvError::Disconnected);
            let idle = request.is_err();
            if let Ok(request) = request {
                self.take(request);
            }
            if !idle && self.bytes <= BACKLOG {
                continue;
            }
            let Some(next) = self.backlog.pop_front() else {
                if asking {
                    continue;
                }
                return;
            };
            self.bytes -= next.size();
            if parse(&next).into_iter().any(|answer| answers.send(answer).is_err()) {
                return;
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Announced { claim, id, bundle } => {
                let files = self.announced(claim, &id, bundle.as_deref());
                self.push(Unparsed { target: Target::Claim(claim), id, bundle, files });
            }
            Request::Found { container, id } => {
                let (bundle, files) = self.found(&id);
                self.push(Unparsed { target: Target::Container(container), id, bundle, files });
            }
            Request::Tasks { directory } => {
                if self.tasks.len() < TASKS && !self.tasks.contains(&directory) {
                    self.tasks.push(directory);
                }
            }
            Request::Dockerd { claim, data_root, config_file } => {
                self.daemons.retain(|daemon| Root::of_process(daemon.claim.tgid).is_ok());
                if self.daemons.len() < DAEMONS {
                    let data_root = data_root.or_else(|| configured(claim, config_file));
                    let data_root = data_root.unwrap_or_else(|| docker::DATA_ROOT.into());
                    self.daemons.push(Daemon { claim, data_root });
                }
            }
        }
    }

    fn push(&mut self, unparsed: Unparsed) {
        self.bytes += unparsed.size();
        self.backlog.push_back(unparsed);
    }

    /// Reads what a process announced: as that process sees the file system, or where it is gone as the host does.
    fn announced(&self, claim: ClaimId, id: &[u8], bundle: Option<&[u8]>) -> Vec<Read> {
        let mut files = Vec::new();
        if let Some(bundle) = bundle {
            let own = Root::of_process(claim.tgid).map(|root| (root, Origin::Claimant));
            let host = || Root::of_host().map(|root| (root, Origin::Host));
            for (root, origin) in [own.ok(), host().ok()].into_iter().flatten() {
                files = bundle_files(&root, origin, bundle, id);
                if !files.is_empty() {
                    break;
                }
            }
        }
        if files.iter().all(|file| file.kind != Kind::Storage) {
            self.docker_files(id, &mut files);
        }
        files
    }

    /// Looks where engines keep bundles for a container of which only the id is known.
    fn found(&self, id: &[u8]) -> (Option<Vec<u8>>, Vec<Read>) {
        const BUNDLES: [(&str, &str); 6] = [
            ("/run/containerd/io.containerd.runtime.v2.task/k8s.io/", ""),
            ("/run/containerd/io.containerd.runtime.v2.task/moby/", ""),
            ("/run/containerd/io.containerd.runtime.v2.task/default/", ""),
            ("/var/lib/containers/storage/overlay-containers/", "/userdata"),
            ("/run/containers/storage/overlay-containers/", "/userdata"),
            ("/run/crun/", ""),
        ];
        let Ok(host) = Root::of_host() else { return (None, Vec::new()) };
        let told = self.tasks.iter().map(|directory| [directory, &b"/"[..], id].concat());
        let usual = BUNDLES.iter().map(|(before, after)| [before.as_bytes(), id, after.as_bytes()].concat());
        let mut bundle = None;
        let mut files = Vec::new();
        for candidate in told.chain(usual) {
            files = bundle_files(&host, Origin::Host, &candidate, id);
            if !files.is_empty() {
                bundle = Some(candidate);
                break;
            }
        }
        self.docker_files(id, &mut files);
        (bundle, files)
    }

    /// Reads what Docker daemons know.
    fn docker_files(&self, id: &[u8], files: &mut Vec<Read>) {
        // The ids of Docker are 64 digits, nothing else leads into its directories.
        if id.len() != 64 || !id.iter().all(u8::is_ascii_hexdigit) {
            return;
        }
        let usual = Root::of_host().map(|root| (root, Origin::Host, docker::DATA_ROOT.as_bytes()));
        let told = self.daemons.iter().filter_map(|daemon| {
            let root = Root::of_process(daemon.claim.tgid).ok()?;
            Some((root, Origin::Daemon(daemon.claim), daemon.data_root.as_slice()))
        });
        for (root, origin, data_root) in told.chain(usual.ok()) {
            let at = |name: &str| [data_root, b"/containers/", id, b"/", name.as_bytes()].concat();
            let mut add = |kind, path: &[u8]| {
                let file = read(&root, origin, kind, path, docker::LIMIT);
                let found = file.is_some();
                files.extend(file);
                found
            };
            if add(Kind::Docker, &at("config.v2.json")) {
                add(Kind::DockerHost, &at("hostconfig.json"));
                for driver in ["overlay2", "fuse-overlayfs", "btrfs", "zfs", "vfs"] {
                    let path = [data_root, b"/image/", driver.as_bytes(), b"/repositories.json"].concat();
                    add(Kind::DockerRepositories, &path);
                }
                break;
            }
        }
    }
}

impl Unparsed {
    fn size(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }
}

/// The data root that a daemon's configuration file names.
fn configured(claim: ClaimId, config_file: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let file = config_file.unwrap_or_else(|| docker::CONFIG_FILE.into());
    let json = Root::of_process(claim.tgid).and_then(|root| root.read(&file, 1 << 20)).ok()?;
    docker::data_root(&json).map(String::into_bytes)
}

fn read(root: &Root, origin: Origin, kind: Kind, path: &[u8], limit: u64) -> Option<Read> {
    let bytes = root.read(path, limit).ok()?;
    Some(Read { kind, origin, time: host::boot_now(), bytes })
}

/// A bundle's configuration, and where it is in a storage, the storage's lists.
fn bundle_files(root: &Root, origin: Origin, bundle: &[u8], id: &[u8]) -> Vec<Read> {
    let path = [bundle, b"/config.json"].concat();
    let mut files: Vec<Read> = read(root, origin, Kind::Bundle, &path, oci::LIMIT).into_iter().collect();
    if let Some(place) = containers_storage::place(bundle, id) {
        let mut list = |kind, directory: &[u8], name: &str| {
            let path = [directory, b"/", name.as_bytes()].concat();
            files.extend(read(root, origin, kind, &path, containers_storage::LIMIT));
        };
        for name in containers_storage::CONTAINERS {
            list(Kind::Storage, &place.containers, name);
        }
        list(Kind::StorageImages, &place.images, "images.json");
    }
    files
}

/// An answer for each who vouches for something; at least one.
fn parse(unparsed: &Unparsed) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let (mut docker_image, mut storage_image) = (None, None);
    for file in &unparsed.files {
        let index = answers.iter().position(|answer| answer.origin == file.origin).unwrap_or_else(|| {
            answers.push(answer(unparsed.target, file.origin, file.time));
            answers.len() - 1
        });
        let answer = &mut answers[index];
        let findings = &mut answer.findings;
        match file.kind {
            Kind::Bundle => {
                let bundle = oci::read(&file.bytes, std::mem::take(findings));
                *findings = bundle.findings;
                answer.cgroup = bundle.cgroup;
            }
            Kind::Storage => {
                storage_image =
                    storage_image.or_else(|| containers_storage::read(&file.bytes, &unparsed.id, findings));
            }
            Kind::StorageImages => {
                if let Some(image) = &storage_image {
                    containers_storage::read_images(&file.bytes, image, findings);
                }
            }
            Kind::Docker => docker_image = docker::read(&file.bytes, findings),
            Kind::DockerHost => docker::read_host_config(&file.bytes, findings),
            Kind::DockerRepositories => {
                if let Some(image) = &docker_image {
                    docker::read_repositories(&file.bytes, image, findings);
                }
            }
        }
    }
    if answers.is_empty() {
        answers.push(answer(unparsed.target, Origin::Host, host::boot_now()));
    }
    // A container that was there before was announced by nobody: the directory it was found in is what tells.
    if let (Target::Container(_), Some(bundle), Some(first)) =
        (unparsed.target, &unparsed.bundle, answers.first_mut())
    {
        first.findings.engine = first.findings.engine.or_else(|| super::engine_of_bundle(bundle));
        first.findings.add(FactKey::Bundle, bundle, FactSource::Proc);
    }
    if let Some(last) = answers.last_mut() {
        last.last = true;
    }
    answers
}

fn answer(target: Target, origin: Origin, time: BootNanos) -> Answer {
    Answer { target, origin, findings: Findings::new(time), cgroup: None, last: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::Engine;
    use std::{fs, path::Path, sync::mpsc};

    const ID: &str = "14cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e514cdbdd2a8e5abcd";

    fn ask(requests: Vec<Request>) -> Vec<Answer> {
        let (request, asked) = mpsc::sync_channel(requests.len());
        let (answer, answers) = mpsc::sync_channel(100);
        for one in requests {
            request.send(one).unwrap();
        }
        drop(request);
        Worker::default().run(&asked, &answer);
        drop(answer);
        answers.into_iter().collect()
    }

    /// The test's own process: it sees the files that the test writes.
    fn own(time: u64) -> ClaimId {
        ClaimId { tgid: std::process::id(), time: BootNanos(time) }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn bytes(path: &Path) -> Vec<u8> {
        path.to_str().unwrap().into()
    }

    fn fact(answer: &Answer, key: FactKey) -> Option<&str> {
        answer.findings.facts.iter().find(|f| f.key == key).map(|f| str::from_utf8(&f.value).unwrap())
    }

    #[test]
    fn a_bundle_in_a_storage_tells_what_both_know() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: String| dir.path().join(name);
        write(
            &at(format!("overlay-containers/{ID}/userdata/config.json")),
            r#"{"ociVersion":"1","hostname":"h"}"#,
        );
        let list = format!(r#"[{{"id":"{ID}","names":["web"],"image":"ff"}}]"#);
        write(&at("overlay-containers/containers.json".into()), &list);
        write(
            &at("overlay-images/images.json".into()),
            r#"[{"id":"ff","digest":"sha256:dd","names":["i:1"]}]"#,
        );
        let bundle = bytes(&at(format!("overlay-containers/{ID}/userdata")));
        let answers = ask(vec![Request::Announced { claim: own(1), id: ID.into(), bundle: Some(bundle) }]);
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(
            (answer.target, answer.origin, answer.last),
            (Target::Claim(own(1)), Origin::Claimant, true)
        );
        assert_eq!(fact(answer, FactKey::Hostname), Some("h"));
        assert_eq!(fact(answer, FactKey::Name), Some("web"));
        assert_eq!(fact(answer, FactKey::Image), Some("i:1"));
        assert_eq!(fact(answer, FactKey::ImageDigest), Some("sha256:dd"));
    }

    #[test]
    fn a_daemon_vouches_for_what_it_keeps() {
        let dir = tempfile::tempdir().unwrap();
        write(
            &dir.path().join("bundle/config.json"),
            r#"{"ociVersion":"1","linux":{"cgroupsPath":"/docker/x"}}"#,
        );
        let kept = dir.path().join(format!("data/containers/{ID}/config.v2.json"));
        write(&kept, r#"{"Name":"/web","Config":{"Image":"i:1"}}"#);
        let data_root = Some(bytes(&dir.path().join("data")));
        let answers = ask(vec![
            Request::Dockerd { claim: own(1), data_root, config_file: None },
            Request::Announced {
                claim: own(2),
                id: ID.into(),
                bundle: Some(bytes(&dir.path().join("bundle"))),
            },
            // Its id leads nowhere.
            Request::Announced { claim: own(3), id: b"../web".to_vec(), bundle: None },
        ]);
        let [bundle, daemon, nothing] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(
            (bundle.origin, bundle.cgroup.as_deref(), bundle.last),
            (Origin::Claimant, Some("/docker/x"), false)
        );
        assert_eq!((daemon.origin, daemon.last), (Origin::Daemon(own(1)), true));
        assert_eq!(
            (daemon.findings.engine, fact(daemon, FactKey::Name)),
            (Some(Engine::Docker), Some("web"))
        );
        assert!(nothing.findings.is_empty() && nothing.last);
    }

    #[test]
    fn the_directory_of_a_shim_leads_to_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let task = dir.path().join("io.containerd.runtime.v2.task/k8s.io");
        write(&task.join("abc/config.json"), r#"{"ociVersion":"1","hostname":"h"}"#);
        let answers = ask(vec![
            Request::Tasks { directory: bytes(&task) },
            Request::Found { container: ContainerUid(3), id: b"abc".to_vec() },
            Request::Found { container: ContainerUid(4), id: b"abd".to_vec() },
        ]);
        let [found, nothing] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(found.findings.engine, Some(Engine::Containerd));
        assert_eq!(fact(found, FactKey::Hostname), Some("h"));
        assert!(nothing.findings.is_empty());
    }
}
