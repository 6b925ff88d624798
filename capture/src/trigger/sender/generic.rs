//! Our own form, for scripts, people and senders without a format of their own.

use afterimage_detect::rules::Priority;
use serde::Deserialize;

use super::{
    super::{ActionKind, Hints, Scope, Source, Span, Trigger, Wish},
    BodyError, Parsed, from_str,
    lax::{Bounded, Lax, Moment, Names, parse_span, texts},
};
use crate::config::distance;

/// The members of a [`Request`].
pub(super) const MEMBERS: [&str; 26] = [
    "container",
    "container_id",
    "name",
    "namespace",
    "pod",
    "pod_container",
    "pid",
    "pid_start",
    "cgroup",
    "image",
    "reason",
    "rule",
    "source",
    "severity",
    "priority",
    "tags",
    "time",
    "id",
    "action",
    "before",
    "after",
    "until",
    "scope",
    "limit",
    "boost",
    "all",
];
/// Most unknown members that are named.
const NAMED: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    container: Lax,
    container_id: Lax,
    name: Lax,
    namespace: Lax,
    pod: Lax,
    pod_container: Lax,
    pid: Lax,
    pid_start: Moment,
    cgroup: Lax,
    image: Lax,
    reason: Lax,
    rule: Lax,
    source: Lax,
    severity: Lax,
    priority: Lax,
    tags: Bounded<Lax>,
    time: Moment,
    id: Lax,
    action: Lax,
    before: Lax,
    after: Lax,
    until: Lax,
    scope: Lax,
    limit: Lax,
    boost: Lax,
    all: Lax,
}

/// What to say of members that there are not. Where the form is surely ours, a slip is refused: it may be what was to be
/// pinned. What merely looks like ours may be of another sender, whose alert counts all the same.
fn strangers(text: &str, is_ours: bool) -> Result<Vec<String>, BodyError> {
    let Names(names) = from_str(text)?;
    let strangers = names.iter().filter(|name| !MEMBERS.contains(&name.as_str()));
    let notes: Vec<String> = strangers.take(NAMED).map(|name| stranger(name)).collect();
    match notes.first() {
        Some(first) if is_ours => Err(BodyError::Stranger(first.clone())),
        _ => Ok(notes),
    }
}

fn stranger(name: &str) -> String {
    /// As much of it is said.
    const SAID: usize = 64;
    let name: String = name.chars().take(SAID).collect();
    let nearest = MEMBERS.into_iter().min_by_key(|own| distance(&name, own));
    let meant = nearest.filter(|own| distance(&name, own) <= 2).map(|own| format!(": did you mean `{own}`?"));
    format!("there is no member `{name}`{}", meant.unwrap_or_default())
}

/// A severity as different tools say it.
pub(super) fn severity(text: &str) -> Priority {
    match text.to_ascii_lowercase().as_str() {
        "page" | "fatal" | "high" => Priority::Critical,
        "medium" | "warn" => Priority::Warning,
        "low" | "none" => Priority::Notice,
        other => Priority::parse(other).unwrap_or(Priority::Warning),
    }
}

pub(super) fn parse(text: &str, source: Source, is_ours: bool) -> Parsed {
    let notes = strangers(text, is_ours)?;
    let request: Request = from_str(text)?;
    let wish = Wish {
        action: word("action", request.action, "`pin`, `mark` or `ignore`", ActionKind::parse)?,
        before: word("before", request.before, "a duration such as `120s`, or `all`", parse_span)?,
        after: word("after", request.after, "a duration such as `60s`, or `exit`", parse_span)?.or(word(
            "until",
            request.until,
            "`exit`",
            |text| (text == "exit").then_some(Span::All),
        )?),
        scope: word(
            "scope",
            request.scope,
            "`container`, `pod`, `process_tree`, `neighbours` or `host`",
            Scope::parse,
        )?,
        limit: word("limit", request.limit, "a number of bytes", |text| text.parse().ok())?,
        boost: word("boost", request.boost, "`true` or `false`", |text| text.parse().ok())?,
        all: word("all", request.all, "`true` or `false`", |text| text.parse().ok())?.unwrap_or(false),
    };
    // `container` is what a person calls it: an id, the beginning of one, or a name.
    let id = request.container_id.take().or(request.container.take());
    let host = id.as_deref() == Some("host");
    let hints = Hints {
        uid: None,
        id: id.filter(|_| !host),
        name: request.name.take(),
        namespace: request.namespace.take(),
        pod: request.pod.take(),
        pod_container: request.pod_container.take(),
        pid: word("pid", request.pid, "a process id", |text| text.parse().ok())?,
        pid_start: request.pid_start.strict("pid_start")?,
        cgroup: request.cgroup.take(),
        image: request.image.take(),
        host,
    };
    if hints.is_empty() {
        return Err(BodyError::NoContainer);
    }
    let sender = request.source.take();
    let reason = request.reason.take();
    let rule = request.rule.take().or_else(|| sender.clone()).unwrap_or_else(|| source.as_str().to_owned());
    Ok(vec![Trigger {
        notes,
        source,
        rule,
        priority: severity(&request.severity.take().or(request.priority.take()).unwrap_or_default()),
        tags: texts(request.tags),
        time: request.time.strict("time")?,
        hints,
        fingerprint: request.id.take().map(|id| format!("{}#{id}", sender.unwrap_or_default())),
        resolved: false,
        routine: false,
        wish,
        reason: reason.unwrap_or_default(),
    }])
}

/// A member that must be one of some words: a slip must not pin something else than was meant.
fn word<T>(
    member: &'static str,
    value: Lax,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BodyError> {
    let Some(text) = value.take() else { return Ok(None) };
    match read(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(BodyError::Member { member, found: format!("`{text}`"), expected }),
    }
}
