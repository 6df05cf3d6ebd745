//! What moderators and the server's operator do: one door for all of it.
//!
//! Whether a member may moderate says the home of its room at that moment. What goes beyond the life of an open room
//! (settings, bans, those who wait) is kept here in the hub.

use std::collections::BTreeMap;
use std::time::Instant;

use roundtable_protocol::event::{LeaveReason, MemberInfo};
use roundtable_protocol::limit::{MAX_CHAT_BYTES, MAX_REASON_CHARS};
use roundtable_protocol::moderation::{KnockEnd, ModerationAction, ModerationOutcome};
use roundtable_protocol::role::GrantsChange;
use roundtable_protocol::settings::{RoomSettings, SettingsChange};
use roundtable_protocol::{ErrorCode, MemberId, RoomId, ServerMessage};
use serde::{Deserialize, Serialize};

use super::bans::{BanError, BanRecord};
use super::secret::{number, secret};
use super::settings::{Expect, SettingsError, SettingsRecord};
use super::tickets::{self, Ticket};
use super::{Hub, HubError, now};
use crate::room::lobby::LobbyError;
use crate::room::member::Newcomer;
use crate::room::moderation::HostMute;
use crate::shard::deed::{Audience, Deed, DeedRefused, Done, KeptConnection, Person, PutOut};
use crate::shard::inbox::Command;

/// Why an action of a moderator was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModerationError {
    /// The room refused it.
    #[error(transparent)]
    Refused(#[from] DeedRefused),
    /// About those who wait.
    #[error(transparent)]
    Lobby(#[from] LobbyError),
    /// About a ban.
    #[error(transparent)]
    Ban(#[from] BanError),
    /// About the settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A member would send somebody into a room that it has no say in.
    #[error("who moderates this room has no say in the other one: only the server's operator moves people there")]
    OtherRoom,
    /// It is not well-formed.
    #[error("{0}")]
    Bad(String),
    /// The shard gave no answer.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl ModerationError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Lobby(error) => error.code(),
            Self::Ban(error) => error.code(),
            Self::Settings(error) => error.code(),
            Self::OtherRoom => ErrorCode::ModerationForbidden,
            Self::Bad(_) => ErrorCode::BadModeration,
            Self::Hub(error) => error.code(),
        }
    }
}

/// What the hub knows beyond the life of an open room, to be kept somewhere and restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How rooms are set up.
    pub settings: SettingsRecord,
    /// Who is banned from which.
    pub bans: BTreeMap<RoomId, Vec<BanRecord>>,
}

type Outcome = Result<ModerationOutcome, ModerationError>;

impl Hub {
    /// Does what a moderator wants: a member of the room, or the server's operator if `by` is nobody.
    ///
    /// # Errors
    /// [`ModerationError`]; nothing was done then.
    pub async fn moderate(&self, room: &RoomId, by: Option<&MemberId>, action: ModerationAction) -> Outcome {
        if by.is_some() {
            self.deed(room, by, Deed::Ask).await?;
        }
        match action {
            ModerationAction::SetPermissions { member, changes } => self.permit(room, by, member, changes).await,
            ModerationAction::Mute { track, muted, hold } => {
                self.count(room, by, Deed::Mute(track, HostMute::new(muted, hold))).await
            }
            ModerationAction::MuteAll { source, muted, hold } => {
                self.count(room, by, Deed::MuteAll(source, HostMute::new(muted, hold))).await
            }
            ModerationAction::Kick { member, message } => {
                let message = sentence(message, "a moderator put you out")?;
                let (before, code, reason) = (None, ErrorCode::Kicked, LeaveReason::Kicked);
                let out = PutOut { member, before, code, message, reason, keep: None };
                self.count(room, by, Deed::PutOut(Box::new(out))).await
            }
            ModerationAction::Ban { member, seconds, message } => self.ban(room, by, member, seconds, message).await,
            ModerationAction::Unban { ban } => {
                self.0.bans.lift(now().unix_ms, room, &ban)?;
                self.keep_bans(room);
                self.until_kept().await;
                Ok(ModerationOutcome::default())
            }
            ModerationAction::ListBans {} => {
                Ok(ModerationOutcome { bans: Some(self.bans(room)), ..ModerationOutcome::default() })
            }
            ModerationAction::Lock { locked } => {
                let changes = SettingsChange { locked: Some(locked), ..SettingsChange::default() };
                self.change_settings(room, None, Expect::Anything, (false, &changes))?;
                self.until_kept().await;
                Ok(ModerationOutcome::default())
            }
            ModerationAction::SetSettings { changes, version } => {
                let expect = version.map_or(Expect::Anything, Expect::Version);
                self.change_settings(room, None, expect, (false, &changes))?;
                self.until_kept().await;
                Ok(ModerationOutcome::default())
            }
            ModerationAction::Close { message } => {
                let message = message.map(|message| sentence(Some(message), "")).transpose()?;
                self.count(room, by, Deed::Close(message)).await
            }
            ModerationAction::Move { member, room: target } => self.move_on(room, by, member, target).await,
            ModerationAction::Message { member, text } => self.message(room, by, member, text).await,
            ModerationAction::ListKnocks {} => {
                Ok(ModerationOutcome { knocks: Some(self.knocks(room)), ..ModerationOutcome::default() })
            }
            ModerationAction::Admit { knock } => {
                self.end_knock(room, &knock, KnockEnd::Admitted, None)?;
                Ok(counted(1))
            }
            ModerationAction::AdmitAll {} => Ok(counted(self.admit_all(room))),
            ModerationAction::Deny { knock, message } => {
                let message = message.map(|message| sentence(Some(message), "")).transpose()?;
                self.end_knock(room, &knock, KnockEnd::Denied, message)?;
                Ok(counted(1))
            }
            _ => Err(ModerationError::Bad("this server does not know the action".into())),
        }
    }

