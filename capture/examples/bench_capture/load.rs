//! The workloads: each a command that does a known number of operations.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// A workload.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Its name in the figures.
    pub(crate) name: &'static str,
    /// How many operations it does; 0 where only its whole time means something.
    pub(crate) operations: u64,
    /// What one operation is.
    pub(crate) unit: &'static str,
    /// Programs it needs.
    needs: &'static [&'static str],
    /// Its script, for a shell.
    pub(crate) script: String,
    /// Too slow under tracers that stop at each call.
    pub(crate) long: bool,
}

impl Load {
    /// All of them.
    pub(crate) fn all(quick: bool) -> Vec<Self> {
        let scale = if quick { 1 } else { 5 };
        let own = std::env::current_exe().unwrap_or_default();
        let own = own.display();
        let internal = |name, unit, count: u64, operations| Self {
            name,
            operations,
            unit,
            needs: &[],
            script: format!("exec {own} --load {name} {count}"),
            long: false,
        };
        let external = |name, needs, script: String| Self {
            name,
            operations: 0,
            unit: "run",
            needs,
            script,
            long: true,
        };
        let steady = STEADY_RATE * if quick { 10 } else { STEADY_SECONDS };
        vec![
            internal("getppid", "call", 400_000 * scale, 400_000 * scale),
            internal("getppid-2-threads", "call", 200_000 * scale, 400_000 * scale),
            internal("open-close", "round of 2 calls", 60_000 * scale, 60_000 * scale),
            internal("open-read-close", "round of 3 calls", 60_000 * scale, 60_000 * scale),
            internal("tcp-ping-pong", "round trip", 8_000 * scale, 8_000 * scale),
            internal("fork-exec", "process", 200 * scale, 200 * scale),
            external("tar-gzip", &["tar", "gzip"], "tar cf - /usr/include | gzip -1 > /dev/null".to_owned()),
            external("c-build", &["gcc", "make"], build()),
            external("redis", &["redis-server", "redis-benchmark"], redis(scale)),
            external("pgbench", &["pgbench", "runuser"], pgbench(scale)),
            Self { long: true, ..internal("steady", "call", steady, 0) },
            external(IDLE, &["sleep"], format!("exec sleep {}", 2 * scale + 1)),
        ]
    }

    /// The first program that is not there.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &&str| std::env::split_paths(&path).any(|dir: PathBuf| dir.join(name).exists());
        self.needs.iter().find(|name| !there(name)).copied()
    }
}

/// The load that is none: what the recorder costs in any case.
pub(crate) const IDLE: &str = "idle";
/// Calls in a second that no event of may be lost, and how long, in seconds.
const STEADY_RATE: u64 = 300_000;
const STEADY_SECONDS: u64 = 60;

/// A small C project, made anew in a directory of its own.
fn build() -> String {
    "d=$(mktemp -d); cd $d; for i in $(seq 24); do \
     { echo '#include <stdio.h>'; echo '#include <stdlib.h>'; echo \"int f$i(int a){return a*$i;}\"; } > m$i.c; \
     done; printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n' > Makefile; make -s -j2; cd /; rm -rf $d"
        .to_owned()
}

/// A database of its own, made, filled, asked, and removed.
fn pgbench(scale: u64) -> String {
    format!(
        "set -e; d=$(mktemp -d); chown postgres $d; cd $d; b=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); \
         as() {{ runuser -u postgres -- \"$@\"; }}; as $b/initdb -D $d/db >/dev/null; \
         as $b/pg_ctl -D $d/db -l $d/log -w -o \"-c listen_addresses= -k $d\" start >/dev/null; \
         as pgbench -h $d -i -q postgres 2>/dev/null; as pgbench -h $d -n -S -c 4 -t {} postgres >/dev/null; \
         as $b/pg_ctl -D $d/db -m fast -w stop >/dev/null; cd /; rm -rf $d",
        4000 * scale
    )
}

fn redis(scale: u64) -> String {
    format!(
        "redis-server --port 16399 --bind 127.0.0.1 --save '' --daemonize no >/dev/null & p=$!; \
         sleep 0.3; redis-benchmark -p 16399 -n {} -c 20 -t set,get -q >/dev/null; kill $p; wait $p || true",
        20_000 * scale
    )
}

/// Runs a load of this program.
pub(crate) fn run_named(name: &str, count: u64) -> ExitCode {
    let done = match name {
        "getppid" => {
            getppid(count);
            Ok(())
        }
        "getppid-2-threads" => {
            let other = std::thread::spawn(move || getppid(count));
            getppid(count);
            other.join().map_err(|_| std::io::Error::other("a thread panicked"))
        }
        "open-close" => open_close(count),
        "open-read-close" => open_read_close(count),
        "steady" => {
            steady(count);
            Ok(())
        }
        "tcp-ping-pong" => ping_pong(count),
        "fork-exec" => fork_exec(count),
        _ => Err(std::io::Error::other("no such load")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn getppid(count: u64) {
    for _ in 0..count {
        std::hint::black_box(rustix::process::getppid());
    }
}

/// `count` calls at the steady rate, in bursts of a millisecond's worth.
fn steady(count: u64) {
    let begun = Instant::now();
    for done in (0..count).step_by((STEADY_RATE / 1000) as usize) {
        getppid(STEADY_RATE / 1000);
        let due = Duration::from_nanos((done + STEADY_RATE / 1000) * 1_000_000_000 / STEADY_RATE);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
}

fn open_close(count: u64) -> std::io::Result<()> {
    for _ in 0..count {
        std::hint::black_box(std::fs::File::open("/etc/hostname")?);
    }
    Ok(())
}

fn open_read_close(count: u64) -> std::io::Result<()> {
    let mut buffer = [0; 64];
    for _ in 0..count {
        let mut file = std::fs::File::open("/etc/hostname")?;
        std::hint::black_box(file.read(&mut buffer)?);
    }
    Ok(())
}

fn ping_pong(count: u64) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut peer, _) = listener.accept()?;
        peer.set_nodelay(true)?;
        let mut buffer = [0; 64];
        while peer.read_exact(&mut buffer).is_ok() {
            peer.write_all(&buffer)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = [7; 64];
    for _ in 0..count {
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
    }
    drop(stream);
    echo.join().map_err(|_| std::io::Error::other("the echo panicked"))?
}

fn fork_exec(count: u64) -> std::io::Result<()> {
    for _ in 0..count {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err(std::io::Error::other("/bin/true failed"));
        }
    }
    Ok(())
}
