//! Who somebody is and what they may do: keys, the tokens they sign, invitations and tickets. Pure: time and randomness
//! are told, and only [`KeySources::read`] looks at files.

mod authority;
mod claims;
mod crypto;
mod invite;
mod keys;
mod pass;
mod refusal;
mod source;
mod ticket;
mod token;

#[cfg(test)]
mod tests;

pub use self::authority::Authority;
pub use self::claims::{Claims, VideoGrant};
pub use self::invite::{Invite, InviteError, InviteWish, Invites};
pub use self::keys::{Key, KeyError, KeySet, MIN_SECRET_BYTES};
pub use self::pass::Pass;
pub use self::refusal::TokenError;
pub use self::source::{ApiKey, KeySources};
pub use self::ticket::{TICKET_LIFE, Tickets};
pub use self::token::{MAX_TOKEN_LIFE, mint};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a code or a ticket: 120 bits, which nobody guesses.
pub const CODE_BYTES: usize = 15;

/// Writes random bytes as a short word that survives a URL.
fn code(random: [u8; CODE_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}
