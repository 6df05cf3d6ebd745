//! What members say to a shard, and what their rooms answer: requests in, effects out.

use std::collections::HashMap;
use std::time::Instant;

use roundtable_media::{PlaneEvent, SlotConfig, TrackCodec, TrackConfig, TrackKey};
use roundtable_protocol::event::{MediaKind, TrackInfo};
use roundtable_protocol::message::{PublishRequest, PublishedTrack, SlotChange, SlotOwner};
use roundtable_protocol::{CHAT_CHANNEL_LABEL, ClientMessage, ErrorCode, Grants, MemberId, ServerMessage, TrackId};
use roundtable_transport::path::IceCredentials;
use roundtable_transport::peer::{MessageKind, Peer, PeerConfig, RemoteParameters};
use roundtable_transport::sdp::{Answer, AnswerSession, Offer, OfferCodec};
use roundtable_wire::{Codec, Kind};

use super::arena::Queue;
use super::core::{Core, clocks, random, random_u64};
use super::endpoint::Endpoint;
use super::inbox::{Joined, Outbox, Request, ToMember};
use super::negotiate::{Negotiation, NewSlot, NewTrack, Plan};
use super::quality;
use super::rooms::{OpenRoom, Presence};
use crate::room::{Effect, FIRST_SEATS, Now};

/// Text of earlier chat in one message to a joiner.
const HISTORY_PIECE_BYTES: usize = 48 * 1024;

/// What is refused: the stable word and a sentence.
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    fn new(code: ErrorCode, why: impl std::fmt::Display) -> Self {
        Self { code, message: why.to_string() }
    }

    fn into_message(self, id: Option<u32>) -> ServerMessage {
        ServerMessage::Error { id, code: self.code, message: self.message, fatal: false }
    }
}

impl Core {
    /// Lets somebody into an open room.
    pub(super) fn admit(
        &mut self,
        now: Now,
        key: usize,
        name: String,
        grants: Grants,
        max_seats: u16,
        outbox: Outbox,
    ) -> (usize, Joined) {
        // INVARIANT: the caller has just found or inserted the room.
        let open = &mut self.rooms[key];
        let history = open.room.chat_history(HISTORY_PIECE_BYTES);
        let member = open.room.join(now, name, grants, max_seats);
        let presence = Presence { outbox, endpoint: None, plane: None, tracks: Vec::new(), slots: HashMap::new() };
        open.members.insert(member.id.clone(), presence);
        let pieces = history.len();
        for (i, messages) in history.into_iter().enumerate() {
            open.say(&member.id, ServerMessage::ChatHistory { messages, complete: i + 1 == pieces });
        }
        if pieces == 0 {
            open.say(&member.id, ServerMessage::ChatHistory { messages: Vec::new(), complete: true });
        }
        let voice_slots = if grants.subscribe { open.voice_slots } else { 0 };
        // The joined event must stand in the journal before the session reads the room's state from it.
        let journal = open.journal.clone();
        self.apply_effects(now.instant, key);
        (key, Joined { member, seats: FIRST_SEATS.min(max_seats), voice_slots, journal })
    }

