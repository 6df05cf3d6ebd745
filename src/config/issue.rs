//! What `roundtable token` and `roundtable keys` do: make tokens and keys, and look keys over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_protocol::limit::MAX_IDENTITY_BYTES;
use roundtable_protocol::member::check_attributes;
use roundtable_protocol::name::check_name;
use roundtable_protocol::{InvalidId, Role, RoomId};
use serde_json::{Map, Value};

use super::access::DEV_KEY;
use crate::auth::{Claims, Key, KeyError, KeySet, KeySources, MAX_TOKEN_LIFE, MIN_SECRET_BYTES, VideoGrant, mint};

/// Random bytes that [`new_key`] is given: the id's and the secret's.
pub const KEY_RANDOM_BYTES: usize = ID_BYTES + MIN_SECRET_BYTES;
const ID_BYTES: usize = 9;

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub struct TokenWish {
    /// The key: its id and the file of its secret, or the file of keys and perhaps its id in it.
    pub key: Option<String>,
    /// The file of the secret.
    pub secret_file: Option<PathBuf>,
    /// The file of keys.
    pub keys_file: Option<PathBuf>,
    /// Signs with the key of `--dev`.
    pub dev: bool,
    /// The room; none for a token of the API.
    pub room: Option<String>,
    /// Who its bearer is.
    pub identity: Option<String>,
    /// The name others see.
    pub name: Option<String>,
    /// What others may know besides.
    pub metadata: Option<String>,
    /// The same by key, as `KEY=VALUE`.
    pub attributes: Vec<String>,
    /// What its bearer is in the room.
    pub role: Option<Role>,
    /// How long it lives.
    pub ttl: Duration,
    /// Grants as `NAME` or `NAME=VALUE`.
    pub grants: Vec<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key was named, or none that signs.
    #[error("{0}")]
    NoKey(&'static str),
    /// The file of the secret.
    #[error("{}: {problem}", path.display())]
    Secret {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The room.
    #[error("room: {0}")]
    Room(#[from] InvalidId),
    /// A grant.
    #[error("grant {0:?}: one is canPublish, canPublish=false, or canPublishSources=camera,microphone (docs/AUTH.md)")]
    Grant(String),
    /// Something else that a token cannot say.
    #[error("{0}")]
    Claim(String),
}

/// Makes a token at the time `now` since 1970 UTC.
///
/// # Errors
/// [`IssueError`] says what is wrong with the wish.
pub fn token(now: Duration, wish: &TokenWish) -> Result<String, IssueError> {
    let room = wish.room.as_deref().map(RoomId::new).transpose()?;
    let claim = |problem: &str| Err(IssueError::Claim(problem.to_owned()));
    match &wish.identity {
        Some(identity) if identity.is_empty() || identity.len() > MAX_IDENTITY_BYTES => {
            return claim("identity: it has 1 to 128 bytes");
        }
        None if room.is_some() => return claim("identity: who enters a room is somebody; give --identity"),
        _ => {}
    }
    if let Some(Err(bad)) = wish.name.as_deref().map(check_name) {
        return claim(&bad.to_string());
    }
    if wish.ttl.is_zero() || wish.ttl > MAX_TOKEN_LIFE {
        return claim("ttl: a token lives for 1s to 24h");
    }
    let attributes = wish.attributes.iter().map(|attribute| attribute.split_once('=')).collect::<Option<Vec<_>>>();
    let Some(attributes) = attributes else { return claim("attribute: one is KEY=VALUE") };
    let attributes: BTreeMap<_, _> = attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    if let Err(bad) = check_attributes(&attributes) {
        return claim(&bad.to_string());
    }
    let claims = Claims {
        sub: wish.identity.clone(),
        exp: Some(now.saturating_add(wish.ttl).as_secs()),
        nbf: Some(now.as_secs()),
        name: wish.name.clone(),
        metadata: wish.metadata.clone(),
        attributes: Some(attributes).filter(|attributes| !attributes.is_empty()),
        role: wish.role,
        video: Some(video(room, &wish.grants)?),
        ..Claims::default()
    };
    mint(&key(wish)?, &claims).map_err(|error| IssueError::Claim(error.to_string()))
}

fn key(wish: &TokenWish) -> Result<Key, IssueError> {
    let (id, secret) = match (&wish.key, &wish.secret_file, &wish.keys_file) {
        (id, None, Some(file)) => {
            let sources = KeySources { keys_file: Some(file.clone()), ..KeySources::default() };
            let keys = sources.read()?;
            let key = id.as_ref().map_or_else(|| keys.signing_key(), |id| keys.find(id));
            return key.cloned().ok_or(IssueError::NoKey("that file has no such key, or none that signs"));
        }
        (Some(id), Some(file), None) => {
            let read = super::read_secret(file);
            let secret = read.map_err(|problem| IssueError::Secret { path: file.clone(), problem })?;
            (id.clone(), secret.reveal().to_owned())
        }
        (None, None, None) if wish.dev => (DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned()),
        _ => return Err(IssueError::NoKey("name a key: --key with --secret-file, or --keys-file, or --dev")),
    };
    Ok(Key::shared(&id, secret.as_bytes(), wish.dev)?)
}

fn video(room: Option<RoomId>, grants: &[String]) -> Result<VideoGrant, IssueError> {
    let mut video = Map::new();
    if let Some(room) = room {
        video.insert("room".to_owned(), room.to_string().into());
        video.insert("roomJoin".to_owned(), true.into());
    }
    for grant in grants {
        let (name, value) = grant.split_once('=').unwrap_or((grant, "true"));
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            list => list.split(',').map(Value::from).collect(),
        };
        video.insert(name.to_owned(), value);
        let read: Result<VideoGrant, _> = serde_json::from_value(Value::Object(video.clone()));
        let again = read.and_then(serde_json::to_value);
        // What is not known is left out in reading.
        if name == "room" || !again.is_ok_and(|again| again.get(name).is_some()) {
            return Err(IssueError::Grant(grant.clone()));
        }
    }
    serde_json::from_value(Value::Object(video)).map_err(|error| IssueError::Claim(error.to_string()))
}

/// A fresh key in the form of a keys file.
#[must_use]
pub fn new_key(random: [u8; KEY_RANDOM_BYTES]) -> String {
    let (id, secret) = random.split_at(ID_BYTES);
    // An id that begins with a letter is easier to select and to quote.
    let id = format!("RT{}", URL_SAFE_NO_PAD.encode(id));
    let secret = URL_SAFE_NO_PAD.encode(secret);
    format!("[[keys]]\nid = \"{id}\"\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n")
}

/// Reads a file of keys or a JWK set and says what is in it.
///
/// # Errors
/// [`KeyError`] names the file and the key.
pub fn check_keys(path: &Path) -> Result<String, KeyError> {
    let keys = KeySources { keys_file: Some(path.to_owned()), ..KeySources::default() }.read();
    let keys = keys.or_else(|error| {
        let jwks = KeySources { jwks_file: Some(path.to_owned()), ..KeySources::default() };
        // Of a file that is neither, what is wrong with it as a file of keys.
        jwks.read().map_err(|other| if is_jwks(path) { other } else { error })
    })?;
    Ok(list(&keys))
}

fn is_jwks(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"kty\""))
}

fn list(keys: &KeySet) -> String {
    let mut text = String::new();
    for key in keys.iter() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}  {}", key.id(), key.algorithm());
    }
    text.push_str(match keys.signing_key() {
        Some(_) => "fine",
        None => "fine; none of them signs, so that there are no invitations",
    });
    text
}
