//! The peer connection: own tracks, seats, the chat channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use roundtable_protocol::event::{MediaKind, TrackSource};
use roundtable_protocol::message::PublishRequest;
use roundtable_protocol::{CHAT_CHANNEL_LABEL, ClientMessage, MemberId, ServerMessage};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8};
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCPeerConnectionState, RTCSessionDescription, Registry, register_default_interceptors,
};
use webrtc::rtp_transceiver::RtpTransceiver;

use crate::counters::Counters;
use crate::data::DataWays;
use crate::options::Options;
use crate::sender::{Source, send_audio, send_video};
use crate::synthetic::{AudioShape, VideoShape, mark};
use crate::{ANSWER_TIME, ClientError, lock};

const VP8_PAYLOAD_TYPE: u8 = 96;
const VP8_RTX_PAYLOAD_TYPE: u8 = 97;
const OPUS_PAYLOAD_TYPE: u8 = 111;
/// The level of a packet's sound (RFC 6464).
const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// An own track.
struct Uplink {
    what: TrackSource,
    transceiver: Arc<dyn RtpTransceiver>,
    source: Source,
    published: bool,
    sending: Option<JoinHandle<()>>,
}

/// What comes over the chat channel, for one task at a time.
pub(crate) type ChatMessages = Arc<tokio::sync::Mutex<mpsc::Receiver<ServerMessage>>>;

/// The chat channel.
#[derive(Clone)]
struct Chat {
    channel: Arc<dyn DataChannel>,
    open: Arc<AtomicBool>,
    incoming: ChatMessages,
}

impl Chat {
    async fn begin(connection: &dyn PeerConnection) -> Result<Self, ClientError> {
        let channel = connection.create_data_channel(CHAT_CHANNEL_LABEL, None).await?;
        let open = Arc::new(AtomicBool::new(false));
        let (messages, incoming) = mpsc::channel(256);
        tokio::spawn(listen(channel.clone(), open.clone(), messages));
        Ok(Self { channel, open, incoming: Arc::new(tokio::sync::Mutex::new(incoming)) })
    }
}

