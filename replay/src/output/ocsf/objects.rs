//! OCSF's objects.

use afterimage_model::{dns, text::Safe};

use crate::output::{
    document::Document,
    facts::{Container, Dns, Endpoint, Facts, File, Outcome, Process},
};

/// A container; an image needs an id.
pub(super) fn container(container: &Container) -> Document {
    let mut inner = Document::default();
    inner.set("uid", container.id.clone());
    inner.set("name", container.name.clone());
    if let Some(id) = container.image_id.as_ref().or(container.image_digest.as_ref()) {
        inner.set("image.uid", id.clone());
        inner.set("image.name", container.image.clone());
    }
    inner.set("runtime", container.engine);
    inner.set("orchestrator", container.pod.as_ref().map(|_| "kubernetes"));
    inner.set("pod_uuid", container.pod_uid.clone().filter(|uid| is_uuid(uid.as_str())));
    inner
}

fn is_uuid(text: &str) -> bool {
    let dash = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// A process with its parent; `runs` the thread of the event.
pub(super) fn whole(process: &Process, facts: &Facts, runs: bool) -> Document {
    let mut inner = alone(process);
    inner.set("ptid", facts.thread.filter(|_| runs));
    if let Some(parent) = &process.parent {
        inner.nest("parent_process", alone(parent));
    }
    inner
}

fn alone(process: &Process) -> Document {
    let mut inner = Document::default();
    inner.set("pid", process.pid);
    inner.set("namespace_pid", process.vpid);
    inner.set("uid", process.id.clone());
    inner.set("created_time", process.start.as_ref().map(|(_, at)| *at));
    inner.set("name", process.name.clone());
    inner.set("cmd_line", process.command_line.clone());
    inner.set("working_directory", process.working_directory.clone());
    if let Some(File { path, name, .. }) = &process.executable {
        inner.set("file.path", path.clone());
        inner.set("file.name", name.clone());
        inner.set("file.type_id", 1_u32);
    }
    inner.set("user.uid", process.user.map(|user| Safe::format(format_args!("{user}"))));
    inner
}

/// A file; of most it is not known what kind of file it is.
pub(super) fn file(file: &File, facts: &Facts) -> Document {
    const UNKNOWN: u32 = 0;
    const FOLDER: u32 = 2;
    const LINK: u32 = 7;
    let mut inner = Document::default();
    inner.set("name", file.name.clone());
    inner.set("path", file.path.clone());
    inner.set("parent_folder", file.directory.clone());
    let is_done = facts.outcome == Outcome::Success;
    inner.set(
        "type_id",
        match facts.action.as_str() {
            "mkdir" | "mkdirat" | "rmdir" if is_done => FOLDER,
            "symlink" | "symlinkat" if is_done => LINK,
            _ => UNKNOWN,
        },
    );
    if let Some(hash) = &file.sha256 {
        let mut fingerprint = Document::default();
        fingerprint.set("algorithm_id", 3_u32);
        fingerprint.set("value", hash.clone());
        inner.list("hashes", [fingerprint]);
    }
    inner
}

/// An end of a connection.
pub(super) fn endpoint(end: &Endpoint) -> Document {
    let mut inner = Document::default();
    match end.ip {
        Some(ip) => inner.set("ip", Safe::format(format_args!("{ip}"))),
        None => inner.set("name", end.address.clone()),
    }
    inner.set("port", end.port);
    inner
}

/// The members of a DNS message.
pub(super) fn dns(row: &mut Document, message: &Dns, facts: &Facts) {
    const UNASSIGNED: u32 = 24;
    if let Some(name) = &message.name {
        row.set("query.hostname", name.clone());
        row.set("query.type", message.kind.clone());
        row.set("query.packet_uid", message.id.map(u32::from));
    }
    let code = message.code;
    row.set("rcode_id", code.map(|code| dns::code_name(code).map_or(UNASSIGNED, |_| code.into())));
    let answers = message.addresses.iter().map(|ip| {
        let mut answer = Document::default();
        answer.set("rdata", Safe::format(format_args!("{ip}")));
        answer.set("type", if ip.is_ipv6() { "AAAA" } else { "A" });
        answer
    });
    row.list("answers", answers);
    let time = facts.time.map(|time| time.div_euclid(1_000_000));
    row.set(if message.is_answer { "response_time" } else { "query_time" }, time);
}

/// A rule's tag: the schema has pairs.
pub(super) fn tag(name: &Safe) -> Document {
    let mut tag = Document::default();
    tag.set("name", "tag");
    tag.set("value", name.clone());
    tag
}
