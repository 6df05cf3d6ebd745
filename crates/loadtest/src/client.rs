//! One member of a room: an address, keys, what it sends and what it receives. Told the time, but for what it sends.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use roundtable_protocol::message::ViewChange;
use roundtable_protocol::{ClientMessage, ServerMessage, TrackId};
use roundtable_wire::rtcp::{Packet, Writer, packets};
use roundtable_wire::{NtpTime, PacketKind, classify};

use crate::address::Address;
use crate::clock::Clock;
use crate::measure::Measure;
use crate::outbox::Outbox;
use crate::publish::{Arena, Publisher, send_runs};
use crate::receive::{Arrival, Receiver};
use crate::signal::{Conversation, News};
use crate::srtp::Cipher;
use crate::stun::Checks;

/// Feedback on the transport and on what is missing goes out with the first packet that comes so long after the last one.
///
/// A wake-up of its own would cost more than the message. With a packet every 20 or 33 ms it leaves every 100 ms, which is
/// libwebrtc's default.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(90);
/// Where nothing comes, feedback goes out so long after the last one: the longest interval of libwebrtc's.
const LATEST_FEEDBACK: Duration = Duration::from_millis(250);
/// What is not media is due at multiples of this, so that one wake-up serves many clients.
const GRID: Duration = Duration::from_millis(50);
/// How often reports are sent (RFC 3550 §6.2 allows that at our rates).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often consent is renewed (RFC 7675 §5.1).
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Remembered tracks of others, the oldest forgotten.
const MOST_TRACKS: usize = 64;

/// A member that is connected.
pub(crate) struct Client {
    /// Which room of the run it is in.
    pub(crate) room: u32,
    /// Which client of the run it is.
    pub(crate) number: u32,
    /// When things came about.
    pub(crate) joined: Joined,
    /// Why it is no longer a member, if so.
    pub(crate) ended: Option<String>,
    /// Who wants to know of the first packet and of the first packet of a picture.
    pub(crate) notify: Option<Sender<Joined>>,
    /// What is said besides media. Nothing is, where nobody would listen.
    pub(crate) control: Option<Control>,
    pub(crate) address: Address,
    pub(crate) server: SocketAddr,
    pub(crate) sealer: Cipher,
    pub(crate) opener: Cipher,
    pub(crate) publisher: Publisher,
    pub(crate) receiver: Receiver,
    /// The tracks of others that came on slots of this client.
    pub(crate) tracks: Vec<TrackId>,
    /// Packets that were no good.
    pub(crate) bad: u64,
}

/// What a client says besides media: over the WebSocket, and to the server's ICE agent.
pub(crate) struct Control {
    pub(crate) conversation: Conversation,
    pub(crate) checks: Checks,
    pub(crate) timers: Timers,
}

/// When a client came to what, in ns of the run's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Signalling began: before the WebSocket's TCP connection.
    pub(crate) began_ns: u64,
    /// The DTLS handshake was over.
    pub(crate) connected_ns: u64,
    /// The first media packet had been opened.
    pub(crate) first_media_ns: Option<u64>,
    /// The first packet of a picture had been opened: a keyframe's, as a server begins with one.
    pub(crate) first_picture_ns: Option<u64>,
}

/// When a client does what next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    /// Where the grid begins: the same for all clients of a run.
    base: Instant,
    /// The last feedback.
    feedback: Instant,
    report: Instant,
    check: Instant,
}

impl Timers {
    /// `seed` spreads the clients of a run, whose grid begins at `base`.
    pub(crate) fn start(base: Instant, now: Instant, seed: u32) -> Self {
        let part = |interval: Duration| now + interval * (seed % SPREAD + 1) / SPREAD;
        Self { base, feedback: part(FEEDBACK_INTERVAL), report: now, check: part(CHECK_INTERVAL) }
    }

    /// When something is due besides media, on the grid.
    fn due(&self) -> Instant {
        let due = (self.feedback + LATEST_FEEDBACK).min(self.check);
        let steps = due.saturating_duration_since(self.base).as_nanos().div_ceil(GRID.as_nanos());
        self.base + GRID * u32::try_from(steps).unwrap_or(u32::MAX) // Six years fit.
    }
}

