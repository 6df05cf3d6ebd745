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
    /// The earliest deadline that stands in the wheel for it.
    pub scheduled: Option<Instant>,
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
        Self { id, life, role, stage, touched: false, scheduled: None }
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
