//! Places for connections: how many at once, how many of one network, and who goes when there is none left.
//!
//! Rules. A connection waits until a request's head has come whole, and again behind the answer. When all places are taken, the
//! one that has waited longest is closed: whoever opens connections and sends nothing shuts nobody out. One network may have
//! half of all places, and closes its own behind that. What is being answered is never closed.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv6Addr},
    rc::Rc,
    time::Instant,
};

use tokio::sync::Notify;

/// All places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: RefCell<Vec<Rc<Taken>>>,
}

#[derive(Debug)]
struct Taken {
    network: IpAddr,
    /// Since when nothing is being answered.
    waits: Cell<Option<Instant>>,
    is_over: Notify,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    own: Rc<Taken>,
    all: Rc<Places>,
}

impl Places {
    /// So many.
    pub fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most, taken: RefCell::default() })
    }

    /// A place for a connection from an address; none where all that could go are being answered.
    pub fn take(self: &Rc<Self>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut taken = self.taken.borrow_mut();
        if taken.iter().filter(|place| place.network == network).count() >= self.most.div_ceil(2) {
            free(&mut taken, |place| place.network == network)?;
        } else if taken.len() >= self.most {
            free(&mut taken, |_| true)?;
        }
        let waits = Cell::new(Some(Instant::now()));
        let own = Rc::new(Taken { network, waits, is_over: Notify::new() });
        taken.push(Rc::clone(&own));
        Some(Place { own, all: Rc::clone(self) })
    }
}

/// Ends the longest waiting of some.
fn free(taken: &mut Vec<Rc<Taken>>, of: impl Fn(&Taken) -> bool) -> Option<()> {
    let waiting = taken.iter().enumerate().filter(|(_, place)| of(place));
    let since = waiting.filter_map(|(at, place)| Some((place.waits.get()?, at)));
    let (_, at) = since.min()?;
    taken.swap_remove(at).is_over.notify_one();
    Some(())
}

impl Place {
    /// A request is being answered from now on, or the connection waits for one.
    pub fn answers(&self, is_answering: bool) {
        self.own.waits.set((!is_answering).then(Instant::now));
    }

    /// Returns when another has taken the place.
    pub async fn is_over(&self) {
        self.own.is_over.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.taken.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.own));
    }
}

/// Whoever has one IPv6 address has its whole /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(own) => match own.to_ipv4_mapped() {
            Some(mapped) => mapped.into(),
            None => {
                let [a, b, c, d, ..] = own.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over(place: &Place) -> bool {
        use std::{future::Future as _, pin::pin, task};
        let mut context = task::Context::from_waker(task::Waker::noop());
        pin!(place.is_over()).poll(&mut context).is_ready()
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn who_waits_longest_makes_room_and_who_is_answered_never() {
        let places = Places::new(4);
        let taken: Vec<Place> = (1..=4).map(|last| places.take(address(last)).unwrap()).collect();
        taken[0].answers(true);
        taken[1].answers(true);
        taken[1].answers(false);
        let fifth = places.take(address(5)).unwrap();
        assert_eq!(taken.iter().map(is_over).collect::<Vec<_>>(), [false, false, true, false]);
        // It is counted no more, although its connection is not gone yet.
        fifth.answers(true);
        let sixth = places.take(address(6)).unwrap();
        assert_eq!([&taken[1], &taken[3], &fifth].map(is_over), [false, true, false]);
        [&taken[1], &sixth].iter().for_each(|place| place.answers(true));
        assert!(places.take(address(7)).is_none(), "all are being answered");
        drop(sixth);
        assert!(places.take(address(7)).is_some());
    }

    #[test]
    fn one_network_has_half_of_the_places_and_frees_its_own_behind_that() {
        let places = Places::new(6);
        let other = places.take(address(1)).unwrap();
        let v6 = |last: u16| IpAddr::from([0xfd00, 0, 0, 7, 1, 2, 3, last]);
        let own: Vec<Place> = (0..3).map(|last| places.take(v6(last)).unwrap()).collect();
        let fourth = places.take(v6(3)).unwrap();
        assert_eq!(own.iter().map(is_over).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_over(&other));
        [&own[1], &own[2], &fourth].iter().for_each(|place| place.answers(true));
        assert!(places.take(v6(4)).is_none());
        assert!(places.take(address(2)).is_some(), "there is room for others");
    }
}
