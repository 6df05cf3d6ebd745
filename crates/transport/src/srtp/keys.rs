//! Session keys from the keying material of DTLS (RFC 5764 §4.2, RFC 3711 §4.3).

use rtc_crypto::{BlockCipherAlgorithm, CryptoError, RTCCrypto, SecretVec};

use super::{KEY_LEN, Profile};

/// The master key and salt of one direction.
pub struct Keying {
    profile: Profile,
    key: [u8; KEY_LEN],
    salt: SecretVec,
}

/// Which of the six session keys is derived.
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

impl Keying {
    /// How many bytes the exporter of RFC 5764 §4.2 is asked for.
    pub fn exported_len(profile: Profile) -> usize {
        2 * (KEY_LEN + profile.salt_len())
    }

    /// Takes a master key of 16 bytes and a salt of 12 (GCM) or 14; `None` if a length is wrong.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if salt.len() != profile.salt_len() {
            return None;
        }
        Some(Self { profile, key: key.try_into().ok()?, salt: SecretVec::new(salt.to_vec()) })
    }

    /// Splits what DTLS exported into the client's and the server's keying.
    pub fn split(profile: Profile, exported: &[u8]) -> Option<(Self, Self)> {
        let (client_key, rest) = exported.split_at_checked(KEY_LEN)?;
        let (server_key, rest) = rest.split_at_checked(KEY_LEN)?;
        let (client_salt, server_salt) = rest.split_at_checked(profile.salt_len())?;
        Some((Self::new(profile, client_key, client_salt)?, Self::new(profile, server_key, server_salt)?))
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// Runs the AES counter mode generator of RFC 3711 §4.3.3; the derivation rate is zero, as DTLS-SRTP has it.
    pub(super) fn derive(&self, crypto: &dyn RTCCrypto, label: Label, out: &mut [u8]) -> Result<(), CryptoError> {
        let mut input = [0; 16];
        for (byte, salt) in input.iter_mut().zip(self.salt.as_ref()) {
            *byte = *salt;
        }
        input[7] ^= label as u8;
        for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
            let mut block = input;
            block[14..].copy_from_slice(&counter.to_be_bytes());
            crypto.block_encrypt(BlockCipherAlgorithm::Aes128, &self.key, &mut block)?;
            chunk.copy_from_slice(&block[..chunk.len()]); // `chunks_mut(16)` yields at most 16 bytes.
        }
        Ok(())
    }
}

/// Leaves the keys out.
impl std::fmt::Debug for Keying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keying").field("profile", &self.profile).finish_non_exhaustive()
    }
}
