//! Where hits go: standard output, a file, syslog, an address. What an output does not take in time is counted, and nobody waits.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, OpenOptionsExt as _},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use afterimage_detect::rules::Priority;
use hyper::{body::Bytes, header::HeaderValue};
use tracing::warn;

use crate::{
    config::RulesConfig,
    http::{
        client::{self, Target},
        tls::Trust,
    },
    webhook::auth::{self, SecretError},
};

/// Where the C library's syslog sends to.
const SYSLOG: &str = "/dev/log";
/// Lines in waiting.
const QUEUE: usize = 4096;
/// How long an address may take for one line.
const PATIENCE: Duration = Duration::from_secs(5);

/// An output cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file.
    #[error("cannot open `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not one.
    #[error("`{0}` is no output")]
    Unknown(String),
    /// The address is none, or whom to trust for it is not known.
    #[error("{0}")]
    Address(String),
    /// Who sends is not known.
    #[error(transparent)]
    Login(#[from] SecretError),
    /// It cannot be sent.
    #[error("the token in `{}` has characters that no header may have", path.display())]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// No thread.
    #[error("no thread for the outputs: {0}")]
    Thread(std::io::Error),
}

enum Sink {
    Stdout,
    File(Appended),
    /// A datagram for each line, as the C library sends them.
    Syslog(PathBuf),
    Http {
        target: Target,
        /// Where it goes over TLS.
        trust: Option<Trust>,
        login: Option<HeaderValue>,
    },
}

/// A file that hits are added to. Whoever rotates it renames or removes it, or cuts it to nothing: the next line goes to the file
/// that has its path then.
struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    fn open(path: PathBuf) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    fn add(&mut self, line: &str) -> std::io::Result<()> {
        let own = self.file.metadata()?;
        let same = |other: Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
        if !std::fs::symlink_metadata(&self.path).is_ok_and(same) {
            *self = Self::open(self.path.clone())?;
        }
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

/// Whom addresses are to believe us to be, and whom we believe them to be: each read once, when the first wants it.
struct Passport<'c> {
    config: &'c RulesConfig,
    trust: Option<Trust>,
    login: Option<HeaderValue>,
}

impl<'c> Passport<'c> {
    fn new(config: &'c RulesConfig) -> Self {
        Self { config, trust: None, login: None }
    }

    fn trust(&mut self) -> Result<Trust, OutputError> {
        if let Some(trust) = &self.trust {
            return Ok(trust.clone());
        }
        let trust = Trust::new(self.config.ca.as_deref()).map_err(OutputError::Address)?;
        Ok(self.trust.insert(trust).clone())
    }

    /// None where no token is configured.
    fn login(&mut self) -> Result<Option<HeaderValue>, OutputError> {
        if let (None, Some(path)) = (&self.login, &self.config.token_file) {
            let token = auth::read_tokens(path)?.swap_remove(0);
            let login = HeaderValue::try_from(format!("Bearer {token}"));
            let mut login = login.map_err(|_| OutputError::Token { path: path.clone() })?;
            login.set_sensitive(true);
            self.login = Some(login);
        }
        Ok(self.login.clone())
    }
}

/// What the thread of outputs is to do.
enum Todo {
    Deliver(String),
    /// Wait for the outputs that were in force before, so that lines stay in order; not for ever.
    Await(Receiver<()>),
}

/// All outputs, on a thread of their own.
pub struct Outputs {
    todo: Option<SyncSender<Todo>>,
    /// Its other end goes with the thread.
    ended: Option<Receiver<()>>,
    undelivered: Arc<AtomicU64>,
}

