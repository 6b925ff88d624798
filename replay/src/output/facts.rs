//! What a row says by its meaning, for outputs whose members are those of another tool's schema. What is not known is
//! `None` or empty, and no member of any output.

use std::sync::Arc;

use afterimage_model::text::Safe;

pub use super::taxonomy::Act;

/// A row.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What was done; of a finding, what it rests on.
    pub act: Act,
    /// The event's name.
    pub action: Safe,
    /// When, RFC 3339 in UTC.
    pub moment: Option<Safe>,
    /// When, nanoseconds since 1970.
    pub time: Option<i64>,
    /// When, nanoseconds of CLOCK_BOOTTIME.
    pub boot: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The result as a number.
    pub ret: Option<i64>,
    /// Name of the error.
    pub error: Option<&'static str>,
    /// How long it took, nanoseconds.
    pub duration: Option<u64>,
    /// Where.
    pub host: Arc<Host>,
    /// In which container; none for the host and where it is not known.
    pub container: Option<Arc<Container>>,
    /// Whom it is about: the new process of a fork, else who did it.
    pub process: Option<Process>,
    /// Who did it, where that is not `process` as it is told there.
    pub actor: Option<Process>,
    /// The thread.
    pub thread: Option<u32>,
    /// The file it is about: of a rename the old name.
    pub file: Option<File>,
    /// Of a rename the new name, of a link what it points to, of a mount what was mounted.
    pub other_file: Option<File>,
    /// The ends of a connection, or of one message.
    pub talk: Option<Talk>,
    /// A question to a DNS server, or its answer.
    pub dns: Option<Dns>,
    /// Bytes of memory, and the protection that was asked for.
    pub memory: Option<(u64, Option<u64>)>,
    /// What else a row is.
    pub more: More,
}

impl Facts {
    /// What the row is of.
    pub(super) fn shown_as(&self) -> Act {
        if matches!(self.more, More::Finding(_)) { Act::Finding } else { self.act }
    }

    /// Whether a file has another name now.
    pub(super) fn is_renamed(&self) -> bool {
        self.act == Act::Rename && self.outcome != Outcome::Failure
    }

    /// Gives an interrupted call the time and the result of its continuation.
    pub fn ended_as(&mut self, end: Self) {
        self.moment = end.moment;
        self.time = end.time;
        self.boot = end.boot;
        self.duration = None;
        (self.outcome, self.ret, self.error) = (end.outcome, end.ret, end.error);
    }
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has none.
    None,
    /// As it was to.
    Success,
    /// With an error.
    Failure,
    /// Not known, or not yet.
    Unknown,
}

/// What an event's row does not have.
#[derive(Debug, Clone)]
pub enum More {
    /// Nothing.
    Nothing,
    /// The end of a process, which has an exit code or was killed by a signal.
    End {
        /// The exit code.
        code: Option<i64>,
        /// The signal.
        signal: Option<Safe>,
    },
    /// A finding, or a rule's hit.
    Finding(Box<Finding>),
    /// Lost events.
    Loss {
        /// How many, where that is known.
        count: Option<u64>,
        /// Why.
        cause: &'static str,
        /// From and to, RFC 3339 and milliseconds since 1970.
        span: [Option<(Safe, i64)>; 2],
    },
    /// Bytes that were written to a container's output.
    Output {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// What of it was recorded.
        text: Safe,
        /// Bytes that were recorded.
        kept: u64,
        /// Bytes that were not.
        missing: u64,
    },
}

/// Something that somebody should look at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is called.
    pub title: Safe,
    /// What it says.
    pub detail: Safe,
    /// The rule, where a rule found it.
    pub rule: Option<Safe>,
    /// Its tags.
    pub tags: Vec<Safe>,
    /// Techniques of MITRE ATT&CK: `T1059` or `T1059.004`.
    pub techniques: Vec<Safe>,
    /// OCSF's severity: 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal.
    pub severity: u32,
    /// The severity in its own word.
    pub word: &'static str,
}

