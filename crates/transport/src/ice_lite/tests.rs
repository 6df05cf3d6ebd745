//! Checks good and bad, nominations, restarts and consent, against the lite agent alone.

use std::time::{Duration, Instant};

use rtc_stun::attributes::ATTR_UNKNOWN_ATTRIBUTES;
use rtc_stun::error_code::{CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCodeAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR, BINDING_SUCCESS, CLASS_INDICATION, Getter, METHOD_BINDING, Message, MessageType, TransactionId,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::paths::MAX_PATHS;
use super::*;
use crate::testing::{CheckMessage, credentials, path};

struct Agent {
    ice: IceLite,
    now: Instant,
}

impl Agent {
    fn new() -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        Self { ice: IceLite::new(now, credentials("local"), credentials("remote")), now }
    }

    fn check(&mut self, n: u8, check: &CheckMessage) -> Result<Vec<u8>, DropReason> {
        self.ice.handle_message(self.now, path(n), &check.encode())
    }

    fn events(&mut self) -> Vec<IceEvent> {
        std::iter::from_fn(|| self.ice.poll_event()).collect()
    }

    fn after(&mut self, seconds: u64) -> Vec<IceEvent> {
        self.now += Duration::from_secs(seconds);
        self.ice.handle_timeout(self.now);
        self.events()
    }
}

fn good() -> CheckMessage {
    CheckMessage::new(&credentials("local"), &credentials("remote"))
}

/// Reads an answer the way a client does: integrity and fingerprint first.
fn read_answer(answer: &[u8], pwd: &str) -> Message {
    let mut message = Message::new();
    message.unmarshal_binary(answer).expect("well-formed");
    let provider = rtc_crypto::default_provider().unwrap();
    MessageIntegrity::check(&mut message, pwd.as_bytes(), provider.crypto()).expect("signed");
    FINGERPRINT.check(&message).expect("with a fingerprint");
    assert_eq!(message.transaction_id, TransactionId([7; 12]));
    message
}

fn error_code(message: &Message) -> u16 {
    assert_eq!(message.typ, BINDING_ERROR);
    let mut code = ErrorCodeAttribute::default();
    code.get_from(message).unwrap();
    code.code.0
}

#[test]
fn a_good_check_is_answered_at_once_and_proves_its_path() {
    let mut agent = Agent::new();
    let request = good().encode();
    let answer = agent.ice.handle_message(agent.now, path(1), &request).unwrap();
    assert!(answer.len() <= request.len() * 17 / 10, "no amplification");
    let message = read_answer(&answer, &credentials("local").pwd);
    assert_eq!(message.typ, BINDING_SUCCESS);
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&message).unwrap();
    assert_eq!((mapped.ip, mapped.port), (path(1).remote.ip(), path(1).remote.port()));
    assert_eq!(agent.events(), [IceEvent::Proven(path(1))]);
    assert_eq!(agent.ice.selected(), None, "not nominated");
    assert!(agent.ice.is_proven(path(1)) && !agent.ice.is_proven(path(2)));
}

#[test]
fn what_is_not_authentic_gets_no_answer_and_changes_nothing() {
    let (local, remote) = (credentials("local"), credentials("remote"));
    let encode = |change: &dyn Fn(&mut CheckMessage)| {
        let mut check = good().nominating();
        change(&mut check);
        check.encode()
    };
    let mut tampered = good().nominating().encode();
    tampered[24] ^= 1; // within the USERNAME's value
    let mut without_fingerprint = good();
    without_fingerprint.fingerprint = false;
    let mut flipped = without_fingerprint.encode();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut broken_fingerprint = good().encode();
    let last = broken_fingerprint.len() - 1;
    broken_fingerprint[last] ^= 1;
    let mut too_long = good().encode();
    too_long.extend([0; 4]);

    let table: Vec<(&str, Vec<u8>, DropReason)> = vec![
        ("wrong password", encode(&|check| check.pwd = remote.pwd.clone()), DropReason::StunIntegrity),
        (
            "forged, claims controlled",
            {
                encode(&|check| {
                    check.pwd = "guess".into();
                    check.controlled = true;
                })
            },
            DropReason::StunIntegrity,
        ),
        (
            "forged, unknown attribute",
            {
                encode(&|check| {
                    check.pwd = "guess".into();
                    check.unknown = vec![0x7000];
                })
            },
            DropReason::StunIntegrity,
        ),
        (
            "other session",
            encode(&|check| check.username = format!("other:{}", remote.ufrag)),
            DropReason::StunUsername,
        ),
        ("other peer", encode(&|check| check.username = format!("{}:other", local.ufrag)), DropReason::StunUsername),
        ("no colon", encode(&|check| check.username = local.ufrag.clone()), DropReason::StunUsername),
        ("tampered", tampered, DropReason::StunMalformed),
        ("integrity flipped", flipped, DropReason::StunIntegrity),
        ("fingerprint flipped", broken_fingerprint, DropReason::StunMalformed),
        ("trailing bytes", too_long, DropReason::StunMalformed),
        ("empty", Vec::new(), DropReason::StunMalformed),
        ("header only", good().encode()[..20].to_vec(), DropReason::StunMalformed),
        (
            "indication",
            { encode(&|check| check.typ = MessageType { method: METHOD_BINDING, class: CLASS_INDICATION }) },
            DropReason::StunIgnored,
        ),
        ("response", encode(&|check| check.typ = BINDING_SUCCESS), DropReason::StunIgnored),
    ];
    let mut agent = Agent::new();
    for (name, datagram, expected) in table {
        let result = agent.ice.handle_message(agent.now, path(1), &datagram);
        assert_eq!(result.map(|_| ()), Err(expected), "{name}");
        assert_eq!(agent.events(), [], "{name}");
        assert!(!agent.ice.is_proven(path(1)), "{name}");
    }
    assert_eq!(agent.after(15), [IceEvent::TimedOut], "none of them counted as a check");
}

