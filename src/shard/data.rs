//! Data that members publish to topics: checked and stamped at the home of the room, written once, and given by each stage
//! to its members over their channels, or over their sessions where these are missing.
//!
//! Nobody waits for a receiver. What may be lost is dropped where a channel is full; what may not waits in a queue
//! (`data_line`), and beyond that is dropped for this receiver, who is told with `data/slow`.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roundtable_protocol::data::{DataHeader, DataStamp, FrameError, parse_frame, write_frame};
use roundtable_protocol::limit::{
    DATA_BYTES_PER_SECOND, DATA_PER_SECOND, DOC_REQUESTS_PER_SECOND, MAX_DATA_PAYLOAD_BYTES, MAX_DATA_RECEIVERS,
};
use roundtable_protocol::message::{DocSnapshot, DocUpdate};
use roundtable_protocol::{DATA_CHANNEL_LABEL, ErrorCode, LOSSY_CHANNEL_LABEL, MemberId, ServerMessage};
use roundtable_transport::peer::MessageKind;

use super::core::Core;
use super::data_line::{MemberData, Offered};
use super::home::Home;
use super::inbox::ToMember;
use super::letter::{DataCopy, DataPost, Report, StageCommand};
use super::peers::Refusal;
use crate::room::document::{DOC_PREFIX, DocError, Docs};
use crate::room::topic::{TopicError, Topics, check_topic};

/// Bytes of updates in one `doc` message.
const DOC_PIECE_BYTES: usize = 128 * 1024;

impl DataCopy {
    /// Whether a member who follows these topics gets it. Updates of documents come back to who sent them: the number is
    /// the acknowledgement.
    fn is_for(&self, member: &MemberId, topics: &Topics) -> bool {
        let is_own = self.stamp.from == *member && self.stamp.n.is_none();
        let is_named = self.to.as_ref().is_none_or(|to| to.contains(member));
        !is_own && is_named && topics.follow(&self.stamp.topic)
    }

    /// The message for sessions; written when the first one needs it.
    fn message(&self) -> ToMember {
        let write = || {
            let payload = STANDARD.encode(&self.payload);
            let message = ServerMessage::Data { stamp: self.stamp.clone(), payload, lossy: self.lossy };
            // None of our types has a map with keys that are no strings, the one thing that fails.
            serde_json::to_vec(&message).unwrap_or_default().into()
        };
        let json = self.json.get_or_init(write).clone();
        if self.lossy { ToMember::InPassing(json) } else { ToMember::Written(json) }
    }
}

impl Core {
    /// A member's data channel is open.
    pub(super) fn data_channel_opened(&mut self, key: usize, id: u16, label: &str) {
        if let Some(endpoint) = self.endpoints.get_mut(key)
            && matches!(label, DATA_CHANNEL_LABEL | LOSSY_CHANNEL_LABEL)
        {
            endpoint.data.get_or_insert_default().opened(id, label);
        }
    }

    /// A channel of a member is gone.
    pub(super) fn data_channel_closed(&mut self, key: usize, id: u16) {
        let line = self.endpoints.get_mut(key).and_then(|endpoint| endpoint.data.as_mut());
        self.counters.data_dropped += line.map_or(0, |line| line.closed(id)) as u64;
    }

    /// A channel that was full has room again.
    pub(super) fn data_channel_writable(&mut self, now: Instant, key: usize) {
        if let Some(endpoint) = self.endpoints.get_mut(key)
            && let Some(line) = &mut endpoint.data
        {
            line.drain(now, &mut endpoint.transport);
            self.stale.push(key);
        }
    }

    /// A message on a channel that is not the chat's.
    pub(super) fn data_message(&mut self, now: Instant, key: usize, channel: u16, kind: MessageKind, data: &Bytes) {
        let Some(endpoint) = self.endpoints.get(key) else { return };
        let Some(lossy) = endpoint.data.as_ref().and_then(|line| line.kind(channel)) else { return };
        let (room, member) = (endpoint.room, endpoint.member.clone());
        match read_post(member, lossy, kind, data) {
            Ok(post) => self.report(now, room, Report::Data(Box::new(post))),
            Err((refusal, id)) => self.answer_on_channel(now, key, channel, refusal, id),
        }
    }

    /// A message came on a channel that was longer than any may be.
    pub(super) fn oversized_message(&mut self, now: Instant, key: usize, channel: u16, bytes: usize) {
        let Some(endpoint) = self.endpoints.get(key) else { return };
        let (code, most) = match endpoint.chat == Some(channel) {
            true => (ErrorCode::ChatTooLong, roundtable_protocol::limit::MAX_CHAT_BYTES),
            false => (ErrorCode::DataTooLarge, MAX_DATA_PAYLOAD_BYTES),
        };
        let refusal = Refusal::new(code, format!("the message has {bytes} bytes, {most} are allowed"));
        self.answer_on_channel(now, key, channel, refusal, None);
    }

