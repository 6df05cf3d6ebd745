//! The STUN and TURN servers that a client is given when it joins.

pub mod credential;
pub mod url;

use std::time::Duration;

use roundtable_protocol::MemberId;
use roundtable_protocol::message::IceServer;

use self::credential::{Credential, Secret};

/// Which STUN and TURN servers clients are given. None at all is fine where clients reach the server's UDP port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IceConfig {
    /// `stun:` and `stuns:` URLs.
    pub stun: Vec<String>,
    /// The relay, if there is one.
    pub turn: Option<TurnConfig>,
}

/// A TURN relay of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// `turn:` and `turns:` URLs; never empty.
    pub urls: Vec<String>,
    /// How clients prove themselves to it.
    pub auth: TurnAuth,
}

/// How clients prove themselves to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnAuth {
    /// Each member gets a password of its own that ends by itself.
    Secret {
        /// What the relay shares with this server.
        secret: Secret,
        /// How long a credential lives.
        ttl: Duration,
    },
    /// Everybody gets the same password.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
}

impl IceConfig {
    /// The servers for one member who joins at `now`, the time since 1970 UTC.
    #[must_use]
    pub fn servers(&self, now: Duration, member: &MemberId) -> Vec<IceServer> {
        let mut servers = Vec::new();
        if !self.stun.is_empty() {
            servers.push(IceServer { urls: self.stun.clone(), username: None, credential: None });
        }
        if let Some(turn) = &self.turn {
            let (username, password) = turn.auth.credential(now, member);
            let credential = Some(password.reveal().to_owned());
            servers.push(IceServer { urls: turn.urls.clone(), username: Some(username), credential });
        }
        servers
    }
}

impl TurnAuth {
    fn credential(&self, now: Duration, member: &MemberId) -> (String, Secret) {
        match self {
            Self::Secret { secret, ttl } => {
                let Credential { username, password } = Credential::new(now, *ttl, secret, member);
                (username, password)
            }
            Self::Password { username, password } => (username.clone(), password.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(ice: &IceConfig) -> Vec<IceServer> {
        ice.servers(Duration::from_secs(1_000), &MemberId::new("ann").unwrap())
    }

    #[test]
    fn a_member_gets_what_is_configured_and_nothing_else() {
        assert_eq!(servers(&IceConfig::default()), []);

        let stun = vec!["stun:a".to_owned(), "stun:b".to_owned()];
        let urls = vec!["turn:c".to_owned()];
        let auth = TurnAuth::Password { username: "u".into(), password: Secret::new("p") };
        let ice = IceConfig { stun: stun.clone(), turn: Some(TurnConfig { urls: urls.clone(), auth }) };
        assert_eq!(
            servers(&ice),
            [
                IceServer { urls: stun, username: None, credential: None },
                IceServer { urls, username: Some("u".into()), credential: Some("p".into()) },
            ]
        );
    }

    #[test]
    fn a_shared_secret_gives_each_member_a_name_that_ends() {
        let auth = TurnAuth::Secret { secret: Secret::new("north"), ttl: Duration::from_secs(60) };
        let ice = IceConfig { stun: vec![], turn: Some(TurnConfig { urls: vec!["turn:c".into()], auth }) };
        let [server] = servers(&ice).try_into().unwrap();
        assert_eq!(server.username.as_deref(), Some("1060:ann"));
        assert_ne!(server.credential.as_deref(), Some("north"), "the secret itself stays here");
    }
}
