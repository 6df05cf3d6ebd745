//! Rooms open with their first member and close with their last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtable_media::Moment;
use roundtable_protocol::event::{LeaveReason, RoomCloseReason};
use roundtable_protocol::{ErrorCode, MemberId, RoomId};

use super::alarm::Alarm;
use super::core::{Core, clocks, random_u64};
use super::endpoint::is_earlier;
use super::home::Home;
use super::inbox::{Join, JoinRefused, ToMember};
use super::rooms::{OpenRoom, Role};
use super::stage::Stage;
use crate::journal::Journal;
use crate::room::Now;
use crate::store::forget;

/// When clients may come back after a stop: long enough for a restart.
const RECONNECT_AFTER_STOP_MS: u64 = 2_000;

/// What a join says of the room in case it opens it.
struct Opening {
    journal: Arc<Journal>,
    opened_by: Option<String>,
    max_members: usize,
    voice_slots: u16,
    resume_within: Duration,
}

impl Core {
    pub(super) fn join(&mut self, now: Instant, join: Join) {
        let Join { room, journal, newcomer, grants, origin, settings, max_seats, max_members, .. } = join;
        let Join { opened_by, voice_slots, resume_within, connection, outbox, reply, .. } = join;
        let clocks = clocks(now);
        let opening = Opening { journal, opened_by, max_members, voice_slots, resume_within };
        let outcome = self.enter(clocks, room, opening).and_then(|key| {
            if let (Some(home), Some(settings)) = (self.home(key), settings) {
                home.room.set_settings(clocks, settings);
            }
            let admitted = self.admit(clocks, key, newcomer, grants, max_seats, (outbox, origin));
            let (key, mut joined) = admitted.ok_or(JoinRefused::JournalClosed)?;
            joined.media = connection.is_some_and(|kept| self.bring(now, key, &joined.member.id, kept));
            Ok((key, joined))
        });
        match outcome {
            Err(refused) => {
                let _ = reply.send(Err(refused));
            }
            Ok((key, joined)) => {
                let member = joined.member.id.clone();
                // The session went away while it waited: take the member out again.
                if reply.send(Ok(joined)).is_err() {
                    self.remove_member(now, key, &member, LeaveReason::Disconnected);
                }
                self.look_after(now, key);
            }
        }
    }

    /// Finds the room or opens it.
    fn enter(&mut self, clocks: Now, room: RoomId, opening: Opening) -> Result<usize, JoinRefused> {
        let Opening { journal, opened_by, max_members, voice_slots, resume_within } = opening;
        if self.stopping {
            return Err(JoinRefused::Stopping);
        }
        if let Some(key) = self.names.get(&room).copied().filter(|&key| self.is_home(clocks.instant, key)) {
            let full = self.home(key).is_none_or(|home| home.room.len() >= max_members);
            return if full { Err(JoinRefused::RoomFull(max_members)) } else { Ok(key) };
        }
        if journal.is_ending() {
            return Err(JoinRefused::JournalClosed);
        }
        if max_members == 0 {
            return Err(JoinRefused::RoomFull(0));
        }
        let life = random_u64();
        let entry = self.rooms.vacant_entry();
        let key = entry.key();
        let mut stage = Stage::new(clocks, random_u64(), voice_slots, (key, random_u64()));
        if let Some(tape) = &mut self.tape {
            tape.handle_opened(clocks.instant, key, &room, &mut stage.plane);
        }
        let mut home = Box::new(Home::new(journal, self.shard, random_u64(), voice_slots, resume_within));
        if let Some(store) = &self.store {
            home.room.keep_records();
            // What is not taken is counted by the store; the room is not found again after a restart then.
            let life = (home.journal.epoch(), opened_by.clone());
            let _ = store.open_room(&room, life, clocks.unix_ms, forget());
        }
        home.opened_by = opened_by;
        entry.insert(OpenRoom::new(room.clone(), life, Role::Home(home), stage));
        self.lives.insert(life, key);
        self.names.insert(room, key);
        Ok(key)
    }

    /// Whether a room lives here. A stage of an earlier room of its name, which its home has not closed yet, is closed.
    fn is_home(&mut self, now: Instant, key: usize) -> bool {
        let is_home = self.home(key).is_some();
        if !is_home {
            self.close_stage(now, key);
        }
        is_home
    }

    pub(super) fn close_room(&mut self, now: Instant, key: usize, reason: RoomCloseReason) {
        self.close_room_saying(now, key, reason, None);
    }