    fn answer_on_channel(&mut self, now: Instant, key: usize, channel: u16, refusal: Refusal, id: Option<u32>) {
        if let Ok(json) = serde_json::to_vec(&refusal.into_message(id))
            && let Some(endpoint) = self.endpoints.get_mut(key)
        {
            // A writer whose channel is full of answers it does not read does not get this one either.
            let _ = endpoint.transport.send_message(now, channel, MessageKind::Text, &json);
        }
        self.stale.push(key);
    }

    /// Takes what a member published, and gives it to whom it is for, or refuses it.
    pub(super) fn publish_data(&mut self, now: Instant, key: usize, post: DataPost) {
        let (member, id) = (post.member.clone(), post.header.id);
        let Some(home) = self.home(key) else { return };
        match home.stamp(now, post) {
            Ok(copy) => {
                let dropped = home.tell_data_to_unconnected(&copy);
                self.counters.data_in += 1;
                self.counters.data_dropped += dropped;
                self.command_all(now, key, &StageCommand::Data(Arc::new(copy)));
            }
            Err(refusal) => self.refuse_data(now, key, &member, refusal, id),
        }
    }

    /// Refuses what a member published, the way it came.
    fn refuse_data(&mut self, now: Instant, key: usize, member: &MemberId, refusal: Refusal, id: Option<u32>) {
        let Some(home) = self.home(key) else { return };
        if home.members.get(member).is_none_or(|presence| presence.shard.is_none()) {
            return home.say(member, refusal.into_message(id));
        }
        if let Ok(json) = serde_json::to_vec(&refusal.into_message(id)) {
            let json = json.into();
            self.command_member(now, key, member, |member| StageCommand::RefuseData { member, json });
        }
    }

    /// Gives a member of the stage the refusal of what it published.
    pub(super) fn deliver_refusal(&mut self, now: Instant, key: usize, member: MemberId, json: Bytes) {
        let endpoint = self.rooms.get(key).and_then(|open| open.stage.members.get(&member)).map(|known| known.endpoint);
        if let Some(key) = endpoint
            && let Some(endpoint) = self.endpoints.get_mut(key)
            && let Some(channel) = endpoint.data.as_ref().and_then(|line| line.any())
            && endpoint.transport.send_message(now, channel, MessageKind::Text, &json).is_ok()
        {
            return self.stale.push(key);
        }
        self.report(now, key, Report::Tell { member, message: ToMember::Written(json) });
    }

    /// Gives data to those members of the stage whom it is for.
    pub(super) fn deliver_data(&mut self, now: Instant, key: usize, copy: &DataCopy) {
        let Some(open) = self.rooms.get(key) else { return };
        let members = &open.stage.members;
        let is_for = |(member, known): &(&MemberId, &super::stage::OnStage)| copy.is_for(member, &known.topics);
        let endpoints: Vec<usize> = match &copy.to {
            Some(to) => {
                let known = to.iter().filter_map(|member| members.get_key_value(member));
                known.filter(is_for).map(|(_, known)| known.endpoint).collect()
            }
            None => members.iter().filter(is_for).map(|(_, known)| known.endpoint).collect(),
        };
        for endpoint in endpoints {
            self.deliver_data_to(now, key, endpoint, copy);
        }
    }

    fn deliver_data_to(&mut self, now: Instant, room: usize, key: usize, copy: &DataCopy) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let offered = match &mut endpoint.data {
            Some(line) => line.offer(now, &mut endpoint.transport, copy.lossy, &copy.frame),
            None => Offered::NoChannel,
        };
        match offered {
            Offered::Sent => {
                self.counters.data_out += 1;
                self.stale.push(key);
            }
            Offered::Queued => self.counters.data_out += 1,
            Offered::NoChannel => {
                let (member, message) = (endpoint.member.clone(), copy.message());
                self.report(now, room, Report::TellData { member, message });
            }
            Offered::Dropped { is_first } => {
                self.counters.data_dropped += 1;
                if is_first {
                    let member = endpoint.member.clone();
                    let message = ToMember::Message(too_slow().into_message(None));
                    self.report(now, room, Report::Tell { member, message });
                }
            }
        }
    }

    /// Gives data to a member over its session.
    pub(super) fn tell_data(&mut self, key: usize, member: &MemberId, message: ToMember) {
        let Some(home) = self.home(key) else { return };
        let is_told = home.tell_data(member, message);
        self.counters.data_out += u64::from(is_told);
        self.counters.data_dropped += u64::from(!is_told);
    }

    /// Has a member follow other topics.
    pub(super) fn change_topics(
        &mut self,
        now: Instant,
        key: usize,
        member: &MemberId,
        unsubscribe: &[String],
        subscribe: Vec<String>,
    ) -> Result<(), Refusal> {
        let Some(data) = self.home(key).and_then(|home| home.data_of(now, member)) else { return Ok(()) };
        let topics = data.topics.changed(unsubscribe, subscribe).map_err(|error| refused_topic(&error))?;
        data.topics = Arc::new(topics);
        let topics = Arc::clone(&data.topics);
        self.command_member(now, key, member, |member| StageCommand::Topics { member, topics });
        Ok(())
    }
}

