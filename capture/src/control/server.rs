//! The control plane's thread in the capture process: one single-threaded runtime that answers what the control process
//! asks, and for signals and the watchdog. And the sockets that the control process serves, bound before it begins.

use std::{
    fs,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::LocalSet,
};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use super::api::Api;
use crate::{
    config::Config,
    helpers::control::{
        back::{Asked, Desk},
        front::{Front, Public},
    },
    http::serve,
    systemd,
    webhook::Webhook,
};

/// Connections of the control socket, and of metrics, at a time.
const CONNECTIONS: usize = 64;

/// The control plane could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The socket.
    #[error("cannot serve the control API at `{}`: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An address.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The thread.
    #[error("no thread for the control plane: {0}")]
    Thread(std::io::Error),
}

/// Sockets that are bound already, so that what cannot be is known before recording begins.
pub struct Sockets {
    api: Option<(std::os::unix::net::UnixListener, PathBuf)>,
    /// The usual socket, where it could not be had: told once recording has begun, a failure before is told alone.
    missed: Option<(PathBuf, std::io::Error)>,
    metrics: Option<std::net::TcpListener>,
    webhook: Option<std::net::TcpListener>,
}

/// A running control plane.
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Sockets {
    /// Binds everything that the configuration wants. The usual socket may be out of reach; a chosen one may not.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(config: &Config) -> Result<Self, ServeError> {
        let (mut api, mut missed) = (None, None);
        if config.api.enabled {
            let path = &config.api.socket;
            match bind_api(path, config.api.group.as_deref()) {
                Ok(listener) => api = Some((listener, path.clone())),
                Err(source) if config.api.chosen => {
                    return Err(ServeError::Socket { path: path.clone(), source });
                }
                Err(error) => missed = Some((path.clone(), error)),
            }
        }
        let listen = |address: std::net::SocketAddr| {
            let bound = std::net::TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            bound.map_err(|source| ServeError::Listen { address, source })
        };
        Ok(Self {
            api,
            missed,
            metrics: config.metrics_listen.map(listen).transpose()?,
            webhook: config.webhook.enabled.then(|| listen(config.webhook.listen)).transpose()?,
        })
    }
}

/// Makes the socket: for its owner and its group, and in the place of one that nobody listens on any more.
fn bind_api(path: &Path, group: Option<&str>) -> std::io::Result<std::os::unix::net::UnixListener> {
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        if let Some(gid) = group.and_then(super::peer::group_id) {
            std::os::unix::fs::chown(directory, None, Some(gid))?;
        }
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "something else is there"));
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => {
                return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "another recorder serves it"));
            }
            Err(_) => fs::remove_file(path)?,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // The mode follows a moment later; who connects before is checked like everybody.
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    if let Some(name) = group {
        let gid = super::peer::group_id(name);
        let gid = gid.ok_or_else(|| std::io::Error::other(format!("there is no group `{name}`")))?;
        std::os::unix::fs::chown(path, None, Some(gid))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What the control plane's thread answers with.
pub struct Plane {
    /// The API.
    pub api: Arc<Api>,
    /// The way to the control process, and what it asks.
    pub asked: (Desk, Asked),
}

impl Server {
    /// Starts answering.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(plane: Plane, stop_recording: Arc<AtomicBool>) -> Result<Self, ServeError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let (ready, begun) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                crate::privilege::settle();
                LocalSet::new().block_on(&runtime, async {
                    let signals = Signals::wait();
                    let failed = signals.as_ref().err().map(|error| std::io::Error::from(error.kind()));
                    let _ = ready.send(failed);
                    let Ok(signals) = signals else { return };
                    let Plane { api, asked: (desk, asked) } = plane;
                    tokio::task::spawn_local(signals.obey(Arc::clone(&api), stop_recording));
                    if let Some(interval) = systemd::watchdog() {
                        tokio::task::spawn_local(watchdog(Arc::clone(&api), interval));
                    }
                    tokio::task::spawn_local(desk.answer_all(api, asked));
                    // Whoever holds the other end is the recorder: it ends with it.
                    let _ = stopped.await;
                });
            })
            .map_err(ServeError::Thread)?;
        // From here on a signal ends the recording properly.
        match begun.recv() {
            Ok(None) => Ok(Self { stop, thread }),
            Ok(Some(error)) => Err(ServeError::Thread(error)),
            Err(_) => Err(ServeError::Thread(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Ends it.
    pub fn stop(self) {
        // A thread that has ended already needs no word.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            error!("the control plane had failed");
        }
    }
}

/// Serves everything that is bound, in the control process; gives the path of the API's socket.
pub fn serve_all(
    connections: usize,
    sockets: Sockets,
    front: &Arc<Front>,
    (webhook, tls): (Option<Arc<Webhook>>, Option<TlsAcceptor>),
) -> Option<PathBuf> {
    let mut socket = None;
    if let Some((path, error)) = sockets.missed {
        warn!("no control API at `{}`: {error}", path.display());
    }
    if let Some((listener, path)) = sockets.api {
        match UnixListener::from_std(listener) {
            Ok(listener) => {
                tokio::task::spawn_local(serve::unix(listener, Arc::clone(front), CONNECTIONS));
                socket = Some(path);
            }
            Err(error) => error!("the control API cannot be served: {error}"),
        }
    }
    if let Some(listener) = sockets.metrics {
        tcp(listener, Arc::new(Public(Arc::clone(front))), CONNECTIONS, None);
    }
    if let (Some(listener), Some(webhook)) = (sockets.webhook, webhook) {
        tcp(listener, webhook, connections, tls);
    }
    socket
}

fn tcp<S: serve::Service>(
    listener: std::net::TcpListener,
    service: Arc<S>,
    connections: usize,
    tls: Option<TlsAcceptor>,
) {
    match TcpListener::from_std(listener) {
        Ok(listener) => {
            tokio::task::spawn_local(serve::tcp(listener, service, connections, tls));
        }
        Err(error) => error!("an address cannot be served: {error}"),
    }
}

/// SIGTERM and SIGINT end the recording, SIGHUP reads the configuration again.
struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
}

impl Signals {
    fn wait() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn obey(mut self, api: Arc<Api>, stop_recording: Arc<AtomicBool>) {
        loop {
            tokio::select! {
                _ = self.term.recv() => break,
                _ = self.int.recv() => break,
                _ = self.hangup.recv() => {
                    systemd::reloading();
                    match api.reloader.reload().await {
                        Ok(done) => info!("reloaded: {done:?}"),
                        Err(error) => error!("the configuration stays as it was: {error}"),
                    }
                    systemd::ready();
                }
            }
        }
        systemd::stopping();
        stop_recording.store(true, Ordering::Relaxed);
    }
}

/// Tells systemd that all is well, as long as the recording thread goes on.
async fn watchdog(api: Arc<Api>, interval: Duration) {
    loop {
        tokio::time::sleep(interval / 2).await;
        if api.shared.silence() < interval {
            systemd::alive();
        } else {
            error!("the recording thread does not go on");
        }
        if let Some(figures) = api.shared.figures() {
            let status = &figures.status;
            systemd::status(&format!(
                "{} events/s, {} lost, {} containers",
                figures.rate,
                status.lost(),
                status.containers
            ));
        }
    }
}
