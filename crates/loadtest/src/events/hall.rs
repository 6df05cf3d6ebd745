//! All connections of a run on one thread: who writes, who receives, and the wait for what comes.

use std::io;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use roundtable_protocol::data::{DataHeader, write_frame};
use roundtable_protocol::{ClientMessage, MemberId};
use roundtable_udp::ReceiveBatch;

use super::channel::Connection;
use super::mark::Mark;
use super::plan::{Plan, Reading, Transport};
use super::tally::Tally;
use super::wire::Wire;
use crate::connect::JoinError;
use crate::dtls::Identity;
use crate::signal::{SignalError, Url};

/// One connection: a TCP connection, and a peer connection where data channels are measured.
struct Place {
    wire: Wire,
    channels: Option<Box<Connection>>,
    /// Which receiver it is; `None` of who only writes.
    receiver: Option<u32>,
    member: Option<MemberId>,
    ended: Option<String>,
}

/// Those of a run, and what came to them.
pub(crate) struct Hall {
    plan: Plan,
    url: Url,
    identity: Identity,
    bytes: usize,
    poll: Poll,
    events: mio::Events,
    places: Vec<Place>,
    /// Where the receivers are among the places.
    receivers: Vec<usize>,
    batch: ReceiveBatch,
    scratch: Vec<u8>,
    began: Instant,
    timers_due: Instant,
    /// Whether those that are to stall do.
    pub(crate) stalls: bool,
    pub(crate) tally: Tally,
    /// Deliveries over the WebSocket to who has channels.
    pub(crate) beside: u64,
    /// What the server refused: how many, and the first one.
    pub(crate) refusals: (u64, Option<String>),
}

impl Hall {
    pub(crate) fn new(plan: &Plan, bytes: u32, url: Url) -> Result<Self, JoinError> {
        let now = Instant::now();
        Ok(Self {
            url,
            identity: Identity::generate()?,
            bytes: bytes as usize,
            poll: Poll::new()?,
            events: mio::Events::with_capacity(EVENTS),
            places: Vec::new(),
            receivers: Vec::new(),
            batch: ReceiveBatch::new(BATCH, ReceiveBatch::FULL_BYTES),
            scratch: vec![0; SCRATCH_BYTES],
            began: now,
            timers_due: now,
            stalls: false,
            tally: Tally::new(plan),
            beside: 0,
            refusals: (0, None),
            plan: plan.clone(),
        })
    }

    /// Brings in who writes.
    pub(crate) fn enter_writer(&mut self, number: u32) -> Result<(), JoinError> {
        let room = room(number % self.plan.rooms());
        self.enter_member(&room, &format!("writer {number}"), None)
    }

    /// Brings in who receives.
    pub(crate) fn enter_receiver(&mut self, number: u32) -> Result<(), JoinError> {
        let (room, narrow) = (room(number % self.plan.rooms()), number >= self.plan.watchers());
        self.receivers.push(self.places.len());
        if self.plan.transport == Transport::Sse {
            let wire = Wire::follow(&self.url, &room, narrow)?;
            return self.add(Place { wire, channels: None, receiver: Some(number), member: None, ended: None });
        }
        self.enter_member(&room, &format!("reader {number}"), Some(number))
    }

    fn enter_member(&mut self, room: &str, name: &str, receiver: Option<u32>) -> Result<(), JoinError> {
        let narrow = receiver.is_some_and(|number| number >= self.plan.watchers());
        let (mut wire, welcome) = Wire::join(&self.url, room, name, narrow)?;
        let channels = match self.plan.transport {
            Transport::Data => Some(Box::new(Connection::open(&self.url, &mut wire, &self.identity)?)),
            Transport::WebSocket | Transport::Sse => None,
        };
        self.add(Place { wire, channels, receiver, member: Some(welcome.member.id), ended: None })
    }

    fn add(&mut self, place: Place) -> Result<(), JoinError> {
        place.wire.set_nonblocking()?;
        let at = self.places.len();
        let descriptors = [Some(place.wire.descriptor()), place.channels.as_ref().map(|line| line.descriptor())];
        for (descriptor, token) in descriptors.into_iter().zip([2 * at, 2 * at + 1]) {
            if let Some(descriptor) = descriptor {
                self.poll.registry().register(&mut SourceFd(&descriptor), Token(token), Interest::READABLE)?;
            }
        }
        self.places.push(place);
        self.handle_event(2 * at, true);
        // Those who are here already are served while others come.
        Ok(self.serve(Duration::ZERO)?)
    }

