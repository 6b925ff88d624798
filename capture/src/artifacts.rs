//! Programs that were executed although they are no part of their container's image: from an overlay's upper layer, or
//! from memory. Hashed and kept while they can still be had.
//!
//! A thread of its own opens the executed file the moment its exec comes out of the ring, through the process that runs
//! it; the kernel's inode number says whether it is the same file. The recording thread never waits: what does not fit
//! the queue is a miss, and every miss is told in the recording.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    time::{Duration, Instant},
};

use afterimage_format::{
    BootNanos, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, TaskKey,
    layout::{self, artifact},
};
use sha2::{Digest as _, Sha256};

use crate::{host, metadata::file::Root};

/// Most bytes kept of one image.
const LARGEST: u64 = 16 << 20;
/// Larger ones are not even read.
const LARGEST_HASHED: u64 = 256 << 20;
/// Bytes kept in a period, over all containers.
const BUDGET: u64 = 256 << 20;
/// The period.
const PERIOD: Duration = Duration::from_secs(3600);
/// Images in waiting, and answers.
const QUEUE: usize = 256;
const ANSWERS: usize = 4;
/// Bytes of an image in one event.
const PIECE: usize = 512 << 10;
/// Most hashes remembered as kept.
const MOST_KEPT: usize = 65_536;

/// An execution of such an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Execution {
    tgid: u32,
    time: BootNanos,
}

/// An image that is asked for.
#[derive(Debug)]
pub struct Request {
    of: Execution,
    task: TaskKey,
    /// Its process's parent.
    pub parent: u32,
    /// Its inode.
    pub ino: u64,
    /// Its size.
    pub size: u64,
    /// Its path.
    pub path: Vec<u8>,
}

impl Request {
    /// The process that executes it.
    pub fn tgid(&self) -> u32 {
        self.of.tgid
    }
}

/// What of a request is needed to look at the image.
#[derive(Debug)]
pub struct Wanted {
    /// The process that executes it.
    pub tgid: u32,
    /// That process's parent.
    pub parent: u32,
    /// Its inode.
    pub ino: u64,
    /// Its size.
    pub size: u64,
    /// Its path.
    pub path: Vec<u8>,
}

/// What was seen of an image.
#[derive(Debug)]
pub struct Seen {
    /// Of [`artifact`].
    pub outcome: u64,
    /// SHA-256, where it was read to its end.
    pub hash: Option<[u8; 32]>,
    /// The image, where it is kept.
    pub bytes: Vec<u8>,
}

/// What was seen of an image that was asked for.
#[derive(Debug)]
pub struct Answer {
    request: Request,
    outcome: u64,
    hash: Option<[u8; 32]>,
    bytes: Vec<u8>,
}

impl Answer {
    /// To a request.
    pub fn new(request: Request, Seen { outcome, hash, bytes }: Seen) -> Self {
        Self { request, outcome, hash, bytes }
    }

    /// Nobody looked, or not in time.
    pub fn gone(request: Request) -> Self {
        Self { request, outcome: artifact::GONE, hash: None, bytes: Vec::new() }
    }
}

/// Whose an execution was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Unknown,
    Container(ContainerUid),
    Nobody,
}

/// The recording thread's end.
#[derive(Debug)]
pub struct Artifacts {
    requests: Option<SyncSender<Request>>,
    answers: Receiver<Answer>,
    /// Executions that were asked for and whose answer is not stored.
    open: HashMap<Execution, Owner>,
    /// Requests without an answer.
    due: usize,
    ready: Vec<Answer>,
    /// What is in whose recording.
    kept: HashSet<(ContainerUid, [u8; 32])>,
    budget: u64,
    since: Instant,
    host_mounts: u64,
}

/// Whether an exec's image is one to keep: not of its container's image.
fn is_foreign(event: &Event<'_>) -> bool {
    const FOREIGN: u64 = layout::exec::EXE_UPPER_LAYER | layout::exec::EXE_MEMFD;
    event.code == EventCode::EXEC
        && event.number(layout::exec::EXE_FLAGS).is_some_and(|flags| flags & FOREIGN != 0)
}

