//! ID tokens of an identity provider (OpenID Connect Core 1.0): verified by the provider's JWK set, and judged. The time is
//! told.

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::crypto;

/// Longest ID token, in bytes: providers put pictures and groups in.
const MAX_ID_TOKEN_BYTES: usize = 32 * 1024;
/// Keys of a provider that are looked at.
const MAX_PROVIDER_KEYS: usize = 100;
/// How far the provider's clock may be off.
const LEEWAY: Duration = Duration::from_secs(60);
/// How old an ID token may be: it comes straight from the provider.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// Why an ID token vouches for nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// No key of the provider has this name or kind; perhaps it has changed its keys.
    #[error("no key of the provider has signed it")]
    NoKey,
    /// Its signature is not right.
    #[error("its signature is not right")]
    Signature,
    /// It is none at all, or says what it must not.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The keys of a provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderKeys(Vec<ProviderKey>);

#[derive(Debug, Clone)]
struct ProviderKey {
    id: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
}

/// What an ID token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// Whom it was made for: the id that this server has at the provider.
    pub client_id: &'a str,
    /// What this login was begun with.
    pub nonce: &'a str,
}

impl ProviderKeys {
    /// Reads a JWK set (RFC 7517 §5): RSA for RS256, `EC` P-256 for ES256 and `OKP` Ed25519 for EdDSA. Other keys are left out.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &[u8]) -> Result<Self, IdTokenError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        crypto::install();
        let set: Set = serde_json::from_slice(text).map_err(|_| IdTokenError::Invalid("its keys are no JWK set"))?;
        // A key of a kind that is not known here is no fault of the other ones.
        let keys = set.keys.into_iter().take(MAX_PROVIDER_KEYS).filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.filter_map(|jwk: Jwk| provider_key(&jwk)).collect()))
    }

    /// Verifies an ID token at the time `now` since 1970 UTC, and gives its claims.
    ///
    /// # Errors
    /// [`IdTokenError`].
    pub fn verify(
        &self,
        now: Duration,
        expected: Expected<'_>,
        token: &str,
    ) -> Result<Map<String, Value>, IdTokenError> {
        if token.len() > MAX_ID_TOKEN_BYTES {
            return Err(IdTokenError::Invalid("it is too long"));
        }
        let header = decode_header(token).map_err(|_| IdTokenError::Invalid("it is no token of a known algorithm"))?;
        if header.crit.is_some() {
            return Err(IdTokenError::Invalid("its header has crit"));
        }
        // The key's algorithm counts, never the header's alone; without a name every key of that algorithm is tried.
        let fits = |key: &&ProviderKey| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
        let mut found = self.0.iter().filter(fits).peekable();
        if found.peek().is_none() {
            return Err(IdTokenError::NoKey);
        }
        let claims =
            found.find_map(|key| decode::<Map<String, Value>>(token, &key.verifying, &only_signature(key)).ok());
        let claims = claims.ok_or(IdTokenError::Signature)?.claims;
        judge(now, expected, &claims)?;
        Ok(claims)
    }
}

fn provider_key(jwk: &Jwk) -> Option<ProviderKey> {
    if jwk.common.public_key_use.as_ref().is_some_and(|use_| *use_ != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        // A secret in a public set is nobody's.
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|algorithm| algorithm != named) {
        return None;
    }
    let verifying = DecodingKey::from_jwk(jwk).ok()?;
    Some(ProviderKey { id: jwk.common.key_id.clone(), algorithm, verifying })
}

/// What stands in the token is judged below, where the time is told.
fn only_signature(key: &ProviderKey) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation
}

