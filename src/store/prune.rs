//! What is too old or too much goes, room by room and a little at a time, so that writes need not wait for it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::config::{Retention, StoreConfig};
use super::job::Told;
use super::shelf::Shelf;
use super::sql::int;
use super::usage::Owner;

/// Rows of a kind that go in one transaction.
const AT_ONCE: i64 = 1_000;
/// Messages that are kept of a room whose chat goes with it.
const MAX_FOR_LIFE: u64 = 10_000;

/// One round over all rooms.
pub(super) struct Pruning {
    now: u64,
    /// Those to come.
    rooms: Vec<String>,
    /// Who waits for the end of it.
    pub(super) told: Vec<Told>,
}

impl Pruning {
    /// Begins a round; `now` is in milliseconds since 1970 UTC.
    pub(super) fn begin(connection: &Connection, now: u64) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached("SELECT DISTINCT room FROM rooms")?;
        let rooms = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { now, rooms, told: Vec::new() })
    }

    /// Does a little of it; `false` when it is done.
    pub(super) fn step(
        &mut self,
        connection: &mut Connection,
        shelf: &mut Shelf,
        config: &StoreConfig,
    ) -> rusqlite::Result<bool> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let Some(room) = self.rooms.last() else {
            forget_the_rest(&transaction, self.now)?;
            transaction.commit()?;
            return Ok(false);
        };
        let (events, chat) = retention(&transaction, config, room)?;
        let events = doomed(&transaction, "events", room, self.now, events)?;
        let messages = if chat.is_for_life() {
            doomed_with_their_room(&transaction, room)?
        } else {
            doomed(&transaction, "chat", room, self.now, chat)?
        };
        for (epoch, seq) in &events {
            let sql = "DELETE FROM events WHERE room = ? AND epoch = ? AND seq = ?";
            transaction.prepare_cached(sql)?.execute(params![room, epoch, seq])?;
        }
        for (epoch, seq) in &messages {
            remove_message(&transaction, shelf, room, *epoch, *seq)?;
        }
        transaction.commit()?;
        let is_done = |gone: &[_]| gone.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        if is_done(&events) && is_done(&messages) {
            self.rooms.pop();
        }
        Ok(true)
    }
}

/// What a room keeps: its own figures, or the server's.
fn retention(connection: &Connection, config: &StoreConfig, room: &str) -> rusqlite::Result<(Retention, Retention)> {
    let figures = |row: &Row<'_>, column: usize, default: Retention| -> rusqlite::Result<Retention> {
        let (count, age): (Option<i64>, Option<i64>) = (row.get(column)?, row.get(column + 1)?);
        let own = count.zip(age).and_then(|(count, age)| Some((u64::try_from(count).ok()?, u64::try_from(age).ok()?)));
        Ok(own.map_or(default, |(max_count, age)| Retention { max_count, max_age: Duration::from_millis(age) }))
    };
    let sql = "SELECT events_count, events_age, chat_count, chat_age FROM retention WHERE room = ?";
    let own = |row: &Row<'_>| Ok((figures(row, 0, config.events)?, figures(row, 2, config.chat)?));
    let own = connection.prepare_cached(sql)?.query_row([room], own).optional()?;
    Ok(own.unwrap_or((config.events, config.chat)))
}

/// The oldest rows of a room that are too old or beyond the count, as epoch and number; at most [`AT_ONCE`].
fn doomed(
    connection: &Connection,
    table: &str,
    room: &str,
    now: u64,
    keep: Retention,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let sql = format!("SELECT epoch, seq FROM {table} WHERE room = ? ORDER BY epoch DESC, seq DESC LIMIT 1 OFFSET ?");
    let place = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let beyond = connection.prepare_cached(&sql)?.query_row(params![room, int(keep.max_count)], place).optional()?;
    let oldest = now.saturating_sub(u64::try_from(keep.max_age.as_millis()).unwrap_or(u64::MAX));
    let sql = format!("SELECT epoch, seq, at FROM {table} WHERE room = ? ORDER BY epoch, seq LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![room, AT_ONCE])?;
    let mut doomed = Vec::new();
    while let Some(row) = rows.next()? {
        let place = place(row)?;
        if beyond.is_none_or(|beyond| place > beyond) && row.get::<_, i64>(2)? >= int(oldest) {
            break;
        }
        doomed.push(place);
    }
    Ok(doomed)
}

/// Messages of lives of a room that are over, and the oldest of those that are not beyond the count of
/// [`MAX_FOR_LIFE`]; at most [`AT_ONCE`].
fn doomed_with_their_room(connection: &Connection, room: &str) -> rusqlite::Result<Vec<(i64, i64)>> {
    let sql = "SELECT chat.epoch, chat.seq FROM chat
               JOIN rooms ON rooms.room = chat.room AND rooms.epoch = chat.epoch AND rooms.closed
               WHERE chat.room = ? ORDER BY chat.epoch, chat.seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![room, AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let over = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if !over.is_empty() {
        return Ok(over);
    }
    doomed(connection, "chat", room, 0, Retention { max_count: MAX_FOR_LIFE, max_age: Duration::MAX })
}

fn remove_message(
    connection: &Connection,
    shelf: &mut Shelf,
    room: &str,
    epoch: i64,
    seq: i64,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM chat WHERE room = ? AND epoch = ? AND seq = ? RETURNING place";
    let place: Option<i64> = connection.prepare_cached(sql)?.query_row(params![room, epoch, seq], |row| row.get(0))?;
    super::chat::forget_reactions(connection, room, epoch, seq)?;
    let Some(place) = place else { return Ok(()) };
    shelf.clear(connection, &Owner::find(connection, room, epoch)?, place)
}

/// Records that expired, and lives of rooms that are over and of which nothing is kept.
fn forget_the_rest(connection: &Connection, now: u64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM records WHERE expires <= ?")?.execute([int(now)])?;
    let sql = "DELETE FROM rooms WHERE closed
               AND NOT EXISTS (SELECT 1 FROM events WHERE events.room = rooms.room AND events.epoch = rooms.epoch)
               AND NOT EXISTS (SELECT 1 FROM chat WHERE chat.room = rooms.room AND chat.epoch = rooms.epoch)";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
