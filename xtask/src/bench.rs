//! Runs of `roundtable bench` and what they say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{Failure, cargo, describe, root, run};

/// Builds the server as it is shipped.
pub(crate) fn build() -> Result<(), Failure> {
    run(cargo(&["build", "--release", "-p", "roundtable"]))
}

/// Runs a scenario and reads its figures, which stay in `target/bench/{name}.json`. That no run counts is no failure
/// here: the figures say so.
pub(crate) fn bench(name: &str, arguments: &[&str]) -> Result<Value, Failure> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join(format!("{name}.json"));
    // What an earlier run left must not be taken for this one's.
    let _ = fs::remove_file(&file);
    let mut command = Command::new(binary());
    command.arg("bench").args(arguments).arg("--json").arg(&file).current_dir(root());
    println!("$ {}", describe(&command));
    let status = command.status().map_err(|error| format!("{}: {error}", describe(&command)))?;
    let text = fs::read_to_string(&file).map_err(|_| format!("{}: {status}", describe(&command)))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// The server as it was built.
fn binary() -> PathBuf {
    root().join("target/release/roundtable")
}

/// The server's CPU a packet ÷ that of what ran beside it, and the rounds it is the median of.
pub(crate) fn ratio(figures: &Value, name: &str) -> Option<(f64, usize)> {
    let ratio = &figures["beside"].as_array()?.iter().find(|rival| rival["name"] == name)?["ratio"];
    Some((ratio["median"].as_f64()?, ratio["rounds"].as_array()?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_found_by_name() {
        let figures = serde_json::json!({ "beside": [
            { "name": "floor, plain", "ratio": { "rounds": [] } },
            { "name": "floor, segmented", "ratio": { "median": 1.5, "rounds": [1.4, 1.5] } },
        ] });
        assert_eq!(ratio(&figures, "floor, segmented"), Some((1.5, 2)));
        assert_eq!(ratio(&figures, "floor, plain"), None);
        assert_eq!(ratio(&figures, "str0m-sfu"), None);
    }
}
