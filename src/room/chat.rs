//! What is written in a room: the last messages, and how fast one member may write.

use std::collections::VecDeque;

use roundtable_protocol::ErrorCode;
use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::limit::{CHAT_HISTORY, CHAT_PER_SECOND, MAX_CHAT_BYTES};

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// Nothing was written.
    #[error("the message is empty")]
    Empty,
    /// More than [`MAX_CHAT_BYTES`].
    #[error("the message is longer than {MAX_CHAT_BYTES} bytes")]
    TooLong,
    /// Faster than [`CHAT_PER_SECOND`] after a burst.
    #[error("too many messages: at most {CHAT_PER_SECOND} a second; this one was dropped")]
    Rate,
    /// The member has no grant to write.
    #[error("this member may not write")]
    Forbidden,
}

impl ChatError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Empty => ErrorCode::ChatEmpty,
            Self::TooLong => ErrorCode::ChatTooLong,
            Self::Rate => ErrorCode::ChatRate,
            Self::Forbidden => ErrorCode::ChatForbidden,
        }
    }
}

/// The last [`CHAT_HISTORY`] messages; the oldest gives way.
#[derive(Debug, Default)]
pub struct ChatHistory {
    messages: VecDeque<ChatMessage>,
}

impl ChatHistory {
    /// Keeps a message.
    pub fn push(&mut self, message: ChatMessage) {
        if self.messages.len() == CHAT_HISTORY {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// The messages in pieces of at most `piece_bytes` of text (one message at least), oldest first.
    #[must_use]
    pub fn pieces(&self, piece_bytes: usize) -> Vec<Vec<ChatMessage>> {
        let mut pieces: Vec<Vec<ChatMessage>> = Vec::new();
        let mut filled = usize::MAX;
        for message in &self.messages {
            match pieces.last_mut() {
                Some(piece) if filled.saturating_add(message.text.len()) <= piece_bytes => {
                    filled += message.text.len();
                    piece.push(message.clone());
                }
                Some(_) | None => {
                    filled = message.text.len();
                    pieces.push(vec![message.clone()]);
                }
            }
        }
        pieces
    }
}

/// Checks a text before it is taken.
///
/// # Errors
/// [`ChatError::Empty`] and [`ChatError::TooLong`].
pub fn check(text: &str) -> Result<(), ChatError> {
    if text.trim().is_empty() {
        Err(ChatError::Empty)
    } else if text.len() > MAX_CHAT_BYTES {
        Err(ChatError::TooLong)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundtable_protocol::{MemberId, MessageId};

    fn message(seq: u64, bytes: usize) -> ChatMessage {
        ChatMessage {
            id: MessageId::new(format!("c{seq}")).unwrap(),
            seq,
            at: 0,
            member: MemberId::new("m").unwrap(),
            name: "M".into(),
            text: "x".repeat(bytes),
        }
    }

    #[test]
    fn a_late_joiner_gets_the_last_two_hundred_in_order_and_in_pieces() {
        let mut history = ChatHistory::default();
        (1..=250).for_each(|seq| history.push(message(seq, 1000)));
        let pieces = history.pieces(10_000);
        assert_eq!(pieces.len(), 20);
        let seqs: Vec<u64> = pieces.iter().flatten().map(|m| m.seq).collect();
        assert_eq!(seqs, (51..=250).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_larger_than_a_piece_travels_alone() {
        let mut history = ChatHistory::default();
        [10, 5000, 10].iter().enumerate().for_each(|(i, n)| history.push(message(i as u64, *n)));
        assert_eq!(history.pieces(100).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
