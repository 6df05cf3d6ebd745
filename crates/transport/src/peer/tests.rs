//! A peer against an independent DTLS client: from the first check to media, data and the end.

use super::{KEYS_TIME, Session};
use std::time::Duration;

use proptest::prelude::*;

use crate::certificate::Fingerprint;
use crate::channel::{MessageKind, SendError};
use crate::dtls::testing::ClientOptions;
use crate::peer::{
    CloseReason, DropReason, FingerprintChanged, PeerEvent, Received, RemoteParameters, Restart, TimeoutReason,
};
use crate::srtp::{Profile, SrtpOpener, SrtpSealer};
use crate::testing::{CheckMessage, Rig, credentials, path};

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 9]);
    packet.extend(b"some media");
    packet
}

fn sealed(sealer: &mut SrtpSealer, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(sequence);
    let len = packet.len();
    packet.resize(len + sealer.overhead(), 0);
    sealer.seal_rtp(&mut packet, 12, len, 0).unwrap();
    packet
}

fn client_sealer(rig: &Rig) -> SrtpSealer {
    SrtpSealer::new(&rig.client.export().1).unwrap()
}

const RTCP: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 5];

#[test]
fn media_flows_both_ways_after_a_handshake_in_either_profile() {
    for (profiles, expected) in [
        (vec![1, 7], Profile::AeadAes128Gcm),
        (vec![7, 1], Profile::AeadAes128Gcm),
        (vec![1], Profile::Aes128CmHmacSha1_80),
    ] {
        let mut rig = Rig::connected(&ClientOptions { profiles, ..ClientOptions::default() });
        let events = [
            PeerEvent::PathProven(rig.path),
            PeerEvent::PathSelected(rig.path),
            PeerEvent::Connected { profile: expected },
        ];
        assert_eq!(rig.events, events);
        let (profile, client, server) = rig.client.export();
        assert_eq!(profile, expected, "both sides agree");

        let len = rtp(7).len();
        let mut theirs = SrtpSealer::new(&client).unwrap();
        let mut packet = sealed(&mut theirs, 7);
        assert_eq!(rig.peer.handle_datagram(rig.now, rig.path, &mut packet), Received::Rtp { len });
        assert_eq!(packet[..len], rtp(7), "opened in place");

        let mut compound = RTCP.to_vec();
        assert!(theirs.seal_rtcp(&mut compound));
        assert_eq!(rig.peer.handle_datagram(rig.now, rig.path, &mut compound), Received::Rtcp { len: RTCP.len() });
        assert_eq!(compound[..RTCP.len()], RTCP);

        let ours = rig.peer.sealer().expect("connected");
        assert_eq!(ours.overhead(), profile.tag_len());
        let mut back = sealed(ours, 8);
        let mut opener = SrtpOpener::new(&server).unwrap();
        assert_eq!(opener.open_rtp(&mut back), Ok(len));
        assert_eq!(back[..len], rtp(8));
        let mut compound = RTCP.to_vec();
        assert!(rig.peer.seal_rtcp(&mut compound));
        assert_eq!(opener.open_rtcp(&mut compound), Ok(RTCP.len()));
    }
}

#[test]
fn the_keys_are_confirmed_by_the_first_sealed_packet_or_by_time() {
    let confirmations = |rig: &mut Rig| {
        rig.collect();
        rig.events.iter().filter(|event| **event == PeerEvent::KeysConfirmed).count()
    };
    let mut rig = Rig::connected(&ClientOptions::default());
    assert_eq!(confirmations(&mut rig), 0, "our side alone proves nothing");
    let mut theirs = client_sealer(&rig);
    let mut forged = sealed(&mut theirs, 1);
    forged[14] ^= 1;
    rig.feed(&forged);
    assert_eq!(confirmations(&mut rig), 0);
    rig.feed(&sealed(&mut theirs, 2));
    rig.feed(&sealed(&mut theirs, 3));
    rig.advance(KEYS_TIME * 2);
    assert_eq!(confirmations(&mut rig), 1);

    let mut silent = Rig::connected(&ClientOptions::default());
    silent.advance(KEYS_TIME - Duration::from_millis(20));
    assert_eq!(confirmations(&mut silent), 0);
    silent.advance(Duration::from_millis(40));
    assert_eq!(confirmations(&mut silent), 1, "who says nothing gets media all the same");
}

