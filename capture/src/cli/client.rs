//! The verbs that ask a running recorder over its socket.

mod print;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{EXIT_ENVIRONMENT, EXIT_USAGE};
use crate::http::{
    client::{self, ClientError},
    query,
};

/// Exit status where nothing matched.
const EXIT_NOTHING: u8 = 1;
/// Exit status where events are missing of what was asked for.
const EXIT_LOSS: u8 = 4;

/// Where the recorder is, and how to answer.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// Socket of the recorder.
    #[arg(
        long,
        value_name = "PATH",
        env = "AFTERIMAGE_API_SOCKET",
        default_value = "/run/afterimage/api.sock"
    )]
    socket: PathBuf,
    /// For people, or as JSON.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    connection: Connection,
    /// Only tell by the exit status whether it is ready: 0, or 5.
    #[arg(long)]
    check: bool,
}

/// Arguments of `trigger` and `pin`: which container, and how much of it.
#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    /// Id, beginning of an id, name, NAMESPACE/POD or NAMESPACE/POD/CONTAINER; a deleted container's as well.
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    /// Where several containers are called so, all of them; without it, nothing is done then.
    #[arg(long)]
    all: bool,
    /// Every container of this pod; with CONTAINER, that one of this pod.
    #[arg(long, value_name = "[NAMESPACE/]POD")]
    pod: Option<String>,
    /// The container that this process was in, as the host numbers it.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The containers of this image that lived then.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// When it happened, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How far back: 10m, 2h, all.
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// How far ahead: 5m, or exit for until the container's end.
    #[arg(long, value_name = "TIME")]
    after: Option<String>,
    /// What to pin besides it: its pod, the containers of its process's descendants, all that it has to do with, or
    /// the host.
    #[arg(long, value_name = "SCOPE",
          value_parser = ["container", "pod", "process_tree", "neighbours", "host"])]
    scope: Option<String>,
    /// The pin ends when so many bytes were recorded of the container from now on.
    #[arg(long, value_name = "BYTES")]
    limit: Option<u64>,
    /// Record every call of the container as long as the pin goes on.
    #[arg(long)]
    boost: bool,
    /// Why, for whoever looks at it later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `trigger` alone.
#[derive(Debug, Args)]
pub(super) struct AlertArgs {
    #[command(flatten)]
    what: TriggerArgs,
    /// An alert as Falco, Alertmanager, Tetragon, Tracee or another sender writes it; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["container", "pod", "pid", "image"])]
    body: Option<PathBuf>,
    /// Write it down, and pin nothing.
    #[arg(long)]
    mark: bool,
    /// List the triggers that came, the latest first.
    #[arg(long, conflicts_with_all = ["container", "pod", "pid", "image", "body", "mark"])]
    list: bool,
}

/// Arguments of `pin`.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    #[command(flatten)]
    what: TriggerArgs,
    /// List the pins there are.
    #[arg(long, conflicts_with_all = ["container", "pod", "pid", "image"])]
    list: bool,
}

/// Arguments of `unpin`.
#[derive(Debug, Args)]
pub(super) struct UnpinArgs {
    /// The pins to take away.
    #[arg(value_name = "PIN", required = true)]
    pins: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// Id, beginning of an id, name, or NAMESPACE/POD; `host` for the host's own [default: all].
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    /// Only events that pass this filter, as `afterimage grep` knows it.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// End after so many events.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Why there is no answer, and the exit status for it.
struct Failed(u8, String);

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        use std::error::Error as _;
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self(EXIT_ENVIRONMENT, format!("{error}{cause}"))
    }
}

type Answered = Result<u8, Failed>;

/// Runs to the end and tells the exit status.
fn finish(answered: Answered) -> ExitCode {
    match answered {
        Ok(code) => ExitCode::from(code),
        Err(Failed(code, message)) => {
            eprintln!("afterimaged: {message}");
            ExitCode::from(code)
        }
    }
}

