//! What the tests of this crate share: checks as a browser sends them, and a peer with a client in front of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType, RawAttribute,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, MessageType, Setter, TransactionId};

use crate::certificate::Fingerprint;
use crate::dtls::testing::{Client, ClientOptions};
use crate::identity::Identity;
use crate::path::{IceCredentials, Path};
use crate::peer::{CloseReason, Peer, PeerConfig, PeerEvent, Received, RemoteParameters};

/// One identity for all tests, as one serves all peers of a process.
pub(crate) fn identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    Arc::clone(IDENTITY.get_or_init(|| Identity::generate().unwrap()))
}

pub(crate) fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: format!("{name}-ufrag"), pwd: format!("{name}-password-of-some-length") }
}

/// The `n`th way to the client.
pub(crate) fn path(n: u8) -> Path {
    Path { remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)), 5_000), local: None }
}

/// A Binding request of a full agent; the fields make it a good or a bad one.
pub(crate) struct CheckMessage {
    pub(crate) typ: MessageType,
    pub(crate) username: String,
    pub(crate) pwd: String,
    pub(crate) nominates: bool,
    pub(crate) controlled: bool,
    pub(crate) unknown: Vec<u16>,
    pub(crate) fingerprint: bool,
}

impl CheckMessage {
    pub(crate) fn new(local: &IceCredentials, remote: &IceCredentials) -> Self {
        Self {
            typ: BINDING_REQUEST,
            username: format!("{}:{}", local.ufrag, remote.ufrag),
            pwd: local.pwd.clone(),
            nominates: false,
            controlled: false,
            unknown: Vec::new(),
            fingerprint: true,
        }
    }

    pub(crate) fn nominating(mut self) -> Self {
        self.nominates = true;
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().unwrap();
        let raw = |typ: AttrType, value: &[u8]| RawAttribute { typ, length: 0, value: value.to_vec() };
        let role = if self.controlled { ATTR_ICE_CONTROLLED } else { ATTR_ICE_CONTROLLING };
        let mut setters: Vec<Box<dyn Setter + '_>> = vec![
            Box::new(self.typ),
            Box::new(TransactionId([7; 12])),
            Box::new(raw(ATTR_USERNAME, self.username.as_bytes())),
            Box::new(raw(ATTR_PRIORITY, &[1, 2, 3, 4])),
            Box::new(raw(role, &[9; 8])),
        ];
        if self.nominates {
            setters.push(Box::new(raw(ATTR_USE_CANDIDATE, &[])));
        }
        for typ in &self.unknown {
            setters.push(Box::new(raw(AttrType(*typ), &[1, 2])));
        }
        let key = self.pwd.clone();
        setters.push(Box::new(MessageIntegrity::new_short_term_integrity_with_provider(key, provider.crypto())));
        if self.fingerprint {
            setters.push(Box::new(FINGERPRINT));
        }
        let mut message = Message::new();
        message.build(&setters).unwrap();
        message.raw.clone()
    }
}

/// A peer and its client with a perfect wire between them and a clock that only a test moves.
pub(crate) struct Rig {
    pub(crate) now: Instant,
    pub(crate) peer: Peer,
    pub(crate) client: Client,
    pub(crate) path: Path,
    pub(crate) events: Vec<PeerEvent>,
    /// What the peer sent beside DTLS.
    pub(crate) answers: Vec<(Path, Vec<u8>)>,
    pub(crate) dtls_bytes_out: usize,
}

impl Rig {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        Self::expecting(options, None)
    }

    /// Lets the offer promise another fingerprint than the client's.
    pub(crate) fn expecting(options: &ClientOptions, fingerprint: Option<Fingerprint>) -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        let client = Client::new(now, options);
        let fingerprint = fingerprint.unwrap_or(client.fingerprint);
        let remote = RemoteParameters { ice: credentials("remote"), fingerprint };
        let config = PeerConfig { identity: identity(), local: credentials("local"), remote };
        let peer = Peer::new(now, config);
        Self { now, peer, client, path: path(1), events: Vec::new(), answers: Vec::new(), dtls_bytes_out: 0 }
    }

    /// A rig whose handshake is over.
    pub(crate) fn connected(options: &ClientOptions) -> Self {
        let mut rig = Self::new(options);
        rig.nominate();
        rig.run();
        assert!(rig.peer.is_connected() && rig.client.is_connected, "no handshake: {:?}", rig.events);
        rig
    }

    /// Sends a nominating check over the current path.
    pub(crate) fn nominate(&mut self) {
        let check = CheckMessage::new(self.peer.local_credentials(), &credentials("remote")).nominating();
        assert_eq!(self.feed(&check.encode()), Received::Control);
    }

    /// Gives the peer one datagram over the current path and keeps what it says to it.
    pub(crate) fn feed(&mut self, datagram: &[u8]) -> Received {
        let received = self.peer.handle_datagram(self.now, self.path, &mut datagram.to_vec());
        self.collect();
        received
    }

    /// Carries datagrams to and fro until nobody has any.
    pub(crate) fn run(&mut self) {
        while let Some(datagram) = self.client.poll_transmit() {
            self.feed(&datagram);
        }
    }

    /// Moves the clock, waking both whenever they want it.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some((due, _)) = self.peer.poll_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.peer.handle_timeout(self.now);
            self.client.handle_timeout(self.now);
            self.collect();
            self.run();
        }
        self.now = end;
        self.client.handle_timeout(end);
        self.run();
    }

    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.events.iter().find_map(|event| match event {
            PeerEvent::Closed(reason) => Some(reason),
            _ => None,
        })
    }

    /// Takes what the peer has to send and to tell; its DTLS reaches the client at once.
    pub(crate) fn collect(&mut self) {
        while let Some(transmit) = self.peer.poll_transmit() {
            if (20..64).contains(&transmit.contents[0]) {
                self.dtls_bytes_out += transmit.contents.len();
                self.client.receive(self.now, &transmit.contents);
            } else {
                self.answers.push((transmit.path, transmit.contents));
            }
        }
        self.events.extend(std::iter::from_fn(|| self.peer.poll_event()));
    }
}
