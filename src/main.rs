//! Process entry: reads the settings, serves until a signal comes, and says with its exit code how it went.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use roundtable::config::cli::{self, Action};
use roundtable::config::issue::{self, TokenWish};
use roundtable::config::layer::Given;
use roundtable::config::people;
use roundtable::config::{self, Config, Loaded};
use roundtable::replay::{self, ReplayError, ReplayOptions};
use roundtable::{Handle, Server, StartError, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Something failed while running.
const FAILED: u8 = 1;
/// The settings are wrong (`EX_CONFIG` of sysexits.h). A wrong command line is clap's 2.
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let action = match cli::parse(std::env::args_os()) {
        Ok(action) => action,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILED));
        }
    };
    raise_descriptors();
    match action {
        Action::Serve(given) => serve(&given),
        Action::PrintConfig(given) => with_settings(config::load(&given), print_config),
        Action::CheckConfig(path) => with_settings(config::check(&path), |loaded| print_checked(&path, loaded)),
        Action::Token(wish) => token(&wish),
        Action::NewKey => new_key(),
        Action::CheckKeys(path) => match issue::check_keys(&path) {
            Ok(said) => print(said),
            Err(error) => complain(error, BAD_CONFIG),
        },
        Action::AddUser(file, wish) => with_password(|password, salt| people::add(&file, &wish, password, salt)),
        Action::HashPassword => with_password(people::hash),
        Action::CheckUsers(path) => match people::check(&path) {
            Ok(said) => print(said),
            Err(error) => complain(error, BAD_CONFIG),
        },
        Action::Replay(options) => replay(&options),
        Action::Bench(options) => bench(&options),
        Action::Schema => print(format_args!("{:#}", roundtable::protocol::schema::json_schema())),
    }
}

/// Each member is a socket, and many systems let a process begin with 1,024 descriptors though it may have more.
fn raise_descriptors() {
    // Where that is refused there are as many as there are; who comes when they are used up is told so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

fn with_settings(loaded: Result<Loaded, config::ConfigError>, then: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match loaded {
        Ok(loaded) => then(loaded),
        Err(error) => complain(error, BAD_CONFIG),
    }
}

fn print_config(loaded: Loaded) -> ExitCode {
    let lines: Vec<String> = loaded.settings.iter().map(ToString::to_string).collect();
    print(lines.join("\n"))
}

fn print_checked(path: &Path, loaded: Loaded) -> ExitCode {
    let warnings = loaded.config.warnings();
    let lines: Vec<String> = warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    print([lines, vec![format!("{}: fine", path.display())]].concat().join("\n"))
}

fn token(wish: &TokenWish) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match issue::token(now, wish) {
        Ok(token) => print(token),
        Err(error) => complain(error, BAD_CONFIG),
    }
}

fn new_key() -> ExitCode {
    let mut random = [0; issue::KEY_RANDOM_BYTES];
    match getrandom::fill(&mut random) {
        Ok(()) => print(issue::new_key(random).trim_end()),
        Err(error) => complain(error, FAILED),
    }
}

/// Reads a password from standard input, does something with it and a fresh salt, and prints what comes of it.
fn with_password<T: Display, E: Display>(
    then: impl FnOnce(&str, [u8; people::SALT_BYTES]) -> Result<T, E>,
) -> ExitCode {
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "Password (it shows as you type): ");
    }
    let mut salt = [0; people::SALT_BYTES];
    let password = match people::read_password(&mut io::stdin().lock()) {
        Ok(password) => password,
        Err(error) => return complain(error, FAILED),
    };
    if let Err(error) = getrandom::fill(&mut salt) {
        return complain(error, FAILED);
    }
    match then(&password, salt) {
        Ok(said) => print(said),
        Err(error) => complain(error, BAD_CONFIG),
    }
}

/// Prints a replay as it goes, which may be long.
fn replay(options: &ReplayOptions) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let printed = replay::print(options, &mut out).and_then(|()| Ok(out.flush()?));
    match printed {
        Err(ReplayError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = out.flush(); // What came before the mistake.
            complain(error, FAILED)
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// Puts load on a server: this program once more, unless one that runs is named.
fn bench(options: &roundtable_loadtest::Options) -> ExitCode {
    let executable = match std::env::current_exe() {
        Ok(executable) => executable,
        Err(error) => return complain(error, FAILED),
    };
    match roundtable_loadtest::run(options, &executable, &mut io::stdout()) {
        Ok(roundtable_loadtest::Outcome::Reported) => ExitCode::SUCCESS,
        Ok(roundtable_loadtest::Outcome::Refused) => ExitCode::from(FAILED),
        Err(error) => complain(error, FAILED),
    }
}

/// Prints to standard output. Whoever closed it does not want to hear more.
fn print(text: impl Display) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(error, FAILED),
        _ => ExitCode::SUCCESS,
    }
}

