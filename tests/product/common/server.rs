//! A server under test: from the library, or the binary as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use roundtable::protocol::{Grants, RoomId};
use roundtable::{Authorising, Authorize, Config, Server};
use roundtable_client::{Options, Rewrite};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where a server is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The page, the WebSocket, the API.
    pub(crate) http: SocketAddr,
    /// Media.
    pub(crate) udp: SocketAddr,
}

impl Place {
    /// The WebSocket endpoint.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.http)
    }

    /// How somebody joins a room there who is sent everything, whatever the machine's load makes of the path.
    pub(crate) fn guest(&self, room: &str, name: &str) -> Options {
        Options { rewrite_offer: Some(Rewrite::unmeasured()), ..self.measured_guest(room, name) }
    }

    /// How somebody joins a room there whose path is measured, as browsers do.
    pub(crate) fn measured_guest(&self, room: &str, name: &str) -> Options {
        Options::new(self.url(), room, name)
    }
}

/// A server of the library, running on the test's own runtime.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it is.
    pub(crate) place: Place,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Starts one on ports that the system chooses. It keeps nobody's place: who vanishes is gone.
    pub(crate) async fn start() -> Self {
        let mut config = Config::default();
        config.rooms.resume_within = std::time::Duration::ZERO;
        Self::start_with(config).await
    }

    /// Starts one with settings of its own, on ports that the system chooses.
    pub(crate) async fn start_with(mut config: Config) -> Self {
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.media.udp_port = 0;
        config.media.udp_listen = vec![[127, 0, 0, 1].into()];
        let server = Server::bind(config).await.expect("free ports");
        Self::run(server)
    }

    /// Starts one in which the token `host` makes somebody a moderator, and every other one a guest.
    pub(crate) async fn start_moderated() -> Self {
        Self::start_moderated_with(Config::default()).await
    }

    /// The same with settings of its own.
    pub(crate) async fn start_moderated_with(mut config: Config) -> Self {
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.media.udp_port = 0;
        config.media.udp_listen = vec![[127, 0, 0, 1].into()];
        let server = Server::builder(config).with_authorizer(Door).bind().await.expect("free ports");
        Self::run(server)
    }

    fn run(server: Server) -> Self {
        let place = Place { http: server.http_addr(), udp: server.udp_addrs()[0] };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { place, stop, task }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("the server does not panic").expect("the server stops in good order");
    }
}

struct Door;

impl Authorize for Door {
    fn authorise<'a>(&'a self, _: &'a RoomId, _: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        let grants = Grants { admin: token == Some("host"), ..Grants::ALL };
        Box::pin(async move { Ok(grants.into()) })
    }

    fn may_send_on(&self, _: &RoomId, into: &RoomId) -> bool {
        into.as_str() != "vault"
    }
}

/// A server process, ended with the test.
#[derive(Debug)]
pub(crate) struct Process {
    /// Where it is.
    pub(crate) place: Place,
    child: Child,
}

impl Process {
    /// Starts one on ports that the system chooses.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, on ports that the system chooses. It keeps nobody's place unless told so.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(Place { http: anywhere, udp: anywhere }, arguments)
    }

    /// Starts one in the place of another one that has ended.
    pub(crate) fn start_at(place: Place, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
        if !arguments.contains(&"--drain-timeout") {
            command.args(["--drain-timeout", "0s"]);
        }
        if !arguments.contains(&"--resume-within") {
            command.args(["--resume-within", "0s"]);
        }
        command.args(arguments);
        let (http, udp) = (place.http.to_string(), place.udp.port().to_string());
        command.args(["--http-listen", &http, "--udp-port", &udp, "--udp-listen", "127.0.0.1"]).env_clear();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it is");
        let place = place_in(&line).unwrap_or_else(|| panic!("no addresses in {line:?}"));
        Self { place, child }
    }

    /// Resident memory in bytes (`VmRSS`).
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number of kB") * 1024
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it for a while, as if the machine had forgotten it.
    pub(crate) async fn pause(&self, time: std::time::Duration) {
        for signal in ["-STOP", "-CONT"] {
            let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
            assert!(sent.expect("kill is there").success());
            if signal == "-STOP" {
                tokio::time::sleep(time).await;
            }
        }
    }

    /// Ends it at once, without a word (`SIGKILL`), and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop (`SIGTERM`).
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads `Roundtable 0.1.0  http://127.0.0.1:1/  media UDP 2`.
fn place_in(line: &str) -> Option<Place> {
    let http: SocketAddr = line.split("http://").nth(1)?.split('/').next()?.parse().ok()?;
    let port = line.split("UDP ").nth(1)?.trim().parse().ok()?;
    Some(Place { http, udp: SocketAddr::new(http.ip(), port) })
}
