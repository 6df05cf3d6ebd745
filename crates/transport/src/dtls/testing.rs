//! A DTLS client in memory, for the tests of this crate: `rtc-dtls` in the role of the browser.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

use super::engine::EXPORTER_LABEL;
use crate::certificate::Fingerprint;
use crate::srtp::{Keying, Profile};

/// What a client is like.
pub(crate) struct ClientOptions {
    /// The numbers of the SRTP profiles it offers, in its order.
    pub(crate) profiles: Vec<u16>,
    pub(crate) with_certificate: bool,
    pub(crate) extended_master_secret: bool,
    /// Where it cuts its handshake messages.
    pub(crate) mtu: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { profiles: vec![1, 7], with_certificate: true, extended_master_secret: true, mtu: 1_200 }
    }
}

/// A client shaking hands with one server.
pub(crate) struct Client {
    endpoint: Endpoint,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) is_connected: bool,
    pub(crate) was_closed: bool,
    pub(crate) received: Vec<Vec<u8>>,
}

impl Client {
    /// Sends its first hello at once.
    pub(crate) fn new(now: Instant, options: &ClientOptions) -> Self {
        let provider = rtc_crypto::default_provider().unwrap();
        let certificate = Certificate::generate_self_signed(vec!["client".to_owned()], provider.crypto()).unwrap();
        let fingerprint = Fingerprint::of(&certificate.certificate[0]);
        let secret = match options.extended_master_secret {
            true => ExtendedMasterSecretType::Require,
            false => ExtendedMasterSecretType::Disable,
        };
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(if options.with_certificate { vec![certificate] } else { Vec::new() })
            .with_srtp_protection_profiles(options.profiles.iter().map(|id| SrtpProtectionProfile::from(*id)).collect())
            .with_extended_master_secret(secret)
            .with_insecure_skip_verify(true)
            .with_server_name("server".to_owned())
            .with_mtu(options.mtu)
            .build(true, Some(SERVER))
            .unwrap();
        let mut endpoint = Endpoint::new(CLIENT, TransportProtocol::UDP, None);
        endpoint.connect(now, SERVER, Arc::new(config), None).unwrap();
        Self { endpoint, fingerprint, is_connected: false, was_closed: false, received: Vec::new() }
    }

    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        for event in self.endpoint.read(now, SERVER, None, BytesMut::from(datagram)).unwrap_or_default() {
            match event {
                EndpointEvent::HandshakeComplete => self.is_connected = true,
                EndpointEvent::ApplicationData(data) => self.received.push(data.to_vec()),
                EndpointEvent::PeerClosed => self.was_closed = true,
                _ => {}
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let _ = self.endpoint.handle_timeout(SERVER, now);
    }

    pub(crate) fn send(&mut self, now: Instant, data: &[u8]) {
        self.endpoint.write(now, SERVER, data).unwrap();
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.endpoint.close(now).unwrap();
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message.to_vec())
    }

    /// The keying of client and server, as this side exports it.
    pub(crate) fn export(&self) -> (Profile, Keying, Keying) {
        let state = self.endpoint.get_connection_state(SERVER).unwrap();
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmHmacSha1_80,
            other => panic!("{other:?} was never offered"),
        };
        let exported = state.export_keying_material(EXPORTER_LABEL, &[], Keying::exported_len(profile)).unwrap();
        let (client, server) = Keying::split(profile, exported.as_ref()).unwrap();
        (profile, client, server)
    }
}

const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4_444);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4_445);
