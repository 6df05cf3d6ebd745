//! Tokens as an application that knows a key makes them, apart from the server's own code.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable::Config;
use roundtable::config::{ApiKey, AuthConfig, KeySources};
use serde_json::{Value, json};

/// A key that both sides know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestKey {
    /// Its id.
    pub(crate) id: &'static str,
    /// Its secret.
    pub(crate) secret: &'static str,
}

/// Seconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

impl TestKey {
    /// Signs claims (HS256); a token that says nothing of its end gets one in a minute.
    pub(crate) fn sign(&self, mut claims: Value) -> String {
        if claims.get("exp").is_none() {
            claims["exp"] = json!(now() + 60);
        }
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": self.id});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.secret.as_bytes());
        let signature = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A member of a room, with further permissions.
    pub(crate) fn member(&self, room: &str, identity: &str, video: Value) -> String {
        let mut grant = json!({"room": room, "roomJoin": true});
        grant.as_object_mut().expect("an object").extend(video.as_object().expect("an object").clone());
        self.sign(json!({"sub": identity, "video": grant}))
    }

    /// Whoever runs the server.
    pub(crate) fn operator(&self) -> String {
        self.sign(json!({"video": {"roomAdmin": true, "roomList": true}}))
    }

    /// A server that knows this key.
    pub(crate) fn config(&self) -> Config {
        let api_key = Some(ApiKey { id: self.id.into(), secret: self.secret.into() });
        let keys = KeySources { api_key, ..KeySources::default() };
        Config { auth: AuthConfig { keys, ..AuthConfig::default() }, ..Config::default() }
    }

    /// The key as a part of a keys file.
    pub(crate) fn in_file(&self) -> String {
        format!("[[keys]]\nid = \"{}\"\nsecret = \"{}\"\n", self.id, self.secret)
    }
}
