//! Which rooms there are: the journal of each open room, and of those that closed lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_protocol::RoomId;
use tokio::sync::watch;

use super::placing::{Standing, place};
use super::settings::SettingsRecord;
use crate::journal::ledger::Ledger;
use crate::journal::{Journal, Keeper};

/// Journals of closed rooms that are kept for late readers; the oldest goes when one more comes.
pub(super) const MAX_CLOSED: usize = 256;

/// For so long a room is young: what it makes its shard busy does not show yet.
const YOUNG: Duration = Duration::from_secs(3);

/// What keeps the events of rooms, by the number of the shard they live on; empty where nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Keepers(pub(super) Vec<Keeper>);

/// All rooms of this server.
#[derive(Debug)]
pub(super) struct Rooms {
    max_open: usize,
    gather_below: u32,
    keep_closed: Duration,
    keepers: Keepers,
    /// Where the events of all rooms are gathered.
    ledger: Arc<Ledger>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rooms: BTreeMap<RoomId, Entry>,
    /// Closed journals, oldest first. One whose room was opened again is in no entry any more.
    closed: VecDeque<Arc<Journal>>,
    last_epoch: u64,
}

#[derive(Debug)]
struct Entry {
    journal: Arc<Journal>,
    /// The key it is a room of.
    key: Option<Arc<str>>,
    /// Where it lives from its first member to its last.
    shard: usize,
    opened: Instant,
    /// Joins under way. A room that nobody entered yet lives as long as one of them.
    claims: usize,
}

/// A join under way into the room of this journal.
#[derive(Debug)]
pub(super) struct Claim {
    rooms: Arc<Rooms>,
    journal: Arc<Journal>,
    key: Option<Arc<str>>,
    shard: usize,
}

/// Whose room is opened, and within which bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opener<'a> {
    /// The key; nobody's room is bounded by the server only.
    pub(super) key: Option<&'a str>,
    /// Rooms that it may have; `None` for as many as there may be.
    pub(super) quota: Option<usize>,
    /// The rooms that are set up.
    pub(super) set_up: &'a SettingsRecord,
}

/// Why a room is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// As many are open as may be.
    TooMany,
    /// The key has as many rooms as it may.
    KeyQuota,
}

impl Rooms {
    pub(super) fn new(max_open: usize, gather_below: u32, keep_closed: Duration, keepers: Keepers) -> Self {
        let ledger = Arc::new(Ledger::new(unix_millis()));
        Self { max_open, gather_below, keep_closed, keepers, ledger, table: Mutex::default() }
    }

    /// What keeps the events of a room on a shard.
    pub(super) fn keeper(&self, shard: usize) -> Option<Keeper> {
        self.keepers.0.get(shard).cloned()
    }

