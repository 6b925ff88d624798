//! The form in which questions and answers cross: numbers and bytes. What is out of bounds is cut here, whoever sent it.

use afterimage_format::{BootNanos, ContainerUid, Engine, FactKey, FactSource, Role, layout::artifact};
use bincode::{Decode, Encode};

use crate::{
    artifacts,
    identity::claims::ClaimId,
    metadata::{
        Findings,
        worker::{self, Origin},
    },
};

/// Longest path of a cgroup.
const LONGEST_CGROUP: usize = 4096;

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Claim(u32, u64);

#[derive(Debug, Encode, Decode)]
pub(super) enum Request {
    Announced { claim: Claim, id: Vec<u8>, bundle: Option<Vec<u8>> },
    Tasks { directory: Vec<u8> },
    Dockerd { claim: Claim, data_root: Option<Vec<u8>>, config_file: Option<Vec<u8>> },
    Found { container: u64, id: Vec<u8> },
}

#[derive(Debug, Encode, Decode)]
pub(super) enum Target {
    Claim(Claim),
    Container(u64),
}

#[derive(Debug, Encode, Decode)]
pub(super) struct Fact {
    key: u16,
    value: Vec<u8>,
    source: u16,
    time: u64,
}

#[derive(Debug, Encode, Decode)]
pub(super) struct Answer {
    target: Target,
    /// 0 the claimant, 1 the host, 2 a daemon.
    origin: u8,
    daemon: Option<Claim>,
    time: u64,
    facts: Vec<Fact>,
    engine: Option<u16>,
    role: Option<u16>,
    cgroup: Option<String>,
    last: bool,
}

#[derive(Debug, Encode, Decode)]
pub(super) struct Image {
    tgid: u32,
    parent: u32,
    ino: u64,
    size: u64,
    path: Vec<u8>,
}

#[derive(Debug, Encode, Decode)]
pub(super) struct ImageAnswer {
    outcome: u64,
    hash: Option<[u8; 32]>,
    bytes: Vec<u8>,
}

impl From<ClaimId> for Claim {
    fn from(claim: ClaimId) -> Self {
        Self(claim.tgid, claim.time.0)
    }
}

impl From<Claim> for ClaimId {
    fn from(Claim(tgid, time): Claim) -> Self {
        Self { tgid, time: BootNanos(time) }
    }
}

impl From<&worker::Request> for Request {
    fn from(request: &worker::Request) -> Self {
        match request.clone() {
            worker::Request::Announced { claim, id, bundle } => {
                Self::Announced { claim: claim.into(), id, bundle }
            }
            worker::Request::Tasks { directory } => Self::Tasks { directory },
            worker::Request::Dockerd { claim, data_root, config_file } => {
                Self::Dockerd { claim: claim.into(), data_root, config_file }
            }
            worker::Request::Found { container, id } => Self::Found { container: container.0, id },
        }
    }
}

impl From<Request> for worker::Request {
    fn from(request: Request) -> Self {
        match request {
            Request::Announced { claim, id, bundle } => Self::Announced { claim: claim.into(), id, bundle },
            Request::Tasks { directory } => Self::Tasks { directory },
            Request::Dockerd { claim, data_root, config_file } => {
                Self::Dockerd { claim: claim.into(), data_root, config_file }
            }
            Request::Found { container, id } => Self::Found { container: ContainerUid(container), id },
        }
    }
}

impl From<&worker::Answer> for Answer {
    fn from(answer: &worker::Answer) -> Self {
        let (origin, daemon) = match answer.origin {
            Origin::Claimant => (0, None),
            Origin::Host => (1, None),
            Origin::Daemon(claim) => (2, Some(claim.into())),
        };
        let facts = answer.findings.facts.iter().map(|fact| Fact {
            key: fact.key.code(),
            value: fact.value.clone(),
            source: fact.source.code(),
            time: fact.time.0,
        });
        Self {
            target: match answer.target {
                worker::Target::Claim(claim) => Target::Claim(claim.into()),
                worker::Target::Container(uid) => Target::Container(uid.0),
            },
            origin,
            daemon,
            time: answer.findings.time.0,
            facts: facts.collect(),
            engine: answer.findings.engine.map(Engine::code),
            role: answer.findings.role.map(Role::code),
            cgroup: answer.cgroup.clone(),
            last: answer.last,
        }
    }
}

impl From<Answer> for worker::Answer {
    fn from(answer: Answer) -> Self {
        let mut findings = Findings::new(BootNanos(answer.time));
        for fact in answer.facts {
            // By the same limits as where they were found.
            let before = findings.facts.len();
            findings.add(FactKey::from_code(fact.key), &fact.value, FactSource::from_code(fact.source));
            if let Some(added) = findings.facts.get_mut(before) {
                added.time = BootNanos(fact.time);
            }
        }
        findings.engine = answer.engine.map(Engine::from_code);
        findings.role = answer.role.map(Role::from_code);
        Self {
            target: match answer.target {
                Target::Claim(claim) => worker::Target::Claim(claim.into()),
                Target::Container(uid) => worker::Target::Container(ContainerUid(uid)),
            },
            origin: match (answer.origin, answer.daemon) {
                (1, _) => Origin::Host,
                (2, Some(claim)) => Origin::Daemon(claim.into()),
                _ => Origin::Claimant,
            },
            findings,
            cgroup: answer.cgroup.filter(|path| path.len() <= LONGEST_CGROUP),
            last: answer.last,
        }
    }
}

impl From<&artifacts::Request> for Image {
    fn from(request: &artifacts::Request) -> Self {
        let (ino, size) = (request.ino, request.size);
        Self { tgid: request.tgid(), parent: request.parent, ino, size, path: request.path.clone() }
    }
}

impl From<Image> for artifacts::Wanted {
    fn from(Image { tgid, parent, ino, size, path }: Image) -> Self {
        Self { tgid, parent, ino, size, path }
    }
}

impl From<artifacts::Seen> for ImageAnswer {
    fn from(artifacts::Seen { outcome, hash, bytes }: artifacts::Seen) -> Self {
        Self { outcome, hash, bytes }
    }
}

impl ImageAnswer {
    /// As the answer to a request; nothing where it makes no sense.
    pub(super) fn to(self, request: artifacts::Request) -> Option<artifacts::Answer> {
        let Self { outcome, hash, bytes } = self;
        let known = [artifact::KEPT, artifact::GONE, artifact::TOO_LARGE, artifact::UNREADABLE];
        let sound = known.contains(&outcome)
            && (bytes.is_empty() || outcome == artifact::KEPT && bytes.len() as u64 == request.size);
        sound.then(|| artifacts::Answer::new(request, artifacts::Seen { outcome, hash, bytes }))
    }
}
