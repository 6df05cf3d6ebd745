//! The media of a room goes to a shard that has less to do; nobody in the room notices.
//!
//! A stage goes as a whole, if it is the only one of its room: plane and peer connections are handed over as they are, so
//! that every number, key and timer goes on. The shard that has it too busy (`balance`) says so to the home of the room.
//! That one holds what it has to say to the stage, and tells it to leave; the new shard reports that it has arrived. The
//! home itself stays where it is.
//!
//! Datagrams still come to the old shard until routes have told the others, and the kernel; it hands them on.

use std::collections::HashMap;
use std::time::Instant;

use super::balance::{Balance, Candidate};
use super::core::{Core, clocks, random_u64};
use super::lane::Route;
use super::letter::{Body, Letter, Report, StageCommand};
use super::relocated::Relocated;
use super::rooms::{OpenRoom, Role};
use super::stage::Stage;

impl Core {
    /// Compares the shards if it is time, and lets those stages go that are to go. To be called when nothing waits to be
    /// sent or handed over. Returns whether there may be something to send or to hand over.
    pub fn relocate(&mut self, now: Instant) -> bool {
        let is_due = self.may_relocate() && self.balance.is_due(now);
        if is_due {
            self.compare(now);
            self.settle(now);
        }
        let mut has_left = is_due;
        // A stage is the first that its new shard and the home of the room hear of that turn, and nothing of it may wait for
        // the flush: that lies in this shard's memory.
        while self.dirty.is_empty()
            && self.lanes.is_clear()
            && let Some((life, to)) = self.departing.pop()
        {
            has_left |= self.depart(now, life, to);
            self.hand_over();
        }
        has_left
    }

    /// Where each shard has a port of its own, what is sent to one cannot be another's.
    pub(super) fn may_relocate(&self) -> bool {
        self.shares_port && self.loads.len() > 1
    }

    /// Finds rooms that are better elsewhere.
    fn compare(&mut self, now: Instant) {
        let busy: Vec<u32> = self.loads.iter().map(super::load::Load::lasting).collect();
        let own = self.shard;
        let rooms = self.rooms.iter_mut().map(|(room, open)| {
            let packets = open.packets_since();
            Candidate { room, packets, may_go: Balance::has_rested(now, open.arrived) && open.is_alone(own) }
        });
        let rooms = rooms.collect();
        for (room, to) in self.balance.choose(own, &busy, rooms) {
            self.report(now, room, Report::Crowded { to });
        }
    }

    /// The stage of a room on `from` has much beside it, and `to` has little to do.
    pub(super) fn handle_crowded(&mut self, key: usize, from: u8, to: u8) {
        let own = self.shard;
        let Some(open) = self.rooms.get_mut(key) else { return };
        let (life, room) = (open.life, open.id.clone());
        let Some(home) = open.home_mut().filter(|home| home.only_stage(own) == Some(from)) else { return };
        tracing::debug!(%room, from, to, "the media of a room goes to another shard");
        if from == own {
            // It leaves at the end of this turn, if it is still the only one.
            return self.departing.push((life, to));
        }
        home.leaving = Some(from);
        self.lanes.write(from, Letter { life, body: Body::Command(StageCommand::Leave { to }) });
    }

    /// Hands over a stage; says whether it is gone.
    fn depart(&mut self, now: Instant, life: u64, to: u8) -> bool {
        let own = self.shard;
        let Some(&key) = self.lives.get(&life) else { return false };
        self.current = Some(key);
        let Some(open) = self.rooms.get_mut(key) else { return false };
        let (room, home) = (open.id.clone(), open.home_shard(own));
        let mut stage = match &mut open.role {
            Role::Home(home) if home.only_stage(own) != Some(own) => return false,
            Role::Home(home) => {
                home.leaving = Some(own);
                let blank = Stage::new(clocks(now), random_u64(), home.voice_slots, (key, random_u64()));
                std::mem::replace(&mut open.stage, blank)
            }
            Role::Branch { .. } => {
                let OpenRoom { stage, .. } = self.rooms.remove(key);
                self.forget_names(key, life, &room);
                stage
            }
        };
        stage.end_outlets(now.into());
        self.counters.closed.add(&stage.plane.take_counters());
        self.counters.stages_left += 1;
        let keys: Vec<usize> = stage.peers.iter().copied().flatten().collect();
        let endpoints = keys.into_iter().filter_map(|key| Some((key, self.endpoints.try_remove(key)?)));
        let endpoints: Vec<_> = endpoints.collect();
        for (key, endpoint) in &endpoints {
            endpoint.paths.iter().for_each(|path| self.demux.pass_path(*path, *key, to));
            endpoint.ufrags.iter().for_each(|ufrag| self.demux.pass_ufrag(ufrag, *key, to));
        }
        self.lanes.send_stage(to, Relocated { life, room, home, stage, endpoints });
        true
    }

    /// Takes in a stage from another shard.
    pub(super) fn arrive(&mut self, now: Instant, relocated: Relocated) {
        let Relocated { life, room, home, stage, endpoints } = relocated;
        let known = self.lives.get(&life).copied().filter(|_| home == self.shard);
        let key = known.unwrap_or_else(|| {
            let entry = self.rooms.vacant_entry();
            let key = entry.key();
            let blank = Stage::new(clocks(now), random_u64(), 0, (key, random_u64()));
            entry.insert(OpenRoom::new(room.clone(), life, Role::Branch { home }, blank));
            self.remember_names(key, life, room);
            key
        });
        self.current = Some(key);
        let mut keys = HashMap::with_capacity(endpoints.len());
        for (old, mut endpoint) in endpoints {
            (endpoint.room, endpoint.scheduled) = (key, None);
            let (paths, ufrags) = (endpoint.paths.clone(), endpoint.ufrags.clone());
            let endpoint = self.endpoints.insert(endpoint);
            keys.insert(old, endpoint);
            for path in paths {
                self.demux.add_path(path, endpoint);
                self.tell_route(Route::Add(path));
            }
            for ufrag in ufrags {
                self.tell_route(Route::Ufrag(ufrag.as_str().into(), self.shard));
                self.demux.add_ufrag(ufrag, endpoint);
            }
            self.stale.push(endpoint);
        }
        let Some(open) = self.rooms.get_mut(key) else { return };
        open.stage = stage.settled((key, random_u64()), &keys);
        (open.scheduled, open.scheduled_later, open.arrived) = (None, None, Some(now));
        if home == self.shard && known.is_none() {
            // The room ended meanwhile.
            return self.close_stage(now, key);
        }
        self.report(now, key, Report::Arrived);
        self.look_after(now, key);
    }

    /// The stage of a room that lives here has arrived on `shard`.
    pub(super) fn handle_arrived(&mut self, now: Instant, key: usize, shard: u8) {
        let own = self.shard;
        let Some(home) = self.home(key) else { return };
        let Some(from) = home.leaving.take() else { return };
        let held = std::mem::take(&mut home.held_commands);
        home.handle_relocated(own, from, shard);
        held.into_iter().for_each(|command| self.command(now, key, shard, command));
        self.close_branch_if_empty(now, key, shard);
    }

    /// The stage of a room that lives here has failed, so that it will not arrive anywhere.
    pub(super) fn handle_stage_failed(&mut self, key: usize, shard: u8) {
        if let Some(home) = self.home(key).filter(|home| home.leaving == Some(shard)) {
            home.leaving = None;
            home.held_commands.clear();
        }
    }
}