    /// From now on times count.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// Writes a message.
    pub(crate) fn write(&mut self, seq: u32) {
        let sent_ns = self.began.elapsed().as_nanos() as u64; // 584 years fit.
        let mark = Mark { seq, sent_ns }.write();
        let by_chat = self.plan.reading == Reading::Broadcast || self.plan.transport == Transport::Sse;
        // Rooms and receivers take turns alike, so the writer of a room is that of its reader.
        let turns = if self.plan.rooms() > 1 { self.plan.rooms() } else { self.plan.writers() };
        let receiver = self.receivers.get((seq % self.plan.connections) as usize);
        let to = receiver.and_then(|at| self.places.get(*at)?.member.clone());
        let padding = self.bytes.saturating_sub(mark.len());
        let Some(place) = self.places.get_mut((seq % turns) as usize) else { return };
        let written = if by_chat {
            let text = format!("{mark}{}", "x".repeat(padding));
            place.write(true, &ClientMessage::Chat { nonce: seq, text }, None)
        } else {
            let header = DataHeader { topic: mark, to: to.map(|to| vec![to]), id: Some(seq) };
            let frame = write_frame(&header, &vec![0; padding]);
            let payload = "AAAA".repeat(padding.div_ceil(3)); // Zeros, as base64.
            place.write(false, &ClientMessage::Data { header, payload, lossy: false }, Some(frame))
        };
        if let Err(error) = written {
            place.ended.get_or_insert(error.to_string());
        }
    }

    /// Waits for so long at most and takes what comes.
    pub(crate) fn serve(&mut self, at_most: Duration) -> io::Result<()> {
        let now = Instant::now();
        let wait = at_most.min(self.timers_due.saturating_duration_since(now));
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let events = std::mem::replace(&mut self.events, mio::Events::with_capacity(1));
        for event in &events {
            self.handle_event(event.token().0, false);
        }
        self.events = events;
        let now = Instant::now();
        if self.timers_due <= now {
            self.timers_due = now + TIMERS;
            let (stalls, watchers) = (self.stalls, self.plan.watchers());
            let awake = self.places.iter_mut().filter(|place| !(stalls && place.is_to_stall(watchers)));
            awake.filter_map(|place| place.channels.as_mut()).for_each(|channels| channels.handle_time(now));
        }
        Ok(())
    }

    /// Receivers and writers that ended by themselves, but for those that stall.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &str> {
        let watchers = self.plan.watchers();
        let counted = self.places.iter().filter(move |place| !place.is_to_stall(watchers));
        counted.filter_map(|place| place.ended.as_deref())
    }

    fn handle_event(&mut self, token: usize, is_first: bool) {
        let Self { places, scratch, batch, tally, began, beside, refusals, .. } = self;
        let Some(place) = places.get_mut(token / 2) else { return };
        if place.ended.is_some() || (self.stalls && place.is_to_stall(self.plan.watchers())) {
            return;
        }
        let (is_wire, has_channels, receiver) = (token.is_multiple_of(2), place.channels.is_some(), place.receiver);
        let now_ns = began.elapsed().as_nanos() as u64;
        let mut goodbye = None;
        let mut take = |message: &[u8]| match (Mark::find(message), receiver) {
            (Some(mark), Some(receiver)) => {
                *beside += u64::from(is_wire && has_channels);
                tally.note(receiver, mark, now_ns);
            }
            (Some(_), None) => {}
            (None, _) if message.starts_with(ERROR) => {
                refusals.0 += 1;
                refusals.1.get_or_insert_with(|| String::from_utf8_lossy(message).into_owned());
            }
            (None, _) if message.starts_with(GOODBYE) => goodbye = Some(String::from_utf8_lossy(message).into_owned()),
            (None, _) => {}
        };
        let handled = match &mut place.channels {
            Some(channels) if !is_wire => channels.handle_readable(batch, &mut take).map_err(|error| error.to_string()),
            _ if is_first => place.wire.handle_kept(&mut take).map_err(|error| error.to_string()),
            _ => place.wire.handle_readable(scratch, &mut take).map_err(|error| error.to_string()),
        };
        place.ended = goodbye.or(handled.err());
    }
}

impl Place {
    fn is_to_stall(&self, watchers: u32) -> bool {
        self.receiver.is_some_and(|number| number >= watchers)
    }

    /// Writes over the channel if there is one: the frame, or the message itself.
    fn write(&mut self, is_chat: bool, message: &ClientMessage, frame: Option<Vec<u8>>) -> Result<(), SignalError> {
        let Some(channels) = &mut self.channels else { return self.wire.send(message) };
        let bytes = match frame {
            Some(frame) => frame,
            None => serde_json::to_vec(message)?,
        };
        let taken = channels.send_message(is_chat, &bytes);
        if taken { Ok(()) } else { Err(SignalError::Refused("the data channel took no more".to_owned())) }
    }
}

fn room(number: u32) -> String {
    format!("bench-events-{number}")
}

/// How messages begin that say no.
const ERROR: &[u8] = br#"{"type":"error""#;
const GOODBYE: &[u8] = br#"{"type":"goodbye""#;
/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;
/// Datagrams of one receive call, where the kernel does not coalesce them.
const BATCH: usize = 8;
/// Bytes read from a stream at once.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How often the timers of data channels are looked at; the shortest is the 200 ms of a delayed acknowledgement.
const TIMERS: Duration = Duration::from_millis(20);