    /// The bans of a room, oldest first.
    #[must_use]
    pub fn bans(&self, room: &RoomId) -> Vec<roundtable_protocol::moderation::Ban> {
        self.0.bans.list(now().unix_ms, room)
    }

    /// The settings of a room; those of version 0 if it was never set up.
    #[must_use]
    pub fn settings(&self, room: &RoomId) -> RoomSettings {
        self.0.settings.find(room).unwrap_or_default()
    }

    /// Changes the settings of a room, or with `afresh` replaces them, and tells the room if it is open. `by` is the key that
    /// whoever wants that owes it to: a room that it sets up is one of its rooms.
    ///
    /// # Errors
    /// [`SettingsError`]; nothing was changed then.
    pub fn change_settings(
        &self,
        room: &RoomId,
        by: Option<&str>,
        expect: Expect,
        (afresh, change): (bool, &SettingsChange),
    ) -> Result<RoomSettings, SettingsError> {
        let quota = self.quota(by);
        let permit = |set_up: &SettingsRecord| self.permit_set_up(set_up, room, (by, quota));
        let changed = self.0.settings.change(room, expect, (afresh, change), permit, |settings| {
            let Some(inbox) = self.inbox_of(room) else { return Ok(()) };
            self.send(inbox, Command::Settings { room: room.clone(), settings: settings.clone() })
        });
        if changed.is_ok() {
            self.keep_settings(room);
        }
        changed
    }

    /// Forgets how a room is set up and who is banned from it, and ends it. Returns whether there was such a room.
    ///
    /// # Errors
    /// [`SettingsError`]; nothing was changed then.
    pub fn delete_room(&self, room: &RoomId, expect: Expect) -> Result<bool, SettingsError> {
        let was_set_up = self.0.settings.remove(room, expect)?;
        self.0.bans.remove(room);
        self.keep_settings(room);
        self.keep_bans(room);
        let is_open = self.inbox_of(room).is_some();
        if !self.close_room(room) {
            return Err(HubError::Overloaded.into());
        }
        Ok(was_set_up || is_open)
    }