impl Sink {
    fn open(output: &str, passport: &mut Passport<'_>) -> Result<Self, OutputError> {
        if output == "stdout" {
            return Ok(Self::Stdout);
        }
        if let Some(path) = output.strip_prefix("file:") {
            let path = PathBuf::from(path);
            let opened = Appended::open(path.clone()).map(Self::File);
            return opened.map_err(|source| OutputError::File { path, source });
        }
        if output == "syslog" {
            return Ok(Self::Syslog(PathBuf::from(SYSLOG)));
        }
        if let Some(path) = output.strip_prefix("syslog:") {
            return Ok(Self::Syslog(PathBuf::from(path)));
        }
        if !output.contains("://") {
            return Err(OutputError::Unknown(output.to_owned()));
        }
        let target = Target::parse(output).map_err(OutputError::Address)?;
        let trust = if target.tls { Some(passport.trust()?) } else { None };
        let login = passport.login()?.filter(|_| target.is_private());
        Ok(Self::Http { target, trust, login })
    }

    fn write(&mut self, line: &str, runtime: &tokio::runtime::Runtime) -> Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        match self {
            Self::Stdout => writeln!(std::io::stdout().lock(), "{line}").map_err(text),
            Self::File(file) => file.add(line).map_err(text),
            Self::Syslog(path) => syslog(path, line).map_err(text),
            Self::Http { target, trust, login } => runtime.block_on(async {
                let post = async {
                    let line = Bytes::from(line.to_owned());
                    let answer = client::post(target, trust.as_ref(), login.as_ref(), line).await;
                    let answer = answer.map_err(|error| causes(&error))?;
                    let status = answer.status;
                    // Read to its end, so that the other side sees a proper one.
                    let _ = answer.whole().await;
                    if status.is_success() {
                        Ok(())
                    } else {
                        Err(format!("`{}` answers {status}", target.address()))
                    }
                };
                match tokio::time::timeout(PATIENCE, post).await {
                    Ok(done) => done,
                    Err(_) => Err(format!("`{}` does not answer", target.address())),
                }
            }),
        }
    }
}

/// An error with what it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Sends a hit to the system's log, as bad as its rule is. A log that was restarted has another socket.
fn syslog(path: &Path, line: &str) -> std::io::Result<()> {
    const USER: u8 = 1;
    let hit: serde_json::Value = serde_json::from_str(line)?;
    let priority = hit["priority"].as_str().and_then(Priority::parse).unwrap_or(Priority::Warning);
    let text = format!("<{}>afterimaged[{}]: {line}", USER << 3 | priority as u8, std::process::id());
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(text.as_bytes(), path).map(drop)
}

