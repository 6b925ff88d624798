//! What a command line announces: the container that a runtime is about to make or enter, that a monitor watches,
//! the daemon that knows more of it.
//!
//! An announcement is a claim of whoever ran the program, nothing more. What it may do is decided by
//! [`super::claims`].

use afterimage_capture_abi::lineage::program;
use afterimage_format::{Event, FieldTag};

/// Programs that make and enter containers by the OCI's command line.
const RUNTIMES: [&[u8]; 3] = [b"runc", b"crun", b"youki"];
/// Longest id or name that is believed: the longest any engine gives is 64 digits, names may be longer.
const LONGEST: usize = 255;

/// What a runtime was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make the container: `create`, `run`, `restore`.
    Create,
    /// Start another program in it: `exec`.
    Exec,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// An OCI runtime.
    Runtime {
        /// What it does.
        verb: Verb,
        /// The container's id.
        id: Vec<u8>,
        /// The bundle's directory; absolute where the working directory was known.
        bundle: Vec<u8>,
        /// Where it keeps its state, where that was said.
        root: Option<Vec<u8>>,
    },
    /// conmon, of Podman and CRI-O.
    Conmon {
        /// The container's id.
        id: Vec<u8>,
        /// The bundle's directory.
        bundle: Option<Vec<u8>>,
        /// The container's name.
        name: Option<Vec<u8>>,
    },
    /// containerd's shim: its working directory is the bundle of the container or sandbox it was started for.
    Shim {
        /// The container's (or the sandbox's) id.
        id: Vec<u8>,
        /// containerd's namespace.
        namespace: Vec<u8>,
        /// containerd's socket.
        address: Vec<u8>,
        /// The bundle's directory.
        bundle: Vec<u8>,
    },
    /// The Docker daemon.
    Dockerd {
        /// Where it keeps what it knows, where that was said.
        data_root: Option<Vec<u8>>,
        /// Its configuration file, where that was said.
        config_file: Option<Vec<u8>>,
    },
}

impl Announcement {
    /// The container's id, of announcements that have one.
    pub fn id(&self) -> Option<&[u8]> {
        match self {
            Self::Runtime { id, .. } | Self::Conmon { id, .. } | Self::Shim { id, .. } => Some(id),
            Self::Dockerd { .. } => None,
        }
    }
}

/// What an `EXEC` (or, of what was there before, a `PROCESS`) announces.
pub fn of(event: &Event<'_>) -> Option<Announcement> {
    let block = event.field(FieldTag::ARGV)?;
    let argv: Vec<&[u8]> = block.bytes.split(|&b| b == 0).collect();
    // Behind the last NUL there is nothing, or a word that was cut: an id cut short would be another's.
    let (_, argv) = argv.split_last()?;
    let (argv0, arguments) = argv.split_first()?;
    let names = [
        basename(argv0),
        basename(event.bytes(FieldTag::KPATH).unwrap_or_default()),
        event.bytes(FieldTag::COMM).unwrap_or_default(),
    ];
    let cwd = event.bytes(FieldTag::CWD).unwrap_or_default();
    let any = |program: &[u8]| names.contains(&program);
    if RUNTIMES.iter().any(|runtime| any(runtime)) {
        return runtime(arguments, cwd);
    }
    if any(b"conmon") {
        return conmon(arguments, cwd);
    }
    if names.iter().any(|name| name.starts_with(b"containerd-shim")) {
        return shim(arguments, cwd);
    }
    any(b"dockerd").then(|| dockerd(arguments, cwd))
}

/// The programs whose execs tell something, by their `comm`: 15 bytes at most.
pub fn programs() -> impl Iterator<Item = (&'static [u8], u32)> {
    let runtimes = RUNTIMES.into_iter().map(|name| (name, program::RUNTIME));
    let others: [&[u8]; 3] = [b"conmon", b"containerd-shim", b"dockerd"];
    runtimes.chain(others.map(|name| (name, program::TELLS)))
}

/// Whether a program's name or path is one that announces something, or may be: runtimes run copies of themselves.
pub fn is_program(path: &[u8]) -> bool {
    let name = basename(path);
    RUNTIMES.contains(&name)
        || matches!(name, b"conmon" | b"dockerd")
        || name.starts_with(b"containerd-shim")
        || path.starts_with(b"memfd:")
}

/// Last component of a path.
fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(&[])
}

