//! Answers.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame},
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::json;
use tokio::sync::mpsc;

/// An answer's body.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub type Reply = Response<Body>;

fn full(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(bytes.into()).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// JSON, in one line.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    full(status, "application/json", format!("{value}\n"))
}

/// JSON with what is wrong.
pub fn error(status: StatusCode, message: &str) -> Reply {
    json(status, &json!({ "schema": 1, "kind": "error", "status": status.as_u16(), "error": message }))
}

/// Plain text.
pub fn text(status: StatusCode, text: String) -> Reply {
    full(status, "text/plain; charset=utf-8", text)
}

/// Text of another kind.
pub fn text_of(kind: &'static str, text: String) -> Reply {
    full(StatusCode::OK, kind, text)
}

/// Whatever another process made; what is no kind is plain text.
pub fn any(status: StatusCode, kind: &str, bytes: Vec<u8>) -> Reply {
    let mut reply = full(status, "text/plain; charset=utf-8", bytes);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        reply.headers_mut().insert(CONTENT_TYPE, kind);
    }
    reply
}

/// JSON lines that come as they come.
pub fn lines(receiver: mpsc::Receiver<Bytes>) -> Reply {
    lines_then(receiver, || {})
}

/// The same; `then` is done when nobody reads them any more.
pub fn lines_then(receiver: mpsc::Receiver<Bytes>, then: impl FnOnce() + Send + 'static) -> Reply {
    let mut reply = Response::new(LineStream(receiver, Some(Box::new(then))).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    reply
}

struct LineStream(mpsc::Receiver<Bytes>, Option<Box<dyn FnOnce() + Send>>);

impl Drop for LineStream {
    fn drop(&mut self) {
        if let Some(then) = self.1.take() {
            then();
        }
    }
}

impl hyper::body::Body for LineStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
