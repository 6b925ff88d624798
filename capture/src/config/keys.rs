//! Every key of the configuration: its kind, its default, and whether a reload applies it.

use super::value::Kind;

/// A key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its full name, with dots; of a table's key the short one.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As a variable would have it. Tables have none.
    pub(super) default: &'static str,
    /// Whether `afterimaged reload` applies a change; a restart is needed otherwise.
    pub(super) reloads: bool,
    pub(super) help: &'static str,
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const MIB: u64 = 1 << 20;

/// Senders that a trigger can come from.
pub(super) const SENDERS: &[&str] =
    &["falco", "alertmanager", "k8s-audit", "tetragon", "tracee", "cloudevents", "generic"];
/// How wide a pin reaches.
pub(super) const SCOPES: &[&str] = &["container", "pod", "process_tree", "neighbours", "host"];

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    reloads: bool,
    help: &'static str,
) -> Key {
    Key { name, kind, default, reloads, help }
}

/// Applied by a reload.
const LIVE: bool = true;
/// Applied by a restart.
const START: bool = false;

/// Keys of `[[triggers.actions]]`. The first entry that matches a trigger decides.
const ACTION: &[Key] = &[
    key(
        "source",
        Kind::Text,
        "*",
        LIVE,
        "sender, or `rules` for the recorder's own; `*` and `?` stand for any",
    ),
    key("rule", Kind::Text, "*", LIVE, "name of the rule or alert"),
    key("tag", Kind::Text, "*", LIVE, "one of its tags"),
    key(
        "priority",
        Kind::Word(&[
            "emergency",
            "alert",
            "critical",
            "error",
            "warning",
            "notice",
            "informational",
            "debug",
        ]),
        "debug",
        LIVE,
        "this bad or worse",
    ),
    key("action", Kind::Word(&["pin", "mark", "ignore"]), "pin", LIVE, "pin; mark: remember only; or ignore"),
    key("before", Kind::Duration(0, 365 * DAY), "10m", LIVE, "how far back to pin"),
    key("after", Kind::Duration(0, 365 * DAY), "5m", LIVE, "how far ahead to pin"),
    key("scope", Kind::Word(SCOPES), "container", LIVE, "what to pin besides the container"),
    key(
        "limit",
        Kind::Size(0, 1 << 50),
        "0B",
        LIVE,
        "the pin ends when so much was recorded; 0 for no limit",
    ),
    key("boost", Kind::Bool, "false", LIVE, "record every call of the container as long as the pin goes on"),
];

/// Keys of `[[triggers.tail]]`.
const TAIL: &[Key] = &[
    key("path", Kind::Text, "", START, "file that grows by a line for each alert"),
    key("format", Kind::Word(SENDERS), "tetragon", START, "what its lines are"),
];

