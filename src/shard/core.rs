//! The body of a shard's loop without its sockets: commands, datagrams and time in, messages out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_protocol::RoomId;
use roundtable_protocol::event::RoomCloseReason;
use roundtable_transport::candidate::Candidate;
use roundtable_transport::identity::Identity;
use roundtable_transport::path::Path;
use roundtable_transport::peer::{Received, Transmit};
use slab::Slab;

use super::alarm::{Alarm, Alarms};
use super::arena::{Arena, Waiting};
use super::balance::Balance;
use super::counters::Counters;
use super::endpoint::Endpoint;
use super::fanout::Fanout;
use super::inbox::Command;
use super::lane::{Item, Lanes, Route};
use super::letter::MediaEnd;
use super::load::Load;
use super::parking::Parking;
use super::rooms::OpenRoom;
use super::spread::Spread;
use super::steering::Steering;
use super::tape::Tape;
use crate::net::demux::{Demux, Owner};
use crate::room::Now;
use crate::store::Store;

/// What ties a shard to the others.
#[derive(Debug)]
pub struct Among {
    /// The ways to them.
    pub lanes: Lanes,
    /// Whether all share one port.
    pub shares_port: bool,
    /// Where the kernel is told whose datagrams are whose, if this is the shard that does it.
    pub steering: Option<Steering>,
    /// How busy each shard is, itself included, by their numbers.
    pub loads: Vec<Load>,
    /// A shard that is busy for less than so many thousandths of the time keeps its rooms.
    pub gather_below: u32,
    /// A room goes on to further shards when its own are busy for more than so many thousandths of the time.
    pub spread_above: u32,
    /// A shard gives rooms to others when it is busier than the mean by more than so many thousandths of a core.
    pub rebalance_above: u32,
}

/// Everything one shard owns but its sockets.
#[derive(Debug)]
pub struct Core {
    pub(super) identity: Arc<Identity>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) shard: u8,
    pub(super) rooms: Slab<OpenRoom>,
    /// Rooms by name, …
    pub(super) names: HashMap<RoomId, usize>,
    /// … and by what tells one from an earlier or later one of that name.
    pub(super) lives: HashMap<u64, usize>,
    /// Each in a box, so that where one lies is known before it is looked at.
    pub(super) endpoints: Slab<Box<Endpoint>>,
    /// Peer connections of those who are on the way from one room to another.
    pub(super) parked: Parking,
    pub(super) demux: Demux<usize>,
    /// The ways to the other shards.
    pub(super) lanes: Lanes,
    /// Whether they share a port, so that they are to know whose a remote address is.
    pub(super) shares_port: bool,
    pub(super) steering: Option<Steering>,
    /// How busy each shard is, and where members of rooms that outgrow theirs are connected.
    pub(super) loads: Vec<Load>,
    pub(super) spread: Spread,
    pub(super) balance: Balance,
    /// Stages that are to leave at the end of this turn, by the lives of their rooms, and the shards that they go to.
    pub(super) departing: Vec<(u64, u8)>,
    pub(super) alarms: Alarms,
    ringing: Vec<Alarm>,
    /// Endpoints whose transport may have something to say.
    pub(super) stale: Vec<usize>,
    pub(super) touched: Vec<usize>,
    pub(super) dirty: Vec<usize>,
    /// Who has sent what is looked at.
    pub(super) senders: Vec<Sender>,
    pub(super) waiting: Waiting,
    pub(super) arena: Arena,
    pub(super) control: Vec<Transmit>,
    pub(super) scratch: Vec<u8>,
    pub(super) counters: Counters,
    pub(super) tape: Option<Tape>,
    /// Where rooms are kept that outlive the process, …
    pub(super) store: Option<Store>,
    /// … and those of them in which chat waits for that.
    pub(super) holding: Vec<usize>,
    /// How long members were let in for since that was last asked.
    admitting: Duration,
    /// Peer connections that their peers have closed in this turn, and the rooms they are in: each once.
    pub(super) goodbyes: Vec<(usize, MediaEnd)>,
    pub(super) stopping: bool,
    /// The room whose code runs, for the case that it panics.
    pub(super) current: Option<usize>,
}

