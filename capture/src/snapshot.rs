//! What was there before recording began: the kernel's record of each process, completed from `/proc`.

use std::collections::HashMap;

use afterimage_format::{
    ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, layout::UNKNOWN,
};

use crate::{
    metadata::scout,
    procfs::{self, Ends},
    sink::Sink,
};

/// Most bytes of argv, and of the environment, from `/proc`.
const BLOCK: usize = 4096;
/// Most descriptors recorded of one process.
const DESCRIPTORS: usize = 4096;

/// Completes and stores the processes that the task iterator tells of.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Processes stored.
    pub processes: u64,
    /// Sockets by network namespace, read once for each.
    sockets: HashMap<u64, HashMap<u64, Ends>>,
}

impl Snapshot {
    /// Takes a process's record; with its descriptors when it is a container's, or `all` is asked for.
    pub fn take(&mut self, sink: &mut Sink, uid: ContainerUid, event: &Event<'_>, all: bool) {
        self.processes += 1;
        let pid = event.task.tgid;
        let argv = procfs::block(pid, "cmdline", BLOCK);
        let environ = procfs::block(pid, "environ", BLOCK);
        let mut fields = event.fields.to_vec();
        for (tag, block) in [(FieldTag::ARGV, &argv), (FieldTag::ENVP, &environ)] {
            if let Some((bytes, full)) = block {
                let flags = if bytes.len() < *full { FieldFlags::TRUNCATED } else { FieldFlags::default() };
                fields.push(Field { tag, flags, full_len: *full as u32, bytes });
            }
        }
        sink.put(uid, &Event { fields: &fields, ..*event });
        if uid != ContainerUid::HOST || all {
            self.descriptors(sink, uid, event);
        }
    }

    fn descriptors(&mut self, sink: &mut Sink, uid: ContainerUid, process: &Event<'_>) {
        let pid = process.task.tgid;
        let sockets = procfs::net_namespace(pid)
            .map(|namespace| self.sockets.entry(namespace).or_insert_with(|| procfs::sockets(pid)));
        let none = HashMap::new();
        let sockets = sockets.map_or(&none, |sockets| &*sockets);
        for open in procfs::descriptors(pid).into_iter().take(DESCRIPTORS) {
            let whole = |tag, bytes| Field {
                tag,
                flags: FieldFlags::default(),
                full_len: u32::try_from(<[u8]>::len(bytes)).unwrap_or(u32::MAX),
                bytes,
            };
            let mut fields = vec![whole(FieldTag::TARGET, open.target.as_slice())];
            if let Some(ends) = socket_inode(&open.target).and_then(|inode| sockets.get(&inode)) {
                fields.push(whole(FieldTag::LOCAL, &ends.local));
                fields.extend(ends.peer.as_ref().map(|peer| whole(FieldTag::PEER, peer)));
            }
            let ino = if open.ino == 0 { UNKNOWN } else { open.ino };
            sink.put(
                uid,
                &Event {
                    time: process.time,
                    duration: None,
                    task: process.task,
                    code: EventCode::OPEN_FD,
                    flags: EventFlags::default(),
                    cpu: process.cpu,
                    ret: 0,
                    args: &[open.fd, open.flags, open.pos, ino],
                    fields: &fields,
                },
            );
        }
    }
}

/// Calls `then` with a process's record, completed by its arguments where they may announce something.
pub fn with_arguments(event: &Event<'_>, then: impl FnOnce(&Event<'_>)) {
    let argv =
        if scout::is_worth_asking(event) { procfs::block(event.task.tgid, "cmdline", BLOCK) } else { None };
    let Some((bytes, full)) = &argv else { return then(event) };
    let mut fields = event.fields.to_vec();
    let flags = if bytes.len() < *full { FieldFlags::TRUNCATED } else { FieldFlags::default() };
    fields.push(Field { tag: FieldTag::ARGV, flags, full_len: *full as u32, bytes });
    then(&Event { fields: &fields, ..*event });
}

/// `socket:[123]`.
fn socket_inode(target: &[u8]) -> Option<u64> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}
