//! The recorder's configuration: defaults, `config.toml` and its drop-ins, environment, flags.
//!
//! The keys are one table ([`keys`]); files, variables and flags are read by it, and `config dump` prints by it.

mod dump;
mod error;
pub mod here;
mod keys;
mod layers;
mod value;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use clap::ValueEnum as _;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    http::client::Target,
    recorder::{HostMode, Profile},
    redact::{Redaction, Redactor},
};

pub use dump::reference;
pub use error::{ConfigError, Origin, Place, Problem, ProblemKind};
pub(crate) use layers::distance;
pub use layers::{Settings, Sources};
pub use value::Value;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_FILE: &str = "/etc/afterimage/config.toml";

/// A store of less than this stops at once. Bytes.
const LEAST_BUDGET: u64 = 1 << 20;

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[store]`, `[record]` and `[redact]`.
    pub record: RecordConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[api]`.
    pub api: ApiConfig,
    /// `[metrics]`: the address to serve on.
    pub metrics_listen: Option<SocketAddr>,
    /// `[triggers]`.
    pub triggers: TriggerConfig,
    /// `[webhook]`.
    pub webhook: WebhookConfig,
    /// `[rules]`.
    pub rules: RulesConfig,
}

/// What is recorded, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// The store's directory.
    pub store: PathBuf,
    /// Bytes of a segment.
    pub segment_size: u64,
    /// Bytes of the store; 0 for no limit.
    pub budget: u64,
    /// Nanoseconds that events are kept; 0 for no limit.
    pub age: u64,
    /// Percent of the budget that a container may take.
    pub container_share: u8,
    /// Bytes of the file system that stay free.
    pub reserve: u64,
    /// Which calls.
    pub profile: Profile,
    /// What of the host.
    pub host: HostMode,
    /// Bytes of the data ring.
    pub data_ring: u32,
    /// Bytes of the control ring.
    pub control_ring: u32,
    /// Payload bytes of files.
    pub payload_file: u32,
    /// Payload bytes of streams.
    pub payload_stream: u32,
    /// Payload bytes of a stream in a minute, after which it is cut as files are.
    pub payload_budget: u32,
    /// Numbers only.
    pub numbers_only: bool,
    /// Where programs and rings outlive a recorder that is killed.
    pub pin: Option<PathBuf>,
    /// `[redact]`: which secrets are masked; none are without it.
    pub redact: Option<Redaction>,
}

/// Messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Which, as tracing's filters say it.
    pub filter: String,
    /// Time between status lines.
    pub status_interval: Duration,
}

/// The control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// The socket.
    pub socket: PathBuf,
    /// The socket's path was chosen, so that it must work.
    pub chosen: bool,
    /// Whose members may use it.
    pub group: Option<String>,
}

/// What triggers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerConfig {
    /// How far back to pin.
    pub before: Duration,
    /// How far ahead to pin.
    pub after: Duration,
    /// Within this time the same rule extends its pin.
    pub cooldown: Duration,
    /// Within this time the same alert is the same.
    pub dedup: Duration,
    /// Triggers in waiting.
    pub queue: usize,
    /// Bytes of alerts kept as received.
    pub bodies: u64,
    /// What to do on which; the first that matches.
    pub actions: Vec<ActionConfig>,
    /// Files to read alerts from: path and sender.
    pub tail: Vec<(PathBuf, String)>,
}

/// An entry of `[[triggers.actions]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionConfig {
    /// Pattern of the sender.
    pub source: String,
    /// Pattern of the rule.
    pub rule: String,
    /// Pattern of a tag.
    pub tag: String,
    /// At least this bad.
    pub priority: String,
    /// `pin`, `mark` or `ignore`.
    pub action: String,
    /// How far back to pin; where it was given.
    pub before: Option<Duration>,
    /// How far ahead to pin; where it was given.
    pub after: Option<Duration>,
    /// One of [`keys::SCOPES`].
    pub scope: String,
    /// Bytes recorded from then on at which the pin ends.
    pub limit: Option<u64>,
    /// Record every call of the container as long as the pin goes on.
    pub boost: bool,
}

/// The webhook listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Whether it listens.
    pub enabled: bool,
    /// Where.
    pub listen: SocketAddr,
    /// File of tokens.
    pub token_file: Option<PathBuf>,
    /// File of the signing key.
    pub hmac_key_file: Option<PathBuf>,
    /// How far off a signature's time may be.
    pub hmac_window: Duration,
    /// A token is not enough.
    pub require_hmac: bool,
    /// Anybody may send.
    pub unauthenticated: bool,
    /// Longest body, unpacked.
    pub body_limit: usize,
    /// Requests a second from one address.
    pub rate: u32,
    /// Connections at a time.
    pub connections: usize,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Authorities of senders' certificates.
    pub tls_client_ca: Option<PathBuf>,
}

