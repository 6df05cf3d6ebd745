//! One room on a shard: its home with its stage, or a stage alone.

use std::time::Instant;

use roundtable_protocol::RoomId;

use super::home::Home;
use super::stage::Stage;

/// A room, or the part of it that is here.
#[derive(Debug)]
pub struct OpenRoom {
    /// Its name.
    pub id: RoomId,
    /// What tells it from an earlier or later room of the same name.
    pub life: u64,
    /// Who is here, if this is where the room lives.
    pub role: Role,
    /// The media of members whose peer connections are here.
    pub stage: Stage,
    /// Whether it stands in the list of rooms to look after.
    pub touched: bool,
    /// The earliest deadline that an alarm is set for, …
    pub scheduled: Option<Instant>,
    /// … and the earliest of those that can wait for a turn.
    pub scheduled_later: Option<Instant>,
    /// When its stage came from another shard, if it did.
    pub arrived: Option<Instant>,
    /// Packets in and out when they were counted last.
    counted: u64,
}

/// What a shard is to a room.
#[derive(Debug)]
pub enum Role {
    /// The room lives here.
    Home(Box<Home>),
    /// It lives on another shard, and some of its members are connected here.
    Branch {
        /// That shard.
        home: u8,
    },
}

impl OpenRoom {
    /// A room without members.
    #[must_use]
    pub fn new(id: RoomId, life: u64, role: Role, stage: Stage) -> Self {
        Self {
            id,
            life,
            role,
            stage,
            touched: false,
            scheduled: None,
            scheduled_later: None,
            arrived: None,
            counted: 0,
        }
    }

    /// Packets in and out of its stage since this was asked last.
    pub fn packets_since(&mut self) -> u64 {
        let counters = self.stage.plane.counters();
        let packets = counters.packets_in + counters.packets_out;
        // A stage that has come begins to count anew.
        packets.saturating_sub(std::mem::replace(&mut self.counted, packets))
    }

    /// Whether the stage here, on shard `own`, is the only one of the room, as far as is known here, and has members.
    #[must_use]
    pub fn is_alone(&self, own: u8) -> bool {
        let is_alone = match &self.role {
            Role::Home(home) => home.only_stage(own) == Some(own),
            Role::Branch { .. } => self.stage.relayed_tracks() == 0,
        };
        is_alone && !self.stage.members.is_empty()
    }

    /// The shard where it lives; `own` is this one.
    #[must_use]
    pub const fn home_shard(&self, own: u8) -> u8 {
        match self.role {
            Role::Home(_) => own,
            Role::Branch { home } => home,
        }
    }

    /// The room's people, if it lives here.
    #[must_use]
    pub fn home(&self) -> Option<&Home> {
        match &self.role {
            Role::Home(home) => Some(home),
            Role::Branch { .. } => None,
        }
    }

    /// The room's people, if it lives here.
    pub fn home_mut(&mut self) -> Option<&mut Home> {
        match &mut self.role {
            Role::Home(home) => Some(home),
            Role::Branch { .. } => None,
        }
    }
}
