//! What is to be known of a member after a restart of the server.

use roundtable_protocol::event::{MemberInfo, TrackInfo};
use roundtable_protocol::{Grants, TrackId};
use serde::{Deserialize, Serialize};

/// A member as it is put down, and as it is found again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// Their place in the order of joining.
    pub number: u64,
    /// As others see them.
    pub info: MemberInfo,
    /// What they may do.
    pub grants: Grants,
    /// Most seats they want.
    pub max_seats: u16,
    /// Tracks of others that they do not want.
    pub unwanted: Vec<TrackId>,
    /// What they publish.
    pub tracks: Vec<TrackInfo>,
}
