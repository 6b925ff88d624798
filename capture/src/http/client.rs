//! Asking the control API over its unix socket, and sending JSON to an address.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

/// Longest answer that is read whole.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// There was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens.
    #[error("no recorder answers at `{}`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be reached.
    #[error("cannot connect to `{address}`")]
    Reach {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the answer was cut off")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("not a request")]
    Request(#[from] hyper::http::Error),
    /// Too long.
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    Large,
    /// Too slow.
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Slow,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    body: Incoming,
}

impl Answer {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Http`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn whole(mut self) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > MAX_ANSWER {
                return Err(ClientError::Large);
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

/// Asks over a unix socket. The runtime must be a local one.
///
/// # Errors
/// [`ClientError`].
pub async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Answer, ClientError> {
    let connect = |source| ClientError::Connect { path: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(connect)?;
    let body = body.map(serde_json::Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "afterimaged")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    send(TokioIo::new(stream), request).await
}

/// Posts JSON to `host:port` with this path.
///
/// # Errors
/// [`ClientError`].
pub async fn post(address: &str, path: &str, body: Bytes) -> Result<Answer, ClientError> {
    let reach = |source| ClientError::Reach { address: address.to_owned(), source };
    let stream = TcpStream::connect(address).await.map_err(reach)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, address)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    send(TokioIo::new(stream), request).await
}

async fn send<T>(io: TokioIo<T>, request: Request<Full<Bytes>>) -> Result<Answer, ClientError>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    // The connection's own failure shows in the answer.
    tokio::spawn(connection);
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    let (head, body) = answer.map_err(|_| ClientError::Slow)??.into_parts();
    Ok(Answer { status: head.status, body })
}
