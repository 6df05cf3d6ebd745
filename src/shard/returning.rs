//! Members who lose their socket or their peer connection, and come back.
//!
//! The two are lost and found apart. Without a socket a member keeps its place for a while: its media goes on, and over
//! another socket it is the same member. Without a peer connection its tracks wait for it.

use std::time::Instant;

use roundtable_protocol::event::LeaveReason;
use roundtable_protocol::{ErrorCode, MemberId, ServerMessage};

use super::core::{Core, clocks, random_u64};
use super::home::Home;
use super::inbox::{Resume, Returned, ToMember};
use super::letter::{MediaEnd, StageCommand};
use super::proof::Proof;

impl Core {
    /// A member has lost its socket, or does not read what comes over it. Its place is kept, if that is how the server is
    /// set.
    pub(super) fn handle_away(&mut self, now: Instant, key: usize, member: &MemberId) {
        let Some(home) = self.home(key) else { return };
        let within = home.resume_within;
        if within.is_zero() {
            return self.remove_member(now, key, member, LeaveReason::Disconnected);
        }
        let had_session = home.members.get_mut(member).is_some_and(|presence| presence.outbox.take().is_some());
        if had_session {
            home.room.handle_away(member, now + within);
            home.members.get_mut(member).into_iter().for_each(|presence| presence.whispers.handle_away(now));
        }
    }

    /// Lets a member go on over another socket.
    pub(super) fn resume(&mut self, now: Instant, resume: Resume) {
        let Resume { room, epoch, member, secret, outbox, reply } = resume;
        let session = random_u64();
        let key = self.names.get(&room).copied();
        let returned = key.and_then(|key| {
            let home = self.home(key).filter(|home| home.journal.epoch() == epoch)?;
            let presence = home.members.get_mut(&member).filter(|presence| presence.proof == Proof::of(secret))?;
            let message = "you came back over another connection".to_owned();
            let replaced = ToMember::Close { code: ErrorCode::Replaced, message, reconnect_after_ms: None };
            if let Some(before) = presence.outbox.replace(outbox) {
                // A session that does not read is gone as well.
                let _ = before.try_send(replaced);
            }
            presence.session = session;
            home.come_back(&member, session)
        });
        let is_back = returned.is_some();
        let is_told = reply.send(returned).is_ok();
        if let (true, Some(key)) = (is_back, key) {
            if is_told {
                if let Some(home) = self.home(key) {
                    home.repeat_wishes(&member);
                    home.repeat_whispers(now, &member);
                }
            } else {
                // The session went away while it waited.
                self.handle_away(now, key, &member);
            }
            self.look_after(now, key);
        }
    }

    /// The peer connection of a member has ended by itself. Who has closed it may have said before that it leaves, which may
    /// wait behind its datagrams: that is looked at first.
    pub(super) fn handle_media_ended(&mut self, now: Instant, key: usize, end: MediaEnd) {
        match end.code {
            ErrorCode::PeerClosed => self.goodbyes.push((key, end)),
            _ => self.end_media(now, key, end),
        }
    }

    /// Whether peer connections were closed by their peers in this turn.
    pub fn has_goodbyes(&self) -> bool {
        !self.goodbyes.is_empty()
    }

    /// Heeds the peers that have closed their connections in this turn; behind the commands that had come before.
    pub fn heed_goodbyes(&mut self, now: Instant) {
        while let Some((key, end)) = self.goodbyes.pop() {
            self.current = Some(key);
            self.end_media(now, key, end);
            self.look_after(now, key);
            self.settle(now);
        }
    }

    fn end_media(&mut self, now: Instant, key: usize, end: MediaEnd) {
        let MediaEnd { member, shard, connection, code, message } = end;
        let member = &member;
        let Some(home) = self.home(key) else { return };
        if !home.members.get(member).is_some_and(|known| known.is_connected(shard, connection)) {
            return;
        }
        if home.resume_within.is_zero() {
            home.tell(member, ToMember::Close { code, message, reconnect_after_ms: Some(0) });
            return self.remove_member(now, key, member, LeaveReason::ConnectionLost);
        }
        // Who closes both has gone.
        if code == ErrorCode::PeerClosed && home.room.is_away(member) {
            return self.remove_member(now, key, member, LeaveReason::Disconnected);
        }
        // Who has closed it knows.
        if code != ErrorCode::PeerClosed {
            home.say(member, ServerMessage::MediaLost { code, message });
        }
        self.drop_media(now, key, member);
    }

    /// Forgets the peer connection of a member; its tracks wait for another one.
    pub(super) fn drop_media(&mut self, now: Instant, key: usize, member: &MemberId) {
        let Some(home) = self.home(key) else { return };
        let Some(presence) = home.members.get_mut(member) else { return };
        let Some(shard) = presence.shard.take() else { return };
        presence.shown.clear();
        home.room.handle_media_lost(clocks(now), member);
        self.apply_effects(now, key);
        self.command(now, key, shard, StageCommand::Remove { member: member.clone() });
        self.close_branch_if_empty(now, key, shard);
    }
}

impl Home {
    fn come_back(&mut self, member: &MemberId, session: u64) -> Option<Returned> {
        let known = self.room.handle_back(member)?;
        let (info, grants) = (known.info.clone(), known.grants.clone());
        let presence = self.members.get(member)?;
        let slots = presence.shard.is_some().then(|| presence.shown.clone());
        let (journal, seq) = (self.journal.clone(), self.delivered);
        Some(Returned { member: info, grants, session, slots, journal, seq })
    }

    /// Tells a member once more which encodings of its tracks are wanted.
    fn repeat_wishes(&mut self, member: &MemberId) {
        let own = self.room.tracks().iter().filter(|track| track.member == *member);
        let wishes = own.filter_map(|track| Some((track.id.clone(), self.wishes.get(&track.id)?.clone())));
        for (track, encodings) in wishes.collect::<Vec<_>>() {
            self.say(member, ServerMessage::Layers { track, encodings });
        }
    }
}
