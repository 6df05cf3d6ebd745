//! What can be put under load.

use std::path::PathBuf;

use crate::floor::Sending;
use crate::options::{Beside, Common};

/// A server, or what servers are compared with.
#[derive(Debug, Clone)]
pub(crate) enum Contestant {
    /// A server of our own, started for the run.
    Own,
    /// A server that runs: its address, and its process if that is known.
    Running(String, Option<u32>),
    /// The bare loop.
    Floor(Sending),
    /// Another server that speaks our signalling, started for the run.
    Peer(PathBuf),
}

impl Contestant {
    /// The one that is asked for: the server that runs, or else one of our own.
    pub(crate) fn asked(common: &Common) -> Self {
        common.url.as_ref().map_or(Self::Own, |url| Self::Running(url.clone(), common.pid))
    }

    /// The ones beside it.
    pub(crate) fn beside(beside: &Beside) -> Vec<Self> {
        let floors = beside.compare.iter().flatten().copied().map(Self::Floor);
        floors.chain(beside.peer.iter().cloned().map(Self::Peer)).collect()
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Own | Self::Running(..) => "server".to_owned(),
            Self::Floor(sending) => format!("floor, {}", sending.name()),
            Self::Peer(executable) => {
                let name = executable.file_name().unwrap_or(executable.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }
}
