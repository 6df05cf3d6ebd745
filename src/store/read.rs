//! Reading: on connections of its own, beside the writing one.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::{Event, EventBody, MessageId, RoomId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chat;
use super::error::{OpenError, StoreError};
use super::file;
use super::shape::{OpenRoom, Record, Session, StoredChat};
use super::shelf::words;
use super::sql::{from_json, id, int, maybe_number, number};

/// Connections for reading: so many reads go on at once, others wait for one of them.
const READERS: usize = 2;

/// Held by each reader while it reads, and by the writer while it cuts the log, which no reader may use then.
pub(super) type Gate = Arc<RwLock<()>>;

/// The connections; none after the store was closed.
pub(super) struct Readers {
    connections: [Mutex<Option<Connection>>; READERS],
    next: AtomicUsize,
    gate: Gate,
}

impl Readers {
    /// Opens them.
    pub(super) fn open(database: &Path, gate: Gate) -> Result<Self, OpenError> {
        let open = || file::open_reader(database).map(|connection| Mutex::new(Some(connection)));
        Ok(Self { connections: [open()?, open()?], next: AtomicUsize::new(0), gate })
    }

    /// Closes them. Reads fail from now on.
    pub(super) fn close(&self) {
        self.connections.iter().for_each(|connection| *lock(connection) = None);
    }

    /// Reads.
    pub(super) fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection();
        let connection = connection.as_ref().ok_or(StoreError::Closed)?;
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        Ok(query(connection)?)
    }

    /// One that nobody uses, or the next in turn when somebody is done with it.
    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        let free = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        // INVARIANT: there are READERS of them.
        free.unwrap_or_else(|| lock(&self.connections[self.next.fetch_add(1, Ordering::Relaxed) % READERS]))
    }
}

/// Nothing that can panic leaves a connection half changed.
fn lock(connection: &Mutex<Option<Connection>>) -> MutexGuard<'_, Option<Connection>> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The events behind a number, up to the first that is not there.
pub(super) fn events_after(
    connection: &Connection,
    room: &RoomId,
    epoch: u64,
    seq: u64,
    at_most: usize,
) -> rusqlite::Result<Vec<Event>> {
    let sql = "SELECT events.seq, events.at, events.body, events.message, events.member, shelf.body FROM events
               LEFT JOIN chat ON events.kind = 'chat' AND chat.room = events.room AND chat.epoch = events.epoch
                   AND chat.seq = events.seq
               LEFT JOIN shelf ON shelf.place = chat.place
               WHERE events.room = ? AND events.epoch = ? AND events.seq > ? ORDER BY events.seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![room.as_str(), int(epoch), int(seq), int(at_most as u64)])?;
    let mut events: Vec<Event> = Vec::new();
    while let Some(row) = rows.next()? {
        let mut event = event(row)?;
        if let EventBody::ChatEdited { message, text, .. } = &mut event.body {
            *text = chat_message(connection, room, message)?.map_or_else(String::new, |stored| stored.message.text);
        }
        if events.last().is_some_and(|last| last.seq + 1 != event.seq) {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    if let Some(body) = row.get_ref(2)?.as_str_or_null()? {
        return from_json(2, body.as_bytes());
    }
    let (seq, at) = (number(row, 0)?, number(row, 1)?);
    let message: ChatMessage = match row.get_ref(5)?.as_blob_or_null()? {
        Some(body) => from_json(5, words(body))?,
        None => StoredChat::tombstone(id(row, 3)?, seq, at, id(row, 4)?),
    };
    Ok(Event { seq, at, body: EventBody::Chat { message } })
}

/// The number of the last event of a room's life, 0 if there is none.
pub(super) fn last_seq(connection: &Connection, room: &RoomId, epoch: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT last_seq FROM rooms WHERE room = ? AND epoch = ?";
    let last = connection.prepare_cached(sql)?.query_row(params![room.as_str(), int(epoch)], |row| number(row, 0));
    Ok(last.optional()?.unwrap_or(0))
}

/// The page of messages before a place, in order.
pub(super) fn chat_before(
    connection: &Connection,
    room: &RoomId,
    before: Option<(u64, u64)>,
    at_most: usize,
) -> rusqlite::Result<Vec<StoredChat>> {
    let columns = chat::COLUMNS;
    let sql = format!(
        "SELECT {columns} WHERE chat.room = ? AND (chat.epoch, chat.seq) < (?, ?)
         ORDER BY chat.epoch DESC, chat.seq DESC LIMIT ?"
    );
    let (epoch, seq) = before.unwrap_or((u64::MAX, u64::MAX));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![room.as_str(), int(epoch), int(seq), int(at_most as u64)], chat::stored)?;
    let mut page = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    page.reverse();
    page.iter_mut().try_for_each(|stored| add_reactions(connection, room, stored))?;
    Ok(page)
}

