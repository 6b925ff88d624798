//! What one call moved, through which descriptors.

use afterimage_format::{Event, EventFlags, FieldFlags, FieldTag};

use super::Way;
use crate::{describe::payload, syscalls};

/// `MSG_PEEK`: the bytes are read again later.
pub(super) const MSG_PEEK: u64 = 2;

/// Bytes that a call moved through one descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// The descriptor.
    pub fd: i32,
    /// Which way.
    pub way: Way,
    /// How many bytes; of a call that moves several messages, of the first.
    pub len: u64,
    /// Further messages of the same call, of which neither bytes nor lengths were recorded.
    pub unread: u64,
    /// The first of these bytes, as many as were kept. Never trusted.
    pub bytes: Vec<u8>,
    /// A policy masked some of the bytes, each in its place.
    pub redacted: bool,
}

impl Transfer {
    /// Whether everything that went through was kept.
    pub fn is_whole(&self) -> bool {
        self.missing() == 0 && self.unread == 0
    }

    /// Bytes that went through and were not kept.
    pub fn missing(&self) -> u64 {
        self.len.saturating_sub(self.bytes.len() as u64)
    }
}

/// What a call moved, at each of its ends; nothing of calls that failed, move nothing, or only look at what is read later.
/// Whether the descriptors are of streams is not asked.
pub fn transfers(event: &Event<'_>) -> impl Iterator<Item = Transfer> {
    let is_call =
        event.ret > 0 && event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN);
    let name = if is_call { syscalls::base_name(event.code) } else { "" };
    let ends = match ends(name) {
        [_, ..] if peeks(event) => &[],
        ends => ends,
    };
    ends.iter().map(move |&(way, place)| {
        let parts = event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD);
        Transfer {
            fd: event.args.get(place).map_or(-1, |&fd| fd as i32),
            way,
            len: moved(event),
            unread: further_messages(event),
            redacted: parts.clone().any(|f| f.flags.contains(FieldFlags::REDACTED)),
            bytes: payload::contiguous(parts),
        }
    })
}

/// The ends of a call, each with the argument that holds its descriptor. What the kernel moves from one descriptor
/// to another passes through no memory of the program: its bytes are missing, its length is known.
fn ends(call: &str) -> &'static [(Way, usize)] {
    match call {
        "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" | "recvmmsg_time64" | "preadv2" => {
            &[(Way::In, 0)]
        }
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" | "pwritev2" | "vmsplice" => &[(Way::Out, 0)],
        "sendfile" | "sendfile64" => &[(Way::In, 1), (Way::Out, 0)],
        "splice" => &[(Way::In, 0), (Way::Out, 2)],
        // What it copies is there to be read still.
        "tee" => &[(Way::Out, 1)],
        _ => &[],
    }
}

/// Bytes that a call moved, as its result and its fields tell; of several messages those of the first. What it only looked
/// at is read again later.
pub(crate) fn moved(event: &Event<'_>) -> u64 {
    if event.ret <= 0 || peeks(event) {
        return 0;
    }
    match counts_messages(syscalls::base_name(event.code)) {
        true => payload::length(event.fields.iter().filter(|f| f.tag == FieldTag::PAYLOAD)),
        false => u64::try_from(event.ret).unwrap_or(0),
    }
}

/// Messages of a call behind its first.
fn further_messages(event: &Event<'_>) -> u64 {
    let is_many = counts_messages(syscalls::base_name(event.code));
    u64::try_from(event.ret).ok().filter(|_| is_many).unwrap_or(0).saturating_sub(1)
}

/// Whether a call only looks at what is read later.
pub(crate) fn peeks(event: &Event<'_>) -> bool {
    let flags = match syscalls::base_name(event.code) {
        "recvfrom" | "recvmmsg" | "recvmmsg_time64" => event.args.get(3),
        "recvmsg" => event.args.get(2),
        _ => None,
    };
    flags.is_some_and(|flags| flags & MSG_PEEK != 0)
}

/// Calls with an array of messages: the result counts these, and the recorder keeps what the first moved.
pub fn counts_messages(call: &str) -> bool {
    matches!(call, "sendmmsg" | "recvmmsg" | "recvmmsg_time64")
}
