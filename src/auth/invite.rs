//! Invitations: short codes that are exchanged for a token, as often and for as long as their maker said.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use roundtable_protocol::name::check_name;
use roundtable_protocol::{ErrorCode, Role, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CODE_BYTES, code};
use crate::store::{Store, StoreError, forget};

/// Invitations at once. One more takes the place of those that are over; if there is none, it is refused.
pub const MAX_INVITES: usize = 10_000;
/// The longest an invitation may live.
pub const MAX_INVITE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long one lives unless its maker says otherwise.
const INVITE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The most often that an invitation may be used.
pub const MAX_INVITE_USES: u32 = 1_000_000;

/// One invitation, as it is listed and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// The code.
    pub code: String,
    /// The room it leads to.
    pub room: RoomId,
    /// What whoever comes by it may do.
    pub role: Role,
    /// The name of whoever comes by it and gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends, in seconds since 1970 UTC.
    pub expires_at: u64,
    /// How often it may be used; as often as one likes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// How often it was.
    pub uses: u32,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What an invitation is to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InviteWish {
    /// What whoever comes by it may do.
    #[serde(default = "speaker")]
    pub role: Role,
    /// For how many seconds it is good: a day unless given, at most 30.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// How often it may be used.
    #[serde(default)]
    pub max_uses: Option<u32>,
    /// The name of whoever comes by it and gives none.
    #[serde(default)]
    pub name: Option<String>,
}

fn speaker() -> Role {
    Role::Speaker
}

/// Why an invitation is not made, or not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// There is none of this code.
    #[error("there is no such invitation")]
    Unknown,
    /// Its time is over.
    #[error("the invitation has expired")]
    Expired,
    /// It was used as often as it may be.
    #[error("the invitation has been used as often as it may be")]
    Used,
    /// It was revoked.
    #[error("the invitation has been revoked")]
    Revoked,
    /// It is to be what none can be.
    #[error(
        "an invitation is good for 1 second to 30 days and 1 to {MAX_INVITE_USES} uses, and its name obeys the rules of names"
    )]
    Bad,
    /// There are as many as may be.
    #[error("there are {MAX_INVITES} invitations; revoke some")]
    TooMany,
}

impl InviteError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::InviteUnknown,
            Self::Expired => ErrorCode::InviteExpired,
            Self::Used => ErrorCode::InviteUsed,
            Self::Revoked => ErrorCode::InviteRevoked,
            Self::Bad => ErrorCode::BadInvite,
            Self::TooMany => ErrorCode::TooManyInvites,
        }
    }
}

impl Invite {
    /// Whether it can be followed at the time `now` since 1970 UTC.
    ///
    /// # Errors
    /// [`InviteError`] says why not.
    pub(super) fn check(&self, now: Duration) -> Result<(), InviteError> {
        if self.revoked {
            Err(InviteError::Revoked)
        } else if Duration::from_secs(self.expires_at) <= now {
            Err(InviteError::Expired)
        } else if self.max_uses.is_some_and(|most| self.uses >= most) {
            Err(InviteError::Used)
        } else {
            Ok(())
        }
    }
}

/// The kind of the store's records that invitations are.
const KIND: &str = "invite";

/// All invitations of a server, at most [`MAX_INVITES`]. They are in memory, and in a store if [`Invites::keep_in`] was
/// called; [`Invites::snapshot`] and [`Invites::restore`] are for whoever keeps them elsewhere.
#[derive(Debug, Default)]
pub struct Invites {
    invites: Mutex<HashMap<String, Invite>>,
    store: OnceLock<Store>,
}

