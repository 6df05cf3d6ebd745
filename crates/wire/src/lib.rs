//! RTP, RTCP and codec-descriptor bytes: parsing, writing and sequence arithmetic.
//!
//! One rule: nothing here reads a clock, a socket or a random source, and no parser panics or allocates,
//! whatever the bytes. Parsed values borrow from the datagram; writers fill the caller's buffer.

pub mod codec;
pub mod error;
pub mod ext;
pub mod packet_kind;
mod reader;
pub mod rtcp;
pub mod rtp;
pub mod seq;
pub mod stun;
pub mod time;
pub mod twcc;

pub use codec::{Codec, Kind, starts_keyframe, vp8};
pub use error::ParseError;
pub use ext::{Extension, ExtensionMap, ExtensionWriter, Extensions};
pub use packet_kind::{PacketKind, classify};
pub use rtp::{RtpHeader, RtpPacket};
pub use seq::{Unwrapper16, Unwrapper32, newer16, newer32};
pub use time::NtpTime;
