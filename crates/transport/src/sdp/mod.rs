//! Reads the offers of browsers and writes our answers: unified plan, one BUNDLE group, always the answerer.
//!
//! An offer passes three gates. A scan goes over the text once and refuses what is too large or could hide a line in a
//! line; `rtc-sdp` splits it into lines and sections; [`Offer::parse`] then gives them their meaning by RFC 8829 (JSEP),
//! RFC 9143 (BUNDLE), RFC 8853 (simulcast), RFC 4588 (RTX), RFC 2198 (RED), RFC 8285 (header extensions) and RFC 8841
//! (data channels). What is not known is passed over; what is known and wrong is refused with an [`SdpError`] that says
//! where.
//!
//! The answer is ours alone: of the offer nothing is repeated but tokens and parameters of plain ASCII, so no line of a
//! client can smuggle another into what is sent back.

mod acceptance;
mod answer;
mod attribute;
mod codec;
mod direction;
mod error;
mod extension;
mod offer;
mod scan;
mod simulcast;
mod source;
#[cfg(test)]
mod tests;

pub use acceptance::{receivable, sendable};
pub use answer::{Answer, AnswerMedia, AnswerSession, InactiveLine, MAX_MESSAGE_SIZE, ReceiveLine, SendLine};
pub use codec::OfferCodec;
pub use direction::Direction;
pub use error::{Place, SdpError};
pub use offer::{MAX_MID_BYTES, MediaKind, Offer, OfferMedia, SctpParameters};
pub use scan::{
    MAX_CANDIDATES, MAX_CODECS, MAX_EXTENSIONS, MAX_FINGERPRINTS, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA, MAX_RIDS,
    MAX_SDP_BYTES,
};
pub use simulcast::MAX_RID_BYTES;
pub use source::MAX_SSRCS;
