//! What is written in a room: the last messages, and how fast one member may write.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use roundtable_protocol::event::{ChatMessage, MemberInfo};
use roundtable_protocol::limit::{CHAT_HISTORY, CHAT_NONCES, CHAT_PER_SECOND, MAX_CHAT_BYTES};
use roundtable_protocol::{ErrorCode, MessageId};

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

/// What one member wrote last, at most [`CHAT_NONCES`] messages, by the numbers it gave them; the oldest gives way. A client
/// that lost its connection sends again what was not acknowledged, and that is not to be taken twice.
#[derive(Debug, Default)]
pub struct Written(VecDeque<Receipt>);

/// All of a message but its text.
#[derive(Debug)]
struct Receipt {
    nonce: u32,
    id: MessageId,
    seq: u64,
    at: u64,
    text: u64,
}

impl Written {
    /// The message, if the member wrote the same text with the same number before.
    #[must_use]
    pub fn find(&self, info: &MemberInfo, nonce: u32, text: &str) -> Option<ChatMessage> {
        let hash = hash(text);
        let known = self.0.iter().rev().find(|known| known.nonce == nonce && known.text == hash)?;
        Some(ChatMessage {
            id: known.id.clone(),
            seq: known.seq,
            at: known.at,
            member: info.id.clone(),
            name: info.name.clone(),
            text: text.to_owned(),
            nonce: Some(nonce),
        })
    }

    /// The member wrote a message.
    pub fn note(&mut self, message: &ChatMessage) {
        let Some(nonce) = message.nonce else { return };
        if self.0.len() == CHAT_NONCES {
            self.0.pop_front();
        }
        let ChatMessage { id, seq, at, text, .. } = message;
        self.0.push_back(Receipt { nonce, id: id.clone(), seq: *seq, at: *at, text: hash(text) });
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
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

    /// The messages up to event `until` in pieces of at most `piece_bytes` of text (one message at least), oldest first.
    #[must_use]
    pub fn pieces(&self, until: u64, piece_bytes: usize) -> Vec<Vec<ChatMessage>> {
        let mut pieces: Vec<Vec<ChatMessage>> = Vec::new();
        let mut filled = usize::MAX;
        for message in self.messages.iter().take_while(|message| message.seq <= until) {
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
    use roundtable_protocol::MemberId;

    fn message(seq: u64, bytes: usize) -> ChatMessage {
        ChatMessage {
            id: MessageId::new(format!("c{seq}")).unwrap(),
            seq,
            at: 0,
            member: MemberId::new("m").unwrap(),
            name: "M".into(),
            text: "x".repeat(bytes),
            nonce: None,
        }
    }

    #[test]
    fn a_late_joiner_gets_the_last_two_hundred_in_order_and_in_pieces() {
        let mut history = ChatHistory::default();
        (1..=250).for_each(|seq| history.push(message(seq, 1000)));
        let pieces = history.pieces(250, 10_000);
        assert_eq!(pieces.len(), 20);
        let seqs: Vec<u64> = pieces.iter().flatten().map(|m| m.seq).collect();
        assert_eq!(seqs, (51..=250).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_larger_than_a_piece_travels_alone() {
        let mut history = ChatHistory::default();
        [10, 5000, 10].iter().enumerate().for_each(|(i, n)| history.push(message(i as u64, *n)));
        assert_eq!(history.pieces(3, 100).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
