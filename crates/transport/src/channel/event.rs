//! What the user of the channels sets, is told and is refused.

use std::time::Duration;

use bytes::Bytes;

use super::MAX_MESSAGE_BYTES;

/// Bounds that the caller may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channels open at once, at most 64; further ones are closed as they open.
    pub channels: usize,
    /// Bytes waiting to be sent per channel, at least twice [`MAX_MESSAGE_BYTES`].
    pub send_buffer: usize,
    /// How long a reliable channel may have something to send and none of it acknowledged.
    pub stalled_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels: 16, send_buffer: 256 * 1024, stalled_after: Duration::from_secs(30) }
    }
}

/// Text or binary, as the browser tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// A string; the peer promises UTF-8, which nobody has checked.
    Text,
    /// Bytes.
    Binary,
}

/// What happened to the channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEvent {
    /// The peer opened a channel, and was told that it is open.
    Opened {
        /// The stream of the channel.
        id: u16,
        /// Its name, at most [`MAX_TEXT_BYTES`](super::dcep::MAX_TEXT_BYTES) long.
        label: String,
        /// Whether messages arrive in order, in both directions.
        ordered: bool,
        /// Whether messages are repeated until they arrive, in both directions.
        reliable: bool,
    },
    /// A whole message arrived.
    Message {
        /// The stream of the channel.
        id: u16,
        /// Text or binary.
        kind: MessageKind,
        /// The message, possibly empty.
        data: Bytes,
    },
    /// A whole message arrived that is longer than [`MAX_MESSAGE_BYTES`]; it was thrown away.
    Oversized {
        /// The stream of the channel.
        id: u16,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A channel that answered [`SendError::Full`] has sent half of what it held.
    Writable {
        /// The stream of the channel.
        id: u16,
    },
    /// A channel is gone, at the wish of either side. Its id may be opened again.
    Closed {
        /// The stream of the channel.
        id: u16,
    },
    /// The association ended, and all channels with it; the last event.
    Ended(EndReason),
}

/// Why the association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The peer ended it.
    Peer,
    /// The peer sent what the protocol does not allow, or a message that is too long even to be thrown away.
    Protocol,
    /// The peer filled the receive window with messages it does not finish.
    Unfinished,
    /// A reliable channel made no progress for [`Limits::stalled_after`].
    Stalled,
    /// The peer kept sending far beyond its budget.
    Flood,
    /// The peer sent a packet of more chunks than any stack packs.
    Chunks,
    /// The peer used a stream beyond those negotiated.
    Stream,
}

impl EndReason {
    /// The stable word that programs switch on.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Peer => "sctp/peer",
            Self::Protocol => "sctp/protocol",
            Self::Unfinished => "sctp/unfinished",
            Self::Stalled => "sctp/stalled",
            Self::Flood => "sctp/flood",
            Self::Chunks => "sctp/chunks",
            Self::Stream => "sctp/stream",
        }
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel holds as much as it may; [`ChannelEvent::Writable`] tells when to try again. A message of a channel
    /// that is not reliable is better dropped.
    #[error("the channel's send buffer is full")]
    Full,
    /// There is no such channel, or it is closing.
    #[error("there is no such channel")]
    Unknown,
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error("the message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_words_of_their_own() {
        let all = [
            EndReason::Peer,
            EndReason::Protocol,
            EndReason::Unfinished,
            EndReason::Stalled,
            EndReason::Flood,
            EndReason::Chunks,
            EndReason::Stream,
        ];
        let words: std::collections::HashSet<_> = all.iter().map(|reason| reason.code()).collect();
        assert_eq!(words.len(), all.len());
        assert_eq!(EndReason::Flood.to_string(), "sctp/flood");
    }
}