impl Artifacts {
    /// With the ends for whoever looks: what is asked, and where answers go.
    pub fn new() -> (Self, Receiver<Request>, SyncSender<Answer>) {
        let (requests, asked) = mpsc::sync_channel(QUEUE);
        let (answer, answers) = mpsc::sync_channel(ANSWERS);
        let own = Self {
            requests: Some(requests),
            answers,
            open: HashMap::new(),
            due: 0,
            ready: Vec::new(),
            kept: HashSet::new(),
            budget: BUDGET,
            since: Instant::now(),
            host_mounts: u64::from(host::host_mount_namespace()),
        };
        (own, asked, answer)
    }

    /// Looks at an exec before its turn. What runs among the host's own mounts is no container's.
    pub fn look(&mut self, event: &Event<'_>) {
        if !is_foreign(event) || event.number(layout::exec::NS_MNT) == Some(self.host_mounts) {
            return;
        }
        let Some(requests) = &self.requests else { return };
        let of = Execution { tgid: event.task.tgid, time: event.time };
        let request = Request {
            of,
            task: event.task,
            parent: event.number(layout::exec::PPID).unwrap_or(0) as u32,
            ino: event.number(layout::exec::EXE_INO).unwrap_or(0),
            size: event.number(layout::exec::EXE_SIZE).unwrap_or(0),
            path: event.bytes(FieldTag::KPATH).unwrap_or_default().to_vec(),
        };
        if self.open.len() >= QUEUE * 2 {
            return;
        }
        self.open.insert(of, Owner::Unknown);
        match requests.try_send(request) {
            Ok(()) => self.due += 1,
            Err(mpsc::TrySendError::Full(request) | mpsc::TrySendError::Disconnected(request)) => {
                self.ready.push(Answer::gone(request));
            }
        }
    }

    /// An exec has had its turn: it is `container`'s, or set-up and the host's, of which nothing is kept.
    pub fn turned(&mut self, event: &Event<'_>, container: Option<ContainerUid>) {
        if self.open.is_empty() || event.code != EventCode::EXEC {
            return;
        }
        let of = Execution { tgid: event.task.tgid, time: event.time };
        if let Some(owner) = self.open.get_mut(&of) {
            *owner = container.map_or(Owner::Nobody, Owner::Container);
        }
    }

    fn take(&mut self, answer: Answer) {
        self.due = self.due.saturating_sub(1);
        self.ready.push(answer);
    }

    /// Hands `put` the events of what was learnt of executions that have had their turn, at the time `now`.
    pub fn learn(&mut self, now: BootNanos, mut put: impl FnMut(ContainerUid, &Event<'_>)) {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        for answer in std::mem::take(&mut self.ready) {
            match self.open.get(&answer.request.of) {
                Some(Owner::Unknown) => self.ready.push(answer),
                Some(Owner::Container(uid)) => {
                    let uid = *uid;
                    self.open.remove(&answer.request.of);
                    self.tell(uid, now, answer, &mut put);
                }
                Some(Owner::Nobody) | None => {
                    self.open.remove(&answer.request.of);
                }
            }
        }
    }

