//! The receiving side.

use ring::aead::Aad;
use roundtable_prefetch::prefetch;

use super::cipher::{Cipher, Place, Purpose, cm_counter, cm_verify, gcm_nonce};
use super::keys::Keying;
use super::replay::ReplayWindow;
use super::{ENCRYPTED, RTCP_HEADER_LEN, RTCP_INDEX_LEN, read_u32, rtp_header_len};
use crate::reason::DropReason;

/// Opens what one peer sends.
pub struct SrtpOpener {
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
    rtp_sources: Sources<RTP_WINDOW_WORDS>,
    rtcp_sources: Sources<RTCP_WINDOW_WORDS>,
}

impl SrtpOpener {
    /// Derives the session keys; `None` if the cryptography library refuses them.
    pub fn new(keying: &Keying) -> Option<Self> {
        let provider = rtc_crypto::default_provider().ok()?;
        Some(Self {
            rtp: Cipher::new(keying, Purpose::Rtp, provider.crypto())?,
            rtcp: Cipher::new(keying, Purpose::Rtcp, provider.crypto())?,
            rtp_sources: Sources::new(),
            rtcp_sources: Sources::new(),
        })
    }

    /// Has the key of media brought near.
    pub(crate) fn prefetch_rtp(&self) {
        prefetch(&self.rtp);
        prefetch(&self.rtp_sources);
    }

    /// Has the key of reports brought near.
    pub(crate) fn prefetch_rtcp(&self) {
        prefetch(&self.rtcp);
        prefetch(&self.rtcp_sources);
    }

    /// Opens an RTP packet in place and returns the length of the plain one.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let header_len = rtp_header_len(packet).ok_or(DropReason::SrtpShort)?;
        let plain_len = packet.len().checked_sub(self.rtp.tag_len()).filter(|len| *len >= header_len);
        let plain_len = plain_len.ok_or(DropReason::SrtpShort)?;
        let ssrc = read_u32(packet, 8).ok_or(DropReason::SrtpShort)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]); // A header has at least 12 bytes.

        let fresh = ReplayWindow::new();
        let window = self.rtp_sources.find(ssrc).unwrap_or(&fresh);
        let index = window.estimate(sequence).filter(|index| window.is_new(*index)).ok_or(DropReason::SrtpReplay)?;

        let (head, rest) = packet.split_at_mut(header_len);
        let place = Place { ssrc, index };
        let opened = match &mut self.rtp {
            Cipher::Gcm { key, salt } => key.open_in_place(gcm_nonce(salt, place), Aad::from(&*head), rest).is_ok(),
            Cipher::Cm { stream, mac, salt } => {
                let (body, tag) = rest.split_at_mut(plain_len - header_len);
                let roc = ((index >> 16) as u32).to_be_bytes(); // The index has 48 bits.
                cm_verify(&mut **mac, &[head, body, &roc], tag)
                    && stream.apply_keystream(&cm_counter(salt, place), body).is_ok()
            }
        };
        if !opened {
            return Err(DropReason::SrtpAuth);
        }
        self.rtp_sources.accept(ssrc, index);
        Ok(plain_len)
    }

    /// Opens a compound RTCP packet in place and returns the length of the plain one.
    ///
    /// Packets that say they are not encrypted are refused: DTLS-SRTP never negotiates that.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let tag_len = self.rtcp.tag_len();
        let plain_len = packet.len().checked_sub(tag_len + RTCP_INDEX_LEN).filter(|len| *len >= RTCP_HEADER_LEN);
        let plain_len = plain_len.ok_or(DropReason::SrtpShort)?;
        let index_at = match self.rtcp {
            Cipher::Gcm { .. } => plain_len + tag_len,
            Cipher::Cm { .. } => plain_len,
        };
        let trailer = read_u32(packet, index_at).ok_or(DropReason::SrtpShort)?;
        let ssrc = read_u32(packet, 4).ok_or(DropReason::SrtpShort)?;
        if trailer & ENCRYPTED == 0 {
            return Err(DropReason::SrtpAuth);
        }
        let index = u64::from(trailer & !ENCRYPTED);
        if !self.rtcp_sources.find(ssrc).is_none_or(|window| window.is_new(index)) {
            return Err(DropReason::SrtpReplay);
        }
        if !self.decrypt_rtcp(packet, plain_len, trailer, Place { ssrc, index }) {
            return Err(DropReason::SrtpAuth);
        }
        self.rtcp_sources.accept(ssrc, index);
        Ok(plain_len)
    }

    fn decrypt_rtcp(&mut self, packet: &mut [u8], plain_len: usize, trailer: u32, place: Place) -> bool {
        let (head, rest) = packet.split_at_mut(RTCP_HEADER_LEN);
        match &mut self.rtcp {
            Cipher::Gcm { key, salt } => {
                let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
                aad[..RTCP_HEADER_LEN].copy_from_slice(head);
                aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer.to_be_bytes());
                let sealed_len = rest.len() - RTCP_INDEX_LEN; // The caller found tag and index behind the header.
                key.open_in_place(gcm_nonce(salt, place), Aad::from(aad), &mut rest[..sealed_len]).is_ok()
            }
            Cipher::Cm { stream, mac, salt } => {
                let (signed, tag) = rest.split_at_mut(plain_len - RTCP_HEADER_LEN + RTCP_INDEX_LEN);
                if !cm_verify(&mut **mac, &[head, signed], tag) {
                    return false;
                }
                let body = &mut signed[..plain_len - RTCP_HEADER_LEN];
                stream.apply_keystream(&cm_counter(salt, place), body).is_ok()
            }
        }
    }
}

