//! The two ciphers, each keyed once for RTP and once for RTCP.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_crypto::{HmacAlgorithm, Mac, RTCCrypto, StreamCipher, StreamCipherAlgorithm};
use subtle::ConstantTimeEq;

use super::keys::{Keying, Label};
use super::{KEY_LEN, Profile};

/// The length of a salt and of a nonce of AES-GCM.
const GCM_SALT_LEN: usize = 12;
/// The length of a salt of AES-CM.
const CM_SALT_LEN: usize = 14;
/// The whole length of an HMAC-SHA1, of which a packet carries 10 bytes.
const SHA1_LEN: usize = 20;

/// The session keys of one direction of RTP or of RTCP.
#[expect(
    clippy::large_enum_variant,
    reason = "behind a pointer the key would be one more wait for memory for each packet"
)]
pub(super) enum Cipher {
    /// AES-128-GCM (RFC 7714), as browsers choose.
    Gcm { key: LessSafeKey, salt: [u8; GCM_SALT_LEN] },
    /// AES-128 in counter mode with HMAC-SHA1 cut to 80 bits (RFC 3711).
    Cm { stream: Box<dyn StreamCipher>, mac: Box<dyn Mac>, salt: [u8; CM_SALT_LEN] },
}

/// Which kind of packet a cipher is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Rtp,
    Rtcp,
}

/// A packet's place in its stream, from which every nonce is made.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) ssrc: u32,
    /// `roc << 16 | sequence` of RTP, the 31-bit index of RTCP.
    pub(super) index: u64,
}

impl Cipher {
    pub(super) fn new(keying: &Keying, purpose: Purpose, crypto: &dyn RTCCrypto) -> Option<Self> {
        let [encryption, authentication, salting] = match purpose {
            Purpose::Rtp => [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt],
            Purpose::Rtcp => [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt],
        };
        let mut key = [0; KEY_LEN];
        keying.derive(crypto, encryption, &mut key).ok()?;
        match keying.profile() {
            Profile::AeadAes128Gcm => {
                let mut salt = [0; GCM_SALT_LEN];
                keying.derive(crypto, salting, &mut salt).ok()?;
                let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
                Some(Self::Gcm { key, salt })
            }
            Profile::Aes128CmHmacSha1_80 => {
                let (mut salt, mut mac_key) = ([0; CM_SALT_LEN], [0; SHA1_LEN]);
                keying.derive(crypto, salting, &mut salt).ok()?;
                keying.derive(crypto, authentication, &mut mac_key).ok()?;
                let stream = crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &key).ok()?;
                let mac = crypto.new_hmac(HmacAlgorithm::Sha1, &mac_key).ok()?;
                Some(Self::Cm { stream, mac, salt })
            }
        }
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => Profile::AeadAes128Gcm.tag_len(),
            Self::Cm { .. } => Profile::Aes128CmHmacSha1_80.tag_len(),
        }
    }
}

/// The nonce of RFC 7714 §8.1 and §9.1, which are the same sum seen as numbers.
///
/// It is written in the two pieces in which it is read: of a value that was written byte by byte a processor reads nothing
/// before all that was written earlier, such as the packet, has left it.
pub(super) fn gcm_nonce(salt: &[u8; GCM_SALT_LEN], place: Place) -> Nonce {
    // Of the index 48 bits count: that of RTP has as many, that of RTCP fewer.
    let sum = u128::from(place.ssrc) << 48 | u128::from(place.index & 0xffff_ffff_ffff);
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *salt;
    let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ (sum >> 32) as u64;
    let low = u32::from_be_bytes([i, j, k, l]) ^ sum as u32;
    let mut nonce = [0; GCM_SALT_LEN];
    nonce[..8].copy_from_slice(&high.to_be_bytes());
    nonce[8..].copy_from_slice(&low.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The counter block of RFC 3711 §4.1.1.
pub(super) fn cm_counter(salt: &[u8; CM_SALT_LEN], place: Place) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[..CM_SALT_LEN].copy_from_slice(salt);
    for (byte, value) in counter[4..8].iter_mut().zip(place.ssrc.to_be_bytes()) {
        *byte ^= value;
    }
    for (byte, value) in counter[8..14].iter_mut().zip(&place.index.to_be_bytes()[2..]) {
        *byte ^= value;
    }
    counter
}

/// Encrypts `body` and returns whether that worked, with the tag written behind it.
pub(super) fn gcm_seal(key: &LessSafeKey, nonce: Nonce, aad: &[u8], body: &mut [u8], tag: &mut [u8]) -> Option<()> {
    let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body).ok()?;
    (tag.len() == sealed.as_ref().len()).then(|| tag.copy_from_slice(sealed.as_ref()))
}

/// Computes the tag of AES-CM over the concatenation of `input`, cut to the length of `tag`.
pub(super) fn cm_tag(mac: &mut dyn Mac, input: &[&[u8]], tag: &mut [u8]) -> Option<()> {
    let mut whole = [0; SHA1_LEN];
    mac.sign(input, &mut whole).ok()?;
    tag.copy_from_slice(whole.get(..tag.len())?);
    Some(())
}

/// Compares the tag of AES-CM in constant time.
pub(super) fn cm_verify(mac: &mut dyn Mac, input: &[&[u8]], tag: &[u8]) -> bool {
    let mut whole = [0; SHA1_LEN];
    mac.sign(input, &mut whole).is_ok() && whole.get(..tag.len()).is_some_and(|expected| expected.ct_eq(tag).into())
}
