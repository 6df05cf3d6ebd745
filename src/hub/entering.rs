//! Letting people in: who may, into which room, on which shard; and back in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtable_protocol::limit::{MAX_IDENTITY_BYTES, MAX_METADATA_BYTES};
use roundtable_protocol::member::check_attributes;
use roundtable_protocol::{Grants, RoomId};
use tokio::sync::oneshot;

use super::asking::HubError;
use super::authorize::{Authorised, Denied};
use super::entry::{Admission, Comeback, JoinError, JoinRequest, Pass, ResumeRequest};
use super::membership::{Membership, Reply};
use super::rooms::Claim;
use super::{Hub, now, tickets};
use crate::room::member::Newcomer;
use crate::shard::deed::Origin;
use crate::shard::inbox::{Command, Inbox, Join, JoinRefused, Joined, Resume};

/// Joins that are tried again because the room ended just before; each try opens a fresh one.
const JOIN_TRIES: u32 = 3;

impl Hub {
    /// Finds out whether somebody may enter a room, and whether they must wait to be let in.
    ///
    /// # Errors
    /// [`JoinError`] says why not.
    pub async fn check(&self, room: &RoomId, request: &JoinRequest) -> Result<Pass, JoinError> {
        let mut origin = Origin { identity: None, address: request.address };
        let ticket = request.token.as_deref().filter(|token| token.starts_with(tickets::PREFIX));
        let mut newcomer = Newcomer::from(request.name.clone());
        let by_key;
        let mut connection = None;
        let grants = match ticket {
            None => {
                let Authorised { grants, identity, name, metadata, attributes, key, .. } =
                    self.authorise(room, request).await?;
                origin.identity.clone_from(&identity);
                newcomer = Newcomer { name: name.unwrap_or(newcomer.name), identity, metadata, attributes };
                newcomer.attributes.retain(|_, value| !value.is_empty());
                by_key = key;
                grants
            }
            Some(code) => {
                let ticket = self.0.tickets.redeem(Instant::now(), code, room, &request.name);
                let ticket = ticket.ok_or(JoinError::BadTicket)?;
                origin = ticket.origin;
                newcomer = ticket.newcomer;
                by_key = ticket.key;
                connection = ticket.connection.filter(|_| request.media);
                ticket.grants
            }
        };
        if let Some(fault) = too_long(&newcomer) {
            return Err(JoinError::Denied(fault));
        }
        let grants = Grants { limits: grants.limits.or(self.0.config.limits), ..grants };
        let at = now().unix_ms;
        if let Some(ban) = self.0.bans.find(at, room, &newcomer.name, &origin) {
            return Err(JoinError::Banned { ends_in_ms: ban.until.map(|until| until.saturating_sub(at)) });
        }
        let settings = self.settings(room);
        if let Some(opens_in_ms) = settings.not_before.and_then(|from| from.checked_sub(at)).filter(|ms| *ms > 0) {
            return Err(JoinError::NotOpenYet { opens_in_ms });
        }
        if settings.expires_at.is_some_and(|until| until <= at) {
            return Err(JoinError::Expired);
        }
        let is_expected = grants.admin || ticket.is_some();
        if settings.locked && !is_expected {
            return Err(JoinError::Locked);
        }
        let waits = settings.lobby.unwrap_or(self.0.config.lobby) && !is_expected;
        Ok(Pass { newcomer, grants, origin, waits, connection, key: by_key })
    }

    /// Lets somebody into a room, opening it if need be, who has a pass and has waited if it says so.
    ///
    /// # Errors
    /// [`JoinError`] says why not.
    pub async fn enter_with(&self, room: &RoomId, request: JoinRequest, pass: Pass) -> Result<Admission, JoinError> {
        for _ in 0..JOIN_TRIES {
            match self.try_join(room, &request, &pass).await? {
                Ok(admission) => {
                    self.handle_entered(room, &admission);
                    return Ok(admission);
                }
                Err(JoinRefused::JournalClosed) => {}
                Err(JoinRefused::RoomFull(members)) => return Err(JoinError::RoomFull(members)),
                Err(JoinRefused::Stopping) => return Err(HubError::Stopping.into()),
            }
        }
        Err(JoinError::RoomClosed)
    }

    /// Lets a member that has lost its socket go on over another one. `None` if there is no such member (any more).
    ///
    /// # Errors
    /// [`HubError`] when its shard does not answer.
    pub async fn resume(&self, room: &RoomId, request: ResumeRequest) -> Result<Option<Comeback>, HubError> {
        let Some(inbox) = self.inbox_of(room) else { return Ok(None) };
        let ResumeRequest { epoch, member, secret, outbox } = request;
        let room = room.clone();
        let resume = |reply| Command::Resume(Resume { room: room.clone(), epoch, member, secret, outbox, reply });
        let returned = self.ask(inbox, resume).await?;
        Ok(returned.map(|returned| {
            let member = returned.member.id.clone();
            let ice_servers = (self.0.ice)(&member);
            let membership = Membership::new(inbox.clone(), room, member, returned.session);
            Comeback { returned, ice_servers, membership }
        }))
    }

