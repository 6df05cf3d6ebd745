//! Checks the URLs of STUN and TURN servers (RFC 7064, RFC 7065) before a browser refuses them.

use std::net::Ipv6Addr;

/// Longest URL taken.
const MAX_URL_BYTES: usize = 512;

/// What a URL is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlKind {
    /// `stun:` or `stuns:`.
    Stun,
    /// `turn:` or `turns:`.
    Turn,
}

/// Why a URL is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Another scheme, or none.
    #[error("a STUN URL begins with stun: or stuns:")]
    NotStun,
    /// Another scheme, or none.
    #[error("a TURN URL begins with turn: or turns:")]
    NotTurn,
    /// `turn://host`, as one writes it by habit.
    #[error("there are no slashes after the scheme: turn:host:port, not turn://host:port")]
    Slashes,
    /// Nothing where the host belongs, or something no host name holds.
    #[error("the host is missing or holds characters that no host name has")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Something other than `?transport=udp` or `?transport=tcp`, and that only for TURN.
    #[error("only ?transport=udp and ?transport=tcp may follow, and only in TURN URLs")]
    Query,
    /// Longer than any real one.
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
}

/// Checks one URL.
///
/// # Errors
/// [`InvalidUrl`] says what is wrong with it.
pub fn check_url(kind: UrlKind, url: &str) -> Result<(), InvalidUrl> {
    if url.len() > MAX_URL_BYTES {
        return Err(InvalidUrl::TooLong);
    }
    let (schemes, otherwise) = match kind {
        UrlKind::Stun => (["stun:", "stuns:"], InvalidUrl::NotStun),
        UrlKind::Turn => (["turn:", "turns:"], InvalidUrl::NotTurn),
    };
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(otherwise)?;
    if rest.starts_with('/') {
        return Err(InvalidUrl::Slashes);
    }
    let authority = match rest.split_once('?') {
        None => rest,
        Some((authority, "transport=udp" | "transport=tcp")) if kind == UrlKind::Turn => authority,
        Some(_) => return Err(InvalidUrl::Query),
    };
    check_authority(authority)
}

fn check_authority(authority: &str) -> Result<(), InvalidUrl> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(InvalidUrl::Host)?;
        address.parse::<Ipv6Addr>().map_err(|_| InvalidUrl::Host)?;
        return match rest {
            "" => Ok(()),
            _ => check_port(rest.strip_prefix(':').ok_or(InvalidUrl::Port)?),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Err(InvalidUrl::Host);
    }
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> Result<(), InvalidUrl> {
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(InvalidUrl::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_browsers_take_are_taken_and_others_say_why_not() {
        for (kind, url, expected) in [
            (UrlKind::Stun, "stun:stun.example.org", Ok(())),
            (UrlKind::Stun, "stuns:192.0.2.1:5349", Ok(())),
            (UrlKind::Stun, "stun:[2001:db8::1]:3478", Ok(())),
            (UrlKind::Turn, "turn:turn.example.org:3478?transport=udp", Ok(())),
            (UrlKind::Turn, "turns:turn.example.org:443?transport=tcp", Ok(())),
            (UrlKind::Turn, "turn:[2001:db8::1]", Ok(())),
            (UrlKind::Stun, "turn:turn.example.org", Err(InvalidUrl::NotStun)),
            (UrlKind::Turn, "stun:stun.example.org", Err(InvalidUrl::NotTurn)),
            (UrlKind::Turn, "turn.example.org:3478", Err(InvalidUrl::NotTurn)),
            (UrlKind::Turn, "turn://turn.example.org", Err(InvalidUrl::Slashes)),
            (UrlKind::Turn, "turn:", Err(InvalidUrl::Host)),
            (UrlKind::Turn, "turn:user@host", Err(InvalidUrl::Host)),
            (UrlKind::Turn, "turn:[2001:db8::x]", Err(InvalidUrl::Host)),
            (UrlKind::Turn, "turn:2001:db8::1", Err(InvalidUrl::Port)),
            (UrlKind::Turn, "turn:host:0", Err(InvalidUrl::Port)),
            (UrlKind::Turn, "turn:host:+1", Err(InvalidUrl::Port)),
            (UrlKind::Turn, "turn:host:65536", Err(InvalidUrl::Port)),
            (UrlKind::Turn, "turn:[::1]3478", Err(InvalidUrl::Port)),
            (UrlKind::Turn, "turn:host?transport=sctp", Err(InvalidUrl::Query)),
            (UrlKind::Stun, "stun:host?transport=udp", Err(InvalidUrl::Query)),
        ] {
            assert_eq!(check_url(kind, url), expected, "{url}");
        }
        let long = format!("turn:{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(check_url(UrlKind::Turn, &long), Err(InvalidUrl::TooLong));
    }
}
