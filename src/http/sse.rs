//! `GET /api/v1/rooms/{room}/events`: a room's journal as server-sent events, or as a long poll.
//!
//! A reader holds nothing but the number of its last event. While it does not read, nothing is
//! queued for it: it falls behind, and out of the ring at worst, and then gets a `reset` with the
//! room's state instead of a gap.

use std::convert::Infallible;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use roundtable_protocol::RoomState;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::HttpState;
use super::api::fresh;
use super::auth::StreamAccess;
use super::poll;
use super::problem::{Problem, room_in_path};
use super::resume::{Pairs, Wish};
use crate::journal::{Journal, Read, Told};

/// How long a browser waits before it comes back, in milliseconds.
pub(super) const RETRY_MS: u32 = 2_000;
/// Events read from the journal at once.
pub(super) const EVENTS_AT_ONCE: usize = 64;
/// A piece of the stream is ended once it is this long, in bytes.
pub(super) const PIECE_BYTES: usize = 32 * 1024;
/// The comment that keeps a silent stream open.
pub(super) const HEARTBEAT: &str = ": heartbeat\n\n";

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

pub(super) async fn events(
    State(state): State<HttpState>,
    StreamAccess(access): StreamAccess,
    path: Result<Path<String>, PathRejection>,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = room_in_path(path)?;
    access.require_read(&room)?;
    let wish = Wish::read(query, &headers)?;
    let journal = state.hub.room(&room).ok_or_else(|| Problem::room_unknown(&room))?;
    let start = Start::new(&journal, &wish);
    match (start, &wish.after, wish.wait) {
        (Start::Over, None, _) => return Err(Problem::room_unknown(&room)),
        (Start::Over, Some(_), Some(_)) => return Ok(fresh(poll::over(&journal)).into_response()),
        // A browser that gets this does not come back.
        (Start::Over, Some(_), None) => return Ok(StatusCode::NO_CONTENT.into_response()),
        (Start::Reset | Start::After(_), ..) => {}
    }
    let seat = state.reader_seat()?;
    if let Some(wait) = wish.wait {
        let page = poll::poll(&journal, start.number(), wait).await;
        drop(seat);
        return Ok(fresh(page).into_response());
    }
    let reader = Reader::new(journal, start, state.config.sse_heartbeat, seat);
    Ok(stream_of(stream::unfold(reader, |mut reader| async move {
        let piece = reader.next_piece().await?;
        Some((piece, reader))
    })))
}

/// The answer that carries a stream of pieces.
pub(super) fn stream_of(pieces: impl Stream<Item = String> + Send + 'static) -> Response {
    (HEADERS, Body::from_stream(pieces.map(Ok::<_, Infallible>))).into_response()
}

/// Writes one event. JSON holds no line break, so one `data:` line always suffices.
pub(super) fn write_event(piece: &mut String, id: impl Display, name: &str, data: &impl Serialize) {
    match serde_json::to_string(data) {
        Ok(data) => write_data(piece, id, name, &data),
        // None of our types has a map with keys that are no strings, the one thing that fails.
        Err(error) => tracing::error!(%error, "an event could not be written"),
    }
}

fn write_data(piece: &mut String, id: impl Display, name: &str, data: &str) {
    // Writing to a string does not fail.
    let _ = write!(piece, "id: {id}\nevent: {name}\ndata: {data}\n\n");
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Behind the event of this number.
    After(u64),
    /// With the state of now.
    Reset,
    /// Nowhere: the room is over, and there is nothing the reader lacks.
    Over,
}

impl Start {
    fn new(journal: &Journal, wish: &Wish) -> Self {
        let closed = journal.is_closed();
        match wish.number_in(journal.epoch()) {
            Some(seq) if closed && seq >= journal.last_seq() => Self::Over,
            Some(seq) => Self::After(seq),
            None if closed => Self::Over,
            None => Self::Reset,
        }
    }

    /// The number behind which the reader goes on.
    fn number(self) -> Option<u64> {
        match self {
            Self::After(seq) => Some(seq),
            Self::Reset | Self::Over => None,
        }
    }
}

struct Reader {
    journal: Arc<Journal>,
    changes: watch::Receiver<u64>,
    start: Option<Start>,
    seq: u64,
    over: bool,
    heartbeat: Duration,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    fn new(journal: Arc<Journal>, start: Start, heartbeat: Duration, seat: OwnedSemaphorePermit) -> Self {
        let changes = journal.watch();
        Self { journal, changes, start: Some(start), seq: 0, over: false, heartbeat, _seat: seat }
    }

