//! The recording thread's rest between two passes. It ends early when a program begins, whose bundle and image may be gone
//! soon, and when somebody wants something of the recorder.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    io::write,
};

/// Nothing ends a rest before this where the one before ended early: a storm of programs costs so many passes at most.
pub const LEAST: Duration = Duration::from_millis(5);
/// A pass costs much the same however little there is to take; in a longer rest a burst fills the ring (docs/performance.md).
pub const MOST: Duration = Duration::from_millis(10);

/// Ends the recording thread's rest.
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Ends the present rest, or the next one.
    pub fn ring(&self) {
        // It is full when it was rung 2^64 times and nobody has rested.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// The present rest, and what ends it.
#[derive(Debug)]
pub struct Rest {
    epoll: OwnedFd,
    bell: Bell,
    was_cut: bool,
}

impl Rest {
    /// `ring` is that of which the programs say when something must be looked at soon.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(ring: impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Each time anew: what is read of the ring stays in it for a while, and the bell's count is never asked.
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, ring, epoll::EventData::new_u64(0), edges)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(1), edges)?;
        Ok(Self { epoll, bell: Bell(Arc::new(bell)), was_cut: false })
    }

    /// What ends it from elsewhere.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Rests: [`LEAST`] where much is coming, else up to [`MOST`].
    pub fn take(&mut self, is_busy: bool) {
        if is_busy || self.was_cut {
            thread::sleep(LEAST);
        }
        if is_busy {
            self.was_cut = false;
            return;
        }
        let most = Timespec { tv_sec: 0, tv_nsec: MOST.subsec_nanos().into() };
        let mut events = [MaybeUninit::uninit(); 2];
        self.was_cut = match epoll::wait(&self.epoll, &mut events, Some(&most)) {
            Ok((events, _)) => !events.is_empty(),
            // A signal; or what never is, and then it must not go on without any rest.
            Err(_) => true,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a rest ended: it is never asked how long it took.
    fn rests(rest: &mut Rest, is_busy: bool) -> bool {
        rest.take(is_busy);
        rest.was_cut
    }

    #[test]
    fn a_bell_ends_the_present_rest_or_the_next_one_and_no_other() {
        let (ring, _other) = rustix::pipe::pipe().unwrap();
        let mut rest = Rest::new(&ring).unwrap();
        assert!(!rests(&mut rest, false));
        rest.bell().ring();
        rest.bell().ring();
        assert!(rests(&mut rest, false));
        assert!(!rests(&mut rest, false), "it was rung before the rest that it ended");
        rest.bell().ring();
        assert!(!rests(&mut rest, true), "nothing ends the least rest");
        assert!(rests(&mut rest, false));
    }

    #[test]
    fn what_is_in_the_ring_still_ends_no_rest_but_what_comes_does() {
        let (ring, other) = rustix::pipe::pipe().unwrap();
        let mut rest = Rest::new(&ring).unwrap();
        write(&other, b"one").unwrap();
        assert!(rests(&mut rest, false));
        assert!(!rests(&mut rest, false));
        write(&other, b"two").unwrap();
        assert!(rests(&mut rest, false));
    }
}
