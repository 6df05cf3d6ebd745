//! Why the store refused, failed, or could not be opened.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a store could not be opened. Nothing on the disk was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made or used.
    #[error("the directory {} cannot be used: {detail}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// Another process has it.
    #[error("the directory {} is in use by another process; give each server a directory of its own", directory.display())]
    Locked {
        /// Which.
        directory: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("the store {} has version {found}, and this program knows versions up to {known}; use a newer one", file.display())]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// A database that somebody else made.
    #[error("{} is a database of another program", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
    },
    /// It cannot be read. It is left as it is, for somebody to look at or to replace with a copy.
    #[error("the store {} is damaged: {detail}; move it away to begin with an empty one", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Anything else, such as a full disk.
    #[error("the store {} cannot be opened: {detail}", file.display())]
    Failed {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        detail: String,
    },
}

impl OpenError {
    /// The stable word; programs switch on it, people read `Display`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "store/directory",
            Self::Locked { .. } => "store/locked",
            Self::Newer { .. } => "store/newer",
            Self::Foreign { .. } => "store/foreign",
            Self::Corrupt { .. } => "store/corrupt",
            Self::Failed { .. } => "store/failed",
        }
    }

    pub(super) fn of(file: PathBuf, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { file, detail: error.to_string() }
            }
            _ => Self::Failed { file, detail: error.to_string() },
        }
    }
}

/// Why a write was not even queued. It returns at once, so that a thread with other things to do may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More waits to be written than the queue holds; a retry can succeed once the disk has caught up.
    #[error("the store cannot keep up, its queue is full")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a write was not done, or a read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or the store has reached its size.
    #[error("the store has no room left: {detail}")]
    NoRoom {
        /// What the database says.
        detail: String,
    },
    /// What is on the disk cannot be read.
    #[error("the store is damaged: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// The system refused otherwise.
    #[error("the store failed: {detail}")]
    Failed {
        /// What the database says.
        detail: String,
    },
    /// There is no such chat message, or it was deleted.
    #[error("there is no such message")]
    NoMessage,
    /// The text is gone for every reader, but what is left of it in the files could not be overwritten yet.
    /// That is tried again with every later erasure, every minute and when the store is opened.
    #[error("the old text could not be taken from the disk yet: {detail}")]
    NotErased {
        /// What the database says.
        detail: String,
    },
    /// Another one changed the record first.
    #[error("the record was changed by somebody else")]
    Conflict {
        /// The version it has now; none if there is no such record.
        current: Option<u64>,
    },
    /// The store was closed before this was done.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The stable word; programs switch on it, people read `Display`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "store/no-room",
            Self::Corrupt { .. } => "store/corrupt",
            Self::Failed { .. } => "store/failed",
            Self::NoMessage => "store/no-message",
            Self::NotErased { .. } => "store/not-erased",
            Self::Conflict { .. } => "store/conflict",
            Self::Closed => "store/closed",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoRoom { detail },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { detail },
            // What we wrote ourselves can be read unless it was changed.
            None if matches!(error, rusqlite::Error::FromSqlConversionFailure(..)) => Self::Corrupt { detail },
            _ => Self::Failed { detail },
        }
    }
}

/// Why a record was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Another one changed the record first.
    #[error("the record was changed by somebody else")]
    Conflict {
        /// The version it has now; none if there is no such record.
        current: Option<u64>,
    },
    /// It was not queued.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was not written.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for PutError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { current } => Self::Conflict { current },
            other => Self::Store(other),
        }
    }
}