/// OpenID Connect Core 1.0 §3.1.3.7.
fn judge(now: Duration, expected: Expected<'_>, claims: &Map<String, Value>) -> Result<(), IdTokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| Duration::from_secs(seconds as u64));
    let refuse = |problem| Err(IdTokenError::Invalid(problem));
    if text("iss") != Some(expected.issuer) {
        return refuse("its iss is another issuer");
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client_id) {
        return refuse("its aud is not this client");
    }
    let party = text("azp");
    if party.is_some_and(|party| party != expected.client_id) || audience.len() > 1 && party.is_none() {
        return refuse("its azp is not this client");
    }
    if time("exp").is_none_or(|exp| exp.saturating_add(LEEWAY) <= now) {
        return refuse("it has expired");
    }
    let made = time("iat").ok_or(IdTokenError::Invalid("it has no iat"))?;
    if made > now + LEEWAY || made.saturating_add(MAX_AGE) < now {
        return refuse("its iat is not just now: one of the clocks is off");
    }
    if time("nbf").is_some_and(|nbf| nbf > now + LEEWAY) {
        return refuse("its time has not come");
    }
    if text("nonce") != Some(expected.nonce) {
        return refuse("its nonce is not that of this login");
    }
    if text("sub").is_none_or(str::is_empty) {
        return refuse("it has no sub, which says whose it is");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_010);
    const EXPECTED: Expected<'_> = Expected { issuer: "https://id.example", client_id: "roundtable", nonce: "n" };

    /// A modulus and an ID token signed with the key of it by OpenSSL; the key is gone.
    const RSA_MODULUS: &str = "vg-QPqa8Vd8SK3t6YH4Faa7HX-rIWznsW9AKy_3wyna5VuSGwIfJsO86eZQd4jFjSbG6ylRvAGUuGv2cOjYuanCUtnJxjGTAVuJcWB3MU_pUvkkz0oNEgOJxdnVlQPOXCn_XVjSGn_PXyj1oCI6DEIEQVQHSTH-GzAdsK4WgXhjT9E8z_1PGF8duckU3mtg7RB4SYFot-Yque7gw3cYZFTPeVTE5TvAtJhV__1hdJPUsuaWE40FM--ADXRD_vHg41VQSiL6Lxhar7vAtdMEGc8UNwM0eIUOg2BkTAw_IkI5-zuZyAe_5GTGZKq48WMmy5uTtZU3BVzEfa4MXjamnaQ";
    const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJyb3VuZHRhYmxlIiwic3ViIjoidTEiLCJub25jZSI6Im4iLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDMwMH0.VvUJJ84qN_DO0WAmcW27ekjDtXCLb1HAPEJSfqhO2D2PodEeJmmVXkaKwlpLXiTQ4aoiO6ShHn1Zfpx_Apm3__H2uIIqe71R77_OIM8Ez6UimeyHvQf5nU3yCQoi8cLgK9vlkFPzUkbGHt4Qf4SI4ymltnFhIb-5Elaw7ZNbW971mB6v5mU46G1CfIaC2n8_4E2wtvJbH7jdEVjYe6mrAy1TIXsn3eXZGhZRo9DwlDWOBu9YpdEkt03AsHJWdlskUYZhALDeSErvTMrNhVs3JAcwr6Ijn1759PTj6eHacI-mnpFKNXnjbQ5cSUO5SY1zdWPoCZ-s8odrPWkkSEF4_g";

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn text(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn jwk(id: &str, seed: u8) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": text(pair(seed).public_key())})
    }

    fn keys(keys: &[Value]) -> ProviderKeys {
        ProviderKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn signed(header: &Value, claims: &Value, seed: u8) -> String {
        let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let signature = text(pair(seed).sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn good() -> Value {
        let now = NOW.as_secs();
        json!({"iss": "https://id.example", "aud": "roundtable", "sub": "u1", "nonce": "n", "iat": now, "exp": now + 300})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        claims
    }

    #[test]
    fn claims_are_judged_one_by_one() {
        let now = NOW.as_secs();
        let (keys, header) = (keys(&[jwk("k", 1)]), json!({"alg": "EdDSA", "kid": "k"}));
        let judged = |claims: &Value| keys.verify(NOW, EXPECTED, &signed(&header, claims, 1));
        for claims in [
            good(),
            with("aud", json!(["roundtable"])),
            with("azp", json!("roundtable")),
            with("exp", json!(now - 59)),
            with("iat", json!(now + 60)),
            with("iat", json!(now as f64 - 0.5)),
            with("nbf", json!(now)),
        ] {
            assert_eq!(judged(&claims).map(Value::Object), Ok(claims));
        }
        for (claims, says) in [
            (with("iss", json!("https://id.example/")), "iss"),
            (with("iss", Value::Null), "iss"),
            (with("aud", json!("other")), "aud"),
            (with("aud", json!(["other", 7])), "aud"),
            (with("aud", Value::Null), "aud"),
            (with("aud", json!(["roundtable", "other"])), "azp"),
            (with("azp", json!("other")), "azp"),
            (with("exp", json!(now - 60)), "expired"),
            (with("exp", json!("later")), "expired"),
            (with("exp", Value::Null), "expired"),
            (with("iat", json!(now + 61)), "iat"),
            (with("iat", json!(now - 601)), "iat"),
            (with("iat", Value::Null), "iat"),
            (with("nbf", json!(now + 61)), "time"),
            (with("nonce", json!("m")), "nonce"),
            (with("nonce", Value::Null), "nonce"),
            (with("sub", json!("")), "sub"),
            (with("sub", json!(7)), "sub"),
        ] {
            match judged(&claims) {
                Err(IdTokenError::Invalid(problem)) => assert!(problem.contains(says), "{claims}: {problem}"),
                other => panic!("{claims}: {other:?}"),
            }
        }
        for time in [u64::MAX as f64, f64::MAX, -1.0] {
            for name in ["exp", "iat", "nbf"] {
                let _ = judged(&with(name, json!(time))); // No figure is too large to be judged.
            }
        }
    }

    #[test]
    fn only_a_key_of_the_provider_with_the_algorithm_of_the_header_counts() {
        let keys = keys(&[jwk("a", 1), jwk("b", 2)]);
        let judged = |header: Value, seed| keys.verify(NOW, EXPECTED, &signed(&header, &good(), seed)).map(drop);
        assert_eq!(judged(json!({"alg": "EdDSA", "kid": "b"}), 2), Ok(()));
        assert_eq!(judged(json!({"alg": "EdDSA"}), 2), Ok(()), "without a name each is tried");
        assert_eq!(judged(json!({"alg": "EdDSA", "kid": "a"}), 2), Err(IdTokenError::Signature));
        assert_eq!(judged(json!({"alg": "EdDSA"}), 3), Err(IdTokenError::Signature));
        assert_eq!(judged(json!({"alg": "EdDSA", "kid": "c"}), 1), Err(IdTokenError::NoKey));
        for algorithm in ["HS256", "RS256", "ES256"] {
            assert_eq!(judged(json!({"alg": algorithm, "kid": "a"}), 1), Err(IdTokenError::NoKey), "{algorithm}");
        }
        let invalid = |problem| Err(IdTokenError::Invalid(problem));
        assert_eq!(judged(json!({"alg": "none"}), 1), invalid("it is no token of a known algorithm"));
        assert_eq!(judged(json!({"alg": "EdDSA", "crit": ["x"]}), 1), invalid("its header has crit"));
        let long = "x".repeat(MAX_ID_TOKEN_BYTES + 1);
        assert_eq!(keys.verify(NOW, EXPECTED, &long).map(drop), invalid("it is too long"));
    }

    #[test]
    fn rs256_is_what_most_providers_sign_with() {
        let rsa = |extra: Value| {
            let mut key = json!({"kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"});
            key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            keys(&[key, json!({"kty": "new", "kid": "x"}), json!(7)])
        };
        let claims = rsa(json!({"alg": "RS256", "use": "sig"})).verify(NOW, EXPECTED, RSA_TOKEN).unwrap();
        assert_eq!(claims["sub"], "u1");
        let (message, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
        let other = format!("{message}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
        assert_eq!(rsa(json!({})).verify(NOW, EXPECTED, &other), Err(IdTokenError::Signature));
        for unfit in [json!({"use": "enc"}), json!({"alg": "RS512"}), json!({"n": "!"})] {
            assert_eq!(rsa(unfit.clone()).verify(NOW, EXPECTED, RSA_TOKEN), Err(IdTokenError::NoKey), "{unfit}");
        }
    }

    #[test]
    fn a_secret_in_a_public_set_is_no_key() {
        let keys = keys(&[json!({"kty": "oct", "kid": "k", "k": text("a secret of 32 bytes, or a bit more")})]);
        let token = signed(&json!({"alg": "HS256", "kid": "k"}), &good(), 1);
        assert_eq!(keys.verify(NOW, EXPECTED, &token), Err(IdTokenError::NoKey));
        assert!(ProviderKeys::parse(b"[]").is_err() && ProviderKeys::parse(b"{}").is_err());
    }
}
