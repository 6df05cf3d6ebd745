//! Chat messages: one row each, whose words lie on the shelf.

use roundtable_protocol::chat::Reaction;
use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::{MemberId, MessageId, RoomId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::shape::StoredChat;
use super::shelf::{Shelf, words};
use super::sql::{from_json, id, int, maybe_number, number, to_json};
use super::usage::Owner;

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
    let owner = Owner::find(connection, room.as_str(), int(epoch))?;
    let place = shelf.put(connection, &owner, to_json(message)?.as_bytes())?;
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
    let owner = Owner::find(connection, room.as_str(), found.epoch)?;
    let place = shelf.replace(connection, &owner, found.place, to_json(&message)?.as_bytes())?;
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
    shelf.clear(connection, &Owner::find(connection, room.as_str(), found.epoch)?, found.place)?;
    let sql = "UPDATE chat SET place = NULL WHERE room = ? AND epoch = ? AND seq = ?";
    connection.prepare_cached(sql)?.execute(params![room.as_str(), found.epoch, found.seq])?;
    forget_reactions(connection, room.as_str(), found.epoch, found.seq)?;
    Ok(true)
}

/// Adds a reaction to a message, or takes it back. One to a message that is gone is nothing.
pub(super) fn react(
    connection: &Connection,
    room: &RoomId,
    id: &MessageId,
    member: &MemberId,
    reaction: &str,
    on: bool,
) -> rusqlite::Result<()> {
    let Some(Found { epoch, seq, .. }) = find(connection, room, id)? else { return Ok(()) };
    let sql = if on {
        "INSERT OR IGNORE INTO reactions (room, epoch, seq, reaction, member) VALUES (?, ?, ?, ?, ?)"
    } else {
        "DELETE FROM reactions WHERE room = ? AND epoch = ? AND seq = ? AND reaction = ? AND member = ?"
    };
    connection.prepare_cached(sql)?.execute(params![room.as_str(), epoch, seq, reaction, member.as_str()])?;
    Ok(())
}

/// Takes all reactions to a message away.
pub(super) fn forget_reactions(connection: &Connection, room: &str, epoch: i64, seq: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM reactions WHERE room = ? AND epoch = ? AND seq = ?";
    connection.prepare_cached(sql)?.execute(params![room, epoch, seq]).map(drop)
}

/// The reactions to a message. [`stored`] leaves them out.
pub(super) fn reactions(
    connection: &Connection,
    room: &RoomId,
    epoch: u64,
    seq: u64,
) -> rusqlite::Result<Vec<Reaction>> {
    let sql = "SELECT reaction, member FROM reactions WHERE room = ? AND epoch = ? AND seq = ? ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![room.as_str(), int(epoch), int(seq)])?;
    let mut reactions: Vec<Reaction> = Vec::new();
    while let Some(row) = rows.next()? {
        let (reaction, member): (String, MemberId) = (row.get(0)?, id(row, 1)?);
        match reactions.iter_mut().find(|known| known.reaction == reaction) {
            Some(known) => known.members.push(member),
            None => reactions.push(Reaction { reaction, members: vec![member] }),
        }
    }
    Ok(reactions)
}

/// Reads a row of [`COLUMNS`]; without reactions.
pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<StoredChat> {
    let (epoch, edited_at) = (number(row, 0)?, maybe_number(row, 5)?);
    let body: Option<&[u8]> = row.get_ref(6)?.as_blob_or_null()?;
    let message = match body {
        Some(body) => from_json(6, words(body))?,
        None => StoredChat::tombstone(id(row, 3)?, number(row, 1)?, number(row, 2)?, id(row, 4)?),
    };
    Ok(StoredChat { epoch, message, edited_at, deleted: body.is_none(), reactions: Vec::new() })
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
