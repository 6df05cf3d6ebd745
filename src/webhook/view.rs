//! What can be seen of the receivers from outside.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::queue::Standing;
use super::{Endpoint, Shared};

/// All receivers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookList {
    /// In the order of the settings.
    pub endpoints: Vec<EndpointView>,
    /// The types of events that are sent; all if there are none.
    pub types: Vec<String>,
    /// Events that were given up and are kept.
    pub dead_letters: usize,
    /// Events that were given up and are not kept any more.
    pub forgotten_dead_letters: u64,
    /// Events that were never queued, because they came faster than that can be done.
    pub missed: u64,
}

/// One receiver.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Its URL without the query.
    pub url: String,
    /// How it stands.
    pub state: EndpointState,
    /// Events that wait or are on their way.
    pub queued: usize,
    /// Events that arrived.
    pub delivered: u64,
    /// Tries that failed.
    pub failed_tries: u64,
    /// Events that were given up.
    pub given_up: u64,
    /// What went wrong last, whatever came after.
    pub last_error: Option<String>,
    /// When the next try comes, in milliseconds since 1970 UTC, if it is put off.
    pub next_try_at: Option<u64>,
}

/// How a receiver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndpointState {
    /// Nothing is on its way.
    Idle,
    /// An event is on its way.
    Sending,
    /// The last try failed; the next one is put off.
    Pausing,
    /// It answered 410: nothing is sent any more.
    Disabled,
}

/// The events that were given up.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// Oldest first.
    pub dead_letters: Vec<DeadLetterView>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Its number in the list, with which it is sent again.
    pub id: u64,
    /// For whom it was.
    pub url: String,
    /// The `webhook-id` it was sent with.
    pub webhook_id: String,
    /// The type of the event.
    pub r#type: String,
    /// When it was given up, in milliseconds since 1970 UTC.
    pub given_up_at: u64,
    /// Why.
    pub reason: String,
    /// What was sent (`WebhookBody`).
    #[schemars(with = "roundtable_protocol::feed::WebhookBody")]
    pub body: Box<RawValue>,
}

impl Shared {
    pub(super) fn list(&self, now: Instant, now_ms: u64) -> WebhookList {
        let endpoints = self.endpoints.iter().map(|endpoint| view(endpoint, now, now_ms)).collect();
        let (dead_letters, forgotten_dead_letters) = {
            let dead = self.dead();
            (dead.len(), dead.forgotten())
        };
        let missed = *self.missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        WebhookList { endpoints, types: self.types.clone(), dead_letters, forgotten_dead_letters, missed }
    }

    pub(super) fn dead_letters(&self) -> DeadLetterList {
        // The letters are copied out, so that nobody waits for the JSON; their bodies are shared.
        let letters: Vec<_> = self.dead().iter().cloned().collect();
        let views = letters.into_iter().filter_map(|letter| {
            let text = std::str::from_utf8(&letter.delivery.body).ok()?.to_owned();
            Some(DeadLetterView {
                id: letter.id,
                url: self.endpoints.get(letter.endpoint).map(|endpoint| endpoint.url.shown()).unwrap_or_default(),
                webhook_id: letter.delivery.id.clone(),
                r#type: letter.delivery.kind.to_owned(),
                given_up_at: letter.at,
                reason: letter.why,
                body: RawValue::from_string(text).ok()?,
            })
        });
        DeadLetterList { dead_letters: views.collect() }
    }
}

fn view(endpoint: &Endpoint, now: Instant, now_ms: u64) -> EndpointView {
    let desk = endpoint.lock();
    let (state, next) = match desk.queue.standing() {
        Standing::Idle => (EndpointState::Idle, None),
        Standing::Sending => (EndpointState::Sending, None),
        Standing::Pausing(until) => (EndpointState::Pausing, Some(until)),
        Standing::Disabled => (EndpointState::Disabled, None),
    };
    let wall = |until: Instant| now_ms.saturating_add(until.saturating_duration_since(now).as_millis() as u64);
    EndpointView {
        url: endpoint.url.shown(),
        state,
        queued: desk.queue.len(),
        delivered: desk.delivered,
        failed_tries: desk.failed_tries,
        given_up: desk.given_up,
        last_error: desk.last_error.clone(),
        next_try_at: next.map(wall),
    }
}
