//! The control API: versioned JSON, asked for by the control process, which serves it as HTTP on a unix socket.

mod containers;
mod live;
mod pins;
mod status;
mod submit;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyper::StatusCode;
use serde_json::json;

use super::{figures::Shared, link::Commands, reload::Reloader};
use crate::{
    cost,
    helpers::{control::Call, watch::Helpers},
    http::{
        query,
        reply::{self, Reply},
    },
    live::watch,
    metrics::{self, Scrape},
    privilege::Role,
    trigger::{engine::Handle, outcome::Outcome},
};

/// How old the recording thread's last word may be for the recorder to be healthy.
const ALIVE: Duration = Duration::from_secs(15);

/// The API's state.
pub struct Api {
    /// The recording thread's figures.
    pub shared: Arc<Shared>,
    /// The trigger engine.
    pub engine: Handle,
    /// The way to the recording thread.
    pub commands: Commands,
    /// Reads the configuration again.
    pub reloader: Arc<Reloader>,
    /// Where it keeps the recording.
    pub store: std::path::PathBuf,
    /// The recorder's other processes.
    pub helpers: Arc<Helpers>,
    /// Whoever looks on.
    pub watch: watch::Handle,
}

impl Api {
    /// Whether the recording thread goes on.
    pub fn is_alive(&self) -> bool {
        self.shared.silence() < ALIVE
    }

    /// Health, readiness and metrics: also served on TCP.
    async fn public(&self, path: &str, answers: BTreeMap<u16, u64>) -> Option<Reply> {
        match path {
            "/healthz" if self.is_alive() => Some(reply::text(StatusCode::OK, "ok\n".to_owned())),
            "/healthz" => {
                let silence = self.shared.silence().as_secs();
                let text = format!("the recording thread says nothing since {silence} seconds\n");
                Some(reply::text(StatusCode::SERVICE_UNAVAILABLE, text))
            }
            "/readyz" => Some(match self.not_ready() {
                None => reply::text(StatusCode::OK, "ok\n".to_owned()),
                Some(why) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }),
            "/metrics" => Some(reply::text_of(metrics::CONTENT_TYPE, self.scrape(answers).await.text())),
            _ => None,
        }
    }

    fn not_ready(&self) -> Option<&'static str> {
        let Some(figures) = self.shared.figures() else { return Some("recording has not begun") };
        if !self.is_alive() {
            return Some("the recording thread does not go on");
        }
        (figures.status.refusing).then_some("the store refuses events")
    }

    /// CPU time of the recorder's processes that run.
    fn cpu_times(&self) -> Vec<(Role, Duration)> {
        let all = [Role::Capture, Role::Metadata, Role::Control, Role::Spawner];
        all.into_iter().filter_map(|role| Some((role, cost::cpu_time(self.process_of(role))?))).collect()
    }

    /// The process of a role; 0 where there is none.
    fn process_of(&self, role: Role) -> i32 {
        if role == Role::Capture {
            return i32::try_from(std::process::id()).unwrap_or(0);
        }
        let seen = self.helpers.of(role).seen();
        if seen.running { seen.pid } else { 0 }
    }

    async fn scrape(&self, webhook: BTreeMap<u16, u64>) -> Scrape {
        let of_engine = self.engine.ask(|engine| {
            (
                engine.counts.clone(),
                engine.pins.all().count(),
                engine.unsafe_pins,
                engine.directory.len(),
                metrics::quantiles(engine.latencies.iter().copied()),
            )
        });
        let (triggers, pins, unsafe_pins, known, latency) = of_engine.await.unwrap_or_default();
        Scrape {
            cpu: self.cpu_times(),
            resident: self.shared.resident(),
            figures: self.shared.figures(),
            silence: self.shared.silence().as_secs_f64(),
            uptime: self.shared.uptime().as_secs_f64(),
            triggers,
            waiting: self.engine.waiting(),
            pins,
            unsafe_pins,
            known,
            latency,
            webhook,
            rules: Some(self.watch.figures()),
        }
    }

    /// Answers a call.
    pub async fn route(&self, call: Call) -> Reply {
        let Call { method, uri, from, body, answers } = call;
        let path = uri.split('?').next().unwrap_or_default();
        if let Some(reply) = self.public(path, answers.into_iter().collect()).await {
            return reply;
        }
        let members = query::members(&uri);
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        // What has no body is the server's to leave out; one who looks on reads lines.
        let method = if method == "HEAD" && parts != ["v1", "live"] { "GET" } else { method.as_str() };
        match (method, parts.as_slice()) {
            ("GET", ["v1", "status"]) => self.status().await,
            ("GET", ["v1", "containers"]) => self.containers(&members).await,
            ("PUT", ["v1", "containers", id, "profile"]) => self.profile(&query::decode(id), &body).await,
            ("GET", ["v1", "triggers"]) => self.triggers(&members).await,
            ("GET", ["v1", "triggers", id]) => self.trigger(id).await,
            ("GET", ["v1", "pins"]) => self.pins().await,
            ("DELETE", ["v1", "pins", id]) => self.unpin(id, &from).await,
            ("GET", ["v1", "live"]) => self.live(&members).await,
            ("POST", ["v1", "reload"]) => self.reload().await,
            ("GET", ["v1", "config"]) => reply::json(StatusCode::OK, &self.reloader.settings().to_json()),
            (
                _,
                [
                    "v1",
                    "status" | "containers" | "triggers" | "trigger" | "pins" | "live" | "reload" | "config",
                    ..,
                ],
            ) => reply::error(StatusCode::METHOD_NOT_ALLOWED, "not with this method"),
            _ => reply::error(StatusCode::NOT_FOUND, "no such path; see docs/operations.md"),
        }
    }

    async fn triggers(&self, members: &BTreeMap<String, String>) -> Reply {
        let limit = limit(members, 100);
        let state = members.get("state").cloned();
        let found = self.engine.ask(move |engine| {
            let wanted =
                |outcome: &&Outcome| state.as_deref().is_none_or(|state| outcome.state.as_str() == state);
            engine.outcomes.iter().rev().filter(wanted).take(limit).cloned().collect::<Vec<_>>()
        });
        match found.await {
            Ok(found) => {
                reply::json(StatusCode::OK, &json!({ "schema": 1, "kind": "triggers", "triggers": found }))
            }
            Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    async fn trigger(&self, id: &str) -> Reply {
        let id = id.to_owned();
        let found = self.engine.ask(move |engine| engine.outcomes.iter().rev().find(|o| o.id == id).cloned());
        match found.await {
            Ok(Some(found)) => {
                reply::json(StatusCode::OK, &json!({ "schema": 1, "kind": "trigger", "trigger": found }))
            }
            Ok(None) => reply::error(StatusCode::NOT_FOUND, "no such trigger is remembered"),
            Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    async fn reload(&self) -> Reply {
        match self.reloader.reload().await {
            Ok(done) => reply::json(
                StatusCode::OK,
                &json!({ "schema": 1, "kind": "reloaded", "applied": done.applied, "restart": done.restart }),
            ),
            Err(error) => reply::error(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        }
    }
}

/// How many to list.
fn limit(members: &BTreeMap<String, String>, usual: usize) -> usize {
    const MOST: usize = 100_000;
    members.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usual).min(MOST)
}
