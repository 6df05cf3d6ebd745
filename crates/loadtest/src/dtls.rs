//! The DTLS handshake of a client, `rtc-dtls`, and the SRTP keys that come out of it (RFC 5764 §4.2).
//!
//! The only module that names the webrtc-rs parts. Every call into them runs behind a panic boundary, as what they read
//! comes from the network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ring::digest::{SHA256, digest};
use rtc_crypto::{BlockCipherAlgorithm, RTCCrypto, RTCCryptoProvider};
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

use crate::srtp::{DirectionKeys, KEY_LEN, SALT_LEN, SrtpKeys};

/// Why a handshake cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DtlsError {
    /// The library says so.
    #[error("the DTLS handshake failed: {0}")]
    Failed(String),
    /// The library panicked.
    #[error("the DTLS library panicked")]
    Panicked,
    /// The certificate is not the one that the answer promised.
    #[error("the server's certificate is not that of its answer")]
    Fingerprint,
    /// AEAD_AES_128_GCM was not agreed on, or no keys came.
    #[error("the server did not agree on AEAD_AES_128_GCM")]
    NoKeys,
}

/// What all clients of a run show as their certificate. One for all makes joining lighter.
#[derive(Clone)]
pub(crate) struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    /// SHA-256 of the certificate, as it stands in SDP.
    pub(crate) fingerprint: String,
}

impl Identity {
    /// Makes a certificate.
    pub(crate) fn generate() -> Result<Self, DtlsError> {
        guarded(|| {
            let provider = rtc_crypto::default_provider().map_err(|error| failed(&error))?;
            let certificate = Certificate::generate_self_signed(vec!["bench".to_owned()], provider.crypto())
                .map_err(|error| failed(&error))?;
            let der = certificate.certificate.first().ok_or(DtlsError::NoKeys)?;
            let fingerprint = fingerprint(der);
            let config = ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate])
                .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_insecure_skip_verify(true) // The fingerprint is the trust; `Handshake::read` compares it.
                .with_server_name("roundtable".to_owned())
                .with_mtu(MTU)
                .build(true, Some(PLACEHOLDER))
                .map_err(|error| failed(&error))?;
            Ok(Self { provider, config: Arc::new(config), fingerprint })
        })
    }
}

/// The digest of a certificate in the form of `a=fingerprint` (RFC 8122 §5).
fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// One handshake.
pub(crate) struct Handshake {
    endpoint: Endpoint,
    provider: Arc<dyn RTCCryptoProvider>,
    expected: String,
}

impl Handshake {
    /// Begins: the first hello waits in [`take_transmits`](Self::take_transmits).
    pub(crate) fn start(now: Instant, identity: &Identity, expected: &str) -> Result<Self, DtlsError> {
        guarded(|| {
            let mut endpoint = Endpoint::new(OWN_PLACEHOLDER, TransportProtocol::UDP, None);
            endpoint.connect(now, PLACEHOLDER, Arc::clone(&identity.config), None).map_err(|error| failed(&error))?;
            let provider = Arc::clone(&identity.provider);
            Ok(Self { endpoint, provider, expected: expected.to_ascii_uppercase() })
        })
    }

    /// Takes in a datagram; the keys once both sides have finished.
    pub(crate) fn read(&mut self, now: Instant, datagram: &[u8]) -> Result<Option<SrtpKeys>, DtlsError> {
        let events = guarded(|| {
            self.endpoint.read(now, PLACEHOLDER, None, BytesMut::from(datagram)).map_err(|error| failed(&error))
        })?;
        if !events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
            return Ok(None);
        }
        let state = self.endpoint.get_connection_state(PLACEHOLDER).ok_or(DtlsError::NoKeys)?;
        if state.peer_certificates.first().is_none_or(|der| fingerprint(der) != self.expected) {
            return Err(DtlsError::Fingerprint);
        }
        if state.srtp_protection_profile() != SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm {
            return Err(DtlsError::NoKeys);
        }
        let exported = guarded(|| {
            state.export_keying_material(EXPORTER_LABEL, &[], 2 * (KEY_LEN + SALT_LEN)).map_err(|error| failed(&error))
        })?;
        split(self.provider.crypto(), exported.as_ref()).map(Some)
    }

    /// Takes in a datagram after the handshake; what it carried of the application.
    pub(crate) fn read_data(&mut self, now: Instant, datagram: &[u8]) -> Result<Vec<Bytes>, DtlsError> {
        let events = guarded(|| {
            self.endpoint.read(now, PLACEHOLDER, None, BytesMut::from(datagram)).map_err(|error| failed(&error))
        })?;
        let data = events.into_iter().filter_map(|event| match event {
            EndpointEvent::ApplicationData(data) => Some(data.freeze()),
            _ => None,
        });
        Ok(data.collect())
    }

    /// Seals data of the application into [`take_transmits`](Self::take_transmits).
    pub(crate) fn write_data(&mut self, now: Instant, data: &[u8]) -> Result<(), DtlsError> {
        guarded(|| self.endpoint.write(now, PLACEHOLDER, data).map_err(|error| failed(&error)))
    }

    /// Repeats what got no answer.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsError> {
        guarded(|| self.endpoint.handle_timeout(PLACEHOLDER, now).map_err(|error| failed(&error)))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout(&PLACEHOLDER)
    }

    /// What is to be sent.
    pub(crate) fn take_transmits(&mut self) -> Vec<BytesMut> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message).collect()
    }
}

