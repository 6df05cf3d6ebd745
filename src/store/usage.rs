//! How many bytes of chat are kept: of each room, and of all rooms of a key.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::sql::number;

/// Whose chat something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    room: String,
    /// The key that the room was one of in that life of it.
    key: Option<String>,
}

impl Owner {
    /// Whose the chat of a life of a room is.
    pub(super) fn find(connection: &Connection, room: &str, epoch: i64) -> rusqlite::Result<Self> {
        let sql = "SELECT key FROM rooms WHERE room = ? AND epoch = ?";
        let key = connection.prepare_cached(sql)?.query_row(params![room, epoch], |row| row.get(0)).optional()?;
        Ok(Self { room: room.to_owned(), key: key.flatten() })
    }
}

/// Bytes of the places that messages lie in. Bounded by what lies on the disk: who keeps nothing is in neither table.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rooms: HashMap<String, u64>,
    keys: HashMap<String, u64>,
}

impl Usage {
    /// Counts what is there.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT chat.room, rooms.key, sum(length(shelf.body)) FROM chat JOIN shelf ON shelf.place = chat.place
             LEFT JOIN rooms ON rooms.room = chat.room AND rooms.epoch = chat.epoch GROUP BY chat.room, rooms.key",
        )?;
        let mut rows = statement.query([])?;
        let usage = Self::default();
        while let Some(row) = rows.next()? {
            let owner = Owner { room: row.get(0)?, key: row.get(1)? };
            usage.change(&owner, i64::try_from(number(row, 2)?).unwrap_or(i64::MAX));
        }
        Ok(usage)
    }

    /// Notes that somebody has so many bytes more, or fewer.
    pub(super) fn change(&self, owner: &Owner, bytes: i64) {
        let mut kept = self.lock();
        change(&mut kept.rooms, &owner.room, bytes);
        if let Some(key) = &owner.key {
            change(&mut kept.keys, key, bytes);
        }
    }

    /// Bytes of a room.
    pub(super) fn of_room(&self, room: &str) -> u64 {
        self.lock().rooms.get(room).copied().unwrap_or(0)
    }

    /// Bytes of all rooms of a key.
    pub(super) fn of_key(&self, key: &str) -> u64 {
        self.lock().keys.get(key).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change is complete before anything that could panic runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(table: &mut HashMap<String, u64>, name: &str, bytes: i64) {
    let now = table.get(name).copied().unwrap_or(0).saturating_add_signed(bytes);
    if now == 0 {
        table.remove(name);
    } else {
        table.insert(name.to_owned(), now);
    }
}
