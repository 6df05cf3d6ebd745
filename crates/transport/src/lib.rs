//! One peer's ICE-lite, DTLS, SRTP and SCTP and its SDP, without a clock or a socket.
//!
//! [`peer::Peer`] is the whole transport of one WebRTC client: it is fed every datagram that the demultiplexer routes
//! to the client, tells what to send through `poll_transmit`, what happened through `poll_event` and when it wants to
//! be woken through `poll_timeout`. Media is opened and sealed in place. Nothing here reads a clock, a socket or the
//! environment. Randomness is drawn only by the engines that take none from outside: DTLS for its keys and nonces, SCTP
//! for its tags, and [`identity::Identity`].
//!
//! The rule that holds everything together: *nothing is believed before it is authenticated*. A STUN request counts
//! after its MESSAGE-INTEGRITY, any other datagram only from a path such a request has proven, a DTLS session after the
//! fingerprint of the session description, and a media packet after its tag.

pub mod candidate;
pub mod certificate;
pub mod channel;
mod dtls;
mod ice_lite;
pub mod identity;
pub mod path;
pub mod peer;
mod queue;
mod reason;
pub mod sdp;
pub mod srtp;
#[cfg(test)]
mod testing;

/// How many random cases a property is tried with: `PROPTEST_CASES` if it is set, else `default`.
#[cfg(test)]
fn test_cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
