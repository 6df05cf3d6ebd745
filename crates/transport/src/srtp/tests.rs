//! Vectors of the RFCs, and agreement with `rtc-srtp` in both directions.

use proptest::prelude::*;
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::cipher::{Cipher, Place, cm_counter, gcm_nonce, gcm_seal};
use super::keys::Label;
use super::*;
use crate::reason::DropReason;

const PROFILES: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmHmacSha1_80];
const MASTER_KEY: [u8; 16] = [7; 16];
const MASTER_SALT: [u8; 14] = [9; 14];

fn keying(profile: Profile) -> Keying {
    Keying::new(profile, &MASTER_KEY, &MASTER_SALT[..profile.salt_len()]).unwrap()
}

fn sealer(profile: Profile) -> SrtpSealer {
    SrtpSealer::new(&keying(profile)).unwrap()
}

fn opener(profile: Profile) -> SrtpOpener {
    SrtpOpener::new(&keying(profile)).unwrap()
}

/// The independent implementation, as sender or as receiver.
fn reference(profile: Profile) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let (rtp, rtcp) = (Some(srtp_replay_protection(1_024)), Some(srtcp_replay_protection(256)));
    let salt = &MASTER_SALT[..profile.salt_len()];
    Context::new(&MASTER_KEY, salt, theirs, rtp, rtcp, provider().crypto()).unwrap()
}

fn provider() -> std::sync::Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn seal(sealer: &mut SrtpSealer, packet: &[u8], roc: u32) -> Vec<u8> {
    let mut sealed = packet.to_vec();
    sealed.resize(packet.len() + sealer.overhead(), 0);
    let header_len = rtp_header_len(packet).unwrap();
    assert_eq!(sealer.seal_rtp(&mut sealed, header_len, packet.len(), roc), Some(sealed.len()));
    sealed
}

fn open(opener: &mut SrtpOpener, sealed: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut packet = sealed.to_vec();
    let len = opener.open_rtp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0xe0];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 3, 0xe8]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..=sequence as u8).map(|byte| byte.wrapping_mul(3)));
    packet
}

#[test]
fn keys_are_derived_as_in_rfc_3711_b_3() {
    let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let keying = Keying::new(Profile::Aes128CmHmacSha1_80, &key, &salt).unwrap();
    let derive = |label, len| {
        let mut out = vec![0; len];
        keying.derive(provider().crypto(), label, &mut out).unwrap();
        out
    };
    assert_eq!(derive(Label::RtpEncryption, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let authentication = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
        E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
        6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2DC68";
    assert_eq!(derive(Label::RtpAuthentication, 94), hex(authentication)[..94]);
}

#[test]
fn the_keystream_is_that_of_rfc_3711_b_2() {
    // The session key and salt are given directly; SSRC, rollover counter and sequence number are zero.
    let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let counter = cm_counter(&salt, Place { ssrc: 0, index: 0 });
    assert_eq!(counter.to_vec(), hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"));
    let algorithm = rtc_crypto::StreamCipherAlgorithm::Aes128Ctr;
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let mut stream = provider().crypto().new_stream_cipher(algorithm, &key).unwrap();
    let mut keystream = vec![0; 0xff02 * 16];
    stream.apply_keystream(&counter, &mut keystream).unwrap();
    for (block, expected) in [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(keystream[block * 16..][..16], hex(expected), "block {block:x}");
    }
}

#[test]
fn a_packet_is_sealed_as_in_rfc_7714_16_1_1() {
    // The RFC gives the session key and salt, so the cipher is built around them.
    let key = hex("000102030405060708090a0b0c0d0e0f");
    let salt: [u8; 12] = hex("51756964207072 6f2071756f").try_into().unwrap();
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 6961206573742 06f6d6e69732064697669736120696e207061727465732074726573",
    );
    let expected = hex("8040f17b 8041f8d3 5501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b
         36de3adf8833 899d7f27beb16a9152cf765ee4390cce");
    let key = ring::aead::LessSafeKey::new(ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, &key).unwrap());
    let mut sealed = plain.clone();
    sealed.resize(plain.len() + 16, 0);
    let nonce = gcm_nonce(&salt, Place { ssrc: 0x5501_a0b2, index: 0xf17b });
    let (packet, tag) = sealed.split_at_mut(plain.len());
    let (header, body) = packet.split_at_mut(12);
    gcm_seal(&key, nonce, header, body, tag).unwrap();
    assert_eq!(sealed, expected);

    let mut opener = opener(Profile::AeadAes128Gcm);
    opener.rtp = Cipher::Gcm { key, salt };
    assert_eq!(open(&mut opener, &expected), Ok(plain));
}

#[test]
fn a_report_is_sealed_as_in_rfc_7714_17_1() {
    let key = hex("000102030405060708090a0b0c0d0e0f");
    let salt: [u8; 12] = hex("517569642070726f2071756f").try_into().unwrap();
    let plain = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef");
    let expected = hex("81c8000d 4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda
         4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade 800005d4");
    let key = || ring::aead::LessSafeKey::new(ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, &key).unwrap());
    let mut sealer = sealer(Profile::AeadAes128Gcm);
    sealer.rtcp = Cipher::Gcm { key: key(), salt };
    sealer.rtcp_index = 0x5d4;
    let mut sealed = plain.clone();
    assert!(sealer.seal_rtcp(&mut sealed));
    assert_eq!(sealed, expected);

    let mut opener = opener(Profile::AeadAes128Gcm);
    opener.rtcp = Cipher::Gcm { key: key(), salt };
    let len = opener.open_rtcp(&mut sealed).unwrap();
    assert_eq!(sealed[..len], plain);
}

#[test]
fn what_was_seen_or_changed_is_refused_and_changes_nothing() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (sealer(profile), opener(profile));
        let sealed = seal(&mut sealer, &packet(100, 5), 0);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x01;
            let result = open(&mut opener, &changed);
            assert!(matches!(result, Err(DropReason::SrtpAuth | DropReason::SrtpShort)), "byte {at}: {result:?}");
        }
        // A forged packet far ahead must not move the window: the next good one still opens.
        let mut forged = seal(&mut sealer, &packet(30_000, 5), 0);
        let last = forged.len() - 1;
        forged[last] ^= 0x80;
        assert_eq!(open(&mut opener, &forged), Err(DropReason::SrtpAuth));
        assert_eq!(open(&mut opener, &sealed), Ok(packet(100, 5)));
        assert_eq!(open(&mut opener, &sealed), Err(DropReason::SrtpReplay));
        let ahead = seal(&mut sealer, &packet(1_124, 5), 0);
        assert_eq!(open(&mut opener, &ahead), Ok(packet(1_124, 5)));
        let old = seal(&mut sealer, &packet(99, 5), 0);
        assert_eq!(open(&mut opener, &old), Err(DropReason::SrtpReplay), "1,025 behind");
        let within = seal(&mut sealer, &packet(101, 5), 0);
        assert_eq!(open(&mut opener, &within), Ok(packet(101, 5)), "1,023 behind");
    }
}

