//! Writes jobs into the database, within the transaction of their batch.

use roundtable_protocol::{Event, EventBody, MemberId, MessageId, RoomId};
use rusqlite::{Connection, OptionalExtension, params};

use super::chat;
use super::config::{Retention, RoomRetention};
use super::error::StoreError;
use super::job::{PutRecord, Work};
use super::shape::{Append, Session};
use super::shelf::Shelf;
use super::sql::{int, number, to_json};

/// What became of a job: the version of the record, 0 for the others, or why it could not be done. The error around it
/// means that the database failed, and the whole transaction with it.
pub(super) type Outcome = rusqlite::Result<Result<u64, StoreError>>;

/// Does one job. `now` is in milliseconds since 1970 UTC.
pub(super) fn apply(connection: &Connection, shelf: &mut Shelf, now: u64, work: &Work) -> Outcome {
    match work {
        Work::Append(append) => done(append_events(connection, shelf, append)),
        Work::EditChat { room, id, text, at } => found(chat::edit(connection, shelf, room, id, text, *at)),
        Work::DeleteChat { room, id } => found(chat::delete(connection, shelf, room, id)),
        Work::OpenRoom { room, epoch, key, at } => done(open_room(connection, room, *epoch, key.as_deref(), *at)),
        Work::CloseRoom { room, epoch } => done(close_room(connection, room, *epoch)),
        Work::PutSnapshot { room, epoch, json } => done(put_snapshot(connection, room, *epoch, json)),
        Work::PutSession(session) => done(put_session(connection, session)),
        Work::RemoveSession { token_hash } => {
            done(run(connection, "DELETE FROM sessions WHERE token_hash = ?", params![token_hash]))
        }
        Work::SetRetention { room, retention } => done(set_retention(connection, room, *retention)),
        Work::PutRecord(put) => put_record(connection, now, put),
        Work::DeleteRecord { kind, key } => {
            done(run(connection, "DELETE FROM records WHERE kind = ? AND key = ?", params![kind, key]))
        }
        Work::Prune { .. } | Work::Flush => Ok(Ok(0)),
    }
}

fn done(result: rusqlite::Result<()>) -> Outcome {
    result.map(|()| Ok(0))
}

fn found(result: rusqlite::Result<bool>) -> Outcome {
    result.map(|found| if found { Ok(0) } else { Err(StoreError::NoMessage) })
}

fn run(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

fn append_events(connection: &Connection, shelf: &mut Shelf, append: &Append) -> rusqlite::Result<()> {
    let Some(last) = append.events.iter().max_by_key(|event| event.seq) else { return Ok(()) };
    let room = append.room.as_str();
    let sql = "INSERT INTO rooms (room, epoch, opened_at, last_seq) VALUES (?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)";
    run(connection, sql, params![room, int(append.epoch), int(last.at), int(last.seq)])?;
    append.events.iter().try_for_each(|event| append_event(connection, shelf, &append.room, append.epoch, event))
}

fn append_event(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &RoomId,
    epoch: u64,
    event: &Event,
) -> rusqlite::Result<()> {
    // An event that holds words of a message must not have them in its body, or they outlive the message.
    let (body, message, member) = match &event.body {
        EventBody::Chat { message } => (None, Some(&message.id), Some(&message.member)),
        EventBody::ChatEdited { message, member, .. } => {
            let (id, by) = (message.clone(), member.clone());
            let wordless = EventBody::ChatEdited { message: id, member: by, text: String::new() };
            (Some(to_json(&Event { body: wordless, ..event.clone() })?), Some(message), Some(member))
        }
        _ => (Some(to_json(event)?), None, None),
    };
    let sql = "INSERT OR IGNORE INTO events (room, epoch, seq, at, kind, body, message, member)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let new = connection.prepare_cached(sql)?.execute(params![
        room.as_str(),
        int(epoch),
        int(event.seq),
        int(event.at),
        event.body.name(),
        body,
        message.map(MessageId::as_str),
        member.map(MemberId::as_str),
    ])?;
    if new == 1 { follow(connection, shelf, room, epoch, event) } else { Ok(()) }
}