/// The machine.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: Option<Safe>,
    /// Its kernel's release.
    pub kernel: Option<Safe>,
    /// The store in hexadecimal: what ids are unique in.
    pub store: Safe,
    /// The recorder's version.
    pub recorder: Option<Safe>,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    /// The recorder's number of it.
    pub uid: u64,
    /// Its id.
    pub id: Option<Safe>,
    /// Its name.
    pub name: Option<Safe>,
    /// Its image.
    pub image: Option<Safe>,
    /// The image's id by its engine.
    pub image_id: Option<Safe>,
    /// The image's digest.
    pub image_digest: Option<Safe>,
    /// The engine.
    pub engine: Option<&'static str>,
    /// The pod.
    pub pod: Option<Safe>,
    /// The pod's namespace.
    pub namespace: Option<Safe>,
    /// The pod's uid.
    pub pod_uid: Option<Safe>,
}

/// A process at one moment.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Its id, as the host sees it.
    pub pid: u32,
    /// Its id in its own pid namespace.
    pub vpid: Option<u32>,
    /// Tells it from every other of the store.
    pub id: Option<Safe>,
    /// When it began, RFC 3339 and milliseconds since 1970.
    pub start: Option<(Safe, i64)>,
    /// Its name.
    pub name: Option<Safe>,
    /// What it runs: the kernel's path.
    pub executable: Option<File>,
    /// Arguments; empty where none were recorded.
    pub args: Vec<Safe>,
    /// The arguments were cut.
    pub args_cut: bool,
    /// The arguments as one line.
    pub command_line: Option<Safe>,
    /// Its working directory.
    pub working_directory: Option<Safe>,
    /// Effective user id.
    pub user: Option<u32>,
    /// Its parent, without its own.
    pub parent: Option<Box<Self>>,
}

/// A file.
#[derive(Debug, Clone)]
pub struct File {
    /// The path.
    pub path: Safe,
    /// Its last part.
    pub name: Safe,
    /// What precedes that.
    pub directory: Option<Safe>,
    /// SHA-256 in hexadecimal.
    pub sha256: Option<Safe>,
}

/// The ends of a connection.
#[derive(Debug, Clone)]
pub struct Talk {
    /// Who began; of a datagram on a socket without a peer, who sent it.
    pub source: Option<Endpoint>,
    /// The other one; of a socket that waits, its own address.
    pub destination: Option<Endpoint>,
    /// `tcp`, `udp`, `sctp`, `icmp`, `ipv6-icmp`.
    pub transport: Option<&'static str>,
    /// Whether the peer began; `None` where it is not known.
    pub inbound: Option<bool>,
    /// Bytes moved.
    pub bytes: Option<u64>,
}

/// One end.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address as it is written: of a Unix socket its path.
    pub address: Safe,
    /// The IP address.
    pub ip: Option<std::net::IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

/// A DNS message.
#[derive(Debug, Clone)]
pub struct Dns {
    /// The question's number.
    pub id: Option<u16>,
    /// It is an answer.
    pub is_answer: bool,
    /// The name asked for.
    pub name: Option<Safe>,
    /// What of it: `A`, `AAAA`, ..., or the number.
    pub kind: Safe,
    /// The answer's code.
    pub code: Option<u8>,
    /// Addresses in the answer.
    pub addresses: Vec<std::net::IpAddr>,
}

/// The technique of a technique's id: what precedes the point of a sub-technique.
pub(super) fn technique(id: &Safe) -> Safe {
    let technique = id.as_str().split('.').next().unwrap_or_default();
    Safe::format(format_args!("{technique}"))
}

/// Whether a rule's tag is a technique's id: `T1059`, `T1059.004`.
pub fn is_technique(tag: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = tag.strip_prefix('T') else { return false };
    match rest.split_once('.') {
        Some((technique, below)) => digits(technique, 4) && digits(below, 3),
        None => digits(rest, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_told_from_other_tags() {
        for (tag, wanted) in
            [("T1059", true), ("T1059.004", true), ("T1059.04", false), ("mitre_T1059", false)]
        {
            assert_eq!(is_technique(tag), wanted, "{tag}");
        }
        assert_eq!(technique(&Safe::literal("T1059.004")).as_str(), "T1059");
        assert_eq!(technique(&Safe::literal("T1105")).as_str(), "T1105");
    }
}
