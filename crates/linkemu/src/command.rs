//! What can be said to a running emulator.

use crate::profile::{Profile, SettingError};

/// Directions of a link that a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// From whoever sends to the port, to the server.
    Up,
    /// From the server.
    Down,
    /// Both.
    Both,
}

/// One line of text, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `time`: how long the emulator has been running, as in the table.
    Time,
    /// `link 0 down rate=300k delay=20ms`: changes what was named and leaves the rest.
    Change {
        /// The number of the link, from 0.
        link: usize,
        /// Which of its directions.
        which: Which,
        /// `key=value` each; all of them were understood.
        settings: Vec<String>,
    },
}

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It is no command.
    #[error("say: time, or: link NUMBER up|down|both KEY=VALUE ...")]
    Unknown,
    /// One of its settings is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl std::str::FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("time"), None, None) => Ok(Self::Time),
            (Some("link"), Some(link), Some(which)) => {
                let link = link.parse().map_err(|_| CommandError::Unknown)?;
                let which = match which {
                    "up" => Which::Up,
                    "down" => Which::Down,
                    "both" => Which::Both,
                    _ => return Err(CommandError::Unknown),
                };
                let settings: Vec<String> = words.map(str::to_owned).collect();
                change(Profile::default(), &settings)?;
                Ok(Self::Change { link, which, settings })
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

/// A profile with some settings changed.
///
/// # Errors
/// [`SettingError`] for the first that is not understood.
pub(crate) fn change(mut profile: Profile, settings: &[String]) -> Result<Profile, SettingError> {
    settings.iter().try_for_each(|setting| profile.set(setting))?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_a_link_and_a_direction() {
        let settings = vec!["rate=300k".to_owned(), "queue=300ms".to_owned()];
        let expected = Command::Change { link: 2, which: Which::Down, settings };
        assert_eq!("link 2 down rate=300k queue=300ms\n".parse(), Ok(expected));
        assert_eq!("time".parse(), Ok(Command::Time));
    }

    #[test]
    fn everything_else_is_refused() {
        for line in ["", "link", "link x down", "link 0 sideways", "link -1 up", "time 3", "links"] {
            assert_eq!(line.parse::<Command>(), Err(CommandError::Unknown), "{line}");
        }
        let refused = "link 0 up rate=300k loss=lots".parse::<Command>();
        assert!(matches!(refused, Err(CommandError::Setting(SettingError::Value { .. }))), "{refused:?}");
    }
}
