//! The server under load: one of our own, or one that runs already.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::signal::{SignalError, Url};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// It did not start.
    #[error("the server did not start: {0}")]
    Start(#[from] io::Error),
    /// It ended, or does not say where it listens.
    #[error("the server did not say where it listens")]
    Silent,
    /// Its address is of no use.
    #[error(transparent)]
    Url(#[from] SignalError),
}

/// A server. One of our own is ended with it, by its process id.
pub(crate) struct Server {
    pub(crate) url: Url,
    /// Whose CPU and memory are measured, if that is known.
    pub(crate) process: Option<Process>,
    child: Option<(Child, BufReader<ChildStdout>)>,
}

impl Server {
    /// Starts `executable` on ports of its own. Its settings come as variables, so that `arguments` may say otherwise.
    pub(crate) fn start(executable: &Path, arguments: &[String]) -> Result<Self, ServerError> {
        let mut command = Command::new(executable);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command.envs([
            ("ROUNDTABLE_HTTP_LISTEN", "127.0.0.1:0"),
            ("ROUNDTABLE_UDP_PORT", "0"),
            ("ROUNDTABLE_LOG", "warn"),
            ("ROUNDTABLE_MAX_MEMBERS", "1000"),
            ("ROUNDTABLE_MAX_ROOMS", "10000"),
        ]);
        let mut child = command.spawn()?;
        let process = Process(child.id());
        let mut server = Server { url: Url::parse("ws://127.0.0.1:9/ws")?, process: Some(process), child: None };
        let Some(stdout) = child.stdout.take() else {
            return Err(ServerError::Silent);
        };
        // From here on the child ends with `server`.
        let (_, stdout) = server.child.insert((child, BufReader::new(stdout)));
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            if let Some((_, rest)) = line.split_once("http://") {
                let authority = rest.split('/').next().unwrap_or_default();
                server.url = Url::parse(&format!("ws://{authority}/ws"))?;
                return Ok(server);
            }
            line.clear();
        }
        Err(ServerError::Silent)
    }

    /// One that runs, and its process if it is of this machine.
    pub(crate) fn running(url: &str, pid: Option<u32>) -> Result<Self, ServerError> {
        Ok(Self { url: Url::parse(url)?, process: pid.map(Process), child: None })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some((child, _)) = &mut self.child else { return };
        let _ = child.kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
