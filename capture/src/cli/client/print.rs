//! Answers of the recorder as text. Much in them comes from alerts and containers, and is escaped.

use std::fmt::Write as _;

use afterimage_model::text::escape;
use serde_json::Value;

/// Text that may come from outside.
pub(super) fn safe(text: &str) -> String {
    escape(text.as_bytes()).into_string()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => safe(text),
        other => safe(&other.to_string()),
    }
}

/// A time to the millisecond.
fn time(value: &Value) -> String {
    let text = text(value);
    match text.split_once('.') {
        Some((whole, part)) if part.len() > 3 => format!("{whole}.{}Z", &part[..3]),
        _ => text,
    }
}

/// `status`.
pub(super) fn status(status: &Value) -> String {
    let mut out = String::new();
    let ready = match status["not_ready"].as_str() {
        None => "recording".to_owned(),
        Some(why) => format!("NOT READY: {}", safe(why)),
    };
    let _ = writeln!(out, "{ready}, version {}, pid {}", text(&status["version"]), text(&status["pid"]));
    let _ = writeln!(out, "store      {}, since {}", text(&status["store"]), time(&status["started"]));
    let recording = &status["recording"];
    if recording.is_object() {
        let of = |key: &str| text(&recording[key]);
        let _ = writeln!(out, "keeps      {} of containers, {} of the host", of("profile"), of("host"));
        let _ = writeln!(
            out,
            "events     {} ({} a second), {} bytes",
            of("events"),
            of("events_per_second"),
            of("bytes")
        );
        let _ = writeln!(
            out,
            "lost       {} (data ring {}, control ring {}, throttled {}, malformed {}, refused by the store {}, \
             processes that were there {})",
            of("lost"),
            of("lost_data_ring"),
            of("lost_control_ring"),
            of("throttled"),
            of("malformed"),
            of("refused_by_store"),
            of("processes_not_recorded"),
        );
        tampering(&mut out, recording);
        let _ = writeln!(
            out,
            "containers {} living, {} known; {} events unattributed",
            of("containers"),
            text(&status["containers_known"]),
            of("unattributed"),
        );
    }
    let space = &status["space"];
    if space.is_object() {
        let of = |key: &str| text(&space[key]);
        let budget = if space["budget"] == 0 { "no limit".to_owned() } else { of("budget") };
        let _ = writeln!(
            out,
            "space      {} bytes of {budget}, {} pinned; disk space {}; {} events evicted",
            of("used"),
            of("pinned"),
            of("stage"),
            of("evicted_events"),
        );
        if let Some(seconds) = space["oldest_seconds"].as_u64() {
            let days = seconds / 86_400;
            let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
            let _ = writeln!(out, "reaches    {days}d {hours:02}:{minutes:02}:{seconds:02} back");
        }
    }
    for reason in status["degraded"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "less       {}", text(reason));
    }
    for reason in status["not_confined"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "unconfined {}", text(reason));
    }
    for process in status["processes"].as_array().into_iter().flatten() {
        if process["running"] == false || process["restarts"].as_u64().is_some_and(|times| times > 0) {
            let state = if process["running"] == false { "not running" } else { "running" };
            let (role, restarts) = (text(&process["role"]), text(&process["restarts"]));
            let _ = writeln!(out, "process    {role} {state}, started anew {restarts} times");
        }
    }
    costs(&mut out, status);
    let _ = writeln!(out, "pins       {}", text(&status["pins"]));
    for count in status["triggers"].as_array().into_iter().flatten() {
        let (source, result) = (text(&count["source"]), text(&count["result"]));
        let _ = writeln!(out, "triggers   {} {result} from {source}", text(&count["count"]));
    }
    out
}

/// What the recorder's processes took, where that is told.
fn costs(out: &mut String, status: &Value) {
    let processes = status["processes"].as_array().map_or(&[][..], Vec::as_slice);
    let times: Vec<f64> = processes.iter().filter_map(|process| process["cpu_seconds"].as_f64()).collect();
    let uptime = status["uptime_seconds"].as_f64().filter(|seconds| *seconds >= 1.0);
    if times.is_empty() {
        return;
    }
    let total: f64 = times.iter().sum();
    let _ = write!(out, "costs      {total:.1} s of CPU");
    if let Some(uptime) = uptime {
        let _ = write!(out, ", {:.2} % of one", total / uptime * 100.0);
    }
    let resident = processes.iter().find_map(|process| process["resident_bytes"].as_u64());
    if let Some(bytes) = resident {
        let _ = write!(out, "; {} MiB resident", bytes >> 20);
    }
    out.push('\n');
}

/// That others changed the recorder's maps, where they did.
fn tampering(out: &mut String, recording: &Value) {
    if let Some(count) = recording["maps_changed_by_others"].as_u64().filter(|count| *count > 0) {
        let _ =
            writeln!(out, "tampering  others changed the recorder's eBPF maps {count} times: see the gaps");
    }
}

/// An event of `tail`.
pub(super) fn event(event: &Value) -> String {
    let of = |key: &str| text(&event[key]);
    if event["kind"] != "event" {
        return format!("... {} events left out: they came too fast\n", of("count"));
    }
    let container: String = of("container").chars().take(12).collect();
    let (time, process, result) = (time(&event["time"]), of("process"), of("result"));
    format!("{time} {container:12} {process}/{} {} {} {result}\n", of("tid"), of("event"), of("detail"))
}