impl Invites {
    /// Takes those that a store has, and keeps all in it from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn keep_in(&self, store: &Store) -> Result<(), StoreError> {
        let kept = store.records(KIND)?;
        self.restore(kept.into_iter().filter_map(|record| serde_json::from_str(&record.value).ok()));
        // A second store is none: this is called once.
        let _ = self.store.set(store.clone());
        Ok(())
    }

    /// What the store does not take is counted there, and forgotten when the process ends.
    fn keep(&self, invite: &Invite) {
        if let (Some(store), Ok(json)) = (self.store.get(), serde_json::to_string(invite)) {
            let expires = invite.expires_at.saturating_mul(1_000);
            let _ = store.put_record(KIND, &invite.code, json, Some(expires), forget());
        }
    }

    /// Makes an invitation at the time `now` since 1970 UTC.
    ///
    /// # Errors
    /// [`InviteError::Bad`] and [`InviteError::TooMany`].
    pub fn create(
        &self,
        now: Duration,
        random: [u8; CODE_BYTES],
        room: RoomId,
        wish: InviteWish,
    ) -> Result<Invite, InviteError> {
        let life = wish.expires_in.map_or(INVITE_LIFE, Duration::from_secs);
        let is_name = wish.name.as_ref().is_none_or(|name| check_name(name).is_ok());
        let is_count = wish.max_uses.is_none_or(|uses| (1..=MAX_INVITE_USES).contains(&uses));
        if life.is_zero() || life > MAX_INVITE_LIFE || !is_name || !is_count {
            return Err(InviteError::Bad);
        }
        let mut invites = self.lock();
        if invites.len() >= MAX_INVITES {
            invites.retain(|_, invite| invite.check(now).is_ok());
        }
        if invites.len() >= MAX_INVITES {
            return Err(InviteError::TooMany);
        }
        let invite = Invite {
            code: code(random),
            room,
            role: wish.role,
            name: wish.name,
            expires_at: now.saturating_add(life).as_secs(),
            max_uses: wish.max_uses,
            uses: 0,
            revoked: false,
        };
        invites.insert(invite.code.clone(), invite.clone());
        self.keep(&invite);
        Ok(invite)
    }

    /// Follows an invitation, which counts.
    ///
    /// # Errors
    /// [`InviteError`] says why that cannot be.
    pub fn follow(&self, now: Duration, code: &str) -> Result<Invite, InviteError> {
        let mut invites = self.lock();
        let invite = invites.get_mut(code).ok_or(InviteError::Unknown)?;
        invite.check(now)?;
        invite.uses = invite.uses.saturating_add(1);
        self.keep(invite);
        Ok(invite.clone())
    }

    /// Revokes an invitation to a room. Its code stays known, so that whoever follows it is told.
    ///
    /// # Errors
    /// [`InviteError::Unknown`] if there is none of this code to that room.
    pub fn revoke(&self, room: &RoomId, code: &str) -> Result<(), InviteError> {
        let mut invites = self.lock();
        let invite = invites.get_mut(code).filter(|invite| invite.room == *room).ok_or(InviteError::Unknown)?;
        invite.revoked = true;
        self.keep(invite);
        Ok(())
    }

    /// The invitations to a room that can be followed at the time `now` since 1970 UTC, the first to end first.
    #[must_use]
    pub fn of(&self, now: Duration, room: &RoomId) -> Vec<Invite> {
        let invites = self.lock();
        let open = invites.values().filter(|invite| invite.room == *room && invite.check(now).is_ok());
        let mut open: Vec<Invite> = open.cloned().collect();
        open.sort_by(|a, b| (a.expires_at, &a.code).cmp(&(b.expires_at, &b.code)));
        open
    }

    /// All that is to be kept.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Invite> {
        self.lock().values().cloned().collect()
    }

    /// Puts what was kept back, at most [`MAX_INVITES`]; what is here of the same code gives way.
    pub fn restore(&self, kept: impl IntoIterator<Item = Invite>) {
        let mut invites = self.lock();
        for invite in kept.into_iter().take(MAX_INVITES) {
            if invites.len() < MAX_INVITES || invites.contains_key(&invite.code) {
                invites.insert(invite.code.clone(), invite);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Invite>> {
        self.invites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn wish() -> InviteWish {
        InviteWish { role: Role::Speaker, expires_in: Some(60), max_uses: Some(2), name: None }
    }

    fn random(n: usize) -> [u8; CODE_BYTES] {
        let mut bytes = [0; CODE_BYTES];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        bytes
    }

    fn room() -> RoomId {
        RoomId::new("r").unwrap()
    }

    #[test]
    fn an_invitation_is_counted_and_ends() {
        let invites = Invites::default();
        let code = invites.create(NOW, random(1), room(), wish()).unwrap().code;
        assert!(code.len() * 6 >= 80, "nobody guesses it");
        assert_eq!(invites.follow(NOW, &code).map(|invite| invite.uses), Ok(1));
        assert_eq!(invites.follow(NOW, &code).map(|invite| invite.uses), Ok(2));
        assert_eq!(invites.follow(NOW, &code), Err(InviteError::Used));
        let other = invites.create(NOW, random(2), room(), InviteWish { max_uses: None, ..wish() }).unwrap().code;
        assert!(invites.follow(NOW + Duration::from_secs(59), &other).is_ok());
        assert_eq!(invites.follow(NOW + Duration::from_secs(60), &other), Err(InviteError::Expired));
        assert_eq!(invites.follow(NOW, "nonsense"), Err(InviteError::Unknown));
    }

    #[test]
    fn a_revoked_invitation_says_so_and_is_listed_no_more() {
        let invites = Invites::default();
        let code = invites.create(NOW, random(1), room(), wish()).unwrap().code;
        assert_eq!(invites.of(NOW, &room()).len(), 1);
        let elsewhere = RoomId::new("elsewhere").unwrap();
        assert_eq!(invites.revoke(&elsewhere, &code), Err(InviteError::Unknown), "only who moderates its room");
        assert!(invites.of(NOW, &elsewhere).is_empty());
        invites.revoke(&room(), &code).unwrap();
        assert_eq!(invites.follow(NOW, &code), Err(InviteError::Revoked));
        assert!(invites.of(NOW, &room()).is_empty());
    }

    #[test]
    fn what_none_can_be_is_refused() {
        let invites = Invites::default();
        for bad in [
            InviteWish { expires_in: Some(0), ..wish() },
            InviteWish { expires_in: Some(30 * 24 * 3600 + 1), ..wish() },
            InviteWish { max_uses: Some(0), ..wish() },
            InviteWish { name: Some("\n".into()), ..wish() },
        ] {
            assert_eq!(invites.create(NOW, random(1), room(), bad), Err(InviteError::Bad));
        }
    }

    #[test]
    fn those_that_are_over_make_place_when_there_are_too_many() {
        let invites = Invites::default();
        for n in 0..MAX_INVITES {
            invites.create(NOW, random(n), room(), wish()).unwrap();
        }
        assert_eq!(invites.create(NOW, random(MAX_INVITES), room(), wish()), Err(InviteError::TooMany));
        let code = code(random(7));
        invites.revoke(&room(), &code).unwrap();
        assert!(invites.create(NOW, random(MAX_INVITES), room(), wish()).is_ok());
        assert_eq!(invites.follow(NOW, &code), Err(InviteError::Unknown));
    }

    #[test]
    fn what_was_kept_can_be_put_back() {
        let invites = Invites::default();
        let code = invites.create(NOW, random(1), room(), wish()).unwrap().code;
        invites.follow(NOW, &code).unwrap();
        let kept = serde_json::to_string(&invites.snapshot()).unwrap();
        let again = Invites::default();
        again.restore(serde_json::from_str::<Vec<Invite>>(&kept).unwrap());
        assert_eq!(again.follow(NOW, &code).map(|invite| invite.uses), Ok(2));
        assert_eq!(again.follow(NOW, &code), Err(InviteError::Used), "its uses were kept");
    }
}
