//! `cargo xtask profile [SCENARIO [ARGUMENT]...]`: where a server spends its time, as a flame graph.
//!
//! perf samples the server while `roundtable bench` puts load on it. Where the processor's counters are out of reach, as in
//! most virtual machines, the samples come by the clock of the CPU, which says as much of where time goes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::Folder;
use inferno::flamegraph;

use crate::{Failure, capture, cargo, describe, root, run};

const DEFAULT_SCENARIO: &[&str] = &["fan-out", "--subscribers", "50"];
/// Seconds that are sampled.
const SECONDS: &str = "10";
/// Samples a second of each core; odd, so that it does not beat with timers.
const FREQUENCY: &str = "4999";
/// Without these the stacks of optimised code cannot be followed.
const FRAME_POINTERS: &str = "-Cforce-frame-pointers=yes";

/// Profiles a scenario of `roundtable bench` with its arguments.
pub(crate) fn profile(scenario: &[&str]) -> Result<(), Failure> {
    let scenario = if scenario.is_empty() { DEFAULT_SCENARIO } else { scenario };
    if capture(perf(&["--version"])).is_err() {
        return Err("perf is missing: on Debian, apt-get install linux-perf".to_owned());
    }
    let binary = build()?;
    let folder = root().join("target/profile");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (data, graph) = (folder.join("perf.data"), folder.join(format!("{}.svg", scenario[0])));
    let (server, url) = Server::start(&binary)?;
    record(&binary, scenario, &url, server.0.id(), &data)?;
    drop(server);
    draw(&data, &graph)?;
    println!("{}", hottest(&data)?);
    println!("{}", graph.display());
    Ok(())
}

/// The functions with the most samples of their own.
fn hottest(data: &Path) -> Result<String, Failure> {
    let mut report =
        perf(&["report", "--stdio", "--no-children", "-g", "none", "--percent-limit", "1", "-s", "sym", "-i"]);
    report.arg(data).stderr(Stdio::null());
    let report = capture(report)?;
    let lines: Vec<&str> = report.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    Ok(lines.join("\n"))
}

fn perf(arguments: &[&str]) -> Command {
    let mut command = Command::new("perf");
    command.args(arguments);
    command
}

/// The server as it is shipped, but with names and frame pointers.
fn build() -> Result<PathBuf, Failure> {
    let mut build = cargo(&["build", "--profile", "profiling", "-p", "roundtable"]);
    build.env("RUSTFLAGS", FRAME_POINTERS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(build)?;
    Ok(root().join("target/profiling/roundtable"))
}

/// A server that ends with its owner.
struct Server(Child);

impl Server {
    fn start(binary: &Path) -> Result<(Self, String), Failure> {
        let mut command = Command::new(binary);
        command.args(["--http-listen", "127.0.0.1:0", "--udp-port", "0", "--log", "warn", "--max-members", "5000"]);
        let child =
            command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{}: {error}", describe(&command)))?;
        let mut server = Self(child);
        let lines = server.0.stdout.take().map(|out| BufReader::new(out).lines());
        let authority = lines
            .into_iter()
            .flatten()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("http://")?.1.split('/').next()?.to_owned()));
        let authority = authority.ok_or("the server does not say where it listens")?;
        Ok((server, format!("ws://{authority}/ws")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Samples the server from when all have joined.
fn record(binary: &Path, scenario: &[&str], url: &str, server: u32, data: &Path) -> Result<(), Failure> {
    let pid = server.to_string();
    let mut bench = Command::new(binary);
    bench.arg("bench").args(scenario).args(["--url", url, "--pid", &pid, "--warmup", "2", "--seconds", SECONDS]);
    println!("$ {}", describe(&bench));
    let mut bench = bench.stdout(Stdio::piped()).spawn().map_err(|error| format!("roundtable bench: {error}"))?;
    let mut record = perf(&["record", "-q", "-F", FREQUENCY, "-g", "-e", event(), "-p", &pid, "-o"]);
    record.arg(data).args(["--", "sleep", SECONDS]);
    let mut recorded = Err("nobody joined".to_owned());
    let lines = bench.stdout.take().map(|out| BufReader::new(out).lines());
    for line in lines.into_iter().flatten().map_while(Result::ok) {
        println!("{line}");
        if line.contains(" joined in ") {
            // Within the settling and the window, whichever second that is.
            recorded = capture(std::mem::replace(&mut record, perf(&["--version"]))).map(|_| ());
        }
    }
    bench.wait().map_err(|error| format!("roundtable bench: {error}"))?;
    recorded
}

/// The processor's cycles, or the CPU's clock where they cannot be counted.
fn event() -> &'static str {
    let mut stat = perf(&["stat", "-x", ",", "-e", "cycles", "--", "true"]);
    let counted = stat.output().is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stderr);
        said.split(',').next().is_some_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    });
    if counted { "cycles" } else { "cpu-clock" }
}

/// From samples to a picture.
fn draw(data: &Path, graph: &Path) -> Result<(), Failure> {
    let mut script = perf(&["script", "-i"]);
    script.arg(data).stderr(Stdio::null());
    let stacks = capture(script)?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", graph.display());
    let mut folded = Vec::new();
    Folder::default().collapse(stacks.as_bytes(), &mut folded).map_err(|error| failed(&error))?;
    let out = BufWriter::new(File::create(graph).map_err(|error| failed(&error))?);
    let mut options = flamegraph::Options::default();
    options.title = "roundtable".to_owned();
    flamegraph::from_reader(&mut options, &folded[..], out).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_a_picture() {
        let sample = "roundtable 1 1.0: 1 cpu-clock:\n\tffff do_syscall (k)\n\t55 forward (roundtable)\n\n";
        let mut folded = Vec::new();
        Folder::default().collapse(sample.as_bytes(), &mut folded).unwrap();
        assert_eq!(String::from_utf8(folded).unwrap(), "roundtable;forward;do_syscall 1\n");
    }
}