/// Memory that the clients of a thread share.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    arena: Arena,
    rtcp: Vec<u8>,
    /// Feedback of those for whom something came. Whoever reads a socket flushes it.
    pub(crate) outbox: Outbox,
}

impl Client {
    /// Answers what came, if that is due.
    pub(crate) fn answer(&mut self, now: Instant, clock: Clock, scratch: &mut Scratch) {
        if self.timers().is_some_and(|timers| timers.feedback + FEEDBACK_INTERVAL <= now)
            && self.write_rtcp(now, clock, &mut scratch.rtcp)
        {
            scratch.outbox.push(&self.address, self.server, &scratch.rtcp);
        }
    }

    /// Takes one datagram that came at that time.
    pub(crate) fn handle_datagram(&mut self, now_ns: u64, datagram: &mut [u8], measure: &mut Measure) {
        match classify(datagram) {
            PacketKind::Rtp => match self.receiver.handle_rtp(now_ns, datagram, &self.opener, measure) {
                Arrival::Media { is_audio } => self.note_media(now_ns, is_audio),
                Arrival::Bad => self.bad += 1,
                Arrival::Other | Arrival::Lost => {}
            },
            PacketKind::Rtcp => self.handle_rtcp(datagram),
            // Answers to checks: a server that no longer gives them no longer sends media either.
            PacketKind::Stun | PacketKind::Dtls | PacketKind::Other => {}
        }
    }

    /// Says something under the new keys, as a browser does: a server may hold media back until it hears that they work.
    pub(crate) fn greet(&mut self, clock: Clock, scratch: &mut Scratch) {
        self.send_rtcp(Instant::now(), clock, &mut scratch.rtcp);
    }

