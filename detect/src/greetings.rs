//! The server names that TLS clients said at the beginning of their connections (`fd.sni`).

use std::{collections::HashMap, net::IpAddr};

use afterimage_format::ContainerUid;
use afterimage_model::net::server_name;

use crate::facts::Socket;

/// Most connections with a name, of all containers.
const MAX_CONNECTIONS: usize = 100_000;

/// Whether a field is answered from here.
pub(crate) fn is_greeting(field: &str) -> bool {
    field == "fd.sni"
}

/// Address and port.
type End = (IpAddr, u16);

/// Names by the ends of connections: a descriptor may have been duplicated, inherited or passed on.
#[derive(Debug, Default)]
pub(crate) struct Greetings {
    /// The own end may not have been known when the name was said.
    names: HashMap<(ContainerUid, Option<End>, End), Vec<u8>>,
}

impl Greetings {
    /// Whether no name was said on any.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Looks for a name in bytes that went through a connection, either way: the server reads what the client wrote.
    pub(crate) fn learn(&mut self, uid: ContainerUid, socket: &Socket, payload: &[u8]) {
        let Some((remote, name)) = socket.remote.zip(server_name(payload)) else { return };
        let key = (uid, socket.local, remote);
        if self.names.len() < MAX_CONNECTIONS || self.names.contains_key(&key) {
            self.names.insert(key, name.to_vec());
        }
    }

    /// Another connection begins between these ends.
    pub(crate) fn begin(&mut self, uid: ContainerUid, socket: &Socket) {
        if let Some(remote) = socket.remote {
            self.names.remove(&(uid, socket.local, remote));
            self.names.remove(&(uid, None, remote));
        }
    }

    /// The name that was said on a connection.
    pub(crate) fn of(&self, uid: ContainerUid, socket: &Socket) -> Option<&[u8]> {
        let remote = socket.remote?;
        let found = self.names.get(&(uid, socket.local, remote));
        found.or_else(|| self.names.get(&(uid, None, remote))).map(Vec::as_slice)
    }

    /// Forgets a container that has ended.
    pub(crate) fn forget(&mut self, uid: ContainerUid) {
        self.names.retain(|(own, ..), _| *own != uid);
    }
}
