//! Both ends of a socket, from the kernel's `struct sock`.

use afterimage_capture_abi::record::{FieldHeader, SockInfo, tag};

use crate::{emit::Record, file, maps::offset, read::kernel, task::Task};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `FieldTag::LOCAL` and `FieldTag::PEER`.
const LOCAL: u8 = 5;
const PEER: u8 = 6;
/// Longest `struct sockaddr_un`.
const SUN_MAX: usize = 112;

/// Adds the ends of the socket behind a descriptor, where it is one.
#[inline(always)]
pub fn add(record: &mut Record, task: Task, fd: i64) {
    let file = file::of_descriptor(task, fd);
    if file == 0 || file::mode(file::inode(file)) & file::S_IFMT != file::S_IFSOCK {
        return;
    }
    let socket: u64 = kernel(file, offset!(file_private));
    let sock: u64 = kernel(socket, offset!(socket_sk));
    if sock == 0 {
        return;
    }
    let family: u16 = kernel(sock, offset!(sock_family));
    if family == AF_UNIX {
        add_unix(record, LOCAL, sock);
        add_unix(record, PEER, kernel(sock, offset!(unix_peer)));
        return;
    }
    if family != AF_INET && family != AF_INET6 {
        return;
    }
    let mut info = SockInfo {
        family,
        local_port: kernel(sock, offset!(sock_num)),
        peer_port: u16::from_be(kernel(sock, offset!(sock_dport))),
        kind: kernel(socket, offset!(socket_type)),
        state: u32::from(kernel::<u8>(sock, offset!(sock_state))),
        ..SockInfo::default()
    };
    if family == AF_INET {
        let local: [u8; 4] = kernel(sock, offset!(sock_rcv_saddr));
        let peer: [u8; 4] = kernel(sock, offset!(sock_daddr));
        info.local[..4].copy_from_slice(&local);
        info.peer[..4].copy_from_slice(&peer);
    } else {
        info.local = kernel(sock, offset!(sock_v6_rcv_saddr));
        info.peer = kernel(sock, offset!(sock_v6_daddr));
    }
    let Some((field, at)) = record.room() else { return };
    // SAFETY: `room` gave more than a `SockInfo`, at a multiple of 8.
    unsafe { field.add(8).cast::<SockInfo>().write(info) };
    let len = size_of::<SockInfo>();
    record.end(field, at, FieldHeader { tag: tag::SOCK, flags: 0, len: len as u16, full_len: len as u32 });
}

/// Adds the name of a unix socket, where it has one.
#[inline(always)]
fn add_unix(record: &mut Record, tag: u8, sock: u64) {
    let address: u64 = kernel(sock, offset!(unix_addr));
    if address == 0 {
        return;
    }
    let len: u32 = kernel(address, offset!(unix_address_len));
    record.kernel_bytes::<SUN_MAX>(
        tag,
        address + u64::from(offset!(unix_address_name)),
        u64::from(len & 0x7f),
    );
}
