//! RTP header extensions: their names, their negotiated ids, their elements (RFC 8285).

mod elements;
mod values;

#[cfg(test)]
mod tests;

pub use elements::{ExtensionWriter, Extensions};
pub use values::{
    abs_capture_time, abs_send_time, audio_level, playout_delay, read_abs_capture_time, read_abs_send_time,
    read_audio_level, read_mid, read_playout_delay, read_stream_id, read_transport_sequence, read_video_orientation,
    short_abs_capture_time, transport_sequence, video_orientation,
};

/// A header extension we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extension {
    /// Which m-line a packet belongs to (RFC 9143 15).
    Mid,
    /// Which encoding of a simulcast m-line (RFC 8852).
    RtpStreamId,
    /// Which encoding a retransmission repairs (RFC 8852).
    RepairedRtpStreamId,
    /// The transport-wide sequence number.
    TransportSequence,
    /// When the packet left, as 6.18 fixed-point seconds.
    AbsSendTime,
    /// Voice flag and level of an audio packet (RFC 6464).
    AudioLevel,
    /// Rotation and flip of video (3GPP TS 26.114).
    VideoOrientation,
    /// Bounds the sender asks of the playout delay.
    PlayoutDelay,
    /// When the first byte was captured, as NTP time.
    AbsCaptureTime,
    /// Frame dependencies of any scalable codec (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    /// The sender's bit rates and resolutions by layer.
    VideoLayersAllocation,
    /// Send time minus timestamp (RFC 5450).
    TransmissionOffset,
    /// Encoder and pacer times, for diagnosis.
    VideoTiming,
    /// Camera or screen.
    VideoContentType,
    /// Primaries, transfer and HDR metadata.
    ColorSpace,
}

impl Extension {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::Mid,
        Self::RtpStreamId,
        Self::RepairedRtpStreamId,
        Self::TransportSequence,
        Self::AbsSendTime,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::AbsCaptureTime,
        Self::DependencyDescriptor,
        Self::VideoLayersAllocation,
        Self::TransmissionOffset,
        Self::VideoTiming,
        Self::VideoContentType,
        Self::ColorSpace,
    ];

    /// The name in an `extmap` attribute.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::RtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportSequence => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::VideoLayersAllocation => "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
            Self::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
            Self::VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
            Self::VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
        }
    }

    /// The extension of that name, if we know it.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.uri() == uri)
    }
}

/// Negotiated ids of one peer's one m-line. 0 is never an id (RFC 8285: 1–14 in the one-byte form, 1–255 in the other).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ExtensionMap {
    /// By the discriminant of `Extension`; 0 means not negotiated.
    ids: [u8; Extension::ALL.len()],
}

impl ExtensionMap {
    /// Gives `extension` the id; 0 takes its id away. An id another extension had moves to this one.
    pub fn set(&mut self, extension: Extension, id: u8) {
        for other in &mut self.ids {
            if *other == id {
                *other = 0;
            }
        }
        // The array is as long as there are discriminants.
        self.ids[extension as usize] = id;
    }

    /// The id of `extension`, if it was negotiated.
    #[must_use]
    pub const fn id(&self, extension: Extension) -> Option<u8> {
        // The array is as long as there are discriminants.
        match self.ids[extension as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// The extension that has `id`.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<Extension> {
        self.iter().find_map(|(extension, found)| (found == id).then_some(extension))
    }

    /// What was negotiated, in the order of [`Extension::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Extension, u8)> + use<> {
        Extension::ALL.into_iter().zip(self.ids).filter(|&(_, id)| id != 0)
    }
}
