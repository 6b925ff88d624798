//! The process that starts others: forked before there is a second thread, a program or a socket, so that what it forks
//! has the memory of a process that has just begun, and nothing is ever executed.
//!
//! It is told one byte, the role, with one end of a socket pair, and answers with the process's id. A process that it
//! starts anew takes the place of the one before, which is killed if it still runs. All of them end with the process
//! that started them: by the kernel's signal to orphans, and because their sockets end.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Mutex, PoisonError},
};

use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
    process::{Pid, Signal, WaitOptions, getpid, getppid, kill_process, waitpid},
};

use super::{Role, confine};

/// Roles that are started.
const ROLES: [Role; 2] = [Role::Metadata, Role::Control];

/// The way to the spawner.
#[derive(Debug)]
pub struct Spawner {
    socket: Mutex<UnixStream>,
    pid: Pid,
}

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    /// The way to it.
    pub socket: UnixStream,
    /// Which.
    pub pid: Pid,
}

impl Spawner {
    /// Forks the spawner. `work` is what a process of a role does, after it was confined: it gets its end of the socket,
    /// and what the kernel refused.
    ///
    /// # Errors
    /// When there can be no process.
    ///
    /// # Panics
    /// When this process has other threads already: what they held would be held for ever.
    pub fn start(work: impl Fn(Role, UnixStream, Vec<String>)) -> io::Result<Self> {
        let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(1);
        assert_eq!(threads, 1, "the spawner comes before all threads");
        let (own, others) = UnixStream::pair()?;
        match fork(c"af-spawner")? {
            Some(pid) => Ok(Self { socket: Mutex::new(own), pid }),
            None => {
                drop(own);
                serve(others, &work);
                std::process::exit(0);
            }
        }
    }

    /// Starts a process, in the place of the one that had the role.
    ///
    /// # Errors
    /// When there can be none, or there is no spawner any more.
    pub fn spawn(&self, role: Role) -> io::Result<Started> {
        let (own, theirs) = UnixStream::pair()?;
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let place = ROLES.iter().position(|other| *other == role);
        let byte = [u8::try_from(place.ok_or(io::ErrorKind::Unsupported)?).unwrap_or(u8::MAX)];
        let descriptors = [theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&*socket, &[IoSlice::new(&byte)], &mut ancillary, SendFlags::NOSIGNAL)?;
        let mut answer = [0; 4];
        socket.read_exact(&mut answer)?;
        let number = i32::from_le_bytes(answer);
        match Pid::from_raw(number.max(0)) {
            Some(pid) => Ok(Started { socket: own, pid }),
            None => Err(io::Error::from_raw_os_error(-number)),
        }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

/// The spawner's whole life.
fn serve(socket: UnixStream, work: &impl Fn(Role, UnixStream, Vec<String>)) {
    // Whoever stops the recorder tells its first process; the others end when it has done what it had to.
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        ignore(signal);
    }
    // What a runtime's exec points at may be gone in a moment; best effort, since not everybody may ask.
    let _ = rustix::process::setpriority_process(None, crate::recorder::NICE);
    let refused = confine(Role::Spawner);
    let mut children: [Option<Pid>; ROLES.len()] = [None; ROLES.len()];
    while let Ok(Some((place, theirs))) = receive(&socket) {
        if let Some(before) = children[place].take() {
            // One that has ended already is there until it is waited for: its id is nobody else's.
            let _ = kill_process(before, Signal::KILL);
            let _ = waitpid(Some(before), WaitOptions::empty());
        }
        let name = if ROLES[place] == Role::Metadata { c"af-metadata" } else { c"af-control" };
        let answer = match fork(name) {
            Ok(Some(pid)) => {
                children[place] = Some(pid);
                pid.as_raw_nonzero().get()
            }
            Ok(None) => {
                // The spawner's own socket is not for it: `theirs` is.
                drop(socket);
                let mut refused = refused.clone();
                refused.extend(confine(ROLES[place]));
                work(ROLES[place], UnixStream::from(theirs), refused);
                std::process::exit(0);
            }
            Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
        };
        drop(theirs);
        if (&socket).write_all(&answer.to_le_bytes()).is_err() {
            return;
        }
    }
}

/// The next role that is asked for, and the socket for it; nothing when nobody can ask any more.
fn receive(socket: &UnixStream) -> io::Result<Option<(usize, OwnedFd)>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let place = usize::from(byte[0]);
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptor.filter(|_| place < ROLES.len()).map(|descriptor| (place, descriptor)))
}

/// Forks; the child, for which there is no id, ends with its parent.
#[expect(unsafe_code, reason = "a fork is none of the standard library's business")]
fn fork(name: &std::ffi::CStr) -> io::Result<Option<Pid>> {
    let parent = getpid();
    // SAFETY: this process has one thread, which `Spawner::start` has looked at and the spawner never changes: no lock
    // is held by another, so the child may do whatever its parent might.
    let forked = unsafe { libc::fork() };
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let _ = rustix::thread::set_name(name);
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have died before the kernel was told.
            if getppid() != Some(parent) {
                std::process::exit(1);
            }
            Ok(None)
        }
        child => Ok(Pid::from_raw(child)),
    }
}

#[expect(unsafe_code, reason = "no crate here ignores signals")]
fn ignore(signal: libc::c_int) {
    // SAFETY: no handler is installed, and no other thread is there to have one.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}
