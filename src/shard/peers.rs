//! Peer connections of members, and what the stage of a room does with them.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use roundtable_media::PeerKey;
use roundtable_protocol::{CHAT_CHANNEL_LABEL, ClientMessage, ErrorCode, MemberId, ServerMessage};
use roundtable_transport::path::IceCredentials;
use roundtable_transport::peer::{MessageKind, Peer, PeerConfig, RemoteParameters};
use roundtable_transport::sdp::{Answer, AnswerSession, Offer};

use super::arena::Queue;
use super::core::{Core, clocks, random, random_u64};
use super::endpoint::Endpoint;
use super::inbox::ToMember;
use super::letter::{Answered, MemberOffer, Report, StageCommand};
use super::negotiate::{Negotiation, Plan};
use super::quality;
use super::stage::OnStage;
use crate::room::check_allowance;

/// What is refused: the stable word and a sentence.
pub(super) struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, why: impl std::fmt::Display) -> Self {
        Self { code, message: why.to_string() }
    }

    pub(super) fn into_message(self, id: Option<u32>) -> ServerMessage {
        ServerMessage::Error { id, code: self.code, message: self.message, fatal: false, retry_after_ms: None }
    }
}

impl Core {
    /// Does what the home of a room wants of its stage here.
    pub(super) fn obey(&mut self, now: Instant, key: usize, command: StageCommand) {
        let Some(open) = self.rooms.get_mut(key) else { return };
        let stage = &mut open.stage;
        match command {
            // Letters of that kind make and end stages; the home's own one lives as long as the home.
            StageCommand::Open { .. } | StageCommand::Close => {}
            StageCommand::Leave { to } => self.departing.push((open.life, to)),
            StageCommand::Offer(offer) => self.handle_offer(now, key, *offer),
            StageCommand::Unpublish { member, tracks } => {
                for track in tracks {
                    let Some(open) = self.rooms.get_mut(key) else { return };
                    let Some(mid) = open.stage.free_line(&member, &track) else { continue };
                    let endpoint = open.stage.members.get(&member).map(|on_stage| on_stage.endpoint);
                    if let Some(endpoint) = endpoint.and_then(|endpoint| self.endpoints.get_mut(endpoint)) {
                        endpoint.negotiation.unpublished(&mid);
                    }
                }
            }
            StageCommand::Remove { member } => {
                if let Some(on_stage) = stage.remove(&member) {
                    self.remove_endpoint(now, on_stage.endpoint);
                }
            }
            StageCommand::Park { member, number } => self.park(now, key, &member, number),
            StageCommand::Adopt(adoption) => self.adopt(now, key, *adoption),
            StageCommand::Assign { member, assignment, hints } => {
                if let Some(report) = stage.assign(now.into(), member, &assignment, hints) {
                    self.report(now, key, report);
                }
            }
            StageCommand::Look { member, mid, hints } => stage.look(now.into(), &member, &mid, hints),
            StageCommand::Limit { member, limits } => {
                if let Some(on_stage) = stage.members.get_mut(&member) {
                    on_stage.limits = limits;
                    stage.plane.set_limits(now.into(), on_stage.peer, quality::peer_limits(&limits));
                }
            }
            StageCommand::Hear { member, hears } => stage.hear(now.into(), &member, hears),
            StageCommand::Audible { member, track, audible } => stage.set_audible(now.into(), &member, &track, audible),
            StageCommand::Deliver { member, json } => {
                let endpoint = stage.members.get(&member).map(|on_stage| on_stage.endpoint);
                self.deliver_on_channel(now, key, (member, endpoint), json);
            }
            StageCommand::Chat(chat) => {
                let members = stage.members.iter().map(|(member, on_stage)| (member.clone(), Some(on_stage.endpoint)));
                for (member, endpoint) in members.collect::<Vec<_>>() {
                    let json = chat.of(&member).clone();
                    self.deliver_on_channel(now, key, (member, endpoint), json);
                }
            }
            StageCommand::Data(copy) => self.deliver_data(now, key, &copy),
            StageCommand::RefuseData { member, json } => self.deliver_refusal(now, key, member, json),
            StageCommand::Topics { member, topics } => {
                if let Some(on_stage) = stage.members.get_mut(&member) {
                    on_stage.topics = topics;
                }
            }
            StageCommand::Stats { member, id } => {
                if let Some(stats) = stage.member_stats(clocks(now), &member).map(Box::new) {
                    let message = ToMember::Message(ServerMessage::Stats { id, stats });
                    self.report(now, key, Report::Tell { member, message });
                }
            }
            StageCommand::Relay(publication) => {
                let told = stage.relay(now.into(), *publication);
                self.pass_on(now, key, told);
            }
            StageCommand::Pause { track, paused } => {
                if let Some(track) = stage.key(&track) {
                    stage.plane.set_track_paused(now.into(), track, paused);
                }
            }
            StageCommand::Rank { track, class, spoke } => {
                if let Some(track) = stage.key(&track) {
                    stage.plane.set_track_class(now.into(), track, class, spoke);
                }
            }
            StageCommand::Drop { track } => stage.drop_track(now.into(), &track),
        }
    }

