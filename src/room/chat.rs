//! What is written in a room: the last messages, and how fast one member may write.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use roundtable_protocol::chat::{ChatEntry, ChatPage, ChatPlace, PrivateMessage, ReactionsFull};
use roundtable_protocol::event::{ChatMessage, MemberInfo};
use roundtable_protocol::limit::{
    CHAT_HISTORY, CHAT_MEMORY, CHAT_MEMORY_BYTES, CHAT_NONCES, CHAT_PER_SECOND, MAX_CHAT_BYTES, MAX_PRIVATE_TO,
    MAX_REACTION_BYTES,
};
use roundtable_protocol::{ErrorCode, Grants, MemberId, MessageId};

/// Messages of before the memory that a room knows of because somebody changed them; the oldest give way.
const RECALLED: usize = 100;

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
    /// No such message, or it was deleted.
    #[error("there is no such message")]
    Unknown,
    /// The message is somebody else's.
    #[error("the message is somebody else's")]
    NotOwn,
    /// The reaction is none.
    #[error("a reaction has 1 to {MAX_REACTION_BYTES} bytes and no control characters")]
    BadReaction,
    /// The message has enough of them.
    #[error(transparent)]
    ReactionsFull(#[from] ReactionsFull),
    /// As much is kept as may be.
    #[error("as much chat is kept as may be; this was not taken until some of it goes")]
    Full,
    /// A private message to nobody, or to too many.
    #[error("a private message goes to 1 to {MAX_PRIVATE_TO} people")]
    BadRecipients,
    /// A private message to somebody who is not here.
    #[error("one of those is not in this room")]
    NoMember,
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
            Self::Unknown => ErrorCode::ChatUnknown,
            Self::NotOwn => ErrorCode::ChatNotOwn,
            Self::BadReaction => ErrorCode::ChatBadReaction,
            Self::ReactionsFull(_) => ErrorCode::ChatReactionsFull,
            Self::Full => ErrorCode::ChatFull,
            Self::BadRecipients => ErrorCode::ChatBadRecipients,
            Self::NoMember => ErrorCode::MemberUnknown,
        }
    }
}

/// What is to become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It gets another text.
    Edit(String),
    /// It goes.
    Delete,
    /// It gets a reaction, or loses one.
    React {
        /// Which.
        reaction: String,
        /// Whether it is to be there.
        on: bool,
    },
}

/// Whether somebody may change what others wrote.
#[must_use]
pub fn may_moderate(grants: &Grants) -> bool {
    grants.admin
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
    /// Its number; `None` for a private one.
    seq: Option<u64>,
    at: u64,
    /// Text and recipients; `None` when they are not what they were.
    words: Option<u64>,
}

impl Written {
    /// The message, if the member wrote the same text with the same number before.
    #[must_use]
    pub fn find(&self, info: &MemberInfo, nonce: u32, text: &str) -> Option<ChatMessage> {
        let known = self.known(nonce, hash(text, &[]))?;
        Some(ChatMessage {
            id: known.id.clone(),
            seq: known.seq?,
            at: known.at,
            member: info.id.clone(),
            name: info.name.clone(),
            text: text.to_owned(),
            nonce: Some(nonce),
        })
    }

    /// The private message, if the member wrote the same text to the same people with the same number before.
    #[must_use]
    pub fn find_private(&self, info: &MemberInfo, nonce: u32, text: &str, to: &[MemberId]) -> Option<PrivateMessage> {
        let known = self.known(nonce, hash(text, to))?;
        Some(PrivateMessage {
            id: known.id.clone(),
            at: known.at,
            member: info.id.clone(),
            name: info.name.clone(),
            to: to.to_vec(),
            text: text.to_owned(),
        })
    }

    /// The member wrote a message.
    pub fn note(&mut self, message: &ChatMessage) {
        let Some(nonce) = message.nonce else { return };
        let ChatMessage { id, seq, at, text, .. } = message;
        self.push(Receipt { nonce, id: id.clone(), seq: Some(*seq), at: *at, words: Some(hash(text, &[])) });
    }