/// A path as seen from `cwd`.
fn absolute(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") || !cwd.starts_with(b"/") {
        return path.to_vec();
    }
    let mut joined = cwd.to_vec();
    if !path.is_empty() && path != b"." {
        if !joined.ends_with(b"/") {
            joined.push(b'/');
        }
        joined.extend_from_slice(path);
    }
    joined
}

fn believable(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= LONGEST && !id.contains(&b'/')
}

/// A command line's options and the rest: which options take a value is for the caller to say.
struct Words<'a> {
    words: std::slice::Iter<'a, &'a [u8]>,
}

enum Word<'a> {
    Option(&'a [u8], Option<&'a [u8]>),
    Plain(&'a [u8]),
}

impl<'a> Words<'a> {
    fn new(words: &'a [&'a [u8]]) -> Self {
        Self { words: words.iter() }
    }

    /// The next word; the value of an option that `takes_value` is part of it.
    fn next(&mut self, takes_value: impl Fn(&[u8]) -> bool) -> Option<Word<'a>> {
        let word: &'a [u8] = self.words.next()?;
        let Some(option) = word.strip_prefix(b"-").filter(|rest| !rest.is_empty()) else {
            return Some(Word::Plain(word));
        };
        let option = option.strip_prefix(b"-").unwrap_or(option);
        if let Some(equals) = option.iter().position(|&b| b == b'=') {
            return Some(Word::Option(&option[..equals], Some(&option[equals + 1..])));
        }
        let value = if takes_value(option) { self.words.next().copied() } else { None };
        Some(Word::Option(option, value))
    }
}

/// Options with a value, before and behind the verb, of runc, crun and youki.
const RUNTIME_OPTIONS: [&[u8]; 38] = [
    b"additional-gids",
    b"apparmor",
    b"b",
    b"bundle",
    b"c",
    b"cap",
    b"cgroup",
    b"cgroup-manager",
    b"config",
    b"console-socket",
    b"criu",
    b"cwd",
    b"e",
    b"env",
    b"f",
    b"g",
    b"image-path",
    b"l",
    b"log",
    b"log-format",
    b"log-level",
    b"lsm-mount-context",
    b"lsm-profile",
    b"manage-cgroups-mode",
    b"p",
    b"parent-path",
    b"pid-file",
    b"pidfd-socket",
    b"preserve-fds",
    b"process",
    b"process-label",
    b"r",
    b"root",
    b"rootless",
    b"status-fd",
    b"u",
    b"user",
    b"work-path",
];

fn runtime(arguments: &[&[u8]], cwd: &[u8]) -> Option<Announcement> {
    let takes_value = |option: &[u8]| RUNTIME_OPTIONS.contains(&option);
    let mut words = Words::new(arguments);
    let (mut bundle, mut root, mut verb) = (None, None, None);
    while let Some(word) = words.next(takes_value) {
        match (word, verb) {
            (Word::Option(b"root" | b"r", Some(value)), None) => root = Some(absolute(cwd, value)),
            (Word::Option(b"bundle" | b"b", Some(value)), Some(_)) => bundle = Some(value),
            (Word::Option(..), _) => {}
            (Word::Plain(b"create" | b"run" | b"restore"), None) => verb = Some(Verb::Create),
            (Word::Plain(b"exec"), None) => verb = Some(Verb::Exec),
            (Word::Plain(_), None) => return None,
            (Word::Plain(id), Some(verb)) => {
                let bundle = absolute(cwd, bundle.unwrap_or(b"."));
                return believable(id).then(|| Announcement::Runtime { verb, id: id.to_vec(), bundle, root });
            }
        }
    }
    None
}

/// Options of conmon without a value.
const CONMON_FLAGS: [&[u8]; 16] = [
    b"attach",
    b"e",
    b"exec",
    b"exec-attach",
    b"full-attach",
    b"i",
    b"leave-stdin-open",
    b"no-container-partial-message",
    b"no-new-keyring",
    b"no-pivot",
    b"replace-listen-pid",
    b"s",
    b"stdin",
    b"syslog",
    b"systemd-cgroup",
    b"sync",
];

