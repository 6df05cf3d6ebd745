//! What a member wants of its room, read as far as that can be judged without knowing the room.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roundtable_protocol::limit::{
    CHAT_HISTORY, MAX_CHAT_PAGE, MAX_DATA_PAYLOAD_BYTES, MAX_DOC_SNAPSHOT_BYTES, MAX_MID_BYTES, MAX_SDP_BYTES,
    MAX_TOPIC_PATTERNS, MAX_TRACKS_PER_MEMBER, MAX_VIEW_CHANGES,
};
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::message::{PublishRequest, ViewChange};
use roundtable_protocol::{ClientMessage, ErrorCode, MessageId};
use roundtable_transport::sdp::{Offer, SdpError};

use super::super::fault::Fault;
use super::MAX_SUBSCRIBE_CHANGES;
use super::action::Action;
use crate::room::chat::Change;
use crate::shard::inbox::Request;

/// The number the client gave a message, which errors about it repeat.
pub(super) fn request_id(message: &ClientMessage) -> Option<u32> {
    match message {
        ClientMessage::Offer { id, .. }
        | ClientMessage::GetStats { id }
        | ClientMessage::GetDoc { id, .. }
        | ClientMessage::PutDoc { id, .. }
        | ClientMessage::Moderate { id, .. }
        | ClientMessage::Call { id, .. }
        | ClientMessage::AnswerCall { id, .. }
        | ClientMessage::GetChat { id, .. }
        | ClientMessage::EditChat { id, .. }
        | ClientMessage::DeleteChat { id, .. } => Some(*id),
        ClientMessage::React { id, .. } | ClientMessage::UpdateMember { id, .. } => *id,
        ClientMessage::Data { header, .. } => header.id,
        ClientMessage::Chat { nonce, .. } => Some(*nonce),
        _ => None,
    }
}

/// Reads what is to be done.
pub(super) fn read_action(message: ClientMessage) -> Result<Action, Fault> {
    if let ClientMessage::GetChat { id, before, limit } = message {
        let limit = limit.map_or(CHAT_HISTORY, usize::from);
        if !(1..=MAX_CHAT_PAGE).contains(&limit) {
            let message = format!("limit is {limit}; a page has 1 to {MAX_CHAT_PAGE} messages");
            return Err(Fault { code: ErrorCode::BadMessage, message });
        }
        return Ok(Action::ChatPage { id, before, limit });
    }
    let id = request_id(&message);
    read_request(message).map(|request| Action::Request { request, id })
}

/// Reads what the shard is to do, as far as that can be judged without knowing the room.
fn read_request(message: ClientMessage) -> Result<Request, Fault> {
    match message {
        ClientMessage::Offer { id, sdp, fresh, tracks } => read_offer(id, &sdp, fresh, tracks),
        ClientMessage::Unpublish { tracks } => {
            at_most(tracks.len(), MAX_TRACKS_PER_MEMBER, "tracks")?;
            Ok(Request::Unpublish(tracks))
        }
        ClientMessage::Mute { track, muted } => Ok(Request::Mute { track, muted }),
        ClientMessage::Subscribe { changes } => {
            at_most(changes.len(), MAX_SUBSCRIBE_CHANGES, "changes")?;
            Ok(Request::Subscribe(changes))
        }
        ClientMessage::View { changes } => {
            check_views(&changes)?;
            Ok(Request::View(changes))
        }
        ClientMessage::GetStats { id } => Ok(Request::Stats(id)),
        ClientMessage::Chat { nonce, text, to: None } => Ok(Request::Chat { nonce, text }),
        ClientMessage::Chat { nonce, text, to: Some(to) } => Ok(Request::Whisper { nonce, text, to }),
        ClientMessage::EditChat { id, message, text } => Ok(change(Some(id), message, Change::Edit(text))),
        ClientMessage::DeleteChat { id, message } => Ok(change(Some(id), message, Change::Delete)),
        ClientMessage::React { id, message, reaction, on } => Ok(change(id, message, Change::React { reaction, on })),
        ClientMessage::UpdateMember { id, name, metadata, attributes, version } => {
            let change = Box::new(MemberChange { name, metadata, attributes });
            Ok(Request::UpdateMember { id, expect: version, change })
        }
        ClientMessage::Typing { typing } => Ok(Request::Typing(typing)),
        ClientMessage::Data { header, payload, lossy } => {
            let payload = read_base64(&payload, MAX_DATA_PAYLOAD_BYTES)?;
            Ok(Request::Data { header, payload, lossy })
        }
        ClientMessage::Topics { unsubscribe, subscribe } => {
            at_most(unsubscribe.len().max(subscribe.len()), MAX_TOPIC_PATTERNS, "patterns")?;
            Ok(Request::Topics { unsubscribe, subscribe })
        }
        ClientMessage::GetDoc { id, doc, after } => Ok(Request::GetDoc { id, doc, after }),
        ClientMessage::PutDoc { id, doc, up_to, snapshot } => {
            let snapshot = read_base64(&snapshot, MAX_DOC_SNAPSHOT_BYTES)?;
            Ok(Request::PutDoc { id, doc, up_to, snapshot })
        }
        // Answered by the session itself or the hub; the shard has no word for them.
        ClientMessage::Hello { .. }
        | ClientMessage::GetChat { .. }
        | ClientMessage::Ping { .. }
        | ClientMessage::Leave {}
        | ClientMessage::Moderate { .. }
        | ClientMessage::Call { .. }
        | ClientMessage::AnswerCall { .. } => {
            Err(Fault { code: ErrorCode::OutOfOrder, message: "not to be asked of a room".into() })
        }
    }
}

