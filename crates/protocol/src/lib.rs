//! The JSON of Roundtable's signalling: ids, messages, events, grants and error codes.
//!
//! This crate is the only place that knows the JSON shape. A client and the server exchange
//! [`ClientMessage`] and [`ServerMessage`] over a WebSocket (and chat over a data channel);
//! every room keeps a numbered journal of [`Event`]s that the WebSocket, SSE and the HTTP API
//! all read. [`RoomState`] is the fold of those events, the same for server and clients.
//!
//! `docs/PROTOCOL.md` tells the conversation; `roundtable schema` prints the JSON Schema made
//! from these types; the TypeScript of `web/sdk` is generated from them and a test keeps it fresh.

pub mod call;
pub mod chat;
pub mod data;
pub mod error;
pub mod event;
pub mod feed;
pub mod grant;
pub mod id;
pub mod limit;
pub mod member;
pub mod message;
pub mod moderation;
pub mod name;
pub mod role;
pub mod roster;
pub mod schema;
pub mod settings;
pub mod source;
pub mod state;
pub mod stats;

pub use error::ErrorCode;
pub use event::{Event, EventBody, LeaveReason};
pub use grant::Grants;
pub use id::{InvalidId, MemberId, MessageId, RoomId, TrackId};
pub use message::{ClientMessage, ServerMessage};
pub use role::Role;
pub use state::RoomState;

/// The version of the protocol that this crate speaks. A hello with another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// The label of the data channel that carries chat.
pub const CHAT_CHANNEL_LABEL: &str = "roundtable.chat";

/// The label of the data channel on which messages arrive in order, and all of them.
pub const DATA_CHANNEL_LABEL: &str = "roundtable.data";

/// The label of the data channel on which messages are sent once and may be lost.
pub const LOSSY_CHANNEL_LABEL: &str = "roundtable.lossy";
