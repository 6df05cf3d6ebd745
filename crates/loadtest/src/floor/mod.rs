//! The bare loop that a server is compared with: what this machine itself costs at the same pace.
//!
//! It receives, opens each packet once, copies it for every receiver, changes the header, seals and sends: no ICE, no RTCP,
//! no memory of what was sent. It runs as a process of its own, and the clients towards it are the same as towards a server,
//! but that they say nothing but media and that their addresses and keys are known beforehand.

mod arena;
mod forward;
mod line;
mod serve;
mod way;

pub use forward::Sending;
pub(crate) use serve::serve;
pub(crate) use way::Way;