impl Connection {
    /// Asks, and gives the JSON of a good answer.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed(EXIT_ENVIRONMENT, error.to_string()))?;
        let (status, bytes) = runtime.block_on(async {
            let answer = client::ask(&self.socket, method, path, body).await?;
            let status = answer.status;
            Ok::<_, Failed>((status, answer.whole().await?))
        })?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Failed(EXIT_ENVIRONMENT, format!("the answer ({status}) is not JSON")))?;
        if status.is_success() { Ok(value) } else { Err(Self::refused(status, &value)) }
    }

    fn refused(status: StatusCode, value: &Value) -> Failed {
        let message = print::safe(value["error"].as_str().unwrap_or("refused"));
        let code = match status {
            StatusCode::NOT_FOUND => EXIT_NOTHING,
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => EXIT_USAGE,
            _ => EXIT_ENVIRONMENT,
        };
        Failed(code, message)
    }

    fn show(&self, value: &Value, text: impl FnOnce(&Value) -> String) {
        match self.output {
            Output::Json => println!("{value}"),
            Output::Text => print!("{}", text(value)),
        }
    }
}

/// `afterimaged status`.
pub(super) fn status(args: &StatusArgs) -> ExitCode {
    finish((|| {
        let status = args.connection.ask(Method::GET, "/v1/status", None)?;
        let ready = status["ready"] == true;
        if !args.check {
            args.connection.show(&status, print::status);
        }
        Ok(if ready { 0 } else { EXIT_ENVIRONMENT })
    })())
}

impl TriggerArgs {
    fn is_empty(&self) -> bool {
        self.container.is_none() && self.pod.is_none() && self.pid.is_none() && self.image.is_none()
    }

    fn request(&self, action: &str) -> Value {
        let (namespace, pod) = match self.pod.as_deref().map(|pod| pod.split_once('/').ok_or(pod)) {
            Some(Ok((namespace, pod))) => (Some(namespace), Some(pod)),
            Some(Err(pod)) => (None, Some(pod)),
            None => (None, None),
        };
        json!({
            "container": self.container,
            "namespace": namespace,
            "pod": pod,
            "pid": self.pid,
            "image": self.image,
            "time": self.at,
            "before": self.before,
            "after": self.after,
            "scope": self.scope,
            "limit": self.limit,
            "boost": self.boost.then_some(true),
            "all": self.all.then_some(true),
            "reason": self.reason,
            "action": action,
        })
    }

    fn send(&self, action: &str) -> Answered {
        if self.is_empty() {
            return Err(Failed(
                EXIT_USAGE,
                "say which container: an id, a name, --pod, --pid or --image".to_owned(),
            ));
        }
        let answer = self.connection.ask(Method::POST, "/v1/triggers", Some(&self.request(action)))?;
        self.connection.show(&answer, print::outcomes);
        Ok(verdict(&answer))
    }
}

/// The exit status of what became of triggers.
fn verdict(answer: &Value) -> u8 {
    let outcomes = answer["triggers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let state = |outcome: &Value| outcome["state"].as_str().unwrap_or("").to_owned();
    if outcomes.iter().any(|outcome| state(outcome) == "failed") {
        return EXIT_ENVIRONMENT;
    }
    let found =
        outcomes.iter().any(|outcome| matches!(state(outcome).as_str(), "pinned" | "marked" | "duplicate"));
    if !found {
        return EXIT_NOTHING;
    }
    let mut covered = outcomes.iter().filter_map(|outcome| outcome["containers"].as_array()).flatten();
    if covered.any(|covered| covered["complete"] == false) { EXIT_LOSS } else { 0 }
}

/// `afterimaged trigger`.
pub(super) fn trigger(args: &AlertArgs) -> ExitCode {
    let connection = &args.what.connection;
    finish((|| {
        if args.list {
            let list = connection.ask(Method::GET, "/v1/triggers", None)?;
            connection.show(&list, print::outcomes);
            let none = list["triggers"].as_array().is_none_or(Vec::is_empty);
            return Ok(if none { EXIT_NOTHING } else { 0 });
        }
        let Some(path) = &args.body else {
            return args.what.send(if args.mark { "mark" } else { "pin" });
        };
        let read = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(path)
        };
        let text = read.map_err(|error| {
            Failed(EXIT_ENVIRONMENT, format!("cannot read `{}`: {error}", path.display()))
        })?;
        let body: Vec<Value> = serde_json::Deserializer::from_str(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| Failed(EXIT_USAGE, format!("`{}` is not JSON: {error}", path.display())))?;
        let answer = connection.ask(Method::POST, "/v1/trigger?wait=5s", Some(&Value::Array(body)))?;
        connection.show(&answer, print::outcomes);
        Ok(verdict(&answer))
    })())
}

