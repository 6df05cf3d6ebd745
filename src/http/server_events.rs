//! `GET /api/v1/events`: the events of all rooms in one sequence, as a stream or as a long poll, for back ends.
//!
//! As with a room's stream a reader holds nothing but a number, and nothing is queued for it. What it filters out moves
//! its number on all the same, so that it does not fall out of the ledger by silence.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use roundtable_protocol::feed::{ServerEvent, ServerEventPage, ServerState};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::HttpState;
use super::api::fresh;
use super::auth::StreamOperator;
use super::poll::{EVENTS_PER_POLL, POLL_TEXT_BYTES};
use super::problem::Problem;
use super::resume::{Pairs, Wish};
use super::sse::{EVENTS_AT_ONCE, PIECE_BYTES, RETRY_MS, stream_of, write_event};
use crate::hub::Hub;
use crate::journal::ledger::{Entry, Ledger};
use crate::journal::text_bytes;

/// Rooms told in one reset; the reader is told that there are more.
const MAX_RESET_ROOMS: usize = 1_000;
/// How long a server that stops waits for the ends of its rooms before it ends the streams.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(2);
/// Members and tracks told in one reset, of all its rooms together.
const MAX_RESET_THINGS: usize = 20_000;

pub(super) async fn events(
    State(state): State<HttpState>,
    StreamOperator(operator): StreamOperator,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    operator.of_all()?;
    let wish = Wish::read(query, &headers)?;
    if state.hub.is_stopping() {
        return Err(Problem::stopping());
    }
    let seat = state.reader_seat()?;
    let wait = wish.wait;
    let reader = Reader::new(state.hub.clone(), wish, state.config.sse_heartbeat, seat);
    if let Some(wait) = wait {
        return Ok(fresh(reader.poll(wait).await).into_response());
    }
    Ok(stream_of(stream::unfold(reader, |mut reader| async move {
        let piece = reader.next_piece().await?;
        Some((piece, reader))
    })))
}

struct Reader {
    hub: Hub,
    wish: Wish,
    /// The last entry that was looked at; `None` before a reset.
    number: Option<u64>,
    begun: bool,
    heartbeat: Duration,
    _seat: OwnedSemaphorePermit,
}

/// What the ledger has for a reader.
enum Step {
    /// Entries it wants, at least one.
    Entries(Vec<Arc<Entry>>),
    /// Nothing: it is up to date.
    UpToDate,
    /// It has to begin again from this.
    Reset(ServerState),
}

impl Reader {
    fn new(hub: Hub, wish: Wish, heartbeat: Duration, seat: OwnedSemaphorePermit) -> Self {
        let number = wish.number_in(hub.ledger().boot());
        Self { hub, wish, number, begun: false, heartbeat, _seat: seat }
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.hub.ledger()
    }

    /// `BOOT-NUMBER` of what was looked at last.
    fn id(&self) -> String {
        format!("{}-{}", self.ledger().boot(), self.number.unwrap_or(0))
    }

