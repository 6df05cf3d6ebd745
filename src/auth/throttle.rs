//! How often passwords may be guessed: for one user and from one address, with waits that double.
//!
//! A guess counts before it is checked, so that many at once are no way around; who was right gets it back. An address from
//! which a user has logged in before is counted apart, so that those who guess elsewhere do not keep the user out there.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong passwords of one user before waits begin.
pub const FREE_FAILURES_OF_USER: u32 = 5;
/// Wrong passwords from one address before waits begin.
pub const FREE_FAILURES_OF_ADDRESS: u32 = 20;
/// The first wait, which each further failure doubles …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long after its last wait failures are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Users and addresses whose failures are noted; of those the ones whose wait ends first are forgotten when one more comes.
const MAX_NOTED: usize = 20_000;
/// Pairs of a user and an address known to be theirs; the oldest are forgotten when one more comes.
const MAX_KNOWN: usize = 10_000;

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    /// Whether there is such a user or not.
    User(String),
    /// A user at an address they have logged in from.
    AtHome(String, IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// The next guess is taken then.
    open_at: Instant,
}

/// A guess that was counted.
#[derive(Debug)]
#[must_use]
pub struct Guess {
    keys: Vec<Key>,
    user: String,
    address: Option<IpAddr>,
}

/// Who has failed how often.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: HashMap<Key, Failures>,
    known: HashMap<(String, IpAddr), Instant>,
}

impl Throttle {
    /// Counts a guess as a failure until it turns out to be right. Without an address only the user counts.
    ///
    /// # Errors
    /// How long to wait before the next one; this one does not count.
    pub fn guess(&mut self, now: Instant, user: &str, address: Option<IpAddr>) -> Result<Guess, Duration> {
        let keys = self.keys(user, address);
        let waits = keys.iter().filter_map(|key| self.failures.get(key)).map(|failures| failures.open_at);
        if let Some(open_at) = waits.max().filter(|open_at| *open_at > now) {
            return Err(open_at - now);
        }
        for key in &keys {
            self.count(now, key);
        }
        Ok(Guess { keys, user: user.to_owned(), address })
    }

    /// Takes a guess back that was right: the user's failures are forgotten, and the address has one less.
    pub fn right(&mut self, now: Instant, guess: Guess) {
        for key in &guess.keys {
            match key {
                Key::Address(_) => self.uncount(now, key),
                Key::User(_) | Key::AtHome(..) => drop(self.failures.remove(key)),
            }
        }
        if let Some(address) = guess.address {
            make_room(&mut self.known, MAX_KNOWN, |since| *since);
            self.known.insert((guess.user, address), now);
        }
    }

    fn keys(&self, user: &str, address: Option<IpAddr>) -> Vec<Key> {
        let user = user.to_owned();
        match address {
            None => vec![Key::User(user)],
            Some(address) if self.known.contains_key(&(user.clone(), address)) => {
                vec![Key::Address(address), Key::AtHome(user, address)]
            }
            Some(address) => vec![Key::Address(address), Key::User(user)],
        }
    }

    fn count(&mut self, now: Instant, key: &Key) {
        if !self.failures.contains_key(key) {
            make_room(&mut self.failures, MAX_NOTED, |failures| failures.open_at);
        }
        let failures = self.failures.entry(key.clone()).or_insert(Failures { count: 0, open_at: now });
        if now.saturating_duration_since(failures.open_at) >= FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.open_at = now + wait(key, failures.count);
    }

    fn uncount(&mut self, now: Instant, key: &Key) {
        if let Some(failures) = self.failures.get_mut(key) {
            failures.count = failures.count.saturating_sub(1);
            failures.open_at = failures.open_at.min(now + wait(key, failures.count));
        }
    }
}

/// How long the next guess has to wait after so many failures.
fn wait(key: &Key, failures: u32) -> Duration {
    let free = if matches!(key, Key::Address(_)) { FREE_FAILURES_OF_ADDRESS } else { FREE_FAILURES_OF_USER };
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(more)).min(LONGEST_WAIT),
    }
}

