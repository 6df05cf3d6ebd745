//! Logging in: by a name and a password of this server's own, or at an identity provider. Whoever has done so gets a
//! token for one room, as whoever follows an invitation does; nothing else in the server knows of users.

mod error;
mod local;
mod oidc;

use std::path::PathBuf;

use serde::Serialize;

pub use self::error::LoginError;
pub use self::local::Local;
pub use self::oidc::{BadProviderUrl, LOGIN_WITHIN, Oidc, OidcConfig, ProviderUrl, Returned, new_browser};
use crate::auth::UsersError;

/// The ways to log in that a server has.
#[derive(Debug, Default)]
pub struct Logins {
    local: Option<Local>,
    oidc: Option<Oidc>,
}

/// What logging in costs and comes to, since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginFigures {
    /// Passwords that were checked, each of which is tens of milliseconds of a core.
    pub checked: u64,
    /// … and were wrong.
    pub wrong: u64,
    /// Passwords that were refused unchecked, because there were too many wrong ones before.
    pub limited: u64,
}

impl Logins {
    /// The ways of a server: users of a file and an identity provider, as far as there are.
    ///
    /// # Errors
    /// [`UsersError`] says what is wrong with the file.
    pub fn new(users_file: Option<PathBuf>, oidc: Option<OidcConfig>) -> Result<Self, UsersError> {
        Ok(Self { local: users_file.map(Local::new).transpose()?, oidc: oidc.map(Oidc::new) })
    }

    /// By name and password.
    #[must_use]
    pub fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// At an identity provider.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref()
    }

    /// Reads the file of users again; returns how many there are, or `None` without a file.
    ///
    /// # Errors
    /// [`UsersError`]: the users stay as they were.
    pub fn reload(&self) -> Result<Option<usize>, UsersError> {
        self.local.as_ref().map(Local::reload).transpose()
    }

    /// What it comes to.
    #[must_use]
    pub fn figures(&self) -> LoginFigures {
        self.local.as_ref().map(Local::figures).unwrap_or_default()
    }
}