    /// Takes in a room that was open before the process began. `None` if there are as many as may be.
    pub(super) fn adopt(
        self: &Arc<Self>,
        journal: &Arc<Journal>,
        key: Option<Arc<str>>,
        shard: usize,
    ) -> Option<Claim> {
        let mut table = self.lock();
        if table.rooms.len() >= self.max_open {
            return None;
        }
        table.last_epoch = table.last_epoch.max(journal.epoch());
        let opened = Instant::now();
        let entry = Entry { journal: Arc::clone(journal), key: key.clone(), shard, opened, claims: 1 };
        table.rooms.insert(journal.room().clone(), entry);
        drop(table);
        // Without a runtime nobody is served, and nothing has to be forgotten.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(retire(Arc::downgrade(self), journal.watch(), Arc::downgrade(journal)));
        }
        Some(Claim { rooms: Arc::clone(self), journal: Arc::clone(journal), key, shard })
    }

    /// The shard for a room that is opened now.
    pub(super) fn place(&self, busy: impl Iterator<Item = u32>) -> usize {
        place(self.gather_below, &self.lock().standings(Instant::now(), busy))
    }

    /// The events of all rooms.
    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Finds the journal to join, or begins one, on a shard of those that are `busy` by so many thousandths.
    pub(super) fn claim(
        self: &Arc<Self>,
        room: &RoomId,
        opener: Opener<'_>,
        busy: impl Iterator<Item = u32>,
    ) -> Result<Claim, NotOpened> {
        let mut table = self.lock();
        if let Some(entry) = table.rooms.get_mut(room).filter(|entry| !entry.journal.is_ending()) {
            entry.claims += 1;
            let (journal, key, shard) = (Arc::clone(&entry.journal), entry.key.clone(), entry.shard);
            return Ok(Claim { rooms: Arc::clone(self), journal, key, shard });
        }
        if table.open().count() >= self.max_open {
            return Err(NotOpened::TooMany);
        }
        if let (Some(key), Some(quota)) = (opener.key, opener.quota)
            && table.count_of_key(key, opener.set_up) >= quota
        {
            return Err(NotOpened::KeyQuota);
        }
        // Epochs rise strictly, even if the wall clock does not.
        table.last_epoch = unix_millis().max(table.last_epoch + 1);
        let opened = Instant::now();
        let shard = place(self.gather_below, &table.standings(opened, busy));
        let journal =
            Journal::with_ledger(room.clone(), table.last_epoch, self.keeper(shard), Arc::clone(&self.ledger));
        let key: Option<Arc<str>> = opener.key.map(Arc::from);
        let entry = Entry { journal: Arc::clone(&journal), key: key.clone(), shard, opened, claims: 1 };
        table.rooms.insert(room.clone(), entry);
        drop(table);
        tokio::spawn(retire(Arc::downgrade(self), journal.watch(), Arc::downgrade(&journal)));
        Ok(Claim { rooms: Arc::clone(self), journal, key, shard })
    }

    /// The journals of open rooms that somebody has entered.
    pub(super) fn open(&self) -> Vec<Arc<Journal>> {
        let table = self.lock();
        let journals = table.rooms.values().map(|entry| &entry.journal);
        journals.filter(|journal| is_open(journal)).cloned().collect()
    }

    /// The journal of a room that somebody has entered, be it closed since.
    pub(super) fn find(&self, room: &RoomId) -> Option<Arc<Journal>> {
        let table = self.lock();
        table.rooms.get(room).map(|entry| &entry.journal).filter(|journal| journal.last_numbered() > 0).cloned()
    }

    /// The shard on which an open room lives.
    pub(super) fn shard_of(&self, room: &RoomId) -> Option<usize> {
        let table = self.lock();
        table.rooms.get(room).filter(|entry| !entry.journal.is_ending()).map(|entry| entry.shard)
    }

    /// The key that an open room is one of; `None` if it is nobody's, or not open.
    pub(super) fn key_of(&self, room: &RoomId) -> Option<Arc<str>> {
        let table = self.lock();
        table.rooms.get(room).filter(|entry| !entry.journal.is_ending())?.key.clone()
    }

    /// The rooms of a key: those that are open and those that it has set up, each counted once.
    pub(super) fn count_of_key(&self, key: &str, set_up: &SettingsRecord) -> usize {
        self.lock().count_of_key(key, set_up)
    }

    fn settle(&self, journal: &Arc<Journal>) {
        let mut table = self.lock();
        let Some(entry) = table.rooms.get_mut(journal.room()) else { return };
        if !Arc::ptr_eq(&entry.journal, journal) {
            return;
        }
        entry.claims -= 1;
        if entry.claims == 0 && journal.last_numbered() == 0 {
            table.rooms.remove(journal.room());
        }
    }

    /// Notes that a room is over; its journal stays for late readers.
    fn note_closed(&self, journal: Arc<Journal>) {
        let mut table = self.lock();
        table.closed.push_back(journal);
        while table.closed.len() > MAX_CLOSED {
            table.remove_oldest_closed();
        }
    }

    fn remove_closed(&self, journal: &Arc<Journal>) {
        let mut table = self.lock();
        // Every journal is kept for the same time, so that those before this one are due as well.
        while table.closed.iter().any(|closed| Arc::ptr_eq(closed, journal)) {
            table.remove_oldest_closed();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn open(&self) -> impl Iterator<Item = (&RoomId, &Entry)> {
        self.rooms.iter().filter(|(_, entry)| !entry.journal.is_ending())
    }

    fn count_of_key(&self, key: &str, set_up: &SettingsRecord) -> usize {
        let of_key = self.open().filter(|(_, entry)| entry.key.as_deref() == Some(key));
        let open: BTreeSet<&RoomId> = of_key.map(|(room, _)| room).collect();
        open.len() + set_up.of_key(key).filter(|room| !open.contains(room)).count()
    }

    fn standings(&self, now: Instant, busy: impl Iterator<Item = u32>) -> Vec<Standing> {
        let mut standings: Vec<_> = busy.map(|busy| Standing { busy, ..Standing::default() }).collect();
        for (_, entry) in self.open() {
            if let Some(standing) = standings.get_mut(entry.shard) {
                standing.rooms += 1;
                standing.young += u32::from(now.saturating_duration_since(entry.opened) < YOUNG);
            }
        }
        standings
    }

    fn remove_oldest_closed(&mut self) {
        let Some(journal) = self.closed.pop_front() else { return };
        if self.rooms.get(journal.room()).is_some_and(|entry| Arc::ptr_eq(&entry.journal, &journal)) {
            self.rooms.remove(journal.room());
        }
    }
}

impl Claim {
    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// The key it is a room of.
    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// The shard on which the room lives.
    pub(super) fn shard(&self) -> usize {
        self.shard
    }

    /// The join has ended, one way or the other. A room that nobody entered is forgotten with its last claim.
    pub(super) fn settle(self) {
        self.rooms.settle(&self.journal);
    }
}

/// Waits for a room's end, keeps its journal for late readers for a while, then forgets it.
async fn retire(rooms: Weak<Rooms>, changes: watch::Receiver<u64>, journal: Weak<Journal>) {
    let Some(journal) = closed(changes, journal).await else { return };
    let Some(keep) = rooms.upgrade().map(|rooms| {
        rooms.note_closed(Arc::clone(&journal));
        rooms.keep_closed
    }) else {
        return;
    };
    tokio::time::sleep(keep).await;
    if let Some(rooms) = rooms.upgrade() {
        rooms.remove_closed(&journal);
    }
}

/// Waits until the journal is closed; `None` if nobody holds it any more, because its room was never entered.
async fn closed(mut changes: watch::Receiver<u64>, journal: Weak<Journal>) -> Option<Arc<Journal>> {
    loop {
        let journal = journal.upgrade()?;
        if journal.is_closed() {
            return Some(journal);
        }
        drop(journal);
        changes.changed().await.ok()?;
    }
}

fn is_open(journal: &Journal) -> bool {
    let state = journal.shared_state();
    state.seq > 0 && !state.closed
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
