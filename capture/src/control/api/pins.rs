//! `GET /v1/pins` and `DELETE /v1/pins/ID`.

use hyper::StatusCode;
use serde_json::json;
use tracing::info;

use super::Api;
use crate::{
    http::reply::{self, Reply},
    trigger::pins::Pin,
};

impl Api {
    pub(super) async fn pins(&self) -> Reply {
        let pins = self.engine.ask(|engine| engine.pins.all().cloned().collect::<Vec<Pin>>());
        match pins.await {
            Ok(pins) => reply::json(StatusCode::OK, &json!({ "schema": 1, "kind": "pins", "pins": pins })),
            Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    pub(super) async fn unpin(&self, id: &str, from: &str) -> Reply {
        let (own, by) = (id.to_owned(), from.to_owned());
        let done = self.engine.ask(move |engine| engine.unpin(&own, &by));
        match done.await {
            Ok(Ok(true)) => {
                info!("pin {id} taken away by {from}");
                reply::json(StatusCode::OK, &json!({ "schema": 1, "kind": "unpinned", "pin": id }))
            }
            Ok(Ok(false)) => reply::error(StatusCode::NOT_FOUND, "no such pin"),
            Ok(Err(error)) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }
}
