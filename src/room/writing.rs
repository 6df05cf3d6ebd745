//! What members write: to everybody, to a few, and what they do to what was written.

use std::time::{Duration, Instant};

use roundtable_protocol::chat::{ChatEntry, ChatPage, ChatPlace, PrivateMessage};
use roundtable_protocol::event::{ChatMessage, EventBody};
use roundtable_protocol::limit::{LIST_UP_TO, MAX_PRIVATE_TO, TYPING_ENDS_MS, TYPING_EVERY_MS};
use roundtable_protocol::{MemberId, MessageId};

use super::chat::{Change, ChatError, ChatLog, check, check_change, may_moderate};
use super::member::Member;
use super::{Effect, Now, Room};

const TYPING_EVERY: Duration = Duration::from_millis(TYPING_EVERY_MS);
const TYPING_ENDS: Duration = Duration::from_millis(TYPING_ENDS_MS);

impl Room {
    /// Says which life of the room this is; before anything is written.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.chat = ChatLog::new(epoch);
    }

    /// Says whether what is written from now on can not be kept: then it is refused, and so are edits.
    pub fn set_chat_full(&mut self, full: bool) {
        self.chat_full = full;
    }

    /// Takes a chat message and delivers it to everybody, the writer included.
    ///
    /// # Errors
    /// [`ChatError`] says why it was not taken.
    pub fn chat(&mut self, now: Now, id: &MemberId, nonce: u32, text: String) -> Result<(), ChatError> {
        check(&text)?;
        let is_full = self.chat_full;
        let member = self.writer(now, id)?;
        if let Some(message) = member.written.find(&member.info, nonce, &text) {
            self.effects.push_back(Effect::Acknowledge { message });
            return Ok(());
        }
        if is_full {
            return Err(ChatError::Full);
        }
        let name = member.info.name.clone();
        let (seq, at, member) = (self.seq + 1, now.unix_ms, id.clone());
        let message = ChatMessage { id: self.ids.message(), seq, at, member, name, text, nonce: Some(nonce) };
        if let Some(member) = self.members.get_mut(id) {
            member.written.note(&message);
        }
        self.chat.push(message.clone());
        self.effects.push_back(Effect::Deliver { message: message.clone() });
        self.emit(now, EventBody::Chat { message });
        self.end_typing(id, true);
        self.note_act(now, id);
        Ok(())
    }

    /// Takes a private message. It is no event: those whom it is for get it, and its writer.
    ///
    /// # Errors
    /// [`ChatError`] says why it was not taken.
    pub fn whisper(
        &mut self,
        now: Now,
        id: &MemberId,
        nonce: u32,
        text: String,
        mut to: Vec<MemberId>,
    ) -> Result<(), ChatError> {
        check(&text)?;
        if to.is_empty() || to.len() > MAX_PRIVATE_TO {
            return Err(ChatError::BadRecipients);
        }
        to.sort_unstable();
        to.dedup();
        let member = self.writer(now, id)?;
        let known = member.written.find_private(&member.info, nonce, &text, &to);
        let name = member.info.name.clone();
        let again = known.is_some();
        if !again && !to.iter().all(|member| self.members.contains_key(member)) {
            return Err(ChatError::NoMember);
        }
        let message = known.unwrap_or_else(|| {
            let (id, at, member) = (self.ids.message(), now.unix_ms, id.clone());
            PrivateMessage { id, at, member, name, to, text }
        });
        if let Some(member) = self.members.get_mut(id).filter(|_| !again) {
            member.written.note_private(nonce, &message);
        }
        self.effects.push_back(Effect::Whisper { message, nonce, again });
        self.end_typing(id, true);
        Ok(())
    }

    /// Changes a message, or reactions to it. `known` is what the disk has of it, for one that is not in memory.
    ///
    /// # Errors
    /// [`ChatError`] says why not.
    pub fn change_chat(
        &mut self,
        now: Now,
        id: &MemberId,
        message: &MessageId,
        change: Change,
        known: Option<ChatEntry>,
    ) -> Result<(), ChatError> {
        check_change(&change)?;
        let moderates = may_moderate(&self.writer(now, id)?.grants);
        known.into_iter().for_each(|known| self.chat.recall(known));
        let writer = &self.chat.find(message).ok_or(ChatError::Unknown)?.message.member;
        if !matches!(change, Change::React { .. }) && writer != id && !moderates {
            return Err(ChatError::NotOwn);
        }
        if self.chat_full && matches!(change, Change::Edit(_)) {
            return Err(ChatError::Full);
        }
        let is_news = self.chat.change(message, |entry| match &change {
            Change::Edit(text) => {
                entry.edit(text, now.unix_ms);
                Ok(true)
            }
            Change::Delete => {
                entry.delete();
                Ok(true)
            }
            Change::React { reaction, on } => Ok(entry.react(id, reaction, *on)?),
        })?;
        if is_news {
            let (message, member) = (message.clone(), id.clone());
            self.emit(
                now,
                match change {
                    Change::Edit(text) => EventBody::ChatEdited { message, member, text },
                    Change::Delete => EventBody::ChatDeleted { message, member },
                    Change::React { reaction, on } => EventBody::Reaction { message, member, reaction, on },
                },
            );
            self.note_act(now, id);
        }
        Ok(())
    }

    /// Notes that somebody is writing, or has stopped. Others are told, but not too often, and not where there are many:
    /// what is not told is nobody's loss. Who may not write is not believed.
    pub fn typing(&mut self, now: Instant, id: &MemberId, typing: bool) {
        let is_small = self.order.len() <= LIST_UP_TO;
        let Some(member) = self.members.get_mut(id).filter(|member| member.grants.may_chat()) else { return };
        if !typing {
            return self.end_typing(id, true);
        }
        if let Some(until) = &mut member.typing_until {
            *until = now + TYPING_ENDS;
            return;
        }
        if !is_small || member.typed_at.is_some_and(|at| now < at + TYPING_EVERY) {
            return;
        }
        (member.typed_at, member.typing_until) = (Some(now), Some(now + TYPING_ENDS));
        self.typing.insert(id.clone());
        self.effects.push_back(Effect::Typing { member: id.clone(), typing: true });
    }

    /// Nobody writes for ever.
    pub(super) fn end_overdue_typing(&mut self, now: Instant) {
        let is_over = |id: &&MemberId| {
            self.members.get(*id).and_then(|member| member.typing_until).is_none_or(|until| until <= now)
        };
        for id in self.typing.iter().filter(is_over).cloned().collect::<Vec<_>>() {
            self.end_typing(&id, true);
        }
    }

    /// When the first of those who write does so no more.
    pub(super) fn poll_typing(&self) -> Option<Instant> {
        self.typing.iter().filter_map(|id| self.members.get(id)?.typing_until).min()
    }

    /// Somebody does not write any more; others are told unless they know by other means.
    pub(super) fn end_typing(&mut self, id: &MemberId, tell: bool) {
        if let Some(member) = self.members.get_mut(id) {
            member.typing_until = None;
        }
        if self.typing.remove(id) && tell {
            self.effects.push_back(Effect::Typing { member: id.clone(), typing: false });
        }
    }

    /// The last of what was written up to event `until`, in pieces of at most `piece_bytes`.
    #[must_use]
    pub fn chat_history(&self, until: u64, piece_bytes: usize) -> Vec<Vec<ChatEntry>> {
        self.chat.pieces(until, piece_bytes)
    }

    /// What is in memory before a place, or the last of it.
    #[must_use]
    pub fn chat_page(&self, before: Option<ChatPlace>, limit: usize) -> ChatPage {
        self.chat.page(before, limit)
    }

    /// A member who may write now.
    fn writer(&mut self, now: Now, id: &MemberId) -> Result<&mut Member, ChatError> {
        let member = self.members.get_mut(id).ok_or(ChatError::Forbidden)?;
        if !member.grants.may_chat() {
            return Err(ChatError::Forbidden);
        }
        if !member.chat_rate.take(now.instant) {
            return Err(ChatError::Rate);
        }
        Ok(member)
    }
}