    /// The next piece of the stream; `None` after the room's end.
    async fn next_piece(&mut self) -> Option<String> {
        if let Some(start) = self.start.take() {
            return Some(self.first_piece(start).await);
        }
        while !self.over {
            self.changes.mark_unchanged();
            // Looked at before the read: what was closed then has all its events in it.
            let closed = self.journal.is_closed();
            if let Some(piece) = self.read().await {
                return Some(piece);
            }
            self.over = closed;
            if !closed && tokio::time::timeout(self.heartbeat, self.changes.changed()).await.is_err() {
                return Some(HEARTBEAT.to_owned());
            }
        }
        None
    }

    async fn first_piece(&mut self, start: Start) -> String {
        let mut piece = format!("retry: {RETRY_MS}\n\n");
        match start {
            Start::After(seq) => {
                self.seq = seq;
                piece.push_str(&self.read().await.unwrap_or_default());
            }
            Start::Reset | Start::Over => self.write_reset(&mut piece, &self.journal.state()),
        }
        piece
    }

    /// What the journal has behind the last event; `None` if nothing.
    async fn read(&mut self) -> Option<String> {
        let mut piece = String::new();
        match self.journal.read(self.seq, EVENTS_AT_ONCE).await {
            Read::Reset(state) => self.write_reset(&mut piece, &state),
            Read::Events(events) => {
                for event in events {
                    self.write_told(&mut piece, &event);
                    if piece.len() >= PIECE_BYTES {
                        break;
                    }
                }
            }
        }
        (!piece.is_empty()).then_some(piece)
    }

    fn write_reset(&mut self, piece: &mut String, state: &RoomState) {
        self.seq = state.seq;
        write_event(piece, format_args!("{}-{}", self.journal.epoch(), state.seq), "reset", state);
    }

    /// The JSON was written once for all readers.
    fn write_told(&mut self, piece: &mut String, event: &Told) {
        self.seq = event.seq;
        let id = format_args!("{}-{}", self.journal.epoch(), event.seq);
        let json = event.json();
        match std::str::from_utf8(&json) {
            Ok(data) => write_data(piece, id, event.body.name(), data),
            Err(error) => tracing::error!(%error, "an event was written that is no text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::event::ChatMessage;
    use roundtable_protocol::{Event, EventBody, MemberId, MessageId, RoomId};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::journal::MAX_EVENTS;

    fn speaking(journal: &Journal) {
        let body = EventBody::Speaking { member: MemberId::new("ann").unwrap(), speaking: true };
        journal.append(Event { seq: 0, at: 1, body });
    }

    async fn reader(journal: &Arc<Journal>, start: Start) -> Reader {
        let seat = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        Reader::new(Arc::clone(journal), start, Duration::from_secs(15), seat)
    }

    fn ids(piece: &str) -> Vec<&str> {
        piece.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
    }

    #[tokio::test]
    async fn a_reader_that_was_blocked_for_long_starts_again_instead_of_missing_something() {
        let journal = Journal::new(RoomId::new("r").unwrap(), 7, None);
        let mut reader = reader(&journal, Start::Reset).await;
        assert_eq!(ids(&reader.next_piece().await.unwrap()), ["7-0"]);
        speaking(&journal);
        assert_eq!(ids(&reader.next_piece().await.unwrap()), ["7-1"]);

        for _ in 0..MAX_EVENTS {
            speaking(&journal);
        }
        let piece = reader.next_piece().await.unwrap();
        assert_eq!(ids(&piece).len(), EVENTS_AT_ONCE, "the ring still holds what it lacks, but it comes in pieces");
        for _ in 0..MAX_EVENTS {
            speaking(&journal);
        }
        let piece = reader.next_piece().await.unwrap();
        assert!(piece.starts_with("id: 7-4097\nevent: reset\ndata: {"), "{piece}");
    }

    #[tokio::test]
    async fn a_piece_is_bounded_by_its_length_too() {
        let journal = Journal::new(RoomId::new("r").unwrap(), 7, None);
        let (id, member) = (MessageId::new("m").unwrap(), MemberId::new("ann").unwrap());
        let text = "line\nbreak\r\n".repeat(1_000);
        let message = ChatMessage { id, seq: 0, at: 1, member, name: "Ann".into(), text, nonce: None };
        for _ in 0..10 {
            journal.append(Event { seq: 0, at: 1, body: EventBody::Chat { message: message.clone() } });
        }
        let mut reader = reader(&journal, Start::After(0)).await;
        let mut seen = vec![];
        while seen.len() < 10 {
            let piece = reader.next_piece().await.unwrap();
            assert!(piece.len() < PIECE_BYTES + 20_000, "{}", piece.len());
            assert!(piece.ends_with("}\n\n") && !piece.contains('\r'), "line breaks of the text are escaped");
            seen.extend(ids(&piece).into_iter().map(str::to_owned));
        }
        assert_eq!(seen, (1..=10).map(|seq| format!("7-{seq}")).collect::<Vec<_>>());
    }
}
