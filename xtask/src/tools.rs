//! The programs that the tests need beside Rust: browsers, a TURN server, OpenSSL, valgrind, Node, Python.

use std::path::Path;
use std::process::Command;

use crate::{Failure, capture, run};

/// A program, under any of its names, and the Debian package that brings it.
struct Tool {
    names: &'static [&'static str],
    package: &'static str,
    /// What it is asked where being there is not enough.
    probe: &'static [&'static str],
}

impl Tool {
    const fn new(names: &'static [&'static str], package: &'static str) -> Self {
        Self { names, package, probe: &[] }
    }

    fn is_there(&self) -> bool {
        self.names.iter().any(|name| is_on_path(name) && self.answers(name))
    }

    fn answers(&self, name: &str) -> bool {
        let mut probe = Command::new(name);
        probe.args(self.probe);
        self.probe.is_empty() || capture(probe).is_ok()
    }
}

/// Debian has Python's own environments in a package beside it.
const PYTHON_PROBE: &[&str] = &["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"];

const TOOLS: &[Tool] = &[
    Tool::new(&["chromium", "chromium-browser", "google-chrome"], "chromium"),
    Tool::new(&["firefox-esr", "firefox"], "firefox-esr"),
    Tool::new(&["turnserver"], "coturn"),
    Tool::new(&["openssl"], "openssl"),
    Tool::new(&["valgrind"], "valgrind"),
    Tool::new(&["node"], "nodejs"),
    Tool::new(&["npm"], "npm"),
    Tool { names: &["python3"], package: "python3-venv", probe: PYTHON_PROBE },
];

/// Finds every tool; on Debian and as root, installs what is missing.
pub(crate) fn provide() -> Result<(), Failure> {
    let missing = missing();
    if missing.is_empty() {
        println!("all there");
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    println!("missing: {}", packages.join(", "));
    if !is_debian() || !is_root() {
        return Err(how(&packages));
    }
    install(&packages)?;
    match self::missing().as_slice() {
        [] => Ok(()),
        still => Err(how(&still.iter().map(|tool| tool.package).collect::<Vec<_>>())),
    }
}

/// Whether a tool is there, or how to get it.
pub(crate) fn require(name: &str) -> Result<(), Failure> {
    match missing().iter().find(|tool| tool.names.contains(&name)) {
        Some(tool) => Err(format!("missing: {}\n{}", tool.package, how(&[tool.package]))),
        None => Ok(()),
    }
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !tool.is_there()).collect()
}

fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    id.arg("-u");
    capture(id).is_ok_and(|id| id.trim() == "0")
}

fn install(packages: &[&str]) -> Result<(), Failure> {
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run(apt(&["update"]))?;
    run(apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat()))
}

fn how(packages: &[&str]) -> String {
    let list = packages.join(" ");
    if is_debian() {
        format!("install them with: sudo apt-get install --no-install-recommends {list}")
    } else {
        format!("install these with the package manager of this system (the names are Debian's): {list}")
    }
}
