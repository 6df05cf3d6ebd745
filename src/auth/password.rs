//! Hashes of passwords: Argon2id (RFC 9106), written as PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// Random bytes of a salt that is made here.
pub const SALT_BYTES: usize = 16;
/// Bytes of a hash that is made here.
const HASH_BYTES: usize = 32;
/// What checking a password may cost, so that a file cannot ask for all memory or for minutes.
const MAX_MEMORY_KIB: u32 = 64 * 1_024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 4;
/// Lengths of a salt and of a hash that are taken, in bytes.
const SALTS: std::ops::RangeInclusive<usize> = 8..=64;
const HASHES: std::ops::RangeInclusive<usize> = 16..=64;

/// How much work a hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, computed one after the other here.
    pub lanes: u32,
}

impl Cost {
    /// That of hashes made here: the least that OWASP's password cheat sheet recommends.
    pub const USUAL: Self = Self { memory_kib: 19 * 1_024, passes: 2, lanes: 1 };

    /// What it takes in all, to compare two.
    #[must_use]
    pub fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    fn is_bearable(self) -> bool {
        self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= MAX_LANES
    }
}

/// Why a text is no hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no hash of Argon2id with at most 64 MiB, 16 passes and 4 lanes (`roundtable users hash` makes one: $argon2id$v=19$…)"
)]
pub struct BadHash;

/// The hash of a password. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password, which takes as long as checking one.
    #[must_use]
    pub fn new(password: &[u8], salt: [u8; SALT_BYTES], cost: Cost) -> Option<Self> {
        let hash = derive(password, &salt, cost, HASH_BYTES)?;
        Some(Self { cost, salt: salt.to_vec(), hash })
    }

    /// What no password has for its hash, and takes as long to find that out.
    #[must_use]
    pub fn decoy(cost: Cost) -> Self {
        Self { cost, salt: vec![0; SALT_BYTES], hash: vec![0; HASH_BYTES] }
    }

    /// Reads a PHC string.
    ///
    /// # Errors
    /// [`BadHash`].
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", cost, salt, hash] = parts[..] else { return Err(BadHash) };
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| BadHash);
        let (cost, salt, hash) = (parse_cost(cost).ok_or(BadHash)?, decode(salt)?, decode(hash)?);
        // Whatever else is wrong with the figures shows here, rather than when somebody logs in.
        let is_usable = params(cost, hash.len()).is_some();
        if is_usable && SALTS.contains(&salt.len()) && HASHES.contains(&hash.len()) {
            Ok(Self { cost, salt, hash })
        } else {
            Err(BadHash)
        }
    }

    /// Whether it is the hash of this password. Takes tens of milliseconds and [`Cost::memory_kib`] of memory.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        let derived = derive(password, &self.salt, self.cost, self.hash.len());
        derived.is_some_and(|derived| bool::from(derived.ct_eq(&self.hash)))
    }

    /// What checking it takes.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

fn parse_cost(text: &str) -> Option<Cost> {
    let figures: Vec<&str> = text.split(',').collect();
    let [memory, passes, lanes] = figures[..] else { return None };
    let figure = |text: &str, name: &str| text.strip_prefix(name)?.parse::<u32>().ok();
    let cost = Cost { memory_kib: figure(memory, "m=")?, passes: figure(passes, "t=")?, lanes: figure(lanes, "p=")? };
    Some(cost)
}

fn params(cost: Cost, bytes: usize) -> Option<Params> {
    let Cost { memory_kib, passes, lanes } = cost;
    cost.is_bearable().then(|| Params::new(memory_kib, passes, lanes, Some(bytes)).ok())?
}

/// `None` for a cost that Argon2 does not know, which [`PasswordHash::parse`] keeps out.
fn derive(password: &[u8], salt: &[u8], cost: Cost, bytes: usize) -> Option<Vec<u8>> {
    let mut hash = vec![0; bytes];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost, bytes)?);
    argon.hash_password_into(password, salt, &mut hash).ok()?;
    Some(hash)
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let [salt, hash] = [&self.salt, &self.hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn a_hash_knows_its_password_and_survives_being_written() {
        let hash = PasswordHash::new(b"correct horse", [7; SALT_BYTES], CHEAP).unwrap();
        let text = hash.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{text}");
        let read = PasswordHash::parse(&text).unwrap();
        assert_eq!(read, hash);
        assert!(read.verify(b"correct horse"));
        assert!(!read.verify(b"correct horsf") && !read.verify(b""));
        assert!(!format!("{read:?}").contains(&text[30..]), "it is not shown");
        let other = PasswordHash::new(b"correct horse", [8; SALT_BYTES], CHEAP).unwrap();
        assert_ne!(other.to_string(), text, "another salt is another hash");
    }

    /// A hash that another program made: the vector of the reference implementation for Argon2id.
    #[test]
    fn hashes_of_other_programs_are_understood() {
        let text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(PasswordHash::parse(text).unwrap().verify(b"password"));
    }

    #[test]
    fn a_decoy_costs_the_same_and_lets_nobody_in() {
        let decoy = PasswordHash::decoy(CHEAP);
        assert_eq!(decoy.cost(), CHEAP);
        assert!(!decoy.verify(b"") && !decoy.verify(b"password"));
    }

    #[test]
    fn what_is_no_hash_or_would_cost_too_much_is_refused() {
        let salt = "c29tZXNhbHQ";
        let hash = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let of = |kind: &str, cost: &str| format!("${kind}$v=19${cost}${salt}${hash}");
        assert!(PasswordHash::parse(&of("argon2id", "m=65536,t=16,p=4")).is_ok());
        for text in [
            String::new(),
            "password".to_owned(),
            of("argon2i", "m=256,t=2,p=1"),
            of("argon2id", "m=65537,t=2,p=1"),
            of("argon2id", "m=256,t=17,p=1"),
            of("argon2id", "m=256,t=2,p=5"),
            of("argon2id", "m=256,t=0,p=1"),
            of("argon2id", "m=1,t=1,p=1"),
            of("argon2id", "t=2,m=256,p=1"),
            of("argon2id", "m=256,t=2"),
            format!("$argon2id$v=16$m=256,t=2,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=256,t=2,p=1$c29t${hash}"),
            format!("$argon2id$v=19$m=256,t=2,p=1${salt}$AAAA"),
            format!("$argon2id$v=19$m=256,t=2,p=1${salt}$no base64"),
        ] {
            assert_eq!(PasswordHash::parse(&text), Err(BadHash), "{text}");
        }
    }
}
