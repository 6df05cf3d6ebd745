//! Settings: from what was given to what each part of the server needs. All checks are here.

mod access;
pub mod bitrate;
pub mod cli;
pub mod duration;
pub mod file;
pub mod issue;
pub mod layer;
mod oidc;
pub mod people;
pub mod settings;
mod webhook;

#[cfg(test)]
mod tests;

use std::fs::File as SystemFile;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roundtable_protocol::RoomId;
use roundtable_protocol::grant::{MIN_BITRATE_BPS, MemberLimits, QualityLimits};
use roundtable_protocol::limit::{MAX_SEATS, MAX_VOICE_SLOTS};

pub use self::access::AuthConfig;
use self::bitrate::HumanBitrate;
use self::duration::HumanDuration;
use self::file::FileError;
use self::layer::{File, Given, Settings};
use self::settings::{Merged, Origin, Setting};
pub use crate::auth::{ApiKey, BadPattern, KeyError, KeySources, RoomPatterns, UsersError};
pub use crate::login::{BadProviderUrl, OidcConfig, ProviderUrl};
pub use crate::shard::Sharing;
pub use crate::shard::tape::RecordConfig;
pub use crate::telemetry::{LogConfig, LogFormat};
pub use crate::turn::credential::Secret;
use crate::turn::url::{InvalidUrl, UrlKind, check_url};
pub use crate::turn::{IceConfig, TurnAuth, TurnConfig};
pub use crate::webhook::{BadSecret, BadUrl, Patience, SigningSecret, WebhookConfig, WebhookUrl};

/// Longest life of a TURN credential.
pub const MAX_TURN_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time for which a place can be kept.
pub const MAX_RESUME_WITHIN: Duration = Duration::from_secs(60 * 60);
/// Longest time for which people can stay when the server is told to end.
pub const MAX_DRAIN_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most rooms one can allow.
pub const MAX_ROOMS: u32 = 10_000;
/// Most shards one can ask for.
pub const MAX_SHARDS: u8 = 128;
/// Most people in a room one can allow.
pub const MAX_MEMBERS: u32 = 20_000;
/// Mebibytes of a recording one can allow.
pub const MAX_RECORD_TRACE: u32 = 4_096;
/// The largest bit rate one can set.
const MAX_BITRATE: HumanBitrate = HumanBitrate(1_000_000_000);
/// Longest secret read from a file, in bytes.
const MAX_SECRET_BYTES: u64 = 4_096;

/// Everything the server needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The page, the WebSocket and the HTTP API.
    pub http: HttpConfig,
    /// Where media goes.
    pub media: MediaConfig,
    /// Who may come.
    pub auth: AuthConfig,
    /// What clients are given to find their way.
    pub ice: IceConfig,
    /// How much is allowed.
    pub limits: LimitsConfig,
    /// What rooms outlive.
    pub rooms: RoomsConfig,
    /// Who is told of events by HTTP.
    pub webhooks: WebhookConfig,
    /// What is logged; the library itself installs nothing.
    pub log: LogConfig,
    /// The room whose media plane is recorded, if any.
    pub record: Option<RecordConfig>,
}