fn add_reactions(connection: &Connection, room: &RoomId, stored: &mut StoredChat) -> rusqlite::Result<()> {
    stored.reactions = chat::reactions(connection, room, stored.epoch, stored.message.seq)?;
    Ok(())
}

/// One message.
pub(super) fn chat_message(
    connection: &Connection,
    room: &RoomId,
    id: &MessageId,
) -> rusqlite::Result<Option<StoredChat>> {
    let columns = chat::COLUMNS;
    let sql =
        format!("SELECT {columns} WHERE chat.room = ? AND chat.id = ? ORDER BY chat.epoch DESC, chat.seq DESC LIMIT 1");
    let values = params![room.as_str(), id.as_str()];
    let mut found = connection.prepare_cached(&sql)?.query_row(values, chat::stored).optional()?;
    found.iter_mut().try_for_each(|stored| add_reactions(connection, room, stored))?;
    Ok(found)
}

/// The rooms that nobody closed.
pub(super) fn open_rooms(connection: &Connection) -> rusqlite::Result<Vec<OpenRoom>> {
    let sql = "SELECT room, epoch, opened_at, last_seq, key FROM rooms WHERE NOT closed ORDER BY room, epoch";
    let room = |row: &Row<'_>| {
        let (epoch, opened_at, last_seq) = (number(row, 1)?, number(row, 2)?, number(row, 3)?);
        Ok(OpenRoom { room: id(row, 0)?, epoch, opened_at, last_seq, key: row.get(4)? })
    };
    connection.prepare_cached(sql)?.query_map([], room)?.collect()
}

/// What was last put down of a room's life.
pub(super) fn room_snapshot(connection: &Connection, room: &RoomId, epoch: u64) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT body FROM snapshots WHERE room = ? AND epoch = ?";
    connection.prepare_cached(sql)?.query_row(params![room.as_str(), int(epoch)], |row| row.get(0)).optional()
}

/// The sessions of a room.
pub(super) fn sessions(connection: &Connection, room: &RoomId) -> rusqlite::Result<Vec<Session>> {
    let sql = "SELECT token_hash, room, member, body FROM sessions WHERE room = ? ORDER BY member, token_hash";
    let session = |row: &Row<'_>| {
        let (token_hash, json) = (row.get(0)?, row.get(3)?);
        Ok(Session { token_hash, room: id(row, 1)?, member: id(row, 2)?, json })
    };
    connection.prepare_cached(sql)?.query_map([room.as_str()], session)?.collect()
}

/// The records of a kind, but those that have expired.
pub(super) fn records(connection: &Connection, kind: &str, now: u64) -> rusqlite::Result<Vec<Record>> {
    let sql = "SELECT key, version, expires, value FROM records
               WHERE kind = ? AND (expires IS NULL OR expires > ?) ORDER BY key";
    connection.prepare_cached(sql)?.query_map(params![kind, int(now)], record)?.collect()
}

/// One record.
pub(super) fn record_of(connection: &Connection, kind: &str, key: &str, now: u64) -> rusqlite::Result<Option<Record>> {
    let sql = "SELECT key, version, expires, value FROM records
               WHERE kind = ? AND key = ? AND (expires IS NULL OR expires > ?)";
    connection.prepare_cached(sql)?.query_row(params![kind, key, int(now)], record).optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { key: row.get(0)?, version: number(row, 1)?, expires: maybe_number(row, 2)?, value: row.get(3)? })
}
