//! The checks of a controlling ICE agent towards an ICE-lite server (RFC 8445 §7.2, RFC 8489).
//!
//! Every check nominates, so the first answered one is the path (RFC 8445 §8.1.1 lets an agent stop whenever it likes).

use ring::hmac;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_LEN: usize = 20;
const TRANSACTION_LEN: usize = 12;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;
const INTEGRITY_LEN: usize = 20;
/// XORed to the checksum (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// A peer-reflexive host address over UDP (RFC 8445 §5.1.2.1).
const PEER_REFLEXIVE_PRIORITY: u32 = 0x6eff_ffff;

/// Writes checks and knows their answers.
#[derive(Debug)]
pub(crate) struct Checks {
    username: String,
    key: hmac::Key,
    tie_breaker: [u8; 8],
    /// Of the latest check. Counts up from a random start.
    transaction: [u8; TRANSACTION_LEN],
}

impl Checks {
    /// `remote_ufrag` and `remote_pwd` are those of the answer; `random` makes this agent's checks its own.
    pub(crate) fn new(local_ufrag: &str, remote_ufrag: &str, remote_pwd: &str, random: [u8; 20]) -> Self {
        let (mut tie_breaker, mut transaction) = ([0; 8], [0; TRANSACTION_LEN]);
        tie_breaker.copy_from_slice(&random[..8]);
        transaction.copy_from_slice(&random[8..]);
        Self {
            username: format!("{remote_ufrag}:{local_ufrag}"),
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, remote_pwd.as_bytes()),
            tie_breaker,
            transaction,
        }
    }

    /// Writes the next check in place of what `out` holds.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        for byte in self.transaction.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        out.clear();
        out.extend_from_slice(&BINDING_REQUEST.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        out.extend_from_slice(&self.transaction);
        attribute(out, USERNAME, self.username.as_bytes());
        attribute(out, PRIORITY, &PEER_REFLEXIVE_PRIORITY.to_be_bytes());
        attribute(out, ICE_CONTROLLING, &self.tie_breaker);
        attribute(out, USE_CANDIDATE, &[]);
        set_length(out, 4 + INTEGRITY_LEN);
        let tag = hmac::sign(&self.key, out);
        attribute(out, MESSAGE_INTEGRITY, tag.as_ref());
        set_length(out, 8);
        let checksum = crc32(out) ^ FINGERPRINT_XOR;
        attribute(out, FINGERPRINT, &checksum.to_be_bytes());
    }

    /// Whether a datagram is the authentic answer to the latest check, and a good one.
    pub(crate) fn is_success(&self, datagram: &[u8]) -> bool {
        let is_ours = datagram.get(..2) == Some(&BINDING_SUCCESS.to_be_bytes())
            && datagram.get(8..HEADER_LEN) == Some(&self.transaction);
        is_ours && self.is_authentic(datagram)
    }

    fn is_authentic(&self, datagram: &[u8]) -> bool {
        let mut at = HEADER_LEN;
        while let Some(&[k0, k1, l0, l1]) = datagram.get(at..).and_then(<[u8]>::first_chunk) {
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            if u16::from_be_bytes([k0, k1]) == MESSAGE_INTEGRITY {
                let Some(tag) = datagram.get(at + 4..at + 4 + len) else { return false };
                // The length in the header counts up to the integrity itself (RFC 8489 §14.5).
                let mut covered = datagram[..at].to_vec(); // `at` was just read from.
                set_length(&mut covered, 4 + INTEGRITY_LEN);
                return hmac::verify(&self.key, &covered, tag).is_ok();
            }
            at += 4 + len.next_multiple_of(4);
        }
        false
    }
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    // No value here is longer than two user fragments.
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Sets the length to what stands behind the header and `more` bytes.
fn set_length(message: &mut [u8], more: usize) {
    let len = (message.len() + more).saturating_sub(HEADER_LEN) as u16;
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

/// The checksum of ITU V.42, bit by bit: a check goes out every few seconds.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Checks {
        Checks::new("ours", "theirs", "VOkJxbRl1RmTxUk/WvJxBt", [255; 20])
    }

    #[test]
    fn the_checksum_is_that_of_v42() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_check_names_both_sides_and_is_whole() {
        let (mut checks, mut out) = (checks(), vec![1, 2, 3]);
        checks.write(&mut out);
        assert_eq!(roundtable_wire::stun::username(&out), Some(("theirs", "ours")));
        assert_eq!(out.len() % 4, 0);
        let (message, checksum) = out.split_at(out.len() - 8);
        assert_eq!(checksum[4..], (crc32(message) ^ FINGERPRINT_XOR).to_be_bytes());
        assert!(checks.is_authentic(&out), "its own integrity holds");
    }

    #[test]
    fn only_the_authentic_answer_to_the_latest_check_counts() {
        let (mut checks, mut check) = (checks(), Vec::new());
        checks.write(&mut check);
        let mut answer = check[..HEADER_LEN].to_vec();
        answer[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        attribute(&mut answer, 0x0020, &[0; 8]);
        set_length(&mut answer, 4 + INTEGRITY_LEN);
        let tag = hmac::sign(&checks.key, &answer);
        attribute(&mut answer, MESSAGE_INTEGRITY, tag.as_ref());
        assert!(checks.is_success(&answer));
        for at in 0..answer.len() {
            let mut changed = answer.clone();
            changed[at] ^= 1;
            // The length and the cookie are not looked at; the integrity covers the cookie and sets its own length.
            assert!(!checks.is_success(&changed) || matches!(at, 2 | 3), "byte {at}");
        }
        for len in 0..answer.len() {
            assert!(!checks.is_success(&answer[..len]), "cut to {len}");
        }
        checks.write(&mut check);
        assert!(!checks.is_success(&answer), "an answer to an earlier check");
    }
}
