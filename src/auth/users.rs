//! Local users: names and hashes of passwords in a file.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use roundtable_protocol::Role;
use roundtable_protocol::name::check_name;
use serde::Deserialize;

use super::password::{Cost, PasswordHash};
use super::person::Person;
use super::room_pattern::RoomPatterns;
use super::source::read_text;

/// Most users of a server; a file with more is refused.
pub const MAX_USERS: usize = 10_000;
/// Longest name of a user, in bytes.
pub const MAX_USER_NAME_BYTES: usize = 64;
/// Longest file of users, in bytes.
const MAX_USERS_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// How identities begin that are given to others, so that no user can pass for one of them.
const OTHERS: [&str; 2] = ["guest-", super::OIDC_PREFIX];

/// What is wrong with users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// A file cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The text is none of users.
    #[error("this is no list of users: {0}")]
    Malformed(String),
    /// A user that cannot be one.
    #[error("user {name:?}: {problem}")]
    Unusable {
        /// The user.
        name: String,
        /// Why.
        problem: String,
    },
    /// Two users of one name.
    #[error("user {0:?} is there twice")]
    Twice(String),
    /// More users than a server may have.
    #[error("there are more than {MAX_USERS} users")]
    TooMany,
}

/// The users of a server, at most [`MAX_USERS`].
#[derive(Debug, Clone)]
pub struct Users {
    users: HashMap<String, User>,
    decoy: PasswordHash,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct User {
    /// Of the password.
    pub hash: PasswordHash,
    /// Who it is.
    pub person: Person,
}

impl Users {
    /// Reads a file of users.
    ///
    /// # Errors
    /// [`UsersError::File`].
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        let in_file = |problem: String| UsersError::File { path: path.to_owned(), problem };
        let text = read_text(path, MAX_USERS_FILE_BYTES).map_err(in_file)?;
        Self::parse(&text).map_err(|error| in_file(error.to_string()))
    }

