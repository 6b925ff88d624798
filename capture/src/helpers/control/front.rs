//! The control process: one single-threaded runtime for the API, the webhook, metrics and files that are watched, and a
//! thread for outputs of rules. It has no capability, reaches the store by asking, and ends when nobody answers.

use std::{
    collections::BTreeMap,
    io,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{Method, Request, StatusCode, body::Incoming};
use tokio::{sync::mpsc, task::LocalSet};
use tracing::debug;

use super::{
    Ask, Call, Tell,
    gate::{self, Gate},
};
use crate::{
    config::{Config, Sources},
    control::{
        peer::Allowed,
        server::{self, Sockets},
    },
    helpers::{frame, keeper::Hello},
    http::{
        body::{self, Budget},
        reply::{self, Reply},
        serve::{Peer, Service},
    },
    live::output::Outputs,
    privilege::{landlock, reach},
    trigger::{Source, tail},
    webhook::{self, Prepared, SubmitError, Target, Webhook},
};

/// Longest body of anything but a trigger.
const MAX_REQUEST: usize = 64 << 10;
/// Longest body of a trigger.
const MAX_TRIGGER: usize = 8 << 20;
/// What all bodies together may take while they come in.
const ALL_BODIES: usize = 32 << 20;
/// How long a person waits for what becomes of a trigger, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often hits that were not delivered are told.
const COUNTS: Duration = Duration::from_millis(500);
/// How long the recorder may take to say that it is well.
const HEALTH: Duration = Duration::from_secs(5);

/// What it serves with.
struct Parts {
    webhook: Option<Webhook>,
    tls: Option<tokio_rustls::TlsAcceptor>,
    outputs: Outputs,
    undelivered: Arc<AtomicU64>,
}

impl Parts {
    fn new(config: &Config) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let (mut webhook, mut tls) = (None, None);
        if config.webhook.enabled {
            webhook = Some(Webhook::new(&config.webhook).map_err(|error| text(&error))?);
            tls = webhook::tls::acceptor(&config.webhook).map_err(|error| text(&error))?;
        }
        let undelivered = Arc::default();
        let outputs = Outputs::open(&config.rules, Arc::clone(&undelivered));
        Ok(Self { webhook, tls, outputs: outputs.map_err(|error| text(&error))?, undelivered })
    }
}

/// Its whole life.
///
/// # Errors
/// The socket's, or what a runtime needs is not there.
pub fn serve(
    socket: UnixStream,
    mut refused: Vec<String>,
    (config, sources): (&Config, &Sources),
    sockets: Sockets,
) -> io::Result<()> {
    let confined = landlock::restrict(&reach::control(config, sources), landlock::Tcp::Out);
    refused.extend(confined.err().map(|why| format!("control: {why}")));
    let parts = match Parts::new(config) {
        Ok(parts) => {
            frame::write(&socket, &Hello { refused, failed: None })?;
            parts
        }
        Err(why) => return frame::write(&socket, &Hello { refused, failed: Some(why) }),
    };
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(socket, config, sources, sockets, parts))
}

async fn run(
    socket: UnixStream,
    config: &Config,
    sources: &Sources,
    sockets: Sockets,
    parts: Parts,
) -> io::Result<()> {
    let (from, to) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let gate = Gate::new(to);
    let webhook = parts.webhook.map(|webhook| Arc::new(webhook.over(gate.clone())));
    let front = Arc::new(Front {
        gate: gate.clone(),
        webhook: webhook.clone(),
        allowed: Allowed::new(config.api.group.as_deref()),
        budget: Budget::new(ALL_BODIES),
    });
    let served = (webhook.clone(), parts.tls);
    let path = server::serve_all(config.webhook.connections, sockets, &front, served);
    for (path, sender) in &config.triggers.tail {
        tokio::task::spawn_local(tail::follow(path.clone(), sender.clone(), gate.clone()));
    }
    tokio::task::spawn_local(counts(gate.clone(), Arc::clone(&parts.undelivered)));
    let (orders, todo) = mpsc::unbounded_channel();
    let desk = Desk { gate: gate.clone(), sources: sources.clone(), webhook, ready: None };
    tokio::task::spawn_local(desk.obey(todo, parts.outputs, parts.undelivered));
    // Whoever holds the other end is the recorder: this ends with it.
    let ended = gate
        .listen(from, |order| {
            let _ = orders.send(order);
        })
        .await;
    if let Some(path) = path {
        let _ = std::fs::remove_file(path);
    }
    ended
}

/// Tells how many hits were not delivered.
async fn counts(gate: Gate, undelivered: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(COUNTS).await;
        let count = undelivered.swap(0, Ordering::Relaxed);
        if count > 0 {
            gate.say(Ask::Undelivered(count)).await;
        }
    }
}

/// Does what the recorder has it do.
struct Desk {
    gate: Gate,
    sources: Sources,
    webhook: Option<Arc<Webhook>>,
    ready: Option<(Option<Prepared>, Outputs)>,
}

