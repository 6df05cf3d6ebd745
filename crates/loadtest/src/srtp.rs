//! SRTP and SRTCP with AEAD_AES_128_GCM (RFC 7714), in place.

use aes::Aes128;
use aes::cipher::{BlockEncrypt as _, KeyInit as _};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 16;
/// Bytes of a salt.
pub(crate) const SALT_LEN: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 16;
/// Bytes of a block of AES.
const BLOCK_LEN: usize = 16;
/// Blocks at the end of a packet that are made readable by themselves: a stamp and a byte of padding lie in them, however
/// the blocks fall.
const LAST_BLOCKS: usize = 3;
/// The counter of the first block of what is encrypted (NIST SP 800-38D §7.1).
const FIRST_COUNTER: u32 = 2;
/// What SRTCP encrypts begins behind the first header's SSRC.
const RTCP_HEADER_LEN: usize = 8;
const RTCP_INDEX_LEN: usize = 4;
/// E: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The session keys of both directions.
pub(crate) struct SrtpKeys {
    /// Of the client.
    pub(crate) sending: DirectionKeys,
    /// Of the server.
    pub(crate) receiving: DirectionKeys,
}

/// The session keys of one direction.
pub(crate) struct DirectionKeys {
    pub(crate) rtp_key: [u8; KEY_LEN],
    pub(crate) rtp_salt: [u8; SALT_LEN],
    pub(crate) rtcp_key: [u8; KEY_LEN],
    pub(crate) rtcp_salt: [u8; SALT_LEN],
}

/// Seals or opens the packets of one direction.
pub(crate) struct Cipher {
    rtp: LessSafeKey,
    rtp_blocks: Aes128,
    rtp_salt: [u8; SALT_LEN],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; SALT_LEN],
    /// The index of the next SRTCP packet to seal, of 31 bits.
    rtcp_index: u32,
}

impl Cipher {
    /// Takes the keys; `None` if the library refuses them.
    pub(crate) fn new(keys: &DirectionKeys) -> Option<Self> {
        let key = |bytes| Some(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, bytes).ok()?));
        let DirectionKeys { rtp_key, rtp_salt, rtcp_key, rtcp_salt } = keys;
        let (rtp, rtcp) = (key(rtp_key)?, key(rtcp_key)?);
        let rtp_blocks = Aes128::new(rtp_key.into());
        Some(Self { rtp, rtp_blocks, rtp_salt: *rtp_salt, rtcp, rtcp_salt: *rtcp_salt, rtcp_index: 0 })
    }

    /// Seals a packet whose last [`TAG_LEN`] bytes are room for the tag. `index` is the rollover counter and the sequence
    /// number; no two packets of an SSRC have the same.
    pub(crate) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, ssrc: u32, index: u64) -> Option<()> {
        let (plain, tag) = packet.split_last_chunk_mut::<TAG_LEN>()?;
        let (header, body) = plain.split_at_mut_checked(header_len)?;
        let nonce = nonce(&self.rtp_salt, ssrc, index);
        let sealed = self.rtp.seal_in_place_separate_tag(nonce, Aad::from(&*header), body).ok()?;
        tag.copy_from_slice(sealed.as_ref());
        Some(())
    }

    /// Opens a packet and returns the range of its payload, padding included.
    pub(crate) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let (header, sealed) = packet.split_at_mut_checked(header_len).ok_or(Unspecified)?;
        let nonce = nonce(&self.rtp_salt, ssrc, index);
        let opened = self.rtp.open_in_place(nonce, Aad::from(&*header), sealed)?;
        Ok(opened.len())
    }

    /// Makes only the end of a packet's payload readable, [`LAST_BLOCKS`] at most, and believes that the packet is authentic:
    /// AES in counter mode, as GCM encrypts. Returns what [`open_rtp`](Self::open_rtp) does.
    pub(crate) fn peek_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let body = packet.get_mut(header_len..).ok_or(Unspecified)?;
        let (body, _) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(Unspecified)?;
        let opened = body.len();
        let first = opened.div_ceil(BLOCK_LEN).saturating_sub(LAST_BLOCKS);
        let mut counter = [0; BLOCK_LEN];
        counter[..SALT_LEN].copy_from_slice(&nonce_bytes(&self.rtp_salt, ssrc, index));
        // A datagram has far fewer blocks than the counter has numbers.
        for (at, block) in (FIRST_COUNTER + first as u32..).zip(body[first * BLOCK_LEN..].chunks_mut(BLOCK_LEN)) {
            counter[SALT_LEN..].copy_from_slice(&at.to_be_bytes());
            let mut stream = counter.into();
            self.rtp_blocks.encrypt_block(&mut stream);
            block.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
        }
        Ok(opened)
    }

    /// Seals a compound and appends tag and index. After 2³¹ packets nothing is sealed any more (RFC 3711 §9.2).
    pub(crate) fn seal_rtcp(&mut self, compound: &mut Vec<u8>) -> Option<()> {
        let index = Some(self.rtcp_index).filter(|index| index & ENCRYPTED == 0)?;
        let header = *compound.first_chunk::<RTCP_HEADER_LEN>()?;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        let ssrc = u32::from_be_bytes(*header.last_chunk()?);
        let body = compound.get_mut(RTCP_HEADER_LEN..)?;
        let nonce = nonce(&self.rtcp_salt, ssrc, u64::from(index));
        let tag = self.rtcp.seal_in_place_separate_tag(nonce, Aad::from(rtcp_aad(header, trailer)), body).ok()?;
        compound.extend_from_slice(tag.as_ref());
        compound.extend_from_slice(&trailer);
        self.rtcp_index += 1;
        Some(())
    }

    /// Opens a compound and returns its plain length. Copies are let through, as they do no harm here.
    pub(crate) fn open_rtcp(&self, packet: &mut [u8]) -> Result<usize, Unspecified> {
        let (sealed, trailer) = packet.split_last_chunk_mut::<RTCP_INDEX_LEN>().ok_or(Unspecified)?;
        let index = u32::from_be_bytes(*trailer);
        let (header, body) = sealed.split_first_chunk_mut::<RTCP_HEADER_LEN>().ok_or(Unspecified)?;
        let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if index & ENCRYPTED == 0 {
            return Err(Unspecified); // DTLS-SRTP never negotiates that.
        }
        let nonce = nonce(&self.rtcp_salt, ssrc, u64::from(index & !ENCRYPTED));
        let opened = self.rtcp.open_in_place(nonce, Aad::from(rtcp_aad(*header, *trailer)), body)?;
        Ok(RTCP_HEADER_LEN + opened.len())
    }
}

