//! Rows in the Open Cybersecurity Schema Framework: one JSON object in a line. See <https://schema.ocsf.io/1.8.0/>. What its
//! classes have no attribute for is in `unmapped`.

mod objects;

use afterimage_model::text::Safe;
use serde_json::Value;

use super::{
    document::Document,
    facts::{Facts, Finding, More, Outcome, Talk},
    taxonomy::{self, Act, Ocsf},
};

/// The version of the schema that rows follow.
const VERSION: &str = "1.8.0";

/// A row; nothing where no clock reading tells its time of the day.
pub(super) fn row(facts: &Facts, message: Safe, number: u64) -> Option<Value> {
    let (moment, time) = (facts.moment.clone()?, facts.time?);
    let ocsf = class(facts);
    let mut row = Document::default();
    row.set("activity_id", ocsf.activity);
    let named = ocsf.activity == taxonomy::OTHER;
    row.set("activity_name", named.then(|| facts.action.clone()));
    row.set("category_uid", ocsf.category());
    row.set("class_uid", ocsf.class);
    row.set("type_uid", ocsf.type_uid());
    row.set("time", time.div_euclid(1_000_000));
    row.set("severity_id", severity(facts));
    row.set("message", message);
    // A finding's status is what became of it, which its reader knows.
    if ocsf.class != taxonomy::FINDING {
        row.set("status_id", status(facts.outcome));
        row.set("status_code", facts.error);
    }
    metadata(&mut row, facts, moment, number);
    row.nest("device", device(facts));
    subject(&mut row, facts, ocsf);
    unmapped(&mut row, facts);
    Some(row.into_value())
}

/// The class and activity, as far as the row has what the class requires: a call of which it is not known is still a call.
fn class(facts: &Facts) -> Ocsf {
    let ocsf = facts.shown_as().ocsf();
    let lacks = match ocsf.class {
        taxonomy::FILE => facts.file.is_none(),
        taxonomy::NETWORK => facts.talk.is_none(),
        taxonomy::DNS => facts.talk.is_none() && facts.host.name.is_none(),
        taxonomy::MEMORY | taxonomy::PROCESS => facts.process.is_none(),
        _ => false,
    };
    if lacks {
        let activity = if facts.ret.is_some() { taxonomy::INVOKE } else { taxonomy::OTHER };
        return Ocsf { class: taxonomy::KERNEL, activity };
    }
    match (facts.shown_as(), facts.error) {
        (Act::Connect, Some("ECONNREFUSED")) => Ocsf { activity: taxonomy::REFUSE, ..ocsf },
        (Act::Connect, _) if facts.outcome == Outcome::Failure => Ocsf { activity: taxonomy::FAIL, ..ocsf },
        _ => ocsf,
    }
}

fn severity(facts: &Facts) -> u32 {
    const INFORMATIONAL: u32 = 1;
    const MEDIUM: u32 = 3;
    match &facts.more {
        More::Finding(finding) => finding.severity,
        More::Loss { .. } => MEDIUM,
        _ => INFORMATIONAL,
    }
}

fn status(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::None | Outcome::Unknown => 0,
        Outcome::Success => 1,
        Outcome::Failure => 2,
    }
}

fn metadata(row: &mut Document, facts: &Facts, moment: Safe, number: u64) {
    row.set("metadata.version", VERSION);
    row.set("metadata.product.name", "afterimage");
    row.set("metadata.product.vendor_name", "afterimage");
    row.set("metadata.product.version", facts.host.recorder.clone());
    row.list("metadata.profiles", ["host", "container"]);
    row.set("metadata.event_code", facts.action.clone());
    row.set("metadata.original_time", moment);
    row.set("metadata.sequence", number);
}

fn device(facts: &Facts) -> Document {
    let mut device = Document::default();
    // What kind of machine it is nobody asked.
    device.set("type_id", 0_u32);
    device.set("hostname", facts.host.name.clone());
    // An endpoint has a name or an id.
    device.set("uid", facts.host.name.is_none().then(|| facts.host.store.clone()));
    device.set("os.name", "Linux");
    device.set("os.type_id", 200_u32);
    device.set("os.kernel_release", facts.host.kernel.clone());
    if let Some(container) = &facts.container {
        device.nest("container", objects::container(container));
    }
    device
}

/// Who did it and to what.
fn subject(row: &mut Document, facts: &Facts, ocsf: Ocsf) {
    let process = facts.process.as_ref();
    if let More::Finding(finding) = &facts.more {
        self::finding(row, facts, finding);
        return;
    }
    let actor = facts.actor.as_ref().or(process);
    match actor {
        Some(actor) => row.nest("actor.process", objects::whole(actor, facts, facts.actor.is_none())),
        None => row.set("actor.app_name", "afterimage"),
    }
    if let Some(user) = actor.and_then(|actor| actor.user) {
        row.set("actor.user.uid", Safe::format(format_args!("{user}")));
    }
    match ocsf.class {
        taxonomy::FILE => {
            row.nest("file", facts.file.as_ref().map(|file| objects::file(file, facts)).unwrap_or_default());
            let result = facts.other_file.as_ref().filter(|_| facts.is_renamed());
            row.nest("file_result", result.map(|file| objects::file(file, facts)).unwrap_or_default());
        }
        taxonomy::PROCESS | taxonomy::MEMORY => {
            row.nest(
                "process",
                process.map(|process| objects::whole(process, facts, true)).unwrap_or_default(),
            );
        }
        taxonomy::NETWORK | taxonomy::DNS => ends(row, facts),
        taxonomy::KERNEL => kernel(row, facts),
        _ => {}
    }
    if let (taxonomy::DNS, Some(dns)) = (ocsf.class, &facts.dns) {
        objects::dns(row, dns, facts);
    }
    if let Some((size, protection)) = facts.memory.filter(|_| ocsf.class == taxonomy::MEMORY) {
        row.set("size", i64::try_from(size).ok());
        row.set("requested_permissions", protection.and_then(|bits| u32::try_from(bits).ok()));
    }
    match (&facts.more, facts.act) {
        (More::End { code, .. }, _) => row.set("exit_code", *code),
        (_, Act::Fork) => row.set("launch_type_id", 2_u32),
        (_, Act::Exec) => row.set("launch_type_id", 3_u32),
        _ => {}
    }
    if let More::Loss { cause, span: [from, to], .. } = &facts.more {
        row.set("log_name", "afterimage");
        row.set("status_detail", *cause);
        row.set("start_time", from.as_ref().map(|(_, at)| *at));
        row.set("end_time", to.as_ref().map(|(_, at)| *at));
    }
}