/// Forgets those that come first, some at a time, so that it is not done for each one that comes.
fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, most: usize, order: impl Fn(&V) -> Instant) {
    if table.len() < most {
        return;
    }
    let mut times: Vec<Instant> = table.values().map(&order).collect();
    let at = times.len() / 10;
    let (_, &mut limit, _) = times.select_nth_unstable(at);
    let mut left = at + 1;
    table.retain(|_, value| {
        let goes = left > 0 && order(value) <= limit;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4((0x0b00_0000 + n).into()))
    }

    /// Guesses of a table that are taken at once.
    fn taken(throttle: &mut Throttle, now: Instant, guesses: usize, user: &str, address: Option<IpAddr>) -> usize {
        (0..guesses).filter(|_| throttle.guess(now, user, address).is_ok()).count()
    }

    #[test]
    fn a_user_can_be_guessed_five_times_and_then_ever_more_slowly() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let at = |s| start + Duration::from_secs(s);
        let mut throttle = Throttle::default();
        assert_eq!((0..1_000).filter(|n| throttle.guess(start, "ann", ip(*n)).is_ok()).count(), 5, "from anywhere");
        assert_eq!(throttle.guess(start, "ann", ip(7)).unwrap_err(), Duration::from_secs(1));
        assert_eq!(taken(&mut throttle, start, 1, "bob", ip(7)), 1, "others do not feel it");
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(taken(&mut throttle, at(now + wait) - Duration::from_millis(1), 9, "ann", ip(7)), 0);
            now += wait;
            assert_eq!(taken(&mut throttle, at(now), 9, "ann", None), 1, "after {wait} s");
        }
        assert_eq!(taken(&mut throttle, at(now + 300 + 15 * 60), 9, "ann", None), 5, "it is forgotten in the end");
    }

    #[test]
    fn an_address_has_twenty_guesses_whomever_they_are_about() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let users = (0..1_000).map(|n| format!("user{n}"));
        assert_eq!(users.filter(|user| throttle.guess(start, user, ip(1)).is_ok()).count(), 20);
        assert_eq!(taken(&mut throttle, start, 1, "user7", ip(2)), 1);
        assert_eq!(taken(&mut throttle, start + Duration::from_secs(1), 9, "user8", ip(1)), 1);
    }

    #[test]
    fn who_is_right_gets_the_guess_back_and_no_more_than_that() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(taken(&mut throttle, start, 4, "ann", ip(1)), 4);
        let right = throttle.guess(start, "ann", ip(1)).unwrap();
        throttle.right(start, right);
        assert_eq!(taken(&mut throttle, start, 9, "ann", ip(1)), 5, "the user begins anew");
        // A thief with an account of their own does not clean their address with it.
        let mut throttle = Throttle::default();
        let mut wrong = 0;
        for n in 0..100 {
            wrong += taken(&mut throttle, start, 1, &format!("victim{n}"), ip(1));
            if let Ok(own) = throttle.guess(start, "thief", ip(1)) {
                throttle.right(start, own);
            }
        }
        assert_eq!(wrong, 20);
    }

    #[test]
    fn a_class_behind_one_address_logs_in() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for n in 0..500 {
            let guess = throttle.guess(start, &format!("pupil{n}"), ip(1)).unwrap();
            throttle.right(start, guess);
        }
    }

    #[test]
    fn who_guesses_elsewhere_does_not_keep_a_user_out_at_home() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let right = throttle.guess(start, "ann", ip(1)).unwrap();
        throttle.right(start, right);
        assert_eq!(taken(&mut throttle, start, 1_000, "ann", ip(2)), 5);
        let home = throttle.guess(start, "ann", ip(1)).expect("her own address is counted apart");
        assert!(throttle.guess(start, "ann", ip(3)).is_err(), "a new one is not");
        throttle.right(start, home);
        assert_eq!(taken(&mut throttle, start, 1_000, "ann", ip(1)), 5, "and has its own limit");
    }

    #[test]
    fn no_more_are_noted_than_may_be_and_those_who_wait_longest_are_kept() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let _ = taken(&mut throttle, start, 9, "ann", None);
        for n in 0..2 * MAX_NOTED as u32 {
            let _ = throttle.guess(start, &format!("user{n}"), None);
        }
        assert!(throttle.failures.len() <= MAX_NOTED);
        assert!(throttle.guess(start, "ann", None).is_err(), "she is still waited for");
        for n in 0..MAX_KNOWN as u32 + 10 {
            let guess = throttle.guess(start + Duration::from_secs(2_000), &format!("known{n}"), ip(n)).unwrap();
            throttle.right(start, guess);
        }
        assert!(throttle.known.len() <= MAX_KNOWN);
    }
}
