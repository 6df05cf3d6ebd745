//! Whom this server trusts when it calls others over TLS: the authorities of its host.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;

/// TLS that trusts whom this host trusts.
#[must_use]
pub fn tls_of_this_host() -> ClientConfig {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the host's certificates cannot be read");
    }
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        tracing::warn!("this host trusts no certificate: what goes out by https will fail");
    }
    tls_that_trusts(roots)
}

/// TLS that trusts these.
#[must_use]
pub fn tls_that_trusts(roots: rustls::RootCertStore) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    // INVARIANT: ring has suites for the default versions, whatever the roots are.
    let builder = builder.with_safe_default_protocol_versions().expect("ring has TLS 1.2 and 1.3");
    builder.with_root_certificates(roots).with_no_client_auth()
}