/// Rules evaluated while recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesConfig {
    /// Rule files in order.
    pub files: Vec<PathBuf>,
    /// Where hits go.
    pub outputs: Vec<String>,
    /// Authorities of outputs' certificates; the system's where none is given.
    pub ca: Option<PathBuf>,
    /// File with the token that addresses among them want.
    pub token_file: Option<PathBuf>,
    /// Percent of one CPU.
    pub budget: u32,
    /// Bytes of events in waiting.
    pub queue: usize,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong.
    pub fn load(sources: &Sources) -> Result<(Self, Settings), ConfigError> {
        let settings = Settings::load(sources)?;
        let config = Self::of(&settings);
        let errors = config.conflicts(&settings);
        if errors.is_empty() { Ok((config, settings)) } else { Err(ConfigError { errors }) }
    }

    fn of(settings: &Settings) -> Self {
        let read = Reader(settings);
        Self {
            record: RecordConfig {
                store: read.path("store.path").unwrap_or_default(),
                segment_size: read.number("store.segment_size"),
                budget: read.number("store.budget"),
                age: read.number("store.age"),
                container_share: read.small("store.container_share") as u8,
                reserve: read.number("store.reserve"),
                profile: Profile::from_str(read.text("record.profile"), true).unwrap_or(Profile::Forensic),
                host: HostMode::from_str(read.text("record.host"), true).unwrap_or(HostMode::Lifecycle),
                data_ring: read.small("record.data_ring"),
                control_ring: read.small("record.control_ring"),
                payload_file: read.small("record.payload_file"),
                payload_stream: read.small("record.payload_stream"),
                payload_budget: read.small("record.payload_budget"),
                numbers_only: read.truth("record.numbers_only"),
                pin: read.path("record.bpffs"),
                redact: read.truth("redact.secrets").then(|| Redaction {
                    names: read.list("redact.names").to_vec(),
                    patterns: read.list("redact.patterns").to_vec(),
                }),
            },
            log: LogConfig {
                filter: read.text("log.filter").to_owned(),
                status_interval: read.duration("log.status_interval"),
            },
            api: ApiConfig {
                enabled: read.truth("api.enabled"),
                socket: read.path("api.socket").unwrap_or_default(),
                chosen: settings.get("api.socket").is_some_and(|(_, origin)| *origin != Origin::Default),
                group: Some(read.text("api.group").to_owned()).filter(|group| !group.is_empty()),
            },
            metrics_listen: read.text("metrics.listen").parse().ok(),
            triggers: triggers(&read),
            webhook: webhook(&read),
            rules: RulesConfig {
                files: read.list("rules.files").iter().map(PathBuf::from).collect(),
                outputs: read.list("rules.outputs").to_vec(),
                ca: read.path("rules.ca"),
                token_file: read.path("rules.token_file"),
                budget: read.small("rules.budget"),
                queue: read.number("rules.queue") as usize,
            },
        }
    }

    /// What each value allows and their combination does not.
    fn conflicts(&self, settings: &Settings) -> Vec<Problem> {
        let mut errors = Vec::new();
        let mut conflict = |key: &str, problem: &str| {
            let at = settings.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
            let kind = ProblemKind::Conflict { key: key.to_owned(), problem: problem.to_owned() };
            errors.push(Problem { at, kind });
        };
        if let Some(Err(error)) = self.record.redact.as_ref().map(Redactor::new) {
            conflict("redact.patterns", &format!("cannot be used: {error}"));
        }
        if (1..LEAST_BUDGET).contains(&self.record.budget) {
            conflict(
                "store.budget",
                "is less than 1MiB, in which nothing could be recorded; \"0B\" is for no limit",
            );
        }
        if let Err(why) = log_filter(&self.log.filter) {
            conflict("log.filter", &why);
        }
        let hook = &self.webhook;
        if hook.enabled {
            let authenticated = hook.token_file.is_some() || hook.hmac_key_file.is_some();
            let remote = !hook.listen.ip().is_loopback();
            if !authenticated && hook.tls_client_ca.is_none() && !hook.unauthenticated {
                let needs = "needs `webhook.token_file`, `webhook.hmac_key_file` or `webhook.tls_client_ca`";
                conflict("webhook.enabled", needs);
            }
            if hook.unauthenticated && remote {
                conflict("webhook.unauthenticated", "is allowed on a loopback address only");
            }
            if remote && hook.tls.is_none() {
                conflict(
                    "webhook.listen",
                    "is not on loopback and needs `webhook.tls_cert` and `webhook.tls_key`",
                );
            }
            if hook.require_hmac && hook.hmac_key_file.is_none() {
                conflict("webhook.require_hmac", "needs `webhook.hmac_key_file`");
            }
        }
        let given =
            |key: &str| settings.get(key).is_some_and(|(value, _)| *value != Value::Text(String::new()));
        if given("webhook.tls_cert") != given("webhook.tls_key") {
            conflict("webhook.tls_cert", "and `webhook.tls_key` belong together");
        }
        if hook.tls_client_ca.is_some() && hook.tls.is_none() {
            conflict("webhook.tls_client_ca", "needs `webhook.tls_cert` and `webhook.tls_key`");
        }
        for output in &self.rules.outputs {
            let known = output == "stdout"
                || output == "syslog"
                || ["file:/", "syslog:/", "http://", "https://"].iter().any(|kind| output.starts_with(kind));
            match output.contains("://").then(|| Target::parse(output)) {
                Some(Err(why)) => conflict("rules.outputs", &why),
                Some(Ok(target)) if self.rules.token_file.is_some() && !target.is_private() => {
                    let problem =
                        format!("would be sent to `{output}` for everybody to read: use `https://`");
                    conflict("rules.token_file", &problem);
                }
                None if !known => {
                    let not = "is not `stdout`, `syslog`, `file:/PATH`, `http://...` or `https://...`";
                    conflict("rules.outputs", &format!("`{output}` {not}"));
                }
                Some(Ok(_)) | None => {}
            }
        }
        errors
    }
}

