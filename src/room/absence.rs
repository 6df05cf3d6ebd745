//! Who of a room's members has lost the connection and may come back, and which tracks wait for their owners.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use roundtable_protocol::{MemberId, TrackId};

/// Members without a socket, and tracks without a peer connection. Both are some of the room's, so they need no bound of
/// their own.
#[derive(Debug, Default)]
pub struct Absence {
    /// Until when each place is kept, the earliest first; the number tells those apart that end together.
    deadlines: BTreeMap<(Instant, u64), MemberId>,
    away: HashMap<MemberId, (Instant, u64)>,
    suspended: HashSet<TrackId>,
}

impl Absence {
    /// A member has no socket any more; its place, the `number`-th, is kept until then.
    pub fn begin(&mut self, member: &MemberId, number: u64, until: Instant) {
        self.end(member);
        self.away.insert(member.clone(), (until, number));
        self.deadlines.insert((until, number), member.clone());
    }

    /// A member is back, or gone for good. Returns whether it was away.
    pub fn end(&mut self, member: &MemberId) -> bool {
        let Some(key) = self.away.remove(member) else { return false };
        self.deadlines.remove(&key);
        true
    }

    /// Takes a member whose place was kept for long enough.
    pub fn take_overdue(&mut self, now: Instant) -> Option<MemberId> {
        let entry = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now)?;
        let member = entry.remove();
        self.away.remove(&member);
        Some(member)
    }

    /// When [`Absence::take_overdue`] has somebody.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.keys().next().map(|(until, _)| *until)
    }

    /// Whether a member is away.
    #[must_use]
    pub fn is_away(&self, member: &MemberId) -> bool {
        self.away.contains_key(member)
    }

    /// A track carries nothing until its owner is back.
    pub fn suspend(&mut self, track: TrackId) {
        self.suspended.insert(track);
    }

    /// A track carries something again, or is gone. Returns whether it waited.
    pub fn release(&mut self, track: &TrackId) -> bool {
        self.suspended.remove(track)
    }

    /// Whether a track waits for its owner.
    #[must_use]
    pub fn is_suspended(&self, track: &TrackId) -> bool {
        self.suspended.contains(track)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> MemberId {
        MemberId::new(text).unwrap()
    }

    #[test]
    fn places_are_given_up_in_the_order_of_their_deadlines() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let at = |s| start + Duration::from_secs(s);
        let mut absence = Absence::default();
        absence.begin(&id("ann"), 1, at(30));
        absence.begin(&id("bob"), 2, at(10));
        absence.begin(&id("cid"), 3, at(10));
        assert_eq!(absence.poll_timeout(), Some(at(10)));
        assert!(absence.end(&id("bob")) && !absence.end(&id("bob")));
        // Lost once more: the time begins anew.
        absence.begin(&id("ann"), 1, at(40));
        assert_eq!(absence.take_overdue(at(9)), None);
        assert_eq!(absence.take_overdue(at(30)), Some(id("cid")));
        assert_eq!(absence.take_overdue(at(30)), None);
        assert!(absence.is_away(&id("ann")) && !absence.is_away(&id("cid")));
        assert_eq!(absence.take_overdue(at(40)), Some(id("ann")));
        assert_eq!(absence.poll_timeout(), None);
    }
}
