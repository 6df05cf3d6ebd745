//! Our DTLS identity: a certificate made for this process, and its key.

use std::fmt;
use std::sync::Arc;

use crate::certificate::{Fingerprint, IdentityError};
use crate::dtls::ServerCertificate;

/// A self-signed ECDSA P-256 certificate with its key; one per process serves every peer.
pub struct Identity {
    certificate: ServerCertificate,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Makes a fresh key and a certificate for it.
    pub fn generate() -> Result<Arc<Self>, IdentityError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, COMMON_NAME);
        let certificate = params.self_signed(&key)?;
        let der = certificate.der().to_vec();
        let fingerprint = Fingerprint::of(&der);
        let certificate = ServerCertificate::new(der, &key.serialize_der())?;
        Ok(Arc::new(Self { certificate, fingerprint }))
    }

    /// The digest to promise in SDP.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }
}

/// Shows the fingerprint, never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The subject of the certificate; it names nobody, as peers trust the fingerprint alone.
const COMMON_NAME: &str = "WebRTC";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identities_differ() {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(a.fingerprint(), b.fingerprint());
    }
}
