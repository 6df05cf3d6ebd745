//! The hook that decides who may enter: the embedding application's, or the one that reads tokens.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtable_protocol::{ErrorCode, Grants, RoomId};

use crate::auth::{Authority, Pass, TokenError};

/// An answer to come.
pub type Authorising<'a> = Pin<Box<dyn Future<Output = Result<Authorised, Denied>> + Send + 'a>>;

/// Decides who may enter which room and what they may do there.
pub trait Authorize: Send + Sync + 'static {
    /// Is asked at each hello, before anything is done for it. It is given up after
    /// `HubConfig::authorise_timeout`.
    fn authorise<'a>(&'a self, room: &'a RoomId, name: &'a str, token: Option<&'a str>) -> Authorising<'a>;

    /// Whether who moderates one room may send its people on into another, with what they may do there and past its lock
    /// and lobby. Nobody may unless you say so; the server's operator always may.
    fn may_send_on(&self, _from: &RoomId, _into: &RoomId) -> bool {
        false
    }

    /// How many rooms there may be of a key, if that is another figure than `limits.rooms_per_key` of the configuration.
    fn max_rooms(&self, _key: &str) -> Option<u32> {
        None
    }
}

/// A yes: what somebody may do, and who they are. [`From<Grants>`] makes one that says nothing of the latter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorised {
    /// What they may do.
    pub grants: Grants,
    /// Who they are to you, at most 128 bytes; others see it.
    pub identity: Option<String>,
    /// The name others see instead of the one they chose.
    pub name: Option<String>,
    /// What others may know of them besides, at most 4 KiB.
    pub metadata: Option<String>,
    /// The same by key: at most 64 of them and 4 KiB in all, keys of at most 64 bytes.
    pub attributes: BTreeMap<String, String>,
    /// The key they owe it to, or whatever you count rooms by: a room that they open is one of its rooms.
    pub key: Option<String>,
    /// When what they proved themselves with ends, since 1970 UTC. Whoever is in by then stays.
    pub expires: Option<Duration>,
}

impl From<Grants> for Authorised {
    fn from(grants: Grants) -> Self {
        Self { grants, ..Self::default() }
    }
}

/// A no, with what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denied {
    /// The stable word, mostly [`ErrorCode::Forbidden`].
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

impl Denied {
    /// A refusal with `hello/forbidden`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Forbidden, message: message.into() }
    }
}

impl From<TokenError> for Denied {
    fn from(error: TokenError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

/// Reads tokens: the hook of a server that has keys.
impl Authorize for Authority {
    fn authorise<'a>(&'a self, room: &'a RoomId, _name: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        Box::pin(std::future::ready(enter(self, room, token)))
    }

    fn max_rooms(&self, key: &str) -> Option<u32> {
        Self::max_rooms(self, key)
    }
}

fn enter(authority: &Authority, room: &RoomId, token: Option<&str>) -> Result<Authorised, Denied> {
    let Some(token) = token else {
        return if authority.lets_guests_in() { Ok(Grants::ALL.into()) } else { Err(TokenError::Missing.into()) };
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let pass = authority.verify(now, token)?;
    let grants = pass.entry(room)?;
    let (key, expires) = (Some(pass.key.clone()), Some(pass.expires));
    let Pass { identity, name, metadata, attributes, .. } = pass;
    Ok(Authorised { grants, identity, name, metadata, attributes, key, expires })
}
