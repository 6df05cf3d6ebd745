//! Time-limited TURN credentials: a user name that says when it ends, and its HMAC as the password.
//!
//! The scheme is the one of coturn's `use-auth-secret` and of the expired draft
//! «A REST API For Access To TURN Services» (draft-uberti-behave-turn-rest-00, section 2.2): the
//! user name is `expiry:member`, the expiry in seconds since 1970 UTC, and the password is
//! `base64(HMAC-SHA1(secret, username))`. The relay needs the secret only, no list of users.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use roundtable_protocol::MemberId;
use sha1::Sha1;

/// Text that must not be shown: its `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whoever has to use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A user name and the password that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `expiry:member`.
    pub username: String,
    /// The base64 of the HMAC.
    pub password: Secret,
}

impl Credential {
    /// Makes the credential of `member` that ends `ttl` after `now`, the time since 1970 UTC.
    #[must_use]
    pub fn new(now: Duration, ttl: Duration, secret: &Secret, member: &MemberId) -> Self {
        let expiry = now.saturating_add(ttl).as_secs();
        let username = format!("{expiry}:{member}");
        let password = Secret::new(password(secret, &username));
        Self { username, password }
    }
}

fn password(secret: &Secret, username: &str) -> String {
    // HMAC takes keys of any length, so there is no error to report; an empty password opens nothing.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()) else {
        return String::new();
    };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code, with
    /// `printf %s "$username" | openssl dgst -sha1 -hmac "$secret" -binary | base64`.
    #[test]
    fn the_password_is_what_openssl_makes_of_it() {
        for (secret, now, ttl, username, expected) in TABLE {
            let credential = Credential::new(
                Duration::from_secs(*now),
                Duration::from_secs(*ttl),
                &Secret::new(*secret),
                &MemberId::new(username.rsplit(':').next().unwrap()).unwrap(),
            );
            assert_eq!(credential.username, *username);
            assert_eq!(credential.password.reveal(), *expected, "{username}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let shown = format!("{:?}", Secret::new("north"));
        assert!(!shown.contains("north"), "{shown}");
    }

    const TABLE: &[(&str, u64, u64, &str, &str)] = &[
        ("north", 1_700_000_000, 14_400, "1700014400:ann", "XInE7449PxhwsaO1j6IxTHUEgzI="),
        (
            "a secret longer than the sixty-four bytes of one block of the hash SHA-1, so it is hashed first",
            0,
            60,
            "60:b-2_c.d",
            "cpCJVNouOJvmBeRbQjexDyn+EHc=",
        ),
    ];
}
