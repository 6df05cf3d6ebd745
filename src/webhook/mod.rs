//! Events by webhook: each receiver gets every event once it is up, in order, signed as Standard Webhooks says.
//!
//! One task reads the ledger of all rooms and puts what is wanted into a queue for each receiver; another one for each
//! receiver sends. Nothing here is waited for by a room. `docs/WEBHOOKS.md` is for those who write receivers.

mod client;
mod dead;
mod delivery;
mod queue;
mod sign;
mod target;
#[cfg(test)]
mod tests;
mod view;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::dead::DeadLetters;
use self::delivery::Delivery;
pub use self::queue::Patience;
use self::queue::{Queue, Standing};
pub use self::sign::{BadSecret, SigningSecret};
pub use self::target::{BadUrl, WebhookUrl};
pub use self::view::{DeadLetterList, WebhookList};
use crate::journal::ledger::Ledger;
use crate::trust::tls_of_this_host;

/// Receivers at most.
pub const MAX_ENDPOINTS: usize = 16;
/// How often a stop looks whether everything is sent.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who gets what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The receivers, at most 16; more are refused by the configuration.
    pub urls: Vec<WebhookUrl>,
    /// What is signed with: one secret, or two while they are changed.
    pub secrets: Vec<SigningSecret>,
    /// The types of events that are sent; all if there are none.
    pub types: Vec<String>,
    /// When what failed is tried again, and given up.
    pub patience: Patience,
    /// How long one try may take.
    pub timeout: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        let (urls, secrets, types) = (Vec::new(), Vec::new(), Vec::new());
        Self { urls, secrets, types, patience: Patience::default(), timeout: Duration::from_secs(15) }
    }
}

/// The receivers and what waits for them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<Shared>);

/// The tasks that send. They end when this is dropped.
#[derive(Debug)]
pub struct WebhookTasks(#[allow(dead_code)] JoinSet<()>);

#[derive(Debug)]
struct Shared {
    secrets: Vec<SigningSecret>,
    types: Vec<String>,
    timeout: Duration,
    endpoints: Vec<Endpoint>,
    dead: Mutex<DeadLetters>,
    /// The last entry of the ledger whose event is in the queues.
    queued_up_to: AtomicU64,
    /// Events that fell out of the ledger before they were seen.
    missed: Mutex<u64>,
}

#[derive(Debug)]
struct Endpoint {
    url: WebhookUrl,
    desk: Mutex<Desk>,
    /// There may be something to send.
    called: Notify,
}

/// One receiver's queue and figures.
#[derive(Debug)]
struct Desk {
    queue: Queue,
    delivered: u64,
    failed_tries: u64,
    given_up: u64,
    last_error: Option<String>,
}

impl Webhooks {
    /// Prepares the receivers; nothing is sent before [`Webhooks::start`].
    #[must_use]
    pub fn new(config: WebhookConfig) -> Self {
        let WebhookConfig { urls, secrets, types, patience, timeout } = config;
        let endpoint = |url| {
            let queue = Queue::new(patience);
            let desk = Desk { queue, delivered: 0, failed_tries: 0, given_up: 0, last_error: None };
            Endpoint { url, desk: Mutex::new(desk), called: Notify::new() }
        };
        let endpoints = urls.into_iter().take(MAX_ENDPOINTS).map(endpoint).collect();
        let (dead, missed) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { secrets, types, timeout, endpoints, dead, queued_up_to: AtomicU64::new(0), missed }))
    }

    /// Sends what the ledger gets from now on. Without receivers nothing is started; with them a Tokio runtime has to be
    /// entered.
    #[must_use]
    pub fn start(&self, ledger: &Arc<Ledger>) -> WebhookTasks {
        match self.0.endpoints.is_empty() {
            true => WebhookTasks(JoinSet::new()),
            false => self.start_with(ledger, tls_of_this_host()),
        }
    }

    fn start_with(&self, ledger: &Arc<Ledger>, tls: ClientConfig) -> WebhookTasks {
        let mut tasks = JoinSet::new();
        tasks.spawn(worker::fill(Arc::clone(&self.0), Arc::clone(ledger), ledger.last_number()));
        let tls = Arc::new(tls);
        for index in 0..self.0.endpoints.len() {
            tasks.spawn(worker::send(Arc::clone(&self.0), index, Arc::clone(&tls)));
        }
        WebhookTasks(tasks)
    }

    /// Waits until everything in the ledger has arrived that can: receivers that failed last are not waited for.
    pub async fn drain(&self, ledger: &Ledger, within: Duration) {
        if self.0.endpoints.is_empty() {
            return;
        }
        let busy = |endpoint: &Endpoint| {
            let desk = endpoint.lock();
            desk.queue.len() > 0 && matches!(desk.queue.standing(), Standing::Idle | Standing::Sending)
        };
        let sent = async {
            let queued = || self.0.queued_up_to.load(Ordering::Acquire) >= ledger.last_number();
            while !queued() || self.0.endpoints.iter().any(busy) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(within, sent).await;
    }

    /// The receivers and how they do.
    #[must_use]
    pub fn list(&self) -> WebhookList {
        self.0.list(Instant::now(), unix_ms())
    }

    /// The events that were given up, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetterList {
        self.0.dead_letters()
    }

    /// Puts an event that was given up behind those that wait for its receiver, which is switched on again if it was
    /// off. Returns whether there is such an event.
    pub fn retry(&self, id: u64) -> bool {
        let Some(letter) = self.0.dead().remove(id) else { return false };
        let Some(endpoint) = self.0.endpoints.get(letter.endpoint) else { return false };
        endpoint.lock().queue.wake();
        self.0.push(letter.endpoint, letter.delivery);
        true
    }
}

impl Shared {
    /// Whether an event of this type is for anybody.
    fn wants(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind)
    }

    /// Puts an event into the queue of a receiver.
    fn push(&self, index: usize, delivery: Arc<Delivery>) {
        let Some(endpoint) = self.endpoints.get(index) else { return };
        let (given_up, disabled) = {
            let mut desk = endpoint.lock();
            let given_up = desk.queue.push(Instant::now(), delivery);
            desk.given_up += given_up.len() as u64;
            (given_up, desk.queue.standing() == Standing::Disabled)
        };
        endpoint.called.notify_one();
        // What comes after a receiver has gone is not even a dead letter: it asked not to be sent anything.
        if !disabled {
            self.bury(index, given_up, "too many events waited");
        }
    }

    fn bury(&self, index: usize, given_up: Vec<Arc<Delivery>>, why: &str) {
        if given_up.is_empty() {
            return;
        }
        let url = self.endpoints.get(index).map(|endpoint| endpoint.url.shown()).unwrap_or_default();
        tracing::warn!(url, events = given_up.len(), why, "events for a webhook were given up");
        let (at, mut dead) = (unix_ms(), self.dead());
        given_up.into_iter().for_each(|delivery| dead.push(index, delivery, at, why));
    }

    fn dead(&self) -> MutexGuard<'_, DeadLetters> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Every change of a desk is complete before anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
