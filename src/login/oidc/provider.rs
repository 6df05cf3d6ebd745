//! What an identity provider says of itself (OpenID Connect Discovery 1.0), and what it is asked.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::{Serializer, byte_serialize};
use rustls::ClientConfig;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::OidcConfig;
use super::client::{FetchError, Form, fetch};
use super::url::{BadProviderUrl, ProviderUrl};
use crate::auth::{IdTokenError, ProviderKeys};

/// Why a provider is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("{what}: {source}")]
    Fetch { what: &'static str, source: FetchError },
    #[error("{0} is not what it is to be")]
    Document(&'static str),
    #[error("it says that it is {0:?}, which is not oidc-issuer to the letter")]
    Issuer(String),
    #[error("its {name}: {source}")]
    Url { name: &'static str, source: BadProviderUrl },
    #[error("its ID token: {0}")]
    IdToken(#[from] IdTokenError),
}

/// A provider as it was found.
#[derive(Debug)]
pub(super) struct Provider {
    authorization: ProviderUrl,
    token: ProviderUrl,
    /// Whether it takes the secret in the form only, and not in a header.
    secret_in_form: bool,
    pub(super) keys: ProviderKeys,
}

/// What one login is begun with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin<'a> {
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    pub(super) verifier: &'a str,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// Asks the provider what it has and which keys it signs with.
    pub(super) async fn discover(config: &OidcConfig, tls: &Arc<ClientConfig>) -> Result<Self, ProviderError> {
        let issuer = config.issuer.as_str();
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = get(tls, "its configuration", &url("issuer", &at)?).await?;
        let metadata: Metadata =
            serde_json::from_slice(&document).map_err(|_| ProviderError::Document("its configuration"))?;
        if metadata.issuer != issuer {
            return Err(ProviderError::Issuer(metadata.issuer));
        }
        let keys = get(tls, "its keys", &url("jwks_uri", &metadata.jwks_uri)?).await?;
        let methods = metadata.token_endpoint_auth_methods_supported;
        let takes = |method: &str| methods.as_ref().is_some_and(|methods| methods.iter().any(|known| known == method));
        Ok(Self {
            authorization: url("authorization_endpoint", &metadata.authorization_endpoint)?,
            token: url("token_endpoint", &metadata.token_endpoint)?,
            secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
            keys: ProviderKeys::parse(&keys)?,
        })
    }

    /// Where a browser goes to log in: the code flow with PKCE (RFC 7636).
    pub(super) fn login_url(&self, config: &OidcConfig, begin: Begin<'_>) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(begin.verifier));
        let mut query = Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("client_id", config.client_id.as_str()),
            ("redirect_uri", config.redirect_url.as_str()),
            ("state", begin.state),
            ("nonce", begin.nonce),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        self.authorization.with_query(&query.finish())
    }

    /// Exchanges a code for an ID token, which is not looked at here.
    pub(super) async fn exchange(
        &self,
        config: &OidcConfig,
        tls: &Arc<ClientConfig>,
        code: &str,
        verifier: &str,
    ) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: String,
        }
        let what = "its answer to the code";
        let form = Some(self.code_form(config, code, verifier));
        let answer = fetch(Arc::clone(tls), &self.token, form).await;
        let answer = answer.map_err(|source| ProviderError::Fetch { what, source })?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|_| ProviderError::Document(what))?;
        Ok(answer.id_token)
    }

    fn code_form(&self, config: &OidcConfig, code: &str, verifier: &str) -> Form {
        let mut body = Serializer::new(String::new());
        body.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", config.redirect_url.as_str()),
            ("code_verifier", verifier),
        ]);
        let secret = config.client_secret.as_ref().map(|secret| secret.reveal());
        match secret.filter(|_| !self.secret_in_form) {
            Some(secret) => Form { body: body.finish(), authorization: basic(&config.client_id, secret) },
            None => {
                body.append_pair("client_id", &config.client_id);
                if let Some(secret) = secret {
                    body.append_pair("client_secret", secret);
                }
                Form { body: body.finish(), authorization: None }
            }
        }
    }
}

/// RFC 6749 §2.3.1: both are form-encoded first.
fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let [id, secret] = [id, secret].map(|text| byte_serialize(text.as_bytes()).collect::<String>());
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn get(tls: &Arc<ClientConfig>, what: &'static str, url: &ProviderUrl) -> Result<Bytes, ProviderError> {
    fetch(Arc::clone(tls), url, None).await.map_err(|source| ProviderError::Fetch { what, source })
}

fn url(name: &'static str, text: &str) -> Result<ProviderUrl, ProviderError> {
    ProviderUrl::parse(text).map_err(|source| ProviderError::Url { name, source })
}
