//! Chat messages: one row each, whose words lie on the shelf.

use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::{MessageId, RoomId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::shape::StoredChat;
use super::shelf::{Shelf, words};
use super::sql::{from_json, id, int, maybe_number, number, to_json};

/// The columns that [`stored`] reads.
pub(super) const COLUMNS: &str =
    "chat.epoch, chat.seq, chat.at, chat.id, chat.member, chat.edited_at, shelf.body FROM chat
     LEFT JOIN shelf ON shelf.place = chat.place";

/// Keeps a message.
pub(super) fn insert(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &RoomId,
    epoch: u64,
    message: &ChatMessage,
) -> rusqlite::Result<()> {
    let place = shelf.put(connection, to_json(message)?.as_bytes())?;
    let sql = "INSERT INTO chat (room, epoch, seq, at, id, member, place) VALUES (?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        room.as_str(),
        int(epoch),
        int(message.seq),
        int(message.at),
        message.id.as_str(),
        message.member.as_str(),
        place
    ])?;
    Ok(())
}

/// Gives a message another text. `false` if it is not there or was deleted.
pub(super) fn edit(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &RoomId,
    id: &MessageId,
    text: &str,
    at: u64,
) -> rusqlite::Result<bool> {
    let Some(found) = find(connection, room, id)? else { return Ok(false) };
    let message = ChatMessage { text: text.to_owned(), ..found.message };
    let place = shelf.replace(connection, found.place, to_json(&message)?.as_bytes())?;
    let sql = "UPDATE chat SET place = ?, edited_at = ? WHERE room = ? AND epoch = ? AND seq = ?";
    let changed = params![place, int(at), room.as_str(), found.epoch, found.seq];
    connection.prepare_cached(sql)?.execute(changed)?;
    Ok(true)
}

/// Takes the words of a message away. `false` if it is not there or was deleted before.
pub(super) fn delete(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &RoomId,
    id: &MessageId,
) -> rusqlite::Result<bool> {
    let Some(found) = find(connection, room, id)? else { return Ok(false) };
    shelf.clear(connection, found.place)?;
    let sql = "UPDATE chat SET place = NULL WHERE room = ? AND epoch = ? AND seq = ?";
    connection.prepare_cached(sql)?.execute(params![room.as_str(), found.epoch, found.seq])?;
    Ok(true)
}

/// Reads a row of [`COLUMNS`].
pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<StoredChat> {
    let (epoch, edited_at) = (number(row, 0)?, maybe_number(row, 5)?);
    let body: Option<&[u8]> = row.get_ref(6)?.as_blob_or_null()?;
    let message = match body {
        Some(body) => from_json(6, words(body))?,
        None => StoredChat::tombstone(id(row, 3)?, number(row, 1)?, number(row, 2)?, id(row, 4)?),
    };
    Ok(StoredChat { epoch, message, edited_at, deleted: body.is_none() })
}

/// A message that has words, and where.
struct Found {
    epoch: i64,
    seq: i64,
    place: i64,
    message: ChatMessage,
}

fn find(connection: &Connection, room: &RoomId, id: &MessageId) -> rusqlite::Result<Option<Found>> {
    let sql = "SELECT chat.epoch, chat.seq, chat.place, shelf.body FROM chat JOIN shelf ON shelf.place = chat.place
               WHERE chat.room = ? AND chat.id = ? ORDER BY chat.epoch DESC, chat.seq DESC LIMIT 1";
    let found = |row: &Row<'_>| {
        let message = from_json(3, words(row.get_ref(3)?.as_blob()?))?;
        Ok(Found { epoch: row.get(0)?, seq: row.get(1)?, place: row.get(2)?, message })
    };
    connection.prepare_cached(sql)?.query_row(params![room.as_str(), id.as_str()], found).optional()
}
