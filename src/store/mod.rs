//! What survives the process: chat, the journals of rooms, who may come back to them, and small records, on the disk.
//!
//! One thread owns the writing connection to an SQLite database. Writes are queued without waiting and committed
//! together, as many as wait: once a callback was told so, the write survives the end of the process (`kill -9`
//! included). After a loss of power the last minute may be missing, but nothing is damaged. Reads have connections of
//! their own and block, a little: async code reads with `spawn_blocking`.
//!
//! The text of a chat message that was edited, deleted or pruned is not found in any file of the directory any more
//! (`docs/decisions/0014-the-store-is-sqlite.md`).

mod apply;
mod chat;
mod config;
mod error;
mod file;
mod job;
mod prune;
mod queue;
mod read;
mod shape;
mod shelf;
mod sql;
mod usage;
mod writer;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use roundtable_protocol::{Event, MessageId, RoomId};

use self::job::{Job, PutRecord, Told, Work};
use self::queue::Queue;
use self::read::{Gate, Readers};
use self::shelf::Shelf;
use self::usage::Usage;
use self::writer::{Counters, Writer, unix_millis};

pub use self::config::{MAX_CHAT_BYTES_OF_ROOM, Retention, RoomRetention, StoreConfig};
pub use self::error::{OpenError, PutError, Refused, StoreError};
pub use self::queue::{MAX_QUEUED, MAX_QUEUED_BYTES};
pub use self::shape::{Append, OpenRoom, Record, Session, StoreStats, StoredChat, Then, forget};

