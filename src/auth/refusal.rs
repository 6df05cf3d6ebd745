//! Why a token opens nothing.

use roundtable_protocol::ErrorCode;

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    #[error("this server wants a token")]
    Missing,
    /// It is none of this server's, or says what none may say.
    #[error("the token is refused: {0}")]
    Invalid(&'static str),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is for another room.
    #[error("the token is not for this room")]
    Room,
    /// It does not allow that.
    #[error("the token does not allow to {0}")]
    Grant(&'static str),
}

impl TokenError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::TokenMissing,
            Self::Invalid(_) => ErrorCode::TokenInvalid,
            Self::Expired => ErrorCode::TokenExpired,
            Self::Room => ErrorCode::TokenRoom,
            Self::Grant(_) => ErrorCode::TokenGrant,
        }
    }
}
