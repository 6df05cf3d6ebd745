//! The settings of webhooks, checked.

use std::time::Duration;

use roundtable_protocol::feed::event_names;

use super::settings::{self, Merged};
use super::{Check, ConfigError, read_secret};
use crate::webhook::{MAX_ENDPOINTS, Patience, SigningSecret, WebhookConfig, WebhookUrl};

/// Longest that an event is tried.
const MAX_GIVE_UP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Secrets at once: the old one and the new one.
const MAX_SECRETS: usize = 2;

impl Check<'_> {
    pub(super) fn webhooks(&self) -> Result<WebhookConfig, ConfigError> {
        let secrets = self.webhook_secrets()?;
        let urls = self.webhook_urls()?;
        match (&secrets, urls.is_empty()) {
            (None, false) => {
                return self
                    .invalid("webhook", "receivers check who posts: it needs webhook-secret-file or webhook-secret");
            }
            (Some((key, _)), true) => return self.invalid(key, "a secret is of no use without a webhook URL"),
            (Some(_), false) | (None, true) => {}
        }
        let give_up = self.settings.webhook_give_up.map_or(settings::DEFAULT_WEBHOOK_GIVE_UP, |given| given.0);
        if give_up.is_zero() || give_up > MAX_GIVE_UP {
            return self.invalid("webhook-give-up", "it is to be between 1s and 7d");
        }
        let patience = Patience { give_up, ..Patience::default() };
        let secrets = secrets.map(|(_, secrets)| secrets).unwrap_or_default();
        Ok(WebhookConfig { urls, secrets, types: self.webhook_types()?, patience, ..WebhookConfig::default() })
    }

    fn webhook_urls(&self) -> Result<Vec<WebhookUrl>, ConfigError> {
        let urls = self.settings.webhook.as_deref().unwrap_or_default();
        if urls.len() > MAX_ENDPOINTS {
            return self.invalid("webhook", format!("at most {MAX_ENDPOINTS} can be named"));
        }
        let allow_private = self.settings.webhook_allow_private.unwrap_or(false);
        let read = |text: &String| match WebhookUrl::parse(text, allow_private) {
            Ok(url) => Ok(url),
            Err(bad) => self.invalid("webhook", format!("`{text}`: {bad}")),
        };
        urls.iter().map(read).collect()
    }

    fn webhook_types(&self) -> Result<Vec<String>, ConfigError> {
        let types = self.settings.webhook_types.clone().unwrap_or_default();
        match types.iter().find(|name| !event_names().contains(name)) {
            None => Ok(types),
            Some(name) => {
                self.invalid("webhook-types", format!("`{name}` is no event; there are {}", event_names().join(", ")))
            }
        }
    }

    /// The secrets and the key that gave them.
    fn webhook_secrets(&self) -> Result<Option<(&'static str, Vec<SigningSecret>)>, ConfigError> {
        const KEY: &str = "webhook-secret";
        const FILE_KEY: &str = "webhook-secret-file";
        let rank = |key| Merged::origin(self.merged, key).rank();
        let (key, texts) = match (&self.settings.webhook_secret, &self.settings.webhook_secret_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) if rank(KEY) == rank(FILE_KEY) => {
                return self.invalid(FILE_KEY, format!("{KEY} is given beside it; one of them is enough"));
            }
            (Some(texts), None) => (KEY, texts.clone()),
            (Some(texts), Some(_)) if rank(KEY) > rank(FILE_KEY) => (KEY, texts.clone()),
            (_, Some(path)) => match read_secret(path) {
                Ok(text) => (FILE_KEY, text.reveal().lines().map(|line| line.trim().to_owned()).collect()),
                Err(problem) => return self.invalid(FILE_KEY, format!("{}: {problem}", path.display())),
            },
        };
        if texts.is_empty() || texts.len() > MAX_SECRETS {
            return self.invalid(key, "there is to be one secret, or two while receivers change over");
        }
        let secrets: Result<Vec<_>, _> = texts.iter().map(|text| SigningSecret::parse(text)).collect();
        match secrets {
            Ok(secrets) => Ok(Some((key, secrets))),
            Err(bad) => self.invalid(key, bad.to_string()),
        }
    }
}
