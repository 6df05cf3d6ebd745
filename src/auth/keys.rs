//! The keys that sign tokens, each with one algorithm, and the texts they are read from.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::crypto;

/// Shortest secret of HS256, in bytes (RFC 7518 §3.2), but where short ones are allowed.
pub const MIN_SECRET_BYTES: usize = 32;
/// Most keys of a server; a file with more is refused.
pub const MAX_KEYS: usize = 100;
/// Longest id of a key, in bytes.
pub const MAX_KEY_ID_BYTES: usize = 128;

/// What stands before the key in the DER of an Ed25519 public key (RFC 8410 §4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// … and of a P-256 one (RFC 5480 §2).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_BYTES: usize = 32;
const P256_COORDINATE_BYTES: usize = 32;
/// An uncompressed point (SEC 1 §2.3.3) begins with this.
const P256_UNCOMPRESSED: u8 = 4;

/// What is wrong with keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: String,
        /// Why.
        problem: String,
    },
    /// The text is none of keys.
    #[error("this is no list of keys: {0}")]
    Malformed(String),
    /// A secret that can be guessed.
    #[error(
        "key {id:?}: its secret has {bytes} bytes; HS256 wants at least {MIN_SECRET_BYTES} (`roundtable keys new` makes one)"
    )]
    ShortSecret {
        /// The key.
        id: String,
        /// How long its secret is.
        bytes: usize,
    },
    /// A key that cannot be used.
    #[error("key {id:?}: {problem}")]
    Unusable {
        /// The key.
        id: String,
        /// Why.
        problem: String,
    },
    /// Two keys of one name.
    #[error("key {0:?} is there twice")]
    Twice(String),
    /// More keys than a server may have.
    #[error("there are more than {MAX_KEYS} keys")]
    TooMany,
}

/// The one algorithm of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256: whoever verifies can sign as well.
    #[default]
    #[serde(rename = "HS256")]
    Hs256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        })
    }
}

impl KeyAlgorithm {
    fn of_jwt(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A key that tokens are signed with. Its `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct Key {
    id: String,
    algorithm: KeyAlgorithm,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
    validation: Validation,
    max_rooms: Option<u32>,
}

impl Key {
    /// A shared secret.
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`] unless `short_allowed`, and [`KeyError::Unusable`] if it or its id is empty.
    pub fn shared(id: &str, secret: &[u8], short_allowed: bool) -> Result<Self, KeyError> {
        match secret.len() {
            0 => return Err(unusable(id, "its secret is empty")),
            bytes if bytes < MIN_SECRET_BYTES && !short_allowed => {
                return Err(KeyError::ShortSecret { id: id.to_owned(), bytes });
            }
            _ => {}
        }
        let signing = Some(EncodingKey::from_secret(secret));
        Self::new(id, KeyAlgorithm::Hs256, DecodingKey::from_secret(secret), signing)
    }

    /// A public key of PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if it is none of that algorithm.
    pub fn public_pem(id: &str, algorithm: KeyAlgorithm, pem: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| unusable(id, "its public-key is no PEM of a public key"))?;
        let (prefix, bytes): (&[u8], _) = match algorithm {
            KeyAlgorithm::Hs256 => return Err(unusable(id, "HS256 has a secret, no public key")),
            KeyAlgorithm::Es256 => (&P256_SPKI, 1 + 2 * P256_COORDINATE_BYTES),
            KeyAlgorithm::EdDsa => (&ED25519_SPKI, ED25519_BYTES),
        };
        match der.strip_prefix(prefix) {
            Some(key) if key.len() == bytes => Self::public(id, algorithm, key),
            _ => Err(unusable(id, &format!("its public-key is none of {algorithm}"))),
        }
    }

    fn public(id: &str, algorithm: KeyAlgorithm, key: &[u8]) -> Result<Self, KeyError> {
        let key = match algorithm {
            KeyAlgorithm::Hs256 => DecodingKey::from_secret(key),
            KeyAlgorithm::Es256 => DecodingKey::from_ec_der(key),
            KeyAlgorithm::EdDsa => DecodingKey::from_ed_der(key),
        };
        Self::new(id, algorithm, key, None)
    }

    fn new(
        id: &str,
        algorithm: KeyAlgorithm,
        verifying: DecodingKey,
        signing: Option<EncodingKey>,
    ) -> Result<Self, KeyError> {
        crypto::install();
        if id.is_empty() || id.len() > MAX_KEY_ID_BYTES {
            return Err(unusable(id, &format!("an id has 1 to {MAX_KEY_ID_BYTES} bytes")));
        }
        // What stands in the token is judged by `token::verify`, which is told the time.
        let mut validation = Validation::new(algorithm.of_jwt());
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        Ok(Self { id: id.to_owned(), algorithm, verifying, signing, validation, max_rooms: None })
    }

    /// Its name: the `kid` or `iss` of its tokens.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The algorithm of its tokens.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Rooms that it may have, if that is another figure than for the other keys.
    #[must_use]
    pub fn max_rooms(&self) -> Option<u32> {
        self.max_rooms
    }

    pub(super) fn jwt_algorithm(&self) -> Algorithm {
        self.algorithm.of_jwt()
    }

    pub(super) fn verifying(&self) -> (&DecodingKey, &Validation) {
        (&self.verifying, &self.validation)
    }

    pub(super) fn signing(&self) -> Option<&EncodingKey> {
        self.signing.as_ref()
    }
}

/// The keys of a server, at most [`MAX_KEYS`].
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: HashMap<String, Key>,
    /// The id of the first key that can sign.
    signs: Option<String>,
}

