//! How often one address may knock, so that one who floods does not slow the others.
//!
//! Addresses of this machine are not limited. Behind a proxy the address is the one that the proxy names, if the proxy is
//! one of those that the settings trust.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use super::HttpState;
use super::problem::Problem;
use crate::rate::Rate;

/// Addresses of which it is noted how often they came; who has not come for longest is forgotten when one more comes.
const MAX_ADDRESSES: usize = 10_000;
/// An IPv6 network of this many bits counts as one address: one customer has at least that.
const IPV6_PREFIX_BITS: u32 = 64;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How often one address may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryLimit {
    /// Sustained, a second; 0 for no limit.
    pub per_second: u32,
    /// At once, before that counts.
    pub burst: u32,
}

/// Who came how often.
#[derive(Debug)]
pub(super) struct Entries {
    limit: EntryLimit,
    trusted: Vec<IpAddr>,
    addresses: Mutex<HashMap<IpAddr, Entry>>,
}

#[derive(Debug)]
struct Entry {
    rate: Rate,
    last: Instant,
}

impl Entries {
    pub(super) fn new(limit: EntryLimit, trusted: Vec<IpAddr>) -> Self {
        Self { limit, trusted, addresses: Mutex::default() }
    }

    /// The address that a request comes from: the nearest one that is none of our proxies.
    pub(super) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        let forwarded = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let mut named: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        while self.trusted.contains(&address)
            && let Some(before) = named.pop()
        {
            // What a proxy wrote that is no address names nobody.
            let Ok(before) = before.parse::<IpAddr>() else { break };
            address = before.to_canonical();
        }
        address
    }

    /// Counts an entry, unless there were too many.
    fn enter(&self, now: Instant, address: IpAddr) -> bool {
        if self.limit.per_second == 0 || address.is_loopback() {
            return true;
        }
        let mut addresses = self.lock();
        let network = network(address);
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&network) {
            forget_oldest(&mut addresses);
        }
        let EntryLimit { per_second, burst } = self.limit;
        let entry =
            addresses.entry(network).or_insert_with(|| Entry { rate: Rate::new(now, per_second, burst), last: now });
        entry.last = now;
        entry.rate.take(now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Entry>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those who have not come for longest, some at a time, so that it is not done for each one who comes.
fn forget_oldest(addresses: &mut HashMap<IpAddr, Entry>) {
    let mut times: Vec<Instant> = addresses.values().map(|entry| entry.last).collect();
    let at = times.len() / 10;
    let (_, &mut limit, _) = times.select_nth_unstable(at);
    addresses.retain(|_, entry| entry.last > limit);
}

/// What counts as one address.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> IPV6_PREFIX_BITS << IPV6_PREFIX_BITS).into()),
    }
}

/// Lets a request through if its address has not entered too often.
pub(super) async fn check(State(state): State<HttpState>, request: Request, next: Next) -> Result<Response, Problem> {
    // An application that embeds the router may not say who connects; then it is its own to limit them.
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = state.entries.address(peer.ip(), request.headers());
        if !state.entries.enter(Instant::now(), address) {
            return Err(Problem::too_often());
        }
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn entries() -> Entries {
        Entries::new(EntryLimit { per_second: 10, burst: 20 }, vec![ip("10.0.0.1"), ip("127.0.0.1")])
    }

    #[test]
    fn one_address_has_a_burst_and_a_rate_and_the_others_do_not_feel_it() {
        let (entries, now) = (entries(), Instant::now());
        let enter = |now, address: &str| entries.enter(now, ip(address));
        assert_eq!((0..30).filter(|_| enter(now, "203.0.113.5")).count(), 20);
        assert!(enter(now, "203.0.113.6"));
        assert_eq!((0..30).filter(|_| enter(now + Duration::from_secs(1), "203.0.113.5")).count(), 10);
        assert_eq!((0..1_000).filter(|_| enter(now, "127.0.0.1")).count(), 1_000, "this machine");
        let of_one_network = (0..30).filter(|n| enter(now, &format!("2001:db8::{n:x}"))).count();
        assert_eq!(of_one_network, 20);
        assert!(enter(now, "2001:db8:0:1::1"));
    }

    #[test]
    fn only_proxies_that_are_trusted_name_addresses() {
        let entries = entries();
        let address = |peer, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            entries.address(ip(peer), &headers)
        };
        assert_eq!(address("198.51.100.1", &["203.0.113.5"]), ip("198.51.100.1"), "anybody can write that");
        assert_eq!(address("10.0.0.1", &["203.0.113.5"]), ip("203.0.113.5"));
        assert_eq!(address("10.0.0.1", &["1.2.3.4, 203.0.113.5"]), ip("203.0.113.5"), "the nearest counts");
        assert_eq!(address("127.0.0.1", &["203.0.113.5", "10.0.0.1"]), ip("203.0.113.5"), "over two proxies");
        assert_eq!(address("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(address("::ffff:10.0.0.1", &["::ffff:203.0.113.5"]), ip("203.0.113.5"));
    }

    #[test]
    fn no_more_addresses_are_noted_than_may_be() {
        let (entries, now) = (entries(), Instant::now());
        for n in 0..MAX_ADDRESSES as u32 + 500 {
            let address = IpAddr::V4((0x0b00_0000 + n).into());
            assert!(entries.enter(now + Duration::from_millis(n.into()), address));
        }
        assert!(entries.lock().len() <= MAX_ADDRESSES);
    }
}
