//! Signalling: one client's conversation as a pure machine, and the WebSocket it runs over.

mod fault;
mod follow;
mod hello;
pub mod session;
mod ticket;
pub mod ws;
