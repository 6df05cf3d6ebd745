//! Where a room lives: who is in it, where each member is connected, and what they are told.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use roundtable_media::TrackConfig;
use roundtable_protocol::chat::ChatEntry;
use roundtable_protocol::event::{ChatMessage, TrackInfo};
use roundtable_protocol::message::{EncodingWish, SlotChange, SlotOwner};
use roundtable_protocol::{ErrorCode, MemberId, ServerMessage, TrackId};

use super::data_line::MemberData;
use super::deed::{Audience, Origin};
use super::inbox::{Outbox, OutboxError, ToMember};
use super::letter::{ChatCopies, Publication, StageCommand};
use super::proof::Proof;
use super::whispers::Whispers;
use crate::journal::Journal;
use crate::room::document::Docs;
use crate::room::slot::Assignment;
use crate::room::{Now, Room};

/// What a home may have to say to a stage on its way, which takes as long as a turn of three shards; what is more is lost.
const MAX_HELD: usize = 16_384;

/// A member as its room knows it.
#[derive(Debug)]
pub struct Presence {
    /// Where its session listens; none while it is away.
    pub outbox: Option<Outbox>,
    /// Which of its sessions that is.
    pub session: u64,
    /// What it is known by when it comes back.
    pub proof: Proof,
    /// What it was told last of each receiving m-line.
    pub shown: Vec<SlotChange>,
    /// Where it comes from.
    pub origin: Origin,
    /// The shard with its peer connection, from its first offer on.
    pub shard: Option<u8>,
    /// Counts its peer connections, so that what comes late of one before is not taken for the present one's.
    pub connection: u32,
    /// What it does with data, once it does anything.
    pub data: Option<Box<MemberData>>,
    /// Whether it was told that its session reads too slowly for data.
    pub data_slow: bool,
    /// Private messages that it may lack.
    pub whispers: Whispers,
}

impl Presence {
    /// A member that has not come back yet.
    #[must_use]
    pub fn away(proof: Proof) -> Self {
        Self {
            outbox: None,
            session: 0,
            proof,
            shown: Vec::new(),
            origin: Origin::default(),
            shard: None,
            connection: 0,
            data: None,
            data_slow: false,
            whispers: Whispers::default(),
        }
    }

    /// Its peer connection is another one from now on, on `shard`. Returns its number.
    pub fn connect(&mut self, shard: u8) -> u32 {
        self.shard = Some(shard);
        self.connection = self.connection.wrapping_add(1);
        self.connection
    }

    /// Whether a stage on `shard` speaks of its present peer connection.
    #[must_use]
    pub fn is_connected(&self, shard: u8, connection: u32) -> bool {
        self.shard == Some(shard) && self.connection == connection
    }

    /// Of each line only the last change counts.
    fn note_shown<'a>(&mut self, changes: impl Iterator<Item = &'a SlotChange>) {
        for change in changes {
            self.shown.retain(|known| known.mid != change.mid);
            self.shown.push(change.clone());
        }
        self.shown.shrink_to_fit(); // It seldom becomes more.
    }
}

/// The home of a room.
#[derive(Debug)]
pub struct Home {
    /// Who is here and who hears whom.
    pub room: Room,
    /// Where its events go.
    pub journal: Arc<Journal>,
    /// The key that it is one of.
    pub opened_by: Option<String>,
    /// Everybody.
    pub members: HashMap<MemberId, Presence>,
    /// What every stage shows, be it by relay.
    pub published: HashMap<TrackId, Publication>,
    /// Other shards with a stage of the room.
    pub branches: Vec<u8>,
    /// Whether the stage on the home's own shard shows anything: not while all of the media is on another one.
    pub is_on_stage: bool,
    /// The shard of the main stage: it says who speaks, as every stage hears all microphones, and further members are
    /// connected there as long as it is not busy.
    pub main: u8,
    /// The shard whose stage is on its way to another one, …
    pub leaving: Option<u8>,
    /// … and what it is told when it has arrived, at most [`MAX_HELD`].
    pub held_commands: Vec<StageCommand>,
    /// For how long the place of a member is kept whose socket is lost; zero for not at all.
    pub resume_within: Duration,
    /// What publishers were told last of their tracks.
    pub wishes: HashMap<TrackId, Vec<EncodingWish>>,
    /// Up to which event chat was delivered, …
    pub delivered: u64,
    /// … and what waits until it is kept: at most what the store's queue holds.
    pub held: VecDeque<ChatMessage>,
    /// Documents that are written by way of data.
    pub docs: Docs,
    /// By what those were known who are gone, until that is put down.
    pub forgotten: Vec<Proof>,
    /// Whose outbox was full: they lose their session at the next opportunity.
    pub slow: Vec<MemberId>,
    /// Changes of slots that their owners have not been told yet, in order.
    pub slot_changes: Vec<(MemberId, SlotChange)>,
    /// Voice slots of each member, and talkers heard while there are many microphones.
    pub voice_slots: u16,
}

