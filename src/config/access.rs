//! The settings of who may come.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Check, ConfigError};
use crate::auth::{ApiKey, KeySources, Users};
use crate::config::layer::Settings;
use crate::login::OidcConfig;

/// The key of `dev`, the same as that of LiveKit's.
pub(super) const DEV_KEY: (&str, &str) = ("devkey", "secret");

/// Who may come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// The keys that sign tokens. Without one, and without a hook of the embedding program, everybody may come.
    pub keys: KeySources,
    /// Users who log in with a password. Their logins are exchanged for tokens, which takes a key that signs.
    pub users_file: Option<PathBuf>,
    /// The identity provider where people may log in, which takes such a key too.
    pub oidc: Option<OidcConfig>,
    /// Lets people in without a token though there are keys.
    pub allow_guests: bool,
    /// Serves on addresses that other hosts reach without keys.
    pub open: bool,
    /// For trying things out: the API is open to whoever brings no token.
    pub dev: bool,
}

impl AuthConfig {
    /// Why a server with these settings does not listen here by itself; `None` if it does.
    #[must_use]
    pub fn refusal(&self, listen: SocketAddr) -> Option<String> {
        if listen.ip().is_loopback() || self.open || !self.keys.is_empty() {
            return None;
        }
        Some(format!(
            "http-listen {listen} can be reached from other hosts and there are no keys: `roundtable keys new > FILE` makes \
             one and --keys-file FILE uses it, or insist with --open that everybody may come"
        ))
    }
}

impl Check<'_> {
    pub(super) fn auth(&self) -> Result<AuthConfig, ConfigError> {
        let Settings { keys_file, jwks_file, allow_guests, open, dev, http_listen, .. } = self.settings;
        let [allow_guests, open, dev] = [allow_guests, open, dev].map(|given| given.unwrap_or(false));
        if dev && http_listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            return self.invalid("dev", "its key is known to everybody, so that http-listen is to be on loopback");
        }
        let mut keys = KeySources {
            api_key: self.api_key()?,
            keys_file: keys_file.clone(),
            jwks_file: jwks_file.clone(),
            short_allowed: dev,
        };
        if open && !keys.is_empty() {
            return self.invalid("open", "there are keys; allow-guests lets people in without a token beside them");
        }
        if allow_guests && keys.is_empty() && !dev {
            return self
                .invalid("allow-guests", "without keys everybody is a guest; open lets them come from other hosts");
        }
        if dev && keys.api_key.is_none() {
            let (id, secret) = DEV_KEY;
            keys.api_key = Some(ApiKey { id: id.to_owned(), secret: secret.to_owned() });
        }
        self.check_keys(&keys)?;
        let users_file = self.users_file(&keys)?;
        let oidc = self.oidc(&keys)?;
        Ok(AuthConfig { keys, users_file, oidc, allow_guests: allow_guests || dev, open, dev })
    }

    fn users_file(&self, keys: &KeySources) -> Result<Option<PathBuf>, ConfigError> {
        const KEY: &str = "users-file";
        let Some(path) = &self.settings.users_file else { return Ok(None) };
        self.check_can_sign(KEY, keys)?;
        match Users::read(path) {
            Ok(_) => Ok(Some(path.clone())),
            Err(error) => self.invalid(KEY, error.to_string()),
        }
    }

    /// Logins are exchanged for tokens of this server's own.
    pub(super) fn check_can_sign(&self, key: &'static str, keys: &KeySources) -> Result<(), ConfigError> {
        if keys.read().is_ok_and(|keys| keys.signing_key().is_some()) {
            return Ok(());
        }
        self.invalid(
            key,
            "who logs in gets a token, and there is no key to sign it: `roundtable keys new > FILE`, keys-file FILE",
        )
    }

    fn api_key(&self) -> Result<Option<ApiKey>, ConfigError> {
        let Settings { api_key, api_secret, api_secret_file, .. } = self.settings;
        let secret = self.secret(("api-secret", api_secret), ("api-secret-file", api_secret_file))?;
        match (api_key, secret) {
            (None, None) => Ok(None),
            (Some(id), Some((_, secret))) => Ok(Some(ApiKey { id: id.clone(), secret: secret.reveal().to_owned() })),
            (Some(_), None) => self.invalid("api-key", "a key is of no use without api-secret-file or api-secret"),
            (None, Some((key, _))) => self.invalid(key, "a secret is of no use without api-key"),
        }
    }

    /// Reads each source by itself, to name the setting that is wrong, and then all together.
    fn check_keys(&self, keys: &KeySources) -> Result<(), ConfigError> {
        let none = KeySources { short_allowed: keys.short_allowed, ..KeySources::default() };
        let alone = [
            ("api-key", KeySources { api_key: keys.api_key.clone(), ..none.clone() }),
            ("keys-file", KeySources { keys_file: keys.keys_file.clone(), ..none.clone() }),
            ("jwks-file", KeySources { jwks_file: keys.jwks_file.clone(), ..none }),
            ("keys-file", keys.clone()),
        ];
        for (key, sources) in alone {
            if let Err(error) = sources.read() {
                return self.invalid(key, error.to_string());
            }
        }
        Ok(())
    }
}
