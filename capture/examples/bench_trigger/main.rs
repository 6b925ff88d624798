//! How long an alert takes from its arrival at the webhook until its pin is on disk, with many containers in the store.
//!
//! `cargo xtask bench trigger` runs it. Containers are made and deleted, then each is alerted of, one alert after the
//! other over one connection, as an alert manager sends them; each answer comes when the pin has been synced. Printed are
//! the recorder's own figure, from the alert's arrival to the synced pin, and the sender's, from the first byte sent to
//! the answer's last. Nothing here asserts a time.

#[path = "../bench_capture/machine.rs"]
mod machine;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio as Pipe},
    sync::Mutex,
    time::{Duration, Instant},
};

use afterimage_launch::{Launcher, Outcome, Root, Stdio, Style, rootfs};
use anyhow::{Context as _, bail, ensure};
use clap::Parser;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Measures how long an alert takes to be a pin.
#[derive(Debug, Parser)]
struct Args {
    /// Containers in the store, each with an alert.
    #[arg(long, default_value_t = 1000)]
    containers: usize,
    /// The recorder's program; by default the one beside this.
    #[arg(long)]
    recorder: Option<PathBuf>,
}

/// A recorder that ends with the benchmark.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(rustix::process::geteuid().is_root(), "not root: recording needs it");
    let program = args.recorder.clone().or_else(beside).context("no afterimaged beside this program")?;
    let dir = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    println!("{}", machine::describe());
    let recorder = start(&program, dir.path(), address)?;
    let ids = containers(args.containers)?;
    let socket = dir.path().join("api.sock");
    wait_for(&socket, ids.len())?;
    let mut times = Vec::with_capacity(ids.len());
    let mut connection = BufReader::new(TcpStream::connect(address)?);
    for id in &ids {
        let begun = Instant::now();
        let answer = alert(&mut connection, id)?;
        times.push(begun.elapsed());
        ensure!(answer.contains("\"state\":\"pinned\""), "`{id}` is not pinned: {answer}");
    }
    times.sort_unstable();
    let quantile = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("{} alerts on as many deleted containers, all pinned", ids.len());
    let metrics = ask(&socket, "/metrics")?;
    for (name, label) in [("middle", "0.5"), ("p99", "0.99")] {
        let start = format!("afterimage_trigger_latency_seconds{{quantile=\"{label}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&start)).context("no latency")?;
        println!("recorder, arrival to synced pin: {name} {:.2} ms", value.trim().parse::<f64>()? * 1000.0);
    }
    println!(
        "sender, first byte to answer: middle {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        quantile(0.5),
        quantile(0.99),
        quantile(1.0)
    );
    drop(recorder);
    Ok(())
}

/// `afterimaged` of the same build.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.parent()?.join("afterimaged");
    path.exists().then_some(path)
}

fn start(program: &Path, dir: &Path, address: SocketAddr) -> anyhow::Result<Recorder> {
    let tokens = dir.join("tokens");
    fs::write(&tokens, TOKEN)?;
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600))?;
    let config = dir.join("config.toml");
    let at = dir.display();
    let text = format!(
        "[api]\nsocket = \"{at}/api.sock\"\n[webhook]\nenabled = true\nlisten = \"{address}\"\n\
         token_file = \"{at}/tokens\"\nrate = 1000000\n"
    );
    fs::write(&config, text)?;
    let mut child = Command::new(program)
        .args(["run", "--host", "none", "--store"])
        .arg(dir.join("store"))
        .arg("--config")
        .arg(&config)
        .stderr(Pipe::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
    let recorder = Recorder(child);
    let begun = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("recording"));
    ensure!(begun, "the recorder did not begin");
    // Read on, so that it never waits.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(recorder)
}

fn containers(count: usize) -> anyhow::Result<Vec<String>> {
    let root = tempfile::tempdir()?;
    rootfs::busybox(root.path())?;
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().to_owned()))?;
    let ids = Mutex::new(Vec::with_capacity(count));
    let done = |done: Outcome| {
        if let Ok(mut ids) = ids.lock() {
            ids.push(done.id.to_string());
        }
    };
    launcher.run_many(count, 4, &["/bin/true"], Stdio::default(), done)?;
    Ok(ids.into_inner().unwrap_or_default())
}

/// Waits until the recorder knows so many containers.
fn wait_for(socket: &Path, count: usize) -> anyhow::Result<()> {
    for _ in 0..1200 {
        let status: serde_json::Value = serde_json::from_str(&ask(socket, "/v1/status")?)?;
        if status["containers_known"].as_u64().is_some_and(|known| known >= count as u64) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the recorder does not know all containers within a minute")
}

/// A body by a request over the control socket.
fn ask(socket: &Path, path: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").context("no answer")?;
    Ok(body.to_owned())
}

/// Sends an alert of Falco's form and takes the answer.
fn alert(connection: &mut BufReader<TcpStream>, id: &str) -> anyhow::Result<String> {
    let body = format!(
        r#"{{"rule":"Terminal shell in container","priority":"Critical","source":"syscall","output":"a shell","output_fields":{{"container.id":"{}"}}}}"#,
        &id[..12]
    );
    let head = format!(
        "POST /v1/trigger?wait=5s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.get_mut().write_all((head + &body).as_bytes())?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(connection.read_line(&mut line)? > 0, "the connection ended");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut bytes = vec![0; length];
    connection.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
