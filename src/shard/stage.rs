//! The media of a room's members on this shard: their plane, and the names that tie it to the room.

use std::collections::HashMap;
use std::sync::Arc;

use roundtable_media::allocate::Hints;
use roundtable_media::{Moment, PeerKey, Plane, PlaneEvent, SlotConfig, SlotKey, TrackCodec, TrackConfig, TrackKey};
use roundtable_protocol::event::{MediaKind, TrackInfo};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::message::{EncodingWish, PublishedTrack};
use roundtable_protocol::{MemberId, TrackId};
use roundtable_transport::sdp::OfferCodec;
use roundtable_wire::{Codec, Kind};

use super::letter::{Destination, Publication, RelayWish, Report};
use super::negotiate::{NewSlot, NewTrack};
use crate::room::Now;
use crate::room::slot::Assignment;
use crate::room::topic::Topics;

/// A member whose peer connection is on this shard.
#[derive(Debug)]
pub struct OnStage {
    /// The peer connection.
    pub endpoint: usize,
    /// Which one of the member's that is.
    pub connection: u32,
    /// Its peer in the plane.
    pub peer: PeerKey,
    /// Its published tracks by m-line.
    pub tracks: Vec<(String, TrackId)>,
    /// Its slots by m-line.
    pub slots: HashMap<String, SlotKey>,
    /// Those of them that are for whoever speaks without a seat.
    pub voices: Vec<SlotKey>,
    /// What it may receive and publish.
    pub limits: MemberLimits,
    /// The topics of data that it follows.
    pub topics: Arc<Topics>,
}

/// One way to a stage on another shard that shows a track of this one.
#[derive(Debug, Clone, Copy)]
pub struct Outlet {
    /// The shard.
    pub shard: u8,
    /// Where its packets go there.
    pub destination: Destination,
    /// The track here; none when the way is free to be another's.
    track: Option<TrackKey>,
}

/// What a stage wants the rest of the room to know.
#[derive(Debug)]
pub enum Told {
    /// The home.
    Home(Report),
    /// The shard with the publisher of a track.
    Origin(u8, RelayWish),
}

/// The part of a room that is on this shard.
#[derive(Debug)]
pub struct Stage {
    /// Packets.
    pub plane: Plane,
    /// Which endpoint a peer of the plane is.
    pub peers: Vec<Option<usize>>,
    /// Members whose peer connections are here.
    pub members: HashMap<MemberId, OnStage>,
    /// Ways out to other stages, by the number that the plane has for each.
    pub outlets: Vec<Outlet>,
    tracks: HashMap<TrackId, TrackKey>,
    names: HashMap<TrackKey, TrackId>,
    /// The rids of each track; none without simulcast.
    rids: HashMap<TrackKey, Vec<String>>,
    /// Whose slot, and which m-line of theirs.
    slots: HashMap<SlotKey, (MemberId, String)>,
    /// The shard that each relayed track comes from.
    origins: HashMap<TrackKey, u8>,
    /// What stands in the plane for publishers that are on other shards.
    stand_ins: HashMap<MemberId, PeerKey>,
    /// Where it is, for the origins of tracks: the room's key, and its own number.
    place: (usize, u64),
}

impl Stage {
    /// A stage without anybody. `seed` decides where numbers start; `key` is the room's, and `number` tells it from others
    /// that are there before or after it.
    #[must_use]
    pub fn new(now: Now, seed: u64, voice_slots: u16, (key, number): (usize, u64)) -> Self {
        let mut plane = Plane::new(now.instant.into(), now.unix_ms.saturating_mul(1000), seed);
        plane.set_max_talkers(now.instant.into(), usize::from(voice_slots));
        Self {
            plane,
            peers: Vec::new(),
            members: HashMap::new(),
            outlets: Vec::new(),
            tracks: HashMap::new(),
            names: HashMap::new(),
            rids: HashMap::new(),
            slots: HashMap::new(),
            origins: HashMap::new(),
            stand_ins: HashMap::new(),
            place: (key, number),
        }
    }

