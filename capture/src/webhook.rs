//! Alerts over HTTP: who may send, how much, and the answer that each sender needs.
//!
//! In this order, so that what costs least is refused first: the rate of an address, the path, who it is, the body's
//! size, its signature, its form, the queue. Nothing of a body is read before somebody has shown a token or a
//! certificate, but for signed bodies, which are read and then checked.

pub mod auth;
pub mod nonces;
pub mod rates;
pub mod tls;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE},
};

use crate::{
    config::WebhookConfig,
    helpers::control::gate::Gate,
    http::{
        body::{self, Budget},
        query,
        reply::{self, Reply},
        serve::{Peer, Service},
    },
    trigger::{self, Source, sender},
};
use auth::{Presented, Secrets, Verdict};
use nonces::Nonces;
use rates::Rates;

/// What all bodies together may take while they come in.
const ALL_BODIES: usize = 64 << 20;
/// Longest wait for what becomes of triggers.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The webhook.
pub struct Webhook {
    secrets: Mutex<Arc<Secrets>>,
    nonces: Mutex<Nonces>,
    rates: Mutex<Rates>,
    budget: Budget,
    limit: usize,
    gate: Option<Gate>,
    answers: Mutex<BTreeMap<u16, u64>>,
}

/// Secrets that were read and are not in force yet.
pub struct Prepared(Secrets);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhook {
    /// As configured.
    ///
    /// # Errors
    /// When a file of secrets cannot be used.
    pub fn new(config: &WebhookConfig) -> Result<Self, auth::SecretError> {
        Ok(Self {
            secrets: Mutex::new(Arc::new(Secrets::read(config)?)),
            nonces: Mutex::default(),
            rates: Mutex::new(Rates::new(config.rate)),
            budget: Budget::new(ALL_BODIES),
            limit: config.body_limit,
            gate: None,
            answers: Mutex::default(),
        })
    }

    /// With the way to the recorder.
    #[must_use]
    pub fn over(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// Reads the files of secrets again.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn prepare(&self, config: &WebhookConfig) -> Result<Prepared, auth::SecretError> {
        Secrets::read(config).map(Prepared)
    }

    /// Puts secrets in force.
    pub fn install(&self, Prepared(secrets): Prepared) {
        *locked(&self.secrets) = Arc::new(secrets);
    }

    /// How many answers had which status.
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        locked(&self.answers).clone()
    }

    async fn take(&self, peer: &Peer, mut request: Request<Incoming>) -> Reply {
        let address = match peer {
            Peer::Remote { address, .. } => *address,
            Peer::Local(_) => return reply::error(StatusCode::FORBIDDEN, "not over this socket"),
        };
        if !locked(&self.rates).take(address.ip(), std::time::Instant::now()) {
            return later(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address");
        }
        let target = match Target::of(request.uri().path()) {
            Some(target) => target,
            None => return reply::error(StatusCode::NOT_FOUND, "post to /v1/trigger or /v1/trigger/SENDER"),
        };
        if request.method() != Method::POST {
            let mut reply = reply::error(StatusCode::METHOD_NOT_ALLOWED, "alerts are posted");
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return reply;
        }
        let secrets = Arc::clone(&locked(&self.secrets));
        let verified = matches!(peer, Peer::Remote { verified: true, .. });
        let presented = Presented::of(request.headers(), target.token.as_deref(), verified);
        match secrets.admit(&presented) {
            Verdict::Admitted | Verdict::Signature => {}
            Verdict::Nobody => return unauthorised("show a token, a signature or a certificate"),
            Verdict::Wrong => return reply::error(StatusCode::FORBIDDEN, "the token is not known"),
        }
        // Whoever may send without it has most likely misspelt a sender.
        if target.token.as_deref().is_some_and(|token| !secrets.knows(token)) {
            return reply::error(
                StatusCode::NOT_FOUND,
                "the path ends with what is neither a sender nor a token",
            );
        }
        let wait = match wait(&request.uri().to_string()) {
            Ok(wait) => wait,
            Err(why) => return reply::error(StatusCode::BAD_REQUEST, &why),
        };
        let taken = match body::take(&mut request, self.limit, &self.budget).await {
            Ok(taken) => taken,
            Err(refused) => return refusal(&refused, target.sender, &request),
        };
        if let Some(signed) = &presented.signed {
            let now = crate::host::clock_pair().real;
            if let Err(why) = secrets.check(signed, &taken.raw, now, &mut locked(&self.nonces)) {
                return unauthorised(&why.to_string());
            }
        }
        let Some(gate) = &self.gate else { return busy(target.sender, &request) };
        gate.submit(taken.into_bytes(), target.sender, address.to_string(), wait).await.unwrap_or_else(
            |error| match error {
                SubmitError::Body(error) => reply::error(StatusCode::BAD_REQUEST, &error.to_string()),
                SubmitError::Full | SubmitError::Silent => busy(target.sender, &request),
            },
        )
    }
}