/// Reads bytes that are written as base64, at most so many.
fn read_base64(text: &str, most: usize) -> Result<Bytes, Fault> {
    // Four characters stand for three bytes, and up to two of them for none.
    if text.len() / 4 * 3 > most + 2 {
        let message = format!("about {} bytes, {most} are allowed", text.len() / 4 * 3);
        return Err(Fault { code: ErrorCode::DataTooLarge, message });
    }
    let bytes = STANDARD.decode(text);
    bytes.map(Bytes::from).map_err(|error| Fault { code: ErrorCode::BadData, message: error.to_string() })
}

fn change(id: Option<u32>, message: MessageId, change: Change) -> Request {
    Request::ChangeChat { id, message, change, known: None }
}

fn read_offer(id: u32, sdp: &str, fresh: bool, tracks: Vec<PublishRequest>) -> Result<Request, Fault> {
    if sdp.len() > MAX_SDP_BYTES {
        let message = format!("the SDP has {} bytes, {MAX_SDP_BYTES} are allowed", sdp.len());
        return Err(Fault { code: ErrorCode::SdpTooLarge, message });
    }
    check_tracks(&tracks)?;
    let offer = Offer::parse(sdp).map_err(|error| sdp_fault(&error))?;
    Ok(Request::Offer { id, offer: Box::new(offer), fresh, tracks })
}

fn check_tracks(tracks: &[PublishRequest]) -> Result<(), Fault> {
    if tracks.len() > MAX_TRACKS_PER_MEMBER {
        let message = format!("at most {MAX_TRACKS_PER_MEMBER} tracks can be published");
        return Err(Fault { code: ErrorCode::TooManyTracks, message });
    }
    let bad = |message: String| Err(Fault { code: ErrorCode::BadTrack, message });
    for (index, track) in tracks.iter().enumerate() {
        if track.mid.is_empty() || track.mid.len() > MAX_MID_BYTES {
            return bad(format!("a mid has 1 to {MAX_MID_BYTES} bytes"));
        }
        if tracks.iter().take(index).any(|earlier| earlier.mid == track.mid) {
            return bad(format!("the m-line {:?} is named twice", track.mid));
        }
    }
    Ok(())
}

fn check_views(changes: &[ViewChange]) -> Result<(), Fault> {
    at_most(changes.len(), MAX_VIEW_CHANGES, "changes")?;
    match changes.iter().find(|view| view.max_fps == Some(0)) {
        None => Ok(()),
        Some(view) => {
            let message = format!("maxFps of {} is 0; say that it is not visible", view.track);
            Err(Fault { code: ErrorCode::BadMessage, message })
        }
    }
}

fn sdp_fault(error: &SdpError) -> Fault {
    Fault { code: ErrorCode::from_word(error.code()).unwrap_or(ErrorCode::BadSdp), message: error.to_string() }
}

fn at_most(count: usize, most: usize, what: &str) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(Fault { code: ErrorCode::BadMessage, message: format!("{count} {what} in one message, {most} are allowed") })
}