    /// What tells it from stages that were or will be in its place.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.place.1
    }

    /// Published tracks, without those that are relayed.
    #[must_use]
    pub fn own_tracks(&self) -> usize {
        self.tracks.len() - self.origins.len()
    }

    /// Tracks of other stages that are shown here.
    #[must_use]
    pub fn relayed_tracks(&self) -> usize {
        self.origins.len()
    }

    /// Receiving m-lines.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Ties a peer of the plane to an endpoint, or unties it.
    pub fn set_peer(&mut self, peer: PeerKey, endpoint: Option<usize>) {
        if self.peers.len() <= peer.index() {
            self.peers.resize(peer.index() + 1, None);
        }
        // In bounds: just grown.
        self.peers[peer.index()] = endpoint;
    }

    /// Begins a track of a member.
    pub fn begin_track(
        &mut self,
        now: Moment,
        member: &MemberId,
        id: TrackId,
        track: NewTrack,
    ) -> Option<(TrackInfo, TrackConfig)> {
        let NewTrack { mid, source, muted, line, ssrcs, fid } = track;
        let on_stage = self.members.get_mut(member)?;
        // RED is a wrapping: what is in it counts.
        let codec = line.codecs.iter().find(|c| c.codec != Codec::Red).map_or("", |c| c.codec.name()).to_owned();
        let layers = u8::try_from(line.rids.len().max(1)).unwrap_or(u8::MAX);
        let config = TrackConfig {
            kind: kind(source.kind()),
            mid: mid.clone(),
            codecs: line.codecs.iter().map(track_codec).collect(),
            extensions: line.extensions,
            rids: line.rids,
            ssrcs,
            fid,
        };
        let key = self.plane.add_track(now, on_stage.peer, config.clone());
        on_stage.tracks.push((mid, id.clone()));
        self.name(id.clone(), key, &config);
        Some((TrackInfo { id, member: member.clone(), source, muted, codec, layers }, config))
    }

    fn name(&mut self, id: TrackId, key: TrackKey, config: &TrackConfig) {
        self.tracks.insert(id.clone(), key);
        self.names.insert(key, id);
        self.rids.insert(key, config.rids.clone());
    }

    /// Forgets which track is on an m-line, which the member no longer sends on.
    pub fn end_track(&mut self, member: &MemberId, mid: &str) -> Option<TrackId> {
        let tracks = &mut self.members.get_mut(member)?.tracks;
        let at = tracks.iter().position(|(m, _)| m == mid)?;
        Some(tracks.remove(at).1)
    }

    /// Forgets on which m-line a track of a member is, and returns that.
    pub fn free_line(&mut self, member: &MemberId, track: &TrackId) -> Option<String> {
        let tracks = &mut self.members.get_mut(member)?.tracks;
        let at = tracks.iter().position(|(_, t)| t == track)?;
        Some(tracks.remove(at).0)
    }

    /// Adds a slot of a member; a voice slot is filled only if the member `hears`.
    pub fn begin_slot(&mut self, now: Moment, member: &MemberId, slot: NewSlot, is_voice: bool, hears: bool) {
        let NewSlot { mid, kind: media, line } = slot;
        let Some(on_stage) = self.members.get_mut(member) else { return };
        let key = self.plane.add_slot(
            now,
            on_stage.peer,
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
        if is_voice {
            on_stage.voices.push(key);
        }
        if is_voice && hears {
            self.plane.set_voice_slot(now, key);
        }
        self.slots.insert(key, (member.clone(), mid.clone()));
        on_stage.slots.insert(mid, key);
    }

    /// Takes a member in that comes with slots; those whose m-line stands alone are voice slots.
    pub fn adopt(
        &mut self,
        (member, connection): (MemberId, u32),
        (endpoint, peer): (usize, PeerKey),
        slots: Vec<(String, SlotKey)>,
        voices: &[String],
        (limits, topics): (MemberLimits, Arc<Topics>),
    ) {
        self.set_peer(peer, Some(endpoint));
        for (mid, slot) in &slots {
            self.slots.insert(*slot, (member.clone(), mid.clone()));
        }
        let voices = slots.iter().filter(|(mid, _)| voices.contains(mid)).map(|(_, slot)| *slot).collect();
        let (tracks, slots) = (Vec::new(), slots.into_iter().collect());
        self.members.insert(member, OnStage { endpoint, connection, peer, tracks, slots, voices, limits, topics });
    }

    /// The tracks that a member publishes.
    #[must_use]
    pub fn published(&self, member: &MemberId) -> Vec<PublishedTrack> {
        let own = self.members.get(member).map_or(&[][..], |on_stage| &on_stage.tracks);
        own.iter().map(|(mid, track)| PublishedTrack { mid: mid.clone(), track: track.clone() }).collect()
    }

    /// Forgets a member; its peer in the plane goes with its endpoint.
    pub fn remove(&mut self, member: &MemberId) -> Option<OnStage> {
        let on_stage = self.members.remove(member)?;
        on_stage.slots.values().for_each(|slot| drop(self.slots.remove(slot)));
        Some(on_stage)
    }

    /// Puts a track on a slot of a member, or idles it.
    pub fn assign(&mut self, now: Moment, member: MemberId, assignment: &Assignment, hints: Hints) -> Option<Report> {
        let slot = *self.members.get(&member)?.slots.get(&assignment.mid)?;
        if assignment.track.is_some() {
            self.plane.set_hints(now, slot, hints);
        }
        let track = assignment.track.as_ref().and_then(|track| self.tracks.get(track)).copied();
        let assigned = self.plane.assign(now, slot, track, assignment.generation);
        assigned.is_err().then(|| Report::CannotDecode { member, track: assignment.track.clone() })
    }

    /// Sets how a member looks at what a slot of it carries.
    pub fn look(&mut self, now: Moment, member: &MemberId, mid: &str, hints: Hints) {
        if let Some(&slot) = self.members.get(member).and_then(|on_stage| on_stage.slots.get(mid)) {
            self.plane.set_hints(now, slot, hints);
        }
    }

    /// Sets whether a member hears anybody on its voice slots.
    pub fn hear(&mut self, now: Moment, member: &MemberId, hears: bool) {
        let Some(on_stage) = self.members.get(member) else { return };
        for &slot in &on_stage.voices {
            match hears {
                true => self.plane.set_voice_slot(now, slot),
                false => self.plane.end_voice_slot(now, slot),
            }
        }
    }

    /// Sets whether a member hears a track.
    pub fn set_audible(&mut self, now: Moment, member: &MemberId, track: &TrackId, audible: bool) {
        if let (Some(on_stage), Some(track)) = (self.members.get(member), self.key(track)) {
            self.plane.set_audible(now, on_stage.peer, track, audible);
        }
    }

    /// The key of a track, be it relayed.
    #[must_use]
    pub fn key(&self, track: &TrackId) -> Option<TrackKey> {
        self.tracks.get(track).copied()
    }

    /// The key of a track whose publisher is on this stage.
    fn own(&self, track: &TrackId) -> Option<TrackKey> {
        self.key(track).filter(|key| !self.origins.contains_key(key))
    }

    /// The name of a track.
    #[must_use]
    pub fn name_of(&self, track: TrackKey) -> Option<&TrackId> {
        self.names.get(&track)
    }

    /// Removes a track.
    pub fn drop_track(&mut self, now: Moment, track: &TrackId) {
        let Some(key) = self.tracks.remove(track) else { return };
        self.names.remove(&key);
        self.rids.remove(&key);
        self.plane.remove_track(now, key);
        self.outlets.iter_mut().filter(|outlet| outlet.track == Some(key)).for_each(|outlet| outlet.track = None);
        if self.origins.remove(&key).is_some() {
            self.leave_stand_ins(now);
        }
    }

    /// Removes stand-ins whose tracks are all gone.
    fn leave_stand_ins(&mut self, now: Moment) {
        let Self { stand_ins, plane, .. } = self;
        stand_ins.retain(|_, peer| {
            let is_needed = plane.has_tracks(*peer);
            if !is_needed {
                plane.remove_peer(now, *peer);
            }
            is_needed
        });
    }

    /// Shows a track of another stage. Returns what its origin is to be told: that all of it is wanted, until the plane
    /// finds that less will do.
    pub fn relay(&mut self, now: Moment, publication: Publication) -> Option<Told> {
        let Publication { info, config, origin } = publication;
        if self.tracks.contains_key(&info.id) {
            return None;
        }
        let plane = &mut self.plane;
        let peer = *self.stand_ins.entry(info.member).or_insert_with(|| plane.add_relayed_peer(now));
        let key = self.plane.add_relayed_track(now, peer, config.clone());
        self.name(info.id.clone(), key, &config);
        self.origins.insert(key, origin);
        self.wish_encodings(key, u8::MAX)
    }

    fn wish_encodings(&self, key: TrackKey, layers: u8) -> Option<Told> {
        let (room, stage) = self.place;
        let (&origin, track) = (self.origins.get(&key)?, self.names.get(&key)?.clone());
        let destination = Destination { room, stage, track: key };
        Some(Told::Origin(origin, RelayWish::Encodings { track, destination, layers }))
    }

    /// Hands packets to no other stage any more.
    pub fn end_outlets(&mut self, now: Moment) {
        for (outlet, number) in self.outlets.iter_mut().zip(0..) {
            if let Some(track) = outlet.track.take() {
                self.plane.set_relay(now, track, number, 0);
            }
        }
    }

    /// The same in another place, where its endpoints have other keys: `endpoints` has the new one of each.
    #[must_use]
    pub fn settled(mut self, place: (usize, u64), endpoints: &HashMap<usize, usize>) -> Self {
        self.place = place;
        for peer in &mut self.peers {
            *peer = peer.and_then(|endpoint| endpoints.get(&endpoint).copied());
        }
        self.members.retain(|_, on_stage| {
            let endpoint = endpoints.get(&on_stage.endpoint);
            on_stage.endpoint = endpoint.copied().unwrap_or(on_stage.endpoint);
            endpoint.is_some()
        });
        self
    }

    /// What origins are told when this stage ends.
    pub fn farewells(&self) -> Vec<Told> {
        self.origins.keys().filter_map(|&key| self.wish_encodings(key, 0)).collect()
    }

    /// Follows what a stage on another shard wants of a track of this one.
    pub fn handle_wish(&mut self, now: Moment, shard: u8, wish: RelayWish) {
        match wish {
            RelayWish::Keyframe { track, layer } => {
                if let Some(key) = self.own(&track) {
                    self.plane.handle_relay_wish(now, key, layer);
                }
            }
            RelayWish::Encodings { track, destination, layers } => {
                let Some(key) = self.own(&track) else { return };
                let outlet = self.outlet(key, shard, destination);
                self.plane.set_relay(now, key, outlet as u32, layers);
                if layers == 0
                    && let Some(outlet) = self.outlets.get_mut(outlet)
                {
                    outlet.track = None;
                }
            }
        }
    }

    /// The number of the way to a destination, which may be a new one.
    fn outlet(&mut self, track: TrackKey, shard: u8, destination: Destination) -> usize {
        let new = Outlet { shard, destination, track: Some(track) };
        let is_same = |o: &Outlet| o.track == Some(track) && o.shard == shard && o.destination == destination;
        if let Some(known) = self.outlets.iter().position(is_same) {
            return known;
        }
        match self.outlets.iter().position(|outlet| outlet.track.is_none()) {
            Some(free) => {
                // In bounds: just found.
                self.outlets[free] = new;
                free
            }
            None => {
                self.outlets.push(new);
                self.outlets.len() - 1
            }
        }
    }

    /// Puts into words what the plane tells.
    pub fn handle_plane_event(&self, event: PlaneEvent) -> Option<Told> {
        let report = match event {
            PlaneEvent::SlotLive { slot, generation, rtp_timestamp } => {
                let (member, mid) = self.slots.get(&slot)?.clone();
                Report::SlotLive { member, mid, generation, rtp_timestamp }
            }
            PlaneEvent::Voice { slot, track, generation, rtp_timestamp } => {
                let (member, mid) = self.slots.get(&slot)?.clone();
                // A track that has gone meanwhile is followed by the word that the slot is idle.
                let track = track.and_then(|track| Some((self.names.get(&track)?.clone(), track.csrc())));
                Report::Voice { member, mid, track, generation, rtp_timestamp }
            }
            PlaneEvent::Speaking { track, speaking } => {
                Report::Speaking { track: self.names.get(&track)?.clone(), speaking }
            }
            PlaneEvent::Dominant { track } => {
                Report::Dominant { track: track.and_then(|track| self.names.get(&track)).cloned() }
            }
            PlaneEvent::CannotDecode { slot, track } => {
                let (member, _) = self.slots.get(&slot)?.clone();
                Report::CannotDecode { member, track: self.names.get(&track).cloned() }
            }
            PlaneEvent::LayersWanted { track, layers } if self.origins.contains_key(&track) => {
                return self.wish_encodings(track, layers);
            }
            PlaneEvent::LayersWanted { track, layers } => {
                let encodings = self.encodings(track).into_iter().enumerate();
                let encodings = encodings.map(|(at, rid)| EncodingWish { rid, active: layers >> at.min(7) & 1 == 1 });
                Report::Encodings { track: self.names.get(&track)?.clone(), encodings: encodings.collect() }
            }
            PlaneEvent::KeyframeWanted { track, layer } => {
                let (&origin, track) = (self.origins.get(&track)?, self.names.get(&track)?.clone());
                return Some(Told::Origin(origin, RelayWish::Keyframe { track, layer }));
            }
            PlaneEvent::OverLimit { track } => Report::OverLimit { track: self.names.get(&track)?.clone() },
            PlaneEvent::Codec { .. } => return None,
        };
        Some(Told::Home(report))
    }

    /// The names of a track's encodings: one without a name if there are no rids.
    #[must_use]
    pub fn encodings(&self, track: TrackKey) -> Vec<String> {
        match self.rids.get(&track) {
            Some(rids) if !rids.is_empty() => rids.clone(),
            Some(_) | None => vec![String::new()],
        }
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
