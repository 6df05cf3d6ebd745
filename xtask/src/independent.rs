//! `cargo xtask independent`: a client in Python that knows the published schema and docs/PROTOCOL.md only meets the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, capture, cargo, root, run, tools};

/// What the client stands on, every package with its version.
const REQUIREMENTS: &str = "tests/independent/requirements.txt";
/// Where that is put.
const HOME: &str = "target/independent";

/// Provides what the client stands on, and plays the tests.
pub(crate) fn play() -> Result<(), Failure> {
    let python = provide()?;
    // With the parts that the tests before it were built of: of one package alone all would be built again.
    let mut tests = cargo(&["test", "--workspace", "--test", "product", "--", "--include-ignored", "independent::"]);
    tests.env("ROUNDTABLE_PYTHON", python);
    run(tests)
}

/// A Python with the packages of the list; made anew when the list has changed.
fn provide() -> Result<PathBuf, Failure> {
    tools::require("python3")?;
    let (home, list) = (root().join(HOME), root().join(REQUIREMENTS));
    let (python, note) = (home.join("bin/python"), home.join("requirements.txt"));
    let wanted = fs::read(&list).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    if fs::read(&note).is_ok_and(|had| had == wanted) && capture(check(&python)).is_ok() {
        return Ok(python);
    }
    run(environment(&home))?;
    run(install(&python, &list))?;
    run(check(&python))?;
    fs::write(&note, wanted).map_err(|error| format!("{HOME}: {error}"))?;
    Ok(python)
}

/// Makes an empty Python of its own, in the place of one that may be there.
fn environment(home: &Path) -> Command {
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(home);
    make
}

/// Takes the packages of the list and no others, and builds none: no compiler is needed.
fn install(python: &Path, list: &Path) -> Command {
    let mut install = pip(python, &["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirement"]);
    install.arg(list);
    install
}

/// Whether each package has what it needs.
fn check(python: &Path) -> Command {
    pip(python, &["check"])
}

fn pip(python: &Path, arguments: &[&str]) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--disable-pip-version-check"]).args(arguments);
    pip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_version() {
        let list = fs::read_to_string(root().join(REQUIREMENTS)).unwrap();
        let packages: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(packages.iter().any(|package| package.starts_with("jsonschema==")));
        for package in packages {
            let (name, version) = package.split_once("==").unwrap_or_else(|| panic!("{package} has no version"));
            assert!(!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()), "{package}");
        }
    }
}
