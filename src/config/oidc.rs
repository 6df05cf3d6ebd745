//! The settings of the identity provider.

use roundtable_protocol::Role;

use super::{Check, ConfigError};
use crate::auth::{KeySources, RoomPatterns};
use crate::config::layer::Settings;
use crate::config::settings::DEFAULT_OIDC_ROLE;
use crate::login::{OidcConfig, ProviderUrl};

/// How the address ends to which browsers come back.
const CALLBACK: &str = "/login/oidc/callback";
/// Longest id of a client, name of a provider and name of a claim, in bytes.
const MAX_WORD_BYTES: usize = 256;

impl Check<'_> {
    pub(super) fn oidc(&self, keys: &KeySources) -> Result<Option<OidcConfig>, ConfigError> {
        const KEY: &str = "oidc-issuer";
        let Settings { oidc_issuer, oidc_client_id, oidc_redirect_url, oidc_role_claim, .. } = self.settings;
        let secret = self.secret(
            ("oidc-client-secret", &self.settings.oidc_client_secret),
            ("oidc-client-secret-file", &self.settings.oidc_client_secret_file),
        )?;
        let Some(issuer) = oidc_issuer else {
            let given = [
                ("oidc-client-id", oidc_client_id.is_some()),
                ("oidc-redirect-url", oidc_redirect_url.is_some()),
                ("oidc-role-claim", oidc_role_claim.is_some()),
                (secret.as_ref().map_or("", |(key, _)| key), secret.is_some()),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((key, _)) => self.invalid(key, "it is of no use without oidc-issuer"),
                None => Ok(None),
            };
        };
        self.check_can_sign(KEY, keys)?;
        let issuer = self.provider_url(KEY, issuer)?;
        let Some(redirect_url) = oidc_redirect_url else {
            return self
                .invalid(KEY, format!("it needs oidc-redirect-url, such as https://meet.example.org{CALLBACK}"));
        };
        let redirect_url = self.provider_url("oidc-redirect-url", redirect_url)?;
        if !redirect_url.as_str().ends_with(CALLBACK) {
            return self.invalid("oidc-redirect-url", format!("it does not end with {CALLBACK}"));
        }
        let Some(client_id) = self.word("oidc-client-id", oidc_client_id)? else {
            return self.invalid(KEY, "it needs oidc-client-id, which the provider gives");
        };
        let name = self.word("oidc-name", &self.settings.oidc_name)?.unwrap_or_else(|| issuer.host().to_owned());
        Ok(Some(OidcConfig {
            name,
            issuer,
            client_id,
            client_secret: secret.map(|(_, secret)| secret),
            redirect_url,
            role: self.oidc_role()?,
            role_claim: self.word("oidc-role-claim", oidc_role_claim)?,
            rooms: self.oidc_rooms()?,
        }))
    }

    fn provider_url(&self, key: &'static str, text: &str) -> Result<ProviderUrl, ConfigError> {
        ProviderUrl::parse(text).or_else(|bad| self.invalid(key, bad.to_string()))
    }

    fn word(&self, key: &'static str, text: &Option<String>) -> Result<Option<String>, ConfigError> {
        let is_word = |text: &str| (1..=MAX_WORD_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        match text {
            Some(text) if !is_word(text) => self.invalid(key, format!("it has 1 to {MAX_WORD_BYTES} bytes")),
            text => Ok(text.clone()),
        }
    }

    fn oidc_role(&self) -> Result<Role, ConfigError> {
        let word = self.settings.oidc_role.as_deref().unwrap_or(DEFAULT_OIDC_ROLE);
        match Role::ALL.into_iter().find(|role| role.as_str() == word) {
            Some(role) => Ok(role),
            None => self.invalid("oidc-role", format!("one of {}", Role::ALL.map(Role::as_str).join(", "))),
        }
    }

    fn oidc_rooms(&self) -> Result<RoomPatterns, ConfigError> {
        let Some(patterns) = self.settings.oidc_rooms.clone() else { return Ok(RoomPatterns::default()) };
        RoomPatterns::new(patterns).or_else(|bad| self.invalid("oidc-rooms", bad.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{load_with, refusal};

    const KEY: [&str; 2] = ["--api-key=k", "--api-secret=0123456789abcdef0123456789abcdef"];
    const GOOD: &str = "oidc-issuer = 'https://id.example/realm'\noidc-client-id = 'roundtable'\n\
                        oidc-redirect-url = 'https://meet.example/x/login/oidc/callback'\n";

    #[test]
    fn a_provider_is_known_by_its_issuer() {
        let oidc = load_with(&KEY, GOOD).unwrap().config.auth.oidc.unwrap();
        assert_eq!((oidc.name.as_str(), oidc.role.as_str(), oidc.client_secret), ("id.example", "speaker", None));
        let more = "oidc-client-secret = 's'\noidc-name = 'Example'\noidc-role = 'listener'\noidc-rooms = ['a', 'b-*']";
        let oidc = load_with(&KEY, &format!("{GOOD}{more}")).unwrap().config.auth.oidc.unwrap();
        assert_eq!((oidc.name.as_str(), oidc.role.as_str()), ("Example", "listener"));
        assert!(oidc.client_secret.is_some() && !format!("{oidc:?}").contains("\"s\""), "{oidc:?}");
    }

    #[test]
    fn what_is_wrong_with_a_provider_is_told_before_anybody_goes_there() {
        for (arguments, says) in [
            (&["--oidc-issuer=http://id.example"][..], "oidc-issuer (flag): plain http"),
            (&["--oidc-issuer=id.example"], "oidc-issuer (flag): it is no URL"),
            (&["--oidc-redirect-url=https://meet.example/"], "oidc-redirect-url (flag): it does not end with"),
            (&["--oidc-client-id="], "oidc-client-id (flag): it has 1 to 256"),
            (&["--oidc-role=king"], "oidc-role (flag): one of host, speaker"),
            (&["--oidc-rooms=a b"], "oidc-rooms (flag): \"a b\" is no pattern"),
        ] {
            let error = refusal(&[&KEY[..], arguments].concat(), GOOD);
            assert!(error.starts_with(says), "{error}");
        }
        assert!(refusal(&[], GOOD).contains("keys new"), "without a key there are no tokens");
        for alone in ["--oidc-client-id=x", "--oidc-client-secret=x", "--oidc-redirect-url=x", "--oidc-role-claim=x"] {
            assert!(refusal(&[&KEY[..], &[alone]].concat(), "").contains("without oidc-issuer"), "{alone}");
        }
        let without = GOOD.replace("oidc-client-id", "# oidc-client-id");
        assert!(refusal(&KEY, &without).contains("needs oidc-client-id"));
    }
}
