//! A recorder with an API socket and a webhook of its own, its clients, and containers to tell it of.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use afterimage_launch::{Launcher, Root, Style, rootfs};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{RECORDER, Running, patience},
    http,
};

/// What senders show.
pub(crate) const TOKEN: &str = "a-token-that-nobody-guesses";

/// A recorder with an API socket and a webhook of its own.
pub(crate) struct Bench {
    pub(crate) recorder: Running,
    /// Its configuration, tokens and sockets.
    pub(crate) dir: TempDir,
    pub(crate) webhook: SocketAddr,
    /// A directory with more files, where a test has one.
    pub(crate) files: Option<TempDir>,
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Bench {
    pub(crate) fn start(more: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), more)
    }

    /// The same, on a store that exists.
    pub(crate) fn on(store: TempDir, more: &str) -> Self {
        Self::of(store, more, "none")
    }

    /// The same, with more or less of the host.
    pub(crate) fn of(store: TempDir, more: &str, host: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let webhook = free_port();
        let tokens = dir.path().join("tokens");
        fs::write(&tokens, TOKEN).unwrap();
        fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
        let config = format!(
            "[api]\nsocket = \"{0}/api.sock\"\n[webhook]\nenabled = true\nlisten = \"{webhook}\"\n\
             token_file = \"{0}/tokens\"\n{more}",
            dir.path().display()
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let file = dir.path().join("config.toml");
        let recorder = Running::on(store, &["--host", host, "--config", file.to_str().unwrap()]);
        Self { recorder, dir, webhook, files: None }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    pub(crate) fn client(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } =
            Command::new(RECORDER).args(args).arg("--socket").arg(self.socket()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = http::unix(&self.socket(), "GET", path, b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The status of the answer to an alert; nothing where there is none.
    pub(crate) fn try_alert(&self, body: &Value) -> Option<u16> {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str())];
        let bytes = body.to_string();
        let answer = http::try_tcp(self.webhook, "POST", "/v1/trigger", &headers, bytes.as_bytes());
        answer.map(|answer| answer.status).ok()
    }

    pub(crate) fn alert(&self, body: &Value) -> http::Answer {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        http::tcp(self.webhook, "POST", "/v1/trigger?wait=5s", &headers, body.to_string().as_bytes())
    }
}

/// An alert of Falco.
pub(crate) fn falco(id: &str) -> Value {
    json!({
        "rule": "Drop and execute new binary in container", "priority": "Critical", "source": "syscall",
        "output": "Executing binary not part of base image", "tags": ["T1105"],
        "output_fields": {"container.id": &id[..12], "proc.cmdline": "/tmp/.x -q", "evt.type": "execve"},
    })
}

/// Makes containers with a busybox inside, for as long as the directory is there.
pub(crate) fn busybox() -> (Launcher, TempDir) {
    let root = tempfile::tempdir().unwrap();
    rootfs::busybox(root.path()).unwrap();
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().to_owned())).unwrap();
    (launcher, root)
}

/// Asks again and again until there is an answer; the machine may be slow.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < patience(), "in {:?} there was no {what}", patience());
        std::thread::sleep(Duration::from_millis(50));
    }
}
