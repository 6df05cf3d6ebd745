//! Signs what is sent, as Standard Webhooks says: `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes a secret has at least: what a brute force has to guess.
pub const MIN_SECRET_BYTES: usize = 24;
/// Bytes a secret has at most: a longer one is hashed first and no stronger.
pub const MAX_SECRET_BYTES: usize = 64;

/// A secret shared with the receivers. Its `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes")]
pub struct BadSecret;

impl SigningSecret {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// [`BadSecret`] when it is not that.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| BadSecret)?;
        let fits = (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len());
        fits.then_some(Self(bytes)).ok_or(BadSecret)
    }

    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        // INVARIANT: HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// The value of `webhook-signature`: one signature for each secret, so that a receiver may have either while they are
/// changed. `timestamp` is in seconds since 1970 UTC.
pub(super) fn signatures(secrets: &[SigningSecret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let all: Vec<String> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        // From the specification's own libraries (standard-webhooks, tests of `sign`).
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let one = SigningSecret(vec![1; 32]);
        let two = SigningSecret(vec![2; 32]);
        let (a, b) = (one.sign("i", 1, b"x"), two.sign("i", 1, b"x"));
        assert_eq!(signatures(&[one, two], "i", 1, b"x"), format!("{a} {b}"));
        assert_ne!(a, b);
    }

    #[test]
    fn a_secret_has_its_form_and_its_length_and_is_not_shown() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, fine) in [
            (of(23), false),
            (of(24), true),
            (of(64), true),
            (of(65), false),
            (STANDARD.encode([7; 32]), false),
            ("whsec_".to_owned(), false),
            ("whsec_!!!!".to_owned(), false),
        ] {
            assert_eq!(SigningSecret::parse(&text).is_ok(), fine, "{text}");
        }
        assert_eq!(format!("{:?}", SigningSecret(vec![7; 32])), "SigningSecret(…)");
    }
}