#[test]
fn a_replayed_report_and_a_plaintext_one_are_refused() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (sealer(profile), opener(profile));
        let plain = hex("80c90001 0000002a");
        let mut sealed = plain.clone();
        assert!(sealer.seal_rtcp(&mut sealed));
        let again = sealed.clone();
        assert_eq!(opener.open_rtcp(&mut sealed), Ok(plain.len()));
        assert_eq!(sealed[..plain.len()], plain);
        assert_eq!(opener.open_rtcp(&mut again.clone()), Err(DropReason::SrtpReplay));

        let mut unencrypted = again.clone();
        let flag_at = match profile {
            Profile::AeadAes128Gcm => again.len() - 4,
            Profile::Aes128CmHmacSha1_80 => again.len() - 14,
        };
        unencrypted[flag_at] &= 0x7f;
        assert_eq!(opener.open_rtcp(&mut unencrypted), Err(DropReason::SrtpAuth));
    }
}

#[test]
fn the_index_of_reports_is_never_used_twice() {
    let mut sealer = sealer(Profile::AeadAes128Gcm);
    sealer.rtcp_index = (1 << 31) - 2;
    assert!(sealer.seal_rtcp(&mut packet(1, 1)));
    assert!(!sealer.seal_rtcp(&mut packet(1, 1)), "the last index would wrap to the first");
    assert!(!sealer.seal_rtcp(&mut packet(1, 1)), "and stays refused");
}

#[test]
fn sixty_four_sources_are_tracked_and_the_longest_silent_is_forgotten() {
    let profile = Profile::AeadAes128Gcm;
    let (mut sealer, mut opener) = (sealer(profile), opener(profile));
    for ssrc in 0..64 {
        assert!(open(&mut opener, &seal(&mut sealer, &packet(1, ssrc), 0)).is_ok());
    }
    assert!(open(&mut opener, &seal(&mut sealer, &packet(2, 0), 0)).is_ok(), "0 speaks, 1 is silent for longest");
    assert!(open(&mut opener, &seal(&mut sealer, &packet(1, 64), 0)).is_ok());
    assert_eq!(open(&mut opener, &seal(&mut sealer, &packet(2, 0), 0)), Err(DropReason::SrtpReplay), "0 is known");
    assert!(open(&mut opener, &seal(&mut sealer, &packet(1, 1), 0)).is_ok(), "1 was forgotten");
}

#[test]
fn the_rollover_counter_is_the_callers_and_found_by_the_receiver() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (sealer(profile), opener(profile));
        for (sequence, roc) in [(65_000, 0), (65_535, 0), (3, 1), (65_534, 0), (30_000, 1), (62_000, 1), (9, 2)] {
            let plain = packet(sequence, 7);
            let opened = open(&mut opener, &seal(&mut sealer, &plain, roc));
            assert_eq!(opened, Ok(plain), "{sequence} with counter {roc}");
        }
    }
}

