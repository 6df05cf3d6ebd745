//! Lays the layers of settings over each other: flag over variable over file over default.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use roundtable_protocol::limit::MAX_SEATS;

use crate::config::duration::HumanDuration;
use crate::config::layer::{File, Given, Settings};
use crate::shard::Sharing;
use crate::telemetry::{LogConfig, LogFormat};

/// Where the page is unless told otherwise.
pub const DEFAULT_HTTP_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7880);
/// The UDP port unless told otherwise.
pub const DEFAULT_UDP_PORT: u16 = 7882;
/// How busy a shard may be before rooms are opened on another one unless told otherwise, in percent.
pub const DEFAULT_GATHER_BELOW: u8 = 20;
/// How busy a shard may be before its rooms spread unless told otherwise, in percent.
pub const DEFAULT_SPREAD_ABOVE: u8 = 50;
/// By how much a shard may be busier than the mean before rooms go from it to others, in percent of a core.
pub const DEFAULT_REBALANCE_ABOVE: u8 = 3;
/// Life of a TURN credential unless told otherwise.
pub const DEFAULT_TURN_TTL: Duration = Duration::from_secs(4 * 60 * 60);
/// What those are in rooms who log in at the identity provider unless told otherwise.
pub const DEFAULT_OIDC_ROLE: &str = "speaker";
/// Rooms that may be open unless told otherwise.
pub const DEFAULT_MAX_ROOMS: u32 = 500;
/// Mebibytes of chat of one room that are kept unless told otherwise.
pub const DEFAULT_MAX_CHAT_PER_ROOM: u32 = 128;
/// People in a room unless told otherwise.
pub const DEFAULT_MAX_MEMBERS: u32 = 2_000;
/// Talkers heard in a room of many microphones unless told otherwise.
pub const DEFAULT_VOICE_SLOTS: u16 = 3;

/// For how long the place of somebody is kept whose connection is lost unless told otherwise.
pub const DEFAULT_RESUME_WITHIN: Duration = Duration::from_secs(60);
/// For how long chat is kept unless told otherwise.
pub const DEFAULT_CHAT_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages that are kept of a room unless told otherwise.
pub const DEFAULT_CHAT_KEEP: u64 = 10_000;

/// How often one address may enter a second unless told otherwise.
pub const DEFAULT_JOINS_PER_IP: u32 = 10;
/// How long those who are in a room may stay when the server is told to end unless told otherwise.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an event is tried before a webhook gives it up unless told otherwise.
pub const DEFAULT_WEBHOOK_GIVE_UP: Duration = Duration::from_secs(24 * 60 * 60);

/// Mebibytes of a recording unless told otherwise: about an hour of a room of ten.
pub const DEFAULT_RECORD_TRACE_MAX: u32 = 256;

/// The keys whose values are never shown.
const SECRETS: [&str; 5] = ["turn-secret", "turn-pass", "api-secret", "oidc-client-secret", "webhook-secret"];

/// Where a value comes from, from weakest to strongest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File {
        /// Which.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// The environment variable of this name.
    Variable(String),
    /// The flag.
    Flag,
}

impl Origin {
    /// How strong the origin is, whatever its details.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Variable(_) => 2,
            Self::Flag => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A value that can be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// As it is.
    Value(toml::Value),
    /// It is set, and that is all that is said about it.
    Secret,
    /// It has no value.
    Unset,
}

impl Shown {
    /// The value without quotes; none if there is nothing to show.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Value(toml::Value::String(text)) => Some(text.clone()),
            Self::Value(toml::Value::Array(values)) if values.is_empty() => None,
            Self::Value(value) => Some(value.to_string()),
            Self::Secret | Self::Unset => None,
        }
    }
}

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key in the file; with two dashes before it, its flag.
    pub key: String,
    /// Its value.
    pub value: Shown,
    /// Where that comes from.
    pub origin: Origin,
}

/// As a line of a settings file with the origin as its comment.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, origin } = self;
        match value {
            Shown::Value(value) => write!(f, "{key} = {value}  # {origin}"),
            Shown::Secret => write!(f, "# {key} is set and not shown  # {origin}"),
            Shown::Unset => write!(f, "# {key} is not set"),
        }
    }
}

/// All settings in force.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The values.
    pub settings: Settings,
    /// The same to show, in the order of the help.
    pub shown: Vec<Setting>,
}

impl Merged {
    /// Where the value of `key` comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.shown.iter().find(|setting| setting.key == key).map_or(Origin::Default, |setting| setting.origin.clone())
    }
}

