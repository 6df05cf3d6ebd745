//! The codecs we forward: what they are called, who can decode them, where their keyframes start.

pub mod av1;
pub mod h264;
pub mod vp8;
pub mod vp9;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// A codec with the parameters that decide whether two ends understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9 {
        /// `profile-id`: 0 is 8 bit 4:2:0, 2 is 10 bit.
        profile: u8,
    },
    /// H.264 (RFC 6184).
    H264 {
        /// `profile-level-id`: profile_idc, profile_iop (the constraint bits), level_idc.
        profile_level_id: [u8; 3],
        /// `packetization-mode`, 0 or 1.
        packetization_mode: u8,
    },
    /// AV1 (AV1 RTP payload format 1.0).
    Av1,
    /// Opus (RFC 7587).
    Opus,
    /// Redundant audio around Opus (RFC 2198).
    Red,
}

impl Codec {
    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Vp8 | Self::Vp9 { .. } | Self::H264 { .. } | Self::Av1 => Kind::Video,
            Self::Opus | Self::Red => Kind::Audio,
        }
    }

    /// Ticks of the RTP timestamp per second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self.kind() {
            Kind::Video => 90_000,
            Kind::Audio => 48_000,
        }
    }

    /// The encoding name in an `rtpmap` attribute, as browsers write it; compare without regard to case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 { .. } => "VP9",
            Self::H264 { .. } => "H264",
            Self::Av1 => "AV1",
            Self::Opus => "opus",
            Self::Red => "red",
        }
    }

    /// Whether a stream of `self` can be decoded by one who lists `other`.
    ///
    /// H.264 needs the same profile and packetization mode, while the level may differ (RFC 6184 8.2.2 with level
    /// asymmetry allowed). VP9 needs the same profile.
    #[must_use]
    pub fn is_compatible(self, other: Self) -> bool {
        match (self, other) {
            (
                Self::H264 { profile_level_id: ours, packetization_mode: our_mode },
                Self::H264 { profile_level_id: theirs, packetization_mode: their_mode },
            ) => our_mode == their_mode && H264Profile::of(ours) == H264Profile::of(theirs),
            (ours, theirs) => ours == theirs,
        }
    }
}

/// The profile behind profile_idc and profile_iop; several pairs name the same one (RFC 6184 table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum H264Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    High,
    ConstrainedHigh,
    /// One not in the table we need: equal only to its own bytes.
    Other(u8, u8),
}

impl H264Profile {
    const fn of([idc, iop, _level]: [u8; 3]) -> Self {
        // The four reserved bits of profile_iop are zero in all rows but constrained high.
        match (idc, iop) {
            (0x42, iop) if iop & 0x4f == 0x40 => Self::ConstrainedBaseline,
            (0x4d, iop) if iop & 0x8f == 0x80 => Self::ConstrainedBaseline,
            (0x58, iop) if iop & 0xcf == 0xc0 => Self::ConstrainedBaseline,
            (0x42, iop) if iop & 0x4f == 0 => Self::Baseline,
            (0x58, iop) if iop & 0xcf == 0x80 => Self::Baseline,
            (0x4d, iop) if iop & 0xaf == 0 => Self::Main,
            (0x58, iop) if iop & 0xcf == 0 => Self::Extended,
            (0x64, 0) => Self::High,
            (0x64, 0x0c) => Self::ConstrainedHigh,
            (idc, iop) => Self::Other(idc, iop),
        }
    }
}

/// Whether the packet with this RTP payload is the first of a keyframe.
///
/// H.264 has no such mark: every packet with the start of an SPS or an IDR slice counts, so more than one packet of a
/// frame can. Audio always starts one. Looks behind the payload descriptor for VP8 and H.264, so it is
/// of no use there if the frames are encrypted end to end.
#[must_use]
pub fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => vp8::is_keyframe(payload),
        Codec::Vp9 { .. } => vp9::is_keyframe(payload),
        Codec::H264 { .. } => h264::is_keyframe(payload),
        Codec::Av1 => av1::is_keyframe(payload),
        Codec::Opus | Codec::Red => true,
    }
}

#[cfg(test)]
mod tests;
