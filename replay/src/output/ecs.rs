//! Rows in the Elastic Common Schema: one JSON object in a line, its members nested. See
//! <https://www.elastic.co/docs/reference/ecs>. What ECS has no field for is in `afterimage`.

use afterimage_model::{dns, text::Safe};
use serde_json::Value;

use super::{
    Machine,
    document::Document,
    facts::{Container, Dns, Endpoint, Facts, File, Finding, More, Outcome, Process, Talk},
};

/// The version of the schema that rows follow.
const VERSION: &str = "8.17.0";

/// A row; nothing where no clock reading tells its time of the day.
pub(super) fn row(facts: &Facts, message: Safe, number: u64, kind: &'static str) -> Option<Value> {
    let moment = facts.moment.clone()?;
    let mut row = Document::default();
    row.set("@timestamp", moment);
    row.set("ecs.version", VERSION);
    row.set("message", message);
    event(&mut row, facts, number, kind);
    row.set("host.name", facts.host.name.clone());
    row.set("host.os.type", "linux");
    row.set("host.os.kernel", facts.host.kernel.clone());
    if let Some(container) = &facts.container {
        self::container(&mut row, container);
    }
    if let Some(process) = &facts.process {
        let mut inner = self::process(process);
        inner.set("thread.id", facts.thread);
        if let Some(parent) = &process.parent {
            inner.nest("parent", self::process(parent));
        }
        more_of_process(&mut inner, &facts.more);
        row.nest("process", inner);
        row.set("user.id", process.user.map(number_as_text));
    }
    files(&mut row, facts);
    if let Some(talk) = &facts.talk {
        self::talk(&mut row, talk);
    }
    if let Some(dns) = &facts.dns {
        self::dns(&mut row, dns);
    }
    row.set("error.code", facts.error);
    match &facts.more {
        More::Finding(finding) => self::finding(&mut row, finding),
        More::Loss { count, cause, span: [from, to] } => {
            row.set("error.message", *cause);
            row.set("event.start", from.as_ref().map(|(at, _)| at.clone()));
            row.set("event.end", to.as_ref().map(|(at, _)| at.clone()));
            row.set("afterimage.lost", *count);
        }
        More::End { signal, .. } => row.set("afterimage.signal", signal.clone()),
        More::Output { .. } | More::Nothing => {}
    }
    row.set("afterimage.boot_ns", facts.boot);
    row.set("afterimage.container_uid", facts.container.as_ref().map(|container| container.uid));
    row.set("afterimage.result", facts.ret);
    row.set("afterimage.args_cut", facts.process.as_ref().filter(|process| process.args_cut).map(|_| true));
    Some(row.into_value())
}

fn event(row: &mut Document, facts: &Facts, number: u64, kind: &'static str) {
    let ecs = facts.shown_as().ecs();
    row.set("event.kind", ecs.kind);
    row.list("event.category", ecs.category.iter().copied());
    row.list("event.type", ecs.types.iter().copied());
    row.set("event.action", facts.action.clone());
    row.set(
        "event.outcome",
        match facts.outcome {
            Outcome::None => None,
            Outcome::Success => Some("success"),
            Outcome::Failure => Some("failure"),
            Outcome::Unknown => Some("unknown"),
        },
    );
    row.set("event.duration", facts.duration);
    row.set("event.sequence", number);
    row.set("event.module", "afterimage");
    row.set("event.dataset", Safe::format(format_args!("afterimage.{kind}")));
}

fn container(row: &mut Document, container: &Container) {
    row.set("container.id", container.id.clone());
    row.set("container.name", container.name.clone());
    row.set("container.image.name", container.image.clone());
    row.list("container.image.hash.all", container.image_digest.clone());
    row.set("container.runtime", container.engine);
    if container.pod.is_some() || container.pod_uid.is_some() {
        row.set("orchestrator.type", "kubernetes");
        row.set("orchestrator.namespace", container.namespace.clone());
        row.set("orchestrator.resource.type", "pod");
        row.set("orchestrator.resource.name", container.pod.clone());
        row.set("orchestrator.resource.id", container.pod_uid.clone());
    }
}

