//! The fingerprints of certificates that both sides promise in SDP (RFC 8122).

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

/// How a certificate is hashed; nothing weaker than SHA-256 is accepted (RFC 8827 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FingerprintHash {
    /// SHA-256, the one every browser sends.
    Sha256,
}

/// The digest of a certificate as `a=fingerprint` carries it.
///
/// Equality takes the same time whatever the difference.
#[derive(Clone, Copy)]
pub struct Fingerprint {
    /// The hash function.
    pub algorithm: FingerprintHash,
    /// The digest itself.
    pub bytes: [u8; 32],
}

impl Fingerprint {
    /// Hashes a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref()); // SHA-256 yields 32 bytes.
        Self { algorithm: FingerprintHash::Sha256, bytes }
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl Eq for Fingerprint {}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256 ")?;
        for (index, byte) in self.bytes.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an `a=fingerprint` value could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The hash function is not SHA-256; another fingerprint line may still be.
    #[error("the hash function is not sha-256")]
    Algorithm,
    /// The digest is not 32 pairs of hexadecimal digits with colons between.
    #[error("the digest is malformed")]
    Malformed,
}

/// Reads `sha-256 AB:CD:…`; the name of the hash and the digits may be in either case (RFC 8122 §5).
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(value: &str) -> Result<Self, FingerprintError> {
        let (algorithm, digest) = value.trim().split_once(' ').ok_or(FingerprintError::Malformed)?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return Err(FingerprintError::Algorithm);
        }
        let mut bytes = [0; 32];
        let mut pairs = digest.trim().split(':');
        for byte in &mut bytes {
            *byte = pairs.next().and_then(hex_pair).ok_or(FingerprintError::Malformed)?;
        }
        match pairs.next() {
            None => Ok(Self { algorithm: FingerprintHash::Sha256, bytes }),
            Some(_) => Err(FingerprintError::Malformed),
        }
    }
}

fn hex_pair(pair: &str) -> Option<u8> {
    let [high, low] = *pair.as_bytes() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Why no identity could be made.
#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made: {0}")]
pub struct IdentityError(pub(crate) String);

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_survives_being_written_and_read_in_either_case() {
        let fingerprint = Fingerprint::of(b"certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), "sha-256 ".len() + 32 * 3 - 1);
        assert_eq!(text.parse::<Fingerprint>(), Ok(fingerprint));
        assert_eq!(text.to_ascii_lowercase().parse::<Fingerprint>(), Ok(fingerprint));
        assert_eq!(text.to_ascii_uppercase().parse::<Fingerprint>(), Ok(fingerprint));
    }

    #[test]
    fn weak_or_broken_fingerprints_are_refused() {
        let good = Fingerprint::of(b"certificate").to_string();
        let digest = good.strip_prefix("sha-256 ").unwrap();
        assert_eq!(format!("sha-1 {digest}").parse::<Fingerprint>(), Err(FingerprintError::Algorithm));
        for broken in [
            String::new(),
            "sha-256".into(),
            "sha-256 ".into(),
            format!("{good}:00"),
            good[..good.len() - 3].into(),
            good.replace(':', "-"),
            format!("sha-256 +{}", &digest[1..]),
            format!("sha-256 é{}", &digest[2..]),
        ] {
            assert_eq!(broken.parse::<Fingerprint>(), Err(FingerprintError::Malformed), "{broken}");
        }
    }
}
