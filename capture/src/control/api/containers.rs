//! `GET /v1/containers` and `PUT /v1/containers/ID/profile`.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Api, limit};
use crate::{
    control::link::Command,
    http::reply::{self, Reply},
    recorder::Profile,
    trigger::{Hints, directory::Known, outcome::Instant, resolve::resolve},
};

/// A container as it is listed.
fn listed(known: &Known) -> Value {
    let at = |at: Option<i64>| at.map(|at| Instant(at).to_string());
    json!({
        "uid": known.uid.0,
        "id": known.id,
        "engine": known.engine.as_str(),
        "role": known.role.as_str(),
        "state": known.state(),
        "name": known.name,
        "namespace": known.namespace,
        "pod": known.pod,
        "pod_uid": known.pod_uid,
        "pod_container": known.pod_container,
        "image": known.image,
        "cgroup": known.cgroup,
        "first_seen": Instant(known.first_seen).to_string(),
        "preexisting": known.preexisting,
        "started": at(known.started),
        "exited": at(known.exited.map(|(at, _)| at)),
        "exit_code": known.exited.map(|(_, code)| code),
        "removed": at(known.removed.filter(|_| !known.end_unseen)),
        "seen_until": at(known.removed.filter(|_| known.end_unseen)),
    })
}

impl Api {
    pub(super) async fn containers(&self, members: &BTreeMap<String, String>) -> Reply {
        let limit = limit(members, 1000);
        let (state, asked) = (members.get("state").cloned(), members.get("container").cloned());
        let found = self.engine.ask(move |engine| {
            let wanted = |known: &&Known| state.as_deref().is_none_or(|state| known.state() == state);
            let directory = &engine.directory;
            match asked {
                None => directory.iter().rev().filter(wanted).take(limit).map(listed).collect::<Vec<_>>(),
                Some(id) => {
                    let hints = Hints { id: Some(id), ..Hints::default() };
                    let found = resolve(directory, &hints, crate::host::clock_pair().real).found;
                    let known = found.iter().filter_map(|uid| directory.get(*uid));
                    known.filter(wanted).take(limit).map(listed).collect()
                }
            }
        });
        match found.await {
            Ok(found) => reply::json(
                StatusCode::OK,
                &json!({ "schema": 1, "kind": "containers", "containers": found }),
            ),
            Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    /// Keeps other calls of a container: `{"profile": "full"}`, or `null` for what all others have.
    pub(super) async fn profile(&self, id: &str, body: &[u8]) -> Reply {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            profile: Option<String>,
        }
        let bad = |what: &str| reply::error(StatusCode::BAD_REQUEST, what);
        let Ok(Wanted { profile: word }) = serde_json::from_slice(body) else {
            return bad("not `{\"profile\": \"full\"}`");
        };
        let profile = word.as_deref().map(|word| Profile::from_str(word, false)).transpose();
        let Ok(profile) = profile else {
            return bad("`profile` is one of `minimal`, `forensic`, `full`, or null");
        };
        let hints = Hints { id: Some(id.to_owned()), ..Hints::default() };
        let found = self.engine.ask(move |engine| {
            let found = resolve(&engine.directory, &hints, crate::host::clock_pair().real).found;
            found
                .into_iter()
                .filter(|uid| engine.directory.get(*uid).is_some_and(|k| k.removed.is_none()))
                .collect()
        });
        let found: Vec<_> = found.await.unwrap_or_default();
        let [uid] = found.as_slice() else {
            let status = if found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
            return reply::error(status, &format!("{} living containers of this name", found.len()));
        };
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Own(*uid, profile, reply)).is_err() || done.await != Ok(true) {
            return reply::error(StatusCode::NOT_FOUND, "the container has ended");
        }
        reply::json(StatusCode::OK, &json!({ "schema": 1, "kind": "profile", "uid": uid.0, "profile": word }))
    }
}
