//! The files: the directory, the lock that keeps others out, and connections to the database.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::config::StoreConfig;
use super::error::OpenError;

/// The database.
const DATABASE: &str = "roundtable.db";
/// An empty file that the process which uses the store holds a lock on.
const LOCK: &str = "lock";
/// The version of the tables, in the header of the file.
const VERSION: i64 = 3;
/// Says in the header of the file whose it is: `Rdtb`.
const APPLICATION: i64 = 0x5264_7462;
/// Up to this size, in bytes, the whole file is checked when it is opened; a larger one is found to be damaged where it
/// is read.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
/// How long a connection waits for one of another program, such as a backup.
const BUSY: Duration = Duration::from_secs(5);
/// Statements that a connection keeps ready: all that there are.
const STATEMENTS: usize = 64;
/// What the write-ahead log may keep on the disk between checkpoints, in bytes.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Makes the directory, readable for its owner only, and keeps other processes out for as long as the file is open.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Directory {
        directory: directory.to_owned(),
        detail: error.to_string(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| failed(&error))?;
    let file = private(&directory.join(LOCK)).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// The database in a directory.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

/// Opens the database for writing; makes it if it is not there. What a process that was killed left in the log is in the
/// database afterwards, and the log is empty.
pub(super) fn open(config: &StoreConfig) -> Result<Connection, OpenError> {
    let file = database(&config.directory);
    private(&file).map_err(|error| OpenError::Failed { file: file.clone(), detail: error.to_string() })?;
    let failed = |error: rusqlite::Error| OpenError::of(file.clone(), &error);
    let connection = Connection::open_with_flags(&file, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // What we do not open is left as it is, its log included.
    let leave_the_log = |leave| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave);
    leave_the_log(true).map_err(failed)?;
    check(&connection, &file)?;
    prepare(&connection, config).map_err(failed)?;
    leave_the_log(false).map_err(failed)?;
    erase(&connection).map_err(failed)?;
    Ok(connection)
}

/// Opens the database for reading.
pub(super) fn open_reader(file: &Path) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(file.to_owned(), &error);
    let connection = Connection::open_with_flags(file, flags(OpenFlags::SQLITE_OPEN_READ_ONLY)).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

/// Writes everything from the log into the database, lets it reach the disk and cuts the log to nothing.
pub(super) fn erase(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, Some("somebody else reads the log".to_owned())));
    }
    Ok(())
}

/// A file that only its owner may read; the database's companions get its mode.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// One thread uses a connection at a time.
fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Refuses what is damaged, a later version's or another program's, before anything is written.
fn check(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(file.to_owned(), &error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let (version, application) = (number("PRAGMA user_version")?, number("PRAGMA application_id")?);
    let is_empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    if !is_empty && application != APPLICATION {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    if version > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found: version, known: VERSION });
    }
    if fs::metadata(file).is_ok_and(|about| about.len() <= CHECKED_BYTES) {
        let detail: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if detail != "ok" {
            return Err(OpenError::Corrupt { file: file.to_owned(), detail });
        }
    }
    Ok(())
}

/// Sets what holds for a connection, and makes the tables in an empty file.
fn prepare(connection: &Connection, config: &StoreConfig) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = {LOG_BYTES};"
    ))?;
    let page_bytes: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
    connection.execute_batch(&format!("PRAGMA max_page_count = {};", (config.max_bytes / page_bytes).max(1)))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let missing: String = [TABLES, REACTIONS, KEYS].into_iter().skip(usize::try_from(version).unwrap_or(0)).collect();
    if version < VERSION {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {missing} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    Ok(())
}

/// What version 3 has besides: the key that a room is one of.
const KEYS: &str = "
ALTER TABLE rooms ADD COLUMN key TEXT;
";

/// What version 2 has besides: reactions to messages, in the order in which they came.
const REACTIONS: &str = "
CREATE TABLE reactions (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, reaction TEXT NOT NULL, member TEXT NOT NULL
);
CREATE UNIQUE INDEX reactions_by_message ON reactions (room, epoch, seq, reaction, member);
";

/// The tables of version 1. Times are milliseconds since 1970 UTC.
///
/// The words of chat messages lie on the shelf only, see `shelf.rs`; `chat.place` is null when a message was deleted. An
/// event of kind `chat` has no body, but the message and the member that a tombstone needs when the message is gone.
const TABLES: &str = "
CREATE TABLE rooms (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, opened_at INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (room, epoch)
) WITHOUT ROWID;
CREATE TABLE snapshots (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (room, epoch)
);
CREATE TABLE retention (
    room TEXT NOT NULL PRIMARY KEY, events_count INTEGER, events_age INTEGER, chat_count INTEGER, chat_age INTEGER
) WITHOUT ROWID;
CREATE TABLE events (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
    body TEXT, message TEXT, member TEXT, PRIMARY KEY (room, epoch, seq)
) WITHOUT ROWID;
CREATE TABLE chat (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, id TEXT NOT NULL,
    member TEXT NOT NULL, place INTEGER, edited_at INTEGER, PRIMARY KEY (room, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX chat_by_id ON chat (room, id);
CREATE TABLE shelf (place INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY, room TEXT NOT NULL, member TEXT NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_room ON sessions (room);
CREATE TABLE records (
    kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, expires INTEGER, value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('version', 0);
";
