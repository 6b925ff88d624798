//! `GET /v1/live`: events while they happen, a line of JSON for each.

use std::collections::BTreeMap;

use afterimage_detect::Filter;
use hyper::StatusCode;
use tokio::sync::mpsc;

use super::Api;
use crate::{
    http::reply::{self, Reply},
    live::watch::Subscriber,
    trigger::{Hints, resolve::resolve},
};

/// Lines in waiting for one who looks on; what does not fit is told as a count.
const LINES: usize = 1024;

impl Api {
    pub(super) async fn live(&self, members: &BTreeMap<String, String>) -> Reply {
        let bad = |what: &str| reply::error(StatusCode::BAD_REQUEST, what);
        let filter = match members.get("filter").map(|text| Filter::parse(text)).transpose() {
            Ok(filter) => filter,
            Err(error) => return bad(&error.to_string()),
        };
        if filter.as_ref().is_some_and(Filter::needs_survey) {
            return bad("`near` and `seq` need a whole recording");
        }
        if let Some(field) = filter.as_ref().and_then(|filter| filter.needs_recording().first().copied()) {
            return bad(&format!("`{field}` needs a whole recording"));
        }
        let mut containers = Vec::new();
        if let Some(id) = members.get("container") {
            let hints = match id.as_str() {
                "host" => Hints { host: true, ..Hints::default() },
                id => Hints { id: Some(id.to_owned()), ..Hints::default() },
            };
            let found = self.engine.ask(move |engine| {
                let found = resolve(&engine.directory, &hints, crate::host::clock_pair().real).found;
                let living = |uid: &_| engine.directory.get(*uid).is_none_or(|known| known.removed.is_none());
                found.into_iter().filter(living).collect::<Vec<_>>()
            });
            containers = match found.await {
                Ok(found) if found.is_empty() => {
                    return reply::error(StatusCode::NOT_FOUND, "no such container lives");
                }
                Ok(found) => found,
                Err(error) => return reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
            };
        }
        let (lines, receiver) = mpsc::channel(LINES);
        let (seated, answer) = tokio::sync::oneshot::channel();
        self.watch.subscribe(Subscriber::new(filter, containers, lines), seated);
        match answer.await {
            Ok(true) => reply::lines(receiver),
            Ok(false) => reply::error(StatusCode::TOO_MANY_REQUESTS, "too many look on already"),
            Err(_) => reply::error(StatusCode::SERVICE_UNAVAILABLE, "recording ends"),
        }
    }
}
