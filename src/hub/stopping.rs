//! How the server ends: first it takes no new rooms, then nobody, then everybody is told goodbye.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Hub;
use crate::shard::inbox::{Command, SendError};

/// Pause between tries to hand a full shard a command that must arrive.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

impl Hub {
    /// Whether [`Hub::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Takes no new rooms from now on and tells everybody; waits until all sessions have gone, but no longer than `within`.
    pub async fn drain(&self, within: Duration) {
        self.0.draining.send_replace(Some(Instant::now() + within));
        let mut sessions = self.0.sessions.subscribe();
        let _ = tokio::time::timeout(within, sessions.wait_for(|count| *count == 0)).await;
    }

    /// Whether [`Hub::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.borrow().is_some()
    }

    /// Tells when the server ends at the latest, once that is known.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<Option<Instant>> {
        self.0.draining.subscribe()
    }

    /// Resolves once the hub is stopping.
    pub async fn stopped(&self) {
        let mut stopping = self.0.stopping.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Refuses everybody new, ends all rooms, and waits until every session has said goodbye, but
    /// no longer than `within`. Returns the sessions that are still there.
    pub async fn stop(&self, within: Duration) -> usize {
        self.0.stopping.send_replace(true);
        let mut sessions = self.0.sessions.subscribe();
        let orderly = async {
            for inbox in &self.0.inboxes {
                while inbox.send(Command::Stop) == Err(SendError::Full) {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            let _ = sessions.wait_for(|count| *count == 0).await;
        };
        let _ = tokio::time::timeout(within, orderly).await;
        self.sessions()
    }
}