fn conmon(arguments: &[&[u8]], cwd: &[u8]) -> Option<Announcement> {
    let takes_value =
        |option: &[u8]| !CONMON_FLAGS.contains(&option) && !matches!(option, b"t" | b"terminal" | b"v");
    let mut words = Words::new(arguments);
    let (mut id, mut bundle, mut name) = (None, None, None);
    while let Some(word) = words.next(takes_value) {
        match word {
            Word::Option(b"c" | b"cid", value) => id = value,
            Word::Option(b"b" | b"bundle", value) => bundle = value,
            Word::Option(b"n" | b"name", value) => name = value,
            Word::Option(..) | Word::Plain(_) => {}
        }
    }
    let id = id.filter(|id| believable(id))?.to_vec();
    let name = name.filter(|name| believable(name)).map(<[u8]>::to_vec);
    Some(Announcement::Conmon { id, bundle: bundle.map(|path| absolute(cwd, path)), name })
}

fn shim(arguments: &[&[u8]], cwd: &[u8]) -> Option<Announcement> {
    let takes_value = |option: &[u8]| !matches!(option, b"debug" | b"info" | b"v" | b"version");
    let mut words = Words::new(arguments);
    let (mut id, mut namespace, mut address, mut bundle) = (None, None, None, None);
    while let Some(word) = words.next(takes_value) {
        match word {
            Word::Option(b"id", value) => id = value,
            Word::Option(b"namespace", value) => namespace = value,
            Word::Option(b"address", value) => address = value,
            Word::Option(b"bundle", value) => bundle = value,
            // The containerd of old and its shim's helpers: `start` and `delete` are not the shim that stays.
            Word::Option(..) | Word::Plain(_) => {}
        }
    }
    let id = id.filter(|id| believable(id))?.to_vec();
    Some(Announcement::Shim {
        id,
        namespace: namespace.filter(|n| believable(n)).unwrap_or_default().to_vec(),
        address: address.unwrap_or_default().to_vec(),
        bundle: absolute(cwd, bundle.unwrap_or(b".")),
    })
}

