//! Requests to an identity provider: each over a connection of its own, bounded in time and size. No redirect is followed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{self, HeaderValue};
use axum::http::{Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::url::ProviderUrl;

/// How long an answer may take, from looking up the name to the last byte.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long one address may take to answer a connection; then the next of the name is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// Longest answer, in bytes; a longer one is refused.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("roundtable/", env!("CARGO_PKG_VERSION")));
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no answer within {ANSWER_WITHIN:?}")]
    Late,
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request could not be made: {0}")]
    Request(#[from] axum::http::Error),
    #[error("the answer broke off, or has more than {MAX_ANSWER_BYTES} bytes")]
    Body,
    #[error("the answer is {0}")]
    Status(StatusCode),
}

/// A form to post, and what proves who posts it.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) body: String,
    pub(super) authorization: Option<HeaderValue>,
}

/// Gets a document, or posts a form and gets the answer; anything but 200 is none.
pub(super) async fn fetch(tls: Arc<ClientConfig>, url: &ProviderUrl, form: Option<Form>) -> Result<Bytes, FetchError> {
    tokio::time::timeout(ANSWER_WITHIN, fetch_patiently(tls, url, form)).await.unwrap_or(Err(FetchError::Late))
}

async fn fetch_patiently(tls: Arc<ClientConfig>, url: &ProviderUrl, form: Option<Form>) -> Result<Bytes, FetchError> {
    let request = request(url, form)?;
    let stream = reach(url).await?;
    if !url.is_tls() {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
    exchange(TlsConnector::from(tls).connect(name, stream).await?, request).await
}

fn request(url: &ProviderUrl, form: Option<Form>) -> Result<Request<Body>, axum::http::Error> {
    let (method, form) = form.map_or(("GET", None), |form| ("POST", Some(form)));
    let mut request = Request::builder()
        .method(method)
        .uri(url.path_and_query())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, AGENT)
        .header(header::ACCEPT, JSON);
    let Some(Form { body, authorization }) = form else { return request.body(Body::empty()) };
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.header(header::CONTENT_TYPE, FORM).body(Body::from(body))
}

/// Connects to the first address of the name that may be used and answers.
async fn reach(url: &ProviderUrl) -> io::Result<TcpStream> {
    let found = tokio::net::lookup_host((url.host(), url.port())).await?;
    let mut failed = io::Error::other("its name leads to no address that may be used");
    for address in found.filter(|address| url.may_reach(address.ip())) {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, at the end of this function at the latest.
    tokio::spawn(async move { drop(connection.await) });
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    to_bytes(Body::new(response.into_body()), MAX_ANSWER_BYTES).await.map_err(|_| FetchError::Body)
}