/// `afterimaged pin`.
pub(super) fn pin(args: &PinArgs) -> ExitCode {
    let connection = &args.what.connection;
    finish((|| {
        if !args.list {
            return args.what.send("pin");
        }
        let list = connection.ask(Method::GET, "/v1/pins", None)?;
        connection.show(&list, print::pins);
        Ok(if list["pins"].as_array().is_none_or(Vec::is_empty) { EXIT_NOTHING } else { 0 })
    })())
}

/// `afterimaged unpin`.
pub(super) fn unpin(args: &UnpinArgs) -> ExitCode {
    let mut worst = 0;
    for pin in &args.pins {
        let path = format!("/v1/pins/{}", query::encode(pin));
        match args.connection.ask(Method::DELETE, &path, None) {
            Ok(answer) => args.connection.show(&answer, |_| format!("{} taken away\n", print::safe(pin))),
            Err(Failed(code, message)) => {
                eprintln!("afterimaged: {}: {message}", print::safe(pin));
                worst = worst.max(code);
            }
        }
    }
    ExitCode::from(worst)
}

/// `afterimaged tail`.
pub(super) fn tail(args: &TailArgs) -> ExitCode {
    let members = [("container", &args.container), ("filter", &args.filter)];
    let members: Vec<String> = members
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", query::encode(value.as_deref()?))))
        .collect();
    let path = format!("/v1/live?{}", members.join("&"));
    finish((|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed(EXIT_ENVIRONMENT, error.to_string()))?;
        runtime.block_on(async {
            let mut answer = client::ask(&args.connection.socket, Method::GET, &path, None).await?;
            if !answer.status.is_success() {
                let status = answer.status;
                let value = serde_json::from_slice(&answer.whole().await?).unwrap_or(Value::Null);
                return Err(Connection::refused(status, &value));
            }
            let mut shown =
                Shown { output: args.connection.output, left: args.count, part: Vec::new(), lost: false };
            while shown.left != Some(0)
                && let Some(piece) = answer.next().await?
            {
                shown.piece(&piece)?;
            }
            Ok(if shown.lost { EXIT_LOSS } else { 0 })
        })
    })())
}

/// What `tail` has shown.
struct Shown {
    output: Output,
    left: Option<u64>,
    /// A line whose end has not come.
    part: Vec<u8>,
    /// Events were left out because they came too fast.
    lost: bool,
}

impl Shown {
    fn piece(&mut self, piece: &[u8]) -> Result<(), Failed> {
        self.part.extend_from_slice(piece);
        while self.left != Some(0)
            && let Some(end) = self.part.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = self.part.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)
                .map_err(|_| Failed(EXIT_ENVIRONMENT, "the answer is not JSON".to_owned()))?;
            if event["kind"] == "event" {
                self.left = self.left.map(|left| left - 1);
            } else {
                self.lost = true;
            }
            let text = match self.output {
                Output::Json => format!("{event}\n"),
                Output::Text => print::event(&event),
            };
            if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
                // Nobody reads any more, as behind `head`.
                self.left = Some(0);
                if error.kind() != std::io::ErrorKind::BrokenPipe {
                    return Err(Failed(EXIT_ENVIRONMENT, error.to_string()));
                }
            }
        }
        Ok(())
    }
}

/// `afterimaged reload`.
pub(super) fn reload(args: &ReloadArgs) -> ExitCode {
    finish((|| {
        let answer = args.connection.ask(Method::POST, "/v1/reload", None)?;
        args.connection.show(&answer, print::reloaded);
        Ok(0)
    })())
}
