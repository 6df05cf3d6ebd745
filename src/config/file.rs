//! The settings file: TOML whose mistakes are told by line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Arg;
use toml::de::DeTable;

use crate::config::layer::{File, setting_arguments};

/// How unlike a known key an unknown one may be and still be taken for a slip of it (1 is the same).
const SIMILAR: f64 = 0.75;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or a value is not what its key takes.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What.
        message: String,
    },
    /// Keys that no setting has.
    #[error("{}", unknown.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unknown {
        /// Each of them.
        unknown: Vec<UnknownKey>,
    },
}

/// A key that no setting has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The file.
    pub path: PathBuf,
    /// Where.
    pub line: usize,
    /// The key.
    pub key: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

impl std::fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: unknown key `{}`", self.path.display(), self.line, self.key)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// [`FileError`] names the file and, where there is one, the line.
pub fn read(path: &Path) -> Result<File, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Parses the text of a file.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<File, FileError> {
    let malformed = |error: toml::de::Error| FileError::Malformed {
        path: path.to_owned(),
        line: line_of(text, error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    };
    let table = DeTable::parse(text).map_err(malformed)?;
    let lines: BTreeMap<String, usize> =
        table.get_ref().keys().map(|key| (key.get_ref().to_string(), line_of(text, key.span()))).collect();

    let mut unknown = Vec::new();
    let deserializer = toml::Deserializer::parse(text).map_err(malformed)?;
    let settings = serde_ignored::deserialize(deserializer, |key| unknown.push(key.to_string()));
    if !unknown.is_empty() {
        let describe = |key: String| UnknownKey {
            path: path.to_owned(),
            line: lines.get(&key).copied().unwrap_or(1),
            nearest: nearest(&key),
            key,
        };
        return Err(FileError::Unknown { unknown: unknown.into_iter().map(describe).collect() });
    }
    Ok(File { path: path.to_owned(), settings: settings.map_err(malformed)?, lines })
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count()
}

fn nearest(key: &str) -> Option<String> {
    let key = key.replace('_', "-").to_lowercase();
    setting_arguments()
        .iter()
        .filter_map(Arg::get_long)
        .map(|known| (strsim::jaro_winkler(&key, known), known))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(Path::new("r.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_says_what_and_where() {
        let file =
            parse(Path::new("r.toml"), "# media\nudp-port = 5000\n\nstun = [\"stun:a\"]\nturn-ttl = \"2h\"\n").unwrap();
        assert_eq!(file.settings.udp_port, Some(5000));
        assert_eq!(file.settings.stun.as_deref(), Some(&["stun:a".to_owned()][..]));
        assert_eq!(file.settings.turn_ttl.map(|ttl| ttl.0.as_secs()), Some(7200));
        assert_eq!(file.settings.http_listen, None);
        assert_eq!(file.lines.get("stun"), Some(&4));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_what_was_meant() {
        assert_eq!(
            error("log = \"info\"\n\nudp_prot = 1\n"),
            "r.toml:3: unknown key `udp_prot`; did you mean `udp-port`?"
        );
        assert_eq!(error("max_rooms = 5"), "r.toml:1: unknown key `max_rooms`; did you mean `max-rooms`?");
        assert_eq!(error("zebra = 5"), "r.toml:1: unknown key `zebra`");
        let both = error("yak = 5\nzebra = 6\n");
        assert_eq!(both, "r.toml:1: unknown key `yak`\nr.toml:2: unknown key `zebra`", "all of them at once");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_with_its_line() {
        for (text, line, part) in [
            ("\nudp-port = \"many\"", 2, "u16"),
            ("udp-port = 70000", 1, "u16"),
            ("log = 'info'\n\n\nturn-ttl = \"soon\"", 4, "1h30m"),
            ("public-ip = [\n  '192.0.2.1',\n  'home',\n]", 3, "IP address"),
            ("log-format = 'loud'", 1, "unknown variant"),
            ("no-ipv6 = 1\n", 1, "boolean"),
            ("stun = 'stun:a'\n", 1, "sequence"),
            ("log = 'info'\nudp-port 5\n", 2, ""),
            ("log = 'info'\nlog = 'debug'\n", 2, "duplicate"),
        ] {
            let error = error(text);
            assert!(error.starts_with(&format!("r.toml:{line}: ")), "{text:?} gave {error}");
            assert!(error.contains(part), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("no/such.toml")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.toml: "), "{error}");
    }
}
