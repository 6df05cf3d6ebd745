//! What a token that was verified allows.

use std::collections::BTreeMap;
use std::time::Duration;

use roundtable_protocol::RoomId;
use roundtable_protocol::grant::Grants;

use super::claims::Claims;
use super::refusal::TokenError;

/// A token that was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// The key that signed it.
    pub key: String,
    /// Who its bearer is.
    pub identity: Option<String>,
    /// The name others see.
    pub name: Option<String>,
    /// What others may know of its bearer besides.
    pub metadata: Option<String>,
    /// The same by key.
    pub attributes: BTreeMap<String, String>,
    /// When it ends, since 1970 UTC.
    pub expires: Duration,
    /// The one room it is for; `None` for all, which is of use in the API only.
    pub room: Option<RoomId>,
    may_join: bool,
    may_create: bool,
    may_list: bool,
    grants: Grants,
}

impl Pass {
    pub(super) fn new(key: &str, expires: Duration, room: Option<RoomId>, claims: Claims) -> Self {
        let grants = claims.grants();
        let video = claims.video.unwrap_or_default();
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            key: key.to_owned(),
            identity: text(claims.sub),
            name: text(claims.name),
            metadata: text(claims.metadata),
            attributes: claims.attributes.unwrap_or_default(),
            expires,
            room,
            may_join: video.room_join.unwrap_or(claims.role.is_some()),
            may_create: video.room_create.unwrap_or(false),
            may_list: video.room_list.unwrap_or(false),
            grants,
        }
    }

    /// What the bearer may do in a room it enters.
    ///
    /// # Errors
    /// [`TokenError::Room`] if the token is for another room or for none, [`TokenError::Grant`] if it is for no entry, and
    /// [`TokenError::Invalid`] if it does not say whose it is.
    pub fn entry(&self, room: &RoomId) -> Result<Grants, TokenError> {
        if self.room.as_ref() != Some(room) {
            return Err(TokenError::Room);
        }
        if !self.may_join {
            return Err(TokenError::Grant("enter the room"));
        }
        if self.identity.is_none() {
            return Err(TokenError::Invalid("it has no sub, which says whose it is"));
        }
        Ok(self.grants.clone())
    }

    /// Whether the bearer may moderate the room by the API.
    ///
    /// # Errors
    /// [`TokenError::Room`] and [`TokenError::Grant`].
    pub fn admin(&self, room: &RoomId) -> Result<(), TokenError> {
        if self.room.as_ref().is_some_and(|own| own != room) {
            return Err(TokenError::Room);
        }
        if self.grants.admin { Ok(()) } else { Err(TokenError::Grant("moderate the room")) }
    }

    /// Whether the bearer may see what is in the room: who may enter it may, and who moderates it.
    ///
    /// # Errors
    /// As [`Pass::admin`].
    pub fn read(&self, room: &RoomId) -> Result<(), TokenError> {
        if self.entry(room).is_ok() { Ok(()) } else { self.admin(room) }
    }

    /// Whether the bearer may see which rooms there are.
    ///
    /// # Errors
    /// [`TokenError::Grant`].
    pub fn list(&self) -> Result<(), TokenError> {
        if self.may_list || self.is_admin_of_all() { Ok(()) } else { Err(TokenError::Grant("list rooms")) }
    }

    /// Whether the bearer may open rooms.
    ///
    /// # Errors
    /// [`TokenError::Grant`].
    pub fn create(&self) -> Result<(), TokenError> {
        if self.may_create || self.is_admin_of_all() { Ok(()) } else { Err(TokenError::Grant("open rooms")) }
    }

    /// Whether the bearer may do everything.
    ///
    /// # Errors
    /// [`TokenError::Grant`].
    pub fn all(&self) -> Result<(), TokenError> {
        if self.is_admin_of_all() { Ok(()) } else { Err(TokenError::Grant("do this, which is not about one room")) }
    }

    fn is_admin_of_all(&self) -> bool {
        self.room.is_none() && self.grants.admin
    }
}
