//! How many connections a listener has, and how many of them come from one address.
//!
//! A place is taken before anything is read or spent, and given back when the connection's last socket is closed, a
//! session's end included. Nobody waits for one. The counts belong to the listener, not to a generation: a reload changes
//! what is allowed, and who is there stays.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;

/// Most connections; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// On the listener.
    pub connections: usize,
    /// From one address; for IPv6 from one network of 64 bits, which is what one customer has.
    pub per_ip: usize,
}

/// The places of one listener.
#[derive(Debug, Default)]
pub struct Places {
    taken: AtomicUsize,
    by_network: DashMap<Network, usize>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    network: Network,
}

/// The place of a connection, which its requests have, too, until the one that the connection becomes takes it for its own.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Option<Place>>>);

impl From<Place> for Shared {
    fn from(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }
}

impl Shared {
    /// The place, for one alone: nobody else holds it any more. None if that was done before.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The listener has as many as it may have.
    Listener,
    /// The address has.
    Address,
}

impl Places {
    /// Takes a place for a connection from `peer`.
    ///
    /// # Errors
    /// There is none; nothing is taken then.
    pub fn take(self: &Arc<Self>, peer: IpAddr, most: Most) -> Result<Place, Full> {
        let free = |most: usize| move |taken: usize| (most == 0 || taken < most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free(most.connections))
            .map_err(|_| Full::Listener)?;
        let network = Network::of(peer);
        {
            let mut from_here = self.by_network.entry(network).or_insert(0);
            if let Some(more) = free(most.per_ip)(*from_here) {
                *from_here = more;
                return Ok(Place { places: Arc::clone(self), network });
            }
        }
        self.taken.fetch_sub(1, Ordering::AcqRel);
        Err(Full::Address)
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.by_network.remove_if_mut(&self.network, |_, taken| {
            *taken = taken.saturating_sub(1);
            *taken == 0
        });
        self.places.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What counts as one address, in little room: an address of IPv4, or a network of 64 bits of IPv6. The former stand where
/// the latter has multicast groups (RFC 4291 §2.7), from which nobody dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(u64);

impl Network {
    fn of(peer: IpAddr) -> Self {
        Self(match peer.to_canonical() {
            IpAddr::V4(address) => u64::MAX << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_place_is_given_once_and_comes_back() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 2, per_ip: 0 };
        let first = places.take(ip("192.0.2.1"), most).unwrap();
        let _second = places.take(ip("192.0.2.1"), most).unwrap();
        assert_eq!(places.take(ip("192.0.2.1"), most).unwrap_err(), Full::Listener);
        drop(first);
        let _third = places.take(ip("192.0.2.2"), most).unwrap();
        assert_eq!(places.taken(), 2);
    }

    #[test]
    fn an_address_has_its_own_bound_and_leaves_no_trace() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 0, per_ip: 1 };
        let take = |address: &str| places.take(ip(address), most);
        let held = [take("192.0.2.1").unwrap(), take("2001:db8:0:1::1").unwrap(), take("2001:db8:0:2::1").unwrap()];
        for full in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1:ffff::2"] {
            assert_eq!(take(full).unwrap_err(), Full::Address, "{full}");
        }
        assert_eq!(places.taken(), 3, "who is turned away holds nothing");
        drop(held);
        assert!(places.taken() == 0 && places.by_network.is_empty());
    }

    #[test]
    fn a_place_that_is_shared_comes_back_with_the_last_or_with_whoever_took_it() {
        let places = Arc::new(Places::default());
        let take = || Shared::from(places.take(ip("192.0.2.1"), Most::default()).unwrap());
        let (one, other) = (take(), take());
        let requests = one.clone();
        drop(one);
        assert_eq!(places.taken(), 2, "a request has it");
        drop(requests);
        assert_eq!(places.taken(), 1);
        let taken = other.take();
        assert!(taken.is_some() && other.take().is_none(), "one takes it, once");
        drop(other);
        assert_eq!(places.taken(), 1);
        drop(taken);
        assert_eq!(places.taken(), 0);
    }

    /// There is one for each connection.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_place_stays_small() {
        assert!(size_of::<Place>() <= 16, "{}", size_of::<Place>());
    }

    #[test]
    fn who_came_without_a_limit_counts_when_there_is_one() {
        let places = Arc::new(Places::default());
        let _held = places.take(ip("192.0.2.1"), Most::default()).unwrap();
        assert_eq!(places.take(ip("192.0.2.1"), Most { connections: 0, per_ip: 1 }).unwrap_err(), Full::Address);
        assert_eq!(places.take(ip("192.0.2.9"), Most { connections: 1, per_ip: 0 }).unwrap_err(), Full::Listener);
    }

    #[test]
    fn many_threads_never_exceed_a_bound_and_no_place_is_lost() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 5, per_ip: 2 };
        std::thread::scope(|scope| {
            for n in 0..4 {
                let places = &places;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let place = places.take(ip(&format!("192.0.2.{}", (n + round) % 3)), most);
                        assert!(places.taken() <= 5);
                        drop(place);
                    }
                });
            }
        });
        assert!(places.taken() == 0 && places.by_network.is_empty());
    }
}
