//! What a message comes to before a session acts on it: a wish, or what is wrong with it.

use roundtable_protocol::{ErrorCode, MemberId};

use crate::shard::inbox::ResumeSecret;

/// A hello that may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinWish {
    /// The checked name.
    pub name: String,
    /// A token for the authorisation hook.
    pub token: Option<String>,
    /// Most seats wanted, already capped.
    pub max_seats: u16,
    /// What to go on with, if that is still there.
    pub resume: Option<ResumeWish>,
    /// Whether it wants to go on with the peer connection it had in the room before.
    pub media: bool,
}

/// What a client that comes back says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeWish {
    /// The life of the room that it knows.
    pub epoch: u64,
    /// The last event it has.
    pub seq: u64,
    /// Who it is.
    pub member: MemberId,
    /// What proves it.
    pub secret: ResumeSecret,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}
