//! What the client says: read, judged by the state of the conversation and by its rates, and made an action.

use std::time::Instant;

use roundtable_protocol::error::close;
use roundtable_protocol::limit::{
    CHAT_PAGES_PER_SECOND, CLIENT_MESSAGES_BURST, CLIENT_MESSAGES_PER_SECOND, DEFAULT_CALL_S, MAX_CLIENT_MESSAGE_BYTES,
    STATS_PER_SECOND, VIEWS_PER_SECOND,
};
use roundtable_protocol::message::Packing;
use roundtable_protocol::{ClientMessage, ErrorCode, ServerMessage};

use super::super::fault::{Fault, JoinWish};
use super::super::packing::{InflateError, inflate};
use super::action::{Action, Broken, Frame};
use super::request::{read_action, request_id};
use super::{MAX_GARBAGE, Phase, Session, hello};

impl Session {
    /// Takes one frame.
    pub fn handle_frame(&mut self, now: Instant, frame: Frame<'_>) {
        if self.phase == Phase::Ending {
            return;
        }
        self.heard_at = now;
        if !self.rate.take(now) {
            let message =
                format!("more than {CLIENT_MESSAGES_PER_SECOND} messages a second, burst {CLIENT_MESSAGES_BURST}");
            return self.expel(Fault { code: ErrorCode::MessageRate, message }, close::FLOOD);
        }
        match frame {
            Frame::Text(text) => self.handle_text(now, text),
            Frame::Binary(packed) => self.handle_packed(now, packed),
            Frame::Control => {}
        }
    }

    fn handle_text(&mut self, now: Instant, text: &str) {
        match serde_json::from_str(text) {
            // Serde would also take a list of the fields, which is no message of this protocol.
            Ok(_) if !text.trim_start().starts_with('{') => {
                self.handle_garbage(ErrorCode::BadMessage, "a message is a JSON object".into());
            }
            Ok(message) => self.handle_message(now, message),
            Err(error) if error.is_data() => self.handle_unreadable(text, &error),
            Err(error) => self.handle_garbage(ErrorCode::BadJson, format!("no JSON: {error}")),
        }
    }

    fn handle_packed(&mut self, now: Instant, packed: &[u8]) {
        if !self.accepted.contains(&Packing::Deflate) {
            return self.handle_garbage(ErrorCode::BadMessage, "binary frames mean nothing here".into());
        }
        match inflate(packed, MAX_CLIENT_MESSAGE_BYTES) {
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.handle_text(now, text),
                Err(_) => self.handle_broken(Broken::NotUtf8),
            },
            Err(InflateError::TooLarge) => self.handle_broken(Broken::TooLarge),
            Err(error @ InflateError::Broken) => self.handle_garbage(ErrorCode::BadMessage, error.to_string()),
        }
    }

    fn handle_unreadable(&mut self, text: &str, error: &serde_json::Error) {
        let expecting_hello = matches!(self.phase, Phase::ExpectingHello { .. });
        match hello::foreign_version(text).filter(|_| expecting_hello) {
            Some(fault) => self.expel(fault, close::REFUSED),
            None => self.handle_garbage(ErrorCode::BadMessage, error.to_string()),
        }
    }

    fn handle_garbage(&mut self, code: ErrorCode, message: String) {
        self.garbage += 1;
        if self.garbage > MAX_GARBAGE {
            self.expel(Fault { code, message }, close::GARBAGE);
        } else {
            self.complain(None, Fault { code, message }, false);
        }
    }

    fn handle_message(&mut self, now: Instant, message: ClientMessage) {
        match message {
            ClientMessage::Ping { nonce } => self.send(ServerMessage::Pong { nonce }),
            ClientMessage::Leave {} => self.leave(),
            ClientMessage::Hello { version, name, token, max_seats, resume, accept, media } => match self.phase {
                Phase::ExpectingHello { .. } => {
                    self.handle_hello(hello::check(version, &name, token, max_seats, (resume, media)), &accept);
                }
                Phase::Joining | Phase::InRoom => self.out_of_order(None, "hello was said already"),
                Phase::Ending => {}
            },
            request => match self.phase {
                Phase::InRoom => self.handle_request(now, request),
                Phase::ExpectingHello { .. } => self.out_of_order(request_id(&request), "say hello first"),
                Phase::Joining => self.out_of_order(request_id(&request), "wait for the welcome"),
                Phase::Ending => {}
            },
        }
    }

    fn handle_hello(&mut self, checked: Result<JoinWish, Fault>, accept: &[String]) {
        match checked {
            Ok(wish) => {
                self.phase = Phase::Joining;
                self.accepted = self.known_ways(accept);
                self.actions.push_back(Action::Join(wish));
            }
            // A name can be mended over the same socket.
            Err(fault) if fault.code == ErrorCode::BadName => self.complain(None, fault, false),
            Err(fault) => self.expel(fault, close::REFUSED),
        }
    }

    /// Those of these ways to pack that both sides know, each once.
    fn known_ways(&self, words: &[String]) -> Vec<Packing> {
        let is_wanted = |way: &Packing| words.iter().any(|word| Packing::from_word(word) == Some(*way));
        self.ways.iter().copied().filter(is_wanted).collect()
    }

    fn handle_request(&mut self, now: Instant, message: ClientMessage) {
        let id = request_id(&message);
        let message = match message {
            ClientMessage::Moderate { id, action } => return self.actions.push_back(Action::Moderate { id, action }),
            ClientMessage::Call { id, to, timeout_s } => {
                let timeout_s = timeout_s.unwrap_or(DEFAULT_CALL_S);
                return self.actions.push_back(Action::Call { id, to, timeout_s });
            }
            ClientMessage::AnswerCall { id, call, answer } => {
                return self.actions.push_back(Action::AnswerCall { id, call, answer });
            }
            message => message,
        };
        match self.check_rate(now, &message).and_then(|()| read_action(message)) {
            Ok(action) => self.actions.push_back(action),
            Err(fault) if fault.code == ErrorCode::BadMessage => self.handle_garbage(fault.code, fault.message),
            Err(fault) => self.complain(id, fault, false),
        }
    }

    /// What costs the shard more than to pass it on has a rate of its own.
    fn check_rate(&mut self, now: Instant, message: &ClientMessage) -> Result<(), Fault> {
        let (rate, per_second, code) = match message {
            ClientMessage::View { .. } => (&mut self.views, VIEWS_PER_SECOND, ErrorCode::ViewRate),
            ClientMessage::GetStats { .. } => (&mut self.questions, STATS_PER_SECOND, ErrorCode::StatsRate),
            ClientMessage::GetChat { .. } => (&mut self.pages, CHAT_PAGES_PER_SECOND, ErrorCode::ChatPageRate),
            _ => return Ok(()),
        };
        if rate.take(now) {
            return Ok(());
        }
        Err(Fault { code, message: format!("more than {per_second} of these a second; this one was dropped") })
    }

    fn out_of_order(&mut self, id: Option<u32>, message: &str) {
        self.complain(id, Fault { code: ErrorCode::OutOfOrder, message: message.into() }, false);
    }
}
