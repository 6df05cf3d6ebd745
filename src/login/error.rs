//! Why somebody is not logged in.

use std::time::Duration;

use roundtable_protocol::ErrorCode;

/// Why somebody is not logged in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// There is no such user, or the password is not theirs; which of them is not told.
    #[error("the name or the password is wrong")]
    Refused,
    /// There were too many wrong passwords.
    #[error("too many wrong passwords; the next one is taken in {} s", .0.as_secs() + u64::from(.0.subsec_nanos() > 0))]
    TooMany(Duration),
    /// The identity provider cannot be asked, or does not vouch for them.
    #[error("the identity provider cannot be asked, or does not vouch for you")]
    Provider,
    /// Nothing is known of such a login in this browser.
    #[error("this login was begun too long ago or in another browser, or has been used")]
    Stale,
    /// Too many wait already.
    #[error("as many log in at this moment as can")]
    Busy,
}

impl LoginError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused => ErrorCode::LoginRefused,
            Self::TooMany(_) => ErrorCode::LoginRate,
            Self::Provider => ErrorCode::LoginProvider,
            Self::Stale => ErrorCode::LoginStale,
            Self::Busy => ErrorCode::Overloaded,
        }
    }
}
