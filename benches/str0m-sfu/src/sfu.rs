//! The loop: a datagram, the member it belongs to, and what comes out of that member and of those it reaches.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use str0m::media::Direction;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};

use crate::room::{Room, Source};
use crate::signal::Newcomer;

/// Somebody new waits in the inbox.
pub(crate) const NEWCOMER: Token = Token(1);
const MEDIA: Token = Token(0);
/// Longest wait for anything.
const IDLE: Duration = Duration::from_secs(1);

struct Member {
    /// `None` once it is gone.
    rtc: Option<Rtc>,
    room: String,
    due: Instant,
}

struct Sfu {
    socket: UdpSocket,
    local: SocketAddr,
    members: Vec<Member>,
    by_address: HashMap<SocketAddr, usize>,
    rooms: HashMap<String, Room>,
}

/// Serves for ever.
pub(crate) fn run(mut poll: Poll, mut socket: UdpSocket, inbox: &Receiver<Newcomer>) -> io::Result<()> {
    poll.registry().register(&mut socket, MEDIA, Interest::READABLE)?;
    let local = socket.local_addr()?;
    let mut sfu = Sfu { socket, local, members: vec![], by_address: HashMap::new(), rooms: HashMap::new() };
    let mut events = Events::with_capacity(4);
    let mut buffer = vec![0; 2_048];
    loop {
        let now = Instant::now();
        let due = sfu.members.iter().filter(|member| member.rtc.is_some()).map(|member| member.due).min();
        let wait = due.map_or(IDLE, |due| due.saturating_duration_since(now).min(IDLE));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for Newcomer { room, rtc } in inbox.try_iter() {
            sfu.enter(room, rtc);
        }
        while let Ok((len, source)) = sfu.socket.recv_from(&mut buffer) {
            sfu.handle_datagram(source, &buffer[..len]);
        }
        sfu.handle_timeouts();
    }
}

impl Sfu {
    fn enter(&mut self, room: String, rtc: Rtc) {
        let at = self.members.len();
        self.rooms.entry(room.clone()).or_default().enter(at);
        self.members.push(Member { rtc: Some(rtc), room, due: Instant::now() });
        self.drain(at);
    }

    fn handle_datagram(&mut self, source: SocketAddr, contents: &[u8]) {
        let now = Instant::now();
        let Ok(contents) = contents.try_into() else { return };
        let input = Input::Receive(now, Receive { proto: Protocol::Udp, source, destination: self.local, contents });
        let at = self.by_address.get(&source).copied().or_else(|| {
            let accepts = |member: &Member| member.rtc.as_ref().is_some_and(|rtc| rtc.accepts(&input));
            let at = self.members.iter().position(accepts)?;
            self.by_address.insert(source, at);
            Some(at)
        });
        if let Some(at) = at {
            self.mutate(at, |rtc| rtc.handle_input(input));
            self.drain(at);
        }
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        for at in 0..self.members.len() {
            if self.members[at].due <= now {
                self.mutate(at, |rtc| rtc.handle_input(Input::Timeout(now)));
                self.drain(at);
            }
        }
    }

    fn mutate(&mut self, at: usize, change: impl FnOnce(&mut Rtc) -> Result<(), RtcError>) {
        let member = &mut self.members[at];
        if let Some(Err(error)) = member.rtc.as_mut().map(change) {
            eprintln!("member {at}: {error}");
            member.rtc = None;
        }
    }

    /// Sends and hands on everything that a member has.
    fn drain(&mut self, at: usize) {
        loop {
            let member = &mut self.members[at];
            let Some(rtc) = &mut member.rtc else { return };
            match rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    member.due = due;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    // What the kernel does not take is lost.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(event)) => self.handle_event(at, event),
                Err(error) => {
                    eprintln!("member {at}: {error}");
                    member.rtc = None;
                }
            }
        }
    }

    fn handle_event(&mut self, at: usize, event: Event) {
        match event {
            Event::MediaAdded(media) => {
                let Some(room) = self.rooms.get_mut(&self.members[at].room) else { return };
                match media.direction {
                    Direction::SendOnly => room.handle_slot(at, media.mid, media.kind),
                    Direction::RecvOnly => room.handle_track((at, media.mid), media.kind),
                    Direction::SendRecv | Direction::Inactive => {}
                }
            }
            Event::RtpPacket(packet) => self.forward(at, packet),
            Event::KeyframeRequest(request) => {
                let room = self.rooms.get(&self.members[at].room);
                let Some((from, mid)) = room.and_then(|room| room.source(at, request.mid)) else { return };
                let Some(rtc) = &mut self.members[from].rtc else { return };
                if let Some(stream) = rtc.direct_api().stream_rx_by_mid(mid, None) {
                    stream.request_keyframe(request.kind);
                }
                self.drain(from);
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.members[at].rtc = None,
            _ => {}
        }
    }

    fn forward(&mut self, from: usize, packet: RtpPacket) {
        let Some(rtc) = &mut self.members[from].rtc else { return };
        let Some(mid) = rtc.direct_api().stream_rx(&packet.header.ssrc).map(|stream| stream.mid()) else { return };
        let source: Source = (from, mid);
        let Some(room) = self.rooms.get(&self.members[from].room) else { return };
        // A copy, as sending may change the rooms.
        let routes = room.routes(source).to_vec();
        for (to, mid) in routes {
            let Some(rtc) = &mut self.members[to].rtc else { continue };
            let mut direct = rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(mid, None) else { continue };
            let write = RtpWrite::new(
                packet.header.payload_type,
                packet.seq_no,
                packet.header.timestamp,
                packet.timestamp,
                Arc::clone(&packet.payload),
            );
            stream
                .write_rtp(write.marker(packet.header.marker).ext_vals(packet.header.ext_vals.clone()).nackable(true));
            self.drain(to);
        }
    }
}
