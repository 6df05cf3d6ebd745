//! One layer of settings: what flags and variables gave, or what a file says.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Arg, Args, Command};
use serde::{Deserialize, Serialize};

use crate::config::bitrate::HumanBitrate;
use crate::config::duration::HumanDuration;
use crate::shard::Sharing;
use crate::telemetry::LogFormat;

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
    /// Threads that forward media, among which rooms are spread; one for each core unless given
    #[arg(long, env = "ROUNDTABLE_SHARDS", value_name = "NUMBER", help_heading = "Network")]
    pub shards: Option<u8>,
    /// How shards share UDP: one port for all, whose datagrams the kernel is told to tell apart; one, with hand-over of what comes to the wrong shard; or a port each, counted up from udp-port
    #[arg(long, env = "ROUNDTABLE_UDP_SHARING", value_name = "HOW", value_enum, help_heading = "Network")]
    pub udp_sharing: Option<Sharing>,
    /// How busy a shard may be, in percent of a core, before rooms are opened on another one; 0 to spread them from the first on
    #[arg(long, env = "ROUNDTABLE_GATHER_BELOW", value_name = "PERCENT", help_heading = "Network")]
    pub gather_below: Option<u8>,
    /// How busy a shard may be, in percent of a core, before further members of its rooms are connected to others
    #[arg(long, env = "ROUNDTABLE_SPREAD_ABOVE", value_name = "PERCENT", help_heading = "Network")]
    pub spread_above: Option<u8>,
    /// By how much a shard may be busier than the mean of all, in percent of a core, before whole rooms go from it to others
    #[arg(long, env = "ROUNDTABLE_REBALANCE_ABOVE", value_name = "PERCENT", help_heading = "Network")]
    pub rebalance_above: Option<u8>,
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
    /// Id of a key that signs tokens
    #[arg(long, env = "ROUNDTABLE_API_KEY", value_name = "ID", help_heading = "Access")]
    pub api_key: Option<String>,
    /// Secret of that key, at least 32 bytes. Visible to other users of this host: prefer --api-secret-file
    #[arg(long, env = "ROUNDTABLE_API_SECRET", value_name = "SECRET", hide_env_values = true, help_heading = "Access")]
    pub api_secret: Option<String>,
    /// File that holds that secret
    #[arg(long, env = "ROUNDTABLE_API_SECRET_FILE", value_name = "FILE", help_heading = "Access")]
    pub api_secret_file: Option<PathBuf>,
    /// File of keys, TOML or JSON, as `roundtable keys new` prints them; read again at SIGHUP
    #[arg(long, env = "ROUNDTABLE_KEYS_FILE", value_name = "FILE", help_heading = "Access")]
    pub keys_file: Option<PathBuf>,
    /// JWK set of those who sign tokens; read again at SIGHUP
    #[arg(long, env = "ROUNDTABLE_JWKS_FILE", value_name = "FILE", help_heading = "Access")]
    pub jwks_file: Option<PathBuf>,
    /// File of users who log in with a password, TOML or JSON, as `roundtable users add` writes it; read again at SIGHUP
    #[arg(long, env = "ROUNDTABLE_USERS_FILE", value_name = "FILE", help_heading = "Access")]
    pub users_file: Option<PathBuf>,
    /// Lets people in without a token though there are keys
    #[arg(
        long,
        env = "ROUNDTABLE_ALLOW_GUESTS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Access"
    )]
    pub allow_guests: Option<bool>,
    /// Insists on serving everybody who reaches http-listen from other hosts, without keys
    #[arg(
        long,
        env = "ROUNDTABLE_OPEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Access"
    )]
    pub open: Option<bool>,
    /// For trying things out on this machine: guests, short secrets, and the key «devkey» with the secret «secret»
    #[arg(
        long,
        env = "ROUNDTABLE_DEV",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Access"
    )]
    pub dev: Option<bool>,
    /// Issuer of the OpenID Connect provider where people may log in, to the letter, such as `https://login.example.org/realm`
    #[arg(long, env = "ROUNDTABLE_OIDC_ISSUER", value_name = "URL", help_heading = "Identity provider")]
    pub oidc_issuer: Option<String>,
    /// The id that this server has there
    #[arg(long, env = "ROUNDTABLE_OIDC_CLIENT_ID", value_name = "ID", help_heading = "Identity provider")]
    pub oidc_client_id: Option<String>,
    /// The secret that goes with it; a public client has none. Visible to other users of this host: prefer --oidc-client-secret-file
    #[arg(
        long,
        env = "ROUNDTABLE_OIDC_CLIENT_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        help_heading = "Identity provider"
    )]
    pub oidc_client_secret: Option<String>,
    /// File that holds that secret
    #[arg(long, env = "ROUNDTABLE_OIDC_CLIENT_SECRET_FILE", value_name = "FILE", help_heading = "Identity provider")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Where it sends browsers back to: this server as they reach it, with /login/oidc/callback at the end
    #[arg(long, env = "ROUNDTABLE_OIDC_REDIRECT_URL", value_name = "URL", help_heading = "Identity provider")]
    pub oidc_redirect_url: Option<String>,
    /// What the page calls the provider; its host unless given
    #[arg(long, env = "ROUNDTABLE_OIDC_NAME", value_name = "NAME", help_heading = "Identity provider")]
    pub oidc_name: Option<String>,
    /// What those are in rooms of whom no claim says so: host, speaker, listener or message-only
    #[arg(long, env = "ROUNDTABLE_OIDC_ROLE", value_name = "ROLE", help_heading = "Identity provider")]
    pub oidc_role: Option<String>,
    /// Claim whose word, or list of words, names the role, such as groups or realm_access.roles
    #[arg(long, env = "ROUNDTABLE_OIDC_ROLE_CLAIM", value_name = "CLAIM", help_heading = "Identity provider")]
    pub oidc_role_claim: Option<String>,
    /// Rooms that they may enter, such as daily or team-*. Repeatable
    #[arg(
        long,
        env = "ROUNDTABLE_OIDC_ROOMS",
        value_name = "PATTERN",
        value_delimiter = ',',
        help_heading = "Identity provider"
    )]
    pub oidc_rooms: Option<Vec<String>>,
    /// Rooms that may be open at once
    #[arg(long, env = "ROUNDTABLE_MAX_ROOMS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_rooms: Option<u32>,
    /// Rooms that one key may have, open or set up; as many as may be open unless given. `max-rooms` of a key in the keys file wins
    #[arg(long, env = "ROUNDTABLE_MAX_ROOMS_PER_KEY", value_name = "NUMBER", help_heading = "Limits")]
    pub max_rooms_per_key: Option<u32>,
    /// People one room may hold
    #[arg(long, env = "ROUNDTABLE_MAX_MEMBERS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_members: Option<u32>,
    /// People one client can see at once, at most 48
    #[arg(long, env = "ROUNDTABLE_MAX_SEATS", value_name = "NUMBER", help_heading = "Limits")]
    pub max_seats: Option<u16>,
    /// Talkers who are heard in a room of more than eight open microphones, 1 to 6; without a seat they are heard on as many voice slots
    #[arg(long, env = "ROUNDTABLE_VOICE_SLOTS", value_name = "NUMBER", help_heading = "Limits")]
    pub voice_slots: Option<u16>,
    /// Rooms have a lobby unless their settings say otherwise: whoever does not moderate waits to be let in
    #[arg(
        long,
        env = "ROUNDTABLE_LOBBY",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Limits"
    )]
    pub lobby: Option<bool>,
    /// Bits a second sent to one client at most, all media together, such as 4M or 800k; as much as fits unless given
    #[arg(long, env = "ROUNDTABLE_MAX_RECEIVE_BITRATE", value_name = "BITRATE", help_heading = "Quality")]
    pub max_receive_bitrate: Option<HumanBitrate>,
    /// Bits a second one client may send; who sends more for long has its largest track muted
    #[arg(long, env = "ROUNDTABLE_MAX_PUBLISH_BITRATE", value_name = "BITRATE", help_heading = "Quality")]
    pub max_publish_bitrate: Option<HumanBitrate>,
    /// Rows of a picture that is sent to clients at most, such as 360 or 720
    #[arg(long, env = "ROUNDTABLE_MAX_VIDEO_HEIGHT", value_name = "ROWS", help_heading = "Quality")]
    pub max_video_height: Option<u16>,
    /// Pictures a second that are sent to clients at most
    #[arg(long, env = "ROUNDTABLE_MAX_VIDEO_FPS", value_name = "NUMBER", help_heading = "Quality")]
    pub max_video_fps: Option<u8>,
    /// Pictures of others one client is sent at once at most: what it pins, screens, what it looks at, who spoke last
    #[arg(long, env = "ROUNDTABLE_LAST_N", value_name = "NUMBER", help_heading = "Quality")]
    pub last_n: Option<u16>,
    /// For how long the place of somebody is kept whose connection is lost; 0s for not at all
    #[arg(long, env = "ROUNDTABLE_RESUME_WITHIN", value_name = "DURATION", help_heading = "Rooms")]
    pub resume_within: Option<HumanDuration>,
    /// Directory for what is to outlive the process: chat, events, and who is in which room; without it all of that is lost when the server ends
    #[arg(long, env = "ROUNDTABLE_DATA_DIR", value_name = "DIR", help_heading = "Rooms")]
    pub data_dir: Option<PathBuf>,
    /// For how long chat is kept in the data directory; 0s for no longer than the room is open
    #[arg(long, env = "ROUNDTABLE_CHAT_RETENTION", value_name = "DURATION", help_heading = "Rooms")]
    pub chat_retention: Option<HumanDuration>,
    /// Chat messages of a room that are kept in the data directory; 0 for none once the room is closed
    #[arg(long, env = "ROUNDTABLE_CHAT_KEEP", value_name = "NUMBER", help_heading = "Rooms")]
    pub chat_keep: Option<u64>,
    /// Mebibytes of chat of one room that are kept in the data directory at most; then messages are refused until some go
    #[arg(long, env = "ROUNDTABLE_MAX_CHAT_PER_ROOM", value_name = "MIB", help_heading = "Limits")]
    pub max_chat_per_room: Option<u32>,
    /// Mebibytes of chat of all rooms of one key that are kept at most; as much as there is room for unless given
    #[arg(long, env = "ROUNDTABLE_MAX_CHAT_PER_KEY", value_name = "MIB", help_heading = "Limits")]
    pub max_chat_per_key: Option<u32>,
    /// How often one address may enter, a second; a burst of four times as many is let through; 0 for no limit. This machine is not limited
    #[arg(long, env = "ROUNDTABLE_MAX_JOINS_PER_IP", value_name = "NUMBER", help_heading = "Limits")]
    pub max_joins_per_ip: Option<u32>,
    /// Address of a proxy whose X-Forwarded-For names the client. Repeatable
    #[arg(
        long,
        env = "ROUNDTABLE_TRUSTED_PROXY",
        value_name = "ADDR",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub trusted_proxy: Option<Vec<IpAddr>>,
    /// How long those who are in a room may stay when the server is told to end (SIGTERM); 0s for not at all
    #[arg(long, env = "ROUNDTABLE_DRAIN_TIMEOUT", value_name = "DURATION", help_heading = "Rooms")]
    pub drain_timeout: Option<HumanDuration>,
    /// URL that every room event is posted to, signed as Standard Webhooks says: https, or this machine. Repeatable
    #[arg(long, env = "ROUNDTABLE_WEBHOOK", value_name = "URL", value_delimiter = ',', help_heading = "Webhooks")]
    pub webhook: Option<Vec<String>>,
    /// Secret that webhooks are signed with, whsec_ and base64; two while receivers change over. Visible to other users of this host: prefer --webhook-secret-file
    #[arg(
        long,
        env = "ROUNDTABLE_WEBHOOK_SECRET",
        value_name = "SECRET",
        value_delimiter = ',',
        hide_env_values = true,
        help_heading = "Webhooks"
    )]
    pub webhook_secret: Option<Vec<String>>,
    /// File that holds the secret, or two on a line each
    #[arg(long, env = "ROUNDTABLE_WEBHOOK_SECRET_FILE", value_name = "FILE", help_heading = "Webhooks")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Types of events that are posted, such as joined,left; all unless given. Repeatable
    #[arg(
        long,
        env = "ROUNDTABLE_WEBHOOK_TYPES",
        value_name = "TYPE",
        value_delimiter = ',',
        help_heading = "Webhooks"
    )]
    pub webhook_types: Option<Vec<String>>,
    /// Lets webhooks go to addresses that are not public, and there by plain http
    #[arg(
        long,
        env = "ROUNDTABLE_WEBHOOK_ALLOW_PRIVATE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        help_heading = "Webhooks"
    )]
    pub webhook_allow_private: Option<bool>,
    /// How long an event is tried before it is given up, at most 7d
    #[arg(long, env = "ROUNDTABLE_WEBHOOK_GIVE_UP", value_name = "DURATION", help_heading = "Webhooks")]
    pub webhook_give_up: Option<HumanDuration>,
    /// What is logged: error, warn, info, debug or trace, also by module as in info,roundtable::shard=debug
    #[arg(long, env = "ROUNDTABLE_LOG", value_name = "FILTER", help_heading = "Logging")]
    pub log: Option<String>,
    /// How it is logged; auto is text on a terminal and JSON otherwise
    #[arg(long, env = "ROUNDTABLE_LOG_FORMAT", value_name = "FORMAT", value_enum, help_heading = "Logging")]
    pub log_format: Option<LogFormat>,
    /// Records what the media plane of one room is told, without its media, to this file, for roundtable replay
    #[arg(long, env = "ROUNDTABLE_RECORD_TRACE", value_name = "FILE", help_heading = "Recording")]
    pub record_trace: Option<PathBuf>,
    /// The room to record; the first one opened unless given
    #[arg(long, env = "ROUNDTABLE_RECORD_ROOM", value_name = "ROOM", help_heading = "Recording")]
    pub record_room: Option<String>,
    /// Mebibytes of the recording at most; the room outlasts it
    #[arg(long, env = "ROUNDTABLE_RECORD_TRACE_MAX", value_name = "MIB", help_heading = "Recording")]
    pub record_trace_max: Option<u32>,
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
    /// What flags and variables gave; `from_variables` names the keys that came from variables.
    #[must_use]
    pub fn new(config: Option<PathBuf>, settings: Settings, from_variables: Vec<String>) -> Self {
        Self { config, settings, from_variables }
    }

    /// Whether the setting came from its variable.
    #[must_use]
    pub fn is_from_variable(&self, key: &str) -> bool {
        self.from_variables.iter().any(|k| k == key)
    }
}

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub settings: Settings,
    /// The line of each key.
    pub lines: BTreeMap<String, usize>,
}

/// The definition of each setting, for documentation and tests.
#[must_use]
pub fn setting_arguments() -> Vec<Arg> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}