/// Does to the chat what an event says. What it speaks of may have been pruned.
fn follow(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &RoomId,
    epoch: u64,
    event: &Event,
) -> rusqlite::Result<()> {
    match &event.body {
        EventBody::Chat { message } => chat::insert(connection, shelf, room, epoch, message),
        EventBody::ChatEdited { message, text, .. } => {
            chat::edit(connection, shelf, room, message, text, event.at).map(drop)
        }
        EventBody::ChatDeleted { message, .. } => chat::delete(connection, shelf, room, message).map(drop),
        EventBody::Reaction { message, member, reaction, on } => {
            chat::react(connection, room, message, member, reaction, *on)
        }
        _ => Ok(()),
    }
}

fn open_room(connection: &Connection, room: &RoomId, epoch: u64, key: Option<&str>, at: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO rooms (room, epoch, opened_at, key) VALUES (?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET closed = 0, opened_at = excluded.opened_at, key = excluded.key";
    run(connection, sql, params![room.as_str(), int(epoch), int(at), key])
}

/// A life of a room that is over takes its snapshot with it, and the last one its sessions.
fn close_room(connection: &Connection, room: &RoomId, epoch: u64) -> rusqlite::Result<()> {
    let life = params![room.as_str(), int(epoch)];
    run(connection, "UPDATE rooms SET closed = 1 WHERE room = ? AND epoch = ?", life)?;
    run(connection, "DELETE FROM snapshots WHERE room = ? AND epoch = ?", life)?;
    let sql = "DELETE FROM sessions WHERE room = ?1
               AND NOT EXISTS (SELECT 1 FROM rooms WHERE rooms.room = ?1 AND NOT closed)";
    run(connection, sql, params![room.as_str()])
}

fn put_snapshot(connection: &Connection, room: &RoomId, epoch: u64, json: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO snapshots VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body";
    run(connection, sql, params![room.as_str(), int(epoch), json])
}

fn put_session(connection: &Connection, session: &Session) -> rusqlite::Result<()> {
    let values = params![session.token_hash, session.room.as_str(), session.member.as_str(), session.json];
    run(connection, "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", values)
}

fn set_retention(connection: &Connection, room: &RoomId, retention: RoomRetention) -> rusqlite::Result<()> {
    if retention == RoomRetention::default() {
        return run(connection, "DELETE FROM retention WHERE room = ?", params![room.as_str()]);
    }
    let figures = |of: Option<Retention>| (of.map(|of| int(of.max_count)), of.map(age));
    let ((events, events_age), (chat, chat_age)) = (figures(retention.events), figures(retention.chat));
    let values = params![room.as_str(), events, events_age, chat, chat_age];
    run(connection, "INSERT OR REPLACE INTO retention VALUES (?, ?, ?, ?, ?)", values)
}

fn age(retention: Retention) -> i64 {
    i64::try_from(retention.max_age.as_millis()).unwrap_or(i64::MAX)
}

fn put_record(connection: &Connection, now: u64, put: &PutRecord) -> Outcome {
    let current = version(connection, now, &put.kind, &put.key)?;
    if put.expected.is_some_and(|expected| expected != current.unwrap_or(0)) {
        return Ok(Err(StoreError::Conflict { current }));
    }
    // One counter for all: who deletes a record and makes another one does not repeat a version.
    let sql = "UPDATE counters SET value = value + 1 WHERE name = 'version' RETURNING value";
    let next = connection.prepare_cached(sql)?.query_row([], |row| number(row, 0))?;
    let sql = "INSERT OR REPLACE INTO records (kind, key, version, expires, value) VALUES (?, ?, ?, ?, ?)";
    run(connection, sql, params![put.kind, put.key, int(next), put.expires.map(int), put.value])?;
    Ok(Ok(next))
}

/// The version of a record, if it is there and has not expired.
fn version(connection: &Connection, now: u64, kind: &str, key: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT version FROM records WHERE kind = ? AND key = ? AND (expires IS NULL OR expires > ?)";
    connection.prepare_cached(sql)?.query_row(params![kind, key, int(now)], |row| number(row, 0)).optional()
}