/// Whether a filter chooses messages: a word that is no level would choose those of a program part of that name, of which there
/// are none, so that nothing is logged at all.
fn log_filter(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map_err(|error| format!("is no filter: {error}"))?;
    let bare = filter.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains(['=', '[']));
    let is_known = |part: &&str| part.parse::<LevelFilter>().is_ok() || part.starts_with("afterimage");
    match bare.into_iter().find(|part| !is_known(part)) {
        None => Ok(()),
        Some(word) => {
            Err(format!("has `{word}`, which is no level (`error`, `warn`, `info`, `debug`, `trace`, `off`)"))
        }
    }
}

fn triggers(read: &Reader<'_>) -> TriggerConfig {
    let actions = read.tables("triggers.actions").iter().map(|entry| {
        let text = |key: &str| match entry.get(key) {
            Some((Value::Text(text), _)) => text.clone(),
            _ => String::new(),
        };
        let given = |key: &str| match entry.get(key) {
            Some((Value::Number(nanos), origin)) if *origin != Origin::Default => {
                Some(Duration::from_nanos(*nanos))
            }
            _ => None,
        };
        ActionConfig {
            source: text("source"),
            rule: text("rule"),
            tag: text("tag"),
            priority: text("priority"),
            action: text("action"),
            before: given("before"),
            after: given("after"),
            scope: text("scope"),
            limit: match entry.get("limit") {
                Some((Value::Number(bytes), _)) if *bytes > 0 => Some(*bytes),
                _ => None,
            },
            boost: matches!(entry.get("boost"), Some((Value::Bool(true), _))),
        }
    });
    let tail = read.tables("triggers.tail").iter().filter_map(|entry| {
        match (entry.get("path"), entry.get("format")) {
            (Some((Value::Text(path), _)), Some((Value::Text(format), _))) if !path.is_empty() => {
                Some((PathBuf::from(path), format.clone()))
            }
            _ => None,
        }
    });
    TriggerConfig {
        before: read.duration("triggers.before"),
        after: read.duration("triggers.after"),
        cooldown: read.duration("triggers.cooldown"),
        dedup: read.duration("triggers.dedup"),
        queue: read.number("triggers.queue") as usize,
        bodies: read.number("triggers.bodies"),
        actions: actions.collect(),
        tail: tail.collect(),
    }
}

fn webhook(read: &Reader<'_>) -> WebhookConfig {
    WebhookConfig {
        enabled: read.truth("webhook.enabled"),
        listen: read
            .text("webhook.listen")
            .parse()
            .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 7744))),
        token_file: read.path("webhook.token_file"),
        hmac_key_file: read.path("webhook.hmac_key_file"),
        hmac_window: read.duration("webhook.hmac_window"),
        require_hmac: read.truth("webhook.require_hmac"),
        unauthenticated: read.truth("webhook.unauthenticated"),
        body_limit: read.number("webhook.body_limit") as usize,
        rate: read.small("webhook.rate"),
        connections: read.number("webhook.connections") as usize,
        tls: read.path("webhook.tls_cert").zip(read.path("webhook.tls_key")),
        tls_client_ca: read.path("webhook.tls_client_ca"),
    }
}

