//! Chat as it is remembered: messages with what became of them, pages of them, and what is said to a few only.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::event::ChatMessage;
use crate::id::{MemberId, MessageId};
use crate::limit::{MAX_CHAT_PAGE_BYTES, MAX_REACTION_KINDS, MAX_REACTIONS};

/// A place in a room's chat, over all of its lives: on the wire `EPOCH-SEQ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(type = "string")]
#[schemars(with = "String")]
pub struct ChatPlace {
    /// The life of the room.
    pub epoch: u64,
    /// The number in it.
    pub seq: u64,
}

/// The text is no place: `EPOCH-SEQ`, two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in the chat is EPOCH-SEQ, two numbers")]
pub struct BadPlace;

impl FromStr for ChatPlace {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().map_err(|_| BadPlace),
            false => Err(BadPlace),
        };
        let (epoch, seq) = text.split_once('-').ok_or(BadPlace)?;
        Ok(Self { epoch: number(epoch)?, seq: number(seq)? })
    }
}

impl TryFrom<String> for ChatPlace {
    type Error = BadPlace;

    fn try_from(text: String) -> Result<Self, BadPlace> {
        text.parse()
    }
}

impl From<ChatPlace> for String {
    fn from(place: ChatPlace) -> Self {
        place.to_string()
    }
}

impl fmt::Display for ChatPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// A message as it stands now, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ChatEntry {
    /// The message. One that was deleted has neither name nor text.
    #[serde(flatten)]
    pub message: ChatMessage,
    /// The life of the room in which it was written: `seq` counts within that.
    #[ts(type = "number")]
    pub epoch: u64,
    /// When it was last edited, in milliseconds since 1970 UTC; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub edited_at: Option<u64>,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub deleted: bool,
    /// What others made of it, in the order in which each came first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<_>")]
    pub reactions: Vec<Reaction>,
}

/// One reaction to a message, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// A few characters, mostly one emoji; text, never markup.
    pub reaction: String,
    /// Who reacted so, in order; never empty.
    pub members: Vec<MemberId>,
}

/// A message has as many reactions as it may: 50 different ones, 500 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has at most {MAX_REACTION_KINDS} different reactions, and {MAX_REACTIONS} in all")]
pub struct ReactionsFull;

impl ChatEntry {
    /// A message that was just written.
    #[must_use]
    pub fn new(epoch: u64, message: ChatMessage) -> Self {
        Self { message, epoch, edited_at: None, deleted: false, reactions: Vec::new() }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> ChatPlace {
        ChatPlace { epoch: self.epoch, seq: self.message.seq }
    }

    /// Gives it another text; `at` is in milliseconds since 1970 UTC.
    pub fn edit(&mut self, text: &str, at: u64) {
        text.clone_into(&mut self.message.text);
        self.edited_at = Some(at);
    }

    /// Takes away all but its place and who wrote it.
    pub fn delete(&mut self) {
        self.deleted = true;
        self.reactions.clear();
        let ChatMessage { name, text, nonce, .. } = &mut self.message;
        (*name, *text, *nonce) = (String::new(), String::new(), None);
    }

    /// Adds a member's reaction, or takes it back. Returns whether that changes anything.
    ///
    /// # Errors
    /// [`ReactionsFull`].
    pub fn react(&mut self, member: &MemberId, reaction: &str, on: bool) -> Result<bool, ReactionsFull> {
        let known = self.reactions.iter_mut().find(|known| known.reaction == reaction);
        let has = known.as_ref().is_some_and(|known| known.members.contains(member));
        if has == on {
            return Ok(false);
        }
        if on && self.reactions.iter().map(|known| known.members.len()).sum::<usize>() >= MAX_REACTIONS {
            return Err(ReactionsFull);
        }
        let is_full = self.reactions.len() >= MAX_REACTION_KINDS;
        match self.reactions.iter_mut().find(|known| known.reaction == reaction) {
            Some(known) if on => known.members.push(member.clone()),
            Some(known) => known.members.retain(|other| other != member),
            None if is_full => return Err(ReactionsFull),
            None => {
                self.reactions.push(Reaction { reaction: reaction.to_owned(), members: vec![member.clone()] });
            }
        }
        self.reactions.retain(|known| !known.members.is_empty());
        Ok(true)
    }

    /// How much it holds of what people choose, in bytes, more or less.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let reactions = self.reactions.iter().map(|known| {
            known.reaction.len() + known.members.iter().map(|member| member.as_str().len() + 3).sum::<usize>()
        });
        self.message.text.len() + self.message.name.len() + reactions.sum::<usize>()
    }
}

/// Messages before a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ChatPage {
    /// The messages, oldest first.
    pub messages: Vec<ChatEntry>,
    /// Before which place the next page ends; null if there is nothing before.
    pub before: Option<ChatPlace>,
}

