//! An event as the API tells it: the members that `afterimage show` has.

use afterimage_detect::Tracker;
use afterimage_detect::facts::Facts as _;
use afterimage_format::{ContainerRecord, ContainerUid, Event};
use afterimage_model::{class, describe, event_name, text::escape};
use serde_json::{Value, json};

use crate::trigger::outcome::Instant;

/// An event in one line of JSON.
pub fn event(
    uid: ContainerUid,
    record: Option<&ContainerRecord>,
    event: &Event<'_>,
    tracker: &Tracker,
    wall: Option<i64>,
) -> Value {
    let comm = tracker.process(event.task).and_then(|process| process.comm);
    json!({
        "kind": "event",
        "time": wall.map(|wall| Instant(wall).to_string()),
        "boot_ns": event.time.0.to_string(),
        "container": record.map(|record| escape(&record.id).into_string()),
        "container_uid": uid.0,
        "pid": event.task.tgid,
        "tid": event.task.tid,
        "process": comm.map(|comm| escape(comm).into_string()),
        "event": escape(event_name(event.code).as_bytes()).as_str(),
        "class": class::classify(event).as_str(),
        "detail": describe::detail(event, None).as_str(),
        "result": describe::result(event).as_str(),
        "ret": event.ret,
    })
}
