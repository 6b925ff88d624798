//! The network of a container: who talked to whom, how much, under which name.
//!
//! Conversations are kept per peer: of connections made, per remote address and port; of connections accepted, per
//! own address and remote host. Names come from what was seen on the wire and are told with their source: answers
//! of DNS servers, the server name of a TLS greeting, the host of an HTTP request. None of them is proof of who
//! answered.
//!
//! What was before a range ([`Network::counting_from`]) tells who is connected to whom and what they are called, and is
//! counted nowhere.

mod greeting;
mod key;
mod record;
mod ring;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, EventFlags, FieldTag};

use ring::ByRing;

pub use greeting::server_name;
pub use key::ConversationKey;
pub use record::{Conversation, Direction, Listener, Lookup, Name, NameSource, Participant};

use crate::{
    World,
    dns::{DnsAnswer, DnsMessage},
    fds::{FdKind, Socket, SocketState},
    peer,
    process::ProcessKey,
    requests::Requests,
    sockaddr::SocketAddress,
    streams::{self, counts_messages},
    syscalls,
};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// The last of the descriptors that a runtime gives.
const STANDARD: i32 = 2;
/// Conversations, listeners, lookups and addresses with names remembered of one container, each.
const MOST: usize = 8_192;

/// The networks of the containers whose events were applied.
#[derive(Debug, Default, Clone)]
pub struct Network {
    /// What was before it is not counted.
    begin: BootNanos,
    containers: BTreeMap<ContainerUid, Net>,
}

/// The network of one container.
#[derive(Debug, Default, Clone)]
struct Net {
    conversations: Vec<Conversation>,
    index: HashMap<ConversationKey, usize>,
    /// Conversations of which there were signs before counting began, by their positions.
    before: HashSet<usize>,
    /// Connections that were begun and of which it is not known yet what became of them, by their descriptions.
    under_way: HashMap<u64, UnderWay>,
    /// Requests of io_urings.
    requests: Requests,
    /// Descriptions that were connected or accepted through an io_uring, of which calls told nothing.
    by_ring: HashMap<u64, ByRing>,
    listeners: Vec<Listener>,
    lookups: Vec<Lookup>,
    names: HashMap<IpAddr, Vec<Vec<u8>>>,
    dropped: u64,
    /// Bytes through descriptors of which nothing is known.
    unknown: u64,
}

/// A connection that goes on in the background.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    /// The position of its conversation.
    at: usize,
    /// It is counted there: as one that was made, or as one that was interrupted.
    counted: bool,
    /// A signal interrupted the call that began it.
    interrupted: bool,
}

impl Network {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was before `begin` is not counted. To be said before the first event.
    #[must_use]
    pub fn counting_from(self, begin: Option<BootNanos>) -> Self {
        Self { begin: begin.unwrap_or_default(), ..self }
    }

