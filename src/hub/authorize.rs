//! The hook by which an embedding application decides who may enter.

use std::future::Future;
use std::pin::Pin;

use roundtable_protocol::{ErrorCode, Grants, RoomId};

/// An answer to come.
pub type Authorising<'a> = Pin<Box<dyn Future<Output = Result<Grants, Denied>> + Send + 'a>>;

/// Decides who may enter which room and what they may do there.
pub trait Authorize: Send + Sync + 'static {
    /// Is asked at each hello, before anything is done for it. It is given up after
    /// `HubConfig::authorise_timeout`.
    fn authorise<'a>(&'a self, room: &'a RoomId, name: &'a str, token: Option<&'a str>) -> Authorising<'a>;
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