/// The HTTP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serves https if it is there.
    pub tls: Option<TlsConfig>,
    /// Web origins besides the server's own, like `https://example.org`; `*` is every one.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` names the client.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: settings::DEFAULT_HTTP_LISTEN,
            tls: None,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// Where media goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// The one UDP port; 0 takes a free one.
    pub udp_port: u16,
    /// Local addresses to bind, at most one of each family; every interface if there are none.
    pub udp_listen: Vec<IpAddr>,
    /// Addresses by which this host is known outside.
    pub public_ips: Vec<IpAddr>,
    /// Whether IPv6 is used where the host has it.
    pub ipv6: bool,
    /// Threads that forward media, among which rooms are spread; as many as there are cores if `None`.
    pub shards: Option<u8>,
    /// How they share what is bound.
    pub sharing: Sharing,
    /// How busy a shard may be, in percent of a core, before rooms are opened on another one.
    pub gather_below: u8,
    /// How busy a shard may be, in percent of a core, before further members of its rooms are connected to others.
    pub spread_above: u8,
    /// By how much a shard may be busier than the mean, in percent of a core, before whole rooms go from it to others.
    pub rebalance_above: u8,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            udp_port: settings::DEFAULT_UDP_PORT,
            udp_listen: Vec::new(),
            public_ips: Vec::new(),
            ipv6: true,
            shards: None,
            sharing: Sharing::default(),
            gather_below: settings::DEFAULT_GATHER_BELOW,
            spread_above: settings::DEFAULT_SPREAD_ABOVE,
            rebalance_above: settings::DEFAULT_REBALANCE_ABOVE,
        }
    }
}

/// What rooms outlive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomsConfig {
    /// For how long the place of a member is kept whose connection is lost, at most [`MAX_RESUME_WITHIN`]; zero for not at
    /// all.
    pub resume_within: Duration,
    /// Where that is kept which is to outlive the process; nothing does without it.
    pub data_dir: Option<PathBuf>,
    /// For how long chat is kept there; zero for no longer than the room is open.
    pub chat_retention: Duration,
    /// Chat messages of a room that are kept there; 0 for none once the room is closed.
    pub chat_keep: u64,
    /// How long those who are in a room may stay when the server is told to end, at most [`MAX_DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self {
            resume_within: settings::DEFAULT_RESUME_WITHIN,
            data_dir: None,
            chat_retention: settings::DEFAULT_CHAT_RETENTION,
            chat_keep: settings::DEFAULT_CHAT_KEEP,
            drain_timeout: settings::DEFAULT_DRAIN_TIMEOUT,
        }
    }
}

/// How much is allowed. What costs the server memory is never unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Rooms open at once, at most [`MAX_ROOMS`]; another one is refused with `room/too-many`.
    pub rooms: u32,
    /// Rooms of one key; another one is refused with `room/key-quota`. As many as there may be if `None`.
    pub rooms_per_key: Option<u32>,
    /// Mebibytes of chat of one room that are kept at most; further messages are refused with `chat/full`.
    pub chat_per_room: u32,
    /// The same of all rooms of one key; as much as there is room for if `None`.
    pub chat_per_key: Option<u32>,
    /// People in one room, at most [`MAX_MEMBERS`]; another one is refused with `room/full`.
    pub members: u32,
    /// Seats of one client, at most [`MAX_SEATS`]; who wants more gets these.
    pub seats: u16,
    /// Talkers who are heard in a room of more than eight open microphones, and voice slots of one client for those who
    /// have no seat with it; 1 to [`MAX_VOICE_SLOTS`].
    pub voice_slots: u16,
    /// How often one address may enter a second, with a burst of four times as many; 0 for no limit.
    pub joins_per_ip: u32,
    /// Whether rooms whose settings say nothing of it have a lobby.
    pub lobby: bool,
    /// What one member may receive and publish, where the authorisation hook says nothing of it.
    pub member: MemberLimits,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            rooms: settings::DEFAULT_MAX_ROOMS,
            rooms_per_key: None,
            chat_per_room: settings::DEFAULT_MAX_CHAT_PER_ROOM,
            chat_per_key: None,
            members: settings::DEFAULT_MAX_MEMBERS,
            seats: MAX_SEATS,
            voice_slots: settings::DEFAULT_VOICE_SLOTS,
            joins_per_ip: settings::DEFAULT_JOINS_PER_IP,
            lobby: false,
            member: MemberLimits::NONE,
        }
    }
}

