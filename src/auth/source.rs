//! Where keys come from: a setting and two files, which are read again when the server is told so.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::keys::{Key, KeyError, KeySet};

/// Longest file of keys, in bytes.
const MAX_KEYS_FILE_BYTES: u64 = 1024 * 1024;

/// One key by its id and its secret. `Debug` does not show the latter.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where the keys of a server come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySources {
    /// One key that does not change while the server runs.
    pub api_key: Option<ApiKey>,
    /// A file of keys, TOML or JSON.
    pub keys_file: Option<PathBuf>,
    /// A JWK set (RFC 7517 §5).
    pub jwks_file: Option<PathBuf>,
    /// Whether secrets may be short, for trying things out.
    pub short_allowed: bool,
}

impl KeySources {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.api_key.is_none() && self.keys_file.is_none() && self.jwks_file.is_none()
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// [`KeyError`] names the file or the key.
    pub fn read(&self) -> Result<KeySet, KeyError> {
        let mut keys = KeySet::default();
        if let Some(ApiKey { id, secret }) = &self.api_key {
            keys.add(Key::shared(id, secret.as_bytes(), self.short_allowed)?)?;
        }
        if let Some(path) = &self.keys_file {
            keys.add_keys_file(&read(path)?, self.short_allowed).map_err(|error| in_file(path, &error))?;
        }
        if let Some(path) = &self.jwks_file {
            keys.add_jwks(&read(path)?, self.short_allowed).map_err(|error| in_file(path, &error))?;
        }
        Ok(keys)
    }
}

fn read(path: &Path) -> Result<String, KeyError> {
    read_text(path, MAX_KEYS_FILE_BYTES).map_err(|problem| in_file(path, &problem))
}

/// Reads a file of at most so many bytes, or says why not.
pub(super) fn read_text(path: &Path, max_bytes: u64) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(max_bytes + 1).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > max_bytes {
        return Err(format!("it is longer than {max_bytes} bytes"));
    }
    Ok(text)
}

fn in_file(path: &Path, problem: &impl fmt::Display) -> KeyError {
    KeyError::File { path: path.display().to_string(), problem: problem.to_string() }
}