#[test]
fn the_handshake_is_let_go_of_once_the_peer_has_used_its_keys() {
    let settled =
        |rig: &Rig| matches!(&rig.peer.session, Session::Connected(connected) if connected.dtls.has_settled());
    let mut rig = Rig::connected(&ClientOptions::default());
    rig.advance(KEYS_TIME * 2);
    assert!(!settled(&rig), "that time has passed proves nothing");
    let mut theirs = client_sealer(&rig);
    rig.feed(&sealed(&mut theirs, 1));
    assert!(settled(&rig));
    rig.peer.close(rig.now);
    rig.collect();
    assert!(rig.client.was_closed, "it can still say goodbye");

    let mut rig = Rig::connected(&ClientOptions::default());
    rig.client.send(rig.now, b"not even SCTP");
    while let Some(datagram) = rig.client.poll_transmit() {
        rig.feed(&datagram);
    }
    assert!(settled(&rig), "data shows it as well");
}

#[test]
fn a_hello_in_many_datagrams_is_put_together() {
    let options = ClientOptions { mtu: 60, ..ClientOptions::default() };
    let rig = Rig::connected(&options);
    assert!(rig.events.contains(&PeerEvent::Connected { profile: Profile::AeadAes128Gcm }));
}

#[test]
fn media_counts_only_from_proven_paths_and_only_once() {
    let mut rig = Rig::connected(&ClientOptions::default());
    let mut theirs = client_sealer(&rig);
    let packet = sealed(&mut theirs, 1);
    let stranger = rig.peer.handle_datagram(rig.now, path(2), &mut packet.clone());
    assert_eq!(stranger, Received::Dropped(DropReason::UnprovenPath));
    assert!(matches!(rig.feed(&packet), Received::Rtp { .. }));
    assert_eq!(rig.feed(&packet), Received::Dropped(DropReason::SrtpReplay));

    let mut forged = sealed(&mut theirs, 2);
    forged[14] ^= 1;
    assert_eq!(rig.feed(&forged), Received::Dropped(DropReason::SrtpAuth));
    assert_eq!(rig.feed(&[0x80, 96, 0, 1]), Received::Dropped(DropReason::SrtpShort));
    assert_eq!(rig.feed(&[70, 0, 0, 0]), Received::Dropped(DropReason::NotMedia));
    assert_eq!(rig.feed(&[]), Received::Dropped(DropReason::NotMedia));

    rig.path = path(2);
    rig.nominate();
    assert!(matches!(rig.feed(&sealed(&mut theirs, 3)), Received::Rtp { .. }), "a proven path may carry media");
    assert_eq!(rig.peer.path(), Some(path(2)));
}

#[test]
fn nothing_but_checks_counts_before_a_check() {
    let mut rig = Rig::new(&ClientOptions::default());
    assert!(rig.peer.sealer().is_none() && !rig.peer.seal_rtcp(&mut RTCP.to_vec()));
    assert_eq!(rig.peer.send_message(rig.now, 0, MessageKind::Text, b"early"), Err(SendError::Unknown));
    let hello = rig.client.poll_transmit().unwrap();
    assert_eq!(rig.feed(&hello), Received::Dropped(DropReason::UnprovenPath));
    assert_eq!(rig.feed(&rtp(1)), Received::Dropped(DropReason::UnprovenPath));
    assert_eq!((rig.dtls_bytes_out, rig.answers.len()), (0, 0), "and nothing is answered");

    rig.nominate();
    assert_eq!(rig.feed(&rtp(1)), Received::Dropped(DropReason::SrtpNotReady));
    rig.advance(Duration::from_secs(2));
    assert!(rig.peer.is_connected(), "the client repeated its hello");
}

#[test]
fn a_handshake_before_any_nomination_is_answered_where_it_came_from() {
    let mut rig = Rig::new(&ClientOptions::default());
    let check = CheckMessage::new(&credentials("local"), &credentials("remote"));
    rig.feed(&check.encode());
    rig.run();
    assert!(rig.peer.is_connected() && rig.client.is_connected);
    rig.collect();
    assert_eq!(rig.peer.path(), Some(rig.path), "media goes there as well until a path is nominated");
    assert!(rig.events.contains(&PeerEvent::PathSelected(rig.path)));
}

