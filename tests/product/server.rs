//! The library as an embedding program meets it: bind, serve, stop, and mounting under a prefix.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Request, StatusCode};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::{TokioExecutor, TokioIo};
use roundtable::config::{IceConfig, TlsConfig};
use roundtable::protocol::event::EventBody;
use roundtable::protocol::message::Welcome;
use roundtable::protocol::{ClientMessage, ErrorCode, Grants, PROTOCOL_VERSION, RoomId, ServerMessage};
use roundtable::{Authorising, Authorize, Config, Denied, Router, Server, StartError, Update};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::common::scratch::Folder;

/// Settings that take whatever ports are free, on loopback.
fn settings() -> Config {
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.media.udp_port = 0;
    config.media.udp_listen = vec![[127, 0, 0, 1].into()];
    config
}

fn exchange(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A TLS peer that closes without a close_notify is an error behind the whole answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: SocketAddr, path: &'static str) -> String {
    tokio::task::spawn_blocking(move || exchange(TcpStream::connect(address).unwrap(), path)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_serves_until_it_is_told_to_stop() {
    let server = Server::bind(settings()).await.unwrap();
    let (http, udp) = (server.http_addr(), server.udp_addrs());
    assert!(http.port() != 0 && udp.len() == 1 && udp[0].port() != 0, "the real ports are known");
    assert!(server.rooms().is_empty() && server.events(&RoomId::new("nowhere").unwrap()).is_none());

    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    assert!(ask(http, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(ask(http, "/api/v1/rooms").await.starts_with("HTTP/1.1 200"));

    let began = Instant::now();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "nobody is there to wait for");
    assert!(TcpStream::connect(http).is_err());
    std::net::UdpSocket::bind(udp[0]).expect("the media port is free again");
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_holds_nobody_up() {
    let server = Server::bind(settings()).await.unwrap();
    let http = server.http_addr();
    let running = tokio::spawn(server.run(tokio::time::sleep(Duration::from_millis(100))));
    let mut slow = TcpStream::connect(http).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    let began = Instant::now();
    running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "a stop takes {:?} at most", roundtable::server::STOP_WITHIN);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = Server::bind(settings()).await.unwrap();

    let mut config = settings();
    config.http.listen = first.http_addr();
    let error = Server::bind(config).await.unwrap_err();
    assert!(matches!(error, StartError::Http { address, .. } if address == first.http_addr()), "{error}");

    let mut config = settings();
    config.media.udp_port = first.udp_addrs()[0].port();
    let error = Server::bind(config).await.unwrap_err();
    assert!(matches!(&error, StartError::Media { addresses, .. } if *addresses == first.udp_addrs()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conference_is_mounted_under_a_prefix() {
    let conference = Server::builder(settings()).embed().unwrap();
    let app = Router::new().nest("/meet", conference.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async { axum::serve(listener, app).await });
    assert!(ask(address, "/meet/livez").await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 404"));
    assert!(ask(address, "/meet/r/standup").await.starts_with("HTTP/1.1 200"));
    serving.abort();

    let udp = conference.udp_addrs()[0];
    conference.stop().await;
    std::net::UdpSocket::bind(udp).expect("the media port is free again");
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Opens a socket and says hello.
async fn enter(http: SocketAddr, room: &str, token: Option<&str>) -> Socket {
    let (mut socket, _) = connect_async(format!("ws://{http}/ws?room={room}")).await.unwrap();
    let hello = ClientMessage::Hello {
        version: PROTOCOL_VERSION,
        name: "Ann".to_owned(),
        token: token.map(str::to_owned),
        max_seats: None,
        resume: None,
        accept: Vec::new(),
        media: false,
    };
    socket.send(Message::text(serde_json::to_string(&hello).unwrap())).await.unwrap();
    socket
}

/// The next message that the picker wants; others are passed over.
async fn wait_for<T>(socket: &mut Socket, pick: impl Fn(ServerMessage) -> Option<T>) -> T {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("the message in time");
        if let Message::Text(text) = frame.expect("the socket to be open").unwrap()
            && let Some(wanted) = pick(serde_json::from_str(&text).unwrap())
        {
            return wanted;
        }
    }
}

fn welcome(message: ServerMessage) -> Option<Welcome> {
    match message {
        ServerMessage::Welcome(welcome) => Some(*welcome),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_told_to_whoever_is_there() {
    let mut config = settings();
    config.ice = IceConfig { stun: vec!["stun:192.0.2.1".to_owned()], turn: None };
    let server = Server::bind(config).await.unwrap();
    let http = server.http_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let mut socket = enter(http, "standup", None).await;
    let welcome = wait_for(&mut socket, welcome).await;
    assert_eq!(welcome.grants, Grants::ALL, "without a hook everybody may everything");
    assert_eq!(welcome.ice_servers[0].urls, ["stun:192.0.2.1"]);

    let began = Instant::now();
    stop.send(()).unwrap();
    let (code, back) = wait_for(&mut socket, |message| match message {
        ServerMessage::Goodbye { code, reconnect_after_ms, .. } => Some((code, reconnect_after_ms)),
        _ => None,
    })
    .await;
    assert_eq!(code, Some(ErrorCode::Stopping));
    assert!(back.is_some(), "another server or a new start may take them");
    let last = socket.next().await;
    assert!(matches!(&last, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1001), "{last:?}");
    drop(socket);
    running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "nobody had to be cut off");
}

/// Lets those in who know the word, to listen only.
struct Door;

impl Authorize for Door {
    fn authorise<'a>(&'a self, room: &'a RoomId, _name: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        Box::pin(async move {
            match token {
                Some("word") => Ok(Grants { publish: false, ..Grants::ALL }.into()),
                _ => Err(Denied::forbidden(format!("{room} is not for you"))),
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hook_decides_and_the_program_sees_what_happens() {
    let server = Server::builder(settings()).with_authorizer(Door).bind().await.unwrap();
    let http = server.http_addr();
    let room = RoomId::new("board").unwrap();
    let handle = server.handle();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let mut refused = enter(http, "board", Some("guess")).await;
    let said = wait_for(&mut refused, |message| match message {
        ServerMessage::Error { code, message, fatal, .. } => Some((code, message, fatal)),
        _ => None,
    })
    .await;
    assert_eq!(said, (ErrorCode::Forbidden, "board is not for you".to_owned(), true));
    assert!(handle.rooms().is_empty() && handle.events(&room).is_none(), "who is refused opens no room");

    let mut first = enter(http, "board", Some("word")).await;
    let welcome = wait_for(&mut first, welcome).await;
    assert!(!welcome.grants.publish && welcome.grants.chat);
    let mut events = handle.events(&room).unwrap();
    assert_eq!(handle.rooms()[0].members, [welcome.member]);
    assert_eq!(events.state(), &handle.rooms()[0]);

    let _second = enter(http, "board", Some("word")).await;
    let update = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
    let Some(Update::Event(event)) = update else { panic!("{update:?}") };
    assert!(matches!(&event.body, EventBody::Joined { member } if member.name == "Ann"), "{event:?}");

    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let mut last = None;
    while let Some(Update::Event(event)) = events.next().await {
        last = Some(event);
    }
    assert!(
        last.is_some_and(|event| matches!(event.body, EventBody::RoomClosed { .. })),
        "the stream ends with the room"
    );
}

/// A folder with a fresh certificate for `localhost`, gone with the test.
struct Certificate(Folder);

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn files(&self) -> TlsConfig {
        TlsConfig { certificate: self.0.path().join("cert.pem"), key: self.0.path().join("key.pem") }
    }

    /// A connection that trusts this certificate only.
    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(self.trusting(&[])), name).unwrap();
        StreamOwned::new(connection, TcpStream::connect(address).unwrap())
    }

    /// The same, offering these protocols.
    async fn open(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<tokio::net::TcpStream> {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.trusting(protocols))).connect(name, stream).await.unwrap()
    }

    fn trusting(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.0.path().join("cert.pem")).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_makes_it_https() {
    let certificate = Certificate::new("good");
    let mut config = settings();
    config.http.tls = Some(certificate.files());
    let server = Server::bind(config).await.unwrap();
    assert!(server.is_tls());
    let http = server.http_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));
    let answer = tokio::task::spawn_blocking(move || exchange(certificate.connect(http), "/livez")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let certificate = Certificate::new("bad");
    let TlsConfig { certificate: chain, key } = certificate.files();
    for (chain, key, named) in [(&key, &key, "key.pem"), (&chain, &chain, "cert.pem"), (&chain.join("x"), &key, "x")] {
        let mut config = settings();
        config.http.tls = Some(TlsConfig { certificate: chain.clone(), key: key.clone() });
        let error = Server::bind(config).await.unwrap_err();
        assert!(matches!(error, StartError::Tls(_)) && error.to_string().contains(named), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_many_streams_share_a_connection_and_sockets_have_one_of_their_own() {
    let certificate = Certificate::new("two");
    let mut config = settings();
    config.http.tls = Some(certificate.files());
    let server = Server::bind(config).await.unwrap();
    let http = server.http_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    // As a browser's page: it offers both and gets HTTP/2.
    let stream = certificate.open(http, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = |path: &str| {
        let request = Request::get(format!("https://localhost{path}")).body(axum::body::Body::empty()).unwrap();
        client.clone().send_request(request)
    };
    let mut streams = Vec::new();
    for _ in 0..20 {
        let stream = ask("/api/v1/events").await.unwrap();
        assert_eq!(
            (stream.status(), stream.headers()["content-type"].as_bytes()),
            (StatusCode::OK, &b"text/event-stream"[..])
        );
        streams.push(stream);
    }
    assert_eq!(ask("/livez").await.unwrap().status(), StatusCode::OK, "beside twenty streams");
    assert!(ask("/ws?room=r").await.unwrap().status().is_client_error(), "a socket is not had over it");

    // As a browser's WebSocket: it offers HTTP/1.1 only.
    let stream = certificate.open(http, &["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/ws?room=r", stream).await.unwrap();
    socket.send(r#"{"type":"hello","version":1,"name":"Ann"}"#.into()).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(welcome.contains("\"welcome\""), "{welcome}");

    drop((streams, socket));
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
