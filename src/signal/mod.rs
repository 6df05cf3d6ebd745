//! Signalling: one client's conversation as a pure machine, and the WebSocket it runs over.

mod beside;
mod fault;
mod follow;
mod hello;
pub mod session;
pub mod ws;
