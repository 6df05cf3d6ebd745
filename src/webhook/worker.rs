//! The tasks: one that fills the queues from the ledger, and one for each receiver that empties its queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::http::{HeaderValue, StatusCode};
use rustls::ClientConfig;

use super::client::{Answer, Client, Message, SendError};
use super::delivery::Delivery;
use super::queue::Outcome;
use super::sign::signatures;
use super::{Endpoint, Shared, unix_ms};
use crate::journal::ledger::Ledger;

/// Entries read from the ledger at once.
const ENTRIES_AT_ONCE: usize = 256;

/// Puts each wanted event behind `number` into the queues, for ever.
pub(super) async fn fill(shared: Arc<Shared>, ledger: Arc<Ledger>, mut number: u64) {
    let mut changes = ledger.watch();
    loop {
        changes.mark_unchanged();
        match ledger.read_after(number, ENTRIES_AT_ONCE) {
            None => number = skip(&shared, &ledger, number),
            Some(entries) if entries.is_empty() => {
                shared.queued_up_to.store(number, Ordering::Release);
                // The ledger is held here, so the watch does not end.
                let _ = changes.changed().await;
            }
            Some(entries) => {
                for entry in entries {
                    number = entry.number;
                    if shared.wants(entry.event.body.name()) {
                        let delivery = Arc::new(Delivery::new(&entry));
                        (0..shared.endpoints.len()).for_each(|index| shared.push(index, Arc::clone(&delivery)));
                    }
                }
            }
        }
    }
}

/// This task waits for nobody, so the whole ring would have to turn over while it has no processor.
fn skip(shared: &Shared, ledger: &Ledger, number: u64) -> u64 {
    let last = ledger.last_number();
    let missed = last.saturating_sub(number);
    tracing::error!(missed, "events came faster than they could be queued for webhooks");
    *shared.missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += missed;
    last
}

/// Sends what waits for a receiver, one after the other, for ever.
pub(super) async fn send(shared: Arc<Shared>, index: usize, tls: Arc<ClientConfig>) {
    let Some(endpoint) = shared.endpoints.get(index) else { return };
    let mut client = Client::new(tls);
    loop {
        let (next, timeout) = {
            let mut desk = endpoint.lock();
            (desk.queue.poll_send(Instant::now()), desk.queue.poll_timeout())
        };
        match next {
            Some(delivery) => deliver(&shared, index, endpoint, &mut client, &delivery).await,
            None => wait(endpoint, timeout).await,
        }
    }
}

async fn wait(endpoint: &Endpoint, timeout: Option<Instant>) {
    let due = async {
        match timeout {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = endpoint.called.notified() => {}
        () = due => {}
    }
}

async fn deliver(shared: &Shared, index: usize, endpoint: &Endpoint, client: &mut Client, delivery: &Delivery) {
    let message = message(shared, delivery);
    let answer = tokio::time::timeout(shared.timeout, client.post(&endpoint.url, &message)).await;
    let (outcome, error) = judge(answer.ok());
    if let Some(error) = &error {
        tracing::info!(url = endpoint.url.shown(), id = delivery.id, error, "a webhook did not arrive");
    }
    let given_up = {
        let mut desk = endpoint.lock();
        let given_up = desk.queue.handle_outcome(Instant::now(), outcome, dice());
        desk.delivered += u64::from(outcome == Outcome::Arrived);
        desk.failed_tries += u64::from(outcome != Outcome::Arrived);
        desk.given_up += given_up.len() as u64;
        if error.is_some() {
            desk.last_error.clone_from(&error);
        }
        given_up
    };
    shared.bury(index, given_up, &error.unwrap_or_default());
}

/// What is sent, signed at this moment.
fn message(shared: &Shared, delivery: &Delivery) -> Message {
    let timestamp = unix_ms() / 1_000;
    let signature = signatures(&shared.secrets, &delivery.id, timestamp, &delivery.body);
    let header = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    Message { id: header(&delivery.id), timestamp, signature: header(&signature), body: delivery.body.clone() }
}

/// What an answer means, and a sentence if it is not what was hoped for. Without one, time is up.
fn judge(answer: Option<Result<Answer, SendError>>) -> (Outcome, Option<String>) {
    let failed = |retry_after, why: String| (Outcome::Failed { retry_after }, Some(why));
    match answer {
        None => failed(None, "it did not answer in time".to_owned()),
        Some(Err(error)) => failed(None, error.to_string()),
        Some(Ok(Answer { status, .. })) if status.is_success() => (Outcome::Arrived, None),
        Some(Ok(Answer { status: StatusCode::GONE, .. })) => {
            (Outcome::Gone, Some("it answered 410: it wants nothing any more".to_owned()))
        }
        Some(Ok(Answer { status, retry_after })) if status.is_redirection() => {
            failed(retry_after, format!("it answered {}, and redirects are not followed", status.as_u16()))
        }
        Some(Ok(Answer { status, retry_after })) => failed(retry_after, format!("it answered {}", status.as_u16())),
    }
}

/// A random number; if the system has none, all wait equally long.
fn dice() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_means_what_the_standard_says() {
        let after = Some(Duration::from_secs(9));
        let table = [
            (200, Outcome::Arrived),
            (204, Outcome::Arrived),
            (301, Outcome::Failed { retry_after: after }),
            (404, Outcome::Failed { retry_after: after }),
            (410, Outcome::Gone),
            (429, Outcome::Failed { retry_after: after }),
            (503, Outcome::Failed { retry_after: after }),
        ];
        for (status, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            let (outcome, why) = judge(Some(Ok(Answer { status, retry_after: after })));
            assert_eq!((outcome, why.is_none()), (expected, expected == Outcome::Arrived), "{status}");
        }
        assert_eq!(judge(None).0, Outcome::Failed { retry_after: None });
        assert!(judge(Some(Err(SendError::NoAddress))).1.is_some_and(|why| why.contains("no address")));
    }
}
