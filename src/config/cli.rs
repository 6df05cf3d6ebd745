//! The command line: every setting as a flag and as a variable, and the subcommands.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::config::duration::HumanDuration;
use crate::config::settings;
use crate::telemetry::LogFormat;

/// A WebRTC selective forwarding unit: multi-party video rooms in one binary.
///
/// Without a subcommand it serves. A setting comes from its flag, else from its variable, else from
/// the file that --config names, else from its default.
#[derive(Debug, Parser)]
#[command(name = "roundtable", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serves rooms until it is told to stop (the default)
    Serve(Box<ServeArgs>),
    /// Shows or checks settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints the JSON Schema of the signalling protocol
    Schema,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints every setting, its value and where that comes from; secrets are left out
    Print(Box<ServeArgs>),
    /// Checks a file without serving
    Check {
        /// The TOML file
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
struct ServeArgs {
    /// TOML file with settings; a key is the name of the flag
    #[arg(long, value_name = "FILE", env = "ROUNDTABLE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// All settings as they were given in one layer. What was not given there is `None`.
///
/// The name of a field is its key in the file and, with dashes, its flag.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// Address and port for the page, the WebSocket and the HTTP API; browsers give the camera to https and localhost only
    #[arg(long, env = "ROUNDTABLE_HTTP_LISTEN", value_name = "ADDR:PORT", help_heading = "Network")]
    pub http_listen: Option<SocketAddr>,
    /// The one UDP port for everybody's media
    #[arg(long, env = "ROUNDTABLE_UDP_PORT", value_name = "PORT", help_heading = "Network")]
    pub udp_port: Option<u16>,
    /// Local address to receive media on, one of IPv4 and one of IPv6 at most; every interface unless given. Repeatable
    #[arg(long, env = "ROUNDTABLE_UDP_LISTEN", value_name = "ADDR", value_delimiter = ',', help_heading = "Network")]
    pub udp_listen: Option<Vec<IpAddr>>,
    /// Addresses under which clients reach this host from outside, such as that of a NAT with the UDP port forwarded. Repeatable
    #[arg(long, env = "ROUNDTABLE_PUBLIC_IP", value_name = "ADDR", value_delimiter = ',', help_heading = "Network")]
    pub public_ip: Option<Vec<IpAddr>>,
    /// Leaves IPv6 out of the media addresses
    #[arg(
        long,
        env = "ROUNDTABLE_NO_IPV6",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Network"
    )]
    pub no_ipv6: Option<bool>,
    /// Web origins besides the server's own that may open a WebSocket or read the API, such as `https://example.org`; `*` is every one. Repeatable
    #[arg(
        long,
        env = "ROUNDTABLE_ALLOWED_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub allowed_origin: Option<Vec<String>>,
    /// Certificate chain, PEM; serves https together with --tls-key
    #[arg(long, env = "ROUNDTABLE_TLS_CERT", value_name = "FILE", help_heading = "TLS")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, env = "ROUNDTABLE_TLS_KEY", value_name = "FILE", help_heading = "TLS")]
    pub tls_key: Option<PathBuf>,
    /// STUN servers for clients, such as stun:stun.example.org:3478. Repeatable
    #[arg(long, env = "ROUNDTABLE_STUN", value_name = "URL", value_delimiter = ',', help_heading = "STUN and TURN")]
    pub stun: Option<Vec<String>>,
    /// TURN servers for clients, such as turn:turn.example.org:3478?transport=udp. Repeatable
    #[arg(long, env = "ROUNDTABLE_TURN", value_name = "URL", value_delimiter = ',', help_heading = "STUN and TURN")]
    pub turn: Option<Vec<String>>,
    /// Secret shared with the TURN server, from which each member gets a password that ends by itself (coturn: use-auth-secret). Visible to other users of this host: prefer --turn-secret-file
    #[arg(
        long,
        env = "ROUNDTABLE_TURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        help_heading = "STUN and TURN"
    )]
    pub turn_secret: Option<String>,
    /// File that holds the shared secret
    #[arg(long, env = "ROUNDTABLE_TURN_SECRET_FILE", value_name = "FILE", help_heading = "STUN and TURN")]
    pub turn_secret_file: Option<PathBuf>,
    /// How long a password made from the shared secret lives, at most 24h
    #[arg(long, env = "ROUNDTABLE_TURN_TTL", value_name = "DURATION", help_heading = "STUN and TURN")]
    pub turn_ttl: Option<HumanDuration>,
    /// User name at the TURN server, the same for everybody, instead of a shared secret
    #[arg(long, env = "ROUNDTABLE_TURN_USER", value_name = "NAME", help_heading = "STUN and TURN")]
    pub turn_user: Option<String>,
    /// Password of that user. Visible to other users of this host: prefer --turn-pass-file
    #[arg(
        long,
        env = "ROUNDTABLE_TURN_PASS",
        value_name = "PASSWORD",
        hide_env_values = true,
        help_heading = "STUN and TURN"
    )]
    pub turn_pass: Option<String>,
    /// File that holds that password
    #[arg(long, env = "ROUNDTABLE_TURN_PASS_FILE", value_name = "FILE", help_heading = "STUN and TURN")]
    pub turn_pass_file: Option<PathBuf>,
    /// Rooms that may be open at once
    #[arg(long, env = "ROUNDTABLE_MAX_ROOMS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_rooms: Option<u32>,
    /// People one room may hold
    #[arg(long, env = "ROUNDTABLE_MAX_MEMBERS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_members: Option<u32>,
    /// People one client can see at once, at most 48
    #[arg(long, env = "ROUNDTABLE_MAX_SEATS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_seats: Option<u16>,
    /// What is logged: error, warn, info, debug or trace, also by module as in info,roundtable::shard=debug
    #[arg(long, env = "ROUNDTABLE_LOG", value_name = "FILTER", help_heading = "Logging")]
    pub log: Option<String>,
    /// How it is logged; auto is text on a terminal and JSON otherwise
    #[arg(long, env = "ROUNDTABLE_LOG_FORMAT", value_name = "FORMAT", value_enum, help_heading = "Logging")]
    pub log_format: Option<LogFormat>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    /// Serve with these settings.
    Serve(Given),
    /// Print the settings.
    PrintConfig(Given),
    /// Check a file.
    CheckConfig(PathBuf),
    /// Print the protocol's schema.
    Schema,
}

