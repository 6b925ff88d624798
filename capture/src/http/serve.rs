//! Serving connections: how many, how long a client may take, and who it is.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, unix::UCred},
    sync::Semaphore,
};
use tracing::{debug, warn};

use super::reply::Reply;

/// How long a client may take for the head of a request, and stay silent between two.
const HEAD: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest head.
const MAX_HEAD: usize = 64 << 10;
/// Pause after accept fails: the cause is mostly that there are no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A process of this machine.
    Local(UCred),
    /// An address; `verified` when it has shown a certificate that we asked for.
    Remote {
        /// Its address.
        address: SocketAddr,
        /// By certificate.
        verified: bool,
    },
}

/// What answers.
pub trait Service: Send + Sync + 'static {
    /// Answers a request.
    fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> impl Future<Output = Reply>;
}

/// Serves a unix socket until dropped.
pub async fn unix<S: Service>(listener: UnixListener, service: Arc<S>, connections: usize) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let (stream, place) = match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => (stream, place),
                // Closed at once: nobody waits for those who do not go.
                Err(_) => continue,
            },
            Err(error) => {
                warn!("no connection can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(credentials) = stream.peer_cred() else { continue };
        let service = Arc::clone(&service);
        tokio::task::spawn_local(async move {
            connection(stream, Peer::Local(credentials), service).await;
            drop(place);
        });
    }
}

/// Serves a TCP socket until dropped.
pub async fn tcp<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    connections: usize,
    tls: Option<tokio_rustls::TlsAcceptor>,
) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let (stream, address, place) = match listener.accept().await {
            Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => (stream, address, place),
                Err(_) => continue,
            },
            Err(error) => {
                warn!("no connection can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (service, tls) = (Arc::clone(&service), tls.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => connection(stream, Peer::Remote { address, verified: false }, service).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let verified = stream.get_ref().1.peer_certificates().is_some();
                        connection(stream, Peer::Remote { address, verified }, service).await;
                    }
                    Ok(Err(error)) => debug!("no TLS with {address}: {error}"),
                    Err(_) => debug!("no TLS with {address}: too slow"),
                },
            }
            drop(place);
        });
    }
}

async fn connection<S: Service>(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, service: Arc<S>) {
    let answer = service_fn(|request| {
        let (service, peer) = (Arc::clone(&service), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(service.answer(peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        debug!("a connection ended: {error}");
    }
}
