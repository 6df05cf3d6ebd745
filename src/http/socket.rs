//! `GET /ws?room=…`: checks the room's id and the page's origin, then hands the socket to `signal`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::response::Response;
use roundtable_protocol::RoomId;
use serde::Deserialize;

use super::HttpState;
use super::auth::bearer;
use super::origin;
use super::problem::Problem;
use super::upgrade::upgrade;
use crate::signal::ws::{self, Arrival};

/// The query of a socket.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    room: String,
    /// A token, for clients that cannot set headers and say none in their hello.
    access_token: Option<String>,
}

pub(super) async fn open(
    State(state): State<HttpState>,
    query: Result<Query<Wish>, QueryRejection>,
    parts: Parts,
) -> Result<Response, Problem> {
    let Query(wish) = query.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = RoomId::new(wish.room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    let token = bearer(&parts.headers)?.map(str::to_owned).or(wish.access_token);
    if !origin::is_allowed(&parts.headers, &parts.uri, &state.config.allowed_origins) {
        return Err(Problem::origin());
    }
    let address = address_in(&state, &parts.extensions, &parts.headers);
    let (response, on_upgrade) = upgrade(parts)?;
    let Some(presence) = state.hub.enter() else {
        let full = Problem::overloaded("as many are connected as may be");
        return Err(if state.hub.is_stopping() { Problem::stopping() } else { full });
    };
    ws::accept(on_upgrade, state.hub.clone(), presence, Arrival { room, token, address }, state.config.socket);
    Ok(response)
}

/// The client's address, if it is a public one: a private one may be that of a proxy, behind which everybody is.
pub(super) fn address_in(state: &HttpState, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(state.entries.address(peer.ip(), headers)).filter(is_public)
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()),
        // Unique local and link-local ones (RFC 4193, RFC 4291 §2.5.6).
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            !(v6.is_loopback() || v6.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_nobodys() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.17.0.1", false),
            ("192.168.1.2", false),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("198.51.100.7", true),
            ("2001:db8::7", true),
            ("::ffff:198.51.100.7", true),
            ("::ffff:10.0.0.1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(is_public(&address.to_canonical()), expected, "{address}");
        }
    }
}
