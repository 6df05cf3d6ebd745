//! Where the store lies, how large it may become, and for how long it keeps what.

use std::path::PathBuf;
use std::time::Duration;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The directory of its files, made when it is not there. No two processes may share it.
    pub directory: PathBuf,
    /// Room events that are kept, per room, unless the room says otherwise.
    pub events: Retention,
    /// Chat messages that are kept, per room, unless the room says otherwise.
    pub chat: Retention,
    /// Bytes of chat that are kept of one room at most; then [`Store::takes_chat`] says no until some goes.
    ///
    /// [`Store::takes_chat`]: super::Store::takes_chat
    pub max_chat_bytes_of_room: u64,
    /// The same of all rooms of one key; bounded by `max_bytes` only if there is none.
    pub max_chat_bytes_of_key: Option<u64>,
    /// How large the database may become, in bytes. Writes fail with `store/no-room` at that size, until something is
    /// pruned.
    pub max_bytes: u64,
}

impl StoreConfig {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            events: Retention { max_count: 20_000, max_age: DAY },
            chat: Retention { max_count: 10_000, max_age: DAY },
            max_chat_bytes_of_room: MAX_CHAT_BYTES_OF_ROOM,
            max_chat_bytes_of_key: None,
            max_bytes: 1 << 30,
        }
    }
}

/// How much of something is kept: what is beyond either figure goes within about a minute, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many.
    pub max_count: u64,
    /// For how long.
    pub max_age: Duration,
}

impl Retention {
    /// Whether nothing is kept beyond the life of the room. Of chat, up to 10,000 messages are kept until it is over.
    #[must_use]
    pub fn is_for_life(self) -> bool {
        self.max_count == 0 || self.max_age.is_zero()
    }
}

/// What one room keeps differently from the server's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomRetention {
    /// Its events.
    pub events: Option<Retention>,
    /// Its chat messages.
    pub chat: Option<Retention>,
}

/// Bytes of chat that are kept of one room at most, unless told otherwise: an eighth of the database.
pub const MAX_CHAT_BYTES_OF_ROOM: u64 = 128 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
