//! The media plane of one room: what is received, what is forwarded to whom, and every number rewritten on the way.
//!
//! One rule: whoever owns a slot, its SSRC, sequence numbers, timestamps and picture ids go on as if there had only
//! ever been one sender. A [`Plane`] is driven by its caller: packets go in by [`Plane::handle_rtp`] and
//! [`Plane::handle_rtcp`], time by [`Plane::handle_timeout`] when [`Plane::poll_timeout`] says so, and what it sends
//! is handed to an [`Egress`]. It reads no clock, no socket and no random source.
//!
//! All feedback ends here: a subscriber's NACK is answered from the ring of the layer it watches, its PLI becomes one
//! wish among those of all subscribers, and the reports each side gets are made from what the plane has seen itself.

pub mod allocate;
mod audio;
pub mod bwe;
mod carried;
mod config;
mod counters;
mod decision;
mod descriptor;
mod event;
mod feedback;
mod frame;
mod grid;
mod inbound;
mod key;
mod moment;
mod outbound;
pub mod pacer;
mod packet;
mod plane;
pub mod replay;
mod ring;
mod speaking;
pub mod trace;

pub use config::{Limits, MAX_LAYERS, PeerLimits, SlotConfig, TrackCodec, TrackConfig};
pub use counters::{Counters, DropReason};
pub use decision::{Decided, Decision, LayerChoice, WishCause};
pub use event::{CannotDecode, Egress, PlaneEvent, Relayed};
pub use key::{PeerKey, SlotKey, TrackKey};
pub use moment::Moment;
pub use plane::{Detached, LayerStats, Plane, SendStats, SlotStats};