    fn handle_offer(&mut self, now: Instant, key: usize, offer: MemberOffer) {
        let (member, id) = (offer.member.clone(), offer.id);
        let report = match self.offer(now, key, offer) {
            Ok(answered) => Report::Answered(Box::new(answered)),
            Err(refusal) => Report::Tell { member, message: ToMember::Message(refusal.into_message(Some(id))) },
        };
        self.report(now, key, report);
    }

    /// Answers an offer, or refuses it and changes nothing.
    fn offer(&mut self, now: Instant, key: usize, offer: MemberOffer) -> Result<Answered, Refusal> {
        let open = self.rooms.get(key).ok_or_else(|| Refusal::new(ErrorCode::Internal, "the room is gone"))?;
        let known = open.stage.members.get(&offer.member).map(|on_stage| on_stage.endpoint);
        let known = known.and_then(|endpoint| Some((endpoint, &self.endpoints.get(endpoint)?.negotiation)));
        let first = known.is_none().then(|| {
            // Far from wrapping, and never 0.
            let first_ssrc = (random_u64() as u32 & 0x7fff_ffff) | 0x1000;
            Negotiation::new(random_u64(), first_ssrc, offer.member.to_string())
        });
        let gone = || Refusal::new(ErrorCode::Internal, "the member is gone");
        let negotiation = first.as_ref().or(known.map(|(_, negotiation)| negotiation)).ok_or_else(gone)?;
        let plan = negotiation.plan(&offer.offer, &offer.requests).map_err(|e| Refusal::new(e.code(), e))?;
        let sources: Vec<_> = plan.publish.iter().map(|track| track.source).collect();
        check_allowance(&offer.allowance, &sources).map_err(|e| Refusal::new(e.code(), e))?;
        let endpoint = match (first, known.map(|(endpoint, _)| endpoint)) {
            (Some(negotiation), _) => self.connect(now, key, &offer, negotiation),
            (None, Some(endpoint)) => {
                self.set_remote(now, endpoint, &offer.offer)?;
                endpoint
            }
            (None, None) => return Err(gone()),
        };
        Ok(self.answer(now, key, endpoint, offer, plan))
    }

    /// Makes the peer connection of a member.
    fn connect(&mut self, now: Instant, room: usize, offer: &MemberOffer, negotiation: Negotiation) -> usize {
        let local = credentials(self.shard);
        let ufrag = local.ufrag.clone();
        let config = PeerConfig { identity: self.identity.clone(), local, remote: remote_of(&offer.offer) };
        let transport = Peer::new(now, config);
        // INVARIANT: the caller has just looked the room up.
        let stage = &mut self.rooms[room].stage;
        let peer: PeerKey = stage.plane.add_peer(now.into());
        stage.plane.set_limits(now.into(), peer, quality::peer_limits(&offer.limits));
        let member = offer.member.clone();
        let key = self.endpoints.insert(Box::new(Endpoint {
            transport,
            queue: Queue::default(),
            path: None,
            dirty: false,
            ready: false,
            plane: peer,
            room,
            member: member.clone(),
            chat: None,
            data: None,
            negotiation,
            paths: Vec::new(),
            ufrags: vec![ufrag.clone()],
            scheduled: None,
        }));
        stage.set_peer(peer, Some(key));
        let (limits, topics, connection) = (offer.limits, offer.topics.clone(), offer.connection);
        let (tracks, slots, voices) = (Vec::new(), HashMap::new(), Vec::new());
        let on_stage = OnStage { endpoint: key, connection, peer, tracks, slots, voices, limits, topics };
        stage.members.insert(member, on_stage);
        self.demux.add_ufrag(ufrag, key);
        self.stale.push(key);
        key
    }

    /// Follows a later offer: the same transport, or an ICE restart.
    fn set_remote(&mut self, now: Instant, key: usize, offer: &Offer) -> Result<(), Refusal> {
        // INVARIANT: the caller took the key from the member's place on the stage.
        let endpoint = &mut self.endpoints[key];
        let restart = endpoint
            .transport
            .set_remote(now, &remote_of(offer), credentials(self.shard))
            .map_err(|e| Refusal::new(ErrorCode::SdpChanged, e))?;
        if restart == roundtable_transport::peer::Restart::Restarted {
            let ufrag = endpoint.transport.local_credentials().ufrag.clone();
            // Of several restarts in a row only the last can still be answered.
            let abandoned = (endpoint.ufrags.len() > 1).then(|| endpoint.ufrags.remove(1));
            endpoint.ufrags.push(ufrag.clone());
            self.demux.add_ufrag(ufrag, key);
            if let Some(abandoned) = abandoned {
                self.remove_ufrag(&abandoned, key);
            }
        }
        self.stale.push(key);
        Ok(())
    }

