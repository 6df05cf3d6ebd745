//! A panic in one room ends that room and nothing else.
//!
//! It is a fault of ours. The room's own state cannot be trusted any more, so it is dropped without being asked, and its
//! members are told to come back to a fresh one. What a shard shares among its rooms is whole at every moment in which
//! code of a room runs: no list of work is taken away for the time it is worked through.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use roundtable_protocol::ErrorCode;
use roundtable_protocol::event::{Event, EventBody, RoomCloseReason};

use super::core::{Core, clocks};
use super::endpoint::Endpoint;
use super::home::Home;
use super::inbox::ToMember;
use super::letter::{Body, Letter, Report, StageCommand};
use super::rooms::{OpenRoom, Role};
use crate::store::forget;

/// When members of a room that failed may come back.
const RECONNECT_AFTER_MS: u64 = 500;

impl Core {
    /// Runs something; if that panics in a room, the room ends. Returns `None` then.
    ///
    /// # Panics
    /// When the panic was in no room: then the shard is not to be trusted.
    pub fn guarded<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.current = None;
        match catch_unwind(AssertUnwindSafe(|| run(self))) {
            Ok(done) => Some(done),
            Err(panic) => {
                self.handle_panic(panic);
                None
            }
        }
    }

    fn handle_panic(&mut self, panic: Box<dyn Any + Send>) {
        let now = Instant::now();
        let current = self.current.take();
        if current == Some(Endpoint::PARKED) {
            self.counters.panics += 1;
            tracing::error!("a peer connection between two rooms has failed: all such are ended");
            return self.end_all_parked(now);
        }
        let failed = current.and_then(|key| Some((key, self.rooms.try_remove(key)?)));
        let Some((key, open)) = failed else { resume_unwind(panic) };
        self.counters.panics += 1;
        let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(room = %open.id, panic = said.unwrap_or_default(), "a room has failed and is ended");
        let endpoints: Vec<usize> =
            self.endpoints.iter().filter(|(_, endpoint)| endpoint.room == key).map(|(key, _)| key).collect();
        endpoints.into_iter().for_each(|endpoint| self.remove_endpoint(now, endpoint));
        self.forget_names(key, open.life, &open.id);
        match &open.role {
            Role::Home(home) => self.end_failed_home(now, &open, home),
            Role::Branch { home } => {
                self.lanes.write(*home, Letter { life: open.life, body: Body::Report(Report::Failed) });
                for (member, on_stage) in &open.stage.members {
                    let (member, connection) = (member.clone(), on_stage.connection);
                    let message = "a fault of the server ended the media connection".to_owned();
                    let ended = Report::Ended { member, connection, code: ErrorCode::Internal, message };
                    self.lanes.write(*home, Letter { life: open.life, body: Body::Report(ended) });
                }
            }
        }
    }

    fn end_failed_home(&mut self, now: Instant, open: &OpenRoom, home: &Home) {
        for &branch in &home.branches {
            self.lanes.write(branch, Letter { life: open.life, body: Body::Command(StageCommand::Close) });
        }
        let body = EventBody::RoomClosed { reason: RoomCloseReason::Failed };
        home.journal.append(Event { seq: 0, at: clocks(now).unix_ms, body });
        let message = "the room has failed; come back to a fresh one".to_owned();
        let close =
            ToMember::Close { code: ErrorCode::Internal, message, reconnect_after_ms: Some(RECONNECT_AFTER_MS) };
        for outbox in home.members.values().filter_map(|presence| presence.outbox.as_ref()) {
            // Who does not read finds the end of the session.
            let _ = outbox.try_send(close.clone());
        }
        if let Some(store) = &self.store {
            let _ = store.close_room(&open.id, home.journal.epoch(), forget());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roundtable_protocol::{Grants, RoomId};
    use tokio::sync::oneshot;

    use super::*;
    use crate::journal::Journal;
    use crate::shard::deed::Origin;
    use crate::shard::inbox::{Command, Inbox, Join, Joined, OutboxReceiver, Request, outbox};
    use crate::shard::stats::ShardStats;
    use crate::shard::{ShardConfig, Sharing, spawn};

    fn join(inbox: &Inbox, room: &RoomId, name: &str) -> (Joined, OutboxReceiver) {
        let (outbox, receiver) = outbox();
        let (reply, joined) = oneshot::channel();
        let join = Join {
            room: room.clone(),
            journal: Journal::new(room.clone(), 1, None),
            opened_by: None,
            newcomer: name.into(),
            grants: Grants::ALL,
            origin: Origin::default(),
            settings: None,
            max_seats: 4,
            max_members: 10,
            voice_slots: 3,
            resume_within: Duration::from_secs(60),
            connection: None,
            outbox,
            reply,
        };
        inbox.send(Command::Join(Box::new(join))).unwrap();
        (joined.blocking_recv().unwrap().unwrap(), receiver)
    }

    fn stats(inbox: &Inbox) -> ShardStats {
        let (reply, stats) = oneshot::channel();
        inbox.send(Command::Stats(reply)).unwrap();
        stats.blocking_recv().unwrap()
    }

    /// The next message that is not the chat of before.
    fn next(receiver: &mut OutboxReceiver) -> ToMember {
        loop {
            match receiver.blocking_recv().unwrap() {
                ToMember::Message(roundtable_protocol::ServerMessage::ChatHistory { .. }) => {}
                message => return message,
            }
        }
    }

    #[test]
    fn a_panic_in_one_room_ends_that_room_only_and_is_counted_and_told() {
        let config = ShardConfig {
            udp: vec![([127, 0, 0, 1], 0).into()],
            public_ips: Vec::new(),
            loopback: true,
            shards: 1,
            sharing: Sharing::OnePort,
            spread_above: 1_000,
            gather_below: 0,
            rebalance_above: 1_000,
            store: None,
        };
        let mut shards = spawn(&config, None).unwrap();
        let inbox = shards[0].inbox();
        let [good, bad] = ["good", "bad"].map(|id| RoomId::new(id).unwrap());
        let (ann, mut to_ann) = join(&inbox, &good, "Ann");
        let (bob, mut to_bob) = join(&inbox, &bad, "Bob");

        inbox.send(Command::Fault(bad.clone())).unwrap();
        let told = next(&mut to_bob);
        assert!(matches!(told, ToMember::Close { code: ErrorCode::Internal, .. }), "{told:?}");
        let state = bob.journal.state();
        assert!(state.closed && state.members.is_empty());
        let figures = stats(&inbox);
        assert_eq!((figures.panics, figures.rooms, figures.members), (1, 1, 1));

        // The other room has noticed nothing, and the name is free for a fresh one.
        let request = Request::Chat { nonce: 7, text: "still here".into() };
        let (room, member, session) = (good, ann.member.id, ann.session);
        inbox.send(Command::Member { room, member, session, request }).unwrap();
        assert!(matches!(next(&mut to_ann), ToMember::Written(_)));
        join(&inbox, &bad, "Bob");
        assert_eq!(stats(&inbox).rooms, 2);
        inbox.send(Command::Stop).unwrap();
        shards.remove(0).join();
    }
}
