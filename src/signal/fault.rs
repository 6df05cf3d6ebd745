//! What a message comes to before a session acts on it: a wish, or what is wrong with it.

use roundtable_protocol::ErrorCode;

/// A hello that may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinWish {
    /// The checked name.
    pub name: String,
    /// A token for the authorisation hook.
    pub token: Option<String>,
    /// Most seats wanted, already capped.
    pub max_seats: u16,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}