    /// For how long the place of a member is kept whose socket is lost; zero for not at all.
    #[must_use]
    pub fn resume_within(&self) -> Duration {
        self.0.config.resume_within
    }

    /// Somebody is in: what they are to know besides.
    fn handle_entered(&self, room: &RoomId, admission: &Admission) {
        // The settings may have changed between the look at them and the opening of the room; it knows which are later.
        if let (Some(settings), Some(inbox)) = (self.0.settings.find(room), self.inbox_of(room)) {
            let told = self.send(inbox, Command::Settings { room: room.clone(), settings });
            if told.is_err() {
                tracing::warn!(%room, "the room could not be told how it is set up");
            }
        }
        if admission.grants.admin {
            self.tell_knocks(room, &admission.joined.member.id);
        }
    }

    async fn authorise(&self, room: &RoomId, request: &JoinRequest) -> Result<Authorised, JoinError> {
        if self.is_stopping() {
            return Err(HubError::Stopping.into());
        }
        let Some(hook) = &self.0.authorise else {
            return Ok(self.settings(room).default_role.map_or(Grants::ALL, Grants::of).into());
        };
        let answer = hook.authorise(room, &request.name, request.token.as_deref());
        tokio::select! {
            answer = tokio::time::timeout(self.0.config.authorise_timeout, answer) => match answer {
                Ok(answer) => answer.map_err(JoinError::Denied),
                Err(_) => Err(JoinError::AuthoriseTimeout),
            },
            () = self.stopped() => Err(HubError::Stopping.into()),
        }
    }

    async fn try_join(
        &self,
        room: &RoomId,
        request: &JoinRequest,
        pass: &Pass,
    ) -> Result<Result<Admission, JoinRefused>, JoinError> {
        if self.is_draining() && self.0.rooms.shard_of(room).is_none() {
            return Err(HubError::Stopping.into());
        }
        let claim = self.claim(room, pass.key.as_deref())?;
        let Some(inbox) = self.0.inboxes.get(claim.shard()) else { return Err(HubError::Failed.into()) };
        let (sender, receiver) = oneshot::channel();
        let settings = self.0.settings.find(room);
        let most = settings.as_ref().and_then(|settings| settings.max_members).unwrap_or(u32::MAX);
        let grants = pass.grants.clone();
        let join = Join {
            room: room.clone(),
            journal: Arc::clone(claim.journal()),
            opened_by: claim.key().map(ToString::to_string),
            newcomer: pass.newcomer.clone(),
            grants: grants.clone(),
            origin: pass.origin.clone(),
            settings,
            max_seats: request.max_seats.min(self.0.config.max_seats),
            max_members: self.0.config.max_members_per_room.min(usize::try_from(most).unwrap_or(usize::MAX)),
            voice_slots: self.0.config.voice_slots,
            resume_within: self.0.config.resume_within,
            connection: pass.connection,
            outbox: request.outbox.clone(),
            reply: sender,
        };
        if let Err(error) = self.send(inbox, Command::Join(Box::new(join))) {
            claim.settle();
            return Err(error.into());
        }
        let reply = Reply::new(receiver, inbox.clone(), room.clone());
        let answer = reply.wait(self.0.config.reply_timeout).await;
        if let Ok(Ok(joined)) = &answer {
            // A disk that is slow delays who comes, but nobody for ever.
            let _ = tokio::time::timeout(self.0.config.reply_timeout, joined.journal.shown(joined.seq)).await;
        }
        Ok(self.settle(claim, inbox, grants, answer)?)
    }

    /// Ends one try; the claim of a join without an answer stays, because the shard may yet open the room.
    fn settle(
        &self,
        claim: Claim,
        inbox: &Inbox,
        grants: Grants,
        answer: Result<Result<Joined, JoinRefused>, HubError>,
    ) -> Result<Result<Admission, JoinRefused>, HubError> {
        let joined = match answer {
            Ok(Ok(joined)) => joined,
            Ok(Err(refused)) => {
                claim.settle();
                return Ok(Err(refused));
            }
            Err(HubError::Failed | HubError::Stopping) => {
                claim.settle();
                return Err(self.gone());
            }
            Err(HubError::Overloaded) => return Err(HubError::Overloaded),
        };
        let room = claim.journal().room().clone();
        claim.settle();
        let ice_servers = (self.0.ice)(&joined.member.id);
        let membership = Membership::new(inbox.clone(), room, joined.member.id.clone(), joined.session);
        Ok(Ok(Admission { joined, grants, ice_servers, membership }))
    }
}

/// What the hook says of somebody goes to everybody, so that it is bounded.
fn too_long(newcomer: &Newcomer) -> Option<Denied> {
    let longer = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.len() > most);
    if longer(&newcomer.identity, MAX_IDENTITY_BYTES) {
        return Some(Denied::forbidden(format!("the identity is longer than {MAX_IDENTITY_BYTES} bytes")));
    }
    if longer(&newcomer.metadata, MAX_METADATA_BYTES) {
        return Some(Denied::forbidden(format!("the metadata is longer than {MAX_METADATA_BYTES} bytes")));
    }
    check_attributes(&newcomer.attributes).err().map(|bad| Denied::forbidden(bad.to_string()))
}
