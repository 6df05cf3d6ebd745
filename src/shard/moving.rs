//! Members who are moved to another room keep their peer connection.
//!
//! The stage of the room they leave takes it out of its plane and parks it: ICE and DTLS go on, and nothing is forwarded.
//! The stage of the room they come to, on the same shard, adopts it. Between the two it belongs to nobody, and for no
//! longer than a ticket to the other room is good.

use std::time::Instant;

use roundtable_protocol::{ErrorCode, MemberId, ServerMessage};

use super::alarm::Alarm;
use super::core::Core;
use super::deed::{KeptConnection, MOVE_WITHIN};
use super::endpoint::Endpoint;
use super::letter::{Adoption, Report, StageCommand};
use super::parking::{MAX_PARKED, Parked};
use super::quality;

impl Core {
    /// Takes a member off its stage and keeps its peer connection.
    pub(super) fn park(&mut self, now: Instant, key: usize, member: &MemberId, number: u64) {
        let Some(open) = self.rooms.get_mut(key) else { return };
        let stage = &mut open.stage;
        let Some(on_stage) = stage.remove(member) else { return };
        let is_full = self.parked.len() >= MAX_PARKED || self.parked.contains_key(&number);
        let media = if is_full { None } else { stage.plane.detach_peer(now.into(), on_stage.peer) };
        let (Some(media), Some(endpoint)) = (media, self.endpoints.get_mut(on_stage.endpoint)) else {
            return self.remove_endpoint(now, on_stage.endpoint);
        };
        stage.set_peer(on_stage.peer, None);
        endpoint.room = Endpoint::PARKED;
        endpoint.negotiation.unpublish_all();
        // What is still under way on them is of the room that is left; the client opens others in the next one.
        (endpoint.chat, endpoint.data) = (None, None);
        self.parked.insert(number, Parked { endpoint: on_stage.endpoint, media });
        self.alarms.schedule(now + MOVE_WITHIN, Alarm::Parked(number));
    }

    /// Has a member of a room that lives here go on with a peer connection that was kept; says whether that is tried.
    pub(super) fn bring(&mut self, now: Instant, key: usize, member: &MemberId, kept: KeptConnection) -> bool {
        let KeptConnection { shard, number } = kept;
        let is_shard = usize::from(shard) < self.loads.len();
        // While the only stage is on its way there is to be no other one.
        let Some(home) = self.home(key).filter(|home| is_shard && home.leaving.is_none()) else { return false };
        let topics = home.topics_of(member);
        let (limits, may_subscribe) = (home.room.limits(member), home.room.may_subscribe(member));
        let Some(presence) = home.members.get_mut(member) else { return false };
        let connection = presence.connect(shard);
        self.open_stage_on(now, key, shard);
        let adoption = Adoption { member: member.clone(), connection, number, limits, may_subscribe, topics };
        self.command(now, key, shard, StageCommand::Adopt(Box::new(adoption)));
        true
    }

    /// Puts a peer connection that was kept on the stage of a room, for the member who came with it.
    pub(super) fn adopt(&mut self, now: Instant, key: usize, adoption: Adoption) {
        let Adoption { member, connection, number, limits, may_subscribe, topics } = adoption;
        let parked = self.parked.remove(&number);
        let known = parked.and_then(|parked| Some((self.endpoints.get_mut(parked.endpoint)?, parked)));
        let (Some((endpoint, parked)), Some(open)) = (known, self.rooms.get_mut(key)) else {
            return self.report(now, key, Report::NotAdopted { member, connection });
        };
        let stage = &mut open.stage;
        let (peer, slots) = stage.plane.attach_peer(now.into(), parked.media);
        stage.plane.set_limits(now.into(), peer, quality::peer_limits(&limits));
        (endpoint.room, endpoint.plane) = (key, peer);
        endpoint.member.clone_from(&member);
        let (seats, is_ready) = (endpoint.negotiation.seats(), endpoint.ready);
        let voices: Vec<String> =
            seats.iter().filter(|(_, video)| video.is_none()).filter_map(|(audio, _)| audio.clone()).collect();
        stage.adopt((member.clone(), connection), (parked.endpoint, peer), slots, &voices, (limits, topics));
        stage.hear(now.into(), &member, may_subscribe);
        if is_ready {
            stage.plane.set_peer_ready(now.into(), peer, true);
        }
        self.stale.push(parked.endpoint);
        self.report(now, key, Report::Adopted { member, seats });
    }

    /// A member came with a peer connection that is there no more: it makes another one.
    pub(super) fn handle_not_adopted(
        &mut self,
        now: Instant,
        key: usize,
        (shard, connection): (u8, u32),
        member: &MemberId,
    ) {
        let Some(home) = self.home(key) else { return };
        if home.members.get(member).is_some_and(|known| known.is_connected(shard, connection)) {
            let message = "the media connection of the room before is gone".to_owned();
            home.say(member, ServerMessage::MediaLost { code: ErrorCode::IceConsent, message });
            self.drop_media(now, key, member);
        }
    }

    /// Nobody came for a peer connection.
    pub(super) fn end_parked(&mut self, now: Instant, number: u64) {
        if let Some(parked) = self.parked.remove(&number) {
            self.remove_endpoint(now, parked.endpoint);
        }
    }

    /// A peer connection has ended that is kept.
    pub(super) fn end_parked_endpoint(&mut self, now: Instant, endpoint: usize) {
        self.parked.retain(|_, parked| parked.endpoint != endpoint);
        self.remove_endpoint(now, endpoint);
    }

    /// Ends all that are kept.
    pub(super) fn end_all_parked(&mut self, now: Instant) {
        for (_, parked) in std::mem::take(&mut self.parked) {
            self.remove_endpoint(now, parked.endpoint);
        }
    }
}
