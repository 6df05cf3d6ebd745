//! The peer connection: own tracks, seats, the chat channel, and counting what arrives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roundtable_protocol::event::{MediaKind, TrackSource};
use roundtable_protocol::message::PublishRequest;
use roundtable_protocol::{CHAT_CHANNEL_LABEL, ClientMessage, MemberId, ServerMessage};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8};
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::error::Error;
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCPeerConnectionState, RTCSessionDescription, Registry, register_default_interceptors,
};
use webrtc::rtp_transceiver::RtpTransceiver;

use crate::synthetic::{VideoShape, audio_packet, mark, read_mark, video_frame};
use crate::{ANSWER_TIME, ClientError, lock};

const VP8_PAYLOAD_TYPE: u8 = 96;
const VP8_RTX_PAYLOAD_TYPE: u8 = 97;
const OPUS_PAYLOAD_TYPE: u8 = 111;
/// Time of one Opus packet, and its length on the 48 kHz clock.
const OPUS_INTERVAL: Duration = Duration::from_millis(20);
const OPUS_STEP: u32 = 960;

/// What came with one publisher's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// When the last one came.
    pub last: Instant,
    /// The longest time without one between the first and the last.
    pub longest_gap: Duration,
    /// The slot the last one came on, by SSRC.
    pub ssrc: u32,
}

/// Continuity of one slot's numbering, as a receiver sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SlotNumbers {
    last: Option<u16>,
    missing: u64,
}

#[derive(Debug, Default)]
struct Counters {
    marks: Mutex<HashMap<u64, Received>>,
    slots: Mutex<HashMap<u32, SlotNumbers>>,
}

impl Counters {
    fn count(&self, packet: &rtp::Packet) {
        let header = &packet.header;
        let mut slots = lock(&self.slots);
        let numbers = slots.entry(header.ssrc).or_default();
        let step = numbers.last.map_or(1, |last| header.sequence_number.wrapping_sub(last));
        if (1..0x8000).contains(&step) {
            numbers.missing += u64::from(step - 1);
            numbers.last = Some(header.sequence_number);
        } else if step != 0 {
            numbers.missing = numbers.missing.saturating_sub(1);
        }
        drop(slots);
        let Some(mark) = read_mark(&packet.payload) else { return };
        let now = Instant::now();
        let mut marks = lock(&self.marks);
        let received = marks.entry(mark).or_insert(Received {
            packets: 0,
            bytes: 0,
            last: now,
            longest_gap: Duration::ZERO,
            ssrc: header.ssrc,
        });
        received.packets += 1;
        received.bytes += packet.payload.len() as u64;
        received.longest_gap = received.longest_gap.max(now - received.last);
        received.last = now;
        received.ssrc = header.ssrc;
    }
}

/// An own track.
struct Uplink {
    source: TrackSource,
    transceiver: Arc<dyn RtpTransceiver>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    published: bool,
    sending: Option<JoinHandle<()>>,
}

/// The media half of a client.
pub struct Media {
    member: MemberId,
    shape: VideoShape,
    connection: Arc<dyn PeerConnection>,
    chat: Arc<dyn DataChannel>,
    chat_open: Arc<AtomicBool>,
    uplinks: Mutex<Vec<Uplink>>,
    seats: Mutex<u16>,
    counters: Arc<Counters>,
    state: watch::Receiver<RTCPeerConnectionState>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("member", &self.member).finish_non_exhaustive()
    }
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    counters: Arc<Counters>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let counters = self.counters.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    counters.count(&packet);
                }
            }
        });
    }
}