impl ChatPage {
    /// The newest of `found`, which are in order: at most `limit`, at least one, and beyond that no more than
    /// [`MAX_CHAT_PAGE_BYTES`] of text. There is a page before it if anything is left.
    #[must_use]
    pub fn cut(mut found: Vec<ChatEntry>, limit: usize) -> Self {
        let mut bytes = 0;
        let fits = |entry: &&ChatEntry| {
            bytes += entry.bytes();
            bytes <= MAX_CHAT_PAGE_BYTES
        };
        let fitting = found.iter().rev().take(limit).take_while(fits).count().max(1).min(limit.max(1));
        let messages = found.split_off(found.len().saturating_sub(fitting));
        let before = if found.is_empty() { None } else { messages.first().map(ChatEntry::place) };
        Self { messages, before }
    }
}

/// A message to a few. It has no number in the room: it is in no journal, and nobody else hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct PrivateMessage {
    /// Which; what comes again after a lost connection is known by it.
    pub id: MessageId,
    /// When the server took it, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
    /// Who wrote it, stamped by the server.
    pub member: MemberId,
    /// The writer's name at that time.
    pub name: String,
    /// To whom, each once.
    pub to: Vec<MemberId>,
    /// The text; never markup.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, bytes: usize) -> ChatEntry {
        let (id, member) = (MessageId::new(format!("c{seq}")).unwrap(), MemberId::new("ann").unwrap());
        let message =
            ChatMessage { id, seq, at: 0, member, name: "Ann".into(), text: "x".repeat(bytes), nonce: Some(1) };
        ChatEntry::new(7, message)
    }

    #[test]
    fn places_are_read_strictly_and_in_order() {
        for bad in ["", "7", "7-", "-7", "7-1-1", "+7-1", "7-x", "18446744073709551616-1"] {
            assert_eq!(bad.parse::<ChatPlace>(), Err(BadPlace), "{bad:?}");
        }
        let place: ChatPlace = serde_json::from_str("\"7-12\"").unwrap();
        assert_eq!((place, place.to_string()), (ChatPlace { epoch: 7, seq: 12 }, "7-12".to_owned()));
        assert!(place < ChatPlace { epoch: 8, seq: 1 });
    }

    #[test]
    fn reactions_are_bounded_by_kinds_and_in_all_and_go_with_the_message() {
        let mut entry = entry(1, 5);
        let member = |n: usize| MemberId::new(format!("m{n}")).unwrap();
        for n in 0..MAX_REACTION_KINDS {
            assert_eq!(entry.react(&member(0), &format!("r{n}"), true), Ok(true));
        }
        assert_eq!(entry.react(&member(0), "r0", true), Ok(false), "once is enough");
        assert_eq!(entry.react(&member(1), "another", true), Err(ReactionsFull));
        for n in 1..=MAX_REACTIONS - MAX_REACTION_KINDS {
            assert_eq!(entry.react(&member(n), "r0", true), Ok(true));
        }
        assert_eq!(entry.react(&member(1), "r1", true), Err(ReactionsFull));
        assert_eq!(entry.react(&member(0), "r1", false), Ok(true));
        assert_eq!(entry.reactions.len(), MAX_REACTION_KINDS - 1, "what nobody has is not listed");
        assert_eq!(entry.react(&member(1), "r2", true), Ok(true));
        entry.delete();
        assert!(entry.deleted && entry.reactions.is_empty() && entry.message.text.is_empty());
    }

    #[test]
    fn a_page_is_the_newest_that_fit_and_says_where_the_one_before_ends() {
        let seqs = |page: &ChatPage| page.messages.iter().map(|entry| entry.message.seq).collect::<Vec<_>>();
        let page = ChatPage::cut((1..=6).map(|seq| entry(seq, 10)).collect(), 5);
        assert_eq!((seqs(&page), page.before), (vec![2, 3, 4, 5, 6], Some(ChatPlace { epoch: 7, seq: 2 })));
        let page = ChatPage::cut(vec![entry(1, 10)], 5);
        assert_eq!((seqs(&page), page.before), (vec![1], None));
        let page = ChatPage::cut((1..=100).map(|seq| entry(seq, 16 * 1024)).collect(), 100);
        assert!(page.messages.len() < 9 && page.before.is_some(), "{}", page.messages.len());
        let page = ChatPage::cut(vec![entry(1, 1), entry(2, 2 * MAX_CHAT_PAGE_BYTES)], 100);
        assert_eq!(seqs(&page), [2], "one at least");
        assert_eq!(ChatPage::cut(Vec::new(), 5), ChatPage { messages: Vec::new(), before: None });
    }
}