    /// The next piece of the stream; `None` once the server stops.
    async fn next_piece(&mut self) -> Option<String> {
        let mut piece = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            // Writing to a string does not fail.
            let _ = write!(piece, "retry: {RETRY_MS}\n\n");
            if self.number.is_some() {
                return Some(piece);
            }
        }
        let mut changes = self.ledger().watch();
        loop {
            changes.mark_unchanged();
            match self.step(EVENTS_AT_ONCE) {
                Step::Reset(state) => {
                    write_event(&mut piece, self.id(), "reset", &state);
                    return Some(piece);
                }
                Step::Entries(entries) => return Some(self.write(&entries)),
                Step::UpToDate => {}
            }
            tokio::select! {
                changed = tokio::time::timeout(self.heartbeat, changes.changed()) => if changed.is_err() {
                    // An id without data is no event to a browser, but it remembers it.
                    return Some(format!(": heartbeat\nid: {}\n\n", self.id()));
                },
                () = self.all_rooms_ended() => match self.step(EVENTS_AT_ONCE) {
                    Step::Entries(entries) => return Some(self.write(&entries)),
                    Step::UpToDate | Step::Reset(_) => return None,
                },
            }
        }
    }

    /// Answers a poll.
    async fn poll(mut self, wait: Duration) -> ServerEventPage {
        let deadline = Instant::now() + wait;
        let mut changes = self.ledger().watch();
        loop {
            changes.mark_unchanged();
            match self.step(EVENTS_PER_POLL) {
                Step::Reset(state) => return ServerEventPage { reset: Some(state), ..self.page() },
                Step::Entries(entries) => {
                    let events = entries.iter().map(|entry| told(entry)).collect();
                    return ServerEventPage { events, ..self.page() };
                }
                Step::UpToDate => {}
            }
            tokio::select! {
                changed = tokio::time::timeout_at(deadline, changes.changed()) => if changed.is_err() {
                    return self.page();
                },
                () = self.all_rooms_ended() => {
                    if let Step::Entries(entries) = self.step(EVENTS_PER_POLL) {
                        let events = entries.iter().map(|entry| told(entry)).collect();
                        return ServerEventPage { events, ..self.page() };
                    }
                    return self.page();
                }
            }
        }
    }

    /// Resolves when the server stops and its rooms have ended, or do not end in time.
    async fn all_rooms_ended(&self) {
        self.hub.stopped().await;
        let deadline = Instant::now() + LAST_EVENTS_WITHIN;
        let mut changes = self.ledger().watch();
        while !self.hub.rooms().is_empty() {
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return;
            }
        }
    }

    fn page(&self) -> ServerEventPage {
        ServerEventPage { boot: self.ledger().boot(), reset: None, events: Vec::new(), next: self.id() }
    }

    /// Looks at what is behind the last number, at most `at_most` entries that are wanted and as much text as a poll has.
    fn step(&mut self, at_most: usize) -> Step {
        let (mut wanted, mut bytes) = (Vec::new(), 0);
        loop {
            let Some(number) = self.number else { return Step::Reset(self.reset()) };
            let Some(entries) = self.ledger().read_after(number, at_most) else {
                // What was found before is in the state too.
                return Step::Reset(self.reset());
            };
            if entries.is_empty() {
                return if wanted.is_empty() { Step::UpToDate } else { Step::Entries(wanted) };
            }
            for entry in entries {
                self.number = Some(entry.number);
                if self.wants(&entry) {
                    bytes += text_bytes(&entry.event);
                    wanted.push(entry);
                }
                if wanted.len() >= at_most || bytes >= POLL_TEXT_BYTES {
                    return Step::Entries(wanted);
                }
            }
        }
    }

    fn wants(&self, entry: &Entry) -> bool {
        let Wish { types, rooms, .. } = &self.wish;
        (rooms.is_empty() || rooms.contains(&entry.room))
            && (types.is_empty() || types.iter().any(|name| name == entry.event.body.name()))
    }

    /// Begins again with all rooms as they are. Its number is taken first: what happens meanwhile comes after it too.
    fn reset(&mut self) -> ServerState {
        let number = self.ledger().last_number();
        self.number = Some(number);
        let mut state = ServerState { boot: self.ledger().boot(), number, rooms: Vec::new(), complete: true };
        let mut things = 0;
        for journal in self.hub.rooms() {
            if !self.wish.rooms.is_empty() && !self.wish.rooms.contains(journal.room()) {
                continue;
            }
            let room = journal.shared_state();
            things += room.members.len() + room.tracks.len();
            if state.rooms.len() >= MAX_RESET_ROOMS || things > MAX_RESET_THINGS {
                state.complete = false;
                break;
            }
            state.rooms.push((*room).clone());
        }
        state
    }

    /// Writes entries until the piece is long enough; the number goes back to the last that is in it.
    fn write(&mut self, entries: &[Arc<Entry>]) -> String {
        let (mut piece, boot) = (String::new(), self.ledger().boot());
        for entry in entries {
            if piece.len() >= PIECE_BYTES {
                self.number = Some(entry.number - 1);
                break;
            }
            write_event(&mut piece, format_args!("{boot}-{}", entry.number), entry.event.body.name(), &told(entry));
        }
        piece
    }
}

fn told(entry: &Entry) -> ServerEvent {
    let Entry { number, room, epoch, event } = entry;
    ServerEvent { number: *number, room: room.clone(), epoch: *epoch, event: (**event).clone() }
}
