//! The sending side.

use roundtable_prefetch::prefetch;

use super::cipher::{Cipher, Place, Purpose, cm_counter, cm_tag, gcm_nonce, gcm_seal};
use super::keys::Keying;
use super::{ENCRYPTED, Profile, RTCP_HEADER_LEN, RTCP_INDEX_LEN, read_u32};

/// Seals what one peer is sent.
pub struct SrtpSealer {
    profile: Profile,
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
    /// The index of the next RTCP packet, of 31 bits. One counter serves all SSRCs, so each sees it rise.
    pub(super) rtcp_index: u32,
}

impl SrtpSealer {
    /// Derives the session keys; `None` if the cryptography library refuses them.
    pub fn new(keying: &Keying) -> Option<Self> {
        let provider = rtc_crypto::default_provider().ok()?;
        Some(Self {
            profile: keying.profile(),
            rtp: Cipher::new(keying, Purpose::Rtp, provider.crypto())?,
            rtcp: Cipher::new(keying, Purpose::Rtcp, provider.crypto())?,
            rtcp_index: 0,
        })
    }

    /// Has the key for RTP brought near.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.rtp);
    }

    /// Seals the RTP packet in `packet[..len]`, whose first `header_len` bytes stay readable, and returns its new
    /// length.
    ///
    /// The slice must have [`overhead`](Self::overhead) bytes behind `len`. `roc` is the rollover counter of the
    /// packet's SSRC. SSRC, counter and sequence number together make the nonce: the caller never seals two different
    /// packets with the same three, for that would give both away (RFC 7714 §8.1).
    pub fn seal_rtp(&mut self, packet: &mut [u8], header_len: usize, len: usize, roc: u32) -> Option<usize> {
        let sealed_len = len.checked_add(self.rtp.tag_len())?;
        let sequence = u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?);
        let place = Place { ssrc: read_u32(packet, 8)?, index: u64::from(roc) << 16 | u64::from(sequence) };
        let (plain, tag) = packet.get_mut(..sealed_len)?.split_at_mut_checked(len)?;
        let (header, body) = plain.split_at_mut_checked(header_len)?;
        match &mut self.rtp {
            Cipher::Gcm { key, salt } => gcm_seal(key, gcm_nonce(salt, place), header, body, tag)?,
            Cipher::Cm { stream, mac, salt } => {
                stream.apply_keystream(&cm_counter(salt, place), body).ok()?;
                cm_tag(&mut **mac, &[header, body, &roc.to_be_bytes()], tag)?;
            }
        }
        Some(sealed_len)
    }

    /// Seals a compound RTCP packet in place and appends its tag and index; `false` leaves the packet unfit to be sent.
    ///
    /// After 2³¹ packets the index is used up (RFC 3711 §9.2) and nothing is sealed any more.
    pub fn seal_rtcp(&mut self, compound: &mut Vec<u8>) -> bool {
        self.try_seal_rtcp(compound).is_some()
    }

    /// How much longer than plain a sealed RTP packet is.
    pub fn overhead(&self) -> usize {
        self.rtp.tag_len()
    }

    /// The profile in use.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    fn try_seal_rtcp(&mut self, compound: &mut Vec<u8>) -> Option<()> {
        let index = self.rtcp_index;
        let place = Place { ssrc: read_u32(compound, 4)?, index: u64::from(index) };
        let trailer = (index | ENCRYPTED).to_be_bytes();
        self.rtcp_index = index.checked_add(1).filter(|next| next & ENCRYPTED == 0)?;
        let (len, tag_len) = (compound.len(), self.rtcp.tag_len());
        compound.resize(len + tag_len + RTCP_INDEX_LEN, 0);
        let (header, rest) = compound.split_at_mut(RTCP_HEADER_LEN); // `read_u32` above found as many bytes.
        let (body, tail) = rest.split_at_mut(len - RTCP_HEADER_LEN);
        match &mut self.rtcp {
            Cipher::Gcm { key, salt } => {
                let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
                aad[..RTCP_HEADER_LEN].copy_from_slice(header);
                aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer);
                let (tag, last) = tail.split_at_mut(tag_len);
                last.copy_from_slice(&trailer);
                gcm_seal(key, gcm_nonce(salt, place), &aad, body, tag)
            }
            Cipher::Cm { stream, mac, salt } => {
                stream.apply_keystream(&cm_counter(salt, place), body).ok()?;
                let (first, tag) = tail.split_at_mut(RTCP_INDEX_LEN);
                first.copy_from_slice(&trailer);
                cm_tag(&mut **mac, &[header, body, &trailer], tag)
            }
        }
    }
}

/// Leaves the keys out.
impl std::fmt::Debug for SrtpSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpSealer").field("profile", &self.profile).finish_non_exhaustive()
    }
}