    /// Asks nothing more, and waits for the answers that are due, but not longer than `until`.
    pub fn learn_last(
        &mut self,
        now: BootNanos,
        until: Instant,
        mut put: impl FnMut(ContainerUid, &Event<'_>),
    ) {
        self.requests = None;
        loop {
            self.learn(now, &mut put);
            if self.due == 0 {
                break;
            }
            let wait = until.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(wait) {
                Ok(answer) => self.take(answer),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.learn(now, put);
    }

    /// Whether the image's bytes are to be in the recording, and what is said of them.
    fn judge(&mut self, uid: ContainerUid, answer: &Answer) -> u64 {
        let Some(hash) = answer.hash.filter(|_| answer.outcome == artifact::KEPT) else {
            return answer.outcome;
        };
        if self.kept.contains(&(uid, hash)) {
            return artifact::KNOWN;
        }
        if self.since.elapsed() >= PERIOD {
            (self.budget, self.since) = (BUDGET, Instant::now());
        }
        let Some(left) = self.budget.checked_sub(answer.bytes.len() as u64) else {
            return artifact::OVER_BUDGET;
        };
        self.budget = left;
        if self.kept.len() >= MOST_KEPT {
            self.kept.clear();
        }
        self.kept.insert((uid, hash));
        artifact::KEPT
    }

    fn tell(
        &mut self,
        uid: ContainerUid,
        now: BootNanos,
        answer: Answer,
        put: &mut impl FnMut(ContainerUid, &Event<'_>),
    ) {
        let outcome = self.judge(uid, &answer);
        let Answer { request, hash, bytes, .. } = answer;
        let whole = |tag, bytes| Field {
            tag,
            flags: FieldFlags::default(),
            full_len: <[u8]>::len(bytes) as u32,
            bytes,
        };
        let mut fields = vec![whole(FieldTag::KPATH, request.path.as_slice())];
        fields.extend(hash.as_ref().map(|hash| whole(FieldTag::HASH, hash)));
        let none: &[&[u8]] = &[&[]];
        let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
        let pieces = if outcome == artifact::KEPT && !pieces.is_empty() { &pieces[..] } else { none };
        let mut offset = 0;
        for piece in pieces {
            let mut fields = fields.clone();
            fields.extend((!piece.is_empty()).then(|| whole(FieldTag::CONTENT, *piece)));
            put(
                uid,
                &Event {
                    time: now,
                    duration: None,
                    task: request.task,
                    code: EventCode::ARTIFACT,
                    flags: EventFlags::default(),
                    cpu: 0,
                    ret: 0,
                    args: &[request.size, request.ino, request.of.time.0, offset, outcome],
                    fields: &fields,
                },
            );
            offset += piece.len() as u64;
        }
    }
}

/// Opens what a process executes: through the process, or where it has ended, by its path as its parent sees it.
fn open(wanted: &Wanted) -> io::Result<File> {
    let same = |file: File| {
        let meta = file.metadata()?;
        if meta.ino() == wanted.ino && meta.file_type().is_file() {
            return Ok((file, meta.len()));
        }
        Err(io::Error::from(io::ErrorKind::NotFound))
    };
    let own = File::open(host::process_file(wanted.tgid, "exe")).and_then(same);
    let (file, _) = own.or_else(|_| {
        let root = Root::of_process(wanted.parent)?;
        same(root.open(&wanted.path)?)
    })?;
    Ok(file)
}

/// Hashes an image, and takes its bytes where there are not too many.
pub fn look_at(wanted: &Wanted) -> Seen {
    let nothing = |outcome| Seen { outcome, hash: None, bytes: Vec::new() };
    let Ok(mut file) = open(wanted) else { return nothing(artifact::GONE) };
    if wanted.size > LARGEST_HASHED {
        return nothing(artifact::TOO_LARGE);
    }
    let mut hash = Sha256::new();
    let (mut bytes, mut read) = (Vec::new(), 0);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => {
                hash.update(&buffer[..got]);
                read += got as u64;
                if read <= LARGEST {
                    bytes.extend_from_slice(&buffer[..got]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return nothing(artifact::UNREADABLE),
        }
        if read > wanted.size {
            return nothing(artifact::UNREADABLE);
        }
    }
    if read != wanted.size {
        return nothing(artifact::UNREADABLE);
    }
    let outcome = if read > LARGEST { artifact::TOO_LARGE } else { artifact::KEPT };
    if outcome != artifact::KEPT {
        bytes = Vec::new();
    }
    Seen { outcome, hash: Some(hash.finalize().into()), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: ContainerUid = ContainerUid(3);

    fn artifacts() -> Artifacts {
        let (own, asked, answers) = Artifacts::new();
        std::thread::spawn(move || {
            for request in asked {
                let (parent, ino, size, path) =
                    (request.parent, request.ino, request.size, request.path.clone());
                let wanted = Wanted { tgid: request.tgid(), parent, ino, size, path };
                answers.send(Answer::new(request, look_at(&wanted))).unwrap();
            }
        });
        Artifacts { host_mounts: 1, ..own }
    }

    /// Has this test's own program looked at, as if it were executed from an upper layer.
    fn look(artifacts: &mut Artifacts, time: u64, ino: u64, mounts: u64) {
        let meta = std::fs::metadata("/proc/self/exe").unwrap();
        let mut args = [0; layout::exec::COUNT];
        args[layout::exec::EXE_FLAGS] = layout::exec::EXE_UPPER_LAYER;
        args[layout::exec::NS_MNT] = mounts;
        args[layout::exec::EXE_INO] = ino;
        args[layout::exec::EXE_SIZE] = meta.len();
        let tgid = std::process::id();
        let event = Event {
            time: BootNanos(time),
            duration: None,
            task: TaskKey { tgid, tid: tgid, start: BootNanos(1) },
            code: EventCode::EXEC,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &args,
            fields: &[],
        };
        artifacts.look(&event);
        artifacts.turned(&event, Some(BOX));
    }

    fn told(artifacts: &mut Artifacts) -> Vec<(u64, Option<Vec<u8>>, usize)> {
        let mut told = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        artifacts.learn_last(BootNanos(9), until, |uid, event| {
            assert_eq!(uid, BOX);
            let hash = event.bytes(FieldTag::HASH).map(<[u8]>::to_vec);
            let content = event.bytes(FieldTag::CONTENT).map_or(0, <[u8]>::len);
            told.push((event.number(artifact::OUTCOME).unwrap(), hash, content));
        });
        told
    }

    #[test]
    fn an_image_is_kept_once_and_told_of_each_time() {
        let mut artifacts = artifacts();
        let meta = std::fs::metadata("/proc/self/exe").unwrap();
        look(&mut artifacts, 1, meta.ino(), 2);
        look(&mut artifacts, 2, meta.ino(), 2);
        look(&mut artifacts, 3, meta.ino() + 1, 2);
        look(&mut artifacts, 4, meta.ino(), 1);
        let told = told(&mut artifacts);
        let program = std::fs::read("/proc/self/exe").unwrap();
        let hash = Sha256::digest(&program).to_vec();
        let (kept, later): (Vec<_>, Vec<_>) = told.into_iter().partition(|(.., content)| *content > 0);
        let outcomes: Vec<_> = later.iter().map(|(outcome, ..)| *outcome).collect();
        if program.len() as u64 > LARGEST {
            // A test's program can be larger than what is kept.
            assert_eq!(
                (kept.len(), outcomes),
                (0, vec![artifact::TOO_LARGE, artifact::TOO_LARGE, artifact::GONE])
            );
        } else {
            assert_eq!(kept.iter().map(|(.., content)| content).sum::<usize>(), program.len());
            assert!(
                kept.iter()
                    .all(|(outcome, own, _)| *outcome == artifact::KEPT && own.as_ref() == Some(&hash))
            );
            assert_eq!(outcomes, [artifact::KNOWN, artifact::GONE]);
        }
        assert_eq!(later[0].1, Some(hash));
        assert!(artifacts.open.is_empty());
    }

    #[test]
    fn what_does_not_fit_the_budget_is_told_with_its_hash() {
        let mut artifacts = artifacts();
        artifacts.budget = 10;
        let answer = |bytes: usize| Answer {
            request: Request {
                of: Execution { tgid: 1, time: BootNanos(1) },
                task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
                parent: 0,
                ino: 1,
                size: bytes as u64,
                path: Vec::new(),
            },
            outcome: artifact::KEPT,
            hash: Some([bytes as u8; 32]),
            bytes: vec![0; bytes],
        };
        assert_eq!(artifacts.judge(BOX, &answer(11)), artifact::OVER_BUDGET);
        assert_eq!(artifacts.judge(BOX, &answer(10)), artifact::KEPT);
        assert_eq!(artifacts.judge(BOX, &answer(10)), artifact::KNOWN);
        assert_eq!(artifacts.judge(ContainerUid(4), &answer(1)), artifact::OVER_BUDGET);
    }
}
