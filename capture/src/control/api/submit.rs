//! Alerts: taken, and answered with what became of them.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::sync::oneshot;

use super::Api;
use crate::{
    helpers::control::Submission,
    http::reply::{self, Reply},
    trigger::{
        Body,
        engine::Handle,
        outcome::{Outcome, State},
    },
};

/// Longest wait for what becomes of triggers.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long ago an alert may have come that is handed over now. Nanoseconds.
const DELAY: i64 = 60_000_000_000;

impl Api {
    /// Hands a body's triggers to the engine, and says what became of them as far as is waited.
    pub async fn submit(&self, submission: Submission) -> Reply {
        let Submission { alerts, body, from, received, wait } = submission;
        let wait = wait.map(|wait| Duration::from_millis(wait).min(MAX_WAIT));
        let count = alerts.len();
        let triggers: Vec<_> = alerts.into_iter().filter_map(|alert| alert.into_trigger()).collect();
        if triggers.len() < count {
            return reply::error(StatusCode::BAD_REQUEST, "no trigger");
        }
        let mut body = Body::new(body, from);
        // When it came to the control process: the time on its way here is part of what it took.
        body.received = received.clamp(body.received.saturating_sub(DELAY), body.received);
        let ids: Vec<String> = (0..triggers.len()).map(|place| body.trigger_id(place)).collect();
        let (reply, outcomes) = wait
            .map(|wait| (oneshot::channel(), wait))
            .map_or((None, None), |(ends, wait)| (Some(ends.0), Some((ends.1, wait))));
        if self.engine.submit(triggers, body, reply).is_err() {
            return reply::error(StatusCode::TOO_MANY_REQUESTS, "too many triggers in waiting");
        }
        let outcomes: Vec<Outcome> = match outcomes {
            Some((outcomes, wait)) => settled(&self.engine, outcomes, wait).await,
            None => Vec::new(),
        };
        let answer = if outcomes.is_empty() {
            json!({ "schema": 1, "kind": "accepted", "accepted": ids.len(), "triggers": ids })
        } else {
            json!({ "schema": 1, "kind": "accepted", "accepted": ids.len(), "triggers": outcomes })
        };
        reply::json(StatusCode::OK, &answer)
    }
}

/// What became of triggers within `wait`, those in waiting included as far as they got.
async fn settled(engine: &Handle, outcomes: oneshot::Receiver<Vec<Outcome>>, wait: Duration) -> Vec<Outcome> {
    const PAUSE: Duration = Duration::from_millis(50);
    let begun = tokio::time::Instant::now();
    let Ok(Ok(mut outcomes)) = tokio::time::timeout(wait, outcomes).await else { return Vec::new() };
    while outcomes.iter().any(|outcome| outcome.state == State::Queued) && begun.elapsed() < wait {
        tokio::time::sleep(PAUSE).await;
        let ids: Vec<String> = outcomes.iter().map(|outcome| outcome.id.clone()).collect();
        let now = engine.ask(move |engine| {
            ids.iter()
                .map(|id| engine.outcomes.iter().rev().find(|o| o.id == *id).cloned())
                .collect::<Vec<_>>()
        });
        let Ok(now) = now.await else { break };
        for (outcome, now) in outcomes.iter_mut().zip(now) {
            *outcome = now.unwrap_or_else(|| outcome.clone());
        }
    }
    outcomes
}
