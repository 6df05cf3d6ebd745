//! Messages to a few: given to them and their writer, and kept a while for who may not have got them.
//!
//! They are in no journal and not on the disk. Whoever comes back over another socket gets once more what was given
//! shortly before the old one was lost, since nobody knows how much of that arrived.

use std::time::Instant;

use bytes::Bytes;
use roundtable_protocol::chat::PrivateMessage;
use roundtable_protocol::{MemberId, ServerMessage};

use super::core::Core;
use super::home::Home;
use super::inbox::ToMember;

impl Core {
    /// Gives a private message to those whom it is for and to its writer; if it was taken before, to its writer alone.
    pub(super) fn whisper(&mut self, now: Instant, key: usize, message: &PrivateMessage, nonce: u32, again: bool) {
        let written = |nonce| serde_json::to_vec(&ServerMessage::PrivateChat { message: message.clone(), nonce });
        // None of our types has a map with keys that are no strings, the one thing that fails.
        let (Ok(copy), Ok(receipt)) = (written(None), written(Some(nonce))) else { return };
        let copy = Bytes::from(copy);
        for member in message.to.iter().filter(|member| !again && **member != message.member) {
            let Some(presence) = self.home(key).and_then(|home| home.members.get_mut(member)) else { continue };
            presence.whispers.note(now, copy.clone());
            self.tell_on_channel(now, key, member, copy.clone());
        }
        self.tell_on_channel(now, key, &message.member, receipt.into());
    }
}

impl Home {
    /// Gives a member who is back the private messages that it may lack.
    pub(super) fn repeat_whispers(&mut self, now: Instant, member: &MemberId) {
        let Some(presence) = self.members.get_mut(member) else { return };
        for json in presence.whispers.handle_back(now) {
            self.tell(member, ToMember::Written(json));
        }
    }

    /// Tells everybody else that somebody is writing, or has stopped.
    pub(super) fn tell_typing(&mut self, writer: MemberId, typing: bool) {
        let message = ServerMessage::Typing { member: writer.clone(), typing };
        // None of our types has a map with keys that are no strings, the one thing that fails.
        let Ok(json) = serde_json::to_vec(&message).map(Bytes::from) else { return };
        let others: Vec<MemberId> = self.members.keys().filter(|member| **member != writer).cloned().collect();
        others.iter().for_each(|member| self.tell(member, ToMember::Written(json.clone())));
    }
}
