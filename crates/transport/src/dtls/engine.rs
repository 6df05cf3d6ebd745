//! The handshake and record engine, `rtc-dtls`, for one server session.
//!
//! Every call runs behind a panic boundary, so that a fault in it costs one session. What reaches the engine is bounded
//! by the guard in front ([`handshake`](super::handshake)); the addresses it wants are placeholders, so the session
//! moves between paths freely.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_crypto::{SecretVec, SignatureScheme};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::{Certificate, CryptoPrivateKey};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use crate::certificate::{Fingerprint, IdentityError};
use crate::srtp::{Keying, Profile};

/// Our certificate with its key, in the form the engine takes.
#[derive(Clone)]
pub(crate) struct ServerCertificate(Certificate);

impl ServerCertificate {
    /// Takes a certificate in DER and its ECDSA P-256 key in PKCS#8.
    pub(crate) fn new(der: Vec<u8>, key: &[u8]) -> Result<Self, IdentityError> {
        let refused = |error: &dyn std::fmt::Display| IdentityError(error.to_string());
        let provider = rtc_crypto::default_provider().map_err(|error| refused(&error))?;
        let key = provider.crypto().import_signing_key(SignatureScheme::EcdsaP256Sha256, key);
        let private_key = CryptoPrivateKey::from_signing_key(key.map_err(|error| refused(&error))?);
        Ok(Self(Certificate { certificate: vec![der.into()], private_key }))
    }
}

/// One session of the engine.
pub(super) struct Engine {
    endpoint: Endpoint,
    profile: Profile,
}

/// What the engine made of its input.
pub(super) enum EngineEvent {
    /// Both sides have finished.
    Complete,
    /// Application data came.
    Data(Bytes),
    /// The peer said goodbye.
    PeerClosed,
}

/// Why the engine gave up.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// It met something it could not go on from.
    #[error("{0}")]
    Failed(String),
    /// It panicked and must not be used again.
    #[error("the handshake engine panicked")]
    Panicked,
}

impl Engine {
    /// Waits for a ClientHello as server, offering exactly one SRTP profile and accepting exactly one certificate.
    pub(super) fn new(
        certificate: &ServerCertificate,
        expected: Fingerprint,
        profile: Profile,
    ) -> Result<Self, EngineError> {
        let certificate = certificate.clone();
        guarded(|| {
            let config = server_config(certificate, expected, profile).map_err(failed)?;
            Ok(Self { endpoint: Endpoint::new(PLACEHOLDER, TransportProtocol::UDP, Some(Arc::new(config))), profile })
        })
    }

    /// Feeds one datagram.
    pub(super) fn read(&mut self, now: Instant, datagram: &[u8]) -> Result<Vec<EngineEvent>, EngineError> {
        let events = guarded(|| self.endpoint.read(now, PLACEHOLDER, None, BytesMut::from(datagram)).map_err(failed))?;
        Ok(events.into_iter().filter_map(translate).collect())
    }

    /// Encrypts application data into the transmits.
    pub(super) fn write(&mut self, now: Instant, data: &[u8]) -> Result<(), EngineError> {
        guarded(|| self.endpoint.write(now, PLACEHOLDER, data).map_err(failed))
    }

    /// Says goodbye; a failure does not matter any more.
    pub(super) fn close(&mut self, now: Instant) {
        let _ = guarded(|| self.endpoint.close(now).map_err(failed));
    }

    /// Takes what the engine wants sent.
    pub(super) fn take_transmits(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message.into()).collect()
    }

    /// Whether the record keys exist, that is, whether protected records can be read.
    pub(super) fn has_keys(&self) -> bool {
        self.state().and_then(State::cipher_suite).is_some_and(|suite| suite.is_initialized())
    }

    /// The fingerprint of the certificate the peer showed.
    pub(super) fn peer_fingerprint(&self) -> Option<Fingerprint> {
        self.state()?.peer_certificates.first().map(|der| Fingerprint::of(der))
    }

    /// Exports the SRTP keying of client and server (RFC 5764 §4.2); `None` unless the profile negotiated is the one
    /// configured.
    pub(super) fn export(&self) -> Option<(Keying, Keying)> {
        let state = self.state().filter(|state| state.srtp_protection_profile() == engine_profile(self.profile))?;
        let exported: SecretVec =
            state.export_keying_material(EXPORTER_LABEL, &[], Keying::exported_len(self.profile)).ok()?;
        Keying::split(self.profile, exported.as_ref())
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    fn state(&self) -> Option<&State> {
        self.endpoint.get_connection_state(PLACEHOLDER)
    }
}

fn server_config(
    certificate: ServerCertificate,
    expected: Fingerprint,
    profile: Profile,
) -> Result<HandshakeConfig, Error> {
    let provider = rtc_crypto::default_provider().map_err(|error| Error::Crypto(error.to_string()))?;
    ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_certificates(vec![certificate.0])
        .with_cipher_suites(vec![
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
            CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
        ])
        .with_srtp_protection_profiles(vec![engine_profile(profile)])
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        // The engine does not compare the client's Finished. The extended master secret binds the keys to the whole
        // handshake instead, and the client's signature covers it, too (RFC 7627).
        .with_extended_master_secret(ExtendedMasterSecretType::Require)
        .with_insecure_skip_verify(true) // No certificate authorities: the fingerprint is the trust.
        .with_verify_peer_certificate(Some(Arc::new(move |chain, _| match chain.first() {
            Some(leaf) if Fingerprint::of(leaf) == expected => Ok(()),
            _ => Err(Error::ErrInvalidCertificate),
        })))
        .with_mtu(MTU)
        .build(false, None)
}

fn engine_profile(profile: Profile) -> SrtpProtectionProfile {
    SrtpProtectionProfile::from(profile.id())
}

fn translate(event: EndpointEvent) -> Option<EngineEvent> {
    match event {
        EndpointEvent::HandshakeComplete => Some(EngineEvent::Complete),
        EndpointEvent::ApplicationData(data) => Some(EngineEvent::Data(data.freeze())),
        EndpointEvent::PeerClosed => Some(EngineEvent::PeerClosed),
        _ => None,
    }
}

fn failed(error: Error) -> EngineError {
    EngineError::Failed(error.to_string())
}

/// Runs a call of the engine; after a panic the engine is thrown away, so its state may be inconsistent.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(EngineError::Panicked))
}

/// The engine tells sessions apart by address; here each has an engine of its own.
const PLACEHOLDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// The label of RFC 5764 §4.2.
pub(super) const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
/// The longest handshake datagram we send.
const MTU: usize = 1_200;
