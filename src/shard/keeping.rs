//! What of a room outlives the process: who is in it is put down, and found again.
//!
//! What happens in a room is kept by its journal. A chat message is delivered once it is kept, so that nobody has read
//! what a server that was killed does not know any more.

use std::sync::Arc;
use std::time::Instant;

use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::{MemberId, RoomId};

use super::core::{Core, clocks, random_u64};
use super::deed::Origin;
use super::home::{Home, Presence};
use super::inbox::Restore;
use super::proof::Proof;
use super::rooms::{OpenRoom, Role};
use super::stage::Stage;
use crate::room::Room;
use crate::store::{Session, Store, forget};

impl Core {
    /// Keeps rooms in a store.
    pub fn set_store(&mut self, store: Option<Store>) {
        self.store = store;
    }

    /// Tells a room whether what is written there can be kept.
    pub(super) fn look_for_space(&mut self, key: usize) {
        let (Some(store), Some(open)) = (&self.store, self.rooms.get_mut(key)) else { return };
        let room = open.id.clone();
        if let Some(home) = open.home_mut() {
            home.room.set_chat_full(!store.takes_chat(&room, home.opened_by.as_deref()));
        }
    }

    /// Delivers chat that has been kept meanwhile.
    pub fn deliver_kept(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.holding) {
            self.deliver_shown(now, key);
        }
        self.settle(now);
    }

    /// Delivers a message now, or once it is kept.
    pub(super) fn hold(&mut self, now: Instant, key: usize, message: ChatMessage) {
        let Some(home) = self.home(key) else { return };
        if !home.journal.is_kept() {
            home.delivered = message.seq;
            return self.deliver(now, key, &message);
        }
        home.held.push_back(message);
        if !self.holding.contains(&key) {
            self.holding.push(key);
        }
    }

    fn deliver_shown(&mut self, now: Instant, key: usize) {
        let Some(shown) = self.home(key).map(|home| home.journal.last_seq()) else { return };
        while let Some(message) = self.home(key).and_then(|home| home.held.pop_front_if(|held| held.seq <= shown)) {
            self.deliver(now, key, &message);
        }
        if let Some(home) = self.home(key) {
            home.delivered = shown.max(home.delivered);
            if !home.held.is_empty() && !self.holding.contains(&key) {
                self.holding.push(key);
            }
        }
    }

    /// Puts down what has changed of the members of a room.
    pub(super) fn put_down(&mut self, key: usize) {
        let Some(store) = self.store.clone() else { return };
        let Some(open) = self.rooms.get_mut(key) else { return };
        let room = open.id.clone();
        let Some(home) = open.home_mut() else { return };
        for Proof(token_hash) in std::mem::take(&mut home.forgotten) {
            // What is not taken is counted by the store; a session that stays is of a member who is not there.
            let _ = store.remove_session(token_hash, forget());
        }
        while let Some(member) = home.room.poll_changed() {
            if let Some(session) = home.session_of(&room, &member) {
                let _ = store.put_session(session, forget());
            }
        }
    }

    /// Opens a room as it was when the server ended. Its members have so long to come back as if they had just lost
    /// their sockets.
    pub(super) fn restore(&mut self, now: Instant, restore: Restore) {
        let Restore { room, journal, opened_by, members, written, voice_slots, resume_within } = restore;
        let clocks = clocks(now);
        let (seq, life) = (journal.last_seq(), random_u64());
        let records: Vec<_> = members.iter().map(|(record, _)| record.clone()).collect();
        let mut home = Home::new(Arc::clone(&journal), self.shard, random_u64(), voice_slots, resume_within);
        home.room = Room::restore(clocks, random_u64(), (journal.epoch(), seq), records, written);
        home.room.keep_records();
        home.delivered = seq;
        home.opened_by = opened_by;
        for (record, proof) in members {
            let origin = Origin { identity: record.info.identity, address: None };
            let member = record.info.id;
            home.room.handle_away(&member, now + resume_within);
            home.members.insert(member, Presence { origin, ..Presence::away(Proof(proof)) });
        }
        let entry = self.rooms.vacant_entry();
        let key = entry.key();
        let stage = Stage::new(clocks, random_u64(), voice_slots, (key, random_u64()));
        entry.insert(OpenRoom::new(room.clone(), life, Role::Home(Box::new(home)), stage));
        self.lives.insert(life, key);
        self.names.insert(room, key);
        self.look_after(now, key);
    }
}

impl Home {
    fn session_of(&self, room: &RoomId, member: &MemberId) -> Option<Session> {
        let Proof(token_hash) = self.members.get(member)?.proof;
        let record = self.room.record(member)?;
        // None of our types has a map with keys that are no strings, the one thing that fails.
        let json = serde_json::to_string(&record).ok()?;
        Some(Session { token_hash, room: room.clone(), member: member.clone(), json })
    }
}
