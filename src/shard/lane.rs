//! Lanes between shards that share one UDP port: what came to one shard's socket and is another's.
//!
//! The kernel gives all datagrams of one remote address to the same socket, whosever they are, unless it is told (`steering`). A shard that is given
//! somebody else's hands them over in one batch a turn; the way back needs no lane, as every shard sends from the same
//! port. Whose a remote address is, is told by *routes*: a shard that has proven a path tells all others of it, before it
//! answers the check that proved it.
//!
//! Nothing waits and nothing is allocated in the steady state: a full lane drops datagrams (they are counted), and
//! batches go back to where they came from. Routes are never dropped: they wait for room in the lane.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use mio::Waker;
use roundtable_transport::path::Path;

/// Batches that may wait for one shard, of all others together.
const LANE_CAPACITY: usize = 256;
/// Bytes of one batch; a datagram beyond begins another one.
const BATCH_BYTES: usize = 64 * 1024;

/// Whose a remote address is from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The shard's that tells it.
    Add(Path),
    /// No longer the shard's that tells it.
    Remove(Path),
}

/// What one shard hands to another in one turn.
#[derive(Debug, Default)]
pub struct Batch {
    /// Who hands it over.
    pub from: u8,
    /// To be followed before the datagrams are looked at.
    pub routes: Vec<Route>,
    bytes: Vec<u8>,
    /// The path and the end of each datagram in `bytes`.
    datagrams: Vec<(Path, usize)>,
}

impl Batch {
    /// The datagrams in the order in which they came.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (Path, &mut [u8])> {
        let (mut rest, mut start) = (self.bytes.as_mut_slice(), 0);
        self.datagrams.iter().map(move |&(path, end)| {
            let (datagram, after) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (after, end);
            (path, datagram)
        })
    }

    fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.datagrams.is_empty()
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.forget_datagrams();
    }

    fn forget_datagrams(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}

/// One shard's ends of all lanes.
#[derive(Debug)]
pub struct Lanes {
    own: u8,
    others: Vec<Outward>,
    inward: Receiver<Batch>,
    empties: Receiver<Batch>,
}

/// The way to one other shard.
struct Outward {
    shard: u8,
    filling: Batch,
    sender: SyncSender<Batch>,
    /// Where emptied batches of that shard go back to.
    back: SyncSender<Batch>,
    waker: Arc<Waker>,
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outward").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl Lanes {
    /// The lanes among shards that are woken by these wakers, in the order of their numbers; at most 256.
    #[must_use]
    pub fn between(wakers: &[Arc<Waker>]) -> Vec<Self> {
        let inward: Vec<_> = wakers.iter().map(|_| sync_channel(LANE_CAPACITY)).collect();
        let back: Vec<_> = wakers.iter().map(|_| sync_channel(LANE_CAPACITY)).collect();
        let (senders, inward): (Vec<_>, Vec<_>) = inward.into_iter().unzip();
        let (backs, empties): (Vec<_>, Vec<_>) = back.into_iter().unzip();
        let outward = |own: u8| {
            let all = (0..=u8::MAX).zip(wakers).zip(senders.iter().zip(&backs));
            let others = all.filter(move |((shard, _), _)| *shard != own);
            others.map(move |((shard, waker), (sender, back))| Outward {
                shard,
                filling: Batch { from: own, ..Batch::default() },
                sender: sender.clone(),
                back: back.clone(),
                waker: Arc::clone(waker),
            })
        };
        let lanes = (0..=u8::MAX).zip(inward.into_iter().zip(empties));
        lanes.map(|(own, (inward, empties))| Self { own, others: outward(own).collect(), inward, empties }).collect()
    }

    /// Adds a datagram to what is handed to `shard`. Returns whether there was room.
    pub fn push(&mut self, shard: u8, path: Path, datagram: &[u8]) -> bool {
        let Some(at) = self.others.iter().position(|other| other.shard == shard) else { return false };
        // In bounds: just found.
        if self.others[at].filling.bytes.len() + datagram.len() > BATCH_BYTES && self.send(at) > 0 {
            return false;
        }
        let batch = &mut self.others[at].filling;
        batch.bytes.extend_from_slice(datagram);
        batch.datagrams.push((path, batch.bytes.len()));
        true
    }

    /// Tells all others of a route.
    pub fn tell(&mut self, route: Route) {
        self.others.iter_mut().for_each(|other| other.filling.routes.push(route));
    }

    /// Hands over what was added; returns how many datagrams were lost because a lane was full.
    pub fn flush(&mut self) -> usize {
        (0..self.others.len()).map(|at| self.send(at)).sum()
    }

    /// The next batch that another shard has handed over; to be given back by [`Lanes::recycle`].
    pub fn next(&self) -> Option<Batch> {
        self.inward.try_recv().ok()
    }