/// Cuts the exported material into the master keys and derives the session keys of both directions.
fn split(crypto: &dyn RTCCrypto, exported: &[u8]) -> Result<SrtpKeys, DtlsError> {
    let (client_key, rest) = exported.split_first_chunk::<KEY_LEN>().ok_or(DtlsError::NoKeys)?;
    let (server_key, rest) = rest.split_first_chunk::<KEY_LEN>().ok_or(DtlsError::NoKeys)?;
    let (client_salt, rest) = rest.split_first_chunk::<SALT_LEN>().ok_or(DtlsError::NoKeys)?;
    let server_salt = rest.first_chunk::<SALT_LEN>().ok_or(DtlsError::NoKeys)?;
    let derive = |key, salt| -> Result<_, DtlsError> {
        Ok(DirectionKeys {
            rtp_key: generate(crypto, key, salt, 0)?,
            rtp_salt: generate(crypto, key, salt, 2)?,
            rtcp_key: generate(crypto, key, salt, 3)?,
            rtcp_salt: generate(crypto, key, salt, 5)?,
        })
    };
    Ok(SrtpKeys { sending: derive(client_key, client_salt)?, receiving: derive(server_key, server_salt)? })
}

/// The first bytes of the AES counter mode generator for a label (RFC 3711 §4.3.3); no session key needs a second block.
fn generate<const LEN: usize>(
    crypto: &dyn RTCCrypto,
    key: &[u8; KEY_LEN],
    salt: &[u8],
    label: u8,
) -> Result<[u8; LEN], DtlsError> {
    let mut block = [0; 16];
    block.iter_mut().zip(salt).for_each(|(byte, salt)| *byte = *salt);
    block[7] ^= label;
    crypto.block_encrypt(BlockCipherAlgorithm::Aes128, key, &mut block).map_err(|error| failed(&error))?;
    block.first_chunk().copied().ok_or(DtlsError::NoKeys)
}

fn failed(error: &dyn std::fmt::Display) -> DtlsError {
    DtlsError::Failed(error.to_string())
}

/// Runs a call of the library; after a panic the session is thrown away, so its state may be inconsistent.
fn guarded<T>(call: impl FnOnce() -> Result<T, DtlsError>) -> Result<T, DtlsError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(DtlsError::Panicked))
}

/// The library tells sessions apart by address; here each has an endpoint of its own.
const PLACEHOLDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
const OWN_PLACEHOLDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10);
/// The label of RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
/// The longest handshake datagram, in bytes.
const MTU: usize = 1_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_derived_as_in_rfc_3711_b_3() {
        let provider = rtc_crypto::default_provider().unwrap();
        let key = 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139u128.to_be_bytes();
        let salt = [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6];
        let derived = generate::<16>(provider.crypto(), &key, &salt, 0).unwrap();
        assert_eq!(u128::from_be_bytes(derived), 0xC61E_7A93_744F_39EE_1073_4AFE_3FF7_A087);
        let salted = generate::<14>(provider.crypto(), &key, &salt, 2).unwrap();
        assert_eq!(salted, [0x30, 0xCB, 0xBC, 0x08, 0x86, 0x3D, 0x8C, 0x85, 0xD4, 0x9D, 0xB3, 0x4A, 0x9A, 0xE1]);
    }

    #[test]
    fn keying_material_that_is_too_short_is_refused() {
        let provider = rtc_crypto::default_provider().unwrap();
        assert!(split(provider.crypto(), &[0; 56]).is_ok());
        assert!(split(provider.crypto(), &[0; 55]).is_err());
    }
}
