//! Codes by which somebody who is moved enters the other room, once and soon.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roundtable_protocol::{Grants, RoomId};

use crate::room::member::Newcomer;
use crate::shard::deed::{KeptConnection, MOVE_WITHIN, Origin};

/// What a ticket begins with, by which it is told from a token.
pub(super) const PREFIX: &str = "move_";
/// How long a ticket lives.
pub(super) const LIFE: Duration = MOVE_WITHIN;
/// Tickets out at once; the oldest gives way.
pub(super) const MAX_TICKETS: usize = 1_000;

/// All tickets, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<VecDeque<Issued>>);

#[derive(Debug)]
struct Issued {
    ticket: Ticket,
    until: Instant,
}

/// A way into one room for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// The secret.
    pub(super) code: String,
    /// Where it lets in.
    pub(super) room: RoomId,
    /// Whom.
    pub(super) newcomer: Newcomer,
    /// What they may do there.
    pub(super) grants: Grants,
    /// Who they have proven to be.
    pub(super) origin: Origin,
    /// Whose room it is if they open it: that of the room they come from.
    pub(super) key: Option<String>,
    /// Their peer connection, if that is kept for them.
    pub(super) connection: Option<KeptConnection>,
}

impl Tickets {
    /// Gives a ticket out.
    pub(super) fn issue(&self, now: Instant, ticket: Ticket) {
        let mut tickets = self.lock();
        tickets.retain(|issued| issued.until > now);
        if tickets.len() >= MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(Issued { ticket, until: now + LIFE });
    }

    /// Takes a ticket in: it must be alive, of this room and of this name.
    pub(super) fn redeem(&self, now: Instant, code: &str, room: &RoomId, name: &str) -> Option<Ticket> {
        let mut tickets = self.lock();
        tickets.retain(|issued| issued.until > now);
        let fits = |Issued { ticket, .. }: &Issued| {
            ticket.code == code && ticket.room == *room && ticket.newcomer.name == name
        };
        let at = tickets.iter().position(fits)?;
        tickets.remove(at).map(|issued| issued.ticket)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Issued>> {
        // Every change is complete before anything that could panic runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(code: &str) -> Ticket {
        let room = RoomId::new("r").unwrap();
        Ticket {
            code: code.into(),
            room,
            newcomer: "Ann".into(),
            grants: Grants::ALL,
            origin: Origin::default(),
            key: None,
            connection: None,
        }
    }

    #[test]
    fn a_ticket_lets_its_owner_in_once_and_soon() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let (r, s) = (RoomId::new("r").unwrap(), RoomId::new("s").unwrap());
        let tickets = Tickets::default();
        tickets.issue(start, ticket("one"));
        assert_eq!(tickets.redeem(start, "two", &r, "Ann"), None);
        assert_eq!(tickets.redeem(start, "one", &s, "Ann"), None);
        assert_eq!(tickets.redeem(start, "one", &r, "Bob"), None);
        assert_eq!(tickets.redeem(start, "one", &r, "Ann"), Some(ticket("one")));
        assert_eq!(tickets.redeem(start, "one", &r, "Ann"), None);
        tickets.issue(start, ticket("three"));
        assert_eq!(tickets.redeem(start + LIFE, "three", &r, "Ann"), None);
    }

    #[test]
    fn the_oldest_of_too_many_gives_way() {
        let start = Instant::now();
        let tickets = Tickets::default();
        (0..=MAX_TICKETS).for_each(|n| tickets.issue(start, ticket(&n.to_string())));
        let r = RoomId::new("r").unwrap();
        assert_eq!(tickets.redeem(start, "0", &r, "Ann"), None);
        assert!(tickets.redeem(start, "1", &r, "Ann").is_some());
    }
}
