//! `GET /v1/status`.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Api;
use crate::{
    cost,
    http::reply::{self, Reply},
    privilege::Role,
    trigger::outcome::Instant,
};

impl Api {
    /// The recorder's own processes.
    fn processes(&self) -> Value {
        let cpu = |role| cost::cpu_time(self.process_of(role)).map(|time| time.as_secs_f64());
        let own = json!({
            "role": Role::Capture.as_str(),
            "pid": std::process::id(),
            "running": true,
            "cpu_seconds": cpu(Role::Capture),
            "resident_bytes": self.shared.resident(),
        });
        let others = [Role::Spawner, Role::Metadata, Role::Control].map(|role| {
            let seen = self.helpers.of(role).seen();
            json!({
                "role": role.as_str(),
                "pid": seen.pid,
                "running": seen.running,
                "restarts": seen.restarts,
                "rejected": seen.rejected,
                "cpu_seconds": cpu(role),
            })
        });
        let all = others.into_iter().filter(|other| other["pid"] != 0);
        std::iter::once(own).chain(all).collect()
    }

    pub(super) async fn status(&self) -> Reply {
        let engine = self.engine.ask(|engine| {
            let counts: Vec<Value> = engine
                .counts
                .iter()
                .map(|((source, state), count)| {
                    json!({ "source": source.as_str(), "result": state.as_str(), "count": count })
                })
                .collect();
            json!({
                "triggers": counts,
                "pins": engine.pins.all().count(),
                "containers_known": engine.directory.len(),
            })
        });
        let mut status = json!({
            "schema": 1,
            "kind": "status",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "store": afterimage_model::text::escape(self.store.as_os_str().as_encoded_bytes()).as_str(),
            "started": Instant(self.shared.started).to_string(),
            "uptime_seconds": self.shared.uptime().as_secs(),
            "ready": self.not_ready().is_none(),
            "not_ready": self.not_ready(),
            "recorder_silence_ms": self.shared.silence().as_millis() as u64,
            "triggers_waiting": self.engine.waiting(),
            "processes": self.processes(),
            "not_confined": self.helpers.refused(),
            "degraded": self.shared.degraded,
        });
        if let Some(figures) = self.shared.figures() {
            let (kernel, own) = (&figures.status.kernel, &figures.status);
            status["recording"] = json!({
                "profile": format!("{:?}", figures.profile).to_lowercase(),
                "host": format!("{:?}", figures.host).to_lowercase(),
                "containers": own.containers,
                "events": own.sink.stored,
                "events_per_second": figures.rate,
                "bytes": own.bytes,
                "filtered": kernel.filtered + own.sink.filtered,
                "unattributed": own.sink.unattributed,
                "lost": own.lost(),
                "ring_fill_ratio": own.ring_fill,
                "lost_data_ring": kernel.lost_data,
                "lost_control_ring": kernel.lost_control,
                "throttled": kernel.throttled,
                "malformed": own.malformed,
                "processes_not_recorded": own.unseen,
                "calls_in_progress_not_recorded": own.calls_unseen,
                "maps_changed_by_others": own.maps_changed,
                "runtime_processes_not_followed": kernel.unmarked,
                "metadata_left_out": own.unread,
                "refused_by_store": own.sink.refused,
                "secrets_masked": own.sink.redacted,
            });
            status["space"] = json!({
                "used": own.store.used,
                "budget": own.store.budget,
                "pinned": own.store.pinned,
                "free": own.store.free,
                "stage": own.store.space.as_str(),
                "evicted_events": own.store.evicted_events,
                "moved_bytes": own.store.moved_bytes,
                "pins_ended_early": own.store.pins_closed,
                "oldest_seconds": own.store.reach.map(|reach| reach / 1_000_000_000),
            });
        }
        match engine.await {
            Ok(Value::Object(engine)) => {
                if let Value::Object(status) = &mut status {
                    status.extend(engine);
                }
            }
            Ok(_) => {}
            Err(error) => status["engine"] = error.to_string().into(),
        }
        reply::json(StatusCode::OK, &status)
    }
}
