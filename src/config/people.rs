//! What `roundtable users` does: adds users to a file, hashes passwords, and looks a file over.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Read as _, Write as _};
use std::path::{Path, PathBuf};

use roundtable_protocol::Role;

use crate::auth::{Cost, MAX_PASSWORD_BYTES, PasswordHash, Users, UsersError};

pub use crate::auth::SALT_BYTES;

/// Shortest password that is hashed here, in characters.
const MIN_PASSWORD_CHARS: usize = 8;

/// A user to add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserWish {
    /// The name to log in with.
    pub name: String,
    /// The name others see, if it is another one.
    pub display_name: Option<String>,
    /// What they are in rooms; a speaker unless given.
    pub role: Option<Role>,
    /// Patterns of the rooms they may enter; every room if there are none.
    pub rooms: Vec<String>,
}

/// Why a user is not added, or a password not hashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The password.
    #[error("a password has at least {MIN_PASSWORD_CHARS} characters, and at most {MAX_PASSWORD_BYTES} bytes")]
    Password,
    /// The file, or the user.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// A file of JSON, to which nothing is added.
    #[error("{}: users are added to TOML only; `roundtable users hash` makes the hash", .0.display())]
    Json(PathBuf),
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads a password: one line, without its end.
///
/// # Errors
/// What reading says, or that it is longer than any password may be.
pub fn read_password(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(MAX_PASSWORD_BYTES as u64 + 3).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(io::Error::other(PeopleError::Password));
    }
    Ok(password.to_owned())
}

/// Hashes a password.
///
/// # Errors
/// [`PeopleError::Password`] if it is too short.
pub fn hash(password: &str, salt: [u8; SALT_BYTES]) -> Result<String, PeopleError> {
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Err(PeopleError::Password);
    }
    let hash = PasswordHash::new(password.as_bytes(), salt, Cost::USUAL).ok_or(PeopleError::Password)?;
    Ok(hash.to_string())
}

/// Adds a user to a file of TOML, which is made if it is not there, and says so. What stands in it stays as it is.
///
/// # Errors
/// [`PeopleError`]: the file is as it was.
pub fn add(path: &Path, wish: &UserWish, password: &str, salt: [u8; SALT_BYTES]) -> Result<String, PeopleError> {
    let failed = |source| PeopleError::Write { path: path.to_owned(), source };
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(failed)?,
    };
    if before.trim_start().starts_with('{') {
        return Err(PeopleError::Json(path.to_owned()));
    }
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    let text = format!("{before}{gap}{}", entry(wish, &hash(password, salt)?));
    let count = Users::parse(&text)?.len();
    replace(path, &text).map_err(failed)?;
    Ok(format!(
        "{}: {:?} was added, which makes {count}; a server that runs reads it at SIGHUP",
        path.display(),
        wish.name
    ))
}

/// Reads a file of users and says who is in it.
///
/// # Errors
/// [`UsersError`] names the file and the user.
pub fn check(path: &Path) -> Result<String, UsersError> {
    let users = Users::read(path)?;
    let mut text = String::new();
    for person in users.iter() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}  {}", person.identity, person.role.as_str());
    }
    text.push_str("fine");
    Ok(text)
}

fn entry(wish: &UserWish, hash: &str) -> String {
    let UserWish { name, display_name, role, rooms } = wish;
    let string = |text: &str| toml::Value::from(text);
    let mut text = format!("[[users]]\nname = {}\npassword = {}\n", string(name), string(hash));
    // Writing to a string does not fail.
    if let Some(display_name) = display_name {
        let _ = writeln!(text, "display-name = {}", string(display_name));
    }
    if let Some(role) = role {
        let _ = writeln!(text, "role = {}", string(role.as_str()));
    }
    if !rooms.is_empty() {
        let _ = writeln!(text, "rooms = {}", toml::Value::from(rooms.clone()));
    }
    text
}

/// Puts a text in place of a file at once, so that nobody reads half of it. A new one is for its owner only.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_added_one_after_the_other_and_nothing_else_is_touched() {
        let path = std::env::temp_dir().join(format!("roundtable-people-{}.toml", std::process::id()));
        let _ = fs::remove_file(&path);
        let ann = UserWish {
            name: "ann".into(),
            display_name: Some("Ann \"Äx\"".into()),
            role: Some(Role::Host),
            rooms: vec!["team-*".into(), "daily".into()],
        };
        add(&path, &ann, "password of ann", [1; SALT_BYTES]).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "# a remark\n").unwrap();
        let bob = UserWish { name: "bob".into(), ..UserWish::default() };
        let said = add(&path, &bob, "password of bob", [2; SALT_BYTES]).unwrap();
        assert!(said.contains("\"bob\"") && said.contains("makes 2"), "{said}");
        assert!(fs::read_to_string(&path).unwrap().contains("# a remark\n\n[[users]]"));
        let users = Users::read(&path).unwrap();
        let found = users.find("ann").unwrap();
        assert!(found.hash.verify(b"password of ann") && !found.hash.verify(b"password of bob"));
        assert_eq!((found.person.name.as_str(), found.person.role), ("Ann \"Äx\"", Role::Host));
        assert_eq!(check(&path).unwrap(), "ann  host\nbob  speaker\nfine");

        let before = fs::read_to_string(&path).unwrap();
        for (wish, password, says) in [
            (UserWish { name: "ann".into(), ..UserWish::default() }, "password", "there twice"),
            (UserWish { name: "cid".into(), ..UserWish::default() }, "short", "at least 8"),
            (UserWish { name: "guest-1".into(), ..UserWish::default() }, "password", "guest-"),
            (
                UserWish { name: "cid".into(), rooms: vec!["a b".into()], ..UserWish::default() },
                "password",
                "no pattern",
            ),
        ] {
            let error = add(&path, &wish, password, [3; SALT_BYTES]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), before);
        }
        fs::write(&path, "{\"users\": []}").unwrap();
        assert!(matches!(add(&path, &bob, "password", [3; SALT_BYTES]), Err(PeopleError::Json(_))));
        let _ = fs::remove_file(&path);
    }

    #[test]
    fn a_password_is_one_line() {
        let read = |text: &str| read_password(&mut text.as_bytes());
        assert_eq!(read("a b \n").unwrap(), "a b ");
        assert_eq!(read("last\r\nnext\n").unwrap(), "last");
        assert_eq!(read("without end").unwrap(), "without end");
        let longest = "x".repeat(MAX_PASSWORD_BYTES);
        assert_eq!(read(&format!("{longest}\r\n")).unwrap(), longest);
        assert!(read(&format!("{longest}y\n")).is_err());
    }
}