/// Leaves the keys out.
impl std::fmt::Debug for SrtpOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpOpener").field("sources", &self.rtp_sources.ids.len()).finish_non_exhaustive()
    }
}

/// How many SSRCs are remembered of RTP, and as many of RTCP; one more makes the longest silent one forgotten.
///
/// Only who holds the keys can add one, so being forgotten is the sender's own doing.
const MAX_SOURCES: usize = 64;
/// A window of 1,024 RTP packets: video at high rates is reordered far.
const RTP_WINDOW_WORDS: usize = 16;
/// A window of 256 RTCP packets.
const RTCP_WINDOW_WORDS: usize = 4;

/// The replay windows by SSRC. The identifiers lie apart, so that a look-up touches few cache lines.
struct Sources<const WORDS: usize> {
    ids: Vec<u32>,
    windows: Vec<(u64, ReplayWindow<WORDS>)>,
    /// Counts accepted packets; a window carries its value of when it was last used.
    clock: u64,
}

impl<const WORDS: usize> Sources<WORDS> {
    fn new() -> Self {
        Self { ids: Vec::new(), windows: Vec::new(), clock: 0 }
    }

    fn find(&self, ssrc: u32) -> Option<&ReplayWindow<WORDS>> {
        let at = self.ids.iter().position(|id| *id == ssrc)?;
        self.windows.get(at).map(|(_, window)| window)
    }

    fn accept(&mut self, ssrc: u32, index: u64) {
        self.clock += 1;
        let at = self.ids.iter().position(|id| *id == ssrc).unwrap_or_else(|| self.make_room(ssrc));
        if let Some((used, window)) = self.windows.get_mut(at) {
            *used = self.clock;
            window.accept(index);
        }
    }

    fn make_room(&mut self, ssrc: u32) -> usize {
        if self.ids.len() == MAX_SOURCES {
            let oldest = (0..self.windows.len()).min_by_key(|at| self.windows[*at].0).unwrap_or(0);
            self.ids.swap_remove(oldest);
            self.windows.swap_remove(oldest);
        }
        self.ids.push(ssrc);
        self.windows.reserve_exact(1); // There are few of these, and they are large.
        self.windows.push((0, ReplayWindow::new()));
        self.ids.len() - 1
    }
}
