//! Logging in at an identity provider: OpenID Connect's code flow with PKCE.
//!
//! What a browser begins only that browser can end: it keeps a random word in a cookie, and what is on its way here is kept
//! under another random word beside it. A token never stands in an address; what does is a ticket, good once, for a minute,
//! and for that browser.

mod claims;
mod client;
mod passing;
mod provider;
mod url;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_protocol::{Role, RoomId};
use rustls::ClientConfig;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use self::passing::Passing;
use self::provider::{Begin, Provider, ProviderError};
pub use self::url::{BadProviderUrl, ProviderUrl};
use super::LoginError;
use crate::auth::{CODE_BYTES, Expected, IdTokenError, Person, RoomPatterns};
use crate::trust::tls_of_this_host;
use crate::turn::credential::Secret;

/// How long one may take at the provider.
pub const LOGIN_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Logins under way; one more takes the place of the oldest.
const MAX_UNDER_WAY: usize = 10_000;
/// How long one may take from the provider's answer to the page.
const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Tickets that wait for their page; one more takes the place of the oldest.
const MAX_LOGIN_TICKETS: usize = 10_000;
/// Requests that ask the provider something at once, or wait for somebody else's question; one more is refused.
const MAX_ASKING: usize = 32;
/// How long what a provider says of itself is taken for true …
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// … and how soon it is asked again because of a key that is not known.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Random bytes of a verifier (RFC 7636 §4.1).
const VERIFIER_BYTES: usize = 32;
/// Longest code that is passed on, in bytes.
const MAX_CODE_BYTES: usize = 4_096;

/// The identity provider, and what is made of those it vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// Its issuer, to the letter.
    pub issuer: ProviderUrl,
    /// The id of this server there.
    pub client_id: String,
    /// The secret that goes with it; none for a public client.
    pub client_secret: Option<Secret>,
    /// Where it sends browsers back to: `/login/oidc/callback` of this server as the provider knows it.
    pub redirect_url: ProviderUrl,
    /// What the page calls it.
    pub name: String,
    /// What those are in rooms of whom no claim says so.
    pub role: Role,
    /// The claim whose words are roles.
    pub role_claim: Option<String>,
    /// The rooms they may enter.
    pub rooms: RoomPatterns,
}

/// What a browser brings back from the provider.
#[derive(Debug, Default)]
pub struct Returned<'a> {
    /// The word of the login.
    pub state: &'a str,
    /// What is exchanged for an ID token.
    pub code: Option<&'a str>,
    /// Who says so (RFC 9207), if it does.
    pub issuer: Option<&'a str>,
}

/// A login under way.
#[derive(Debug)]
struct UnderWay {
    browser: String,
    room: RoomId,
    nonce: String,
    verifier: String,
}

/// Somebody the provider has vouched for.
#[derive(Debug)]
struct Ticket {
    browser: String,
    room: RoomId,
    person: Person,
}

/// A provider as it was known at a time.
type Known = Option<(Instant, Arc<Provider>)>;

/// Logging in at one identity provider.
#[derive(Debug)]
pub struct Oidc {
    config: OidcConfig,
    tls: Arc<ClientConfig>,
    known: tokio::sync::Mutex<Known>,
    asking: Semaphore,
    under_way: Mutex<Passing<UnderWay>>,
    tickets: Mutex<Passing<Ticket>>,
}

impl Oidc {
    /// Does not ask the provider yet: it may start after this server.
    #[must_use]
    pub fn new(config: OidcConfig) -> Self {
        Self {
            config,
            tls: Arc::new(tls_of_this_host()),
            known: tokio::sync::Mutex::default(),
            asking: Semaphore::new(MAX_ASKING),
            under_way: Mutex::new(Passing::new(LOGIN_WITHIN, MAX_UNDER_WAY)),
            tickets: Mutex::new(Passing::new(TICKET_LIFE, MAX_LOGIN_TICKETS)),
        }
    }

    /// The provider, and what is made of those it vouches for.
    #[must_use]
    pub fn config(&self) -> &OidcConfig {
        &self.config
    }

    /// Begins a login for a room in the browser of this word; returns where it is to go.
    ///
    /// # Errors
    /// [`LoginError::Provider`] if the provider cannot be asked, and [`LoginError::Busy`].
    pub async fn begin(&self, now: Instant, browser: &str, room: RoomId) -> Result<String, LoginError> {
        let _asking = self.asking.try_acquire().map_err(|_| LoginError::Busy)?;
        let provider = self.provider(now, KNOWN_FOR).await.map_err(|error| refuse(&error))?;
        let (state, nonce) = (random_word::<CODE_BYTES>()?, random_word::<CODE_BYTES>()?);
        let verifier = random_word::<VERIFIER_BYTES>()?;
        let begin = Begin { state: &state, nonce: &nonce, verifier: &verifier };
        let location = provider.login_url(&self.config, begin);
        let login = UnderWay { browser: browser.to_owned(), room, nonce, verifier };
        lock(&self.under_way).put(now, state, login);
        Ok(location)
    }

    /// Ends a login with what the browser of this word brought back; returns the room, and a ticket for its page or why
    /// there is none. Without a room nothing is known of such a login in this browser.
    pub async fn finish(
        &self,
        now: Instant,
        browser: Option<&str>,
        returned: Returned<'_>,
    ) -> (Option<RoomId>, Result<String, LoginError>) {
        // It is taken whoever brings it, so that a state is good once.
        let login = lock(&self.under_way).take(now, returned.state);
        let Some(login) = login.filter(|login| Some(&*login.browser) == browser) else {
            return (None, Err(LoginError::Stale));
        };
        let room = login.room.clone();
        (Some(room), self.vouch(now, login, returned).await)
    }