    /// The member wrote a message that was edited since: what it first said nobody knows.
    pub fn note_edited(&mut self, message: &ChatMessage) {
        let Some(nonce) = message.nonce else { return };
        self.push(Receipt { nonce, id: message.id.clone(), seq: Some(message.seq), at: message.at, words: None });
    }

    /// The member wrote a private message.
    pub fn note_private(&mut self, nonce: u32, message: &PrivateMessage) {
        let words = Some(hash(&message.text, &message.to));
        self.push(Receipt { nonce, id: message.id.clone(), seq: None, at: message.at, words });
    }

    fn known(&self, nonce: u32, words: u64) -> Option<&Receipt> {
        let is_it = |known: &&Receipt| known.nonce == nonce && known.words.is_none_or(|known| known == words);
        self.0.iter().rev().find(is_it)
    }

    fn push(&mut self, receipt: Receipt) {
        if self.0.len() == CHAT_NONCES {
            self.0.pop_front();
        }
        self.0.push_back(receipt);
    }
}

fn hash(text: &str, to: &[MemberId]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (text, to).hash(&mut hasher);
    hasher.finish()
}

/// The last messages of a room with what became of them: at most [`CHAT_MEMORY`], and [`CHAT_MEMORY_BYTES`] of them; the
/// oldest give way.
#[derive(Debug, Default)]
pub struct ChatLog {
    epoch: u64,
    messages: VecDeque<ChatEntry>,
    bytes: usize,
    /// Older ones without their words, which somebody changed lately.
    recalled: VecDeque<ChatEntry>,
}

impl ChatLog {
    /// That of one life of a room.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// Remembers a message that was just written.
    pub fn push(&mut self, message: ChatMessage) {
        self.push_entry(ChatEntry::new(self.epoch, message));
    }

    /// Remembers a message.
    pub fn push_entry(&mut self, entry: ChatEntry) {
        self.bytes += entry.bytes();
        self.messages.push_back(entry);
        self.trim();
    }

    /// Learns of an older message what the disk has of it, if it is none of those remembered.
    pub fn recall(&mut self, mut entry: ChatEntry) {
        let is_it = |known: &ChatEntry| known.message.id == entry.message.id;
        if self.messages.iter().rev().chain(&self.recalled).any(is_it) {
            return;
        }
        entry.message.text.clear();
        if self.recalled.len() == RECALLED {
            self.recalled.pop_front();
        }
        self.recalled.push_back(entry);
    }

    /// A message that was not deleted.
    #[must_use]
    pub fn find(&self, id: &MessageId) -> Option<&ChatEntry> {
        self.messages.iter().rev().chain(&self.recalled).find(|entry| entry.message.id == *id && !entry.deleted)
    }

    /// Changes a message. What `change` returns tells whether it did.
    ///
    /// # Errors
    /// [`ChatError::Unknown`], and those of `change`.
    pub fn change<T>(
        &mut self,
        id: &MessageId,
        change: impl FnOnce(&mut ChatEntry) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let Self { messages, recalled, bytes, .. } = self;
        let is_it = |entry: &&mut ChatEntry| entry.message.id == *id && !entry.deleted;
        if let Some(entry) = messages.iter_mut().rev().find(is_it) {
            let before = entry.bytes();
            let outcome = change(entry);
            *bytes = (*bytes + entry.bytes()).saturating_sub(before);
            self.trim();
            return outcome;
        }
        let entry = recalled.iter_mut().find(is_it).ok_or(ChatError::Unknown)?;
        let outcome = change(entry);
        entry.message.text.clear();
        outcome
    }

    /// The last [`CHAT_HISTORY`] messages up to event `until` in pieces of at most `piece_bytes` (one message at least),
    /// oldest first.
    #[must_use]
    pub fn pieces(&self, until: u64, piece_bytes: usize) -> Vec<Vec<ChatEntry>> {
        let shown = self.messages.partition_point(|entry| entry.message.seq <= until);
        let mut pieces: Vec<Vec<ChatEntry>> = Vec::new();
        let mut filled = usize::MAX;
        for entry in self.messages.range(shown.saturating_sub(CHAT_HISTORY)..shown) {
            match pieces.last_mut() {
                Some(piece) if filled.saturating_add(entry.bytes()) <= piece_bytes => {
                    filled += entry.bytes();
                    piece.push(entry.clone());
                }
                Some(_) | None => {
                    filled = entry.bytes();
                    pieces.push(vec![entry.clone()]);
                }
            }
        }
        pieces
    }