    /// Does what the plan says and answers.
    fn answer(&mut self, now: Instant, key: usize, endpoint_key: usize, offer: MemberOffer, plan: Plan) -> Answered {
        let MemberOffer { member, connection, id, offer, reserved, may_subscribe, .. } = offer;
        // INVARIANT: the caller has just made or looked up both.
        let endpoint = &mut self.endpoints[endpoint_key];
        let stage = &mut self.rooms[key].stage;
        let (session_id, version) = endpoint.negotiation.commit(&plan);
        let session = AnswerSession {
            ice: endpoint.transport.local_credentials(),
            fingerprint: &self.identity.fingerprint(),
            candidates: &self.candidates,
            session_id,
            version,
        };
        let sdp = Answer::new(&offer, session, &plan.answer);
        let ended = plan.unpublish.iter().filter_map(|mid| stage.end_track(&member, mid)).collect();
        // There is an id for each request, and no track without one.
        let begun = plan.publish.into_iter().zip(reserved);
        let begun = begun.filter_map(|(track, id)| stage.begin_track(now.into(), &member, id, track)).collect();
        for slot in plan.slots {
            let is_alone = |(audio, video): &(Option<String>, Option<String>)| {
                video.is_none() && audio.as_ref() == Some(&slot.mid)
            };
            let is_voice = plan.seats.iter().any(is_alone);
            stage.begin_slot(now.into(), &member, slot, is_voice, may_subscribe);
        }
        let tracks = stage.published(&member);
        Answered { member, connection, id, sdp, tracks, begun, ended, seats: plan.seats }
    }

    pub(super) fn channel_opened(&mut self, key: usize, id: u16, label: &str) {
        if let Some(endpoint) = self.endpoints.get_mut(key)
            && label == CHAT_CHANNEL_LABEL
            && endpoint.chat.is_none()
        {
            endpoint.chat = Some(id);
        }
        self.data_channel_opened(key, id, label);
    }

    /// A message on the chat channel: the same JSON as on the WebSocket, but chat only.
    pub(super) fn chat_message(&mut self, now: Instant, key: usize, channel: u16, data: &[u8]) {
        let Some((room, member)) = self.endpoints.get(key).map(|e| (e.room, e.member.clone())) else { return };
        let refusal = match serde_json::from_slice::<ClientMessage>(data) {
            Ok(ClientMessage::Chat { nonce, text, to }) => {
                self.report(now, room, Report::Chat { member, nonce, text, to });
                return self.look_after(now, room);
            }
            Ok(_) => Refusal::new(ErrorCode::OutOfOrder, "the chat channel carries chat only"),
            Err(error) => Refusal::new(ErrorCode::BadMessage, error),
        };
        if let Ok(json) = serde_json::to_vec(&refusal.into_message(None))
            && let Some(endpoint) = self.endpoints.get_mut(key)
        {
            // A writer whose channel is full of answers it does not read does not get this one either.
            let _ = endpoint.transport.send_message(now, channel, MessageKind::Text, &json);
        }
        self.stale.push(key);
    }

    /// Gives a member a message over its channel, or through its session where that is missing or full.
    fn deliver_on_channel(
        &mut self,
        now: Instant,
        key: usize,
        (member, endpoint): (MemberId, Option<usize>),
        json: Bytes,
    ) {
        if let Some(key) = endpoint
            && let Some(endpoint) = self.endpoints.get_mut(key)
            && let Some(channel) = endpoint.chat
            && endpoint.transport.send_message(now, channel, MessageKind::Text, &json).is_ok()
        {
            return self.stale.push(key);
        }
        self.report(now, key, Report::Tell { member, message: ToMember::Written(json) });
    }
}

fn remote_of(offer: &Offer) -> RemoteParameters {
    RemoteParameters { ice: offer.ice.clone(), fingerprint: offer.fingerprint }
}

/// Fresh ICE credentials: 48 random bits behind the number of the shard in the ufrag, 144 in the password
/// (RFC 8445 §5.3 asks for 24 and 128).
fn credentials(shard: u8) -> IceCredentials {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect::<String>();
    IceCredentials { ufrag: format!("{shard:02x}{}", text(&random::<8>())), pwd: text(&random::<24>()) }
}