#[test]
fn a_wrong_fingerprint_ends_the_peer_before_any_key() {
    for profiles in [vec![7], vec![1]] {
        let options = ClientOptions { profiles, ..ClientOptions::default() };
        let mut rig = Rig::expecting(&options, Some(Fingerprint::of(b"somebody else")));
        rig.nominate();
        rig.run();
        assert_eq!(rig.closed(), Some(&CloseReason::DtlsFingerprint));
        assert_eq!(rig.closed().map(CloseReason::code), Some("dtls/fingerprint"));
        assert!(!rig.peer.is_connected() && rig.peer.sealer().is_none());
        assert!(!rig.events.iter().any(|event| matches!(event, PeerEvent::Connected { .. })));
        assert_eq!(rig.feed(&rtp(1)), Received::Dropped(DropReason::Closed));
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let mut rig = Rig::new(&ClientOptions { with_certificate: false, ..ClientOptions::default() });
    rig.nominate();
    rig.run();
    rig.advance(Duration::from_secs(11));
    assert_eq!(rig.closed(), Some(&CloseReason::DtlsNoCertificate));
    assert!(!rig.client.is_connected);
}

#[test]
fn a_client_without_a_usable_profile_or_without_extended_master_secret_is_refused() {
    for options in [
        ClientOptions { profiles: vec![2, 8], ..ClientOptions::default() },
        ClientOptions { profiles: vec![], ..ClientOptions::default() },
        ClientOptions { extended_master_secret: false, ..ClientOptions::default() },
    ] {
        let mut rig = Rig::new(&options);
        rig.nominate();
        rig.run();
        rig.advance(Duration::from_secs(11));
        assert!(matches!(rig.closed(), Some(CloseReason::DtlsFailed(_))), "{:?}", rig.closed());
        assert!(!rig.client.is_connected);
    }
}

#[test]
fn a_stalled_handshake_is_over_after_ten_seconds() {
    let mut rig = Rig::new(&ClientOptions::default());
    rig.nominate();
    let (due, reason) = rig.peer.poll_timeout().expect("the handshake has a deadline");
    assert_eq!((due, reason), (rig.now + Duration::from_secs(10), TimeoutReason::Dtls));
    // The client says its first words and vanishes, while its checks go on.
    let hello = rig.client.poll_transmit().unwrap();
    rig.feed(&hello);
    for _ in 0..9 {
        rig.now += Duration::from_secs(1);
        rig.peer.handle_timeout(rig.now);
        rig.nominate();
    }
    assert_eq!(rig.closed(), None);
    rig.now += Duration::from_secs(1);
    rig.peer.handle_timeout(rig.now);
    rig.collect();
    assert_eq!(rig.closed(), Some(&CloseReason::DtlsTimeout));
    assert_eq!(rig.peer.poll_timeout(), None);
    assert_eq!(rig.peer.path(), None);
}

#[test]
fn an_untouched_peer_times_out_in_ice() {
    let mut rig = Rig::new(&ClientOptions::default());
    assert_eq!(rig.peer.poll_timeout(), Some((rig.now + Duration::from_secs(15), TimeoutReason::Ice)));
    rig.now += Duration::from_secs(15);
    rig.peer.handle_timeout(rig.now);
    rig.collect();
    assert_eq!(rig.events, [PeerEvent::Closed(CloseReason::IceTimeout)]);
}

#[test]
fn a_silent_peer_loses_its_consent() {
    let mut rig = Rig::connected(&ClientOptions::default());
    rig.now += Duration::from_secs(30);
    rig.peer.handle_timeout(rig.now);
    rig.collect();
    let end = [PeerEvent::PathLost(path(1)), PeerEvent::Closed(CloseReason::IceConsent)];
    assert_eq!(rig.events[rig.events.len() - 2..], end);
    assert_eq!(rig.peer.path(), None);
    assert!(rig.peer.sealer().is_none(), "nothing can be sealed for who does not want it");
}

#[test]
fn a_restart_moves_media_without_a_new_handshake() {
    let mut rig = Rig::connected(&ClientOptions::default());
    let mut remote = RemoteParameters { ice: credentials("remote"), fingerprint: rig.client.fingerprint };
    let fresh = credentials("fresh");
    assert_eq!(rig.peer.set_remote(rig.now, &remote, fresh.clone()), Ok(Restart::Same));
    remote.ice = credentials("moved");
    let stranger = RemoteParameters { fingerprint: Fingerprint::of(b"another"), ..remote.clone() };
    assert_eq!(rig.peer.set_remote(rig.now, &stranger, fresh.clone()), Err(FingerprintChanged));
    assert_eq!(rig.peer.local_credentials(), &credentials("local"), "a refused offer changes nothing");
    assert_eq!(rig.peer.set_remote(rig.now, &remote, fresh.clone()), Ok(Restart::Restarted));
    assert_eq!(rig.peer.local_credentials(), &fresh);

    let mut theirs = client_sealer(&rig);
    assert!(matches!(rig.feed(&sealed(&mut theirs, 1)), Received::Rtp { .. }), "the old pair still carries media");
    rig.path = path(2);
    let check = CheckMessage::new(&fresh, &remote.ice).nominating();
    assert_eq!(rig.feed(&check.encode()), Received::Control);
    assert_eq!(rig.peer.path(), Some(path(2)));
    assert!(matches!(rig.feed(&sealed(&mut theirs, 2)), Received::Rtp { .. }));
    assert!(rig.peer.is_connected());
}

#[test]
fn goodbyes_are_said_and_heard() {
    let mut rig = Rig::connected(&ClientOptions::default());
    rig.peer.close(rig.now);
    rig.collect();
    assert!(rig.client.was_closed, "the client got our close_notify");
    assert!(rig.peer.is_closed() && !rig.peer.is_connected());
    assert_eq!(rig.peer.poll_timeout(), None);

    let mut rig = Rig::connected(&ClientOptions::default());
    rig.client.close(rig.now);
    rig.run();
    assert_eq!(rig.closed(), Some(&CloseReason::Remote));
}

#[test]
fn sctp_packets_reach_the_channels_and_back() {
    let mut rig = Rig::connected(&ClientOptions::default());
    // An INIT chunk with its checksum: the smallest packet that SCTP answers.
    let mut init = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0];
    init.extend([1, 0, 0, 20, 0, 0, 0, 9, 0, 2, 0, 0, 0, 16, 0, 16, 0, 0, 0, 1]);
    let checksum = crc32c(&init).to_le_bytes();
    init[8..12].copy_from_slice(&checksum);
    rig.client.send(rig.now, &init);
    rig.run();
    let answer = rig.client.received.first().expect("an INIT ACK");
    assert_eq!(answer[12], 2, "{answer:02x?}");
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[test]
fn answers_and_events_nobody_takes_are_bounded() {
    let mut rig = Rig::connected(&ClientOptions::default());
    let check = CheckMessage::new(&credentials("local"), &credentials("remote")).encode();
    let mut backlog = 0;
    for round in 0..2_000u32 {
        let from = path((round % 200) as u8 + 10);
        let received = rig.peer.handle_datagram(rig.now, from, &mut check.clone());
        backlog += usize::from(received == Received::Dropped(DropReason::Backlog));
    }
    assert!(backlog > 1_500, "{backlog}");
    assert!(std::iter::from_fn(|| rig.peer.poll_transmit()).count() <= 64);
    assert!(std::iter::from_fn(|| rig.peer.poll_event()).count() <= 260);
}

/// A connected rig and one in the middle of its handshake, reused for many cases: building one costs two handshakes.
fn rigs() -> (Rig, Rig) {
    let mut midway = Rig::new(&ClientOptions::default());
    midway.nominate();
    let hello = midway.client.poll_transmit().unwrap();
    midway.feed(&hello);
    (Rig::connected(&ClientOptions::default()), midway)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(100_000)))]

    #[test]
    fn no_datagram_panics_wherever_it_comes_from(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        first in prop::sample::select(vec![0u8, 1, 20, 21, 22, 23, 128, 144, 255]),
        proven in any::<bool>(),
    ) {
        thread_local!(static RIGS: std::cell::RefCell<(Rig, Rig)> = std::cell::RefCell::new(rigs()));
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        RIGS.with_borrow_mut(|(connected, midway)| {
            let from = if proven { path(1) } else { path(2) };
            let received = connected.peer.handle_datagram(connected.now, from, &mut bytes.clone());
            prop_assert!(!matches!(received, Received::Rtp { .. } | Received::Rtcp { .. }), "{:?}", received);
            prop_assert!(connected.peer.is_connected(), "bytes without keys end nothing");
            midway.peer.handle_datagram(midway.now, from, &mut bytes);
            midway.collect();
            if midway.peer.is_closed() {
                *midway = rigs().1;
            }
            Ok(())
        })?;
    }
}
