//! How a conversation comes to its place in a room: at once, by the lobby, or back to the one it had.

use std::time::Instant;

use roundtable_protocol::PROTOCOL_VERSION;
use roundtable_protocol::message::{ResumeTicket, Resumed, Welcome};

use super::super::beside::Beside;
use super::super::fault::{JoinWish, ResumeWish};
use super::super::follow::Follower;
use super::super::ticket;
use super::{Conversation, InLobby, Place, seconds};
use crate::hub::lobby::Verdict;
use crate::hub::{Admission, Comeback, JoinError, JoinRequest, Pass, ResumeRequest};
use crate::shard::inbox::{OutboxReceiver, Request, outbox};

impl Conversation {
    pub(super) async fn join(&mut self, wish: JoinWish) {
        let (sender, outbox) = outbox();
        let JoinWish { name, token, max_seats, resume, media } = wish;
        if let Some(wish) = resume {
            let ResumeWish { epoch, seq, member, secret } = wish;
            let request = ResumeRequest { epoch, member, secret, outbox: sender.clone() };
            match self.hub.resume(&self.arrival.room, request).await {
                Ok(Some(comeback)) => return self.come_back(comeback, seq, outbox).await,
                Ok(None) => {}
                Err(error) => return self.session.handle_refused(error.code(), error.to_string()),
            }
        }
        let token = token.or_else(|| self.arrival.token.take());
        let request = JoinRequest { name, token, address: self.arrival.address, max_seats, media, outbox: sender };
        match self.hub.check(&self.arrival.room, &request).await {
            Ok(pass) if pass.waits() => self.enter_lobby(request, pass, outbox),
            Ok(pass) => self.enter_with(request, pass, outbox).await,
            Err(error) => self.refuse(&error),
        }
    }

    pub(super) fn enter_lobby(&mut self, request: JoinRequest, pass: Pass, outbox: OutboxReceiver) {
        match self.hub.knock(&self.arrival.room, pass.name()) {
            Ok(waiting) => {
                self.lobby = Some(Box::new(InLobby { waiting, request, pass, outbox }));
                self.session.handle_waiting();
            }
            Err(error) => self.refuse(&error),
        }
    }

    pub(super) async fn leave_lobby(&mut self, verdict: Verdict) {
        let Some(in_lobby) = self.lobby.take() else { return };
        let InLobby { request, pass, outbox, .. } = *in_lobby;
        match verdict {
            Verdict::Admitted => self.enter_with(request, pass, outbox).await,
            Verdict::Refused { code, message } => self.session.handle_refused(code, message),
        }
    }

    pub(super) async fn enter_with(&mut self, request: JoinRequest, pass: Pass, outbox: OutboxReceiver) {
        match self.hub.enter_with(&self.arrival.room, request, pass).await {
            Ok(admission) => self.enter(admission, outbox),
            Err(error) => self.refuse(&error),
        }
    }

    pub(super) fn refuse(&mut self, error: &JoinError) {
        self.session.handle_refused_until(error.code(), error.to_string(), error.retry_after_ms());
    }

    pub(super) fn enter(&mut self, admission: Admission, outbox: OutboxReceiver) {
        let Admission { joined, grants, ice_servers, membership } = admission;
        let (follower, state) = Follower::begin(joined.journal);
        self.place = Some(Place { membership: Some(membership), outbox, outbox_ran_over: false, follower });
        let within_s = seconds(self.hub.resume_within());
        let token = ticket::write(&joined.member.id, joined.secret);
        self.beside = Some(Box::new(Beside::new(self.hub.clone(), self.arrival.room.clone(), &joined.member)));
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            room: self.arrival.room.clone(),
            member: joined.member,
            grants,
            state,
            ice_servers,
            seats: joined.seats,
            voice_slots: joined.voice_slots,
            silence_timeout_s: seconds(self.config.timers.silence),
            resume: (within_s > 0).then_some(ResumeTicket { token, within_s }),
            accepted: self.session.accepted().to_vec(),
            media: joined.media,
        };
        self.session.handle_welcome(Instant::now(), welcome);
    }

    pub(super) async fn come_back(&mut self, comeback: Comeback, seq: u64, outbox: OutboxReceiver) {
        let Comeback { returned, ice_servers, membership } = comeback;
        let (follower, state) = Follower::resume(returned.journal, seq, returned.seq).await;
        if state.is_some() {
            // A shard that takes nothing now is told so by its next message.
            let _ = membership.request(Request::History);
        }
        self.place = Some(Place { membership: Some(membership), outbox, outbox_ran_over: false, follower });
        self.beside = Some(Box::new(Beside::new(self.hub.clone(), self.arrival.room.clone(), &returned.member)));
        if returned.grants.admin {
            self.hub.tell_knocks(&self.arrival.room, &returned.member.id);
        }
        let media = returned.slots.is_some();
        let slots = returned.slots.unwrap_or_default();
        let (member, grants) = (returned.member, returned.grants);
        let accepted = self.session.accepted().to_vec();
        let resumed = Resumed { member, grants, ice_servers, media, slots, state, accepted };
        self.session.handle_resumed(Instant::now(), resumed);
    }
}
