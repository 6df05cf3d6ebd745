//! Stands between one client and the server and does to the client's media what an attacker on the way could.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use roundtable_client::Rewrite;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A DTLS record of epoch 0 that says «fatal alert: handshake_failure», as anybody can write it.
const PLAIN_ALERT: [u8; 15] = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
/// The same for «warning: close_notify».
const PLAIN_CLOSE: [u8; 15] = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 10, 0, 2, 1, 0];
/// A record of application data of epoch 1 whose tag cannot be right.
const FORGED_DATA: [u8; 45] = {
    let mut record = [0x5a; 45];
    let head = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0, 32];
    let mut at = 0;
    while at < head.len() {
        record[at] = head[at];
        at += 1;
    }
    record
};

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    front: SocketAddr,
    server: SocketAddr,
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    attacked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Between whoever talks to it and `server`.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let back = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        back.connect(server).await.expect("loopback");
        let address = front.local_addr().expect("it is bound");
        let (armed, attacked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let cut = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(carry(front, back, Arc::clone(&armed), Arc::clone(&attacked), Arc::clone(&cut)));
        Self { front: address, server, armed, cut, attacked, task }
    }

    /// Leads the client's media here: candidates of the answer name the proxy.
    pub(crate) fn detour(&self) -> Rewrite {
        let (from, to) = (self.server, self.front);
        let place = |at: SocketAddr| format!(" {} {} typ ", at.ip(), at.port());
        Rewrite::new(move |sdp| sdp.replace(&place(from), &place(to)))
    }

    /// Attacks every media packet from now on, or no more.
    pub(crate) fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::Relaxed);
    }

    /// Lets nothing through from now on, or everything again.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Packets attacked: for each the server also got a copy, a forgery, a stump and three false DTLS records.
    pub(crate) fn attacked(&self) -> u64 {
        self.attacked.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    front: UdpSocket,
    back: UdpSocket,
    armed: Arc<AtomicBool>,
    attacked: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
) {
    let mut client = None;
    let (mut up, mut down) = (vec![0; 2048], vec![0; 2048]);
    loop {
        tokio::select! {
            Ok((length, from)) = front.recv_from(&mut up) => {
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                client = Some(from);
                let packet = &up[..length];
                let _ = back.send(packet).await;
                if armed.load(Ordering::Relaxed) && matches!(packet.first(), Some(128..=191)) {
                    attack(&back, packet).await;
                    attacked.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(length) = back.recv(&mut down) => {
                if let Some(client) = client.filter(|_| !cut.load(Ordering::Relaxed)) {
                    let _ = front.send_to(&down[..length], client).await;
                }
            }
        }
    }
}

async fn attack(server: &UdpSocket, packet: &[u8]) {
    // A number or, for RTCP, a source that has not been yet, so that it is the tag that gives it away.
    let mut forged = packet.to_vec();
    if matches!(packet[1], 192..=223) {
        forged[4] ^= 0x55;
    } else {
        let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(200);
        forged[2..4].copy_from_slice(&number.to_be_bytes());
    }
    for datagram in [packet, &forged, &packet[..7], &PLAIN_ALERT, &PLAIN_CLOSE, &FORGED_DATA] {
        let _ = server.send(datagram).await;
    }
}
