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

use super::{
    places::{Place, Places},
    reply::Reply,
};

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
            connection(stream, Peer::Local(credentials), service, None).await;
            drop(place);
        });
    }
}

/// Serves a TCP socket until dropped. Answers are whole: a connection that was answered waits for the next request.
pub async fn tcp<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    connections: usize,
    tls: Option<tokio_rustls::TlsAcceptor>,
) {
    let places = Places::new(connections);
    loop {
        let (stream, address, place) = match listener.accept().await {
            Ok((stream, address)) => match places.take(address.ip()) {
                Some(place) => (stream, address, place),
                None => continue,
            },
            Err(error) => {
                warn!("no connection can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (service, tls) = (Arc::clone(&service), tls.clone());
        tokio::task::spawn_local(async move {
            let served = async {
                let place = Some(&place);
                match tls {
                    None => {
                        connection(stream, Peer::Remote { address, verified: false }, service, place).await
                    }
                    Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let verified = stream.get_ref().1.peer_certificates().is_some();
                            connection(stream, Peer::Remote { address, verified }, service, place).await;
                        }
                        Ok(Err(error)) => debug!("no TLS with {address}: {error}"),
                        Err(_) => debug!("no TLS with {address}: too slow"),
                    },
                }
            };
            tokio::select! {
                () = served => {}
                () = place.is_over() => debug!("{address} sent nothing, and another wanted its place"),
            }
        });
    }
}

async fn connection<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    service: Arc<S>,
    place: Option<&Place>,
) {
    let answer = service_fn(|request| {
        let (service, peer) = (Arc::clone(&service), peer.clone());
        async move {
            let says = |is_answering| place.iter().for_each(|place| place.answers(is_answering));
            says(true);
            let reply = service.answer(peer, request).await;
            says(false);
            Ok::<_, std::convert::Infallible>(reply)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply;
    use hyper::StatusCode;
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };

    struct Echo;

    impl Service for Echo {
        async fn answer(self: Arc<Self>, _: Peer, request: Request<Incoming>) -> Reply {
            reply::error(StatusCode::OK, request.uri().path())
        }
    }

    #[test]
    fn connections_that_send_nothing_shut_nobody_out() {
        const PLACES: usize = 32;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::from_std(listener).unwrap();
                tcp(listener, Arc::new(Echo), PLACES, None).await;
            });
        });
        let open = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
        };
        let ask = |stream: &mut TcpStream, path: &str| {
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut text = String::new();
            let mut byte = [0];
            while !text.ends_with("}\n") && stream.read(&mut byte).unwrap() > 0 {
                text.push(char::from(byte[0]));
            }
            text
        };
        let mut idle: Vec<TcpStream> = (0..3 * PLACES).map(|_| open()).collect();
        let mut alert = open();
        assert!(ask(&mut alert, "/first").starts_with("HTTP/1.1 200"), "it is answered at once");
        // Half of the head is no request.
        idle.iter_mut().skip(PLACES).for_each(|stream| drop(stream.write_all(b"POST / HTTP/1.1\r\nHost")));
        assert!(ask(&mut alert, "/second").starts_with("HTTP/1.1 200"), "it waits for less long than they");
        // Those that came first went first.
        let mut end = [0; 64];
        for stream in idle.iter_mut().take(2 * PLACES) {
            let read = stream.read(&mut end);
            let is_reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
            assert!(matches!(&read, Ok(0)) || read.as_ref().is_err_and(is_reset), "{read:?}");
        }
    }
}
