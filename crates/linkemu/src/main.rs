//! `roundtable-linkemu`: links between programs on this machine, for scenarios.
#![allow(clippy::print_stdout)] // Who starts it reads where the ports are.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use roundtable_linkemu::{Emulator, Options};

const USAGE: &str = "\
roundtable-linkemu --server ADDR:PORT [OPTION VALUE]...

  --server ADDR:PORT  a UDP server behind a link; repeat it for more of them
  --links N           so many links to the server named before [1]
  --listen ADDR       where the links' ports are opened [127.0.0.1]
  --control PORT      the port for commands, on loopback [any]
  --seed N            what all luck follows from [1]
  --csv FILE          a line each 100 ms per link and direction

Each link is a UDP port. Whoever sends there reaches the server, and is answered, as if over a network.
Commands are datagrams of text, answered by «ok TIME_MS» or «error: WHY»:

  time
  link 0 down rate=300k delay=20ms queue=300ms loss=5
  link 0 both jitter=10ms burst_loss=20 burst=5 reorder=10 late=20ms duplicate=1 mtu=1200 overhead=28

Shares are in a thousand; rate=none and mtu=none take a bound away.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match read(&arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<()> {
    let servers = options.servers.clone();
    let emulator = Emulator::start(options)?;
    for (number, (front, server)) in emulator.fronts().iter().zip(servers).enumerate() {
        println!("link {number} {front} to {server}");
    }
    println!("control {}", emulator.control());
    emulator.wait()
}

fn read(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::new(Vec::new());
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} wants a value", pair.concat())) };
        match name.as_str() {
            "--server" => options.servers.push(number::<SocketAddr>(name, value)?),
            "--links" => repeat_last(&mut options.servers, number(name, value)?)?,
            "--listen" => options.listen = number::<IpAddr>(name, value)?,
            "--control" => options.control_port = number(name, value)?,
            "--seed" => options.seed = number(name, value)?,
            "--csv" => options.table = Box::new(File::create(value).map_err(|error| format!("{value}: {error}"))?),
            _ => return Err(format!("{name} is no option")),
        }
    }
    if options.servers.is_empty() { Err("name a server".to_owned()) } else { Ok(options) }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value} is no value for {name}"))
}

/// So many links to the last server as are asked for; one of them is there.
fn repeat_last(servers: &mut Vec<SocketAddr>, links: usize) -> Result<(), String> {
    const MAX_LINKS: usize = 64;
    let Some(last) = servers.last().copied() else { return Err("--links comes after --server".to_owned()) };
    if !(1..=MAX_LINKS).contains(&links) {
        return Err(format!("--links is from 1 to {MAX_LINKS}"));
    }
    servers.extend(std::iter::repeat_n(last, links - 1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(line: &str) -> Result<usize, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        read(&words).map(|options| options.servers.len())
    }

    #[test]
    fn links_are_counted_by_server() {
        assert_eq!(servers("--server 127.0.0.1:1 --seed 4"), Ok(1));
        assert_eq!(servers("--server 127.0.0.1:1 --links 3 --server [::1]:2"), Ok(4));
    }

    #[test]
    fn a_wrong_option_is_said() {
        assert_eq!(servers(""), Err("name a server".to_owned()));
        assert_eq!(servers("--server"), Err("--server wants a value".to_owned()));
        assert_eq!(servers("--links 2 --server 127.0.0.1:1"), Err("--links comes after --server".to_owned()));
        assert!(servers("--server 127.0.0.1:1 --links 65").is_err());
        assert!(servers("--server localhost").is_err());
    }
}