/// The media half of a client.
pub(crate) struct Media {
    member: MemberId,
    audio: AudioShape,
    video: VideoShape,
    connection: Arc<dyn PeerConnection>,
    chat: Mutex<Chat>,
    data: Mutex<Arc<DataWays>>,
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
    pub(crate) async fn new(member: MemberId, options: &Options) -> Result<Self, ClientError> {
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
        if options.audio.level.is_some() {
            let uri = AUDIO_LEVEL_URI.to_owned();
            engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri }, RtpCodecKind::Audio, None)?;
        }
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let largest = SctpMaxMessageSize::Bounded(options.max_message_bytes);
        let settings = SettingEngineBuilder::new().with_sctp_max_message_size(largest).build();
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let counters = Arc::new(Counters::default());
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(RTCConfigurationBuilder::new().build())
                .with_media_engine(engine)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(Handler { state: state_sender, counters: counters.clone() }))
                .with_setting_engine(settings)
                .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
                .build()
                .await?,
        );
        let chat = Mutex::new(Chat::begin(&*connection).await?);
        let data = Mutex::new(Arc::new(DataWays::new(&*connection).await?));
        Ok(Self {
            member,
            audio: options.audio,
            video: options.video,
            connection,
            chat,
            data,
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
            self.add_slot(RtpCodecKind::Audio).await?;
            self.add_slot(RtpCodecKind::Video).await?;
            *lock(&self.seats) += 1;
        }
        Ok(())
    }

    /// Adds voice slots: receiving lines of sound alone.
    pub(crate) async fn add_voice_slots(&self, slots: u16) -> Result<(), ClientError> {
        for _ in 0..slots {
            self.add_slot(RtpCodecKind::Audio).await?;
        }
        Ok(())
    }

    async fn add_slot(&self, kind: RtpCodecKind) -> Result<(), ClientError> {
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: vec![],
            send_encodings: vec![],
        };
        self.connection.add_transceiver_from_kind(kind, Some(init)).await?;
        Ok(())
    }

    /// Adds an own track, or takes up again one that was stopped.
    pub(crate) async fn add_track(&self, source: TrackSource) -> Result<(), ClientError> {
        {
            let mut uplinks = lock(&self.uplinks);
            if let Some(uplink) = uplinks.iter_mut().find(|u| u.what == source) {
                uplink.published = true;
                return Ok(());
            }
        }
        let mark = mark(&self.member, source);
        // Any number will do that differs from the member's other ones.
        let ssrc = mark as u32 | 1;
        let (kind, codec, payload_type) = match source.kind() {
            MediaKind::Audio => (RtpCodecKind::Audio, opus(), OPUS_PAYLOAD_TYPE),
            MediaKind::Video => (RtpCodecKind::Video, vp8(), VP8_PAYLOAD_TYPE),
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
        let packets = Source { track, ssrc, payload_type, mark, sent: Arc::default(), timestamp: Arc::default() };
        lock(&self.uplinks).push(Uplink { what: source, transceiver, source: packets, published: true, sending: None });
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
            lock(&self.uplinks).iter().filter(|u| u.published).map(|u| (u.what, u.transceiver.clone())).collect();
        let mut tracks = Vec::new();
        for (source, transceiver) in uplinks {
            if let Some(mid) = transceiver.mid().await? {
                tracks.push(PublishRequest { mid, source, muted: false, track: None });
            }
        }
        Ok(tracks)
    }

    /// The m-line of an own track.
    pub(crate) async fn mid_of(&self, source: TrackSource) -> Option<String> {
        let transceiver = lock(&self.uplinks).iter().find(|u| u.what == source)?.transceiver.clone();
        transceiver.mid().await.ok()?
    }

    /// Stops sending an own track; returns its m-line.
    pub(crate) async fn stop_track(&self, source: TrackSource) -> Option<String> {
        if let Some(uplink) = lock(&self.uplinks).iter_mut().find(|u| u.what == source) {
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
            let source = uplink.source.clone();
            uplink.sending = Some(match uplink.what.kind() {
                MediaKind::Audio => tokio::spawn(send_audio(source, self.audio)),
                MediaKind::Video => tokio::spawn(send_video(source, self.video)),
            });
        }
    }

    /// Packets sent of an own source.
    pub(crate) fn sent(&self, source: TrackSource) -> u32 {
        let uplinks = lock(&self.uplinks);
        uplinks.iter().find(|u| u.what == source).map_or(0, |u| u.source.sent.load(Ordering::Relaxed))
    }

    /// Lets the next offer carry new ICE credentials.
    pub(crate) async fn restart_ice(&self) -> Result<(), ClientError> {
        Ok(self.connection.restart_ice().await?)
    }

    /// What comes over the chat channel.
    pub(crate) fn chat_messages(&self) -> ChatMessages {
        lock(&self.chat).incoming.clone()
    }

    /// What is published.
    pub(crate) fn published(&self) -> Vec<TrackSource> {
        lock(&self.uplinks).iter().filter(|uplink| uplink.published).map(|uplink| uplink.what).collect()
    }

    /// Whether the chat channel is open.
    pub(crate) fn chat_is_open(&self) -> bool {
        lock(&self.chat).open.load(Ordering::Acquire)
    }

    /// Sends over the chat channel; says whether that was possible.
    pub(crate) async fn send_chat(&self, message: &ClientMessage) -> bool {
        let Ok(text) = serde_json::to_string(message) else { return false };
        let Chat { channel, open, .. } = lock(&self.chat).clone();
        open.load(Ordering::Acquire) && channel.send_text(&text).await.is_ok()
    }

    /// The channels for data.
    pub(crate) fn data(&self) -> Arc<DataWays> {
        lock(&self.data).clone()
    }

    /// Opens other channels in place of those there are.
    pub(crate) async fn reopen_channels(&self) -> Result<(), ClientError> {
        // The new ones first: a number is not free before both ends know that its channel is closed.
        let (chat, data) = (Chat::begin(&*self.connection).await?, DataWays::new(&*self.connection).await?);
        let chat = std::mem::replace(&mut *lock(&self.chat), chat);
        let data = std::mem::replace(&mut *lock(&self.data), Arc::new(data));
        chat.channel.close().await?;
        data.close().await
    }

    /// What identifies the connection: the certificate of the server, and the pair of addresses in use.
    pub(crate) async fn path(&self) -> String {
        let description = self.connection.remote_description().await;
        let sdp = description.map(|description| description.sdp).unwrap_or_default();
        let told = ["a=fingerprint:", "a=ice-ufrag:"].map(|name| sdp.lines().find(|line| line.starts_with(name)));
        told.map(Option::unwrap_or_default).join(" ")
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

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Stops sending all own tracks.
    pub(crate) fn silence(&self) {
        for uplink in lock(&self.uplinks).iter_mut() {
            if let Some(task) = uplink.sending.take() {
                task.abort();
            }
        }
    }

    /// Ends everything.
    pub(crate) async fn close(&self) {
        self.silence();
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