impl Home {
    fn data_of(&mut self, now: Instant, member: &MemberId) -> Option<&mut MemberData> {
        let presence = self.members.get_mut(member)?;
        Some(presence.data.get_or_insert_with(|| Box::new(MemberData::new(now))))
    }

    /// What a member follows.
    #[must_use]
    pub fn topics_of(&self, member: &MemberId) -> Arc<Topics> {
        let data = self.members.get(member).and_then(|presence| presence.data.as_ref());
        data.map_or_else(Arc::default, |data| Arc::clone(&data.topics))
    }

    /// Checks what a member published, and makes what its receivers get.
    fn stamp(&mut self, now: Instant, post: DataPost) -> Result<DataCopy, Refusal> {
        let DataPost { member, header, payload, lossy } = post;
        let DataHeader { topic, to, id } = header;
        let gone = || Refusal::new(ErrorCode::MemberUnknown, "you are not here any more");
        let data = self.data_of(now, &member).ok_or_else(gone)?;
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if !data.messages.take(now) || !data.bytes.take_many(now, bytes) {
            let message = format!("more than {DATA_PER_SECOND} messages or {DATA_BYTES_PER_SECOND} bytes a second");
            return Err(Refusal::new(ErrorCode::DataRate, message));
        }
        if payload.len() > MAX_DATA_PAYLOAD_BYTES {
            return Err(too_large(payload.len()));
        }
        check_topic(&topic).map_err(|error| refused_topic(&error))?;
        self.room.check_data(&member, &topic).map_err(|error| Refusal::new(ErrorCode::DataForbidden, error))?;
        self.check_receivers(to.as_deref())?;
        let n = match topic.strip_prefix(DOC_PREFIX) {
            Some(name) if !lossy && to.is_none() => {
                Some(self.docs.append(name, &member, payload.clone()).map_err(refused_doc)?)
            }
            Some(_) | None => None,
        };
        let stamp = DataStamp { topic, from: member, id, n };
        let frame = write_frame(&stamp, &payload).into();
        Ok(DataCopy { stamp, to, lossy, payload, frame, json: OnceLock::new() })
    }

    fn check_receivers(&self, to: Option<&[MemberId]>) -> Result<(), Refusal> {
        let Some(to) = to else { return Ok(()) };
        if to.len() > MAX_DATA_RECEIVERS {
            let message = format!("{} receivers are named, {MAX_DATA_RECEIVERS} are allowed", to.len());
            return Err(Refusal::new(ErrorCode::BadData, message));
        }
        if to.iter().any(|member| self.members.contains_key(member)) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::MemberUnknown, "none of those for whom it is are here"))
    }

    /// Gives data to those who have no peer connection; returns for how many it was dropped.
    fn tell_data_to_unconnected(&mut self, copy: &DataCopy) -> u64 {
        let unconnected = self.members.iter().filter(|(_, presence)| presence.shard.is_none());
        let everything = Topics::default();
        let is_for = |(member, presence): &(&MemberId, &super::home::Presence)| {
            copy.is_for(member, presence.data.as_ref().map_or(&everything, |data| &data.topics))
        };
        let receivers: Vec<MemberId> = unconnected.filter(is_for).map(|(member, _)| member.clone()).collect();
        receivers.iter().map(|member| u64::from(!self.tell_data(member, copy.message()))).sum()
    }

    /// Gives data to a member over its session, unless too much waits for that; says whether it did.
    fn tell_data(&mut self, member: &MemberId, message: ToMember) -> bool {
        let Some(presence) = self.members.get_mut(member) else { return false };
        let Some(outbox) = &presence.outbox else { return false };
        if outbox.has_room_for_data() && outbox.try_send(message).is_ok() {
            presence.data_slow &= !outbox.is_nearly_empty();
            return true;
        }
        if !std::mem::replace(&mut presence.data_slow, true) {
            self.say(member, too_slow().into_message(None));
        }
        false
    }

    /// Answers what a member asks of a document.
    pub(super) fn say_doc(
        &mut self,
        now: Instant,
        member: &MemberId,
        id: u32,
        doc: &str,
        after: u64,
    ) -> Result<(), Refusal> {
        self.take_doc_request(now, member)?;
        check_topic(&format!("{DOC_PREFIX}{doc}")).map_err(|error| refused_topic(&error))?;
        pieces(&self.docs, id, doc, after).into_iter().for_each(|message| self.say(member, message));
        Ok(())
    }

    /// Keeps a member's snapshot of a document.
    pub(super) fn put_doc(
        &mut self,
        now: Instant,
        member: &MemberId,
        id: u32,
        doc: &str,
        (up_to, snapshot): (u64, Bytes),
    ) -> Result<(), Refusal> {
        self.take_doc_request(now, member)?;
        let topic = format!("{DOC_PREFIX}{doc}");
        self.room.check_data(member, &topic).map_err(|error| Refusal::new(ErrorCode::DataForbidden, error))?;
        self.docs.put(doc, up_to, snapshot).map_err(refused_doc)?;
        pieces(&self.docs, id, doc, u64::MAX).into_iter().for_each(|message| self.say(member, message));
        Ok(())
    }

    fn take_doc_request(&mut self, now: Instant, member: &MemberId) -> Result<(), Refusal> {
        if self.data_of(now, member).is_some_and(|data| data.documents.take(now)) {
            return Ok(());
        }
        let message = format!("more than {DOC_REQUESTS_PER_SECOND} questions for documents a second");
        Err(Refusal::new(ErrorCode::DataRate, message))
    }
}

