//! Datagrams in and out: whose they are, and which addresses we can be reached at.

pub mod address;
pub mod demux;