/// An open store. Clones are the same one; the last that goes closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    readers: Readers,
    counters: Arc<Counters>,
    usage: Arc<Usage>,
    max_chat_bytes_of_room: u64,
    max_chat_bytes_of_key: Option<u64>,
    id: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// The directory cannot be used, another process uses it, or what is in it is damaged or not ours. Nothing is
    /// changed then.
    pub fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let lock = file::lock(&config.directory)?;
        let connection = file::open(&config)?;
        let database = file::database(&config.directory);
        let shelf = Shelf::load(&connection).map_err(|error| OpenError::of(database.clone(), &error))?;
        let (gate, queue, counters) = (Gate::default(), Arc::<Queue>::default(), Arc::<Counters>::default());
        let readers = Readers::open(&database, Arc::clone(&gate))?;
        let usage = Arc::clone(shelf.usage());
        let StoreConfig { max_chat_bytes_of_room, max_chat_bytes_of_key, .. } = config;
        let writer = Writer {
            connection,
            shelf,
            config,
            queue: Arc::clone(&queue),
            gate,
            counters: Arc::clone(&counters),
            pruning: None,
            logged_at: None,
            _lock: lock,
        };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::Failed { file: database, detail: error.to_string() })?;
        let id = thread.thread().id();
        let thread = Mutex::new(Some(thread));
        let inner =
            Inner { queue, readers, counters, usage, max_chat_bytes_of_room, max_chat_bytes_of_key, id, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes what waits, closes the files and lets go of the directory. Other clones are closed too: their writes are
    /// refused and their reads fail.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Keeps events. `then` is called when they are on the disk, in the order of the appends.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn append(&self, append: Append, then: Then) -> Result<(), Refused> {
        self.push(Work::Append(append), then)
    }

    /// Whether a further chat message of a room, which is one of a key, is within what may be kept. What waits to be written is
    /// not counted yet, so that as much as [`MAX_QUEUED_BYTES`] can go beyond.
    #[must_use]
    pub fn takes_chat(&self, room: &RoomId, key: Option<&str>) -> bool {
        let Inner { usage, max_chat_bytes_of_room, max_chat_bytes_of_key, .. } = &*self.inner;
        let is_full = |key: &str| max_chat_bytes_of_key.is_some_and(|most| usage.of_key(key) >= most);
        usage.of_room(room.as_str()) < *max_chat_bytes_of_room && !key.is_some_and(is_full)
    }

    /// Bytes of chat that are kept of a room.
    #[cfg(test)]
    pub fn chat_bytes(&self, room: &RoomId) -> u64 {
        self.inner.usage.of_room(room.as_str())
    }

    /// Gives a chat message another text. When `then` is called with `Ok`, the old one is in no file any more. `at` is in
    /// milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn edit_chat(&self, room: &RoomId, id: &MessageId, text: String, at: u64, then: Then) -> Result<(), Refused> {
        self.push(Work::EditChat { room: room.clone(), id: id.clone(), text, at }, then)
    }

    /// Takes text and name of a chat message away; its number stays. When `then` is called with `Ok`, they are in no file
    /// any more.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn delete_chat(&self, room: &RoomId, id: &MessageId, then: Then) -> Result<(), Refused> {
        self.push(Work::DeleteChat { room: room.clone(), id: id.clone() }, then)
    }

    /// Notes that a life of a room began: until it is closed it is among the [`open_rooms`](Self::open_rooms). A life is an
    /// epoch, and the key that the room is one of then. `at` is in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn open_room(
        &self,
        room: &RoomId,
        (epoch, key): (u64, Option<String>),
        at: u64,
        then: Then,
    ) -> Result<(), Refused> {
        self.push(Work::OpenRoom { room: room.clone(), epoch, key, at }, then)
    }

    /// Notes that a life of a room is over. Its snapshot goes, and the room's sessions if no other life of it is open;
    /// events and chat stay for as long as they are kept.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn close_room(&self, room: &RoomId, epoch: u64, then: Then) -> Result<(), Refused> {
        self.push(Work::CloseRoom { room: room.clone(), epoch }, then)
    }

    /// Puts down what is to be known of a room after a restart, instead of what was put down before.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn put_room_snapshot(&self, room: &RoomId, epoch: u64, json: String, then: Then) -> Result<(), Refused> {
        self.push(Work::PutSnapshot { room: room.clone(), epoch, json }, then)
    }

    /// Says what one room keeps; nothing of its own gives it the server's figures again.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn set_retention(&self, room: &RoomId, retention: RoomRetention, then: Then) -> Result<(), Refused> {
        self.push(Work::SetRetention { room: room.clone(), retention }, then)
    }

    /// Keeps a session, or changes one.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn put_session(&self, session: Session, then: Then) -> Result<(), Refused> {
        self.push(Work::PutSession(session), then)
    }

    /// Forgets a session.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn remove_session(&self, token_hash: [u8; 32], then: Then) -> Result<(), Refused> {
        self.push(Work::RemoveSession { token_hash }, then)
    }

    /// Writes a record, whatever was there. `expires` is in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn put_record(
        &self,
        kind: &str,
        key: &str,
        value: String,
        expires: Option<u64>,
        then: Then,
    ) -> Result<(), Refused> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.push(Work::PutRecord(PutRecord { kind, key, value, expires, expected: None }), then)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn delete_record(&self, kind: &str, key: &str, then: Then) -> Result<(), Refused> {
        self.push(Work::DeleteRecord { kind: kind.to_owned(), key: key.to_owned() }, then)
    }

    /// Writes a record if it has this version, 0 meaning that there is none, and returns the new version. Waits for the
    /// disk; not to be called in a callback of the store.
    ///
    /// # Errors
    /// Somebody else changed it first, or it could not be written.
    pub fn put_record_if(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: String,
        expires: Option<u64>,
    ) -> Result<u64, PutError> {
        let (kind, key, expected) = (kind.to_owned(), key.to_owned(), Some(expected));
        let put = Work::PutRecord(PutRecord { kind, key, value, expires, expected });
        self.wait_for(put, |wake| Told::Version(Box::new(wake)))
    }

    /// Lets go what is too old or too much at this time, in milliseconds since 1970 UTC. The thread does it every minute
    /// by itself. `then` is called when all rooms were looked at.
    ///
    /// # Errors
    /// The queue is full, or the store closed; `then` is not called.
    pub fn prune(&self, now: u64, then: Then) -> Result<(), Refused> {
        self.push(Work::Prune { now }, then)
    }

    /// Tells when everything that was asked for before is done.
    ///
    /// # Errors
    /// [`Refused`] when too much waits, or the store was closed; then nobody is told.
    pub fn tell_when_done(&self, then: Then) -> Result<(), Refused> {
        self.push(Work::Flush, then)
    }

    /// Waits until everything that was asked for before is done; not to be called in a callback of the store.
    ///
    /// # Errors
    /// The queue is full, or the store was closed.
    pub fn flush(&self) -> Result<(), PutError> {
        let done = |wake: Wake| Told::Done(Box::new(move |done: Result<(), StoreError>| wake(done.map(|()| 0))));
        self.wait_for(Work::Flush, done).map(drop)
    }

    /// The events behind the one numbered `seq`, at most so many, in order and without a hole. If the first is not
    /// `seq + 1`, those between are not kept any more: the reader has to begin anew. A chat event whose message was
    /// deleted or pruned has neither name nor text, one whose message was edited has its present text.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn events_after(&self, room: &RoomId, epoch: u64, seq: u64, at_most: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.readers.read(|connection| read::events_after(connection, room, epoch, seq, at_most))
    }

    /// The number of the last event of a room's life, also when it was pruned; 0 if there was none.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn last_seq(&self, room: &RoomId, epoch: u64) -> Result<u64, StoreError> {
        self.inner.readers.read(|connection| read::last_seq(connection, room, epoch))
    }

    /// The last messages before a place (epoch and number; none is the end), at most so many, in order.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn chat_before(
        &self,
        room: &RoomId,
        before: Option<(u64, u64)>,
        at_most: usize,
    ) -> Result<Vec<StoredChat>, StoreError> {
        self.inner.readers.read(|connection| read::chat_before(connection, room, before, at_most))
    }

    /// One message.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn chat_message(&self, room: &RoomId, id: &MessageId) -> Result<Option<StoredChat>, StoreError> {
        self.inner.readers.read(|connection| read::chat_message(connection, room, id))
    }

    /// The lives of rooms that began and were not closed: after a start, those that the end of the process interrupted.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn open_rooms(&self) -> Result<Vec<OpenRoom>, StoreError> {
        self.inner.readers.read(read::open_rooms)
    }

    /// What was last put down of a room's life.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn room_snapshot(&self, room: &RoomId, epoch: u64) -> Result<Option<String>, StoreError> {
        self.inner.readers.read(|connection| read::room_snapshot(connection, room, epoch))
    }

    /// The sessions of a room.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn sessions(&self, room: &RoomId) -> Result<Vec<Session>, StoreError> {
        self.inner.readers.read(|connection| read::sessions(connection, room))
    }

    /// The records of a kind that have not expired, by key.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn records(&self, kind: &str) -> Result<Vec<Record>, StoreError> {
        self.inner.readers.read(|connection| read::records(connection, kind, unix_millis()))
    }

    /// One record, unless it has expired.
    ///
    /// # Errors
    /// The database failed, or the store was closed.
    pub fn record(&self, kind: &str, key: &str) -> Result<Option<Record>, StoreError> {
        self.inner.readers.read(|connection| read::record_of(connection, kind, key, unix_millis()))
    }

    /// What was done since the store was opened.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let counters = &self.inner.counters;
        let (waiting, refused) = self.inner.queue.counts();
        StoreStats {
            commits: count(&counters.commits),
            events: count(&counters.events),
            failures: count(&counters.failures),
            dropped: count(&counters.dropped),
            refused,
            waiting,
        }
    }

    fn push(&self, work: Work, then: Then) -> Result<(), Refused> {
        self.inner.queue.push(Job { work, told: Told::Done(then) })
    }

    fn wait_for(&self, work: Work, told: impl FnOnce(Wake) -> Told) -> Result<u64, PutError> {
        if thread::current().id() == self.inner.id {
            let detail = "a callback of the store cannot wait for the store".to_owned();
            return Err(PutError::Store(StoreError::Failed { detail }));
        }
        let (sender, receiver) = sync_channel(1);
        let wake = Box::new(move |outcome| drop(sender.send(outcome)));
        self.inner.queue.push(Job { work, told: told(wake) })?;
        // Nobody is left to send if the thread ended.
        Ok(receiver.recv().unwrap_or(Err(StoreError::Closed))?)
    }
}

/// Hands an outcome to a thread that waits for it.
type Wake = Box<dyn FnOnce(Result<u64, StoreError>) + Send>;

impl Inner {
    fn close(&self) {
        self.readers.close();
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may go in a callback: the thread cannot wait for itself, and ends soon.
        if let Some(thread) = thread.filter(|_| thread::current().id() != self.id) {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
