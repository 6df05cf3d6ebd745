//! Signalling: one client's conversation as a pure machine, and the WebSocket it runs over.

mod hello;
mod rate;
pub mod session;
pub mod ws;
