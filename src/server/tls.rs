//! Makes the TLS side of the HTTP listener from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsConfig;

/// Why the certificate cannot be served with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// They do not fit together, or are of a kind that is not supported.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Unusable {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Reads the files and makes of them what the listener needs: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub(super) fn load(files: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsConfig { certificate, key } = files;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(certificate, &error))?;
    if chain.is_empty() {
        return Err(problem(certificate, &PemError::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| problem(key, &error))?;
    let unusable = |source| TlsError::Unusable { certificate: certificate.clone(), key: key.clone(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    // Event streams share one connection of HTTP/2, where HTTP/1.1 has six for a page. WebSockets ride on HTTP/1.1: clients
    // open a connection of their own for them, on which they offer nothing else.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn problem(path: &Path, error: &PemError) -> TlsError {
    let problem = match error {
        PemError::NoItemsFound => "the file holds no PEM block of this kind".to_owned(),
        PemError::Io(error) => error.to_string(),
        _ => "the file is not well-formed PEM".to_owned(),
    };
    TlsError::File { path: path.to_owned(), problem }
}