/// What became of triggers.
pub(super) fn outcomes(answer: &Value) -> String {
    let mut out = String::new();
    for outcome in answer["triggers"].as_array().into_iter().flatten() {
        if let Some(id) = outcome.as_str() {
            let _ = writeln!(out, "{} queued", safe(id));
            continue;
        }
        let rule = text(&outcome["rule"]);
        let _ = writeln!(
            out,
            "{} {} {} {} at {}",
            text(&outcome["id"]),
            text(&outcome["state"]),
            text(&outcome["source"]),
            if rule.is_empty() { "-".to_owned() } else { format!("\"{rule}\"") },
            time(&outcome["time"]),
        );
        for covered in outcome["containers"].as_array().into_iter().flatten() {
            container(&mut out, covered);
        }
        let none = outcome["containers"].as_array().is_none_or(Vec::is_empty);
        match outcome["state"].as_str() {
            Some("queued") if none => {
                out.push_str("  no container matches so far: tried again for ten seconds after it came; `trigger --list` tells\n");
            }
            // Of several that match, a note tells.
            Some("unmatched") if none && outcome["warnings"].as_array().is_none_or(Vec::is_empty) => {
                out.push_str("  no container matches\n");
            }
            _ => {}
        }
        for warning in outcome["warnings"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  note: {}", text(warning));
        }
        if let Some(earlier) = outcome["duplicate_of"].as_str() {
            let _ = writeln!(out, "  the same as {}", safe(earlier));
        }
    }
    out
}

fn container(out: &mut String, covered: &Value) {
    let id = text(&covered["container"]);
    let short: String = id.chars().take(12).collect();
    let name = covered["name"].as_str().map(|name| format!(" ({})", safe(name))).unwrap_or_default();
    let _ = write!(out, "  {short}{name} {}", text(&covered["state"]));
    if let Some(pin) = covered["pin"].as_str() {
        let to = match &covered["to"] {
            Value::Null => "its end".to_owned(),
            to => time(to),
        };
        let _ = write!(out, ": {} from {} to {to}", safe(pin), time(&covered["from"]));
        if covered["extended"] == true {
            out.push_str(", extended");
        }
    }
    out.push_str(if covered["complete"] == true { ", complete\n" } else { ", INCOMPLETE\n" });
    for missing in covered["missing"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "    {}", text(missing));
    }
    for gap in covered["gaps"].as_array().into_iter().flatten() {
        let count = gap["count"].as_u64().map_or("events".to_owned(), |count| format!("{count} events"));
        let whose = if gap["own"] == true { "" } else { ", of any container" };
        let _ = writeln!(
            out,
            "    {count} lost from {} to {}: {}{whose}",
            time(&gap["from"]),
            time(&gap["to"]),
            text(&gap["cause"]),
        );
    }
}

/// `pin --list`.
pub(super) fn pins(list: &Value) -> String {
    let mut out = String::new();
    for pin in list["pins"].as_array().into_iter().flatten() {
        let short: String = text(&pin["container"]).chars().take(12).collect();
        let to = match &pin["to"] {
            Value::Null => "its end".to_owned(),
            to => time(to),
        };
        let _ = writeln!(
            out,
            "{} {short} from {} to {to} by {} \"{}\" {}",
            text(&pin["id"]),
            time(&pin["from"]),
            text(&pin["source"]),
            text(&pin["rule"]),
            text(&pin["reason"]),
        );
    }
    out
}

/// `reload`.
pub(super) fn reloaded(answer: &Value) -> String {
    let keys = |value: &Value| {
        let keys: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
        if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
    };
    let mut out = format!("applied: {}\n", keys(&answer["applied"]));
    if answer["restart"].as_array().is_some_and(|keys| !keys.is_empty()) {
        let _ = writeln!(out, "needs a restart: {}", keys(&answer["restart"]));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_says_what_is_missing_and_which_process_had_to_be_replaced() {
        let told = json!({
            "uptime_seconds": 1000,
            "degraded": ["kernel has no `mount::mnt_ns`", "a\u{1b}[31m"],
            "not_confined": ["no Landlock"],
            "processes": [
                { "role": "capture", "pid": 1, "running": true, "cpu_seconds": 3.25, "resident_bytes": 88_080_384 },
                { "role": "metadata", "pid": 2, "running": true, "restarts": 3, "cpu_seconds": 0.75 },
                { "role": "control", "pid": 3, "running": false, "restarts": 0 },
            ],
            "recording": { "lost": 7, "processes_not_recorded": 7 },
        });
        let text = status(&told);
        let has = |line: &str| assert!(text.lines().any(|own| own == line), "no `{line}` in {text}");
        has("less       kernel has no `mount::mnt_ns`");
        has("less       a\\x1b[31m");
        has("unconfined no Landlock");
        has("costs      4.0 s of CPU, 0.40 % of one; 84 MiB resident");
        has("process    metadata running, started anew 3 times");
        has("process    control not running, started anew 0 times");
        assert!(text.contains("lost       7 (") && text.contains("processes that were there 7)"), "{text}");
        assert!(!text.contains("process    capture"), "{text}");
    }
}