/// Values by name. The kinds of [`keys`] make the other variants impossible.
struct Reader<'a>(&'a Settings);

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        let value = self.0.get(name).map(|(value, _)| value);
        debug_assert!(value.is_some(), "no key `{name}`");
        value
    }

    fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    fn small(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn duration(&self, name: &str) -> Duration {
        Duration::from_nanos(self.number(name))
    }

    fn truth(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(PathBuf::from(self.text(name))).filter(|path| !path.as_os_str().is_empty())
    }

    fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    fn tables(&self, name: &str) -> &[BTreeMap<&'static str, (Value, Origin)>] {
        match self.value(name) {
            Some(Value::Tables(tables)) => tables,
            _ => &[],
        }
    }
}

/// What a reload changes: keys that take effect, and keys that need a restart.
pub fn reloaded(before: &Settings, after: &Settings) -> (Vec<&'static str>, Vec<&'static str>) {
    let reloads = |name: &&str| keys::KEYS.iter().any(|key| key.name == *name && key.reloads);
    after.changed(before).partition(reloads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<(Config, Settings), ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&Sources { file: Some(file), ..Sources::default() })
    }

    #[test]
    fn values_arrive_where_they_are_used() {
        let (config, _) = load(
            "[record]\nprofile = \"minimal\"\npayload_file = 16\n[api]\ngroup = \"soc\"\n[metrics]\n\
             listen = \"127.0.0.1:9000\"\n[[triggers.actions]]\nrule = \"T*\"\nafter = \"1m\"\n\
             [[triggers.tail]]\npath = \"/t.log\"\n",
        )
        .unwrap();
        assert_eq!((config.record.profile, config.record.payload_file), (Profile::Minimal, 16));
        assert_eq!(config.record.data_ring, 32 << 20);
        assert_eq!(config.api.group.as_deref(), Some("soc"));
        assert!(!config.api.chosen);
        assert_eq!(config.metrics_listen, "127.0.0.1:9000".parse().ok());
        let action = &config.triggers.actions[0];
        assert_eq!((action.rule.as_str(), action.before), ("T*", None), "not given: the section's own");
        assert_eq!(action.after, Some(Duration::from_secs(60)));
        assert_eq!(config.triggers.tail, [(PathBuf::from("/t.log"), "tetragon".to_owned())]);
    }

    #[test]
    fn an_open_door_is_refused() {
        let refused = |text: &str| {
            let error = load(&format!("[webhook]\nenabled = true\n{text}")).unwrap_err();
            error.errors.iter().map(|e| e.kind.to_string()).collect::<Vec<_>>().join("; ")
        };
        assert!(refused("").contains("webhook.token_file"));
        assert!(refused("unauthenticated = true\nlisten = \"0.0.0.0:80\"").contains("loopback address only"));
        assert!(refused("token_file = \"/t\"\nlisten = \"10.0.0.1:80\"").contains("webhook.tls_cert"));
        assert!(refused("token_file = \"/t\"\nrequire_hmac = true").contains("hmac_key_file"));
        assert!(refused("token_file = \"/t\"\ntls_cert = \"/c\"").contains("belong together"));
        assert!(load("[webhook]\nenabled = true\ntoken_file = \"/t\"\n").is_ok());
        assert!(load("rules.outputs = [\"tape\"]\n").is_err());
        let token = |output: &str| load(&format!("[rules]\ntoken_file = \"/t\"\noutputs = [\"{output}\"]\n"));
        let error = token("http://10.0.0.1/").unwrap_err().errors.remove(0).kind.to_string();
        assert!(error.contains("rules.token_file") && error.contains("https://"), "{error}");
        for private in ["http://[::1]:80/", "http://localhost/", "https://10.0.0.1/", "stdout"] {
            assert!(token(private).is_ok(), "{private}");
        }
    }

    #[test]
    fn what_would_log_or_record_nothing_by_a_slip_is_refused() {
        let refused = |filter: &str| load(&format!("log.filter = \"{filter}\"\n")).is_err();
        for good in
            ["warn", "info,afterimage_capture=debug", "INFO", "off", "hyper=debug", "afterimage_capture", ""]
        {
            assert!(!refused(good), "{good}");
        }
        assert!(load("store.budget = \"1B\"\n").is_err());
        assert!(load("store.budget = \"0B\"\n").is_ok() && load("store.budget = \"1MiB\"\n").is_ok());
        for bad in ["wran", "warn,,a=b=c", "nonsense", "info=nonsense"] {
            assert!(refused(bad), "{bad}");
        }
    }

    #[test]
    fn a_reload_says_what_needs_a_restart() {
        let (_, before) = load("").unwrap();
        let (_, after) = load("[record]\nhost = \"full\"\ndata_ring = \"64MiB\"\n").unwrap();
        assert_eq!(reloaded(&before, &after), (vec!["record.host"], vec!["record.data_ring"]));
    }
}
