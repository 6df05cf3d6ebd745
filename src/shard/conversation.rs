//! What members say to the home of their room, and what the room answers: requests in, effects out.

use std::time::Instant;

use bytes::Bytes;
use roundtable_protocol::event::{ChatMessage, LeaveReason};
use roundtable_protocol::message::PublishRequest;
use roundtable_protocol::stats::MemberStats;
use roundtable_protocol::{ErrorCode, Grants, MemberId, ServerMessage, TrackId};
use roundtable_transport::sdp::Offer;

use super::core::{Core, clocks, random, random_u64};
use super::deed::Origin;
use super::home::{Home, Presence};
use super::inbox::{Joined, Outbox, Request, ResumeSecret, ToMember};
use super::letter::{Answered, ChatCopies, DataPost, MediaEnd, MemberOffer, Report, StageCommand};
use super::peers::Refusal;
use super::proof::Proof;
use super::quality::hints;
use crate::room::member::Newcomer;
use crate::room::{Effect, FIRST_SEATS, Now};

/// Text of earlier chat in one message to a joiner.
const HISTORY_PIECE_BYTES: usize = 48 * 1024;

impl Core {
    /// Lets somebody into a room that lives here.
    pub(super) fn admit(
        &mut self,
        now: Now,
        key: usize,
        newcomer: Newcomer,
        grants: Grants,
        max_seats: u16,
        (outbox, origin): (Outbox, Origin),
    ) -> Option<(usize, Joined)> {
        let home = self.rooms.get_mut(key)?.home_mut()?;
        let history = home.room.chat_history(home.delivered, HISTORY_PIECE_BYTES);
        let may_subscribe = grants.subscribe;
        let member = home.room.join(now, newcomer, grants, max_seats);
        let (session, secret) = (random_u64(), ResumeSecret(random()));
        let presence = Presence { outbox: Some(outbox), session, origin, ..Presence::away(Proof::of(secret)) };
        home.members.insert(member.id.clone(), presence);
        home.say_history(&member.id, history);
        let voice_slots = if may_subscribe { home.voice_slots } else { 0 };
        // The joined event must stand in the journal before the session reads the room's state from it.
        let journal = home.journal.clone();
        self.apply_effects(now.instant, key);
        let seq = journal.last_numbered();
        let seats = FIRST_SEATS.min(max_seats);
        Some((key, Joined { member, seats, voice_slots, session, secret, media: false, journal, seq }))
    }