/// One of whom something has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender {
    /// The key of the endpoint.
    pub(super) key: usize,
    /// Whether it is a report.
    pub(super) is_report: bool,
}

impl Core {
    /// A shard without rooms. `candidates` is what answers tell members.
    #[must_use]
    pub fn new(now: Instant, identity: Arc<Identity>, candidates: Vec<Candidate>, among: Among) -> Self {
        let Among { lanes, shares_port, steering, loads, gather_below, spread_above, rebalance_above } = among;
        let shard = lanes.own();
        // With a port each there is nobody to hand anything to, so what names another shard is nobody's.
        let shards = if shares_port { u8::try_from(loads.len()).unwrap_or(u8::MAX) } else { 0 };
        Self {
            identity,
            candidates,
            shard,
            rooms: Slab::new(),
            names: HashMap::new(),
            lives: HashMap::new(),
            endpoints: Slab::new(),
            parked: Parking::default(),
            demux: Demux::new(shard, shards),
            lanes,
            shares_port,
            steering,
            loads,
            spread: Spread::new(now, spread_above),
            balance: Balance::new(now, gather_below, rebalance_above),
            departing: Vec::new(),
            alarms: Alarms::new(now),
            ringing: Vec::new(),
            stale: Vec::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            senders: Vec::new(),
            waiting: Waiting::default(),
            arena: Arena::default(),
            control: Vec::new(),
            scratch: Vec::new(),
            counters: Counters::default(),
            tape: None,
            store: None,
            holding: Vec::new(),
            admitting: Duration::ZERO,
            goodbyes: Vec::new(),
            stopping: false,
            current: None,
        }
    }

    /// Records a room.
    pub fn set_tape(&mut self, tape: Option<Tape>) {
        self.tape = tape;
    }

