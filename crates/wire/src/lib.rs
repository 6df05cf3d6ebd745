//! RTP, RTCP and codec-descriptor bytes: parsing, writing and sequence arithmetic.
//!
//! One rule: nothing here reads a clock, a socket or a random source, and no parser panics or allocates,
//! whatever the bytes. Parsed values borrow from the datagram; writers fill the caller's buffer. One value outlives its
//! datagram and allocates what it keeps, within bounds: [`dependency::Structure`].

pub mod codec;
pub mod dependency;
pub mod error;
pub mod ext;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod layers_allocation;
pub mod packet_kind;
mod reader;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod rtx;
pub mod seq;
pub mod stun;
pub mod time;
pub mod twcc;

pub use codec::{Codec, Kind, starts_keyframe, vp8, vp9};
pub use error::ParseError;
pub use ext::{Extension, ExtensionMap, ExtensionWriter, Extensions};
pub use layers_allocation::LayersAllocation;
pub use packet_kind::{PacketKind, classify};
pub use rtp::{RtpHeader, RtpPacket};
pub use seq::{Unwrapper16, Unwrapper32, newer16, newer32};
pub use time::NtpTime;
