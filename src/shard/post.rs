//! The ways between the home of a room and its stages: function calls on one shard, letters between shards.

use std::time::Instant;

use roundtable_media::Relayed;
use roundtable_protocol::{MemberId, RoomId};

use super::core::{Core, clocks, random_u64};
use super::home::Home;
use super::letter::{Body, Destination, Letter, Report, StageCommand};
use super::rooms::{OpenRoom, Role};
use super::stage::{Stage, Told};

impl Core {
    /// The home of a room, if it lives here.
    pub(super) fn home(&mut self, key: usize) -> Option<&mut Home> {
        self.rooms.get_mut(key)?.home_mut()
    }

    /// Tells one stage of a room that lives here.
    pub(super) fn command(&mut self, now: Instant, key: usize, shard: u8, command: StageCommand) {
        let Some(open) = self.rooms.get_mut(key) else { return };
        let life = open.life;
        if let Some(home) = open.home_mut().filter(|home| home.leaving == Some(shard)) {
            if !home.hold_command(command) {
                self.counters.full_lane += 1;
            }
            return;
        }
        if shard == self.shard {
            return self.obey(now, key, command);
        }
        let is_taken = self.lanes.write(shard, Letter { life, body: Body::Command(command) });
        self.counters.data_dropped += u64::from(!is_taken);
    }

    /// Tells the stage of a member, if it has one.
    pub(super) fn command_member(
        &mut self,
        now: Instant,
        key: usize,
        member: &MemberId,
        command: impl FnOnce(MemberId) -> StageCommand,
    ) {
        let presence = self.home(key).and_then(|home| home.members.get(member));
        if let Some(shard) = presence.and_then(|presence| presence.shard) {
            self.command(now, key, shard, command(member.clone()));
        }
    }

    /// Tells all stages of a room that lives here.
    pub(super) fn command_all(&mut self, now: Instant, key: usize, command: &StageCommand) {
        for at in 0.. {
            let Some(&branch) = self.home(key).and_then(|home| home.branches.get(at)) else { break };
            self.command(now, key, branch, command.clone());
        }
        if self.home(key).is_some_and(|home| home.is_on_stage) {
            self.command(now, key, self.shard, command.clone());
        }
    }

    /// Tells all stages but that of one shard.
    pub(super) fn command_others(&mut self, now: Instant, key: usize, but: u8, command: &StageCommand) {
        let Some(home) = self.home(key) else { return };
        let (branches, is_on_stage) = (home.branches.clone(), home.is_on_stage);
        let own = is_on_stage.then_some(self.shard);
        for shard in branches.into_iter().chain(own).filter(|&shard| shard != but) {
            self.command(now, key, shard, command.clone());
        }
    }

    /// Makes a stage of a room that lives here on a shard, unless there is one.
    pub(super) fn open_stage_on(&mut self, now: Instant, key: usize, shard: u8) {
        let own = self.shard;
        let Some(open) = self.rooms.get_mut(key) else { return };
        let room = open.id.clone();
        let Some(home) = open.home_mut() else { return };
        if home.branches.contains(&shard) || shard == own && home.is_on_stage {
            return;
        }
        let mut commands = Vec::new();
        if shard == own {
            home.is_on_stage = true;
        } else {
            tracing::info!(%room, shard, members = home.members.len(), "a room spreads to another shard");
            home.branches.push(shard);
            commands.push(StageCommand::Open { room, voice_slots: home.voice_slots });
        }
        for info in home.room.tracks() {
            let Some(publication) = home.published.get(&info.id) else { continue };
            commands.push(StageCommand::Relay(Box::new(publication.clone())));
            let (class, spoke) = home.room.rank_of(info);
            commands.push(StageCommand::Rank { track: info.id.clone(), class, spoke });
            if info.muted {
                commands.push(StageCommand::Pause { track: info.id.clone(), paused: true });
            }
        }
        commands.into_iter().for_each(|command| self.command(now, key, shard, command));
    }

