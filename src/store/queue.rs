//! What waits for the store's thread: bounded, so that a slow disk cannot fill the memory.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::Refused;
use super::job::Job;

/// Writes that may wait; an append counts each of its events. One more is refused.
pub const MAX_QUEUED: usize = 16_384;
/// Bytes that may wait; what goes beyond is refused, unless it is the only one. The thread may hold as much again in the
/// transaction that it is at.
pub const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;

/// The jobs that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    entries: usize,
    bytes: usize,
    refused: u64,
    closed: bool,
}

/// What the thread has to do next.
pub(super) struct Taken {
    /// Everything that waited.
    pub(super) jobs: Vec<Job>,
    /// Whether nothing comes any more.
    pub(super) closed: bool,
}

impl Queue {
    /// Puts a job behind the others. Never waits for the disk.
    pub(super) fn push(&self, job: Job) -> Result<(), Refused> {
        let (entries, bytes) = (job.work.entries(), job.work.bytes());
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        let first = waiting.jobs.is_empty();
        if !first && (waiting.entries + entries > MAX_QUEUED || waiting.bytes + bytes > MAX_QUEUED_BYTES) {
            waiting.refused += 1;
            return Err(Refused::Full);
        }
        waiting.entries += entries;
        waiting.bytes += bytes;
        waiting.jobs.push(job);
        drop(waiting);
        if first {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits until there is something to do, the queue is closed or the time has come, and takes all that waits.
    pub(super) fn take(&self, until: Instant) -> Taken {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() && !waiting.closed {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (waiting.entries, waiting.bytes) = (0, 0);
        Taken { jobs: std::mem::take(&mut waiting.jobs), closed: waiting.closed }
    }

    /// Takes nothing more. What waits is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Jobs that wait, and how many were refused so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let waiting = self.lock();
        (waiting.jobs.len() as u64, waiting.refused)
    }

    /// Whoever panicked with the lock left it whole: each change is complete before anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
