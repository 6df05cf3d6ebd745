//! Which pages may open the signalling socket: browsers send cookies and reach private addresses
//! for any page, and only the `Origin` header tells whose it is (RFC 6455 §10.2).

use axum::http::{HeaderMap, Uri, header};

/// Whether the request comes from a page of this host, from an allowed one, or from no page at all.
pub(super) fn is_allowed(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
    if allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(uri.authority().map(|authority| authority.as_str()));
    match (origin.split_once("://"), host) {
        (Some((scheme @ ("http" | "https"), authority)), Some(host)) => {
            without_default_port(scheme, authority).eq_ignore_ascii_case(without_default_port(scheme, host))
        }
        _ => false,
    }
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_host_and_of_the_list_may() {
        let allowed = ["https://app.example".to_owned()];
        // (Origin, Host, may)
        let table = [
            (None, Some("a.example"), true),
            (Some("http://a.example"), Some("a.example"), true),
            (Some("http://A.example"), Some("a.Example"), true),
            (Some("http://a.example:8080"), Some("a.example:8080"), true),
            (Some("https://a.example"), Some("a.example:443"), true),
            (Some("http://[::1]:80"), Some("[::1]"), true),
            (Some("http://a.example:8080"), Some("a.example"), false),
            (Some("http://a.example:443"), Some("a.example"), false),
            (Some("http://a.example.evil.example"), Some("a.example"), false),
            (Some("http://evil.example"), Some("a.example"), false),
            (Some("https://app.example"), Some("a.example"), true),
            (Some("http://app.example"), Some("a.example"), false),
            (Some("null"), Some("a.example"), false),
            (Some("file://a.example"), Some("a.example"), false),
            (Some("http://a.example"), None, false),
            (Some(""), Some(""), false),
        ];
        for (origin, host, may) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::ORIGIN, origin), (header::HOST, host)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let uri = Uri::from_static("/ws");
            assert_eq!(is_allowed(&headers, &uri, &allowed), may, "{origin:?} at {host:?}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "a.example".parse().unwrap());
        headers.append(header::ORIGIN, "http://a.example".parse().unwrap());
        headers.append(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(!is_allowed(&headers, &Uri::from_static("/ws"), &[]));
    }

    #[test]
    fn a_star_allows_every_page() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(is_allowed(&headers, &Uri::from_static("/ws"), &["*".to_owned()]));
    }
}
