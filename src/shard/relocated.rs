//! A stage on its way from one shard to another.

use roundtable_protocol::RoomId;

use super::endpoint::Endpoint;
use super::stage::Stage;

/// The media of a room as it was on one shard, to go on as it is on another.
#[derive(Debug)]
pub struct Relocated {
    /// Which room: what tells it from earlier and later ones of its name.
    pub life: u64,
    /// Its name.
    pub room: RoomId,
    /// The shard where it lives.
    pub home: u8,
    /// Its plane, and the names in it.
    pub stage: Stage,
    /// Its peer connections, by the keys that the stage has for them.
    pub endpoints: Vec<(usize, Box<Endpoint>)>,
}
