//! How a member is known again without its secret being kept.

use sha2::{Digest as _, Sha256};

use super::inbox::ResumeSecret;

/// What a member's secret is known by: the secret itself is kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof(pub [u8; 32]);

impl Proof {
    /// That of a secret. Comparing hashes tells nobody how much of a wrong secret was right.
    #[must_use]
    pub fn of(secret: ResumeSecret) -> Self {
        Self(Sha256::digest(secret.0).into())
    }
}
