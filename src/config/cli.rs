//! The command line: every setting as a flag and as a variable, and the subcommands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use roundtable_protocol::Role;

use crate::config::duration::HumanDuration;
use crate::config::issue::TokenWish;
use crate::config::layer::{Given, Settings, setting_arguments};
use crate::config::people::UserWish;
use crate::config::settings;
use crate::replay::ReplayOptions;

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
    /// Prints a token
    Token(Box<TokenArgs>),
    /// Makes keys that sign tokens, and looks them over
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Adds users who log in with a password, which is read from standard input
    #[command(subcommand)]
    Users(UsersCommand),
    /// Prints what a recorded media plane decided, and why
    Replay(ReplayArgs),
    /// Puts load on a server and says what it costs
    #[command(subcommand_value_name = "SCENARIO", subcommand_help_heading = "Scenarios")]
    Bench(Box<roundtable_loadtest::Options>),
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

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Prints a fresh key in the form of a keys file
    New,
    /// Checks a file of keys, or a JWK set, and says what is in it
    Check {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Adds a user to a file, which is made if it is not there; the password is a line on standard input
    Add(UserArgs),
    /// Prints the hash of the password that is a line on standard input
    Hash,
    /// Checks a file of users and says who is in it
    Check {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct UserArgs {
    /// The file of users, TOML
    #[arg(long, value_name = "FILE", env = "ROUNDTABLE_USERS_FILE")]
    users_file: PathBuf,
    /// The name to log in with, which is the identity in rooms too
    name: String,
    /// The name others see; the same unless given
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// What they are in rooms: host, speaker, listener or message-only
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Rooms they may enter, such as daily or team-*; every one unless given. Repeatable
    #[arg(long = "room", value_name = "PATTERN", value_delimiter = ',')]
    rooms: Vec<String>,
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// Id of the key to sign with; needless with --keys-file, whose first key that signs is taken
    #[arg(long, value_name = "ID", env = "ROUNDTABLE_API_KEY")]
    key: Option<String>,
    /// File that holds the secret of that key
    #[arg(long, value_name = "FILE", env = "ROUNDTABLE_API_SECRET_FILE", conflicts_with = "keys_file")]
    secret_file: Option<PathBuf>,
    /// File of keys
    #[arg(long, value_name = "FILE", env = "ROUNDTABLE_KEYS_FILE")]
    keys_file: Option<PathBuf>,
    /// Signs with the key of a server that was started with --dev
    #[arg(long)]
    dev: bool,
    /// The room; without it, a token for the HTTP API
    #[arg(long)]
    room: Option<String>,
    /// Who its bearer is to you, at most 128 bytes
    #[arg(long)]
    identity: Option<String>,
    /// The name others see
    #[arg(long)]
    name: Option<String>,
    /// What others may know of its bearer besides
    #[arg(long)]
    metadata: Option<String>,
    /// The same by key. Repeatable
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<String>,
    /// What its bearer is in the room: host, speaker, listener or message-only
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// How long it lives, at most 24h
    #[arg(long, value_name = "DURATION", default_value = "6h")]
    ttl: HumanDuration,
    /// A permission over those of the role, such as roomAdmin, canPublish=false or canPublishSources=camera,microphone. Repeatable
    #[arg(long = "grant", value_name = "NAME[=VALUE]")]
    grants: Vec<String>,
}

fn role(word: &str) -> Result<Role, String> {
    let known = Role::ALL.into_iter().find(|role| role.as_str() == word);
    known.ok_or_else(|| format!("one of {}", Role::ALL.map(Role::as_str).join(", ")))
}

impl From<TokenArgs> for TokenWish {
    fn from(args: TokenArgs) -> Self {
        let TokenArgs {
            key,
            secret_file,
            keys_file,
            dev,
            room,
            identity,
            name,
            metadata,
            attributes,
            role,
            ttl,
            grants,
        } = args;
        Self { key, secret_file, keys_file, dev, room, identity, name, metadata, attributes, role, ttl: ttl.0, grants }
    }
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// The file that --record-trace wrote
    file: PathBuf,
    /// Only what concerns this peer, by its number in the trace
    #[arg(long, value_name = "NUMBER")]
    peer: Option<u32>,
    /// An object of JSON a line, rather than text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Args)]
struct ServeArgs {
    /// TOML file with settings; a key is the name of the flag
    #[arg(long, value_name = "FILE", env = "ROUNDTABLE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
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
    /// Print a token.
    Token(Box<TokenWish>),
    /// Print a fresh key.
    NewKey,
    /// Check a file of keys.
    CheckKeys(PathBuf),
    /// Add a user to a file.
    AddUser(PathBuf, UserWish),
    /// Print the hash of a password.
    HashPassword,
    /// Check a file of users.
    CheckUsers(PathBuf),
    /// Print what a recorded plane decided.
    Replay(ReplayOptions),
    /// Put load on a server.
    Bench(Box<roundtable_loadtest::Options>),
    /// Print the protocol's schema.
    Schema,
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
        (Some(Subcommands::Token(args)), _) => Action::Token(Box::new((*args).into())),
        (Some(Subcommands::Keys(KeysCommand::New)), _) => Action::NewKey,
        (Some(Subcommands::Keys(KeysCommand::Check { file })), _) => Action::CheckKeys(file),
        (Some(Subcommands::Users(UsersCommand::Add(args))), _) => {
            let UserArgs { users_file, name, display_name, role, rooms } = args;
            Action::AddUser(users_file, UserWish { name, display_name, role, rooms })
        }
        (Some(Subcommands::Users(UsersCommand::Hash)), _) => Action::HashPassword,
        (Some(Subcommands::Users(UsersCommand::Check { file })), _) => Action::CheckUsers(file),
        (Some(Subcommands::Replay(ReplayArgs { file, peer, json })), _) => {
            Action::Replay(ReplayOptions { file, peer, json })
        }
        (Some(Subcommands::Bench(options)), _) => Action::Bench(options),
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
    Given::new(args.config, args.settings, from_variables)
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