    /// The messages before a place, or the last ones.
    #[must_use]
    pub fn page(&self, before: Option<ChatPlace>, limit: usize) -> ChatPage {
        let is_before = |entry: &ChatEntry| before.is_none_or(|before| entry.place() < before);
        let end = self.messages.partition_point(is_before);
        let found = self.messages.range(end.saturating_sub(limit + 1)..end).cloned().collect();
        ChatPage::cut(found, limit)
    }

    fn trim(&mut self) {
        while self.messages.len() > CHAT_MEMORY || (self.bytes > CHAT_MEMORY_BYTES && self.messages.len() > 1) {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
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

/// Checks what a change says.
///
/// # Errors
/// Those of [`check`], and [`ChatError::BadReaction`].
pub fn check_change(change: &Change) -> Result<(), ChatError> {
    match change {
        Change::Edit(text) => check(text),
        Change::Delete => Ok(()),
        Change::React { reaction, .. } => {
            let is_good = !reaction.trim().is_empty()
                && reaction.len() <= MAX_REACTION_BYTES
                && !reaction.chars().any(char::is_control);
            if is_good { Ok(()) } else { Err(ChatError::BadReaction) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn log(bytes: impl IntoIterator<Item = usize>) -> ChatLog {
        let mut log = ChatLog::new(7);
        (1..).zip(bytes).for_each(|(seq, bytes)| log.push(message(seq, bytes)));
        log
    }

    #[test]
    fn a_late_joiner_gets_the_last_fifty_in_order_and_in_pieces() {
        let pieces = log([999; 250]).pieces(240, 10_000);
        assert_eq!(pieces.len(), 5);
        let seqs: Vec<u64> = pieces.iter().flatten().map(|entry| entry.message.seq).collect();
        assert_eq!(seqs, (191..=240).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_larger_than_a_piece_travels_alone() {
        assert_eq!(log([10, 5000, 10]).pieces(3, 100).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn what_is_in_memory_is_read_page_by_page_and_bounded() {
        let log = log([10; CHAT_MEMORY + 7]);
        let (mut before, mut seqs) = (None, Vec::new());
        loop {
            let page = log.page(before, 64);
            seqs.splice(0..0, page.messages.iter().map(|entry| entry.message.seq));
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seqs, (8..=CHAT_MEMORY as u64 + 7).collect::<Vec<_>>());
        assert_eq!(log.page(Some(ChatPlace { epoch: 6, seq: 900 }), 64).messages, [], "another life, long ago");
        let large = self::log([16 * 1024; 500]);
        assert!(large.bytes <= CHAT_MEMORY_BYTES && large.messages.len() < 300, "{}", large.messages.len());
    }

    #[test]
    fn a_message_that_is_not_in_memory_can_be_changed_when_the_disk_has_it() {
        let mut log = log([5; 3]);
        let old = MessageId::new("old").unwrap();
        let edit = |entry: &mut ChatEntry| {
            entry.edit("new", 9);
            Ok(())
        };
        assert_eq!(log.change(&old, edit), Err(ChatError::Unknown));
        log.recall(ChatEntry::new(6, ChatMessage { id: old.clone(), ..message(1, 5) }));
        assert_eq!(log.change(&old, edit), Ok(()));
        assert_eq!(log.find(&old).map(|entry| entry.message.text.as_str()), Some(""), "its words stay on the disk");
        assert_eq!(log.page(None, 9).messages.len(), 3);
        for n in 0..RECALLED {
            let id = MessageId::new(format!("old{n}")).unwrap();
            log.recall(ChatEntry::new(6, ChatMessage { id, ..message(1, 5) }));
        }
        assert_eq!(log.find(&old), None, "as many as may");
    }
}
