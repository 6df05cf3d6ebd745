//! The store's thread: takes all that waits, commits it as one transaction, tells everybody.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::apply::apply;
use super::config::StoreConfig;
use super::error::StoreError;
use super::file;
use super::job::{Job, Told, Work};
use super::prune::Pruning;
use super::queue::Queue;
use super::read::Gate;
use super::shelf::Shelf;

/// How often a transaction is tried that fails for a reason which may pass. Then each of its writes is tried once by
/// itself, and those that fail are given up: their callbacks get the error, and what comes behind goes on.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; it grows by as much with each.
const PAUSE: Duration = Duration::from_millis(50);
/// Failures are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old goes, and the log with it.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// When it first does after the store was opened.
const FIRST_PRUNE: Duration = Duration::from_secs(10);

/// What the thread has done.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// What the thread owns. The lock is let go of last.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) shelf: Shelf,
    pub(super) config: StoreConfig,
    pub(super) queue: Arc<Queue>,
    pub(super) gate: Gate,
    pub(super) counters: Arc<Counters>,
    pub(super) pruning: Option<Pruning>,
    pub(super) logged_at: Option<Instant>,
    pub(super) _lock: File,
}

/// Milliseconds since 1970 UTC.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Writer {
    /// Works until the queue is closed and empty. A panic, which would be a fault of ours, closes the queue too.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            tracing::error!("the store's thread failed, nothing is stored any more");
        }
        queue.close();
        queue.take(Instant::now()).jobs.into_iter().for_each(|job| tell(job.told, Err(StoreError::Closed)));
    }

    fn work(&mut self) {
        let mut prune_at = Instant::now() + FIRST_PRUNE;
        loop {
            let taken = self.queue.take(if self.pruning.is_some() { Instant::now() } else { prune_at });
            self.write(taken.jobs);
            if Instant::now() >= prune_at {
                prune_at = Instant::now() + PRUNE_EVERY;
                self.begin_pruning(unix_millis(), Vec::new());
            }
            if taken.closed {
                break;
            }
            self.prune_a_little();
        }
        let unfinished = self.pruning.take().map(|pruning| pruning.told).unwrap_or_default();
        unfinished.into_iter().for_each(|told| tell(told, Err(StoreError::Closed)));
        let _ = self.erase();
    }

    fn write(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let outcomes = self.try_together(&jobs).unwrap_or_else(|| jobs.iter().map(|job| self.try_alone(job)).collect());
        self.answer(jobs, outcomes);
    }

    fn try_together(&mut self, jobs: &[Job]) -> Option<Vec<Result<u64, StoreError>>> {
        for attempt in 1..=ATTEMPTS {
            match self.transact(jobs) {
                Ok(outcomes) => return Some(outcomes),
                Err(error) => {
                    self.note(&error.to_string(), jobs.len());
                    // Somebody waits for the end of a store that is closed.
                    if attempt == ATTEMPTS || !may_pass(&error) || self.queue.is_closed() {
                        return None;
                    }
                }
            }
            std::thread::sleep(PAUSE * attempt);
        }
        None
    }

    fn try_alone(&mut self, job: &Job) -> Result<u64, StoreError> {
        let outcome = self.transact(std::slice::from_ref(job));
        if outcome.is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        outcome.map_err(StoreError::from).and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Ok(0)))
    }

    /// All jobs or, when the database fails, none.
    fn transact(&mut self, jobs: &[Job]) -> rusqlite::Result<Vec<Result<u64, StoreError>>> {
        let now = unix_millis();
        let outcomes =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
                let each = jobs.iter().map(|job| apply(&transaction, &mut self.shelf, now, &job.work));
                let outcomes = each.collect::<rusqlite::Result<Vec<_>>>()?;
                transaction.commit()?;
                Ok(outcomes)
            });
        if outcomes.is_err() {
            self.shelf.undo();
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            return outcomes;
        }
        self.shelf.keep();
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.events.fetch_add(jobs.iter().map(|job| job.work.events()).sum(), Ordering::Relaxed);
        outcomes
    }

    /// Tells everybody in the order in which they came, and if something was erased only after the log was cut: whoever
    /// sees an event has seen those before it, and what it takes away is gone.
    fn answer(&mut self, jobs: Vec<Job>, outcomes: Vec<Result<u64, StoreError>>) {
        let mut pruning = Vec::new();
        let erases = jobs.iter().zip(&outcomes).any(|(job, outcome)| job.work.erases() && outcome.is_ok());
        let erased = if erases { self.erase() } else { Ok(0) };
        for (Job { work, told }, outcome) in jobs.into_iter().zip(outcomes) {
            match work {
                Work::Prune { now } if outcome.is_ok() => pruning.push((now, told)),
                _ if work.erases() => tell(told, outcome.and_then(|done| erased.clone().map(|_| done))),
                _ => tell(told, outcome),
            }
        }
        if let Some(now) = pruning.iter().map(|(now, _)| *now).max() {
            self.begin_pruning(now, pruning.into_iter().map(|(_, told)| told).collect());
        }
    }

    /// Leaves nothing in the files of what was overwritten.
    fn erase(&mut self) -> Result<u64, StoreError> {
        let cut = {
            let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            file::erase(&self.connection)
        };
        cut.map(|()| 0).map_err(|error| {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            self.note(&error.to_string(), 0);
            StoreError::NotErased { detail: error.to_string() }
        })
    }

    /// Begins with all rooms, also when it was at it already.
    fn begin_pruning(&mut self, now: u64, mut told: Vec<Told>) {
        told.extend(self.pruning.take().map(|pruning| pruning.told).unwrap_or_default());
        match Pruning::begin(&self.connection, now) {
            Ok(mut pruning) => {
                pruning.told = told;
                self.pruning = Some(pruning);
            }
            Err(error) => self.give_up(&error, told),
        }
    }

    fn prune_a_little(&mut self) {
        let Some(mut pruning) = self.pruning.take() else { return };
        match pruning.step(&mut self.connection, &mut self.shelf, &self.config) {
            Ok(true) => {
                self.shelf.keep();
                self.pruning = Some(pruning);
            }
            Ok(false) => {
                let erased = self.erase();
                pruning.told.into_iter().for_each(|told| tell(told, erased.clone()));
            }
            Err(error) => {
                self.shelf.undo();
                self.give_up(&error, pruning.told);
            }
        }
    }

    fn give_up(&mut self, error: &rusqlite::Error, told: Vec<Told>) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        self.note(&error.to_string(), told.len());
        told.into_iter().for_each(|told| tell(told, Err(StoreError::Failed { detail: error.to_string() })));
    }

    fn note(&mut self, error: &str, waiting: usize) {
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| now.duration_since(at) >= LOG_EVERY) {
            self.logged_at = Some(now);
            let failures = self.counters.failures.load(Ordering::Relaxed);
            tracing::error!(error, waiting, failures, "the store could not write");
        }
    }
}

/// Whether the same may succeed a little later: there is room again, or another program is done.
fn may_pass(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure};
    let code = error.sqlite_error_code();
    code.is_some_and(|code| {
        matches!(code, CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | SystemIoFailure)
    })
}

/// Calls a callback; one that panics ends nothing but itself.
fn tell(told: Told, outcome: Result<u64, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| told.tell(outcome))).is_err() {
        tracing::error!("a callback of the store panicked");
    }
}
