//! Reading and writing the Binding messages of ICE (RFC 8489, RFC 8445 §7).

use std::net::SocketAddr;

use rtc_stun::attributes::{
    ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType, RawAttribute,
};
use rtc_stun::error_code::{CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCode};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, MessageType, Setter,
};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::reason::DropReason;

/// A Binding request, read but not believed.
pub(super) struct Request {
    message: Message,
    /// How many attributes stand in front of MESSAGE-INTEGRITY. Only they are covered by it, and only they are looked
    /// at.
    covered: usize,
}

/// What an authenticated request says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    /// USE-CANDIDATE: the peer chose this path.
    pub(super) nominates: bool,
}

/// Why an authenticated request is answered with an error.
#[derive(Debug)]
pub(super) enum Rejection {
    /// The peer claims to be controlled, which we always are (RFC 8445 §7.3.1.1).
    RoleConflict,
    /// Attributes we would have to understand (RFC 8489 §6.3.1).
    UnknownAttributes(Vec<AttrType>),
}

impl Request {
    /// Reads a datagram; whatever is not a well-formed Binding request with an intact FINGERPRINT, where there is one,
    /// is refused.
    pub(super) fn parse(datagram: &[u8]) -> Result<Self, DropReason> {
        let declared = datagram.get(2..4).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        if datagram.len() > MAX_REQUEST_LEN || datagram.len() != MESSAGE_HEADER_SIZE + declared {
            return Err(DropReason::StunMalformed);
        }
        let mut message = Message::new();
        message.unmarshal_binary(datagram).map_err(|_| DropReason::StunMalformed)?;
        if message.typ != BINDING_REQUEST {
            return Err(DropReason::StunIgnored);
        }
        if message.contains(ATTR_FINGERPRINT) && FINGERPRINT.check(&message).is_err() {
            return Err(DropReason::StunMalformed);
        }
        let integrity_at = message.attributes.0.iter().position(|attribute| attribute.typ == ATTR_MESSAGE_INTEGRITY);
        let covered = integrity_at.ok_or(DropReason::StunIntegrity)?;
        Ok(Self { message, covered })
    }

    /// Whether the USERNAME is `receiver:sender` (RFC 8445 §7.2.2).
    pub(super) fn is_for(&self, receiver: &str, sender: &str) -> bool {
        let username = self.covered().find(|attribute| attribute.typ == ATTR_USERNAME);
        let halves = username.and_then(|attribute| std::str::from_utf8(&attribute.value).ok()?.split_once(':'));
        halves == Some((receiver, sender))
    }

    /// Checks MESSAGE-INTEGRITY and only then reads what the request wants.
    pub(super) fn authenticate(&mut self, key: &str) -> Result<Result<Check, Rejection>, DropReason> {
        let provider = rtc_crypto::default_provider().map_err(|_| DropReason::StunIntegrity)?;
        MessageIntegrity::check(&mut self.message, key.as_bytes(), provider.crypto())
            .map_err(|_| DropReason::StunIntegrity)?;
        let unknown: Vec<_> = self.covered().map(|attribute| attribute.typ).filter(is_not_understood).collect();
        if !unknown.is_empty() {
            return Ok(Err(Rejection::UnknownAttributes(unknown)));
        }
        if self.covered().any(|attribute| attribute.typ == ATTR_ICE_CONTROLLED) {
            return Ok(Err(Rejection::RoleConflict));
        }
        Ok(Ok(Check { nominates: self.covered().any(|attribute| attribute.typ == ATTR_USE_CANDIDATE) }))
    }

    fn covered(&self) -> impl Iterator<Item = &RawAttribute> {
        self.message.attributes.0.iter().take(self.covered)
    }
}

/// Writes the success response to a request that came from `source`.
pub(super) fn success(request: &Request, source: SocketAddr, key: &str) -> Option<Vec<u8>> {
    let mapped = XorMappedAddress { ip: source.ip(), port: source.port() };
    respond(request, BINDING_SUCCESS, vec![Box::new(mapped)], key)
}

/// Writes the error response.
pub(super) fn error(request: &Request, rejection: &Rejection, key: &str) -> Option<Vec<u8>> {
    let (code, unknown): (ErrorCode, &[AttrType]) = match rejection {
        Rejection::RoleConflict => (CODE_ROLE_CONFLICT, &[]),
        Rejection::UnknownAttributes(unknown) => (CODE_UNKNOWN_ATTRIBUTE, unknown),
    };
    let mut attributes: Vec<Box<dyn Setter>> = vec![Box::new(code)];
    if !unknown.is_empty() {
        let value = unknown.iter().flat_map(|attribute| attribute.value().to_be_bytes()).collect();
        attributes.push(Box::new(RawAttribute { typ: ATTR_UNKNOWN_ATTRIBUTES, length: 0, value }));
    }
    respond(request, BINDING_ERROR, attributes, key)
}

fn respond(request: &Request, typ: MessageType, attributes: Vec<Box<dyn Setter>>, key: &str) -> Option<Vec<u8>> {
    let provider = rtc_crypto::default_provider().ok()?;
    let mut setters: Vec<Box<dyn Setter + '_>> = vec![Box::new(typ), Box::new(request.message.transaction_id)];
    setters.extend(attributes.into_iter().map(|attribute| attribute as Box<dyn Setter + '_>));
    setters.push(Box::new(MessageIntegrity::new_short_term_integrity_with_provider(key.to_owned(), provider.crypto())));
    setters.push(Box::new(FINGERPRINT));
    let mut response = Message::new();
    response.build(&setters).ok()?;
    Some(std::mem::take(&mut response.raw))
}

fn is_not_understood(attribute: &AttrType) -> bool {
    attribute.required() && ![ATTR_USERNAME, ATTR_PRIORITY, ATTR_USE_CANDIDATE].contains(attribute)
}

/// No check is longer: two user fragments of 256 characters and some attributes of the vendor's.
const MAX_REQUEST_LEN: usize = 1_280;
