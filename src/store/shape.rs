//! What is put into the store, and what comes out.

use std::sync::Arc;

use roundtable_protocol::chat::{ChatEntry, Reaction};
use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::{Event, MemberId, MessageId, RoomId};

use super::error::StoreError;

/// Called on the store's thread when a write is on the disk, or is not going to be. Keep it short: others wait behind it.
pub type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The callback of who does not want to know.
#[must_use]
pub fn forget() -> Then {
    Box::new(drop)
}

/// Events of one life of a room that are to be kept.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which room.
    pub room: RoomId,
    /// Which of its lives.
    pub epoch: u64,
    /// The events, numbered. One whose number is there already is left out.
    pub events: Vec<Arc<Event>>,
}

/// A chat message as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChat {
    /// In which life of the room it was written.
    pub epoch: u64,
    /// The message. One that was deleted keeps its id, number, time and writer, and has neither text nor name.
    pub message: ChatMessage,
    /// When it was last edited, in milliseconds since 1970 UTC.
    pub edited_at: Option<u64>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// What others made of it, in the order in which each came first.
    pub reactions: Vec<Reaction>,
}

impl From<StoredChat> for ChatEntry {
    fn from(stored: StoredChat) -> Self {
        let StoredChat { epoch, message, edited_at, deleted, reactions } = stored;
        Self { message, epoch, edited_at, deleted, reactions }
    }
}

impl StoredChat {
    /// What is left of a message whose text is gone.
    pub(super) fn tombstone(id: MessageId, seq: u64, at: u64, member: MemberId) -> ChatMessage {
        ChatMessage { id, seq, at, member, name: String::new(), text: String::new(), nonce: None }
    }
}

/// A room that nobody closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRoom {
    /// Which.
    pub room: RoomId,
    /// Which of its lives.
    pub epoch: u64,
    /// When that began, in milliseconds since 1970 UTC.
    pub opened_at: u64,
    /// The number of its last event, 0 before the first.
    pub last_seq: u64,
    /// The key that the room is one of.
    pub key: Option<String>,
}

/// A session that a client may come back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token that proves it; the token itself is never stored.
    pub token_hash: [u8; 32],
    /// In which room.
    pub room: RoomId,
    /// Whose.
    pub member: MemberId,
    /// What the owner of sessions wants to know again, as JSON.
    pub json: String,
}

/// A small thing with a name: a room's settings, an invite, a ban, an entry of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name among those of its kind.
    pub key: String,
    /// Changes with every write and only ever grows, also over a deletion.
    pub version: u64,
    /// When it goes by itself, in milliseconds since 1970 UTC.
    pub expires: Option<u64>,
    /// What it holds, as JSON.
    pub value: String,
}

/// What the store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Transactions that were committed.
    pub commits: u64,
    /// Events that were written.
    pub events: u64,
    /// Transactions that failed; most are tried again.
    pub failures: u64,
    /// Writes that were given up, and whose callbacks were told so.
    pub dropped: u64,
    /// Writes that were refused because the queue was full.
    pub refused: u64,
    /// Writes that wait now.
    pub waiting: u64,
}
