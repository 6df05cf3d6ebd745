//! The events of all rooms in one sequence, for readers that follow the whole server.
//!
//! Each journal pushes what it appends; the entry holds the room's own number, so that it is the same event for
//! whoever reads the room's stream. Like a journal it keeps the latest only, and readers hold nothing but a number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtable_protocol::{Event, RoomId};
use tokio::sync::watch;

use super::text_bytes;

/// Entries a ledger keeps; the oldest goes when one more comes.
pub const MAX_ENTRIES: usize = 8_192;
/// Text a ledger keeps, in bytes; the oldest entries go until the rest fits. The newest always stays.
pub const MAX_LEDGER_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// The latest events of all rooms.
#[derive(Debug)]
pub struct Ledger {
    boot: u64,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
}

/// One event of some room.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position in the ledger, from 1, without gaps.
    pub number: u64,
    /// The room.
    pub room: RoomId,
    /// Which life of it.
    pub epoch: u64,
    /// What happened, with the room's own number.
    pub event: Arc<Event>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    text_bytes: usize,
    last: u64,
}

impl Ledger {
    /// Begins the ledger of one start of the server. `boot` tells its starts apart.
    #[must_use]
    pub fn new(boot: u64) -> Self {
        Self { boot, ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Takes what a journal has appended.
    pub(super) fn push(&self, room: &RoomId, epoch: u64, event: Arc<Event>) {
        let mut ring = self.lock();
        ring.last += 1;
        ring.text_bytes += text_bytes(&event);
        let entry = Entry { number: ring.last, room: room.clone(), epoch, event };
        ring.entries.push_back(Arc::new(entry));
        ring.shrink();
    }

    /// Wakes the readers.
    pub(super) fn wake(&self) {
        let last = self.last_number();
        // Journals of several shards may come here in another order than they pushed.
        self.last.send_if_modified(|told| {
            let newer = *told < last;
            *told = last.max(*told);
            newer
        });
    }

    /// Which start of the server this is.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// The number of the last entry, 0 before the first.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.lock().last
    }

    /// The entries after the one of this number, at most `at_most` of them; `None` if they are not kept any more, or
    /// the number was never given out.
    #[must_use]
    pub fn read_after(&self, number: u64, at_most: usize) -> Option<Vec<Arc<Entry>>> {
        let ring = self.lock();
        // The ring holds the numbers `last - len + 1 ..= last`.
        let missing = usize::try_from(ring.last.checked_sub(number)?).ok()?;
        let skip = ring.entries.len().checked_sub(missing)?;
        Some(ring.entries.iter().skip(skip).take(at_most).cloned().collect())
    }

    /// Tells the number of the last entry whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Every change of the ring is complete before anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn shrink(&mut self) {
        let too_much = |ring: &Self| ring.text_bytes > MAX_LEDGER_TEXT_BYTES && ring.entries.len() > 1;
        while self.entries.len() > MAX_ENTRIES || too_much(self) {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.text_bytes -= text_bytes(&oldest.event);
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::{EventBody, MemberId};

    use super::*;
    use crate::journal::Journal;

    fn speaking() -> Event {
        Event { seq: 0, at: 1, body: EventBody::Speaking { member: MemberId::new("ann").unwrap(), speaking: true } }
    }

    fn journal(ledger: &Arc<Ledger>, room: &str, epoch: u64) -> Arc<Journal> {
        Journal::with_ledger(RoomId::new(room).unwrap(), epoch, None, Arc::clone(ledger))
    }

    #[test]
    fn all_rooms_stand_in_one_sequence_with_their_own_numbers() {
        let ledger = Arc::new(Ledger::new(3));
        let (a, b) = (journal(&ledger, "a", 7), journal(&ledger, "b", 8));
        for _ in 0..3 {
            a.append(speaking());
            b.append(speaking());
        }
        let entries = ledger.read_after(1, 4).unwrap();
        let told: Vec<_> = entries.iter().map(|e| (e.number, e.room.as_str(), e.epoch, e.event.seq)).collect();
        assert_eq!(told, [(2, "b", 8, 1), (3, "a", 7, 2), (4, "b", 8, 2), (5, "a", 7, 3)]);
        assert_eq!((ledger.last_number(), *ledger.watch().borrow()), (6, 6));
    }

    #[test]
    fn what_is_too_old_or_never_was_is_not_there() {
        let ledger = Arc::new(Ledger::new(3));
        let journal = journal(&ledger, "a", 7);
        for _ in 0..MAX_ENTRIES + 10 {
            journal.append(speaking());
        }
        let last = MAX_ENTRIES as u64 + 10;
        assert_eq!(ledger.read_after(10, usize::MAX).map(|entries| entries.len()), Some(MAX_ENTRIES));
        assert_eq!(ledger.read_after(9, usize::MAX), None);
        assert_eq!(ledger.read_after(last, 1), Some(vec![]));
        assert_eq!(ledger.read_after(last + 1, 1), None);
    }

    #[test]
    fn writers_of_many_rooms_at_once_lose_nothing() {
        let ledger = Arc::new(Ledger::new(3));
        std::thread::scope(|scope| {
            for room in 0..4_u64 {
                let journal = journal(&ledger, &format!("r{room}"), room);
                scope.spawn(move || (0..1_000).map(|_| journal.append(speaking())).max());
            }
        });
        let entries = ledger.read_after(0, usize::MAX).unwrap();
        assert!(entries.iter().map(|entry| entry.number).eq(1..=4_000));
        for room in 0..4 {
            let seqs = entries.iter().filter(|entry| entry.epoch == room).map(|entry| entry.event.seq);
            assert!(seqs.eq(1..=1_000), "room {room} in its order");
        }
    }
}
