//! The body of a shard's loop without its sockets: commands, datagrams and time in, messages out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_media::{Counters as PlaneCounters, DropReason as PlaneDrop};
use roundtable_protocol::event::{LeaveReason, RoomCloseReason};
use roundtable_protocol::{ErrorCode, MemberId, RoomId};
use roundtable_transport::candidate::Candidate;
use roundtable_transport::identity::Identity;
use roundtable_transport::path::Path;
use roundtable_transport::peer::{DropReason, PeerEvent, Received, Transmit};
use slab::Slab;

use super::arena::{Arena, Kind, Outgoing, Waiting};
use super::endpoint::{Endpoint, is_earlier};
use super::fanout::{Fanout, FanoutCounters};
use super::home::Home;
use super::inbox::{Command, Join, JoinRefused, ToMember};
use super::lane::{Item, Lanes, Route};
use super::letter::Report;
use super::load::Load;
use super::rooms::{OpenRoom, Role};
use super::spread::Spread;
use super::stage::Stage;
use super::stats::ShardStats;
use super::steering::Steering;
use super::tape::Tape;
use super::timer::Wheel;
use crate::net::demux::{Demux, Owner};
use crate::room::Now;

/// When clients may come back after a stop: long enough for a restart.
const RECONNECT_AFTER_STOP_MS: u64 = 2_000;

/// Who wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Endpoint(usize),
    Room(usize),
}

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
    /// A room goes on to further shards when its own are busy for more than so many thousandths of the time.
    pub spread_above: u32,
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
    pub(super) endpoints: Slab<Endpoint>,
    pub(super) demux: Demux<usize>,
    /// The ways to the other shards.
    pub(super) lanes: Lanes,
    /// Whether they share a port, so that they are to know whose a remote address is.
    shares_port: bool,
    steering: Option<Steering>,
    /// How busy each shard is, and where members of rooms that outgrow theirs are connected.
    pub(super) loads: Vec<Load>,
    pub(super) spread: Spread,
    wheel: Wheel<Alarm>,
    alarms: Vec<Alarm>,
    /// Endpoints whose transport may have something to say.
    pub(super) stale: Vec<usize>,
    touched: Vec<usize>,
    dirty: Vec<usize>,
    waiting: Waiting,
    arena: Arena,
    control: Vec<Transmit>,
    scratch: Vec<u8>,
    pub(super) counters: Counters,
    tape: Option<Tape>,
    stopping: bool,
}

/// Plain integers that the loop owns.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) offers: u64,
    pub(super) datagrams_in: u64,
    pub(super) datagrams_out: u64,
    handed_in: u64,
    pub(super) relayed_in: u64,
    pub(super) send_drops: u64,
    pub(super) send_calls: u64,
    rtp_in: u64,
    fanout: FanoutCounters,
    transport: [u64; DropReason::ALL.len()],
    unknown_ufrag: u64,
    unknown_path: u64,
    full_lane: u64,
    /// What planes of closed rooms counted.
    closed: PlaneTotals,
}

/// What several planes counted together.
#[derive(Debug, Default, Clone)]
struct PlaneTotals {
    rtx_out: u64,
    keyframe_requests: u64,
    dropped: [u64; PlaneDrop::ALL.len()],
}

impl PlaneTotals {
    fn add(&mut self, counters: &PlaneCounters) {
        self.rtx_out += counters.rtx_out;
        self.keyframe_requests += counters.keyframe_requests_out;
        for (total, reason) in self.dropped.iter_mut().zip(PlaneDrop::ALL) {
            *total += counters.dropped(reason);
        }
    }
}