/// Lays flags and variables over the file over the defaults.
#[must_use]
pub fn merge(given: &Given, file: &File) -> Merged {
    let default = default_settings();
    let mut shown = Vec::new();
    // The struct literal keeps the list complete: a field that is missing here does not compile.
    macro_rules! merge {
        ($($field:ident),+ $(,)?) => {
            Settings {
                $($field: {
                    let key = stringify!($field).replace('_', "-");
                    let origin = if given.settings.$field.is_some() {
                        origin_of_given(given, &key)
                    } else if file.settings.$field.is_some() {
                        Origin::File { path: file.path.clone(), line: file.lines.get(&key).copied().unwrap_or(1) }
                    } else {
                        Origin::Default
                    };
                    let layers = [&given.settings.$field, &file.settings.$field, &default.$field];
                    let value = layers.into_iter().find_map(Clone::clone);
                    shown.push(Setting { value: show(&key, value.as_ref()), key, origin });
                    value
                },)+
            }
        };
    }
    let settings = merge!(
        http_listen,
        udp_port,
        udp_listen,
        public_ip,
        no_ipv6,
        shards,
        udp_sharing,
        gather_below,
        spread_above,
        rebalance_above,
        allowed_origin,
        tls_cert,
        tls_key,
        stun,
        turn,
        turn_secret,
        turn_secret_file,
        turn_ttl,
        turn_user,
        turn_pass,
        turn_pass_file,
        api_key,
        api_secret,
        api_secret_file,
        keys_file,
        jwks_file,
        users_file,
        allow_guests,
        open,
        dev,
        oidc_issuer,
        oidc_client_id,
        oidc_client_secret,
        oidc_client_secret_file,
        oidc_redirect_url,
        oidc_name,
        oidc_role,
        oidc_role_claim,
        oidc_rooms,
        max_rooms,
        max_rooms_per_key,
        max_members,
        max_seats,
        voice_slots,
        lobby,
        max_receive_bitrate,
        max_publish_bitrate,
        max_video_height,
        max_video_fps,
        last_n,
        resume_within,
        data_dir,
        chat_retention,
        chat_keep,
        max_chat_per_room,
        max_chat_per_key,
        max_joins_per_ip,
        trusted_proxy,
        drain_timeout,
        webhook,
        webhook_secret,
        webhook_secret_file,
        webhook_types,
        webhook_allow_private,
        webhook_give_up,
        log,
        log_format,
        record_trace,
        record_room,
        record_trace_max,
    );
    Merged { settings, shown }
}

/// Every setting with its default.
#[must_use]
pub fn defaults() -> Vec<Setting> {
    merge(&Given::default(), &File::default()).shown
}

fn origin_of_given(given: &Given, key: &str) -> Origin {
    if given.is_from_variable(key) {
        Origin::Variable(format!("ROUNDTABLE_{}", key.replace('-', "_").to_uppercase()))
    } else {
        Origin::Flag
    }
}

fn show<T: serde::Serialize>(key: &str, value: Option<&T>) -> Shown {
    match value {
        None => Shown::Unset,
        Some(_) if SECRETS.contains(&key) => Shown::Secret,
        // Only a path that is not UTF-8 has no TOML form.
        Some(value) => toml::Value::try_from(value).map_or(Shown::Unset, Shown::Value),
    }
}

fn default_settings() -> Settings {
    let LogConfig { filter, .. } = LogConfig::default();
    Settings {
        http_listen: Some(DEFAULT_HTTP_LISTEN),
        udp_port: Some(DEFAULT_UDP_PORT),
        udp_listen: Some(Vec::new()),
        public_ip: Some(Vec::new()),
        no_ipv6: Some(false),
        udp_sharing: Some(Sharing::default()),
        gather_below: Some(DEFAULT_GATHER_BELOW),
        spread_above: Some(DEFAULT_SPREAD_ABOVE),
        rebalance_above: Some(DEFAULT_REBALANCE_ABOVE),
        allowed_origin: Some(Vec::new()),
        stun: Some(Vec::new()),
        turn: Some(Vec::new()),
        turn_ttl: Some(HumanDuration(DEFAULT_TURN_TTL)),
        allow_guests: Some(false),
        open: Some(false),
        dev: Some(false),
        oidc_issuer: None,
        oidc_client_id: None,
        oidc_client_secret: None,
        oidc_client_secret_file: None,
        oidc_redirect_url: None,
        oidc_name: None,
        oidc_role: Some(DEFAULT_OIDC_ROLE.to_owned()),
        oidc_role_claim: None,
        oidc_rooms: Some(vec!["*".to_owned()]),
        max_rooms: Some(DEFAULT_MAX_ROOMS),
        max_rooms_per_key: None,
        max_members: Some(DEFAULT_MAX_MEMBERS),
        max_seats: Some(MAX_SEATS),
        voice_slots: Some(DEFAULT_VOICE_SLOTS),
        lobby: Some(false),
        webhook: Some(Vec::new()),
        webhook_types: Some(Vec::new()),
        webhook_allow_private: Some(false),
        webhook_give_up: Some(HumanDuration(DEFAULT_WEBHOOK_GIVE_UP)),
        log: Some(filter),
        log_format: Some(LogFormat::Auto),
        record_trace_max: Some(DEFAULT_RECORD_TRACE_MAX),
        shards: None,
        tls_cert: None,
        tls_key: None,
        turn_secret: None,
        api_key: None,
        api_secret: None,
        api_secret_file: None,
        keys_file: None,
        jwks_file: None,
        users_file: None,
        turn_secret_file: None,
        turn_user: None,
        turn_pass: None,
        turn_pass_file: None,
        record_trace: None,
        record_room: None,
        max_receive_bitrate: None,
        max_publish_bitrate: None,
        max_video_height: None,
        max_video_fps: None,
        last_n: None,
        resume_within: Some(HumanDuration(DEFAULT_RESUME_WITHIN)),
        data_dir: None,
        chat_retention: Some(HumanDuration(DEFAULT_CHAT_RETENTION)),
        chat_keep: Some(DEFAULT_CHAT_KEEP),
        max_chat_per_room: Some(DEFAULT_MAX_CHAT_PER_ROOM),
        max_chat_per_key: None,
        max_joins_per_ip: Some(DEFAULT_JOINS_PER_IP),
        trusted_proxy: Some(Vec::new()),
        drain_timeout: Some(HumanDuration(DEFAULT_DRAIN_TIMEOUT)),
        webhook_secret: None,
        webhook_secret_file: None,
    }
}