impl Service for Webhook {
    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Reply {
        let reply = self.take(&peer, request).await;
        *locked(&self.answers).entry(reply.status().as_u16()).or_default() += 1;
        reply
    }
}

/// What a path means: `/v1/trigger`, then a sender, a token, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The sender, where the path tells.
    pub sender: Option<Source>,
    /// The token, where the path has one.
    pub token: Option<String>,
}

impl Target {
    /// What `path` means; `None` for nothing.
    pub fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/trigger")?;
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let (first, second) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        let word = |word: &str| match word {
            // Known by what is inside.
            "cloudevents" => Some(None),
            "falcosidekick" => Some(Some(Source::Falco)),
            "rules" | "person" => None,
            other => Source::parse(other).map(Some),
        };
        match (first, second) {
            (None, _) => Some(Self { sender: None, token: None }),
            (Some(first), second) => match (word(first), second) {
                (Some(sender), second) => Some(Self { sender, token: second.map(query::decode) }),
                (None, None) => Some(Self { sender: None, token: Some(query::decode(first)) }),
                (None, Some(_)) => None,
            },
        }
    }
}

/// How long the sender wants to wait for what becomes of its triggers: `?wait=2s`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn wait(uri: &str) -> Result<Option<Duration>, String> {
    let members = query::members(uri);
    let Some(text) = members.get("wait") else { return Ok(None) };
    match sender::parse_span(text) {
        Some(trigger::Span::For(wait)) => Ok(Some(wait.min(MAX_WAIT))),
        Some(trigger::Span::All) => Ok(Some(MAX_WAIT)),
        None => Err("`wait` is not a duration such as `5s`".to_owned()),
    }
}

/// A body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is not understood.
    #[error(transparent)]
    Body(#[from] sender::BodyError),
    /// The queue is full.
    #[error("too many triggers in waiting")]
    Full,
    /// The recorder says nothing.
    #[error("the recorder does not answer")]
    Silent,
}

fn unauthorised(message: &str) -> Reply {
    let mut reply = reply::error(StatusCode::UNAUTHORIZED, message);
    reply
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"afterimage\""));
    reply
}

fn later(status: StatusCode, message: &str) -> Reply {
    let mut reply = reply::error(status, message);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

/// Alertmanager tries again after 5xx only.
fn busy<B>(sender: Option<Source>, request: &Request<B>) -> Reply {
    let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes);
    let alertmanager = sender == Some(Source::Alertmanager)
        || agent.is_some_and(|agent| agent.starts_with(b"Alertmanager/"));
    let status = if alertmanager { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS };
    later(status, "too many triggers in waiting")
}

fn refusal<B>(refused: &body::Refused, sender: Option<Source>, request: &Request<B>) -> Reply {
    match refused {
        body::Refused::Busy => busy(sender, request),
        other => reply::error(other.status(), &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_waited_is_a_duration() {
        assert_eq!(wait("/v1/trigger?x=1"), Ok(None));
        assert_eq!(wait("/v1/trigger?wait=2s"), Ok(Some(Duration::from_secs(2))));
        assert_eq!(wait("/v1/trigger?wait=1h"), Ok(Some(MAX_WAIT)));
        assert!(wait("/v1/trigger?wait=nonsense").is_err());
    }

    #[test]
    fn paths_name_sender_and_token() {
        let of = |path: &str| Target::of(path).map(|t| (t.sender, t.token));
        assert_eq!(of("/v1/trigger"), Some((None, None)));
        assert_eq!(of("/v1/trigger/"), Some((None, None)));
        assert_eq!(of("/v1/trigger/falco"), Some((Some(Source::Falco), None)));
        assert_eq!(of("/v1/trigger/falco/s%20t"), Some((Some(Source::Falco), Some("s t".into()))));
        assert_eq!(of("/v1/trigger/secret"), Some((None, Some("secret".into()))));
        assert_eq!(of("/v1/trigger/cloudevents"), Some((None, None)));
        assert_eq!(
            of("/v1/trigger/person"),
            Some((None, Some("person".into()))),
            "nobody is a person over TCP"
        );
        for wrong in ["/", "/v1/triggers", "/v1/trigger/falco/a/b", "/v1/trigger/x/y"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
