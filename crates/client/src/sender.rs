//! Sends the synthetic packets of one own track.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rtc::rtp;
use rtc::rtp::extension::HeaderExtension;
use rtc::rtp::extension::audio_level_extension::AudioLevelExtension;
use webrtc::error::Error;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use crate::synthetic::{AudioShape, Payload, Stamp, VideoShape, audio_packet, now_us, video_frame};

/// Where the packets of one source come from. What is counted goes on across a stop, because a
/// sequence number must not come twice under the same SRTP key.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) track: Arc<TrackLocalStaticRTP>,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) mark: u64,
    /// Packets sent so far.
    pub(crate) sent: Arc<AtomicU32>,
    /// The RTP timestamp of the next packet.
    pub(crate) timestamp: Arc<AtomicU32>,
}

impl Source {
    fn stamp(&self) -> Stamp {
        Stamp { mark: self.mark, number: self.sent.load(Ordering::Relaxed), sent_us: now_us() }
    }

    /// Sends a packet, which tells its level in −dBov if there is one.
    async fn send(&self, payload: Payload, level: Option<u8>) -> Result<(), Error> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let header = rtp::Header {
            version: 2,
            marker: payload.marker,
            payload_type: self.payload_type,
            sequence_number: (number & 0xffff) as u16,
            timestamp: self.timestamp.load(Ordering::Relaxed),
            ssrc: self.ssrc,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: payload.bytes };
        match level {
            None => self.track.write_rtp(packet).await,
            Some(level) => {
                let level = HeaderExtension::AudioLevel(AudioLevelExtension { level, voice: true });
                self.track.write_rtp_with_extensions(packet, &[level]).await
            }
        }
    }

    fn advance(&self, ticks: u32) {
        self.timestamp.fetch_add(ticks, Ordering::Relaxed);
    }
}

/// Talks until the track is gone or the task is ended.
pub(crate) async fn send_audio(source: Source, shape: AudioShape) {
    let mut tick = tokio::time::interval(shape.interval);
    loop {
        tick.tick().await;
        if source.send(audio_packet(source.stamp()), shape.level).await.is_err() {
            return;
        }
        source.advance(shape.step());
    }
}

/// Films until the track is gone or the task is ended. Each time it begins with a key frame.
pub(crate) async fn send_video(source: Source, shape: VideoShape) {
    let mut tick = tokio::time::interval(shape.interval());
    let mut frame = 0;
    loop {
        tick.tick().await;
        for payload in video_frame(&shape, source.stamp(), frame) {
            if source.send(payload, None).await.is_err() {
                return;
            }
        }
        frame += 1;
        source.advance(90_000 / shape.frames_per_second.max(1));
    }
}
