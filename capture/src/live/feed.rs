//! The recording thread's end: copies what is wanted, hands it over when it is safe, never waits.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

use afterimage_format::{ContainerRecord, ContainerUid, Event, EventCode, FieldTag, Loss};
use afterimage_model::sockaddr::SocketAddress;

use super::{batch::Batch, wanted::Wanted, watch::Message};
use crate::witness::Witness;

/// Most files whose reading is waited for.
const MAX_ACCOUNT_FILES: usize = 4096;
/// A batch is handed over at this size also before it is safe.
const MAX_BATCH: usize = 1 << 20;
/// The port of DNS.
const DNS: u16 = 53;

/// Between the two threads.
#[derive(Debug, Default)]
pub struct Queue {
    /// What is looked at.
    pub wanted: Wanted,
    /// Bytes in waiting.
    pub waiting: AtomicUsize,
    /// Events handed over.
    pub events: AtomicU64,
    /// Events that were wanted and not handed over.
    pub skipped: AtomicU64,
}

/// Copies events into batches.
pub struct Feed {
    queue: Arc<Queue>,
    sender: mpsc::Sender<Message>,
    /// Bytes that may wait.
    room: usize,
    batch: Batch,
    /// Opened files with the names of users and groups, whose first read is wanted: process and descriptor.
    accounts: HashSet<(u32, i32)>,
}

impl Feed {
    /// To the watching thread, with so many bytes in waiting.
    pub fn new(queue: Arc<Queue>, sender: mpsc::Sender<Message>, room: usize) -> Self {
        Self { queue, sender, room, batch: Batch::default(), accounts: HashSet::new() }
    }

    /// Whether an event is wanted of which only its code is not: reads tell names of hosts and of users.
    fn tells_names(&mut self, event: &Event<'_>) -> bool {
        if let Some(path) = event.bytes(FieldTag::KPATH).or_else(|| event.bytes(FieldTag::PATH))
            && (path.ends_with(b"/etc/passwd") || path.ends_with(b"/etc/group"))
            && let Ok(fd) = i32::try_from(event.ret)
            && self.accounts.len() < MAX_ACCOUNT_FILES
        {
            self.accounts.insert((event.task.tgid, fd));
            return true;
        }
        if event.field(FieldTag::PAYLOAD).is_none() {
            return false;
        }
        let descriptor = event.args.first().map(|fd| (event.task.tgid, *fd as u32 as i32));
        if !self.accounts.is_empty() && descriptor.is_some_and(|own| self.accounts.remove(&own)) {
            return true;
        }
        let address = event.bytes(FieldTag::PEER).or_else(|| event.bytes(FieldTag::SOCKADDR));
        address.and_then(SocketAddress::parse).and_then(|address| address.port()) == Some(DNS)
    }

    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let size = self.batch.size();
        self.queue.waiting.fetch_add(size, Ordering::Relaxed);
        self.queue.events.fetch_add(self.batch.len() as u64, Ordering::Relaxed);
        let batch = std::mem::take(&mut self.batch);
        if self.sender.send(Message::Batch(batch)).is_err() {
            // The watching thread has ended: nobody wants anything.
            self.queue.waiting.fetch_sub(size, Ordering::Relaxed);
            self.queue.wanted.set(|_| false, false);
        }
    }

    fn waiting(&self) -> usize {
        self.queue.waiting.load(Ordering::Relaxed) + self.batch.size()
    }
}

impl Witness for Feed {
    fn gone(&mut self, _: &[ContainerUid]) {
        // Whoever looks on has forgotten them when they ended.
    }

    fn container(&mut self, record: &ContainerRecord) {
        self.batch.push_container(record);
    }

    fn gap(&mut self, _: &Loss) {}

    fn event(&mut self, uid: ContainerUid, event: &Event<'_>) {
        let life = matches!(
            event.code,
            EventCode::FORK
                | EventCode::EXEC
                | EventCode::EXIT
                | EventCode::PROCESS
                | EventCode::CGROUP_RMDIR
        );
        if !life {
            let wanted = &self.queue.wanted;
            if !wanted.anything() || !wanted.has(event.code) && !self.tells_names(event) {
                return;
            }
        }
        // Twice the room for what begins and ends processes: without it the state is wrong for long.
        let room = if life { self.room * 2 } else { self.room };
        if self.waiting() >= room {
            self.queue.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.batch.push(uid, event);
        if self.batch.size() >= MAX_BATCH {
            self.hand_over();
        }
    }

    fn committed(&mut self) {
        self.hand_over();
    }
}