/// All keys, by section.
pub(super) const KEYS: &[Key] = &[
    key("store.path", Kind::Text, "/var/lib/afterimage", START, "where the recording is kept"),
    key(
        "store.segment_size",
        Kind::Size(MIB, 4096 * MIB),
        "64MiB",
        START,
        "a new segment is begun at this size",
    ),
    key(
        "store.budget",
        Kind::Size(0, u64::MAX),
        "10GiB",
        START,
        "the recording takes no more at each commit (twice a second), pins included: the oldest of the largest container goes first; 0B for no limit",
    ),
    key(
        "store.age",
        Kind::Duration(0, 3650 * DAY),
        "0s",
        START,
        "what is older is removed, but for what is pinned; 0s for no limit",
    ),
    key(
        "store.container_share",
        Kind::Number(1, 100),
        "100",
        START,
        "most that one container may take of the budget, percent",
    ),
    key(
        "store.reserve",
        Kind::Size(0, u64::MAX),
        "256MiB",
        START,
        "so much of the file system stays free: below it only programs, connections and privileges are recorded",
    ),
    key(
        "record.profile",
        Kind::Word(&["minimal", "forensic", "full"]),
        "forensic",
        LIVE,
        "which system calls to keep",
    ),
    key(
        "record.host",
        Kind::Word(&["none", "lifecycle", "full"]),
        "lifecycle",
        LIVE,
        "what to record of the host's own processes",
    ),
    key(
        "record.data_ring",
        Kind::PowerOfTwo(MIB, 1024 * MIB),
        "32MiB",
        START,
        "ring for system calls; up to a quarter as much more is for calls that are numbers only, shared among the CPUs",
    ),
    key(
        "record.control_ring",
        Kind::PowerOfTwo(MIB, 1024 * MIB),
        "8MiB",
        START,
        "ring for processes and cgroups",
    ),
    key(
        "record.payload_file",
        Kind::Size(0, 4096),
        "256B",
        START,
        "bytes kept of each read or write of a regular file",
    ),
    key(
        "record.payload_stream",
        Kind::Size(0, 4096),
        "4KiB",
        START,
        "bytes kept of each read or write of a socket, pipe or terminal",
    ),
    key(
        "record.payload_budget",
        Kind::Size(0, 4095 * MIB),
        "1MiB",
        START,
        "bytes of each open socket and pipe that are kept so in a minute, of a terminal eight times as many; behind them as much of each read or write as of a regular file, which the event says; 0 for no end; containers with a boost have none",
    ),
    key(
        "record.bpffs",
        Kind::Text,
        crate::bpffs::USUAL,
        START,
        "BPF file system in which programs and rings outlive a recorder that is killed, so that the next one misses nothing; empty for none",
    ),
    key("record.numbers_only", Kind::Bool, "false", START, "keep the numbers of each call only"),
    key(
        "redact.secrets",
        Kind::Bool,
        "false",
        START,
        "mask secrets before anything is written, shown or given to rules: what cannot be read back later by anybody",
    ),
    key(
        "redact.names",
        Kind::List,
        "password,passwd,secret,token,api_key,apikey,api-key,access_key,private_key,credential",
        START,
        "values of variables, options and members with one of these in their name are secrets",
    ),
    key(
        "redact.patterns",
        Kind::List,
        "",
        START,
        "regular expressions of what is secret besides: their group `secret`, or the whole match",
    ),
    key(
        "log.filter",
        Kind::Text,
        "warn",
        START,
        "which messages are logged, as in `info,afterimage_capture=debug`",
    ),
    key("log.status_interval", Kind::Duration(SECOND, DAY), "10s", START, "time between status lines"),
    key("api.enabled", Kind::Bool, "true", START, "serve the control API"),
    key("api.socket", Kind::Text, "/run/afterimage/api.sock", START, "its unix socket"),
    key("api.group", Kind::Text, "", START, "members of this group may use it, besides root"),
    key(
        "metrics.listen",
        Kind::Address,
        "",
        START,
        "serve /metrics, /healthz and /readyz on this TCP address",
    ),
    key(
        "triggers.before",
        Kind::Duration(0, 365 * DAY),
        "10m",
        LIVE,
        "how far back a trigger pins, where nothing else says",
    ),
    key(
        "triggers.after",
        Kind::Duration(0, 365 * DAY),
        "5m",
        LIVE,
        "how far ahead a trigger pins, where nothing else says",
    ),
    key(
        "triggers.cooldown",
        Kind::Duration(0, DAY),
        "30s",
        LIVE,
        "the same rule on the same container extends its pin within this time",
    ),
    key(
        "triggers.dedup",
        Kind::Duration(0, DAY),
        "10m",
        LIVE,
        "the same alert sent again within this time is answered from memory",
    ),
    key("triggers.queue", Kind::Number(1, 1_000_000), "4096", START, "triggers in waiting; more are refused"),
    key(
        "triggers.bodies",
        Kind::Size(0, 1 << 40),
        "256MiB",
        START,
        "room for alerts as they were received; the oldest go first",
    ),
    key("triggers.actions", Kind::Tables(ACTION), "", LIVE, "what to do on which trigger"),
    key("triggers.tail", Kind::Tables(TAIL), "", START, "files to read alerts from"),
    key("webhook.enabled", Kind::Bool, "false", START, "take alerts over TCP"),
    key("webhook.listen", Kind::Address, "127.0.0.1:7744", START, "the address"),
    key(
        "webhook.token_file",
        Kind::Text,
        "",
        LIVE,
        "file with a token in each line, one of which a sender must know",
    ),
    key("webhook.hmac_key_file", Kind::Text, "", LIVE, "file with the key that senders sign with"),
    key(
        "webhook.hmac_window",
        Kind::Duration(SECOND, DAY),
        "300s",
        LIVE,
        "how far a signature's time may be off",
    ),
    key("webhook.require_hmac", Kind::Bool, "false", LIVE, "a token is not enough"),
    key("webhook.unauthenticated", Kind::Bool, "false", LIVE, "take alerts from anybody; on loopback only"),
    key("webhook.body_limit", Kind::Size(1024, 64 * MIB), "8MiB", START, "longest alert, unpacked"),
    key(
        "webhook.rate",
        Kind::Number(1, 1_000_000),
        "200",
        START,
        "requests a second from one address; more are refused",
    ),
    key(
        "webhook.connections",
        Kind::Number(1, 65_536),
        "256",
        START,
        "connections at a time, of one network half of them",
    ),
    key("webhook.tls_cert", Kind::Text, "", START, "certificate chain, PEM"),
    key("webhook.tls_key", Kind::Text, "", START, "its key, PEM"),
    key(
        "webhook.tls_client_ca",
        Kind::Text,
        "",
        START,
        "senders must have a certificate of one of these authorities, PEM",
    ),
    key("rules.files", Kind::List, "", LIVE, "Falco rule files, in order; none for no rules"),
    key(
        "rules.outputs",
        Kind::List,
        "",
        LIVE,
        "where hits go: `stdout`, `syslog`, `file:PATH`, `http://HOST:PORT/PATH`, `https://HOST:PORT/PATH`",
    ),
    key(
        "rules.ca",
        Kind::Text,
        "",
        LIVE,
        "certificates of the authorities of `https` outputs, PEM; the system's where empty",
    ),
    key(
        "rules.token_file",
        Kind::Text,
        "",
        LIVE,
        "file with the token that is sent to `http` and `https` outputs (`Authorization: Bearer`)",
    ),
    key(
        "rules.budget",
        Kind::Number(1, 100),
        "25",
        LIVE,
        "percent of one CPU that rules may take; the costliest is shed above",
    ),
    key(
        "rules.queue",
        Kind::Size(MIB, 1024 * MIB),
        "16MiB",
        START,
        "events in waiting for rules; more are not looked at, and counted",
    ),
];

impl Key {
    /// The variables that set it; the last that is there counts.
    pub(super) fn variables(&self) -> impl Iterator<Item = String> + use<> {
        // Older than the others, and shared with the reader.
        let short = match self.name {
            "store.path" => Some("AFTERIMAGE_STORE"),
            "log.filter" => Some("AFTERIMAGE_LOG"),
            _ => None,
        };
        let long = format!("AFTERIMAGE_{}", self.name.replace('.', "_").to_uppercase());
        std::iter::once(long).chain(short.map(str::to_owned))
    }
}
