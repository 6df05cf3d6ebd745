//! One open room on a shard: the pure room, its plane, and the names that tie them together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use roundtable_media::Plane;
use roundtable_media::{PeerKey, SlotKey, TrackKey};
use roundtable_protocol::message::SlotChange;
use roundtable_protocol::{MemberId, RoomId, ServerMessage, TrackId};

use super::inbox::{Outbox, OutboxError, ToMember};
use crate::journal::Journal;
use crate::room::{Now, Room};

/// A member as the shard knows it.
#[derive(Debug)]
pub struct Presence {
    /// Where its session listens.
    pub outbox: Outbox,
    /// Its peer connection, from its first offer on.
    pub endpoint: Option<usize>,
    /// Its peer in the plane, from then on.
    pub plane: Option<PeerKey>,
    /// Its published tracks by m-line.
    pub tracks: Vec<(String, TrackId)>,
    /// Its slots by m-line.
    pub slots: HashMap<String, SlotKey>,
}

/// An open room.
#[derive(Debug)]
pub struct OpenRoom {
    /// Its name.
    pub id: RoomId,
    /// Who is here and who hears whom.
    pub room: Room,
    /// Packets.
    pub plane: Plane,
    /// Where its events go.
    pub journal: Arc<Journal>,
    /// Everybody.
    pub members: HashMap<MemberId, Presence>,
    /// Which endpoint a peer of the plane is.
    pub peers: Vec<Option<usize>>,
    /// Tracks by name.
    pub tracks: HashMap<TrackId, TrackKey>,
    /// Names of tracks.
    pub names: HashMap<TrackKey, TrackId>,
    /// The rids of each track; none without simulcast.
    pub rids: HashMap<TrackKey, Vec<String>>,
    /// Whose slot, and which m-line of theirs.
    pub slots: HashMap<SlotKey, (MemberId, String)>,
    /// Whose outbox was full: they are taken out at the next opportunity.
    pub slow: Vec<MemberId>,
    /// Changes of slots that their owners have not been told yet, in order.
    pub slot_changes: Vec<(MemberId, SlotChange)>,
    /// Whether it stands in the list of rooms to look after.
    pub touched: bool,
    /// Voice slots of each member, and talkers heard while there are many microphones.
    pub voice_slots: u16,
    /// The earliest deadline that stands in the wheel for it.
    pub scheduled: Option<Instant>,
}

impl OpenRoom {
    /// A room without members. `seed` starts its ids and its plane's numbers.
    #[must_use]
    pub fn new(now: Now, id: RoomId, journal: Arc<Journal>, seed: u64, voice_slots: u16) -> Self {
        Self {
            id,
            room: Room::new(seed),
            plane: Plane::new(now.instant, now.unix_ms.saturating_mul(1000), seed),
            journal,
            members: HashMap::new(),
            peers: Vec::new(),
            tracks: HashMap::new(),
            names: HashMap::new(),
            rids: HashMap::new(),
            slots: HashMap::new(),
            slow: Vec::new(),
            slot_changes: Vec::new(),
            touched: false,
            voice_slots,
            scheduled: None,
        }
    }

    /// Ties a peer of the plane to an endpoint, or unties it.
    pub fn set_peer(&mut self, peer: PeerKey, endpoint: Option<usize>) {
        if self.peers.len() <= peer.index() {
            self.peers.resize(peer.index() + 1, None);
        }
        // In bounds: just grown.
        self.peers[peer.index()] = endpoint;
    }

    /// Gives a member a message. A full outbox marks the member as slow; nobody waits for it.
    pub fn tell(&mut self, member: &MemberId, message: ToMember) {
        let Some(presence) = self.members.get_mut(member) else { return };
        match presence.outbox.try_send(message) {
            Ok(()) => {}
            Err(OutboxError::Full) => self.slow.push(member.clone()),
            // Its session is gone, and the leave is on its way.
            Err(OutboxError::Closed) => {}
        }
    }

    /// Tells everybody what changed on their slots: one message each, whatever came together.
    pub fn tell_slots(&mut self) {
        let mut changes = std::mem::take(&mut self.slot_changes);
        // Those of one member stay in their order.
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let changes = of_one.iter().map(|(_, change)| change.clone()).collect();
            if let Some((member, _)) = of_one.first() {
                self.say(member, ServerMessage::Slots { changes });
            }
        }
        changes.clear();
        self.slot_changes = changes;
    }

    /// Gives a member a message of the protocol.
    pub fn say(&mut self, member: &MemberId, message: ServerMessage) {
        self.tell(member, ToMember::Message(message));
    }
}