impl KeySet {
    /// Adds a key.
    ///
    /// # Errors
    /// [`KeyError::Twice`] and [`KeyError::TooMany`].
    pub fn add(&mut self, key: Key) -> Result<(), KeyError> {
        if self.keys.len() == MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        if self.keys.contains_key(&key.id) {
            return Err(KeyError::Twice(key.id));
        }
        if self.signs.is_none() && key.signing.is_some() {
            self.signs = Some(key.id.clone());
        }
        self.keys.insert(key.id.clone(), key);
        Ok(())
    }

    /// Adds the keys of a keys file, which is TOML, or JSON of the same shape.
    ///
    /// # Errors
    /// [`KeyError`] says which key is wrong, and how.
    pub fn add_keys_file(&mut self, text: &str, short_allowed: bool) -> Result<(), KeyError> {
        let file: KeysFile = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| KeyError::Malformed(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| KeyError::Malformed(error.message().to_owned()))?
        };
        if file.keys.is_empty() {
            return Err(KeyError::Malformed("it holds none".to_owned()));
        }
        for entry in file.keys {
            self.add(entry.key(short_allowed)?)?;
        }
        Ok(())
    }

    /// Adds the keys of a JWK set (RFC 7517 §5) that are of an algorithm known here; the other ones are left out.
    ///
    /// # Errors
    /// [`KeyError`] says which key is wrong, and how.
    pub fn add_jwks(&mut self, text: &str, short_allowed: bool) -> Result<(), KeyError> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| KeyError::Malformed(error.to_string()))?;
        let before = self.keys.len();
        for jwk in set.keys {
            if let Some(key) = jwk.key(short_allowed)? {
                self.add(key)?;
            }
        }
        if self.keys.len() == before {
            return Err(KeyError::Malformed("it holds no key of HS256, ES256 or EdDSA".to_owned()));
        }
        Ok(())
    }

    /// The key of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    /// The key that this server signs with: the first one that can.
    #[must_use]
    pub fn signing_key(&self) -> Option<&Key> {
        self.keys.get(self.signs.as_ref()?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Each key, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        let mut keys: Vec<_> = self.keys.values().collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys.into_iter()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    #[serde(default)]
    keys: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KeyEntry {
    id: String,
    #[serde(default)]
    algorithm: KeyAlgorithm,
    secret: Option<String>,
    public_key: Option<String>,
    max_rooms: Option<u32>,
}

impl KeyEntry {
    fn key(self, short_allowed: bool) -> Result<Key, KeyError> {
        let key = match (self.algorithm, self.secret, self.public_key) {
            (KeyAlgorithm::Hs256, Some(secret), None) => Key::shared(&self.id, secret.as_bytes(), short_allowed),
            (KeyAlgorithm::Hs256, ..) => Err(unusable(&self.id, "HS256 has a secret and no public-key")),
            (algorithm, None, Some(pem)) => Key::public_pem(&self.id, algorithm, &pem),
            (algorithm, ..) => Err(unusable(&self.id, &format!("{algorithm} has a public-key and no secret"))),
        };
        Ok(Key { max_rooms: self.max_rooms, ..key? })
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// What is needed of a JSON Web Key (RFC 7517, RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    /// The key; `None` if it is for something else or of an algorithm that is not known here.
    fn key(&self, short_allowed: bool) -> Result<Option<Key>, KeyError> {
        let algorithm = match (&*self.kty, self.crv.as_deref()) {
            ("oct", _) => KeyAlgorithm::Hs256,
            ("EC", Some("P-256")) => KeyAlgorithm::Es256,
            ("OKP", Some("Ed25519")) => KeyAlgorithm::EdDsa,
            _ => return Ok(None),
        };
        if self.r#use.as_ref().is_some_and(|r#use| r#use != "sig") {
            return Ok(None);
        }
        let Some(id) = &self.kid else {
            return Err(unusable("", "a key without kid cannot be found by a token"));
        };
        // RFC 9864 names the curve in the algorithm as well.
        let named =
            |alg: &String| *alg == algorithm.to_string() || (algorithm == KeyAlgorithm::EdDsa && alg == "Ed25519");
        if !self.alg.as_ref().is_none_or(named) {
            return Ok(None);
        }
        Ok(Some(match algorithm {
            KeyAlgorithm::Hs256 => Key::shared(id, &member(id, "k", self.k.as_ref(), None)?, short_allowed)?,
            KeyAlgorithm::Es256 => {
                let mut point = vec![P256_UNCOMPRESSED];
                point.extend(member(id, "x", self.x.as_ref(), Some(P256_COORDINATE_BYTES))?);
                point.extend(member(id, "y", self.y.as_ref(), Some(P256_COORDINATE_BYTES))?);
                Key::public(id, algorithm, &point)?
            }
            KeyAlgorithm::EdDsa => Key::public(id, algorithm, &member(id, "x", self.x.as_ref(), Some(ED25519_BYTES))?)?,
        }))
    }
}

/// Reads a member of a JWK, which is base64url.
fn member(id: &str, name: &str, text: Option<&String>, bytes: Option<usize>) -> Result<Vec<u8>, KeyError> {
    let decoded = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let decoded = decoded.filter(|decoded| bytes.is_none_or(|bytes| decoded.len() == bytes));
    decoded.ok_or_else(|| unusable(id, &format!("its {name} is missing or not what it is to be")))
}

fn unusable(id: &str, problem: &str) -> KeyError {
    KeyError::Unusable { id: id.to_owned(), problem: problem.to_owned() }
}