impl Media {
    /// A peer connection on loopback with the chat channel and nothing else.
    pub(crate) async fn new(
        member: MemberId,
        shape: VideoShape,
        chat_messages: mpsc::Sender<ServerMessage>,
    ) -> Result<Self, ClientError> {
        let mut engine = MediaEngine::default();
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: opus(), payload_type: OPUS_PAYLOAD_TYPE },
            RtpCodecKind::Audio,
        )?;
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: vp8(), payload_type: VP8_PAYLOAD_TYPE },
            RtpCodecKind::Video,
        )?;
        let rtx = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format!("apt={VP8_PAYLOAD_TYPE}"),
            rtcp_feedback: vec![],
        };
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: rtx, payload_type: VP8_RTX_PAYLOAD_TYPE },
            RtpCodecKind::Video,
        )?;
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let counters = Arc::new(Counters::default());
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(RTCConfigurationBuilder::new().build())
                .with_media_engine(engine)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(Handler { state: state_sender, counters: counters.clone() }))
                .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
                .build()
                .await?,
        );
        let chat = connection.create_data_channel(CHAT_CHANNEL_LABEL, None).await?;
        let chat_open = Arc::new(AtomicBool::new(false));
        tokio::spawn(listen(chat.clone(), chat_open.clone(), chat_messages));
        Ok(Self {
            member,
            shape,
            connection,
            chat,
            chat_open,
            uplinks: Mutex::default(),
            seats: Mutex::new(0),
            counters,
            state,
        })
    }

    /// Adds receiving pairs until there are `seats`.
    pub(crate) async fn add_seats(&self, seats: u16) -> Result<(), ClientError> {
        let more = seats.saturating_sub(*lock(&self.seats));
        for _ in 0..more {
            for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
                let init = RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Recvonly,
                    streams: vec![],
                    send_encodings: vec![],
                };
                self.connection.add_transceiver_from_kind(kind, Some(init)).await?;
            }
            *lock(&self.seats) += 1;
        }
        Ok(())
    }

    /// Adds an own track, or takes up again one that was stopped.
    pub(crate) async fn add_track(&self, source: TrackSource) -> Result<(), ClientError> {
        {
            let mut uplinks = lock(&self.uplinks);
            if let Some(uplink) = uplinks.iter_mut().find(|u| u.source == source) {
                uplink.published = true;
                return Ok(());
            }
        }
        let ssrc = mark(&self.member, source) as u32 | 1;
        let (kind, codec) = match source.kind() {
            MediaKind::Audio => (RtpCodecKind::Audio, opus()),
            MediaKind::Video => (RtpCodecKind::Video, vp8()),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec,
            ..Default::default()
        };
        let name = format!("{source:?}");
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            format!("stream-{name}"),
            format!("track-{name}"),
            name,
            kind,
            vec![encoding],
        )));
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            streams: vec![],
            send_encodings: vec![],
        };
        let transceiver =
            self.connection.add_transceiver_from_track(track.clone() as Arc<dyn TrackLocal>, Some(init)).await?;
        lock(&self.uplinks).push(Uplink { source, transceiver, track, ssrc, published: true, sending: None });
        Ok(())
    }

    /// Makes an offer and applies it locally.
    pub(crate) async fn create_offer(&self) -> Result<String, ClientError> {
        let offer = self.connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Applies the server's answer.
    pub(crate) async fn set_answer(&self, sdp: String) -> Result<(), ClientError> {
        Ok(self.connection.set_remote_description(RTCSessionDescription::answer(sdp)?).await?)
    }

    /// The published tracks by m-line; only lines of an offer that has been applied locally have a name.
    pub(crate) async fn tracks(&self) -> Result<Vec<PublishRequest>, ClientError> {
        let uplinks: Vec<_> =
            lock(&self.uplinks).iter().filter(|u| u.published).map(|u| (u.source, u.transceiver.clone())).collect();
        let mut tracks = Vec::new();
        for (source, transceiver) in uplinks {
            if let Some(mid) = transceiver.mid().await? {
                tracks.push(PublishRequest { mid, source, muted: false });
            }
        }
        Ok(tracks)
    }

    /// The m-line of an own track.
    pub(crate) async fn mid_of(&self, source: TrackSource) -> Option<String> {
        let transceiver = lock(&self.uplinks).iter().find(|u| u.source == source)?.transceiver.clone();
        transceiver.mid().await.ok()?
    }

    /// Stops sending an own track; returns its m-line.
    pub(crate) async fn stop_track(&self, source: TrackSource) -> Option<String> {
        if let Some(uplink) = lock(&self.uplinks).iter_mut().find(|u| u.source == source) {
            uplink.published = false;
            if let Some(task) = uplink.sending.take() {
                task.abort();
            }
        }
        self.mid_of(source).await
    }

    /// Lets the packets of all published tracks flow.
    pub(crate) fn start_sending(&self) {
        for uplink in lock(&self.uplinks).iter_mut().filter(|u| u.published && u.sending.is_none()) {
            let mark = mark(&self.member, uplink.source);
            let (track, ssrc) = (uplink.track.clone(), uplink.ssrc);
            uplink.sending = Some(match uplink.source.kind() {
                MediaKind::Audio => tokio::spawn(send_audio(track, ssrc, mark)),
                MediaKind::Video => tokio::spawn(send_video(track, ssrc, mark, self.shape)),
            });
        }
    }

    /// Sends over the chat channel; says whether that was possible.
    pub(crate) async fn send_chat(&self, message: &ClientMessage) -> bool {
        let Ok(text) = serde_json::to_string(message) else { return false };
        self.chat_open.load(Ordering::Acquire) && self.chat.send_text(&text).await.is_ok()
    }

    /// Waits for the media connection.
    pub(crate) async fn connected(&self) -> Result<(), ClientError> {
        let mut state = self.state.clone();
        let connected = state.wait_for(|s| *s == RTCPeerConnectionState::Connected);
        match tokio::time::timeout(ANSWER_TIME, connected).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ClientError::Ended),
            Err(_) => Err(ClientError::Timeout),
        }
    }

    pub(crate) fn received(&self) -> HashMap<u64, Received> {
        lock(&self.counters.marks).clone()
    }

    /// Ends everything.
    pub(crate) async fn close(&self) {
        for uplink in lock(&self.uplinks).iter_mut() {
            if let Some(task) = uplink.sending.take() {
                task.abort();
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "the peer connection did not close in good order");
        }
    }
}

