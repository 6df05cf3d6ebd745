//! What peer connections report: paths, keys, channels, their end.

use std::time::{Duration, Instant};

use roundtable_protocol::ErrorCode;
use roundtable_transport::path::Path;
use roundtable_transport::peer::PeerEvent;

use super::alarm::Alarm;
use super::core::Core;
use super::endpoint::is_earlier;
use super::lane::Route;
use super::letter::Report;
use super::steering::Steering;

/// What a transport plans so far ahead can be done a little later: it is about silence, not about an answer.
const FAR: Duration = Duration::from_secs(1);

impl Core {
    /// Drains one transport.
    pub(super) fn service(&mut self, now: Instant, key: usize) {
        self.current = self.endpoints.get(key).map(|endpoint| endpoint.room);
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
            if deadline.saturating_duration_since(now) < FAR {
                self.alarms.schedule(deadline, Alarm::Endpoint(key));
            } else {
                self.alarms.schedule_leniently(deadline, Alarm::Endpoint(key));
            }
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
                old.iter().for_each(|ufrag| self.remove_ufrag(ufrag, key));
            }
            PeerEvent::Connected { profile } => {
                tracing::debug!(member = %endpoint.member, ?profile, "media connected");
            }
            PeerEvent::KeysConfirmed => {
                endpoint.ready = true;
                self.plane(key, |plane, peer, _| plane.set_peer_ready(now.into(), peer, true));
            }
            PeerEvent::ChannelOpened { id, label, .. } => self.channel_opened(key, id, &label),
            PeerEvent::ChannelClosed { id } => {
                if endpoint.chat == Some(id) {
                    endpoint.chat = None;
                }
                self.data_channel_closed(key, id);
            }
            PeerEvent::Message { channel, kind, data } => {
                if endpoint.chat == Some(channel) {
                    self.chat_message(now, key, channel, &data);
                } else {
                    self.data_message(now, key, channel, kind, &data);
                }
            }
            PeerEvent::Oversized { channel, bytes } => self.oversized_message(now, key, channel, bytes),
            PeerEvent::ChannelWritable { .. } => self.data_channel_writable(now, key),
            PeerEvent::Closed(_) if endpoint.is_parked() => self.end_parked_endpoint(now, key),
            PeerEvent::Closed(reason) => {
                let (room, member) = (endpoint.room, endpoint.member.clone());
                let code = match ErrorCode::from_word(reason.code()) {
                    Some(code) => code,
                    None if reason.code().starts_with("sctp/") => ErrorCode::SctpAborted,
                    None => ErrorCode::DtlsFailed,
                };
                let message = format!("the media connection ended: {reason:?}");
                let on_stage = self.rooms.get(room).and_then(|open| open.stage.members.get(&member));
                let connection = on_stage.map_or(0, |on_stage| on_stage.connection);
                self.report(now, room, Report::Ended { member, connection, code, message });
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
        endpoint.ufrags.iter().for_each(|ufrag| self.remove_ufrag(ufrag, key));
        if let Some(open) = self.rooms.get_mut(endpoint.room) {
            open.stage.plane.remove_peer(now.into(), endpoint.plane);
            open.stage.set_peer(endpoint.plane, None);
        }
    }

    fn remove_path(&mut self, path: Path, key: usize) {
        if self.demux.remove_path(&path, key) {
            self.tell_route(Route::Remove(path));
        }
    }

    /// Forgets a ufrag of a peer. Those that came from another shard are known to all.
    pub(super) fn remove_ufrag(&mut self, ufrag: &str, key: usize) {
        self.demux.remove_ufrag(ufrag, key);
        if let Some(shard) = self.demux.made_by(ufrag) {
            self.tell_route(Route::Ufrag(ufrag.into(), shard));
        }
    }

    /// Tells all other shards of a route.
    pub(super) fn tell_route(&mut self, route: Route) {
        if self.shares_port {
            self.note_route(self.shard, &route);
            self.lanes.tell(&route);
        }
    }

    /// Has the kernel told of a route of a shard.
    pub(super) fn note_route(&mut self, shard: u8, route: &Route) {
        if let Some(steering) = &mut self.steering {
            steering.handle_route(shard, route);
        }
    }

    /// What tells the kernel whose datagrams are whose, if this is the shard that does it.
    pub fn steering(&mut self) -> Option<&mut Steering> {
        self.steering.as_mut()
    }
}
