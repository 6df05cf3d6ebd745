//! What can be asked of `roundtable bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub use crate::floor::Sending;

/// Puts load on a server and says what it costs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Put a kind of load on a server.
    #[command(flatten)]
    Scenario(Scenario),
    /// What a packet and a member cost with 1 to 1,000 who watch, and in 1 to 500 rooms
    Curve(Curve),
    /// Messages to many connections over WebSockets, event streams and data channels
    Events(Events),
    /// The bare loop that servers are compared with; started by `--compare`
    #[command(hide = true)]
    BareLoop(BareLoop),
}

/// `curve`
#[derive(Debug, Clone, Args)]
pub struct Curve {
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `events`
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// What the messages come over
    #[arg(long, value_enum, default_value_t = Transports::All)]
    pub transport: Transports,
    /// Whether each message goes to everybody or to one
    #[arg(long, value_enum, default_value_t = Readings::Both)]
    pub reading: Readings,
    /// How many receive
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub connections: u32,
    /// Messages a second, of all writers together
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub rate: u32,
    /// Bytes of each message
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(40..=8_000))]
    pub bytes: u32,
    /// Seconds that count
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Seconds of messages before those that count
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub warmup: u32,
    /// So many of the connections stop reading, and as many seconds again are counted of the others
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub stalled: u32,
    /// Writes the figures to this file as JSON; without a file prints them instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// An argument for the server, such as --server-args=--shards=1; repeatable
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub server_args: Vec<String>,
}

/// What messages can be asked to come over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transports {
    /// The WebSocket.
    Websocket,
    /// Server-sent events.
    Sse,
    /// Data channels.
    Data,
    /// Each of these, one after the other.
    All,
}

/// To whom messages can be asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Readings {
    /// To everybody: one room.
    Broadcast,
    /// To one each.
    Single,
    /// First the one, then the other.
    Both,
}

/// `bare-loop`
#[derive(Debug, Clone, Args)]
pub struct BareLoop {
    /// How it sends
    #[arg(long, value_enum, default_value_t = Sending::Segmented)]
    pub sending: Sending,
}

/// What runs beside the server, in turn with it.
#[derive(Debug, Clone, Default, Args)]
pub struct Beside {
    /// Also runs the bare loop (receive, open, copy and seal for each, send; no state) at the same pace, in turn with the
    /// server, and says how they compare
    #[arg(long, value_enum, value_name = "SENDING", num_args = 0..=1, require_equals = true, value_delimiter = ',',
        default_missing_value = "segmented,plain")]
    pub compare: Option<Vec<Sending>>,
    /// Another server to run in turn with ours: an executable that says `http://host:port/` and speaks our signalling;
    /// repeatable
    #[arg(long, value_name = "EXECUTABLE")]
    pub peer: Vec<PathBuf>,
}

/// The kinds of load. They are named for what the rooms do.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// One publisher of VP8 and many who watch
    FanOut(FanOut),
    /// One publisher of Opus and many who listen
    Audio(Audio),
    /// Rooms in which everybody publishes sound and a picture and receives all others
    Meetings(Meetings),
    /// How long joining takes, four at once, and how many joins a second are sustained
    Joins(Joins),
    /// Members come and go; memory and descriptors of the server at the start and at the end
    Churn(Churn),
    /// Simulcast layers are asked for in turn by view hints, with loss on the way to the subscribers
    Switching(Switching),
}

/// `fan-out`
#[derive(Debug, Clone, Args)]
pub struct FanOut {
    /// How many watch
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub subscribers: u32,
    /// Of the picture, in kbit/s
    #[arg(long, value_name = "KBIT/S", default_value_t = 1_500, value_parser = clap::value_parser!(u32).range(50..=20_000))]
    pub kbit: u32,
    /// Five packets of 1200 bytes each 33 ms (1.4 Mbit/s) rather than sizes as Chromium makes them
    #[arg(long)]
    pub equal: bool,
    /// What runs beside the server.
    #[command(flatten)]
    pub beside: Beside,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `audio`
#[derive(Debug, Clone, Args)]
pub struct Audio {
    /// How many listen
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub subscribers: u32,
    /// What runs beside the server.
    #[command(flatten)]
    pub beside: Beside,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `meetings`
#[derive(Debug, Clone, Args)]
pub struct Meetings {
    /// How many rooms
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub rooms: u32,
    /// How many members each has
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=49))]
    pub members: u32,
    /// Of each picture, in kbit/s
    #[arg(long, value_name = "KBIT/S", default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=20_000))]
    pub kbit: u32,
    /// What runs beside the server.
    #[command(flatten)]
    pub beside: Beside,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `joins`
#[derive(Debug, Clone, Args)]
pub struct Joins {
    /// How many join at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub parallel: u32,
    /// Joins once in quiet and once while somebody floods the entrance: so many new connections a second, each with a token
    /// that is wrong for a server with keys, as by --server-args=--dev=true
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub flood: u32,
    /// From how many addresses the flood comes; those beyond what one address may are turned away before their token is
    /// looked at
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub flood_addresses: u32,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `churn`
#[derive(Debug, Clone, Args)]
pub struct Churn {
    /// How many rooms
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rooms: u32,
    /// How many members each has
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=49))]
    pub members: u32,
    /// Members that go, and others that come in their place, each second
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub rate: u32,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// `switching`
#[derive(Debug, Clone, Args)]
pub struct Switching {
    /// How many watch
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub subscribers: u32,
    /// Of a hundred packets to a subscriber that many are lost
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub loss: f64,
    /// Seconds between two changes of the layer
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub every: u32,
    /// What every scenario knows.
    #[command(flatten)]
    pub common: Common,
}

/// What every scenario knows.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Seconds that count
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Seconds between the last join and those that count
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub warmup: u32,
    /// How often, each with a server of its own; the medians count
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Writes the figures to this file as JSON; without a file prints them instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// A server that runs already, as ws://host:port/ws; one is started unless given
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The process of that server, if it is on this machine: for its CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pub pid: Option<u32>,
    /// Threads of the generator
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// An argument for the server that is started, such as --server-args=--voice-slots=6; repeatable
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, conflicts_with = "url")]
    pub server_args: Vec<String>,
}

impl Scenario {
    /// Its name on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FanOut(_) => "fan-out",
            Self::Audio(_) => "audio",
            Self::Meetings(_) => "meetings",
            Self::Joins(_) => "joins",
            Self::Churn(_) => "churn",
            Self::Switching(_) => "switching",
        }
    }

    /// What is to run beside the server; nothing where members come and go, which the bare loop does not know.
    #[must_use]
    pub fn beside(&self) -> Option<&Beside> {
        match self {
            Self::FanOut(FanOut { beside, .. })
            | Self::Audio(Audio { beside, .. })
            | Self::Meetings(Meetings { beside, .. }) => Some(beside),
            Self::Joins(_) | Self::Churn(_) | Self::Switching(_) => None,
        }
    }

    /// What every scenario knows.
    #[must_use]
    pub fn common(&self) -> &Common {
        match self {
            Self::FanOut(FanOut { common, .. })
            | Self::Audio(Audio { common, .. })
            | Self::Meetings(Meetings { common, .. })
            | Self::Joins(Joins { common, .. })
            | Self::Churn(Churn { common, .. })
            | Self::Switching(Switching { common, .. }) => common,
        }
    }
}