    /// Obeys one request of a member; what is refused is told with its code.
    pub(super) fn handle_request(&mut self, now: Instant, key: usize, member: &MemberId, request: Request) {
        let clocks = clocks(now);
        let Some(open) = self.rooms.get_mut(key).filter(|open| open.members.contains_key(member)) else { return };
        let room = &mut open.room;
        let (id, outcome) = match request {
            Request::Offer { id, offer, tracks } => (Some(id), self.offer(clocks, key, member, id, &offer, &tracks)),
            Request::Unpublish(tracks) => (None, self.unpublish(clocks, key, member, &tracks)),
            Request::Mute { track, muted } => {
                (None, room.mute(clocks, member, &track, muted).map_err(|e| Refusal::new(ErrorCode::TrackUnknown, e)))
            }
            Request::Subscribe(changes) => {
                room.subscribe(member, changes);
                (None, Ok(()))
            }
            Request::View(changes) => {
                room.view(member, changes);
                (None, Ok(()))
            }
            Request::Stats(id) => {
                let stats = self.member_stats(clocks, key, member).map(Box::new);
                if let (Some(stats), Some(open)) = (stats, self.rooms.get_mut(key)) {
                    open.say(member, ServerMessage::Stats { id, stats });
                }
                (Some(id), Ok(()))
            }
            Request::Chat { nonce, text } => {
                (Some(nonce), room.chat(clocks, member, nonce, text).map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::Leave(reason) => return self.remove_member(now, key, member, reason),
        };
        if let (Err(refusal), Some(open)) = (outcome, self.rooms.get_mut(key)) {
            open.say(member, refusal.into_message(id));
        }
    }

    /// Answers an offer, or refuses it and changes nothing.
    fn offer(
        &mut self,
        now: Now,
        key: usize,
        member: &MemberId,
        id: u32,
        offer: &Offer,
        requests: &[PublishRequest],
    ) -> Result<(), Refusal> {
        let known = self.rooms.get(key).and_then(|open| open.members.get(member)?.endpoint);
        let first = known.is_none().then(|| {
            // Far from wrapping, and never 0.
            let first_ssrc = (random_u64() as u32 & 0x7fff_ffff) | 0x1000;
            Negotiation::new(random_u64(), first_ssrc, member.to_string())
        });
        let negotiation = first.as_ref().or_else(|| Some(&self.endpoints.get(known?)?.negotiation));
        let gone = || Refusal::new(ErrorCode::Internal, "the member is gone");
        let plan = negotiation.ok_or_else(gone)?.plan(offer, requests).map_err(|e| Refusal::new(e.code(), e))?;
        let open = self.rooms.get(key).ok_or_else(gone)?;
        open.room.check_publish(member, plan.publish.len()).map_err(|e| Refusal::new(e.code(), e))?;
        let endpoint = match (first, known) {
            (Some(negotiation), _) => self.connect(now.instant, key, member, offer, negotiation),
            (None, Some(endpoint)) => {
                self.set_remote(now.instant, endpoint, offer)?;
                endpoint
            }
            (None, None) => return Err(gone()),
        };
        self.answer(now, key, member, endpoint, id, offer, plan);
        Ok(())
    }

    /// Makes the peer connection of a member.
    fn connect(
        &mut self,
        now: Instant,
        room: usize,
        member: &MemberId,
        offer: &Offer,
        negotiation: Negotiation,
    ) -> usize {
        let local = credentials(self.shard);
        let ufrag = local.ufrag.clone();
        let config = PeerConfig { identity: self.identity.clone(), local, remote: remote_of(offer) };
        let transport = Peer::new(now, config);
        // INVARIANT: the caller has just looked the room up.
        let open = &mut self.rooms[room];
        let plane = open.plane.add_peer(now);
        open.plane.set_limits(now, plane, quality::peer_limits(&open.room.limits(member)));
        let key = self.endpoints.insert(Endpoint {
            transport,
            queue: Queue::default(),
            path: None,
            dirty: false,
            ready: false,
            plane,
            room,
            member: member.clone(),
            chat: None,
            negotiation,
            paths: Vec::new(),
            ufrags: vec![ufrag.clone()],
            scheduled: None,
        });
        open.set_peer(plane, Some(key));
        if let Some(presence) = open.members.get_mut(member) {
            presence.endpoint = Some(key);
            presence.plane = Some(plane);
        }
        self.demux.add_ufrag(ufrag, key);
        self.stale.push(key);
        key
    }

    /// Follows a later offer: the same transport, or an ICE restart.
    fn set_remote(&mut self, now: Instant, key: usize, offer: &Offer) -> Result<(), Refusal> {
        // INVARIANT: the caller took the key from the member's presence.
        let endpoint = &mut self.endpoints[key];
        let restart = endpoint
            .transport
            .set_remote(now, &remote_of(offer), credentials(self.shard))
            .map_err(|e| Refusal::new(ErrorCode::SdpChanged, e))?;
        if restart == roundtable_transport::peer::Restart::Restarted {
            let ufrag = endpoint.transport.local_credentials().ufrag.clone();
            // Of several restarts in a row only the last can still be answered.
            if endpoint.ufrags.len() > 1 {
                let abandoned = endpoint.ufrags.remove(1);
                self.demux.remove_ufrag(&abandoned, key);
            }
            endpoint.ufrags.push(ufrag.clone());
            self.demux.add_ufrag(ufrag, key);
        }
        self.stale.push(key);
        Ok(())
    }

    /// Does what the plan says and answers.
    #[allow(clippy::too_many_arguments)] // One call site; the parts have nothing else in common.
    fn answer(
        &mut self,
        now: Now,
        key: usize,
        member: &MemberId,
        endpoint_key: usize,
        id: u32,
        offer: &Offer,
        plan: Plan,
    ) {
        // INVARIANT: the caller has just made or looked up both.
        let endpoint = &mut self.endpoints[endpoint_key];
        let open = &mut self.rooms[key];
        let (session_id, version) = endpoint.negotiation.commit(&plan);
        let session = AnswerSession {
            ice: endpoint.transport.local_credentials(),
            fingerprint: &self.identity.fingerprint(),
            candidates: &self.candidates,
            session_id,
            version,
        };
        let sdp = Answer::new(offer, session, &plan.answer);
        for mid in &plan.unpublish {
            open.end_track(now, member, mid);
        }
        let begun: Vec<TrackInfo> = plan
            .publish
            .into_iter()
            .map(|track| open.begin_track(now.instant, member, endpoint.plane, track))
            .collect();
        for slot in plan.slots {
            let is_alone = |(audio, video): &(Option<String>, Option<String>)| {
                video.is_none() && audio.as_ref() == Some(&slot.mid)
            };
            let is_voice = plan.seats.iter().any(is_alone);
            open.begin_slot(now.instant, member, endpoint.plane, slot, is_voice);
        }
        let tracks = open.members.get(member).map_or_else(Vec::new, |presence| {
            let own = presence.tracks.iter();
            own.map(|(mid, track)| PublishedTrack { mid: mid.clone(), track: track.clone() }).collect()
        });
        // The answer first: what follows speaks of its lines and tracks.
        open.tell(member, ToMember::Answer { id, sdp, tracks });
        begun.into_iter().for_each(|track| open.room.publish(now, track));
        open.room.add_seats(member, plan.seats);
        self.count_offer();
    }

    fn unpublish(&mut self, now: Now, key: usize, member: &MemberId, tracks: &[TrackId]) -> Result<(), Refusal> {
        let Some(open) = self.rooms.get_mut(key) else { return Ok(()) };
        for track in tracks {
            open.room.unpublish(now, member, track).map_err(|e| Refusal::new(ErrorCode::TrackUnknown, e))?;
            let Some(presence) = open.members.get_mut(member) else { continue };
            let Some(at) = presence.tracks.iter().position(|(_, t)| t == track) else { continue };
            let (mid, _) = presence.tracks.remove(at);
            if let Some(endpoint) = presence.endpoint.and_then(|e| self.endpoints.get_mut(e)) {
                endpoint.negotiation.unpublished(&mid);
            }
        }
        Ok(())
    }

    pub(super) fn channel_opened(&mut self, _now: Instant, key: usize, id: u16, label: &str) {
        if let Some(endpoint) = self.endpoints.get_mut(key)
            && label == CHAT_CHANNEL_LABEL
            && endpoint.chat.is_none()
        {
            endpoint.chat = Some(id);
        }
    }

    /// A message on the chat channel: the same JSON as on the WebSocket, but chat only.
    pub(super) fn chat_message(&mut self, now: Instant, key: usize, channel: u16, data: &[u8]) {
        let Some((room, member)) = self.endpoints.get(key).map(|e| (e.room, e.member.clone())) else { return };
        let Some(open) = self.rooms.get_mut(room) else { return };
        let (id, outcome) = match serde_json::from_slice::<ClientMessage>(data) {
            Ok(ClientMessage::Chat { nonce, text }) => {
                let outcome = open.room.chat(clocks(now), &member, nonce, text);
                (Some(nonce), outcome.map_err(|e| Refusal::new(e.code(), e)))
            }
            Ok(_) => (None, Err(Refusal::new(ErrorCode::OutOfOrder, "the chat channel carries chat only"))),
            Err(error) => (None, Err(Refusal::new(ErrorCode::BadMessage, error))),
        };
        if let Err(refusal) = outcome
            && let Ok(json) = serde_json::to_vec(&refusal.into_message(id))
            && let Some(endpoint) = self.endpoints.get_mut(key)
        {
            // A writer whose channel is full of answers it does not read does not get this one either.
            let _ = endpoint.transport.send_message(now, channel, MessageKind::Text, &json);
        }
        self.stale.push(key);
        self.look_after(now, room);
    }

    /// Carries out what the room wants and passes on what its plane reports.
    pub(super) fn apply_effects(&mut self, now: Instant, key: usize) {
        while let Some(open) = self.rooms.get_mut(key) {
            if let Some(effect) = open.room.poll_effect() {
                match effect {
                    Effect::Deliver { to, message, nonce } => {
                        self.deliver(now, key, &to, &ServerMessage::Chat { message, nonce });
                    }
                    Effect::Limit { member } => self.limit(now, key, &member),
                    effect => open.apply(now, effect),
                }
            } else if let Some(event) = open.plane.poll_event() {
                open.handle_plane_event(clocks(now), event);
            } else {
                return open.tell_slots();
            }
        }
    }

    /// Gives a member a chat message over its channel, or through its session where that is missing or full.
    fn deliver(&mut self, now: Instant, key: usize, to: &MemberId, message: &ServerMessage) {
        let Some(open) = self.rooms.get_mut(key) else { return };
        let endpoint_key = open.members.get(to).and_then(|p| p.endpoint);
        if let Some(endpoint_key) = endpoint_key
            && let Some(endpoint) = self.endpoints.get_mut(endpoint_key)
            && let Some(channel) = endpoint.chat
            && let Ok(json) = serde_json::to_vec(message)
            && endpoint.transport.send_message(now, channel, MessageKind::Text, &json).is_ok()
        {
            return self.stale.push(endpoint_key);
        }
        open.say(to, message.clone());
    }
}

impl OpenRoom {
    fn begin_track(
        &mut self,
        now: Instant,
        member: &MemberId,
        peer: roundtable_media::PeerKey,
        track: NewTrack,
    ) -> TrackInfo {
        let NewTrack { mid, source, muted, line, ssrcs, fid } = track;
        let id = self.room.reserve_track();
        // RED is a wrapping: what is in it counts.
        let codec = line.codecs.iter().find(|c| c.codec != Codec::Red).map_or("", |c| c.codec.name()).to_owned();
        let layers = u8::try_from(line.rids.len().max(1)).unwrap_or(u8::MAX);
        let rids = line.rids.clone();
        let key = self.plane.add_track(
            now,
            peer,
            TrackConfig {
                kind: kind(source.kind()),
                mid: mid.clone(),
                codecs: line.codecs.iter().map(track_codec).collect(),
                extensions: line.extensions,
                rids: line.rids,
                ssrcs,
                fid,
            },
        );
        self.tracks.insert(id.clone(), key);
        self.names.insert(key, id.clone());
        self.rids.insert(key, rids);
        if let Some(presence) = self.members.get_mut(member) {
            presence.tracks.push((mid, id.clone()));
        }
        TrackInfo { id, member: member.clone(), source, muted, codec, layers }
    }

    fn end_track(&mut self, now: Now, member: &MemberId, mid: &str) {
        let Some(presence) = self.members.get_mut(member) else { return };
        let Some(at) = presence.tracks.iter().position(|(m, _)| m == mid) else { return };
        let (_, track) = presence.tracks.remove(at);
        // It cannot be unknown: the presence lists what the room has.
        let _ = self.room.unpublish(now, member, &track);
    }

    fn begin_slot(
        &mut self,
        now: Instant,
        member: &MemberId,
        peer: roundtable_media::PeerKey,
        slot: NewSlot,
        is_voice: bool,
    ) {
        let NewSlot { mid, kind: media, line } = slot;
        let key = self.plane.add_slot(
            now,
            peer,
            SlotConfig {
                kind: kind(media),
                mid: mid.clone(),
                ssrc: line.ssrc,
                rtx_ssrc: line.rtx_ssrc,
                cname: line.cname,
                codecs: line.codecs.iter().map(track_codec).collect(),
                extensions: line.extensions,
            },
        );
        if is_voice && self.room.may_subscribe(member) {
            self.plane.set_voice_slot(now, key);
        }
        self.slots.insert(key, (member.clone(), mid.clone()));
        if let Some(presence) = self.members.get_mut(member) {
            presence.slots.insert(mid, key);
        }
    }

    fn apply(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Event(event) => {
                self.journal.append(event);
            }
            Effect::Grow { member, seats } => self.say(&member, ServerMessage::GrowSeats { seats }),
            Effect::Pause { track, paused } => {
                if let Some(&key) = self.tracks.get(&track) {
                    self.plane.set_track_paused(now, key, paused);
                }
            }
            Effect::Drop { track } => {
                if let Some(key) = self.tracks.remove(&track) {
                    self.names.remove(&key);
                    self.rids.remove(&key);
                    self.plane.remove_track(now, key);
                }
            }
            Effect::Assign { member, assignment } => {
                let slot = self.members.get(&member).and_then(|p| p.slots.get(&assignment.mid)).copied();
                let Some(slot) = slot else { return };
                if let Some(track) = &assignment.track {
                    self.look(now, &member, slot, track);
                }
                let track = assignment.track.as_ref().and_then(|t| self.tracks.get(t)).copied();
                let assigned = self.plane.assign(now, slot, track, assignment.generation);
                if track.is_none() {
                    let change = SlotChange { mid: assignment.mid, generation: assignment.generation, track: None };
                    self.slot_changes.push((member, change));
                } else if assigned.is_err() {
                    self.say_cannot_decode(&member, assignment.track.as_ref());
                }
            }
            Effect::Look { member, mid, track } => {
                if let Some(slot) = self.members.get(&member).and_then(|p| p.slots.get(&mid)).copied() {
                    self.look(now, &member, slot, &track);
                }
            }
            // The core's, which knows the endpoints.
            Effect::Limit { .. } => {}
            Effect::Rank { track, class, spoke } => {
                if let Some(&key) = self.tracks.get(&track) {
                    self.plane.set_track_class(now, key, class, spoke);
                }
            }
            Effect::Audible { member, track, audible } => {
                let peer = self.members.get(&member).and_then(|p| p.plane);
                if let (Some(peer), Some(&key)) = (peer, self.tracks.get(&track)) {
                    self.plane.set_audible(now, peer, key, audible);
                }
            }
            Effect::Deliver { to, message, nonce } => self.say(&to, ServerMessage::Chat { message, nonce }),
        }
    }

    fn handle_plane_event(&mut self, now: Now, event: PlaneEvent) {
        match event {
            PlaneEvent::SlotLive { slot, generation, rtp_timestamp } => {
                let Some((member, mid)) = self.slots.get(&slot).cloned() else { return };
                let Some((current, Some(track))) = self.room.slot(&member, &mid) else { return };
                let Some(info) = self.room.track(track).filter(|_| current == generation) else { return };
                let owner = SlotOwner { id: info.id.clone(), member: info.member.clone(), rtp_timestamp, csrc: None };
                let change = SlotChange { mid, generation, track: Some(owner) };
                self.slot_changes.push((member, change));
            }
            PlaneEvent::Speaking { track, speaking } => {
                if let Some(id) = self.names.get(&track).cloned() {
                    self.room.handle_speaking(now, &id, speaking);
                }
            }
            PlaneEvent::Dominant { track } => {
                let id = track.and_then(|track| self.names.get(&track)).cloned();
                self.room.handle_dominant(now, id.as_ref());
            }
            PlaneEvent::Voice { slot, track, generation, rtp_timestamp } => {
                let Some((member, mid)) = self.slots.get(&slot).cloned() else { return };
                let id = track.and_then(|track| self.names.get(&track));
                // A track that has gone meanwhile is followed by the word that the slot is idle.
                let owner = id.and_then(|id| self.room.track(id)).map(|info| SlotOwner {
                    id: info.id.clone(),
                    member: info.member.clone(),
                    rtp_timestamp,
                    csrc: track.map(TrackKey::csrc),
                });
                self.slot_changes.push((member, SlotChange { mid, generation, track: owner }));
            }
            PlaneEvent::CannotDecode { slot, track } => {
                let Some((member, _)) = self.slots.get(&slot).cloned() else { return };
                let id = self.names.get(&track).cloned();
                self.say_cannot_decode(&member, id.as_ref());
            }
            PlaneEvent::LayersWanted { track, layers } => self.tell_layers(track, layers),
            PlaneEvent::OverLimit { track } => self.mute_over_limit(now, track),
            PlaneEvent::Codec { .. } => {}
        }
    }

    fn say_cannot_decode(&mut self, member: &MemberId, track: Option<&TrackId>) {
        let track = track.map_or("", TrackId::as_str);
        let refusal = Refusal::new(
            ErrorCode::CannotDecode,
            format!("track {track} comes in a codec that this client did not offer to receive"),
        );
        self.say(member, refusal.into_message(None));
    }
}

fn kind(kind: MediaKind) -> Kind {
    match kind {
        MediaKind::Audio => Kind::Audio,
        MediaKind::Video => Kind::Video,
    }
}

fn track_codec(codec: &OfferCodec) -> TrackCodec {
    TrackCodec {
        payload_type: codec.payload_type,
        codec: codec.codec,
        rtx_payload_type: codec.rtx_payload_type,
        nack: codec.nack,
        pli: codec.pli,
        transport_cc: codec.transport_cc,
    }
}

fn remote_of(offer: &Offer) -> RemoteParameters {
    RemoteParameters { ice: offer.ice.clone(), fingerprint: offer.fingerprint }
}

/// Fresh ICE credentials: 48 random bits behind the home shard's number in the ufrag, 144 in the password
/// (RFC 8445 §5.3 asks for 24 and 128).
fn credentials(shard: u8) -> IceCredentials {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect::<String>();
    IceCredentials { ufrag: format!("{shard:02x}{}", text(&random::<8>())), pwd: text(&random::<24>()) }
}
