//! `cargo xtask scenarios`: real browsers over links that are not as one would like.

use std::process::Command;

use crate::{Failure, cargo, npm, root, run};

/// Builds what scenarios need and plays those whose ids begin with one of `names`, or all.
///
/// They take minutes each and a quiet machine: what was too slow to mean anything says so and is void.
pub(crate) fn play(names: &[&str]) -> Result<(), Failure> {
    run(cargo(&["build", "--release", "-p", "roundtable", "-p", "roundtable-linkemu"]))?;
    run(cargo(&["build", "-p", "roundtable-client", "--example", "crowd"]))?;
    if !root().join("web/node_modules").is_dir() {
        run(npm(&["ci"]))?;
    }
    run(command(names))
}

fn command(names: &[&str]) -> Command {
    let mut command = npm(&["run", "scenarios", "--"]);
    command.args(names);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    #[test]
    fn names_are_handed_on() {
        assert_eq!(describe(&command(&["s1", "s10"])), "npm run scenarios -- s1 s10");
    }
}