/// Reads a message of a data channel; what is refused has the number that the client gave it, where that can be read.
fn read_post(
    member: MemberId,
    lossy: bool,
    kind: MessageKind,
    data: &Bytes,
) -> Result<DataPost, (Refusal, Option<u32>)> {
    if kind == MessageKind::Text {
        return Err((Refusal::new(ErrorCode::BadData, "this channel carries binary frames"), None));
    }
    let (json, payload) = parse_frame(data).map_err(|error| {
        let code = match error {
            FrameError::TooLarge { .. } => ErrorCode::DataTooLarge,
            _ => ErrorCode::BadData,
        };
        (Refusal::new(code, error), id_of(data))
    })?;
    let header = serde_json::from_slice(json).map_err(|error| (Refusal::new(ErrorCode::BadData, error), None))?;
    Ok(DataPost { member, header, payload: data.slice_ref(payload), lossy })
}

/// The number of a frame that is too large, if its header can be read.
fn id_of(frame: &[u8]) -> Option<u32> {
    let [_, high, low, rest @ ..] = frame else { return None };
    let header = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))?;
    serde_json::from_slice::<DataHeader>(header).ok()?.id
}

/// What is kept of a document behind an update, in messages.
fn pieces(docs: &Docs, id: u32, name: &str, after: u64) -> Vec<ServerMessage> {
    let doc = docs.of(name);
    let last = doc.map_or(0, |doc| doc.last());
    let mut pieces: Vec<(Option<DocSnapshot>, Vec<DocUpdate>)> = Vec::new();
    let mut filled = usize::MAX;
    if let Some((snapshot, updates)) = doc.map(|doc| doc.since(after)) {
        if let Some((up_to, bytes)) = snapshot {
            filled = bytes.len();
            pieces.push((Some(DocSnapshot { up_to: *up_to, payload: STANDARD.encode(bytes) }), Vec::new()));
        }
        for update in updates {
            let written =
                DocUpdate { n: update.n, from: update.from.clone(), payload: STANDARD.encode(&update.payload) };
            filled = filled.saturating_add(update.payload.len());
            match pieces.last_mut() {
                Some((_, updates)) if filled <= DOC_PIECE_BYTES => updates.push(written),
                Some(_) | None => {
                    filled = update.payload.len();
                    pieces.push((None, vec![written]));
                }
            }
        }
    }
    if pieces.is_empty() {
        pieces.push((None, Vec::new()));
    }
    let count = pieces.len();
    let message = |(i, (snapshot, updates))| {
        let (doc, complete) = (name.to_owned(), i + 1 == count);
        ServerMessage::Doc { id, doc, snapshot, updates, last, complete }
    };
    pieces.into_iter().enumerate().map(message).collect()
}

fn too_large(bytes: usize) -> Refusal {
    let message = format!("the payload has {bytes} bytes, {MAX_DATA_PAYLOAD_BYTES} are allowed");
    Refusal::new(ErrorCode::DataTooLarge, message)
}

fn too_slow() -> Refusal {
    Refusal::new(ErrorCode::DataSlow, "data came faster than you read it, and some of it was dropped")
}

fn refused_topic(error: &TopicError) -> Refusal {
    Refusal::new(error.code(), error)
}

fn refused_doc(error: DocError) -> Refusal {
    Refusal::new(error.code(), error)
}
