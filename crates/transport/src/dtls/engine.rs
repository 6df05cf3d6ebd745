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
pub(crate) struct ServerCertificate {
    certificate: Certificate,
    /// What sessions go by that have [settled](Engine::settle): the same for all, as there is nothing left to judge.
    settled: Arc<HandshakeConfig>,
}

impl ServerCertificate {
    /// Takes a certificate in DER and its ECDSA P-256 key in PKCS#8.
    pub(crate) fn new(der: Vec<u8>, key: &[u8]) -> Result<Self, IdentityError> {
        let refused = |error: &dyn std::fmt::Display| IdentityError(error.to_string());
        let provider = rtc_crypto::default_provider().map_err(|error| refused(&error))?;
        let key = provider.crypto().import_signing_key(SignatureScheme::EcdsaP256Sha256, key);
        let private_key = CryptoPrivateKey::from_signing_key(key.map_err(|error| refused(&error))?);
        let certificate = Certificate { certificate: vec![der.into()], private_key };
        let settled = base_config(certificate.clone()).and_then(|config| config.build(false, None));
        Ok(Self { certificate, settled: Arc::new(settled.map_err(|error| refused(&error))?) })
    }
}

/// One session of the engine.
pub(super) struct Engine {
    session: Session,
    profile: Profile,
    /// The newest record of the peer that had data in it.
    newest: u64,
    /// The newest record of before it settled: the engine's memory of what it has seen begins behind it.
    settled_behind: Option<u64>,
}

/// Who has the keys.
enum Session {
    /// `rtc-dtls` has them.
    Held(Endpoint),
    /// They are written out, in some 160 bytes where an endpoint takes four and a half kilobytes: between who only sends and
    /// receives media and us there is no record until one says goodbye. The first one brings the endpoint back, for good.
    Written { state: Box<[u8]>, config: Arc<HandshakeConfig> },
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
            let endpoint = Endpoint::new(PLACEHOLDER, TransportProtocol::UDP, Some(Arc::new(config)));
            Ok(Self { session: Session::Held(endpoint), profile, newest: 0, settled_behind: None })
        })
    }

    /// Feeds one record.
    pub(super) fn read(&mut self, now: Instant, record: &[u8]) -> Result<Vec<EngineEvent>, EngineError> {
        let endpoint = self.session.hold(now)?;
        let events = guarded(|| endpoint.read(now, PLACEHOLDER, None, BytesMut::from(record)).map_err(failed))?;
        let events: Vec<EngineEvent> = events.into_iter().filter_map(translate).collect();
        if events.iter().any(|event| matches!(event, EngineEvent::Data(_))) {
            self.newest = self.newest.max(sequence_number(record));
        }
        Ok(events)
    }

    /// Lets go of what only the handshake needed: all its messages, the ephemeral keys and the peer's certificate; and of
    /// the endpoint until there is a record for it. Only for sessions of which the peer is known to have our last flight,
    /// as that cannot be repeated afterwards; nor is its fingerprint known then.
    pub(super) fn settle(&mut self, certificate: &ServerCertificate) -> Result<(), EngineError> {
        let Some(state) = self.state() else { return Ok(()) };
        let kept = guarded(|| {
            // Read back at once: what is written last is known to be readable, and has no certificate in it.
            let mut kept = read_back(&state.marshal_binary().map_err(failed)?)?;
            kept.peer_certificates = Vec::new();
            kept.marshal_binary().map_err(failed)
        })?;
        self.session = Session::Written { state: kept.into(), config: Arc::clone(&certificate.settled) };
        self.settled_behind = Some(self.newest);
        Ok(())
    }

    /// Whether only the keys are left of the handshake.
    pub(super) const fn has_settled(&self) -> bool {
        self.settled_behind.is_some()
    }

    /// Whether there is no endpoint.
    #[cfg(test)]
    pub(super) const fn is_written(&self) -> bool {
        matches!(self.session, Session::Written { .. })
    }

    /// Whether a record may have been seen before the session settled, so that nobody could tell it from a repeated one.
    pub(super) fn is_past(&self, record: &[u8]) -> bool {
        self.settled_behind.is_some_and(|newest| sequence_number(record) <= newest)
    }

    /// Encrypts application data into the transmits.
    pub(super) fn write(&mut self, now: Instant, data: &[u8]) -> Result<(), EngineError> {
        let endpoint = self.session.hold(now)?;
        guarded(|| endpoint.write(now, PLACEHOLDER, data).map_err(failed))
    }

    /// Says goodbye; a failure does not matter any more.
    pub(super) fn close(&mut self, now: Instant) {
        let Ok(endpoint) = self.session.hold(now) else { return };
        let _ = guarded(|| endpoint.close(now).map_err(failed));
    }

    /// Takes what the engine wants sent.
    pub(super) fn take_transmits(&mut self) -> Vec<Vec<u8>> {
        let Session::Held(endpoint) = &mut self.session else { return Vec::new() };
        std::iter::from_fn(|| endpoint.poll_transmit()).map(|transmit| transmit.message.into()).collect()
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
        match &self.session {
            Session::Held(endpoint) => endpoint.get_connection_state(PLACEHOLDER),
            Session::Written { .. } => None,
        }
    }
}

impl Session {
    /// The endpoint, brought back if need be.
    fn hold(&mut self, now: Instant) -> Result<&mut Endpoint, EngineError> {
        if let Self::Written { state, config } = self {
            let endpoint = guarded(|| {
                // To «connect» with a state is how the engine takes up a session that exists; nothing is sent.
                let mut endpoint = Endpoint::new(PLACEHOLDER, TransportProtocol::UDP, None);
                endpoint.connect(now, PLACEHOLDER, Arc::clone(config), Some(read_back(state)?)).map_err(failed)?;
                Ok(endpoint)
            })?;
            *self = Self::Held(endpoint);
        }
        match self {
            Self::Held(endpoint) => Ok(endpoint),
            Self::Written { .. } => Err(EngineError::Panicked), // Not behind the lines above.
        }
    }
}

/// Reads what a session wrote out, and derives its keys.
fn read_back(written: &[u8]) -> Result<State, EngineError> {
    let provider = rtc_crypto::default_provider().map_err(|error| failed(Error::Crypto(error.to_string())))?;
    let mut state = State::new(provider, false);
    state.unmarshal_binary(written).map_err(failed)?;
    Ok(state)
}

/// What all sessions have in common.
fn base_config(certificate: Certificate) -> Result<ConfigBuilder, Error> {
    let provider = rtc_crypto::default_provider().map_err(|error| Error::Crypto(error.to_string()))?;
    let cipher_suites = vec![
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
    ];
    Ok(ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_certificates(vec![certificate])
        .with_cipher_suites(cipher_suites)
        .with_mtu(MTU))
}

fn server_config(
    certificate: ServerCertificate,
    expected: Fingerprint,
    profile: Profile,
) -> Result<HandshakeConfig, Error> {
    base_config(certificate.certificate)?
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
        .build(false, None)
}

/// The 48 bits of a record's number (RFC 6347 §4.1).
fn sequence_number(record: &[u8]) -> u64 {
    record.get(5..11).unwrap_or_default().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
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