fn complain(error: impl Display, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "roundtable: {error}");
    ExitCode::from(code)
}

fn serve(given: &Given) -> ExitCode {
    with_settings(config::load(given), |Loaded { config, .. }| {
        if let Err(error) = telemetry::init(&config.log) {
            return complain(error, FAILED);
        }
        match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(run(config)),
            Err(error) => complain(error, FAILED),
        }
    })
}

async fn run(config: Config) -> ExitCode {
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return complain(error, FAILED),
    };
    let warnings = config.warnings();
    let dev = config.auth.dev;
    let drain_timeout = config.rooms.drain_timeout;
    let server = match Server::bind(config).await {
        Ok(server) => server,
        Err(error @ (StartError::Tls(_) | StartError::Unguarded(_) | StartError::Keys(_) | StartError::Users(_))) => {
            return complain(error, BAD_CONFIG);
        }
        Err(error) => return complain(error, FAILED),
    };
    announce(&server, dev);
    tokio::spawn(reload(signals.hangup, server.handle()));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let rooms = server.handle();
    match server.run(signals.ends.stop(rooms, drain_timeout)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(error, FAILED),
    }
}

/// Says where to go.
fn announce(server: &Server, dev: bool) {
    let scheme = if server.is_tls() { "https" } else { "http" };
    let http = server.http_addr();
    let udp = server.udp_addrs();
    tracing::info!(%http, ?udp, tls = server.is_tls(), "serving");
    let version = env!("CARGO_PKG_VERSION");
    let port = udp.first().map_or(0, SocketAddr::port);
    let host = if http.ip().is_unspecified() { format!("localhost:{}", http.port()) } else { http.to_string() };
    let hint = match (http.ip().is_loopback(), server.is_tls()) {
        (true, _) => {
            "This machine only. For others: --http-listen 0.0.0.0:7880 with --keys-file, --tls-cert and --tls-key, or behind an https proxy."
        }
        (false, true) => "Open it in two tabs, or send somebody the link of a room.",
        (false, false) => {
            "Other devices need https for camera and microphone: --tls-cert and --tls-key, or an https proxy."
        }
    };
    let join = if dev {
        format!("\nJoin {scheme}://{host}/r/dev, or with a token: roundtable token --dev --room dev --identity me")
    } else {
        String::new()
    };
    print(format_args!("Roundtable {version}  {scheme}://{host}/  media UDP {port}\n{hint}{join}"));
}

/// Reads the keys and the users again at each SIGHUP.
async fn reload(mut hangup: Signal, handle: Handle) {
    while hangup.recv().await.is_some() {
        match handle.reload_keys() {
            Ok(Some(keys)) => tracing::info!(keys, "the keys were read again"),
            Ok(None) => tracing::info!("there are no keys to read again"),
            Err(error) => tracing::warn!(%error, "the keys stay as they were"),
        }
        match handle.reload_users() {
            Ok(Some(users)) => tracing::info!(users, "the users were read again"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the users stay as they were"),
        }
    }
}

/// The signals that the process heeds.
struct Signals {
    ends: Ends,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let ends = Ends { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        Ok(Self { ends, hangup: signal(SignalKind::hangup())? })
    }
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Resolves when the server is to stop: at an interrupt, or some time after it was told to terminate, in which people may
    /// leave. A second signal cuts that short, and ends the process at once when it is stopping already.
    async fn stop(mut self, rooms: Handle, within: Duration) {
        let interrupted = self.next().await;
        if !interrupted && !within.is_zero() {
            tracing::info!(
                ?within,
                "no new rooms; the server ends when everybody has left; a second signal cuts it short"
            );
            tokio::select! {
                () = rooms.drain(within) => {}
                _ = self.next() => {}
            }
        }
        tracing::info!("stopping; a second signal cuts it short");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(i32::from(FAILED));
        });
    }

    /// Waits for a signal; whether it was an interrupt.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }
}
