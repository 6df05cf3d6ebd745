//! Who somebody is and what they may do: keys, the tokens they sign, invitations, tickets and local users. Pure: time and
//! randomness are told, and only [`KeySources::read`] and [`Users::read`] look at files.

mod authority;
mod claims;
mod crypto;
mod id_token;
mod invite;
mod keys;
mod pass;
mod password;
mod person;
mod refusal;
mod room_pattern;
mod source;
mod throttle;
mod ticket;
mod token;
mod users;

#[cfg(test)]
mod tests;

pub use self::authority::Authority;
pub use self::claims::{Claims, VideoGrant};
pub use self::id_token::{Expected, IdTokenError, ProviderKeys};
pub use self::invite::{Invite, InviteError, InviteWish, Invites};
pub use self::keys::{Key, KeyError, KeySet, MIN_SECRET_BYTES};
pub use self::pass::Pass;
pub use self::password::{Cost, MAX_PASSWORD_BYTES, PasswordHash, SALT_BYTES};
pub use self::person::{MEMBER_TOKEN_S, Person};
pub use self::refusal::TokenError;
pub use self::room_pattern::{BadPattern, RoomPatterns};
pub use self::source::{ApiKey, KeySources};
pub use self::throttle::{Guess, Throttle};
pub use self::ticket::{TICKET_LIFE, Tickets};
pub use self::token::{MAX_TOKEN_LIFE, mint};
pub use self::users::{MAX_USER_NAME_BYTES, Users, UsersError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a code or a ticket: 120 bits, which nobody guesses.
pub const CODE_BYTES: usize = 15;

/// How the identity begins of somebody whom an identity provider vouches for.
pub const OIDC_PREFIX: &str = "oidc:";

/// Writes random bytes as a short word that survives a URL.
fn code(random: [u8; CODE_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}