    /// What outlives open rooms.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept { settings: self.0.settings.record(), bans: self.0.bans.record() }
    }

    /// Puts back what was kept: settings of rooms that were not set up since, and all bans.
    pub fn restore(&self, kept: Kept) {
        self.0.settings.restore(kept.settings);
        self.0.bans.restore(kept.bans);
    }

    /// Whether a room is set up or open.
    #[must_use]
    pub fn has_room(&self, room: &RoomId) -> bool {
        self.0.settings.find(room).is_some() || self.inbox_of(room).is_some()
    }

    async fn permit(&self, room: &RoomId, by: Option<&MemberId>, member: MemberId, change: GrantsChange) -> Outcome {
        if let Some(limits) = &change.limits {
            limits.check().map_err(|bad| ModerationError::Bad(bad.to_string()))?;
        }
        let limits = change.limits.map(|limits| limits.or(self.0.config.limits));
        let change = GrantsChange { limits, ..change };
        let Done::Grants(grants) = self.deed(room, by, Deed::Permit(member.clone(), change)).await? else {
            return Err(HubError::Failed.into());
        };
        if grants.admin {
            self.tell_knocks(room, &member);
        }
        Ok(ModerationOutcome { grants: Some(grants), ..ModerationOutcome::default() })
    }

    async fn ban(
        &self,
        room: &RoomId,
        by: Option<&MemberId>,
        member: MemberId,
        seconds: Option<u32>,
        message: Option<String>,
    ) -> Outcome {
        let message = sentence(message, "a moderator has banned you from this room")?;
        let Person { info, origin, .. } = self.person(room, by, &member).await?;
        let id = secret("b").ok_or(HubError::Failed)?;
        let at = now().unix_ms;
        let until = seconds.map(|seconds| at.saturating_add(1_000 * u64::from(seconds)));
        // First, so that whoever is put out is not in again before.
        let ban = self.0.bans.add(at, room, id, (&info.name, &origin), until)?;
        self.keep_bans(room);
        let (before, code, reason) = (None, ErrorCode::Banned, LeaveReason::Kicked);
        let out = PutOut { member, before, code, message, reason, keep: None };
        match self.deed(room, by, Deed::PutOut(Box::new(out))).await {
            // Gone by itself meanwhile: banned all the same.
            Ok(_) | Err(ModerationError::Refused(DeedRefused::NoMember | DeedRefused::NoRoom)) => {}
            Err(error) => return Err(error),
        }
        self.until_kept().await;
        Ok(ModerationOutcome { bans: Some(vec![ban]), ..ModerationOutcome::default() })
    }

    async fn move_on(&self, room: &RoomId, by: Option<&MemberId>, member: MemberId, target: RoomId) -> Outcome {
        if target == *room {
            return Err(ModerationError::Bad("the member is in that room".into()));
        }
        if by.is_some() && self.0.authorise.as_ref().is_some_and(|hook| !hook.may_send_on(room, &target)) {
            return Err(ModerationError::OtherRoom);
        }
        let Person { info, grants, origin, shard } = self.person(room, by, &member).await?;
        let code = secret(tickets::PREFIX).ok_or(HubError::Failed)?;
        let number = number().ok_or(HubError::Failed)?;
        let connection = shard.map(|shard| KeptConnection { shard, number });
        let key = self.0.rooms.key_of(room).map(|key| key.to_string());
        let MemberInfo { name, metadata, attributes, .. } = info;
        let newcomer = Newcomer { name, identity: origin.identity.clone(), metadata, attributes };
        let ticket = Ticket { code: code.clone(), room: target.clone(), newcomer, grants, origin, key, connection };
        self.0.tickets.issue(Instant::now(), ticket);
        let expires_in_s = u32::try_from(tickets::LIFE.as_secs()).unwrap_or(u32::MAX);
        let before =
            Some(ServerMessage::Move { room: target, ticket: code, expires_in_s, media: connection.is_some() });
        let message = "a moderator sent you on to another room".into();
        let (code, reason, keep) = (ErrorCode::Moved, LeaveReason::Moved, connection.map(|kept| kept.number));
        let out = PutOut { member, before, code, message, reason, keep };
        self.count(room, by, Deed::PutOut(Box::new(out))).await
    }

    async fn message(&self, room: &RoomId, by: Option<&MemberId>, to: Option<MemberId>, text: String) -> Outcome {
        if text.trim().is_empty() || text.len() > MAX_CHAT_BYTES {
            return Err(ModerationError::Bad(format!("a message has 1 to {MAX_CHAT_BYTES} bytes")));
        }
        let audience = to.map_or(Audience::All, Audience::One);
        let notice = ServerMessage::Notice { from: by.cloned(), text };
        self.count(room, by, Deed::Tell(audience, notice)).await
    }

    async fn person(&self, room: &RoomId, by: Option<&MemberId>, member: &MemberId) -> Result<Person, ModerationError> {
        match self.deed(room, by, Deed::Find(member.clone())).await? {
            Done::Person(person) => Ok(*person),
            _ => Err(HubError::Failed.into()),
        }
    }

    async fn count(&self, room: &RoomId, by: Option<&MemberId>, deed: Deed) -> Outcome {
        Ok(match self.deed(room, by, deed).await? {
            Done::Count(count) => counted(count),
            _ => ModerationOutcome::default(),
        })
    }

    /// Has the home of a room do something.
    pub(super) async fn deed(&self, room: &RoomId, by: Option<&MemberId>, deed: Deed) -> Result<Done, ModerationError> {
        let inbox = self.inbox_of(room).ok_or(DeedRefused::NoRoom)?;
        let (room, by) = (room.clone(), by.cloned());
        Ok(self.ask(inbox, |reply| Command::Moderate { room, by, deed, reply }).await??)
    }
}

fn counted(count: usize) -> ModerationOutcome {
    ModerationOutcome { count: Some(u32::try_from(count).unwrap_or(u32::MAX)), ..ModerationOutcome::default() }
}

/// A moderator's own words, or the default ones.
fn sentence(given: Option<String>, default: &str) -> Result<String, ModerationError> {
    let sentence = given.unwrap_or_else(|| default.to_owned());
    if sentence.chars().count() > MAX_REASON_CHARS || sentence.chars().any(char::is_control) {
        let message = format!("a reason has at most {MAX_REASON_CHARS} characters and no line breaks");
        return Err(ModerationError::Bad(message));
    }
    Ok(sentence)
}
