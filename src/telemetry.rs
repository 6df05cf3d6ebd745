//! Sets tracing up: text for people, JSON for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged: `info`, or `info,roundtable::shard=debug` and the like.
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Directives that stand before the operator's own. These libraries report each hostile datagram as
/// if it were news; what matters of it is counted by us. Naming one of them in the filter undoes that.
const QUIET: &str = "sctp_proto=off,rtc_=error";

/// Checks a filter.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse_filter(filter).map(|_| ())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(format!("{QUIET},{filter}")).map_err(|error| error.to_string())
}

/// Installs the process's subscriber; logs go to standard error.
///
/// # Errors
/// The filter is not one, or a subscriber is installed already.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = parse_filter(&config.filter).map_err(TelemetryError::Filter)?;
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(terminal);
    match (config.format, terminal) {
        (LogFormat::Text, _) | (LogFormat::Auto, true) => builder.finish().try_init()?,
        (LogFormat::Json, _) | (LogFormat::Auto, false) => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Why tracing could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("the log filter could not be read: {0}")]
    Filter(String),
    /// Something else in the process logs already.
    #[error(transparent)]
    Installed(#[from] TryInitError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chatty_libraries_are_quiet_until_one_asks_for_them() {
        let filter = parse_filter("debug").unwrap().to_string();
        assert!(filter.contains("sctp_proto=off") && filter.contains("rtc_=error"), "{filter}");
        let filter = parse_filter("info,sctp_proto=trace").unwrap().to_string();
        assert!(filter.contains("sctp_proto=trace") && !filter.contains("sctp_proto=off"), "{filter}");
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert_eq!(check_filter("info,roundtable::shard=debug"), Ok(()));
        assert!(check_filter("roundtable=loudly").is_err());
    }
}