    /// Ends a room, with a sentence for everybody.
    pub(super) fn close_room_saying(
        &mut self,
        now: Instant,
        key: usize,
        reason: RoomCloseReason,
        sentence: Option<String>,
    ) {
        let is_kept = self.store.is_some();
        let Some(home) = self.home(key) else { return };
        let (code, message, after) = match reason {
            RoomCloseReason::ServerStopping => {
                (ErrorCode::Stopping, "the server is stopping", Some(RECONNECT_AFTER_STOP_MS))
            }
            _ => (ErrorCode::RoomClosed, "the room was closed", None),
        };
        let message = sentence.unwrap_or_else(|| message.to_owned());
        if is_kept && !home.resume_within.is_zero() && reason == RoomCloseReason::ServerStopping {
            return self.suspend_room(key, &ToMember::Close { code, message, reconnect_after_ms: after });
        }
        home.room.close(clocks(now), reason);
        let members: Vec<MemberId> = home.members.keys().cloned().collect();
        for member in members {
            if let Some(home) = self.home(key) {
                let close = ToMember::Close { code, message: message.clone(), reconnect_after_ms: after };
                home.tell(&member, close);
            }
            self.remove_member(now, key, &member, LeaveReason::RoomClosed);
        }
        self.look_after(now, key);
        self.end_room(key);
    }

    /// Leaves a room as it is: it is found again after the restart, and so is everybody's place.
    fn suspend_room(&mut self, key: usize, farewell: &ToMember) {
        self.put_down(key);
        let Some(home) = self.home(key) else { return };
        let members: Vec<MemberId> = home.members.keys().cloned().collect();
        members.iter().for_each(|member| home.tell(member, farewell.clone()));
        self.forget_room(key);
    }

    /// Forgets a room that is over.
    fn end_room(&mut self, key: usize) {
        if let (Some(store), Some(open)) = (&self.store, self.rooms.get(key))
            && let Some(home) = open.home()
        {
            let _ = store.close_room(&open.id, home.journal.epoch(), forget());
        }
        self.forget_room(key);
    }

    /// Applies what the room and its plane want, takes out slow members, closes the room when it is
    /// empty and sets its alarm.
    pub(super) fn look_after(&mut self, now: Instant, key: usize) {
        self.current = Some(key);
        loop {
            self.apply_effects(now, key);
            let Some(open) = self.rooms.get_mut(key) else { return };
            let Some(member) = open.home_mut().and_then(|home| home.slow.pop()) else { break };
            tracing::debug!(room = %open.id, %member, "the session of a member reads too slowly, or not at all, and has ended");
            self.handle_away(now, key, &member);
        }
        let Some(open) = self.rooms.get_mut(key) else { return };
        if let Some(home) = open.home_mut()
            && home.members.is_empty()
            && home.room.ends_at().is_none_or(|at| at <= now)
        {
            home.room.close(clocks(now), RoomCloseReason::Empty);
            self.apply_effects(now, key);
            return self.end_room(key);
        }
        self.put_down(key);
        let Some(open) = self.rooms.get_mut(key) else { return };
        let room = open.home().map(|home| &home.room);
        let of_room = room.and_then(|room| [room.poll_timeout(), room.ends_at()].into_iter().flatten().min());
        let plane = &open.stage.plane;
        let of_plane = plane.poll_strict_timeout().and_then(Moment::instant);
        let later = plane.poll_lenient_timeout().and_then(Moment::instant);
        if let Some(deadline) = [of_plane, of_room].into_iter().flatten().min()
            && is_earlier(deadline, open.scheduled)
        {
            open.scheduled = Some(deadline);
            self.alarms.schedule(deadline, Alarm::Room(key));
        }
        if let Some(deadline) = later
            && is_earlier(deadline, open.scheduled_later)
        {
            open.scheduled_later = Some(deadline);
            self.alarms.schedule_leniently(deadline, Alarm::RoomLater(key));
        }
    }

    pub(super) fn forget_room(&mut self, key: usize) {
        if let Some(mut open) = self.rooms.try_remove(key) {
            if let Some(tape) = &mut self.tape {
                tape.handle_closed(key, &mut open.stage.plane);
            }
            self.counters.closed.add(open.stage.plane.counters());
            self.forget_names(key, open.life, &open.id);
        }
    }

    /// Has a room, or its stage here, not found any more.
    pub(super) fn forget_names(&mut self, key: usize, life: u64, room: &RoomId) {
        self.lives.remove(&life);
        if self.names.get(room) == Some(&key) {
            self.names.remove(room);
        }
    }
}