impl Desk {
    async fn obey(
        mut self,
        mut todo: mpsc::UnboundedReceiver<Tell>,
        mut outputs: Outputs,
        undelivered: Arc<AtomicU64>,
    ) {
        while let Some(order) = todo.recv().await {
            match order {
                Tell::Deliver(line) => outputs.send(&line),
                Tell::Prepare(number) => {
                    let done = self.prepare(&undelivered);
                    self.gate.say(Ask::Prepared(number, done)).await;
                }
                Tell::Install(_) => {
                    if let Some((secrets, others)) = self.ready.take() {
                        outputs = others.instead_of(outputs);
                        if let (Some(webhook), Some(secrets)) = (&self.webhook, secrets) {
                            webhook.install(secrets);
                        }
                    }
                }
                Tell::Answer(..) | Tell::More(..) | Tell::End(_) => {}
            }
        }
    }

    /// Reads secrets and opens outputs again; what is in force stays.
    fn prepare(&mut self, undelivered: &Arc<AtomicU64>) -> Result<(), String> {
        let (config, _) = Config::load(&self.sources).map_err(|error| error.to_string())?;
        let secrets = match &self.webhook {
            Some(webhook) => Some(webhook.prepare(&config.webhook).map_err(|error| error.to_string())?),
            None => None,
        };
        let outputs = Outputs::open(&config.rules, Arc::clone(undelivered));
        self.ready = Some((secrets, outputs.map_err(|error| error.to_string())?));
        Ok(())
    }
}

/// The API as the world sees it: who may, how much, and what is asked of the recorder.
pub struct Front {
    gate: Gate,
    webhook: Option<Arc<Webhook>>,
    allowed: Allowed,
    budget: Budget,
}

impl Front {
    async fn body(&self, request: &mut Request<Incoming>, limit: usize) -> Result<Vec<u8>, Reply> {
        match body::take(request, limit, &self.budget).await {
            Ok(taken) => Ok(taken.into_bytes()),
            Err(refused) => Err(reply::error(refused.status(), &refused.to_string())),
        }
    }

    async fn route(&self, from: &str, mut request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method().clone(), parts.as_slice()) {
            (Method::POST, ["v1", "triggers" | "pins"]) => {
                self.submit(from, Some(Source::Person), Some(PATIENCE), request).await
            }
            (Method::POST, ["v1", "trigger", ..]) => match Target::of(&path) {
                // No tokens here: the socket itself says who it is.
                Some(Target { sender, token: None }) => self.submit(from, sender, None, request).await,
                _ => reply::error(StatusCode::NOT_FOUND, "no such sender"),
            },
            (method, _) => {
                let body = match self.body(&mut request, MAX_REQUEST).await {
                    Ok(body) => body,
                    Err(reply) => return reply,
                };
                let uri = request.uri().to_string();
                self.call(Call {
                    method: method.to_string(),
                    uri,
                    from: from.to_owned(),
                    body,
                    ..Call::default()
                })
                .await
            }
        }
    }

    async fn call(&self, mut call: Call) -> Reply {
        if call.uri.starts_with("/metrics") {
            let answers = self.webhook.as_ref().map(|webhook| webhook.answers()).unwrap_or_default();
            call.answers = BTreeMap::into_iter(answers).collect();
        }
        let path = call.uri.split('?').next().unwrap_or_default();
        let is_health = ["/healthz", "/readyz"].contains(&path);
        let patience = if is_health { HEALTH } else { gate::PATIENCE };
        self.gate.call(call, patience).await
    }

    /// Takes triggers; a program's are queued, a person's are waited for.
    async fn submit(
        &self,
        from: &str,
        sender: Option<Source>,
        patience: Option<Duration>,
        mut request: Request<Incoming>,
    ) -> Reply {
        let wait = match webhook::wait(&request.uri().to_string()) {
            Ok(wait) => wait.or(patience),
            Err(why) => return reply::error(StatusCode::BAD_REQUEST, &why),
        };
        let body = match self.body(&mut request, MAX_TRIGGER).await {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let submitted = self.gate.submit(body, sender, from.to_owned(), wait).await;
        submitted.unwrap_or_else(|error| reply::error(error.status(), &error.to_string()))
    }
}

impl Service for Front {
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
pub struct Public(pub Arc<Front>);

impl Service for Public {
    async fn answer(self: Arc<Self>, _: Peer, request: Request<Incoming>) -> Reply {
        // What has no body is the server's to leave out.
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return reply::error(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
        }
        let path = request.uri().path();
        if !["/healthz", "/readyz", "/metrics"].contains(&path) {
            return reply::error(StatusCode::NOT_FOUND, "no such path");
        }
        self.0.call(Call { method: "GET".to_owned(), uri: path.to_owned(), ..Call::default() }).await
    }
}

impl SubmitError {
    /// The status that says so.
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::Silent => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