    /// Does what is due; whether media left.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        clock: Clock,
        measure: &Measure,
        scratch: &mut Scratch,
    ) -> bool {
        let mut has_sent = false;
        let (address, server) = (&self.address, self.server);
        self.publisher.handle_timeout(now, clock.now_ns(), measure.window, &self.sealer, &mut scratch.arena, |arena| {
            send_runs(address, server, arena);
            has_sent = true;
        });
        if self.timers().is_some_and(|timers| timers.feedback + LATEST_FEEDBACK <= now) {
            self.send_rtcp(now, clock, &mut scratch.rtcp);
        }
        if let Some(Control { checks, timers, .. }) =
            self.control.as_mut().filter(|control| control.timers.check <= now)
        {
            timers.check = now + CHECK_INTERVAL;
            checks.write(&mut scratch.rtcp);
            self.address.send(self.server, &scratch.rtcp);
        }
        has_sent
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if never.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let own = self.timers().map(|timers| timers.due());
        [own, self.publisher.poll_timeout()].into_iter().flatten().min()
    }

    /// Takes what came over the WebSocket.
    pub(crate) fn handle_news(&mut self) {
        while let Some(news) = self.control.as_mut().and_then(|control| control.conversation.poll()) {
            match news {
                News::Message(message) => self.handle_message(*message),
                News::Ended(why) => {
                    self.ended.get_or_insert(why);
                    return;
                }
            }
        }
    }

    /// Looks at all tracks of others in a place of that many rows, and waits for `source` to come.
    pub(crate) fn look(&mut self, height: u16, source: u32, now_ns: u64) {
        self.receiver.handle_switch(source, now_ns);
        let change = |track: &TrackId| ViewChange {
            track: track.clone(),
            visible: true,
            width: None,
            height: Some(height),
            max_fps: None,
            pinned: false,
            priority: None,
        };
        let changes = self.tracks.iter().map(change).collect();
        let Some(Control { conversation, .. }) = &mut self.control else { return };
        if let Err(error) = conversation.send(&ClientMessage::View { changes }) {
            self.ended.get_or_insert(error.to_string());
        }
    }

    /// How long the layers took to come that were looked for, in µs.
    pub(crate) fn switches_us(&self) -> impl Iterator<Item = u64> {
        self.receiver.switches_us()
    }

    /// Begins to count in a new window.
    pub(crate) fn handle_window(&mut self) {
        self.publisher.handle_window();
        self.receiver.handle_window();
    }

    /// Goes, and says so.
    pub(crate) fn leave(&mut self) {
        self.control.iter_mut().for_each(|control| control.conversation.leave());
    }

    /// What to wait on for signalling.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.control.as_ref().map(|control| control.conversation.descriptor())
    }

    fn timers(&self) -> Option<&Timers> {
        self.control.as_ref().map(|control| &control.timers)
    }

    fn handle_message(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Slots { changes } => {
                for owner in changes.into_iter().filter_map(|change| change.track) {
                    if !self.tracks.contains(&owner.id) {
                        self.tracks.truncate(MOST_TRACKS - 1);
                        self.tracks.push(owner.id);
                    }
                }
            }
            ServerMessage::Layers { track, encodings } => self.publisher.handle_wishes(&track, &encodings),
            ServerMessage::Goodbye { message, .. } | ServerMessage::Error { message, fatal: true, .. } => {
                self.ended.get_or_insert(message);
            }
            _ => {}
        }
    }

    fn send_rtcp(&mut self, now: Instant, clock: Clock, rtcp: &mut Vec<u8>) {
        if self.write_rtcp(now, clock, rtcp) {
            self.address.send(self.server, rtcp);
        }
    }

    /// Writes feedback and, when they are due, reports; whether there is something to send.
    fn write_rtcp(&mut self, now: Instant, clock: Clock, rtcp: &mut Vec<u8>) -> bool {
        let Some(Control { timers, .. }) = &mut self.control else { return false };
        rtcp.clear();
        let (mut writer, now_ns) = (Writer::new(rtcp), clock.now_ns());
        if timers.report <= now {
            timers.report = now + REPORT_INTERVAL;
            self.publisher.report(NtpTime::from_unix_micros(clock.unix_micros(now_ns)), &mut writer);
            self.receiver.write_report(&mut writer);
        }
        timers.feedback = now;
        self.receiver.write_feedback(now_ns, &mut writer);
        !rtcp.is_empty() && self.sealer.seal_rtcp(rtcp).is_some()
    }

    /// Only key-frame wishes count, so who sends nothing does not open what comes.
    fn handle_rtcp(&mut self, datagram: &mut [u8]) {
        if self.publisher.poll_timeout().is_none() {
            return;
        }
        let Ok(len) = self.opener.open_rtcp(datagram) else {
            self.bad += 1;
            return;
        };
        for packet in packets(datagram.get(..len).unwrap_or_default()) {
            match packet {
                Ok(Packet::PictureLoss { media_ssrc, .. }) => self.publisher.handle_key_request(media_ssrc),
                Ok(Packet::FullIntra { entries, .. }) => {
                    entries.for_each(|entry| self.publisher.handle_key_request(entry.ssrc));
                }
                _ => {}
            }
        }
    }

    fn note_media(&mut self, now_ns: u64, is_audio: bool) {
        let before = self.joined;
        self.joined.first_media_ns.get_or_insert(now_ns);
        if !is_audio {
            self.joined.first_picture_ns.get_or_insert(now_ns);
        }
        if let Some(notify) = self.notify.as_ref().filter(|_| before != self.joined) {
            let _ = notify.send(self.joined); // Who asked may have heard enough.
        }
    }
}

/// Steps in which the timers of different clients are spread.
const SPREAD: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_media_is_due_on_the_grid_and_not_early() {
        let base = Instant::now(); // An origin to add to; no test waits for real time.
        for (feedback_ms, expected_ms) in [(0, 250), (1, 300), (49, 300), (50, 300), (6_000, 5_000)] {
            let at = |ms| base + Duration::from_millis(ms);
            let timers = Timers { base, feedback: at(feedback_ms), report: base, check: at(5_000) };
            assert_eq!(timers.due(), at(expected_ms), "{feedback_ms}");
        }
    }
}
