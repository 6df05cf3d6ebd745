//! Counts the signalling sockets, so that a stop can wait for them.

use tokio::sync::watch;

/// One signalling socket; it is counted until this is dropped.
#[derive(Debug)]
pub struct Presence(watch::Sender<usize>);

impl Presence {
    pub(super) fn new(count: &watch::Sender<usize>, at_most: usize) -> Option<Self> {
        let entered = count.send_if_modified(|count| {
            let room_left = *count < at_most;
            *count += usize::from(room_left);
            room_left
        });
        entered.then(|| Self(count.clone()))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