    /// Obeys the control side. Returns whether the shard goes on.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> bool {
        match command {
            Command::Join(join) => self.join(now, *join),
            Command::Member { room, member, session, request } => {
                if let Some(&key) = self.names.get(&room) {
                    self.handle_request(now, key, (&member, session), request);
                    self.look_after(now, key);
                }
            }
            Command::Resume(resume) => self.resume(now, resume),
            Command::Restore(restore) => self.restore(now, restore),
            Command::CloseRoom { room, reason } => {
                if let Some(&key) = self.names.get(&room) {
                    self.close_room(now, key, reason);
                }
            }
            Command::Limit { room, member, limits, reply } => {
                let key = self.names.get(&room).copied();
                let home = key.and_then(|key| self.home(key));
                let _ = reply.send(home.is_some_and(|home| home.room.set_limits(&member, limits)));
                if let Some(key) = key {
                    self.look_after(now, key);
                }
            }
            Command::Moderate { room, by, deed, reply } => {
                // Whoever asked may have gone; it is done all the same.
                let _ = reply.send(self.moderate(now, &room, by.as_ref(), deed));
            }
            Command::Announce { room, audience, message } => self.announce(now, &room, &audience, &message),
            Command::Settings { room, settings } => self.set_settings(now, &room, settings),
            Command::ChatPage { room, before, limit, reply } => {
                let home = self.names.get(&room).copied().and_then(|key| self.home(key));
                let _ = reply.send(home.map(|home| home.room.chat_page(before, limit)));
            }
            Command::RoomStats { room, reply } => {
                let open = self.names.get(&room).and_then(|&key| self.rooms.get(key));
                let _ = reply.send(open.map(|open| self.room_stats(clocks(now), open)));
            }
            Command::Stats(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.stats());
            }
            #[cfg(test)]
            Command::Fault(room) => {
                self.current = self.names.get(&room).copied();
                panic!("a fault was asked for");
            }
            Command::Stop => {
                self.stopping = true;
                let keys: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
                keys.into_iter().for_each(|key| self.close_room(now, key, RoomCloseReason::ServerStopping));
            }
        }
        self.settle(now);
        !self.stopping
    }

    /// Follows what another shard says of a path.
    fn handle_route(&mut self, from: u8, route: &Route) {
        match route {
            Route::Add(path) => self.demux.add_foreign(*path, from),
            Route::Remove(path) => self.demux.remove_foreign(path, from),
            Route::Ufrag(ufrag, shard) => self.demux.note_ufrag(ufrag, *shard),
        }
    }

    /// Takes what another shard has handed over; returns whether more may wait.
    pub fn take_handed(&mut self, now: Instant) -> bool {
        let Some(mut batch) = self.lanes.next() else { return false };
        for route in batch.routes.drain(..) {
            self.handle_route(batch.from, &route);
            self.note_route(batch.from, &route);
        }
        for relocated in batch.stages.drain(..) {
            self.arrive(now, relocated);
        }
        for letter in batch.letters.drain(..) {
            self.handle_letter(now, batch.from, letter);
        }
        for item in batch.items() {
            match item {
                Item::Datagram { path, datagram, is_again } => {
                    self.counters.handed_in += 1;
                    // Whose it is may have gone on to a third shard meanwhile; it is handed on once.
                    if let Some(shard) = self.find_owner(now, path, datagram)
                        && !is_again
                        && !self.lanes.push_again(shard, path, datagram)
                    {
                        self.counters.full_lane += 1;
                    }
                }
                Item::Relayed(to, layer, item) => self.handle_relayed(now, to, layer, item),
            }
        }
        self.lanes.recycle(batch);
        self.settle(now);
        true
    }

    /// Hands over what is other shards'; before the answers of this turn leave, as who gets one sends at once, maybe to
    /// another shard's socket.
    pub fn hand_over(&mut self) {
        let lost = self.lanes.flush();
        self.counters.full_lane += lost as u64;
    }

    /// Takes one datagram; media is decrypted in place and forwarded into what waits for the flush. What is another shard's
    /// is handed over.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        if let Some(shard) = self.find_owner(now, path, datagram)
            && !self.lanes.push(shard, path, datagram)
        {
            self.counters.full_lane += 1;
        }
    }

    /// Takes one datagram, unless it is another shard's, which is returned.
    fn find_owner(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> Option<u8> {
        let key = match self.demux.owner(path, datagram) {
            Owner::Shard(shard) => return Some(shard),
            Owner::Peer(key) => Some(key),
            Owner::UnknownUfrag => {
                self.counters.unknown_ufrag += 1;
                None
            }
            Owner::UnknownPath => {
                self.counters.unknown_path += 1;
                None
            }
        };
        self.counters.datagrams_in += 1;
        if let Some(key) = key {
            self.handle_datagram_of(now, key, path, datagram);
        }
        None
    }

    fn handle_datagram_of(&mut self, now: Instant, key: usize, path: Path, datagram: &mut [u8]) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        self.current = Some(endpoint.room);
        let admitting_since = (!endpoint.ready).then(Instant::now);
        let received = endpoint.transport.handle_datagram(now, path, datagram);
        self.admitting += admitting_since.map_or(Duration::ZERO, |since| since.elapsed());
        if !endpoint.ready {
            // Any datagram may be the one that shows that the peer has its keys.
            self.stale.push(key);
        }
        match received {
            Received::Control => self.stale.push(key),
            Received::Rtp { len } => {
                self.counters.rtp_in += 1;
                self.plane(key, |plane, peer, out| {
                    plane.handle_rtp(now.into(), peer, datagram.get(..len).unwrap_or(&[]), out)
                });
            }
            Received::Rtcp { len } => {
                self.plane(key, |plane, peer, out| {
                    plane.handle_rtcp(now.into(), peer, datagram.get(..len).unwrap_or(&[]), out)
                });
            }
            Received::Dropped(reason) => {
                if let Some(count) = self.counters.transport.get_mut(reason.index()) {
                    *count += 1;
                }
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.alarms.advance(now, &mut self.ringing);
        // In their order; what a fault has left stands before.
        self.ringing.reverse();
        while let Some(alarm) = self.ringing.pop() {
            match alarm {
                Alarm::Endpoint(key) => {
                    if let Some(endpoint) = self.endpoints.get_mut(key) {
                        self.current = Some(endpoint.room);
                        endpoint.scheduled = None;
                        endpoint.transport.handle_timeout(now);
                        self.stale.push(key);
                    }
                }
                Alarm::Room(key) | Alarm::RoomLater(key) => {
                    if let Some(open) = self.rooms.get_mut(key) {
                        let is_strict = alarm == Alarm::Room(key);
                        *(if is_strict { &mut open.scheduled } else { &mut open.scheduled_later }) = None;
                    }
                    self.room_timeout(now, key);
                }
                Alarm::Parked(number) => self.end_parked(now, number),
            }
        }
        self.settle(now);
    }

    /// When to call [`Core::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let steering = self.steering.as_ref().and_then(|steering| steering.poll_timeout(now));
        let has_rooms = self.may_relocate() && !self.rooms.is_empty();
        let balance = has_rooms.then(|| self.balance.poll_timeout());
        self.alarms.next().into_iter().chain(steering).chain(balance).min()
    }

    /// Listens to transports and planes that may have something to say, until they are silent.
    pub fn settle(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.stale.pop() {
                let is_joining = self.endpoints.get(key).is_some_and(|endpoint| !endpoint.ready);
                let admitting_since = is_joining.then(Instant::now);
                self.service(now, key);
                self.admitting += admitting_since.map_or(Duration::ZERO, |since| since.elapsed());
            } else if let Some(key) = self.touched.pop() {
                if let Some(room) = self.rooms.get_mut(key) {
                    room.touched = false;
                }
                self.look_after(now, key);
            } else {
                return self.drain_tape(now);
            }
        }
    }

    /// How long members were let in for since this was last asked: handshakes take hundreds of times what a packet does.
    pub fn take_admitting(&mut self) -> Duration {
        std::mem::take(&mut self.admitting)
    }

    fn drain_tape(&mut self, now: Instant) {
        if let Some(tape) = &mut self.tape
            && let Some(room) = tape.room().and_then(|key| self.rooms.get_mut(key))
        {
            tape.drain(now, &mut room.stage.plane);
        }
    }

    /// Runs the plane of an endpoint's room with the way out to its members.
    pub(super) fn plane(
        &mut self,
        key: usize,
        run: impl FnOnce(&mut roundtable_media::Plane, roundtable_media::PeerKey, &mut Fanout<'_>),
    ) {
        let Some((room_key, peer)) = self.endpoints.get(key).map(|e| (e.room, e.plane)) else { return };
        self.room_plane(room_key, |plane, out| run(plane, peer, out));
    }

    pub(super) fn room_plane(
        &mut self,
        room_key: usize,
        run: impl FnOnce(&mut roundtable_media::Plane, &mut Fanout<'_>),
    ) {
        self.current = Some(room_key);
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        let mut out = Fanout {
            endpoints: &mut self.endpoints,
            peers: &room.stage.peers,
            outlets: &room.stage.outlets,
            lanes: &mut self.lanes,
            dirty: &mut self.dirty,
            waiting: &mut self.waiting,
            counters: &mut self.counters.fanout,
            tail: None,
            is_steady: false,
        };
        run(&mut room.stage.plane, &mut out);
        if !room.touched {
            room.touched = true;
            self.touched.push(room_key);
        }
    }

    fn room_timeout(&mut self, now: Instant, key: usize) {
        if let Some(home) = self.home(key) {
            home.room.handle_timeout(clocks(now));
        }
        self.room_plane(key, |plane, out| plane.handle_timeout(now.into(), out));
    }

    /// Packets of media that were put on their way to members so far.
    pub const fn forwarded(&self) -> u64 {
        self.counters.fanout.rtp
    }

    /// Counts an offer that was answered.
    pub(super) fn count_offer(&mut self) {
        self.counters.offers += 1;
    }
}

/// Fresh randomness from the operating system, for ids, credentials and seeds.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Credentials without randomness would be worse than no server.
        panic!("the operating system gives no randomness: {error}");
    }
    bytes
}

/// Eight random bytes as a number.
pub(super) fn random_u64() -> u64 {
    u64::from_ne_bytes(random())
}

/// Both clocks. The shard may read the wall clock: people want to know when things happened.
pub(super) fn clocks(now: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Now { instant: now, unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}
