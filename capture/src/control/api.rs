//! The control API: versioned JSON over HTTP on a unix socket.

mod containers;
mod live;
mod pins;
mod status;

use std::sync::Arc;

use hyper::{Method, Request, StatusCode, body::Incoming};
use serde_json::json;
use tracing::debug;

use super::{figures::Shared, link::Commands, peer::Allowed, reload::Reloader};
use crate::{
    helpers::watch::Helpers,
    http::{
        body::{self, Budget},
        query,
        reply::{self, Reply},
        serve::{Peer, Service},
    },
    live::watch,
    metrics::{self, Scrape},
    trigger::{Source, engine::Handle, outcome::Outcome},
    webhook::{self, SubmitError, Target, Webhook},
};

/// How old the recording thread's last word may be for the recorder to be healthy.
const ALIVE: std::time::Duration = std::time::Duration::from_secs(15);
/// Longest body of anything but a trigger.
const MAX_REQUEST: usize = 64 << 10;
/// Longest body of a trigger.
const MAX_TRIGGER: usize = 8 << 20;
/// What all bodies together may take while they come in.
const ALL_BODIES: usize = 32 << 20;
/// How long a person waits for what becomes of a trigger, unless told otherwise.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

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
    /// The webhook, where there is one.
    pub webhook: Option<Arc<Webhook>>,
    /// Who may use it.
    pub allowed: Allowed,
    /// Where it keeps the recording.
    pub store: std::path::PathBuf,
    /// The recorder's other processes.
    pub helpers: Arc<Helpers>,
    /// Whoever looks on.
    pub watch: watch::Handle,
    /// What bodies may take.
    pub budget: Budget,
}

impl Api {
    /// What bodies of all requests may take.
    pub fn budget() -> Budget {
        Budget::new(ALL_BODIES)
    }

    /// Whether the recording thread goes on.
    pub fn is_alive(&self) -> bool {
        self.shared.silence() < ALIVE
    }

    /// Health, readiness and metrics: also served on TCP.
    pub async fn public(&self, path: &str) -> Option<Reply> {
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
            "/metrics" => Some(reply::text_of(metrics::CONTENT_TYPE, self.scrape().await.text())),
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

    async fn scrape(&self) -> Scrape {
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
            figures: self.shared.figures(),
            silence: self.shared.silence().as_secs_f64(),
            uptime: self.shared.uptime().as_secs_f64(),
            triggers,
            waiting: self.engine.waiting(),
            pins,
            unsafe_pins,
            known,
            latency,
            webhook: self.webhook.as_ref().map(|webhook| webhook.answers()).unwrap_or_default(),
            rules: Some(self.watch.figures()),
        }
    }

    async fn route(&self, from: &str, mut request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        if let Some(reply) = self.public(&path).await {
            return reply;
        }
        let members = query::members(&request.uri().to_string());
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method().clone(), parts.as_slice()) {
            (Method::GET, ["v1", "status"]) => self.status().await,
            (Method::GET, ["v1", "containers"]) => self.containers(&members).await,
            (Method::PUT, ["v1", "containers", id, "profile"]) => {
                let id = query::decode(id);
                match self.body(&mut request, MAX_REQUEST).await {
                    Ok(body) => self.profile(&id, &body).await,
                    Err(reply) => reply,
                }
            }
            (Method::GET, ["v1", "triggers"]) => self.triggers(&members).await,
            (Method::GET, ["v1", "triggers", id]) => self.trigger(id).await,
            (Method::POST, ["v1", "triggers" | "pins"]) => {
                self.submit(from, Some(Source::Person), None, request).await
            }
            (Method::POST, ["v1", "trigger", ..]) => match Target::of(&path) {
                // No tokens here: the socket itself says who it is.
                Some(Target { sender, token: None }) => self.submit(from, sender, Some(()), request).await,
                _ => reply::error(StatusCode::NOT_FOUND, "no such sender"),
            },
            (Method::GET, ["v1", "pins"]) => self.pins().await,
            (Method::DELETE, ["v1", "pins", id]) => self.unpin(id, from).await,
            (Method::GET, ["v1", "live"]) => self.live(&members).await,
            (Method::POST, ["v1", "reload"]) => self.reload(),
            (Method::GET, ["v1", "config"]) => {
                reply::json(StatusCode::OK, &self.reloader.settings().to_json())
            }
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

    async fn body(&self, request: &mut Request<Incoming>, limit: usize) -> Result<Vec<u8>, Reply> {
        match body::take(request, limit, &self.budget).await {
            Ok(taken) => Ok(taken.into_bytes()),
            Err(refused) => Err(reply::error(refused.status(), &refused.to_string())),
        }
    }

    /// Takes triggers; a program's are queued, a person's are waited for.
    async fn submit(
        &self,
        from: &str,
        sender: Option<Source>,
        program: Option<()>,
        mut request: Request<Incoming>,
    ) -> Reply {
        let uri = request.uri().to_string();
        let wait = webhook::wait(&uri).or(program.is_none().then_some(PATIENCE));
        let body = match self.body(&mut request, MAX_TRIGGER).await {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let submitted = webhook::submit(&self.engine, body, sender, from.to_owned(), wait).await;
        submitted.unwrap_or_else(|error| match error {
            SubmitError::Body(error) => reply::error(StatusCode::BAD_REQUEST, &error.to_string()),
            SubmitError::Full => reply::error(StatusCode::TOO_MANY_REQUESTS, "too many triggers in waiting"),
        })
    }

    async fn triggers(&self, members: &std::collections::BTreeMap<String, String>) -> Reply {
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

    fn reload(&self) -> Reply {
        match self.reloader.reload() {
            Ok(done) => reply::json(
                StatusCode::OK,
                &json!({ "schema": 1, "kind": "reloaded", "applied": done.applied, "restart": done.restart }),
            ),
            Err(error) => reply::error(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        }
    }
}

/// How many to list.
fn limit(members: &std::collections::BTreeMap<String, String>, usual: usize) -> usize {
    const MOST: usize = 100_000;
    members.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usual).min(MOST)
}

impl Service for Api {
    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Reply {
        let Peer::Local(credentials) = peer else {
            return reply::error(StatusCode::FORBIDDEN, "over the unix socket only");
        };
        if let Err(denied) = self.allowed.check(credentials) {
            debug!("control socket: {denied}");
            return reply::error(StatusCode::FORBIDDEN, &denied.to_string());
        }
        let from = format!("uid {} pid {}", credentials.uid(), credentials.pid().unwrap_or(0));
        self.route(&from, request).await
    }
}

/// Health, readiness and metrics over TCP, and nothing else.
pub struct Public(pub Arc<Api>);

impl Service for Public {
    async fn answer(self: Arc<Self>, _: Peer, request: Request<Incoming>) -> Reply {
        if request.method() != Method::GET {
            return reply::error(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
        }
        let reply = self.0.public(request.uri().path()).await;
        reply.unwrap_or_else(|| reply::error(StatusCode::NOT_FOUND, "no such path"))
    }
}