    /// Takes in an event that `world` has applied already.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) {
        let Some(action) = action_of(event) else { return };
        let Some(process) = world.process_of_task(event.task) else { return };
        let net = self.containers.entry(container).or_default();
        let counts = self.begin <= event.time;
        Look { world, event, container, process: process.key, net, counts }.apply(action);
    }

    /// The conversations of a container, by their first sign; those with no sign since counting began are among them.
    pub fn conversations(&self, container: ContainerUid) -> &[Conversation] {
        self.containers.get(&container).map(|n| n.conversations.as_slice()).unwrap_or_default()
    }

    /// The conversations of a container, each with its key.
    pub fn keyed(&self, container: ContainerUid) -> impl Iterator<Item = (&ConversationKey, &Conversation)> {
        let net = self.containers.get(&container);
        net.into_iter()
            .flat_map(|net| net.index.iter().filter_map(|(key, at)| Some((key, net.conversations.get(*at)?))))
    }

    /// The conversations that are counted, each with whether there were signs of it before counting began.
    pub fn counted(&self, container: ContainerUid) -> impl Iterator<Item = (&Conversation, bool)> {
        let net = self.containers.get(&container);
        let all = net.into_iter().flat_map(|net| {
            net.conversations.iter().enumerate().map(|(at, talk)| (talk, net.before.contains(&at)))
        });
        all.filter(|(talk, _)| talk.is_counted())
    }

    /// The lookups that are counted: asked or answered since counting began.
    pub fn counted_lookups(&self, container: ContainerUid) -> impl Iterator<Item = &Lookup> {
        self.lookups(container).iter().filter(|lookup| lookup.is_counted(self.begin))
    }

    /// Sockets that waited for connections.
    pub fn listeners(&self, container: ContainerUid) -> &[Listener] {
        self.containers.get(&container).map(|n| n.listeners.as_slice()).unwrap_or_default()
    }

    /// Questions to DNS servers and their answers, in the order in which they were seen first, those from before counting
    /// began among them.
    pub fn lookups(&self, container: ContainerUid) -> &[Lookup] {
        self.containers.get(&container).map(|n| n.lookups.as_slice()).unwrap_or_default()
    }

    /// Names that DNS servers gave for an address.
    pub fn names(&self, container: ContainerUid, ip: IpAddr) -> &[Vec<u8>] {
        self.containers.get(&container).and_then(|n| n.names.get(&ip)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Bytes that went through descriptors of which nothing is known, and that may be sockets: such as came from another process
    /// in a message. Standard input, output and error, which most containers have from their runtime, are not among them.
    pub fn unknown(&self, container: ContainerUid) -> u64 {
        self.containers.get(&container).map_or(0, |n| n.unknown)
    }

    /// What was left out for lack of room.
    pub fn dropped(&self, container: ContainerUid) -> u64 {
        self.containers.get(&container).map_or(0, |n| n.dropped)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Connect,
    Accept,
    Listen,
    Send,
    Receive,
    /// The kernel moves bytes from the descriptor in one argument to that in another.
    Move {
        from: usize,
        to: usize,
    },
    /// A request of an io_uring or its completion.
    Ring,
}

fn action_of(event: &Event<'_>) -> Option<Action> {
    if matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
        return Some(Action::Ring);
    }
    let is_call = event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN);
    action(syscalls::base_name(event.code)).filter(|_| is_call)
}

fn action(call: &str) -> Option<Action> {
    Some(match call {
        "connect" => Action::Connect,
        "accept" | "accept4" => Action::Accept,
        "listen" => Action::Listen,
        "write" | "writev" | "pwritev2" | "sendto" | "sendmsg" | "sendmmsg" => Action::Send,
        "read" | "readv" | "preadv2" | "recvfrom" | "recvmsg" | "recvmmsg" | "recvmmsg_time64" => {
            Action::Receive
        }
        "sendfile" | "sendfile64" => Action::Move { from: 1, to: 0 },
        "splice" => Action::Move { from: 0, to: 2 },
        _ => return None,
    })
}

struct Look<'a> {
    world: &'a World,
    event: &'a Event<'a>,
    container: ContainerUid,
    process: ProcessKey,
    net: &'a mut Net,
    /// It is in the range that is counted.
    counts: bool,
}

