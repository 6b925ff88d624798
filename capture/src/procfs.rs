//! What `/proc` tells of a process that was there before: arguments, environment, descriptors, sockets.
//!
//! Everything here races with the process: what cannot be read is left out.

use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
};

use crate::host;

/// An open descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenFd {
    /// Its number.
    pub fd: u64,
    /// `O_*` flags.
    pub flags: u64,
    /// Position.
    pub pos: u64,
    /// Inode of what it is open on.
    pub ino: u64,
    /// As the link reads.
    pub target: Vec<u8>,
}

/// Both ends of a socket, as `struct sockaddr` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Own address.
    pub local: Vec<u8>,
    /// Peer's address, where there is one.
    pub peer: Option<Vec<u8>>,
}

/// Arguments, each with its NUL, cut at `limit`; and how many bytes there were.
pub fn block(pid: u32, name: &str, limit: usize) -> Option<(Vec<u8>, usize)> {
    let mut bytes = fs::read(host::process_file(pid, name)).ok().filter(|bytes| !bytes.is_empty())?;
    let full = bytes.len();
    bytes.truncate(limit);
    Some((bytes, full))
}

/// Every open descriptor of a process.
pub fn descriptors(pid: u32) -> Vec<OpenFd> {
    let Ok(entries) = fs::read_dir(host::process_file(pid, "fd")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| descriptor(pid, entry.file_name().to_str()?)).collect()
}

fn descriptor(pid: u32, number: &str) -> Option<OpenFd> {
    let link = host::process_file(pid, &format!("fd/{number}"));
    let target = fs::read_link(&link).ok()?;
    let info = fs::read_to_string(host::process_file(pid, &format!("fdinfo/{number}"))).unwrap_or_default();
    let value = |key: &str, radix| {
        let line = info.lines().find_map(|line| line.strip_prefix(key))?;
        u64::from_str_radix(line.trim(), radix).ok()
    };
    Some(OpenFd {
        fd: number.parse().ok()?,
        flags: value("flags:", 8).unwrap_or(0),
        pos: value("pos:", 10).unwrap_or(0),
        ino: fs::metadata(&link).map(|meta| meta.ino()).unwrap_or(0),
        target: target.as_os_str().as_bytes().to_vec(),
    })
}

/// Inode of the process's network namespace.
pub fn net_namespace(pid: u32) -> Option<u64> {
    fs::metadata(host::process_file(pid, "ns/net")).ok().map(|meta| meta.ino())
}

/// The IP sockets of a process's network namespace, by inode.
pub fn sockets(pid: u32) -> HashMap<u64, Ends> {
    let mut found = HashMap::new();
    for name in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let table = fs::read_to_string(host::process_file(pid, &format!("net/{name}"))).unwrap_or_default();
        found.extend(table.lines().skip(1).filter_map(socket));
    }
    found
}

/// A line of `/proc/net/tcp` and its kin.
fn socket(line: &str) -> Option<(u64, Ends)> {
    let mut columns = line.split_whitespace().skip(1);
    let local = address(columns.next()?)?;
    let peer = address(columns.next()?)?;
    let inode: u64 = columns.nth(6)?.parse().ok()?;
    let peer = peer.get(2..4).is_some_and(|port| port != [0, 0]).then_some(peer);
    (inode != 0).then_some((inode, Ends { local, peer }))
}

/// `0100007F:1F90` or its IPv6 form as a `struct sockaddr`.
fn address(text: &str) -> Option<Vec<u8>> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> = host
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok())
        .collect();
    let words = words?;
    let mut out = Vec::with_capacity(28);
    out.extend_from_slice(&(if words.len() == 1 { AF_INET } else { AF_INET6 }).to_ne_bytes());
    out.extend_from_slice(&port.to_be_bytes());
    if words.len() == 4 {
        out.extend_from_slice(&[0; 4]);
    }
    for word in &words {
        // The kernel prints each word as the machine holds it.
        out.extend_from_slice(&word.to_ne_bytes());
    }
    out.resize(if words.len() == 1 { 16 } else { 28 }, 0);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_tables_are_read_as_addresses() {
        let line = "   0: 0100007F:1F90 0200000A:01BB 01 00000000:00000000 00:00000000 00000000     0        0 12345 1";
        let (inode, ends) = socket(line).unwrap();
        assert_eq!(inode, 12345);
        assert_eq!(ends.local[..8], [2, 0, 0x1f, 0x90, 127, 0, 0, 1]);
        assert_eq!(ends.peer.unwrap()[..8], [2, 0, 1, 0xbb, 10, 0, 0, 2]);
        let six = "1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 77 1";
        let (inode, ends) = socket(six).unwrap();
        assert_eq!((inode, ends.peer, ends.local.len()), (77, None, 28));
        assert_eq!(ends.local[23], 1);
        assert_eq!(socket("nonsense"), None);
    }

    #[test]
    fn own_process_is_told() {
        let pid = std::process::id();
        assert!(
            block(pid, "cmdline", 10).is_some_and(|(bytes, full)| bytes.len() <= 10 && full >= bytes.len())
        );
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert!(descriptors(pid).iter().any(|fd| fd.target.ends_with(b"/stat")));
        drop(file);
    }
}
