//! Tokens: JSON Web Tokens (RFC 7519) of LiveKit's claims, verified and made. The time is told.

use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Header, decode, decode_header, encode};
use roundtable_protocol::RoomId;
use roundtable_protocol::limit::{
    MAX_IDENTITY_BYTES, MAX_METADATA_BYTES, MAX_TOKEN_BYTES, MAX_TOPIC_GRANT_BYTES, MAX_TOPIC_GRANTS,
};
use roundtable_protocol::member::check_attributes;
use roundtable_protocol::name::check_name;
use serde::Deserialize;

use super::claims::Claims;
use super::keys::{Key, KeySet};
use super::pass::Pass;
use super::refusal::TokenError;

/// How far the clock of whoever makes tokens may be off.
const LEEWAY: Duration = Duration::from_secs(30);
/// The longest a token may live from now on.
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Verifies a token at the time `now` since 1970 UTC. Costs a few parses of 4 KiB at most, and one signature.
///
/// # Errors
/// [`TokenError`]; of a token that no key signed nothing but that is told.
pub fn verify(keys: &KeySet, now: Duration, token: &str) -> Result<Pass, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid("it is too long"));
    }
    let header = decode_header(token).map_err(|_| TokenError::Invalid("it is no token of a known algorithm"))?;
    // What a token wants to be understood (RFC 7515 §4.1.11) is not.
    if header.crit.is_some() {
        return Err(TokenError::Invalid("its header has crit"));
    }
    let key = find(keys, &header, token).ok_or(TokenError::Invalid("no key of this server has signed it"))?;
    if header.alg != key.jwt_algorithm() {
        return Err(TokenError::Invalid("its algorithm is not that of its key"));
    }
    let (verifying, validation) = key.verifying();
    let claims = decode::<Claims>(token, verifying, validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::Json(_) => TokenError::Invalid("its claims are not what they are to be"),
        _ => TokenError::Invalid("no key of this server has signed it"),
    })?;
    judge(key, now, claims.claims)
}

/// Signs claims with a key.
///
/// # Errors
/// [`TokenError::Invalid`] if the key can only verify, or the token would be too long.
pub fn mint(key: &Key, claims: &Claims) -> Result<String, TokenError> {
    let signing = key.signing().ok_or(TokenError::Invalid("its key cannot sign"))?;
    let header = Header { kid: Some(key.id().to_owned()), ..Header::new(key.jwt_algorithm()) };
    let claims = Claims { iss: Some(key.id().to_owned()), ..claims.clone() };
    let token = encode(&header, &claims, signing).map_err(|_| TokenError::Invalid("it cannot be signed"))?;
    if token.len() > MAX_TOKEN_BYTES { Err(TokenError::Invalid("it is too long")) } else { Ok(token) }
}

/// The key that the token says has signed it.
fn find<'a>(keys: &'a KeySet, header: &Header, token: &str) -> Option<&'a Key> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    match &header.kid {
        Some(kid) => keys.find(kid),
        None => keys.find(&insecure_decode_claims::<Issuer>(token).ok()?.iss),
    }
}

fn judge(key: &Key, now: Duration, claims: Claims) -> Result<Pass, TokenError> {
    let exp = Duration::from_secs(claims.exp.ok_or(TokenError::Invalid("it has no exp, so it would never end"))?);
    if exp.saturating_add(LEEWAY) <= now {
        return Err(TokenError::Expired);
    }
    if exp > now.saturating_add(MAX_TOKEN_LIFE).saturating_add(LEEWAY) {
        return Err(TokenError::Invalid("it lives longer than 24 hours"));
    }
    if claims.nbf.is_some_and(|nbf| Duration::from_secs(nbf) > now.saturating_add(LEEWAY)) {
        return Err(TokenError::Invalid("its time has not come"));
    }
    check_texts(&claims)?;
    let room = claims.video.as_ref().and_then(|video| video.room.as_ref()).filter(|room| !room.is_empty());
    let room = room.map(RoomId::new).transpose().map_err(|_| TokenError::Invalid("its room is no id of a room"))?;
    Ok(Pass::new(key.id(), exp, room, claims))
}

fn check_texts(claims: &Claims) -> Result<(), TokenError> {
    let Claims { sub, name, metadata, attributes, topics, limits, .. } = claims;
    if sub.as_ref().is_some_and(|sub| sub.len() > MAX_IDENTITY_BYTES || sub.chars().any(char::is_control)) {
        return Err(TokenError::Invalid("its sub is longer than 128 bytes or holds control characters"));
    }
    if name.as_ref().is_some_and(|name| !name.is_empty() && check_name(name).is_err()) {
        return Err(TokenError::Invalid("its name is none"));
    }
    if metadata.as_ref().is_some_and(|metadata| metadata.len() > MAX_METADATA_BYTES) {
        return Err(TokenError::Invalid("its metadata is too long"));
    }
    if attributes.as_ref().is_some_and(|attributes| check_attributes(attributes).is_err()) {
        return Err(TokenError::Invalid("its attributes are too many or too long"));
    }
    let too_many = |topics: &Vec<String>| {
        topics.len() > MAX_TOPIC_GRANTS || topics.iter().any(|topic| topic.len() > MAX_TOPIC_GRANT_BYTES)
    };
    if topics.as_ref().is_some_and(too_many) {
        return Err(TokenError::Invalid("its topics are too many or too long"));
    }
    if limits.is_some_and(|limits| limits.check().is_err()) {
        return Err(TokenError::Invalid("its limits let nothing usable through"));
    }
    Ok(())
}
