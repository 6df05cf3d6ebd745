//! Who may use the API: an extractor that reads the token of a request, with one question a route asks of it.
//!
//! A server with keys wants `Authorization: Bearer` of each request to the API. Event streams, whose readers in browsers
//! cannot set headers, may bring `?ticket=` instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use roundtable_protocol::RoomId;
use serde::Deserialize;

use super::HttpState;
use super::origin;
use super::problem::Problem;
use crate::auth::{Pass, TokenError};

/// What the sender of a request may. A route takes it as an argument and asks it one question.
#[derive(Debug, Clone)]
pub(super) struct Access(Option<Pass>);

impl Access {
    /// May see what is in the room: its members may, and who moderates it.
    pub(super) fn require_read(&self, room: &RoomId) -> Result<(), Problem> {
        self.ask(|pass| pass.read(room))
    }

    /// May see which rooms there are, and how the server does.
    pub(super) fn require_list(&self) -> Result<(), Problem> {
        self.ask(Pass::list)
    }

    /// The token's; `None` where nobody needs one.
    pub(super) fn into_pass(self) -> Option<Pass> {
        self.0
    }

    fn ask(&self, question: impl FnOnce(&Pass) -> Result<(), TokenError>) -> Result<(), Problem> {
        self.0.as_ref().map_or(Ok(()), |pass| question(pass).map_err(Problem::from))
    }

    fn of_headers(headers: &HeaderMap, state: &HttpState) -> Result<Self, Problem> {
        let Some(authority) = &state.authority else { return Ok(Self(None)) };
        match bearer(headers)? {
            Some(token) => Ok(Self(Some(authority.verify(now(), token)?))),
            None if authority.has_open_api() => Ok(Self(None)),
            None => Err(TokenError::Missing.into()),
        }
    }
}

impl FromRequestParts<HttpState> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        Self::of_headers(&parts.headers, state)
    }
}

/// [`Access`] of whoever changes something, or learns what is not everybody's: a page must be of an allowed origin, too.
#[derive(Debug, Clone)]
pub(super) struct Operator(Access);

impl Operator {
    /// May moderate the room.
    pub(super) fn of_room(&self, room: &RoomId) -> Result<(), Problem> {
        self.0.ask(|pass| pass.admin(room))
    }

    /// The key that signed its token.
    pub(super) fn key(&self) -> Option<&str> {
        self.0.0.as_ref().map(|pass| &*pass.key)
    }

    /// May open rooms.
    pub(super) fn of_rooms(&self) -> Result<(), Problem> {
        self.0.ask(Pass::create)
    }

    /// May do everything.
    pub(super) fn of_all(&self) -> Result<(), Problem> {
        self.0.ask(Pass::all)
    }

    /// May know what concerns a person: who it is, and who may do everything.
    pub(super) fn of_person(&self, identity: &str) -> Result<(), Problem> {
        self.0.ask(|pass| if pass.identity.as_deref() == Some(identity) { Ok(()) } else { pass.all() })
    }
}

impl FromRequestParts<HttpState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        check_origin(parts, state)?;
        Access::of_headers(&parts.headers, state).map(Self)
    }
}

/// [`Operator`] of an event stream, which a ticket gives too.
#[derive(Debug, Clone)]
pub(super) struct StreamOperator(pub(super) Operator);

impl FromRequestParts<HttpState> for StreamOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        check_origin(parts, state)?;
        let StreamAccess(access) = StreamAccess::from_request_parts(parts, state).await?;
        Ok(Self(Operator(access)))
    }
}

/// [`Access`] of an event stream, which a ticket gives too.
#[derive(Debug, Clone)]
pub(super) struct StreamAccess(pub(super) Access);

impl FromRequestParts<HttpState> for StreamAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Shown {
            ticket: Option<String>,
        }
        let shown = Query::<Shown>::try_from_uri(&parts.uri).ok().and_then(|Query(shown)| shown.ticket);
        match shown {
            Some(ticket) => {
                let pass = state.tickets.redeem(now(), &ticket).ok_or_else(Problem::ticket_invalid)?;
                Ok(Self(Access(pass)))
            }
            None => Access::of_headers(&parts.headers, state).map(Self),
        }
    }
}

fn check_origin(parts: &Parts, state: &HttpState) -> Result<(), Problem> {
    let is_allowed = origin::is_allowed(&parts.headers, &parts.uri, &state.config.allowed_origins);
    if is_allowed { Ok(()) } else { Err(Problem::origin()) }
}

/// The token in `Authorization` (RFC 6750 §2.1), if there is such a header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    match (token, values.next()) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(TokenError::Invalid("Authorization is to be «Bearer» and one token")),
    }
}

/// The time since 1970 UTC.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_read() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["Bearer a.b.c"], Ok(Some("a.b.c"))),
            (&["bearer  a.b.c "], Ok(Some("a.b.c"))),
            (&["Basic abc"], Err(())),
            (&["Bearer"], Err(())),
            (&["Bearer a", "Bearer b"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).map_err(drop), expected, "{values:?}");
        }
    }
}