/// What the tag of an SRTCP packet covers in clear (RFC 7714 §9.2).
fn rtcp_aad(header: [u8; RTCP_HEADER_LEN], trailer: [u8; RTCP_INDEX_LEN]) -> [u8; RTCP_HEADER_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(&header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer);
    aad
}

/// The nonce of RFC 7714 §8.1 and §9.1, which are the same sum seen as numbers.
fn nonce(salt: &[u8; SALT_LEN], ssrc: u32, index: u64) -> Nonce {
    Nonce::assume_unique_for_key(nonce_bytes(salt, ssrc, index))
}

fn nonce_bytes(salt: &[u8; SALT_LEN], ssrc: u32, index: u64) -> [u8; SALT_LEN] {
    let place = u128::from(ssrc) << 48 | u128::from(index);
    let mut nonce = *salt;
    // A nonce has the last twelve of these sixteen bytes.
    for (byte, value) in nonce.iter_mut().zip(&place.to_be_bytes()[4..]) {
        *byte ^= value;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> Cipher {
        // Session key and salt of RFC 7714 §16.1.1 and §17.1.
        let key = std::array::from_fn(|at| at as u8);
        let salt = *b"Quid pro quo";
        Cipher::new(&DirectionKeys { rtp_key: key, rtp_salt: salt, rtcp_key: key, rtcp_salt: salt }).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
    }

    #[test]
    fn a_packet_is_sealed_and_opened_as_in_rfc_7714_16_1_1() {
        let plain =
            hex("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573");
        let expected =
            hex("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce");
        let mut packet = [&plain[..], &[0; TAG_LEN]].concat();
        cipher().seal_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(packet, expected);
        assert_eq!(cipher().open_rtp(&mut packet.clone(), 12, 0x5501_a0b2, 0x1_f17b), Err(Unspecified));
        assert_eq!(cipher().open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b), Ok(plain.len() - 12));
        assert_eq!(packet[..plain.len()], plain);
    }

    #[test]
    fn the_end_of_a_packet_can_be_read_by_itself() {
        for len in [0, 1, 15, 16, 17, 47, 48, 49, 300, 1_187] {
            let plain: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut sealed = [&[0x80; 12][..], &plain, &[0; TAG_LEN]].concat();
            cipher().seal_rtp(&mut sealed, 12, 7, 0x1_0003).unwrap();
            let mut peeked = sealed.clone();
            assert_eq!(cipher().peek_rtp(&mut peeked, 12, 7, 0x1_0003), Ok(len));
            let readable = len.min(1 + crate::stamp::STAMP_LEN);
            assert_eq!(peeked[12 + len - readable..12 + len], plain[len - readable..], "{len}");
            assert!(len < 64 || peeked[..len - 40] == sealed[..len - 40], "the rest is as it came");
        }
    }

    #[test]
    fn a_report_is_sealed_and_opened_as_in_rfc_7714_17_1() {
        let plain = hex(
            "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        );
        let mut cipher = cipher();
        cipher.rtcp_index = 0x5d4;
        let mut sealed = plain.clone();
        cipher.seal_rtcp(&mut sealed).unwrap();
        let expected = hex(
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4",
        );
        assert_eq!(sealed, expected);
        assert_eq!(cipher.open_rtcp(&mut sealed), Ok(plain.len()));
        assert_eq!(sealed[..plain.len()], plain);
    }

    #[test]
    fn no_length_panics() {
        for len in 0..40 {
            let mut bytes = vec![0x80; len];
            assert_eq!(cipher().open_rtp(&mut bytes, 12, 0, 0), Err(Unspecified));
            assert_eq!(cipher().peek_rtp(&mut bytes, 12, 0, 0).is_ok(), len >= 12 + TAG_LEN);
            assert_eq!(cipher().open_rtcp(&mut bytes), Err(Unspecified));
            assert_eq!(cipher().seal_rtp(&mut bytes, 12, 0, 0).is_some(), len >= 12 + TAG_LEN);
        }
        assert!(cipher().seal_rtcp(&mut vec![0; 7]).is_none());
    }
}