#[test]
fn what_stands_behind_the_integrity_is_not_believed() {
    // Somebody on the way appends USE-CANDIDATE to a genuine check, which leaves its MESSAGE-INTEGRITY right.
    let mut agent = Agent::new();
    let mut check = good();
    check.fingerprint = false;
    let mut datagram = check.encode();
    datagram.extend([0x00, 0x25, 0x00, 0x00]);
    let len = u16::try_from(datagram.len() - 20).unwrap().to_be_bytes();
    datagram[2..4].copy_from_slice(&len);
    assert!(agent.ice.handle_message(agent.now, path(1), &datagram).is_ok());
    assert_eq!(agent.ice.selected(), None);
}

#[test]
fn a_role_conflict_and_unknown_attributes_are_answered_with_their_codes() {
    let mut agent = Agent::new();
    let mut check = good().nominating();
    check.controlled = true;
    let answer = agent.check(1, &check).unwrap();
    assert_eq!(error_code(&read_answer(&answer, &credentials("local").pwd)), CODE_ROLE_CONFLICT.0);

    let mut check = good().nominating();
    check.unknown = vec![0x7001, 0xc057, 0x0033];
    let answer = agent.check(1, &check).unwrap();
    assert!(answer.len() <= check.encode().len() * 17 / 10, "no amplification");
    let message = read_answer(&answer, &credentials("local").pwd);
    assert_eq!(error_code(&message), CODE_UNKNOWN_ATTRIBUTE.0);
    let unknown = message.get(ATTR_UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(unknown, [0x70, 0x01, 0x00, 0x33], "optional ones are not complained about");

    assert_eq!(agent.events(), [], "neither proves a path or nominates one");
}

#[test]
fn every_nomination_is_followed() {
    let mut agent = Agent::new();
    agent.check(1, &good()).unwrap();
    agent.check(1, &good().nominating()).unwrap();
    assert_eq!(agent.events(), [IceEvent::Proven(path(1)), IceEvent::Selected(path(1))]);
    agent.check(1, &good().nominating()).unwrap();
    assert_eq!(agent.events(), [], "repeating it is no news");
    agent.check(2, &good().nominating()).unwrap();
    assert_eq!(agent.events(), [IceEvent::Proven(path(2)), IceEvent::Selected(path(2))]);
    agent.check(1, &good()).unwrap();
    assert_eq!(agent.ice.selected(), Some(path(2)), "a plain check does not take it back");
    agent.check(1, &good().nominating()).unwrap();
    assert_eq!(agent.events(), [IceEvent::Selected(path(1))], "and back to Wi-Fi");
}

#[test]
fn paths_are_bounded_and_the_selected_one_stays() {
    let mut agent = Agent::new();
    agent.check(1, &good().nominating()).unwrap();
    for n in 2..=30 {
        agent.now += Duration::from_millis(1);
        agent.check(n, &good()).unwrap();
    }
    let events = agent.events();
    let lost: Vec<_> = events.iter().filter(|event| matches!(event, IceEvent::Lost(_))).collect();
    assert_eq!(lost.len(), 30 - MAX_PATHS);
    assert_eq!(lost.first(), Some(&&IceEvent::Lost(path(2))), "the oldest that is not in use");
    assert!(agent.ice.is_proven(path(1)) && agent.ice.is_proven(path(30)) && !agent.ice.is_proven(path(23)));
    assert_eq!(agent.ice.selected(), Some(path(1)));
}

#[test]
fn a_restart_keeps_the_old_pair_until_the_new_one_is_nominated() {
    let mut agent = Agent::new();
    let (fresh, new_remote) = (credentials("fresh"), credentials("new-remote"));
    agent.check(1, &good().nominating()).unwrap();
    assert!(!agent.ice.set_remote(&credentials("remote"), fresh.clone()), "the same offer again");
    assert_eq!(agent.ice.local().ufrag, credentials("local").ufrag);

    assert!(agent.ice.set_remote(&new_remote, fresh.clone()));
    assert_eq!(agent.ice.local().ufrag, fresh.ufrag);
    assert_eq!(agent.ice.selected(), Some(path(1)), "media goes on");
    assert!(agent.check(1, &good()).is_ok(), "the old credentials still refresh the old pair");
    let mixed = CheckMessage::new(&fresh, &credentials("remote"));
    assert_eq!(agent.check(2, &mixed), Err(DropReason::StunUsername), "halves of two generations");

    let renewed = CheckMessage::new(&fresh, &new_remote);
    let answer = agent.check(2, &renewed).unwrap();
    read_answer(&answer, &fresh.pwd);
    assert_eq!(agent.ice.selected(), Some(path(1)), "proven, not yet nominated");
    agent.check(2, &renewed.nominating()).unwrap();
    assert_eq!(agent.ice.selected(), Some(path(2)));
    assert_eq!(agent.check(1, &good()), Err(DropReason::StunUsername), "the old generation is over");
    assert!(agent.ice.is_proven(path(1)), "what is still under way from there counts for a while");
}

#[test]
fn of_two_restarts_in_a_row_the_pair_that_carries_media_survives() {
    let mut agent = Agent::new();
    agent.check(1, &good().nominating()).unwrap();
    assert!(agent.ice.set_remote(&credentials("remote-2"), credentials("local-2")));
    assert!(agent.ice.set_remote(&credentials("remote-3"), credentials("local-3")));
    assert!(agent.check(1, &good()).is_ok());
    let skipped = CheckMessage::new(&credentials("local-2"), &credentials("remote-2"));
    assert_eq!(agent.check(1, &skipped), Err(DropReason::StunUsername));
    let last = CheckMessage::new(&credentials("local-3"), &credentials("remote-3"));
    assert!(agent.check(1, &last.nominating()).is_ok());
}

#[test]
fn consent_lasts_thirty_seconds_beyond_the_last_check() {
    let mut agent = Agent::new();
    agent.check(1, &good().nominating()).unwrap();
    agent.events();
    for _ in 0..20 {
        assert_eq!(agent.after(5), []);
        agent.check(1, &good()).unwrap();
    }
    assert_eq!(agent.ice.poll_timeout(), Some(agent.now + CONSENT_TIMEOUT));
    assert_eq!(agent.after(29), []);
    assert_eq!(agent.after(1), [IceEvent::Lost(path(1)), IceEvent::ConsentExpired]);
    assert_eq!((agent.ice.selected(), agent.ice.poll_timeout()), (None, None));
    assert_eq!(agent.after(60), [], "told once");
}

#[test]
fn a_selected_path_that_falls_silent_is_left_while_others_live_on() {
    let mut agent = Agent::new();
    agent.check(1, &good().nominating()).unwrap();
    agent.after(20);
    agent.check(2, &good()).unwrap();
    agent.events();
    assert_eq!(agent.after(10), [IceEvent::Lost(path(1))]);
    assert_eq!(agent.ice.selected(), None, "no consent, nothing is sent");
    agent.check(2, &good().nominating()).unwrap();
    assert_eq!(agent.ice.selected(), Some(path(2)));
}

#[test]
fn who_never_comes_or_never_nominates_times_out() {
    let mut agent = Agent::new();
    assert_eq!(agent.after(14), []);
    assert_eq!(agent.after(1), [IceEvent::TimedOut]);

    let mut agent = Agent::new();
    agent.after(14);
    agent.check(1, &good()).unwrap();
    agent.events();
    assert_eq!(agent.after(14), []);
    assert_eq!(agent.after(1), [IceEvent::TimedOut], "checks without a nomination lead nowhere");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(crate::test_cases(100_000)))]

    #[test]
    fn no_input_panics_or_is_answered(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64), cookie: bool) {
        if let (true, Some(header)) = (cookie, bytes.first_chunk_mut::<8>()) {
            *header = [0, 1, 0, header[3], 0x21, 0x12, 0xa4, 0x42];
        }
        thread_local!(static AGENT: std::cell::RefCell<Agent> = std::cell::RefCell::new(Agent::new()));
        AGENT.with_borrow_mut(|agent| {
            proptest::prop_assert!(agent.ice.handle_message(agent.now, path(1), &bytes).is_err());
            Ok(())
        })?;
    }
}

#[test]
fn a_check_with_any_bit_changed_is_not_believed() {
    let genuine = good().nominating().encode();
    let fingerprint_at = genuine.len() - 8; // Behind the integrity, and without it the check is still good.
    for at in 0..fingerprint_at {
        for bit in 0..8 {
            let mut agent = Agent::new();
            let mut changed = genuine.clone();
            changed[at] ^= 1 << bit;
            let result = agent.ice.handle_message(agent.now, path(1), &changed);
            assert!(result.is_err(), "byte {at}, bit {bit}");
            assert_eq!(agent.ice.selected(), None);
        }
    }
}
