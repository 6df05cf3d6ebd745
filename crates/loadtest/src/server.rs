//! The process under load: a server of our own, one that runs already, or the bare loop.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::floor::Way;
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

/// A process under load. One of our own is ended with it, by its process id.
pub(crate) struct Server {
    /// Whose CPU and memory are measured, if that is known.
    pub(crate) process: Option<Process>,
    child: Option<(Child, BufReader<ChildStdout>)>,
}

impl Server {
    /// Starts `executable` on ports of its own. Its settings come as variables, so that `arguments` may say otherwise.
    pub(crate) fn start(executable: &Path, arguments: &[String]) -> Result<(Self, Url), ServerError> {
        let mut command = Command::new(executable);
        command.args(arguments).stdin(Stdio::null());
        command.envs([
            ("ROUNDTABLE_HTTP_LISTEN", "127.0.0.1:0"),
            ("ROUNDTABLE_UDP_PORT", "0"),
            ("ROUNDTABLE_LOG", "warn"),
            ("ROUNDTABLE_MAX_MEMBERS", "5000"),
            ("ROUNDTABLE_MAX_ROOMS", "10000"),
            // So that those who flood can have addresses of their own.
            ("ROUNDTABLE_TRUSTED_PROXY", "127.0.0.1"),
        ]);
        let (server, url) = Self::spawn(command, |line| {
            let authority = line.split_once("http://")?.1.split('/').next()?;
            Some(format!("ws://{}/ws", authority.trim()))
        })?;
        Ok((server, Url::parse(&url)?))
    }

    /// Starts the bare loop, which is a part of `executable`.
    pub(crate) fn start_floor(executable: &Path, sending: &str) -> Result<(Self, Way), ServerError> {
        let mut command = Command::new(executable);
        command.args(["bench", "bare-loop", "--sending", sending]).stdin(Stdio::piped());
        let (mut server, address) = Self::spawn(command, |line| line.trim().parse().ok())?;
        let lines = server.child.as_mut().and_then(|(child, _)| child.stdin.take()).ok_or(ServerError::Silent)?;
        Ok((server, Way { address, lines: Mutex::new(lines) }))
    }

    /// One that runs, and its process if it is of this machine.
    pub(crate) fn running(url: &str, pid: Option<u32>) -> Result<(Self, Url), ServerError> {
        Ok((Self { process: pid.map(Process), child: None }, Url::parse(url)?))
    }

    /// Starts a process and waits for the line in which `read` finds where it listens.
    fn spawn<T>(mut command: Command, read: impl Fn(&str) -> Option<T>) -> Result<(Self, T), ServerError> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let process = Some(Process(child.id()));
        let Some(stdout) = child.stdout.take() else {
            return Err(ServerError::Silent);
        };
        // From here on the child ends with `server`.
        let mut server = Self { process, child: None };
        let (_, stdout) = server.child.insert((child, BufReader::new(stdout)));
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            if let Some(found) = read(&line) {
                return Ok((server, found));
            }
            line.clear();
        }
        Err(ServerError::Silent)
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