impl Home {
    /// A room without members that lives on shard `own`. `seed` starts its ids.
    #[must_use]
    pub fn new(journal: Arc<Journal>, own: u8, seed: u64, voice_slots: u16, resume_within: Duration) -> Self {
        let mut room = Room::new(seed);
        room.set_epoch(journal.epoch());
        Self {
            room,
            journal,
            opened_by: None,
            members: HashMap::new(),
            published: HashMap::new(),
            branches: Vec::new(),
            is_on_stage: true,
            main: own,
            leaving: None,
            held_commands: Vec::new(),
            resume_within,
            wishes: HashMap::new(),
            delivered: 0,
            held: VecDeque::new(),
            docs: Docs::default(),
            forgotten: Vec::new(),
            slow: Vec::new(),
            slot_changes: Vec::new(),
            voice_slots,
        }
    }

    /// Gives a member a message. A full outbox marks the member as slow; nobody waits for it.
    pub fn tell(&mut self, member: &MemberId, message: ToMember) {
        let Some(outbox) = self.members.get(member).and_then(|presence| presence.outbox.as_ref()) else { return };
        match outbox.try_send(message) {
            Ok(()) => {}
            Err(OutboxError::Full | OutboxError::Closed) => self.slow.push(member.clone()),
        }
    }

    /// Gives a member a message of the protocol.
    pub fn say(&mut self, member: &MemberId, message: ServerMessage) {
        self.tell(member, ToMember::Message(message));
    }

    /// Gives a member the chat of before, in pieces.
    pub fn say_history(&mut self, member: &MemberId, history: Vec<Vec<ChatEntry>>) {
        let pieces = history.len();
        for (i, messages) in history.into_iter().enumerate() {
            self.say(member, ServerMessage::ChatHistory { messages, complete: i + 1 == pieces });
        }
        if pieces == 0 {
            self.say(member, ServerMessage::ChatHistory { messages: Vec::new(), complete: true });
        }
    }

    /// Tells everybody something, or some.
    pub fn announce(&mut self, audience: &Audience, message: &ServerMessage) {
        let members: Vec<MemberId> = match audience {
            Audience::All => self.members.keys().cloned().collect(),
            Audience::Moderators => self.room.moderators().cloned().collect(),
            Audience::One(member) => vec![member.clone()],
        };
        members.iter().for_each(|member| self.say(member, message.clone()));
    }

    /// Gives those a chat message who have no peer connection.
    pub fn tell_unconnected(&mut self, chat: &ChatCopies) {
        let unconnected = self.members.iter().filter(|(_, presence)| presence.shard.is_none());
        let unconnected: Vec<MemberId> = unconnected.map(|(member, _)| member.clone()).collect();
        unconnected.iter().for_each(|member| self.tell(member, ToMember::Written(chat.of(member).clone())));
    }