fn dockerd(arguments: &[&[u8]], cwd: &[u8]) -> Announcement {
    let takes_value = |option: &[u8]| matches!(option, b"data-root" | b"g" | b"graph" | b"config-file");
    let mut words = Words::new(arguments);
    let (mut data_root, mut config_file) = (None, None);
    while let Some(word) = words.next(takes_value) {
        match word {
            Word::Option(b"data-root" | b"g" | b"graph", Some(value)) => {
                data_root = Some(absolute(cwd, value));
            }
            Word::Option(b"config-file", Some(value)) => config_file = Some(absolute(cwd, value)),
            Word::Option(..) | Word::Plain(_) => {}
        }
    }
    Announcement::Dockerd { data_root, config_file }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{BootNanos, EventCode, EventFlags, Field, FieldFlags, TaskKey};

    fn announce(exe: &str, cwd: &str, argv: &str) -> Option<Announcement> {
        let argv: Vec<u8> = argv.split(' ').flat_map(|word| word.bytes().chain([0])).collect();
        let texts =
            [(FieldTag::KPATH, exe.as_bytes()), (FieldTag::CWD, cwd.as_bytes()), (FieldTag::ARGV, &argv)];
        let fields = texts.map(|(tag, bytes)| Field {
            tag,
            flags: FieldFlags::default(),
            full_len: bytes.len() as u32,
            bytes,
        });
        of(&event(&fields))
    }

    fn event<'a>(fields: &'a [Field<'a>]) -> Event<'a> {
        Event {
            time: BootNanos(1),
            duration: None,
            task: TaskKey { tgid: 7, tid: 7, start: BootNanos(1) },
            code: EventCode::EXEC,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &[],
            fields,
        }
    }

    fn made(verb: Verb, id: &str, bundle: &str, root: Option<&str>) -> Option<Announcement> {
        Some(Announcement::Runtime {
            verb,
            id: id.as_bytes().to_vec(),
            bundle: bundle.as_bytes().to_vec(),
            root: root.map(|root| root.as_bytes().to_vec()),
        })
    }

    #[test]
    fn runtimes_announce_as_each_engine_calls_them() {
        let cases = [
            // runc and crun by hand.
            (
                "/usr/sbin/runc",
                "runc --root /r run --bundle /b abc",
                made(Verb::Create, "abc", "/b", Some("/r")),
            ),
            ("/usr/sbin/runc", "runc run abc", made(Verb::Create, "abc", "/cwd", None)),
            ("/usr/sbin/runc", "runc run -b sub abc", made(Verb::Create, "abc", "/cwd/sub", None)),
            ("/usr/bin/crun", "crun run --bundle=/b --detach abc", made(Verb::Create, "abc", "/b", None)),
            (
                "memfd:crun",
                "crun --root=/r exec -t -e A=b abc sh -c x",
                made(Verb::Exec, "abc", "/cwd", Some("/r")),
            ),
            ("/usr/bin/youki", "youki -r /r create -b /b abc", made(Verb::Create, "abc", "/b", Some("/r"))),
            // Docker and containerd by their shim.
            (
                "/usr/sbin/runc",
                "runc --root /var/run/docker/runtime-runc/moby --log /x/log.json --log-format json create \
                 --bundle /x --pid-file /x/init.pid abc",
                made(Verb::Create, "abc", "/x", Some("/var/run/docker/runtime-runc/moby")),
            ),
            (
                "/usr/sbin/runc",
                "runc --root /x --log /l --log-format json --systemd-cgroup exec --process /p --detach --pid-file /f abc",
                made(Verb::Exec, "abc", "/cwd", Some("/x")),
            ),
            // Podman by conmon.
            (
                "/usr/bin/crun",
                "/usr/bin/crun --cgroup-manager disabled create --bundle /b/userdata --pid-file /p --preserve-fds=1 abc",
                made(Verb::Create, "abc", "/b/userdata", None),
            ),
            // What makes nothing.
            ("/usr/sbin/runc", "runc init", None),
            ("/usr/sbin/runc", "runc --root /r start abc", None),
            ("/usr/sbin/runc", "runc --version", None),
            ("/usr/sbin/runc", "runc run --bundle /b", None),
            ("/usr/sbin/runc", "runc run ../../etc", None),
            ("/bin/sh", "sh -c runc run abc", None),
        ];
        for (exe, argv, expected) in cases {
            assert_eq!(announce(exe, "/cwd", argv), expected, "{argv}");
        }
    }

    #[test]
    fn monitors_announce_what_they_watch() {
        let conmon = "/usr/bin/conmon --api-version 1 -c abc -u abc -r /usr/bin/crun -b /s/userdata -p /p -n web \
                      --exit-dir /e --full-attach -s -l k8s-file:/l --log-level warning --runtime-arg --log-format=json \
                      --exit-command /usr/bin/podman --exit-command-arg -n --exit-command-arg cleanup";
        assert_eq!(
            announce("/usr/bin/conmon", "/", conmon),
            Some(Announcement::Conmon {
                id: b"abc".to_vec(),
                bundle: Some(b"/s/userdata".to_vec()),
                name: Some(b"web".to_vec()),
            })
        );
        let shim = "/usr/bin/containerd-shim-runc-v2 -namespace default -id abc -address /run/c.sock";
        assert_eq!(
            announce("/usr/bin/containerd-shim-runc-v2", "/task/default/abc", shim),
            Some(Announcement::Shim {
                id: b"abc".to_vec(),
                namespace: b"default".to_vec(),
                address: b"/run/c.sock".to_vec(),
                bundle: b"/task/default/abc".to_vec(),
            })
        );
    }

    #[test]
    fn dockerd_tells_where_it_keeps_what_it_knows() {
        let told = |argv| announce("/usr/sbin/dockerd", "/", argv);
        let dockerd = |root: Option<&str>, file: Option<&str>| {
            let bytes = |text: &str| text.as_bytes().to_vec();
            Some(Announcement::Dockerd { data_root: root.map(bytes), config_file: file.map(bytes) })
        };
        assert_eq!(told("/usr/bin/dockerd -H fd:// --containerd=/c.sock"), dockerd(None, None));
        assert_eq!(told("dockerd --data-root /d --exec-root /e"), dockerd(Some("/d"), None));
        assert_eq!(told("dockerd -g=/d --config-file /f"), dockerd(Some("/d"), Some("/f")));
    }

    #[test]
    fn a_command_line_cut_short_announces_nothing() {
        let whole = b"runc\0--root\0/r\0create\0--bundle\0/b\0--pid-file\0/p\0abcdef\0";
        let field = |bytes| Field { tag: FieldTag::ARGV, flags: FieldFlags::TRUNCATED, full_len: 99, bytes };
        for len in 0..whole.len() {
            assert_eq!(of(&event(&[field(&whole[..len])])), None, "{len} bytes");
        }
        assert!(of(&event(&[field(whole)])).is_some());
    }
}