/// Settings that were read and checked.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the server needs.
    pub config: Config,
    /// Each setting and its origin, to show.
    pub settings: Vec<Setting>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// One setting.
    #[error("{key} ({origin}): {problem}")]
    Invalid {
        /// Which.
        key: &'static str,
        /// Where its value comes from.
        origin: Origin,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads the file, lays flags and variables over it, and checks the whole.
///
/// # Errors
/// [`ConfigError`] names the setting and where its value comes from.
pub fn load(given: &Given) -> Result<Loaded, ConfigError> {
    let file = given.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
    resolve(given, &file)
}

/// Checks a file by itself.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path) -> Result<Loaded, ConfigError> {
    resolve(&Given::default(), &file::read(path)?)
}

fn resolve(given: &Given, file: &File) -> Result<Loaded, ConfigError> {
    let merged = settings::merge(given, file);
    let config = Check { settings: &merged.settings, merged: &merged }.config()?;
    Ok(Loaded { config, settings: merged.shown })
}

impl Config {
    /// What its owner should know, in whole sentences.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let HttpConfig { listen, tls, .. } = &self.http;
        let mut warnings = Vec::new();
        if listen.ip().is_loopback() {
            return warnings;
        }
        if let Some(refusal) = self.auth.refusal(*listen) {
            warnings.push(refusal);
        } else if self.auth.keys.is_empty() {
            warnings.push(format!(
                "http-listen {listen} can be reached from other hosts: whoever reaches it may enter every room and read every room's events"
            ));
        } else if self.auth.allow_guests {
            warnings.push(format!(
                "http-listen {listen} can be reached from other hosts: whoever reaches it may enter every room as a guest"
            ));
        }
        if tls.is_none() {
            warnings.push(
                "without tls-cert and tls-key the page is http: browsers give it camera and microphone on localhost only"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// The step from merged settings to a [`Config`].
struct Check<'a> {
    settings: &'a Settings,
    merged: &'a Merged,
}

impl Check<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        Ok(Config {
            http: self.http()?,
            auth: self.auth()?,
            media: self.media()?,
            ice: IceConfig { stun: self.stun()?, turn: self.turn()? },
            limits: self.limits()?,
            rooms: self.rooms()?,
            webhooks: self.webhooks()?,
            log: self.log()?,
            record: self.record()?,
        })
    }