#[test]
fn nothing_is_sealed_beyond_the_buffer() {
    let mut sealer = sealer(Profile::AeadAes128Gcm);
    let plain = packet(8, 1);
    let mut tight = plain.clone();
    tight.resize(plain.len() + 15, 0);
    assert_eq!(sealer.seal_rtp(&mut tight, 12, plain.len(), 0), None);
    assert_eq!(sealer.seal_rtp(&mut tight, plain.len() + 1, plain.len(), 0), None);
    assert_eq!(sealer.seal_rtp(&mut [], 0, 0, 0), None);
    assert_eq!(sealer.seal_rtp(&mut tight, 12, usize::MAX, 0), None);
    assert!(!sealer.seal_rtcp(&mut vec![0x80, 200, 0, 0]));
}

/// A header with contributing sources and extensions, and a payload.
///
/// The extensions are well-formed, as the reference writes the header anew and panics where that makes it longer.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let extension = prop::option::of(prop::collection::vec(any::<[u8; 3]>(), 1..4));
    let parts = (any::<u16>(), 0u32..3, prop::collection::vec(any::<[u8; 4]>(), 0..4), extension);
    (parts, prop::collection::vec(any::<u8>(), 0..64)).prop_map(|((sequence, ssrc, csrc, extension), payload)| {
        let mut packet = vec![0x80 | csrc.len() as u8 | u8::from(extension.is_some()) << 4, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend([1, 2, 3, 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend(csrc.iter().flatten());
        if let Some(words) = extension {
            packet.extend([0xbe, 0xde, 0, words.len() as u8]);
            for (id, value) in (1u8..).zip(words) {
                packet.push(id << 4 | 2);
                packet.extend(value);
            }
        }
        packet.extend(payload);
        packet
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(2_000)))]

    #[test]
    fn rtp_agrees_with_the_reference_in_both_directions(plain in any_packet(), gcm in any::<bool>()) {
        let profile = PROFILES[usize::from(gcm)];
        let ours = seal(&mut sealer(profile), &plain, 0);
        prop_assert_eq!(&reference(profile).encrypt_rtp(&plain).unwrap()[..], &ours[..]);
        prop_assert_eq!(&reference(profile).decrypt_rtp(&ours).unwrap()[..], &plain[..]);
        prop_assert_eq!(open(&mut opener(profile), &ours).unwrap(), plain);
    }

    #[test]
    fn rtcp_agrees_with_the_reference_in_both_directions(
        body in prop::collection::vec(any::<u8>(), 4..80),
        gcm in any::<bool>(),
        before in 0usize..3,
    ) {
        let profile = PROFILES[usize::from(gcm)];
        let mut plain = vec![0x80, 200, 0, 1];
        plain.extend(body);
        let (mut sealer, mut opener, mut theirs) = (sealer(profile), opener(profile), reference(profile));
        for round in 0..=before {
            let mut ours = plain.clone();
            prop_assert!(sealer.seal_rtcp(&mut ours));
            prop_assert_eq!(&theirs.decrypt_rtcp(&ours).unwrap()[..], &plain[..], "round {}", round);
        }
        let mut sender = reference(profile);
        for _ in 0..=before {
            let mut sealed = sender.encrypt_rtcp(&plain).unwrap().to_vec();
            let len = opener.open_rtcp(&mut sealed).unwrap();
            prop_assert_eq!(&sealed[..len], &plain[..]);
        }
    }

    #[test]
    fn a_long_stream_with_gaps_and_disorder_opens(
        steps in prop::collection::vec((0u16..3_000, any::<bool>()), 1..60),
        start in any::<u16>(),
        gcm in any::<bool>(),
    ) {
        let profile = PROFILES[usize::from(gcm)];
        let (mut sealer, mut opener) = (sealer(profile), opener(profile));
        let mut index = u64::from(start);
        let first = packet(start, 1);
        prop_assert_eq!(open(&mut opener, &seal(&mut sealer, &first, 0)), Ok(first));
        for (step, late) in steps {
            index += u64::from(step) + 1;
            let mut indices = vec![index];
            if late {
                indices.push(index - 1);
            }
            for index in indices {
                let plain = packet(index as u16, 1);
                let sealed = seal(&mut sealer, &plain, (index >> 16) as u32);
                match open(&mut opener, &sealed) {
                    Ok(opened) => prop_assert_eq!(opened, plain),
                    // A step of zero makes the late one the packet before.
                    Err(reason) => prop_assert!(late && step == 0 && reason == DropReason::SrtpReplay, "{:?}", reason),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(100_000)))]

    #[test]
    fn no_input_panics_or_opens(mut bytes in prop::collection::vec(any::<u8>(), 0..80), gcm in any::<bool>()) {
        thread_local! {
            static OPENERS: std::cell::RefCell<[SrtpOpener; 2]> = std::cell::RefCell::new(PROFILES.map(opener));
        }
        OPENERS.with_borrow_mut(|openers| {
            let opener = &mut openers[usize::from(gcm)];
            let mut copy = bytes.clone();
            prop_assert!(opener.open_rtp(&mut copy).is_err());
            prop_assert!(opener.open_rtcp(&mut bytes).is_err());
            Ok(())
        })?;
    }
}