    /// Exchanges a ticket, once and in its own browser, for who it is and the room it is for.
    ///
    /// # Errors
    /// [`LoginError::Stale`].
    pub fn redeem(&self, now: Instant, browser: Option<&str>, ticket: &str) -> Result<(Person, RoomId), LoginError> {
        let found = lock(&self.tickets).take(now, ticket);
        let found = found.filter(|ticket| Some(&*ticket.browser) == browser).ok_or(LoginError::Stale)?;
        Ok((found.person, found.room))
    }

    async fn vouch(&self, now: Instant, login: UnderWay, returned: Returned<'_>) -> Result<String, LoginError> {
        let UnderWay { browser, room, nonce, verifier } = login;
        if returned.issuer.is_some_and(|issuer| issuer != self.config.issuer.as_str()) {
            tracing::info!("a login came back in the name of another identity provider");
            return Err(LoginError::Provider);
        }
        // Without one somebody has changed their mind there, or may not use this server.
        let code = returned.code.filter(|code| code.len() <= MAX_CODE_BYTES).ok_or(LoginError::Provider)?;
        let _asking = self.asking.try_acquire().map_err(|_| LoginError::Busy)?;
        let claims = self.claims(now, code, &nonce, &verifier).await.map_err(|error| refuse(&error))?;
        let person = claims::person(&self.config, &claims);
        let ticket = random_word::<CODE_BYTES>()?;
        lock(&self.tickets).put(now, ticket.clone(), Ticket { browser, room, person });
        Ok(ticket)
    }

    /// The claims of the ID token that a code is exchanged for.
    async fn claims(
        &self,
        now: Instant,
        code: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let provider = self.provider(now, KNOWN_FOR).await?;
        let token = provider.exchange(&self.config, &self.tls, code, verifier).await?;
        let OidcConfig { issuer, client_id, .. } = &self.config;
        let expected = Expected { issuer: issuer.as_str(), client_id, nonce };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match provider.keys.verify(unix, expected, &token) {
            // It may have changed its keys since it was asked.
            Err(IdTokenError::NoKey) => {
                Ok(self.provider(now, ASK_AGAIN_AFTER).await?.keys.verify(unix, expected, &token)?)
            }
            verified => Ok(verified?),
        }
    }

    /// The provider as it was known so long ago at most. One asks, and the others wait for the answer.
    async fn provider(&self, now: Instant, at_most: Duration) -> Result<Arc<Provider>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some((since, provider)) = &*known
            && now.saturating_duration_since(*since) < at_most
        {
            return Ok(Arc::clone(provider));
        }
        let provider = Arc::new(Provider::discover(&self.config, &self.tls).await?);
        *known = Some((now, Arc::clone(&provider)));
        Ok(provider)
    }
}

/// A word for a browser, which nobody guesses.
///
/// # Errors
/// [`LoginError::Busy`] where there is no randomness.
pub fn new_browser() -> Result<String, LoginError> {
    random_word::<CODE_BYTES>()
}

fn random_word<const N: usize>() -> Result<String, LoginError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| LoginError::Busy)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What the person is told is less than what the log is.
fn refuse(error: &ProviderError) -> LoginError {
    tracing::info!(%error, "the identity provider has vouched for nobody");
    LoginError::Provider
}

fn lock<T>(table: &Mutex<Passing<T>>) -> MutexGuard<'_, Passing<T>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn config(issuer: &str) -> OidcConfig {
        OidcConfig {
            issuer: ProviderUrl::parse(issuer).unwrap(),
            client_id: "roundtable".into(),
            client_secret: None,
            redirect_url: ProviderUrl::parse("http://localhost:7880/login/oidc/callback").unwrap(),
            name: "Example".into(),
            role: Role::Speaker,
            role_claim: None,
            rooms: RoomPatterns::default(),
        }
    }

    #[tokio::test]
    async fn a_provider_that_does_not_answer_is_told_and_nothing_is_begun() {
        // Nothing listens there.
        let oidc = Oidc::new(config("http://127.0.0.1:9"));
        let begun = oidc.begin(Instant::now(), "b", RoomId::new("daily").unwrap()).await;
        assert_eq!(begun, Err(LoginError::Provider));
        let (room, finished) = oidc.finish(Instant::now(), Some("b"), Returned::default()).await;
        assert_eq!((room, finished), (None, Err(LoginError::Stale)));
    }

    #[test]
    fn a_ticket_is_good_once_and_in_its_browser() {
        let oidc = Oidc::new(config("https://id.example"));
        let (now, room) = (Instant::now(), RoomId::new("daily").unwrap());
        let claims = serde_json::json!({"sub": "u1"});
        let person = claims::person(&oidc.config, claims.as_object().unwrap());
        let put = |name: &str| {
            let ticket = Ticket { browser: "ann's".into(), room: room.clone(), person: person.clone() };
            lock(&oidc.tickets).put(now, name.into(), ticket);
        };
        ["a", "b", "c"].into_iter().for_each(put);
        assert_eq!(oidc.redeem(now, Some("ann's"), "a"), Ok((person.clone(), room.clone())));
        assert_eq!(oidc.redeem(now, Some("ann's"), "a"), Err(LoginError::Stale), "used");
        assert_eq!(oidc.redeem(now, Some("eve's"), "b"), Err(LoginError::Stale));
        assert_eq!(oidc.redeem(now, None, "b"), Err(LoginError::Stale));
        assert_eq!(oidc.redeem(now + TICKET_LIFE, Some("ann's"), "c"), Err(LoginError::Stale), "too old");
    }
}
