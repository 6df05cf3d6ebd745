//! Signalling: one client's conversation as a pure machine, and the line it runs over: a WebSocket, or requests.

mod beside;
mod fault;
mod follow;
mod line;
mod packing;
pub mod relay;
pub mod session;
mod socket;
mod ticket;
pub mod ws;
