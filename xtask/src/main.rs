//! The project's own commands: `cargo xtask test`, `fuzz`, `peers`, `profile`, `cost`, `instructions`, `independent`, `miri`, `protocol`, `web`.
#![allow(clippy::print_stdout)] // A command talks.

mod bench;
mod cost;
mod fuzz;
mod independent;
mod instructions;
mod peers;
mod profile;
mod scenarios;
mod steps;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use roundtable_protocol::schema;

const USAGE: &str = "\
cargo xtask COMMAND

  test      everything that must hold: format, lints, tests, documentation, the web part, browsers, bad links
  fuzz      [SECONDS] looks for bytes that break a parser, in all fuzz targets together
  scenarios [NAME]...
            browsers over bad links, each for minutes; those whose ids begin with a NAME, or all
  peers     [GOAL]...
            CPU a packet beside the bare loop and a naive server on str0m; the goals whose names begin with a GOAL, or all
  profile   [SCENARIO [ARGUMENT]...]
            a flame graph of the server under a scenario of `roundtable bench`, fan-out to 50 unless one is named
  cost      whether a forwarded packet costs at most twice what the bare loop takes for it
  instructions
            [record] instructions of the hot functions under valgrind, against those in git or in their place
  independent
            a client in Python that knows the published schema and docs/PROTOCOL.md only meets the server
  miri      the unsafe crate under Miri (needs a nightly toolchain with the component miri)
  protocol  writes web/sdk/src/protocol.ts and docs/protocol.schema.json from crates/protocol
  web       builds web/app/dist, the page that is built into the binary";

/// What a step or a command says when it fails; empty if all was said.
type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => steps::test(),
        ["fuzz"] => fuzz::fuzz(None),
        ["fuzz", seconds] => fuzz::fuzz(Some(seconds)),
        ["scenarios", names @ ..] => scenarios::play(names),
        ["peers", names @ ..] => peers::compare(names),
        ["profile", scenario @ ..] => profile::profile(scenario),
        ["cost"] => bench::build().and_then(|()| cost::guard()),
        ["instructions"] => instructions::count(false),
        ["instructions", "record"] => instructions::count(true),
        ["independent"] => independent::play(),
        ["miri"] => miri(),
        ["protocol"] => protocol(),
        ["web"] => web(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_empty() {
                eprintln!("{failure}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Miri makes no socket calls: the tests put a stand-in for the kernel in their place.
fn miri() -> Result<(), Failure> {
    let mut miri = Command::new("cargo");
    miri.args(["+nightly", "miri", "test", "--package", "roundtable-udp"]).current_dir(root());
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    run(miri)
}

fn protocol() -> Result<(), Failure> {
    let files = [
        ("web/sdk/src/protocol.ts", schema::typescript()),
        ("docs/protocol.schema.json", format!("{:#}\n", schema::json_schema())),
    ];
    for (path, text) in files {
        std::fs::write(root().join(path), text).map_err(|error| format!("{path}: {error}"))?;
        println!("{path}");
    }
    Ok(())
}

fn web() -> Result<(), Failure> {
    run(npm(&["ci"]))?;
    run(npm(&["run", "build"]))
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(root().join("web"));
    command
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command; its output goes where ours goes.
fn run(mut command: Command) -> Result<(), Failure> {
    let line = describe(&command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line}: {status}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

/// Runs a command and takes what it prints.
fn capture(mut command: Command) -> Result<String, Failure> {
    let line = describe(&command);
    let output = command.output().map_err(|error| format!("{line}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{line}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
