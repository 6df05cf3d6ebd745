//! Tickets: what a client that cannot set headers shows instead of its token, once and soon.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::pass::Pass;
use super::{CODE_BYTES, code};

/// How long a ticket is good.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Tickets at once; one more is refused until one is used or ends.
pub const MAX_TICKETS: usize = 10_000;

/// The tickets that were given out and not used yet, at most [`MAX_TICKETS`].
#[derive(Debug, Default)]
pub struct Tickets(Mutex<HashMap<String, Ticket>>);

#[derive(Debug)]
struct Ticket {
    pass: Option<Pass>,
    until: Duration,
}

impl Tickets {
    /// Gives out a ticket at the time `now` since 1970 UTC, good for what `pass` allows, or for everything where nobody
    /// needs one. `None` if there are as many as may be.
    #[must_use]
    pub fn issue(&self, now: Duration, random: [u8; CODE_BYTES], pass: Option<Pass>) -> Option<String> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() >= MAX_TICKETS {
            tickets.retain(|_, ticket| ticket.until > now);
        }
        if tickets.len() >= MAX_TICKETS {
            return None;
        }
        let code = code(random);
        let until = now.saturating_add(TICKET_LIFE);
        // A token that ends within the minute ends its ticket.
        let until = pass.as_ref().map_or(until, |pass| until.min(pass.expires));
        tickets.insert(code.clone(), Ticket { pass, until });
        Some(code)
    }

    /// Takes a ticket, which is of no use any more from then on. `None` if it is unknown, used or too old.
    #[must_use]
    pub fn redeem(&self, now: Duration, code: &str) -> Option<Option<Pass>> {
        let ticket = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(code)?;
        (ticket.until > now).then_some(ticket.pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn random(n: usize) -> [u8; CODE_BYTES] {
        let mut bytes = [0; CODE_BYTES];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        bytes
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute() {
        let tickets = Tickets::default();
        let first = tickets.issue(NOW, random(1), None).unwrap();
        let second = tickets.issue(NOW, random(2), None).unwrap();
        assert_ne!(first, second);
        assert_eq!(tickets.redeem(NOW + TICKET_LIFE / 2, &first), Some(None));
        assert_eq!(tickets.redeem(NOW + TICKET_LIFE / 2, &first), None, "used");
        assert_eq!(tickets.redeem(NOW + TICKET_LIFE, &second), None, "too old");
        assert_eq!(tickets.redeem(NOW, "nonsense"), None);
    }

    #[test]
    fn as_many_as_may_be_are_given_out_until_some_end() {
        let tickets = Tickets::default();
        for n in 0..MAX_TICKETS {
            assert!(tickets.issue(NOW, random(n), None).is_some());
        }
        assert_eq!(tickets.issue(NOW, random(MAX_TICKETS), None), None);
        assert!(tickets.issue(NOW + TICKET_LIFE, random(MAX_TICKETS), None).is_some(), "the old ones are gone");
    }
}
