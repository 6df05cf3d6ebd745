//! Peer connections without a room: those of members on their way from one to another.

use std::collections::HashMap;

use roundtable_media::Detached;

/// Peer connections without a room on one shard; the connection of one more member who is moved ends, and it makes
/// another one in the other room.
pub const MAX_PARKED: usize = 256;

/// What of a peer connection is kept outside of its endpoint.
#[derive(Debug)]
pub struct Parked {
    /// Its endpoint.
    pub endpoint: usize,
    /// Its part of the plane.
    pub media: Detached,
}

/// Peer connections by the numbers that they are kept under, at most [`MAX_PARKED`].
pub type Parking = HashMap<u64, Parked>;