impl Outputs {
    /// Opens all outputs; counts what they do not take in `undelivered`.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn open(config: &RulesConfig, undelivered: Arc<AtomicU64>) -> Result<Self, OutputError> {
        let mut passport = Passport::new(config);
        let sinks = config.outputs.iter().map(|output| Sink::open(output, &mut passport));
        let mut sinks = sinks.collect::<Result<Vec<_>, _>>()?;
        if sinks.is_empty() {
            return Ok(Self { todo: None, ended: None, undelivered });
        }
        let (sender, todo) = mpsc::sync_channel::<Todo>(QUEUE);
        let (alive, ended) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OutputError::Thread)?;
        let counted = Arc::clone(&undelivered);
        std::thread::Builder::new()
            .name("outputs".to_owned())
            .spawn(move || {
                crate::privilege::settle();
                let _alive = alive;
                let mut complained = vec![false; sinks.len()];
                for todo in todo {
                    let line = match todo {
                        Todo::Deliver(line) => line,
                        Todo::Await(ended) => {
                            let _ = ended.recv_timeout(PATIENCE);
                            continue;
                        }
                    };
                    for (sink, complained) in sinks.iter_mut().zip(&mut complained) {
                        match sink.write(&line, &runtime) {
                            Ok(()) => *complained = false,
                            Err(error) => {
                                counted.fetch_add(1, Ordering::Relaxed);
                                if !std::mem::replace(complained, true) {
                                    warn!("a hit is not delivered: {error}");
                                }
                            }
                        }
                    }
                }
            })
            .map_err(OutputError::Thread)?;
        Ok(Self { todo: Some(sender), ended: Some(ended), undelivered })
    }

    /// Takes the place of others, which deliver what they have before these begin.
    #[must_use]
    pub fn instead_of(self, mut others: Self) -> Self {
        if let (Some(todo), Some(ended)) = (&self.todo, others.ended.take()) {
            // The first thing that it is told: there is room.
            let _ = todo.try_send(Todo::Await(ended));
        }
        self
    }

    /// Hands a line to all of them.
    pub fn send(&self, line: &str) {
        if let Some(todo) = &self.todo
            && todo.try_send(Todo::Deliver(line.to_owned())).is_err()
        {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn what_takes_the_place_of_others_delivers_behind_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hits.jsonl");
        let outputs = vec![format!("file:{}", file.display())];
        let rules =
            RulesConfig { files: vec![], outputs, ca: None, token_file: None, budget: 25, queue: 1 << 20 };
        let open = || Outputs::open(&rules, Arc::default()).unwrap();
        let mut outputs = open();
        let (rounds, lines) = (20, 50);
        for round in 0..rounds {
            for line in 0..lines {
                outputs.send(&format!("{}", round * lines + line));
            }
            outputs = open().instead_of(outputs);
        }
        let ended = outputs.ended.take().unwrap();
        drop(outputs);
        let _ = ended.recv_timeout(Duration::from_secs(60));
        let text = std::fs::read_to_string(&file).unwrap();
        let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers, (0..rounds * lines).collect::<Vec<u64>>());
    }

    #[test]
    fn lines_go_to_the_file_that_has_the_path_however_it_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("hits"), dir.path().join("hits.1"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let mut file = Appended::open(path.clone()).unwrap();
        file.add("one").unwrap();
        std::fs::rename(&path, &old).unwrap();
        file.add("two").unwrap();
        assert_eq!((read(&old), read(&path)), ("one\n".to_owned(), "two\n".to_owned()));
        // Renamed, and another one made in its place.
        std::fs::rename(&path, &old).unwrap();
        std::fs::write(&path, "").unwrap();
        file.add("three").unwrap();
        // Copied and cut.
        std::fs::copy(&path, &old).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.add("four").unwrap();
        assert_eq!((read(&old), read(&path)), ("three\n".to_owned(), "four\n".to_owned()));
        // What cannot be opened takes nothing, and is told.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&old, &path).unwrap();
        file.add("five").unwrap_err();
        std::fs::remove_file(&path).unwrap();
        file.add("six").unwrap();
        assert_eq!((read(&old), read(&path)), ("three\n".to_owned(), "six\n".to_owned()));
    }

    #[test]
    fn hits_go_to_every_output_and_what_does_not_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hits.jsonl");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let mut read = 0;
            while !String::from_utf8_lossy(&request[..read]).contains("\"rule\":1}") {
                read += stream.read(&mut request[read..]).unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let undelivered = Arc::new(AtomicU64::new(0));
        let log = UnixDatagram::bind(dir.path().join("log")).unwrap();
        // Nobody listens on port 1.
        let outputs = [
            format!("syslog:{}", dir.path().join("log").display()),
            format!("file:{}", file.display()),
            format!("http://{address}/hits"),
            "http://127.0.0.1:1/".to_owned(),
        ];
        let rules = |outputs| RulesConfig {
            files: vec![],
            outputs,
            ca: None,
            token_file: None,
            budget: 25,
            queue: 1 << 20,
        };
        let outputs = Outputs::open(&rules(outputs.to_vec()), Arc::clone(&undelivered)).unwrap();
        outputs.send("{\"priority\":\"Error\",\"rule\":1}");
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /hits HTTP/1.1\r\n"), "{request}");
        for _ in 0..500 {
            if undelivered.load(Ordering::Relaxed) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(undelivered.load(Ordering::Relaxed), 1);
        let line = "{\"priority\":\"Error\",\"rule\":1}";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{line}\n"));
        let mut datagram = [0; 256];
        let length = log.recv(&mut datagram).unwrap();
        let expected = format!("<11>afterimaged[{}]: {line}", std::process::id());
        assert_eq!(String::from_utf8_lossy(&datagram[..length]), expected);
        assert!(matches!(
            Outputs::open(&rules(vec!["tape".to_owned()]), undelivered),
            Err(OutputError::Unknown(_))
        ));
    }
}
