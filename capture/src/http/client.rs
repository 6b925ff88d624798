//! Asking the control API over its unix socket, and sending JSON to an address.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::tls::Trust;

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
    /// It is not who it should be.
    #[error("cannot trust `{address}`")]
    Trust {
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

/// Where JSON is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Over TLS.
    pub tls: bool,
    /// Name or address, without brackets.
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

impl Target {
    /// Reads `http://HOST[:PORT][/PATH]` or the same with `https`.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(format!("`{url}` is neither `http://` nor `https://`")),
        };
        let authority = uri.authority().ok_or_else(|| format!("`{url}` has no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!("`{url}` has a user in it, which is not sent"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("`{url}` has no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: host.to_owned(), port, path: path.to_owned() })
    }

    /// Whether nobody on the way can read what is sent.
    pub fn is_private(&self) -> bool {
        let is_loopback = |host: &str| host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.tls || self.host == "localhost" || is_loopback(&self.host)
    }

    /// Host and port.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Posts JSON; `trust` says whom to believe where it is sent over TLS, `login` who sends it.
///
/// # Errors
/// [`ClientError`].
pub async fn post(
    target: &Target,
    trust: Option<&Trust>,
    login: Option<&HeaderValue>,
    body: Bytes,
) -> Result<Answer, ClientError> {
    let address = target.address();
    let reach = |source| ClientError::Reach { address: address.clone(), source };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(reach)?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(HOST, &address)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    if let Some(login) = login {
        request.headers_mut().insert(AUTHORIZATION, login.clone());
    }
    match trust {
        None => send(TokioIo::new(stream), request).await,
        Some(trust) => {
            let stream = trust.connect(&target.host, stream).await;
            let stream = stream.map_err(|source| ClientError::Trust { address, source })?;
            send(TokioIo::new(stream), request).await
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_refused_in_words() {
        let of = |url: &str| Target::parse(url).map(|target| (target.tls, target.address(), target.path));
        let taken = |tls, address: &str, path: &str| Ok((tls, address.to_owned(), path.to_owned()));
        assert_eq!(of("http://host"), taken(false, "host:80", "/"));
        assert_eq!(of("https://host/a/b?c=d"), taken(true, "host:443", "/a/b?c=d"));
        assert_eq!(of("http://127.0.0.1:2801/"), taken(false, "127.0.0.1:2801", "/"));
        assert_eq!(of("https://[::1]:8443/x"), taken(true, "[::1]:8443", "/x"));
        for (url, words) in [
            ("ftp://host/", "neither"),
            ("https:///path", "is no URL"),
            ("http://me:secret@host/", "user"),
            ("http://ho st/", "is no URL"),
            ("host:80", "neither"),
        ] {
            let error = of(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
        }
    }
}