impl Core {
    /// A shard without rooms. `candidates` is what answers tell members.
    #[must_use]
    pub fn new(now: Instant, identity: Arc<Identity>, candidates: Vec<Candidate>, among: Among) -> Self {
        let Among { lanes, shares_port, steering, loads, spread_above } = among;
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
            demux: Demux::new(shard, shards),
            lanes,
            shares_port,
            steering,
            loads,
            spread: Spread::new(now, spread_above),
            wheel: Wheel::new(now),
            alarms: Vec::new(),
            stale: Vec::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            waiting: Waiting::default(),
            arena: Arena::default(),
            control: Vec::new(),
            scratch: Vec::new(),
            counters: Counters::default(),
            tape: None,
            stopping: false,
        }
    }

    /// Records a room.
    pub fn set_tape(&mut self, tape: Option<Tape>) {
        self.tape = tape;
    }

    /// Obeys the control side. Returns whether the shard goes on.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> bool {
        match command {
            Command::Join(join) => self.join(now, join),
            Command::Member { room, member, request } => {
                if let Some(&key) = self.names.get(&room) {
                    self.handle_request(now, key, &member, request);
                    self.look_after(now, key);
                }
            }
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
            Command::RoomStats { room, reply } => {
                let open = self.names.get(&room).and_then(|&key| self.rooms.get(key));
                let _ = reply.send(open.map(|open| self.room_stats(clocks(now), open)));
            }
            Command::Stats(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.stats());
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
    fn handle_route(&mut self, from: u8, route: Route) {
        match route {
            Route::Add(path) => self.demux.add_foreign(path, from),
            Route::Remove(path) => self.demux.remove_foreign(&path, from),
        }
    }

    /// Takes what another shard has handed over; returns whether more may wait.
    pub fn take_handed(&mut self, now: Instant) -> bool {
        let Some(mut batch) = self.lanes.next() else { return false };
        for route in batch.routes.drain(..) {
            self.handle_route(batch.from, route);
            self.note_route(batch.from, route);
        }
        for letter in batch.letters.drain(..) {
            self.handle_letter(now, batch.from, letter);
        }
        for item in batch.items() {
            match item {
                Item::Datagram(path, datagram) => {
                    self.counters.handed_in += 1;
                    // Whose it was when it was handed over may have gone: then it is nobody's.
                    let _ = self.find_owner(now, path, datagram);
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
        let received = endpoint.transport.handle_datagram(now, path, datagram);
        if !endpoint.ready {
            // Any datagram may be the one that shows that the peer has its keys.
            self.stale.push(key);
        }
        match received {
            Received::Control => self.stale.push(key),
            Received::Rtp { len } => {
                self.counters.rtp_in += 1;
                self.plane(key, |plane, peer, out| {
                    plane.handle_rtp(now, peer, datagram.get(..len).unwrap_or(&[]), out)
                });
            }
            Received::Rtcp { len } => {
                self.plane(key, |plane, peer, out| {
                    plane.handle_rtcp(now, peer, datagram.get(..len).unwrap_or(&[]), out)
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
        let mut alarms = std::mem::take(&mut self.alarms);
        self.wheel.advance(now, &mut alarms);
        for alarm in alarms.drain(..) {
            match alarm {
                Alarm::Endpoint(key) => {
                    if let Some(endpoint) = self.endpoints.get_mut(key) {
                        endpoint.scheduled = None;
                        endpoint.transport.handle_timeout(now);
                        self.stale.push(key);
                    }
                }
                Alarm::Room(key) => self.room_timeout(now, key),
            }
        }
        self.alarms = alarms;
        self.settle(now);
    }

    /// When to call [`Core::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let steering = self.steering.as_ref().and_then(|steering| steering.poll_timeout(now));
        self.wheel.next().into_iter().chain(steering).min()
    }

    /// Listens to transports and planes that may have something to say, until they are silent.
    pub fn settle(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.stale.pop() {
                self.service(now, key);
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

    fn drain_tape(&mut self, now: Instant) {
        if let Some(tape) = &mut self.tape
            && let Some(room) = tape.room().and_then(|key| self.rooms.get_mut(key))
        {
            tape.drain(now, &mut room.stage.plane);
        }
    }

    /// Seals everything that waits, some peers at a time, hands it to `send` and forgets it.
    pub fn flush(&mut self, mut send: impl FnMut(&[Outgoing<'_>]) -> SendOutcome) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            self.seal(key);
            if self.arena.is_full() {
                self.send_sealed(&mut send);
            }
        }
        self.dirty = dirty;
        self.waiting.clear();
        self.send_sealed(&mut send);
    }

    /// Seals what waits for one peer.
    fn seal(&mut self, key: usize) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let queue = std::mem::take(&mut endpoint.queue);
        endpoint.dirty = false;
        let Some(path) = endpoint.path else { return };
        let (arena, transport) = (&mut self.arena, &mut endpoint.transport);
        arena.next_peer();
        for (kind, head, tail, padding) in self.waiting.packets(queue) {
            match kind {
                Kind::Rtp { header_len, roc } => {
                    let Some(sealer) = transport.sealer() else { return };
                    let (plain, overhead) = (head.len() + tail.len() + usize::from(padding), sealer.overhead());
                    let seal = |packet: &mut [u8]| sealer.seal_rtp(packet, header_len, plain, roc);
                    arena.push(path, (head, tail, padding), overhead, seal);
                }
                Kind::Rtcp => {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(head);
                    if transport.seal_rtcp(&mut self.scratch) {
                        arena.push(path, (&self.scratch, &[], 0), 0, |packet| Some(packet.len()));
                    }
                }
            }
        }
    }

    /// Hands to `send` what is sealed, and what transports have to say by themselves.
    fn send_sealed(&mut self, send: &mut impl FnMut(&[Outgoing<'_>]) -> SendOutcome) {
        let control = self.control.iter().map(|t| Outgoing { path: t.path, contents: &t.contents, segment: None });
        let messages: Vec<Outgoing<'_>> = control.chain(self.arena.messages()).collect();
        if !messages.is_empty() {
            let outcome = send(&messages);
            self.counters.datagrams_out += outcome.datagrams;
            self.counters.send_drops += outcome.dropped;
            self.counters.send_calls += outcome.calls;
        }
        self.control.clear();
        self.arena.clear();
    }

    /// The figures of this moment.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        let mut plane = self.counters.closed.clone();
        self.rooms.iter().for_each(|(_, room)| plane.add(room.stage.plane.counters()));
        let reasons = PlaneDrop::ALL.iter().map(|reason| reason.as_str());
        let mut dropped: BTreeMap<&'static str, u64> = reasons.zip(plane.dropped).collect();
        let transport = DropReason::ALL.iter().zip(self.counters.transport).map(|(r, n)| (r.as_str(), n));
        let own = [
            ("unknown-ufrag", self.counters.unknown_ufrag),
            ("unknown-path", self.counters.unknown_path),
            ("full-lane", self.counters.full_lane + self.counters.fanout.not_relayed),
            ("fanout", self.counters.fanout.dropped),
        ];
        for (reason, count) in transport.chain(own) {
            *dropped.entry(reason).or_default() += count;
        }
        dropped.retain(|_, count| *count > 0);
        let homes = || self.rooms.iter().filter_map(|(_, open)| open.home());
        let stages = || self.rooms.iter().map(|(_, open)| &open.stage);
        ShardStats {
            rooms: homes().count(),
            members: homes().map(|home| home.members.len()).sum(),
            branches: self.rooms.len() - homes().count(),
            peers: self.endpoints.len(),
            connected_peers: self.endpoints.iter().filter(|(_, e)| e.transport.is_connected()).count(),
            paths: self.demux.paths(),
            foreign_paths: self.demux.foreign_paths(),
            steered_paths: self.steering.as_ref().map_or(0, Steering::exceptions),
            tracks: stages().map(Stage::own_tracks).sum(),
            relayed_tracks: stages().map(Stage::relayed_tracks).sum(),
            slots: stages().map(Stage::slots).sum(),
            offers: self.counters.offers,
            datagrams_in: self.counters.datagrams_in,
            datagrams_out: self.counters.datagrams_out,
            handed_in: self.counters.handed_in,
            relayed_in: self.counters.relayed_in,
            relayed_out: self.counters.fanout.relayed,
            send_drops: self.counters.send_drops,
            send_calls: self.counters.send_calls,
            rtp_in: self.counters.rtp_in,
            rtp_out: self.counters.fanout.rtp,
            rtx_out: plane.rtx_out,
            keyframe_requests: plane.keyframe_requests,
            busy_permille: 0,
            dropped,
        }
    }

    fn join(&mut self, now: Instant, join: Join) {
        let Join { room, journal, name, grants, max_seats, max_members, voice_slots, outbox, reply } = join;
        let clocks = clocks(now);
        let outcome = self
            .enter(clocks, room, journal, max_members, voice_slots)
            .and_then(|key| self.admit(clocks, key, name, grants, max_seats, outbox).ok_or(JoinRefused::JournalClosed));
        match outcome {
            Err(refused) => {
                let _ = reply.send(Err(refused));
            }
            Ok((key, joined)) => {
                let member = joined.member.id.clone();
                // The session went away while it waited: take the member out again.
                if reply.send(Ok(joined)).is_err() {
                    self.remove_member(now, key, &member, LeaveReason::Disconnected);
                }
                self.look_after(now, key);
            }
        }
    }

    /// Finds the room or opens it.
    fn enter(
        &mut self,
        clocks: Now,
        room: RoomId,
        journal: Arc<crate::journal::Journal>,
        max_members: usize,
        voice_slots: u16,
    ) -> Result<usize, JoinRefused> {
        if self.stopping {
            return Err(JoinRefused::Stopping);
        }
        if let Some(key) = self.names.get(&room).copied().filter(|&key| self.is_home(clocks.instant, key)) {
            let full = self.home(key).is_none_or(|home| home.room.len() >= max_members);
            return if full { Err(JoinRefused::RoomFull(max_members)) } else { Ok(key) };
        }
        if journal.is_closed() {
            return Err(JoinRefused::JournalClosed);
        }
        if max_members == 0 {
            return Err(JoinRefused::RoomFull(0));
        }
        let life = random_u64();
        let entry = self.rooms.vacant_entry();
        let key = entry.key();
        let mut stage = Stage::new(clocks, random_u64(), voice_slots, (key, life));
        if let Some(tape) = &mut self.tape {
            tape.handle_opened(clocks.instant, key, &room, &mut stage.plane);
        }
        let home = Box::new(Home::new(journal, random_u64(), voice_slots));
        entry.insert(OpenRoom::new(room.clone(), life, Role::Home(home), stage));
        self.lives.insert(life, key);
        self.names.insert(room, key);
        Ok(key)
    }

    /// Whether a room lives here. A stage of an earlier room of its name, which its home has not closed yet, is closed.
    fn is_home(&mut self, now: Instant, key: usize) -> bool {
        let is_home = self.home(key).is_some();
        if !is_home {
            self.close_stage(now, key);
        }
        is_home
    }

    /// Runs the plane of an endpoint's room with the way out to its members.
    fn plane(
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
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        let mut out = Fanout {
            endpoints: &mut self.endpoints,
            peers: &room.stage.peers,
            outlets: &room.stage.outlets,
            lanes: &mut self.lanes,
            dirty: &mut self.dirty,
            waiting: &mut self.waiting,
            counters: &mut self.counters.fanout,
        };
        run(&mut room.stage.plane, &mut out);
        if !room.touched {
            room.touched = true;
            self.touched.push(room_key);
        }
    }

    fn room_timeout(&mut self, now: Instant, key: usize) {
        if let Some(open) = self.rooms.get_mut(key) {
            open.scheduled = None;
            if let Some(home) = open.home_mut() {
                home.room.handle_timeout(clocks(now));
            }
        }
        self.room_plane(key, |plane, out| plane.handle_timeout(now, out));
    }

    /// Drains one transport.
    fn service(&mut self, now: Instant, key: usize) {
        while let Some(endpoint) = self.endpoints.get_mut(key) {
            if let Some(transmit) = endpoint.transport.poll_transmit() {
                self.control.push(transmit);
            } else if let Some(event) = endpoint.transport.poll_event() {
                self.handle_event(now, key, event);
            } else {
                break;
            }
        }
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        if let Some((deadline, _)) = endpoint.transport.poll_timeout()
            && is_earlier(deadline, endpoint.scheduled)
        {
            endpoint.scheduled = Some(deadline);
            self.wheel.schedule(deadline, Alarm::Endpoint(key));
        }
    }

    fn handle_event(&mut self, now: Instant, key: usize, event: PeerEvent) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        match event {
            PeerEvent::PathProven(path) => {
                endpoint.paths.push(path);
                self.demux.add_path(path, key);
                self.tell_route(Route::Add(path));
            }
            PeerEvent::PathLost(path) => {
                endpoint.paths.retain(|p| *p != path);
                self.remove_path(path, key);
            }
            PeerEvent::PathSelected(path) => {
                endpoint.path = Some(path);
                // A restart is over once a pair of the new generation is nominated.
                let current = endpoint.transport.local_credentials().ufrag.clone();
                let (keep, old) = endpoint.ufrags.drain(..).partition(|u| *u == current);
                endpoint.ufrags = keep;
                let old: Vec<String> = old;
                old.iter().for_each(|ufrag| self.demux.remove_ufrag(ufrag, key));
            }
            PeerEvent::Connected { profile } => {
                tracing::debug!(member = %endpoint.member, ?profile, "media connected");
            }
            PeerEvent::KeysConfirmed => {
                endpoint.ready = true;
                self.plane(key, |plane, peer, _| plane.set_peer_ready(now, peer, true));
            }
            PeerEvent::ChannelOpened { id, label, .. } => self.channel_opened(key, id, &label),
            PeerEvent::ChannelClosed { id } => {
                if endpoint.chat == Some(id) {
                    endpoint.chat = None;
                }
            }
            PeerEvent::Message { channel, data, .. } => {
                if endpoint.chat == Some(channel) {
                    self.chat_message(now, key, channel, &data);
                }
            }
            PeerEvent::Closed(reason) => {
                let (room, member) = (endpoint.room, endpoint.member.clone());
                let code = match ErrorCode::from_word(reason.code()) {
                    Some(code) => code,
                    None if reason.code().starts_with("sctp/") => ErrorCode::SctpAborted,
                    None => ErrorCode::DtlsFailed,
                };
                let message = format!("the media connection ended: {reason:?}");
                let reason = LeaveReason::ConnectionLost;
                self.report(now, room, Report::Ended { member, code, message, reason });
                self.look_after(now, room);
            }
        }
    }

    /// Ends a peer connection.
    pub(super) fn remove_endpoint(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        endpoint.transport.close(now);
        while let Some(transmit) = endpoint.transport.poll_transmit() {
            self.control.push(transmit);
        }
        let endpoint = self.endpoints.remove(key);
        endpoint.paths.iter().for_each(|&path| self.remove_path(path, key));
        endpoint.ufrags.iter().for_each(|ufrag| self.demux.remove_ufrag(ufrag, key));
        if let Some(open) = self.rooms.get_mut(endpoint.room) {
            open.stage.plane.remove_peer(now, endpoint.plane);
            open.stage.set_peer(endpoint.plane, None);
        }
    }

    fn remove_path(&mut self, path: Path, key: usize) {
        if self.demux.remove_path(&path, key) {
            self.tell_route(Route::Remove(path));
        }
    }

    fn tell_route(&mut self, route: Route) {
        if self.shares_port {
            self.lanes.tell(route);
            self.note_route(self.shard, route);
        }
    }

    /// Has the kernel told of a route of a shard.
    fn note_route(&mut self, shard: u8, route: Route) {
        if let Some(steering) = &mut self.steering {
            steering.handle_route(shard, route);
        }
    }

    /// What tells the kernel whose datagrams are whose, if this is the shard that does it.
    pub fn steering(&mut self) -> Option<&mut Steering> {
        self.steering.as_mut()
    }

    fn close_room(&mut self, now: Instant, key: usize, reason: RoomCloseReason) {
        let Some(home) = self.home(key) else { return };
        let (code, message, after) = match reason {
            RoomCloseReason::ServerStopping => {
                (ErrorCode::Stopping, "the server is stopping", Some(RECONNECT_AFTER_STOP_MS))
            }
            _ => (ErrorCode::RoomClosed, "the room was closed", None),
        };
        home.room.close(clocks(now), reason);
        let members: Vec<MemberId> = home.members.keys().cloned().collect();
        for member in members {
            if let Some(home) = self.home(key) {
                let close = ToMember::Close { code, message: message.to_owned(), reconnect_after_ms: after };
                home.tell(&member, close);
            }
            self.remove_member(now, key, &member, LeaveReason::RoomClosed);
        }
        self.look_after(now, key);
        self.forget_room(key);
    }

    /// Applies what the room and its plane want, takes out slow members, closes the room when it is
    /// empty and sets its alarm.
    pub(super) fn look_after(&mut self, now: Instant, key: usize) {
        loop {
            self.apply_effects(now, key);
            let Some(open) = self.rooms.get_mut(key) else { return };
            let Some(member) = open.home_mut().and_then(|home| home.slow.pop()) else { break };
            tracing::info!(room = %open.id, %member, "a member read too slowly and is out");
            self.remove_member(now, key, &member, LeaveReason::Removed);
        }
        let Some(open) = self.rooms.get_mut(key) else { return };
        if let Some(home) = open.home_mut()
            && home.members.is_empty()
        {
            home.room.close(clocks(now), RoomCloseReason::Empty);
            self.apply_effects(now, key);
            return self.forget_room(key);
        }
        let of_room = open.home().and_then(|home| home.room.poll_timeout());
        if let Some(deadline) = [open.stage.plane.poll_timeout(), of_room].into_iter().flatten().min()
            && is_earlier(deadline, open.scheduled)
        {
            open.scheduled = Some(deadline);
            self.wheel.schedule(deadline, Alarm::Room(key));
        }
    }

    pub(super) fn forget_room(&mut self, key: usize) {
        if let Some(mut open) = self.rooms.try_remove(key) {
            if let Some(tape) = &mut self.tape {
                tape.handle_closed(key, &mut open.stage.plane);
            }
            self.counters.closed.add(open.stage.plane.counters());
            self.lives.remove(&open.life);
            if self.names.get(&open.id) == Some(&key) {
                self.names.remove(&open.id);
            }
        }
    }

    /// Counts an offer that was answered.
    pub(super) fn count_offer(&mut self) {
        self.counters.offers += 1;
    }
}

/// What became of messages handed to the socket.
#[derive(Debug, Default, Clone, Copy)]
pub struct SendOutcome {
    /// Datagrams taken by the kernel.
    pub datagrams: u64,
    /// Datagrams not taken.
    pub dropped: u64,
    /// System calls made.
    pub calls: u64,
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