    /// Gives a batch back to where it came from.
    pub fn recycle(&self, mut batch: Batch) {
        batch.clear();
        if let Some(other) = self.others.iter().find(|other| other.shard == batch.from) {
            // A shard that has ended, or has enough of them, lets go of it.
            let _ = other.back.try_send(batch);
        }
    }

    fn send(&mut self, at: usize) -> usize {
        let Some(other) = self.others.get_mut(at).filter(|other| !other.filling.is_empty()) else { return 0 };
        let empty = self.empties.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut other.filling, Batch { from: self.own, ..empty });
        match other.sender.try_send(batch) {
            Ok(()) => {
                // A failed wake-up only delays it to that shard's next turn.
                let _ = other.waker.wake();
                0
            }
            Err(TrySendError::Full(mut batch)) => {
                let lost = batch.datagrams.len();
                batch.forget_datagrams();
                other.filling = batch;
                lost
            }
            // The server is stopping.
            Err(TrySendError::Disconnected(_)) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { remote: ([127, 0, 0, 1], port).into(), local: None }
    }

    fn lanes(count: usize) -> (mio::Poll, Vec<Lanes>) {
        let poll = mio::Poll::new().unwrap();
        // One poll wakes for all of them: only one waker may be registered with it.
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let wakers = vec![waker; count];
        (poll, Lanes::between(&wakers))
    }

    fn contents(batch: &mut Batch) -> Vec<(Path, Vec<u8>)> {
        batch.datagrams().map(|(path, bytes)| (path, bytes.to_vec())).collect()
    }

    #[test]
    fn what_is_handed_over_comes_to_that_shard_whole_and_in_order() {
        let (_poll, mut lanes) = lanes(3);
        assert!(
            lanes[0].push(2, path(1), &[1, 2, 3]) && lanes[0].push(2, path(2), &[]) && lanes[0].push(2, path(3), &[4])
        );
        lanes[0].tell(Route::Add(path(9)));
        assert_eq!(lanes[0].flush(), 0);
        let mut batch = lanes[2].next().unwrap();
        assert_eq!((batch.from, &batch.routes[..]), (0, &[Route::Add(path(9))][..]));
        assert_eq!(contents(&mut batch), [(path(1), vec![1, 2, 3]), (path(2), vec![]), (path(3), vec![4])]);
        lanes[2].recycle(batch);
        let mut batch = lanes[1].next().unwrap();
        assert_eq!((batch.routes.len(), contents(&mut batch).len()), (1, 0), "routes are for everybody");
        assert!(lanes[0].next().is_none() && lanes[1].next().is_none() && lanes[2].next().is_none());
    }

    #[test]
    fn a_full_lane_loses_datagrams_and_no_route() {
        let (_poll, mut lanes) = lanes(2);
        for _ in 0..LANE_CAPACITY {
            assert!(lanes[0].push(1, path(1), &[0]));
            assert_eq!(lanes[0].flush(), 0);
        }
        assert!(lanes[0].push(1, path(1), &[1]));
        lanes[0].tell(Route::Remove(path(7)));
        assert_eq!(lanes[0].flush(), 1);
        let first = lanes[1].next().unwrap();
        lanes[1].recycle(first);
        assert_eq!(lanes[0].flush(), 0);
        let batches: Vec<Batch> = std::iter::from_fn(|| lanes[1].next()).collect();
        assert_eq!(batches.last().map(|batch| &batch.routes[..]), Some(&[Route::Remove(path(7))][..]));
    }

    #[test]
    fn batches_come_back_and_are_filled_again() {
        let (_poll, mut lanes) = lanes(2);
        let mut rooms = Vec::new();
        for _ in 0..4 {
            lanes[0].push(1, path(1), &[0; 1000]);
            lanes[0].flush();
            let batch = lanes[1].next().unwrap();
            rooms.push(batch.bytes.as_ptr());
            lanes[1].recycle(batch);
        }
        assert_eq!(rooms[0], rooms[2], "two take turns");
        assert_eq!(rooms[1], rooms[3]);
    }

    #[test]
    fn a_batch_that_would_be_too_long_leaves_first() {
        let (_poll, mut lanes) = lanes(2);
        for _ in 0..100 {
            assert!(lanes[0].push(1, path(1), &[0; 1500]));
        }
        lanes[0].flush();
        let lens: Vec<usize> = std::iter::from_fn(|| lanes[1].next()).map(|batch| batch.bytes.len()).collect();
        assert_eq!(lens.iter().sum::<usize>(), 150_000);
        assert!(lens.iter().all(|&len| len <= BATCH_BYTES), "{lens:?}");
    }
}