impl Look<'_> {
    fn fd(&self) -> i32 {
        self.fd_at(0)
    }

    fn fd_at(&self, place: usize) -> i32 {
        self.event.args.get(place).map_or(-1, |&fd| fd as i32)
    }

    fn socket(&self, fd: i32) -> Option<Socket> {
        let (id, info) = self.world.description(self.event.task, fd)?;
        let socket = info.kind.socket()?.clone();
        Some(match self.net.by_ring.get(&id) {
            Some(ring) => ring.seen(socket),
            None => socket,
        })
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Connect => {
                self.connect();
            }
            Action::Accept => self.accepted_by(self.fd()),
            Action::Ring => self.ring(),
            Action::Listen => self.listen(),
            Action::Send if self.opens_fast() => self.open_fast(),
            Action::Send => self.transfer(self.fd(), true),
            Action::Receive => self.transfer(self.fd(), false),
            Action::Move { from, to } => {
                self.transfer(self.fd_at(from), false);
                self.transfer(self.fd_at(to), true);
            }
        }
    }

    /// Whether it is a call that connects as it sends.
    fn opens_fast(&self) -> bool {
        peer::opens_fast(self.event)
            && self.socket(self.fd()).is_some_and(|socket| socket.may_connect_by_sending())
    }

    /// A connection, and the bytes that went with its first packet.
    fn open_fast(&mut self) {
        let at = self.connect();
        if self.event.ret <= 0 {
            return;
        }
        self.transfer(self.fd(), true);
        // Whoever does not wait is told that the bytes are sent before anybody has answered.
        if let (Some(at), Some(id)) = (at, self.description(self.fd())) {
            self.goes_on(id, UnderWay { at, counted: self.counts, interrupted: false });
        }
    }

    /// The position of its conversation.
    fn connect(&mut self) -> Option<usize> {
        let socket = self.socket(self.fd())?;
        let failed = peer::attempt_failed(self.event);
        if peer::says_connection_failed(self.event.ret) && self.under_way_failed(self.fd()) {
            // It is the earlier attempt that came to nothing, whatever address this one names.
            return None;
        }
        let peer = peer::of_event(self.event).filter(|_| is_talk(&socket))?;
        let (error, counts, description) = (self.event.ret, self.counts, self.description(self.fd()));
        let was_under_way = description.is_some_and(|id| self.net.under_way.contains_key(&id));
        let at = self.signed(&socket, Some(peer.address), Some(peer.claimed))?;
        let conversation = self.net.conversations.get_mut(at)?;
        conversation.local = socket.local.or(conversation.local.take());
        if failed {
            conversation.failures += u64::from(counts);
            conversation.last_error = Some(error).filter(|_| counts).or(conversation.last_error);
        } else if !was_under_way && !peer::was_before(self.event) {
            let sum = if peer::is_interrupted(error) {
                &mut conversation.interrupted
            } else {
                &mut conversation.connections
            };
            *sum += u64::from(counts);
        }
        match description {
            Some(id) if error >= 0 || error == peer::EISCONN => self.was_made(id),
            Some(id) if !failed && !was_under_way => {
                let interrupted = peer::is_interrupted(error);
                self.goes_on(id, UnderWay { at, counted: counts, interrupted });
            }
            _ => {}
        }
        Some(at)
    }

    /// What becomes of a connection is told later, by its socket.
    fn goes_on(&mut self, description: u64, begun: UnderWay) {
        let (world, container) = (self.world, self.container);
        if self.net.under_way.len() >= MOST {
            // Most were closed before anything told.
            self.net.under_way.retain(|id, _| world.is_open(container, *id));
        }
        if self.net.under_way.len() < MOST {
            self.net.under_way.insert(description, begun);
        }
    }

    /// A connection that may have been under way was made.
    fn was_made(&mut self, description: u64) {
        let Some(begun) = self.net.under_way.remove(&description).filter(|begun| begun.interrupted) else {
            return;
        };
        let Some(conversation) = self.net.conversations.get_mut(begun.at) else { return };
        conversation.interrupted -= u64::from(begun.counted).min(conversation.interrupted);
        conversation.connections += u64::from(self.counts);
    }

    /// A connection under way on this descriptor came to nothing; whether there was one.
    fn under_way_failed(&mut self, fd: i32) -> bool {
        let Some(begun) = self.description(fd).and_then(|id| self.net.under_way.remove(&id)) else {
            return false;
        };
        let (error, counts, named) = (self.event.ret, self.counts, self.named());
        let Some(conversation) = self.net.conversations.get_mut(begun.at) else { return false };
        let sum =
            if begun.interrupted { &mut conversation.interrupted } else { &mut conversation.connections };
        *sum -= u64::from(begun.counted).min(*sum);
        if counts {
            conversation.note(self.event.time, self.process, named);
            conversation.failures += 1;
            conversation.last_error = Some(error);
        }
        true
    }

    /// Since when its process has the name that it has.
    fn named(&self) -> BootNanos {
        let process = self.world.process(self.process);
        process.and_then(|process| process.comms.last()).map_or(BootNanos(0), |(since, _)| *since)
    }

    fn description(&self, fd: i32) -> Option<u64> {
        Some(self.world.description(self.event.task, fd)?.0)
    }

    /// A connection was accepted, through a listener with this descriptor.
    fn accepted_by(&mut self, listener: i32) {
        let Some(socket) = i32::try_from(self.event.ret).ok().and_then(|fd| self.socket(fd)) else { return };
        let counts = self.counts;
        let claimed = peer::of_event(self.event).map(|peer| peer.claimed);
        if let Some(conversation) = self.conversation_signed(&socket, socket.peer.clone(), claimed) {
            conversation.connections += u64::from(counts);
        }
        if !counts {
            return;
        }
        let local = self.socket(listener).and_then(|listener| listener.local);
        if let Some(listener) = self.net.listeners.iter_mut().rev().find(|l| l.local == local) {
            listener.accepted += 1;
        }
    }

    fn listen(&mut self) {
        if self.event.ret < 0 {
            return;
        }
        let Some(socket) = self.socket(self.fd()) else { return };
        let known = self.net.listeners.iter().any(|l| l.local == socket.local && l.by == self.process);
        if known {
            return;
        }
        if self.net.listeners.len() >= MOST {
            self.net.dropped += u64::from(self.counts);
            return;
        }
        self.net.listeners.push(Listener {
            since: self.event.time,
            by: self.process,
            protocol: socket.protocol_name(),
            local: socket.local,
            accepted: 0,
        });
    }

    /// What a call moved through one of its descriptors.
    fn transfer(&mut self, fd: i32, sends: bool) {
        if peer::says_connection_failed(self.event.ret) {
            self.under_way_failed(fd);
        }
        let Some(moved) = u64::try_from(self.event.ret).ok().filter(|&n| n > 0) else { return };
        if let Some(id) = self.description(fd) {
            self.was_made(id);
        }
        // What further messages of one call moved is not recorded.
        let is_many = counts_messages(syscalls::base_name(self.event.code));
        let bytes = streams::moved(self.event);
        let kind = self.world.fd(self.event.task, fd).map(|info| &info.kind);
        let is_unknown = kind.map_or(fd > STANDARD, |kind| *kind == FdKind::Unknown);
        if self.counts && is_unknown {
            self.net.unknown = self.net.unknown.saturating_add(bytes);
        }
        let Some(socket) = self.socket(fd).filter(is_talk) else { return };
        let told = datagram_peer(self.event.bytes(FieldTag::SOCKADDR));
        let claimed = told.is_some().then_some(true);
        let peer = told.or_else(|| socket.peer.clone());
        let peeked = streams::peeks(self.event);
        let event = self.event;
        let is_dns = peer.as_ref().and_then(SocketAddress::port) == Some(DNS_PORT);
        let payload: Vec<u8> = event
            .fields
            .iter()
            .filter(|f| f.tag == FieldTag::PAYLOAD)
            .flat_map(|f| f.bytes)
            .copied()
            .collect();
        let addressed = if is_many && !peeked { self.further(&socket, sends) } else { 0 };
        let counts = self.counts;
        let Some(conversation) = self.conversation_signed(&socket, peer, claimed) else { return };
        if peeked {
            return;
        }
        if counts {
            conversation.moved(sends, bytes);
            // Without an address of their own, or behind the last that was recorded, they are taken for the first's.
            let unread = if is_many { moved.saturating_sub(1).saturating_sub(addressed) } else { 0 };
            conversation.unread(sends, unread);
        }
        if is_dns {
            self.dns(&payload, socket.protocol_name() == "tcp");
        } else if conversation.direction == Direction::Out && sends {
            conversation.greet(&payload);
        }
    }

    /// Whom the messages behind the first of one call went to or came from, as far as they were addressed: how much they moved
    /// is not recorded. How many these are.
    fn further(&mut self, socket: &Socket, sends: bool) -> u64 {
        let (counts, mut told) = (self.counts, 0);
        for address in SocketAddress::of_further_messages(self.event).filter(SocketAddress::is_named) {
            let Some(conversation) = self.conversation_signed(socket, Some(address), Some(true)) else {
                return told;
            };
            told += 1;
            if !counts {
                continue;
            }
            conversation.unread(sends, 1);
            let messages =
                if sends { &mut conversation.messages_sent } else { &mut conversation.messages_received };
            *messages += 1;
        }
        told
    }

    /// The conversation of a socket with a peer, of which this event is a sign.
    fn conversation_signed(
        &mut self,
        socket: &Socket,
        peer: Option<SocketAddress>,
        claimed: Option<bool>,
    ) -> Option<&mut Conversation> {
        let at = self.signed(socket, peer, claimed)?;
        self.net.conversations.get_mut(at)
    }

    /// The position of the conversation of a socket with a peer, of which this event is a sign; where the event itself told
    /// the address, with whether it is claimed.
    fn signed(
        &mut self,
        socket: &Socket,
        peer: Option<SocketAddress>,
        claimed: Option<bool>,
    ) -> Option<usize> {
        let (time, process, counts, named) = (self.event.time, self.process, self.counts, self.named());
        let known = self.net.conversations.len();
        let at = self.conversation(socket, peer)?;
        if !counts {
            self.net.before.insert(at);
        }
        let conversation = self.net.conversations.get_mut(at)?;
        let is_new = at == known;
        conversation.claimed =
            if is_new { claimed == Some(true) } else { conversation.claimed && claimed != Some(false) };
        if counts {
            conversation.note(time, process, named);
        }
        Some(at)
    }

    /// The position of the conversation of a socket with a peer, begun when it is new.
    fn conversation(&mut self, socket: &Socket, peer: Option<SocketAddress>) -> Option<usize> {
        let key = ConversationKey::new(socket, peer.as_ref());
        if let Some(at) = self.net.index.get(&key) {
            return Some(*at);
        }
        if self.net.conversations.len() >= MOST {
            self.net.dropped += u64::from(self.counts);
            return None;
        }
        let mut conversation = Conversation::new(socket.protocol_name(), key.direction(), self.event.time);
        conversation.local = socket.local.clone();
        for name in peer
            .as_ref()
            .and_then(SocketAddress::ip)
            .and_then(|ip| self.net.names.get(&ip))
            .into_iter()
            .flatten()
        {
            conversation.name(name, NameSource::Dns);
        }
        conversation.peer = peer;
        let at = self.net.conversations.len();
        self.net.index.insert(key, at);
        self.net.conversations.push(conversation);
        Some(at)
    }

    /// A message to or from a DNS server.
    fn dns(&mut self, payload: &[u8], framed: bool) {
        // Over TCP a message has its length in front.
        let message = if framed { payload.get(2..).unwrap_or_default() } else { payload };
        let Some(message) = DnsMessage::parse(message) else { return };
        let Some(name) = message.question.clone() else { return };
        for answer in &message.answers {
            let DnsAnswer::Address(ip) = answer.data else { continue };
            let ip = ip.to_canonical();
            if self.net.names.len() >= MOST && !self.net.names.contains_key(&ip) {
                self.net.dropped += u64::from(self.counts);
                continue;
            }
            let names = self.net.names.entry(ip).or_default();
            if names.len() < 16 && !names.contains(&name) {
                names.push(name.clone());
            }
        }
        let full = self.net.lookups.len() >= MOST;
        let by = self.process;
        let same =
            |l: &&mut Lookup| l.id == message.id && l.name == name && l.kind == message.kind && l.by == by;
        match self.net.lookups.iter_mut().rev().take(64).find(same).filter(|l| l.answered.is_none()) {
            Some(lookup) if message.is_response => lookup.answer(self.event.time, &message),
            Some(lookup) => lookup.ask(self.event.time, self.counts),
            None if full => self.net.dropped += u64::from(self.counts),
            None => {
                let mut lookup = Lookup::new(self.event.time, by, &message, name);
                lookup.ask(self.event.time, self.counts);
                if message.is_response {
                    lookup.answer(self.event.time, &message);
                }
                self.net.lookups.push(lookup);
            }
        }
    }
}

/// A datagram's own address, which is whom it went to or came from.
fn datagram_peer(told: Option<&[u8]>) -> Option<SocketAddress> {
    told.and_then(SocketAddress::parse).filter(SocketAddress::is_named)
}

/// Whether bytes through this socket are a conversation worth listing.
fn is_talk(socket: &Socket) -> bool {
    let unix_with_name =
        socket.protocol_name() == "unix" && socket.pair.is_none() && socket.state != SocketState::New;
    // Of what family a socket is that an io_uring made is not recorded.
    let unknown_in_use = socket.family == 0 && socket.state == SocketState::Connected;
    socket.is_network() || unix_with_name || unknown_in_use
}

#[cfg(test)]
mod tests;
