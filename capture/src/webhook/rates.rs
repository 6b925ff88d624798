//! How many requests an address may make: so many a second, twice as many at once.

use std::{collections::HashMap, net::IpAddr, time::Instant};

use crate::http::places::network;

/// Addresses remembered.
const MOST: usize = 4096;

/// What each address has left.
#[derive(Debug)]
pub struct Rates {
    rate: f64,
    left: HashMap<IpAddr, (f64, Instant)>,
}

impl Rates {
    /// So many a second.
    pub fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate), left: HashMap::new() }
    }

    /// Whether an address may make one more now.
    pub fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let (rate, burst) = (self.rate, self.rate * 2.0);
        let refilled = |left: f64, since: Instant| {
            (left + now.saturating_duration_since(since).as_secs_f64() * rate).min(burst)
        };
        if self.left.len() >= MOST {
            // Who has waited long enough has all again, and needs no entry.
            self.left.retain(|_, (left, since)| refilled(*left, *since) < burst);
        }
        let own = network(address);
        if self.left.len() >= MOST && !self.left.contains_key(&own) {
            return false;
        }
        let (left, since) = self.left.entry(own).or_insert((burst, now));
        *left = refilled(*left, *since);
        *since = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_has_its_rate_and_no_more() {
        let mut rates = Rates::new(10);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Instant::now();
        let taken = |rates: &mut Rates, at| (0..100).filter(|_| rates.take(one, at)).count();
        assert_eq!(taken(&mut rates, now), 20);
        assert!(rates.take(other, now), "another address has its own");
        assert_eq!(taken(&mut rates, now + Duration::from_secs(1)), 10);
        assert_eq!(taken(&mut rates, now + Duration::from_secs(100)), 20);
        let (a, b): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::ffff:2".parse().unwrap());
        let later = now + Duration::from_secs(200);
        assert_eq!((0..100).filter(|i| rates.take(if i % 2 == 0 { a } else { b }, later)).count(), 20);
    }

    #[test]
    fn addresses_without_number_cost_no_memory() {
        let mut rates = Rates::new(1);
        let now = Instant::now();
        for number in 0..100_000u32 {
            rates.take(IpAddr::V4(number.into()), now);
        }
        assert!(rates.left.len() <= MOST);
        assert!(rates.take(IpAddr::V4(200_000.into()), now + Duration::from_secs(60)));
    }
}