async fn listen(chat: Arc<dyn DataChannel>, open: Arc<AtomicBool>, messages: mpsc::Sender<ServerMessage>) {
    while let Some(event) = chat.poll().await {
        match event {
            DataChannelEvent::OnOpen => open.store(true, Ordering::Release),
            DataChannelEvent::OnClosing | DataChannelEvent::OnClose => open.store(false, Ordering::Release),
            DataChannelEvent::OnMessage(message) => {
                let Ok(message) = serde_json::from_slice(&message.data) else { continue };
                if messages.send(message).await.is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}

async fn send_audio(track: Arc<TrackLocalStaticRTP>, ssrc: u32, mark: u64) {
    let mut sender = Sender { track, ssrc, payload_type: OPUS_PAYLOAD_TYPE, sequence: 0, timestamp: 0 };
    let payload = audio_packet(mark);
    let mut tick = tokio::time::interval(OPUS_INTERVAL);
    loop {
        tick.tick().await;
        if sender.send(payload.marker, payload.bytes.clone()).await.is_err() {
            return;
        }
        sender.timestamp = sender.timestamp.wrapping_add(OPUS_STEP);
    }
}

async fn send_video(track: Arc<TrackLocalStaticRTP>, ssrc: u32, mark: u64, shape: VideoShape) {
    let mut sender = Sender { track, ssrc, payload_type: VP8_PAYLOAD_TYPE, sequence: 0, timestamp: 0 };
    let mut tick = tokio::time::interval(shape.interval());
    let mut frame = 0;
    loop {
        tick.tick().await;
        for payload in video_frame(&shape, mark, frame) {
            if sender.send(payload.marker, payload.bytes).await.is_err() {
                return;
            }
        }
        frame += 1;
        sender.timestamp = sender.timestamp.wrapping_add(90_000 / shape.frames_per_second.max(1));
    }
}

struct Sender {
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    async fn send(&mut self, marker: bool, payload: bytes::Bytes) -> Result<(), Error> {
        let header = rtp::Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.track.write_rtp(rtp::Packet { header, payload }).await
    }
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    }
}

fn vp8() -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    RTCRtpCodec {
        mime_type: MIME_TYPE_VP8.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: String::new(),
        rtcp_feedback: vec![feedback("ccm", "fir"), feedback("nack", ""), feedback("nack", "pli")],
    }
}
