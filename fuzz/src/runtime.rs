//! Targets of what runtimes, senders, the kernel and the network say.

use std::collections::BTreeMap;

use afterimage_capture::{
    btf::Btf,
    http::query,
    identity::cgroup_path,
    metadata::{Findings, annotations, containers_storage, docker, oci},
    trigger::sender,
};
use afterimage_format::BootNanos;
use afterimage_model::{dns, sockaddr::SocketAddress};

/// A webhook's body, of any sender.
pub fn webhook(data: &[u8]) {
    if let Err(error) = sender::parse(data, None) {
        drop(error.to_string());
    }
}

/// What Docker, Podman and OCI bundles leave on disk; the first byte chooses.
pub fn runtimes(data: &[u8]) {
    let Some((choice, json)) = data.split_first() else { return };
    let mut findings = Findings::new(BootNanos(1));
    match choice % 6 {
        0 => drop(oci::read(json, findings)),
        1 => {
            if let Some(image) = docker::read(json, &mut findings) {
                docker::read_repositories(json, &image, &mut findings);
            }
        }
        2 => docker::read_host_config(json, &mut findings),
        3 => drop(docker::data_root(json)),
        4 => {
            let (id, json) = json.split_at(json.len().min(8));
            if let Some(image) = containers_storage::read(json, id, &mut findings) {
                containers_storage::read_images(json, &image, &mut findings);
            }
            let _ = containers_storage::place(json, id);
        }
        _ => {
            let text = String::from_utf8_lossy(json);
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let map: BTreeMap<String, String> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            annotations::read(&map, &mut findings);
        }
    }
}

/// Paths of cgroups, and the query of a URI.
pub fn names(data: &[u8]) {
    let _ = cgroup_path::parse(data);
    let _ = cgroup_path::chain(data);
    if let Ok(text) = str::from_utf8(data) {
        let _ = query::members(text);
        assert_eq!(query::decode(&query::encode(text)), text, "encoding loses nothing");
    }
}

/// The kernel's type information.
pub fn btf(data: &[u8]) {
    let Ok(btf) = Btf::parse(data.to_vec()) else { return };
    for (structure, member) in [("task_struct", "pid"), ("file", "f_path"), ("a", "b"), ("a", "")] {
        let _ = btf.offset(structure, member);
    }
    let _ = btf.enumerator("a", "b");
    let _ = btf.tracepoint_arguments("a");
}

/// Messages of DNS and socket addresses.
pub fn wire(data: &[u8]) {
    let _ = dns::DnsMessage::parse(data);
    let _ = (dns::answers(data), dns::answers_of_stream(data));
    if let Some(address) = SocketAddress::parse(data) {
        let bytes = address.to_bytes();
        let again = SocketAddress::parse(&bytes).expect("our own address reads");
        assert_eq!(again.to_bytes(), bytes);
    }
}
