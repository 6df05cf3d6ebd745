//! Load on a Roundtable server from light WebRTC clients, and what it costs: `roundtable bench`.
//!
//! A client here is a browser as far as the wire can tell: it signals over the WebSocket, checks its path with STUN as a
//! controlling ICE agent that nominates at once, shakes hands over DTLS, and sends and receives SRTP (AEAD_AES_128_GCM),
//! with transport-wide feedback, receiver and sender reports, NACK and key-frame requests. What it lacks is a codec: its
//! packets are pre-made, of the sizes that Chromium makes, and carry at their end a number and the time they left. A
//! receiver opens every packet of media, so that what is counted is authentic.
//!
//! One rule keeps it light enough to measure a fast server: nothing is allocated for a packet, and what a wake-up of a
//! thread finds is taken with as few system calls as there are clients that have something.
//!
//! It shares no code with the server but `wire` (bytes), `protocol` (messages) and `udp` (the batched socket calls, which
//! need `unsafe` and therefore have one home in the workspace; they forward nothing). ICE, DTLS, SRTP, SDP and everything
//! that decides is its own, so that a fault of the server's does not cancel out.
//!
//! From the bottom: `stamp`, `tally`, `clock`, `measure`; `stun`, `dtls`, `srtp`, `sdp`, `signal`; `publish` and `receive`;
//! `client`, which has all of these; `connect`, which makes one; `worker`, a thread of many; `fleet`, all of them;
//! `scenario`, what they do. Beside them `floor`, the bare loop that a server is compared with,
//! and `events`: what does not concern media, over WebSockets, event streams and data channels.

mod address;
mod calls;
mod client;
mod clock;
mod compare;
mod connect;
mod contestant;
mod curve;
mod dtls;
mod events;
mod figures;
mod fleet;
mod floor;
mod measure;
pub mod options;
mod outbox;
mod ports;
mod process;
mod publish;
mod receive;
mod report;
mod scenario;
mod sdp;
mod server;
mod signal;
mod srtp;
mod stamp;
mod stun;
mod table;
mod tally;
mod verdict;
mod worker;

pub use events::{EventFigures, Reading, StalledFigures, Transport};
pub use figures::{Figures, Growth, Load, Memory, Spread};
pub use options::Options;
pub use report::{BenchError, Outcome, run};
