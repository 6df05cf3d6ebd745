//! All clients of a run: they join in parallel and are spread over the workers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::client::Joined;
use crate::clock::Clock;
use crate::connect::{self, JoinError, JoinSpec};
use crate::floor::Way;
use crate::measure::Window;
use crate::worker::{Report, Worker};

/// How many join at once where a scenario says nothing of it.
const PARALLEL: usize = 4;

/// Where clients get in.
pub(crate) enum Door {
    /// At a server, by signalling, ICE and DTLS.
    Server(connect::Door),
    /// At the bare loop.
    Floor(Way),
}

/// The clients of a run. They leave when it is dropped.
pub(crate) struct Fleet {
    clock: Clock,
    door: Door,
    workers: Vec<Worker>,
}

impl Fleet {
    pub(crate) fn start(clock: Clock, door: Door, threads: u32) -> std::io::Result<Self> {
        let workers = (0..threads.max(1)).map(|_| Worker::start(clock)).collect::<Result<_, _>>()?;
        Ok(Self { clock, door, workers })
    }

    /// Lets all of them join, a few at once, and in their order.
    pub(crate) fn enter_all(&self, specs: &[JoinSpec], progress: &(dyn Fn(usize) + Sync)) -> Result<(), JoinError> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(specs.len()) {
                scope.spawn(|| {
                    while let Some(spec) = specs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = self.enter(spec, None) {
                            next.store(specs.len(), Ordering::Relaxed);
                            // A poisoned lock holds an earlier failure.
                            failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                        }
                        progress(next.load(Ordering::Relaxed).min(specs.len()));
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Lets one join; `notify` is told of its first packet.
    pub(crate) fn enter(&self, spec: &JoinSpec, notify: Option<Sender<Joined>>) -> Result<(), JoinError> {
        let Some(worker) = self.worker(spec.number) else { return Ok(()) };
        worker.enter(match &self.door {
            Door::Server(door) => door.join(spec, &worker.addresses, notify)?,
            Door::Floor(way) => way.join(self.clock, spec, &worker.addresses)?,
        });
        Ok(())
    }

    /// Lets one leave.
    pub(crate) fn leave(&self, number: u32) {
        if let Some(worker) = self.worker(number) {
            worker.leave(number);
        }
    }

    /// Lets all look for a layer.
    pub(crate) fn look(&self, height: u16, source: u32) {
        self.workers.iter().for_each(|worker| worker.look(height, source));
    }

    /// Begins to measure what is sent in the `seconds` after [`LEAD`]; returns when that is.
    pub(crate) fn measure(&self, seconds: Duration) -> (Instant, Instant) {
        let from = Instant::now() + LEAD;
        let until = from + seconds;
        let from_ns = self.clock.now_ns() + LEAD.as_nanos() as u64; // A tenth of a second.
        let window = Window { from_ns, until_ns: from_ns + seconds.as_nanos() as u64 };
        self.workers.iter().for_each(|worker| worker.measure(window));
        (from, until)
    }

    /// The clock that packets are marked by, in ns.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// How the clients stand.
    pub(crate) fn report(&self) -> Vec<Report> {
        self.workers.iter().filter_map(Worker::report).collect()
    }

    fn worker(&self, number: u32) -> Option<&Worker> {
        self.workers.get(number as usize % self.workers.len().max(1))
    }
}

/// Time for the workers to hear of a window before it begins.
const LEAD: Duration = Duration::from_millis(100);
