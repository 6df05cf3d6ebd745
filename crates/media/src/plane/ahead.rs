//! Looks ahead: what is known of those who are served next is brought into the processor's cache meanwhile.
//!
//! Of a subscriber a packet touches its slot, its peer, its estimator and what these point to, one found through the other.
//! So each is asked for some subscribers before its turn, and what leads to it some before that.

use roundtable_prefetch::prefetch;

use crate::bwe::SendSideEstimator;
use crate::event::Egress;
use crate::key::{Arena, PeerKey, SlotKey};
use crate::outbound::Slot;
use crate::plane::Plane;
use crate::plane::peer::Peer;

/// How many subscribers ahead slots are brought near, …
const SLOTS: usize = 8;
/// … the peers they name, with their ways out, …
const PEERS: usize = 5;
/// … and what peers and slots point to; …
const BEHIND: usize = 3;
/// … last the places in the estimator's log.
const LOGS: usize = 1;

impl Plane {
    /// Has what is known of a peer brought near: something has come of it.
    pub fn expect(&self, peer: PeerKey) {
        self.peers.prefetch_whole(peer);
    }

    /// The same with what it tells of the packets that it was sent; for that the peer is looked at.
    pub fn expect_feedback(&self, peer: PeerKey) {
        if let Some(estimator) = self.estimator_of(peer) {
            prefetch(estimator);
        }
    }

    /// And with what that points to; for that the estimator is looked at.
    pub fn expect_arrivals(&self, peer: PeerKey) {
        if let Some(estimator) = self.estimator_of(peer) {
            estimator.prefetch_learnt();
        }
    }

    fn estimator_of(&self, peer: PeerKey) -> Option<&SendSideEstimator> {
        self.peers.get(peer)?.sending.estimator()
    }
}

/// The subscribers of a track in the order in which they are served: from one of them on, in a circle.
pub(super) struct Circle<'p> {
    first: &'p [SlotKey],
    then: &'p [SlotKey],
}

impl<'p> Circle<'p> {
    /// Of `subscribers`, from the one at `first` on.
    pub(super) fn new(subscribers: &'p [SlotKey], first: usize) -> Self {
        let (then, first) = subscribers.split_at_checked(first).unwrap_or((&[], subscribers));
        Self { first, then }
    }

    /// How many they are.
    pub(super) const fn len(&self) -> usize {
        self.first.len() + self.then.len()
    }

    /// Who is served at this turn; `None` once all were.
    #[inline]
    pub(super) fn get(&self, turn: usize) -> Option<SlotKey> {
        match self.first.get(turn) {
            Some(&slot) => Some(slot),
            // Not below the length of those, so nothing wraps.
            None => self.then.get(turn.wrapping_sub(self.first.len())).copied(),
        }
    }
}

/// Looks ahead from the `turn`-th of the subscribers of a track.
#[inline]
pub(super) fn look_ahead(
    slots: &Arena<SlotKey, Slot>,
    peers: &Arena<PeerKey, Peer>,
    circle: &Circle<'_>,
    turn: usize,
    out: &impl Egress,
) {
    let ahead = |by: usize| circle.get(turn + by);
    if turn == 0 {
        (0..SLOTS).filter_map(ahead).for_each(|slot| slots.prefetch(slot));
    }
    if let Some(slot) = ahead(SLOTS) {
        slots.prefetch(slot);
    }
    if let Some(slot) = ahead(PEERS).and_then(|slot| slots.get(slot)) {
        peers.prefetch(slot.peer);
        out.expect(slot.peer);
    }
    // Of those who only listen the path is not measured.
    let measured = |peer| peers.get(peer).filter(|peer| peer.sending.measures_sound())?.sending.estimator();
    if let Some(slot) = ahead(BEHIND).and_then(|slot| slots.get(slot)) {
        slot.prefetch();
        if let Some(estimator) = measured(slot.peer) {
            estimator.prefetch();
        }
    }
    if let Some(estimator) = ahead(LOGS).and_then(|slot| slots.get(slot)).and_then(|slot| measured(slot.peer)) {
        estimator.prefetch_log();
    }
}
