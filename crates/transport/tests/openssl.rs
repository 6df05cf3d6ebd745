//! `openssl s_client` as an independent DTLS client: certificates of several kinds, whole and in small datagrams.
//!
//! The one test of this crate with a socket and a clock, on the loopback. Without `openssl` it fails and says so.

use std::error::Error;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roundtable_transport::certificate::Fingerprint;
use roundtable_transport::identity::Identity;
use roundtable_transport::path::{IceCredentials, Path};
use roundtable_transport::peer::{Peer, PeerConfig, PeerEvent, Received, RemoteParameters};
use roundtable_transport::srtp::Profile;
use rtc_stun::attributes::{ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message};

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

#[test]
fn openssl_connects_with_certificates_of_any_kind() -> TestResult {
    Command::new("openssl").arg("version").stdout(Stdio::null()).status().map_err(|error| {
        format!("openssl is needed and cannot be run ({error}); `cargo xtask test` installs it or says how")
    })?;
    let both = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";
    for (name, key, mtu, profiles, expected) in [
        ("ec", "ec:P-256:sha256", 1_200, both, Profile::AeadAes128Gcm),
        ("p384", "ec:P-384:sha256", 300, "SRTP_AES128_CM_SHA1_80", Profile::Aes128CmHmacSha1_80),
        ("rsa", "rsa:2048:sha256", 1_200, both, Profile::AeadAes128Gcm),
        ("rsa-small-datagrams", "rsa:2048:sha256", 256, "SRTP_AES128_CM_SHA1_80", Profile::Aes128CmHmacSha1_80),
        ("sha1", "ec:P-256:sha1", 1_200, both, Profile::AeadAes128Gcm),
    ] {
        let chosen = connect(name, key, mtu, profiles).map_err(|error| format!("{name}: {error}"))?;
        assert_eq!(chosen, Some(expected), "{name}");
    }
    Ok(())
}

/// Lets one client connect and returns the profile chosen, if it came so far.
fn connect(name: &str, key: &str, mtu: u16, profiles: &str) -> TestResult<Option<Profile>> {
    let folder = std::env::temp_dir().join(format!("roundtable-openssl-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let fingerprint = make_certificate(&folder, key)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let mut client = start_client(&folder, &socket, mtu, profiles)?;
    let result = serve(&socket, fingerprint);
    client.kill()?;
    client.wait()?;
    let mut complaints = String::new();
    client.stderr.take().ok_or("no stderr")?.read_to_string(&mut complaints)?;
    std::fs::remove_dir_all(&folder)?;
    result.map_err(|error| format!("{error}; {complaints}").into())
}

fn make_certificate(folder: &FilePath, key: &str) -> TestResult<Fingerprint> {
    let mut parts = key.split(':');
    let (kind, size, hash) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let key_arguments = match kind {
        Some("ec") => vec!["ec".to_owned(), "-pkeyopt".to_owned(), format!("ec_paramgen_curve:{size}")],
        _ => vec![format!("rsa:{size}")],
    };
    let (key, certificate, der) = (folder.join("key"), folder.join("certificate"), folder.join("der"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=client", &format!("-{hash}"), "-newkey"]);
    make.args(key_arguments).arg("-keyout").arg(&key).arg("-out").arg(&certificate).stderr(Stdio::null());
    let mut convert = Command::new("openssl");
    convert.args(["x509", "-outform", "der", "-in"]).arg(&certificate).arg("-out").arg(&der);
    if !make.status()?.success() || !convert.status()?.success() {
        return Err("openssl made no certificate".into());
    }
    Ok(Fingerprint::of(&std::fs::read(&der)?))
}

fn start_client(folder: &FilePath, socket: &UdpSocket, mtu: u16, profiles: &str) -> TestResult<Child> {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-dtls1_2", "-quiet", "-mtu", &mtu.to_string(), "-use_srtp", profiles, "-connect"]);
    client.arg(socket.local_addr()?.to_string());
    client.arg("-key").arg(folder.join("key")).arg("-cert").arg(folder.join("certificate"));
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    // Kept open: at the end of its input the client would leave.
    client.stdin.as_mut().ok_or("no stdin")?.flush()?;
    Ok(client)
}

/// Runs a peer on the socket until it is connected, closed or out of time.
fn serve(socket: &UdpSocket, fingerprint: Fingerprint) -> TestResult<Option<Profile>> {
    let credentials = |name: &str| IceCredentials { ufrag: name.to_owned(), pwd: format!("{name}-password-22-chars") };
    let remote = RemoteParameters { ice: credentials("remote"), fingerprint };
    let config = PeerConfig { identity: Identity::generate()?, local: credentials("local"), remote };
    let start = Instant::now();
    let mut peer = Peer::new(start, config);
    let mut buffer = [0; 2_000];
    while start.elapsed() < Duration::from_secs(20) {
        if let Ok((len, remote)) = socket.recv_from(&mut buffer) {
            let path = Path { remote, local: None };
            if peer.path().is_none() {
                let mut check = nominating_check()?;
                assert_eq!(peer.handle_datagram(Instant::now(), path, &mut check), Received::Control);
            }
            peer.handle_datagram(Instant::now(), path, &mut buffer[..len]);
        }
        peer.handle_timeout(Instant::now());
        while let Some(transmit) = peer.poll_transmit() {
            socket.send_to(&transmit.contents, transmit.path.remote)?;
        }
        while let Some(event) = peer.poll_event() {
            match event {
                PeerEvent::Connected { profile } => return Ok(Some(profile)),
                PeerEvent::Closed(reason) => return Err(format!("closed: {reason:?}").into()),
                _ => {}
            }
        }
    }
    Ok(None)
}

fn nominating_check() -> TestResult<Vec<u8>> {
    let provider = rtc_crypto::default_provider()?;
    let key = "local-password-22-chars".to_owned();
    let mut message = Message::new();
    message.build(&[
        Box::new(BINDING_REQUEST),
        Box::new(RawAttribute { typ: ATTR_USERNAME, length: 0, value: b"local:remote".to_vec() }),
        Box::new(RawAttribute { typ: ATTR_USE_CANDIDATE, length: 0, value: Vec::new() }),
        Box::new(MessageIntegrity::new_short_term_integrity_with_provider(key, provider.crypto())),
    ])?;
    Ok(message.raw.clone())
}