fn process(process: &Process) -> Document {
    let mut inner = Document::default();
    inner.set("pid", process.pid);
    inner.set("vpid", process.vpid);
    inner.set("entity_id", process.id.clone());
    inner.set("start", process.start.as_ref().map(|(at, _)| at.clone()));
    inner.set("name", process.name.clone());
    inner.set("executable", process.executable.as_ref().map(|file| file.path.clone()));
    inner.list("args", process.args.iter().cloned());
    let count = u64::try_from(process.args.len()).ok().filter(|&count| count > 0 && !process.args_cut);
    inner.set("args_count", count);
    inner.set("command_line", process.command_line.clone());
    inner.set("working_directory", process.working_directory.clone());
    inner.set("user.id", process.user.map(number_as_text));
    inner
}

fn more_of_process(process: &mut Document, more: &More) {
    match more {
        More::End { code, .. } => process.set("exit_code", *code),
        More::Output { text, kept, missing, .. } => {
            process.set("io.text", text.clone());
            process.set("io.total_bytes_captured", *kept);
            process.set("io.total_bytes_skipped", *missing);
        }
        More::Nothing | More::Finding(_) | More::Loss { .. } => {}
    }
}

/// A rename's file is the new name, if it has it; what a symbolic link leads to has a field, other second files have none.
fn files(row: &mut Document, facts: &Facts) {
    let (file, other) = match (&facts.file, &facts.other_file) {
        (old, Some(new)) if facts.is_renamed() => (Some(new), old.as_ref()),
        (file, other) => (file.as_ref(), other.as_ref()),
    };
    if let Some(File { path, name, directory, sha256 }) = file {
        row.set("file.path", path.clone());
        row.set("file.name", name.clone());
        row.set("file.directory", directory.clone());
        row.set("file.hash.sha256", sha256.clone());
    }
    let symbolic = facts.action.as_str().starts_with("symlink");
    let place = if symbolic { "file.target_path" } else { "afterimage.other_path" };
    row.set(place, other.map(|file| file.path.clone()));
    row.set("file.type", (symbolic && facts.outcome == Outcome::Success).then_some("symlink"));
}

fn talk(row: &mut Document, talk: &Talk) {
    let ends = [("source", &talk.source), ("destination", &talk.destination)];
    for (name, end) in ends {
        if let Some(Endpoint { address, ip, port }) = end {
            let mut inner = Document::default();
            inner.set("address", address.clone());
            inner.set("ip", ip.map(|ip| Safe::format(format_args!("{ip}"))));
            inner.set("port", *port);
            row.nest(name, inner);
        }
    }
    let ip = talk.destination.iter().chain(&talk.source).find_map(|end| end.ip);
    row.set("network.type", ip.map(|ip| if ip.is_ipv6() { "ipv6" } else { "ipv4" }));
    row.set("network.transport", talk.transport);
    row.set("network.direction", talk.inbound.map(|inbound| if inbound { "ingress" } else { "egress" }));
    row.set("network.bytes", talk.bytes);
}

fn dns(row: &mut Document, message: &Dns) {
    row.set("network.protocol", "dns");
    row.set("dns.type", if message.is_answer { "answer" } else { "query" });
    row.set("dns.id", message.id.map(|id| number_as_text(id.into())));
    row.set("dns.question.name", message.name.clone());
    row.set("dns.question.type", message.kind.clone());
    row.set("dns.response_code", message.code.and_then(dns::code_name));
    row.list("dns.resolved_ip", message.addresses.iter().map(|ip| Safe::format(format_args!("{ip}"))));
}

fn finding(row: &mut Document, finding: &Finding) {
    row.set("event.severity", finding.severity);
    row.set("event.reason", finding.detail.clone());
    row.set("rule.name", finding.rule.clone().unwrap_or_else(|| finding.title.clone()));
    row.list("tags", finding.tags.iter().cloned());
    row.set("afterimage.severity", finding.word);
    if finding.techniques.is_empty() {
        return;
    }
    row.set("threat.framework", "MITRE ATT&CK");
    let mut techniques: Vec<Safe> = Vec::new();
    for technique in finding.techniques.iter().map(super::facts::technique) {
        if !techniques.contains(&technique) {
            techniques.push(technique);
        }
    }
    row.list("threat.technique.id", techniques);
    let below = finding.techniques.iter().filter(|id| id.as_str().contains('.'));
    row.list("threat.technique.subtechnique.id", below.cloned());
}

/// ECS has ids as keywords.
fn number_as_text(number: u32) -> Machine {
    Safe::format(format_args!("{number}")).into()
}
