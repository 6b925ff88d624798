//! Which files each process reaches by its configuration. What a later configuration names elsewhere is out of reach until
//! a restart, and a reload says so.
//!
//! Directories, not files: an editor, a rotation or a Kubernetes volume puts another file in a file's place.

use std::path::{Path, PathBuf};

use super::landlock::Files;
use crate::{
    bpffs,
    config::{Config, Sources},
    host,
};

/// What names and users are looked up in, and what the C library loads for it.
const SYSTEM: [&str; 7] =
    ["/etc", "/usr", "/lib", "/lib64", "/proc", "/run/systemd/resolve", "/run/resolvconf"];

fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn configuration(config: &Config, sources: &Sources) -> Vec<PathBuf> {
    let files = sources.file.iter().chain(&config.rules.files);
    files.map(|path| directory(path)).collect()
}

/// How many processors there may be: read with every map that has a value for each of them.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// The capture process: the store, and what it reads while it records.
pub fn capture(config: &Config, sources: &Sources) -> Files {
    let mut read = configuration(config, sources);
    read.extend(host::cgroup_mounts());
    read.push(PathBuf::from(PROCESSORS));
    let mut written = vec![config.record.store.clone()];
    // To remove in the end what it pinned.
    written.extend(config.record.pin.as_ref().map(|bpffs| bpffs::directory(bpffs)));
    Files { written, read }
}

/// The control process: what it serves with, and never the store.
pub fn control(config: &Config, sources: &Sources) -> Files {
    let webhook = &config.webhook;
    let tls = webhook.tls.iter().flat_map(|(certificate, key)| [certificate, key]);
    let secrets = [&webhook.token_file, &webhook.hmac_key_file, &webhook.tls_client_ca];
    let tails = config.triggers.tail.iter().map(|(path, _)| path);
    let outputs = [&config.rules.ca, &config.rules.token_file];
    let named = secrets.into_iter().chain(outputs).flatten().chain(tls).chain(tails);
    let mut read = configuration(config, sources);
    read.extend(named.map(|path| directory(path)));
    read.extend(SYSTEM.map(PathBuf::from));
    let outputs = config.rules.outputs.iter().filter_map(|output| output.strip_prefix("file:"));
    let mut written: Vec<PathBuf> = outputs.map(|path| directory(Path::new(path))).collect();
    // To remove its socket at the end.
    written.push(directory(&config.api.socket));
    Files { written, read }
}
