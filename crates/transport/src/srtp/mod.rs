//! SRTP and SRTCP (RFC 3711, RFC 7714), sealed and opened in the caller's buffer.
//!
//! The sender's rollover counter is an argument, as the media plane numbers its packets with 48 bits anyway; the
//! receiver's is estimated as RFC 3711 §3.3.1 says. No state of the receiving side changes before a packet's tag was
//! verified.

mod cipher;
mod keys;
mod open;
mod replay;
mod seal;
#[cfg(test)]
mod tests;

pub use keys::Keying;
pub use open::SrtpOpener;
pub use seal::SrtpSealer;

/// How media is protected: the two profiles of RFC 5764 and RFC 7714 we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`, chosen whenever it is offered as it costs a third.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`, which every WebRTC endpoint must have (RFC 8827 §6.5).
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// The number in the `use_srtp` extension.
    pub fn id(self) -> u16 {
        match self {
            Self::AeadAes128Gcm => 0x0007,
            Self::Aes128CmHmacSha1_80 => 0x0001,
        }
    }

    /// The name in the registry, as browsers show it in their statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes128CmHmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    /// The tag's length, which is all a sealed RTP packet is longer by.
    pub fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
            Self::Aes128CmHmacSha1_80 => 10,
        }
    }

    /// The length of the master salt, and of each session salt.
    pub(crate) fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }
}

/// The length of the master key and of each session key of both profiles.
pub(crate) const KEY_LEN: usize = 16;
/// The length of RTP's fixed header.
const RTP_HEADER_LEN: usize = 12;
/// The part of an RTCP packet that stays readable: header and sender's SSRC.
const RTCP_HEADER_LEN: usize = 8;
/// The flag saying that an SRTCP packet is encrypted, beside its index.
const ENCRYPTED: u32 = 1 << 31;
/// The length of the SRTCP index with that flag.
const RTCP_INDEX_LEN: usize = 4;

/// Reads the length of an RTP header, which is readable in an encrypted packet too.
fn rtp_header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 || packet.len() < RTP_HEADER_LEN {
        return None;
    }
    let mut len = RTP_HEADER_LEN + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(len + 2..len + 4)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes(words.try_into().ok()?));
    }
    (len <= packet.len()).then_some(len)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
