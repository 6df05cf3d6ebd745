//! `Idempotency-Key`: a POST that is sent again with the same key is not done again, but answered as it was.
//!
//! The answer is kept for a day, for whoever it was given to: the key counts for one path and one `Authorization`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header, response};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::HttpState;
use super::problem::Problem;

/// Answers that are kept; the oldest goes when one more comes.
pub(super) const MAX_ENTRIES: usize = 1_000;
/// How long one is kept.
pub(super) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest body of a request with a key, in bytes.
const MAX_REQUEST_BYTES: usize = 256 * 1024;
/// Largest body of an answer that is kept, in bytes. A larger one is given once, and the request done again.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// Longest key.
const MAX_KEY_BYTES: usize = 255;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

type Hash = [u8; 32];

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Hash, Entry>,
    /// The keys, oldest first. One that is not in `entries` any more is passed over.
    order: VecDeque<(Hash, Instant)>,
}

#[derive(Debug)]
struct Entry {
    /// What was asked, so that another request under the same key is noticed.
    request: Hash,
    since: Instant,
    state: Progress,
}

#[derive(Debug, Clone)]
enum Progress {
    /// The first request is being answered.
    Running,
    /// It was answered.
    Done(Arc<Kept>),
}

#[derive(Debug)]
struct Kept {
    head: response::Parts,
    body: Bytes,
}

/// What is known of a key.
enum Found {
    /// Nothing: it is now being answered by whoever asked.
    New,
    Running,
    Other,
    Done(Arc<Kept>),
}

/// Answers a POST with a key from what is kept, or lets it be done and keeps the answer.
pub(super) async fn once(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let key = match key_of(&head) {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return Problem::body(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off").into_response();
    };
    match state.answers.begin(key, asked(&head, &body), Instant::now()) {
        Found::New => {}
        Found::Running => return Problem::in_progress().into_response(),
        Found::Other => return Problem::other_request().into_response(),
        Found::Done(kept) => return replay(&kept),
    }
    let claim = Claim { answers: Arc::clone(&state.answers), key };
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    claim.settle(response).await
}

/// A key under which somebody is being answered; dropping it forgets the key, so that another try is possible.
struct Claim {
    answers: Arc<Answers>,
    key: Hash,
}

impl Claim {
    async fn settle(self, response: Response) -> Response {
        let length =
            response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let small = length.is_none_or(|length: usize| length <= MAX_ANSWER_BYTES);
        if !is_kept(&response) || !small {
            return response;
        }
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
            return Problem::overloaded("the answer broke off").into_response();
        };
        if body.len() <= MAX_ANSWER_BYTES {
            let kept = Arc::new(Kept { head: head.clone(), body: body.clone() });
            self.answers.finish(&self.key, Some(kept));
        }
        Response::from_parts(head, Body::from(body))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.answers.finish(&self.key, None);
    }
}

impl Answers {
    fn begin(&self, key: Hash, request: Hash, now: Instant) -> Found {
        let mut table = self.lock();
        table.forget_old(now);
        if let Some(entry) = table.entries.get(&key) {
            return match &entry.state {
                _ if entry.request != request => Found::Other,
                Progress::Running => Found::Running,
                Progress::Done(kept) => Found::Done(Arc::clone(kept)),
            };
        }
        table.entries.insert(key, Entry { request, since: now, state: Progress::Running });
        table.order.push_back((key, now));
        Found::New
    }

    /// Keeps the answer; without one a key that is still being answered is forgotten.
    fn finish(&self, key: &Hash, answer: Option<Arc<Kept>>) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(key) else { return };
        match (answer, &entry.state) {
            (Some(kept), _) => entry.state = Progress::Done(kept),
            (None, Progress::Running) => drop(table.entries.remove(key)),
            (None, Progress::Done(_)) => {}
        }
    }

    /// Every change of the table is complete before anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Makes room for one more, and lets go of what is too old.
    fn forget_old(&mut self, now: Instant) {
        while let Some((key, since)) = self.order.front().copied() {
            let is_old = now.saturating_duration_since(since) >= KEEP;
            let is_gone = self.entries.get(&key).is_none_or(|entry| entry.since != since);
            if !is_old && !is_gone && self.order.len() < MAX_ENTRIES {
                return;
            }
            self.order.pop_front();
            if !is_gone {
                self.entries.remove(&key);
            }
        }
    }
}

fn key_of(head: &Parts) -> Result<Hash, Problem> {
    let key = head.headers.get(KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let visible = key.iter().all(|byte| (0x21..0x7f).contains(byte));
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !visible {
        return Err(Problem::bad_key());
    }
    let who = head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    Ok(hash(&[head.uri.path().as_bytes(), key, who]))
}

fn asked(head: &Parts, body: &[u8]) -> Hash {
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    hash(&[head.uri.query().unwrap_or_default().as_bytes(), kind, body])
}

/// Of several texts, so that none runs into the next.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Whether trying again would be answered the same: not so what a busy server or another permission would change, and
/// not so a stream.
fn is_kept(response: &Response) -> bool {
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let status = response.status();
    !status.is_server_error()
        && !status.is_informational()
        && !passing.contains(&status)
        && !kind.starts_with(b"text/event-stream")
}

fn replay(kept: &Kept) -> Response {
    let mut response = Response::from_parts(kept.head.clone(), Body::from(kept.body.clone()));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Hash {
        hash(&[&n.to_be_bytes()])
    }

    fn kept() -> Option<Arc<Kept>> {
        let (head, _) = Response::new(()).into_parts();
        Some(Arc::new(Kept { head, body: Bytes::from_static(b"x") }))
    }

    #[test]
    fn the_table_keeps_the_latest_thousand_for_a_day() {
        let (answers, now) = (Answers::default(), Instant::now());
        for n in 0..MAX_ENTRIES + 100 {
            assert!(matches!(answers.begin(key(n), key(0), now), Found::New));
            answers.finish(&key(n), kept());
        }
        assert_eq!(answers.lock().entries.len(), MAX_ENTRIES);
        assert!(matches!(answers.begin(key(150), key(0), now + KEEP / 2), Found::Done(_)));
        assert!(matches!(answers.begin(key(1_099), key(1), now + KEEP / 2), Found::Other));
        assert!(matches!(answers.begin(key(0), key(0), now), Found::New), "the oldest is forgotten");
        answers.finish(&key(0), kept());
        assert!(matches!(answers.begin(key(1_099), key(0), now + KEEP), Found::New), "a day is over");
        let table = answers.lock();
        assert_eq!((table.entries.len(), table.order.len()), (1, 1));
    }

    #[test]
    fn a_request_without_an_answer_may_be_tried_again() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        assert!(matches!(answers.begin(key(1), key(1), now), Found::New));
        assert!(matches!(answers.begin(key(1), key(1), now), Found::Running));
        drop(Claim { answers: Arc::clone(&answers), key: key(1) });
        assert!(matches!(answers.begin(key(1), key(1), now), Found::New));
        (0..3 * MAX_ENTRIES).for_each(|_| {
            drop(Claim { answers: Arc::clone(&answers), key: key(2) });
            let _ = answers.begin(key(2), key(1), now);
        });
        assert!(answers.lock().order.len() <= MAX_ENTRIES, "what is forgotten is not listed for ever");
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
