//! One receiver's HTTP connection: finds its address, connects, posts, and says what came back.
//!
//! It follows no redirect and asks each time anew where a name leads, so that a name cannot lead inside later either.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::WebhookUrl;

/// How long one address may take to answer a connection; then the next of the name is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What is read of an answer, in bytes; a longer one costs the receiver its connection.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("roundtable/", env!("CARGO_PKG_VERSION")));

/// A message for a receiver.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: HeaderValue,
    pub(super) timestamp: u64,
    pub(super) signature: HeaderValue,
    pub(super) body: Bytes,
}

/// What the receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("its name could not be looked up: {0}")]
    Lookup(io::Error),
    #[error("its name leads to no address that may be used")]
    NoAddress,
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request could not be made: {0}")]
    Request(#[from] axum::http::Error),
}

/// Posts to one receiver, over one connection as long as that lasts.
#[derive(Debug)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
    open: Option<SendRequest<Body>>,
}

impl Client {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, open: None }
    }

    /// Posts a message. Whoever drops the future half-way has nothing to clean up.
    pub(super) async fn post(&mut self, url: &WebhookUrl, message: &Message) -> Result<Answer, SendError> {
        // A connection that was kept may be closed meanwhile, which shows only when it is used.
        if let Some(mut kept) = self.open.take()
            && kept.ready().await.is_ok()
            && let Ok(answer) = self.post_over(kept, url, message).await
        {
            return Ok(answer);
        }
        let fresh = self.connect(url).await?;
        self.post_over(fresh, url, message).await
    }

    async fn post_over(
        &mut self,
        mut sender: SendRequest<Body>,
        url: &WebhookUrl,
        message: &Message,
    ) -> Result<Answer, SendError> {
        let response = sender.send_request(request(url, message)?).await?;
        let (head, body) = response.into_parts();
        let answer = Answer { status: head.status, retry_after: retry_after(&head.headers, SystemTime::now()) };
        // Only an answer that was read to its end leaves the connection fit for the next one.
        if to_bytes(Body::new(body), MAX_ANSWER_BYTES).await.is_ok() {
            self.open = Some(sender);
        }
        Ok(answer)
    }

    async fn connect(&self, url: &WebhookUrl) -> Result<SendRequest<Body>, SendError> {
        let stream = reach(url).await?;
        // A message is one write, whose end is not to wait for anything.
        let _ = stream.set_nodelay(true);
        if !url.is_tls() {
            return begin(stream).await;
        }
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|error| SendError::Tls(io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        begin(connector.connect(name, stream).await.map_err(SendError::Tls)?).await
    }
}

/// Connects to the first address of the name that may be used and answers.
async fn reach(url: &WebhookUrl) -> Result<TcpStream, SendError> {
    let found = tokio::net::lookup_host((url.host(), url.port())).await.map_err(SendError::Lookup)?;
    let allowed: Vec<SocketAddr> = found.filter(|address| url.may_reach(address.ip())).collect();
    let mut failed = SendError::NoAddress;
    for address in allowed {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = SendError::Connect(error),
            Err(_) => failed = SendError::Connect(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(failed)
}

async fn begin<S>(stream: S) -> Result<SendRequest<Body>, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the sender or with the receiver's connection.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn request(url: &WebhookUrl, message: &Message) -> Result<Request<Body>, axum::http::Error> {
    Request::post(url.path_and_query())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, AGENT)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(HeaderName::from_static("webhook-id"), message.id.clone())
        .header(HeaderName::from_static("webhook-timestamp"), message.timestamp)
        .header(HeaderName::from_static("webhook-signature"), message.signature.clone())
        .body(Body::from(message.body.clone()))
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_of_a_receiver_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers: HeaderMap = [(header::RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