fn kernel(row: &mut Document, facts: &Facts) {
    let cgroup = matches!(facts.act, Act::MakeCgroup | Act::RemoveCgroup);
    let path = facts.file.as_ref().filter(|_| cgroup);
    let name = path.map_or_else(|| facts.action.clone(), |file| file.name.clone());
    row.set("kernel.name", name);
    row.set("kernel.path", path.map(|file| file.path.clone()));
    if facts.ret.is_some() {
        row.set("kernel.type_id", 2_u32);
        row.set("kernel.system_call", facts.action.clone());
    } else {
        row.set("kernel.type_id", taxonomy::OTHER);
        row.set("kernel.type", if cgroup { "cgroup" } else { "event" });
    }
}

fn ends(row: &mut Document, facts: &Facts) {
    let Some(Talk { source, destination, transport, inbound, bytes }) = &facts.talk else {
        // Who asked, where it is not known whom.
        row.set("src_endpoint.hostname", facts.host.name.clone());
        return;
    };
    for (name, end) in [("src_endpoint", source), ("dst_endpoint", destination)] {
        if let Some(end) = end {
            row.nest(name, objects::endpoint(end));
        }
    }
    let direction = match inbound {
        None => 0_u32,
        Some(true) => 1,
        Some(false) => 2,
    };
    row.set("connection_info.direction_id", direction);
    row.set("connection_info.protocol_name", *transport);
    let ip = destination.iter().chain(source).find_map(|end| end.ip);
    row.set("connection_info.protocol_ver_id", ip.map(|ip| if ip.is_ipv6() { 6_u32 } else { 4 }));
    row.set("traffic.bytes", *bytes);
}

fn finding(row: &mut Document, facts: &Facts, finding: &Finding) {
    let thread = facts.thread.unwrap_or(0);
    let uid = format_args!("{}-{}-{thread}-{}", facts.host.store, facts.boot, finding.title);
    row.set("finding_info.uid", Safe::format(uid));
    row.set("finding_info.title", finding.title.clone());
    row.set("finding_info.desc", finding.detail.clone());
    if let Some(rule) = &finding.rule {
        row.set("finding_info.analytic.name", rule.clone());
        row.set("finding_info.analytic.type_id", 1_u32);
    }
    row.list("finding_info.tags", finding.tags.iter().map(objects::tag));
    let attacks = finding.techniques.iter().map(|id| {
        let mut attack = Document::default();
        attack.set("technique.uid", super::facts::technique(id));
        let below = id.as_str().contains('.');
        attack.set("sub_technique.uid", below.then(|| id.clone()));
        attack
    });
    row.list("finding_info.attacks", attacks);
    row.set("is_alert", true);
    let mut evidence = Document::default();
    if let Some(process) = &facts.process {
        evidence.nest("process", objects::whole(process, facts, true));
    }
    if let Some(actor) = &facts.actor {
        evidence.nest("actor.process", objects::whole(actor, facts, false));
    }
    if let Some(file) = &facts.file {
        evidence.nest("file", objects::file(file, facts));
    }
    if let Some(talk) = &facts.talk {
        for (name, end) in [("src_endpoint", &talk.source), ("dst_endpoint", &talk.destination)] {
            evidence.nest(name, end.as_ref().map(objects::endpoint).unwrap_or_default());
        }
    }
    // What an alert of another system rests on is not recorded.
    row.list("evidences", (!evidence.is_empty()).then_some(evidence));
}

fn unmapped(row: &mut Document, facts: &Facts) {
    row.set("unmapped.boot_ns", facts.boot);
    row.set("unmapped.duration_ns", facts.duration);
    row.set("unmapped.result", facts.ret);
    if let Some(container) = &facts.container {
        row.set("unmapped.container_uid", container.uid);
        let lacks_image = container.image_id.is_none() && container.image_digest.is_none();
        row.set("unmapped.image", container.image.clone().filter(|_| lacks_image));
        row.set("unmapped.namespace", container.namespace.clone());
        row.set("unmapped.pod", container.pod.clone());
    }
    let has_result = facts.is_renamed() && facts.shown_as() != Act::Finding;
    row.set(
        "unmapped.other_path",
        facts.other_file.as_ref().filter(|_| !has_result).map(|file| file.path.clone()),
    );
    row.set("unmapped.args_cut", facts.process.as_ref().filter(|process| process.args_cut).map(|_| true));
    match &facts.more {
        More::Loss { count, .. } => row.set("unmapped.lost", *count),
        More::End { signal, .. } => row.set("unmapped.signal", signal.clone()),
        More::Finding(finding) => {
            row.set("unmapped.severity", finding.word);
            row.set("unmapped.error", facts.error);
        }
        More::Output { stream, kept, missing, .. } => {
            row.set("unmapped.stream", *stream);
            row.set("unmapped.bytes_kept", *kept);
            row.set("unmapped.bytes_missing", *missing);
        }
        More::Nothing => {}
    }
}
