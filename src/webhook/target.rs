//! Where a webhook may go: which URLs are taken, and which addresses a name may lead to.
//!
//! Whoever can set a name's address could otherwise have the server talk to what only it can reach: itself, its
//! neighbours, the cloud's metadata. So a name is looked up first, and what is no public address is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::http::Uri;

/// Longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// A receiver's address, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
    reach: Reach,
}

/// Which addresses the host may be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Public ones only.
    Public,
    /// This machine only: the URL says so itself.
    Loopback,
    /// All but those that are nobody's.
    Anywhere,
}

/// Why a URL is no receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// It is not one at all.
    #[error("it is no URL like https://example.org/hooks")]
    Malformed,
    /// Names and passwords belong nowhere near a log.
    #[error("a user or password in it is not used: receivers check the signature")]
    Credentials,
    /// It would be read by others on the way.
    #[error("plain http goes to this machine only, unless webhook-allow-private is set")]
    Plain,
    /// It names an address that is not public.
    #[error("{0} is no public address; webhook-allow-private allows it")]
    Private(IpAddr),
}

impl WebhookUrl {
    /// Reads a URL. `allow_private` lets it be http and at addresses that are not public.
    ///
    /// # Errors
    /// [`BadUrl`] says why it is none.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, BadUrl> {
        if text.len() > MAX_URL_BYTES || !text.is_ascii() {
            return Err(BadUrl::Malformed);
        }
        let uri = Uri::from_str(text).map_err(|_| BadUrl::Malformed)?;
        let authority = uri.authority().ok_or(BadUrl::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::Credentials);
        }
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUrl::Malformed),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err(BadUrl::Malformed);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let reach = reach(&host, tls, allow_private)?;
        Ok(Self { host, port, tls, reach, uri })
    }

    /// A URL whose host is taken for a name of somebody else, whatever it is.
    #[cfg(test)]
    pub(super) fn of_a_stranger(text: &str) -> Self {
        Self { reach: Reach::Public, ..Self::parse(text, true).unwrap() }
    }

    /// Whether an address that the host was found at may be talked to.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        match self.reach {
            Reach::Public => is_public(address),
            Reach::Loopback => address.to_canonical().is_loopback(),
            Reach::Anywhere => !address.is_unspecified() && !address.is_multicast(),
        }
    }

    /// The host, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is https.
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// What stands in the request's first line.
    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// What stands in its `Host` header.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The URL to show: a query may hold what is not everybody's business.
    #[must_use]
    pub fn shown(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let query = if self.uri.query().is_some() { "?…" } else { "" };
        format!("{scheme}://{}{}{query}", self.authority(), self.uri.path())
    }
}

fn reach(host: &str, tls: bool, allow_private: bool) -> Result<Reach, BadUrl> {
    let address: Option<IpAddr> = host.parse().ok();
    if allow_private {
        return Ok(Reach::Anywhere);
    }
    if host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback()) {
        return Ok(Reach::Loopback);
    }
    match address {
        _ if !tls => Err(BadUrl::Plain),
        Some(address) if !is_public(address) => Err(BadUrl::Private(address)),
        _ => Ok(Reach::Public),
    }
}

/// Whether an address is one that the whole internet reaches (the special registries of RFC 6890 and their additions).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => (64..128).contains(&b), // Shared by the customers of a carrier.
        169 => b == 254,               // Link-local, and clouds' metadata.
        172 => (16..32).contains(&b),
        192 => matches!((b, c), (0, 0 | 2) | (88, 99)) || b == 168,
        198 => matches!(b, 18 | 19) || (b, c) == (51, 100),
        203 => (b, c) == (0, 113),
        _ => a >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        // Carried to an IPv4 address: NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments with Teredo, documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let public = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.1.0.1", "2600::1", "2a00:1450::5"];
        let special = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "::7f00:1",
            "4000::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in special {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        assert!(is_public("64:ff9b::808:808".parse().unwrap()) && is_public("::ffff:8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn a_url_is_https_or_this_machine_unless_more_is_allowed() {
        let plain = Some(BadUrl::Plain);
        let malformed = Some(BadUrl::Malformed);
        let private = |text: &str| Some(BadUrl::Private(text.parse().unwrap()));
        let table = [
            ("https://example.org/hooks?k=1", None),
            ("https://example.org:8443", None),
            ("http://localhost:9000/x", None),
            ("http://127.0.0.1/x", None),
            ("http://[::1]:80/x", None),
            ("https://[::1]/x", None),
            ("http://example.org/", plain.clone()),
            ("http://10.0.0.1/", plain),
            ("https://10.0.0.1/", private("10.0.0.1")),
            ("https://169.254.169.254/latest", private("169.254.169.254")),
            ("https://[fd00::1]/", private("fd00::1")),
            ("https://user:pass@example.org/", Some(BadUrl::Credentials)),
            ("ftp://example.org/", malformed.clone()),
            ("example.org/hooks", malformed.clone()),
            ("/hooks", malformed.clone()),
            ("https://", malformed.clone()),
            ("", malformed),
        ];
        for (text, expected) in table {
            assert_eq!(WebhookUrl::parse(text, false).err(), expected, "{text}");
        }
        for text in ["http://10.0.0.1/", "http://example.org/", "https://[fd00::1]/"] {
            assert!(WebhookUrl::parse(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_name_that_leads_inside_is_not_followed() {
        let url = WebhookUrl::parse("https://example.org/", false).unwrap();
        assert!(!url.may_reach([127, 0, 0, 1].into()) && !url.may_reach([10, 0, 0, 1].into()));
        assert!(url.may_reach([8, 8, 8, 8].into()));
        let local = WebhookUrl::parse("http://localhost/", false).unwrap();
        assert!(local.may_reach([127, 0, 0, 1].into()) && !local.may_reach([8, 8, 8, 8].into()));
        let anywhere = WebhookUrl::parse("https://example.org/", true).unwrap();
        assert!(anywhere.may_reach([10, 0, 0, 1].into()) && !anywhere.may_reach([0, 0, 0, 0].into()));
    }

    #[test]
    fn what_is_shown_keeps_the_query_back() {
        let url = WebhookUrl::parse("https://example.org:8443/hooks?key=s3cret", false).unwrap();
        assert_eq!(url.shown(), "https://example.org:8443/hooks?…");
        assert_eq!(
            (url.path_and_query(), url.authority(), url.port()),
            ("/hooks?key=s3cret", "example.org:8443", 8443)
        );
    }
}