/// Settings from flags and variables, with the memory of which is which.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The file to read, if any.
    pub config: Option<PathBuf>,
    /// What was given.
    pub settings: Settings,
    /// Keys that came from variables; the other ones came from flags.
    from_variables: Vec<String>,
}

impl Given {
    /// Whether the setting came from its variable.
    #[must_use]
    pub fn is_from_variable(&self, key: &str) -> bool {
        self.from_variables.iter().any(|k| k == key)
    }
}

/// Reads the command line and the variables.
///
/// # Errors
/// clap's, which prints itself and knows its exit code; `--help` and `--version` come that way too.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(match (cli.command, matches.subcommand()) {
        (Some(Subcommands::Serve(args)), Some((_, matches))) => Action::Serve(given(*args, matches)),
        (Some(Subcommands::Config(ConfigCommand::Print(args))), Some((_, config))) => {
            // The subcommand is there, for it was parsed; its own matches only say where values came from.
            Action::PrintConfig(given(*args, config.subcommand().map_or(config, |(_, matches)| matches)))
        }
        (Some(Subcommands::Config(ConfigCommand::Check { file })), _) => Action::CheckConfig(file),
        (Some(Subcommands::Schema), _) => Action::Schema,
        _ => Action::Serve(given(cli.serve, &matches)),
    })
}

fn given(args: ServeArgs, matches: &ArgMatches) -> Given {
    let from_variables = setting_arguments()
        .iter()
        .map(|argument| argument.get_id().as_str())
        .filter(|id| matches.value_source(id) == Some(ValueSource::EnvVariable))
        .map(|id| id.replace('_', "-"))
        .collect();
    Given { config: args.config, settings: args.settings, from_variables }
}

/// The whole command line, with the default of each setting in its help.
#[must_use]
pub fn command() -> Command {
    fn with_defaults(command: Command, defaults: &[settings::Setting]) -> Command {
        command.mut_args(|argument| with_default(argument, defaults)).mut_subcommands(|c| with_defaults(c, defaults))
    }
    with_defaults(Cli::command(), &settings::defaults())
}

fn with_default(argument: Arg, defaults: &[settings::Setting]) -> Arg {
    let default = argument
        .get_long()
        .and_then(|long| defaults.iter().find(|setting| setting.key == long))
        .and_then(|setting| setting.value.plain());
    match (default, argument.get_help().cloned()) {
        (Some(default), Some(help)) => argument.help(format!("{help} [default: {default}]")),
        _ => argument,
    }
}

/// The definition of each setting, for documentation and tests.
#[must_use]
pub fn setting_arguments() -> Vec<Arg> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}