    fn invalid<T>(&self, key: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError::Invalid { key, origin: self.merged.origin(key), problem: problem.into() })
    }

    fn http(&self) -> Result<HttpConfig, ConfigError> {
        let default = HttpConfig::default();
        let allowed_origins = self.settings.allowed_origin.clone().unwrap_or_default();
        for origin in &allowed_origins {
            if origin != "*" && !is_origin(origin) {
                return self.invalid(
                    "allowed-origin",
                    format!("`{origin}` is no origin; one looks like https://example.org, without a path"),
                );
            }
        }
        let allowed_origins = allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        let listen = self.settings.http_listen.unwrap_or(default.listen);
        let trusted_proxies = self.settings.trusted_proxy.clone().unwrap_or_default();
        Ok(HttpConfig { listen, tls: self.tls()?, allowed_origins, trusted_proxies })
    }

    fn tls(&self) -> Result<Option<TlsConfig>, ConfigError> {
        match (&self.settings.tls_cert, &self.settings.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsConfig { certificate: certificate.clone(), key: key.clone() }))
            }
            (Some(_), None) => self.invalid("tls-cert", "a certificate is of no use without tls-key"),
            (None, Some(_)) => self.invalid("tls-key", "a key is of no use without tls-cert"),
        }
    }

    fn media(&self) -> Result<MediaConfig, ConfigError> {
        let default = MediaConfig::default();
        let ipv6 = !self.settings.no_ipv6.unwrap_or(!default.ipv6);
        let udp_listen = self.settings.udp_listen.clone().unwrap_or_default();
        for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            if udp_listen.iter().filter(|address| family(address)).count() > 1 {
                return self.invalid("udp-listen", "at most one address of IPv4 and one of IPv6 can be named");
            }
        }
        for address in &udp_listen {
            if address.is_multicast() {
                return self.invalid("udp-listen", format!("{address} is a multicast address"));
            }
            if address.is_ipv6() && !ipv6 {
                return self.invalid("udp-listen", format!("{address} is IPv6, which no-ipv6 leaves out"));
            }
        }
        let public_ips = self.settings.public_ip.clone().unwrap_or_default();
        for address in &public_ips {
            if address.is_multicast() || address.is_unspecified() {
                return self.invalid("public-ip", format!("nobody can send to {address}"));
            }
            if address.is_ipv6() && !ipv6 {
                return self.invalid("public-ip", format!("{address} is IPv6, which no-ipv6 leaves out"));
            }
        }
        let Settings { udp_port, shards, udp_sharing, gather_below, spread_above, rebalance_above, .. } = self.settings;
        Ok(MediaConfig {
            udp_port: udp_port.unwrap_or(default.udp_port),
            udp_listen,
            public_ips,
            ipv6,
            shards: shards.map(|shards| self.within("shards", shards, 1..=MAX_SHARDS)).transpose()?,
            sharing: udp_sharing.unwrap_or(default.sharing),
            gather_below: self.within("gather-below", gather_below.unwrap_or(default.gather_below), 0..=100)?,
            spread_above: self.within("spread-above", spread_above.unwrap_or(default.spread_above), 0..=100)?,
            rebalance_above: self.within(
                "rebalance-above",
                rebalance_above.unwrap_or(default.rebalance_above),
                0..=100,
            )?,
        })
    }

    fn stun(&self) -> Result<Vec<String>, ConfigError> {
        self.urls("stun", UrlKind::Stun, self.settings.stun.as_ref())
    }

    fn urls(&self, key: &'static str, kind: UrlKind, urls: Option<&Vec<String>>) -> Result<Vec<String>, ConfigError> {
        let urls = urls.cloned().unwrap_or_default();
        let bad = urls.iter().find_map(|url| check_url(kind, url).err().map(|error| (url, error)));
        match bad {
            None => Ok(urls),
            // Whoever wrote `turn:` under `stun` meant the other key.
            Some((url, InvalidUrl::NotStun)) if check_url(UrlKind::Turn, url).is_ok() => {
                self.invalid(key, format!("`{url}` belongs to turn"))
            }
            Some((url, InvalidUrl::NotTurn)) if check_url(UrlKind::Stun, url).is_ok() => {
                self.invalid(key, format!("`{url}` belongs to stun"))
            }
            Some((url, error)) => self.invalid(key, format!("`{url}`: {error}")),
        }
    }

    fn turn(&self) -> Result<Option<TurnConfig>, ConfigError> {
        let urls = self.urls("turn", UrlKind::Turn, self.settings.turn.as_ref())?;
        match (self.turn_auth()?, urls.is_empty()) {
            (None, true) => Ok(None),
            (Some((_, auth)), false) => Ok(Some(TurnConfig { urls, auth })),
            (None, false) => self.invalid("turn", "a relay needs turn-secret-file, or turn-user and turn-pass-file"),
            (Some((key, _)), true) => self.invalid(key, "a credential is of no use without a turn URL"),
        }
    }

    /// How clients prove themselves to the relay, and the key that says so.
    fn turn_auth(&self) -> Result<Option<(&'static str, TurnAuth)>, ConfigError> {
        let Settings { turn_secret, turn_secret_file, turn_pass, turn_pass_file, .. } = self.settings;
        let secret = self.secret(("turn-secret", turn_secret), ("turn-secret-file", turn_secret_file))?;
        let password = self.secret(("turn-pass", turn_pass), ("turn-pass-file", turn_pass_file))?;
        match (secret, &self.settings.turn_user, password) {
            (None, None, None) => Ok(None),
            (Some((key, secret)), None, None) => Ok(Some((key, TurnAuth::Secret { secret, ttl: self.turn_ttl()? }))),
            (None, Some(username), Some((_, password))) if !username.is_empty() => {
                Ok(Some(("turn-user", TurnAuth::Password { username: username.clone(), password })))
            }
            (None, Some(_), Some(_)) => self.invalid("turn-user", "the name is empty"),
            (None, Some(_), None) => {
                self.invalid("turn-user", "a user is of no use without turn-pass-file or turn-pass")
            }
            (None, None, Some((key, _))) => self.invalid(key, "a password is of no use without turn-user"),
            (Some((key, _)), Some(_), _) | (Some((key, _)), _, Some(_)) => {
                self.invalid(key, "a shared secret and a fixed user exclude each other")
            }
        }
    }

    /// A secret that stands in a setting or in the file that another one names; the stronger origin counts.
    fn secret(
        &self,
        (key, text): (&'static str, &Option<String>),
        (file_key, path): (&'static str, &Option<PathBuf>),
    ) -> Result<Option<(&'static str, Secret)>, ConfigError> {
        let (rank, file_rank) = (self.merged.origin(key).rank(), self.merged.origin(file_key).rank());
        match (text, path) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) if rank == file_rank => {
                self.invalid(file_key, format!("{key} is given beside it; one of them is enough"))
            }
            (Some(text), path) if path.is_none() || rank > file_rank => match text.as_str() {
                "" => self.invalid(key, "it is empty"),
                text => Ok(Some((key, Secret::new(text)))),
            },
            (_, Some(path)) => match read_secret(path) {
                Ok(secret) => Ok(Some((file_key, secret))),
                Err(problem) => self.invalid(file_key, format!("{}: {problem}", path.display())),
            },
            // The arm before last takes every text that has no file beside it.
            (Some(_), None) => Ok(None),
        }
    }

    fn turn_ttl(&self) -> Result<Duration, ConfigError> {
        let ttl = self.settings.turn_ttl.map_or(settings::DEFAULT_TURN_TTL, |ttl| ttl.0);
        if ttl.is_zero() || ttl > MAX_TURN_TTL {
            return self.invalid("turn-ttl", "it is to be between 1s and 24h");
        }
        Ok(ttl)
    }

    fn rooms(&self) -> Result<RoomsConfig, ConfigError> {
        let within = self.settings.resume_within.unwrap_or(HumanDuration(settings::DEFAULT_RESUME_WITHIN));
        let within =
            self.within("resume-within", within, HumanDuration(Duration::ZERO)..=HumanDuration(MAX_RESUME_WITHIN))?;
        let drain = self.settings.drain_timeout.unwrap_or(HumanDuration(settings::DEFAULT_DRAIN_TIMEOUT));
        let drain =
            self.within("drain-timeout", drain, HumanDuration(Duration::ZERO)..=HumanDuration(MAX_DRAIN_TIMEOUT))?;
        let default = RoomsConfig::default();
        Ok(RoomsConfig {
            resume_within: within.0,
            data_dir: self.settings.data_dir.clone(),
            chat_retention: self.settings.chat_retention.map_or(default.chat_retention, |kept| kept.0),
            chat_keep: self.settings.chat_keep.unwrap_or(default.chat_keep),
            drain_timeout: drain.0,
        })
    }

    fn limits(&self) -> Result<LimitsConfig, ConfigError> {
        let default = LimitsConfig::default();
        let Settings { max_rooms, max_rooms_per_key, max_members, max_seats, voice_slots, .. } = self.settings;
        Ok(LimitsConfig {
            rooms_per_key: *max_rooms_per_key,
            chat_per_room: self.settings.max_chat_per_room.unwrap_or(default.chat_per_room),
            chat_per_key: self.settings.max_chat_per_key,
            rooms: self.within("max-rooms", max_rooms.unwrap_or(default.rooms), 1..=MAX_ROOMS)?,
            members: self.within("max-members", max_members.unwrap_or(default.members), 1..=MAX_MEMBERS)?,
            seats: self.within("max-seats", max_seats.unwrap_or(default.seats), 0..=MAX_SEATS)?,
            voice_slots: self.within("voice-slots", voice_slots.unwrap_or(default.voice_slots), 1..=MAX_VOICE_SLOTS)?,
            joins_per_ip: self.settings.max_joins_per_ip.unwrap_or(default.joins_per_ip),
            lobby: self.settings.lobby.unwrap_or(default.lobby),
            member: self.member_limits()?,
        })
    }

    fn member_limits(&self) -> Result<MemberLimits, ConfigError> {
        let Settings { max_receive_bitrate, max_publish_bitrate, max_video_height, max_video_fps, last_n, .. } =
            self.settings;
        let bitrate = |key, value: &Option<HumanBitrate>| -> Result<Option<u32>, ConfigError> {
            let value = value.map(|bitrate| self.within(key, bitrate, HumanBitrate(MIN_BITRATE_BPS)..=MAX_BITRATE));
            Ok(value.transpose()?.map(|HumanBitrate(bps)| bps))
        };
        let receive = QualityLimits {
            max_bitrate_bps: bitrate("max-receive-bitrate", max_receive_bitrate)?,
            max_height: max_video_height.map(|rows| self.within("max-video-height", rows, 1..=u16::MAX)).transpose()?,
            max_fps: max_video_fps.map(|fps| self.within("max-video-fps", fps, 1..=u8::MAX)).transpose()?,
        };
        let publish = QualityLimits {
            max_bitrate_bps: bitrate("max-publish-bitrate", max_publish_bitrate)?,
            ..QualityLimits::NONE
        };
        Ok(MemberLimits { receive, publish, last_n: *last_n })
    }

    fn within<T>(&self, key: &'static str, value: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: PartialOrd + std::fmt::Display,
    {
        if range.contains(&value) {
            return Ok(value);
        }
        self.invalid(key, format!("{value} is not between {} and {}", range.start(), range.end()))
    }

    fn log(&self) -> Result<LogConfig, ConfigError> {
        let LogConfig { filter, format } = LogConfig::default();
        let filter = self.settings.log.clone().unwrap_or(filter);
        if let Err(problem) = crate::telemetry::check_filter(&filter) {
            return self.invalid("log", problem);
        }
        Ok(LogConfig { filter, format: self.settings.log_format.unwrap_or(format) })
    }

    fn record(&self) -> Result<Option<RecordConfig>, ConfigError> {
        let max = self.settings.record_trace_max.unwrap_or(settings::DEFAULT_RECORD_TRACE_MAX);
        let max = self.within("record-trace-max", max, 1..=MAX_RECORD_TRACE)?;
        let Some(path) = self.settings.record_trace.clone() else {
            return match self.settings.record_room {
                Some(_) => self.invalid("record-room", "a room is of no use without record-trace"),
                None => Ok(None),
            };
        };
        let room = match &self.settings.record_room {
            Some(name) => match RoomId::new(name) {
                Ok(room) => Some(room),
                Err(problem) => return self.invalid("record-room", problem.to_string()),
            },
            None => None,
        };
        Ok(Some(RecordConfig { path, room, max_bytes: u64::from(max) << 20 }))
    }
}

/// Reads a secret from its file, without the line end.
fn read_secret(path: &Path) -> Result<Secret, String> {
    let file = SystemFile::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("it is longer than {MAX_SECRET_BYTES} bytes"));
    }
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty".to_owned()),
        secret => Ok(Secret::new(secret)),
    }
}

/// Whether the text is a scheme, a host and perhaps a port, as browsers write it in `Origin`.
fn is_origin(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let authority = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    authority.is_some_and(|authority| {
        !authority.is_empty()
            && authority.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']'))
    })
}