    /// Obeys one request of a member; what is refused is told with its code.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        key: usize,
        (member, session): (&MemberId, u64),
        request: Request,
    ) {
        self.current = Some(key);
        let clocks = clocks(now);
        if matches!(request, Request::Chat { .. } | Request::ChangeChat { .. }) {
            self.look_for_space(key);
        }
        let home = self.rooms.get_mut(key).and_then(|open| open.home_mut());
        let is_current = |home: &&mut Home| home.members.get(member).is_some_and(|known| known.session == session);
        let Some(home) = home.filter(is_current) else { return };
        let room = &mut home.room;
        let (id, outcome) = match request {
            Request::Offer { id, offer, fresh, tracks } => {
                if fresh {
                    self.drop_media(now, key, member);
                }
                return self.offered(now, key, member, id, *offer, tracks);
            }
            Request::Unpublish(tracks) => (None, self.unpublish(clocks, key, member, tracks)),
            Request::Mute { track, muted } => {
                (None, room.mute(clocks, member, &track, muted).map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::Subscribe(changes) => {
                room.subscribe(member, changes);
                (None, Ok(()))
            }
            Request::View(changes) => {
                room.view(member, changes);
                (None, Ok(()))
            }
            Request::Stats(id) => return self.tell_stats(clocks, key, member, id),
            Request::Chat { nonce, text } => {
                (Some(nonce), room.chat(clocks, member, nonce, text).map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::Data { header, payload, lossy } => {
                let member = member.clone();
                return self.publish_data(now, key, DataPost { member, header, payload, lossy });
            }
            Request::Topics { unsubscribe, subscribe } => {
                (None, self.change_topics(now, key, member, &unsubscribe, subscribe))
            }
            Request::GetDoc { id, doc, after } => (Some(id), home.say_doc(now, member, id, &doc, after)),
            Request::PutDoc { id, doc, up_to, snapshot } => {
                (Some(id), home.put_doc(now, member, id, &doc, (up_to, snapshot)))
            }
            Request::Whisper { nonce, text, to } => {
                (Some(nonce), room.whisper(clocks, member, nonce, text, to).map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::ChangeChat { id, message, change, known } => {
                let known = known.map(|known| *known);
                let outcome = room.change_chat(clocks, member, &message, change, known);
                (id, outcome.map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::UpdateMember { id, expect, change } => {
                let outcome = room.update_own(clocks, member, id, expect, &change);
                (id, outcome.map_err(|e| Refusal::new(e.code(), e)))
            }
            Request::Typing(typing) => {
                room.typing(now, member, typing);
                (None, Ok(()))
            }
            Request::History => {
                let history = home.room.chat_history(home.delivered, HISTORY_PIECE_BYTES);
                return home.say_history(member, history);
            }
            Request::Away => return self.handle_away(now, key, member),
            Request::Leave(reason) => return self.remove_member(now, key, member, reason),
        };
        if let (Err(refusal), Some(home)) = (outcome, self.home(key)) {
            home.say(member, refusal.into_message(id));
        }
    }

    /// Hands an offer to the stage of the member, which is chosen with the first one.
    fn offered(
        &mut self,
        now: Instant,
        key: usize,
        member: &MemberId,
        id: u32,
        offer: Offer,
        requests: Vec<PublishRequest>,
    ) {
        let Some(shard) = self.stage_for(now, key, member) else { return };
        let Some(home) = self.home(key) else { return };
        let topics = home.topics_of(member);
        let connection = home.members.get(member).map_or(0, |presence| presence.connection);
        let room = &mut home.room;
        let offer = MemberOffer {
            member: member.clone(),
            connection,
            id,
            offer,
            allowance: room.publish_allowance(member),
            reserved: room.reserve_tracks(member, &requests),
            requests,
            limits: room.limits(member),
            may_subscribe: room.may_subscribe(member),
            topics,
        };
        self.command(now, key, shard, StageCommand::Offer(Box::new(offer)));
    }

    /// The shard on which a member is connected, or is to be.
    fn stage_for(&mut self, now: Instant, key: usize, member: &MemberId) -> Option<u8> {
        let home = self.rooms.get_mut(key)?.home_mut()?;
        if let Some(shard) = home.members.get(member)?.shard {
            return Some(shard);
        }
        let busy = self.loads.iter().map(super::load::Load::lasting);
        // A stage on its way stays the only one until it has arrived.
        let shard = home.leaving.unwrap_or_else(|| {
            let main = home.main;
            let others = home.branches.iter().copied().chain(home.is_on_stage.then_some(self.shard));
            let others: Vec<u8> = others.filter(|&shard| shard != main).collect();
            self.spread.place(now, main, &others, busy)
        });
        home.members.get_mut(member)?.connect(shard);
        self.open_stage_on(now, key, shard);
        Some(shard)
    }

    fn unpublish(&mut self, now: Now, key: usize, member: &MemberId, tracks: Vec<TrackId>) -> Result<(), Refusal> {
        let Some(home) = self.home(key) else { return Ok(()) };
        // What stands before one that is unknown has ended.
        let mut ended = Vec::new();
        let outcome = tracks.into_iter().try_for_each(|track| {
            home.room.unpublish(now, member, &track).map_err(|e| Refusal::new(ErrorCode::TrackUnknown, e))?;
            ended.push(track);
            Ok(())
        });
        self.command_member(now.instant, key, member, |member| StageCommand::Unpublish { member, tracks: ended });
        outcome
    }

    fn tell_stats(&mut self, now: Now, key: usize, member: &MemberId, id: u32) {
        let Some(home) = self.home(key) else { return };
        if home.members.get(member).is_some_and(|presence| presence.shard.is_some()) {
            return self.command_member(now.instant, key, member, |member| StageCommand::Stats { member, id });
        }
        let stats = Box::new(MemberStats::new(member.clone(), now.unix_ms, home.room.limits(member)));
        home.say(member, ServerMessage::Stats { id, stats });
    }

    /// Carries out what the room wants and passes on what its plane reports.
    pub(super) fn apply_effects(&mut self, now: Instant, key: usize) {
        while let Some(open) = self.rooms.get_mut(key) {
            if let Some(effect) = open.home_mut().and_then(|home| home.room.poll_effect()) {
                self.apply(now, key, effect);
            } else if let Some(event) = open.stage.plane.poll_event() {
                let told = open.stage.handle_plane_event(event);
                self.pass_on(now, key, told);
            } else {
                if let Some(home) = open.home_mut() {
                    home.tell_slots();
                }
                return;
            }
        }
    }

    fn apply(&mut self, now: Instant, key: usize, effect: Effect) {
        let Some(home) = self.home(key) else { return };
        match effect {
            Effect::Event(event) => {
                home.journal.append(event);
            }
            Effect::Grow { member, seats } => home.say(&member, ServerMessage::GrowSeats { seats }),
            Effect::Pause { track, paused } => self.command_all(now, key, &StageCommand::Pause { track, paused }),
            Effect::Rank { track, class, spoke } => {
                self.command_all(now, key, &StageCommand::Rank { track, class, spoke });
            }
            Effect::Drop { track } => {
                home.published.remove(&track);
                home.wishes.remove(&track);
                self.command_all(now, key, &StageCommand::Drop { track });
            }
            Effect::Assign { member, assignment } => {
                let hints = hints(assignment.track.as_ref().and_then(|track| home.room.view_of(&member, track)));
                let idled = assignment.track.is_none().then(|| assignment.clone());
                let of = member.clone();
                self.command_member(now, key, &of, |member| StageCommand::Assign { member, assignment, hints });
                if let (Some(idled), Some(home)) = (idled, self.home(key)) {
                    home.tell_idle(member, idled);
                }
            }
            Effect::Look { member, mid, track } => {
                let hints = hints(home.room.view_of(&member, &track));
                self.command_member(now, key, &member, |member| StageCommand::Look { member, mid, hints });
            }
            Effect::Limit { member } => {
                let limits = home.room.limits(&member);
                self.command_member(now, key, &member, |member| StageCommand::Limit { member, limits });
            }
            Effect::Audible { member, track, audible } => {
                self.command_member(now, key, &member, |member| StageCommand::Audible { member, track, audible });
            }
            Effect::Grants { member, grants } => home.say(&member, ServerMessage::Grants { grants }),
            Effect::Hear { member, hears } => {
                self.command_member(now, key, &member, |member| StageCommand::Hear { member, hears });
            }
            Effect::FreeLine { member, track } => {
                let tracks = vec![track];
                self.command_member(now, key, &member, |member| StageCommand::Unpublish { member, tracks });
            }
            Effect::Enter { member } => home.journal.enter(&member),
            Effect::Exit { member } => home.journal.exit(&member),
            Effect::Update { member } => home.journal.update(&member),
            Effect::Updated { id, member } => home.say(&member.id.clone(), ServerMessage::Updated { id, member }),
            Effect::Expire { member } => self.remove_member(now, key, &member, LeaveReason::Disconnected),
            // One that is not kept yet is acknowledged when it is delivered.
            Effect::Acknowledge { message } if message.seq > home.delivered => {}
            Effect::Acknowledge { message } => {
                let member = message.member.clone();
                let nonce = message.nonce;
                if let Ok(json) = serde_json::to_vec(&ServerMessage::Chat { message, nonce }) {
                    self.tell_on_channel(now, key, &member, json.into());
                }
            }
            Effect::Deliver { message } => self.hold(now, key, message),
            Effect::Whisper { message, nonce, again } => self.whisper(now, key, &message, nonce, again),
            Effect::Typing { member, typing } => home.tell_typing(member, typing),
        }
    }

    /// Gives everybody a chat message. It is written once, and once for its writer.
    pub(super) fn deliver(&mut self, now: Instant, key: usize, message: &ChatMessage) {
        let written = |nonce| serde_json::to_vec(&ServerMessage::Chat { message: message.clone(), nonce });
        // None of our types has a map with keys that are no strings, the one thing that fails.
        let (Ok(copy), Ok(receipt)) = (written(None), written(message.nonce)) else { return };
        let chat = ChatCopies { writer: message.member.clone(), receipt: receipt.into(), copy: copy.into() };
        if let Some(home) = self.home(key) {
            home.tell_unconnected(&chat);
        }
        self.command_all(now, key, &StageCommand::Chat(chat));
    }

    /// Refuses what a member wrote on its channel.
    fn refuse_chat(&mut self, now: Instant, key: usize, member: &MemberId, refusal: Refusal, nonce: u32) {
        if let Ok(json) = serde_json::to_vec(&refusal.into_message(Some(nonce))) {
            let json = json.into();
            self.command_member(now, key, member, |member| StageCommand::Deliver { member, json });
        }
    }

    /// Gives one member a message over its channel, or over its session where there is none.
    pub(super) fn tell_on_channel(&mut self, now: Instant, key: usize, member: &MemberId, json: Bytes) {
        let Some(home) = self.home(key) else { return };
        if home.members.get(member).is_some_and(|presence| presence.shard.is_none()) {
            return home.tell(member, ToMember::Written(json));
        }
        self.command_member(now, key, member, |member| StageCommand::Deliver { member, json });
    }

    /// Hears what a stage on `shard` has to say.
    pub(super) fn handle_report(&mut self, now: Instant, key: usize, shard: u8, report: Report) {
        if matches!(report, Report::Chat { .. }) {
            self.look_for_space(key);
        }
        let Some(home) = self.home(key) else { return };
        match report {
            Report::Crowded { to } => self.handle_crowded(key, shard, to),
            Report::Arrived => self.handle_arrived(now, key, shard),
            Report::Failed => self.handle_stage_failed(key, shard),
            Report::Adopted { member, seats } => home.room.add_seats(&member, seats),
            Report::NotAdopted { member, connection } => {
                self.handle_not_adopted(now, key, (shard, connection), &member);
            }
            Report::Answered(answered) => self.handle_answered(now, key, shard, *answered),
            Report::Tell { member, message } => home.tell(&member, message),
            Report::Ended { member, connection, code, message } => {
                self.handle_media_ended(now, key, MediaEnd { member, shard, connection, code, message })
            }
            Report::Chat { member, nonce, text, to } => {
                let outcome = match to {
                    None => home.room.chat(clocks(now), &member, nonce, text),
                    Some(to) => home.room.whisper(clocks(now), &member, nonce, text, to),
                };
                if let Err(error) = outcome {
                    self.refuse_chat(now, key, &member, Refusal::new(error.code(), error), nonce);
                }
            }
            Report::Data(post) => self.publish_data(now, key, *post),
            Report::TellData { member, message } => self.tell_data(key, &member, message),
            Report::SlotLive { member, mid, generation, rtp_timestamp } => {
                home.handle_slot_live(member, mid, generation, rtp_timestamp);
            }
            Report::Voice { member, mid, track, generation, rtp_timestamp } => {
                home.handle_voice((member, mid), track, generation, rtp_timestamp);
            }
            // Every stage hears all microphones; the main one speaks for all.
            Report::Speaking { track, speaking } if shard == home.main => {
                home.room.handle_speaking(clocks(now), &track, speaking);
            }
            Report::Dominant { track } if shard == home.main => home.room.handle_dominant(clocks(now), track.as_ref()),
            Report::Speaking { .. } | Report::Dominant { .. } => {}
            Report::Encodings { track, encodings } => home.tell_encodings(track, encodings),
            Report::OverLimit { track } => home.mute_over_limit(clocks(now), &track),
            Report::CannotDecode { member, track } => home.say_cannot_decode(&member, track.as_ref()),
        }
    }

    fn handle_answered(&mut self, now: Instant, key: usize, shard: u8, answered: Answered) {
        let Answered { member, connection, id, sdp, tracks, begun, ended, seats } = answered;
        let clocks = clocks(now);
        // What was under way when the peer connection ended says nothing any more.
        let is_connected = |home: &&mut Home| {
            home.members.get(&member).is_some_and(|presence| presence.is_connected(shard, connection))
        };
        let Some(home) = self.home(key).filter(is_connected) else { return };
        for track in &ended {
            // One that is not there has been ended by the member meanwhile.
            let _ = home.room.unpublish(clocks, &member, track);
        }
        // The answer first: what follows speaks of its lines and tracks.
        home.tell(&member, ToMember::Answer { id, sdp, tracks });
        self.count_offer();
        for (info, config) in begun {
            let Some(home) = self.home(key) else { return };
            let track = info.id.clone();
            // Offers that were under way together may come to more than each alone.
            if let Err(error) = home.room.check_publish(&member, &[info.source]) {
                home.say(&member, Refusal::new(error.code(), error).into_message(Some(id)));
                let tracks = vec![track.clone()];
                let free = StageCommand::Unpublish { member: member.clone(), tracks };
                self.command(now, key, shard, free);
                self.command(now, key, shard, StageCommand::Drop { track });
                continue;
            }
            let publication = home.note_publication(info.clone(), config, shard);
            self.command_others(now, key, shard, &StageCommand::Relay(Box::new(publication)));
            if let Some(home) = self.home(key) {
                let is_held = home.room.is_held(&member, info.source);
                home.room.publish(clocks, info);
                if is_held {
                    let refusal = Refusal::new(ErrorCode::MutedByHost, "a moderator muted you; this begins silent");
                    home.say(&member, refusal.into_message(None));
                }
            }
        }
        if let Some(home) = self.home(key) {
            home.room.end_suspended(clocks, &member);
            home.room.add_seats(&member, seats);
        }
    }

    /// Takes a member and everything of it out. A second call changes nothing.
    pub(super) fn remove_member(&mut self, now: Instant, key: usize, member: &MemberId, reason: LeaveReason) {
        self.remove_member_keeping(now, key, member, reason, None);
    }

    /// The same; its peer connection is kept under the number, if there is one.
    pub(super) fn remove_member_keeping(
        &mut self,
        now: Instant,
        key: usize,
        member: &MemberId,
        reason: LeaveReason,
        keep: Option<u64>,
    ) {
        let Some(home) = self.home(key) else { return };
        let Some(presence) = home.members.remove(member) else { return };
        home.forgotten.push(presence.proof);
        home.room.leave(clocks(now), member, reason);
        let Some(shard) = presence.shard else { return };
        let member = member.clone();
        let command = match keep {
            Some(number) => StageCommand::Park { member, number },
            None => StageCommand::Remove { member },
        };
        self.command(now, key, shard, command);
        self.close_branch_if_empty(now, key, shard);
    }
}