    /// Reads a text of users, which is TOML, or JSON of the same shape. It may hold none.
    ///
    /// # Errors
    /// [`UsersError`] says which user is wrong, and how.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let file: UsersFile = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| UsersError::Malformed(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| UsersError::Malformed(error.message().to_owned()))?
        };
        if file.users.len() > MAX_USERS {
            return Err(UsersError::TooMany);
        }
        let mut users = HashMap::with_capacity(file.users.len());
        for entry in file.users {
            let name = entry.name.clone();
            if users.insert(name.clone(), entry.user()?).is_some() {
                return Err(UsersError::Twice(name));
            }
        }
        // Whoever asks for somebody who is not there is to wait as long as for somebody who is.
        let costs = users.values().map(|user: &User| user.hash.cost());
        let decoy = PasswordHash::decoy(costs.max_by_key(|cost| cost.work()).unwrap_or(Cost::USUAL));
        Ok(Self { users, decoy })
    }

    /// The user of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// What a password is compared with where there is no such user.
    #[must_use]
    pub fn decoy(&self) -> &PasswordHash {
        &self.decoy
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Each user, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        let mut people: Vec<_> = self.users.values().map(|user| &user.person).collect();
        people.sort_by(|a, b| a.identity.cmp(&b.identity));
        people.into_iter()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    users: Vec<UserEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UserEntry {
    name: String,
    password: String,
    display_name: Option<String>,
    #[serde(default = "speaker")]
    role: Role,
    #[serde(default)]
    rooms: RoomPatterns,
}

fn speaker() -> Role {
    Role::Speaker
}

impl UserEntry {
    fn user(self) -> Result<User, UsersError> {
        let Self { name, password, display_name, role, rooms } = self;
        let unusable =
            |problem: &dyn fmt::Display| UsersError::Unusable { name: name.clone(), problem: problem.to_string() };
        check_user_name(&name).map_err(|problem| unusable(&problem))?;
        let hash = PasswordHash::parse(&password).map_err(|bad| unusable(&bad))?;
        let shown = display_name.as_deref().unwrap_or(&name);
        let shown = check_name(shown).map_err(|bad| unusable(&bad))?.to_owned();
        let person = Person { identity: name.clone(), name: shown, role, rooms };
        Ok(User { hash, person })
    }
}

/// Whether a text can be the name of a user.
fn check_user_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_USER_NAME_BYTES {
        return Err("a name has 1 to 64 bytes");
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err("a name has no control characters, and no spaces at its ends");
    }
    if OTHERS.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("a name does not begin with guest- or oidc:, as those of others do");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roundtable_protocol::RoomId;

    use super::*;
    use crate::auth::password::SALT_BYTES;

    fn hash(password: &str, memory_kib: u32) -> String {
        let cost = Cost { memory_kib, passes: 1, lanes: 1 };
        PasswordHash::new(password.as_bytes(), [1; SALT_BYTES], cost).unwrap().to_string()
    }

    #[test]
    fn users_are_read_from_toml_and_from_json() {
        let toml = format!(
            "[[users]]\nname = \"ann\"\npassword = \"{}\"\ndisplay-name = \"Ann Example\"\nrole = \"host\"\nrooms = [\"team-*\"]\n\
             [[users]]\nname = \"bob\"\npassword = \"{}\"\n",
            hash("a", 64),
            hash("b", 128),
        );
        let users = Users::parse(&toml).unwrap();
        let ann = users.find("ann").unwrap();
        assert_eq!((ann.person.name.as_str(), ann.person.role), ("Ann Example", Role::Host));
        assert!(ann.hash.verify(b"a") && !ann.hash.verify(b"b"));
        let now = Duration::from_secs(1_000);
        let claims = ann.person.claims(now, &RoomId::new("team-a").unwrap()).unwrap();
        assert_eq!((claims.sub.as_deref(), claims.exp, claims.role), (Some("ann"), Some(4_600), Some(Role::Host)));
        assert_eq!(ann.person.claims(now, &RoomId::new("daily").unwrap()), None);

        let bob = users.find("bob").unwrap();
        assert_eq!((bob.person.name.as_str(), bob.person.role), ("bob", Role::Speaker));
        assert!(bob.person.claims(now, &RoomId::new("daily").unwrap()).is_some(), "every room unless said otherwise");
        assert!(users.find("Ann").is_none());
        assert_eq!(users.decoy().cost().memory_kib, 128, "a decoy is as much work as the dearest hash");

        let json = format!("{{\"users\": [{{\"name\": \"ann\", \"password\": \"{}\"}}]}}", hash("a", 64));
        assert!(Users::parse(&json).unwrap().find("ann").unwrap().hash.verify(b"a"));
        assert!(Users::parse("").unwrap().iter().next().is_none());
        assert_eq!(Users::parse("").unwrap().decoy().cost(), Cost::USUAL);
    }

    #[test]
    fn what_cannot_be_a_user_is_told_without_the_hash() {
        let secret = hash("a", 64);
        let user = |more: &str| format!("[[users]]\npassword = \"{secret}\"\n{more}");
        for (text, says) in [
            (user("name = \"\""), "1 to 64 bytes"),
            (user(&format!("name = \"{}\"", "x".repeat(65))), "1 to 64 bytes"),
            (user("name = \" ann\""), "spaces"),
            (user("name = \"guest-1\""), "guest-"),
            (user("name = \"oidc:1\""), "oidc:"),
            (user("name = \"ann\"\nrole = \"king\""), "unknown variant"),
            (user("name = \"ann\"\nrooms = [\"a b\"]"), "no pattern"),
            (user("name = \"ann\"\ndisplay-name = \"\""), "ann"),
            (user("name = \"ann\"\nshoe = 1"), "shoe"),
            ("[[users]]\nname = \"ann\"\npassword = \"hunter2\"".to_owned(), "users hash"),
            (user("name = \"ann\"\n") + &user("name = \"ann\"\n"), "there twice"),
            ("users = 1".to_owned(), "no list of users"),
        ] {
            let error = Users::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
            assert!(!error.contains(&secret) && !error.contains("hunter2"), "{error}");
        }
    }
}
