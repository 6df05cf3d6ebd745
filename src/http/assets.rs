//! The page and its files, built into the binary.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::prefix::prefix;
use super::problem::Problem;

/// The files of the page. Debug builds read them from the disk at each request.
#[derive(RustEmbed)]
#[folder = "web/app/dist"]
struct Files;

const PAGE: &str = "index.html";
/// Where the page says what its relative links start from.
const BASE_MARK: &str = "<!--base-->";
/// Files below this folder carry a hash of their contents in their name.
const HASHED: &str = "assets/";
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");

/// `/` and `/r/{room}`: the page. It says itself what is wrong with a room's name.
pub(super) async fn page(OriginalUri(original): OriginalUri, uri: Uri, headers: HeaderMap) -> Response {
    let Some(file) = Files::get(PAGE) else { return Problem::not_found().into_response() };
    let prefix = prefix(original.path(), uri.path());
    let tag = etag(&file.metadata.sha256_hash(), prefix);
    let page = with_base(&String::from_utf8_lossy(&file.data), prefix);
    respond(&headers, PAGE, &tag, ASK_EACH_TIME, page.into_bytes().into())
}

/// Every other path: a file of the page, or nothing.
pub(super) async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let served = method == Method::GET || method == Method::HEAD;
    let Some(file) = Files::get(path).filter(|_| served && path != PAGE) else {
        return Problem::not_found().into_response();
    };
    let cache = if path.starts_with(HASHED) { FOREVER } else { ASK_EACH_TIME };
    respond(&headers, path, &etag(&file.metadata.sha256_hash(), ""), cache, file.data)
}

fn respond(headers: &HeaderMap, path: &str, tag: &str, cache: HeaderValue, body: Cow<'static, [u8]>) -> Response {
    let mut response = if matches(headers, tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)))], body).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// RFC 9110 §13.1.2: one of the tags is ours, compared weakly.
fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

fn etag(hash: &[u8], prefix: &str) -> String {
    let mut tag = String::from("\"");
    for byte in hash.iter().take(16) {
        // Writing to a string does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push_str(prefix);
    tag.push('"');
    tag
}

/// The page's own links are relative; this says to what, whichever of its addresses it is served at.
fn with_base(page: &str, prefix: &str) -> String {
    page.replacen(BASE_MARK, &format!("<base href=\"{prefix}/\">"), 1)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_learns_where_it_lives() {
        let page = "<head><!--base--><link href=\"./a\">";
        assert_eq!(with_base(page, ""), "<head><base href=\"/\"><link href=\"./a\">");
        assert_eq!(with_base(page, "/meet"), "<head><base href=\"/meet/\"><link href=\"./a\">");
    }

    #[tokio::test]
    async fn every_file_of_the_page_has_a_type_and_a_tag() {
        for path in Files::iter().filter(|path| path != PAGE) {
            let uri: Uri = format!("/{path}").parse().unwrap();
            let fresh = file(Method::GET, uri.clone(), HeaderMap::new()).await;
            assert_eq!(fresh.status(), StatusCode::OK, "{path}");
            assert_ne!(fresh.headers()[header::CONTENT_TYPE], "application/octet-stream", "{path}");
            let forever = fresh.headers()[header::CACHE_CONTROL] == FOREVER;
            assert_eq!(forever, path.starts_with(HASHED), "{path}");

            let known = [(header::IF_NONE_MATCH, fresh.headers()[header::ETAG].clone())];
            let again = file(Method::GET, uri.clone(), known.into_iter().collect()).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(file(Method::POST, uri, HeaderMap::new()).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn tags_are_compared_one_by_one_and_weakly() {
        let table =
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false), ("a", false)];
        for (given, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, given.parse().unwrap());
            assert_eq!(matches(&headers, "\"a\""), expected, "{given}");
        }
        assert!(!matches(&HeaderMap::new(), "\"a\""));
    }
}
