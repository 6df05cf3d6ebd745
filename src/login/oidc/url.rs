//! Addresses of an identity provider: https, or http on this machine.

use std::net::IpAddr;
use std::str::FromStr as _;

use axum::http::Uri;

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// A URL that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderUrl {
    text: String,
    uri: Uri,
    host: String,
    is_tls: bool,
}

/// Why a URL is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProviderUrl {
    /// It is not one at all, or has parts that it should not have.
    #[error("it is no URL like https://login.example.org/realm, without a user and a fragment")]
    Malformed,
    /// What goes there would be read by others on the way.
    #[error("plain http goes to this machine only")]
    Plain,
}

impl ProviderUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`BadProviderUrl`] says why it is none.
    pub fn parse(text: &str) -> Result<Self, BadProviderUrl> {
        if text.len() > MAX_URL_BYTES || !text.is_ascii() || text.contains('#') {
            return Err(BadProviderUrl::Malformed);
        }
        let uri = Uri::from_str(text).map_err(|_| BadProviderUrl::Malformed)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(BadProviderUrl::Malformed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_this_machine(&host) => false,
            Some("http") => return Err(BadProviderUrl::Plain),
            _ => return Err(BadProviderUrl::Malformed),
        };
        if host.is_empty() {
            Err(BadProviderUrl::Malformed)
        } else {
            Ok(Self { text: text.to_owned(), uri, host, is_tls })
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// Whether an address that the host was found at may be talked to.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        self.is_tls || address.to_canonical().is_loopback()
    }

    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The same with parameters behind those that it has.
    pub(super) fn with_query(&self, query: &str) -> String {
        let gap = if self.uri.query().is_some() { '&' } else { '?' };
        format!("{}{gap}{query}", self.text)
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_at_https_or_on_this_machine() {
        let (malformed, plain) = (Some(BadProviderUrl::Malformed), Some(BadProviderUrl::Plain));
        for (text, expected) in [
            ("https://login.example.org/realm?x=1", None),
            ("https://10.0.0.1:8443", None),
            ("http://localhost:9000/x", None),
            ("http://127.0.0.1/x", None),
            ("http://[::1]:80/x", None),
            ("http://login.example.org/", plain),
            ("http://10.0.0.1/", plain),
            ("https://user:pass@example.org/", malformed),
            ("https://example.org/#x", malformed),
            ("ftp://example.org/", malformed),
            ("example.org", malformed),
            ("/login", malformed),
            ("", malformed),
        ] {
            assert_eq!(ProviderUrl::parse(text).err(), expected, "{text}");
        }
        let url = ProviderUrl::parse("http://localhost:9000/a").unwrap();
        assert!(url.may_reach([127, 0, 0, 1].into()) && !url.may_reach([10, 0, 0, 1].into()));
        assert_eq!((url.port(), url.path_and_query(), url.authority()), (9000, "/a", "localhost:9000"));
        assert_eq!(url.with_query("b=1"), "http://localhost:9000/a?b=1");
        let url = ProviderUrl::parse("https://h/a?x=1").unwrap();
        assert_eq!((url.port(), url.with_query("b=1").as_str()), (443, "https://h/a?x=1&b=1"));
    }
}
