//! Reads of a ClientHello what decides the session before the engine sees it.

use crate::srtp::Profile;

/// The parts of a ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1) we look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    pub(super) cookie: Vec<u8>,
    pub(super) cipher_suites: Vec<u8>,
    /// The best profile of `use_srtp` that we know: AES-GCM whenever it is offered, whatever the client prefers.
    pub(super) profile: Option<Profile>,
}

impl ClientHello {
    /// Reads the body of a ClientHello; `None` if it is malformed.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        reader.take(2)?; // The version is the engine's to judge.
        let random = reader.take(32)?.try_into().ok()?;
        reader.vector_8()?; // session id
        let cookie = reader.vector_8()?.to_vec();
        let cipher_suites = reader.vector_16()?.to_vec();
        reader.vector_8()?; // compression methods
        let mut extensions = Reader(if reader.0.is_empty() { &[] } else { reader.vector_16()? });
        let mut profile = None;
        while !extensions.0.is_empty() {
            let (id, value) = (extensions.u16()?, extensions.vector_16()?);
            if id == USE_SRTP {
                profile = best_profile(Reader(value).vector_16()?);
            }
        }
        Some(Self { random, cookie, cipher_suites, profile })
    }

    /// Whether `second` repeats this hello with the cookie it was asked for.
    ///
    /// The engine decides by the first hello, but only the second is part of the transcript that both sides sign;
    /// whoever changes the first on its way must not get to choose the ciphers.
    pub(super) fn is_confirmed_by(&self, second: &Self, cookie: &[u8]) -> bool {
        let same = self.random == second.random && self.cipher_suites == second.cipher_suites;
        same && self.profile == second.profile && !cookie.is_empty() && second.cookie == cookie
    }
}

fn best_profile(offered: &[u8]) -> Option<Profile> {
    let offers = |profile: Profile| offered.chunks_exact(2).any(|id| id == profile.id().to_be_bytes());
    [Profile::AeadAes128Gcm, Profile::Aes128CmHmacSha1_80].into_iter().find(|profile| offers(*profile))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn vector_8(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(*self.take(1)?.first()?);
        self.take(len)
    }

    fn vector_16(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }
}

/// The extension of RFC 5764 §4.1.1.
const USE_SRTP: u16 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(profiles: &[u16]) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([0, 3, 1, 2, 3, 0, 2, 0xc0, 0x2b, 1, 0]); // no session, a cookie, one suite, no compression
        let list: Vec<u8> = profiles.iter().flat_map(|id| id.to_be_bytes()).collect();
        let len = u8::try_from(list.len()).unwrap();
        let mut extensions = vec![0, 23, 0, 0, 0, 14, 0, len + 3, 0, len];
        extensions.extend(list);
        extensions.push(0);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn gcm_is_chosen_wherever_it_stands() {
        for (offered, chosen) in [
            (&[1u16, 7][..], Some(Profile::AeadAes128Gcm)), // as Chromium lists them
            (&[7, 8, 1], Some(Profile::AeadAes128Gcm)),
            (&[2, 1], Some(Profile::Aes128CmHmacSha1_80)),
            (&[8, 2], None),
            (&[], None),
        ] {
            let parsed = ClientHello::parse(&hello(offered)).expect("well-formed");
            assert_eq!(parsed.profile, chosen, "{offered:?}");
            assert_eq!((parsed.random, parsed.cookie.as_slice()), ([7; 32], &[1, 2, 3][..]));
        }
    }

    #[test]
    fn a_second_hello_confirms_only_what_the_first_said() {
        let first = ClientHello::parse(&hello(&[1, 7])).expect("well-formed");
        assert!(first.is_confirmed_by(&first, &[1, 2, 3]));
        assert!(!first.is_confirmed_by(&first, &[1, 2, 4]), "another cookie");
        assert!(!first.is_confirmed_by(&first, &[]), "before we asked for one");
        let stripped = ClientHello::parse(&hello(&[1])).expect("well-formed");
        assert!(!stripped.is_confirmed_by(&first, &[1, 2, 3]), "somebody took GCM out of the first hello");
    }

    #[test]
    fn a_truncated_hello_is_refused_wherever_it_ends() {
        let whole = hello(&[1, 7]);
        // Ending right before the extensions is well-formed: they are optional.
        let without_extensions = 2 + 32 + 1 + 4 + 4 + 2;
        for len in (0..whole.len()).filter(|len| *len != without_extensions) {
            assert_eq!(ClientHello::parse(&whole[..len]), None, "{len} bytes");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(crate::test_cases(100_000)))]
        #[test]
        fn no_input_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..96)) {
            let _ = ClientHello::parse(&body);
        }
    }
}
