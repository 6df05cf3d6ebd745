//! Roundtable, a WebRTC selective forwarding unit, as a library.
//!
//! A program that wants conferences of its own makes a [`Server`] from a [`Config`] and lets it run:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use roundtable::{Config, Server};
//!
//! let server = Server::bind(Config::default()).await?;
//! println!("http://{}/", server.http_addr());
//! server.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Or it starts a [`Conference`], which has no listener, and mounts its [`Router`] under a prefix of
//! an axum application, with an [`Authorize`] hook that decides who may enter: `examples/embed.rs`.
//! Either way [`Events`] tell the program what happens in a room.
//!
//! Everything here is re-exported for embedders; nothing inside the crate imports through this page.

// The rooms of the server are private modules. `pub` inside of one says what the other rooms may
// use, and still says it on the day the room becomes a crate.
#![allow(unreachable_pub)]

pub mod config;
pub mod replay;
pub mod server;
pub mod store;
pub mod telemetry;

mod auth;
mod http;
mod hub;
mod journal;
mod login;
mod net;
mod rate;
mod room;
mod shard;
mod signal;
mod trust;
mod turn;
mod webhook;

pub use auth::Invite;
pub use axum::Router;
pub use config::Config;
pub use hub::bans::{BanRecord, Subject};
pub use hub::settings::SettingsRecord;
pub use hub::{Authorised, Authorising, Authorize, Denied, Kept};
pub use roundtable_protocol as protocol;
pub use server::{Builder, Conference, Events, Handle, Server, StartError, Update};
