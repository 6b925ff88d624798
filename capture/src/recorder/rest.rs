//! The recording thread's rest between two passes. It ends early when a program begins, whose bundle and image may be gone
//! soon, when the data ring fills, and when somebody wants something of the recorder.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll},
    io::write,
};

/// After a rest that a program or a wish ended, neither ends the next one before this: a storm of programs costs so many passes at
/// most.
pub const LEAST: Duration = Duration::from_millis(5);
/// A pass costs much the same however little there is to take (docs/performance.md).
pub const MOST: Duration = Duration::from_millis(40);

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
    /// Ready when the ring of calls has filled some more.
    filling: OwnedFd,
    /// Ready when something must be looked at soon, or somebody wants something.
    asking: OwnedFd,
    bell: Bell,
    was_asked: bool,
}

impl Rest {
    /// Of the `data` ring the programs say when it has filled some more, of the `control` ring when something must be looked
    /// at soon.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(data: impl AsFd, control: impl AsFd) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let filling = edges_of(&[data.as_fd()])?;
        let asking = edges_of(&[control.as_fd(), bell.as_fd()])?;
        Ok(Self { filling, asking, bell: Bell(Arc::new(bell)), was_asked: false })
    }

    /// What ends it from elsewhere.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Rests, for [`MOST`] where nothing ends it.
    pub fn take(&mut self) {
        let was_asked = std::mem::replace(&mut self.was_asked, false);
        if was_asked && wait([&self.filling], LEAST) == [true] {
            return;
        }
        self.was_asked = wait([&self.filling, &self.asking], MOST)[1];
    }
}

/// What is ready each time when one of `sources` becomes so anew: what is read of a ring stays in it for a while, and the bell's count is
/// never asked.
fn edges_of(sources: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (number, source) in (0..).zip(sources) {
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, source, epoll::EventData::new_u64(number), edges)?;
    }
    Ok(epoll)
}

/// Waits for one of them, at most `most`; tells which were ready, and takes note of it.
fn wait<const N: usize>(edges: [&OwnedFd; N], most: Duration) -> [bool; N] {
    let mut polled = edges.map(|epoll| PollFd::new(epoll, PollFlags::IN));
    let most = Timespec { tv_sec: 0, tv_nsec: most.subsec_nanos().into() };
    if poll(&mut polled, Some(&most)).is_err() {
        // A signal; or what never is, and then it must not go on without any rest.
        thread::sleep(LEAST);
        return [false; N];
    }
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    edges.map(|epoll| {
        let mut events = [MaybeUninit::uninit(); 2];
        epoll::wait(epoll, &mut events, Some(&at_once)).is_ok_and(|(events, _)| !events.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest() -> (Rest, [OwnedFd; 2], [OwnedFd; 2]) {
        let ((data, fill), (control, ask)) = (rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap());
        let rest = Rest::new(&data, &control).unwrap();
        (rest, [fill, ask], [data, control])
    }

    /// Whether somebody ended a rest: it is never asked how long it took.
    fn is_asked(rest: &mut Rest) -> bool {
        rest.take();
        rest.was_asked
    }

    #[test]
    fn a_bell_ends_the_present_rest_or_the_next_one_and_no_other() {
        let (mut rest, _writers, _rings) = rest();
        assert!(!is_asked(&mut rest));
        rest.bell().ring();
        rest.bell().ring();
        assert!(is_asked(&mut rest));
        assert!(!is_asked(&mut rest), "it was rung before the rest that it ended");
        rest.bell().ring();
        assert!(is_asked(&mut rest));
    }

    #[test]
    fn what_is_in_the_ring_still_ends_no_rest_but_what_comes_does() {
        let (mut rest, [_, ask], _rings) = rest();
        write(&ask, b"one").unwrap();
        assert!(is_asked(&mut rest));
        assert!(!is_asked(&mut rest));
        write(&ask, b"two").unwrap();
        assert!(is_asked(&mut rest));
    }

    #[test]
    fn a_ring_that_fills_ends_any_rest_and_wishes_wait_for_the_next_one() {
        let (mut rest, [fill, ask], _rings) = rest();
        write(&ask, b"one").unwrap();
        assert!(is_asked(&mut rest));
        write(&fill, b"one").unwrap();
        write(&ask, b"two").unwrap();
        assert!(!is_asked(&mut rest), "also one that nobody else may end before its least");
        assert!(is_asked(&mut rest));
        write(&fill, b"two").unwrap();
        assert!(!is_asked(&mut rest));
        let ended = |rest: &mut Rest| wait([&rest.filling], LEAST) == [true];
        assert!(!ended(&mut rest), "it was taken note of");
        write(&fill, b"three").unwrap();
        assert!(ended(&mut rest));
    }
}
