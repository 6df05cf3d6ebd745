//! Where the words of chat messages lie: places of fixed sizes, overwritten where they are.
//!
//! `secure_delete` writes zeros over a row that goes, but not over the copies that a page of a B-tree may keep in its unused
//! part from when half of its rows moved to another page (`docs/decisions/0014-the-store-is-sqlite.md`). A table to which
//! rows are only ever added at the end, and whose rows never change their size, moves none: so a message gets a place
//! of some size in such a table, what is deleted is overwritten there, and the place is given to a later message.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::usage::{Owner, Usage};

/// The smallest place, in bytes; the others are twice as large each.
const SMALLEST: usize = 128;

/// The places and which of them are free.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Free places by their size. Bounded by what lies on the disk.
    free: BTreeMap<usize, Vec<i64>>,
    /// Those that this transaction took, with their sizes.
    taken: Vec<(usize, i64)>,
    /// Those that this transaction gave back; nobody gets them before it is committed.
    given: Vec<(usize, i64)>,
    /// Who has how much, and by how much this transaction changes that.
    usage: Arc<Usage>,
    changes: Vec<(Owner, i64)>,
}

impl Shelf {
    /// Finds the free places: those that no message refers to.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT place, length(body) FROM shelf WHERE place NOT IN (SELECT place FROM chat WHERE place IS NOT NULL)",
        )?;
        let mut rows = statement.query([])?;
        let mut free: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            free.entry(size(row, 1)?).or_default().push(row.get(0)?);
        }
        let usage = Arc::new(Usage::load(connection)?);
        Ok(Self { free, taken: Vec::new(), given: Vec::new(), usage, changes: Vec::new() })
    }

    /// Who has how much.
    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Lays words of somebody down and returns where.
    pub(super) fn put(&mut self, connection: &Connection, owner: &Owner, words: &[u8]) -> rusqlite::Result<i64> {
        let size = size_for(words);
        self.weigh(owner, size, 1);
        match self.free.get_mut(&size).and_then(Vec::pop) {
            Some(place) => {
                self.taken.push((size, place));
                overwrite(connection, place, &padded(words, size))?;
                Ok(place)
            }
            None => {
                connection.prepare_cached("INSERT INTO shelf (body) VALUES (?)")?.execute([padded(words, size)])?;
                Ok(connection.last_insert_rowid())
            }
        }
    }

    /// Puts other words in the place of some, or in another one if they are too long for it. The old ones are gone.
    pub(super) fn replace(
        &mut self,
        connection: &Connection,
        owner: &Owner,
        place: i64,
        words: &[u8],
    ) -> rusqlite::Result<i64> {
        let size = size_of(connection, place)?;
        if size == size_for(words) {
            overwrite(connection, place, &padded(words, size))?;
            return Ok(place);
        }
        self.clear(connection, owner, place)?;
        self.put(connection, owner, words)
    }

    /// Writes zeros over what lies there, and gives the place away.
    pub(super) fn clear(&mut self, connection: &Connection, owner: &Owner, place: i64) -> rusqlite::Result<()> {
        let size = size_of(connection, place)?;
        self.weigh(owner, size, -1);
        overwrite(connection, place, &vec![0; size])?;
        self.given.push((size, place));
        Ok(())
    }

    /// The transaction was committed.
    pub(super) fn keep(&mut self) {
        self.taken.clear();
        self.changes.drain(..).for_each(|(owner, bytes)| self.usage.change(&owner, bytes));
        let given = std::mem::take(&mut self.given);
        self.free_up(given);
    }

    /// The transaction was rolled back.
    pub(super) fn undo(&mut self) {
        self.given.clear();
        self.changes.clear();
        let taken = std::mem::take(&mut self.taken);
        self.free_up(taken);
    }

    fn weigh(&mut self, owner: &Owner, size: usize, sign: i64) {
        self.changes.push((owner.clone(), sign * i64::try_from(size).unwrap_or(i64::MAX)));
    }

    fn free_up(&mut self, places: Vec<(usize, i64)>) {
        for (size, place) in places {
            self.free.entry(size).or_default().push(place);
        }
    }
}

/// The words in a place, without what pads them. No text that is JSON ends with a zero.
pub(super) fn words(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    body.get(..end).unwrap_or_default()
}

fn size_for(words: &[u8]) -> usize {
    words.len().next_power_of_two().max(SMALLEST)
}

fn size_of(connection: &Connection, place: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached("SELECT length(body) FROM shelf WHERE place = ?")?.query_row([place], |row| size(row, 0))
}

fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    row.get::<_, u32>(column).map(|size| size as usize)
}

fn padded(words: &[u8], size: usize) -> Vec<u8> {
    let mut body = words.to_vec();
    body.resize(size, 0);
    body
}

fn overwrite(connection: &Connection, place: i64, body: &[u8]) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE shelf SET body = ? WHERE place = ?")?.execute(params![body, place])?;
    Ok(())
}