    /// Ends the stage on a shard to which no member is connected any more.
    pub(super) fn close_branch_if_empty(&mut self, now: Instant, key: usize, shard: u8) {
        let own = self.shard;
        let Some(home) = self.home(key) else { return };
        if shard != own && home.connected_to(shard) == 0 && home.leaving != Some(shard) {
            home.branches.retain(|branch| *branch != shard);
            home.handle_stage_closed(clocks(now), own, shard);
            let is_last = home.branches.is_empty();
            self.command(now, key, shard, StageCommand::Close);
            if is_last {
                self.open_stage_on(now, key, own);
            }
        }
    }

    /// Tells the home of a room.
    pub(super) fn report(&mut self, now: Instant, key: usize, report: Report) {
        let Some(open) = self.rooms.get(key) else { return };
        match open.role {
            Role::Home(_) => self.handle_report(now, key, self.shard, report),
            Role::Branch { home } => {
                let is_taken = self.lanes.write(home, Letter { life: open.life, body: Body::Report(report) });
                self.counters.data_dropped += u64::from(!is_taken);
            }
        }
    }

    /// Passes on what a stage wants told.
    pub(super) fn pass_on(&mut self, now: Instant, key: usize, told: Option<Told>) {
        match told {
            Some(Told::Home(report)) => self.report(now, key, report),
            Some(Told::Origin(shard, wish)) => {
                if let Some(life) = self.rooms.get(key).map(|open| open.life) {
                    self.lanes.write(shard, Letter { life, body: Body::Wish(wish) });
                }
            }
            None => {}
        }
    }

    /// Reads what the part of a room on another shard has written.
    pub fn handle_letter(&mut self, now: Instant, from: u8, letter: Letter) {
        let Letter { life, body } = letter;
        if let Body::Command(StageCommand::Open { room, voice_slots }) = body {
            return self.open_stage(now, from, life, room, voice_slots);
        }
        let Some(&key) = self.lives.get(&life) else {
            // One for a room that has ended meanwhile says nothing to anybody, but its stage is to end, too.
            if matches!(body, Body::Report(Report::Arrived)) {
                self.lanes.write(from, Letter { life, body: Body::Command(StageCommand::Close) });
            }
            return;
        };
        self.current = Some(key);
        match body {
            Body::Command(StageCommand::Close) => return self.close_stage(now, key),
            Body::Command(command) => self.obey(now, key, command),
            Body::Report(report) => self.handle_report(now, key, from, report),
            Body::Wish(wish) => {
                if let Some(open) = self.rooms.get_mut(key) {
                    open.stage.handle_wish(now.into(), from, wish);
                }
            }
        }
        self.look_after(now, key);
    }

    /// Takes something of a track whose origin is another shard.
    pub fn handle_relayed(&mut self, now: Instant, to: Destination, layer: u8, item: Relayed<'_>) {
        if self.rooms.get(to.room).is_some_and(|open| open.stage.number() == to.stage) {
            self.counters.relayed_in += 1;
            self.room_plane(to.room, |plane, out| plane.handle_relayed(now.into(), to.track, layer, item, out));
        }
    }

    fn open_stage(&mut self, now: Instant, home: u8, life: u64, room: RoomId, voice_slots: u16) {
        let entry = self.rooms.vacant_entry();
        let key = entry.key();
        let stage = Stage::new(clocks(now), random_u64(), voice_slots, (key, random_u64()));
        entry.insert(OpenRoom::new(room.clone(), life, Role::Branch { home }, stage));
        self.remember_names(key, life, room);
    }

    /// Has a stage of a room that lives elsewhere found.
    pub(super) fn remember_names(&mut self, key: usize, life: u64, room: RoomId) {
        self.lives.insert(life, key);
        // The name may stand for a later room that lives here: that one is asked for by name.
        self.names.entry(room).or_insert(key);
    }

    /// Ends the part of a room that lives elsewhere.
    pub(super) fn close_stage(&mut self, now: Instant, key: usize) {
        let Some(open) = self.rooms.get_mut(key).filter(|open| open.home().is_none()) else { return };
        let farewells = open.stage.farewells();
        let endpoints: Vec<usize> = open.stage.members.values().map(|on_stage| on_stage.endpoint).collect();
        farewells.into_iter().for_each(|told| self.pass_on(now, key, Some(told)));
        endpoints.into_iter().for_each(|endpoint| self.remove_endpoint(now, endpoint));
        self.forget_room(key);
    }
}