    /// Tells everybody what changed on their slots: one message each, whatever came together.
    pub fn tell_slots(&mut self) {
        let mut changes = std::mem::take(&mut self.slot_changes);
        // Those of one member stay in their order.
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        for of_one in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let changes = of_one.iter().map(|(_, change)| change.clone()).collect();
            if let Some((member, _)) = of_one.first() {
                if let Some(presence) = self.members.get_mut(member) {
                    presence.note_shown(of_one.iter().map(|(_, change)| change));
                }
                self.say(member, ServerMessage::Slots { changes });
            }
        }
        changes.clear();
        self.slot_changes = changes;
    }

    /// The shard with the only stage of the room, which is on its way nowhere; `own` is the home's.
    #[must_use]
    pub fn only_stage(&self, own: u8) -> Option<u8> {
        match (self.is_on_stage, &self.branches[..], self.leaving) {
            (true, [], None) => Some(own),
            (false, [branch], None) => Some(*branch),
            _ => None,
        }
    }

    /// Keeps what is for a stage on its way; says whether there was room.
    pub fn hold_command(&mut self, command: StageCommand) -> bool {
        let has_room = self.held_commands.len() < MAX_HELD;
        if has_room {
            self.held_commands.push(command);
        }
        has_room
    }

    /// What was on shard `from` is on `to` from now on; `own` is the home's.
    pub fn handle_relocated(&mut self, own: u8, from: u8, to: u8) {
        for presence in self.members.values_mut().filter(|presence| presence.shard == Some(from)) {
            presence.shard = Some(to);
        }
        for publication in self.published.values_mut().filter(|publication| publication.origin == from) {
            publication.origin = to;
        }
        self.branches.retain(|branch| *branch != from);
        if to != own {
            self.branches.push(to);
        }
        if from == own || to == own {
            self.is_on_stage = to == own;
        }
        if self.main == from {
            self.main = to;
        }
    }

    /// A stage has ended. If it was the main one another one is from now on, and nobody speaks until that says so.
    pub fn handle_stage_closed(&mut self, now: Now, own: u8, shard: u8) {
        if self.main != shard {
            return;
        }
        self.main = if self.is_on_stage { own } else { self.branches.first().copied().unwrap_or(own) };
        let tracks: Vec<TrackId> = self.room.tracks().iter().map(|info| info.id.clone()).collect();
        tracks.iter().for_each(|track| self.room.handle_speaking(now, track, false));
        self.room.handle_dominant(now, None);
    }

    /// Members connected to a shard.
    #[must_use]
    pub fn connected_to(&self, shard: u8) -> usize {
        self.members.values().filter(|presence| presence.shard == Some(shard)).count()
    }

    /// Remembers a track that has begun, so that further stages can be told of it.
    pub fn note_publication(&mut self, info: TrackInfo, config: TrackConfig, origin: u8) -> Publication {
        let publication = Publication { info, config, origin };
        self.published.insert(publication.info.id.clone(), publication.clone());
        publication
    }

    /// A slot carries nothing from now on.
    pub fn tell_idle(&mut self, member: MemberId, idled: Assignment) {
        let change = SlotChange { mid: idled.mid, generation: idled.generation, track: None };
        self.slot_changes.push((member, change));
    }

    /// A slot shows the track that was assigned to it.
    pub fn handle_slot_live(&mut self, member: MemberId, mid: String, generation: u32, rtp_timestamp: u32) {
        let Some((current, Some(track))) = self.room.slot(&member, &mid) else { return };
        let Some(info) = self.room.track(track).filter(|_| current == generation) else { return };
        let owner = SlotOwner { id: info.id.clone(), member: info.member.clone(), rtp_timestamp, csrc: None };
        self.slot_changes.push((member, SlotChange { mid, generation, track: Some(owner) }));
    }

    /// A voice slot carries another talker, with this CSRC, or none.
    pub fn handle_voice(
        &mut self,
        (member, mid): (MemberId, String),
        track: Option<(TrackId, u32)>,
        generation: u32,
        rtp_timestamp: u32,
    ) {
        let owner = track.and_then(|(track, csrc)| {
            let info = self.room.track(&track)?;
            Some(SlotOwner { id: info.id.clone(), member: info.member.clone(), rtp_timestamp, csrc: Some(csrc) })
        });
        self.slot_changes.push((member, SlotChange { mid, generation, track: owner }));
    }

    /// Tells a publisher which encodings of its track are wanted.
    pub fn tell_encodings(&mut self, track: TrackId, encodings: Vec<EncodingWish>) {
        let Some(owner) = self.room.track(&track).map(|info| info.member.clone()) else { return };
        self.wishes.insert(track.clone(), encodings.clone());
        self.say(&owner, ServerMessage::Layers { track, encodings });
    }

    /// Mutes a track whose publisher would not keep to its limit.
    pub fn mute_over_limit(&mut self, now: Now, track: &TrackId) {
        let code = ErrorCode::OverLimit;
        let Some(owner) = self.room.mute_for(now, track, code) else { return };
        tracing::info!(room = %self.journal.room(), member = %owner, %track, "a track sent more than it may and is muted");
        let message = format!("track {track} sent more than you may and is muted");
        self.say(&owner, ServerMessage::Error { id: None, code, message, fatal: false, retry_after_ms: None });
    }

    /// Tells a member that it does without a track.
    pub fn say_cannot_decode(&mut self, member: &MemberId, track: Option<&TrackId>) {
        let track = track.map_or("", TrackId::as_str);
        let message = format!("track {track} comes in a codec that this client did not offer to receive");
        self.say(
            member,
            ServerMessage::Error {
                id: None,
                code: ErrorCode::CannotDecode,
                message,
                fatal: false,
                retry_after_ms: None,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::inbox::ResumeSecret;

    #[test]
    fn what_is_said_of_a_connection_before_is_not_of_the_present_one() {
        let mut presence = Presence::away(Proof::of(ResumeSecret([0; 16])));
        assert!(!presence.is_connected(1, 0), "there is none");
        let first = presence.connect(1);
        assert!(presence.is_connected(1, first) && !presence.is_connected(0, first));
        let second = presence.connect(1);
        assert!(presence.is_connected(1, second) && !presence.is_connected(1, first));
        presence.shard = None;
        assert!(!presence.is_connected(1, second));
    }
}
