//! Who the claims of an ID token are about. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_protocol::Role;
use roundtable_protocol::limit::MAX_IDENTITY_BYTES;
use roundtable_protocol::name::check_name;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::OidcConfig;
use crate::auth::{OIDC_PREFIX, Person};

/// Claims that may hold a name to show, the best first.
const NAMES: [&str; 3] = ["name", "preferred_username", "nickname"];

/// Who it is, to this server.
pub(super) fn person(config: &OidcConfig, claims: &Map<String, Value>) -> Person {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let names = NAMES.iter().filter_map(|name| claims.get(*name)).filter_map(Value::as_str);
    let name = names.chain([subject]).find_map(|name| check_name(name).ok()).unwrap_or("Somebody");
    let given = config.role_claim.as_ref().and_then(|claim| role(claims, claim));
    Person {
        identity: identity(subject),
        name: name.to_owned(),
        role: given.unwrap_or(config.role),
        rooms: config.rooms.clone(),
    }
}

/// The provider's word for the person, or a hash of one that is too long or cannot be shown.
fn identity(subject: &str) -> String {
    let fits = OIDC_PREFIX.len() + subject.len() <= MAX_IDENTITY_BYTES && !subject.chars().any(char::is_control);
    if fits {
        return format!("{OIDC_PREFIX}{subject}");
    }
    format!("{OIDC_PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(subject)))
}

/// The first role that a claim names, as text or in a list; `realm_access.roles` is the claim within the claim.
fn role(claims: &Map<String, Value>, claim: &str) -> Option<Role> {
    let within = || {
        let mut parts = claim.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    };
    let value = claims.get(claim).or_else(within)?;
    let names = |role: Role| match value {
        Value::String(word) => word == role.as_str(),
        Value::Array(words) => words.iter().any(|word| word.as_str() == Some(role.as_str())),
        _ => false,
    };
    Role::ALL.into_iter().find(|role| names(*role))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::login::oidc::tests::config;

    fn person_of(claims: Value, role_claim: Option<&str>) -> Person {
        let config = OidcConfig { role_claim: role_claim.map(str::to_owned), ..config("https://id.example") };
        person(&config, claims.as_object().unwrap())
    }

    #[test]
    fn the_best_name_is_shown_and_the_subject_is_who_it_is() {
        let found = person_of(json!({"sub": "u1", "name": "Ann Example", "nickname": "annie"}), None);
        assert_eq!(
            (found.identity.as_str(), found.name.as_str(), found.role),
            ("oidc:u1", "Ann Example", Role::Speaker)
        );
        let found = person_of(json!({"sub": "u1", "name": "\n", "preferred_username": "ann"}), None);
        assert_eq!(found.name, "ann");
        assert_eq!(person_of(json!({"sub": "u1"}), None).name, "u1");
        let long = "x".repeat(200);
        let found = person_of(json!({"sub": long}), None);
        assert_eq!((found.name.as_str(), found.identity.len()), ("Somebody", 5 + 43));
        assert_ne!(found.identity, person_of(json!({"sub": "y".repeat(200)}), None).identity);
    }

    #[test]
    fn a_claim_gives_a_role_as_text_in_a_list_or_within_another() {
        for (claims, claim, expected) in [
            (json!({"sub": "u", "role": "host"}), "role", Role::Host),
            (json!({"sub": "u", "groups": ["staff", "listener", "host"]}), "groups", Role::Host),
            (json!({"sub": "u", "groups": ["staff"]}), "groups", Role::Speaker),
            (json!({"sub": "u", "groups": {"host": true}}), "groups", Role::Speaker),
            (json!({"sub": "u"}), "groups", Role::Speaker),
            (json!({"sub": "u", "realm_access": {"roles": ["listener"]}}), "realm_access.roles", Role::Listener),
            (json!({"sub": "u", "https://a.b/role": "message-only"}), "https://a.b/role", Role::MessageOnly),
        ] {
            assert_eq!(person_of(claims.clone(), Some(claim)).role, expected, "{claims}");
        }
        assert_eq!(person_of(json!({"sub": "u", "role": "host"}), None).role, Role::Speaker, "not unless it is set");
    }
}
