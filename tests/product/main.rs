//! The server as its users meet it: clients, sockets and processes that know nothing of its inside.
//!
//! One program, as most of the time that these tests take would else go into linking the server thirty times.

mod audience;
mod auth;
mod bad_input;
mod call;
mod calling;
mod chat;
mod churn;
mod cli;
mod common;
mod data;
mod drain;
mod exchange;
mod independent;
mod limits;
mod login;
mod model;
mod moderation;
mod moving;
mod oidc;
mod packing;
mod quality;
mod readers;
mod rebalance;
mod recording;
mod relay;
mod restart;
mod resume;
mod server;
mod shards;
mod showing;
mod store_crash;
mod thousand;
mod voices;
