//! How a conversation ends.

use roundtable_protocol::error::close;
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use roundtable_protocol::{ErrorCode, LeaveReason, ServerMessage};

use super::super::fault::Fault;
use super::action::{Action, Broken};
use super::{CLOSE_NOT_UTF8, CLOSE_PROTOCOL, Phase, Session};

/// When to come back after being closed for a passing reason, in milliseconds.
const RECONNECT_AFTER_MS: u64 = 1_000;

impl Session {
    /// The socket can be read no further.
    pub fn handle_broken(&mut self, broken: Broken) {
        let (code, close, message) = match broken {
            Broken::Closed => return self.end(LeaveReason::Left),
            Broken::Gone => return self.end(LeaveReason::Disconnected),
            Broken::TooLarge => {
                let message = format!("a message may have {MAX_CLIENT_MESSAGE_BYTES} bytes");
                (ErrorCode::BadMessage, close::TOO_LARGE, message)
            }
            Broken::NotUtf8 => (ErrorCode::BadJson, CLOSE_NOT_UTF8, "the text is not UTF-8".into()),
            Broken::Protocol => (ErrorCode::BadMessage, CLOSE_PROTOCOL, "the frames are no WebSocket".into()),
        };
        self.expel(Fault { code, message }, close);
    }

    /// The client does not read: what was to be sent to it is dropped.
    pub fn handle_slow_reader(&mut self) {
        if self.phase != Phase::Ending {
            self.part(LeaveReason::Disconnected, ErrorCode::SlowReader, "you read too slowly".into(), close::SLOW);
        }
    }

    /// The shard let go of the member without a word: because its outbox ran over, or because the shard failed.
    pub fn handle_shard_gone(&mut self, outbox_ran_over: bool) {
        if outbox_ran_over {
            self.handle_slow_reader();
        } else if self.phase != Phase::Ending {
            let message = "the room has failed; come back to a fresh one".into();
            self.part(LeaveReason::Disconnected, ErrorCode::Internal, message, close::INTERNAL);
        }
    }

    /// The server is stopping. Whoever is in a room is told by the shard instead.
    pub fn handle_stopping(&mut self) {
        match self.phase {
            Phase::ExpectingHello { .. } | Phase::Joining => {
                let message = "the server is stopping".into();
                self.part(LeaveReason::ServerStopping, ErrorCode::Stopping, message, close::GOING_AWAY);
            }
            Phase::InRoom | Phase::Ending => {}
        }
    }

    pub(super) fn leave(&mut self) {
        self.end(LeaveReason::Left);
        self.goodbye(None, "you left".into(), None);
        self.close(close::NORMAL, "");
    }

    /// Ends the conversation for what the client did wrong.
    pub(super) fn expel(&mut self, fault: Fault, close: u16) {
        if self.phase == Phase::Ending {
            return;
        }
        let reason = fault.code.as_str();
        self.end(LeaveReason::Removed);
        self.complain(None, fault, true);
        self.close(close, reason);
    }

    /// Ends the conversation for what nobody can help.
    pub(super) fn part(&mut self, reason: LeaveReason, code: ErrorCode, message: String, close: u16) {
        self.end(reason);
        self.goodbye(Some(code), message, Some(RECONNECT_AFTER_MS));
        self.close(close, code.as_str());
    }

    /// Takes the member out of the room, first of all; what was to be said before that stays unsaid.
    pub(super) fn end(&mut self, reason: LeaveReason) {
        let in_room = match std::mem::replace(&mut self.phase, Phase::Ending) {
            Phase::InRoom => true,
            Phase::ExpectingHello { .. } | Phase::Joining | Phase::Ending => false,
        };
        self.actions.clear();
        if in_room {
            self.actions.push_back(Action::Leave(reason));
        }
    }

    pub(super) fn goodbye(&mut self, code: Option<ErrorCode>, message: String, reconnect_after_ms: Option<u64>) {
        self.send(ServerMessage::Goodbye { code, message, reconnect_after_ms });
    }

    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.phase = Phase::Ending;
        self.actions.push_back(Action::Close { code, reason });
    }
}

/// The close code for a member that the shard put out.
pub(super) fn close_code(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::IceTimeout
        | ErrorCode::IceConsent
        | ErrorCode::DtlsTimeout
        | ErrorCode::DtlsFingerprint
        | ErrorCode::DtlsNoCertificate
        | ErrorCode::DtlsFailed
        | ErrorCode::SctpAborted
        | ErrorCode::PeerClosed => close::MEDIA_FAILED,
        ErrorCode::Stopping => close::GOING_AWAY,
        ErrorCode::RoomClosed => close::NORMAL,
        ErrorCode::Kicked | ErrorCode::Banned | ErrorCode::Moved => close::PUT_OUT,
        ErrorCode::SlowReader => close::SLOW,
        ErrorCode::Replaced => close::REPLACED,
        ErrorCode::MessageRate => close::FLOOD,
        ErrorCode::Silent => close::SILENT,
        _ => close::INTERNAL,
    }
}
